"""The C interface of gllm.h as ctypes sees it: structs, enumerations and functions, nothing else. tests/python/test_layout.py holds it to the header.

Fields that are pointers to bytes are c_void_p, so that an address can be stored; what they point to is kept alive by who fills the struct."""
from __future__ import annotations

import ctypes as c
import ctypes.util
import glob
import os
from typing import Any, Dict, List, Tuple

P, SIZE, INT, U32, U64, I32, I64 = c.c_void_p, c.c_size_t, c.c_int, c.c_uint32, c.c_uint64, c.c_int32, c.c_int64
BOOL, F32, F64, TEXT = c.c_bool, c.c_float, c.c_double, c.c_char_p
floats, uint32s, int32s, bools = c.POINTER(F32), c.POINTER(U32), c.POINTER(I32), c.POINTER(BOOL)

STATUS = {"OK": 0, "INVALID": -1, "NOMEM": -2, "IO": -3, "FORMAT": -4, "UNSUPPORTED": -5, "DEVICE": -6, "TOO_LONG": -7, "CANCELED": -8, "TIMEOUT": -9,
          "BUSY": -10, "CLOSED": -11, "NOT_FOUND": -12, "DOWNLOAD": -13}
LOG = ["error", "warn", "info", "debug"]
PRECISION = {"auto": 0, "f32": 1, "bf16": 2, "int8": 3}
KV_CACHE = {"auto": 0, "f16": 1, "f32": 2, "q8_0": 3}
LOAD = {"now": 0, "lazy": 1}
FETCH = {"auto": 0, "never": 1}
STATE = ["unloaded", "loading", "ready", "failed"]
INPUT_TYPE = {"plain": 0, "query": 1, "document": 2}
TRUNCATE = {"end": 0, "start": 1, "none": 2}
NORMALIZE = {"model": 0, "on": 1, "off": 2}
POOLING = {"model": 0, "cls": 1, "mean": 2, "max": 3, "last": 4, "mean_sqrt_len": 5, "weighted_mean": 6}
OUTPUT = {"dense": 1, "sparse": 2, "tokens": 4}
SCORES = {"probability": 0, "raw": 1, "model": 2}
FINISH = ["stop", "length", "canceled", "tool_calls"]
PART = ["text", "content", "reasoning", "call", "arguments"]


def struct(name: str, *fields: Tuple[str, Any]) -> Any:
    return type(name, (c.Structure,), {"_fields_": list(fields), "__slots__": ()})


Error = struct("gllm_error", ("status", INT), ("message", c.c_char * 508))
Str = struct("gllm_str", ("ptr", P), ("len", SIZE))
strs = c.POINTER(Str)

log_fn = c.CFUNCTYPE(None, P, INT, TEXT)
pull_fn = c.CFUNCTYPE(BOOL, P, P)
progress_fn = c.CFUNCTYPE(BOOL, P, SIZE, SIZE)
done_fn = c.CFUNCTYPE(None, P, P)

Options = struct(
    "gllm_options", ("struct_size", SIZE), ("model", TEXT), ("home", TEXT), ("backend", TEXT), ("threads", U32), ("max_batch_tokens", U32), ("max_queue", U32),
    ("precision", INT), ("exact", BOOL), ("log", log_fn), ("log_user", P), ("n_ctx", U32), ("kv_cache", INT), ("name", TEXT), ("load", INT), ("pinned", BOOL),
    ("idle_seconds", U32), ("workers", U32), ("cache_tokens", U32), ("memory_budget", U64), ("adapter", TEXT),
    ("fetch", INT), ("fetch_progress", pull_fn), ("fetch_user", P))
ModelStatus = struct(
    "gllm_model_status", ("name", TEXT), ("path", TEXT), ("task", TEXT), ("state", INT), ("failure", TEXT), ("pinned", BOOL), ("memory_bytes", U64),
    ("waiting", U32), ("running", U32), ("idle_seconds", F64), ("load_ms", F64), ("batches", U64), ("batch_tokens", U64), ("batch_sequences", U64),
    ("cache_tokens", U64), ("cache_used", U64))
ClientStatus = struct("gllm_client_status", ("count", SIZE), ("models", c.POINTER(ModelStatus)), ("memory_bytes", U64), ("memory_budget", U64))
ClientInfo = struct(
    "gllm_client_info", ("struct_size", SIZE), ("model", TEXT), ("path", TEXT), ("backend", TEXT), ("device", TEXT), ("isa", TEXT), ("precision", TEXT),
    ("threads", U32), ("dim", U32), ("max_tokens", U32), ("normalize", BOOL), ("load_ms", F64), ("n_ctx", U32))

Usage = struct("gllm_usage", ("prompt_tokens", U64))
EmbedRequest = struct(
    "gllm_embed_request", ("struct_size", SIZE), ("inputs", strs), ("n_inputs", SIZE), ("input_type", INT), ("prompt_name", TEXT), ("prompt", Str),
    ("dimensions", U32), ("normalize", INT), ("pooling", INT), ("truncate", INT), ("progress", progress_fn), ("progress_user", P), ("outputs", U32),
    ("model", TEXT))
Sparse = struct("gllm_sparse", ("count", SIZE), ("ids", int32s), ("weights", floats))
TokenVectors = struct("gllm_token_vectors", ("count", SIZE), ("data", floats))
Embeddings = struct(
    "gllm_embeddings", ("count", SIZE), ("dim", SIZE), ("data", floats), ("tokens", uint32s), ("full_tokens", uint32s), ("truncated", bools),
    ("n_truncated", SIZE), ("usage", Usage), ("model", TEXT), ("compute_ms", F64), ("outputs", U32), ("sparse", c.POINTER(Sparse)), ("token_dim", SIZE),
    ("token_vectors", c.POINTER(TokenVectors)), ("queue_ms", F64))

RerankRequest = struct(
    "gllm_rerank_request", ("struct_size", SIZE), ("query", Str), ("documents", strs), ("n_documents", SIZE), ("top_n", U32), ("scores", INT),
    ("truncate", INT), ("progress", progress_fn), ("progress_user", P), ("instruction", Str), ("as_judge", BOOL), ("model", TEXT))
Ranking = struct("gllm_ranking", ("index", SIZE), ("score", F32), ("tokens", U32), ("full_tokens", U32), ("truncated", BOOL), ("query_truncated", BOOL))
Rankings = struct(
    "gllm_rankings", ("count", SIZE), ("items", c.POINTER(Ranking)), ("n_truncated", SIZE), ("usage", Usage), ("model", TEXT), ("compute_ms", F64),
    ("untrained", BOOL), ("queue_ms", F64))

ClassifyRequest = struct(
    "gllm_classify_request", ("struct_size", SIZE), ("inputs", strs), ("pairs", strs), ("n_inputs", SIZE), ("scores", INT), ("truncate", INT),
    ("progress", progress_fn), ("progress_user", P), ("model", TEXT))
Classes = struct(
    "gllm_classes", ("count", SIZE), ("n_labels", SIZE), ("labels", c.POINTER(TEXT)), ("scores", floats), ("tokens", uint32s), ("full_tokens", uint32s),
    ("n_truncated", SIZE), ("usage", Usage), ("model", TEXT), ("compute_ms", F64), ("queue_ms", F64))

TokenLogprob = struct("gllm_token_logprob", ("id", I32), ("logprob", F32))
LogitBias = struct("gllm_logit_bias", ("id", I32), ("bias", F32))
Chunk = struct("gllm_chunk", ("struct_size", SIZE), ("text", Str), ("token", I32), ("logprob", F32), ("part", INT), ("call", U32), ("n_top", SIZE),
               ("top", c.POINTER(TokenLogprob)))
chunk_fn = c.CFUNCTYPE(BOOL, P, c.POINTER(Chunk))
Message = struct("gllm_message", ("role", TEXT), ("content", Str), ("extra", TEXT))
GenerateRequest = struct(
    "gllm_generate_request", ("struct_size", SIZE), ("prompt", Str), ("parse_special", BOOL), ("ignore_eos", BOOL), ("max_tokens", U32), ("temperature", F32),
    ("top_p", F32), ("min_p", F32), ("typical_p", F32), ("top_k", U32), ("repetition_penalty", F32), ("presence_penalty", F32), ("frequency_penalty", F32),
    ("penalty_last_n", U32), ("logit_bias", c.POINTER(LogitBias)), ("n_logit_bias", SIZE), ("seed", U64), ("logprobs", BOOL), ("n_top", U32), ("stop", strs),
    ("n_stop", SIZE), ("on_chunk", chunk_fn), ("user", P), ("messages", c.POINTER(Message)), ("n_messages", SIZE), ("tools", TEXT), ("template_args", TEXT),
    ("chat_template", TEXT), ("continue_final", BOOL), ("template_time", I64), ("grammar", TEXT), ("json_schema", TEXT), ("json", BOOL), ("model", TEXT), ("split_answer", BOOL),
    ("hold_calls", BOOL), ("single_call", BOOL), ("tool_choice", TEXT), ("prompt_ids", int32s), ("n_prompt_ids", SIZE))
ToolCall = struct("gllm_tool_call", ("name", TEXT), ("arguments", Str))
Completion = struct(
    "gllm_completion", ("text", Str), ("n_tokens", SIZE), ("tokens", int32s), ("logprobs", floats), ("n_top", SIZE), ("top", c.POINTER(TokenLogprob)),
    ("finish", INT), ("context_full", BOOL), ("stop_index", INT), ("prompt_tokens", U32), ("cached_tokens", U32), ("prefill_ms", F64), ("decode_ms", F64),
    ("model", TEXT), ("queue_ms", F64), ("content", Str), ("reasoning", Str), ("n_tool_calls", SIZE), ("tool_calls", c.POINTER(ToolCall)),
    ("reasoning_tokens", U32))
Submit = struct("gllm_submit", ("struct_size", SIZE), ("on_done", done_fn), ("user", P), ("notify", BOOL), ("caller", U64), ("timeout_ms", I64))
TokenizeRequest = struct(
    "gllm_tokenize_request", ("struct_size", SIZE), ("text", Str), ("pair", Str), ("no_special", BOOL), ("parse_special", BOOL), ("model", TEXT))
Tokens = struct("gllm_tokens", ("count", SIZE), ("ids", int32s), ("pieces", strs), ("types", uint32s))

STRUCTS = {kind.__name__: kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, c.Structure) and kind is not c.Structure}
# Of these gllm fills arrays, or the caller does: their size is fixed. The others may be longer in a newer library.
FIXED = {"gllm_error", "gllm_str", "gllm_sparse", "gllm_token_vectors", "gllm_ranking", "gllm_token_logprob", "gllm_logit_bias", "gllm_message", "gllm_tool_call",
         "gllm_usage", "gllm_model_status"}

_ERR = c.POINTER(Error)
FUNCTIONS: Dict[str, Tuple[Any, List[Any]]] = {
    "version_string": (TEXT, []),
    "client_open": (INT, [c.POINTER(P), c.POINTER(Options), _ERR]),
    "client_close": (None, [P]),
    "client_add_model": (INT, [P, c.POINTER(Options), _ERR]),
    "client_remove_model": (INT, [P, TEXT, _ERR]),
    "client_load": (INT, [P, TEXT, _ERR]),
    "client_unload": (INT, [P, TEXT, _ERR]),
    "client_get_status": (INT, [P, c.POINTER(c.POINTER(ClientStatus)), _ERR]),
    "client_status_free": (None, [P]),
    "client_describe": (INT, [P, TEXT, c.POINTER(ClientInfo), _ERR]),
    "client_fd": (INT, [P, c.POINTER(INT), _ERR]),
    "client_next_done": (P, [P]),
    "job_wait": (INT, [P, I64]),
    "job_cancel": (None, [P]),
    "job_user": (P, [P]),
    "job_free": (None, [P]),
    "tokenize": (INT, [P, c.POINTER(TokenizeRequest), c.POINTER(c.POINTER(Tokens)), _ERR]),
    "tokens_free": (None, [P]),
    "detokenize": (INT, [P, TEXT, int32s, SIZE, BOOL, c.POINTER(P), _ERR]),
    "text_free": (None, [P]),
}
for _kind in (Options, EmbedRequest, RerankRequest, ClassifyRequest, GenerateRequest, TokenizeRequest, Submit):
    FUNCTIONS[_kind.__name__[5:] + "_init_sized"] = (None, [c.POINTER(_kind), SIZE])
# Each of the four functions: the call, the job, what the job gave, and how that is freed.
for _verb, _request, _answer, _many in (("embed", EmbedRequest, Embeddings, "embeddings"), ("rerank", RerankRequest, Rankings, "rankings"),
                                        ("classify", ClassifyRequest, Classes, "classes"), ("generate", GenerateRequest, Completion, "completion")):
    FUNCTIONS[_verb] = (INT, [P, c.POINTER(_request), c.POINTER(c.POINTER(_answer)), _ERR])
    FUNCTIONS[_verb + "_async"] = (INT, [P, c.POINTER(_request), c.POINTER(Submit), c.POINTER(P), _ERR])
    FUNCTIONS["job_take_" + _many] = (INT, [P, c.POINTER(c.POINTER(_answer)), _ERR])
    FUNCTIONS[_many + "_free"] = (None, [P])


def _path() -> str:
    """$GLLM_LIBRARY, else the library that came with the package, else the system's."""
    named = os.environ.get("GLLM_LIBRARY")
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libgllm.so")
    found = named or (beside if os.path.exists(beside) else ctypes.util.find_library("gllm"))
    if not found:
        raise ImportError("no libgllm.so: neither $GLLM_LIBRARY, nor beside this package, nor on the system")
    return found


def _load(path: str) -> c.CDLL:
    """What lies beside the library in a package are the libraries that it needs: once they are loaded, the loader looks for no others of their names."""
    if os.path.dirname(path) == os.path.dirname(os.path.abspath(__file__)):
        for needed in sorted(glob.glob(os.path.join(os.path.dirname(path), "lib*.so.*"))):
            c.CDLL(needed)
    return c.CDLL(path)


lib = _load(_path())
for _name, (_result, _arguments) in FUNCTIONS.items():
    _function = getattr(lib, "gllm_" + _name)
    _function.restype, _function.argtypes = _result, _arguments


def new(kind: Any) -> Any:
    """A struct that a caller fills, with its defaults."""
    value = kind()
    getattr(lib, kind.__name__ + "_init_sized")(value, c.sizeof(kind))
    return value
