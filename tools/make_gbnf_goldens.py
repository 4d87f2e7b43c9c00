#!/usr/bin/env python3
"""Makes tests/golden/gbnf.json: what llama.cpp's grammar sampler says of texts: 0 refused, 1 the beginning of one, 2 whole.

    python3 tools/make_gbnf_goldens.py SmolLM2.gguf     # any model whose vocabulary has every byte; only its vocabulary is read

Each text is given to the sampler byte by byte. Texts are strings over a few characters around those that the grammar names, and
hand-written ones."""
import ctypes
import importlib.metadata
import itertools
import json
import pathlib
import random
import sys

import llama_cpp as L

GRAMMARS = [
    ('root ::= "abc"', "abc", []),
    ('root ::= "a" | "b" "c" |', "abc", []),
    ('root ::= "ab"* "c"', "abc", ["ababababc"]),
    ('root ::= [ab]+ "c"?', "abc", []),
    ('root ::= "a"{2} | "b"{1,} | "c"{0,2}', "abc", ["bbbbbbbb"]),
    ('root ::= ("a" | "bc"){1,3}', "abc", ["bcbcbc", "abcabc", "abcaa"]),
    ('root ::= [^a-b]', "abc\n", ["é", "中", "😀"]),
    ('root ::= . "b" .', "ab\n", ["中b😀"]),
    ('root ::= [-a] [a-] [a\\]]', "-a]", []),
    ('root ::= "a" x # note\nx ::= (\n  "b"\n  | "c" # note\n) x?', "abc", ["abcbc"]),
    ('root ::= "a" |\n  "b"\n', "abc", []),
    ('root ::= "(" root ")" | "a"', "()a", ["(((a)))", "((a)"]),
    ('root ::= e\ne ::= t ("+" t)*\nt ::= "1" | "(" e ")"', "1+()", ["(1+1)+1", "((1)"]),
    ('root ::= "a" root "b" | "a" root "c" | "d"', "abcd", ["aaadbcb", "aaadbcbb"]),
    ('root ::= a-b C2\na-b ::= "a"\nC2 ::= "c"', "abcd", []),
    ('root ::= "\\x61\\u00e9\\U0001F600\\n\\t\\"\\\\"', "a", ['aé😀\n\t"\\', "aé", "aé😀\n"]),
    ('root ::= [\\u4e00-\\u9fff]+ [а-я]', "a", ["中я", "中文", "中Я", "я"]),
    ('root ::= a a a\na ::= "b"? "c"?', "bc", ["bcbcbc", "bccbc", "bcbcbcb"]),
    ('root ::= "a"? "a"? "a"?', "ab", []),
    ('root ::= ("a" "b"?)+', "ab", ["ababaab"]),
    ('root ::= "a"+ "a"', "ab", []),
    ('root ::= ws "a" ws\nws ::= | " " ws', "a ", ["   a   "]),
    ('root ::= "{" ( "x" ("," "x")* )? "}"', "{x,}", ["{x,x,x}", "{x,}"]),
]


def main():
    log = L.llama_log_callback(lambda *a: None)
    L.llama_log_set(log, ctypes.c_void_p())
    params = L.llama_model_default_params()
    params.vocab_only = True
    model = L.llama_model_load_from_file(sys.argv[1].encode(), params)
    vocab = L.llama_model_get_vocab(model)
    eos, tokens, buf = L.llama_vocab_eos(vocab), {}, ctypes.create_string_buffer(64)
    for i in range(L.llama_vocab_n_tokens(vocab)):
        if L.llama_token_to_piece(vocab, i, buf, 64, 0, False) == 1:
            tokens.setdefault(buf.raw[0], i)

    def allows(sampler, token):
        data = (L.llama_token_data * 1)(L.llama_token_data(token, 0.0, 0.0))
        array = L.llama_token_data_array(data, 1, -1, False)
        L.llama_sampler_apply(sampler, ctypes.byref(array))
        return data[0].logit == 0.0

    def verdict(grammar, text):
        sampler = L.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
        assert sampler, grammar
        result = 1
        for byte in text.encode():
            if not allows(sampler, tokens[byte]):
                result = 0
                break
            L.llama_sampler_accept(sampler, tokens[byte])
        if result and allows(sampler, eos):
            result = 2
        L.llama_sampler_free(sampler)
        return result

    rng, cases = random.Random(9), []
    for grammar, letters, more in GRAMMARS:
        texts = [""] + ["".join(t) for n in range(1, 5) for t in itertools.product(letters, repeat=n)]
        texts = texts[:1] + rng.sample(texts[1:], min(60, len(texts) - 1)) + more
        cases.append({"grammar": grammar, "texts": [[t, verdict(grammar, t)] for t in texts]})
    out = pathlib.Path(__file__).parent.parent / "tests/golden/gbnf.json"
    made_by = f"tools/make_gbnf_goldens.py, llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"
    out.write_text(json.dumps({"made_by": made_by, "cases": cases}, ensure_ascii=False, separators=(",", ":")) + "\n")
    counts = [sum(v == k for c in cases for _, v in c["texts"]) for k in range(3)]
    print(f"{out}: {len(cases)} grammars, {counts[2]} whole, {counts[1]} beginnings, {counts[0]} refused")


main()
