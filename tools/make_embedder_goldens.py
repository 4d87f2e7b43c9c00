#!/usr/bin/env python3
"""Makes tests/golden/embedders/: tiny random embedders whose body is a decoder's, in the sentence-transformers layout, each with expected.json: the ids and
f32 vectors that sentence-transformers gives, one text at a time.

    pip install -r tools/requirements.txt && python3 tools/make_embedder_goldens.py [NAME…]

codexembed2b and llama_bidirec have no class in transformers: the first is published as Gemma 2 with its causal mask, the second as Llama without one, so
their values are those classes' and only model_type in config.json is theirs.
"""
import json
import os
import shutil
import sys

import torch
import transformers as T
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import processors

from make_decoder_goldens import randomise, rope
from make_model_goldens import ROOT, TEXTS, randomize, tokenizer, versions

OUT = os.path.join(ROOT, "embedders")
LIMIT = 48
PROMPTS = {"query": "Instruct: find the whale\nQuery:", "document": ""}
LLAMA3 = rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
CASES = {  # name: (class, config, options)
    "qwen3": (T.Qwen3Model, dict(head_dim=16, **rope(theta=1000000.0)), dict(ends="$A </s>", prompts=PROMPTS)),
    "qwen3-lm": (T.Qwen3ForCausalLM, dict(head_dim=8, tie_word_embeddings=False, **rope(theta=1000000.0)), dict(ends="$A </s>")),
    "mistral": (T.MistralModel, dict(sliding_window=7, **rope()), dict(ends="<s> $A </s>")),
    "mistral-add-eos": (T.MistralModel, dict(sliding_window=None, **rope()), dict(ends="<s> $A", flags=dict(add_bos_token=True, add_eos_token=True))),
    "codexembed2b": (T.Gemma2Model, dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=6, attn_logit_softcapping=2.0, **rope()), dict(ends="<s> $A", type="codexembed2b")),
    "llama_bidirec": (T.LlamaModel, dict(is_causal=False, **LLAMA3), dict(ends="<s> $A", pooling="mean", type="llama_bidirec")),
    "qwen2-both-ways": (T.Qwen2Model, dict(is_causal=False, use_sliding_window=True, sliding_window=5, max_window_layers=1, **rope()), dict(ends="$A </s>")),
    "gemma3-both-ways": (T.Gemma3TextModel, dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=9, layer_types=["sliding_attention", "full_attention"], use_bidirectional_attention=True,
                                                 rope_parameters={"full_attention": dict(rope_type="default", rope_theta=1000000.0), "sliding_attention": dict(rope_type="default", rope_theta=10000.0)}),
                         dict(ends="<s> $A </s>", pooling="mean", dense=(48, 32), prompts={"query": "task: search | query: ", "document": "title: none | text: "})),
}


def words(ends, flags):
    tok, vocab, pad = tokenizer("roberta")
    specials = [(s, tok.convert_tokens_to_ids(s)) for s in ("<s>", "</s>") if s in ends]
    tok.backend_tokenizer.post_processor = processors.TemplateProcessing(single=ends, pair=ends + " $B", special_tokens=specials)
    tok = T.PreTrainedTokenizerFast(tokenizer_object=tok.backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", model_max_length=LIMIT)
    return tok, dict(vocab_size=vocab, pad_token_id=pad, bos_token_id=specials[0][1], eos_token_id=tok.convert_tokens_to_ids("</s>"))


def edit(path, **changes):
    data = json.load(open(path))
    for key, value in changes.items():
        data.pop(key, None) if value is None else data.__setitem__(key, value)
    json.dump(data, open(path, "w"), indent=1)


def build(name, cls, config, ends, seed, pooling="lasttoken", prompts=None, dense=(), flags={}, type=None):
    tok, ids = words(ends, flags)
    shape = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
    model = cls(cls.config_class(**shape, **ids, **config, dtype="float32")).eval()
    randomise(model, seed)
    target, plain = os.path.join(OUT, name), os.path.join(OUT, name + ".tmp")
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(plain)
    tok.save_pretrained(plain)
    if flags:
        edit(os.path.join(plain, "tokenizer_config.json"), **flags)
    parts, d = [Transformer(plain, max_seq_length=LIMIT), Pooling(32, pooling_mode=pooling)], 32
    for i, wide in enumerate(dense):
        layer = Dense(d, wide, bias=False, activation_function=torch.nn.Identity())
        randomize(layer, seed + 7 + i)
        parts.append(layer)
        d = wide
    SentenceTransformer(modules=parts + [Normalize()], device="cpu", prompts=prompts).save(target, create_model_card=False)
    if cls is T.Qwen3ForCausalLM:  # sentence-transformers keeps the body alone: here the file is the causal model's, head and prefix included
        shutil.copy(os.path.join(plain, "model.safetensors"), os.path.join(target, "model.safetensors"))
        assert "model.embed_tokens.weight" in load_file(os.path.join(target, "model.safetensors")) and "lm_head.weight" in load_file(os.path.join(target, "model.safetensors"))
    shutil.rmtree(plain)
    if flags:
        edit(os.path.join(target, "tokenizer_config.json"), **flags)
        tokenizer_json = json.load(open(os.path.join(target, "tokenizer.json")))
        tokenizer_json["post_processor"] = json.loads(tok.backend_tokenizer.to_str())["post_processor"]  # without the end: the flag is what adds it
        json.dump(tokenizer_json, open(os.path.join(target, "tokenizer.json"), "w"))
    golden(target, name, prompts, "</s>" in ends, flags)
    if type:
        edit(os.path.join(target, "config.json"), model_type=type, architectures=None, is_causal=None)


def golden(target, name, prompts, ends, flags):
    st = SentenceTransformer(target, device="cpu", model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"})
    for flag, value in flags.items():  # transformers before 5 obeys the file, later ones only the caller
        setattr(st.tokenizer, flag, value)
    cases = []
    for text in TEXTS:
        for prompt in [None] + sorted(prompts or {}):
            ids = st.tokenizer((prompts[prompt] if prompt else "") + text, truncation=True, max_length=LIMIT)["input_ids"]
            assert not (ends or flags) or ids[-1] == st.tokenizer.convert_tokens_to_ids("</s>"), name
            if not ids:
                continue
            v = st.encode([text], prompt_name=prompt)[0] if prompt else st.encode([text])[0]
            cases.append({"text": text, "ids": ids, "vector": [float(f"{x:.9g}") for x in v]} | ({"prompt_name": prompt} if prompt else {}))
    json.dump({"made_by": versions(), "cases": cases}, open(os.path.join(target, "expected.json"), "w"), separators=(",", ":"))
    print(f"{name:18s} {len(cases)} cases, longest {max(len(c['ids']) for c in cases)}")


if __name__ == "__main__":
    for i, (name, (cls, config, options)) in enumerate(CASES.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            build(name, cls, config, seed=300 + 7 * i, **options)
