#!/usr/bin/env python3
"""Makes tests/golden/decoders/fp8-*: tiny models whose weights are 8-bit floats with scales beside them, in the layouts that are in use.

    pip install -r tools/requirements.txt && python3 tools/make_fp8_goldens.py

The expected values are those of the same model in f32 with every weight set to value x scale, as make_decoder_goldens.py computes them. Sizes
are no multiples of the tiles.
"""
import json, os, shutil
import torch
import transformers as T
from safetensors.torch import save_file
import make_decoder_goldens as base

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
SMALL = dict(hidden_size=40, intermediate_size=56, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2)


def compressed(strategy, **weights):
    return dict(quant_method="compressed-tensors", format="float-quantized", quantization_status="compressed", kv_cache_scheme=None, ignore=["re:.*lm_head"],
                config_groups={"group_0": dict(targets=["Linear"], output_activations=None, input_activations=dict(num_bits=8, type="float", strategy="token", dynamic=True),
                                               weights=dict(num_bits=8, type="float", symmetric=True, dynamic=False, strategy=strategy, **weights))})


# name: config class, its keys, stored type, tile (rows, cols; 0: all), name of the scale, its dtype, its rank, activation scale, quantization_config
CASES = {
    "fp8-tiles-qwen3": (T.Qwen3Config, dict(hidden_size=136, intermediate_size=150, num_hidden_layers=1, head_dim=36, tie_word_embeddings=False), E4M3, (128, 128), "weight_scale_inv",
                        torch.float32, 2, None, dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", weight_block_size=[128, 128], modules_to_not_convert=["lm_head"])),
    "fp8-tiles-e5m2-llama": (T.LlamaConfig, dict(SMALL, tie_word_embeddings=True), E5M2, (24, 32), "weight_scale_inv", torch.bfloat16, 2, None,
                             dict(quant_method="fp8", activation_scheme="dynamic", weight_block_size=[24, 32], modules_to_not_convert=None)),
    "fp8-one-llama": (T.LlamaConfig, dict(SMALL, tie_word_embeddings=False, attention_bias=True), E4M3, (0, 0), "weight_scale", torch.float32, 0, "input_scale",
                      dict(quant_method="fp8", activation_scheme="static", weight_block_size=None, ignored_layers=["lm_head"])),
    "fp8-one-inv-mistral": (T.MistralConfig, dict(SMALL, tie_word_embeddings=True), E4M3, (0, 0), "weight_scale_inv", torch.bfloat16, 1, "activation_scale",
                            dict(quant_method="fp8", activation_scheme="static", weight_block_size=None)),
    "fp8-rows-phi3": (T.Phi3Config, dict(SMALL), E4M3, (1, 0), "weight_scale", torch.bfloat16, 2, None, compressed("channel")),
    "fp8-rows-e5m2-qwen2": (T.Qwen2Config, dict(SMALL, tie_word_embeddings=False), E5M2, (1, 0), "weight_scale", torch.float32, 1, None,
                            dict(quant_method="fbgemm_fp8", activation_scale_ub=1200.0, modules_to_not_convert=["lm_head"])),
    "fp8-groups-llama": (T.LlamaConfig, dict(SMALL, head_dim=32, tie_word_embeddings=False), E4M3, (1, 16), "weight_scale", torch.float16, 2, None, compressed("group", group_size=16)),
}


def quantise(w, stored, tile, dtype):
    """value x scale = w, nearly; the scales [ceil(rows / tile rows), ceil(cols / tile cols)] and w's new values."""
    rows, cols = w.shape
    rb, cb = tile[0] or rows, tile[1] or cols
    down, across = -(-rows // rb), -(-cols // cb)
    padded = torch.zeros(down * rb, across * cb)
    padded[:rows, :cols] = w
    top = padded.view(down, rb, across, cb).abs().amax((1, 3))
    scale = (top / torch.finfo(stored).max).clamp(min=1e-6).to(dtype)
    wide = scale.float().repeat_interleave(rb, 0).repeat_interleave(cb, 1)[:rows, :cols]
    value = (w / wide).clamp(-torch.finfo(stored).max, torch.finfo(stored).max).to(stored)
    return value, scale, value.float() * wide


def make(name, case, seed):
    cls, keys, stored, tile, suffix, dtype, rank, activations, quant = case
    base.CASES[name] = (cls, {**keys, **base.rope()})
    config = cls(**{**base.BASE, **base.CASES[name][1]}, dtype="float32")
    config._attn_implementation = "eager"
    model = T.AutoModelForCausalLM.from_config(config).eval()
    base.randomise(model, seed)
    model.tie_weights()
    files = {}
    with torch.no_grad():
        for key, p in model.named_parameters():
            if not (key.endswith("_proj.weight") and p.dim() == 2):
                files[key] = p.clone().contiguous()
                continue
            value, scale, wide = quantise(p, stored, tile, dtype)
            p.copy_(wide)
            files[key] = value.contiguous()
            files[key.removesuffix("weight") + suffix] = (scale.reshape(()) if rank == 0 else scale.reshape(-1) if rank == 1 else scale).contiguous()
            if activations:
                files[key.removesuffix("weight") + activations] = torch.tensor(0.01 + seed * 1e-4)
    base.write(name, model, seed, extra={"quantization_config": quant}, tensors=files)


if __name__ == "__main__":
    for i, (name, case) in enumerate(CASES.items()):
        make(name, case, 900 + 7 * i)
