#!/bin/bash
# Runs the package's scripts under dash in a network namespace with two uplinks, in the place of OpenWrt's own functions small ones
# that answer the same questions, and compares what is in the kernel with what should be there, and afterwards with what was before.
#
#     deploy/openwrt/try.sh
#
# Takes root, dash, iproute2. What it does not show: OpenWrt's build system and its own functions.

set -euo pipefail

files=$(realpath "$(dirname "$0")/files")
work=$(mktemp -d "${TMPDIR:-/tmp}/anabranch-openwrt.XXXXXX")
name=ab-wrt-$$

tidy() {
    trap - EXIT
    ip netns del "$name" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT TERM
fail() { echo "FAILED: $*"; exit 1; }
router() { ip netns exec "$name" "$@"; }

ip netns add "$name"
for one in wan:1 wwan:2 lan:9; do
    dev=${one%:*} number=${one#*:}
    ip -n "$name" link add "$dev" type veth peer name "$dev-far"
    ip -n "$name" addr add "10.79.$number.2/24" dev "$dev"
    ip -n "$name" link set "$dev" up
    ip -n "$name" link set "$dev-far" up
done
touch "$work/up.wan" "$work/up.wwan"

# What /lib/functions.sh, /lib/functions/network.sh and rc.common do for these scripts.
cat >"$work/openwrt.sh" <<'END'
logger() { shift 2; echo "log: $*"; }
config_load() { :; }
config_get() { eval "$1=\$(value $2 $3)"; eval "[ -n \"\$$1\" ] || $1=${4:-}"; }
config_get_bool() { config_get "$@"; }
value() { sed -n "/^config .*'$1'\$/,/^config/s/^	option $2 '\(.*\)'/\1/p; /^#$1\$/,/^#/s/^	option $2 '\(.*\)'/\1/p" "$WORK/config"; }
config_foreach() { local one call=$1; shift 2; for one in $(sed -n 's/^#\(uplink.*\)/\1/p' "$WORK/config"); do "$call" "$one" "$@"; done; }
network_flush_cache() { :; }
network_is_up() { [ -e "$WORK/up.$1" ]; }
network_get_ipaddr() { eval "$1=$(ip -4 -o addr show dev "$2" | sed 's/.*inet \([0-9.]*\).*/\1/')"; }
network_get_device() { eval "$1=$2"; }
network_get_gateway() { eval "$1=$(ip -4 -o addr show dev "$2" | sed 's/.*inet \([0-9]*\.[0-9]*\.[0-9]*\)\..*/\1.1/')"; }
uci() { echo "uci $*" >>"$WORK/uci"; }
END
# Each nameless section gets a name that the functions above find.
awk '/^config uplink/ { print "#uplink" ++n } { print }' "$files/anabranch.config" | sed "s/option enabled '0'/option enabled '1'/" >"$work/config"
mkdir "$work/profile.d"
for one in anabranch.init anabranch.hotplug anabranch.sh; do
    sed -e '/^\. \/lib/d' -e "s,/var/run/anabranch,$work/state,; s,/etc/profile.d,$work/profile.d,; s,/www,$work/www,; s,/etc/init.d/dnsmasq,true," \
        "$files/$one" >"$work/$one"
done
run() { router env WORK="$work" ACTION="${3:-}" INTERFACE="${4:-}" dash -uc ". $work/openwrt.sh; . $work/anabranch.sh; . $work/$1; ${2:-:}"; }
state() {
    router ip rule show
    router ip route show table all | { grep -v -e 'table local' -e 'proto kernel' || true; }
    router ip mptcp endpoint show
    router ip mptcp limits show
}

state >"$work/before"
run anabranch.init start
state >"$work/started"
for wanted in '10.79.1.2 id 101 subflow dev wan' '10.79.2.2 id 102 subflow dev wwan' 'from 10.79.2.2 lookup 7102' \
    'default via 10.79.2.1 dev wwan table 7102' 'subflows 3'; do
    grep -q "$wanted" "$work/started" || { cat "$work/started"; fail "not there after start: $wanted"; }
done
grep -q 'http_proxy=http://proxy.example.net:3128' "$work/profile.d/anabranch.sh" || fail "no proxy in the environment"

rm "$work/up.wwan"
run anabranch.hotplug : ifdown wwan
state >"$work/down"
! grep -e 10.79.2.2 -e 7102 "$work/down" || fail "an uplink that is down still takes part"
grep -q '10.79.1.2 id 101' "$work/down" || fail "the other one has gone with it"
touch "$work/up.wwan"
run anabranch.hotplug : ifup wwan
state | diff "$work/started" - || fail "an uplink that came back is not as before"

run anabranch.init stop
state | diff "$work/before" - || fail "stop leaves something"
[ -z "$(ls "$work/profile.d")" ] || fail "stop leaves a file"
echo "start, an uplink down and up again, stop: all as it should be"
