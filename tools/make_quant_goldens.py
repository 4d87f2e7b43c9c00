#!/usr/bin/env python3
"""Writes tests/golden/quant.{json,bin}: blocks of every computed dtype and their values as f32, from the packages gguf (quantised
types), PyTorch (fp8) and NumPy (the others). In the .bin, each case is its source bytes and then its f32 values.

    pip install -r tools/requirements.txt && python tools/make_quant_goldens.py
"""
import json
import pathlib
from importlib.metadata import version

import numpy as np
import torch
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import _type_traits, dequantize

from ggml_blocks import SCALE_FIELDS

rng = np.random.default_rng(32)
NOT_BLOCKS = {"F32", "F16", "BF16", "NVFP4"}


def blocks_of(name, size):
    """Usual scales, a subnormal scale, the largest, all zeros, all ones (NaN scales, but for MXFP4), any bits."""
    blocks = rng.integers(0, 256, (6 if size > 40 else 12, size), dtype=np.uint8)
    scales = [rng.normal(0, 0.02, len(blocks)).astype(np.float16) for _ in SCALE_FIELDS[name]]
    for at, values in zip(SCALE_FIELDS[name], scales):
        values[0], values[1] = np.float16(6e-8 * 77), np.float16(-65504)
        blocks[:, at:at + 2] = values.view(np.uint8).reshape(-1, 2)
    if name == "IQ1_M":
        blocks[:3, 55] &= 0x3F  # the top bits of its scattered scale
    blocks[-1], blocks[-2] = 0, 0xFF
    blocks[-3] = rng.integers(0, 256, size, dtype=np.uint8)
    return blocks


cases, data = [], bytearray()


def add(name, source, values):
    values = np.ascontiguousarray(values, dtype=np.float32).ravel()
    cases.append(dict(dtype=name, n=values.size, at=len(data)))
    data.extend(source.tobytes() + values.tobytes())


np.seterr(all="ignore")
for qtype in sorted(_type_traits):
    if qtype.name not in NOT_BLOCKS:
        source = blocks_of(qtype.name, GGML_QUANT_SIZES[qtype][1])
        add(qtype.name, source, dequantize(source, qtype))
for name, dtype in ("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2):
    source = np.arange(256, dtype=np.uint8)
    add(name, source, torch.from_numpy(source).view(dtype).float().numpy())
add("I8", source, source.view(np.int8))
for bits in 16, 32, 64:
    edge = [0, 1, -1, 2**(bits - 1) - 1, -2**(bits - 1), 12345, -12345]
    edge += [v for k in range(24, bits - 1) for v in (2**k + 1, 2**k + 2**(k - 24), -2**k - 3 * 2**(k - 24))]  # ties and near-ties
    source = np.array(edge, dtype=f"<i{bits // 8}")
    add(f"I{bits}", source, source.astype(np.float32))
source = np.array([0, -0.0, 1, -1 / 3, 0.1, 2**-149, 2**-150, 1.5 * 2**-150, 3.4028235677973366e38, -3.4028235677973362e38, 1 + 2**-24, 1 + 3 * 2**-24,
                   np.inf, -np.inf, np.nan, 1e300, 1e-300], dtype="<f8")
add("F64", source, source.astype(np.float32))
add("F32", source.astype(np.float32), source.astype(np.float32))

golden = pathlib.Path(__file__).resolve().parent.parent / "tests/golden"
(golden / "quant.bin").write_bytes(data)
head = json.dumps(dict(made_by=f"tools/make_quant_goldens.py, gguf {version('gguf')}, torch {torch.__version__}, numpy {np.__version__}"))[:-1]
(golden / "quant.json").write_text(head + ', "cases": [\n  ' + ",\n  ".join(map(json.dumps, cases)) + "\n]}\n")
print(len(data), "bytes,", len(cases), "cases")
