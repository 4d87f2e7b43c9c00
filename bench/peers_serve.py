#!/usr/bin/env python3
"""Runs gllm's server beside llama.cpp's and beside sentence-transformers behind uvicorn: the same requests, the same minutes, one server at a time.

    pip install -r bench/requirements.txt
    python3 bench/peers_serve.py --minilm DIRECTORY --smollm FILE.gguf --llama-server PROGRAM [--rounds 5] [--seconds 8] [--json FILE]

All servers of a piece of work are started before it and wait; the load of bench/serve_load.py goes to each in turn, so that an idle one costs nothing but memory. A
line gives each one's requests a second and 99th percentile (medians over the rounds) and the median over the rounds of gllm's figure against the
peer's in the same round: above 1 is gllm ahead, in requests a second and in p99. The cross-encoder is bench/peers_rerank.py's, the f32 GGUF of MiniLM is bench/peers.py's.
llama.cpp's server does not rerank with a BERT whose head was not converted, so it is left out there.
"""
import argparse, asyncio, json, os, socket, statistics, subprocess, sys, tempfile, time, urllib.request
import serve_load
from peers import Model, write_gguf
from peers_rerank import cross_encoder

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, name, command, env=None):
        self.name, self.port = name, free_port()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([a.replace("PORT", str(self.port)) for a in command], env={**os.environ, **(env or {})}, stdout=self.log, stderr=self.log, cwd=HERE)
        end = time.time() + 180
        while not self.answers():
            if self.process.poll() is not None or time.time() > end:
                self.log.seek(0)
                sys.exit(f"{name} did not start:\n{self.log.read()[-2000:].decode('utf-8', 'replace')}")
            time.sleep(0.2)

    def answers(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()


def gllm(o, *models):
    return Server("gllm", [o.gllm, "serve", *models, "--port", "PORT", "--threads", str(o.threads), "--log", "none"])


def llama(o, model, *more):
    return Server("llama.cpp", [o.llama_server, "-m", model, "--port", "PORT", "--host", "127.0.0.1", "-t", str(o.threads), "-tb", str(o.threads), "--no-webui", *more])


def uvicorn(o, reranker):
    return Server("uvicorn", [sys.executable, "-m", "uvicorn", "st_server:app", "--port", "PORT", "--log-level", "warning"],
                  {"GLLM_BENCH_EMBED": os.path.expanduser(o.minilm), "GLLM_BENCH_RERANK": reranker, "OMP_NUM_THREADS": str(o.threads), "HF_HUB_OFFLINE": "1"})


def compare(name, o, servers, load):
    if not name.startswith(o.only):
        return None
    rows = {s.name: [] for s in servers}
    for at in range(o.rounds):
        for s in servers[at % len(servers):] + servers[:at % len(servers)]:
            r = asyncio.run(serve_load.run(serve_load.options(["--port", str(s.port), "--seconds", str(o.seconds), *load])))
            if r["errors"]:
                serve_load.show(r)
                sys.exit(f"{s.name}: requests failed")
            rows[s.name].append(next(iter(r["kinds"].values())))
    med = lambda list: statistics.median(list)
    line = {"work": name, "servers": {n: {k: med([r[k] for r in v]) for k in ("per_s", "p50_ms", "p99_ms", "first_p50_ms")} for n, v in rows.items()}, "over": {}}
    for n in rows:
        if n != "gllm":
            line["over"][n] = {"per_s": round(med([a["per_s"] / b["per_s"] for a, b in zip(rows["gllm"], rows[n])]), 2), "p99": round(med([b["p99_ms"] / a["p99_ms"] for a, b in zip(rows["gllm"], rows[n])]), 2)}
    cells = ", ".join(f"{n} {v['per_s']}/s p99 {v['p99_ms']} ms (first byte {v['first_p50_ms']})" for n, v in line["servers"].items())
    print(f"{name}: {cells}; gllm over " + ", ".join(f"{n} {v['per_s']} in requests, {v['p99']} in p99" for n, v in line["over"].items()), flush=True)
    return line


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--minilm", required=True)
    a.add_argument("--smollm", required=True)
    a.add_argument("--llama-server", required=True)
    a.add_argument("--gllm", default=os.path.join(HERE, "../build/release/gllm"))
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--seconds", type=float, default=8)
    a.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a.add_argument("--only", default="", help="work whose name begins so")
    a.add_argument("--json")
    o = a.parse_args()
    o.gllm, report = os.path.abspath(o.gllm), []
    with tempfile.TemporaryDirectory() as tmp:
        m = Model(os.path.expanduser(o.minilm))
        file, ce = os.path.join(tmp, "minilm.gguf"), os.path.join(tmp, "cross-encoder")
        write_gguf(m, file)
        os.mkdir(ce)
        cross_encoder(m, ce)
        mini, smol = os.path.expanduser(o.minilm), os.path.expanduser(o.smollm)
        ours = gllm(o, "mini=" + mini, "cross=" + ce, "smol=" + smol)
        theirs = llama(o, file, "--embeddings", "--pooling", "mean", "-c", "32768", "-b", "2048", "-ub", "2048", "--parallel", "16")
        python = uvicorn(o, ce)
        try:
            for name, load in (("embed 1 x 16 words, 1 connection", ["--connections", "1", "--words", "16"]), ("embed 1 x 16 words, 16 connections", ["--connections", "16", "--words", "16"]),
                               ("embed 1 x 100 words, 16 connections", ["--connections", "16", "--words", "100"]), ("embed 16 x 60 words, 4 connections", ["--connections", "4", "--words", "60", "--inputs", "16"])):
                report.append(compare(name, o, [ours, theirs, python], ["--embed", "mini", *load]))
            report.append(compare("rerank 10 x 60 words, 4 connections", o, [ours, python], ["--rerank", "cross", "--connections", "4", "--words", "60", "--documents", "10"]))
            theirs.stop()
            theirs = llama(o, smol, "-c", "8192", "--parallel", "8")
            for n in (1, 8):
                report.append(compare(f"chat, 32 tokens streamed, {n} connection{'s' * (n > 1)}", o, [ours, theirs], ["--chat", "smol", "--connections", str(n), "--tokens", "32"]))
        finally:
            for s in (ours, theirs, python):
                s.stop()
    if o.json:
        json.dump(report, open(o.json, "w"), indent=1)


if __name__ == "__main__":
    main()
