#!/usr/bin/env python3
"""Runs gllm's reranking beside ONNX Runtime on one cross-encoder, the same pairs and the same minutes.

    pip install -r bench/requirements.txt
    python3 bench/peers_rerank.py ~/.gllm/models/sentence-transformers--all-MiniLM-L6-v2 [--rounds 7] [--json FILE]

The cross-encoder is the given embedder with its own pooler and a random classifier of one label, written to a temporary directory: what it
scores is of no use, what it costs is what a real one of that size costs. Both give the logits of 100 documents for one query:
  gllm          texts through gllm_rerank (libgllm.so by ctypes): its tokenizer is part of the time
  onnxruntime   token ids into a graph of ORT's own fused operators (bench/peers.py); mixed lengths are padded to the longest
The logits of both are compared before anything is timed.
"""
import ctypes as C, json, os, random, shutil, tempfile
import numpy as np
from peers import Gllm, Model, Ort, Str, arguments, compare, onnx_graph

QUERY = 12 # tokens


class Request(C.Structure):
    _fields_ = [("struct_size", C.c_size_t), ("query", Str), ("documents", C.POINTER(Str)), ("n_documents", C.c_size_t), ("top_n", C.c_uint32), ("scores", C.c_int), ("rest", C.c_char * 128)]


class Ranking(C.Structure):
    _fields_ = [("index", C.c_size_t), ("score", C.c_float), ("tokens", C.c_uint32), ("full_tokens", C.c_uint32), ("truncated", C.c_bool), ("query_truncated", C.c_bool)]


class Rankings(C.Structure):
    _fields_ = [("count", C.c_size_t), ("items", C.POINTER(Ranking))]


RAW = 1 # gllm_scores


class Reranker(Gllm):
    def prepare(self, query, texts, lengths):
        raw = [t.encode() for t in texts]
        arr = (Str * len(raw))(*[Str(t, len(t)) for t in raw])
        r, q = Request(), query.encode()
        self.lib.gllm_rerank_request_init_sized(C.byref(r), C.c_size_t(Request.rest.offset))
        r.query, r.documents, r.n_documents, r.scores = Str(q, len(q)), arr, len(raw), RAW

        def run():
            e = C.POINTER(Rankings)()
            self.check(self.lib.gllm_rerank(self.client, C.byref(r), C.byref(e), self.error))
            v, out = e.contents, np.empty(len(raw), np.float32)
            for i in range(v.count):
                item = v.items[i]
                assert item.tokens == lengths[item.index], "gllm: other token counts than the ids given to the peer"
                out[item.index] = item.score
            self.lib.gllm_rankings_free(e)
            return out
        run.keep = (raw, arr, q)
        return run


class OrtPairs(Ort):
    def prepare(self, ids, query):
        n = max(map(len, ids))
        feed = {"ids": np.zeros((len(ids), n), np.int32), "lengths": np.array([len(x) for x in ids], np.int32), "types": np.zeros((len(ids), n), np.int32)}
        for i, x in enumerate(ids):
            feed["ids"][i, :len(x)] = x
            feed["types"][i, query:len(x)] = 1
        return lambda: self.session.run(None, feed)[0][:, 0]


def cross_encoder(m, path):
    """Writes the directory and adds the head's weights to `m`."""
    from safetensors.numpy import save_file
    rng = np.random.default_rng(1)
    m.w["classifier.weight"] = rng.normal(0, 0.1, (1, m.cfg["hidden_size"])).astype(np.float32)
    m.w["classifier.bias"] = np.array([0.1], np.float32)
    body = {k if k.startswith("classifier") else "bert." + k: v for k, v in m.w.items() if not k.endswith("position_ids")}
    save_file(body, os.path.join(path, "model.safetensors"))
    config = {**m.cfg, "architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    json.dump(config, open(os.path.join(path, "config.json"), "w"))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if os.path.exists(os.path.join(m.path, name)):
            shutil.copy(os.path.join(m.path, name), path)


def main():
    o = arguments(__doc__, "BERT with a pooler, WordPiece, safetensors").parse_args()
    m, rng, report = Model(o.model), random.Random(1), []
    mixed = [rng.randint(26, 256) for _ in range(100)]
    with tempfile.TemporaryDirectory() as tmp:
        cross_encoder(m, tmp)
        programs = [Reranker(tmp, o.lib, o.threads), OrtPairs(onnx_graph(m, pairs=True), o.threads)]
        query, query_ids = m.text(QUERY + 2, 0)
        print(f"{o.rounds} rounds, {o.threads} threads; milliseconds for all documents (median), ratio = peer's time / gllm's in the same round (median, range)")
        for name, lengths in (("100 x 128", [128] * 100), (f"100 mixed, mean {np.mean(mixed):.0f}, longest {max(mixed)}", mixed)):
            docs = [m.text(n - len(query_ids) + 1, i) for i, n in enumerate(lengths)]
            ids = [query_ids + d[1:] for _, d in docs]
            runs = [programs[0].prepare(query, [t for t, _ in docs], lengths), programs[1].prepare(ids, len(query_ids))]
            report.append(compare(name, programs, runs, o.rounds, o.seconds))
    if o.json:
        json.dump(report, open(o.json, "w"), indent=1)


if __name__ == "__main__":
    main()
