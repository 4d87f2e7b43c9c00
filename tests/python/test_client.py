"""The Python client against the goldens and against the program: the same values, errors by their kind, memory tied to its arrays."""
import base64
import gc
import json
import os
import struct
import threading
import unittest

from common import GOLDEN, need, real, run

need("numpy")
import numpy as np  # noqa: E402

import gllm  # noqa: E402

BERT = os.path.join(GOLDEN, "models", "bert-mean")
RANKER = os.path.join(GOLDEN, "classifiers", "bert")
CHAT = os.path.join(GOLDEN, "chat-model")
TEXTS = ["the whale", "It was the best of times", "", "Call me Ishmael. " * 40]


def expected(folder):
    with open(os.path.join(folder, "expected.json"), encoding="utf-8") as file:
        return json.load(file)


def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Embed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = gllm.Client(BERT)

    def test_golden(self):
        cases = expected(BERT)["cases"]
        got = self.client.embed([case["text"] for case in cases]).vectors
        np.testing.assert_allclose(got, np.array([case["vector"] for case in cases], dtype=np.float32), atol=1e-5)

    def test_program(self):
        got = self.client.embed(TEXTS)
        body = json.loads(run("embed", BERT, *TEXTS, "--json"))
        np.testing.assert_array_equal(got.vectors, np.array([item["embedding"] for item in body["data"]], dtype=np.float32))
        self.assertEqual(got.prompt_tokens, body["usage"]["prompt_tokens"])
        self.assertEqual(got.truncated.tolist(), [False, False, False, True])

    def test_arguments(self):
        whole = self.client.embed("the whale").vectors[0]
        cut = self.client.embed("the whale", dimensions=8, normalize="on").vectors[0]
        np.testing.assert_allclose(cut, whole[:8] / np.linalg.norm(whole[:8]), atol=1e-6)
        cls = self.client.embed("the whale", pooling="cls").vectors[0]
        self.assertGreater(np.abs(cls - whole).max(), 1e-3)
        glued = self.client.embed("whale", prompt="the ").vectors[0]
        np.testing.assert_array_equal(glued, whole)

    def test_memory(self):
        """An array is the library's memory, keeps it while it lives, and gives it back."""
        vectors = self.client.embed(TEXTS).vectors
        self.assertFalse(vectors.flags.owndata)
        row, copy = vectors[1], vectors[1].copy()
        del vectors
        for _ in range(50):
            self.client.embed(TEXTS)
        np.testing.assert_array_equal(row, copy)
        texts = ["a whale"] * 2000
        for _ in range(3):
            self.client.embed(texts)
        before = resident()
        for _ in range(40):
            self.client.embed(texts)
        self.assertLess(resident() - before, 4 << 20)  # 40 answers take 10 MiB

    def test_threads(self):
        alone, got = self.client.embed("the whale").vectors, []
        threads = [threading.Thread(target=lambda: got.append(self.client.embed(["a", "the whale"]).vectors[1])) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(got), 16)
        for row in got:
            np.testing.assert_array_equal(row, alone[0])

    def test_tokens(self):
        tokens = self.client.tokenize("the whale")
        self.assertEqual(tokens.ids.tolist(), json.loads(run("tokenize", BERT, "the whale")))
        self.assertEqual(len(tokens.pieces), len(tokens))
        self.assertEqual(self.client.detokenize(tokens.ids), "the whale")


class Errors(unittest.TestCase):
    def test_kinds(self):
        with self.assertRaises(gllm.NotFoundError) as caught:
            gllm.Client("no-such-model-anywhere")
        self.assertIn("no-such-model-anywhere", str(caught.exception))
        self.assertIsInstance(caught.exception, LookupError)
        with gllm.Client(BERT) as client:
            for error, call in ((gllm.InvalidError, lambda: client.embed([])), (gllm.InvalidError, lambda: client.embed("x", dimensions=99999)),
                                (gllm.InvalidError, lambda: client.embed("x", prompt_name="none")),
                                (gllm.TooLongError, lambda: client.embed("whale " * 999, truncate="none")),
                                (gllm.UnsupportedError, lambda: client.rerank("q", ["d"])), (ValueError, lambda: client.embed("x", truncate="middle")),
                                (TypeError, lambda: client.embed("x", wibble=1))):
                with self.assertRaises(error):
                    call()
        with self.assertRaises(gllm.ClosedError):
            client.embed("x")


class Rank(unittest.TestCase):
    def test_program(self):
        documents = ["the sea", "a rose", "It was the best of times"]
        with gllm.Client(RANKER) as client:
            got = client.rerank("the whale", documents)
            raw = client.rerank("the whale", documents, scores="raw", top_n=1)
        body = json.loads(run("rerank", RANKER, "the whale", *documents, "--json"))
        self.assertEqual([(item.index, np.float32(item.score)) for item in got],
                         [(item["index"], np.float32(item["relevance_score"])) for item in body["results"]])
        self.assertEqual((len(raw), raw[0].index), (1, got[0].index))
        self.assertAlmostEqual(1 / (1 + np.exp(-raw[0].score)), got[0].score, places=6)

    def test_classes(self):
        model = os.path.join(GOLDEN, "classifiers", "bert-many")
        with gllm.Client(model) as client:
            got = client.classify(["the whale", "a rose"])
        self.assertEqual(got.scores.shape, (2, 4))
        body = json.loads(run("classify", model, "the whale", "a rose", "--json"))
        for row, item in zip(got.scores, body if isinstance(body, list) else body["data"]):
            scores = {entry["label"]: entry["score"] for entry in (item if isinstance(item, list) else item["labels"])}
            np.testing.assert_array_equal(row, np.array([scores[label] for label in got.labels], dtype=np.float32))


class Generate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = gllm.Client(CHAT, exact=True)
        cls.cases = expected(CHAT)

    def test_golden(self):
        for case in self.cases["cases"]:
            if set(case) == {"messages", "tokens", "answer"}:
                got = self.client.generate(case["messages"], max_tokens=self.cases["max_tokens"])
                self.assertEqual((got.text, got.prompt_tokens), (case["answer"], len(case["tokens"])))

    def test_stream(self):
        """The pieces are the whole; an answer that is left is canceled, and the next one is not disturbed."""
        messages = self.cases["cases"][0]["messages"]
        whole = self.client.generate(messages, max_tokens=24)
        stream = self.client.stream(messages, max_tokens=24)
        self.assertEqual("".join(chunk.text for chunk in stream), whole.text)
        self.assertEqual(stream.completion.text, whole.text)
        self.assertEqual(stream.completion.tokens.tolist(), whole.tokens.tolist())
        for _ in range(20):
            with self.client.stream(messages, max_tokens=400) as left:
                next(left)
            self.assertIn(left.completion.finish, ("canceled", "length"))  # a tiny model may have come to the end of its context first
        del left
        self.assertEqual([(status.running, status.waiting) for status in self.client.status().values()], [(0, 0)])
        abandoned = self.client.stream(messages, max_tokens=400)
        next(abandoned)
        del abandoned
        self.assertEqual(self.client.generate(messages, max_tokens=24).text, whole.text)

    def test_arguments(self):
        messages = self.cases["cases"][0]["messages"]
        whole = self.client.generate(messages, max_tokens=24, logprobs=True, n_top=2)
        self.assertEqual((len(whole.logprobs), len(whole.top), len(whole.top[0])), (len(whole.tokens), len(whole.tokens), 2))
        self.assertEqual(whole.top[0][0], (whole.tokens[0], whole.logprobs[0]))
        stop = whole.text[3:5]
        stopped = self.client.generate(messages, max_tokens=24, stop=["never", stop])
        self.assertEqual((stopped.text, stopped.finish, stopped.stop_index), (whole.text[:whole.text.index(stop)], "stop", 1))
        barred = self.client.generate(messages, max_tokens=1, logit_bias={int(whole.tokens[0]): -100.0})
        self.assertNotEqual(barred.tokens[0], whole.tokens[0])
        formed = self.client.generate(messages, json_schema={"enum": ["yes", "no"]})
        self.assertIn(formed.text, ('"yes"', '"no"'))
        again = [self.client.generate("hello", max_tokens=16, temperature=1.0, seed=seed).text for seed in (1, 1, 2)]
        self.assertEqual(again[0], again[1])
        self.assertNotEqual(again[1], again[2])

    def test_tools(self):
        """An answer taken apart: the call that was asked for, whole and piece by piece."""
        template = ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if tools %}For each call: <tool_call>\n"
                    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% endif %}assistant: ')
        tool = {"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object", "properties": {"sky": {"enum": ["clear", "grey"]}}, "required": ["sky"], "additionalProperties": False}}}
        arguments = dict(tools=[tool], tool_choice="weather", split_answer=True, chat_template=template, max_tokens=80)
        whole = self.client.generate([{"role": "user", "content": "hello"}], **arguments)
        self.assertEqual((whole.finish, whole.content, [call.name for call in whole.tool_calls]), ("tool_calls", "", ["weather"]))
        self.assertIn(json.loads(whole.tool_calls[0].arguments), ({"sky": "clear"}, {"sky": "grey"}))
        stream = self.client.stream([{"role": "user", "content": "hello"}], **arguments)
        pieces = [chunk for chunk in stream if chunk.part in ("call", "arguments")]
        self.assertEqual((pieces[0].part, pieces[0].text, pieces[0].call), ("call", "weather", 0))
        self.assertEqual("".join(chunk.text for chunk in pieces[1:]), whole.tool_calls[0].arguments)


class Models(unittest.TestCase):
    def test_several(self):
        with gllm.Client(BERT, name="first", memory_budget=1 << 32) as client:
            client.add_model(RANKER, name="second", load="lazy")
            self.assertEqual({name: status.state for name, status in client.status().items()}, {"first": "ready", "second": "unloaded"})
            self.assertEqual(client.rerank("the whale", ["the sea"], model="second").model, "second")
            self.assertEqual(client.status()["second"].state, "ready")
            client.unload("second")
            self.assertEqual(client.status()["second"].state, "unloaded")
            client.remove_model("second")
            with self.assertRaises(gllm.NotFoundError):
                client.rerank("the whale", ["the sea"], model="second")
            self.assertEqual(client.describe().model, "first")

    def test_log(self):
        lines = []
        with gllm.Client(BERT, log=lambda level, line: lines.append((level, line))) as client:
            client.embed("x")
        self.assertTrue(all(level in ("error", "warn", "info", "debug") for level, _ in lines))


class LikeSentenceTransformers(unittest.TestCase):
    def test_encode(self):
        model = gllm.SentenceTransformer(BERT, device="cpu")
        client = model.client
        many = model.encode(["the whale", "a rose"], batch_size=1, show_progress_bar=False, convert_to_numpy=True)
        np.testing.assert_array_equal(many, client.embed(["the whale", "a rose"]).vectors)
        np.testing.assert_array_equal(model.encode("the whale"), many[0])
        np.testing.assert_allclose(np.linalg.norm(model.encode(["the whale"], normalize_embeddings=True), axis=1), 1, atol=1e-6)
        self.assertEqual(model.encode([]).shape, (0, many.shape[1]))
        self.assertEqual(model.get_sentence_embedding_dimension(), many.shape[1])
        np.testing.assert_array_equal(gllm.SentenceTransformer(BERT, prompts={"query": "the "}).encode_query("whale"), many[0])
        np.testing.assert_array_equal(gllm.SentenceTransformer(BERT, prompts={"of": "the "}).encode("whale", prompt_name="of"), many[0])
        np.testing.assert_array_equal(model.encode_document(["the whale"]), many[:1])
        self.assertAlmostEqual(float(model.similarity(many[0], many)[0, 0]), 1, places=5)
        with self.assertRaises(ValueError):
            model.encode("x", precision="int8")

    def test_real(self):
        """The reference library's vectors of the real MiniLM (tests/golden/minilm.json)."""
        path = real("sentence-transformers--all-MiniLM-L6-v2")
        if not path:
            self.skipTest("no all-MiniLM-L6-v2 under the model folder")
        with open(os.path.join(GOLDEN, "minilm.json"), encoding="utf-8") as file:
            cases = json.load(file)["cases"]
        got = gllm.SentenceTransformer(path).encode([case["text"] for case in cases])
        for row, case in zip(got, cases):
            data = base64.b64decode(case["vector"])
            np.testing.assert_allclose(row, struct.unpack(f"<{len(data) // 4}f", data), atol=1e-5)


if __name__ == "__main__":
    unittest.main()
