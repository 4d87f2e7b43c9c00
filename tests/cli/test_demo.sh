#!/bin/bash
# test_demo.sh - the example program: with the real models, without a generator, and what it refuses. $1: gllm, beside it gllm-demo.
demo=$(dirname "$1")/gllm-demo
passages=examples/passages.tsv
encoder=tests/golden/models/bert-mean
decoder=tests/golden/decoders/llama
models=${GLLM_HOME:-$HOME/.gllm}/models
minilm=$models/sentence-transformers--all-MiniLM-L6-v2
smollm2=$models/HuggingFaceTB--SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf
[ -x "$demo" ] || { echo "skipped: gllm-demo was not built (GLLM_EXAMPLES=OFF)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
run() { # run STATUS ARGUMENT…: keeps stdout and stderr
    local expected=$1 got
    shift
    "$demo" "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ $got = "$expected" ] || { echo "FAILED: exit $got, expected $expected: gllm-demo $*"; cat "$work/err"; failed=1; }
}
count() { # count N PATTERN: so many lines of the output match
    local found
    found=$(grep -c -- "$2" "$work/out")
    [ "$found" = "$1" ] || { echo "FAILED: $found lines match \"$2\", expected $1, in:"; cat "$work/out"; failed=1; }
}
refuses() { # refuses TEXT ARGUMENT…: exit 1, nothing on stdout, one line on stderr with TEXT
    local text=$1
    shift
    run 1 "$@"
    { [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "$text" "$work/err"; } ||
        { echo "FAILED: gllm-demo $*: expected one line with \"$text\", found:"; cat "$work/out" "$work/err"; failed=1; }
}

printf 'no tabs here\none\ttab\n' >"$work/untabbed.tsv"
printf 'a\tb\tfine\na\tb\tbroken \xff\n' >"$work/latin.tsv"
run 2 "$encoder"
refuses "/nonexistent.tsv: No such file" $encoder /nonexistent.tsv
refuses "examples: Is a directory" $encoder examples
refuses "untabbed.tsv: found no line with title, source and text" $encoder "$work/untabbed.tsv"
refuses "not UTF-8" $encoder "$work/latin.tsv"
refuses "/nonexistent/model" /nonexistent/model $passages
refuses "found a model to embed, expected one to generate" $encoder $passages $encoder
refuses "found a model to generate, expected one to embed" $decoder $passages
run 0 $encoder $passages; count 1 "no generator was named"; count 15 '^  \[[123]\] '; count 0 '→'
run 0 $encoder $passages nonesuch/model "One question?"; count 3 '^  \[[123]\] '; count 1 "^One question?"
count 1 "No answers, passages alone: nonesuch/model: no such model"
[ $failed = 0 ] || exit 1

[ -f "$minilm/model.safetensors" ] && [ -f "$smollm2" ] ||
    { echo "skipped the answers: no real MiniLM and SmolLM2; scripts/models minilm smollm2 fetches them"; exit 77; }
run 0 "$minilm" $passages "$smollm2"
count 5 '^[A-Z].*?$'; count 5 '^  → [A-Z]'; count 5 '^    [✓✗]'; count 0 $'\033'
count 1 '✓ rests on \[1\] Medicine, similarity 0\.[6-9]'
count 1 '✗ not supported by the passages: nearest \[1\], similarity'
count 5 '^  judged by a model not trained to rerank  \[[123]\] 0\.[0-9]*  \[[123]\] '; count 1 '^  judge  *[0-9.]* ms  a question'
count 1 'to the first token, then [0-9]* tokens/s'
exit $failed
