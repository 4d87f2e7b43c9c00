#!/bin/bash
# test_models.sh - gllm models, models by alias, doctor --parity alone. $1: the program.
gllm=$1
. tests/cli/lib.sh
export GLLM_HOME=$work/home HF_HUB_CACHE=$work/cache
mkdir -p "$work/home/models" "$work/cache/models--intfloat--e5-small/snapshots" "$work/home/models/Qwen--Qwen3-8B-AWQ"
ln -s "$PWD/tests/golden/models/bert-mean" "$work/home/models/BAAI--bge-small-en-v1.5"
ln -s "$PWD/tests/golden/models/bert-mean" "$work/home/models/mine"
ln -s "$PWD/tests/golden/models/bert-mean" "$work/cache/models--intfloat--e5-small/snapshots/abc"

"$gllm" models >"$work/out" 2>"$work/err" || fail "models: $(cat "$work/err")"
[ "$(grep -c . "$work/out")" = 72 ] || fail "expected 69 rows of the registry, two others and a heading, found $(grep -c . "$work/out")"
grep -q '^starencoder .* bigcode-openrail-m .* bigcode/starencoder (gated)$' "$work/out" || fail "a gated model"
grep -q '^codexembed-7b .*(not public)$' "$work/out" || fail "a model that is not public"
"$gllm" models --local >"$work/out"
[ "$(awk 'NR > 1 { print $1 }' "$work/out" | tr '\n' ' ')" = "bge-small-en e5-small qwen3-8b:awq mine " ] || fail "--local: $(cat "$work/out")"
grep -q '^bge-small-en .* KiB\|^bge-small-en .* MiB' "$work/out" || fail "the size on disk"
"$gllm" models --local --json >"$work/out"
python3 - "$work/out" "$work" <<'PY' || fail "--json"
import json, os, sys
root = json.load(open(sys.argv[1]))
assert root["object"] == "list"
by_id = {m["id"]: m for m in root["data"]}
assert list(by_id) == ["bge-small-en", "e5-small", "qwen3-8b:awq", "mine"], list(by_id)
bge = by_id["bge-small-en"]
folder = sys.argv[2] + "/home/models/BAAI--bge-small-en-v1.5"
assert bge["path"] == folder and bge["local"] and bge["task"] == "embed" and bge["dimensions"] == 384 and bge["licence"] == "mit"
assert bge["bytes"] == sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(folder + "/") for f in files), bge["bytes"]
assert by_id["e5-small"]["path"] == sys.argv[2] + "/cache/models--intfloat--e5-small/snapshots/abc"
PY
"$gllm" models --json | python3 -c '
import json, sys
by_id = {m["id"]: m for m in json.load(sys.stdin)["data"]}
assert by_id["qwen3-embedding-0.6b"]["trained_dimensions"] == [32, 1024]
assert by_id["qwen3-8b"]["quantised"][1] == {"quant": "gguf", "repo": "Qwen/Qwen3-8B-GGUF", "file": "Q4_K_M"}
assert not by_id["codexembed-7b"]["public"] and by_id["codexembed-7b"]["nearest_public"] == "Salesforce/SFR-Embedding-2_R"
' || fail "--json of all"

"$gllm" embed bge-small-en "the whale" >"$work/alias" 2>"$work/err" || fail "embed by alias: $(cat "$work/err")"
"$gllm" embed tests/golden/models/bert-mean "the whale" >"$work/path"
cmp -s "$work/alias" "$work/path" || fail "the alias gives another vector"
"$gllm" embed e5-small "the whale" 2>&1 | cmp -s - "$work/path" || fail "a model of the Hugging Face cache gives another vector"
"$gllm" embed bge-small-en "the whale" --prompt-name query >"$work/out" 2>"$work/err" || fail "the registry's prompt: $(cat "$work/err")"
cmp -s "$work/out" "$work/path" && fail "the registry's prompt changes nothing"
"$gllm" info bge-small-en | grep -q 'alias  *bge-small-en' || fail "info does not tell the alias"
"$gllm" info bge-large-en >"$work/out" 2>&1 && fail "a model that is not here"
"$gllm" info bge-small-en: >"$work/colon" 2>&1 && fail "nothing after the colon"
grep -q 'bge-small-en:: found nothing after the colon' "$work/colon" || fail "an empty choice: $(cat "$work/colon")"
grep -q "BAAI/bge-large-en-v1.5 in $work/home/models/BAAI--bge-large-en-v1.5 .*licence: mit" "$work/out" || fail "how to get it: $(cat "$work/out")"

"$gllm" doctor --parity >"$work/out" 2>"$work/err" || fail "doctor --parity: $(cat "$work/err")"
grep -A1 '^bert-pair  *bert  *tests/golden/classifiers/bert, values of sentence-transformers' "$work/out" | grep -q 'ms-marco-MiniLM-L-6-v2' || fail "families: $(cat "$work/out")"
"$gllm" doctor --parity --json | python3 -c '
import json, os, sys
families = json.load(sys.stdin)["families"]
assert sum(len(f["aliases"]) for f in families) == 69
assert all(not f["golden"] or os.path.isdir("tests/golden/" + f["golden"]) for f in families)
' 2>"$work/err" || fail "families in JSON: $(cat "$work/err")"
"$gllm" doctor --bound 1 >/dev/null 2>&1; [ $? = 2 ] || fail "--bound without a model"
"$gllm" doctor --parity --bound 1 >/dev/null 2>&1; [ $? = 2 ] || fail "--bound with the list"
exit $failed
