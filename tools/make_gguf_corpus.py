#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/gguf/: small GGUF files from gguf's own writer, and some that are wrong in one place.

    pip install -r tools/requirements.txt && python tools/make_gguf_corpus.py
"""
import pathlib
import tempfile

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

out = pathlib.Path(__file__).resolve().parent.parent / "tests/fuzz/corpus/gguf"
out.mkdir(parents=True, exist_ok=True)
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
for name, data in files.items():
    (out / name).write_bytes(data)
print(len(files), "files,", sum(map(len, files.values())), "bytes")
