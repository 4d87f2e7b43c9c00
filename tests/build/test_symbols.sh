#!/bin/bash
# What the built files offer and need. usage: test_symbols.sh PROGRAM libgllm.so gllm.h
set -euo pipefail
program=$1 library=$2 header=$3
fail() { echo "$*" >&2; exit 1; }

exported=$(nm -D --defined-only "$library" | awk '{print $3}' | sort)
foreign=$(grep -v '^gllm_' <<<"$exported" || true)
[ -z "$foreign" ] || fail "$library exports what is not gllm_*:" $foreign

declared=$(grep '^GLLM_API' "$header" | grep -o 'gllm_[a-z0-9_]* *(' | tr -d ' (' | sort -u)
lacking=$(comm -23 <(echo "$declared") <(echo "$exported"))
[ -z "$lacking" ] || fail "declared in gllm.h, absent from $library:" $lacking
secret=$(comm -13 <(echo "$declared") <(echo "$exported"))
[ -z "$secret" ] || fail "exported by $library, not declared in gllm.h:" $secret

readelf -d "$library" | grep -q 'SONAME.*\[libgllm\.so\.[0-9]*\]' || fail "$library has no SONAME libgllm.so.N"
needed() { readelf -d "$1" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'; }
more=$(needed "$program" | grep -v -E '^(libc|libm|libpthread|libdl|ld-linux[a-z0-9_-]*)\.so\.[0-9]+$' || true)
[ -z "$more" ] || fail "$program needs more than libc, libm and the loader:" $more
stack=$(readelf -lW "$program" | awk '$1 == "GNU_STACK" {print $7}')
[ "$stack" = RW ] || fail "$program: stack is $stack, expected RW"
echo "$(wc -l <<<"$exported") symbols, all gllm_*; the program needs" $(needed "$program")
