#!/usr/bin/env python3
"""Makes tests/golden/decoders: tiny random causal models in the real safetensors layout, with the values that transformers gives.

    pip install -r tools/requirements.txt && python3 tools/make_decoder_goldens.py [NAME…]

For each directory: config.json and model.safetensors as save_pretrained writes them, a word-level tokenizer.json (w0, w1, …), and
  expected.safetensors  logits [prompt, vocab] of the prompt, f32, attention in its plain ("eager") form
  expected.json         prompt ids, greedy continuation, the context length that length-dependent rotary positions were made for
make_gguf_goldens.py adds the same models as GGUF files; run it afterwards.
internlm3 has no class in transformers: its published code is Llama's with dynamic NTK positions, so its weights and values are Llama's.
"""
import json, os, shutil, sys
import numpy as np
import torch
import transformers as T
from safetensors.torch import save_file

OUT = os.path.join(os.path.dirname(__file__), "../tests/golden/decoders")
V, D, L, FF = 64, 32, 2, 48
BASE = dict(vocab_size=V, hidden_size=D, num_hidden_layers=L, intermediate_size=FF, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
            bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.2)


def rope(kind="default", theta=10000.0, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


CASES = {
    "llama": (T.LlamaConfig, dict(tie_word_embeddings=False, **rope())),
    "llama-bias-tied": (T.LlamaConfig, dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True, head_dim=12, **rope())),
    "llama-linear": (T.LlamaConfig, rope("linear", factor=4.0)),
    "llama-llama3": (T.LlamaConfig, rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    "llama-yarn": (T.LlamaConfig, rope("yarn", factor=4.0, original_max_position_embeddings=32)),
    "llama-yarn-mscale": (T.LlamaConfig, rope("yarn", factor=40.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=0.8)),
    "internlm3-dynamic": (T.LlamaConfig, dict(max_position_embeddings=24, **rope("dynamic", 50000.0, factor=6.0))),
    "mistral": (T.MistralConfig, dict(sliding_window=7, **rope())),
    "qwen2": (T.Qwen2Config, dict(tie_word_embeddings=True, **rope(theta=1000000.0))),
    "qwen2-window": (T.Qwen2Config, dict(use_sliding_window=True, sliding_window=6, max_window_layers=1, **rope())),
    "qwen3": (T.Qwen3Config, dict(head_dim=16, **rope(theta=1000000.0))),
    "gemma2": (T.Gemma2Config, dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=6, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, **rope())),
    "gemma3": (T.Gemma3TextConfig, dict(num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=24, sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                        rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1000000.0), "sliding_attention": dict(rope_type="default", rope_theta=10000.0)})),
    "phi3": (T.Phi3Config, dict(sliding_window=9, **rope())),
    "phi4-mini-short": (T.Phi3Config, dict(num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, original_max_position_embeddings=64,
                                           **rope("longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.3, 1.5, 2.0, 2.5], long_factor=[1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
                                                  original_max_position_embeddings=64))),
    "phi4-mini-long": (T.Phi3Config, dict(num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, original_max_position_embeddings=32,
                                          **rope("longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.3, 1.5, 2.0, 2.5], long_factor=[1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
                                                 original_max_position_embeddings=32))),
    "smollm3": (T.SmolLM3Config, dict(num_hidden_layers=4, no_rope_layers=[1, 0, 1, 0], **rope(theta=2000000.0))),
    "glm": (T.GlmConfig, dict(head_dim=8, attention_bias=True, **rope(partial_rotary_factor=0.5))),
    "glm4": (T.Glm4Config, dict(head_dim=16, attention_bias=True, **rope(partial_rotary_factor=0.5))),
    "olmo2": (T.Olmo2Config, rope(theta=500000.0)),
    "olmo3": (T.Olmo3Config, dict(num_hidden_layers=4, intermediate_size=32, sliding_window=6,
                                  rope_parameters={"full_attention": dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=32, rope_theta=500000.0),
                                                   "sliding_attention": dict(rope_type="default", rope_theta=500000.0)})),
    # experts in no layer: what stays is the family's dense part
    "qwen3-moe-dense": (T.Qwen3MoeConfig, dict(head_dim=16, mlp_only_layers=[0, 1], **rope(theta=1000000.0))),
    "glm4-moe-dense": (T.Glm4MoeConfig, dict(head_dim=16, use_qk_norm=True, attention_bias=True, first_k_dense_replace=2, **rope(partial_rotary_factor=0.5))),
    "glm4-moe-dense-plain": (T.Glm4MoeConfig, dict(head_dim=8, attention_bias=False, first_k_dense_replace=3, **rope(partial_rotary_factor=0.5))),
}
PROMPT, NEW = 40, 12


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            zero_centred = "gemma" in model.config.model_type
            p.copy_(noise * 0.3 + (0.0 if zero_centred else 1.0) if "norm" in name else noise * (0.6 if "embed" in name else 0.25))


def build(cls, extra, seed):
    config = cls(**{**BASE, **extra}, dtype="float32")
    config._attn_implementation = "eager"
    model = T.AutoModelForCausalLM.from_config(config).eval()
    randomise(model, seed)
    model.tie_weights()
    return model


def save_expected(to, model, seed, dynamic=False):
    """expected.* of `model` for the prompt of this seed. `dynamic`: transformers changes the rotary base at every step, and keys that
    are cached keep the old one, so there is no continuation to compare."""
    n_vocab = model.config.vocab_size
    ids = torch.randint(3, n_vocab, (1, PROMPT), generator=torch.Generator().manual_seed(seed + 1))
    greedy = []
    with torch.no_grad():
        logits = model(ids).logits[0]
        now = ids
        for _ in range(0 if dynamic else NEW):  # without a cache: what the model defines
            greedy.append(int(model(now).logits[0, -1].argmax()))
            now = torch.cat([now, torch.tensor([[greedy[-1]]])], 1)
    save_file({"logits": logits.contiguous()}, os.path.join(to, "expected.safetensors"))
    json.dump({"made_with": f"transformers {T.__version__}, torch {torch.__version__.split('+')[0]}", "prompt": ids[0].tolist(), "greedy": greedy,
               "n_ctx": PROMPT if dynamic else PROMPT + NEW}, open(os.path.join(to, "expected.json"), "w"))
    print(f"{os.path.basename(to):20s} logits std {logits.std():.2f}  greedy {greedy[:6]}")


def write(name, model, seed, extra={}, tensors=None):
    """The directory of a model, with `extra` keys in its config.json and `tensors` in place of its own, and what it computes."""
    to = os.path.join(OUT, name)
    shutil.rmtree(to, ignore_errors=True)
    model.save_pretrained(to)
    if tensors:
        save_file(tensors, os.path.join(to, "model.safetensors"), metadata={"format": "pt"})
    for junk in ("generation_config.json",):
        if os.path.exists(os.path.join(to, junk)):
            os.remove(os.path.join(to, junk))
    path = os.path.join(to, "config.json")
    saved = json.load(open(path))
    if name.startswith("internlm3"):
        saved["model_type"], saved["architectures"] = "internlm3", ["InternLM3ForCausalLM"]
    saved.pop("transformers_version", None)
    saved.update(extra)
    json.dump(saved, open(path, "w"), indent=1)
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
                 "model": {"type": "WordLevel", "vocab": {f"w{i}": i for i in range(V)}, "unk_token": "w0"}}
    json.dump(tokenizer, open(os.path.join(to, "tokenizer.json"), "w"))
    save_expected(to, model, seed, "dynamic" in name)


if __name__ == "__main__":
    for i, (name, (cls, extra)) in enumerate(CASES.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            write(name, build(cls, extra, 100 + 7 * i), 100 + 7 * i)
