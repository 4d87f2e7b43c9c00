"""Many calls at once on one event loop: the same values, none lost, cancelled ones gone, nothing left behind."""
import asyncio
import os
import unittest

from common import GOLDEN, need

need("numpy")
import numpy as np  # noqa: E402

import gllm  # noqa: E402
from gllm import jobs  # noqa: E402

BERT = os.path.join(GOLDEN, "models", "bert-mean")
RANKER = os.path.join(GOLDEN, "classifiers", "bert")
CHAT = os.path.join(GOLDEN, "chat-model")
MESSAGES = [{"role": "user", "content": "hello"}]


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_hundred(self):
        texts = [f"the whale number {i} " * (i % 9 + 1) for i in range(100)]
        with gllm.Client(BERT) as client:
            alone = client.embed(texts).vectors.copy()
        async with await gllm.AsyncClient.open(BERT) as client:
            got = await asyncio.gather(*(client.embed(text) for text in texts))
        np.testing.assert_array_equal(np.vstack([one.vectors for one in got]), alone)

    async def test_functions(self):
        async with await gllm.AsyncClient.open(RANKER) as client:
            waited = client.client.rerank("the whale", ["the sea", "a rose"])
            got = await client.rerank("the whale", ["the sea", "a rose"])
            self.assertEqual([(i.index, i.score) for i in got], [(i.index, i.score) for i in waited])
            np.testing.assert_array_equal((await client.classify(["a"])).scores, client.client.classify(["a"]).scores)
            with self.assertRaises(gllm.UnsupportedError):
                await client.embed("x")

    async def test_answers(self):
        """Answers beside each other are what they are alone; their pieces are the whole."""
        async with await gllm.AsyncClient.open(CHAT, exact=True) as client:
            alone = [client.client.generate(f"hello {i}", max_tokens=12).text for i in range(12)]
            self.assertEqual([one.text for one in await asyncio.gather(*(client.generate(f"hello {i}", max_tokens=12) for i in range(12)))], alone)
            pieces, whole = "", None
            async for piece in client.stream(MESSAGES, max_tokens=12):
                if isinstance(piece, gllm.Completion):
                    whole = piece
                else:
                    pieces += piece.text
            self.assertEqual(pieces, whole.text)
            self.assertEqual(whole.text, client.client.generate(MESSAGES, max_tokens=12).text)

    async def test_cancel(self):
        async with await gllm.AsyncClient.open(CHAT) as client:
            await client.generate("hello", max_tokens=1)
            before = descriptors()
            for _ in range(20):
                task = asyncio.create_task(client.generate(MESSAGES, max_tokens=0, ignore_eos=True))
                await asyncio.sleep(0)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
            stream = client.stream(MESSAGES, max_tokens=0, ignore_eos=True)
            async for _ in stream:
                break
            await stream.aclose()
            self.assertEqual((await client.generate("hello", max_tokens=4)).text, client.client.generate("hello", max_tokens=4).text)
            for _ in range(200):
                if not client._jobs:
                    break
                await asyncio.sleep(0.02)
            self.assertEqual((client._jobs, jobs.chunk_to, jobs.done_to, descriptors()), ({}, {}, {}, before))

    async def test_timeout(self):
        async with await gllm.AsyncClient.open(CHAT) as client:
            with self.assertRaises(gllm.TimedOutError):
                await client.generate(MESSAGES, max_tokens=0, ignore_eos=True, timeout=0.001)

    async def test_close(self):
        """Closing ends what is under way."""
        client = await gllm.AsyncClient.open(CHAT)
        tasks = [asyncio.create_task(client.generate(MESSAGES, max_tokens=0, ignore_eos=True)) for _ in range(64)]
        await asyncio.sleep(0.01)
        await client.close()
        self.assertTrue(all(task.done() for task in tasks))
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            self.assertTrue(isinstance(answer, gllm.CanceledError) or answer.finish == "canceled", answer)  # had it begun, it has what it had

    async def test_langchain(self):
        try:
            from gllm.langchain import GllmEmbeddings
        except ImportError as error:
            self.skipTest(f"no langchain-core: {error}")
        with gllm.Client(BERT) as client:
            embeddings = GllmEmbeddings(client)
            expected = client.embed(["the whale", "a rose"]).vectors.tolist()
            self.assertEqual(embeddings.embed_documents(["the whale", "a rose"]), expected)
            self.assertEqual(await embeddings.aembed_query("the whale"), expected[0])
            self.assertEqual(await embeddings.aembed_documents(["the whale", "a rose"]), expected)


if __name__ == "__main__":
    unittest.main()
