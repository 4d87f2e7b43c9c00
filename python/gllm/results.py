"""What calls give: numpy arrays over the library's own memory, not copies of it. An array holds its block; the last one that goes frees it."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from . import _c


class Block:
    """A block that the library allocated, freed with its last user."""

    def __init__(self, pointer: Any, free: Any) -> None:
        self.address = ctypes.cast(pointer, ctypes.c_void_p).value
        self._free = free

    def __del__(self) -> None:
        self._free(self.address)

    def array(self, pointer: Any, *shape: int) -> np.ndarray:
        """The values at `pointer`, a part of this block, without a copy."""
        kind = type(pointer)._type_
        count = int(np.prod(shape))
        if count == 0 or not pointer:
            return np.empty(shape, dtype=np.dtype(kind))
        memory = (kind * count).from_address(ctypes.addressof(pointer.contents))
        memory.block = self
        return np.frombuffer(memory, dtype=np.dtype(kind)).reshape(shape)


def text(value: Optional[bytes]) -> str:
    return value.decode("utf-8", "replace") if value else ""


def span(value: _c.Str) -> str:
    return ctypes.string_at(value.ptr, value.len).decode("utf-8", "replace") if value.ptr else ""


@dataclass(repr=False)
class Embeddings:
    vectors: np.ndarray  # [count, dim] float32, in the order of the texts; dim is 0 without the dense output
    tokens: np.ndarray  # [count] computed for each text, special tokens included
    full_tokens: np.ndarray  # [count] without truncation
    truncated: np.ndarray  # [count] bool
    prompt_tokens: int
    model: str
    compute_ms: float
    queue_ms: float
    sparse: Optional[List[Tuple[np.ndarray, np.ndarray]]] = None  # of each text: ids of the vocabulary, ascending, and their weights
    token_vectors: Optional[List[np.ndarray]] = None  # of each text: [tokens, token_dim]

    def __repr__(self) -> str:
        return f"Embeddings({self.vectors.shape[0]} of {self.vectors.shape[1]} values, model={self.model!r}, prompt_tokens={self.prompt_tokens})"

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.vectors)

    @classmethod
    def of(cls, pointer: Any) -> "Embeddings":
        block, r = Block(pointer, _c.lib.gllm_embeddings_free), pointer.contents
        n = r.count
        sparse = [(block.array(s.ids, s.count), block.array(s.weights, s.count)) for s in r.sparse[:n]] if r.sparse else None
        tokens = [block.array(t.data, t.count, r.token_dim) for t in r.token_vectors[:n]] if r.token_vectors else None
        return cls(block.array(r.data, n, r.dim), block.array(r.tokens, n), block.array(r.full_tokens, n), block.array(r.truncated, n), r.usage.prompt_tokens,
                   text(r.model), r.compute_ms, r.queue_ms, sparse, tokens)


@dataclass
class Ranking:
    index: int  # of the document
    score: float
    tokens: int
    full_tokens: int
    truncated: bool
    query_truncated: bool


@dataclass
class Rankings:
    items: List[Ranking]  # the best first
    n_truncated: int
    prompt_tokens: int
    model: str
    untrained: bool  # as_judge: the model was not trained to rerank
    compute_ms: float
    queue_ms: float

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Ranking]:
        return iter(self.items)

    def __getitem__(self, place: int) -> Ranking:
        return self.items[place]

    @classmethod
    def of(cls, pointer: Any) -> "Rankings":
        block, r = Block(pointer, _c.lib.gllm_rankings_free), pointer.contents
        items = [Ranking(i.index, i.score, i.tokens, i.full_tokens, i.truncated, i.query_truncated) for i in r.items[:r.count]]
        result = cls(items, r.n_truncated, r.usage.prompt_tokens, text(r.model), r.untrained, r.compute_ms, r.queue_ms)
        del block
        return result


@dataclass
class Classes:
    labels: List[str]
    scores: np.ndarray  # [count, labels] float32
    tokens: np.ndarray  # [count]
    full_tokens: np.ndarray  # [count]
    prompt_tokens: int
    model: str
    compute_ms: float
    queue_ms: float

    @classmethod
    def of(cls, pointer: Any) -> "Classes":
        block, r = Block(pointer, _c.lib.gllm_classes_free), pointer.contents
        n = r.count
        return cls([text(label) for label in r.labels[:r.n_labels]], block.array(r.scores, n, r.n_labels), block.array(r.tokens, n),
                   block.array(r.full_tokens, n), r.usage.prompt_tokens, text(r.model), r.compute_ms, r.queue_ms)


@dataclass
class ToolCall:
    name: str
    arguments: str  # a JSON object, as the model wrote it


@dataclass
class Completion:
    text: str
    tokens: np.ndarray  # [n] int32, the end token not counted
    finish: str  # "stop", "length", "canceled" or "tool_calls"
    prompt_tokens: int
    cached_tokens: int
    model: str
    prefill_ms: float
    decode_ms: float
    queue_ms: float
    context_full: bool
    stop_index: Optional[int]  # of the stop string that ended it
    logprobs: Optional[np.ndarray] = None  # [n] float32
    top: Optional[List[List[Tuple[int, float]]]] = field(default=None, repr=False)  # of each token: the most likely ones and their log-probabilities
    content: str = ""  # with split_answer: the answer without its thoughts and calls
    reasoning: str = ""
    tool_calls: List[ToolCall] = field(default_factory=list)
    reasoning_tokens: int = 0

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, pointer: Any) -> "Completion":
        block, r = Block(pointer, _c.lib.gllm_completion_free), pointer.contents
        n, k = r.n_tokens, r.n_top
        logprobs = block.array(r.logprobs, n) if r.logprobs else None
        top = [[(r.top[i * k + j].id, r.top[i * k + j].logprob) for j in range(k)] for i in range(n)] if r.top and k else None
        calls = [ToolCall(text(call.name), span(call.arguments)) for call in r.tool_calls[:r.n_tool_calls]]
        return cls(span(r.text), block.array(r.tokens, n), _c.FINISH[r.finish], r.prompt_tokens, r.cached_tokens, text(r.model), r.prefill_ms,
                   r.decode_ms, r.queue_ms, r.context_full, r.stop_index if r.stop_index >= 0 else None, logprobs, top,
                   span(r.content), span(r.reasoning), calls, r.reasoning_tokens)


@dataclass
class Chunk:
    """A piece of an answer: whole characters. `token` is None when none came with it."""

    text: str
    token: Optional[int] = None
    logprob: Optional[float] = None
    part: str = "text"  # with split_answer: "content", "reasoning", "call" (a tool's name) or "arguments"
    call: Optional[int] = None  # of "call" and "arguments": which call of the answer, from 0


@dataclass
class Tokens:
    ids: np.ndarray  # [n] int32
    pieces: List[str]
    types: np.ndarray  # [n] uint32, the segment: 0 or 1

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, pointer: Any) -> "Tokens":
        block, r = Block(pointer, _c.lib.gllm_tokens_free), pointer.contents
        return cls(block.array(r.ids, r.count), [span(piece) for piece in r.pieces[:r.count]], block.array(r.types, r.count))


@dataclass
class ModelStatus:
    name: str
    path: str
    task: str  # "embed", "rerank", "classify" or "generate"
    state: str  # "unloaded", "loading", "ready" or "failed"
    failure: str
    pinned: bool
    memory_bytes: int
    waiting: int
    running: int
    idle_seconds: float
    load_ms: float
    cache_tokens: int
    cache_used: int

    @classmethod
    def all(cls, pointer: Any) -> Dict[str, "ModelStatus"]:
        block, r = Block(pointer, _c.lib.gllm_client_status_free), pointer.contents
        result = {text(m.name): cls(text(m.name), text(m.path), text(m.task), _c.STATE[m.state], text(m.failure), m.pinned, m.memory_bytes, m.waiting, m.running,
                                    m.idle_seconds, m.load_ms, m.cache_tokens, m.cache_used) for m in r.models[:r.count]}
        del block
        return result


@dataclass
class ClientInfo:
    model: str
    path: str
    backend: str
    device: str
    isa: str
    precision: str
    threads: int
    dim: int
    max_tokens: int
    normalize: bool
    load_ms: float
    n_ctx: int
