"""The openai package against gllm: embeddings, search among them, a streamed answer, an answer in a form.

    gllm serve all-MiniLM-L6-v2 SmolLM2-135M-Instruct-GGUF
    pip install openai && python3 examples/openai_client.py"""
import json
import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("GLLM_URL", "http://127.0.0.1:8080") + "/v1", api_key=os.environ.get("GLLM_API_KEY", "none"))
CHAT = "SmolLM2-135M-Instruct-GGUF"

passages = ["Honeybees dance to show where flowers are.", "Ice floats because it is lighter than water.", "Bach was an organist in Leipzig."]
vectors = [item.embedding for item in client.embeddings.create(model="all-MiniLM-L6-v2", input=passages).data]
query = client.embeddings.create(model="all-MiniLM-L6-v2", input="how do insects find food?").data[0].embedding
scores = [sum(a * b for a, b in zip(vector, query)) for vector in vectors]
best = max(range(len(passages)), key=scores.__getitem__)
print(f"{scores[best]:.3f}  {passages[best]}")

question = [{"role": "system", "content": "Answer from this text: " + passages[best]}, {"role": "user", "content": "What do bees do?"}]
for chunk in client.chat.completions.create(model=CHAT, messages=question, max_tokens=48, temperature=0, stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

schema = {"type": "object", "properties": {"animal": {"enum": ["bee", "whale"]}, "legs": {"type": "integer"}}, "required": ["animal", "legs"], "additionalProperties": False}
formed = client.chat.completions.create(model=CHAT, messages=question, max_tokens=64, temperature=0,
                                        response_format={"type": "json_schema", "json_schema": {"name": "animal", "schema": schema, "strict": True}})
print(json.loads(formed.choices[0].message.content))
