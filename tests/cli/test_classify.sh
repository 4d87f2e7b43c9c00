#!/bin/bash
# test_classify.sh - gllm classify: values, order, forms, limits, errors. $1: the program.
gllm=$1
model=tests/golden/classifiers/bert-many
. tests/cli/lib.sh
is() { [ "$(cat "$work/out")" = "$1" ]; }

# The values are the reference's to 1e-6: tests/golden/classifiers/bert-many/expected.json, "sea" with the pair "" and "the whale" with its own.
status 0 "$gllm" classify $model sea --pair ""
ok "probabilities, sorted" is "$(printf '0\t0.808444\tjoy\n0\t0.351739\tfear\n0\t0.258419\tanger\n0\t0.132521\tcalm')"
status 0 "$gllm" classify $model sea --pair "" --top-n 2; ok "--top-n" is "$(printf '0\t0.808444\tjoy\n0\t0.351739\tfear')"
status 0 "$gllm" classify $model sea --pair "" --raw-scores --top-n 2; ok "logits" grep -q '^0	1\.43993[0-9]	joy$' "$work/out"
status 0 "$gllm" classify $model "the whale" --pair "It was the best of times"; ok "another pair" grep -q '^0	0\.732579	joy$' "$work/out"
status 0 "$gllm" classify $model sea "call me"; cp "$work/out" "$work/two"
ok "two texts" [ "$(cut -f1 "$work/out" | tr -d '\n')" = 00001111 ]
ok "without a pair others" [ "$(head -1 "$work/out")" != "$(printf '0\t0.808444\tjoy')" ]
printf 'sea\ncall me\n' | "$gllm" classify $model >"$work/out" 2>"$work/err"; ok "standard input gives the same" cmp -s "$work/out" "$work/two"
status 0 "$gllm" classify $model sea --pair "" --json
ok "body of /predict for one text" grep -Eq '^\[\{"score":0\.80844[0-9]*,"label":"joy"\},\{"score":0\.3517[0-9]*,"label":"fear"\},\{"score":0\.2584[0-9]*,"label":"anger"\},\{"score":0\.1325[0-9]*,"label":"calm"\}\]$' "$work/out"
status 0 "$gllm" classify $model sea sea --pair "" --json --top-n 1
ok "body of /predict for several" grep -Eq '^\[\[\{"score":0\.80844[0-9]*,"label":"joy"\}\],\[\{"score":0\.80844[0-9]*,"label":"joy"\}\]\]$' "$work/out"
echo sea | "$gllm" classify $model --json --top-n 1 >"$work/out" 2>"$work/err"; ok "standard input is a list" grep -Eq '^\[\[\{"score":[0-9.]*,"label":"joy"\}\]\]$' "$work/out"
printf 'sea\nsea\n' | "$gllm" classify $model - --json --top-n 1 >"$work/out" 2>"$work/err"; ok "so is -" grep -Eq '^\[\[\{"score":[0-9.]*,"label":"joy"\}\],\[\{"score":[0-9.]*,"label":"joy"\}\]\]$' "$work/out"
status 0 "$gllm" classify tests/golden/classifiers/distilbert-three sea; ok "other labels" grep -q neutral "$work/out"
ok "softmax sums to 1" awk '{ s += $2 } END { exit !(s > 0.99999 && s < 1.00001) }' "$work/out"
status 0 "$gllm" classify tests/golden/classifiers/bert sea; ok "a model of one label" grep -q '^0	0\.[0-9]*	LABEL_0$' "$work/out"
long=$(printf 'whale %.0s' {1..100})
status 0 "$gllm" classify $model "$long"; ok "truncation is told" says "1 of 1 texts cut"
status 1 "$gllm" classify $model sea "$long" --truncate none; ok "truncate none names the text" says "input 1"
"$gllm" classify $model </dev/null >"$work/out" 2>"$work/err"; ok "no text" says "no text to classify"
status 1 "$gllm" classify tests/golden/models/bert-mean sea; ok "an embedder says what it is" says "is an embedder"
status 2 "$gllm" classify; ok "a model is needed" says "expected gllm classify"
exit $failed
