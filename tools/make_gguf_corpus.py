#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/gguf/: small GGUF files from gguf's own writer, and some that are wrong in one place; and tests/fuzz/corpus/gguf_model/: whole
models of one layer, which a fuzzer's 4096 bytes hold.

    pip install -r tools/requirements.txt && python tools/make_gguf_corpus.py
"""
import pathlib
import tempfile

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

corpus = pathlib.Path(__file__).resolve().parent.parent / "tests/fuzz/corpus"
rng = np.random.default_rng(8)


def write(types, entries=True, alignment=None):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "f")
        w = gguf.GGUFWriter(path, "llama")
        if alignment:
            w.add_custom_alignment(alignment)
        if entries:
            w.add_uint32("a", 3), w.add_float64("d", 0.1), w.add_bool("b", True), w.add_int8("i", -3), w.add_uint64("u", 2**63)
            w.add_array("words", ["the", "", "été"]), w.add_array("scores", [0.5, -1.0]), w.add_array("kinds", [1, 2, 3])
        for t in types:
            block, size = GGML_QUANT_SIZES[t]
            if block == 1:
                w.add_tensor(t.name.lower(), rng.integers(0, 200, (2, 3 * size), dtype=np.uint8), raw_dtype=t)
            else:
                w.add_tensor(t.name.lower(), rng.integers(0, 256, (1, size), dtype=np.uint8), raw_dtype=t)
        w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
        return path.read_bytes()


plain = write([T.F32, T.F16, T.BF16, T.F64, T.I8, T.I64])
files = {"plain": plain, "small_blocks": write([T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.IQ4_NL, T.MXFP4], entries=False),
         "k_blocks": write([T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.TQ1_0, T.TQ2_0], entries=False),
         "iq_blocks": write([T.IQ1_S, T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_XS], entries=False),
         "aligned_8": write([T.F32, T.F16], alignment=8), "no_tensors": write([]), "truncated": plain[:-7], "header_only": plain[:24],
         "big_endian": plain[:4] + plain[4:8][::-1] + plain[8:], "version_1": plain[:4] + b"\1\0\0\0" + plain[8:],
         "huge_counts": plain[:8] + b"\xff" * 16 + plain[24:], "version_2": plain[:4] + b"\2\0\0\0" + plain[8:],
         "duplicate_key": plain.replace(b"\1\0\0\0\0\0\0\0d", b"\1\0\0\0\0\0\0\0a"), "bad_type": plain.replace(b"bf16", b"f16\0"), "empty": b""}


def model(arch, tokenizer, shapes, numbers):
    """A model of width 4; `numbers` are keys below the architecture's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "f")
        w = gguf.GGUFWriter(path, arch)
        w.add_custom_alignment(8)
        w.add_block_count(1), w.add_embedding_length(4), w.add_feed_forward_length(4), w.add_head_count(2), w.add_context_length(16)
        for key, value in numbers.items():
            {bool: w.add_bool, int: w.add_uint32, float: w.add_float32, list: w.add_array}[type(value)](f"{arch}.{key}", value)
        tokenizer(w)
        for name, shape in shapes.items():
            w.add_tensor(name, rng.standard_normal(shape).astype(np.float32))
        w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
        return path.read_bytes()


def tokens(kind, words, types, ids):
    def add(w):
        w.add_tokenizer_model(kind), w.add_token_list(words), w.add_token_types(types)
        for key, value in ids.items():
            w.add_uint32(f"tokenizer.ggml.{key}_token_id", value)
        if kind == "t5":
            w.add_token_scores([-float(i) for i in range(len(words))])
        if kind == "gpt2":
            w.add_tokenizer_pre("roberta-bpe"), w.add_token_merges(["a b"])
    return add


def norm(name):
    return {f"{name}.weight": 4, f"{name}.bias": 4}


wordpiece = tokens("bert", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581the", "\u2581caf", "e", "\u2581z"], [3, 3, 3, 3, 1, 1, 1, 1], {"cls": 2, "seperator": 3, "unknown": 1})
unigram = tokens("t5", ["<s>", "<pad>", "</s>", "<unk>", "\u2581", "the", "z", "c"], [3, 3, 3, 2, 1, 1, 1, 1], {"bos": 0, "eos": 2, "unknown": 3})
byte_level = tokens("gpt2", ["<s>", "a", "b", "ab", "t", "h", "e", "</s>"], [3, 1, 1, 1, 1, 1, 1, 3], {"bos": 0, "eos": 7})
embedding = {"token_embd.weight": (8, 4), **norm("token_embd_norm")}
bert_layer = {"blk.0.attn_qkv.weight": (12, 4), "blk.0.attn_output.weight": (4, 4), **norm("blk.0.attn_output_norm"), "blk.0.ffn_up.weight": (4, 4), "blk.0.ffn_down.weight": (4, 4), **norm("blk.0.layer_output_norm")}
positions = {"position_embd.weight": (16, 4), "token_types.weight": (2, 4)}
encoder = {"attention.layer_norm_epsilon": 1e-12, "attention.causal": False}
llama = {"token_embd.weight": (8, 4), "output_norm.weight": 4, **{f"blk.0.{n}.weight": 4 for n in ("attn_norm", "ffn_norm")}, **{f"blk.0.{n}.weight": (4, 4) for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}}
models = {"bert": model("bert", wordpiece, embedding | positions | bert_layer, encoder | {"pooling_type": 1}),
          "bert_rank": model("bert", unigram, embedding | positions | bert_layer | {"cls.weight": (4, 4), "cls.output.weight": (2, 4)}, encoder | {"classifier.output_labels": ["no", "yes"]}),
          "distilbert": model("bert", byte_level, embedding | {"position_embd.weight": (16, 4)} | bert_layer, encoder),
          "llama": model("llama", byte_level, llama, {"attention.layer_norm_rms_epsilon": 1e-6})}
for folder, group in {"gguf": files, "gguf_model": models}.items():
    (corpus / folder).mkdir(parents=True, exist_ok=True)
    for name, data in group.items():
        (corpus / folder / name).write_bytes(data)
    print(folder, len(group), "files,", sum(map(len, group.values())), "bytes, the longest", max(map(len, group.values())))
