#!/bin/sh
# Runs every experiment of the lab, one after the other, and keeps what each says as DIRECTORY/NAME.json, and its
# picture, where it draws one, as NAME.svg.
#
#     tests/experiments.sh DIRECTORY [options of the lab, such as --quick]
#
# The last line counts them; one that fails does not keep the others from running.

set -eu

# An ordinary user's PATH on Debian leaves out where nft, tc and nginx live.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

directory=${1:?a directory for the results}
shift
lab=${CARGO_TARGET_DIR:-target}/release/lab
mkdir -p "$directory"

passed=0 failed=0 reasons=
for name in $("$lab" list | cut -d ' ' -f 1); do
    echo "lab $name $*"
    # Written beside and moved: an experiment that breaks off leaves the result of its last run as it was.
    if "$lab" "$name" --json --plot "$directory/.$name.svg" "$@" </dev/null >"$directory/.$name.json"; then
        passed=$((passed + 1)) word=ok
    else
        failed=$((failed + 1)) word=FAILED
        # The failures, in the report's own words: here, and all together at the end.
        reason=$(sed 's/.*"passed":false,"failures":\(\[.*\]\),"notes".*/\1/' "$directory/.$name.json")
        echo "  $reason"
        reasons="${reasons}lab $name FAILED $reason
"
    fi
    for kind in json svg; do
        if [ -s "$directory/.$name.$kind" ]; then mv "$directory/.$name.$kind" "$directory/$name.$kind"; fi
        rm -f "$directory/.$name.$kind"
    done
    echo "lab $name ... $word"
done

if [ $((passed + failed)) = 0 ]; then echo "the lab lists no experiment" >&2; exit 1; fi
printf '%s' "$reasons"
echo "experiments: $passed passed, $failed failed"
[ "$failed" = 0 ]
