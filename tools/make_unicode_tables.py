#!/usr/bin/env python3
"""Makes src/text/unicode_tables.c: what HF `tokenizers` takes each code point for, found by asking it about all 1,112,064 of them.

    pip install -r tools/requirements.txt && python3 tools/make_unicode_tables.py

HF's parts use tables of different Unicode versions (8 for BERT's classes, 12 for the normal forms, 16 for \\w), so no one library agrees with it.
"""
import os
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers as N, pre_tokenizers as P

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src", "text", "unicode_tables.c")
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(points):
    out = []
    for c in points:
        # surrogates never occur: a range may run over them
        if out and (out[-1][1] == c - 1 or (out[-1][1] == 0xD7FF and c == 0xE000)):
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def dropped(normalizer):
    return [c for c in ALL if normalizer.normalize_str("a" + chr(c) + "b") == "ab"]


def alone(pretok, left="a", right="b"):
    """Code points that end up apart from their neighbours."""
    return [c for c in ALL if [t for t, _ in pretok.pre_tokenize_str(left + chr(c) + right)] == [left, chr(c), right]]


def word():
    """\\w: with letters on both sides it is one word."""
    w = P.Whitespace()
    return [c for c in ALL if c > 0x7F and len(w.pre_tokenize_str("a" + chr(c) + "b")) == 1]


def strange_forms():
    """Code points that HF's normal forms do not know: not decomposed, and no combining class, where Unicode has one. Those that this Python's
    Unicode has not assigned are counted in, lest a newer utf8proc knows them; U+11930 because of what it composes with U+11935."""
    forms = [("NFD", N.NFD()), ("NFKD", N.NFKD()), ("NFC", N.NFC()), ("NFKC", N.NFKC())]
    out = []
    for c in ALL:
        if unicodedata.category(chr(c)) == "Cn" or c == 0x11930:
            out.append(c)
            continue
        texts = [chr(c)]
        if unicodedata.combining(chr(c)):
            texts += ["a\u0315" + chr(c), "a" + chr(c) + "\u0334", "a\U0001E94A" + chr(c), "a" + chr(c) + "\u3099"]
        if any(unicodedata.normalize(f, t) != n.normalize_str(t) for t in texts for f, n in forms):
            out.append(c)
    return out


def lower():
    """Lower cases that this Python does not have."""
    low = N.Lowercase()
    return [(c, ord(low.normalize_str(chr(c)))) for c in ALL if c != 0x130 and low.normalize_str(chr(c)) != (chr(c).lower() if c != 0x3A3 else "\u03c3")]


CATEGORIES = "Lu Ll Lm Lo Mn Mc Nd No Pd Po Sm So".split()


def young():
    """[first, last, category]: what \\p{category} matches in HF and Unicode 14 has not assigned."""
    out = []
    for cat in CATEGORIES:
        near = "a" if cat[0] == "P" else "."
        points = alone(P.Split(Regex(r"\p{%s}" % cat), "isolated"), near, near)
        out += [[a, b, cat] for a, b in ranges([c for c in points if unicodedata.category(chr(c)) == "Cn"])]
    return out


def scripts():
    """[first code point, script number]; equal numbers: UnicodeScripts does not part them; 0: none."""
    s = P.UnicodeScripts()
    pieces = lambda t: [x for x, _ in s.pre_tokenize_str(t)]
    known, out = [], []
    for c in ALL:
        text = chr(c)
        if not pieces(text):
            number = 0
        else:
            last = out[-1][1] if out else 0
            number = last if last and pieces(known[last - 1] + text) == [known[last - 1] + text] else None
            if number is None:
                number = next((i + 1 for i, k in enumerate(known) if pieces(k + text) == [k + text]), None)
            if number is None:
                known.append(text)
                number = len(known)
        if not out or out[-1][1] != number:
            out.append([c, number])
    return out


def table(name, doc, pairs, fmt):
    rows, line = [], "   "
    for p in pairs:
        item = " " + fmt % tuple(p) + ","
        if len(line) + len(item) > 150:
            rows.append(line)
            line = "   "
        line += item
    rows.append(line)
    return f"/* {doc} */\n{name} = {{\n" + "\n".join(rows) + "\n};\n"


def main():
    clean = N.BertNormalizer(handle_chinese_chars=False, strip_accents=False, lowercase=False)
    accents = N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    pair = "{0x%X, 0x%X}"
    parts = [
        ("CONTROL", "BERT's clean_text drops these (categories Cc, Cf, Co of Unicode 8), NUL and U+FFFD too", ranges(dropped(clean))),
        ("NONSPACING", "BERT's strip_accents drops these: category Mn of Unicode 8", ranges([c for c in dropped(accents)])),
        ("MARK", "StripAccents drops these: category M*", ranges(dropped(N.StripAccents()))),
        ("PUNCTUATION", "Punctuation and BERT: category P* of Unicode 8, and ASCII's", ranges(alone(P.Punctuation()))),
        ("NUMERIC", "Digits: category N*", ranges(alone(P.Digits(False)))),
        ("WORD", "\\\\w above ASCII".replace("\\\\", "\\"), ranges(word())),
        ("FORMLESS", "younger than the normal forms' tables: neither decomposed nor moved nor composed", ranges(strange_forms())),
    ]
    with open(OUT, "w") as f:
        f.write(f"/* unicode_tables.c - made by tools/make_unicode_tables.py from tokenizers {tokenizers.__version__}; ranges of code points, sorted. */\n")
        f.write('#include "text/unicode_tables.h"\n')
        for name, doc, r in parts:
            f.write("\n" + table(f"static const uint32_t {name}[][2]", doc, r, pair))
        f.write("\n" + table("static const uint32_t LOWER[][2]", "lower cases that Unicode 14 lacks: code point, lower case", lower(), pair))
        f.write("\n" + table("static const uint32_t SCRIPT[][2]", "UnicodeScripts: first code point, number of the script from there on", scripts(), "{0x%X, %d}"))
        rows = ["{0x%X, 0x%X, \"%s\"}" % tuple(r) for r in young()]
        f.write("\n/* categories of code points that Unicode 14 has not assigned */\nconst struct unicode_young unicode_young[] = {\n")
        for i in range(0, len(rows), 5):
            f.write("    " + ", ".join(rows[i:i + 5]) + ",\n")
        f.write("};\nconst size_t unicode_young_count = sizeof unicode_young / sizeof *unicode_young;\n")
        f.write("\n#define TABLE(name) {name, sizeof name / sizeof *name}\n")
        for name in [p[0] for p in parts]:
            f.write(f"const struct unicode_table unicode_{name.lower()} = TABLE({name});\n")
        f.write("const struct unicode_table unicode_lower_young = TABLE(LOWER);\nconst struct unicode_table unicode_scripts = TABLE(SCRIPT);\n")


if __name__ == "__main__":
    main()
