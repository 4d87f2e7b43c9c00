#!/bin/bash
# test_rerank.sh - gllm rerank: order, forms, limits, errors. $1: the program.
gllm=$1
model=tests/golden/classifiers/bert
. tests/cli/lib.sh

status 0 "$gllm" rerank $model "the whale" "the sea" "a rose" "call me"
cp "$work/out" "$work/three"
ok "three lines, sorted" [ "$(cut -f1 "$work/out")" = "$(cut -f1 "$work/out" | sort -rn)" ]
ok "index and text belong together" [ "$(sort -k2,2n "$work/out" | cut -f2,3)" = "$(printf '0\tthe sea\n1\ta rose\n2\tcall me')" ]
printf 'the sea\na rose\ncall me\n' | "$gllm" rerank $model "the whale" >"$work/out" 2>"$work/err"; ok "standard input gives the same" cmp -s "$work/out" "$work/three"
status 0 "$gllm" rerank $model "the whale" "the sea" "a rose" "call me" --top-n 1; ok "--top-n" [ "$(cat "$work/out")" = "$(head -1 "$work/three")" ]
# 0.741881728 is the reference's score of this pair, and 1.05577 its logit (tests/golden/classifiers/bert/expected.json)
status 0 "$gllm" rerank $model "the whale" "It was the best of times"; ok "probability" grep -q '^0\.741882	0	It was' "$work/out"
status 0 "$gllm" rerank $model "the whale" "It was the best of times" --raw-scores; ok "logit" grep -q '^1\.055772	0	It was' "$work/out"
status 0 "$gllm" rerank $model "the whale" "It was the best of times" --json
ok "body of /v1/rerank" grep -Eq '^\{"model":"[^"]*","object":"list","usage":\{"prompt_tokens":12,"total_tokens":12\},"results":\[\{"index":0,"relevance_score":0\.74188[0-9]*,"document":\{"text":"It was the best of times"\}\}\]\}$' "$work/out"
long=$(printf 'whale %.0s' {1..100})
status 0 "$gllm" rerank $model "the sea" "$long"; ok "truncation is told" says "1 documents were cut"
status 0 "$gllm" rerank $model "$long" "the sea"; ok "a query that is cut is told" says "the query alone"
status 1 "$gllm" rerank $model "the sea" "$long" --truncate none; ok "truncate none names the document" says "document 0 has"
"$gllm" rerank $model q </dev/null >"$work/out" 2>"$work/err"; ok "no document" says "no document to rank"
status 1 "$gllm" rerank tests/golden/models/bert-mean q d; ok "an embedder says what it is" says "is an embedder"
status 1 "$gllm" rerank tests/golden/classifiers/bert-many q d; ok "several labels" says "4 labels"
status 1 "$gllm" embed $model a; ok "a reranker does not embed" says "is a reranker"
# A causal reranker, and a chat model that judges: -3.00129 is the reference's score (tests/golden/rerankers/plain/expected.json)
causal=tests/golden/rerankers
citrus="Citrus fruit cured the sailors of scurvy."
for form in roles rank.gguf plain; do
    judge=$([ $form = plain ] && echo --as-judge)
    status 0 "$gllm" rerank $causal/$form "what cured scurvy?" "$citrus" --exact --raw-scores $judge; ok "$form gives the reference's score" grep -q '^-3\.0012[0-9]*	0	Citrus' "$work/out"
    told=$(grep -c "judges: its files do not say" "$work/err"); ok "$form: a judge is told" [ "$told" = "${judge:+1}" -o "$told$judge" = 0 ]
done
status 0 "$gllm" rerank $causal/plain q "$citrus" --as-judge --json; ok "a judge in JSON" grep -q '"untrained":true}$' "$work/out"
status 0 "$gllm" rerank $causal/roles q "$citrus" --json; ok "a reranker in JSON" grep -q ']}$' "$work/out"
status 0 "$gllm" rerank $causal/roles "what cured scurvy?" "$citrus" --exact --raw-scores --instruction "Find it"; ok "--instruction counts" [ "$(grep -c '^-3\.0012' "$work/out")" = 0 ]
status 1 "$gllm" rerank $causal/plain q d; ok "a generator says how it can judge" says "it can be asked to judge"
status 1 "$gllm" rerank $model q d --instruction x; ok "an encoder reads no instruction" says "instruction: "
status 1 "$gllm" run $causal/roles hello; ok "a reranker does not generate" says "is a reranker"
status 1 "$gllm" embed $causal/roles hello; ok "nor embed" says "is a reranker"
"$gllm" info $causal/roles >"$work/out" 2>"$work/err"; ok "info names the task" grep -q rerank "$work/out"
status 2 "$gllm" rerank $model; ok "a query is needed" says "expected gllm rerank"
exit $failed
