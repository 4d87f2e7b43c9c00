#!/usr/bin/env python3
"""Runs gllm beside llama.cpp on a GGUF file: the same numbers of tokens, the same minutes, taking turns.

    pip install -r bench/requirements.txt
    python3 bench/peers_generate.py MODEL.gguf [--rounds 5] [--prompt 512] [--gen 64] [--depth 0]

Each round runs `gllm bench --json` once and llama.cpp (llama-cpp-python's own build; default cache f16, flash attention as it chooses) three times in
a process of its own, whose median counts. A ratio is gllm's speed over llama.cpp's in the same round. Start-up is the whole process until one
token of a short prompt is out.
"""
import argparse, json, os, statistics, subprocess, sys, time

LLAMA = r"""
import json, sys, time, numpy as np, llama_cpp as L
path, prompt, gen, depth, threads = sys.argv[1], *map(int, sys.argv[2:6])
quiet = L.llama_log_callback(lambda a, b, c: None); L.llama_log_set(quiet, None); L.llama_backend_init()
m = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
p = L.llama_context_default_params(); p.n_ctx = depth + prompt + gen + 64; p.n_batch = 2048; p.n_ubatch = 512; p.n_threads = p.n_threads_batch = threads
c = L.llama_init_from_model(m, p); n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(m)); rng = np.random.default_rng(1)
def feed(n, at):
    while n:
        k = min(n, 512); b = L.llama_batch_init(k, 0, 1)
        for i in range(k):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0], b.logits[i] = int(rng.integers(5, min(n_vocab, 30000))), at + i, 1, 0, i == k - 1
        b.n_tokens = k
        assert L.llama_decode(c, b) == 0
        L.llama_batch_free(b); n -= k; at += k
pre, dec = [], []
for r in range(4):
    L.llama_memory_clear(L.llama_get_memory(c), True)
    if depth: feed(depth, 0)
    t = time.perf_counter(); feed(prompt, depth); pre.append(prompt / (time.perf_counter() - t))
    t = time.perf_counter()
    for i in range(gen): feed(1, depth + prompt + i)
    dec.append(gen / (time.perf_counter() - t))
print(json.dumps([sorted(pre[1:])[1], sorted(dec[1:])[1]]))
"""
COLD = r"""
import sys, llama_cpp as L
quiet = L.llama_log_callback(lambda a, b, c: None); L.llama_log_set(quiet, None); L.llama_backend_init()
m = L.llama_model_load_from_file(sys.argv[1].encode(), L.llama_model_default_params())
p = L.llama_context_default_params(); p.n_ctx = 512; p.n_threads = p.n_threads_batch = int(sys.argv[2])
c = L.llama_init_from_model(m, p); v = L.llama_model_get_vocab(m)
t = (L.llama_token * 64)(); n = L.llama_tokenize(v, sys.argv[3].encode(), len(sys.argv[3]), t, 64, True, False)
assert L.llama_decode(c, L.llama_batch_get_one(t, n)) == 0
"""


def timed(command):
    t = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, use = os.wait4(p.pid, 0)
    assert status == 0, command
    return (time.perf_counter() - t) * 1e3, use.ru_maxrss / 1024


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("--gllm", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../build/release/gllm"))
    for name, usual in (("rounds", 5), ("prompt", 512), ("gen", 64), ("depth", 0), ("threads", len(os.sched_getaffinity(0)))):
        a.add_argument("--" + name, type=int, default=usual)
    o = a.parse_args()
    prefill, decode, mine, peak = [], [], [], []
    for _ in range(o.rounds):
        depth = ["--depth", str(o.depth)] if o.depth else []
        g = json.loads(subprocess.run([o.gllm, "bench", o.model, "--prompt", str(o.prompt), "--gen", str(o.gen), "--threads", str(o.threads), "--seconds", "3", "--json", *depth], check=True, capture_output=True).stdout)
        l = json.loads(subprocess.run([sys.executable, "-c", LLAMA, o.model, str(o.prompt), str(o.gen), str(o.depth), str(o.threads)], check=True, capture_output=True).stdout)
        prefill.append(g["prefill_tokens_per_s"] / l[0]); decode.append(g["decode_tokens_per_s"] / l[1])
        mine.append((g["prefill_tokens_per_s"], g["decode_tokens_per_s"], *l)); peak.append(g["read_gb_per_s"])
    med = [statistics.median(x[i] for x in mine) for i in range(4)]
    print(f"{os.path.basename(o.model)}, prompt {o.prompt}, answer {o.gen}, depth {o.depth}, {o.threads} threads, {o.rounds} rounds; read peak {statistics.median(peak):.1f} GB/s")
    for name, i, r in (("prefill", 0, prefill), ("decode", 1, decode)):
        print(f"  {name:8s} gllm {med[i]:8.1f}  llama.cpp {med[i + 2]:8.1f} tokens/s   ratio {statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})")
    g = [timed([o.gllm, "run", o.model, "--raw", "The capital of France is", "--max-tokens", "1", "--threads", str(o.threads)]) for _ in range(12)][2:]
    l = [timed([sys.executable, "-c", COLD, o.model, str(o.threads), "The capital of France is"]) for _ in range(12)][2:]
    p = [timed([sys.executable, "-c", "import llama_cpp"]) for _ in range(12)][2:]
    ms = [statistics.median(x[0] for x in k) for k in (g, l, p)]
    print(f"  start to first token: gllm {ms[0]:.0f} ms; llama.cpp {ms[1] - ms[2]:.0f} ms beyond importing its Python package ({ms[2]:.0f} ms)")
    print(f"  peak resident of that: gllm {max(x[1] for x in g):.0f} MiB, file {os.path.getsize(o.model) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
