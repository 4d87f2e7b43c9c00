#!/usr/bin/env python3
"""Makes tests/golden/classifiers/: tiny random cross-encoders and classifiers as transformers saves them, each with expected.json: of pairs of texts (or
single ones) the logits of transformers, and the scores of sentence-transformers' CrossEncoder, one pair at a time.

    pip install -r tools/requirements.txt && python3 tools/make_classifier_goldens.py
"""
import json
import os
import shutil

import torch
import transformers as T
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder

from make_model_goldens import ROOT, randomize, small, tokenizer, versions

OUT = os.path.join(ROOT, "classifiers")
LONG = "the age of wisdom " * 20
PAIRS = [("the whale", "It was the best of times"), ("", "sea"), ("sea", ""), ("call me", "Call me Ishmael. Some years ago"), ("a rose", LONG), ("café 中文", "naïve \U0001f600 [SEP] </s> text")]
KINDS = {
    "bert": (T.BertForSequenceClassification, T.BertConfig, {}),
    "roberta": (T.RobertaForSequenceClassification, T.RobertaConfig, {"type_vocab_size": 1}),
    "xlm-roberta": (T.XLMRobertaForSequenceClassification, T.XLMRobertaConfig, {"type_vocab_size": 1}),
    "camembert": (T.CamembertForSequenceClassification, T.CamembertConfig, {"type_vocab_size": 1}),
    "mpnet": (T.MPNetForSequenceClassification, T.MPNetConfig, {}),
    "electra": (T.ElectraForSequenceClassification, T.ElectraConfig, {"embedding_size": 16}),
    "distilbert": (T.DistilBertForSequenceClassification, T.DistilBertConfig, None),
}


def flash(target):
    """The same weights as Jina's XLM-RoBERTa for flash attention has them: its tensors' names, q, k and v in one matrix, its keys of config.json."""
    names = {"embeddings.LayerNorm": "emb_ln", "encoder.layer.": "encoder.layers.", "attention.output.dense": "mixer.out_proj", "attention.output.LayerNorm": "norm1",
             "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2", "output.LayerNorm": "norm2"}
    path, tensors = os.path.join(target, "model.safetensors"), {}
    state = load_file(path)
    for name, t in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        parts = [state[name.replace("encoder.layers.", "encoder.layer.").replace("self.query", f"self.{k}")] for k in ("query", "key", "value")] if "self.query" in name else None
        if parts:
            tensors[name.replace("attention.self.query", "mixer.Wqkv")] = torch.cat(parts)
        elif "attention.self" not in name:
            tensors[name] = t
    save_file(tensors, path, metadata={"format": "pt"})
    path = os.path.join(target, "config.json")
    config = json.load(open(path)) | {"auto_map": {"AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification"}, "use_flash_attn": True, "emb_pooler": None, "num_labels": 1}
    json.dump(config, open(path, "w"), indent=2)


def build(name, family, seed, labels=None, save=True, single=False, change=lambda target: None, **config):
    tok, vocab, pad = tokenizer("bert" if family in ("bert", "distilbert", "electra") else "roberta")
    cls, cfg, more = KINDS[family]
    shape = dict(dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64) if more is None else small(**more)
    named = {"num_labels": 1} if labels is None else {"id2label": dict(enumerate(labels)), "label2id": {l: i for i, l in enumerate(labels)}}
    model = cls(cfg(vocab_size=vocab, pad_token_id=pad, **named, **config, **shape)).eval()
    randomize(model, seed)
    target = os.path.join(OUT, name)
    model.save_pretrained(target)
    tok.model_max_length = 48
    tok.save_pretrained(target)
    if family in ("bert", "electra"):  # as their own tokenizer classes have it; the generic class of transformers 5 hands on no token types
        path = os.path.join(target, "tokenizer_config.json")
        config_json = json.load(open(path)) | {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
        json.dump(config_json, open(path, "w"), indent=2)
        tok = T.AutoTokenizer.from_pretrained(target)
    if save:  # as sentence-transformers writes it, with its own files
        CrossEncoder(target, device="cpu").save(target, create_model_card=False)
    ce = CrossEncoder(target, device="cpu")
    cases = []
    for a, b in PAIRS:
        e = tok(a, truncation=True, return_tensors="pt") if single else tok([(a, b)], truncation="only_second", return_tensors="pt")
        assert ("token_type_ids" in e) == (family in ("bert", "electra")), name
        with torch.no_grad():
            logits = model(**e).logits[0]
        case = {"text": a, "logits": [float(f"{x:.9g}") for x in logits], "probabilities": [float(f"{x:.9g}") for x in probabilities(model.config, logits)]}
        if not single:
            case["pair"] = b
            case["scores"] = [float(f"{x:.9g}") for x in ce.predict([(a, b)]).reshape(-1)]
        cases.append(case)
    change(target)
    json.dump({"made_by": versions(), "labels": list(model.config.id2label.values()), "cases": cases}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))


def probabilities(config, logits):
    if config.problem_type == "regression":
        return logits
    return logits.sigmoid() if config.num_labels == 1 or config.problem_type == "multi_label_classification" else logits.softmax(-1)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    build("bert", "bert", 1)
    build("bert-plain-identity", "bert", 2, save=False, sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0"})
    build("roberta-old-identity", "roberta", 3, save=False, sbert_ce_default_activation_function="torch.nn.modules.linear.Identity")
    build("xlm-roberta", "xlm-roberta", 4)
    build("camembert", "camembert", 5)
    build("mpnet", "mpnet", 6)
    build("electra", "electra", 7)
    build("distilbert-three", "distilbert", 8, labels=["contradiction", "entailment", "neutral"])
    build("bert-many", "bert", 9, labels=["joy", "anger", "fear", "calm"], save=False, problem_type="multi_label_classification")
    build("roberta-single", "roberta", 10, labels=["negative", "positive"], save=False, single=True)
    build("xlm-roberta-flash", "xlm-roberta", 11, save=False, change=flash)


if __name__ == "__main__":
    main()
