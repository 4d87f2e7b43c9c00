"""test_ollama.py - Ollama's routes: chat, generate, and what tells of models; lines of JSON, values equal to transformers' and the command line's."""
import json

import serving
from serving import Server, check, cli, equal

MODEL = "tests/golden/chat-model"
golden = json.load(open(f"{MODEL}/expected.json"))["cases"]
s = Server(f"chat={MODEL}", "embedder=tests/golden/models/bert-mean")


def lines(path, body):
    answer = s.request("POST", path, body)
    equal((answer.status, answer.headers["content-type"]), (200, "application/x-ndjson"), f"a stream of {path}")
    return [json.loads(line) for line in answer.body.decode().splitlines()]


OPTIONS = {"num_predict": 24}
a = s.post("/api/chat", {"model": "chat", "messages": golden[1]["messages"], "stream": False, "options": OPTIONS})
equal((a["message"]["content"], a["done"], a["done_reason"], a["prompt_eval_count"], a["eval_count"]), (golden[1]["answer"], True, "length", len(golden[1]["tokens"]), 24), "/api/chat: the answer of transformers")
check(a["eval_duration"] > 0 and a["total_duration"] >= a["eval_duration"] and a["created_at"].endswith("Z"), "durations in nanoseconds")
found = lines("/api/chat", {"model": "chat", "messages": golden[1]["messages"], "options": OPTIONS})
equal("".join(x["message"]["content"] for x in found), golden[1]["answer"], "streamed, as it is unless told otherwise")
equal(([x["done"] for x in found[:-1]].count(True), found[-1]["done"], found[-1]["eval_count"]), (0, True, 24), "the last line ends it")
g = s.post("/api/generate", {"model": "chat", "prompt": golden[1]["messages"][1]["content"], "system": "be brief", "stream": False, "options": OPTIONS})
equal(g["response"], golden[1]["answer"], "/api/generate with the model's template")
raw = json.loads(cli("run", MODEL, "hello", "--raw", "--temperature", "1", "--seed", "3", "--max-tokens", "8", "--json"))["choices"][0]["text"]
BODY = {"model": "chat", "prompt": "hello", "raw": True, "options": {"temperature": 1, "seed": 3, "num_predict": 8}}
equal("".join(x["response"] for x in lines("/api/generate", BODY)), raw, "a raw prompt: the command line's text")
equal(s.post("/api/generate", {**BODY, "stream": False, "options": {**BODY["options"], "stop": [raw[3:5]], "num_ctx": 4096, "num_gpu": 1}})["response"], raw[: raw.index(raw[3:5])], "stop, and options that are hints")
formed = s.post("/api/chat", {"model": "chat", "messages": golden[0]["messages"], "stream": False, "format": {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}})
check(json.loads(formed["message"]["content"])["n"] in (1, 2), "format is a schema")
equal((s.post("/api/generate", {"model": "chat", "stream": False})["done_reason"], s.post("/api/chat", {"model": "chat", "messages": [], "keep_alive": 0})["done_reason"]), ("load", "unload"), "requests without a prompt")

tags = json.loads(s.get("/api/tags").body)["models"]
equal([(m["name"], m["details"]["family"], m["details"]["format"]) for m in tags], [("chat", "llama", "safetensors"), ("embedder", "bert", "safetensors")], "/api/tags")
equal(json.loads(s.get("/api/version").body)["version"], "0.1.0", "/api/version")
show = s.post("/api/show", {"model": "chat"})
equal((show["model_info"]["llama.block_count"], show["model_info"]["llama.embedding_length"], show["capabilities"]), (2, 16, ["completion"]), "/api/show")
check("embedder" in [m["name"] for m in json.loads(s.get("/api/ps").body)["models"]], "/api/ps")

for path, body, status, word in (("/api/chat", {"model": "none"}, 404, "none"), ("/api/generate", {"model": "embedder", "prompt": "x"}, 400, "embedder"), ("/api/generate", {"model": "chat", "prompt": "x", "images": ["x"]}, 400, "images"),
                                 ("/api/chat", {"model": "chat", "messages": [{"role": "user", "content": 3}]}, 400, "content"), ("/api/generate", {"model": "chat", "prompt": "x", "options": {"mirostat": 2}}, 400, "mirostat"),
                                 ("/api/show", {"model": "none"}, 404, "none")):
    error = s.post(path, body, status)["error"]
    check(isinstance(error, str) and word in error, f"an error in Ollama's shape names {word}: {error}")
serving.end()
