#!/usr/bin/env python3
"""Adds to tests/golden/models the other ways in which a model directory can be laid out; expected.json is computed by sentence-transformers from
each directory as it stands (so that the reference, too, has to find its way).

    pip install -r tools/requirements.txt && python3 tools/make_layout_goldens.py      (after make_model_goldens.py)

layout-shards          weights in three files with model.safetensors.index.json
layout-gamma-beta      LayerNorm.gamma and .beta, as checkpoints of 2018 have them; the same vectors as bert-mean
layout-prefix          every name below "bert.", beside tensors of a head that the encoder has no use for
layout-0-transformer   the Transformer module in a folder of its own, with sentence_roberta_config.json
layout-vocab-txt       vocab.txt and no tokenizer.json
layout-bare            no modules.json: transformers' files alone, so mean pooling and no normalising
layout-lower-case      do_lower_case in sentence_bert_config.json over a cased tokenizer
layout-truncate-dim    dimensions cut to 20 (expected.json says so), normalised after the cut
"""
import json, os, re, shutil
from safetensors.numpy import load_file, save_file
import numpy as np
from sentence_transformers import SentenceTransformer
import sentence_transformers, tokenizers, torch, transformers

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/golden/models")
TEXTS = ["the whale", "It was the BEST of times, it was the worst of times!", "", "caf\u00e9 \u4e2d\u6587 \U0001f600 na\u00efve", "a [SEP] b [MASK]", "the age of wisdom " * 40]


def start(name):
    to = os.path.join(MODELS, name)
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(os.path.join(MODELS, "bert-mean"), to)
    os.remove(os.path.join(to, "expected.json"))
    return to


def finish(to, reference=None, truncate_dim=None):
    """reference: a directory with the same model for a layout that the library of today no longer reads itself."""
    st = SentenceTransformer(reference or to, device="cpu", truncate_dim=truncate_dim)
    cases = [{"text": t, "vector": [float(f"{x:.9g}") for x in st.encode([t], normalize_embeddings=bool(truncate_dim))[0]]} for t in TEXTS]
    made = {m.__name__: m.__version__ for m in (torch, transformers, sentence_transformers, tokenizers)}
    out = {"made_by": made, "cases": cases}
    if truncate_dim:
        out["dimensions"] = truncate_dim
    json.dump(out, open(os.path.join(to, "expected.json"), "w"), separators=(",", ":"))
    for root, _, files in os.walk(to):
        for f in files:
            os.chmod(os.path.join(root, f), 0o644)
    print(os.path.basename(to), cases[0]["vector"][:3])


def rename(to, how, extra=None):
    w = load_file(os.path.join(to, "model.safetensors"))
    save_file({**{how(k): v for k, v in w.items()}, **(extra or {})}, os.path.join(to, "model.safetensors"), metadata={"format": "pt"})


to = start("layout-shards")
w = load_file(os.path.join(to, "model.safetensors"))
os.remove(os.path.join(to, "model.safetensors"))
index, names = {}, sorted(w)
for i in range(3):
    part, file = names[i::3], f"model-{i + 1:05d}-of-00003.safetensors"
    save_file({k: w[k] for k in part}, os.path.join(to, file), metadata={"format": "pt"})
    index.update({k: file for k in part})
json.dump({"metadata": {"total_size": sum(v.nbytes for v in w.values())}, "weight_map": index}, open(os.path.join(to, "model.safetensors.index.json"), "w"))
finish(to)

to = start("layout-gamma-beta")
rename(to, lambda k: re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", k)))
finish(to, reference=os.path.join(MODELS, "bert-mean"))

to = start("layout-prefix")
rename(to, lambda k: "bert." + k, {"cls.predictions.bias": np.zeros(7, np.float32), "cls.predictions.transform.dense.weight": np.ones((4, 4), np.float32)})
finish(to)

to = start("layout-0-transformer")
os.mkdir(os.path.join(to, "0_Transformer"))
for f in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
    shutil.move(os.path.join(to, f), os.path.join(to, "0_Transformer", f))
os.remove(os.path.join(to, "sentence_bert_config.json"))
json.dump({"max_seq_length": 48, "do_lower_case": False}, open(os.path.join(to, "0_Transformer", "sentence_roberta_config.json"), "w"))
modules = json.load(open(os.path.join(to, "modules.json")))
modules[0]["path"] = "0_Transformer"
json.dump(modules, open(os.path.join(to, "modules.json"), "w"), indent=1)
finish(to)

to = start("layout-vocab-txt")
tok = json.load(open(os.path.join(to, "tokenizer.json")))
vocab = tok["model"]["vocab"]
open(os.path.join(to, "vocab.txt"), "w").write("".join(p + "\n" for p in sorted(vocab, key=vocab.get)))
os.remove(os.path.join(to, "tokenizer.json"))
config = json.load(open(os.path.join(to, "tokenizer_config.json")))
config.update({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
config.pop("backend", None)
json.dump(config, open(os.path.join(to, "tokenizer_config.json"), "w"), indent=1)
finish(to)

to = start("layout-bare")
for f in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
    os.remove(os.path.join(to, f))
shutil.rmtree(os.path.join(to, "1_Pooling"))
shutil.rmtree(os.path.join(to, "2_Normalize"), ignore_errors=True)
finish(to)

to = start("layout-lower-case")
tok = json.load(open(os.path.join(to, "tokenizer.json")))
tok["normalizer"]["lowercase"] = False
tok["normalizer"]["strip_accents"] = False
json.dump(tok, open(os.path.join(to, "tokenizer.json"), "w"))
path = os.path.join(to, "sentence_bert_config.json")
config = json.load(open(path))
config["do_lower_case"] = True
json.dump(config, open(path, "w"), indent=1)
finish(to)

to = start("layout-truncate-dim")
finish(to, truncate_dim=20)
