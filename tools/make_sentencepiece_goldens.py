#!/usr/bin/env python3
"""Makes tests/golden/sentencepiece/: tiny SentencePiece models with the ids, pieces and decoded texts that the library `sentencepiece` gives
(models.json), directories with such a model and the ids that transformers gives (dir-*), and the fuzz corpus tests/fuzz/corpus/sentencepiece.

    pip install -r tools/requirements.txt && python3 tools/make_sentencepiece_goldens.py
"""
import io
import json
import os
import pathlib
import random
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import sentencepiece as spm
import transformers
from sentencepiece import sentencepiece_model_pb2 as pb

ROOT = pathlib.Path(__file__).parent.parent / "tests"
OUT, FUZZ = ROOT / "golden/sentencepiece", ROOT / "fuzz/corpus/sentencepiece"
CORPUS = [
    "the quick brown fox jumps over the lazy dog and the other foxes jump higher than the dogs",
    "a tokenizer cuts the text into pieces; the pieces are entries of the vocabulary",
    "low lower lowest new newer newest wide wider widest low low lower newest newest newest",
    "größer als die Straße, schöne Grüße aus München", "быстрая коричневая лиса прыгает через ленивую собаку",
    "今日は良い天気ですね。今日も良い天気です。", "déjà vu, naïve café, garçon", "0123456789 3.14159 2.71828 100 1000 10000",
] * 3
TEXTS = [
    "", "a", " ", "   ", "  two  spaces\t\ttab\r\n\nlines \n ", "Hello, World! It's 12345 o'clock; they'LL say \"don't\".", "naïve cafe\u0301 İstanbul ß ǅ ﬁne ①½ ² ٣ ﷺ",
    "中文字、かなカナーＡ１ 한국어 한", "العربيّة שָׁלוֹם हिन्दी", "👩‍👩‍👧 🇩🇪 ❤️ 😀", "so\u00adft \ufeffbom z\u200bw \u2028 \u00a0nb\u3000 \u180e",
    "bell\u0007 del\u007f c1\u0085\u009f \ufffd \ue000", "▁under ▁▁score a▁b ▁", "x" * 1000, "lowest" * 40, "<s>hello</s><unk><0x41><sep>a<sep> b <user> <us er>",
    "nul\0 x", "U\u0308\u0323\u0315 q\u0307\u0323 \u212b", "newestnewest wes west", "今日は良い天気ですね。" * 12, "e\u0301e\u0301 e \u0301", *CORPUS[:4],
]


def rules():
    """The rules of nmt_nfkc for what the texts hold: all of them are 240 KB."""
    normalizer = spm.SentencePieceNormalizer(rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False)
    keys = sorted({c for t in TEXTS for c in t if c != "\0"} | {"e\u0301", "U\u0308", "\r\n", "q\u0307", "ﾊﾞ"})
    hexes = lambda s: " ".join(f"{ord(c):X}" for c in s)
    return "".join(f"{hexes(k)}\t{hexes(normalizer.normalize(k))}\n" for k in keys if normalizer.normalize(k) != k)


def train(kind, nmt=False, **options):
    out = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as tsv:
        tsv.write(rules())
        tsv.flush()
        how = {"normalization_rule_tsv": tsv.name} if nmt else {"normalization_rule_name": "identity"}
        spm.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=out, model_type=kind, hard_vocab_limit=False, minloglevel=2, self_test_sample_size=0, **how, **options)
    m = pb.ModelProto.FromString(out.getvalue())
    m.normalizer_spec.ClearField("normalization_rule_tsv")  # the trainer's temporary path
    return m


def tied(kind, seed, user=()):
    """Random pieces of few distinct scores, some of them unused: ties, and what is merged and taken apart again."""
    rng, m = random.Random(seed), pb.ModelProto()
    m.trainer_spec.model_type = 2 if kind == "bpe" else 1
    m.normalizer_spec.add_dummy_prefix = False
    m.normalizer_spec.remove_extra_whitespaces = False
    pieces = {"<unk>": (0, 2), "<s>": (0, 3), "</s>": (0, 3), **{c: (-rng.choice([1.5, 2.25]), 1) for c in "abc今"}, **{u: (0, 4) for u in user}}
    while len(pieces) < 90:
        pieces.setdefault("".join(rng.choice("abc今") for _ in range(rng.randint(2, 5))), (-rng.choice([0.1, 0.2, 0.3, 1.0, 3.0]), rng.choice([1, 1, 1, 1, 5])))
    for text, (score, kind) in pieces.items():
        m.pieces.add(piece=text, score=score, type=kind)
    return m


def models():
    user = {"user_defined_symbols": ["<sep>", "low", "wes", "①"], "control_symbols": ["<user>"]}
    keep = {"remove_extra_whitespaces": False}
    bytes_ = {"vocab_size": 380, "byte_fallback": True}
    return {
        "bpe-bytes": train("bpe", **bytes_, **keep), "bpe-rules": train("bpe", True, vocab_size=180, add_dummy_prefix=False), "bpe-suffix": train("bpe", vocab_size=180, treat_whitespace_as_suffix=True, **user),
        "bpe-user": train("bpe", True, **bytes_, **user, **keep), "bpe-ties": tied("bpe", 1), "bpe-ties-user": tied("bpe", 2, ["abca", "今c"]),
        "unigram-bytes-rules": train("unigram", True, **bytes_), "unigram": train("unigram", vocab_size=180, add_dummy_prefix=False, **keep), "unigram-user": train("unigram", True, vocab_size=180, **user),
        "unigram-suffix": train("unigram", vocab_size=180, treat_whitespace_as_suffix=True, **keep), "unigram-ties": tied("unigram", 3), "unigram-ties-user": tied("unigram", 4, ["abca", "今c"]),
    }


def entry(name, m, rng):
    data = m.SerializeToString()
    assert len(data) < 40000, (name, len(data))
    (OUT / f"{name}.model").write_bytes(data)
    sp = spm.SentencePieceProcessor(model_proto=data)
    texts = TEXTS + ["".join(rng.choice("abc今x ") for _ in range(n)) for n in (3, 9, 20, 47, 48, 49, 60, 127, 130, 400)]
    known = [i for i in range(sp.get_piece_size()) if not sp.is_unknown(i)]
    lists = [sp.encode(t) for t in texts[4:12]] + [[rng.choice(known) for _ in range(n)] for n in (1, 2, 3, 5, 20, 80)]
    bytes_ = [i for i in known if sp.is_byte(i)]
    if bytes_:
        lists += [[b for c in "日ß😀a" for b in map(lambda x: sp.piece_to_id(f"<0x{x:02X}>"), c.encode())], [sp.piece_to_id(p) for p in ("<0xE6>", "<0x97>", "▁a", "<0xA5>", "<0xF0>", "<0x9F>", "<0x98>")]]
        lists += [[rng.choice(bytes_) for _ in range(30)] for _ in range(3)]
    lists = [[i for i in ids if not sp.is_unknown(i)] for ids in lists]
    return {"name": name, "texts": texts, "ids": [sp.encode(t) for t in texts], "pieces": [sp.id_to_piece(i) for i in range(sp.get_piece_size())], "decode": [{"ids": ids, "skip": sp.decode(ids)} for ids in lists]}


def directory(name, file, m, kind, config, texts, beside=()):
    where = OUT / f"dir-{name}"
    where.mkdir()
    (where / file).write_bytes(m.SerializeToString())
    (where / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    for extra, content in dict(beside).items():
        (where / extra).write_text(json.dumps(content) + "\n")
    with tempfile.TemporaryDirectory() as d:  # transformers finds the class by config.json
        shutil.copytree(where, d, dirs_exist_ok=True)
        (pathlib.Path(d) / "config.json").write_text(json.dumps({"model_type": kind}))
        tok = transformers.AutoTokenizer.from_pretrained(d)
    cases = [{"text": t, "ids": tok(t)["input_ids"]} for t in texts]
    cases += [{"text": "lowest new", "pair": "déjà vu", "ids": tok("lowest new", "déjà vu")["input_ids"]}]
    (where / "expected.json").write_text(json.dumps({"class": type(tok).__name__, "cases": cases}, ensure_ascii=False, separators=(",", ":")) + "\n")


def directories():
    unigram = train("unigram", vocab_size=120)
    t5 = train("unigram", vocab_size=120, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    bpe = train("bpe", vocab_size=380, byte_fallback=True, remove_extra_whitespaces=False)
    token = lambda text, **flags: {"content": text, "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, **flags}
    texts = ["", "lowest new", "déjà vu 日", "lowest</s>new", "the <mask>", "newest<mask>", "<s>low", "low <extra_id_0>"]
    directory("xlmr", "sentencepiece.bpe.model", unigram, "xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"}, texts)
    directory("camembert", "sentencepiece.bpe.model", unigram, "camembert", {"tokenizer_class": "CamembertTokenizerFast"}, texts)
    directory("t5", "spiece.model", t5, "t5", {"tokenizer_class": "T5Tokenizer"}, texts)
    directory("t5-few", "spiece.model", t5, "t5", {"tokenizer_class": "T5Tokenizer", "extra_ids": 3}, texts)
    names = {"add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    directory("llama-first", "tokenizer.model", bpe, "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": False, **names}, texts)
    directory("llama-each", "tokenizer.model", bpe, "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": True, **names, "add_bos_token": False, "add_eos_token": True}, texts)
    added = {"380": token("<|im_start|>"), "381": token("<|im_end|>", rstrip=True), "382": token("tool", special=False)}
    chat = ["<|im_start|>low<|im_end|> new<|im_start|>", "a tool<|im_end|>\n new"]
    directory("llama-added", "tokenizer.model", bpe, "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": False, "added_tokens_decoder": added, "pad_token": "<|im_end|>", **names}, texts + chat)
    directory("llama-json", "tokenizer.model", bpe, "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": False, **names}, texts + chat, {"added_tokens.json": {"<|im_start|>": 380, "<|im_end|>": 381}})


def main():
    for folder in (OUT, FUZZ):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    rng = random.Random(7)
    all_models = models()
    entries = [entry(name, m, rng) for name, m in all_models.items()]
    head = {"made_by": f"tools/make_sentencepiece_goldens.py, sentencepiece {spm.__version__}", "entries": entries}
    (OUT / "models.json").write_text(json.dumps(head, ensure_ascii=False, separators=(",", ":")) + "\n")
    directories()
    for name in ("bpe-ties-user", "unigram-ties-user"):
        shutil.copy(OUT / f"{name}.model", FUZZ / name)
    small = train("bpe", True, vocab_size=120)
    del small.pieces[60:]
    (FUZZ / "bpe-rules").write_bytes(small.SerializeToString())
    (FUZZ / "empty").write_bytes(b"")


if __name__ == "__main__":
    main()
