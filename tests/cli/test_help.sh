#!/bin/bash
# test_help.sh - what is made from the option table: help, man page, completions; and doctor --parity. $1: the program.
gllm=$1
model=tests/golden/models/bert-mean
. tests/cli/lib.sh

"$gllm" man >"$work/man" || fail "gllm man"
for shell in bash zsh fish; do "$gllm" completion $shell >"$work/$shell" || fail "gllm completion $shell"; done
bash -n "$work/bash" || fail "the bash completion does not parse"
command -v zsh >/dev/null && { zsh -n "$work/zsh" || fail "the zsh completion does not parse"; }
command -v fish >/dev/null && { fish -n "$work/fish" || fail "the fish completion does not parse"; }
options=0
for verb in $("$gllm" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    "$gllm" $verb --help >"$work/help" 2>/dev/null || continue
    grep -q "\b$verb\b" "$work/man" || fail "the man page lacks $verb"
    for option in $(grep -o -- '--[a-z][a-z-]*' "$work/help" | sort -u); do
        options=$((options + 1))
        sed 's/\\-/-/g' "$work/man" | grep -q -- "$option" || fail "the man page lacks $option"
        for shell in bash zsh fish; do grep -q -- "${option#--}" "$work/$shell" || fail "the $shell completion lacks $option of $verb"; done
    done
done
[ $options -gt 40 ] || fail "only $options options were found in the help texts"
"$gllm" completion tcsh >/dev/null 2>"$work/err"; [ $? = 2 ] || fail "completion of an unknown shell: expected exit 2"
"$gllm" doctor --parity $model >"$work/out" 2>"$work/err" || { fail "doctor --parity"; cat "$work/err"; }
grep -q "within the bound" "$work/out" || fail "doctor --parity does not say that all is well"
COLUMNS=40 "$gllm" embed --help >/dev/null || fail "help at 40 columns"
[ $failed = 0 ] && echo "help, man page and completions agree ($options options)"
exit $failed
