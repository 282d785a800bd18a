#!/bin/bash
# Does `anabranch client setup --apply` in a clean Debian with systemd as its first process and two links, has whoever runs the network
# there take links away and bring them back, starts the Debian anew, takes the set-up back, and says what it saw.
#
#     deploy/client/try.sh BINARY MANAGER SUITE [ROOT]
#
# MANAGER is networkd, nm or ifupdown; SUITE is bookworm or trixie. ROOT is what debootstrap made, with the packages below; it is only read.
# Without it one is made for this run. Takes root, debootstrap, iproute2, dnsmasq, 1 GiB in $TMPDIR.
#
# The network: machine --c1-- isp and machine --c2-- isp, one namespace each; the isp leases addresses, and the proxy runs there.

set -euo pipefail

binary=$(realpath "${1:?the binary}") manager=${2:?networkd, nm or ifupdown} suite=${3:?bookworm or trixie} root=${4:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/anabranch-try.XXXXXX")
name=ab-client-$$ debian=$work/debian proxy=10.78.9.1:3128
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$name
init='' outer='' served=()

say() { printf '%s\n' "$manager, $suite: $*"; }
fail() {
    if [ -n "$init" ]; then inside journalctl --no-pager --lines 30 || true; dump; fi
    say "FAILED: $*"
    exit 1
}
stop() {
    if [ -n "$init" ]; then kill -9 "$init" || true; wait "$outer" || true; fi
    init=
    sleep 0.3
    ip netns del "$name-machine" || true
    find "$cgroup" -depth -type d -exec rmdir {} + || true
} 2>/dev/null
tidy() {
    trap - EXIT
    stop
    kill "${served[@]}" 2>/dev/null || true
    umount "$debian" 2>/dev/null || true
    ip netns del "$name-isp" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT TERM

inside() { nsenter --target "$init" --all --root --wd env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }

isp() {
    ip netns add "$name-isp"
    ip -n "$name-isp" link set lo up
    ip -n "$name-isp" addr add "${proxy%:*}/32" dev lo
    printf '[[listener]]\naddress = "%s"\nclients = ["10.78.0.0/16"]\n' "$proxy" >"$work/edge.toml"
    ip netns exec "$name-isp" "$binary" run --config "$work/edge.toml" >"$work/proxy.log" 2>&1 </dev/null &
    served+=($!)
    ip netns exec "$name-isp" dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --bind-dynamic --interface='isp*' --user=root \
        --dhcp-range=10.78.1.50,10.78.1.99,2m --dhcp-range=10.78.2.50,10.78.2.99,2m --dhcp-leasefile="$work/leases" --pid-file= \
        >"$work/dnsmasq.log" 2>&1 </dev/null &
    served+=($!)
}

# The root file system stays as it is: what is written goes into a layer of this run, which outlives a boot.
boot() {
    local number
    ip netns add "$name-machine"
    for number in 1 2; do
        ip link add "c$number" netns "$name-machine" address "02:00:00:00:00:0$number" type veth peer name "isp$number" netns "$name-isp"
        ip -n "$name-isp" addr add "10.78.$number.1/24" dev "isp$number"
        ip -n "$name-isp" link set "isp$number" up
    done
    mkdir -p "$cgroup"
    # By nsenter: `ip netns exec` hides the cgroups.
    # shellcheck disable=SC2016  # for the inner shell
    nsenter --net="/run/netns/$name-machine" sh -c 'echo $$ >"$1/cgroup.procs"; exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh -euc "$2" sh "$3"' \
        sh "$cgroup" "$inner" "$debian" >"$work/console" 2>&1 </dev/null &
    outer=$!
    for _ in $(seq 150); do
        init=$(pgrep -P "$outer" || true)
        if [ -n "$init" ]; then case $(inside systemctl is-system-running 2>/dev/null) in running | degraded) return 0 ;; esac; fi
        sleep 0.2
    done
    cat "$work/console"
    fail "systemd does not start"
}
# /sys is read-only, as in a container: else who runs the network waits for udev. For the rest see deploy/deb/try.sh.
# shellcheck disable=SC2016
inner='
mount --make-rprivate /
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -o remount,bind,ro sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for one in null zero full random urandom tty; do touch dev/$one; mount --bind /dev/$one dev/$one; done
mkdir dev/pts dev/shm run/former
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
pivot_root . run/former
umount -l /run/former
rmdir /run/former
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console --show-status=0
'

# Who runs the network, and c1 by its hand.
case $manager in
networkd)
    packages='' unit=systemd-networkd
    take() { inside networkctl down c1; }
    bring() { inside networkctl up c1; }
    file() { printf '[Match]\nName=c%s\n[Network]\n%s\n' "$1" "${2:-DHCP=ipv4}" >"$debian/etc/systemd/network/c$1.network"; }
    write() { file 1 && file 2 && ln -sf /lib/systemd/system/systemd-networkd.service "$debian/etc/systemd/system/multi-user.target.wants/"; }
    readdress() { file 1 $'Address=10.78.1.200/24\nGateway=10.78.1.1' && inside networkctl reload; }
    ;;
nm)
    # libpam-systemd is the logind that polkitd wants: debootstrap knows no virtual packages.
    packages=,network-manager,libpam-systemd unit=NetworkManager
    take() { inside nmcli connection down c1; }
    bring() { inside nmcli connection up c1; }
    file() {
        local file=$debian/etc/NetworkManager/system-connections/c$1.nmconnection
        printf '[connection]\nid=c%s\ntype=ethernet\ninterface-name=c%s\n[ipv4]\nmethod=auto\n' "$1" "$1" >"$file"
        chmod 600 "$file"
    }
    write() { file 1 && file 2; }
    readdress() {
        inside nmcli connection modify c1 ipv4.method manual ipv4.addresses 10.78.1.200/24 ipv4.gateway 10.78.1.1
        inside nmcli device reapply c1
    }
    ;;
ifupdown)
    packages=,ifupdown unit=networking
    if [ "$suite" = bookworm ]; then packages+=,isc-dhcp-client; else packages+=,dhcpcd-base; fi
    take() { inside ifdown c1; }
    bring() { inside ifup c1; }
    file() { printf 'auto lo c1 c2\niface lo inet loopback\niface c2 inet dhcp\n%s\n' "$1" >"$debian/etc/network/interfaces"; }
    write() { file 'iface c1 inet dhcp'; }
    readdress() { inside ifdown c1 && file $'iface c1 inet static\naddress 10.78.1.200/24\ngateway 10.78.1.1\nmetric 9' && inside ifup c1; }
    ;;
esac

dump() { # in no order: what comes back comes last
    { inside ip mptcp endpoint | sed 's/ id [0-9]*//'; inside ip mptcp limits; inside ip rule; inside ip -6 rule; } | sort
    inside ip route show table all | grep -v -e 'table local' -e fe80 | sed 's/ src 10.78[^ ]*//; s/ *$//' | sort
}
files() { find "$work/upper" -name '*anabranch*' ! -path '*/var/log/*' | sort; }
address() { inside ip -4 -o addr show dev "$1" | sed -n 's,.*inet \([0-9.]*\)/.*,\1,p'; }
# Whether the links named have a rule, a route and an endpoint each, and nobody else has.
have() {
    local dev address table
    for dev in "$@"; do
        address=$(address "$dev")
        inside ip mptcp endpoint | grep "^$address id .* subflow dev $dev " >/dev/null || return 1
        table=$(inside ip rule | sed -n "s/^7300:\tfrom $address lookup \([0-9]*\) *$/\1/p")
        inside ip route show table "${table:-none}" 2>/dev/null | grep "^default via 10.78.${dev#c}.1 dev $dev " >/dev/null || return 1
    done
    [ "$(inside ip rule | grep -c ^7300:)" = $# ] && [ "$(inside ip mptcp endpoint | wc -l)" = $# ]
}
expect() { # WHAT LINK...
    local what=$1
    shift
    for _ in $(seq 40); do
        if have "$@"; then
            sleep 2
            if have "$@"; then
                say "$what: as it should be"
                return
            fi
        fi
        sleep 0.5
    done
    fail "$what: not as it should be with $*"
}
leased() { for _ in $(seq 60); do if [ -n "$(address c1)" ] && [ -n "$(address c2)" ]; then sleep 2; return; fi; sleep 0.5; done; fail "no addresses"; }

mkdir "$debian" "$work/upper" "$work/layer"
if [ -z "$root" ]; then
    root=$work/root
    debootstrap --variant=minbase --include="systemd,systemd-sysv,dbus,iproute2$packages" "$suite" "$root" >"$work/log" || fail debootstrap
fi
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/layer" "$debian"
write
isp
boot
leased
files >"$work/files.before"
dump >"$work/before"
install -m 755 "$binary" "$debian/usr/bin/anabranch"
inside anabranch client setup --proxy "$proxy" --apply >"$work/log" || { cat "$work/log"; fail "client setup --apply"; }
if [ "$manager" = networkd ]; then inside systemctl daemon-reload && inside systemctl restart anabranch-client.path; fi
expect "set up" c1 c2
inside anabranch client doctor --brief --proxy "$proxy" || fail "client doctor"
take >"$work/log" 2>&1 || fail "c1 cannot be taken down"
expect "c1 taken down" c2
bring >"$work/log" 2>&1 || fail "c1 cannot be brought up"
expect "c1 brought up" c1 c2
ip -n "$name-isp" link set isp1 down
# NetworkManager and dhcpcd wait a while before they give an address up; dhclient does not notice.
sleep 10
ip -n "$name-isp" link set isp1 up
leased
expect "cable pulled and put back" c1 c2
inside systemctl restart "$unit"
expect "$unit restarted" c1 c2
for _ in $(seq 8); do take && sleep 0.3 && bring && sleep 0.5; done >"$work/log" 2>&1 || fail "flapping"
leased
expect "c1 down and up eight times" c1 c2
if [ "$manager" = networkd ]; then
    inside networkctl reconfigure c2
    expect "c2 configured again" c1 c2
fi
stop
boot
leased
expect "started anew" c1 c2
inside anabranch client setup --undo >"$work/log" || { cat "$work/log"; fail "client setup --undo"; }
dump >"$work/after"
diff -u "$work/before" "$work/after" || fail "after --undo not as before"
rm "$debian/usr/bin/anabranch"
files | diff -u "$work/files.before" - || fail "after --undo files are left"
say "taken back: as before"
install -m 755 "$binary" "$debian/usr/bin/anabranch"
inside anabranch client setup --proxy "$proxy" --apply >"$work/log"
if [ "$manager" = networkd ]; then inside systemctl daemon-reload && inside systemctl restart anabranch-client.path; fi
readdress >"$work/log" 2>&1 || fail "c1 does not get another address"
expect "another address on c1" c1 c2
say "all is well"
