#!/usr/bin/env python3
"""Makes tests/golden/encoders/ and tests/golden/encoder-heads/: tiny random JinaBert v2, GTE-new, Nomic-BERT and ModernBERT in the layout of the real
repositories, each with expected.json: vectors of single texts; logits, probabilities and scores of pairs.

The values of GTE, Nomic-BERT and ModernBERT are those of transformers' classes, in float64; config.json is then written as the repositories have it (their
model_type, their keys). JinaBert's code lies in a repository alone, so jina() is an implementation of its own, from the published description: symmetric
ALiBi (Press et al. 2021), GEGLU, post-norm (Guenther et al. 2023), and the tensor names of the checkpoints.

    pip install -r tools/requirements.txt && python3 tools/make_encoder_goldens.py
"""
import json
import math
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import transformers as T
from safetensors.torch import load_file, save_file
from scipy.special import erf

from make_classifier_goldens import PAIRS
from make_model_goldens import ROOT, TEXTS, tokenizer, versions

ENCODERS, HEADS = os.path.join(ROOT, "encoders"), os.path.join(ROOT, "encoder-heads")
LIMIT = 48


def numbers(v):
    return [float(f"{x:.9g}") for x in np.asarray(v, dtype=np.float64).reshape(-1)]


def write_json(value, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    json.dump(value, open(os.path.join(*path), "w"), indent=1)


def random_tensors(shapes, seed):
    g = torch.Generator().manual_seed(seed)
    out = {}
    for name, shape in shapes.items():
        norm = len(shape) == 1 and ("norm" in name.lower() or "_ln" in name)
        out[name] = torch.randn(shape, generator=g) * (0.2 if norm else 0.3) + (1.0 if norm and name.endswith("weight") else 0.0)
    return out


# ---- JinaBert v2 ----


def slopes(n_head):
    power = 2 ** math.floor(math.log2(n_head))
    first = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    return np.array(first + [2 ** (-8 * (i + 1) / (2 * power)) for i in range(0, 2 * power, 2)][: n_head - power])


def jina_shapes(config, code):
    d, f, names = config["hidden_size"], config["intermediate_size"], {}

    def linear(name, rows, cols, bias=True):
        names[name + ".weight"] = [rows, cols]
        if bias:
            names[name + ".bias"] = [rows]

    def norm(name):
        names[name + ".weight"], names[name + ".bias"] = [d], [d]

    names["embeddings.word_embeddings.weight"] = [config["vocab_size"], d]
    names["embeddings.token_type_embeddings.weight"] = [config["type_vocab_size"], d]
    norm("embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        p = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            linear(p + "attention.self." + part, d, d)
        linear(p + "attention.output.dense", d, d)
        norm(p + "attention.output.LayerNorm")
        if code:
            for name in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1", "layer_norm_2"):
                norm(p + name)
        else:
            norm(p + "mlp.layernorm")
        linear(p + ("mlp.up_gated_layer" if code else "mlp.gated_layers"), 2 * f, d, bias=False)
        linear(p + ("mlp.down_layer" if code else "mlp.wo"), d, f)
    linear("pooler.dense", d, d)
    return names


def jina(config, tensors, code):
    """ids, types -> last hidden states, all in float64"""
    w = {k: v.double().numpy() for k, v in tensors.items()}
    n_head, eps = config["num_attention_heads"], config["layer_norm_eps"]

    def linear(name, x):
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)

    def norm(name, x):
        m = x.mean(-1, keepdims=True)
        return (x - m) / np.sqrt(((x - m) ** 2).mean(-1, keepdims=True) + eps) * w[name + ".weight"] + w[name + ".bias"]

    def act(x):
        return np.maximum(x, 0) if config["feed_forward_type"] == "reglu" else 0.5 * x * (1 + erf(x / math.sqrt(2)))

    def run(ids, types):
        x = norm("embeddings.LayerNorm", w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][types])
        n, d = x.shape
        at = np.arange(n)
        bias = -slopes(n_head)[:, None, None] * np.abs(at[:, None] - at[None, :])
        for i in range(config["num_hidden_layers"]):
            p = f"encoder.layer.{i}."
            q, k, v = (linear(p + "attention.self." + part, x) for part in ("query", "key", "value"))
            if code:
                q, k = norm(p + "attention.self.layer_norm_q", q), norm(p + "attention.self.layer_norm_k", k)
            q, k, v = (t.reshape(n, n_head, -1).transpose(1, 0, 2) for t in (q, k, v))
            s = q @ k.transpose(0, 2, 1) / math.sqrt(d // n_head) + bias
            s = np.exp(s - s.max(-1, keepdims=True))
            heads = (s / s.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, d)
            y = norm(p + "attention.output.LayerNorm", x + linear(p + "attention.output.dense", heads))
            x = norm(p + "layer_norm_1", x + y) if code else y
            u = linear(p + ("mlp.up_gated_layer" if code else "mlp.gated_layers"), x)
            a, b = u[:, : u.shape[1] // 2], u[:, u.shape[1] // 2 :]
            y = linear(p + ("mlp.down_layer" if code else "mlp.wo"), a * act(b) if code else act(a) * b)
            x = norm(p + ("layer_norm_2" if code else "mlp.layernorm"), x + y)
        return x

    return run


def jina_config(vocab, pad, code, **more):
    repo = "jinaai/jina-bert-v2-qk-post-norm" if code else "jinaai/jina-bert-implementation"
    classes = {"AutoModel": "JinaBertModel", "AutoModelForSequenceClassification": "JinaBertForSequenceClassification"}
    auto = {"AutoConfig": repo + "--configuration_bert.JinaBertConfig"} | {k: f"{repo}--modeling_bert.{v}" for k, v in classes.items()}
    config = dict(architectures=["JinaBertModel"], auto_map=auto, model_type="bert", position_embedding_type="alibi", feed_forward_type="geglu", emb_pooler="mean",
                  hidden_act="gelu", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64,
                  layer_norm_eps=1e-12, type_vocab_size=2, vocab_size=vocab, pad_token_id=pad)
    return config | more


# ---- writing ----


def write_model(target, config, tensors, tok):
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    write_json(config, target, "config.json")
    save_file(tensors, os.path.join(target, "model.safetensors"), metadata={"format": "pt"})
    tok.model_max_length = LIMIT
    tok.backend_tokenizer.no_truncation()  # what an earlier call left
    tok.save_pretrained(target)


def write_embedder(name, config, tensors, tok, run, pooling="mean", normalize=True, prompts=None, positions=None):
    """run(ids, types) -> [n, d]; positions: how many the model has, when fewer than LIMIT"""
    target = os.path.join(ENCODERS, name)
    write_model(target, config, tensors, tok)
    kinds = ["models.Transformer", "models.Pooling"] + ["models.Normalize"] * normalize
    modules = [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{k[7:]}", "type": "sentence_transformers." + k} for i, k in enumerate(kinds)]
    write_json(modules, target, "modules.json")
    write_json({"word_embedding_dimension": config.get("hidden_size", config.get("n_embd")), "pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}, target, "1_Pooling/config.json")
    write_json({"max_seq_length": LIMIT, "do_lower_case": False}, target, "sentence_bert_config.json")
    if prompts:
        write_json({"prompts": prompts, "default_prompt_name": None}, target, "config_sentence_transformers.json")
    cases = []
    for text in TEXTS:
        for prompt in [None] + sorted(prompts or {}):
            e = tok((prompts or {}).get(prompt, "") + text, truncation=True, max_length=positions or LIMIT)
            x = run(np.array(e["input_ids"]), np.zeros(len(e["input_ids"]), dtype=int))
            v = x[0] if pooling == "cls" else x.mean(0)
            cases.append({"text": text, "vector": numbers(v / np.sqrt((v**2).sum()) if normalize else v)} | ({"prompt_name": prompt} if prompt else {}))
    json.dump({"made_by": versions(), "cases": cases}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))


def write_head(name, config, tensors, tok, logits, labels=("LABEL_0",)):
    """logits(ids, types) -> [n_labels]; pairs as the tokenizer of the repository encodes them, with token types"""
    target = os.path.join(HEADS, name)
    config = config | {"id2label": {str(i): l for i, l in enumerate(labels)}, "label2id": {l: i for i, l in enumerate(labels)}}
    write_model(target, config, tensors, tok)
    cases = []
    for a, b in PAIRS:
        e = tok([(a, b)], truncation="only_second", return_token_type_ids=True)
        y = torch.tensor(np.asarray(logits(np.array(e["input_ids"][0]), np.array(e["token_type_ids"][0]))))
        p = y.sigmoid() if len(labels) == 1 else y.softmax(-1)
        cases.append({"text": a, "pair": b, "logits": numbers(y), "probabilities": numbers(p), "scores": numbers(p if len(labels) == 1 else y)})
    json.dump({"made_by": versions(), "labels": list(labels), "cases": cases}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))


def make_jina():
    tok, vocab, pad = tokenizer("bert")
    for name, code, seed, more in (("jina-v2-mean", False, 1, {}), ("jina-v2-six-heads", False, 2, dict(hidden_size=48, num_attention_heads=6)), ("jina-v2-reglu", False, 3, dict(feed_forward_type="reglu")),
                                   ("jina-v2-code", True, 4, dict(hidden_size=24, num_attention_heads=3))):
        config = jina_config(vocab, pad, code, **more)
        tensors = random_tensors(jina_shapes(config, code), seed)
        write_embedder(name, config, tensors, tok, jina(config, tensors, code))
    config = jina_config(vocab, pad, False, architectures=["JinaBertForSequenceClassification"])
    body = random_tensors(jina_shapes(config, False), 5)
    top = random_tensors({"classifier.weight": [1, 32], "classifier.bias": [1]}, 6)
    run = jina(config, body, False)
    w = {k: v.double().numpy() for k, v in (body | top).items()}

    def logits(ids, types):
        return np.tanh(run(ids, types)[0] @ w["pooler.dense.weight"].T + w["pooler.dense.bias"]) @ w["classifier.weight"].T + w["classifier.bias"]

    write_head("jina-v2", config, {"bert." + k: v for k, v in body.items()} | top, tok, logits)


# ---- what transformers has ----

SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64)


def saved(model, seed, prefix="", becomes="", half=None):
    """Gives the model random values; the tensors as its class saves them (in the layout of the repositories), names below `prefix` moved below `becomes`."""
    model.eval()
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        norm = "norm" in name.lower()
        p.data = torch.randn(p.shape, generator=g) * (0.2 if norm else 0.3) + (1.0 if norm and name.endswith("weight") else 0.0)
        p.data = p.data.to(half or torch.float32).float()  # not model.to(half): that would round the frequencies too
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.load(open(os.path.join(folder, "config.json")))
        tensors = {becomes + k[len(prefix):] if prefix and k.startswith(prefix) else k: v.to(half or v.dtype) for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}
    return config, tensors, model.double()


def runner(model, out, types):
    """Ids and token types -> the first row of output `out`."""

    def run(ids, type_ids):
        more = {"token_type_ids": torch.tensor(type_ids[None])} if types else {}
        with torch.no_grad():
            return getattr(model(input_ids=torch.tensor(ids[None]), **more), out)[0].numpy()

    return run


def ntk(model, theta, factor):
    """GTE's own scaling of rotary positions, by its formula: base theta * factor, then all frequencies divided by factor^(2 / dim)."""
    dim = 2 * len(model.rotary_emb.inv_freq)
    f = (theta * factor) ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim) / factor ** (2 / dim)
    model.rotary_emb.inv_freq = f.float()


def new_config(vocab, pad, architecture, **more):
    auto = {"AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig", "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"}
    config = dict(architectures=[architecture], auto_map=auto, model_type="new", attention_probs_dropout_prob=0.0, hidden_act="gelu", layer_norm_eps=1e-12, layer_norm_type="layer_norm",
                  logn_attention_clip1=False, logn_attention_scale=False, pack_qkv=True, pad_token_id=pad, position_embedding_type="rope", rope_scaling=None, rope_theta=160000,
                  type_vocab_size=0, unpad_inputs=False, use_memory_efficient_attention=False, vocab_size=vocab)
    return config | SMALL | more


def make_gte():
    tok, vocab, pad = tokenizer("bert")
    base = dict(vocab_size=vocab, pad_token_id=pad, **SMALL)
    model = T.GteModel(T.GteConfig(type_vocab_size=0, rope_parameters={"rope_type": "default", "rope_theta": 500000.0}, **base))
    _, tensors, model = saved(model, 21)
    ntk(model, 500000.0, 2.0)
    config = new_config(vocab, pad, "NewModel", rope_theta=500000, rope_scaling={"type": "ntk", "factor": 2.0})
    prompts = {"query": "Instruct: find the sea\nQuery: "}  # as SFR-Embedding-Code-400M has it, a task and its text
    write_embedder("gte-new-ntk-cls", config, tensors, tok, runner(model, "last_hidden_state", False), pooling="cls", prompts=prompts)

    native, tensors, model = saved(T.GteModel(T.GteConfig(type_vocab_size=1, **base)), 22)
    apart = {}
    for key, t in tensors.items():
        apart |= {key.replace("qkv_proj", n): v.clone() for n, v in zip(("q_proj", "k_proj", "v_proj"), t.chunk(3))} if "qkv_proj" in key else {key: t}
    config = new_config(vocab, pad, "NewModel", type_vocab_size=1, pack_qkv=False)
    write_embedder("gte-new-unpacked", config, apart, tok, runner(model, "last_hidden_state", True), normalize=False)
    native, tensors, model = saved(T.GteModel(T.GteConfig(type_vocab_size=1, **base)), 24, half=torch.bfloat16)
    write_embedder("gte-native-bf16", native, tensors, tok, runner(model, "last_hidden_state", True))

    model = T.GteForSequenceClassification(T.GteConfig(type_vocab_size=2, num_labels=1, rope_parameters={"rope_type": "default", "rope_theta": 20000.0}, **base))
    _, tensors, model = saved(model, 23, "gte.", "new.")
    config = new_config(vocab, pad, "NewForSequenceClassification", type_vocab_size=2, rope_theta=20000)
    write_head("gte-new", config, tensors, tok, runner(model, "logits", True))


def nomic_config(vocab, pad, architecture):
    auto = {"AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig", "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"}
    return dict(architectures=[architecture], auto_map=auto, model_type="nomic_bert", activation_function="swiglu", causal=False, layer_norm_epsilon=1e-12, max_trained_positions=2048,
                mlp_fc1_bias=False, mlp_fc2_bias=False, n_embd=32, n_head=4, n_inner=48, n_layer=2, n_positions=8192, pad_token_id=pad, pad_vocab_size_multiple=64, parallel_block=False,
                prenorm=False, qkv_proj_bias=False, rotary_emb_base=1000, rotary_emb_fraction=1.0, rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_scaling_factor=None,
                type_vocab_size=2, use_rms_norm=False, vocab_size=vocab)


def rotated_in_part(model, tensors, interleaved):
    """Half of each head rotated (4 of 8 values): in transformers' class frequencies of 0 for the other pairs, and the rows of q and k in the order in which the
    original code takes pairs. Returns its tensors."""
    f = 1000.0 ** (-2 * torch.arange(2, dtype=torch.float64) / 4)
    model.rotary_emb.inv_freq = torch.cat([f, torch.zeros(2)]).float()
    order = [0, 4, 1, 5, 2, 3, 6, 7] if interleaved else [0, 1, 4, 5, 2, 3, 6, 7]
    rows = [8 * head + i for head in range(8) for i in order] + list(range(64, 96))  # 4 heads of q, 4 of k, then v
    return {k: v[rows].clone() if "Wqkv" in k else v for k, v in tensors.items()}


def make_nomic():
    tok, vocab, pad = tokenizer("bert")
    base = dict(vocab_size=vocab, pad_token_id=pad, **SMALL)
    native, tensors, model = saved(T.NomicBertModel(T.NomicBertConfig(**base)), 31)
    prompts = {"search_query": "search_query: ", "search_document": "search_document: "}
    write_embedder("nomic-mean", nomic_config(vocab, pad, "NomicBertModel"), tensors, tok, runner(model, "last_hidden_state", True), prompts=prompts)
    write_embedder("nomic-native", native, tensors, tok, runner(model, "last_hidden_state", True), pooling="cls")
    config = nomic_config(vocab, pad, "NomicBertModel")
    few = config | dict(rotary_scaling_factor=2, max_trained_positions=20)  # beyond 20 the original's frequencies change with the length: the model ends there
    write_embedder("nomic-scaled", few, tensors, tok, runner(model, "last_hidden_state", True), positions=20)
    for interleaved in (False, True):
        native, tensors, model = saved(T.NomicBertModel(T.NomicBertConfig(**base)), 33)
        part = config | dict(rotary_emb_fraction=0.5, rotary_emb_interleaved=interleaved)
        write_embedder("nomic-half-" + ("interleaved" if interleaved else "rotary"), part, rotated_in_part(model, tensors, interleaved), tok, runner(model, "last_hidden_state", True))
    labels = ("no", "some", "yes")
    model = T.NomicBertForSequenceClassification(T.NomicBertConfig(id2label=dict(enumerate(labels)), **base))
    _, tensors, model = saved(model, 32)
    write_head("nomic-three", nomic_config(vocab, pad, "NomicBertForSequenceClassification"), tensors, tok, runner(model, "logits", True), labels)


def modern_config(native, local, every, thetas):
    """The keys that the configuration files of 2024 have in place of layer_types and rope_parameters."""
    config = {k: v for k, v in native.items() if k not in ("layer_types", "rope_parameters")}
    return config | dict(global_attn_every_n_layers=every, local_attention=local, global_rope_theta=thetas[0], local_rope_theta=thetas[1], position_embedding_type="absolute", reference_compile=True)


def make_modern():
    tok, vocab, pad = tokenizer("bert")
    special = dict(pad_token_id=pad, cls_token_id=tok.cls_token_id, sep_token_id=tok.sep_token_id, bos_token_id=tok.cls_token_id, eos_token_id=tok.sep_token_id)
    base = dict(vocab_size=vocab, attn_implementation="eager", **special, **SMALL) | {"num_hidden_layers": 4}
    ropes = {"full_attention": {"rope_type": "default", "rope_theta": 160000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}

    def config(**more):
        return T.ModernBertConfig(local_attention=8, rope_parameters=ropes, **base, **more)

    native, tensors, model = saved(T.ModernBertModel(config()), 41)
    run = runner(model, "last_hidden_state", False)
    write_embedder("modernbert-mean", modern_config(native, 8, 3, (160000.0, 100.0)), tensors, tok, run)
    write_embedder("modernbert-native-cls", native, tensors, tok, run, pooling="cls")
    native, tensors, model = saved(T.ModernBertModel(config(attention_bias=True, mlp_bias=True, norm_bias=True, hidden_activation="silu", layer_types=["sliding_attention", "full_attention"] * 2)), 42)
    write_embedder("modernbert-biases", native, tensors, tok, runner(model, "last_hidden_state", False))

    native, tensors, model = saved(T.ModernBertForSequenceClassification(config(num_labels=1)), 43)
    write_head("modernbert", modern_config(native, 8, 3, (160000.0, 100.0)), tensors, tok, runner(model, "logits", False))
    labels = ("no", "some", "yes")
    more = dict(classifier_pooling="mean", classifier_bias=True, classifier_activation="relu", norm_bias=True)
    native, tensors, model = saved(T.ModernBertForSequenceClassification(config(id2label=dict(enumerate(labels)), **more)), 44)
    write_head("modernbert-mean-three", native, tensors, tok, runner(model, "logits", False), labels)


def main():
    for folder in (ENCODERS, HEADS):
        shutil.rmtree(folder, ignore_errors=True)
    make_jina()
    make_gte()
    make_nomic()
    make_modern()


if __name__ == "__main__":
    main()
