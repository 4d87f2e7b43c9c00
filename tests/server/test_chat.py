"""test_chat.py - /v1/chat/completions and /v1/completions: values equal to the command line's, whole and streamed; what cannot be honoured is refused by its field.

tests/golden/chat-model answers what transformers answers, a byte a token; a copy of it with a template that shows tools is made to call them."""
import json
import os
import shutil
import tempfile

import serving
from serving import Server, check, cli, equal

MODEL, PLAIN = "tests/golden/chat-model", "tests/golden/decoders/llama"
golden = json.load(open(f"{MODEL}/expected.json"))["cases"]
work = tempfile.mkdtemp()
TOOLS_MODEL = os.path.join(work, "tools")
shutil.copytree(MODEL, TOOLS_MODEL)
TEMPLATE = """{%- for t in tools or [] %}{{ t | tojson }}{% endfor -%}
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- if m.content %}{{- m.content }}{%- endif %}
{%- for c in m.tool_calls or [] %}{{- '\\n<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if thinking is defined and thinking %}{{- '<think>\\n' }}{%- endif %}{%- endif %}"""
open(f"{TOOLS_MODEL}/chat_template.jinja", "w").write(TEMPLATE)
THINKER = os.path.join(work, "thinker")
shutil.copytree(MODEL, THINKER)
open(f"{THINKER}/chat_template.jinja", "w").write(TEMPLATE + "{# </think> #}")
s = Server(f"chat={MODEL}", f"tools={TOOLS_MODEL}", f"thinker={THINKER}", f"plain={PLAIN}")
CHAT, RAW = "/v1/chat/completions", "/v1/completions"
HELLO = [{"role": "user", "content": "hello"}]


def events(path, body):
    """The JSON of each event of a stream; [DONE] must be the last."""
    answer = s.request("POST", path, {**body, "stream": True})
    equal((answer.status, answer.headers["content-type"]), (200, "text/event-stream"), f"stream of {path}")
    lines = [line[6:] for line in answer.body.decode().split("\n\n") if line.startswith("data: ")]
    equal(lines[-1:], ["[DONE]"], f"the end of a stream of {path}")
    return [json.loads(line) for line in lines[:-1]]


def joined(chunks, index=0):
    """What the deltas of a choice give together, as a message; and its finish_reason."""
    message, finish = {"content": "", "reasoning_content": "", "tool_calls": []}, None
    for c in (c for chunk in chunks for c in chunk["choices"] if c["index"] == index):
        delta = c["delta"]
        message["content"] += delta.get("content") or ""
        message["reasoning_content"] += delta.get("reasoning_content") or ""
        for call in delta.get("tool_calls", []):
            if "id" in call:
                equal(call["index"], len(message["tool_calls"]), "calls come in order")
                message["tool_calls"].append({"id": call["id"], "type": "function", "function": {"name": call["function"]["name"], "arguments": ""}})
            message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
        finish = c["finish_reason"] or finish
    return message, finish


# ---- values ----
for case in golden:
    a = s.post(CHAT, {"model": "chat", "messages": case["messages"], "max_tokens": 24, "temperature": 0})
    equal(a["choices"][0]["message"]["content"], case["answer"], "the answer of transformers")
    equal((a["choices"][0]["finish_reason"], a["usage"]["prompt_tokens"], a["usage"]["completion_tokens"]), ("length", len(case["tokens"]), 24), "finish and usage")
equal((a["object"], a["model"], a["choices"][0]["index"], a["choices"][0]["message"]["role"], a["choices"][0]["logprobs"]), ("chat.completion", "chat", 0, "assistant", None), "the frame")
check(a["id"].startswith("chatcmpl-") and a["created"] > 1.7e9 and a["system_fingerprint"].startswith("gllm-"), "id, created, system_fingerprint")
SAMPLED = {"model": "chat", "messages": HELLO, "temperature": 1, "seed": 7, "max_completion_tokens": 12, "logprobs": True, "top_logprobs": 2}
line = json.loads(cli("run", MODEL, "hello", "--temperature", "1", "--seed", "7", "--max-tokens", "12", "--logprobs", "2", "--json"))
a = s.post(CHAT, SAMPLED)
equal(a["choices"][0]["message"]["content"], line["choices"][0]["message"]["content"], "the command line's answer for a seed")
equal(a["choices"][0]["logprobs"], line["choices"][0]["logprobs"], "and its log-probabilities")
two = s.post(CHAT, {**SAMPLED, "n": 3})
equal([c["index"] for c in two["choices"]], [0, 1, 2], "n")
equal(two["choices"][0]["message"], a["choices"][0]["message"], "the first of n has the seed")
equal(two["choices"][2]["message"]["content"], json.loads(cli("run", MODEL, "hello", "--temperature", "1", "--seed", "9", "--max-tokens", "12", "--json"))["choices"][0]["message"]["content"], "the third has the seed and two")
equal(two["usage"]["completion_tokens"], 36, "usage counts all")
chunks = events(CHAT, {**SAMPLED, "n": 2, "stream_options": {"include_usage": True}})
equal(joined(chunks, 1)[0]["content"], two["choices"][1]["message"]["content"], "streamed: the same text")
equal([e for c in chunks for x in c["choices"] if x["index"] == 0 and x["logprobs"] for e in x["logprobs"]["content"]], a["choices"][0]["logprobs"]["content"], "streamed: the same log-probabilities")
equal(chunks[0]["choices"][0]["delta"], {"role": "assistant", "content": ""}, "the first delta")
equal((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"], chunks[-2]["choices"][0]["finish_reason"], chunks[-2]["choices"][0]["delta"]), ([], 24, "length", {}), "the last ones")
check(all(c["object"] == "chat.completion.chunk" and c["id"] == chunks[0]["id"] for c in chunks), "one id for all")
stopped = s.post(CHAT, {"model": "chat", "messages": HELLO, "stop": ["zz", "jmo"], "max_tokens": 24})
equal((stopped["choices"][0]["message"]["content"], stopped["choices"][0]["finish_reason"]), (".hmwjho", "stop"), "stop")
equal(joined(events(CHAT, {"model": "chat", "messages": HELLO, "stop": "jmo", "max_tokens": 24}))[0]["content"], ".hmwjho", "streamed: nothing of a stop string")
letter = json.loads(cli("tokenize", MODEL, "a"))[0]
equal(s.post(CHAT, {"model": "chat", "messages": HELLO, "max_tokens": 3, "logit_bias": {str(letter): 100}})["choices"][0]["message"]["content"], "aaa", "logit_bias")
parts = [{"role": "developer", "content": [{"type": "text", "text": "be brief"}]}, golden[1]["messages"][1]]
equal(s.post(CHAT, {"model": "chat", "messages": parts, "max_tokens": 24, "unknown": {"field": 1}})["choices"][0]["message"]["content"], golden[1]["answer"], "text parts, the developer role, unknown fields")
again = s.post(CHAT, {"model": "chat", "messages": HELLO, "max_tokens": 4})
check(again["usage"]["prompt_tokens_details"]["cached_tokens"] > 0, "cached tokens are told")

# ---- forms of answers ----
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["city", "days"], "additionalProperties": False}
formed = s.post(CHAT, {"model": "chat", "messages": HELLO, "temperature": 1, "seed": 1, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}})
value = json.loads(formed["choices"][0]["message"]["content"])
check(value["city"] in ("Oslo", "Rome") and 1 <= value["days"] <= 9 and formed["choices"][0]["finish_reason"] == "stop", "response_format json_schema")
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Tells.", "parameters": SCHEMA}}, {"type": "function", "function": {"name": "now"}}]
CALL = {"model": "tools", "messages": HELLO, "tools": TOOLS, "temperature": 1, "seed": 5}
for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
    called = s.post(CHAT, {**CALL, "tool_choice": choice, "parallel_tool_calls": False})["choices"][0]
    equal((called["finish_reason"], called["message"]["content"], len(called["message"]["tool_calls"])), ("tool_calls", None, 1), f"tool_choice {choice}")
    function = called["message"]["tool_calls"][0]["function"]
    arguments = json.loads(function["arguments"])
    check(function["name"] == "now" and arguments == {} or function["name"] == "get_weather" and arguments["city"] in ("Oslo", "Rome"), f"a valid call: {function}")
    message, finish = joined(events(CHAT, {**CALL, "tool_choice": choice, "parallel_tool_calls": False}))
    equal((message["tool_calls"][0]["function"], message["content"], finish), (function, "", "tool_calls"), "streamed: the same call")
equal(function["name"], "get_weather", "the tool that was named")
history = HELLO + [{**called["message"]}, {"role": "tool", "tool_call_id": called["message"]["tool_calls"][0]["id"], "content": "rain"}]
check(s.post(CHAT, {"model": "tools", "messages": history, "tools": TOOLS, "max_tokens": 4})["usage"]["prompt_tokens"] > 100, "a call goes back into the conversation")
bare = s.post(CHAT, {"model": "tools", "messages": HELLO, "max_tokens": 4})["usage"]["prompt_tokens"]
equal(s.post(CHAT, {**CALL, "tool_choice": "none", "max_tokens": 4})["usage"]["prompt_tokens"], bare, "tool_choice none: the model hears of no tools")
thought = s.post(CHAT, {"model": "thinker", "messages": HELLO, "max_tokens": 6, "chat_template_kwargs": {"thinking": True}})
equal((thought["choices"][0]["message"]["content"], thought["usage"]["completion_tokens_details"]["reasoning_tokens"]), ("", 6), "a thought that the template opened")
message, _ = joined(events(CHAT, {"model": "thinker", "messages": HELLO, "max_tokens": 6, "chat_template_kwargs": {"thinking": True}}))
equal(message["reasoning_content"], thought["choices"][0]["message"]["reasoning_content"], "streamed: the same thought")

# ---- raw prompts ----
plain = json.loads(cli("run", MODEL, "hello", "--raw", "--temperature", "1", "--seed", "3", "--max-tokens", "8", "--logprobs", "2", "--json"))["choices"][0]
BODY = {"model": "chat", "prompt": "hello", "temperature": 1, "seed": 3, "max_tokens": 8, "logprobs": 2}
a = s.post(RAW, BODY)
equal((a["object"], a["choices"][0]["text"], a["choices"][0]["logprobs"]), ("text_completion", plain["text"], plain["logprobs"]), "/v1/completions: the command line's text and log-probabilities")
equal(len(s.post(RAW, {"model": "chat", "prompt": "hello"})["choices"][0]["text"]), 16, "sixteen tokens unless told otherwise")
ids = json.loads(cli("tokenize", MODEL, "hello"))
many = s.post(RAW, {**BODY, "prompt": ["hello", "bye"], "n": 2})
equal([c["text"] for c in many["choices"]][0], plain["text"], "several prompts, n each")
equal(many["choices"][3]["text"], s.post(RAW, {**BODY, "prompt": "bye", "seed": 4})["choices"][0]["text"], "the last choice is the second of the second prompt")
equal([c["text"] for c in s.post(RAW, {**BODY, "prompt": ids})["choices"]], [plain["text"]], "a prompt of tokens")
equal([c["text"] for c in s.post(RAW, {**BODY, "prompt": [ids, ids]})["choices"]], [plain["text"]] * 2, "prompts of tokens")
equal(s.post(RAW, {**BODY, "echo": True, "logprobs": None, "prompt": [ids]})["choices"][0]["text"], "hello" + plain["text"], "echo")
chunks = events(RAW, {**BODY, "stream_options": {"include_usage": True}})
equal("".join(c["text"] for chunk in chunks for c in chunk["choices"]), plain["text"], "streamed: the same text")
equal(sum((c["logprobs"]["token_logprobs"] for chunk in chunks for c in chunk["choices"] if c["logprobs"]), []), plain["logprobs"]["token_logprobs"], "streamed: the same log-probabilities")
equal(sum((c["logprobs"]["text_offset"] for chunk in chunks for c in chunk["choices"] if c["logprobs"]), []), plain["logprobs"]["text_offset"], "streamed: the same offsets")
equal(chunks[-1]["usage"]["completion_tokens"], 8, "usage at the end")

# ---- refusals ----
REFUSED = [
    (CHAT, {}, "messages"), (CHAT, {"messages": []}, "messages"), (CHAT, {"messages": [{"role": "user"}]}, "messages"), (CHAT, {"messages": [{"content": "x"}]}, "messages"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
    (CHAT, {"messages": HELLO, "temperature": "hot"}, "temperature"), (CHAT, {"messages": HELLO, "temperature": -1}, "temperature"), (CHAT, {"messages": HELLO, "top_p": 2}, "top_p"),
    (CHAT, {"messages": HELLO, "n": 0}, "n"), (CHAT, {"messages": HELLO, "n": 65}, "n"), (CHAT, {"messages": HELLO, "best_of": 2}, "best_of"), (CHAT, {"messages": HELLO, "max_tokens": 0}, "max_tokens"),
    (CHAT, {"messages": HELLO, "logit_bias": {"x": 1}}, "logit_bias"), (CHAT, {"messages": HELLO, "logit_bias": {"99999": 1}}, "logit_bias"), (CHAT, {"messages": HELLO, "top_logprobs": 2}, "top_logprobs"),
    (CHAT, {"messages": HELLO, "stop": [""]}, "stop"), (CHAT, {"messages": HELLO, "seed": 1.5}, "seed"), (CHAT, {"messages": HELLO, "functions": [{"name": "f"}]}, "functions"),
    (CHAT, {"messages": HELLO, "modalities": ["audio"]}, "modalities"), (CHAT, {"messages": HELLO, "response_format": {"type": "yaml"}}, "response_format"),
    (CHAT, {"messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "number", "multipleOf": 3}}}}, "response_format"),
    (CHAT, {"model": "chat", "messages": HELLO, "tools": TOOLS}, "tools"), (CHAT, {"messages": HELLO, "tools": [{"type": "web"}]}, "tools"), (CHAT, {"messages": HELLO, "tool_choice": "required"}, "tool_choice"),
    (CHAT, {**CALL, "tool_choice": {"type": "function", "function": {"name": "nothing"}}}, "tool_choice"), (CHAT, {**CALL, "tool_choice": "perhaps"}, "tool_choice"),
    (RAW, {}, "prompt"), (RAW, {"prompt": []}, "prompt"), (RAW, {"prompt": [{"a": 1}]}, "prompt"), (RAW, {"prompt": "x", "suffix": "y"}, "suffix"), (RAW, {"prompt": "x", "echo": True, "logprobs": 1}, "echo"),
    (RAW, {"prompt": "x", "best_of": 3}, "best_of"),
]
for path, body, param in REFUSED:
    equal(s.post(path, {"model": "chat", **body}, 400)["error"]["param"], param, f"refusal of {str(body)[:80]}")
equal(s.post(CHAT, {"model": "none", "messages": HELLO}, 404)["error"]["code"], "model_not_found", "an unknown model")
equal(s.post(RAW, {"model": "plain", "prompt": "w5 " * 5000}, 400)["error"]["code"], "context_length_exceeded", "a prompt that is too long")
check("chat template" in s.post(CHAT, {"model": "plain", "messages": HELLO}, 400)["error"]["message"], "a model without a chat template")

# ---- a client that leaves ----
import socket
body = json.dumps({"model": "chat", "messages": HELLO, "stream": True, "ignore_eos": True}).encode()
for _ in range(3):
    with socket.create_connection(("127.0.0.1", s.port)) as c:
        c.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body)
        check(b"200" in c.recv(200), "a stream begins")
equal(s.post(CHAT, {"model": "chat", "messages": HELLO, "max_tokens": 24})["choices"][0]["message"]["content"], golden[0]["answer"], "the next request is answered")
shutil.rmtree(work)
serving.end()
