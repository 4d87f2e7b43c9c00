#!/usr/bin/env python3
"""Makes tests/golden/frames/: tiny random models of UniXcoder and StarEncoder, whose published code puts special tokens around a text that their tokenizers'
files do not, each with expected.json: the ids, and the mean of transformers' last hidden states.

UniXcoder    [<s>, <encoder-only>, </s>] text [</s>]      (its encoder-only mode)
StarEncoder  [<cls>] text [<sep>]                         its tokenizer adds none

    pip install -r tools/requirements.txt && python3 tools/make_frame_goldens.py
"""
import json
import os
import shutil

import torch
from tokenizers import processors

from make_model_goldens import ROOT, TEXTS, body, randomize, tokenizer, versions

OUT = os.path.join(ROOT, "frames")
LIMIT = 48


def build(name, family, style, added, before, after, seed):
    tok, vocab, pad = tokenizer(style)
    tok.add_special_tokens({"additional_special_tokens": added})
    if family == "bert":
        tok.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    model = body(family, vocab + len(added), pad)
    randomize(model, seed)
    target = os.path.join(OUT, name)
    tok.model_max_length = LIMIT
    model.save_pretrained(target)
    tok.save_pretrained(target)
    first, last = tok.convert_tokens_to_ids(before), tok.convert_tokens_to_ids(after)
    cases = []
    for text in TEXTS:
        ids = first + tok(text, add_special_tokens=False)["input_ids"][: LIMIT - len(first) - len(last)] + last
        with torch.no_grad():
            v = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)
        cases.append({"text": text, "ids": ids, "vector": [float(f"{x:.9g}") for x in v]})
    json.dump({"made_by": versions(), "cases": cases}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    build("unixcoder", "roberta", "roberta", ["<encoder-only>"], ["<s>", "<encoder-only>", "</s>"], ["</s>"], 61)
    build("starencoder", "bert", "bert", ["<cls>", "<sep>"], ["<cls>"], ["<sep>"], 62)
