#!/usr/bin/env python3
"""Makes tests/golden/models/: tiny random models in the real sentence-transformers layout, each with expected.json, the ids and f32 vectors that
sentence-transformers gives, one text at a time. Also tests/golden/minilm.json from the real all-MiniLM-L6-v2 when its directory is given.

    pip install -r tools/requirements.txt && python3 tools/make_model_goldens.py [MINILM_DIRECTORY]
"""
import base64
import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import sentence_transformers
import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers, decoders

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "golden")
OUT = os.path.join(ROOT, "models")
BODY = ("It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. "
        "Call me Ishmael. Some years ago, never mind how long precisely, I thought I would sail about a little and see the watery part of the world. "
        "A rose by any other name would smell as sweet. The whale, the sea and the stars are 1851 miles away! naive cafe resume \u4e2d \u6587 ") * 4
TEXTS = ["the whale", "It was the BEST of times, it was the worst of times!", "", "   ", "  leading and trailing  ", "caf\u00e9 \u4e2d\u6587 \U0001f600 na\u00efve",
         "a [SEP] b <pad> c </s> d [MASK]", "sea", "the age of wisdom " * 40]


def versions():
    return {m.__name__: m.__version__ for m in (torch, transformers, sentence_transformers, tokenizers)}


def tokenizer(style):
    cls, sep, pad, unk, mask = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]") if style == "bert" else ("<s>", "</s>", "<pad>", "<unk>", "<mask>")
    specials = [pad, unk, cls, sep, mask] if style == "bert" else [cls, pad, sep, unk, mask]
    t = Tokenizer(models.WordPiece(unk_token=unk))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator([BODY], trainers.WordPieceTrainer(vocab_size=180, special_tokens=specials, show_progress=False))
    c, s = t.token_to_id(cls), t.token_to_id(sep)
    if style == "bert":
        t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[(cls, c), (sep, s)])
    else:
        t.post_processor = processors.RobertaProcessing((sep, s), (cls, c))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=t, cls_token=cls, sep_token=sep, pad_token=pad, unk_token=unk, mask_token=mask)
    return fast, len(t.get_vocab()), t.token_to_id(pad)


def randomize(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        norm = "LayerNorm" in name or "layer_norm" in name
        p.data = torch.randn(p.shape, generator=g) * (0.2 if norm else 0.3) + (1.0 if norm and name.endswith("weight") else 0.0)


def small(**kw):
    base = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64)
    base.update(kw)
    return base


def body(family, vocab, pad, **kw):
    T = transformers
    table = {
        "bert": lambda: T.BertModel(T.BertConfig(vocab_size=vocab, pad_token_id=pad, **small(**kw))),
        "roberta": lambda: T.RobertaModel(T.RobertaConfig(vocab_size=vocab, pad_token_id=pad, type_vocab_size=1, **small(**kw))),
        "xlm-roberta": lambda: T.XLMRobertaModel(T.XLMRobertaConfig(vocab_size=vocab, pad_token_id=pad, type_vocab_size=1, **small(**kw))),
        "camembert": lambda: T.CamembertModel(T.CamembertConfig(vocab_size=vocab, pad_token_id=pad, type_vocab_size=1, **small(**kw))),
        "mpnet": lambda: T.MPNetModel(T.MPNetConfig(vocab_size=vocab, pad_token_id=pad, **small(max_position_embeddings=200, **kw))),
        "distilbert": lambda: T.DistilBertModel(T.DistilBertConfig(vocab_size=vocab, pad_token_id=pad, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64)),
        "electra": lambda: T.ElectraModel(T.ElectraConfig(vocab_size=vocab, pad_token_id=pad, embedding_size=16, **small(**kw))),
    }
    return table[family]().eval()


def build(name, family, modes=("mean",), dense=None, normalize=True, prompts=None, default=None, include_prompt=True, max_seq=None, seed=1, half=None, pad_id=None, **kw):
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

    tok, vocab, pad = tokenizer("bert" if family in ("bert", "distilbert", "electra") else "roberta")
    model = body(family, vocab, pad if pad_id is None else pad_id, **kw)
    randomize(model, seed)
    if half:
        model = model.to(half)
    plain = os.path.join(OUT, name + ".tmp")
    model.save_pretrained(plain)
    limit = max_seq or (150 if family == "mpnet" else 48)
    tok.model_max_length = limit
    tok.save_pretrained(plain)
    t = Transformer(plain)
    t.max_seq_length = limit
    parts = [t, Pooling(32, pooling_mode=list(modes), include_prompt=include_prompt)]
    d = 32 * len(modes)
    if dense:
        layer = Dense(d, dense[0], bias=dense[1], activation_function=dense[2])
        randomize(layer, seed + 7)
        parts.append(layer)
    if normalize:
        parts.append(Normalize())
    st = SentenceTransformer(modules=parts, device="cpu", prompts=prompts, default_prompt_name=default)
    if half:
        st = st.to(half)
    target = os.path.join(OUT, name)
    st.save(target, create_model_card=False)
    shutil.rmtree(plain)
    golden(target, name, prompts)


def golden(target, name, prompts):
    st = SentenceTransformer(target, device="cpu", model_kwargs={"dtype": torch.float32}).float()
    cases = []
    for text in TEXTS:
        for prompt in [None] + sorted(prompts or {}):
            kw = {"prompt_name": prompt} if prompt else {}
            v = st.encode([text], **kw)[0]
            case = {"text": text, "vector": [float(f"{x:.9g}") for x in v]}
            if prompt:
                case["prompt_name"] = prompt
            cases.append(case)
    json.dump({"made_by": versions(), "cases": cases}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))


def minilm(directory):
    st = SentenceTransformer(directory, device="cpu")
    texts = TEXTS + ["\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "e\u0301 combining \u0308 marks", "\U0001f469\u200d\U0001f469\u200d\U0001f467 zwj", "a\x01b\x02\x7f control\tand\nnew",
                     "soft\u00adhyphen", "\ufeffBOM", "x" * 1000, "word " * 600, "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u0130stanbul \u00df \u03a3\u0391\u03a3 \u00bd \u00b2 \u0663 \ufdfa",
                     "[CLS][SEP] [PAD] [UNK]", "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22", "\u0939\u093f\u0928\u094d\u0926\u0940", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "zero\u200bwidth\u2028line", "\ue000private \ufdd0non"]
    cases = []
    for text in texts:
        ids = st.tokenizer(text)["input_ids"]
        v = st.encode([text])[0].astype("<f4")
        cases.append({"text": text, "ids": ids, "vector": base64.b64encode(v.tobytes()).decode()})
    json.dump({"made_by": versions(), "cases": cases}, open(os.path.join(ROOT, "minilm.json"), "w"), separators=(",", ":"))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    ident, tanh = torch.nn.Identity(), torch.nn.Tanh()
    build("bert-mean", "bert")
    build("bert-cls-raw", "bert", modes=("cls",), normalize=False, seed=2)
    build("bert-all-modes", "bert", modes=("weightedmean", "cls", "max", "mean", "mean_sqrt_len_tokens", "lasttoken"), normalize=False, seed=3)
    build("bert-relu", "bert", hidden_act="relu", seed=4)
    build("bert-gelu-new", "bert", hidden_act="gelu_new", seed=5)
    build("bert-f16", "bert", seed=6, half=torch.float16)
    build("bert-bf16", "bert", seed=7, half=torch.bfloat16)
    build("bert-prompts", "bert", prompts={"query": "the sea: ", "document": "a rose "}, default="query", seed=8)
    build("bert-no-prompt-pooling", "bert", prompts={"query": "the sea: "}, include_prompt=False, seed=9)
    build("roberta-mean", "roberta", seed=10)
    build("xlm-roberta-cls", "xlm-roberta", modes=("cls",), seed=11)
    build("camembert-mean", "camembert", seed=12)
    build("mpnet-mean", "mpnet", seed=13)
    build("mpnet-pad-id", "mpnet", seed=17, pad_id=3)  # MPNetEmbeddings counts from 1 whatever the configuration says
    build("distilbert-dense-tanh", "distilbert", dense=(24, True, tanh), normalize=False, seed=14)
    build("distilbert-dense-identity", "distilbert", dense=(20, False, ident), seed=15)
    build("electra-mean", "electra", seed=16)
    if len(sys.argv) > 1:
        minilm(sys.argv[1])


if __name__ == "__main__":
    main()
