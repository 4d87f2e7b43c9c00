#!/usr/bin/env python3
"""Writes src/tensor/quant_iq_tables.c: the codebooks of the IQ types, which are data of the GGUF format, from the package gguf.

    pip install -r tools/requirements.txt && python tools/make_iq_tables.py
"""
import pathlib

import gguf.quants as q

GRIDS = [("int8_t", "IQ1_GRID", q.IQ1_S), ("uint8_t", "IQ2_XXS_GRID", q.IQ2_XXS), ("uint8_t", "IQ2_XS_GRID", q.IQ2_XS),
         ("uint8_t", "IQ2_S_GRID", q.IQ2_S), ("uint8_t", "IQ3_XXS_GRID", q.IQ3_XXS), ("uint8_t", "IQ3_S_GRID", q.IQ3_S)]

lines = ["/* The codebooks of the IQ types. Written by tools/make_iq_tables.py from the package gguf; not to be edited. */", '#include "tensor/quant.h"']
for ctype, name, cls in GRIDS:
    cls.init_grid()
    grid = cls.grid.reshape(cls.grid_shape).astype(int)
    n, width = grid.shape
    lines += ["", f"const {ctype} {name}[{n}][{width}] = {{"]
    rows = ["{" + ", ".join(map(str, row)) + "}" for row in grid.tolist()]
    per_line = 32 // width
    lines += ["    " + ", ".join(rows[i:i + per_line]) + "," for i in range(0, n, per_line)]
    lines += ["};"]
pathlib.Path(__file__).resolve().parent.parent.joinpath("src/tensor/quant_iq_tables.c").write_text("\n".join(lines) + "\n")
