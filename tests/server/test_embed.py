"""test_embed.py - embeddings over HTTP: every route's values are the command line's, and every refusal names its field."""
import base64
import json
import struct

from serving import Server, check, cli_vectors, close, end, equal

MODEL, PROMPTS, SPARSE, LATE = (f"tests/golden/{p}" for p in ("models/bert-mean", "models/bert-prompts", "outputs/splade-bert", "outputs/colbert-plain"))
TEXTS = ["the whale", "It was the best of times", "a rose \u00e9\U0001f433"]
LONG = "whale " * 300
s = Server(f"mean={MODEL}", f"org/prompts={PROMPTS}", f"sparse={SPARSE}", f"late={LATE}")
unit, plain = cli_vectors(MODEL, TEXTS, "--normalize", "on"), cli_vectors(MODEL, TEXTS, "--normalize", "off")

# OpenAI
r = s.post("/v1/embeddings", {"input": TEXTS, "model": "mean", "user": "someone", "unknown_field": [1]})
equal((r["object"], r["model"], [d["index"] for d in r["data"]]), ("list", "mean", [0, 1, 2]), "the body's frame")
equal([d["embedding"] for d in r["data"]], unit, "vectors in the texts' order")
equal(r["usage"]["prompt_tokens"], r["usage"]["total_tokens"], "usage")
alone = s.post("/v1/embeddings", {"input": TEXTS[1]})
equal(alone["data"][0]["embedding"], unit[1], "one text, and the first model by default")
coded = s.post("/v1/embeddings", {"input": TEXTS, "encoding_format": "base64"})
for d, v in zip(coded["data"], unit):
    bits = base64.b64decode(d["embedding"], validate=True)
    equal(list(struct.unpack(f"<{len(bits) // 4}f", bits)), [struct.unpack("f", struct.pack("f", x))[0] for x in v], "base64")
short = s.post("/v1/embeddings", {"input": TEXTS[0], "dimensions": 8})
equal(short["data"][0]["embedding"], cli_vectors(MODEL, TEXTS[:1], "--normalize", "on", "--dimensions", "8")[0], "dimensions")
off = s.post("/v1/embeddings", {"input": TEXTS[0], "normalize": False})
equal(off["data"][0]["embedding"], plain[0], "normalize")
prompted = s.post("/v1/embeddings", {"input": TEXTS[0], "model": "prompts", "prompt_name": "query"})
equal(prompted["data"][0]["embedding"], cli_vectors(PROMPTS, TEXTS[:1], "--normalize", "on", "--prompt-name", "query")[0], "a prompt by name, and a model by its last part")
by_type = s.post("/v1/embeddings", {"input": TEXTS[0], "model": "org/prompts", "input_type": "query"})
equal(by_type["data"][0]["embedding"], prompted["data"][0]["embedding"], "input_type")
ids = [t["id"] for t in s.post("/tokenize", {"inputs": TEXTS[0]})[0]]
for given in (ids, [ids, ids]):
    for d in s.post("/v1/embeddings", {"input": given})["data"]:
        equal(d["embedding"], unit[0], "token ids in place of a text")
cut = s.post("/v1/embeddings", {"input": [TEXTS[0], LONG], "truncate": "end"})
check("truncated" not in cut["data"][0] and cut["data"][1]["truncated"] and cut["data"][1]["full_tokens"] > cut["data"][1]["tokens"], "what is cut is told")
equal(s.headers["x-truncated"], "1", "the header tells it too")

REFUSED = [
    ({"input": LONG}, 400, "context_length_exceeded", "input"),
    ({"input": ""}, 400, "empty_input", "input"),
    ({"input": []}, 400, "empty_input", "input"),
    ({"input": ["a", ""]}, 400, "empty_input", "input"),
    ({}, 400, "missing_field", "input"),
    ({"input": 3}, 400, "invalid_type", "input"),
    ({"input": ["a", None]}, 400, "invalid_type", "input"),
    ({"input": [1, -2]}, 400, "invalid_value", "input"),
    ({"input": [[1], []]}, 400, "empty_input", "input"),
    ({"input": ["a"] * 2049}, 413, "too_many_items", "input"),
    ({"input": "a", "model": "gpt-5"}, 404, "model_not_found", "model"),
    ({"input": "a", "model": 5}, 400, "invalid_type", "model"),
    ({"input": "a", "encoding_format": "hex"}, 400, "invalid_value", "encoding_format"),
    ({"input": "a", "dimensions": 0}, 400, "invalid_value", "dimensions"),
    ({"input": "a", "dimensions": 1.5}, 400, "invalid_value", "dimensions"),
    ({"input": "a", "dimensions": 4096}, 400, "invalid_value", "dimensions"),
    ({"input": "a", "prompt_name": "nothing"}, 400, "invalid_value", "prompt_name"),
    ({"input": "a", "truncate": "middle"}, 400, "invalid_value", "truncate"),
]
for body, status, code, param in REFUSED:
    e = s.post("/v1/embeddings", body, status)["error"]
    equal((e["code"], e["param"]), (code, param), f"refusal of {str(body)[:60]}")
    check(isinstance(e["message"], str) and e["type"] in ("invalid_request_error", "not_found_error"), f"message and type: {e}")

# TEI
equal(s.post("/embed", {"inputs": TEXTS}), unit, "/embed")
equal(s.post("/embed", {"inputs": TEXTS[0], "normalize": False}), [plain[0]], "/embed without normalising")
equal(len(s.post("/embed", {"inputs": LONG})), 1, "/embed cuts")
for left in ("left", "Left"):
    equal(s.post("/embed", {"inputs": LONG + "end", "truncation_direction": left}), cli_vectors(MODEL, [LONG + "end"], "--normalize", "on", "--truncate", "start"), "cut at the left")
equal(s.post("/embed", {"inputs": LONG, "truncate": False}, 422)["error_type"], "Validation", "/embed truncate false")
equal(s.post("/embed", {"inputs": []}, 400)["error_type"], "Empty", "/embed of nothing")
equal(s.post("/embed", {"inputs": ""}), cli_vectors(MODEL, [""], "--normalize", "on"), "an empty text is a text")
golden = json.load(open(f"{SPARSE}/expected.json"))["cases"][0]
found = s.post("/embed_sparse", {"inputs": golden["text"], "model": "sparse"})[0]
equal([w["index"] for w in found], golden["sparse"]["ids"], "/embed_sparse: ids of the reference")
close([w["value"] for w in found], golden["sparse"]["weights"], "/embed_sparse: weights of the reference", 1e-4)
golden = json.load(open(f"{LATE}/expected.json"))["cases"][0]
found = s.post("/embed_all", {"inputs": golden["text"], "model": "late", "input_type": "document"})[0]
check(len(found) >= 2 and all(abs(sum(x * x for x in v) - 1) < 1e-5 for v in found), "/embed_all: unit vectors of tokens")
check("no token vectors" in s.post("/embed_all", {"inputs": "a"}, 422)["error"], "/embed_all of a model that has none")
a, b, c = unit
close(s.post("/similarity", {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}}), [sum(x * y for x, y in zip(a, v)) for v in (b, c)], "/similarity")
equal(s.post("/decode", {"ids": ids}), s.post("/decode", {"ids": [ids]}), "/decode of a list and of a list of lists")
check(s.post("/decode", {"ids": ids, "skip_special_tokens": False})[0] != s.post("/decode", {"ids": ids})[0], "/decode with special tokens")
tokens = s.post("/tokenize", {"inputs": [TEXTS[0]]})[0]
equal([t["special"] for t in tokens], [True] + [False] * (len(tokens) - 2) + [True], "/tokenize: which are special")
equal([t["id"] for t in s.post("/tokenize", {"inputs": TEXTS[0], "add_special_tokens": False})[0]], ids[1:-1], "/tokenize without special tokens")
info = json.loads(s.get("/info").body)
equal((info["model_id"], info["model_type"]), ("mean", {"embedding": {"pooling": "mean"}}), "/info")

# Cohere
r = s.post("/v2/embed", {"model": "mean", "texts": TEXTS, "input_type": "search_document", "embedding_types": ["float", "ubinary", "binary"]})
equal(r["embeddings"]["float"], unit, "/v2/embed")
bits = [sum((x > 0) << (7 - i % 8) for i, x in enumerate(v[k : k + 8])) for v in unit[:1] for k in range(0, len(v), 8)]
equal((r["embeddings"]["ubinary"][0], r["embeddings"]["binary"][0]), (bits, [x - 128 for x in bits]), "bits")
equal(s.post("/v1/embed", {"model": "mean", "texts": TEXTS})["embeddings"], unit, "/v1/embed")
check("int8" in s.post("/v2/embed", {"texts": TEXTS, "embedding_types": ["int8"]}, 400)["message"], "a type that is not there")
short = s.post("/v2/embed", {"texts": TEXTS[:1], "output_dimension": 8})["embeddings"]["float"][0]
equal(short, cli_vectors(MODEL, TEXTS[:1], "--normalize", "on", "--dimensions", "8")[0], "output_dimension")

# Ollama
r = s.post("/api/embed", {"model": "mean:latest", "input": TEXTS})
equal(r["embeddings"], unit, "/api/embed")
check(r["prompt_eval_count"] > 0 and r["total_duration"] > 0, "/api/embed counts")
equal(s.post("/api/embeddings", {"model": "mean", "prompt": TEXTS[0]})["embedding"], cli_vectors(MODEL, TEXTS[:1])[0], "/api/embeddings")
check("no model" in s.post("/api/embed", {"model": "x", "input": "a"}, 404)["error"], "Ollama's shape of an error")

# Models, metrics
models = json.loads(s.get("/v1/models").body)
equal([m["id"] for m in models["data"]], ["mean", "org/prompts", "sparse", "late"], "/v1/models")
one = json.loads(s.get("/v1/models/org/prompts").body)
equal((one["id"], one["object"], one["gllm"]["task"], one["gllm"]["state"]), ("org/prompts", "model", "embed", "ready"), "/v1/models/{id}")
equal(json.loads(s.get("/v1/models/none").body)["error"]["code"], "model_not_found", "/v1/models/{id} of none")
page = s.get("/metrics").body.decode()
values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if not line.startswith("#")}
check(values["gllm_truncated_total"] >= 3 and values["te_request_count"] > 30 and values['gllm_tokens_total{kind="prompt"}'] > 100, "/metrics counts")
equal(values['te_request_duration_bucket{le="+Inf"}'], values["te_request_duration_count"], "a histogram's last bucket is its count")
equal(s.stop(), 0, "the exit status after SIGTERM")
check(not any(t in line for line in s.log for t in TEXTS), "the log holds no contents")
end()
