"""Requests in C's form, filled from Python values. `keep` holds what they point to; it must live until the call has returned or the job has started."""
from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Sequence, TypedDict, Union

from . import _c

if TYPE_CHECKING:
    from typing import Callable, Literal

    Truncate = Literal["end", "start", "none"]
    Scores = Literal["probability", "raw", "model"]
    Message = Mapping[str, Any]


class ModelOptions(TypedDict, total=False):
    """As gllm_options of gllm.h says."""

    name: str
    home: str
    backend: str
    threads: int
    max_batch_tokens: int
    max_queue: int
    precision: Literal["auto", "f32", "bf16", "int8"]
    exact: bool
    n_ctx: int
    kv_cache: Literal["auto", "f16", "f32", "q8_0"]
    load: Literal["now", "lazy"]
    pinned: bool
    idle_seconds: int
    workers: int
    cache_tokens: int
    memory_budget: int
    adapter: str
    fetch: Literal["auto", "never"]


class EmbedOptions(TypedDict, total=False):
    """As gllm_embed_request says; `outputs` is one of "dense", "sparse", "tokens", or several."""

    model: str
    input_type: Literal["plain", "query", "document"]
    prompt_name: str
    prompt: str
    dimensions: int
    normalize: Literal["model", "on", "off"]
    pooling: Literal["model", "cls", "mean", "max", "last", "mean_sqrt_len", "weighted_mean"]
    truncate: Truncate
    outputs: Union[str, Sequence[str]]


class RerankOptions(TypedDict, total=False):
    """As gllm_rerank_request says."""

    model: str
    top_n: int
    scores: Scores
    truncate: Truncate
    instruction: str
    as_judge: bool


class ClassifyOptions(TypedDict, total=False):
    """As gllm_classify_request says; `pairs` is the second text of each."""

    model: str
    pairs: Sequence[str]
    scores: Scores
    truncate: Truncate


class GenerateOptions(TypedDict, total=False):
    """As gllm_generate_request says. What is JSON there is also taken as Python values."""

    model: str
    parse_special: bool
    ignore_eos: bool
    max_tokens: int
    temperature: float
    top_p: float
    min_p: float
    typical_p: float
    top_k: int
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    penalty_last_n: int
    logit_bias: Mapping[int, float]
    seed: int
    logprobs: bool
    n_top: int
    stop: Union[str, Sequence[str]]
    tools: Union[str, Sequence[Any]]
    template_args: Union[str, Mapping[str, Any]]
    chat_template: str
    continue_final: bool
    template_time: int
    grammar: str
    json_schema: Union[str, Mapping[str, Any]]
    json: bool
    split_answer: bool
    hold_calls: bool
    single_call: bool
    tool_choice: str


CHOICES: Dict[str, Dict[str, int]] = {
    "precision": _c.PRECISION, "kv_cache": _c.KV_CACHE, "load": _c.LOAD, "fetch": _c.FETCH, "input_type": _c.INPUT_TYPE, "truncate": _c.TRUNCATE, "normalize": _c.NORMALIZE,
    "pooling": _c.POOLING, "scores": _c.SCORES}


def _address(data: bytes, keep: List[Any]) -> int:
    keep.append(data)
    return ctypes.cast(data, ctypes.c_void_p).value or 0


def one(text: str, keep: List[Any]) -> _c.Str:
    data = text.encode()
    return _c.Str(_address(data, keep), len(data))


def many(texts: Sequence[str], keep: List[Any]) -> Any:
    """An array of texts over one copy of their bytes."""
    encoded = [text.encode() for text in texts]
    at = _address(b"".join(encoded), keep)
    array = (_c.Str * len(encoded))()
    for item, data in zip(array, encoded):
        item.ptr, item.len = at, len(data)
        at += len(data)
    keep.append(array)
    return array


def choice(name: str, value: Any) -> int:
    choices = CHOICES[name]
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
    return choices[value]


def _outputs(value: Union[str, Sequence[str]]) -> int:
    names = [value] if isinstance(value, str) else value
    unknown = [name for name in names if name not in _c.OUTPUT]
    if unknown:
        raise ValueError(f"outputs has {unknown[0]!r}; expected {', '.join(_c.OUTPUT)}")
    return sum(_c.OUTPUT[name] for name in set(names))


def _in_c(name: str, kind: Any, value: Any, keep: List[Any]) -> Any:
    if name in CHOICES:
        return choice(name, value)
    if name == "outputs":
        return _outputs(value)
    if kind is _c.Str:
        return one(value, keep)
    if kind is _c.TEXT:
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    return value


def fill(request: Any, keep: List[Any], options: Mapping[str, Any]) -> Any:
    """Sets the fields that options name; None leaves the default."""
    kinds = dict(request._fields_)
    for name, value in options.items():
        if name not in kinds or name == "struct_size":
            raise TypeError(f"unexpected option {name!r}; there are {', '.join(key for key in kinds if key != 'struct_size')}")
        if value is not None:
            setattr(request, name, _in_c(name, kinds[name], value, keep))
    keep.append(request)
    return request


def model_options(model: str, log: Optional[Any], options: Mapping[str, Any], keep: List[Any]) -> Any:
    request = fill(_c.new(_c.Options), keep, {"model": model, **options})
    if log is not None:
        request.log = log
    return request


def embed(texts: Sequence[str], options: Mapping[str, Any], keep: List[Any]) -> Any:
    request = fill(_c.new(_c.EmbedRequest), keep, options)
    request.inputs, request.n_inputs = many(texts, keep), len(texts)
    return request


def rerank(query: str, documents: Sequence[str], options: Mapping[str, Any], keep: List[Any]) -> Any:
    request = fill(_c.new(_c.RerankRequest), keep, options)
    request.query = one(query, keep)
    request.documents, request.n_documents = many(documents, keep), len(documents)
    return request


def classify(texts: Sequence[str], options: Mapping[str, Any], keep: List[Any]) -> Any:
    rest = dict(options)
    pairs = rest.pop("pairs", None)
    request = fill(_c.new(_c.ClassifyRequest), keep, rest)
    request.inputs, request.n_inputs = many(texts, keep), len(texts)
    if pairs is not None:
        if len(pairs) != len(texts):
            raise ValueError(f"{len(pairs)} pairs for {len(texts)} texts")
        request.pairs = many(pairs, keep)
    return request


def _messages(messages: Iterable[Message], keep: List[Any]) -> Any:
    items = list(messages)
    array = (_c.Message * len(items))()
    for place, message in zip(array, items):
        extra = {key: value for key, value in message.items() if key not in ("role", "content")}
        content = message.get("content")
        place.role = str(message["role"]).encode()
        if isinstance(content, str):
            place.content = one(content, keep)
        elif content is not None:
            extra["content"] = content
        if extra:
            place.extra = json.dumps(extra).encode()
    keep.append(array)
    return array


def generate(prompt: Union[str, Sequence[Message]], options: Mapping[str, Any], keep: List[Any]) -> Any:
    """A text is continued as it stands; a list of messages is a conversation."""
    rest = dict(options)
    stop, bias = rest.pop("stop", None), rest.pop("logit_bias", None)
    request = fill(_c.new(_c.GenerateRequest), keep, rest)
    if isinstance(prompt, str):
        request.prompt = one(prompt, keep)
    else:
        array = _messages(prompt, keep)
        request.messages, request.n_messages = array, len(array)
    if stop:
        stops = [stop] if isinstance(stop, str) else stop
        request.stop, request.n_stop = many(stops, keep), len(stops)
    if bias:
        pairs = (_c.LogitBias * len(bias))(*bias.items())
        keep.append(pairs)
        request.logit_bias, request.n_logit_bias = pairs, len(bias)
    return request
