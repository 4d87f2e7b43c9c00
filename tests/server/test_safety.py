"""test_safety.py - keys, origins, sockets, and how the server starts and ends."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from serving import GLLM, Server, check, end, equal

MODEL = "tests/golden/models/bert-mean"
BODY = {"input": "the whale"}
folder = tempfile.TemporaryDirectory()
keys = os.path.join(folder.name, "keys")


def write_keys(text):
    with open(keys, "w") as f:
        f.write(text)


def refused(*arguments):
    """What the server says when it does not start."""
    r = subprocess.run([GLLM, "serve", *arguments], capture_output=True, text=True, timeout=60)
    check(r.returncode != 0, f"serve {arguments} does not start")
    return r.stderr


# keys
write_keys("# two people\nalpha-key\n\nbeta-key\n")
s = Server(MODEL, "--api-key-file", keys, "--log", "json")
for headers in ({"authorization": "Bearer alpha-key"}, {"authorization": "bearer beta-key"}, {"x-api-key": "beta-key"}, {"api-key": "alpha-key"}):
    s.post("/v1/embeddings", BODY, headers=headers)
for headers in ({}, {"authorization": "Bearer alpha-ke"}, {"authorization": "Bearer alpha-key2"}, {"authorization": "Basic alpha-key"}, {"x-api-key": ""}, {"authorization": "Bearer " + "a" * 300},
                {"authorization": "Bearer # two people"}):
    e = s.post("/v1/embeddings", BODY, 401, headers=headers)["error"]
    equal((e["code"], e["type"], s.headers["www-authenticate"]), ("invalid_api_key", "authentication_error", "Bearer"), f"refusal of {headers}")
equal(s.get("/v1/models").status, 401, "the list of models needs a key")
equal([s.get(p).status for p in ("/health", "/ping", "/metrics", "/version")], [200] * 4, "these need none")
write_keys("gamma-key\n")
s.process.send_signal(signal.SIGHUP)
for _ in range(100):
    if s.request("GET", "/v1/models", headers={"x-api-key": "gamma-key"}).status == 200:
        break
    time.sleep(0.05)
s.post("/v1/embeddings", BODY, headers={"x-api-key": "gamma-key"})
s.post("/v1/embeddings", BODY, 401, headers={"x-api-key": "alpha-key"})
write_keys("# none\n")
s.process.send_signal(signal.SIGHUP)
for _ in range(100):
    if any("old keys stay" in line for line in s.log):
        break
    time.sleep(0.05)
s.post("/v1/embeddings", BODY, headers={"x-api-key": "gamma-key"})
equal(s.stop(signal.SIGINT), 0, "the exit status after SIGINT")
lines = [json.loads(line) for line in s.log if line.startswith("{")]
check(any(line.get("path") == "/v1/embeddings" and line["status"] == 200 and line["tokens_in"] > 0 for line in lines), "log lines are JSON and count tokens")
check(not any(k in line for k in ("alpha", "beta-key", "gamma-key", "whale") for line in s.log), "the log holds neither keys nor contents")

# starts that are refused
check("--api-key-file" in refused(MODEL, "--host", "0.0.0.0", "--port", "0"), "a public bind without keys")
check("found no key" in refused(MODEL, "--api-key-file", keys, "--port", "0"), "a file without keys")
check("No such file" in refused(MODEL, "--api-key-file", keys + "x", "--port", "0"), "no file of keys")
check("no such model" in refused("./nothing/of-that-name", "--port", "0"), "no such model")
check("--host" in refused(MODEL, "--host", "no.such.host.invalid", "--port", "0"), "no such host")
check('"twice" is open' in refused(f"twice={MODEL}", f"twice={MODEL}", "--port", "0"), "a name given twice")
with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    check("in use" in refused(MODEL, "--port", str(taken.getsockname()[1])), "a port that is taken")
broken = os.path.join(folder.name, "broken")
shutil.copytree(MODEL, broken)
os.truncate(os.path.join(broken, "model.safetensors"), 100)
check("model.safetensors" in refused(broken, "--port", "0"), "a broken model ends the start and is named")

# origins
s = Server(MODEL, "--public")
own = f"127.0.0.1:{s.port}"
equal(s.request("OPTIONS", "/v1/embeddings", headers={"origin": "http://evil.example"}).status, 403, "no preflight for strangers")
s.post("/v1/embeddings", BODY, 403, headers={"origin": "http://evil.example"})
s.post("/v1/embeddings", BODY, 403, headers={"origin": "http://evil.example", "host": "evil.example"})
s.post("/v1/embeddings", BODY, 403, headers={"origin": "null"})
s.post("/v1/embeddings", BODY, headers={"origin": f"http://{own}"})
check("access-control-allow-origin" not in s.headers, "no CORS unless asked")
s.stop()
s = Server(MODEL, "--cors-origin", "http://page.example")
r = s.request("OPTIONS", "/v1/embeddings", headers={"origin": "http://page.example", "access-control-request-method": "POST"})
equal((r.status, r.headers["access-control-allow-origin"], r.headers["access-control-allow-methods"]), (204, "http://page.example", "POST"), "preflight")
s.post("/v1/embeddings", BODY, headers={"origin": "http://page.example"})
equal(s.headers["access-control-allow-origin"], "http://page.example", "the origin that may")
s.post("/v1/embeddings", BODY, 403, headers={"origin": "http://other.example"})
s.stop()

# a socket by path, and one that was handed over
path = os.path.join(folder.name, "socket")
p = subprocess.Popen([GLLM, "serve", MODEL, "--host", f"unix:{path}"], stderr=subprocess.PIPE, text=True)
while "ready" not in (line := p.stderr.readline()):
    if not line:
        break
with socket.socket(socket.AF_UNIX) as c:
    c.connect(path)
    c.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    check(b"200 OK" in c.recv(4096), "an answer over a socket by path")
p.send_signal(signal.SIGTERM)
p.communicate(timeout=60)
check(p.returncode == 0 and not os.path.exists(path), "the path is gone at the end")

told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.bind(os.path.join(folder.name, "notify"))
told.settimeout(30)
listener = socket.create_server(("127.0.0.1", 0))
p = subprocess.Popen(["/bin/sh", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET={folder.name}/notify exec "{GLLM}" serve {MODEL}'], stderr=subprocess.PIPE, text=True,
                     preexec_fn=lambda: os.dup2(listener.fileno(), 3), close_fds=False)
check(b"READY=1" in told.recv(4096), "systemd is told that the server is ready")
c = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=30)
c.request("GET", "/health")
equal(c.getresponse().status, 200, "an answer over a socket that was handed over")
c.close()
p.send_signal(signal.SIGTERM)
check(b"STOPPING=1" in told.recv(4096), "systemd is told that the server ends")
p.communicate(timeout=60)

# the end: requests in flight are answered, new ones are refused
s = Server(MODEL, "--threads", "1")
answers = []
texts = ["the whale and the sea " * 10] * 2000


def ask():
    try:
        answers.append(s.request("POST", "/v1/embeddings", {"input": texts, "truncate": "end"}).status)
    except OSError as e:
        answers.append(str(e))


threads = [threading.Thread(target=ask) for _ in range(4)]
for t in threads:
    t.start()
while json.loads(s.get("/v1/models").body)["data"][0]["gllm"]["running"] == 0 and any(t.is_alive() for t in threads):
    time.sleep(0.01)
in_flight = sum(t.is_alive() for t in threads)
equal(s.stop(timeout=120), 0, "the exit status of a drained server")
for t in threads:
    t.join()
equal(answers, [200] * 4, f"requests in flight are answered ({in_flight} were)")
check(in_flight > 0, "requests were in flight when the signal came")
s = Server(MODEL, "--threads", "1", "--drain-timeout", "1")
texts = ["the whale and the sea " * 10] * 2048
threads = [threading.Thread(target=ask) for _ in range(24)]
answers.clear()
for t in threads:
    t.start()
time.sleep(0.5)
start = time.time()
equal(s.stop(timeout=120), 0, "the exit status when the drain is cut short")
for t in threads:
    t.join()
check(all(a in (200, 499, 503) or isinstance(a, str) for a in answers), f"answers of a drain that is cut short: {answers}")
end()
