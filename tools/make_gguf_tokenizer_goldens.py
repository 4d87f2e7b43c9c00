#!/usr/bin/env python3
"""Makes tests/golden/tables/: what HF `tokenizers` gives for tokenizers that GGUF files hold as tables.

pre.json    a small byte-level BPE whose merges go across any border, behind the pipeline of each named pre-tokeniser: its published patterns
smollm2.json, qwen2.json   the ids of the real files' vocabularies and merges behind the published pipelines, for tests that have these files

    pip install -r tools/requirements.txt && python3 tools/make_gguf_tokenizer_goldens.py [SMOLLM2.gguf QWEN2.gguf]
"""
import hashlib
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import gguf
import tokenizers
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers as N, pre_tokenizers as P, trainers

OUT = pathlib.Path(__file__).parent.parent / "tests/golden/tables"
TEXTS = [
    "", " ", "   ", "a", "Hello, World! It's 12345 o'clock; they'LL say \"don't\".", "I'VE we'Re you'd HE'S 'tis can'T  'm we'llama don'tify 'Sxyz\n\r\n \n", "  two  spaces\t\ttab\r\n\nlines \n \n\n\nx  \r\n", "1 12 123 1234 12345 1234567 3.14 1,000,000 0x1F ٣٤٥ ½² Ⅷ १२३४",
    "naïve cafe\u0301 İstanbul ß ǅ ﬁne ①½ ² ﷺ U\u0308\u0323 \u212b", "中文字，今天1234天气。かなカナー「かぎ」 Ａ１ 한국어를1234 ㄱㄴ ㄅㄆ", "hello世界hello 漢字kanji かなkana 한글hangul 3世紀", "العربيّة שָׁלוֹם हिन्दी में ไทยภาษา বাংলা",
    "👩‍👩‍👧 🇩🇪 ❤️ 😀😀 x😀y", "so\u00adft \ufeffbom z\u200bw \u2028 \u00a0nb\u3000 \u180e", "bell\u0007 del\u007f c1\u0085\u009f \ufffd \ue000 nul\0 x",
    "x=a_b+c-d*e/f; §€∑∞—…¿ #include <stdio.h>\n\tint main(void) { return 0; }\n", "!!!???...\n\n--==>> ```py\n/path/to/file.txt // comment\n</tag> ~~$$^^||", "camelCaseWord HTTPServer XMLHttpRequest iPhone ALLCAPS mixedUP Ünï ÀÉ ǅungla",
    "x" * 100, " " * 33 + "y" + " " * 600, "\n" * 5 + "\t" * 9, "a\u0301e\u0308\u0323o", "New York's 1st, 2nd & 3rd; 10% off!\u2026\u3002\uff0c", "«quoted» “smart” ‘single’ —dash– ・中黒 ！？～", "Ελληνικά ΣΑΣ καλημέρα кириллица Ёлка ᏣᎳᎩ Ⴀⴀ 𐐀𐐨",
]
MIXED = "\n".join([
    "The lighthouse keeper wrote in his log: \"Day 1,204 - fog again.\" He hadn't seen a ship since 03/11/1987, nor expected one before spring.",
    "def mean(xs: list[float]) -> float:\n    if not xs:\n        raise ValueError('empty')\n    return sum(xs) / len(xs)  # 0.1 + 0.2 != 0.3",
    "Der Fluß führte Hochwasser; über 3.000 Menschen mußten ihre Häuser verlassen. L'été dernier, c'était déjà arrivé à Besançon.",
    "昨日、東京では気温が35度を超えました。明日は雨が降るでしょう。中国的首都是北京，人口超过两千万。오늘 날씨가 좋네요.",
    "В 1812 году армия перешла реку. Η θάλασσα ήταν ήρεμη. كان البحر هادئا في تلك الليلة. नदी के किनारे एक गाँव था।",
    "{\"id\": 42, \"tags\": [\"a\", \"b\"], \"url\": \"https://example.org/x?y=1&z=%20\"}\t| col1 | col2 |\n|---|---|\n\n\n1. first\n2. second 🚀✨ 👨‍👩‍👧‍👦",
]) * 2
ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
CL = lambda digits: ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + REST
CASED = lambda suffix, digits, more="", tail="/": (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}" + more + r"]*[\p{Ll}\p{Lm}\p{Lo}\p{M}" + more + r"]+" + suffix + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}" + more + r"]+[\p{Ll}\p{Lm}\p{Lo}\p{M}"
    + more + r"]*" + suffix + "|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n" + tail + r"]*|" + REST)
EAST = r"[一-龥ࠀ-一가-퟿]+"
KANA = r"[一-龥぀-ゟ゠-ヿ]+"
DEEPSEEK = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"""
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
LETTERS = ("[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳ"
           "Ꙁ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+")
DIGITS = object()  # HF's Digits(individual_digits=True)
# names, normalizer NFC, steps: patterns of Split
PRES = [
    (["default"], False, [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
    (["gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "jais", "trillion", "granite-docling", "roberta-bpe", "jina-v1-en", "jina-v2-code"], False, [GPT2]),
    (["mpt", "olmo"], True, [GPT2]), (["starcoder", "refact", "smollm", "codeshell", "minerva-7b", "exaone", "mellum2"], False, [DIGITS, GPT2]), (["command-r"], True, [DIGITS, GPT2]),
    (["llama3", "llama-bpe", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "glm5"], False, [CL(r"\p{N}{1,3}")]),
    (["minicpm5"], False, [r"\p{N}{1,3}", CL(r"\p{N}+")]),
    (["jais-2"], False, [CL(r"\p{N}{1,3}").replace(r"\s+(?!\S)|\s+", r"\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}")]),
    (["qwen2", "f2llmv2"], True, [CL(r"\p{N}")]), (["stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "kormo", "grok-2", "solar-open"], False, [CL(r"\p{N}")]), (["laguna"], False, [r"[^\n]+|[\n]+", CL(r"\p{N}")]),
    (["qwen35"], True, [ENGLISH + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + REST]), (["ufakzeka"], False, [CL(r"\p{N}").removeprefix(ENGLISH + "|")]),
    (["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m"], False, [CASED(ENGLISH + "?", r"\p{N}{1,3}")]),
    (["tiny_aya", "cohere2moe"], True, [r"\d{1,3}(?=(?:\d{3})*\b)", CASED(ENGLISH + "?", r"\p{N}{1,3}")]), (["tekken"], False, [CASED("", r"\p{N}")]),
    (["kimi-k2"], False, [r"[\p{Han}]+|" + CASED(ENGLISH + "?", r"\p{N}{1,3}", r"&&[^\p{Han}]", "")]),
    (["youtu"], False, [r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + KANA, CASED(ENGLISH + "?", r"\p{N}")]),
    (["deepseek-llm"], False, [r"[\r\n]", r"\s?" + LETTERS, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", EAST, r"\p{N}+"]), (["deepseek-coder"], False, [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST, r"\p{N}"]),
    (["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], False, [r"\p{N}{1,3}", KANA, DEEPSEEK + r"[\r\n]*|" + REST]), (["spark2_5"], False, [r"\p{N}{1,3}", KANA, DEEPSEEK + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}"]),
    (["falcon"], False, [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"]), (["bloom", "poro-chat", "gpt3-finnish"], False, [BLOOM]), (["viking"], False, [BLOOM, r"\p{N}"]),
    (["seed-coder"], False, [ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + REST]),
    (["bailingmoe", "bailingmoe2", "llada-moe"], False, [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"]),
    (["exaone-moe"], False, [ENGLISH + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"]),
]
IGNORE = {"llama3", "llama-bpe", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "glm4", "glm5", "minicpm5", "granite-embed-multi-97m", "tekken", "youtu"}


def pipeline(tok, nfc, steps):
    cut = [P.Digits(individual_digits=True) if s is DIGITS else P.Split(Regex(s), "isolated") for s in steps]
    tok.pre_tokenizer = P.Sequence([*cut, P.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    if nfc:
        tok.normalizer = N.NFC()
    return tok


def small_bpe():
    """Trained on whole texts without borders, so that a border that is missing or wrong shows in the ids. The last entries are no merge's: ignore_merges."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = P.ByteLevel(add_prefix_space=False, use_regex=False)
    tok.train_from_iterator([t for t in TEXTS if len(t) < 500] * 3, trainers.BpeTrainer(vocab_size=1100, show_progress=False, initial_alphabet=P.ByteLevel.alphabet(), max_token_length=24))
    model = json.loads(tok.to_str())["model"]
    vocab, merges = model["vocab"], [" ".join(m) for m in model["merges"]]
    for whole in ("Ġcan", "World", "123", "ĠWorld", "hello"):
        vocab.setdefault(whole, len(vocab))
    return vocab, merges


def write(name, **what):
    versions = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__, "gguf": "0.19.0"}
    (OUT / name).write_text(json.dumps({"made_by": "tools/make_gguf_tokenizer_goldens.py", "versions": versions, **what}, ensure_ascii=False, separators=(",", ":")) + "\n")


def pres():
    vocab, merges = small_bpe()
    entries = []
    for names, nfc, steps in PRES:
        for ignore in (False, True):
            some = [n for n in names if (n in IGNORE) == ignore]
            tok = pipeline(Tokenizer(models.BPE(vocab, [tuple(m.split(" ")) for m in merges], ignore_merges=ignore)), nfc, steps)
            if some:
                entries.append({"names": some, "ids": [tok.encode(t).ids for t in TEXTS]})
    write("pre.json", tokens=sorted(vocab, key=vocab.get), merges=merges, texts=TEXTS, entries=entries)


CHECK = ("\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫️ (multiple emojis concatenated) ✅ 🦙🦙 3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ "
         "------======= нещо на Български ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL")


def real(path, out, nfc, steps, digest):
    """digest: sha256 of the list of ids that the original model's own tokenizer gives for CHECK, as llama.cpp's convert_hf_to_gguf_update.py publishes it."""
    fields = gguf.GGUFReader(path).fields
    strings = lambda key: fields[key].contents()
    vocab = {t: i for i, t in enumerate(strings("tokenizer.ggml.tokens"))}
    tok = pipeline(Tokenizer(models.BPE(vocab, [tuple(m.split(" ")) for m in strings("tokenizer.ggml.merges")])), nfc, steps)
    assert hashlib.sha256(str(tok.encode(CHECK).ids).encode()).hexdigest() == digest, out
    texts = [*TEXTS, CHECK, MIXED]
    write(out, texts=texts, ids=[tok.encode(t).ids for t in texts])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pres()
    if len(sys.argv) == 3:
        real(sys.argv[1], "smollm2.json", False, [DIGITS, GPT2], "855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249")
        real(sys.argv[2], "qwen2.json", True, [CL(r"\p{N}")], "e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea")


if __name__ == "__main__":
    main()
