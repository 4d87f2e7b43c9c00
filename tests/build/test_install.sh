#!/bin/bash
# Installs into a temporary prefix and builds examples/embed.c against it as a stranger would: with pkg-config, shared and
# static, and with find_package(gllm). usage: test_install.sh SOURCE_DIR BUILD_DIR CC
set -euo pipefail
source=$1 build=$2 cc=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*" >&2; exit 1; }

DESTDIR="$dir/stage" cmake --install "$build" --prefix /opt/gllm >/dev/null
mv "$dir/stage/opt/gllm" "$dir/prefix" # a package that was moved still has to work
prefix=$dir/prefix
"$prefix/bin/gllm" --version >/dev/null || fail "the installed program does not run"
libdir=$(dirname "$(find "$prefix" -name libgllm.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
[ "$(pkg-config --modversion gllm)" = "$(awk '/GLLM_VERSION_(MAJOR|MINOR|PATCH) /{v = v s $3; s = "."} END {print v}' "$prefix/include/gllm.h")" ] ||
    fail "gllm.pc has version $(pkg-config --modversion gllm), gllm.h another"

# shellcheck disable=SC2046  # pkg-config's answer is a list of words
$cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$source/examples/embed.c" $(pkg-config --cflags --libs gllm) -Wl,-rpath,"$libdir" -o "$dir/shared"
# shellcheck disable=SC2046
$cc -std=c11 "$source/examples/embed.c" $(pkg-config --cflags gllm) "$libdir/libgllm.a" $(pkg-config --libs-only-l --static gllm | sed 's/-lgllm//') -o "$dir/static"
cmake -S "$source/examples/consumer" -B "$dir/consumer" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" >"$dir/log" ||
    { cat "$dir/log"; fail "find_package(gllm) failed"; }
cmake --build "$dir/consumer" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "the CMake consumer does not build"; }
if command -v c++ >/dev/null; then
    echo '#include <gllm.h>' | c++ -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only -x c++ - || fail "gllm.h is not valid C++"
fi

model=$source/tests/golden/models/bert-mean
for program in "$dir/shared" "$dir/static" "$dir/consumer/embed" "$dir/consumer/embed_static"; do
    [ -x "$program" ] || fail "$program was not built"
    answer=$("$program" "$model" "the same text" "the same text") || fail "$program failed"
    [ "$answer" = 1.0000 ] || fail "$program: cosine of a text with itself is $answer, expected 1.0000"
    if "$program" "$dir/nowhere" a b 2>"$dir/log"; then fail "$program opened a model that is not there"; fi
    grep -q nowhere "$dir/log" || fail "$program does not name the model that is not there: $(cat "$dir/log")"
done
echo "pkg-config shared and static, CMake shared and static: built and ran"
