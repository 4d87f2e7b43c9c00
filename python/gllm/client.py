"""The client: models in this process, and the calls that wait."""
from __future__ import annotations

import ctypes
import queue
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np

from . import _c, jobs, requests
from .errors import CanceledError, ClosedError, check
from .results import Chunk, Classes, ClientInfo, Completion, Embeddings, ModelStatus, Rankings, Tokens, text

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .requests import ClassifyOptions, EmbedOptions, GenerateOptions, Message, ModelOptions, RerankOptions

_lib = _c.lib


class Stream:
    """An answer as it comes: iterate over it for its pieces; `completion` is there at the end. Leaving it early cancels the answer."""

    def __init__(self, client: "Client", request: Any, timeout: Optional[float]) -> None:
        self.completion: Optional[Completion] = None
        self._job: Any = None
        self._client = client
        self._number = next(jobs.numbers)
        self._queue: "queue.SimpleQueue[Optional[Chunk]]" = queue.SimpleQueue()
        jobs.chunk_to[self._number] = self._add
        jobs.done_to[self._number] = lambda: self._queue.put(None)
        request.on_chunk, request.user = jobs.on_chunk, self._number
        try:
            self._job = jobs.submit(client._open(), jobs.GENERATE, request, self._number, False, timeout)
        except BaseException:
            self._forget()
            raise

    def _add(self, chunk: Chunk) -> bool:
        self._queue.put(chunk)
        return True

    def _forget(self) -> None:
        jobs.chunk_to.pop(self._number, None)
        jobs.done_to.pop(self._number, None)
        job, self._job = self._job, None
        _lib.gllm_job_free(job)

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        if self._job is None:
            raise StopIteration
        chunk = self._queue.get()
        if chunk is not None:
            return chunk
        try:
            self.completion = jobs.take(self._job, jobs.GENERATE)
        finally:
            self._forget()
        raise StopIteration

    def close(self) -> None:
        if self._job is None:
            return
        _lib.gllm_job_cancel(self._job)
        try:
            for _ in self:
                pass
        except CanceledError:
            pass  # it had not begun

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_job", None) is not None:
            self._forget()  # frees the job, which cancels it


class Client:
    """One model or several, each with a thread of its own. Any number of threads may call at once.

    >>> with Client("sentence-transformers/all-MiniLM-L6-v2") as client:
    ...     client.embed(["a quiet street"]).vectors.shape
    (1, 384)
    """

    def __init__(self, model: str, *, log: Optional[Callable[[str, str], None]] = None, **options: Unpack[ModelOptions]) -> None:
        self._handle = ctypes.c_void_p()
        self._log = _c.log_fn(lambda _, level, line: log(_c.LOG[level], text(line))) if log else None
        keep: List[Any] = []
        error = _c.Error()
        check(_lib.gllm_client_open(self._handle, requests.model_options(model, self._log, options, keep), error), error)
        # At the latest when the program ends, while its callbacks still have an interpreter.
        self._closer = weakref.finalize(self, _lib.gllm_client_close, self._handle.value)

    def _open(self) -> Any:
        if not self._handle:
            raise ClosedError("the client is closed")
        return self._handle

    def close(self) -> None:
        """Ends what waits; what calls gave stays valid."""
        self._handle = ctypes.c_void_p()
        self._closer()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _call(self, function: Any, request: Any, kind: Any) -> Any:
        answer, error = ctypes.POINTER(kind)(), _c.Error()
        check(function(self._open(), request, answer, error), error)
        return answer

    def embed(self, texts: Union[str, Sequence[str]], **options: Unpack[EmbedOptions]) -> Embeddings:
        """A vector for each text, [count, dim]; the same for a text alone and among any others."""
        keep: List[Any] = []
        request = requests.embed([texts] if isinstance(texts, str) else texts, options, keep)
        return Embeddings.of(self._call(_lib.gllm_embed, request, _c.Embeddings))

    def rerank(self, query: str, documents: Sequence[str], **options: Unpack[RerankOptions]) -> Rankings:
        """Documents by relevance to the query, the best first."""
        keep: List[Any] = []
        return Rankings.of(self._call(_lib.gllm_rerank, requests.rerank(query, documents, options, keep), _c.Rankings))

    def classify(self, texts: Union[str, Sequence[str]], **options: Unpack[ClassifyOptions]) -> Classes:
        """The labels' scores of each text."""
        keep: List[Any] = []
        request = requests.classify([texts] if isinstance(texts, str) else texts, options, keep)
        return Classes.of(self._call(_lib.gllm_classify, request, _c.Classes))

    def generate(self, prompt: Union[str, Sequence[Message]], **options: Unpack[GenerateOptions]) -> Completion:
        """Continues a text, or answers a conversation: [{"role": "user", "content": "…"}]."""
        keep: List[Any] = []
        return Completion.of(self._call(_lib.gllm_generate, requests.generate(prompt, options, keep), _c.Completion))

    def stream(self, prompt: Union[str, Sequence[Message]], *, timeout: Optional[float] = None, **options: Unpack[GenerateOptions]) -> Stream:
        """As generate, piece by piece."""
        keep: List[Any] = []
        return Stream(self, requests.generate(prompt, options, keep), timeout)

    def tokenize(self, text: str, pair: Optional[str] = None, *, no_special: bool = False, parse_special: bool = False, model: Optional[str] = None) -> Tokens:
        keep: List[Any] = []
        options = {"text": text, "pair": pair, "no_special": no_special, "parse_special": parse_special, "model": model}
        return Tokens.of(self._call(_lib.gllm_tokenize, requests.fill(_c.new(_c.TokenizeRequest), keep, options), _c.Tokens))

    def detokenize(self, ids: Sequence[int], *, keep_special: bool = False, model: Optional[str] = None) -> str:
        array = np.ascontiguousarray(ids, dtype=np.int32)
        out, error = ctypes.c_void_p(), _c.Error()
        pointer = array.ctypes.data_as(_c.int32s)
        check(_lib.gllm_detokenize(self._open(), model and model.encode(), pointer, len(array), keep_special, out, error), error)
        try:
            return text(ctypes.string_at(out.value or 0))
        finally:
            _lib.gllm_text_free(out)

    # ---- models ----
    def add_model(self, model: str, **options: Unpack[ModelOptions]) -> None:
        """One more model; requests choose it by its name (`model=`)."""
        keep: List[Any] = []
        error = _c.Error()
        check(_lib.gllm_client_add_model(self._open(), requests.model_options(model, self._log, options, keep), error), error)

    def _named(self, function: Any, name: Optional[str]) -> None:
        error = _c.Error()
        check(function(self._open(), name and name.encode(), error), error)

    def remove_model(self, name: str) -> None:
        self._named(_lib.gllm_client_remove_model, name)

    def load(self, name: Optional[str] = None) -> None:
        self._named(_lib.gllm_client_load, name)

    def unload(self, name: Optional[str] = None) -> None:
        self._named(_lib.gllm_client_unload, name)

    def status(self) -> Dict[str, ModelStatus]:
        """Each model's state, memory and queue, by name; loads nothing."""
        answer, error = ctypes.POINTER(_c.ClientStatus)(), _c.Error()
        check(_lib.gllm_client_get_status(self._open(), answer, error), error)
        return ModelStatus.all(answer)

    def describe(self, model: Optional[str] = None) -> ClientInfo:
        """What a model runs on."""
        info, error = _c.ClientInfo(struct_size=ctypes.sizeof(_c.ClientInfo)), _c.Error()
        check(_lib.gllm_client_describe(self._open(), model and model.encode(), info, error), error)
        values: Dict[str, Any] = {name: text(getattr(info, name)) if kind is _c.TEXT else getattr(info, name) for name, kind in info._fields_[1:]}
        return ClientInfo(**values)
