"""serving.py - what the server's tests share: a server on a free port, requests to it, and what the command line computes.

A test is a program: it gets the path of gllm, runs in the source tree's root, and ends with `serving.end()`, which tells the checks that failed. It skips with status 77."""
import atexit
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

GLLM = sys.argv[1] if len(sys.argv) > 1 else "build/release/gllm"
failures, checks = [], 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}", file=sys.stderr)
    return bool(condition)


def equal(found, expected, what):
    return check(found == expected, f"{what}: found {str(found)[:300]}, expected {str(expected)[:300]}")


def close(found, expected, what, bound=1e-6):
    worst = max((abs(a - b) for a, b in zip(found, expected)), default=0)
    return check(len(found) == len(expected) and worst <= bound, f"{what}: {len(found)} values against {len(expected)}, largest difference {worst}")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def end():
    print(f"{checks} checks, {len(failures)} failed")
    sys.exit(1 if failures else 0)


class Server:
    """gllm serve on a free port. `log` is what it said; ready: wait until /health says ok."""

    def __init__(self, *arguments, ready=True, **popen):
        self.log, self.port = [], 0
        self.process = subprocess.Popen([GLLM, "serve", *arguments, "--port", "0"], stderr=subprocess.PIPE, text=True, errors="replace", **popen)
        atexit.register(self.kill)
        listening = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(listening,), daemon=True)
        self.reader.start()
        if not listening.wait(60) or not self.port:
            raise RuntimeError(f"gllm serve {' '.join(arguments)} does not listen: {self.log}")
        for _ in range(1200 if ready else 0):
            if self.get("/health").status == 200:
                return
            time.sleep(0.05)
        if ready:
            raise RuntimeError(f"gllm serve is not ready: {self.log}")

    def _read(self, listening):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))
            if "listening on http" in line:
                self.port = int(line.strip().rstrip('"}').rsplit(":", 1)[1])
                listening.set()
        listening.set()

    def request(self, method, path, body=None, headers=(), timeout=120):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method, path, data.encode() if isinstance(data, str) else data, dict(headers))
        answer = connection.getresponse()
        answer.body = answer.read()
        connection.close()
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, status=200, **more):
        """The parsed body of an answer with that status."""
        answer = self.request("POST", path, body, **more)
        check(answer.status == status, f"POST {path} {str(body)[:120]}: status {answer.status}, expected {status}: {answer.body[:300]}")
        value = json.loads(answer.body)
        self.headers = answer.headers
        return value

    def raw(self, data, timeout=10):
        """What comes back for these bytes until the server closes or `timeout` is over."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            found = b""
            try:
                s.sendall(data)
                while chunk := s.recv(65536):
                    found += chunk
            except (TimeoutError, ConnectionError):
                pass
            return found

    def stop(self, number=signal.SIGTERM, timeout=60):
        self.process.send_signal(number)
        self.process.wait(timeout)
        self.reader.join(5)
        return self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def cli(*arguments, **more):
    """Standard output of the command line."""
    return subprocess.run([GLLM, *arguments], check=True, capture_output=True, text=True, **more).stdout


def cli_vectors(model, texts, *options):
    return [json.loads(line) for line in cli("embed", model, *texts, "--format", "jsonl", *options).splitlines()]


def real(name):
    """The path of a real model on this machine; the test is skipped when it is not there."""
    path = os.path.join(os.environ.get("GLLM_HOME", os.path.expanduser("~/.gllm")), "models", name)
    return path if os.path.exists(path) else skip(f"{name} is not in the model folder; `make models` fetches it")
