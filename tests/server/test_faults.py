"""test_faults.py - what clients and the machine do wrong: each fault is answered or cut off, nothing is lost, and the next request is answered."""
import http.client
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from serving import GLLM, Server, check, cli_vectors, end, equal

MODEL = "tests/golden/models/bert-mean"
TEXT = "the whale"
EXPECTED = cli_vectors(MODEL, [TEXT], "--normalize", "on")[0]


def alive(server, after):
    equal(server.post("/v1/embeddings", {"input": TEXT})["data"][0]["embedding"], EXPECTED, f"the next answer after {after}")


def head(server, length, more=""):
    return f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def until(condition, seconds=20):
    limit = time.time() + seconds
    while not condition() and time.time() < limit:
        time.sleep(0.05)
    return condition()


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def metric(server, name):
    return next(float(line.rsplit(" ", 1)[1]) for line in server.get("/metrics").body.decode().splitlines() if line.startswith(name + " "))


s = Server(MODEL, "--idle-timeout", "2", "--max-body", "1")
alive(s, "the start")
at_rest = descriptors(s)

# bodies that are no JSON, or too much of it
BODIES = [
    (b"", "empty"), (b"{", "not JSON"), (b"[]", "not an object"), (b'{"input": "a",}', "not JSON"), (b'{"input": "a"} x', "not JSON"), (b"\xff\xfe", "not UTF-8 at byte 0"),
    (b'{"input": "a\xc3"}', "not UTF-8 at byte 12"), (b'{"input": "\xed\xa0\x80"}', "not UTF-8 at byte 11"), (b'{"input": "\\ud800"}', "not JSON"), (b'{"a":' * 100 + b"1" + b"}" * 100, "nested more than 64 deep"),
    (b"[" * 500000, "nested more than 64 deep"), (b'{"input": 1e999}', "not JSON"), (b'{"input": 99999999999999999999999}', "not JSON"), (b'{"input": "' + b"\x00" + b'"}', "not JSON"), (b'"' + b"\\" * 1001, "not JSON"),
]
for body, what in BODIES:
    answer = s.request("POST", "/v1/embeddings", body)
    check(answer.status == 400 and what in json.loads(answer.body)["error"]["message"], f"{body[:40]}: {answer.status} {answer.body[:200]}, expected 400 with \"{what}\"")
answer = s.request("POST", "/v1/embeddings", b'{"input": "a\\u0000b"}')
equal(answer.status, 200, "a NUL within a text is text")
alive(s, "malformed bodies")
answer = s.request("POST", "/v1/embeddings", b" " * (1 << 20) + b"{}")
equal((answer.status, json.loads(answer.body)["error"]["code"]), (413, "request_too_large"), "a body above the limit, which is read whole first")
equal(status(s.raw(head(s, 1 << 40))), 413, "a body far above the limit, which is not read")
equal(s.request("POST", "/v1/embeddings", b"{}", headers={"content-encoding": "gzip"}).status, 415, "a body that is encoded")
alive(s, "large bodies")

# requests that are no HTTP
for data, what in [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200), "TLS"), (b"GET\r\n\r\n", "no path"), (b"GET /health HTTP/9.9\r\n\r\n", "version"), (os.urandom(4000), "noise"), (b"\r\n" * 100, "empty lines"),
    (head(s, 5, "Transfer-Encoding: chunked\r\n") + b"zz\r\n{}\r\n0\r\n\r\n", "chunks without a length"), (head(s, "x"), "a length that is no number"), (head(s, -5), "a negative length"),
    (b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n", "a chunk of 2^64"),
    (b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000 + b"\r\n\r\n", "giant header"), (b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n", "giant path"),
    (b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(20000)) + b"\r\n", "many headers"),
]:
    answer = s.raw(data)
    check(status(answer) in (0, 400, 404, 411, 413, 414, 431, 505), f"{what}: {answer[:80]}")
    alive(s, what)
pipelined = s.raw((head(s, 16) + b'{"input": "one"}') * 3 + b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
equal(pipelined.count(b"HTTP/1.1 200"), 4, "pipelined requests")
chunked = s.raw(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % c for c in b'{"input": "one"}') + b"0\r\n\r\n")
equal(status(chunked), 200, "a body in chunks of a byte")

# clients that are slow, silent or gone
for data, what in [(b"", "silence"), (b"GET /hea", "half a line"), (head(s, 100) + b'{"in', "half a body"), (b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "half a chunk")]:
    start = time.time()
    s.raw(data, timeout=20)
    check(1 < time.time() - start < 10, f"{what} is ended after the idle timeout: {time.time() - start:.1f} s")
with socket.create_connection(("127.0.0.1", s.port)) as c:  # a header byte each 0.2 s: no pause is ever long
    start = time.time()
    try:
        for byte in b"GET /health HTTP/1.1\r\nX-Slow: " + b"a" * 100:
            c.sendall(bytes([byte]))
            time.sleep(0.2)
    except OSError:
        pass
    check(time.time() - start < 12, f"drops are ended: {time.time() - start:.1f} s")
for i in range(50):
    with socket.create_connection(("127.0.0.1", s.port)) as c:
        c.sendall(head(s, 20) + b'{"input": "whale"   '[: 20 - i % 3])
        if i % 2:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
alive(s, "clients that hung up")
check(until(lambda: descriptors(s) <= at_rest + 1), f"connections are given back: {descriptors(s)} descriptors, {at_rest} at rest")

# a client that hangs up while its request waits takes its jobs with it
s.stop()
s = Server(MODEL, "--threads", "1")
body = json.dumps({"input": ["the whale and the sea " * 10] * 2000, "truncate": "end"}).encode()
before = metric(s, "gllm_clients_gone_total")
for _ in range(6):
    with socket.create_connection(("127.0.0.1", s.port)) as c:
        c.sendall(head(s, len(body)) + body)
        time.sleep(0.05)
check(until(lambda: metric(s, "gllm_clients_gone_total") >= before + 4), "hung-up clients are noticed")
check(until(lambda: metric(s, "gllm_requests_in_flight") <= 1), "their requests end")
alive(s, "clients that hung up while they waited")

# a full queue says so
s.stop()
s = Server(MODEL, "--threads", "1", "--max-queue", "2")
found = []
threads = [threading.Thread(target=lambda: found.append(s.request("POST", "/v1/embeddings", body))) for _ in range(12)]
for t in threads:
    t.start()
for t in threads:
    t.join()
codes = sorted(r.status for r in found)
check(set(codes) == {200, 429}, f"a full queue: {codes}")
check(all(r.headers["retry-after"] and json.loads(r.body)["error"]["code"] == "rate_limit_exceeded" for r in found if r.status == 429), "429 says when to come again")
alive(s, "a full queue")

# a request that takes too long
s.stop()
s = Server(MODEL, "--threads", "1", "--request-timeout", "1", "--max-body", "64", "--max-items", "100000")
slow = json.dumps({"input": ["the whale and the sea " * 10] * 60000, "truncate": "end"}).encode()
answer = s.request("POST", "/v1/embeddings", slow)
check(answer.status in (200, 504), f"a request that takes too long: {answer.status} {answer.body[:100]}")
alive(s, "a request that took too long")

# ten thousand connections that say nothing
s.stop()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
want = min(10000, hard - 200 if hard != resource.RLIM_INFINITY else 10000)
resource.setrlimit(resource.RLIMIT_NOFILE, (want + 200, hard))
s = Server(MODEL, "--max-connections", str(want + 50))
idle = []
for i in range(want):
    c = socket.socket()
    c.connect(("127.0.0.1", s.port))
    idle.append(c)
check(until(lambda: metric(s, "gllm_connections") >= want), f"{want} idle connections are held")
start = time.time()
alive(s, f"{want} idle connections")
took = time.time() - start
check(took < 2, f"an answer beside {want} idle connections took {took:.2f} s")
print(f"{want} idle connections: {metric(s, 'process_resident_memory_bytes') / 2**20:.0f} MiB resident, a request in {took * 1e3:.0f} ms")
for c in idle:
    c.close()
check(until(lambda: metric(s, "gllm_connections") < 50), "and let go")
s.stop()

# more connections than there is room for: the rest wait or are closed, and the server goes on
s = Server(MODEL, "--max-connections", "16")
idle = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(64)]
for c in idle:
    c.close()
check(until(lambda: s.get("/health").status == 200), "the server goes on after too many connections")
alive(s, "too many connections")
s.stop()

# a disk that is full for the log
with open("/dev/full", "w") as full:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    p = subprocess.Popen([GLLM, "serve", MODEL, "--port", str(other)], stderr=full)

    def health():
        try:
            c = http.client.HTTPConnection("127.0.0.1", other, timeout=5)
            c.request("GET", "/health")
            return c.getresponse().status == 200
        except OSError:
            return False

    check(until(health), "a server whose log has no room answers")
    p.terminate()
    equal(p.wait(60), 0, "and ends well")

# a model's file that is cut while it is served: that model answers nothing until the file is whole again, and the server lives
with tempfile.TemporaryDirectory() as folder:
    cut = os.path.join(folder, "cut")
    shutil.copytree(MODEL, cut)
    weights = os.path.join(cut, "model.safetensors")
    with open(weights, "rb") as f:
        whole = f.read()
    s = Server(f"other={MODEL}", f"cut={cut}")
    ask = {"input": TEXT, "model": "cut"}
    equal(s.post("/v1/embeddings", ask)["data"][0]["embedding"], EXPECTED, "before the file is cut")
    os.truncate(weights, 0)
    for _ in range(2):
        equal(s.post("/v1/embeddings", ask, 503)["error"]["code"], "model_failed", "the model whose file was cut")
    equal(s.headers["retry-after"], "5", "Retry-After")
    alive(s, "a file that was cut, from another model")
    with open(weights, "r+b") as f:
        f.write(whole)
    equal(s.post("/v1/embeddings", ask)["data"][0]["embedding"], EXPECTED, "once the file is whole again")
    equal(s.stop(), 0, "the exit status after a file was cut")
end()
