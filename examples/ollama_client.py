"""The ollama package against gllm: models, embeddings, an answer and a streamed one.

    gllm serve all-MiniLM-L6-v2 SmolLM2-135M-Instruct-GGUF
    pip install ollama && python3 examples/ollama_client.py"""
import os

from ollama import Client

client = Client(host=os.environ.get("GLLM_URL", "http://127.0.0.1:8080"), headers={"Authorization": "Bearer " + os.environ.get("GLLM_API_KEY", "none")})
CHAT = "SmolLM2-135M-Instruct-GGUF"

print("Models:", ", ".join(model.model for model in client.list().models))
vectors = client.embed(model="all-MiniLM-L6-v2", input=["a quiet street", "a silent road", "a loud party"]).embeddings
for i in (1, 2):
    print(f"{sum(a * b for a, b in zip(vectors[0], vectors[i])):.3f}")

print(client.generate(model=CHAT, prompt="What is the capital of France?", options={"temperature": 0, "num_predict": 12}).response)
for part in client.chat(model=CHAT, messages=[{"role": "user", "content": "Name three rivers."}], options={"temperature": 0, "num_predict": 32}, stream=True):
    print(part.message.content, end="", flush=True)
print()
