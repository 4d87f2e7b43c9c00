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

    name: Optional[str]
    home: Optional[str]
    backend: Optional[str]
    threads: Optional[int]
    max_batch_tokens: Optional[int]
    max_queue: Optional[int]
    precision: Optional[Literal["auto", "f32", "bf16", "int8"]]
    exact: Optional[bool]
    n_ctx: Optional[int]
    kv_cache: Optional[Literal["auto", "f16", "f32", "q8_0"]]
    load: Optional[Literal["now", "lazy"]]
    pinned: Optional[bool]
    idle_seconds: Optional[int]
    workers: Optional[int]
    cache_tokens: Optional[int]
    memory_budget: Optional[int]
    adapter: Optional[str]
    fetch: Optional[Literal["auto", "never"]]


class EmbedOptions(TypedDict, total=False):
    """As gllm_embed_request says; `outputs` is one of "dense", "sparse", "tokens", or several."""

    model: Optional[str]
    input_type: Optional[Literal["plain", "query", "document"]]
    prompt_name: Optional[str]
    prompt: Optional[str]
    dimensions: Optional[int]
    normalize: Optional[Literal["model", "on", "off"]]
    pooling: Optional[Literal["model", "cls", "mean", "max", "last", "mean_sqrt_len", "weighted_mean"]]
    truncate: Optional[Truncate]
    outputs: Optional[Union[str, Sequence[str]]]


class RerankOptions(TypedDict, total=False):
    """As gllm_rerank_request says."""

    model: Optional[str]
    top_n: Optional[int]
    scores: Optional[Scores]
    truncate: Optional[Truncate]
    instruction: Optional[str]
    as_judge: Optional[bool]


class ClassifyOptions(TypedDict, total=False):
    """As gllm_classify_request says; `pairs` is the second text of each."""

    model: Optional[str]
    pairs: Optional[Sequence[str]]
    scores: Optional[Scores]
    truncate: Optional[Truncate]


class GenerateOptions(TypedDict, total=False):
    """As gllm_generate_request says. What is JSON there is also taken as Python values."""

    model: Optional[str]
    parse_special: Optional[bool]
    ignore_eos: Optional[bool]
    max_tokens: Optional[int]
    temperature: Optional[float]
    top_p: Optional[float]
    min_p: Optional[float]
    typical_p: Optional[float]
    top_k: Optional[int]
    repetition_penalty: Optional[float]
    presence_penalty: Optional[float]
    frequency_penalty: Optional[float]
    penalty_last_n: Optional[int]
    logit_bias: Optional[Mapping[int, float]]
    seed: Optional[int]
    logprobs: Optional[bool]
    n_top: Optional[int]
    stop: Optional[Union[str, Sequence[str]]]
    tools: Optional[Union[str, Sequence[Any]]]
    template_args: Optional[Union[str, Mapping[str, Any]]]
    chat_template: Optional[str]
    continue_final: Optional[bool]
    template_time: Optional[int]
    grammar: Optional[str]
    json_schema: Optional[Union[str, Mapping[str, Any]]]
    json: Optional[bool]
    split_answer: Optional[bool]
    hold_calls: Optional[bool]
    single_call: Optional[bool]
    tool_choice: Optional[str]


CHOICES: Dict[str, Dict[str, int]] = {
    "precision": _c.PRECISION, "kv_cache": _c.KV_CACHE, "load": _c.LOAD, "fetch": _c.FETCH, "input_type": _c.INPUT_TYPE, "truncate": _c.TRUNCATE, "normalize": _c.NORMALIZE,
    "pooling": _c.POOLING, "scores": _c.SCORES}


def _address(data: bytes, keep: List[Any]) -> int:
    keep.append(data)
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


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
