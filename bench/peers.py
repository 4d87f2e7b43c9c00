#!/usr/bin/env python3
"""Runs gllm beside ONNX Runtime and llama.cpp on the same model, the same tokens and the same minutes.

    pip install -r bench/requirements.txt
    python3 bench/peers.py ~/.gllm/models/sentence-transformers--all-MiniLM-L6-v2 [--rounds 7] [--json FILE]

For every piece of work the programs take turns (one round: each of them once); a line gives each one's median and the median over the
rounds of gllm's speed over the peer's, in the same round. A ratio is what to quote: single times depend on what else the machine does.

What is compared
  gllm          texts through the public C API (libgllm.so by ctypes): its tokenizer is part of the time
  onnxruntime   token ids into a graph of ORT's own fused operators (EmbedLayerNormalization, Attention, SkipLayerNormalization, BiasGelu),
                written here from the safetensors, with mean pooling and L2 in the graph; mixed lengths are padded to the longest
  llama.cpp     token ids into llama_encode of a GGUF (f32) written here from the same safetensors; micro-batches of 512 tokens and of the
                whole batch are tried and the faster is taken; the mean over tokens is numpy's (its own pooling cannot be built with this release)
The vectors of all three are compared before anything is timed.
"""
import argparse, ctypes as C, json, os, random, re, statistics, subprocess, sys, tempfile, time
import numpy as np

WORDS = ["time", "water", "house", "music", "river", "light", "story", "world", "paper", "stone"]


# ---- the model's files ------------------------------------------------------------------------------------------------------------------
class Model:
    def __init__(self, path):
        from safetensors.numpy import load_file
        self.path = path
        self.cfg = json.load(open(os.path.join(path, "config.json")))
        self.w = {re.sub(r"^bert\.", "", k): v.astype(np.float32) for k, v in load_file(os.path.join(path, "model.safetensors")).items()}
        vocab = json.load(open(os.path.join(path, "tokenizer.json")))["model"]["vocab"]
        self.word_ids, self.cls, self.sep, self.unk = [vocab[w] for w in WORDS], vocab["[CLS]"], vocab["[SEP]"], vocab["[UNK]"]
        self.pieces = sorted(vocab, key=vocab.get)

    def text(self, length, seed):
        """A text of `length` tokens with its two special tokens, and its ids."""
        at = [(i + seed) % len(WORDS) for i in range(length - 2)]
        return " ".join(WORDS[i] for i in at), [self.cls] + [self.word_ids[i] for i in at] + [self.sep]


# ---- gllm -------------------------------------------------------------------------------------------------------------------------------
class Str(C.Structure):
    _fields_ = [("ptr", C.c_char_p), ("len", C.c_size_t)]


class Options(C.Structure):
    _fields_ = [("struct_size", C.c_size_t), ("model", C.c_char_p), ("home", C.c_char_p), ("backend", C.c_char_p), ("threads", C.c_uint32),
                ("max_batch_tokens", C.c_uint32), ("rest", C.c_char * 64)]


class Request(C.Structure):
    _fields_ = [("struct_size", C.c_size_t), ("inputs", C.POINTER(Str)), ("n_inputs", C.c_size_t), ("rest", C.c_char * 128)]


class Embeddings(C.Structure):
    _fields_ = [("count", C.c_size_t), ("dim", C.c_size_t), ("data", C.POINTER(C.c_float)), ("tokens", C.POINTER(C.c_uint32))]


class Gllm:
    name = "gllm"

    def __init__(self, path, lib, threads, batch_tokens=0):
        self.lib, self.client, self.error = C.CDLL(lib), C.c_void_p(), C.create_string_buffer(512)
        o = Options()
        self.lib.gllm_options_init_sized(C.byref(o), C.c_size_t(Options.rest.offset))
        o.model, o.threads, o.backend = path.encode(), threads, b"cpu"
        if batch_tokens:
            o.max_batch_tokens = batch_tokens
        self.check(self.lib.gllm_client_open(C.byref(self.client), C.byref(o), self.error))

    def check(self, status):
        if status:
            sys.exit("gllm: " + self.error.raw[4:].split(b"\0")[0].decode())

    def prepare(self, texts, ids):
        raw = [t.encode() for t in texts]
        arr = (Str * len(raw))(*[Str(t, len(t)) for t in raw])
        r = Request()
        self.lib.gllm_embed_request_init_sized(C.byref(r), C.c_size_t(Request.rest.offset))
        r.inputs, r.n_inputs = arr, len(raw)

        def run():
            e = C.POINTER(Embeddings)()
            self.check(self.lib.gllm_embed(self.client, C.byref(r), C.byref(e), self.error))
            v = e.contents
            out = np.ctypeslib.as_array(v.data, (v.count, v.dim)).copy()
            assert [v.tokens[i] for i in range(v.count)] == [len(x) for x in ids], "gllm: other token counts than the ids given to the peers"
            self.lib.gllm_embeddings_free(e)
            return out
        run.keep = (raw, arr)
        return run


# ---- ONNX Runtime -----------------------------------------------------------------------------------------------------------------------
def onnx_graph(m, pairs=False):
    """MiniLM in ORT's fused operators. mask_index holds the length of each row (right padding). Ends in vectors, of pairs in the logits of a
    cross-encoder's head (pooler.dense, classifier)."""
    from onnx import helper, numpy_helper, TensorProto as T
    c, w, nodes, inits = m.cfg, m.w, [], []

    def const(name, value):
        inits.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def op(kind, inputs, outputs, domain="com.microsoft", **attr):
        nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attr))
        return outputs[0]
    e, eps = "embeddings.", c["layer_norm_eps"]
    x = op("EmbedLayerNormalization", ["ids", "types" if pairs else "", const("word", w[e + "word_embeddings.weight"]), const("pos", w[e + "position_embeddings.weight"]),
                                       const("type", w[e + "token_type_embeddings.weight"]) if pairs else "", const("lnw", w[e + "LayerNorm.weight"]),
                                       const("lnb", w[e + "LayerNorm.bias"]), "", ""], ["x0", "unused_mask"], epsilon=eps)
    if not pairs: # every token is of type 0: its row is added to the position table, so that the operator reads one table less
        inits[1].CopyFrom(numpy_helper.from_array(w[e + "position_embeddings.weight"] + w[e + "token_type_embeddings.weight"][0], "pos"))
    for i in range(c["num_hidden_layers"]):
        p, a = f"encoder.layer.{i}.", f"encoder.layer.{i}.attention.self."
        qkv = np.concatenate([w[a + n + ".weight"].T for n in ("query", "key", "value")], 1)
        bias = np.concatenate([w[a + n + ".bias"] for n in ("query", "key", "value")])
        y = op("Attention", [x, const(f"qkv{i}", qkv), const(f"qkvb{i}", bias), "lengths"], [f"att{i}"], num_heads=c["num_attention_heads"])
        y = op("MatMul", [y, const(f"o{i}", w[p + "attention.output.dense.weight"].T)], [f"o_{i}"], domain="")
        x = op("SkipLayerNormalization", [y, x, const(f"n1w{i}", w[p + "attention.output.LayerNorm.weight"]), const(f"n1b{i}", w[p + "attention.output.LayerNorm.bias"]),
                                          const(f"ob{i}", w[p + "attention.output.dense.bias"])], [f"n1_{i}"], epsilon=eps)
        y = op("MatMul", [x, const(f"up{i}", w[p + "intermediate.dense.weight"].T)], [f"up_{i}"], domain="")
        y = op("BiasGelu", [y, const(f"upb{i}", w[p + "intermediate.dense.bias"])], [f"act_{i}"])
        y = op("MatMul", [y, const(f"down{i}", w[p + "output.dense.weight"].T)], [f"down_{i}"], domain="")
        x = op("SkipLayerNormalization", [y, x, const(f"n2w{i}", w[p + "output.LayerNorm.weight"]), const(f"n2b{i}", w[p + "output.LayerNorm.bias"]),
                                          const(f"db{i}", w[p + "output.dense.bias"])], [f"n2_{i}"], epsilon=eps)
    info = helper.make_tensor_value_info
    inputs = [info("ids", T.INT32, ["b", "n"]), info("lengths", T.INT32, ["b"]), info("types", T.INT32, ["b", "n"]) if pairs else info("pool", T.FLOAT, ["b", 1, "n"])]
    if pairs:
        x = op("Gather", [x, const("first", np.array(0, np.int64))], ["cls"], domain="", axis=1)
        x = op("Gemm", [x, const("dense", w["pooler.dense.weight"]), const("denseb", w["pooler.dense.bias"])], ["dense_"], domain="", transB=1)
        x = op("Tanh", [x], ["pooled"], domain="")
        op("Gemm", [x, const("out", w["classifier.weight"]), const("outb", w["classifier.bias"])], ["logits"], domain="", transB=1)
    else:
        x = op("MatMul", ["pool", x], ["sum"], domain="")  # pool [batch, 1, length]: 1 / tokens where there is one
        op("LpNormalization", [x], ["vectors"], domain="", axis=-1, p=2)
    outputs = [info("logits", T.FLOAT, ["b", 1])] if pairs else [info("vectors", T.FLOAT, ["b", 1, c["hidden_size"]])]
    g = helper.make_graph(nodes, "encoder", inputs, outputs, inits)
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=9).SerializeToString()


class Ort:
    name = "onnxruntime"

    def __init__(self, graph, threads):
        import onnxruntime as ort
        o = ort.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads, o.log_severity_level = threads, 1, 3
        self.session = ort.InferenceSession(graph, o, providers=["CPUExecutionProvider"])

    def prepare(self, texts, ids):
        n = max(map(len, ids))
        feed = {"ids": np.zeros((len(ids), n), np.int32), "lengths": np.array([len(x) for x in ids], np.int32), "pool": np.zeros((len(ids), 1, n), np.float32)}
        for i, x in enumerate(ids):
            feed["ids"][i, :len(x)] = x
            feed["pool"][i, 0, :len(x)] = 1 / len(x)
        return lambda: self.session.run(None, feed)[0][:, 0]


# ---- llama.cpp --------------------------------------------------------------------------------------------------------------------------
def write_gguf(m, path):
    import gguf
    c, w, g = m.cfg, m.w, gguf.GGUFWriter(path, "bert")
    g.add_context_length(c["max_position_embeddings"]); g.add_embedding_length(c["hidden_size"]); g.add_block_count(c["num_hidden_layers"])
    g.add_feed_forward_length(c["intermediate_size"]); g.add_head_count(c["num_attention_heads"]); g.add_layer_norm_eps(c["layer_norm_eps"])
    g.add_causal_attention(False); g.add_pooling_type(gguf.PoolingType.MEAN); g.add_tokenizer_model("bert"); g.add_token_type_count(c["type_vocab_size"])
    g.add_token_list([p[2:] if p.startswith("##") else p if p[0] == "[" and p[-1] == "]" and len(p) > 2 else "\u2581" + p for p in m.pieces]); g.add_bos_token_id(m.cls); g.add_sep_token_id(m.sep); g.add_unk_token_id(m.unk); g.add_pad_token_id(c.get("pad_token_id", 0))
    e = "embeddings."
    names = {"token_embd": e + "word_embeddings", "position_embd": e + "position_embeddings", "token_types": e + "token_type_embeddings", "token_embd_norm": e + "LayerNorm"}
    for i in range(c["num_hidden_layers"]):
        p, b = f"encoder.layer.{i}.", f"blk.{i}."
        names.update({b + "attn_q": p + "attention.self.query", b + "attn_k": p + "attention.self.key", b + "attn_v": p + "attention.self.value", b + "attn_output": p + "attention.output.dense",
                      b + "attn_output_norm": p + "attention.output.LayerNorm", b + "ffn_up": p + "intermediate.dense", b + "ffn_down": p + "output.dense", b + "layer_output_norm": p + "output.LayerNorm"})
    for new, old in names.items():
        for part in ("weight", "bias"):
            if f"{old}.{part}" in w:
                g.add_tensor(f"{new}.{part}", w[f"{old}.{part}"])
    g.write_header_to_file(); g.write_kv_data_to_file(); g.write_tensors_to_file(); g.close()


class Llama:
    name = "llama.cpp"

    def __init__(self, path, threads, max_tokens, max_seqs):
        import llama_cpp as L
        self.L, self.threads, self.max_seqs = L, threads, max_seqs
        L.llama_log_set(self.quiet(), None)
        L.llama_backend_init()
        self.model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
        self.contexts = {b: self.context(b, max_seqs) for b in (512, max_tokens)}

    @staticmethod
    def quiet():
        import llama_cpp as L
        if not hasattr(Llama, "callback"):
            Llama.callback = L.llama_log_callback(lambda level, text, user: None)
        return Llama.callback

    def context(self, tokens, seqs):
        p = self.L.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch = 512 * seqs, tokens, tokens
        p.n_seq_max, p.n_threads, p.n_threads_batch, p.embeddings = seqs, self.threads, self.threads, True
        p.n_outputs_max, p.n_outputs_max_per_seq, p.pooling_type = tokens, tokens, 0
        ctx = self.L.llama_init_from_model(self.model, p)
        assert ctx, "llama.cpp: no context"
        return ctx

    def batches(self, ids, room):
        L, list_, now = self.L, [], []
        groups = []
        for x in ids:
            if now and sum(map(len, now)) + len(x) > room:
                groups.append(now); now = []
            now.append(x)
        groups.append(now)
        for group in groups:
            b = L.llama_batch_init(sum(map(len, group)), 0, 1)
            for s, x in enumerate(group):
                for pos, t in enumerate(x):
                    k = b.n_tokens
                    b.token[k], b.pos[k], b.n_seq_id[k], b.seq_id[k][0], b.logits[k] = t, pos, 1, s, 1
                    b.n_tokens += 1
            list_.append((b, np.cumsum([0] + [len(x) for x in group])))
        return list_

    def prepare(self, texts, ids):
        dim, best = self.L.llama_model_n_embd(self.model), None
        for room, ctx in self.contexts.items():
            if max(map(len, ids)) > room:
                continue
            todo = self.batches(ids, room)

            def run(ctx=ctx, todo=todo):
                out = []
                for b, starts in todo:
                    assert self.L.llama_encode(ctx, b) == 0
                    rows = np.ctypeslib.as_array(self.L.llama_get_embeddings(ctx), (b.n_tokens, dim))
                    out += [rows[i:k].mean(0) for i, k in zip(starts, starts[1:])]
                v = np.array(out)
                return v / np.linalg.norm(v, axis=1, keepdims=True)
            run()
            t = time.perf_counter(); run(); t = time.perf_counter() - t
            if best is None or t < best[0]:
                best = (t, run)
        return best[1]


# ---- timing -----------------------------------------------------------------------------------------------------------------------------
def once(run, seconds):
    """Median time of a call, over at least 3 calls and `seconds`, after one that is not counted. The pause lets spinning threads of others end."""
    time.sleep(0.1)
    run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        t = time.perf_counter(); run(); times.append(time.perf_counter() - t)
    return statistics.median(times)


def compare(name, programs, runs, rounds, seconds):
    """Rounds of all programs in turn on one piece of work; the first is ours, the second says what is right. Prints a line, gives its figures."""
    want = runs[1]()
    for p, r in zip(programs, runs):
        far = float(np.abs(r() - want).max())
        assert far < 5e-3, f"{p.name} is {far} away from {programs[1].name}: not the same computation"
    times = [[once(r, seconds) for r in runs] for _ in range(rounds)]
    med = [statistics.median(t[k] for t in times) * 1e3 for k in range(len(programs))]
    line = f"{name:38s}" + "".join(f"  {p.name} {t:9.2f}" for p, t in zip(programs, med))
    entry = {"work": name, "ms": dict(zip((p.name for p in programs), med)), "ratio": {}}
    for k in range(1, len(programs)):
        r = sorted(t[k] / t[0] for t in times)
        entry["ratio"][programs[k].name] = [r[0], statistics.median(r), r[-1]]
        line += f"  | {programs[k].name} {statistics.median(r):.2f}x ({r[0]:.2f} to {r[-1]:.2f})"
    print(line, flush=True)
    return entry


def works(m):
    rng = random.Random(1)
    mixed = sorted((rng.randint(26, 256) for _ in range(32)), key=lambda n: rng.random())
    return [("1 x 16", [16]), ("1 x 128", [128]), ("32 x 128", [128] * 32), (f"32 mixed, mean {np.mean(mixed):.0f}, longest {max(mixed)}", mixed)]


def cold(binary, path, threads):
    """Whole process, start to exit, one short text: (median ms of 15, peak resident MiB)."""
    times, rss = [], 0
    for i in range(17):
        t = time.perf_counter()
        p = subprocess.Popen([binary, "embed", path, "a quiet street", "--threads", str(threads), "--format", "jsonl"], stdout=subprocess.DEVNULL)
        _, status, use = os.wait4(p.pid, 0)
        assert status == 0, f"{binary}: exit status {status}"
        if i > 1:
            times.append((time.perf_counter() - t) * 1e3)
        rss = max(rss, use.ru_maxrss / 1024)
    return statistics.median(times), rss


def arguments(about, model):
    """What both scripts are asked; `model` says what the directory must hold."""
    a = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model", help=f"model directory ({model})")
    a.add_argument("--lib", default=os.path.join(os.path.dirname(__file__), "../build/release/libgllm.so"))
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--seconds", type=float, default=1.0, help="per program, work and round")
    a.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a.add_argument("--json", help="write the figures to this file")
    return a


def main():
    a = arguments(__doc__, "BERT, WordPiece, safetensors")
    a.add_argument("--batch-tokens", type=int, default=0, help="gllm's max_batch_tokens")
    o = a.parse_args()
    binary = os.path.join(os.path.dirname(o.lib), "gllm")
    ms, rss = cold(binary, o.model, o.threads)  # first: a child's peak memory starts at what this process has
    m = Model(o.model)
    todo = [(name, *zip(*(m.text(n, i) for i, n in enumerate(lengths)))) for name, lengths in works(m)]
    with tempfile.TemporaryDirectory() as tmp:
        write_gguf(m, tmp + "/model.gguf")
        all_ = [Gllm(o.model, o.lib, o.threads, o.batch_tokens), Ort(onnx_graph(m), o.threads),
                Llama(tmp + "/model.gguf", o.threads, max(sum(map(len, ids)) for _, _, ids in todo), max(len(t) for _, t, _ in todo))]
        report = []
        print(f"{o.rounds} rounds, {o.threads} threads; milliseconds a batch (median), ratio = peer's time / gllm's in the same round (median, range)")
        for name, texts, ids in todo:
            runs = [p.prepare(list(texts), list(ids)) for p in all_]
            report.append(compare(name, all_, runs, o.rounds, o.seconds))
    size = os.path.getsize(os.path.join(o.model, "model.safetensors")) / 2**20
    print(f"process start to exit with one short text: {ms:.1f} ms (median of 15); peak resident {rss:.1f} MiB, model file {size:.1f} MiB")
    report.append({"work": "cold start", "ms": ms, "rss_mib": rss, "file_mib": size})
    if o.json:
        json.dump(report, open(o.json, "w"), indent=1)


if __name__ == "__main__":
    main()
