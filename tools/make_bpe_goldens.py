#!/usr/bin/env python3
"""Writes tests/golden/bpe/models.json: small BPE, Unigram, WordPiece and WordLevel models as tokenizer.json files without normalizer
and pre-tokenizer, so that each text is one word, with the ids that HF `tokenizers` gives.

    pip install -r tools/requirements.txt && python tools/make_bpe_goldens.py
"""
import json
import pathlib
import random

from tokenizers import Tokenizer, models, trainers

OUT = pathlib.Path(__file__).parent.parent / "tests/golden/bpe"
CORPUS = [
    "the quick brown fox jumps over the lazy dog and the other foxes jump higher than the dogs",
    "a tokenizer cuts the text into pieces; the pieces are entries of the vocabulary",
    "low lower lowest new newer newest wide wider widest low low lower newest newest newest",
    "größer als die Straße, schöne Grüße aus München",
    "быстрая коричневая лиса прыгает через ленивую собаку",
    "今日は良い天気ですね。今日も良い天気です。", "déjà vu, naïve café, garçon",
    "0123456789 3.14159 2.71828 100 1000 10000", "if (x == 0) return y; else return z + 1;",
]
TEXTS = CORPUS + [
    "", "a", "e", "zzzz", "the", "thethethe", "lowestnewest", "unknown ☃ snow ☃☃☃ man", "☃", "☃☃", "x☃y", "😀😀 grin 😀",
    "MIXED Case Words", "<unk>", "<0x41>", "a\tb\nc", "今日☃天気", "é", "e\u0301", "\u0000", " ", "   ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def trained(model, trainer):
    t = Tokenizer(model)
    t.train_from_iterator(CORPUS, trainer)
    return json.loads(t.to_str())


def bpe(options=None, vocab_size=200, specials=("<unk>",), **trainer):
    j = trained(models.BPE(**{k: v for k, v in trainer.items()}), trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(specials), show_progress=False, **trainer))
    j["added_tokens"] = []
    j["model"].update(options or {})
    return j


def without(j, pieces):
    """Takes characters (which no merge may use) out of the vocabulary, so that some text is unknown."""
    used = {x for m in j["model"]["merges"] for x in m} | {"".join(m) for m in j["model"]["merges"]}
    for p in pieces:
        if p not in used:
            j["model"]["vocab"].pop(p, None)
    return j


def random_bpe(rng, alphabet, n):
    """Merges of random pieces in a random order: nothing that a trainer would make, and many competing ranks."""
    vocab, merges = {c: i for i, c in enumerate(alphabet)}, []
    while len(merges) < n:
        a, b = rng.choice(list(vocab)), rng.choice(list(vocab))
        if len(a + b) > 12 or [a, b] in merges:
            continue
        vocab.setdefault(a + b, len(vocab))
        merges.append([a, b])
    rng.shuffle(merges)
    return wrap({"type": "BPE", "vocab": vocab, "merges": merges})


def random_unigram(rng, alphabet, n, levels, **options):
    """Few distinct scores: many cuts of one text have the same sum."""
    pieces = {"<unk>": 0.0}
    for c in alphabet:
        pieces[c] = -rng.choice(levels)
    while len(pieces) < n:
        pieces["".join(rng.choice(alphabet) for _ in range(rng.randint(2, 5)))] = -rng.choice(levels)
    return wrap({"type": "Unigram", "unk_id": 0, "vocab": [[p, s] for p, s in pieces.items()], **options})


def wrap(model):
    return {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}


def random_texts(rng, alphabet, lengths):
    return ["".join(rng.choice(alphabet) for _ in range(n)) for n in lengths]


def main():
    rng = random.Random(5)
    entries = []

    def add(name, j, texts=TEXTS):
        t = Tokenizer.from_str(json.dumps(j))
        entries.append({"name": name, "tokenizer": j, "texts": texts, "ids": [t.encode(s, add_special_tokens=False).ids for s in texts]})

    add("bpe", bpe())
    legacy = bpe()
    legacy["model"]["merges"] = ["#version: 0.2"] + [" ".join(m) for m in legacy["model"]["merges"] if " " not in "".join(m)]
    add("bpe merges as strings", legacy)
    add("bpe unk", bpe({"unk_token": "<unk>"}))
    add("bpe fuse_unk", bpe({"unk_token": "<unk>", "fuse_unk": True}))
    add("bpe prefix", bpe({"unk_token": "<unk>"}, continuing_subword_prefix="##", vocab_size=300))
    add("bpe suffix", bpe({"unk_token": "<unk>"}, end_of_word_suffix="</w>", vocab_size=300))
    add("bpe byte_fallback", without(bpe({"byte_fallback": True, "unk_token": "<unk>"}, vocab_size=460, specials=["<unk>", *BYTES]), "xyz0"))
    add("bpe byte_fallback incomplete", without(bpe({"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}, vocab_size=330, specials=["<unk>", *BYTES[0xE0:]]), "xyz0"))
    ignore = bpe({"ignore_merges": True})
    ignore["model"]["vocab"].update({"lowestnewest": 900, "thethethe": 901})
    add("bpe ignore_merges", ignore)
    for i, (alphabet, n) in enumerate([("ab", 24), ("abc", 60), ("aб今😀", 80)]):
        add(f"bpe random {i}", random_bpe(rng, alphabet, n), random_texts(rng, alphabet, [2, 7, 30, 47, 48, 49, 50, 64, 200, 1500]) + [alphabet[0] * 333])

    u = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))
    u["added_tokens"] = []
    add("unigram", u)
    few = json.loads(json.dumps(u))
    few["model"]["vocab"] = [e for e in u["model"]["vocab"] if e[0] not in list("xyz0фи良")] + [[b, -20.0] for b in BYTES]
    few["model"]["byte_fallback"] = True
    add("unigram byte_fallback", few)
    for i, levels in enumerate([[1.0], [1.0, 2.0], [0.1, 0.2, 0.3], [-3.0, 5.0]]):
        add(f"unigram ties {i}", random_unigram(rng, "abc", 60, levels), random_texts(rng, "abc☃", [1, 2, 3, 9, 50, 127, 128, 129, 600]))
    add("wordpiece", wrap({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 20,
                           "vocab": {p: i for i, p in enumerate(["[UNK]", "the", "##the", "low", "##est", "##er", "new", "a", "##a", "é", "今", "##日"])}}),
        ["the", "thethe", "lowest", "lower", "newest", "aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", "é", "今日", "今日日x", "", "unknown"])
    add("wordlevel", wrap({"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "the": 1, "今日": 2}}), ["the", "今日", "thethe", "x"])
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "models.json").write_text(json.dumps({"made_by": "tools/make_bpe_goldens.py, tokenizers 0.23.3", "entries": entries}, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
