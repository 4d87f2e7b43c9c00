#!/usr/bin/env python3
"""Adds GGUF files to tests/golden/decoders: the tiny models of make_decoder_goldens.py as llama.cpp's converter would write them.

    pip install -r tools/requirements.txt && python3 tools/make_gguf_goldens.py     (after make_decoder_goldens.py)

  NAME/model.gguf   the weights of NAME/model.safetensors: expected.* serve both
  NAME/*.gguf       another way to write the same model: fused tensors of the original ChatGLM; GLM-4's multi-axis rotary order with a
                    layer for predicting two tokens that a reader must leave out
  gguf-*/           what a GGUF file cannot say of those models (the program that reads it assumes it), and quantised and half-precision
                    files: model.gguf with expected.* of its own, from transformers with the dequantised weights
What GGUF cannot say at all has no file: dynamic NTK, Qwen2's windows.
"""
import os
import shutil
import string

import gguf
import numpy as np
import torch
import transformers as T
from gguf import GGMLQuantizationType as Q

from ggml_blocks import SCALE_FIELDS
from make_decoder_goldens import OUT, build, rope, save_expected

ARCH = {"llama": "llama", "mistral": "llama", "internlm3": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gemma3_text": "gemma3",
        "phi3": "phi3", "smollm3": "smollm3", "glm": "chatglm", "glm4": "glm4", "olmo2": "olmo2", "olmo3": "olmo2"}
PERMUTED = ("llama", "mistral", "internlm3", "smollm3")  # rows of q and k: rotary halves become neighbours
BYTE_LEVEL = {"qwen2": "qwen2", "qwen3": "qwen2", "smollm3": "smaug-bpe", "chatglm": "chatglm-bpe", "glm4": "glm4", "olmo2": "dbrx"}  # the others: SentencePiece


# ---- metadata ----

def add_tokenizer(w, arch, n):
    """n pieces of no meaning: the tests feed ids."""
    letters = list(string.printable[: n - 4])
    if arch in BYTE_LEVEL:
        w.add_tokenizer_model("gpt2"), w.add_tokenizer_pre(BYTE_LEVEL[arch])
        tokens = ["<pad>", "<s>", "</s>"] + letters + ["ab"]
        w.add_token_list(tokens + [f"[PAD{i}]" for i in range(len(tokens), n)])
        w.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3) + [5] * (n - len(tokens)))
        w.add_token_merges(["a b"])
    else:
        w.add_tokenizer_model("llama"), w.add_tokenizer_pre("default")
        tokens = ["<unk>", "<s>", "</s>", "\u2581"] + letters
        w.add_token_list(tokens + [f"[PAD{i}]" for i in range(len(tokens), n)])
        w.add_token_scores([0.0] * 3 + [-float(i) for i in range(n - 3)])
        w.add_token_types([2, 3, 3] + [1] * (len(tokens) - 3) + [5] * (n - len(tokens)))
        w.add_unk_token_id(0)
        if arch.startswith("gemma"):
            w.add_add_space_prefix(False)
    w.add_bos_token_id(1), w.add_eos_token_id(2), w.add_pad_token_id(0)


def add_rope(w, c, arch):
    p = c.rope_parameters
    full = p.get("full_attention", p)
    w.add_rope_freq_base(float(full["rope_theta"]))
    if arch == "phi3":  # always says the trained length; the factors are tensors
        w.add_rope_scaling_orig_ctx_len(full.get("original_max_position_embeddings", c.original_max_position_embeddings))
        if full["rope_type"] == "longrope":
            trained = full["original_max_position_embeddings"]
            w.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(c.max_position_embeddings / trained) / np.log(trained))))
    elif full["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR), w.add_rope_scaling_factor(full["factor"])
    elif full["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN), w.add_rope_scaling_factor(full["factor"])
        w.add_rope_scaling_orig_ctx_len(full["original_max_position_embeddings"])
        if "beta_fast" in full:
            w.add_rope_scaling_yarn_beta_fast(full["beta_fast"]), w.add_rope_scaling_yarn_beta_slow(full["beta_slow"])
        if "mscale_all_dim" in full:
            assert full["mscale"] == 1
            w.add_rope_scaling_yarn_log_mul(full["mscale_all_dim"])
    if "sliding_attention" in p:
        w.add_rope_freq_base_swa(float(p["sliding_attention"]["rope_theta"]))


def add_parameters(w, c, arch):
    d_head = getattr(c, "head_dim", None)
    w.add_type(gguf.GGUFType.MODEL), w.add_name("tiny random"), w.add_quantization_version(2)
    w.add_block_count(c.num_hidden_layers), w.add_context_length(c.max_position_embeddings), w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size), w.add_head_count(c.num_attention_heads), w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    if arch in ("llama", "smollm3"):
        w.add_vocab_size(c.vocab_size)
    if d_head and arch not in ("phi3", "chatglm"):
        w.add_key_length(d_head), w.add_value_length(d_head)
    d_head = d_head or c.hidden_size // c.num_attention_heads
    share = c.rope_parameters.get("partial_rotary_factor", 1.0)
    if arch in ("llama", "smollm3", "phi3", "chatglm", "glm4"):
        w.add_rope_dimension_count(int(share * d_head))
    if arch != "gemma2":  # its converter leaves the base to the program
        add_rope(w, c, arch)
    if arch == "gemma2":
        w.add_attn_logit_softcapping(c.attn_logit_softcapping), w.add_final_logit_softcapping(c.final_logit_softcapping)
    window = getattr(c, "sliding_window", None)
    if getattr(c, "use_bidirectional_attention", False):
        window = 2 * (window - 1)  # transformers halves it, and counts the end
    if arch.startswith("gemma") or window and c.model_type in ("mistral", "olmo3"):
        w.add_sliding_window(window)
    if c.model_type == "olmo3":
        w.add_sliding_window_pattern([t == "sliding_attention" for t in c.layer_types])
    if arch == "phi3":
        w.add_sliding_window(window or 0)
    if arch == "chatglm":
        w.add_add_bos_token(False)


# ---- tensors ----

def permuted(t, n_head):
    return t.reshape(n_head, 2, t.shape[0] // n_head // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)


def tensors(model, arch):
    """(name, f32 array, bytes as stored or None, type) in the file's names, rows and offsets."""
    c = model.config
    names = gguf.get_tensor_name_map(next(a for a, s in gguf.MODEL_ARCH_NAMES.items() if s == arch), c.num_hidden_layers)
    for name, t in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        t = t.float().numpy()
        if c.model_type in PERMUTED and ".q_proj." in name:
            t = permuted(t, c.num_attention_heads)
        if c.model_type in PERMUTED and ".k_proj." in name:
            t = permuted(t, c.num_key_value_heads)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            t = t + 1
        yield names.get_name(name, try_suffixes=(".weight", ".bias")), t
    p = c.rope_parameters
    if p.get("rope_type") == "llama3":
        yield "rope_freqs.weight", llama3_factors(p, getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads)
    if p.get("rope_type") == "longrope":
        yield "rope_factors_long.weight", np.array(p["long_factor"], np.float32)
        yield "rope_factors_short.weight", np.array(p["short_factor"], np.float32)


def llama3_factors(p, dim):
    """What each frequency is divided by."""
    wave = 2 * np.pi * p["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    turns = p["original_max_position_embeddings"] / wave
    smooth = np.clip((turns - p["low_freq_factor"]) / (p["high_freq_factor"] - p["low_freq_factor"]), 0, 1)
    return (1 / ((1 - smooth) / p["factor"] + smooth)).astype(np.float32)


def save(path, model, type_of=lambda name: Q.F32, change=lambda t, w: t, stored={}):
    """`change` rewrites the list of tensors and may add to the metadata; `stored` holds bytes for tensors of types that nobody here can quantise to."""
    c, arch = model.config, ARCH[model.config.model_type]
    w = gguf.GGUFWriter(path, arch)
    add_parameters(w, c, arch)
    add_tokenizer(w, arch, c.vocab_size)
    for name, t in change(list(tensors(model, arch)), w):
        kind = type_of(name) if t.ndim > 1 else Q.F32
        w.add_tensor(name, stored[name] if name in stored else gguf.quantize(t, kind) if kind != Q.F32 else t, raw_dtype=kind)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    print(f"{os.path.relpath(path, OUT):32s} {os.path.getsize(path):7d} bytes")


# ---- the same models ----

SAME = ["llama", "llama-bias-tied", "llama-linear", "llama-llama3", "llama-yarn", "llama-yarn-mscale", "mistral", "qwen2", "qwen3", "phi3", "phi4-mini-short",
        "phi4-mini-long", "glm", "glm4", "olmo2", "olmo3"]


def fused_qkv(ts, w):
    """The original ChatGLM checkpoints' query_key_value."""
    t = dict(ts)
    for i in range(8):
        for end in ("weight", "bias"):
            parts = [t.pop(f"blk.{i}.attn_{x}.{end}", None) for x in "qkv"]
            if parts[0] is not None:
                t[f"blk.{i}.attn_qkv.{end}"] = np.concatenate(parts)
    return list(t.items())


def multi_axis(n_head, n_kv, d_head, n_rot):
    """GLM-4's models of images: rotary axes, for which neighbours become halves; and one more layer, for predicting two tokens at once."""
    def apart(t, heads):
        r = t.reshape(heads, d_head, -1)
        return np.concatenate([r[:, 0:n_rot:2], r[:, 1:n_rot:2], r[:, n_rot:]], 1).reshape(t.shape)

    def change(ts, w):
        w.add_rope_dimension_sections([1, 2, 1, 0])
        w.add_block_count(3), w.add_nextn_predict_layers(1)
        ts = [(n, apart(t, n_head) if ".attn_q." in n else apart(t, n_kv) if ".attn_k." in n else t) for n, t in ts]
        ts += [(n.replace("blk.1.", "blk.2."), t * 2) for n, t in ts if n.startswith("blk.1.")]
        return ts + [("blk.2.nextn.enorm.weight", np.ones(32, np.float32)), ("blk.2.nextn.hnorm.weight", np.ones(32, np.float32)), ("blk.2.nextn.eh_proj.weight", np.ones((32, 64), np.float32))]
    return change


# ---- files that are the only ones of their model ----

def rounded(model, kind):
    """The matrices at the precision of the file, for the reference as well."""
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.copy_(p.to(kind).float())


def read_back(path, model):
    """The reference gets what the file holds: gguf's dequantisation."""
    c, arch = model.config, ARCH[model.config.model_type]
    held = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    names = gguf.get_tensor_name_map(next(a for a, s in gguf.MODEL_ARCH_NAMES.items() if s == arch), c.num_hidden_layers)
    assert c.model_type not in PERMUTED and not arch.startswith("gemma")
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(np.array(held[names.get_name(name, try_suffixes=(".weight", ".bias"))])).reshape(p.shape))


def random_blocks(shape, kind, rng, std):
    """Any bits with scales that give values of this deviation."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (shape[0], shape[1] // block, size), dtype=np.uint8)
    middle = {Q.Q2_K: 1.5, Q.Q4_K: 7.5, Q.Q5_K: 15.5}.get(kind, 1)  # a minimum that makes the mean about 0

    def with_scale(d):
        for at, v in zip(SCALE_FIELDS[kind.name], (d, d * middle)):
            data[:, :, at:at + 2] = np.frombuffer(np.float16(v).tobytes(), np.uint8)
        return data.reshape(shape[0], -1)
    d = std / gguf.dequantize(with_scale(0.01), kind).std() * 0.01
    return with_scale(d)


SMALL = dict(hidden_size=32, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1, head_dim=16)
SMALL_BLOCKS = {"token_embd": Q.Q8_0, "attn_q": Q.Q4_0, "attn_k": Q.Q5_0, "attn_v": Q.Q5_1, "attn_output": Q.Q4_1, "ffn_gate": Q.Q8_0, "ffn_up": Q.Q4_0, "ffn_down": Q.Q5_0}
LARGE_BLOCKS = {"token_embd": Q.Q6_K, "attn_q": Q.Q4_K, "attn_k": Q.Q5_K, "attn_v": Q.Q6_K, "attn_output": Q.Q5_0, "ffn_gate": Q.IQ4_XS, "ffn_up": Q.Q3_K, "ffn_down": Q.Q2_K}
part = lambda name: name.split(".")[-2]

OWN = {
    # soft caps, every other window; the scale of queries is by head, which no key says
    "gguf-gemma2": (T.Gemma2Config, dict(SMALL, query_pre_attn_scalar=16, sliding_window=6, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, **rope()), "bf16"),
    # windows in five of six layers with a base of their own, linear positions in the sixth
    "gguf-gemma3": (T.Gemma3TextConfig, dict(SMALL, num_hidden_layers=7, query_pre_attn_scalar=16, sliding_window=6,
                                             rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                                                              "sliding_attention": dict(rope_type="default", rope_theta=20000.0)}), "f16"),
    "gguf-smollm3": (T.SmolLM3Config, dict(num_hidden_layers=4, intermediate_size=32, tie_word_embeddings=True, **rope(theta=5000000.0)), "f16"),
    "gguf-internlm3": (T.LlamaConfig, dict(intermediate_size=32, head_dim=8, **rope(theta=50000000.0)), "f16"),
    "gguf-small-blocks": (T.Qwen2Config, dict(intermediate_size=64, head_dim=16, num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=True, **rope(theta=1000000.0)), SMALL_BLOCKS),
    "gguf-large-blocks": (T.Qwen3Config, dict(num_hidden_layers=1, hidden_size=256, intermediate_size=256, num_attention_heads=2, num_key_value_heads=1, head_dim=32, tie_word_embeddings=True,
                                              **rope(theta=1000000.0)), LARGE_BLOCKS),
}


def make_own(name, cls, extra, how, seed):
    model = build(cls, extra, seed)
    to = os.path.join(OUT, name)
    shutil.rmtree(to, ignore_errors=True)
    os.makedirs(to)
    path = os.path.join(to, "model.gguf")
    if isinstance(how, str):
        torch_kind, kind = {"bf16": (torch.bfloat16, Q.BF16), "f16": (torch.float16, Q.F16)}[how]
        rounded(model, torch_kind)
        save(path, model, lambda _: kind)
    else:
        rng = np.random.default_rng(seed)
        arch = ARCH[model.config.model_type]
        std = lambda n: 0.1 if n == "token_embd" else 1 / 16
        stored = {n: random_blocks(t.shape, how[part(n)], rng, std(part(n))) for n, t in tensors(model, arch) if t.ndim > 1 and how[part(n)].name not in ("Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1")}
        save(path, model, lambda n: how[part(n)], stored=stored)
        read_back(path, model)
    save_expected(to, model, seed)


if __name__ == "__main__":
    for name in SAME:
        save(os.path.join(OUT, name, "model.gguf"), T.AutoModelForCausalLM.from_pretrained(os.path.join(OUT, name), dtype="float32"))
    save(os.path.join(OUT, "glm", "fused.gguf"), T.AutoModelForCausalLM.from_pretrained(os.path.join(OUT, "glm"), dtype="float32"), change=fused_qkv)
    save(os.path.join(OUT, "glm4", "multi-axis.gguf"), T.AutoModelForCausalLM.from_pretrained(os.path.join(OUT, "glm4"), dtype="float32"), change=multi_axis(4, 2, 16, 8))
    for i, (name, (cls, extra, how)) in enumerate(OWN.items()):
        make_own(name, cls, extra, how, 900 + 7 * i)
