#!/bin/bash
# Installs, uses, upgrades, removes and purges the package in a clean Debian with systemd as its first process, in a network of
# its own, and says what it saw. Nothing of it is left; the machine it runs on is not touched.
#
#     deploy/deb/try.sh OLD.deb NEW.deb SUITE [ROOT]
#
# SUITE is bookworm or trixie. ROOT is what `debootstrap --variant=minbase --include=systemd,systemd-sysv SUITE ROOT` made; it is only
# read. Without it one is made for this run. Takes root, debootstrap, iproute2, nftables, curl, mptcpize, nginx, 2 GiB in $TMPDIR.
#
# The network: client --dsl-- edge --dsl2-- origin, and client --lte-- edge, one namespace each; the Debian is the edge.

set -euo pipefail

old=$(realpath "${1:?the package to install}") new=$(realpath "${2:?the package to upgrade to}") suite=${3:?bookworm or trixie}
bytes=$((1 << 30))

work=$(mktemp -d "${TMPDIR:-/tmp}/anabranch-try.XXXXXX")
name=ab-try-$$
debian=$work/debian
init=

say() { printf '%s\n' "$*"; }
fail() {
    tail -n 20 "$work/console" 2>/dev/null || true
    for one in proxy steer; do
        if [ -n "$init" ]; then log "$one" | tail -n 15 || true; fi
    done
    say "FAILED: $*"
    exit 1
}

tidy() {
    trap - EXIT
    if [ -n "$init" ]; then
        kill -9 "$init" 2>/dev/null || true
        wait 2>/dev/null
    fi
    for one in client origin edge; do
        # Whoever still lives in there lives for this test alone.
        ip netns pids "$name-$one" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    done
    sleep 0.5
    for one in client origin edge; do ip netns del "$name-$one" 2>/dev/null || true; done
    umount "$debian" 2>/dev/null || true
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    rm -rf "$work"
}
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$name
trap tidy EXIT
trap 'exit 130' INT TERM

client() { ip netns exec "$name-client" "$@"; }
edge() { ip netns exec "$name-edge" "$@"; }
# In the Debian, as its root.
inside() { nsenter --target "$init" --all --root --wd env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

network() {
    for one in client edge origin; do
        ip netns add "$name-$one"
        ip -n "$name-$one" link set lo up
    done
    link() { # NAME, namespace and address of either end
        ip link add "$1" netns "$name-$2" type veth peer name "$1" netns "$name-$4"
        ip -n "$name-$2" addr add "$3/24" dev "$1"
        ip -n "$name-$4" addr add "$5/24" dev "$1"
        ip -n "$name-$2" link set "$1" up
        ip -n "$name-$4" link set "$1" up
    }
    link dsl client 10.77.1.2 edge 10.77.1.1
    link lte client 10.77.2.2 edge 10.77.2.1
    link wan origin 10.77.9.2 edge 10.77.9.1
    for dev in dsl:1 lte:2; do
        ip -n "$name-client" route add default via "10.77.${dev#*:}.1" dev "${dev%:*}" table "${dev#*:}"
        ip -n "$name-client" rule add from "10.77.${dev#*:}.2" table "${dev#*:}"
    done
    ip -n "$name-client" route add default via 10.77.1.1
    client ip mptcp limits set subflows 2
    client ip mptcp endpoint add 10.77.2.2 dev lte subflow
    edge ip mptcp limits set subflows 2
}

origin() {
    mkdir "$work/www" "$work/nginx"
    head -c $((bytes / 16)) /dev/urandom >"$work/piece"
    for _ in $(seq 16); do cat "$work/piece"; done >"$work/www/large"
    rm "$work/piece"
    echo hello >"$work/www/small"
    chmod 755 "$work" "$work/www"
    cat >"$work/nginx.conf" <<END
daemon on; pid $work/nginx/pid; error_log $work/nginx/error.log; worker_processes 1;
events { worker_connections 256; }
http { access_log off; server { listen 8080; root $work/www; sendfile on; } }
END
    ip netns exec "$name-origin" nginx -p "$work/nginx" -c "$work/nginx.conf"
}

# The root file system stays as it is: what is written goes into a layer of this run.
boot() {
    local root=$1
    mkdir "$debian" "$work/upper" "$work/layer"
    mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/layer" "$debian"
    mkdir -p "$cgroup"
    # By nsenter: `ip netns exec` hides the cgroups.
    # shellcheck disable=SC2016  # for the inner shell
    nsenter --net="/run/netns/$name-edge" sh -c 'echo $$ >"$1/cgroup.procs"; exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh -euc "$2" sh "$3"' \
        sh "$cgroup" "$inner" "$debian" >"$work/console" 2>&1 </dev/null &
    for _ in $(seq 100); do
        # Its first child is the first process in there.
        init=$(pgrep -P $! || true)
        if [ -n "$init" ] && inside systemctl is-system-running --wait >/dev/null 2>&1; then break; fi
        if [ -n "$init" ] && [ "$(inside systemctl is-system-running 2>/dev/null)" = degraded ]; then break; fi
        sleep 0.2
    done
    inside systemctl is-system-running >/dev/null || [ "$(inside systemctl is-system-running)" = degraded ] ||
        { cat "$work/console"; fail "systemd does not start"; }
}
# shellcheck disable=SC2016
inner='
mount --make-rprivate /
cd "$1"
mount -t proc proc proc
# Of /proc/sys only what belongs to the network namespace: else systemd raises fs.file-max for the whole machine.
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for one in null zero full random urandom tty; do touch dev/$one; mount --bind /dev/$one dev/$one; done
mkdir dev/pts dev/shm
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
mkdir run/former
pivot_root . run/former
umount -l /run/former
rmdir /run/former
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console --show-status=0
'

# Everything a package could leave behind, less what any use of dpkg, of user accounts and of systemd changes.
files() {
    (cd "$debian" && find . -xdev \( -path ./var/log -o -path ./var/cache -o -path ./var/lib/dpkg -o -path ./var/tmp -o -path ./run -o \
        -path ./tmp -o -path ./dev -o -path ./etc/passwd- -o -path ./etc/group- -o -path ./etc/shadow- -o -path ./etc/gshadow- -o \
        -path ./etc/.pwd.lock \) -prune -o -type f -printf '%M %U %G %p ' -exec sha256sum {} \; -o ! -type d -printf '%M %U %G %p %l\n' -o \
        -printf '%M %U %G %p\n') | sed 's/  .*//' | LC_ALL=C sort
}
kernel() {
    edge nft list ruleset
    edge tc qdisc show
    edge ip -details link show | sed -E 's/ (promiscuity|numtxqueues).*//'
    edge ip mptcp endpoint show
    edge sysctl -a --pattern '^net\.(mptcp|core|ipv4\.(tcp|ip_local))' 2>/dev/null | grep -v -e '_mem = ' -e 'fastopen_key'
}
same() { # WHAT BEFORE AFTER
    diff -u "$2" "$3" >"$work/diff" || { cat "$work/diff"; fail "$1: not as before"; }
    say "$1: as before ($(wc -l <"$2") lines)"
}

main_pid() { inside systemctl show --property MainPID --value "anabranch-$1.service"; }
active() { for one in proxy steer; do inside systemctl --quiet is-active "anabranch-$one.service" || fail "$one does not run"; done; }
through() { client mptcpize run curl --silent --show-error --fail --max-time 120 --proxy http://10.77.1.1:3128 "$@"; }
log() { inside journalctl --no-pager --output=cat --unit "anabranch-$1.service"; }

configure() {
    # What an operator makes of the file.
    cat >"$debian/etc/anabranch/anabranch.toml" <<'END'
[control]
group = "anabranch"

[[listener]]
name = "edge"
address = "0.0.0.0:3128"
clients = ["10.77.0.0/16"]
transport = "mptcp"

[origin]
allow = ["10.77.9.0/24"]

[[path]]
name = "dsl"
client = ["10.77.1.0/24"]
cost = 1

[[path]]
name = "lte"
client = ["10.77.2.0/24"]
cost = 10

[[policy]]
name = "lte carries little"
path = "lte"
action = "limit"
rate = "20 Mbit/s"
END
    inside anabranch check /etc/anabranch/anabranch.toml
    inside systemctl reload anabranch-proxy anabranch-steer || fail "systemctl reload"
    [ "$(through http://10.77.9.2:8080/small)" = hello ] || fail "what was reloaded is not in force"
    # control.group is in force after a restart.
    inside systemctl restart anabranch-steer anabranch-proxy
    active
}

# What the socket unit gives this systemd: it must be used where it is MPTCP, and be refused in words where it is not.
activation() {
    inside systemctl stop anabranch-proxy.service
    inside systemctl start anabranch.socket
    edge curl --silent --output /dev/null --max-time 20 --proxy http://127.0.0.1:3128 http://10.77.9.2:8080/ || true
    for _ in $(seq 50); do inside anabranch status >/dev/null 2>&1 && break; sleep 0.2; done
    say "socket unit: systemd $(inside systemctl --version | sed -n 's/^systemd \([0-9]*\).*/\1/p') passes on $(inside anabranch status | sed -n 's/.* over //p')"
    inside systemctl stop anabranch.socket anabranch-proxy.service
    inside systemctl start anabranch-proxy.service
}

upgrade() {
    local former former_steer transfer asked=0 failed=0
    former=$(main_pid proxy) former_steer=$(main_pid steer)
    through --limit-rate 48M --output "$work/got" http://10.77.9.2:8080/large &
    transfer=$!
    until [ "$(stat -c %s "$work/got" 2>/dev/null || echo 0)" -gt $((bytes / 10)) ]; do kill -0 $transfer || fail "no transfer"; sleep 0.1; done
    cp "$new" "$debian/var/tmp/new.deb"
    inside dpkg --install /var/tmp/new.deb &
    local upgrading=$!
    while kill -0 $upgrading 2>/dev/null; do
        asked=$((asked + 1))
        [ "$(through http://10.77.9.2:8080/small 2>>"$work/errors")" = hello ] || failed=$((failed + 1))
    done
    wait $upgrading || fail "dpkg --install"
    local got now
    got=$(stat -c %s "$work/got")
    now=$(main_pid proxy)
    say "upgraded at $((got >> 20)) of $((bytes >> 20)) MiB: proxy $former -> $now, steer $former_steer -> $(main_pid steer); $asked requests meanwhile, $failed failed"
    [ "$got" -lt "$bytes" ] || fail "the transfer was over before the upgrade was"
    [ "$now" != "$former" ] || { log proxy; fail "nobody took over"; }
    [ "$failed" = 0 ] || { cat "$work/errors"; fail "requests failed during the upgrade"; }
    active
    inside test -d "/proc/$former" || fail "the former process has not waited"
    [ "$(through http://10.77.9.2:8080/small)" = hello ] || fail "the new process does not serve"
    wait $transfer || fail "the transfer was cut off"
    cmp "$work/got" "$work/www/large" || fail "the transfer is not whole"
    rm "$work/got"
    for _ in $(seq 50); do inside test -d "/proc/$former" || break; sleep 0.2; done
    ! inside test -d "/proc/$former" || fail "the former process does not end"
    say "the transfer came whole, the former process has ended: $(log proxy | grep -c 'drained: every session finished') in good order"
}

# A set-up that was not taken back before the package went: the way back stays root's, whatever becomes of the directory's owner.
way_back() {
    local state=/var/lib/anabranch/edge-setup.json
    inside dpkg --install /var/tmp/old.deb >/dev/null 2>&1
    # It says so with its exit status where one of the whole machine's sysctls stays as it is, as it has to in here.
    inside anabranch edge setup --config /etc/anabranch/anabranch.toml --apply >"$work/applied" 2>&1 || true
    inside test -s "$state" || { cat "$work/applied"; fail "edge setup has written no state file"; }
    inside dpkg --purge anabranch >"$work/purged" 2>&1
    grep -q "edge setup --undo" "$work/purged" || { cat "$work/purged"; fail "the set-up is not spoken of when the package goes"; }
    inside dpkg --install /var/tmp/old.deb >/dev/null 2>&1
    sleep 1
    active
    inside anabranch edge setup --undo >"$work/undone" || { cat "$work/undone"; fail "edge setup --undo"; }
    inside dpkg --purge anabranch >/dev/null 2>&1
    say "set up, purged, installed again and taken back: $(wc -l <"$work/undone") lines of undoing"
}

root=${4:-}
if [ -z "$root" ]; then
    root=$work/root
    debootstrap --variant=minbase --include=systemd,systemd-sysv "$suite" "$root" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; fail debootstrap; }
fi
network
origin
boot "$root"
say "$suite: systemd $(inside systemctl --version | head -n 1 | cut -d ' ' -f 2) is process 1, Debian $(cat "$debian/etc/debian_version")"
# Its own database of accounts is written by the first user of it.
inside systemd-sysusers
files >"$work/files.before"
# A machine that has been up: what removal puts back is not what the kernel began with.
edge sysctl -q net.ipv4.tcp_max_syn_backlog=1234
kernel >"$work/kernel.before"

cp "$old" "$debian/var/tmp/old.deb"
inside dpkg --install /var/tmp/old.deb
sleep 1
active
[ "$(edge sysctl -n net.core.somaxconn)" = 16384 ] || fail "the sysctl drop-in is not applied"
say "installed and running, as $(inside stat -c %U "/proc/$(main_pid proxy)") and $(inside stat -c %U "/proc/$(main_pid steer)")"
for one in proxy steer; do
    say "$one: $(inside systemd-analyze security --no-pager "anabranch-$one.service" | sed -n 's/^→ //p'), capabilities $(inside sed -n 's/^CapEff:\t//p' "/proc/$(main_pid "$one")/status")"
done
activation
configure
[ "$(through http://10.77.9.2:8080/small)" = hello ] || fail "no fetch"
say "fetched from another host: $(log proxy | grep -c 'mptcp=yes') request(s) over MPTCP"
upgrade
inside anabranch policy list
! kernel | cmp -s - "$work/kernel.before" || fail "a policy is in force and nothing is in the kernel"
inside dpkg --remove anabranch
sleep 1
kernel >"$work/kernel.after"
same "kernel after removal" "$work/kernel.before" "$work/kernel.after"
inside dpkg --install /var/tmp/new.deb
sleep 1
active
[ "$(through http://10.77.9.2:8080/small)" = hello ] || fail "installed again, it does not serve"
say "installed again after removal: both run, with the configuration that was left"
inside dpkg --purge anabranch
files >"$work/files.after"
same "file system and users after purge" "$work/files.before" "$work/files.after"
way_back
files >"$work/files.after"
same "file system and users after that" "$work/files.before" "$work/files.after"
kernel >"$work/kernel.after"
same "kernel after that" "$work/kernel.before" "$work/kernel.after"
say "$suite: all is well"
