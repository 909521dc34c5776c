#!/bin/sh
# Runs test programs, some at a time, and adds up what they say.
#   tests/run.sh [-j JOBS] PROGRAM...
# A program ends with the line `NAME: N passed, N failed, N skipped`. One that does not (it crashed, or took longer than
# PHOTONET_TEST_LIMIT seconds) counts as one failed test. Skipped tests are named, failed programs shown in full. The
# last line is the sum; the exit status is 1 where anything failed.
set -eu
export LC_ALL=C.UTF-8
limit=${PHOTONET_TEST_LIMIT:-600}
jobs=1
if [ "${1-}" = -j ]; then
    jobs=$2
    shift 2
fi
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT TERM
export results limit

# One program: its output in a file; its line on the screen when it is done.
run_one='
program=$1
name=$(basename "$program" | sed "s/^test_//; s/\..*//")
output=$results/$name.out
start=$(date +%s%N)
code=0
timeout --kill-after=10 "$limit" "$program" >"$output" 2>&1 </dev/null || code=$?
tenths=$((($(date +%s%N) - start) / 100000000))
line=$(grep -aE "^[a-z0-9_ -]+: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$" "$output" | tail -n 1 || true)
case $code in
0) ;;
1) [ -n "$line" ] || line="$name: 0 passed, 1 failed, 0 skipped" ;;
124 | 137) line="$name: 0 passed, 1 failed, 0 skipped"; echo "no end within $limit s" >>"$output" ;;
*) line="$name: 0 passed, 1 failed, 0 skipped"; echo "ended with status $code" >>"$output" ;;
esac
[ -n "$line" ] || { line="$name: 0 passed, 1 failed, 0 skipped"; echo "did not say how many tests passed" >>"$output"; }
counts=${line##*: }
failed=${counts#*passed, }
failed=${failed%% *}
if [ "$code" != 0 ] && [ "$failed" = 0 ]; then
    counts="0 passed, 1 failed, 0 skipped"
    failed=1
fi
echo "$counts" >"$results/$name.counts"
text=$(printf "  %-14s %s  (%d.%d s)" "$name" "$counts" $((tenths / 10)) $((tenths % 10)))
if [ "$failed" != 0 ]; then
    text="$text
$(sed "s/^/      | /" "$output")"
fi
printf "%s\n" "$text"
'
printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" sh -c "$run_one" run_one

# "Test: test_ring ... skipped: PHOTONET_CORPUS is not set ...passed"
for output in "$results"/*.out; do
    name=$(basename "$output" .out)
    sed -n "s/^ *Test: \([a-z0-9_]*\) .*skipped: \([^.]*\).*/  skipped: $name \1: \2/p; s/^skipped: \(.*\)/  skipped: $name: \1/p" \
        "$output"
done | sed 's/ *$//'
cat "$results"/*.counts | awk '{ passed += $1; failed += $3; skipped += $5 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }'
