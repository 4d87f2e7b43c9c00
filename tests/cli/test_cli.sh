#!/bin/bash
# test_cli.sh - the command line: usage, input forms, output forms, errors. $1: the program.
gllm=$1
model=tests/golden/models/bert-mean
. tests/cli/lib.sh
lines() { [ "$(wc -l <"$work/out")" = "$1" ]; }

status 2 "$gllm"
status 2 "$gllm" embde; ok "unknown verb is named" says embde
status 1 "$gllm" serve /nonexistent/m; ok "serve: a missing model is named" says "/nonexistent/m"
status 2 "$gllm" embed; ok "missing operand" says "expected gllm embed"
status 2 "$gllm" embed $model hi --dimension 3; ok "near miss" says "did you mean --dimensions"
status 2 "$gllm" embed $model hi --format xml; ok "choices are listed" says npy
status 2 "$gllm" embed $model hi --threads 0
for v in embed similar tokenize info bench doctor; do
    status 0 "$gllm" $v --help
    ok "$v --help fits 24 lines" [ "$(wc -l <"$work/out")" -le 24 ]
done

status 0 "$gllm" embed $model "the whale" "the sea"; ok "two vectors" lines 2
status 0 "$gllm" embed $model "the whale" --dimensions 3; ok "three values" [ "$(wc -w <"$work/out")" = 3 ]
printf 'one\r\ntwo\n\nthree' | "$gllm" embed $model >"$work/out" 2>"$work/err"; ok "lines: CRLF, an empty one, no last newline" lines 4
printf 'a\0\0b' | "$gllm" embed $model -0 >"$work/out"; ok "-0: three texts" lines 3
printf 'a\0b\0' | "$gllm" embed $model -0 >"$work/out"; ok "-0: a final NUL adds none" lines 2
printf '{"text":"a"}\n"b"\n' | "$gllm" embed $model --jsonl >"$work/out"; ok "--jsonl" lines 2
printf '{"body":"a"}\n' | "$gllm" embed $model --jsonl=body >"$work/out"; ok "--jsonl=FIELD" lines 1
printf '{"nope":1}\n' | "$gllm" embed $model --jsonl >"$work/out" 2>"$work/err" && failed=1; ok "--jsonl names the line" says "line 1"
printf 'fine\n\xff\n' | "$gllm" embed $model >"$work/out" 2>"$work/err" && failed=1; ok "invalid UTF-8 is told" says "not UTF-8"

status 0 "$gllm" embed $model a b --format f32 --out "$work/v.f32"; ok "f32 size" [ "$(stat -c %s "$work/v.f32")" = 256 ]
status 0 "$gllm" embed $model a b --format npy --out "$work/v.npy"; ok "npy is 128 bytes and the same values" cmp -s <(tail -c +129 "$work/v.npy") "$work/v.f32"
ok "npy header" grep -qa "'shape': (2, 32)" "$work/v.npy"
status 0 "$gllm" embed $model a b --json; ok "OpenAI body" grep -q '"object":"list".*"usage"' "$work/out"
status 1 "$gllm" embed $model a --out /nonexistent/x
status 1 "$gllm" embed /nonexistent/model a; ok "missing model is named" says "/nonexistent/model"
status 0 "$gllm" info tests/golden/decoders/gguf-gemma3; ok "a folder of one GGUF file" grep -q gemma3 "$work/out"
status 0 "$gllm" info tests/golden/decoders/glm:FUSED; ok "NAME:FILE chooses one" grep -q fused.gguf "$work/out"
cp tests/golden/decoders/glm/*.gguf "$work"
status 1 "$gllm" info "$work"; ok "several are listed" says "found 2 GGUF files, expected one or a choice as in NAME:FILE or NAME:Q4_K_M: fused.gguf, model.gguf"
status 1 "$gllm" embed $model a --prompt-name nope; ok "unknown prompt" says nope
status 1 "$gllm" embed $model a --dimensions 999; ok "dimensions" says 999
status 1 "$gllm" embed $model a --precision int8; ok "precision refused" says int8
status 1 "$gllm" embed $model a --backend cuda; ok "absent backend refused" says cuda
"$gllm" embed $model a >/dev/full 2>"$work/err"; code=$?
ok "full device: exit 1" [ $code = 1 ]; ok "full device is told" says "cannot write"
long=$(printf 'whale %.0s' {1..100})
status 0 "$gllm" embed $model "$long"; ok "truncation is told" says "cut to"
status 1 "$gllm" embed $model "$long" --truncate none; ok "truncate none" says "tokens, expected at most"
status 0 "$gllm" similar $model a a b; ok "similar" grep -q '^1.000000' "$work/out"
late=tests/golden/outputs/colbert-filled
status 0 "$gllm" rerank $late "the sea" "the whale" times --raw-scores; cut -f1 "$work/out" | sort >"$work/reranked"
status 0 "$gllm" similar $late "the sea" "the whale" times; ok "similar: late interaction scores as rerank does" cmp -s "$work/reranked" <(cut -f1 "$work/out" | sort)
status 0 "$gllm" similar tests/golden/outputs/splade-bert "the whale" "the whale" --exact; ok "similar: the products of sparse vectors (the reference's weights, squared and summed)" grep -q '^82.7145' "$work/out"
status 0 "$gllm" tokenize $model "the whale"; ok "ids" grep -q '^\[2,.*,3\]$' "$work/out"
generator=tests/golden/decoders/llama
echo 'root ::= "w5 w7" " w9"?' >"$work/grammar"
status 0 "$gllm" run $generator "w1 w2" --raw --grammar "$work/grammar"; ok "--grammar" grep -Eq '^w5 w7( w9)?$' "$work/out"
echo '{"enum": [1], "not": {}}' >"$work/schema"
status 1 "$gllm" run $generator w1 --raw --json-schema "$work/schema"; ok "--json-schema FILE: the pointer is told" says "#/not"
status 1 "$gllm" run $generator w1 --raw --json-schema '{"type": "strin"}'; ok "--json-schema {…}" says "#/type: found \"strin\""
echo 'root ::= "a' >"$work/grammar"
status 1 "$gllm" run $generator w1 --raw --grammar "$work/grammar"; ok "line and column" says "grammar 2:1"
status 1 "$gllm" run $generator w1 --raw --grammar /nonexistent/g; ok "missing grammar is named" says "/nonexistent/g"
status 2 "$gllm" run $generator w1 --raw --grammar "$work/grammar" --json-schema '{}'; ok "one form only" says "exclude each other"
status 0 "$gllm" info $model --json --tensors; ok "info" grep -q '"architecture":"bert"' "$work/out"
status 0 "$gllm" doctor --json
mkfifo "$work/vectors"
yes "the whale and the sea and the stars" | "$gllm" embed $model >"$work/vectors" 2>"$work/err" &
pid=$!
{ read -r; kill -INT $pid; cat >/dev/null; } <"$work/vectors" # once the first vector is there
wait $pid; code=$?
ok "Ctrl-C exits 130 (found $code)" [ $code = 130 ]
[ $failed = 0 ] && echo "all command line checks passed"
exit $failed
