#!/usr/bin/env python3
"""Makes tests/golden/outputs/jina-v4*: a tiny random jina-embeddings-v4, text part, in the layout of its repository, and expected.json.

Its code lies in its repository alone, so jina_v4() below is an implementation of its own in float64, from the published description: the decoder of
Qwen2.5-VL (RMS norms, biases of q, k and v, rotary positions that are equal on all axes for text, a causal mask), the adapter of one task in each of its
linear layers, y = W x + alpha / r B A x, the mean of the last hidden states scaled to length 1, and a projector for each token, scaled likewise. Without
adapters it is compared with transformers' Qwen2_5_VLTextModel before anything is written.

    pip install -r tools/requirements.txt && python3 tools/make_task_goldens.py
"""
import json
import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import transformers as T
from safetensors.torch import save_file

from make_encoder_goldens import numbers, random_tensors, write_json
from make_model_goldens import ROOT, TEXTS, tokenizer, versions

OUT = os.path.join(ROOT, "outputs")
TASKS = ["retrieval", "text-matching", "code"]
TEXT = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6, max_position_embeddings=512, rope_theta=1000000.0,
            use_sliding_window=False, sliding_window=64, max_window_layers=70, hidden_act="silu")
DIM, RANK, ALPHA = 16, 4, 6
MODULES = [f"layers.{i}.{m}" for i in range(2) for m in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")]


def shapes(vocab):
    d, f, kv = 32, 48, 16
    out = {"model.embed_tokens.weight": (vocab, d), "model.norm.weight": (d,), "multi_vector_projector.weight": (DIM, d), "multi_vector_projector.bias": (DIM,)}
    for i in range(2):
        p = f"model.layers.{i}."
        out |= {p + "input_layernorm.weight": (d,), p + "post_attention_layernorm.weight": (d,)}
        out |= {p + "self_attn.q_proj.weight": (d, d), p + "self_attn.q_proj.bias": (d,), p + "self_attn.o_proj.weight": (d, d)}
        out |= {p + f"self_attn.{k}_proj.weight": (kv, d) for k in "kv"} | {p + f"self_attn.{k}_proj.bias": (kv,) for k in "kv"}
        out |= {p + "mlp.gate_proj.weight": (f, d), p + "mlp.up_proj.weight": (f, d), p + "mlp.down_proj.weight": (d, f)}
    return out


def adapter_shapes(weights):
    out = {}
    for task in TASKS:
        for module in MODULES + ["multi_vector_projector"]:
            rows, cols = weights[("" if module not in MODULES else "model.") + module + ".weight"].shape
            stem = "base_model.model." + ("model.language_model." if module in MODULES else "") + module
            out[f"{stem}.lora_A.{task}.weight"], out[f"{stem}.lora_B.{task}.weight"] = (RANK, cols), (rows, RANK)
    return out


def jina_v4(w, adapter, ids, task):
    """w, adapter: float64 arrays by tensor name; task None: no adapter. Returns the last hidden states [n, d] and the token vectors [n, DIM]."""
    n, heads, kv, eps = len(ids), 4, 2, TEXT["rms_norm_eps"]
    half = 32 // heads // 2

    def linear(x, module, body=True):
        name = ("model." if body else "") + module
        y = x @ w[name + ".weight"].T
        if name + ".bias" in w:
            y = y + w[name + ".bias"]
        if task is None:
            return y
        stem = "base_model.model." + ("model.language_model." if body else "") + module
        return y + ALPHA / RANK * (x @ adapter[f"{stem}.lora_A.{task}.weight"].T @ adapter[f"{stem}.lora_B.{task}.weight"].T)

    def rms(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w["model." + name + ".weight"]

    angle = np.arange(n)[:, None] * TEXT["rope_theta"] ** (-np.arange(half) / half)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

    def rotate(x):  # [n, heads, 2 half]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    x = w["model.embed_tokens.weight"][ids]
    for i in range(TEXT["num_hidden_layers"]):
        p = f"layers.{i}."
        h = rms(x, p + "input_layernorm")
        q, k, v = (linear(h, p + f"self_attn.{s}_proj").reshape(n, -1, 2 * half) for s in "qkv")
        q, k = rotate(q), rotate(k)
        k, v = np.repeat(k, heads // kv, 1), np.repeat(v, heads // kv, 1)
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(2 * half)
        scores[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        x = x + linear(np.einsum("hij,jhd->ihd", share, v).reshape(n, -1), p + "self_attn.o_proj")
        h = rms(x, p + "post_attention_layernorm")
        gate = linear(h, p + "mlp.gate_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, p + "mlp.up_proj"), p + "mlp.down_proj")
    x = rms(x, "norm")
    return x, linear(x, "multi_vector_projector", body=False)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def check_against_transformers(w, vocab):
    model = T.Qwen2_5_VLTextModel(T.Qwen2_5_VLTextConfig(vocab_size=vocab, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [2, 1, 1]}, **{k: v for k, v in TEXT.items() if k != "rope_theta"})).double().eval()
    missing, unexpected = model.load_state_dict({k.removeprefix("model."): torch.from_numpy(v) for k, v in w.items() if k.startswith("model.")}, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    ids = [(7 * i + 3) % vocab for i in range(20)]
    with torch.no_grad():
        theirs = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    off = np.abs(theirs - jina_v4(w, None, ids, None)[0]).max()
    print(f"without an adapter {off:.1e} from Qwen2_5_VLTextModel")
    assert off < 2e-6  # transformers computes the rotary angles in float32


def cases_of(tok, w, adapter, task):
    prompts = {False: "Query: " if task == "text-matching" else "Passage: ", True: "Query: "}
    cases = []
    for query in (False, True):
        for text in TEXTS[:3] if query else TEXTS:
            ids = tok(prompts[query] + text, truncation=True)["input_ids"]
            hidden, tokens = jina_v4(w, adapter, ids, task)
            cases.append({"text": text, "dense": numbers(unit(hidden.mean(0))), "vectors": [numbers(v) for v in unit(tokens)]} | ({"query": True} if query else {}))
    return cases


def scores_of(cases):
    query = next(np.array(c["vectors"]) for c in cases if c.get("query"))
    return numbers([(query @ np.array(c["vectors"]).T).max(1).sum() for c in cases if not c.get("query")])


def config(vocab, flat):
    own = dict(architectures=["JinaEmbeddingsV4Model"], single_vector_pool_strategy="mean", multi_vector_projector_dim=DIM, matryoshka_dims=[8, 16, 32], task_names=TASKS, truncate_dim=None)
    text = dict(vocab_size=vocab, rope_scaling={"mrope_section": [2, 1, 1], "rope_type": "default", "type": "default"}, **TEXT)
    if flat:  # as Qwen2.5-VL's files were written before there was a text_config
        return own | dict(model_type="qwen2_5_vl") | text | dict(rope_scaling={"mrope_section": [2, 1, 1], "type": "mrope"})
    return own | dict(model_type="qwen2_5_vl", text_config=text | dict(model_type="qwen2_5_vl_text"), vision_config=dict(depth=2, hidden_size=16))


def build(name, seed, flat, half):
    target = os.path.join(OUT, name)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(os.path.join(target, "adapters"))
    tok, vocab, _ = tokenizer("roberta")
    tok.model_max_length = 48
    tok.save_pretrained(target)
    weights = random_tensors(shapes(vocab), seed)
    factors = random_tensors(adapter_shapes(weights), seed + 1)
    if half:
        weights, factors = ({k: v.to(torch.bfloat16) for k, v in t.items()} for t in (weights, factors))
    save_file(weights | {"visual.patch_embed.proj.weight": torch.zeros(4, 3)}, os.path.join(target, "model.safetensors"), metadata={"format": "pt"})
    save_file(factors, os.path.join(target, "adapters", "adapter_model.safetensors"))
    write_json(config(vocab, flat), target, "config.json")
    write_json(dict(peft_type="LORA", r=RANK, lora_alpha=ALPHA, lora_dropout=0.1, bias="none", use_dora=False, use_rslora=False, fan_in_fan_out=False, modules_to_save=None, rank_pattern={}, alpha_pattern={}, layer_replication=None,
                    exclude_modules=".*visual.*", target_modules="(.*(model).*(down_proj|gate_proj|up_proj|k_proj|q_proj|v_proj|o_proj).*$|.*(multi_vector_projector).*$)"), target, "adapters", "adapter_config.json")
    write_json([{"idx": 0, "name": "transformer", "path": "", "type": "custom_st.Transformer", "kwargs": ["task"]}], target, "modules.json")
    w, adapter = ({k: v.double().numpy() for k, v in t.items()} for t in (weights, factors))
    check_against_transformers(w, vocab)
    cases = cases_of(tok, w, adapter, TASKS[0])
    others = [{"adapter": t, "cases": cases_of(tok, w, adapter, t)} for t in TASKS[1:]]
    for o in others:
        o["cases"] = o["cases"][:2] + o["cases"][-1:]
    json.dump({"made_by": versions() | {"numpy": np.__version__}, "cases": cases, "others": others, "rank_query": TEXTS[0], "scores": scores_of(cases)}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))


if __name__ == "__main__":
    build("jina-v4", 50, flat=False, half=False)
    build("jina-v4-flat", 52, flat=True, half=True)
