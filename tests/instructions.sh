#!/bin/sh
# Counts the instructions of the hot pieces under callgrind, and compares them with those that tests/bench/instructions.toml records.
#
#     tests/instructions.sh             fail when a piece takes over 3 % more, or less, than recorded
#     tests/instructions.sh --update    record what they take now: after a change that is meant to cost or to save that much
#
# PROFILE (release) is the profile the pieces are built with; each has records of its own. Instructions, not times: they are the same
# on a busy machine. What a program takes at two numbers of times differs by what the piece takes, its start left out. Fewer than
# recorded fails as well: what is won is to be kept.

set -eu

cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
target=${CARGO_TARGET_DIR:-target}
records=tests/bench/instructions.toml
tolerance=3 # %

case ${1:-} in
    '') update= ;;
    --update) update=yes ;;
    *) echo "usage: tests/instructions.sh [--update]" >&2; exit 64 ;;
esac
if ! command -v valgrind >/dev/null 2>&1; then
    echo "instructions: valgrind is missing (Debian: apt-get install valgrind)" >&2
    exit 1
fi
cargo build --quiet --locked --profile "$profile" -p anabranch-bench --bin hot
directory=$profile
if [ "$profile" = dev ]; then directory=debug; fi
hot=$target/$directory/hot

# What `hot PIECE TIMES` takes in all.
total() {
    said=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$hot" "$1" "$2" 2>&1) || { echo "$said" >&2; exit 1; }
    echo "$said" | sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p'
}

# A piece and the two numbers of times: far enough apart that what happens once (timers, tables that grow) is lost in it.
now=
while read -r piece few many; do
    low=$(total "$piece" "$few")
    high=$(total "$piece" "$many")
    now="$now$piece = $(((high - low) / (many - few)))
"
done <<PIECES
head 100 1100
relay 100 1100
options 1000 21000
policy 20 120
PIECES

if [ -n "$update" ]; then
    # The other profiles' records stay.
    awk -v section="[$profile]" '/^\[/ { mine = $0 == section } !mine' "$records" >"$records.new"
    printf '[%s]\n%s' "$profile" "$now" >>"$records.new"
    mv "$records.new" "$records"
    printf '%s' "$now"
    exit 0
fi

failed=
while read -r piece _ count; do
    [ -n "$piece" ] || continue
    recorded=$(awk -v section="[$profile]" -v piece="$piece" '/^\[/ { mine = $0 == section } mine && $1 == piece { print $3 }' "$records")
    if [ -z "$recorded" ]; then
        echo "instructions: $piece takes $count, and nothing is recorded for it in [$profile] ... FAILED" >&2
        failed=yes
        continue
    fi
    # In tenths of a percent, rounded towards zero.
    change=$(((count - recorded) * 1000 / recorded))
    word=ok
    if [ "$change" -gt $((tolerance * 10)) ] || [ "$change" -lt $((-tolerance * 10)) ]; then
        word=FAILED failed=yes
    fi
    awk -v p="$piece" -v c="$count" -v r="$recorded" -v d="$change" -v w="$word" \
        'BEGIN { printf "instructions %-8s %9d, recorded %9d (%+.1f %%) ... %s\n", p, c, r, d / 10, w }'
done <<NOW
$now
NOW
if [ -n "$failed" ]; then
    echo "instructions: a change of more than $tolerance % is either a mistake, or recorded by: tests/instructions.sh --update" >&2
    exit 1
fi
