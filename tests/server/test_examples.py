"""The examples as they are written, against `gllm serve` with the real small models: each runs, and says what it must."""
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import unittest

from serving import GLLM, Server, cli, real

real("sentence-transformers--all-MiniLM-L6-v2")
real("HuggingFaceTB--SmolLM2-135M-Instruct-GGUF")
LIBRARY = os.path.join(os.path.dirname(os.path.abspath(GLLM)), "libgllm.so")
BEES = "Honeybees tell their nestmates where flowers are by a waggling dance"


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("all-MiniLM-L6-v2", "SmolLM2-135M-Instruct-GGUF", "--ctx", "1024", "--log", "none")
        cls.addClassCleanup(cls.server.stop)

    def run_example(self, name, *modules):
        for module in modules:
            try:
                found = importlib.util.find_spec(module)
            except ModuleNotFoundError:
                found = None
            if not found:
                self.skipTest(f"no Python package {module}")
        path = os.path.join("examples", name)
        command = [sys.executable, path] if name.endswith(".py") else ["sh", path]
        environment = {**os.environ, "GLLM_URL": f"http://127.0.0.1:{self.server.port}", "NO_PROXY": "*", "PYTHONPATH": "python",
                       "GLLM_LIBRARY": LIBRARY}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_curl(self):
        if not shutil.which("curl"):
            self.skipTest("no curl")
        said = self.run_example("curl.sh")
        for part in ('"all-MiniLM-L6-v2"', '"embedding"', '"relevance_score"', '"chat.completion"', '"chat.completion.chunk"', "data: [DONE]"):
            self.assertIn(part, said)

    def test_openai(self):
        said = self.run_example("openai_client.py", "openai")
        self.assertIn("Honeybees dance", said.splitlines()[0])
        self.assertIn("'animal': ", said.splitlines()[-1])

    def test_cohere(self):
        said = self.run_example("cohere_client.py", "cohere").splitlines()
        self.assertTrue(said[0].endswith("Goethe wrote Faust."), said)
        self.assertEqual(len(said), 5)

    def test_langchain(self):
        said = self.run_example("langchain_rag.py", "langchain_openai")
        self.assertIn(BEES, said.splitlines()[0])
        self.assertGreater(len(said.splitlines()[1]), 10)

    def test_llama_index(self):
        said = self.run_example("llama_index_embed.py", "llama_index.core", "llama_index.embeddings.openai")
        self.assertIn(BEES, said.splitlines()[0])

    def test_ollama(self):
        said = self.run_example("ollama_client.py", "ollama").splitlines()
        self.assertIn("SmolLM2", said[0])
        self.assertGreater(float(said[1]), float(said[2]))
        self.assertEqual(said[3], cli("run", "SmolLM2-135M-Instruct-GGUF", "What is the capital of France?", "--max-tokens", "12", "--ctx", "1024").strip())

    def test_package(self):
        if not os.path.exists(LIBRARY):
            self.skipTest("no shared library beside the program")
        with open(LIBRARY, "rb") as file:
            if re.search(rb"__[at]san_init", file.read()):
                self.skipTest("a sanitizer's runtime would have to be loaded before Python")
        said = self.run_example("python_package.py", "numpy").splitlines()
        self.assertIn("Honeybees dance", said[0])
        self.assertRegex(said[-1], r"^3 calls, \d+ tokens$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
