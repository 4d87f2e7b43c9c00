#!/usr/bin/env python3
"""Checks data/models.json: the keys and values of each row, that names are unique, that goldens exist; with the design's table of models as the
argument also that every alias of it is there with its repository, width, length limit and prompts. One line a fault; exit 1 if there is any.

    python3 tools/check_registry.py [MODELS.md]
"""
import itertools
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
QUANTS = {"int4", "int8", "awq", "gptq", "gguf", "fp8", "bnb4", "bnb8"}
CHOICES = {"task": {"embed", "rerank", "generate"}, "pooling": {"cls", "mean", "last"}, "normalize": {"on", "off"}, "rerank": {"cross-encoder", "yes-no", "listwise"}}
REQUIRED = {"aliases", "repos", "task", "family", "licence"}
OPTIONAL = {"max_tokens", "revision", "gated", "nearest", "dim", "dims", "pooling", "normalize", "query", "document", "instruction", "input_before", "input_after", "rerank", "listwise", "variants"}
EMBED_ONLY = {"dim", "dims", "pooling", "normalize", "query", "document", "input_before", "input_after"}

faults = []


def want(ok, name, text):
    if not ok:
        faults.append(f"{name}: {text}")


def check_row(row, families):
    name = row.get("aliases", ["?"])[0]
    want(REQUIRED <= row.keys(), name, f"lacks {', '.join(sorted(REQUIRED - row.keys()))}")
    want(row.keys() <= REQUIRED | OPTIONAL, name, f"unknown keys {', '.join(sorted(row.keys() - REQUIRED - OPTIONAL))}")
    for key, values in CHOICES.items():
        want(row.get(key, next(iter(values))) in values, name, f"{key}: found {row.get(key)!r}, expected one of {', '.join(sorted(values))}")
    for repo in row["repos"] + [row.get("nearest", "a/b")] + [v["repo"] for v in row.get("variants", [])]:
        want(REPO.fullmatch(repo), name, f"{repo!r} is not ORG/NAME")
    want(row["family"] in families, name, f"family {row['family']!r} is not listed")
    want(row["licence"].strip(), name, "licence is empty")
    want(row.get("max_tokens", 0) > 0 or "nearest" in row, name, "max_tokens is missing")
    quants = [v["quant"] for v in row.get("variants", [])]
    want(set(quants) <= QUANTS and len(set(quants)) == len(quants), name, f"quantised forms {quants}: expected each once, of {', '.join(sorted(QUANTS))}")
    want(all("file" in v for v in row.get("variants", []) if v["quant"] == "gguf"), name, "a gguf form names no file")
    want(("rerank" in row) == (row["task"] == "rerank"), name, "rerank belongs to every reranker and to nothing else")
    want(("listwise" in row) == (row.get("rerank") == "listwise"), name, "listwise belongs to every listwise reranker and to nothing else")
    if row["task"] == "embed":
        want({"dim", "pooling"} <= row.keys(), name, "an embedder needs dim and pooling")
        dims = row.get("dims", [row["dim"]])
        want(dims == sorted(dims) and dims[-1] == row["dim"], name, f"dims {dims}: expected ascending, {row['dim']} last")
        want(("{task}" in row.get("query", "")) == ("instruction" in row), name, "{task} in a prompt and an instruction belong together")
    else:
        want(not row.keys() & EMBED_ONLY, name, f"{', '.join(sorted(row.keys() & EMBED_ONLY))}: for embedders only")


def check_data(data):
    families = {f["name"] for f in data["families"]}
    for row in data["models"]:
        check_row(row, families)
    for key, names in (("alias", [a for r in data["models"] for a in r["aliases"]]), ("repository", [p for r in data["models"] for p in r["repos"]]), ("family", [f["name"] for f in data["families"]])):
        lower = [n.lower() for n in names]
        for n in sorted({n for n in lower if lower.count(n) > 1}):
            want(False, n, f"{key} stands twice")
    for f in data["families"]:
        want(f["name"] in {r["family"] for r in data["models"]}, f["name"], "family without a model")
        want(("golden" in f) == ("made_with" in f), f["name"], "golden and made_with belong together")
        want(("golden" in f) != ("missing" in f), f["name"], "either a golden or the reason why it is missing")
        want("golden" not in f or os.path.isdir(os.path.join(ROOT, "tests/golden", f["golden"])), f["name"], f"tests/golden/{f.get('golden')}: no such folder")


def expand(text):
    """a{b,c}d -> abd, acd"""
    m = re.search(r"\{([^{}]*)\}", text)
    return [text] if not m else [x for part in m.group(1).split(",") for x in expand(text[: m.start()] + part + text[m.end() :])]


def spellings(cell):
    """The names of a cell like `e5-small / e5-base`, `x-{a,b}`, `x-0.6b / 4b / 8b` or `name = other`."""
    cell = re.sub(r"\*|✔|\([^)]*\)", "", cell).strip()
    parts = [p.strip() for p in re.split(r"\s+[/=]\s+", cell)]
    found = expand(parts[0])
    for p in parts[1:]:
        first = found[0]
        if p.startswith("-"):  # ms-marco-MiniLM-L-6-v2 / -L-12-v2
            p = first[: first.rindex(p[: p.index("-", 1)])] + p
        elif re.fullmatch(r"[0-9.]+b", p):
            p = first[: first.rindex("-") + 1] + p
        found += expand(p)
    return found


def repos_of(cell):
    cell = re.sub(r"\*|✔", "", re.sub(r"\([^)]*\)", "", cell)).strip()
    return [r for word in re.split(r"\s*[ ,](?![^{]*\})\s*|\s+/\s+", cell) if "/" in word for r in expand(word)]


def table(path):
    """(aliases, repositories, the row's text) of each row of sections 2.1 to 2.4; what is "same" there is said by the row above."""
    section, text = None, ""
    for line in open(path, encoding="utf-8"):
        if line.startswith("### "):
            section = line.split()[1]
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if section in {"2.1", "2.2", "2.3", "2.4"} and line.startswith("|") and len(cells) >= 5 and cells[0] != "alias" and not cells[0].startswith("---"):
            text = line.replace("\\|", "|") + (text if "same" in cells[3:] + cells[-1:] else "")
            yield spellings(cells[0]), repos_of(cells[1]), text


def check_table(data, path):
    by_alias = {a.lower(): r for r in data["models"] for a in r["aliases"]}
    seen = set()
    for aliases, repos, text in table(path):
        for i, alias in enumerate(aliases):
            row = by_alias.get(alias.lower())
            want(row, alias, "in the table, not in the data")
            if not row:
                continue
            seen.add(alias.lower())
            want({r.lower() for r in row["repos"]} & {r.lower() for r in repos}, alias, f"repository: found {row['repos']}, the table has {repos}")
            if len(repos) == len(aliases):
                want(repos[i].lower() in [r.lower() for r in row["repos"]], alias, f"repository: found {row['repos']}, expected {repos[i]}")
            for key in ("dim", "max_tokens"):
                want(key not in row or row["task"] == "generate" or str(row[key]) in text, alias, f"{key}: {row.get(key)} is not in the table's row")
            want("not in the public" not in text or "nearest" in row, alias, "the table says that it is not public")
            want("gated (" not in text or row.get("gated"), alias, "the table says that it is gated")
            for key in ("query", "document"):
                prompt = row.get(key, "").replace("\n", "\\n")
                stem = prompt.split("{task}")[0].strip()
                want(not stem or stem in text, alias, f"{key}: {prompt!r} is not in the table's row")
    for alias in sorted(by_alias.keys() - seen):
        want(False, alias, "in the data, not in the table")
    return len(seen)


def main():
    data = json.load(open(os.path.join(ROOT, "data/models.json"), encoding="utf-8"))
    check_data(data)
    checked = check_table(data, sys.argv[1]) if len(sys.argv) > 1 else 0
    for f in faults:
        print(f)
    n = len(list(itertools.chain.from_iterable(r["aliases"] for r in data["models"])))
    print(f"{len(data['models'])} models, {n} aliases, {len(data['families'])} families" + (f", {checked} aliases held against the table" if checked else "") + f": {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
