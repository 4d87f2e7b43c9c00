#!/usr/bin/env python3
"""Makes tests/golden/tokenizer/: small tokenizer.json texts with the ids, types and decoded texts that HF `tokenizers` gives, and vocab.txt
directories with those that transformers' BertTokenizer gives; also a seed for each component in tests/fuzz/corpus/tokenizer/.

    pip install -r tools/requirements.txt && python3 tools/make_tokenizer_goldens.py
"""
import base64
import itertools
import json
import os
import shutil
import struct

os.environ["HF_HUB_OFFLINE"] = "1"
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P, processors

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "golden", "tokenizer")
CORPUS = os.path.join(os.path.dirname(os.path.dirname(OUT)), "fuzz", "corpus", "tokenizer")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "", "   ", "Hello, World! It's 12345 o'clock; they'LL say \"don't\".", "  two  spaces\t\ttab\r\n\nlines \n ", "na\u00efve cafe\u0301 \u0130stanbul \u00df \u01c5 \ufb01ne \u2460\u00bd",
    "\u4e2d\u6587\u5b57\u3001\u304b\u306a\u30ab\u30ca\u30fc\uff21\uff11 \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\u0627\u0644\u0639\u0631\u0628\u064a\u0651\u0629 \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd \u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f600", "so\u00adft \ufeffbom z\u200bw \u2028 \u00a0nb\u3000 \u180e", "nul\u0000 bell\u0007 del\u007f c1\u0085\u009f \ufffd \ue000",
    "x=a_b+c-d*e/f; \u00a7\u20ac\u2211\u221e\u2014\u2026\u00bf", "\u2581under \u2581\u2581score a\u2581b", "a" * 130 + "bc", "U\u0308\u0323\u0315 q\u0307\u0323 \u1e9b\u0323 \u212b \u0344 \U0001d15e \u0958 \U00011938\u0898\U0001e130",
    "aXbXXc  X  a", "\U00013460\u2ff0 12\u0663\u2167\u00b2",
]


def state(part):
    return json.loads(part.__getstate__())


def word_level(texts, normalizer=None, pretok=None):
    """A WordLevel vocabulary of every piece that the pipeline makes of the texts, so that the ids tell the pieces (one that holds a NUL is [UNK])."""
    vocab = {"[UNK]": 0}
    for t in texts:
        t = normalizer.normalize_str(t) if normalizer and t else t
        for piece, _ in pretok.pre_tokenize_str(t) if pretok else [(t, 0)]:
            if "\0" not in piece:  # jansson has no NUL in keys
                vocab.setdefault(piece, len(vocab))
    tok = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    if normalizer:
        tok.normalizer = normalizer
    if pretok:
        tok.pre_tokenizer = pretok
    return tok


def plain(tok):
    v = json.loads(tok.to_str())
    return {k: x for k, x in v.items() if x not in (None, [])}


def darts(rules):
    """A precompiled_charsmap of a dict {text: text}: a double array without any packing skill."""
    texts, at = b"", {}
    for k, v in rules.items():
        at[k.encode()] = len(texts)
        texts += v.encode() + b"\0"
    trie = {}
    for k in at:
        node = trie
        for b in k:
            node = node.setdefault(b, {})
        node["leaf"] = at[k]
    units, used, bases = {0: 0}, {0}, set()

    def place(pos, node):
        kids = [k for k in node if k != "leaf"]
        labels = kids + ([0] if "leaf" in node else [])
        base = 1
        while base in bases or any((base ^ b) in used for b in labels) or (pos ^ base) >= 1 << 21:
            base += 1
        bases.add(base)
        for b in labels:
            used.add(base ^ b)
        units[pos] = units.get(pos, 0) | (pos ^ base) << 10 | ("leaf" in node) << 8
        if "leaf" in node:
            units[base] = node["leaf"] | 1 << 31
        for b in kids:
            units[base ^ b] = b
        for b in kids:
            place(base ^ b, node[b])

    place(0, trie)
    n = (max(units) // 256 + 1) * 256
    blob = b"".join(struct.pack("<I", units.get(i, 0)) for i in range(n))
    return base64.b64encode(struct.pack("<I", len(blob)) + blob + texts).decode()


def entry(name, tok, texts=TEXTS):
    e = {"name": name, "tokenizer": plain(tok), "ids": [tok.encode(t, add_special_tokens=False).ids for t in texts]}
    return e


SEEN = {}


def seed(kind, part):
    """One seed of tests/fuzz/corpus/tokenizer for each component: a tiny tokenizer around it."""
    if part is None or type(part).__name__ in SEEN.setdefault(kind, set()):
        return
    SEEN[kind].add(type(part).__name__)
    tok = Tokenizer(models.WordLevel({"a": 0, "<0x41>": 1, "\u2581The": 2, "[UNK]": 3}, unk_token="[UNK]"))
    setattr(tok, kind, part)
    tok.add_tokens([AddedToken("<s>", lstrip=True, special=True), AddedToken("[SEP]", normalized=False, single_word=True)])
    with open(os.path.join(CORPUS, f"{kind}-{type(part).__name__}.json"), "w") as f:
        json.dump(plain(tok), f, separators=(",", ":"))


def group(name, **what):
    what["versions"] = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__}
    with open(os.path.join(OUT, name + ".json"), "w") as f:
        json.dump(what, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def normalizer_group():
    rules = {"\u00e9": "e!", "A": "a", "\u2460": "1", "\ufb01": "fi", "\u3000": " ", "\t": " ", "\u00ad": "", "e\u0301": "E", "\u4e2d": "C", "\r\n": "N", "\uff21": "A", "\u0939\u093f": "hi"}
    precompiled = N.Precompiled(base64.b64decode(darts(rules)))
    table = {
        "NFC": N.NFC(), "NFD": N.NFD(), "NFKC": N.NFKC(), "NFKD": N.NFKD(), "Lowercase": N.Lowercase(), "StripAccents": N.StripAccents(), "Strip": N.Strip(),
        "Strip-left": N.Strip(True, False), "Strip-right": N.Strip(False, True), "Prepend": N.Prepend("\u2581x"), "Nmt": N.Nmt(), "ByteLevel": N.ByteLevel(),
        "Replace": N.Replace("XX", "\u00e9"), "Replace-empty": N.Replace("", "-"), "Replace-regex": N.Replace(Regex(r"\s{2,}|\p{N}+"), "_"), "Replace-star": N.Replace(Regex("X*"), "-"),
        "Bert": N.BertNormalizer(), "Bert-cased": N.BertNormalizer(lowercase=False), "Bert-accents": N.BertNormalizer(strip_accents=False),
        "Bert-plain": N.BertNormalizer(False, False, True, False), "Precompiled": precompiled,
        "Sequence": N.Sequence([N.NFKC(), N.Sequence([N.Lowercase(), N.StripAccents()]), N.Replace(" ", "\u2581"), N.Prepend("\u2581")]),
    }
    for n in table.values():
        seed("normalizer", n)
    group("normalizers", texts=TEXTS, entries=[entry(k, word_level(TEXTS, normalizer=n)) for k, n in table.items()])


def pretok_group():
    table = {
        "Bert": P.BertPreTokenizer(), "Whitespace": P.Whitespace(), "WhitespaceSplit": P.WhitespaceSplit(), "Digits": P.Digits(False), "Digits-individual": P.Digits(True),
        "UnicodeScripts": P.UnicodeScripts(), "FixedLength": P.FixedLength(3), "CharDelimiterSplit": P.CharDelimiterSplit("X"),
        "ByteLevel": P.ByteLevel(True), "ByteLevel-bare": P.ByteLevel(False), "ByteLevel-whole": P.ByteLevel(True, use_regex=False),
        "Metaspace": P.Metaspace(), "Metaspace-first": P.Metaspace(prepend_scheme="first"), "Metaspace-never": P.Metaspace(prepend_scheme="never"),
        "Metaspace-whole": P.Metaspace(split=False), "Metaspace-X": P.Metaspace(replacement="X"),
        "Sequence-words": P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first"), P.Punctuation()]),
        "Sequence-llama3": P.Sequence([P.Split(Regex(CL100K), "isolated"), P.ByteLevel(False, use_regex=False)]),
        "Sequence-deep": P.Sequence([P.Digits(True), P.Sequence([P.Punctuation("removed"), P.ByteLevel(True)])]),
        "gpt2": P.Split(Regex(GPT2), "isolated"), "o200k": P.Split(Regex(O200K), "isolated"), "han": P.Split(Regex(r"[\p{Han}]+"), "isolated"),
        "lines": P.Split(Regex("^.|$"), "isolated"), "behind": P.Split(Regex(r"(?<=X)\w|(?<!\s)a"), "removed", invert=True),
    }
    for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        table["Punctuation-" + b] = P.Punctuation(b)
        for invert in (False, True):
            table[f"Split-{b}-{invert}"] = P.Split("X", b, invert)
            table[f"Split-regex-{b}-{invert}"] = P.Split(Regex(r"X*|\s"), b, invert)
    texts = [t for t in TEXTS if len(t) < 100] + ["word" * 30]
    for p in table.values():
        seed("pre_tokenizer", p)
    entries = [entry(k, word_level(texts, pretok=p), texts) for k, p in table.items()]
    for n in (N.Strip(), N.BertNormalizer(), N.Prepend("x")):  # "first" is the input's first byte: it counts only while that is there
        tok = word_level([t + x for t in texts + [" ", "x"] for x in ("", "a")], n, P.Metaspace(prepend_scheme="first"))
        entries.append(entry("Metaspace-first-" + type(n).__name__, tok, texts))
    group("pretokenizers", texts=texts, entries=entries)


def decoder_group():
    pieces = ["Hello", "##ing", "##", " .", " ?x !", "n't", " n't", "do not", "\u2581the", "\u2581", "a\u2581b", "<0xC3>", "<0xA9>", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0x41>", "<0xZZ>", "\u0120x",
              "\u00c3", "\u00a9", "\u00e2\u0124", "\u00ac", "low</w>", "er</w>", "</w>", "|", "<pad>", "a", "a.", " ,", " ' ", "x", "xx", "  ", "\u00e9", "\U0001f600", "\u0120", "<0xE2>", "<0x82>", "<0xAC>", "XX", "X"]
    ids = [[], [0], list(range(len(pieces))), [0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 0], [9, 8, 9], [11, 12, 0, 11, 12], [11, 0, 12], [13, 14, 15, 16, 17], [13, 14, 15, 8, 16], [20, 21, 0, 20],
           [22, 23], [22, 20, 21, 22], [24, 25, 26, 24], [26, 26], [29, 29, 28, 29, 27, 27, 30, 30], [33, 34, 33, 35, 35, 33], [33, 33, 34], [35, 0, 35], [39, 40, 41, 18], [42, 43, 43, 42, 29, 43], [36, 37, 38, 19]]
    llama = D.Sequence([D.Replace("\u2581", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    table = {
        "none": None, "WordPiece": D.WordPiece(), "WordPiece-raw": D.WordPiece(prefix="##", cleanup=False), "ByteLevel": D.ByteLevel(), "Metaspace": D.Metaspace(),
        "Metaspace-never": D.Metaspace(prepend_scheme="never"), "BPEDecoder": D.BPEDecoder(), "ByteFallback": D.ByteFallback(), "Fuse": D.Fuse(), "Strip": D.Strip("x", 1, 0),
        "Replace": D.Replace("XX", "\u00e9"), "Replace-regex": D.Replace(Regex("X+|a"), "<>"), "CTC": D.CTC(), "CTC-raw": D.CTC(cleanup=False), "llama": llama,
        "fused-strip": D.Sequence([D.Fuse(), D.Strip(" ", 2, 0), D.Strip("x", 1, 0)]), "fused-replace": D.Sequence([D.Fuse(), D.Replace("XXX", "-")]),
        "fused-regex": D.Sequence([D.ByteFallback(), D.Fuse(), D.Replace(Regex("[aX]{2,3}"), "-")]), "fused-wordpiece": D.Sequence([D.Fuse(), D.WordPiece()]),
        "fused-metaspace": D.Sequence([D.Fuse(), D.Metaspace()]), "fused-bpe": D.Sequence([D.Fuse(), D.BPEDecoder()]), "bytes-bytes": D.Sequence([D.ByteLevel(), D.ByteFallback()]),
        "words-ctc": D.Sequence([D.WordPiece(), D.CTC()]),
    }
    entries = []
    for name, d in table.items():
        seed("decoder", d)
        tok = Tokenizer(models.WordLevel({p: i for i, p in enumerate(pieces)}, unk_token="x"))
        if d:
            tok.decoder = d
        cases = []
        for i in ids:
            if i == [] and "BPE" in name + str(d):
                continue
            try:
                cases.append({"ids": i, "text": tok.decode(i)})
            except BaseException:  # HF panics on an empty list in some decoders
                pass
        entries.append({"name": name, "tokenizer": plain(tok), "decode": cases})
    group("decoders", entries=entries)


def added_group():
    words = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "hello", "world", "new", "york", "mask", "<", ">", "[", "]", "##s", "s", ".", "x", "y"]
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    texts = ["hello<x>world", "hello <x> world", "  <x>  <x><x>  ", "a<x>", "<x>b <x>", "<X> HELLO <x>s", "\u00e9<x>\u00e9 \u4e2d<x>", "<x>_ _<x> 1<x>", "\t<x>\n\u00a0<x>\u3000a", "", "<x", "<<x>>"]
    entries = []
    for combo in itertools.product((False, True), repeat=5):
        tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
        tok.normalizer, tok.pre_tokenizer, tok.decoder = N.BertNormalizer(), P.BertPreTokenizer(), D.WordPiece()
        tok.add_tokens([AddedToken("<x>", **dict(zip(flags, combo)))])
        e = entry("-".join(f for f, on in zip(flags, combo) if on) or "plain", tok, texts)
        tok.encode_special_tokens = True
        e["ids_unparsed"] = [tok.encode(t, add_special_tokens=False).ids for t in texts]
        e["decode"] = [{"ids": [6, 20, 7, 20], "text": tok.decode([6, 20, 7, 20], skip_special_tokens=False), "skip": tok.decode([6, 20, 7, 20], skip_special_tokens=True)}]
        entries.append(e)
    group("added-flags", texts=texts, entries=entries)
    texts = ["New York new york NEWYORK", "abcabcd abab ab abc", "<m> <m>a<m>b  <m2> <m22>", "x  y xy  x yx", "[MASK][MASK] [SEP]hello[CLS]s", "\u00c9t\u00e9 \u00e9t\u00e9 ete", "hello\nworld\n\n x", "<m2<m>"]
    sets = {
        "prefixes": [AddedToken("ab"), AddedToken("abc"), AddedToken("abcabcd"), AddedToken("bc"), AddedToken("New York"), AddedToken("york", single_word=True)],
        "strip": [AddedToken("<m>", lstrip=True, rstrip=True), AddedToken("<m2>", rstrip=True), AddedToken("<m22>", lstrip=True), AddedToken(" x", lstrip=False), AddedToken("y", rstrip=True, single_word=True)],
        "special": [AddedToken("[MASK]", lstrip=True, special=True, normalized=False), AddedToken("[SEP]", special=True, normalized=False), AddedToken("[CLS]", special=True, normalized=False), AddedToken("<m", special=True), AddedToken("<m>")],
        "normal": [AddedToken("\u00c9t\u00e9", normalized=True), AddedToken("\u00e9t\u00e9", normalized=False), AddedToken("HELLO", normalized=True, special=True), AddedToken("\n", normalized=False), AddedToken("New", single_word=True, normalized=False)],
    }
    entries = []
    for name, tokens in sets.items():
        tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
        tok.normalizer, tok.pre_tokenizer, tok.decoder = N.BertNormalizer(), P.BertPreTokenizer(), D.WordPiece()
        tok.add_tokens(tokens)
        tok = Tokenizer.from_str(tok.to_str())
        e = entry(name, tok, texts)
        tok.encode_special_tokens = True
        e["ids_unparsed"] = [tok.encode(t, add_special_tokens=False).ids for t in texts]
        every = list(range(tok.get_vocab_size()))
        e["decode"] = [{"ids": every, "text": tok.decode(every, skip_special_tokens=False), "skip": tok.decode(every, skip_special_tokens=True)}]
        entries.append(e)
    group("added-sets", texts=texts, entries=entries)


def processor_group():
    words = ["[UNK]", "[CLS]", "[SEP]"] + list("abcdefgh") + ["##" + c for c in "abcdefgh"]
    cls, sep = ("[CLS]", 1), ("[SEP]", 2)
    template = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[cls, sep])
    table = {
        "none": None, "Template": template, "Bert": processors.BertProcessing(sep, cls), "Roberta": processors.RobertaProcessing(sep, cls), "ByteLevel": processors.ByteLevel(),
        "Template-odd": processors.TemplateProcessing(single="$A:1 [SEP]:3 [CLS]", pair="$B:2 [SEP] $A:1", special_tokens=[cls, sep]),
        "Template-plural": processors.TemplateProcessing(single="[X] $A", pair="[X] $A $B:1 [X]:1", special_tokens=[{"id": "[X]", "ids": [1, 2], "tokens": ["[CLS]", "[SEP]"]}]),
        "Sequence": processors.Sequence([processors.ByteLevel(), template]),
    }
    pairs = [("a", None), ("abc d efgh", None), ("", None), ("ab cd ef gh", "abcd efgh"), ("a", "abcdefgh abcdefgh"), ("abcdefgh abcdefgh", "a b"), ("abc abc abc", "abcd abcd abcd"), ("", ""), ("abcd abcd", "")]
    entries = []
    for name, post in table.items():
        seed("post_processor", post)
        tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
        tok.pre_tokenizer = P.WhitespaceSplit()
        if post:
            tok.post_processor = post
        bare, cases = plain(tok), []
        for (a, b), add, limit, side, strategy in itertools.product(pairs, (True, False), (0, 3, 6, 7, 8), ("right", "left"), ("longest_first", "only_first", "only_second")):
            if not limit and (side, strategy) != ("right", "longest_first"):
                continue
            if limit and name not in ("none", "Template") and limit != 7:
                continue
            n = tok.num_special_tokens_to_add(b is not None) if add else 0
            if limit and limit <= n:
                continue
            tok.no_truncation()
            if limit:
                tok.enable_truncation(limit, strategy=strategy, direction=side)
            case = {"text": a, "add": add, "max": limit, "side": side, "strategy": strategy}
            if b is not None:
                case["pair"] = b
            try:
                r = tok.encode(a, b, add_special_tokens=add) if b is not None else tok.encode(a, add_special_tokens=add)
                case.update(ids=r.ids, types=r.type_ids, special=r.special_tokens_mask)
            except Exception:
                case["error"] = True
            cases.append(case)
        entries.append({"name": name, "tokenizer": bare, "cases": cases})
    group("processors", entries=entries)


def bert_dirs():
    base = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "Hello", "world", "World", "cafe", "caf\u00e9", "Caf\u00e9", "na", "##ive", "##\u00efve", "\u4e2d", "\u6587", "\u4e2d\u6587", "##\u6587", "12", "##3", "!", ",", ".", "'", "s", "don", "t",
            "[", "]", "mask", "Mask", "##s", "istanbul", "\u0130stanbul", "a", "##a", "<m>"]
    configs = {
        "uncased": {"do_lower_case": True}, "cased": {"do_lower_case": False}, "accents": {"do_lower_case": True, "strip_accents": False},
        "cased-strip": {"do_lower_case": False, "strip_accents": True}, "no-chinese": {"do_lower_case": True, "tokenize_chinese_chars": False},
        "own-mask": {"do_lower_case": True, "mask_token": "<m>"},
    }
    texts = ["Hello WORLD! na\u00efve caf\u00e9 Caf\u00e9 cafe\u0301", "\u4e2d\u6587\u5b57 don't 123", "[MASK] Hello[SEP]mask [mask] [MASK]s <m>", "", "  ", "\u0130stanbul", "a" * 100, "a" * 101, "hello\u0000wor\u200bld\ufffd \u00adworld"]
    for name, config in configs.items():
        where = os.path.join(OUT, "bert-" + name)
        os.makedirs(where)
        with open(os.path.join(where, "vocab.txt"), "w") as f:
            f.write("\n".join(base) + "\n")
        with open(os.path.join(where, "tokenizer_config.json"), "w") as f:
            json.dump({"tokenizer_class": "BertTokenizer", "model_max_length": 512, **config}, f)
        tok = transformers.BertTokenizer(vocab=os.path.join(where, "vocab.txt"), **config)
        cases = [{"text": t, "ids": tok(t)["input_ids"], "types": tok(t)["token_type_ids"]} for t in texts]
        r = tok(texts[0], texts[1])
        cases.append({"text": texts[0], "pair": texts[1], "ids": r["input_ids"], "types": r["token_type_ids"]})
        cut = tok.backend_tokenizer
        for limit, side, strategy in itertools.product((4, 7, 12), ("right", "left"), ("longest_first", "only_first", "only_second")):
            cut.enable_truncation(limit, strategy=strategy, direction=side)
            for pair in (None, texts[1]):
                case = {"text": texts[0], "max": limit, "side": side, "strategy": strategy, **({"pair": pair} if pair else {})}
                try:
                    r = cut.encode(texts[0], pair)
                    case.update(ids=r.ids, types=r.type_ids, special=r.special_tokens_mask)
                except Exception:
                    case["error"] = True
                cases.append(case)
            cut.no_truncation()
        ids = tok(texts[2])["input_ids"] + [12, 13, 21, 24, 25]
        decode = {"ids": ids, "text": tok.backend_tokenizer.decode(ids, skip_special_tokens=False), "skip": tok.backend_tokenizer.decode(ids, skip_special_tokens=True)}
        with open(os.path.join(where, "expected.json"), "w") as f:
            json.dump({"cases": cases, "decode": [decode]}, f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    normalizer_group()
    pretok_group()
    decoder_group()
    added_group()
    processor_group()
    bert_dirs()


if __name__ == "__main__":
    main()
