#!/bin/bash
# test_bad_input.sh - hostile and broken files, texts and outputs: exit 1, one line that names the thing, what was found and what was
# expected, and nothing left behind. $1: the program.
gllm=$(realpath "$1")
model=$PWD/tests/golden/models/bert-mean
work=$(mktemp -d)
chmod 755 "$work"
mounted=
finish() {
    [ -z "$mounted" ] || umount "$mounted"
    rm -rf "$work"
}
trap finish EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }
# refused TEXT COMMAND…: exit 1, nothing on standard output, one line "gllm: …TEXT…" on standard error
refused() {
    local says=$1 code
    shift
    timeout 60 "$@" >"$work/out" 2>"$work/err"
    code=$?
    [ $code = 1 ] || fail "exit $code, expected 1: $*"
    [ ! -s "$work/out" ] || fail "something was printed: $*"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "$(wc -l <"$work/err") lines were told, expected one: $*"
    grep -qF -- "$says" "$work/err" || fail "found \"$(cat "$work/err")\", expected \"$says\""
}
copy() { rm -rf "$work/m" && cp -r "$model" "$work/m"; }
embed() { "$gllm" embed "$@"; }
header() { # header JSON [BYTES]: model.safetensors with this header and so much data
    local n=${#1}
    printf "\\x$(printf %02x $((n & 255)))\\x$(printf %02x $((n >> 8)))\0\0\0\0\0\0%s" "$1" >"$work/m/model.safetensors"
    head -c "${2:-0}" /dev/zero >>"$work/m/model.safetensors"
}
of_weights() { refused "$work/m/model.safetensors: $1" "$gllm" embed "$work/m" x; }

# weights: what the format forbids, and what the model does not expect
copy
head -c 1000 "$model/model.safetensors" >"$work/m/model.safetensors"; of_weights "header of 3952 bytes in a file of 1000: the file is cut short"
head -c 5 "$model/model.safetensors" >"$work/m/model.safetensors"; of_weights "5 bytes"
: >"$work/m/model.safetensors"; of_weights "0 bytes"
head -c -100 "$model/model.safetensors" >"$work/m/model.safetensors"; of_weights ""
cat "$model/model.safetensors" /bin/true >"$work/m/model.safetensors"; of_weights "tensors cover 96000 bytes of data, found"
header '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}' 4; of_weights "a: data_offsets: found [0,8], expected a range inside 4 bytes of data"
header '{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}' 4; of_weights "a: data_offsets: expected two whole numbers from 0 to 2^53"
header '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}' 2; of_weights "b: data begins at 1, expected 2 (it overlaps the tensor before it)"
header '{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}' 4; of_weights 'a: dtype: found "F33", which is unknown'
header '{"embeddings.word_embeddings.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}' 8
refused 'embeddings.word_embeddings.weight: shape [1,2], expected [' "$gllm" embed "$work/m" x
header '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' 4; refused 'embeddings.word_embeddings.weight: no such tensor' "$gllm" embed "$work/m" x
rows=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$model/config.json")
header "{\"embeddings.word_embeddings.weight\":{\"dtype\":\"I64\",\"shape\":[$rows,32],\"data_offsets\":[0,$((rows * 256))]}}" $((rows * 256))
refused 'embeddings.word_embeddings.weight: dtype I64, expected a floating-point or quantised type' "$gllm" embed "$work/m" x

# what stands where a file should be
file_is() { copy; rm -rf "${work:?}/m/$1"; eval "$2"; refused "$work/m/$1: $3" "$gllm" embed "$work/m" x; }
for name in model.safetensors config.json tokenizer.json modules.json 1_Pooling/config.json sentence_bert_config.json config_sentence_transformers.json tokenizer_config.json; do
    file_is $name "mkdir $work/m/$name" "is a directory, expected a file"
    file_is $name "mkfifo $work/m/$name" "is not a regular file, expected a file"
    file_is $name "ln -s /dev/zero $work/m/$name" "is not a regular file, expected a file"
done
for name in config.json tokenizer.json modules.json 1_Pooling/config.json sentence_bert_config.json config_sentence_transformers.json tokenizer_config.json; do
    file_is $name ": >$work/m/$name" "is empty, expected JSON"
    file_is $name "head -c 100000 /dev/zero | tr '\\0' '[' >$work/m/$name" "line 1, column 2049: not JSON: maximum parsing depth reached"
    file_is $name "printf '{\"a\":1e999}' >$work/m/$name" "line 1, column 10: not JSON: real number overflow"
    file_is $name "printf '{\"\\377\":1}' >$work/m/$name" "byte 2 is not UTF-8 (0xff)"
done
if [ "$(id -u)" != 0 ]; then
    copy && chmod 0 "$work/m/model.safetensors"; of_weights "Permission denied"
elif command -v setpriv >/dev/null && setpriv --reuid=65534 --regid=65534 --clear-groups "$gllm" --version >/dev/null 2>&1; then
    copy && chmod 0 "$work/m/model.safetensors"
    refused "$work/m/model.safetensors: Permission denied" setpriv --reuid=65534 --regid=65534 --clear-groups "$gllm" embed "$work/m" x
else echo "skipped: an unreadable file, since no other user can run $gllm"
fi

# what is no model directory
mkdir "$work/empty" "$work/onnx" "$work/onnx/onnx" "$work/adapter"
touch "$work/onnx/onnx/model.onnx" "$work/adapter/adapter_config.json" "$work/adapter/adapter_model.safetensors"
refused "$work/empty: is empty, expected a model directory" "$gllm" embed "$work/empty" x
refused "$work/onnx: found onnx/model.onnx, but no config.json" "$gllm" embed "$work/onnx" x
cp "$model/config.json" "$work/onnx/"
refused "$work/onnx: found onnx/model.onnx, but no model.safetensors" "$gllm" embed "$work/onnx" x
refused "$work/adapter: holds an adapter (adapter_config.json), expected a whole model" "$gllm" embed "$work/adapter" x
refused "/dev/null: is no regular file, expected a model directory" "$gllm" embed /dev/null x
copy && rm "$work/m/model.safetensors" && touch "$work/m/pytorch_model.bin"; refused "$work/m/pytorch_model.bin: does not begin as a zip archive" "$gllm" embed "$work/m" x
copy && rm "$work/m/model.safetensors" && touch "$work/m/tf_model.h5"; refused "found tf_model.h5, but no model.safetensors or pytorch_model.bin" "$gllm" embed "$work/m" x
copy && rm "$work/m/tokenizer.json"; refused "$work/m: found no tokenizer, expected tokenizer.json, tokenizer.model, spiece.model, sentencepiece.bpe.model or vocab.txt" "$gllm" embed "$work/m" x
copy && rm "$work/m/1_Pooling/config.json"; refused "1_Pooling/config.json: no such file" "$gllm" embed "$work/m" x

# texts
refused 'input text 2, byte 3: not UTF-8 (found 0xff)' "$gllm" embed "$model" fine $'ab\xff'
refused 'input text 1, byte 1: not UTF-8 (found 0xed)' "$gllm" tokenize "$model" $'\xed\xa0\x80'
refused 'prompt: byte 1 is not UTF-8 (0xc3)' "$gllm" embed "$model" x --prompt $'a\xc3'
refused 'second text: byte 0 is not UTF-8 (0xff)' "$gllm" tokenize "$model" x --pair $'\xff'
printf 'fine\0b\xff\0' >"$work/in"; refused 'input text 2, byte 2: not UTF-8 (found 0xff)' bash -c "'$gllm' embed '$model' -0 <'$work/in'"
printf 'ok\n{"text":\n' >"$work/in"; refused 'input line 1' bash -c "'$gllm' embed '$model' --jsonl <'$work/in'"
: >"$work/in"; refused 'no text to embed: standard input is empty' bash -c "'$gllm' embed '$model' <'$work/in'"
printf 'a\0b\n' | "$gllm" tokenize "$model" >"$work/nul"; printf 'ab\n' | "$gllm" tokenize "$model" >"$work/out"
cmp -s "$work/nul" "$work/out" || fail "a NUL inside a line: the normalizer drops it, so it is the same text"
head -c 10000000 /dev/zero | tr '\0' 'w' | "$gllm" embed "$model" >"$work/out" 2>"$work/err" || fail "one word of 10 MB: $(cat "$work/err")"
[ "$(wc -w <"$work/out")" = 32 ] || fail "one word of 10 MB gave $(wc -w <"$work/out") values"
yes 'the whale and' | head -c 10000000 | tr '\n' ' ' | "$gllm" embed "$model" >"$work/out" 2>"$work/err" || fail "one text of 10 MB: $(cat "$work/err")"
grep -q 'cut to the model' "$work/err" || fail "one text of 10 MB: it is not told that it was cut"

# outputs
for form in text npy f32 jsonl; do
    refused 'cannot write /dev/full: No space left on device' "$gllm" embed "$model" x --format $form --out /dev/full
    refused 'cannot write standard output: No space left on device' bash -c "'$gllm' embed '$model' x --format $form >/dev/full"
done
refused "--out $work: is a directory, expected a file" "$gllm" embed "$model" x --out "$work"
refused 'cannot write /nonexistent/x: No such file or directory' "$gllm" embed "$model" x --out /nonexistent/x
yes whale | head -2000 >"$work/in"
mkdir "$work/full"
if mount -t tmpfs -o size=16k tmpfs "$work/full" 2>/dev/null; then
    mounted=$work/full
    for form in text npy f32 jsonl; do
        refused "cannot write $work/full/v: No space left on device" bash -c "'$gllm' embed '$model' --format $form --out '$work/full/v' <'$work/in'"
        [ -z "$(ls -A "$work/full")" ] || fail "a full disk keeps $(ls -A "$work/full")"
    done
else echo "skipped: a full disk, since this user cannot mount one"
fi
"$gllm" embed "$model" <"$work/in" 2>"$work/err" | head -1 >"$work/out"
[ "${PIPESTATUS[0]}" = 141 ] || fail "a closed pipe: exit ${PIPESTATUS[0]}, expected to end by SIGPIPE (141)"
[ ! -s "$work/err" ] || fail "a closed pipe is no error to tell: $(cat "$work/err")"
[ "$(wc -l <"$work/out")" = 1 ] || fail "a closed pipe: the first line is there"

# Ctrl-C: 130 long before the work would end by itself, and a file of --out is not made. It is sent only once the program catches it: a command in
# the background begins with SIGINT ignored.
catches() { grep -q '^SigCgt:.*[2367abef]$' "/proc/$1/status" 2>/dev/null; }
interrupted() { # interrupted NAME INPUT COMMAND…
    local name=$1 input=$2 pid code
    shift 2
    "$@" <"$input" >/dev/null 2>"$work/err" &
    pid=$!
    until catches $pid || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
    sleep 1
    kill -INT $pid
    wait $pid
    code=$?
    [ $code = 130 ] || fail "$name, interrupted: exit $code, expected 130: $(cat "$work/err")"
}
mkfifo "$work/endless"
endless() { yes 'the whale and the sea and the stars' >"$work/endless" 2>/dev/null & }
endless; interrupted embed "$work/endless" "$gllm" embed "$model" --out "$work/vectors"
[ -z "$(find "$work" -name 'vectors*')" ] || fail "an interrupted embed keeps $(find "$work" -name 'vectors*')"
endless; interrupted similar "$work/endless" "$gllm" similar "$model"
endless; interrupted tokenize "$work/endless" "$gllm" tokenize "$model"
exec 7<>"$work/endless" # a writer that says nothing
interrupted "embed that waits for input" "$work/endless" "$gllm" embed "$model"
exec 7>&-
interrupted bench /dev/null "$gllm" bench "$model" --length 48 --batch 512 --seconds 3600

[ $failed = 0 ] && echo "bad input, texts and outputs: each told in one line"
exit $failed
