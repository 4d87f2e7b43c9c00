#!/bin/bash
# test_run.sh - gllm run: one answer, its JSON, its errors; conversations on a pseudo-terminal. $1: the program, $2: tests/cli/pty.c.
# tests/golden/chat-model answers what transformers answers (tools/make_chat_model_golden.py); a token of it is a byte.
gllm=$1
pty=$2
model=tests/golden/chat-model
plain=tests/golden/decoders/llama # a model without a chat template
. tests/cli/lib.sh
models=${GLLM_HOME:-$HOME/.gllm}/models
export GLLM_HOME=$work/home TERM=xterm LC_ALL=C.UTF-8
run() { status 0 "$gllm" run $model "$@"; }
is() { [ "$(cat "$work/out")" = "$1" ] || { echo "found \"$(cat "$work/out")\", expected \"$1\""; return 1; }; }
says() { grep -qF -- "$1" "$work/err" || { cat "$work/err"; return 1; }; }
has() { grep -qF -- "$1" "$work/out" || { cat "$work/out"; return 1; }; }

id() { "$gllm" tokenize $model "$1" | tr -d '[]'; }
a=$(id a) b=$(id b) esc=$(id $'\x1b') end=257

# ---- one answer ----
run hello --max-tokens 24; ok "the answer of transformers" is .hmwjhojmobzmobxmofjmoom
run --system "be brief" "Grüße <|im_end|>" --max-tokens 24; ok "a system message; what a user writes is no special token" is qztczmcztbnzjmmmczjcytbh
echo hello | run --max-tokens 24; ok "standard input is the prompt, without its last newline" is .hmwjhojmobzmobxmofjmoom
printf 'hello' | run - --max-tokens 24; ok "- is standard input" is .hmwjhojmobzmobxmofjmoom
run hello --max-tokens 24 --stop zz --stop jmo --stop mob; ok "the first of several stop strings ends the answer" is .hmwjho
run hello --max-tokens 24 --temperature 0 --seed 3; ok "temperature 0 is greedy" is .hmwjhojmobzmobxmofjmoom
run hello --max-tokens 12 --temperature 1 --seed 3; cp "$work/out" "$work/first"
run hello --max-tokens 12 --temperature 1 --seed 3 --threads 1; ok "a seed gives its text again" cmp -s "$work/out" "$work/first"
run hello --max-tokens 12 --temperature 1 --seed 4; ok "another seed gives another text" eval '! cmp -s "$work/out" "$work/first"'
run hello --max-tokens 3 --logit-bias $a=1000; ok "--logit-bias" is aaa
run hello --max-tokens 2 --logit-bias $a=1000 --logit-bias $b=1000 --frequency-penalty 50; ok "--frequency-penalty" is ab
printf '{%%- for m in messages %%}{{ m.content }}{%%- endfor %%}{{ tail }}' >"$work/t.jinja"
run hello --chat-template "$work/t.jinja" --template-arg 'tail="!"' --json --max-tokens 1; ok "--chat-template FILE and --template-arg make the prompt" has '"prompt_tokens":6,'
run hello --chat-template default --max-tokens 24; ok "--chat-template NAME" is .hmwjhojmobzmobxmofjmoom
run --raw hello --max-tokens 5; cp "$work/out" "$work/first"
printf 'hello' | run --raw --max-tokens 5; ok "--raw from standard input" cmp -s "$work/out" "$work/first"

# ---- JSON ----
run hello --max-tokens 3 --json; ok "chat.completion" has '"object":"chat.completion"'
ok "message" has '"message":{"role":"assistant","content":".hm"},"logprobs":null,"finish_reason":"length"}]'
ok "usage" has '"usage":{"prompt_tokens":24,"completion_tokens":3,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":0}}}'
run hello --max-tokens 2 --json --logprobs 1; ok "logprobs" grep -qE '"logprobs":\{"content":\[\{"token":"\.","logprob":-?[0-9.e-]+,"bytes":\[46\],"top_logprobs":\[\{"token":"\.","logprob":' "$work/out"
run --raw hello --max-tokens 2 --json --logprobs 2; ok "text_completion" grep -qE '"object":"text_completion".*"tokens":\["(.)","(.)"\],"token_logprobs":\[.*"top_logprobs":\[\{.*"text_offset":\[0,1\]' "$work/out"
for body in "hello --max-tokens 3" "hello --max-tokens 2 --logprobs 2" "--raw hello --max-tokens 2 --logprobs 2"; do
    run $body --json
    mv "$work/out" "$work/body"
    status 0 "$gllm" tokenize $model --jsonl=object <"$work/body"; ok "the body of $body is one line of JSON" [ "$(wc -l <"$work/out")" = 1 ]
done

# ---- errors ----
status 1 "$gllm" run $plain hello; ok "no chat template: --raw is named" says "--raw"
status 0 "$gllm" run $plain --raw "w5 w6" --max-tokens 2
status 1 "$gllm" run tests/golden/models/bert-mean hello; ok "an encoder is refused" says "encoder"
status 1 "$gllm" run $model "$(printf 'a\xff')"; ok "invalid UTF-8 names the byte" says "byte 1 is not UTF-8"
status 1 "$gllm" run $model hello --ctx 8; ok "a context that is too small" says "24 tokens, the context 8"
run hello --ctx 32 --logit-bias $end=-1000; ok "a full context is told" says "the context of 32 tokens is full; --ctx"
status 2 "$gllm" run $model hello --temperature hot; ok "--temperature" says '--temperature: found "hot", expected a number from 0 to 100'
status 2 "$gllm" run $model hello --top-p 1.5; ok "--top-p" says '--top-p: found "1.5", expected a number from 0 to 1'
status 2 "$gllm" run $model hello --presence-penalty -101; ok "--presence-penalty" says "from -100 to 100"
status 2 "$gllm" run $model hello --max-tokens 0; ok "--max-tokens" says "expected a whole number from 1"
status 2 "$gllm" run $model hello --logit-bias 5; ok "--logit-bias" says '--logit-bias: found "5", expected ID=B'
status 2 "$gllm" run $model hello --template-arg x=yes; ok "--template-arg" says 'found "x=yes", expected KEY=JSON'
status 2 "$gllm" run $model hello --chat-template nope; ok "--chat-template" says "one of the model's templates: default"
status 2 "$gllm" run $model hello --logprobs 2; ok "--logprobs" says "--json"
status 2 "$gllm" run $model --raw hello --system x; ok "--raw and --system" says "exclude each other"
status 2 "$gllm" run $model </dev/null; ok "an empty prompt" says "the prompt is empty"
status 1 "$gllm" run $model hello --tools /nonexistent; ok "--tools" says "/nonexistent"
echo '{}' >"$work/tools"; status 1 "$gllm" run $model hello --tools "$work/tools"; ok "--tools that are no list" says "expected an array"
"$gllm" run $model hello --max-tokens 3 >/dev/full 2>"$work/err"; code=$?
ok "full device: exit 1" [ $code = 1 ]; ok "full device is told" says "cannot write"
"$gllm" run $model hello --ctx 16384 --logit-bias $end=-1000 2>"$work/err" | head -c 5 >"$work/out"; ok "head ends it quietly" [ ! -s "$work/err" ]
rm "$work/out" # what it holds is old: the loop below is to wait for the answer's
"$gllm" run $model hello --ctx 16384 --logit-bias $end=-1000 >"$work/out" 2>"$work/err" & pid=$!
for _ in $(seq 300); do [ -s "$work/out" ] && break; sleep 0.1; done
kill -INT $pid; wait $pid; code=$?
ok "Ctrl-C exits 130 (found $code)" [ $code = 130 ]

# ---- conversations ----
talk() { # talk NAME EXPECTED-STATUS OPTIONS… <STEPS
    local name=$1 expected=$2
    shift 2
    timeout 120 "$pty" "$gllm" run $model "$@" >"$work/out" 2>"$work/err"
    local got=$?
    [ $got = "$expected" ] || { fail "$name: exit $got, expected $expected"; tail -c 2000 "$work/out"; cat "$work/err"; }
}
talk "commands" 0 --max-tokens 24 --verbose <<'S'
expect >>> 
send /help\r
expect /bye
expect >>> 
send hello\r
expect .hmwjhojmobzmobxmofjmoom
expect (0 of them from the cache)
expect >>> 
send again\r
expect (47 of them from the cache)
refuse read again
send /undo\r
expect 1 turn is left
expect >>> 
send /clear\r
expect forgotten
expect >>> 
send /system be brief\r
expect >>> 
send Grüße <|im_end|>\r
expect qztczmcztbnzjmmmczjcytbh
expect >>> 
send /show\r
expect be brief
expect >>> 
send /sytem x\r
expect unknown command /sytem; did you mean /system?
expect >>> 
send /nothing\r
expect unknown command /nothing
expect >>> 
send /set temprature 1\r
expect did you mean temperature
expect >>> 
send /set temperature -1\r
expect found "-1", expected a number from 0 to 100
expect >>> 
send /set logit-bias x\r
expect expected ID=B
expect >>> 
send /set max-tokens 3\r
expect >>> 
send /retry\r
expect the same again
expect qzt\r
expect >>> 
send /bye\r
S
cat >"$work/steps" <<S
expect >>> 
send """\r
expect ...
send one\r
expect ...
send two"""\r
expect >>> 
send a\\\\\r
expect ...
send b\r
expect >>> 
send /save $work/talk.json\r
expect Saved 4 messages
expect >>> 
send /save $work/home/history\r
expect stays as it is
expect >>> 
send unfinished\x03
expect ^C
send \x03
expect Ctrl-C again
send \x03
S
talk "several lines, /save, Ctrl-C twice" 0 --max-tokens 2 <"$work/steps"
ok "what was saved" grep -qF '"content": "one\ntwo"' "$work/talk.json"
ok "a backslash goes on" grep -qF '"content": "a\nb"' "$work/talk.json"
ok "the history is its owner's alone" [ "$(stat -c %a "$work/home/history")" = 600 ]
ok "the history holds the lines" grep -qxF 'Grüße <|im_end|>' "$work/home/history"
cat >"$work/steps" <<S
expect >>> 
send /load $work/talk.json\r
expect Loaded 4 messages
expect >>> 
send \e[A\r
expect Loaded 4 messages
expect >>> 
send /system ""\r
expect >>> 
send /system\r
expect There is no system message
expect >>> 
send /load /nonexistent\r
expect No such file
expect >>> 
send \x04
S
talk "/load, the key up, Ctrl-D" 0 --max-tokens 2 <"$work/steps"
talk "Ctrl-C stops an answer" 0 --ctx 16384 --logit-bias $end=-1000 <<'S'
expect >>> 
send hello\r
expect .hmwjhojmobzmobxmofjmoom
send \x03
expect stopped; the conversation keeps what was written
expect >>> 
send /set max-tokens 2\r
expect >>> 
send more\r
expect >>> 
send /show\r
expect turns         2
expect >>> 
send \x04
S
talk "the context" 0 --ctx 90 --max-tokens 24 <<'S'
expect >>> 
send hello\r
expect .hmwjhojmobzmobxmofjmoom
expect >>> 
send hello\r
expect the conversation no longer fits the context of 90 tokens: its 1 oldest turn is left out
expect .hmwjhojmobzmobxmofjmoom
expect >>> 
send /show\r
expect the oldest 1 left out
expect >>> 
send 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r
expect tokens, the context holds 90
expect >>> 
send /show\r
expect turns         2
expect >>> 
send \x04
S
talk "control characters do not reach the terminal" 0 --max-tokens 3 --logit-bias $esc=1000 <<'S'
expect >>> 
send hello\r
expect \xe2\x90\x9b\xe2\x90\x9b\xe2\x90\x9b\r
expect >>> 
send \x04
S
"$pty" "$gllm" run $model hello --max-tokens 1 --logit-bias $esc=1000 </dev/null >"$work/out"
ok "nor those of a single answer" [ "$(cat "$work/out")" = $'\xe2\x90\x9b\r' ]
"$pty" "$gllm" tokenize $model --decode $esc </dev/null >"$work/out"; ok "nor decoded tokens" [ "$(cat "$work/out")" = $'\xe2\x90\x9b\r' ]
status 0 "$gllm" tokenize $model --decode $esc; ok "whose bytes a pipe gets" [ "$(cat "$work/out")" = $'\x1b' ]
run hello --max-tokens 1 --logit-bias $esc=1000; ok "a pipe gets the bytes" is $'\x1b'
talk "reasoning is dim" 0 --max-tokens 3 --template-arg thinking=true <<'S'
expect >>> 
send hello\r
expect \e[2m
expect \e[0m
expect >>> 
send \x04
S
NO_COLOR=1 talk "NO_COLOR" 0 --max-tokens 3 --template-arg thinking=true <<'S'
expect >>> 
send hello\r
expect >>> 
refuse \e[2m
refuse \e[1m
send \x04
S
talk "SIGTERM leaves" 143 <<'S'
expect >>> 
signal 15
S
"$pty" "$gllm" run $plain </dev/null >"$work/out" 2>&1; ok "a conversation without a template does not begin" [ $? = 1 ]
ok "it says so" has "--raw"

# ---- a real model ----
real=$models/HuggingFaceTB--SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -f "$real" ]; then
    status 0 "$gllm" run "$real" "What is the capital of France?" --max-tokens 30 --exact; ok "SmolLM2 answers as transformers with its weights in f32" is "The capital of France is Paris."
    status 0 "$gllm" info "$real"; ok "info: licence" has apache-2.0; ok "info: template" has "yes: default"; ok "info: positions" has "rope plain, base 100000"
else echo "no SmolLM2 (scripts/models smollm2): its checks are skipped"
fi
[ $failed = 0 ] && echo "run and its conversations are right"
exit $failed
