#!/usr/bin/env python3
"""Makes tests/golden/decoders/int-* and tests/golden/models/int-*: tiny models whose weights are small whole numbers in the packings that are in use; and
tests/fuzz/corpus/codes, one module in each.

    pip install -r tools/requirements.txt && python3 tools/make_int_goldens.py [NAME…]

The expected values are those of the same model in f32 with every weight set to what its stored tensors stand for: bitsandbytes and compressed-tensors
dequantise their own; AWQ's and GPTQ's tensors are unpacked here by the formulas of AutoAWQ and AutoGPTQ, from what was packed.
"""
import json, os, shutil, sys
import bitsandbytes.functional as B
import numpy as np
import torch
import transformers as T
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import load_file, save_file
import make_decoder_goldens as decoders
import make_model_goldens as encoders

SMALL = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=1, tie_word_embeddings=True)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # output that each nibble of a word holds


def rounded(w, bits, group, symmetric, groups=None):
    """Codes [rows, cols], zeros and f16 scales [rows, G] of a plain rounding; groups[c]: the group of input c."""
    rows, cols = w.shape
    groups = np.arange(cols) // group if groups is None else groups
    n, top = groups.max() + 1, 2**bits - 1
    scales, zeros = np.zeros((rows, n), np.float16), np.zeros((rows, n), np.int64)
    codes = np.zeros((rows, cols), np.int64)
    for g in range(n):
        part = w[:, groups == g]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        s = 2 * np.maximum(-low, high) / top if symmetric else (high - low) / top
        scales[:, g] = np.maximum(s, 1e-4)
        s = scales[:, g].astype(np.float32)
        zeros[:, g] = (top + 1) // 2 if symmetric else np.clip(np.rint(-low / s), 0 if bits > 3 else 1, top)
        codes[:, groups == g] = np.clip(np.rint(part / s[:, None]) + zeros[:, g, None], 0, top)
    return codes, zeros, scales


def pack(x, bits):
    """Rows of codes as streams of bits in words of 32, the lowest first."""
    stream = ((x[:, :, None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(len(x), -1)
    stream = np.pad(stream, ((0, 0), (0, -stream.shape[1] % 32)))
    return np.packbits(stream, 1, "little").view("<i4")


def pack_padded(x, bits):
    """As compressed-tensors packed before it packed densely (up to 0.16 at least): 32 // bits whole codes in a word."""
    per = 32 // bits
    words = np.pad(x, ((0, 0), (0, -x.shape[1] % per))).reshape(len(x), -1, per)
    return (words.astype(np.uint32) << (bits * np.arange(per)).astype(np.uint32)).sum(2, dtype=np.uint32).view("<i4")


def unpack(x, bits, n):
    stream = np.unpackbits(np.ascontiguousarray(x).view(np.uint8), axis=1, bitorder="little")[:, : n * bits]
    return (stream.reshape(len(x), n, bits).astype(np.int64) << np.arange(bits)).sum(2)


def t(x):
    return torch.from_numpy(np.ascontiguousarray(x))


def awq_gemm(group, zeros=True):
    def make(w, module):
        rows, cols = w.shape
        q, z, s = rounded(w, 4, group or cols, not zeros)
        swap = lambda x: x.T.reshape(x.shape[1], -1, 8)[:, :, AWQ_ORDER].reshape(x.shape[1], -1)
        files = {"qweight": t(pack(swap(q), 4)), "scales": t(s.T)}
        if zeros:
            files["qzeros"] = t(pack(swap(z), 4))
        nibbles = lambda x: ((x.astype(np.int64)[:, :, None] >> (4 * np.arange(8))) & 15)[:, :, [0, 4, 1, 5, 2, 6, 3, 7]].reshape(len(x), -1)
        n = np.arange(cols) // (group or cols)
        zero = nibbles(files["qzeros"].numpy())[n] if zeros else 8
        return files, ((nibbles(files["qweight"].numpy()) - zero) * s.T[n].astype(np.float32)).T
    return make


def awq_gemv(group):
    def make(w, module):
        rows, cols = w.shape
        q, z, s = rounded(w, 4, group, False)
        width = -(-(-(-z.shape[1] // 8)) // {32: 4, 64: 2}.get(group, 1)) * {32: 4, 64: 2}.get(group, 1)
        wide = lambda x: np.pad(x, ((0, 0), (0, 8 * width - x.shape[1])))
        files = {"qweight": t(pack(q, 4)), "qzeros": t(pack(wide(z), 4)), "scales": t(wide(s))}
        n = np.arange(cols) // group
        return files, (unpack(files["qweight"].numpy(), 4, cols) - unpack(files["qzeros"].numpy(), 4, 8 * width)[:, n]) * files["scales"].numpy().astype(np.float32)[:, n]
    return make


def gptq(bits, group, symmetric=False, order=False, v2=False):
    def make(w, module):
        rows, cols = w.shape
        groups = np.arange(cols) // (group or cols)
        if order:  # inputs of one module, and of those that read the same, are taken in one order
            groups = groups[np.random.default_rng(cols + len(module) * (order == "own")).permutation(cols)]
        q, z, s = rounded(w, bits, group or cols, symmetric, groups)
        files = {"qweight": t(pack(q, bits).T), "qzeros": t(pack(z.T - (not v2), bits)), "scales": t(s.T), "g_idx": t(groups.astype(np.int32))}
        codes, zeros = unpack(files["qweight"].numpy().T, bits, cols), unpack(files["qzeros"].numpy(), bits, rows).T + (not v2)
        return files, (codes - zeros[:, groups]) * s.astype(np.float32)[:, groups]
    return make


def compressed(form, dtype, padded=False, **args):
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(type="int", **args))
    scheme.format = form

    def make(w, module):
        rows, cols = w.shape
        bits, group = args["num_bits"], args.get("group_size") or cols
        q, z, s = rounded(w, bits, group, args["symmetric"])
        scale, zero = t(s).to(dtype), t(z - 2 ** (bits - 1)).to(torch.int8)
        state = {"weight": t(w.astype(np.float32)), "weight_scale": scale}
        if not args["symmetric"]:
            state["weight_zero_point"] = zero
        kind = BaseCompressor.get_value_from_registry(form)
        files = kind.compress(state, scheme)
        wide = kind.decompress({k: v.float() if k == "weight_scale" else v for k, v in files.items()}, scheme)["weight"]
        if padded:
            files["weight_packed"] = t(pack_padded(unpack(files["weight_packed"].numpy(), bits, cols), bits))
            if "weight_zero_point" in files:
                files["weight_zero_point"] = t(pack_padded(unpack(files["weight_zero_point"].numpy().T, bits, rows), bits).T)
        return files, wide.float().numpy()
    return make


def bnb4(kind, nested):
    def make(w, module):
        q, state = B.quantize_4bit(t(w.astype(np.float32)), blocksize=64, quant_type=kind, compress_statistics=nested)
        files = {"weight": q} | {"weight." + k: v for k, v in state.as_dict(packed=True).items()}
        return files, B.dequantize_4bit(q, state).float().numpy()
    return make


def bnb8(w, module):
    scb = t(np.abs(w).max(1).astype(np.float32))
    q = torch.round(t(w.astype(np.float32)) * 127 / scb[:, None]).to(torch.int8)
    return {"weight": q, "SCB": scb, "weight_format": torch.tensor(0, dtype=torch.uint8)}, (q.float() * scb[:, None] / 127).numpy()


def awq_config(group, version="gemm", **more):
    return dict(quant_method="awq", bits=4, group_size=group, zero_point=True, version=version, modules_to_not_convert=None) | more


def gptq_config(bits, group, **more):
    return dict(quant_method="gptq", bits=bits, group_size=group, desc_act=False, sym=False) | more


def ct_config(form, **args):
    args = dict(type="int", dynamic=False, group_size=None, actorder=None) | args
    return dict(quant_method="compressed-tensors", format=form, quantization_status="compressed", kv_cache_scheme=None, ignore=["lm_head"],
                config_groups={"group_0": dict(targets=["Linear"], input_activations=None, output_activations=None, weights=args)})


def bnb_config(bits, kind="fp4", nested=False):
    return dict(quant_method="bitsandbytes", load_in_4bit=bits == 4, load_in_8bit=bits == 8, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=nested, bnb_4bit_compute_dtype="bfloat16", llm_int8_skip_modules=None)


GROUPS = dict(num_bits=4, strategy="group", group_size=32, symmetric=False)
GROUPS3, CHANNEL5 = dict(GROUPS, num_bits=3), dict(num_bits=5, strategy="channel", symmetric=True)
CHANNEL4, CHANNEL8 = (dict(num_bits=b, strategy="channel", symmetric=True) for b in (4, 8))
# name: config class, its keys, how a weight is stored, quantization_config
CASES = {
    "int-awq-gemm-llama": (T.LlamaConfig, SMALL, awq_gemm(32), awq_config(32)),
    "int-awq-gemm-all-phi3": (T.Phi3Config, SMALL, awq_gemm(0), awq_config(-1)),
    "int-awq-gemm-middle-qwen3": (T.Qwen3Config, dict(SMALL, head_dim=16), awq_gemm(16, zeros=False), awq_config(16, zero_point=False)),
    "int-awq-gemv-qwen2": (T.Qwen2Config, SMALL, awq_gemv(32), awq_config(32, "GEMV")),
    "int-gptq-llama": (T.LlamaConfig, SMALL, gptq(4, 32), gptq_config(4, 32)),
    "int-gptq-order-llama": (T.LlamaConfig, SMALL, gptq(4, 32, order=True), gptq_config(4, 32, desc_act=True)),
    "int-gptq-own-order-llama": (T.LlamaConfig, SMALL, gptq(4, 32, order="own"), gptq_config(4, 32, desc_act=True)),
    "int-gptq-8-v2-llama": (T.LlamaConfig, SMALL, gptq(8, 0, symmetric=True, v2=True), gptq_config(8, -1, sym=True, checkpoint_format="gptq_v2")),
    "int-gptq-8-llama": (T.LlamaConfig, SMALL, gptq(8, 64), gptq_config(8, 64, checkpoint_format="gptq")),
    "int-gptq-3-llama": (T.LlamaConfig, SMALL, gptq(3, 32), gptq_config(3, 32)),
    "int-gptq-2-llama": (T.LlamaConfig, SMALL, gptq(2, 16, symmetric=True), gptq_config(2, 16, sym=True)),
    "int-packed-groups-llama": (T.LlamaConfig, SMALL, compressed("pack-quantized", torch.bfloat16, **GROUPS), ct_config("pack-quantized", **GROUPS)),
    "int-packed-rows-llama": (T.LlamaConfig, SMALL, compressed("pack-quantized", torch.float32, **CHANNEL4), ct_config("pack-quantized", **CHANNEL4)),
    "int-packed-8-llama": (T.LlamaConfig, SMALL, compressed("pack-quantized", torch.float16, **CHANNEL8), ct_config("pack-quantized", **CHANNEL8)),
    "int-int8-llama": (T.LlamaConfig, SMALL, compressed("int-quantized", torch.bfloat16, **CHANNEL8), ct_config("int-quantized", **CHANNEL8)),
    "int-nf4-llama": (T.LlamaConfig, SMALL, bnb4("nf4", True), bnb_config(4, "nf4", True)),
    "int-fp4-llama": (T.LlamaConfig, dict(SMALL, hidden_size=40, intermediate_size=56), bnb4("fp4", False), bnb_config(4)),
    "int-bnb8-llama": (T.LlamaConfig, SMALL, bnb8, bnb_config(8)),
    "int-packed-3-padded-llama": (T.LlamaConfig, SMALL, compressed("pack-quantized", torch.bfloat16, True, **GROUPS3), ct_config("pack-quantized", **GROUPS3)),
    "int-packed-5-padded-llama": (T.LlamaConfig, SMALL, compressed("pack-quantized", torch.float16, True, **CHANNEL5), ct_config("pack-quantized", **CHANNEL5)),
    "int-packed-3-llama": (T.LlamaConfig, SMALL, compressed("pack-quantized", torch.bfloat16, **GROUPS3), ct_config("pack-quantized", **GROUPS3)),
}
ENCODERS = {"int-nf4-bert": (bnb4("nf4", True), bnb_config(4, "nf4", True)), "int-awq-roberta": (awq_gemm(16), awq_config(16))}


def store(model, make, wanted):
    """The tensors of a file, and `model` with the values that they stand for."""
    files = {}
    with torch.no_grad():
        for key, p in list(model.named_parameters()):
            if not wanted(key, p):
                files[key] = p.clone().contiguous()
                continue
            stored, wide = make(p.double().numpy(), key)
            p.copy_(torch.from_numpy(np.asarray(wide, np.float32)))
            files |= {key.removesuffix("weight") + k: v.contiguous() for k, v in stored.items()}
    return files


def make_decoder(name, seed):
    cls, keys, make, quant = CASES[name]
    decoders.CASES[name] = (cls, {**keys, **decoders.rope()})
    model = decoders.build(*decoders.CASES[name], seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16().float())
    files = store(model, make, lambda key, p: key.endswith("_proj.weight"))
    files = {k: v.bfloat16() if v.dtype == torch.float32 and ("norm" in k or "embed" in k) else v for k, v in files.items()}
    decoders.write(name, model, seed, extra={"quantization_config": quant}, tensors=files)


def make_encoder(name, seed):
    from sentence_transformers import SentenceTransformer

    make, quant = ENCODERS[name]
    to = os.path.join(encoders.OUT, name)
    encoders.build(name, name.rpartition("-")[2], seed=seed)
    path = os.path.join(to, "model.safetensors")
    model = SentenceTransformer(to, device="cpu")
    body = model[0].auto_model
    files = store(body, make, lambda key, p: "encoder" in key and p.dim() == 2)
    save_file({k: v.contiguous() for k, v in body.state_dict().items()}, path, metadata={"format": "pt"})
    encoders.golden(to, name, None)
    save_file(files, path, metadata={"format": "pt"})
    path = os.path.join(to, "config.json")
    config = json.load(open(path)) | {"quantization_config": quant}
    json.dump(config, open(path, "w"), indent=2)


FORMS = ["awq-gemm", "awq-gemv", "gptq", "packed", "int8", "nf4", "fp4", "bnb8"]  # in the order of enum quant_form, bitsandbytes three times


def make_corpus():
    """Module "w" of each decoder, 16 outputs of 64 inputs, as tests/fuzz/fuzz_codes.c reads it."""
    to = os.path.join(os.path.dirname(__file__), "../tests/fuzz/corpus/codes")
    shutil.rmtree(to, ignore_errors=True)
    os.makedirs(to)
    w = np.random.default_rng(1).standard_normal((16, 64))
    for name, (_, _, make, quant) in CASES.items():
        files, _ = make(w, "w")
        args = quant.get("config_groups", {}).get("group_0", {}).get("weights", quant)
        form = 1 + min(next(i for i, f in enumerate(FORMS) if name.startswith("int-" + f)), 5)
        flags = (quant.get("checkpoint_format") != "gptq_v2") | 2 * (args.get("symmetric", False) or not args.get("zero_point", True))
        head = [form, args.get("num_bits", args.get("bits", 4)) - 2, max(args.get("group_size") or 0, 0), flags, 16, 0, 64, 0]
        path = os.path.join(to, name.removeprefix("int-"))
        save_file({"w." + k: v.contiguous() for k, v in files.items()}, path)
        body = open(path, "rb").read()
        open(path, "wb").write(bytes(head) + body)


if __name__ == "__main__":
    for i, name in enumerate(CASES):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make_decoder(name, 1300 + 7 * i)
    for i, name in enumerate(ENCODERS):
        if not sys.argv[1:] or name in sys.argv[1:]:
            make_encoder(name, 40 + i)
    make_corpus()
