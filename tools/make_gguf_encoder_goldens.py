#!/usr/bin/env python3
"""Makes tests/golden/gguf-encoders/: tiny random encoders as llama.cpp's converter would write them, NAME.gguf, each with NAME.json: the ids and
f32 vectors, or logits, that transformers and sentence-transformers give for the weights that the file holds (dequantised), one text at a time.

    pip install -r tools/requirements.txt && python3 tools/make_gguf_encoder_goldens.py

JinaBert v2, Nomic-BERT and ModernBERT are those of tests/golden/encoders and encoder-heads (make_encoder_goldens.py), with their values.

With a directory of sentence-transformers' all-MiniLM-L6-v2 and a folder, it writes that model as F32, F16 and Q8_0 into the folder instead.
The file of a RoBERTa begins its position table after the padding's row, which is lost: texts with a padding token are left out there.
"""
import json
import os
import shutil
import sys
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"
import gguf
import numpy as np
import sentencepiece
import torch
import transformers as T
from gguf import GGMLQuantizationType as Q
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_gguf_goldens import add_parameters as add_decoder_parameters
from make_model_goldens import BODY, ROOT, TEXTS, randomize, small, tokenizer, versions

OUT = os.path.join(ROOT, "gguf-encoders")
LONG = "the age of wisdom " * 20
PAIRS = [("the whale", "It was the best of times"), ("", "sea"), ("sea", ""), ("call me", "Call me Ishmael. Some years ago"), ("a rose", LONG), ("café 中文", "naïve \U0001f600 [SEP] </s> text")]


# ---- tokenizers ----

def fast(t, cls, sep, pad, unk, mask):
    return T.PreTrainedTokenizerFast(tokenizer_object=t, bos_token=cls, eos_token=sep, cls_token=cls, sep_token=sep, pad_token=pad, unk_token=unk, mask_token=mask)


def wordpiece(accents=None):
    """`accents`: whether a text's stay, which the vocabulary does not show."""
    tok, _, _ = tokenizer("bert")
    if accents is not None:
        tok.backend_tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=not accents)
    tok.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tok


def byte_level(ends_only=False):
    """RoBERTa's; or with an end and no beginning, as embedders made of generators have it."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator([BODY], trainers.BpeTrainer(vocab_size=320, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    if ends_only:
        t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    return fast(t, "<s>", "</s>", "<pad>", "<unk>", "<mask>")


def unigram():
    """XLM-R's: SentencePiece's pieces with the special tokens where fairseq has them. Without a charsmap, which alone would take 240 KB."""
    model = os.path.join(OUT, "unigram")
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(BODY.split(". ")), model_prefix=model, model_type="unigram", vocab_size=100, normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2)
    sp = sentencepiece.SentencePieceProcessor(model_file=model + ".model")
    os.remove(model + ".model"), os.remove(model + ".vocab")
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(sp.IdToPiece(i), sp.GetScore(i)) for i in range(3, len(sp))] + [("<mask>", 0.0)]
    t = Tokenizer(models.Unigram(vocab, unk_id=3))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.decoder = decoders.Metaspace()
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return fast(t, "<s>", "</s>", "<pad>", "<unk>", "<mask>")


def add_tokenizer(w, tok, n_type, accents=None):
    begins = tok("")["input_ids"][0] == tok.cls_token_id
    data = json.loads(tok.backend_tokenizer.to_str())
    kind, special = data["model"]["type"], set(tok.all_special_ids)
    tokens = [tok.convert_ids_to_tokens(i) for i in range(len(tok))]
    types = [3 if i in special else 1 for i in range(len(tok))]
    if kind == "WordPiece":
        w.add_token_type_count(n_type)
        w.add_tokenizer_model("bert"), w.add_tokenizer_pre("default")
        w.add_token_list([t if k == 3 else t[2:] if t.startswith("##") else "\u2581" + t for t, k in zip(tokens, types)])
        if accents is not None:
            w.add_bool("tokenizer.ggml.normalizer.lowercase", True), w.add_bool("tokenizer.ggml.normalizer.strip_accents", not accents)
    elif kind == "BPE":
        w.add_tokenizer_model("gpt2"), w.add_tokenizer_pre("roberta-bpe" if begins else "gpt-2")
        w.add_token_list(tokens), w.add_token_merges([" ".join(m) for m in data["model"]["merges"]])
        w.add_token_type_count(n_type)
    else:
        types[tok.unk_token_id] = 2
        w.add_tokenizer_model("t5"), w.add_tokenizer_pre("default")
        w.add_token_list([t.encode() for t in tokens]), w.add_token_scores([s for _, s in data["model"]["vocab"]])
        w.add_add_space_prefix(True), w.add_remove_extra_whitespaces(True)
        w.add_token_type_count(n_type)
    w.add_token_types(types)
    w.add_bos_token_id(tok.cls_token_id), w.add_eos_token_id(tok.sep_token_id), w.add_unk_token_id(tok.unk_token_id), w.add_sep_token_id(tok.sep_token_id), w.add_pad_token_id(tok.pad_token_id)
    w.add_uint32("tokenizer.ggml.cls_token_id", tok.cls_token_id), w.add_mask_token_id(tok.mask_token_id)
    w.add_add_bos_token(begins), w.add_add_eos_token(True), w.add_add_sep_token(begins and kind != "WordPiece")


# ---- parameters and tensors ----

PREFIXES = ("bert.", "roberta.", "distilbert.", "model.")
DROPPED = ("pooler.", "embeddings.position_ids")
ARCH = {"bert": "bert", "roberta": "bert", "xlm-roberta": "bert", "distilbert": "bert", "jina-bert-v2": "jina-bert-v2", "nomic_bert": "nomic-bert", "modernbert": "modern-bert", "qwen3": "qwen3", "gemma3_text": "gemma-embedding"}
DECODERS = ("qwen3", "gemma3_text")
POOLING = {"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS, "lasttoken": gguf.PoolingType.LAST}


def position_offset(c):
    return c.pad_token_id + 1 if "roberta" in c.model_type else 0


def names(c):
    arch = ARCH[c.model_type]
    table = gguf.get_tensor_name_map(next(a for a, s in gguf.MODEL_ARCH_NAMES.items() if s == arch), c.num_hidden_layers)

    def name_of(hf):
        for p in PREFIXES:
            hf = hf.removeprefix(p)
        if hf.startswith(DROPPED):
            return None
        if hf in ("classifier.weight", "classifier.bias"):
            hf = hf.replace("classifier.", "classifier.out_proj.")
        return table.get_name("model." * (c.model_type in DECODERS) + hf, try_suffixes=(".weight", ".bias"))
    return name_of


def tensors(c, state):
    name_of = names(c)
    for hf, t in state.items():
        name = name_of(hf)
        if name:
            yield name, t.float().numpy()[position_offset(c) if name == "position_embd.weight" else 0:]


def add_parameters(w, c, pooling, labels):
    if c.model_type in DECODERS:
        add_decoder_parameters(w, c, ARCH[c.model_type])
        if getattr(c, "is_causal", True) is False and c.model_type == "qwen3":  # llama.cpp knows EmbeddingGemma's mask by its architecture
            w.add_causal_attention(False)
        return w.add_pooling_type(POOLING[pooling])
    w.add_type(gguf.GGUFType.MODEL), w.add_name("tiny random"), w.add_quantization_version(2)
    w.add_block_count(c.num_hidden_layers), w.add_context_length(c.max_position_embeddings - position_offset(c)), w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.hidden_dim if c.model_type == "distilbert" else c.intermediate_size), w.add_head_count(c.num_attention_heads)
    w.add_layer_norm_eps(getattr(c, "layer_norm_eps", 1e-12)), w.add_causal_attention(False)
    if pooling in POOLING:
        w.add_pooling_type(POOLING[pooling])
    if labels:
        w.add_classifier_output_labels(labels)
    if c.model_type == "nomic_bert":
        w.add_rope_freq_base(float(c.rotary_emb_base))
    if c.model_type == "modernbert":
        w.add_rope_freq_base(float(c.global_rope_theta)), w.add_rope_freq_base_swa(float(c.local_rope_theta)), w.add_rope_scaling_type(gguf.RopeScalingType.NONE)
        w.add_sliding_window(c.local_attention), w.add_sliding_window_pattern(c.global_attn_every_n_layers), w.add_string("modern-bert.hidden_activation", c.hidden_activation)
        if labels:
            w.add_uint32("modern-bert.classifier.pooling_type", POOLING[c.classifier_pooling].value)


def fused_qkv(ts):
    t = dict(ts)
    for name in [n for n in t if ".attn_q." in n]:
        t[name.replace("attn_q", "attn_qkv")] = np.concatenate([t.pop(name.replace("attn_q", f"attn_{x}")) for x in "qkv"])
    return list(t.items())


def save(path, c, state, tok, pooling=None, labels=None, type_of=lambda name: Q.F32, change=lambda ts: ts, accents=None):
    w = gguf.GGUFWriter(path, ARCH[c.model_type])
    add_parameters(w, c, pooling, labels)
    add_tokenizer(w, tok, getattr(c, "type_vocab_size", 1), accents)
    for name, t in change(list(tensors(c, state))):
        kind = type_of(name) if t.ndim > 1 and name not in ("position_embd.weight", "token_types.weight") else Q.F32
        w.add_tensor(name, gguf.quantize(t, kind) if kind != Q.F32 else t, raw_dtype=kind)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    print(f"{os.path.basename(path):32s} {os.path.getsize(path):8d} bytes")


def read_back(path, model):
    """The reference gets what the file holds: gguf's dequantisation."""
    held, name_of = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}, names(model.config)
    for name in [n for n in held if ".attn_qkv." in n]:
        held |= {name.replace("attn_qkv", f"attn_{x}"): t for x, t in zip("qkv", np.split(held[name], 3))}
    for hf, p in model.state_dict().items():
        name = name_of(hf)
        if name and name != "position_embd.weight":  # which is f32
            p.copy_(torch.from_numpy(np.array(held[name])).reshape(p.shape))


# ---- references ----

def rounded(xs):
    return [float(f"{x:.9g}") for x in xs]


def reference(model, tok, text, pair=None):
    tok.model_input_names = ["input_ids", "token_type_ids"] if getattr(model.config, "type_vocab_size", 0) > 1 else ["input_ids"]
    e = tok([(text, pair)] if pair is not None else text, truncation="only_second" if pair is not None else True, max_length=model.config.max_position_embeddings - position_offset(model.config), return_tensors="pt")
    with torch.no_grad():
        return e["input_ids"][0].tolist(), model(**e)


def write(name, what):
    json.dump({"made_by": versions() | {"gguf": "0.19.0"}, **what}, open(os.path.join(OUT, name + ".json"), "w"), separators=(",", ":"))


def pooled(hidden, pooling):
    v = {"mean": hidden.mean(0), "cls": hidden[0], "lasttoken": hidden[-1]}[pooling]
    return v / v.norm()


def embedder(name, family, pooling, seed, tok, how=Q.F16, said=True, **more):
    """said False: the file does not say the pooling."""
    model = BODIES[family](len(tok), tok.pad_token_id)
    randomize(model, seed)
    path = os.path.join(OUT, name + ".gguf")
    save(path, model.config, model.state_dict(), tok, pooling if said else None, type_of=how if callable(how) else lambda _: how, **more)
    read_back(path, model)
    cases = []
    for text in TEXTS:
        ids, out = reference(model, tok, text)
        if position_offset(model.config) and tok.pad_token_id in ids:
            continue
        cases.append({"text": text, "ids": ids, "vector": rounded(pooled(out.last_hidden_state[0], pooling))})
    write(name, {"pooling": pooling.removesuffix("token"), "cases": cases})


def embedding_gemma(name, seed, tok, wide=48):
    """Two dense layers between the mean and length 1 lie among the file's tensors; RMS norms hold w + 1."""
    model = T.Gemma3TextModel(GEMMA(len(tok), tok.pad_token_id)).eval()
    g = torch.Generator().manual_seed(seed)
    for n, p in model.named_parameters():
        p.data = torch.randn(p.shape, generator=g) * (0.3 if "norm" in n else 0.25)
    dense = {"dense_2.weight": torch.randn(wide, 32, generator=g) * 0.3, "dense_3.weight": torch.randn(32, wide, generator=g) * 0.3}
    path = os.path.join(OUT, name + ".gguf")
    state = {n: p + 1 if "norm" in n else p for n, p in model.state_dict().items()}
    save(path, model.config, state, tok, "mean", change=lambda ts: ts + [(n, t.numpy()) for n, t in dense.items()])
    cases = []
    for text in TEXTS:
        ids, out = reference(model, tok, text)
        v = out.last_hidden_state[0].mean(0)
        for t in dense.values():
            v = t @ v
        cases.append({"text": text, "ids": ids, "vector": rounded(v / v.norm())})
    write(name, {"pooling": "mean", "cases": cases})


def classifier(name, family, seed, tok, labels=None, pooler=True):
    """pooler False: the file has none, so the reference takes the first token as it is."""
    cls, config = HEADS[family]
    named = {"num_labels": 1} if labels is None else {"id2label": dict(enumerate(labels)), "label2id": {l: i for i, l in enumerate(labels)}}
    model = cls(config(vocab_size=len(tok), pad_token_id=tok.pad_token_id, **named, **SHAPES.get(family, small()))).eval()
    randomize(model, seed)
    path = os.path.join(OUT, name + ".gguf")
    save(path, model.config, model.state_dict(), tok, labels=list(model.config.id2label.values()), type_of=lambda _: Q.F16)
    read_back(path, model)
    cases = []
    for a, b in PAIRS:
        if pooler:
            ids, out = reference(model, tok, a, b)
            logits = out.logits[0]
        else:
            ids, out = reference(model.base_model, tok, a, b)
            with torch.no_grad():
                logits = model.classifier(out.last_hidden_state[0, 0])
        cases.append({"text": a, "pair": b, "ids": ids, "logits": rounded(logits)})
    write(name, {"labels": list(model.config.id2label.values()), "cases": cases})


def config_of(folder):
    """The keys of Nomic-BERT's configuration under the names of the others."""
    c = json.load(open(os.path.join(folder, "config.json")))
    again = {"num_hidden_layers": "n_layer", "max_position_embeddings": "n_positions", "hidden_size": "n_embd", "intermediate_size": "n_inner", "num_attention_heads": "n_head", "layer_norm_eps": "layer_norm_epsilon"}
    c |= {name: c[other] for name, other in again.items() if other in c}
    c["layer_norm_eps"] = c.get("norm_eps", c.get("layer_norm_eps"))
    if c.get("position_embedding_type") == "alibi":
        c["model_type"] = "jina-bert-v2"
    return SimpleNamespace(**c)


def converted(folder, name=None):
    """A folder of the safetensors' goldens; a text that was cut there is left out."""
    source, name = os.path.join(ROOT, folder), name or os.path.basename(folder)
    c, tok = config_of(source), T.PreTrainedTokenizerFast.from_pretrained(source)
    expected = json.load(open(os.path.join(source, "expected.json")))
    head = "labels" in expected
    save(os.path.join(OUT, name + ".gguf"), c, load_file(os.path.join(source, "model.safetensors")), tok, None if head else "mean", expected.get("labels"))
    cases = []
    for case in expected["cases"]:
        ids = tok([(case["text"], case["pair"])] if head else case["text"])["input_ids"]
        ids = ids[0] if head else ids
        if "prompt_name" not in case and len(ids) <= tok.model_max_length:
            cases.append({k: case[k] for k in ("text", "pair", "vector", "logits") if k in case} | {"ids": ids})
    write(name, {"cases": cases} | ({"labels": expected["labels"]} if head else {"pooling": "mean"}))


DISTIL = dict(dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64)
ROBERTA = small(type_vocab_size=1, intermediate_size=64)
SHAPES = {"distilbert": DISTIL, "roberta": ROBERTA, "xlm-roberta": ROBERTA}
GEMMA = lambda n, pad: T.Gemma3TextConfig(vocab_size=n, pad_token_id=pad, head_dim=16, query_pre_attn_scalar=16, num_key_value_heads=2, sliding_window=9, layer_types=["sliding_attention"] * 5 + ["full_attention"],
                                          use_bidirectional_attention=True, attn_implementation="eager", rope_parameters={"full_attention": dict(rope_type="default", rope_theta=1000000.0), "sliding_attention": dict(rope_type="default", rope_theta=10000.0)},
                                          **small(num_hidden_layers=6, intermediate_size=32))
BODIES = {
    "qwen3-both-ways": lambda n, pad: T.Qwen3Model(T.Qwen3Config(vocab_size=n, pad_token_id=pad, num_key_value_heads=2, head_dim=8, is_causal=False, attn_implementation="eager", **small(intermediate_size=64))).eval(),
    "qwen3": lambda n, pad: T.Qwen3Model(T.Qwen3Config(vocab_size=n, pad_token_id=pad, num_key_value_heads=2, head_dim=8, **small(intermediate_size=64))).eval(),
    "bert": lambda n, pad: T.BertModel(T.BertConfig(vocab_size=n, pad_token_id=pad, **small(intermediate_size=64)), add_pooling_layer=False).eval(),
    "roberta": lambda n, pad: T.RobertaModel(T.RobertaConfig(vocab_size=n, pad_token_id=pad, **ROBERTA), add_pooling_layer=False).eval(),
    "xlm-roberta": lambda n, pad: T.XLMRobertaModel(T.XLMRobertaConfig(vocab_size=n, pad_token_id=pad, **ROBERTA), add_pooling_layer=False).eval(),
    "distilbert": lambda n, pad: T.DistilBertModel(T.DistilBertConfig(vocab_size=n, pad_token_id=pad, **DISTIL)).eval(),
}
HEADS = {
    "bert": (T.BertForSequenceClassification, T.BertConfig),
    "roberta": (T.RobertaForSequenceClassification, T.RobertaConfig),
    "xlm-roberta": (T.XLMRobertaForSequenceClassification, T.XLMRobertaConfig),
    "distilbert": (T.DistilBertForSequenceClassification, T.DistilBertConfig),
}
BLOCKS = {"token_embd": Q.Q8_0, "attn_q": Q.Q4_0, "attn_k": Q.Q5_0, "attn_v": Q.Q5_1, "attn_output": Q.Q4_1, "ffn_up": Q.Q4_0, "ffn_down": Q.Q8_0}


def minilm(directory, folder):
    model, tok = T.AutoModel.from_pretrained(directory, add_pooling_layer=False), T.AutoTokenizer.from_pretrained(directory)
    for kind in (Q.F32, Q.F16, Q.Q8_0):
        save(os.path.join(folder, f"minilm-{kind.name}.gguf"), model.config, model.state_dict(), tok, "mean", type_of=lambda _: kind)


def main():
    if len(sys.argv) == 3:
        return minilm(sys.argv[1], sys.argv[2])
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    embedder("bert-mean", "bert", "mean", 1, wordpiece(), Q.F32)
    embedder("bert-cls-fused", "bert", "cls", 2, wordpiece(), change=fused_qkv)
    embedder("bert-accents-unsaid", "bert", "mean", 3, wordpiece(accents=True), said=False, accents=True)
    embedder("bert-blocks", "bert", "mean", 4, wordpiece(), lambda name: BLOCKS[name.split(".")[-2]])
    embedder("roberta-mean", "roberta", "mean", 5, byte_level())
    embedder("xlm-roberta-cls", "xlm-roberta", "cls", 6, unigram())
    embedder("distilbert-mean", "distilbert", "mean", 7, wordpiece())
    embedder("qwen3-last", "qwen3", "lasttoken", 8, byte_level(ends_only=True))
    embedder("qwen3-both-ways", "qwen3-both-ways", "mean", 9, byte_level(ends_only=True))
    embedding_gemma("embedding-gemma", 10, byte_level(ends_only=True))
    classifier("bert-rank", "bert", 11, wordpiece(), pooler=False)
    classifier("roberta-two", "roberta", 12, byte_level(), ["negative", "positive"])
    classifier("xlm-roberta-rank", "xlm-roberta", 13, unigram())
    classifier("distilbert-three", "distilbert", 14, wordpiece(), ["contradiction", "entailment", "neutral"])
    for folder in ("encoders/jina-v2-mean", "encoders/jina-v2-code", "encoders/nomic-mean", "encoders/modernbert-mean"):
        converted(folder)
    converted("encoder-heads/modernbert", "modernbert-rank")


if __name__ == "__main__":
    main()
