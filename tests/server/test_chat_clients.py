"""test_chat_clients.py - the official Python clients of OpenAI and Ollama, unmodified, against a tiny model and, where it is there, the real SmolLM2."""
import json
import os

import serving
from serving import Server, check, cli, equal, skip

try:
    import ollama
    import openai
except ImportError as e:
    skip(f"{e.name} is not installed; pip install -r tools/requirements.txt")

MODEL, SMOL = "tests/golden/chat-model", "HuggingFaceTB--SmolLM2-135M-Instruct-GGUF"
golden = json.load(open(f"{MODEL}/expected.json"))["cases"]
path = os.path.join(os.environ.get("GLLM_HOME", os.path.expanduser("~/.gllm")), "models", SMOL)
real = os.path.exists(path)
s = Server(f"chat={MODEL}", *([f"smol={path}"] if real else []))
client = openai.OpenAI(base_url=f"http://127.0.0.1:{s.port}/v1", api_key="none", max_retries=0)
ours = ollama.Client(host=f"http://127.0.0.1:{s.port}")
asked = golden[0]["messages"]

a = client.chat.completions.create(model="chat", messages=asked, max_tokens=24, logprobs=True, top_logprobs=1)
equal((a.choices[0].message.content, a.choices[0].finish_reason, a.usage.completion_tokens, len(a.choices[0].logprobs.content)), (golden[0]["answer"], "length", 24, 24), "openai: chat")
stream = list(client.chat.completions.create(model="chat", messages=asked, max_tokens=24, stream=True, stream_options={"include_usage": True}))
equal("".join(c.choices[0].delta.content or "" for c in stream if c.choices), golden[0]["answer"], "openai: streamed chat")
equal(stream[-1].usage.completion_tokens, 24, "openai: usage of a stream")
equal("".join(c.choices[0].text for c in client.completions.create(model="chat", prompt="hello", max_tokens=8, stream=True)), client.completions.create(model="chat", prompt="hello", max_tokens=8).choices[0].text, "openai: completions")
r = client.responses.create(model="chat", input="hello", max_output_tokens=24)
equal((r.output_text, r.status), (golden[0]["answer"], "incomplete"), "openai: responses")
with client.responses.stream(model="chat", input="hello", max_output_tokens=24) as events:
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
equal(text, golden[0]["answer"], "openai: streamed responses")
try:
    client.chat.completions.create(model="chat", messages=asked, n=100)
    check(False, "openai: an error is raised")
except openai.BadRequestError as e:
    equal((e.param, e.code), ("n", "invalid_value"), "openai: an error has param and code")
try:
    client.chat.completions.create(model="none", messages=asked)
    check(False, "openai: a model that is not there")
except openai.NotFoundError as e:
    equal(e.code, "model_not_found", "openai: a model that is not there")

b = ours.chat(model="chat", messages=asked, options={"num_predict": 24})
equal((b.message.content, b.eval_count, b.done_reason), (golden[0]["answer"], 24, "length"), "ollama: chat")
equal("".join(x.message.content for x in ours.chat(model="chat", messages=asked, options={"num_predict": 24}, stream=True)), golden[0]["answer"], "ollama: streamed chat")
equal(ours.generate(model="chat", prompt="hello", options={"num_predict": 24}).response, golden[0]["answer"], "ollama: generate")
check("chat" in [m.model for m in ours.list().models] and ours.show("chat").modelinfo["llama.block_count"] == 2 and ours.ps().models, "ollama: list, show, ps")

if real:
    question = "Name three rivers."
    line = json.loads(cli("run", path, question, "--temperature", "0.7", "--seed", "11", "--max-tokens", "32", "--json"))["choices"][0]
    a = client.chat.completions.create(model="smol", messages=[{"role": "user", "content": question}], temperature=0.7, seed=11, max_tokens=32)
    equal((a.choices[0].message.content, a.choices[0].finish_reason), (line["message"]["content"], line["finish_reason"]), "SmolLM2: the command line's answer for a seed")
    c = ours.chat(model="smol", messages=[{"role": "user", "content": question}], options={"temperature": 0.7, "seed": 11, "num_predict": 32})
    equal(c.message.content, line["message"]["content"], "SmolLM2 by Ollama's client: the same")
else:
    print(f"skipped: {SMOL} is not in the model folder; `make models` fetches it")
serving.end()
