#!/usr/bin/env python3
"""Makes tests/golden/sampler.json: what transformers' processors and warpers leave of random logits.

    pip install -r tools/requirements.txt && python3 tools/make_sampler_goldens.py
"""
import json, os
import numpy as np
import torch
import transformers as T
from transformers.generation import logits_process as P

V = 600
CASES = [dict(temperature=0.7), dict(temperature=1.3, top_k=40), dict(temperature=1, top_p=0.9), dict(temperature=0.8, top_k=50, top_p=0.95), dict(temperature=1, min_p=0.1),
         dict(temperature=1, typical_p=0.6), dict(temperature=0.9, top_k=100, top_p=0.8, min_p=0.02, typical_p=0.9), dict(temperature=1, repetition_penalty=1.3),
         dict(temperature=1, top_k=1), dict(temperature=1, top_p=0.01), dict(temperature=1.5, repetition_penalty=0.7, top_p=0.5)]
rng = np.random.default_rng(3)
out = []
for case in CASES:
    logits = (rng.standard_normal(V) * 3).astype(np.float32)
    history = rng.integers(0, V, 30).tolist()
    x = torch.tensor(logits)[None]
    ids = torch.tensor([history])
    if "repetition_penalty" in case:
        x = P.RepetitionPenaltyLogitsProcessor(case["repetition_penalty"])(ids, x)
    x = P.TemperatureLogitsWarper(float(case["temperature"]))(ids, x) if case["temperature"] != 1 else x
    if "top_k" in case:
        x = P.TopKLogitsWarper(case["top_k"])(ids, x)
    if "top_p" in case:
        x = P.TopPLogitsWarper(case["top_p"])(ids, x)
    if "min_p" in case:
        x = P.MinPLogitsWarper(case["min_p"])(ids, x)
    if "typical_p" in case:
        x = P.TypicalLogitsWarper(case["typical_p"])(ids, x)
    p = torch.softmax(x[0].double(), -1).numpy()
    keep = np.nonzero(np.isfinite(x[0].numpy()))[0]
    out.append({"params": case, "logits": [float(f"{v:.9g}") for v in logits], "history": history, "ids": keep.tolist(), "p": [float(f"{p[i]:.9g}") for i in keep]})
to = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/golden/sampler.json")
json.dump({"made_with": f"transformers {T.__version__}", "cases": out}, open(to, "w"), separators=(",", ":"))
print(len(out), "cases", os.path.getsize(to), "bytes")
