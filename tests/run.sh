#!/bin/sh
# Runs every test of the workspace, every experiment in its quick form, and counts the instructions of the hot pieces; counts them all in
# the last line.
#
# As root, in place. As an ordinary user, as the root of new user, network and mount namespaces: nothing is skipped, and
# nothing outside is touched. Everything is built before, because inside there is no network.

set -eu

# An ordinary user's PATH on Debian leaves out where nft, tc and nginx live.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
ANABRANCH_BIN=$(cd "$target/release" && pwd)/anabranch
export ANABRANCH_BIN

if [ "${1:-}" != inside ]; then
    cargo test --workspace --locked --no-run
    cargo build --release --locked -p anabranch-bench --bin hot
    if [ "$(id -u)" != 0 ]; then
        if ! unshare --user --map-root-user --net --mount true 2>/dev/null; then
            echo "the tests need root, or a kernel that lets ordinary users make user namespaces" >&2
            exit 1
        fi
        exec unshare --user --map-root-user --net --mount -- sh -c 'ip link set lo up && exec sh tests/run.sh inside'
    fi
fi

log=$target/test.log
# A pipe hides how its first command ended, so that is written down.
{ cargo test --workspace --locked --offline --no-fail-fast </dev/null 2>&1 && echo 0 || echo $?; } | tee "$log.all"
status=$(tail -n 1 "$log.all")
sed '$d' "$log.all" >"$log"
rm "$log.all"
# "test result: ok. 12 passed; 0 failed; …", one line a test binary.
count() { sed -n "s/^test result: .* \([0-9][0-9]*\) $1;.*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'; }
passed=$(count passed) failed=$(count failed)
# A binary that does not compile or does not live to its last line has failed without a count.
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi

{ sh tests/experiments.sh "$target/lab" --quick 2>&1 || true; } | tee "$target/lab.log"
line=$(sed -n 's/^experiments: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$target/lab.log")
# Without a count the lab did not come to its end.
line=${line:-0 1}
passed=$((passed + ${line% *})) failed=$((failed + ${line#* }))

{ sh tests/instructions.sh 2>&1 || true; } | tee "$target/instructions.log"
right=$(grep -c '\.\.\. ok$' "$target/instructions.log") || true
wrong=$(grep -c '\.\.\. FAILED$' "$target/instructions.log") || true
# Without a count nothing was compared.
if [ "$right" = 0 ] && [ "$wrong" = 0 ]; then wrong=1; fi
passed=$((passed + right)) failed=$((failed + wrong))

# Who sees no more than the end of this sees what failed.
grep -h ' FAILED' "$log" "$target/lab.log" "$target/instructions.log" || true
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
