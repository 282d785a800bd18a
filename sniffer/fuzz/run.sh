#!/bin/sh
# Runs every fuzz target for a while, one after the other, beginning with the committed seeds and with what earlier runs found.
#
#     sniffer/fuzz/run.sh target/fuzz 600
#
# Corpora and findings go below the first argument, never into the repository. Ends with the first finding, and says how to see it
# again.

set -eu

out=${1:?where build, corpora and findings go} seconds=${2:?how many seconds for each target}
case $seconds in
    '' | *[!0-9]* | 0*) echo "fuzz: $seconds is no number of seconds" >&2; exit 64 ;;
esac
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")"

# There is no unsafe code for a sanitizer to watch, and without one the stable compiler will do.
cargo fuzz build --sanitizer none --target-dir "$out/build"
for source in fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    mkdir -p "$out/corpus/$target" "$out/findings/$target"
    case $target in
        codec) longest=512 ;;
        filter) longest=256 ;;
        tracker) longest=2048 ;;
        *) longest=4096 ;;
    esac
    echo "fuzz: $target for $seconds s"
    log=$out/$target.log
    # libFuzzer's first folder grows; the seeds are only read.
    if ! cargo fuzz run --sanitizer none --target-dir "$out/build" "$target" "$out/corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len="$longest" -print_final_stats=1 \
        -artifact_prefix="$out/findings/$target/" >"$log" 2>&1; then
        grep -A 3 'panicked at\|SUMMARY' "$log" || tail -n 20 "$log"
        echo "fuzz: $target found something; what did it is in $out/findings/$target, the rest in $log. Again:" >&2
        echo "    cd sniffer/fuzz && cargo fuzz run --sanitizer none --target-dir $out/build $target FILE" >&2
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */fuzz: executions /p; s/^stat::average_exec_per_sec: */fuzz: a second /p' "$log"
    grep ' cov: ' "$log" | sed -n '$s/.* cov: \([0-9]*\).* corp: \([0-9]*\).*/fuzz: \1 places reached, \2 inputs/p'
done
# cargo-fuzz makes this folder whatever it is told.
rmdir artifacts/* artifacts 2>/dev/null || true
