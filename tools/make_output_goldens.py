#!/usr/bin/env python3
"""Makes tests/golden/outputs/: tiny random models that give more than one vector a text, each with expected.json.

bge-m3*    an XLM-RoBERTa body with sparse_linear.pt and colbert_linear.pt; values by the published formulas of FlagEmbedding's M3 on transformers' body
splade-*   sentence-transformers' SparseEncoder (masked language models of BERT, DistilBERT, RoBERTa, MPNet)
colbert-*  sentence-transformers' MultiVectorEncoder; -pylate and -stanford in the layouts of PyLate's first versions and of ColBERT itself, which it reads too
static-*   sentence-transformers' StaticEmbedding; model2vec by its published formula

    pip install -r tools/requirements.txt && python3 tools/make_output_goldens.py [NAME…]
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers as T
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.models import Normalize, Pooling, StaticEmbedding, Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import Tokenizer

from make_model_goldens import ROOT, TEXTS, body, randomize, small, tokenizer, versions

OUT = os.path.join(ROOT, "outputs")
number = lambda x: float(f"{float(x):.9g}")


def write(name, cases, **more):
    with open(os.path.join(OUT, name, "expected.json"), "w") as f:
        json.dump({"made_by": versions(), **more, "cases": cases}, f, separators=(",", ":"))


def sparse_of(weights):
    return {"ids": [int(i) for i in sorted(weights)], "weights": [number(weights[i]) for i in sorted(weights)]}


def rows_of(matrix):
    return [[number(x) for x in row] for row in matrix]


def bge_m3(name, torch_file, seed):
    tok, vocab, pad = tokenizer("roberta")
    model = body("xlm-roberta", vocab, pad)
    randomize(model, seed)
    target = os.path.join(OUT, name)
    tok.model_max_length = 48
    tok.eos_token = tok.sep_token
    plain = target + ".tmp"
    model.save_pretrained(plain)
    tok.save_pretrained(plain)
    t = Transformer(plain)
    t.max_seq_length = 48
    SentenceTransformer(modules=[t, Pooling(32, pooling_mode="cls"), Normalize()], device="cpu").save(target, create_model_card=False)
    shutil.rmtree(plain)
    if torch_file:
        torch.save(model.state_dict(), os.path.join(target, "pytorch_model.bin"))
        os.remove(os.path.join(target, "model.safetensors"))
    heads = {"colbert_linear": torch.nn.Linear(32, 24), "sparse_linear": torch.nn.Linear(32, 1)}
    for i, (k, layer) in enumerate(heads.items()):
        randomize(layer, seed + 1 + i)
        layer.half()
        torch.save(layer.state_dict(), os.path.join(target, k + ".pt"))
        layer.float()
    unused = {tok.cls_token_id, tok.eos_token_id, tok.pad_token_id, tok.unk_token_id}
    cases = []
    for text in TEXTS:
        e = tok(text, truncation=True, return_tensors="pt")
        with torch.no_grad():
            h = model(**e).last_hidden_state[0]
            dense = torch.nn.functional.normalize(h[0], dim=0)
            vectors = torch.nn.functional.normalize(heads["colbert_linear"](h[1:]), dim=-1)
            weights = torch.relu(heads["sparse_linear"](h))[:, 0]
        best = {}
        for i, w in zip(e["input_ids"][0].tolist(), weights.tolist()):
            if i not in unused and w > best.get(i, 0):
                best[i] = w
        cases.append({"text": text, "dense": [number(x) for x in dense], "sparse": sparse_of(best), "vectors": rows_of(vectors)})
    query = torch.tensor(cases[0]["vectors"])
    scores = [float((query @ torch.tensor(c["vectors"]).T).max(1).values.sum() / len(query)) for c in cases]  # colbert_score
    write(name, cases, rank_query=TEXTS[0], scores=[number(x) for x in scores])


MLM = {
    "bert": lambda v, p, **k: T.BertForMaskedLM(T.BertConfig(vocab_size=v, pad_token_id=p, **small(**k))),
    "roberta": lambda v, p, **k: T.RobertaForMaskedLM(T.RobertaConfig(vocab_size=v, pad_token_id=p, type_vocab_size=1, **small(**k))),
    "mpnet": lambda v, p, **k: T.MPNetForMaskedLM(T.MPNetConfig(vocab_size=v, pad_token_id=p, **small(**k))),
    "distilbert": lambda v, p, **k: T.DistilBertForMaskedLM(T.DistilBertConfig(vocab_size=v, pad_token_id=p, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64, **k)),
}


def splade(name, family, seed, legacy=False, act="relu", pool="max", vocab_room=0, texts=TEXTS, **config):
    tok, vocab, pad = tokenizer("bert" if family in ("bert", "distilbert") else "roberta")
    model = MLM[family](vocab + vocab_room, pad, **config).eval()
    randomize(model, seed)
    model.tie_weights()
    target = os.path.join(OUT, name)
    plain = target + ".tmp"
    model.save_pretrained(plain)
    tok.model_max_length = 48
    tok.save_pretrained(plain)
    t = Transformer(plain, transformer_task="fill-mask")
    t.max_seq_length = 48
    encoder = SparseEncoder(modules=[t, SpladePooling(pooling_strategy=pool, activation_function=act)], device="cpu")
    encoder.save(target, create_model_card=False)
    shutil.rmtree(plain)
    if legacy:  # as sentence-transformers 5 wrote it
        path = os.path.join(target, "modules.json")
        modules = json.load(open(path))
        modules[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
        modules[1]["type"] = "sentence_transformers.sparse_encoder.models.SpladePooling"
        json.dump(modules, open(path, "w"))
        json.dump({"max_seq_length": 48, "do_lower_case": False}, open(os.path.join(target, "sentence_bert_config.json"), "w"))
    cases = []
    for text in texts:
        v = encoder.encode([text], convert_to_sparse_tensor=False)[0]
        cases.append({"text": text, "sparse": sparse_of({i: x for i, x in enumerate(v.tolist()) if x > 0})})
    write(name, cases)


def colbert(name, seed, **knobs):
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.models import Dense
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    tok, vocab, pad = tokenizer("bert")
    model = body("bert", vocab, pad)
    randomize(model, seed)
    target = os.path.join(OUT, name)
    plain = target + ".tmp"
    tok.model_max_length = 48
    model.save_pretrained(plain)
    tok.save_pretrained(plain)
    t = Transformer(plain, **knobs)
    t.max_seq_length = 48
    layer = Dense(32, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    randomize(layer, seed + 1)
    encoder = MultiVectorEncoder(modules=[t, layer, MultiVectorMask(skiplist_words=["!", ",", "no such word"]), Normalize(module_input_name="token_embeddings")], device="cpu")
    encoder.save(target, create_model_card=False)
    shutil.rmtree(plain)
    write_late(name, encoder)


def write_late(name, encoder):
    cases = [{"text": x, "vectors": rows_of(encoder.encode_document([x])[0])} for x in TEXTS]
    queries = [{"text": x, "query": True, "vectors": rows_of(encoder.encode_query([x])[0])} for x in TEXTS[:3]]
    query = torch.tensor(queries[0]["vectors"])
    scores = [float((query @ torch.tensor(c["vectors"]).T).max(1).values.sum()) for c in cases]
    write(name, cases + queries, rank_query=TEXTS[0], scores=[number(x) for x in scores])


def late_body(name, seed, tok, vocab, pad):
    """The folder with a body of BERT and its tokenizer, and a linear layer for the tokens."""
    target = os.path.join(OUT, name)
    model = body("bert", vocab, pad)
    randomize(model, seed)
    layer = torch.nn.Linear(32, 16, bias=False)
    randomize(layer, seed + 1)
    model.save_pretrained(target)
    tok.model_max_length = 48
    tok.save_pretrained(target)
    return target, model, layer


def write_json(value, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    json.dump(value, open(os.path.join(*path), "w"), indent=1)


def pylate(name, seed, **keys):
    """Prefixes are added tokens that a lower-casing tokenizer does not find in a text: they stand in the input as tokens."""
    from sentence_transformers import MultiVectorEncoder

    tok, vocab, pad = tokenizer("bert")
    tok.add_tokens(["[Q] ", "[D] "])
    target, _, layer = late_body(name, seed, tok, vocab + 2, pad)
    write_json({"in_features": 32, "out_features": 16, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}, target, "1_Dense", "config.json")
    save_file({"linear.weight": layer.weight.detach()}, os.path.join(target, "1_Dense", "model.safetensors"))
    write_json([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"}], target, "modules.json")
    write_json({"max_seq_length": 47, "do_lower_case": False}, target, "sentence_bert_config.json")
    write_json({"model_type": "ColBERT", "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim", "query_prefix": "[Q] ", "document_prefix": "[D] "} | keys, target, "config_sentence_transformers.json")
    write_late(name, MultiVectorEncoder(target, device="cpu"))


def stanford(name, seed, **metadata):
    """As real BERT vocabularies have it, [unused0] is an entry and no added token."""
    from sentence_transformers import MultiVectorEncoder

    tok, vocab, pad = tokenizer("bert")
    data = json.loads(tok.backend_tokenizer.to_str())
    for i, word in enumerate(sorted(data["model"]["vocab"], key=data["model"]["vocab"].get)[-2:]):
        data["model"]["vocab"][f"[unused{i}]"] = data["model"]["vocab"].pop(word)
    tok = T.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)), cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")
    target, model, layer = late_body(name, seed, tok, vocab, pad)
    save_file({"bert." + k: v for k, v in model.state_dict().items()} | {"linear.weight": layer.weight.detach()}, os.path.join(target, "model.safetensors"), metadata={"format": "pt"})
    config = json.load(open(os.path.join(target, "config.json")))
    write_json(config | {"architectures": ["HF_ColBERT"]}, target, "config.json")
    write_json(metadata, target, "artifact.metadata")
    write_late(name, MultiVectorEncoder(target, device="cpu"))


def static(name, seed):
    tok, vocab, _ = tokenizer("bert")
    g = torch.Generator().manual_seed(seed)
    modules = [StaticEmbedding(tok, embedding_weights=torch.randn(vocab, 24, generator=g)), Normalize()]
    st = SentenceTransformer(modules=modules, device="cpu")
    st.save(os.path.join(OUT, name), create_model_card=False)
    write(name, [{"text": t, "dense": [number(x) for x in st.encode([t])[0]]} for t in TEXTS])


def model2vec(name, seed, mapped, normalize):
    """tokens without special ones and without [UNK]; the mean of weights[i] embeddings[mapping[i]]; length 1 where config.json says so; nothing: zeros."""
    tok, vocab, _ = tokenizer("bert")
    g = torch.Generator().manual_seed(seed)
    rows = 40 if mapped else vocab
    tensors = {"embeddings": torch.randn(rows, 24, generator=g).to(torch.float16 if mapped else torch.float32)}
    if mapped:
        tensors |= {"weights": torch.rand(vocab, generator=g, dtype=torch.float64), "mapping": torch.randint(0, rows, (vocab,), generator=g)}
    target = os.path.join(OUT, name)
    os.makedirs(target)
    save_file(tensors, os.path.join(target, "model.safetensors"))
    tok._tokenizer.save(os.path.join(target, "tokenizer.json"))
    json.dump({"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": 24, "seq_length": 1000000, "normalize": normalize}, open(os.path.join(target, "config.json"), "w"))
    cases = []
    for text in TEXTS:
        ids = [i for i in tok._tokenizer.encode(text, add_special_tokens=False).ids if i != tok.unk_token_id][:512]
        table = tensors["embeddings"].float()
        if mapped:
            table = table[tensors["mapping"]] * tensors["weights"].float()[:, None]
        v = table[ids].mean(0) if ids else torch.zeros(24)
        if normalize:
            v = v / (v.norm() + 1e-32)
        cases.append({"text": text, "dense": [number(x) for x in v]})
    write(name, cases)


MAKERS = {
    "bge-m3": lambda n: bge_m3(n, False, 1),
    "bge-m3-torch": lambda n: bge_m3(n, True, 5),
    "splade-bert": lambda n: splade(n, "bert", 10),
    "splade-bert-legacy": lambda n: splade(n, "bert", 11, legacy=True, act="log1p_relu"),
    "splade-distilbert": lambda n: splade(n, "distilbert", 12),
    "splade-roberta": lambda n: splade(n, "roberta", 13),
    "splade-mpnet": lambda n: splade(n, "mpnet", 14),
    "splade-chunks": lambda n: splade(n, "bert", 15, vocab_room=8300, texts=TEXTS[:2], hidden_size=8, num_attention_heads=2, intermediate_size=8),
    "splade-sum": lambda n: splade(n, "bert", 16, pool="sum"),
    "splade-sum-twice": lambda n: splade(n, "distilbert", 17, pool="sum", act="log1p_relu"),
    "colbert-plain": lambda n: colbert(n, 30),
    "colbert-filled": lambda n: colbert(n, 31, document_length=20, query_expansion={"strategy": "fixed", "attend": True, "length": 12}),
    "colbert-unseen": lambda n: colbert(n, 32, document_length=20, query_expansion={"strategy": "fixed", "attend": False, "length": 12}),
    "colbert-pylate": lambda n: pylate(n, 33, query_length=12, document_length=20, do_query_expansion=True, attend_to_expansion_tokens=False, skiplist_words=["!", ",", "the"]),
    "colbert-pylate-plain": lambda n: pylate(n, 34, query_length=7, do_query_expansion=False),
    "colbert-stanford": lambda n: stanford(n, 35, query_token_id="[unused0]", doc_token_id="[unused1]", query_token="[Q]", doc_token="[D]", query_maxlen=12, doc_maxlen=20, attend_to_mask_tokens=False, mask_punctuation=True, dim=16),
    "static-sentence": lambda n: static(n, 20),
    "static-model2vec": lambda n: model2vec(n, 21, False, True),
    "static-model2vec-mapped": lambda n: model2vec(n, 22, True, False),
}


if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        shutil.rmtree(os.path.join(OUT, name), ignore_errors=True)
        MAKERS[name](name)
