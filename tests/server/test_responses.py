"""test_responses.py - /v1/responses: the same answers as /v1/chat/completions in the newer route's shape, whole and as numbered events."""
import json
import os
import shutil
import tempfile

import serving
from serving import Server, check, equal

MODEL = "tests/golden/chat-model"
golden = json.load(open(f"{MODEL}/expected.json"))["cases"]
work = tempfile.mkdtemp()
TOOLS_MODEL = os.path.join(work, "tools")
shutil.copytree(MODEL, TOOLS_MODEL)
template = open(f"{MODEL}/chat_template.jinja").read().replace("m.content", "(m.content or '')").replace("{%- for m in messages %}", "{{- tools | tojson if tools else '' }}{%- for m in messages %}")
open(f"{TOOLS_MODEL}/chat_template.jinja", "w").write(template + "{# <tool_call> #}")
s = Server(f"chat={MODEL}", f"tools={TOOLS_MODEL}")
PATH = "/v1/responses"


def events(body):
    answer = s.request("POST", PATH, {**body, "stream": True})
    equal(answer.status, 200, "a stream")
    found = []
    for block in answer.body.decode().strip().split("\n\n"):
        name, data = block.split("\n", 1)
        found.append(json.loads(data[6:]))
        equal(name, "event: " + found[-1]["type"], "an event is named as its type")
    equal([e["sequence_number"] for e in found], list(range(len(found))), "events are numbered")
    return found


a = s.post(PATH, {"model": "chat", "input": "hello", "max_output_tokens": 24})
equal((a["object"], a["status"], a["model"], a["incomplete_details"]), ("response", "incomplete", "chat", {"reason": "max_output_tokens"}), "the frame")
equal([(o["type"], o["role"], o["content"][0]["type"], o["content"][0]["text"]) for o in a["output"]], [("message", "assistant", "output_text", golden[0]["answer"])], "the answer of transformers")
equal((a["usage"]["input_tokens"], a["usage"]["output_tokens"], a["usage"]["total_tokens"]), (len(golden[0]["tokens"]), 24, len(golden[0]["tokens"]) + 24), "usage")
b = s.post(PATH, {"model": "chat", "instructions": "be brief", "input": [{"role": "user", "content": [{"type": "input_text", "text": golden[1]["messages"][1]["content"]}]}], "max_output_tokens": 24})
equal(b["output"][0]["content"][0]["text"], golden[1]["answer"], "instructions and a list of items")
found = events({"model": "chat", "input": "hello", "max_output_tokens": 24})
equal("".join(e["delta"] for e in found if e["type"] == "response.output_text.delta"), golden[0]["answer"], "streamed: the same text")
equal([e["type"] for e in found if not e["type"].endswith("delta")], ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.done",
      "response.content_part.done", "response.output_item.done", "response.incomplete"], "the events around it")
last = found[-1]["response"]
equal((last["output"][0]["content"], last["output"][0]["id"]), (a["output"][0]["content"], found[2]["item"]["id"]), "the last event holds it all, under the same id")

TOOLS = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"], "additionalProperties": False}}]
CALL = {"model": "tools", "input": "hello", "tools": TOOLS, "tool_choice": {"type": "function", "name": "f"}, "temperature": 1, "seed": 2}
c = s.post(PATH, CALL)
equal([(o["type"], o["name"]) for o in c["output"]], [("function_call", "f")], "a call")
check(1 <= json.loads(c["output"][0]["arguments"])["n"] <= 9 and c["status"] == "completed", "its arguments")
found = events(CALL)
equal("".join(e["delta"] for e in found if e["type"] == "response.function_call_arguments.delta"), c["output"][0]["arguments"], "streamed: the same arguments")
equal([e["item"]["name"] for e in found if e["type"] == "response.output_item.done"], ["f"], "the item ends")
history = [{"role": "user", "content": "hello"}, c["output"][0], {"type": "function_call_output", "call_id": c["output"][0]["call_id"], "output": "rain"}]
check(s.post(PATH, {"model": "tools", "input": history, "max_output_tokens": 3})["usage"]["output_tokens"] == 3, "a call goes back into the conversation")
formed = s.post(PATH, {"model": "chat", "input": "x", "text": {"format": {"type": "json_schema", "name": "n", "schema": {"enum": [1, 2]}}}})
check(formed["output"][0]["content"][0]["text"] in ("1", "2"), "text.format")

for field, value in (("previous_response_id", "resp_1"), ("conversation", "c"), ("background", True), ("store", True), ("input", None), ("truncation", "auto"), ("tools", [{"type": "web_search"}])):
    equal(s.post(PATH, {"model": "chat", "input": "x", field: value}, 400)["error"]["param"], field, f"refusal of {field}")
shutil.rmtree(work)
serving.end()
