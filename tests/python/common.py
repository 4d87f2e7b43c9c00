"""What the tests of the Python package share. $GLLM is the program, $GLLM_LIBRARY the library under test. Exit 77: skipped, and why."""
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests", "golden")
PROGRAM = os.environ.get("GLLM", os.path.join(ROOT, "build", "release", "gllm"))
sys.path.insert(0, os.path.join(ROOT, "python"))


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(77)


def need(*modules):
    """Skips the whole test unless these packages are there."""
    for module in modules:
        try:
            __import__(module)
        except ImportError as error:
            skip(f"no Python package {module}: {error}")


def real(*names):
    """Folder of a real model, or None."""
    for name in names:
        path = os.path.join(os.environ.get("GLLM_HOME", os.path.expanduser("~/.gllm")), "models", name)
        if os.path.isdir(path):
            return path
    return None


def run(*arguments, text=True):
    """The program's standard output."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=text, check=True).stdout


class Server:
    """`gllm serve` on a free port, ready when the block begins, ended by SIGTERM at its end."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        self.process = subprocess.Popen([PROGRAM, "serve", *self.arguments, "--port", "0", "--log", "none"], stderr=subprocess.PIPE, text=True)
        self.told = []
        for line in self.process.stderr:
            self.told.append(line)
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                self.url = found[1]
            if "ready" in line:
                self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
                self.reader.start()
                return self
        raise RuntimeError("the server did not start: " + "".join(self.told))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.reader.join()
        self.process.stderr.close()

    def post(self, path, body, key=None):
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
