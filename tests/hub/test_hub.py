"""gllm pull, rm and fetching on demand, against a hub that misbehaves. usage: test_hub.py PROGRAM [TEST…]"""
import fcntl
import hashlib
import json
import os
import pty
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hub_server import Hub, Repo

PROGRAM = os.path.abspath(sys.argv[1])
GOLDEN = "tests/golden/models/bert-mean"
SEED = int(os.environ.get("GLLM_TEST_SEED", "1"))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def tree(folder):
    return {os.path.relpath(os.path.join(d, f), folder): read(os.path.join(d, f)) for d, _, files in os.walk(folder) for f in files}


def golden_files():
    return {path: data for path, data in tree(GOLDEN).items() if path != "expected.json"}


def noise(seed, n):
    return random.Random(seed).randbytes(n)


# What a repository holds beside what a model needs.
REST = {".gitattributes": b"*.bin lfs", "pytorch_model.bin": noise(1, 5000), "onnx/model.onnx": noise(2, 5000), "onnx/config.json": b"{}", "tf_model.h5": b"h5", "training_args.bin": b"x",
        "model.py": b"import os", "1_Pooling/weights.npy": b"x", "runs/events.out": b"x"}


class HubTest(unittest.TestCase):
    hub = None

    @classmethod
    def setUpClass(cls):
        HubTest.hub = HubTest.hub or Hub()

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="gllm-hub-")
        self.home = self.work + "/home"
        self.hub.reset()
        self.hub.repos = {"org/tiny": Repo({**golden_files(), **REST}), "org/big": Repo({"config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n", "model.safetensors": noise(3, 3 << 20)})}
        self.models = self.home + "/models"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "GLLM_", "HUGGING", "TRANSFORMERS")) and not k.lower().endswith("_proxy")}
        self.env.update(GLLM_HOME=self.home, HF_ENDPOINT=self.hub.url, HF_HOME=self.work + "/hf", HOME=self.work, XDG_CACHE_HOME=self.work + "/cache")

    def tearDown(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, *args, env=None, **how):
        return subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**self.env, **(env or {})}, **how)

    def run_program(self, *args, status=0, says="", env=None, **how):
        p = self.start(*args, env=env, **how)
        out, err = p.communicate(timeout=120)
        self.assertEqual(p.returncode, status, "%s: %s%s" % (args, out, err))
        self.assertIn(says, err)
        return out, err

    def pull(self, *args, **how):
        return self.run_program("pull", *args, **how)

    def folder(self, name="org--tiny"):
        return self.models + "/" + name

    def check_whole(self, name, files, folder=None):
        """The folder holds exactly these files and a record that says so, and nothing is left beside it."""
        found = tree(folder or self.folder(name))
        record = json.loads(found.pop(".gllm.json"))
        self.assertEqual(sorted(found), sorted(files))
        for path, data in files.items():
            self.assertEqual(found[path], data, path)
        self.assertEqual(sorted(os.listdir(self.models)), sorted({name, *[d for d in os.listdir(self.models) if not d.startswith(".")]}))
        return record

    def needed(self, repo="org/tiny"):
        return {p: d for p, d in self.hub.repos[repo].files.items() if p not in REST}

    def parts(self, name):
        folder = "%s/.parts.%s" % (self.models, name)
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


class Fetching(HubTest):
    def test_only_what_is_needed(self):
        out, _ = self.pull("org/tiny")
        self.assertEqual(out, self.folder() + "\n")
        repo = self.hub.repos["org/tiny"]
        record = self.check_whole("org--tiny", self.needed())
        self.assertEqual((record["id"], record["revision"], record["sha"], record["endpoint"]), ("org/tiny", "main", repo.commit, self.hub.url))
        sums = {e["rfilename"]: e.get("lfs", {}).get("sha256") for e in record["siblings"]}
        self.assertEqual(sums["model.safetensors"], hashlib.sha256(repo.files["model.safetensors"]).hexdigest())
        self.assertRegex(record["fetched"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(sorted(self.hub.files_asked()), sorted(self.needed()))
        # Now it is here: nothing but the list is asked for, and the model gives the values of its files.
        self.hub.requests.clear()
        self.pull("org/tiny")
        self.assertEqual(len(self.hub.requests), 1)
        self.assertEqual(self.run_program("embed", "org/tiny", "the whale"), self.run_program("embed", GOLDEN, "the whale"))
        self.assertEqual(len(self.hub.requests), 1)

    def test_on_demand(self):
        out, _ = self.run_program("embed", "Org/Tiny".lower(), "the whale", says="org/tiny is not here; fetching it")
        self.assertEqual(out, self.run_program("embed", GOLDEN, "the whale")[0])
        self.check_whole("org--tiny", self.needed())
        self.run_program("info", "org/big", status=1, says="org/big: no such model")
        self.assertFalse(os.path.exists(self.folder("org--big")))

    def test_offline(self):
        for value in ("1", "true", "ON"):
            self.run_program("embed", "org/tiny", "x", status=1, says="HF_HUB_OFFLINE", env={"HF_HUB_OFFLINE": value})
        self.pull("org/tiny", status=1, says="org/tiny: not fetched, since HF_HUB_OFFLINE is set", env={"HF_HUB_OFFLINE": "1"})
        self.assertEqual(self.hub.requests, [])

    def test_alias_and_what_is_not_public(self):
        self.hub.repos["BAAI/bge-small-en-v1.5"] = self.hub.repos["org/tiny"]
        self.pull("bge-small-en")
        self.check_whole("BAAI--bge-small-en-v1.5", self.needed())
        self.hub.requests.clear()
        self.pull("codexembed-7b", status=1, says="is not public; the nearest model that is public: Salesforce/SFR-Embedding-2_R")
        self.pull("bge-m3:gguf", status=1, says="bge-m3:gguf: no such form is known")
        self.pull("bge-m3:Q4_K_M", status=1, says="bge-m3:Q4_K_M: no such form is known")
        self.pull("../evil", status=1, says="expected an alias of the list of models or ORG/NAME")
        self.pull("org/tiny:", status=1, says="found nothing after the colon")
        self.assertEqual(self.hub.requests, [])

    def test_shards(self):
        index = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode()
        files = {"config.json": b"{}", "model.safetensors.index.json": index, "model-00001-of-00002.safetensors": noise(4, 9000), "model-00002-of-00002.safetensors": noise(5, 9000)}
        self.hub.repos["org/shards"] = Repo({**files, "consolidated.safetensors": noise(6, 9000), "pytorch_model.bin": b"x"})
        self.pull("org/shards")
        self.check_whole("org--shards", files)
        del self.hub.repos["org/shards"].files["model-00002-of-00002.safetensors"]
        self.pull("org/shards", status=1, says='names the shard "model-00002-of-00002.safetensors", which the repository lacks')
        self.assertEqual({p: d for p, d in tree(self.folder("org--shards")).items() if p != ".gllm.json"}, files)

    def test_gguf(self):
        files = {"README.md": b"x", "m-Q4_K_M.gguf": noise(7, 5000), "m-Q8_0.gguf": noise(8, 6000), "mmproj-m-f16.gguf": b"x", "BF16/m-BF16-00001-of-00002.gguf": noise(9, 5000),
                 "BF16/m-BF16-00002-of-00002.gguf": noise(10, 5000)}
        self.hub.repos["org/m-GGUF"] = Repo(files)
        name, got = "org--m-GGUF", ["m-Q4_K_M.gguf"]
        self.assertEqual(self.pull("org/m-GGUF")[0], self.folder(name) + "/m-Q4_K_M.gguf\n")
        self.check_whole(name, {p: files[p] for p in got})
        self.assertEqual(self.pull("org/m-GGUF:q8_0")[0], self.folder(name) + "/m-Q8_0.gguf\n")
        got.append("m-Q8_0.gguf")
        record = self.check_whole(name, {p: files[p] for p in got})
        self.assertEqual(sorted(e["rfilename"] for e in record["siblings"]), sorted(got))
        self.assertEqual(self.pull("org/m-GGUF", "--quant", "BF16")[0], self.folder(name) + "/BF16/m-BF16-00001-of-00002.gguf\n")
        got += ["BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"]
        self.check_whole(name, {p: files[p] for p in got})
        # Upstream changes: a GGUF file that was fetched before stays, whatever became of it there.
        self.hub.repos["org/m-GGUF"].files.update({"m-Q4_K_M.gguf": noise(11, 5000), "m-Q6_K.gguf": noise(12, 5000)})
        self.pull("org/m-GGUF:Q6_K")
        got.append("m-Q6_K.gguf")
        self.check_whole(name, {**{p: files[p] for p in got[:-1]}, "m-Q6_K.gguf": noise(12, 5000)})
        self.pull("org/m-GGUF:Q5_0", status=1, says='found 0 GGUF files that "Q5_0" names, expected one of: m-Q4_K_M.gguf')
        del files["m-Q4_K_M.gguf"]
        self.hub.repos["org/n-GGUF"] = Repo(files)
        self.pull("org/n-GGUF", status=1, says="found 2 GGUF files, expected a choice as in ORG/NAME:FILE")
        self.assertFalse(os.path.exists(self.folder("org--n-GGUF")))
        # One file of several goes, then the folder with the last one.
        self.run_program("rm", "org/m-GGUF:BF16", says="removed, 10.0 kB")
        self.assertEqual(sorted(f for f in tree(self.folder(name)) if f.endswith(".gguf")), ["m-Q4_K_M.gguf", "m-Q6_K.gguf", "m-Q8_0.gguf"])
        self.run_program("rm", "org/m-GGUF:Q4_K_M", "org/m-GGUF:Q8_0", "org/m-GGUF:Q6_K.gguf", status=1, says='that "Q6_K.gguf" names')
        self.run_program("rm", "org/m-GGUF:m-Q6_K.gguf")
        self.assertEqual(os.listdir(self.models), [])

    def test_modelscope(self):
        self.hub.modelscope = True
        self.pull("org/tiny")
        record = self.check_whole("org--tiny", self.needed())
        self.assertNotIn("sha", record)
        self.pull("org/none", status=1, says="has no such repository")

    def test_revision(self):
        self.pull("org/tiny", "--revision", "refs/pr/1")
        self.assertEqual(self.check_whole("org--tiny", self.needed())["revision"], "refs/pr/1")
        self.assertIn("refs%2Fpr%2F1", self.hub.requests[0][3])
        self.pull("org/tiny", "--revision", "v9", status=1, says='has no revision "v9" of it')

    def test_new_commit(self):
        self.pull("org/tiny")
        with open(self.folder() + "/notes.txt", "w") as f:
            f.write("mine")
        self.hub.requests.clear()
        repo = self.hub.repos["org/tiny"]
        repo.files["config_sentence_transformers.json"] = b'{"similarity_fn_name": "dot"}'
        del repo.files["sentence_bert_config.json"]
        self.pull("org/tiny")
        self.assertEqual(self.hub.files_asked(), ["config_sentence_transformers.json"])
        self.assertEqual(self.check_whole("org--tiny", {**self.needed(), "notes.txt": b"mine"})["sha"], repo.commit)  # and what the new commit lacks is gone

    def test_own_files_are_taken(self):
        """A folder that nobody recorded: what is right in it is not fetched again."""
        os.makedirs(self.folder("org--big"))
        with open(self.folder("org--big") + "/model.safetensors", "wb") as f:
            f.write(self.hub.repos["org/big"].files["model.safetensors"])
        self.pull("org/big")
        self.assertEqual(sorted(self.hub.files_asked()), ["README.md", "config.json"])
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_link_is_left_alone(self):
        os.makedirs(self.models)
        os.symlink(os.path.abspath(GOLDEN), self.folder())
        self.pull("org/tiny", status=1, says="is a link, which is left alone")
        self.run_program("rm", "org/tiny")
        self.assertFalse(os.path.lexists(self.folder()))
        self.assertTrue(os.path.exists(GOLDEN + "/model.safetensors"))

    def test_rm(self):
        self.pull("org/tiny")
        self.run_program("rm", "ORG/TINY", says="removed")
        self.assertEqual(os.listdir(self.models), [])
        self.run_program("rm", "org/tiny", status=1, says="org/tiny: no such model")

    def test_cache(self):
        """What lies whole in the Hugging Face cache is used there; what lies there in part is not."""
        root = self.work + "/hf/hub/models--org--tiny"
        shutil.copytree(GOLDEN, root + "/snapshots/abc")
        self.assertEqual(self.pull("Org/Tiny")[0], root + "/snapshots/abc\n")
        self.assertEqual(self.hub.requests, [])
        self.run_program("rm", "org/tiny", status=1, says="lies in the Hugging Face cache")
        os.unlink(root + "/snapshots/abc/model.safetensors")
        self.assertEqual(self.pull("org/tiny")[0], self.folder() + "\n")

    def test_proxy(self):
        """http_proxy: the whole address is asked of the proxy, which here is the hub itself."""
        seen = []

        def through(handler, path):
            seen.append(path)
            handler.route(self.hub, path.replace("http://hub.invalid", ""))
            return True

        self.hub.fault = through
        self.pull("org/tiny", env={"HF_ENDPOINT": "http://hub.invalid", "http_proxy": self.hub.url})
        self.assertTrue(seen and all(path.startswith("http://hub.invalid/") for path in seen), seen)
        self.check_whole("org--tiny", self.needed())


class Access(HubTest):
    def tokens_at(self, kind):
        return {h.get("Authorization") for k, _, h, _ in self.hub.requests if k == kind}

    def test_token_stays_at_the_endpoint(self):
        self.hub.cdn = self.hub.other
        self.pull("org/big", env={"HF_TOKEN": "hf_secret"})
        self.check_whole("org--big", self.hub.repos["org/big"].files)
        self.assertEqual((self.tokens_at("hub"), self.tokens_at("cdn")), ({"Bearer hf_secret"}, {None}))

    def test_token_file(self):
        os.makedirs(self.work + "/hf")
        with open(self.work + "/hf/token", "w") as f:
            f.write("hf_file\r\nX-Evil: 1\n")
        self.pull("org/tiny")
        self.assertEqual(self.tokens_at("hub"), {"Bearer hf_file"})
        self.assertFalse(any("X-Evil" in h for _, _, h, _ in self.hub.requests))
        self.hub.requests.clear()
        self.pull("org/big", env={"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})
        self.assertEqual(self.tokens_at("hub"), {None})

    def test_refused(self):
        repo = self.hub.repos["org/tiny"]
        self.pull("org/none", status=1, says="org/none: %s has no such repository" % self.hub.url)
        self.run_program("embed", "org/none", "x", status=1, says="has no such repository, or shows it only to those who send a token (HF_TOKEN)")
        repo.gated = True
        self.pull("org/tiny", status=1, says="org/tiny is gated: accept its terms at %s/org/tiny, then set HF_TOKEN to a token of that account" % self.hub.url)
        self.pull("org/tiny", status=1, says="then use a token (HF_TOKEN) of that account", env={"HF_TOKEN": "t"})
        self.hub.fault = lambda h, path: h.refuse(401) or True
        self.pull("org/tiny", status=1, says="or shows it only to")
        self.hub.fault = lambda h, path: h.refuse(403, headers=[("X-Error-Message", "not in your country")]) or True
        self.pull("org/tiny", status=1, says="answered 403: not in your country")
        self.assertFalse(os.path.exists(self.folder()))

    def test_hostile_lists(self):
        for entry in ("../../evil", "/etc/evil", "a//b", "a/./b", "a\\b", "a\nb", ""):
            self.hub.siblings = [{"rfilename": "model.safetensors", "size": 1}, {"rfilename": entry, "size": 1}]
            self.pull("org/tiny", status=1, says="expected a path inside the repository")
        self.hub.siblings = [{"rfilename": "model.safetensors", "size": -5}]
        self.pull("org/tiny", status=1, says="expected a number of bytes")
        self.hub.fault = lambda h, path: h.refuse(200, body=b"<html>") or True
        self.pull("org/tiny", status=1, says="org/tiny: ")
        self.assertFalse(os.path.exists(self.folder()))

    def test_no_way_back_from_tls(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl program to make a certificate")
        cert, key = self.work + "/cert.pem", self.work + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        hub = Hub((cert, key))
        hub.repos = self.hub.repos
        env = {"HF_ENDPOINT": hub.url, "CURL_CA_BUNDLE": cert, "HF_TOKEN": "hf_secret"}
        self.pull("org/tiny", env=env)
        self.check_whole("org--tiny", self.needed())
        hub.cdn = hub.other
        self.pull("org/big", env=env, status=1, says="model.safetensors: redirected to %s, expected https" % hub.other)
        self.assertFalse([r for r in hub.requests if r[0] == "cdn"])
        self.pull("org/big", env={"HF_ENDPOINT": hub.url}, status=1, says="certificate")
        hub.close()


class Faults(HubTest):
    def test_cut_connections(self):
        """Each answer breaks after 700 kB; every byte comes once."""
        sent = []

        def fault(h, path):
            if not path.endswith("model.safetensors"):
                return False
            data, first = self.hub.repos["org/big"].files["model.safetensors"], 0
            if h.headers.get("Range"):
                first = int(h.headers["Range"].split("=")[1].rstrip("-"))
            n = min(700000, len(data) - first)
            sent.append((first, n))
            h.send_beginning(data, first, n)
            h.cut()
            return True

        self.hub.fault = fault
        self.pull("org/big", says="trying again in")
        self.check_whole("org--big", self.hub.repos["org/big"].files)
        self.assertEqual([f for f, _ in sent], sorted({f for f, _ in sent}))
        self.assertGreaterEqual(len(sent), 5)

    def test_range_ignored(self):
        self.hub.ranges, first = False, []

        def fault(h, path):
            if path.endswith("model.safetensors") and not first:
                first.append(1)
                h.send_beginning(self.hub.repos["org/big"].files["model.safetensors"], 0, 1000000)
                h.cut()
                return True

        self.hub.fault = fault
        self.pull("org/big")
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_wrong_range(self):
        def fault(h, path):
            if path.endswith("model.safetensors") and len([p for p in self.hub.files_asked() if p == "model.safetensors"]) == 1:
                h.send_beginning(self.hub.repos["org/big"].files["model.safetensors"], 0, 1000000)
                h.cut()
                return True
            if path.endswith("model.safetensors") and h.headers.get("Range"):
                h.send_response(206)
                h.send_header("Content-Range", "bytes 5-9/3145728")
                h.send_header("Content-Length", "5")
                h.end_headers()
                h.wfile.write(b"12345")
                return True

        self.hub.fault = fault
        self.pull("org/big", says="found another range than asked for")
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def wrong_answer(self, times, data):
        count = []

        def fault(h, path):
            if path.endswith("model.safetensors") and len(count) < times:
                count.append(1)
                h.send_file(data)
                return True

        self.hub.fault = fault

    def test_wrong_sums(self):
        good = self.hub.repos["org/big"].files["model.safetensors"]
        for bad in (noise(99, len(good)), good + b"more"):
            self.wrong_answer(1, bad)
            self.pull("org/big", says="fetching it again")
            self.check_whole("org--big", self.hub.repos["org/big"].files)
            self.run_program("rm", "org/big")
        bad = noise(98, len(good))
        self.wrong_answer(9, bad)
        self.pull("org/big", status=1, says="model.safetensors: found SHA-256 %s, expected %s, twice; it was deleted" % (hashlib.sha256(bad).hexdigest(), hashlib.sha256(good).hexdigest()))
        self.assertFalse(os.path.exists(self.folder("org--big")))
        self.assertFalse([p for p in self.parts("org--big") if hashlib.sha256(good).hexdigest() in p])

    def test_short_file(self):
        self.wrong_answer(1, self.hub.repos["org/big"].files["model.safetensors"][:-5])
        self.pull("org/big", says="the answer ended early")
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def refuse_first(self, times, status, headers=()):
        count = []

        def fault(h, path):
            if len(count) < times:
                count.append(time.monotonic())
                h.refuse(status, headers=headers)
                return True
            count.append(time.monotonic())

        self.hub.fault = fault
        return count

    def test_busy_servers(self):
        for status in (408, 429, 500, 502, 503, 504):
            self.refuse_first(1, status)
            self.pull("org/tiny", says="the server answered %d; trying again in 0." % status)
            self.run_program("rm", "org/tiny")
        at = self.refuse_first(1, 429, [("Retry-After", "2")])
        self.pull("org/tiny", says="trying again in 2.0 s")
        self.assertGreaterEqual(at[1] - at[0], 1.9)
        self.run_program("rm", "org/tiny")
        self.refuse_first(99, 503, [("Retry-After", "86400")])
        self.pull("org/tiny", status=1, says="asked to come back in 86400 s")

    def test_gives_up(self):
        at = self.refuse_first(99, 503)
        self.pull("org/tiny", status=1, says="the server answered 503; gave up after 6 tries")
        self.assertEqual(len(at), 6)
        self.assertTrue(all(0.1 <= b - a <= 11 for a, b in zip(at, at[1:])))
        self.assertGreater(at[5] - at[4], at[1] - at[0])
        self.pull("org/tiny", status=1, says="gave up after 3 tries", env={"HF_ENDPOINT": "http://127.0.0.1:9"})

    def test_stalls(self):
        count = []

        def fault(h, path):
            if path.endswith("model.safetensors") and len(count) < 2:
                count.append(1)
                h.send_beginning(self.hub.repos["org/big"].files["model.safetensors"], 0, 100000)
                time.sleep(4)
                h.close_connection = True
                return True

        self.hub.fault = fault
        self.pull("org/big", says="nothing came in time", env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_signed_address_expires(self):
        """A refusal of the content server sends us back to the endpoint for a new address."""
        self.hub.cdn, count = self.hub.other, []

        def fault(h, path):
            if h.server.kind == "cdn" and len(count) < 1:
                count.append(1)
                h.refuse(403)
                return True

        self.hub.fault = fault
        self.pull("org/big", says="the server answered 403; trying again")
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_redirects_without_end(self):
        self.hub.fault = lambda h, path: "/resolve/" in path and (h.refuse(302, headers=[("Location", h.path)]) or True)
        self.pull("org/big", status=1, says="more than 10 redirects")

    def test_full_disk(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        self.pull("org/big", status=1, says="cannot write: File too large", preexec_fn=limit)
        self.assertFalse(os.path.exists(self.folder("org--big")))
        self.pull("org/big")
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_small_disk(self):
        os.makedirs(self.home)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", self.home], capture_output=True).returncode:
            self.skipTest("mounting a small tmpfs is not permitted")
        try:
            self.pull("org/big", status=1, says="org/big still needs 3.1 MB, found 2.")
            self.assertFalse(os.path.exists(self.folder("org--big")))
        finally:
            subprocess.run(["umount", self.home], check=True)

    def test_read_only_home(self):
        with open(self.work + "/file", "w"):
            pass
        self.pull("org/tiny", status=1, says="cannot make this folder", env={"GLLM_HOME": self.work + "/file/home"})


class Processes(HubTest):
    def slow(self):
        self.hub.chunk, self.hub.pause = 1 << 16, 0.02

    def test_two_at_once(self):
        self.slow()
        both = [self.start("pull", "org/big") for _ in range(3)]
        done = [p.communicate(timeout=60) for p in both]
        self.assertEqual([p.returncode for p in both], [0, 0, 0], done)
        self.assertTrue(any("another process" in err and "waiting for it" in err for _, err in done), done)
        self.assertEqual(sorted(self.hub.files_asked()), sorted(self.hub.repos["org/big"].files))
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_rm_during_pull(self):
        self.slow()
        self.pull("org/tiny")
        self.hub.repos["org/tiny"].files["model.safetensors"] += noise(1, 1 << 20)
        p = self.start("pull", "org/tiny")
        while not self.parts("org--tiny"):
            time.sleep(0.01)
        self.run_program("rm", "org/tiny", status=1, says="another process fetches this model")
        self.assertEqual(p.wait(60), 0)
        p.communicate()

    def test_interrupt(self):
        self.slow()
        p = self.start("pull", "org/big")
        while not any(f.endswith(".part") for f in self.parts("org--big")):
            time.sleep(0.01)
        time.sleep(0.2)
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 130, err)
        self.assertIn("what has come is kept", err)
        self.hub.requests.clear()
        self.pull("org/big")
        ranges = [h.get("Range") for _, path, h, _ in self.hub.requests if path.endswith("model.safetensors")]
        self.assertEqual(len(ranges), 1)
        self.assertRegex(ranges[0], r"^bytes=[1-9]\d*-$")
        self.check_whole("org--big", self.hub.repos["org/big"].files)

    def test_interrupt_on_demand(self):
        self.slow()
        p = self.start("embed", "org/big", "x")
        while not any(f.endswith(".part") for f in self.parts("org--big")):
            time.sleep(0.01)
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 130, err)
        self.assertEqual(err.count("what has come is kept, and the same command goes on from there"), 1, err)

    def test_bar(self):
        """On a terminal one line that is drawn again and ends empty; to a pipe a line for each tenth."""
        self.slow()
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        p = subprocess.Popen([PROGRAM, "pull", "org/big"], stdout=subprocess.DEVNULL, stderr=theirs, env=self.env)
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:  # the terminal is gone
            pass
        os.close(ours)
        self.assertEqual(p.wait(30), 0)
        lines = shown.decode().split("\r\x1b[K")
        self.assertGreater(len(lines), 4, lines)
        self.assertEqual(lines[-1], "")
        for line in lines[2:-1]:
            self.assertRegex(line, r"^org/big  \d+\.\d [kM]B of 3\.1 MB  \[=* *\]  \d+ %  \d+\.\d MB/s  \d+ s left$")
        shares = [int(line.split("]")[1].split()[0]) for line in lines[2:-1]]
        self.assertEqual(shares, sorted(shares))
        self.run_program("rm", "org/big")
        _, err = self.pull("org/big")
        tenths = err.splitlines()
        self.assertTrue(2 <= len(tenths) <= 10, err)
        for line in tenths:
            self.assertRegex(line, r"^gllm: org/big: \d+\.\d [kM]B of 3\.1 MB$")
        self.run_program("rm", "org/big")
        self.assertEqual(self.pull("org/big", "--quiet")[1], "")

    def test_kill(self):
        """kill -9 at random times, over a first fetch and over a change of revision: the folder is one of the two whole states, and in the end the right one."""
        rng, kills, finished = random.Random(SEED), 0, 0
        repo = self.hub.repos["org/big"]
        self.hub.chunk, self.hub.pause = 1 << 15, 0.001
        began = time.monotonic()
        self.pull("org/big")
        whole = time.monotonic() - began  # what a fetch takes here
        self.run_program("rm", "org/big")
        before, now = None, dict(repo.files)
        while kills < 30:
            p = self.start("pull", "org/big")
            try:
                p.wait(rng.random() * whole)
                finished += 1
            except subprocess.TimeoutExpired:
                p.kill()
                kills += 1
            p.communicate()
            found = tree(self.folder("org--big")) if os.path.exists(self.folder("org--big")) else None
            if found:
                json.loads(found.pop(".gllm.json"))
            self.assertIn(found, (before, now), "a state between")
            if found == now:  # the next revision
                before = now
                repo.files["model.safetensors"], repo.files["config.json"] = noise(100 + kills + finished, 3 << 20), b'{"after": %d}' % (kills + finished)
                now = dict(repo.files)
        self.pull("org/big")
        self.check_whole("org--big", now)
        print("kill -9: %d, finished before: %d (GLLM_TEST_SEED=%d)" % (kills, finished, SEED))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=1)
