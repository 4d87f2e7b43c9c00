"""The page at / in a real browser: the three functions, the key, the figures; nothing in the console, nothing the policy forbids, nothing from elsewhere.

Wants Chromium, and playwright from PyPI (its own browser is not used)."""
import importlib.util
import shutil
import sys
import tempfile
import unittest

from serving import Server, real, skip

for package in ("numpy", "playwright"):
    importlib.util.find_spec(package) or skip(f"no Python package {package}")
import numpy as np  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or skip("no Chromium")
MINILM = real("sentence-transformers--all-MiniLM-L6-v2")
SMOLLM2 = real("HuggingFaceTB--SmolLM2-135M-Instruct-GGUF")
RANKER = "tests/golden/classifiers/bert"
PASSAGES = ["The cat sleeps on the warm stove.", "Interest rates rose again this spring.", "A violin has four strings.", "<img src=x onerror=alert(1)>",
            "Bread is made of flour, water and salt.", "The tram stops at the old bridge."]
WATCH = "window.violations = []; addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI))"


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(f"minilm={MINILM}", f"ranker={RANKER}", f"chat={SMOLLM2}", "--ctx", "1024", "--log", "none")
        cls.addClassCleanup(cls.server.stop)
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        cls.browser = cls.playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.faults, self.url = [], f"http://127.0.0.1:{self.server.port}"

    def open(self, tab, width=1280, scheme="light", expected=()):
        """A fresh page, whose faults are collected."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(60000)
        page.add_init_script(WATCH)
        page.on("console", lambda m: m.type in ("error", "warning") and not any(e in m.text for e in expected) and self.faults.append(m.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append("a dialog: " + dialog.message))
        page.on("request", lambda r: r.url.startswith((self.url + "/", "data:")) or self.faults.append("a request to " + r.url))
        page.goto(f"{self.url}/#{tab}")
        return page

    def clean(self, page):
        self.assertEqual(page.evaluate("violations"), [])
        self.assertEqual(self.faults, [])

    def ready(self, page, select, model):
        page.wait_for_selector(f"#{select} option[value={model}]", state="attached")
        page.select_option(f"#{select}", model)

    def search(self, page, query):
        self.ready(page, "search-model", "minilm")
        page.fill("#corpus", "\n".join(PASSAGES))
        page.fill("#query", query)
        page.click("#search-form .primary")
        page.wait_for_selector("#search .hits li")

    def vectors(self, texts, kind):
        body = self.server.post("/v1/embeddings", {"model": "minilm", "input": texts, "input_type": kind})
        return np.array([item["embedding"] for item in body["data"]])

    def test_search(self):
        page = self.open("search")
        self.search(page, "an animal resting near the oven")
        hits = page.locator("#search .hits li")
        rows, asked = self.vectors(PASSAGES, "document"), self.vectors(["an animal resting near the oven"], "query")[0]
        scores = rows @ asked
        self.assertEqual(hits.nth(0).locator(".text").inner_text(), PASSAGES[0])
        self.assertEqual([hits.nth(i).locator(".text").inner_text() for i in range(6)], [PASSAGES[i] for i in np.argsort(-scores)])
        self.assertEqual(hits.nth(0).locator(".score").inner_text(), f"{scores[0]:.3f}")
        centred = rows - rows.mean(0)
        spread = np.linalg.svd(centred, compute_uv=False) ** 2
        self.assertEqual(page.inner_text("#map-note"), f"the two widest directions hold {spread[:2].sum() / spread.sum() * 100:.0f} %")
        self.assertEqual(page.locator("#map circle").count(), 6)
        page.focus("#heat")
        for key in ("ArrowRight", "ArrowDown", "ArrowDown"):  # the first shows the place: query and passage 1
            page.keyboard.press(key)
        self.assertTrue(page.inner_text("#heat-caption").startswith(f"{rows[1] @ rows[0]:.3f} between 2 "), page.inner_text("#heat-caption"))
        self.assertEqual(page.locator("#search .hits li.lit").count(), 2)
        self.clean(page)

    def test_map(self):
        """Distances on the map are those of the two widest directions."""
        page = self.open("search")
        self.search(page, "money")
        at = np.array(page.eval_on_selector_all("#map circle", "all => all.map(c => [+c.getAttribute('cx'), +c.getAttribute('cy')])"))
        rows = self.vectors(PASSAGES, "document")
        left, lengths, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
        wanted = left[:, :2] * lengths[:2]
        distances = [np.linalg.norm(p[:, None] - p[None], axis=2) for p in (at, wanted)]
        np.testing.assert_allclose(distances[0] / distances[0].max(), distances[1] / distances[1].max(), atol=2e-3)
        self.clean(page)

    def test_rerank(self):
        page = self.open("rerank")
        self.ready(page, "rerank-model", "ranker")
        documents = ["the sea", "a rose", "It was the best of times"]
        page.fill("#rerank-query", "the whale")
        page.fill("#rerank-documents", "\n".join(documents))
        page.click("#rerank-form .primary")
        page.wait_for_selector("#rerank .hits li")
        results = self.server.post("/v1/rerank", {"model": "ranker", "query": "the whale", "documents": documents})["results"]
        self.assertEqual(page.locator("#rerank .hits .text").all_inner_texts(), [documents[r["index"]] for r in results])
        self.assertEqual(page.locator("#rerank .hits .score").all_inner_texts(), [f"{r['relevance_score']:.3f}" for r in results])
        self.clean(page)

    def test_chat(self):
        page = self.open("chat")
        self.ready(page, "chat-model", "chat")
        page.click("#chat summary")
        page.fill("#temperature", "0")
        page.fill("#max-tokens", "24")
        page.fill("#prompt", "Name three rivers.")
        page.press("#prompt", "Enter")
        page.wait_for_selector("#log article.it:not(.now)")
        body = self.server.post("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "Name three rivers."}], "temperature": 0, "max_tokens": 24})
        self.assertEqual(page.locator("#log .it .say").text_content(), body["choices"][0]["message"]["content"])
        self.assertTrue(page.inner_text("#log .fact").startswith("24 tokens"), page.inner_text("#log .fact"))
        page.fill("#max-tokens", "900")
        page.fill("#prompt", "Tell me a very long story about a river, in many chapters.")
        page.click("#chat-send")
        now = page.locator("#log .it.now .say")
        while len(now.text_content()) <= 10:  # the policy forbids what wait_for_function does
            page.wait_for_timeout(20)
        self.assertEqual(page.inner_text("#chat-send"), "Stop")
        page.click("#chat-send")
        page.wait_for_selector("#log:not([aria-busy])")
        self.assertIn("stopped", page.locator("#log .fact").nth(1).inner_text())
        self.assertEqual(page.inner_text("#chat-send"), "Send")
        self.clean(page)

    def test_server(self):
        page = self.open("server", scheme="dark")
        page.wait_for_selector("#models tr")
        self.assertEqual(page.locator("#models .name").all_inner_texts()[:2], ["minilm", "ranker"])
        self.assertEqual(page.locator("#models .tag").first.inner_text(), "ready")
        self.assertIn("loaded", page.inner_text("#tiles"))
        self.clean(page)

    def test_errors(self):
        page = self.open("search", expected=("400",))
        self.search(page, "money")
        page.fill("#query", " ")
        page.click("#search-form .primary")
        page.wait_for_selector("#search .error:not([hidden])")
        self.assertEqual(page.inner_text("#search .error"), "Write what you are looking for.")
        self.clean(page)

    def test_keyboard(self):
        page = self.open("search")
        page.focus("#tab-search")
        page.keyboard.press("ArrowRight")
        self.assertTrue(page.is_visible("#rerank"))
        self.assertEqual(page.evaluate("document.activeElement.id + location.hash"), "tab-rerank#rerank")
        page.keyboard.press("End")
        self.assertTrue(page.is_visible("#server"))
        self.clean(page)

    def test_phone(self):
        for tab in ("search", "rerank", "chat", "server"):
            page = self.open(tab, width=390)
            if tab == "search":
                self.search(page, "money")
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 390, tab)
            self.clean(page)

    def test_key(self):
        """A server with keys: the page asks for one, keeps it in the tab, and works with it."""
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("a-secret-key\n")
            keys.flush()
            server = Server(f"minilm={MINILM}", "--api-key-file", keys.name, "--log", "none")
            self.addCleanup(server.stop)
            self.url = f"http://127.0.0.1:{server.port}"
            page = self.open("search", expected=("401",))
            page.wait_for_selector("#key-box[open]")
            page.fill("#key", "a-secret-key")
            page.click("#key-box .primary")
            self.search(page, "an animal resting near the oven")
            self.assertEqual(page.locator("#search .hits .text").first.inner_text(), PASSAGES[0])
            self.assertEqual(page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]"), [1, 0, ""])
            self.clean(page)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
