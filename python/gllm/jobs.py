"""Jobs: calls that do not wait. The library calls back on its worker; one function here is called for all jobs and finds whom it concerns by a number."""
from __future__ import annotations

import ctypes
import itertools
from typing import Any, Callable, Dict, NamedTuple, Optional

from . import _c, results
from .errors import check


class Kind(NamedTuple):
    submit: Any  # gllm_embed_async …
    take: Any  # gllm_job_take_embeddings …
    answer: Any  # the struct that it gives
    of: Callable[[Any], Any]  # which becomes a result


EMBED = Kind(_c.lib.gllm_embed_async, _c.lib.gllm_job_take_embeddings, _c.Embeddings, results.Embeddings.of)
RERANK = Kind(_c.lib.gllm_rerank_async, _c.lib.gllm_job_take_rankings, _c.Rankings, results.Rankings.of)
CLASSIFY = Kind(_c.lib.gllm_classify_async, _c.lib.gllm_job_take_classes, _c.Classes, results.Classes.of)
GENERATE = Kind(_c.lib.gllm_generate_async, _c.lib.gllm_job_take_completion, _c.Completion, results.Completion.of)

numbers = itertools.count(1)
chunk_to: Dict[int, Callable[[results.Chunk], bool]] = {}
done_to: Dict[int, Callable[[], None]] = {}


@_c.chunk_fn
def on_chunk(number: int, chunk: Any) -> bool:
    to, c = chunk_to.get(number), chunk.contents
    if to is None:
        return False
    if c.token < 0 and not c.text.len:
        return True  # a piece of the prompt was computed
    part = _c.PART[c.part]
    return to(results.Chunk(results.span(c.text), c.token if c.token >= 0 else None, c.logprob, part, c.call if part in ("call", "arguments") else None))


@_c.done_fn
def on_done(number: int, job: Any) -> None:
    to = done_to.pop(number, None)
    if to is not None:
        to()


def submit(client: Any, kind: Kind, request: Any, number: int, notify: bool, timeout: Optional[float]) -> Any:
    """Starts a job: told by done_to[number], or with notify by the client's descriptor."""
    how, job, error = _c.new(_c.Submit), ctypes.c_void_p(), _c.Error()
    how.user, how.notify = number, notify
    if not notify:
        how.on_done = on_done
    if timeout is not None:
        how.timeout_ms = max(1, int(timeout * 1000))
    check(kind.submit(client, request, how, job, error), error)
    return job


def take(job: Any, kind: Kind) -> Any:
    """What an ended job gave, or its error raised."""
    answer, error = ctypes.POINTER(kind.answer)(), _c.Error()
    check(kind.take(job, answer, error), error)
    return kind.of(answer)
