# lib.sh - what the command-line tests share; each sources it first. $work is a directory of the test's own, $failed its exit status.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }
ok() { # ok NAME COMMAND…: the command succeeds
    local name=$1
    shift
    "$@" || { fail "$name"; cat "$work/out" "$work/err" 2>/dev/null; }
}
status() { # status EXPECTED COMMAND…: runs it, keeps stdout and stderr
    local expected=$1
    shift
    "$@" >"$work/out" 2>"$work/err"
    local got=$?
    [ $got = "$expected" ] || { fail "exit $got, expected $expected: $*"; cat "$work/err"; }
}
says() { grep -q -- "$1" "$work/err"; }
