"""The package gllm: the library in this process, no server.

    make wheel && pip install build/wheel/gllm-*.whl && python3 examples/python_package.py"""
import asyncio

import gllm

PASSAGES = ["Honeybees dance to show where flowers are.", "Ice floats because it is lighter than water.", "Bach was an organist in Leipzig."]


async def together():
    """Many calls at once, without a thread for each: they are packed into common forwards."""
    async with await gllm.AsyncClient.open("all-MiniLM-L6-v2") as client:
        answers = await asyncio.gather(*(client.embed(passage) for passage in PASSAGES))
    print(f"{len(answers)} calls, {sum(answer.prompt_tokens for answer in answers)} tokens")


with gllm.Client("all-MiniLM-L6-v2") as client:
    scores = client.embed(PASSAGES).vectors @ client.embed("how do insects find food?").vectors[0]
    print(f"{scores.max():.3f}  {PASSAGES[scores.argmax()]}")

with gllm.Client("SmolLM2-135M-Instruct-GGUF", n_ctx=1024) as client:
    for chunk in client.stream([{"role": "user", "content": "Name three rivers."}], max_tokens=32):
        print(chunk.text, end="", flush=True)
    print()

asyncio.run(together())
