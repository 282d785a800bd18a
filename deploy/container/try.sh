#!/bin/bash
# Builds the image and runs both modes, each in a network namespace in the place of the host's, and fetches through it from another.
#
#     deploy/container/try.sh BINARY ROOT
#
# Takes root, podman, buildah, uidmap, curl, mptcpize, nginx. A user and two namespaces are made for it and removed.

set -euo pipefail

# A machine with cgroups of both kinds: crun wants one of them. For this script alone it is the new one.
if [ "${1:-}" != --inner ]; then
    exec unshare --mount --propagation private "$0" --inner "$@"
fi
shift
mount --make-rshared /
if ! mountpoint --quiet /sys/fs/cgroup || [ "$(stat --file-system --format %T /sys/fs/cgroup)" != cgroup2fs ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi

binary=$(realpath "${1:?a built binary}") root=$(realpath "${2:?a debootstrap root}")
here=$(realpath "$(dirname "$0")")
name=ab-pod-$$
user=abpod$$
work=$(mktemp -d "${TMPDIR:-/tmp}/anabranch-container.XXXXXX")

fail() { echo "FAILED: $*"; exit 1; }
edge() { nsenter --net="/run/netns/$name-edge" "$@"; }
client() { ip netns exec "$name-client" "$@"; }
as_user() { nsenter --net="/run/netns/$name-edge" runuser -u "$user" -- env HOME="$work/home" XDG_RUNTIME_DIR="$work/home/run" "$@"; }

tidy() {
    trap - EXIT
    if [ -n "${CONTAINERS_STORAGE_CONF:-}" ]; then podman rm --all --force --time 1 >/dev/null 2>&1 || true; fi
    as_user podman rm --all --force --time 1 >/dev/null 2>&1 || true
    as_user podman system reset --force >/dev/null 2>&1 || true
    pkill -KILL -u "$user" 2>/dev/null || true
    for one in client edge; do
        ip netns pids "$name-$one" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del "$name-$one" 2>/dev/null || true
    done
    userdel "$user" 2>/dev/null || true
    umount "$work/storage/overlay" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT TERM

for one in client edge; do
    ip netns add "$name-$one"
    ip -n "$name-$one" link set lo up
done
ip link add dsl netns "$name-client" type veth peer name dsl netns "$name-edge"
ip -n "$name-client" addr add 10.77.1.2/24 dev dsl
ip -n "$name-edge" addr add 10.77.1.1/24 dev dsl
ip -n "$name-client" link set dsl up
ip -n "$name-edge" link set dsl up
chmod 755 "$work"
mkdir -p "$work/www" "$work/home/run"
echo hello >"$work/www/small"
cat >"$work/nginx.conf" <<END
pid $work/pid; error_log $work/error.log;
events {}
http { access_log off; server { listen 10.77.1.2:8080; root $work/www; } }
END
client nginx -p "$work" -c "$work/nginx.conf"
cat >"$work/edge.toml" <<'END'
[[listener]]
name = "edge"
address = "10.77.1.1:3128"
clients = ["10.77.0.0/16"]
transport = "mptcp"

[origin]
allow = ["10.77.1.2"]

[steering]
path_manager = "userspace"

[[path]]
name = "dsl"
client = ["10.77.1.0/24"]

[[policy]]
name = "bound"
path = "dsl"
action = "limit"
rate = "50 Mbit/s"
enforce = "always"
END
chmod 644 "$work/edge.toml"

fetch() { client mptcpize run curl --silent --show-error --fail --max-time 20 --retry 20 --retry-connrefused --retry-delay 1 --proxy http://10.77.1.1:3128 http://10.77.1.2:8080/small; }
config=(--volume "$work/edge.toml:/etc/anabranch/anabranch.toml:ro")
# Cgroups and a higher limit of descriptors are the machine's to give; neither is what is tried here.
unmanaged=(--cgroups disabled --ulimit nofile=16384:16384 --ulimit nproc=1024:1024)

useradd --home-dir "$work/home" "$user"
chown -R "$user" "$work/home"
install -m 755 "$binary" "$work/anabranch"
tar --create --file "$work/root.tar" --directory "$root" --exclude='./dev/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' .
as_user "$here/build.sh" "$work/anabranch" "$work/root.tar" >/dev/null
as_user podman run --detach --name proxy "${unmanaged[@]}" --network host --read-only --tmpfs /run:mode=1777 --cap-drop all \
    --security-opt no-new-privileges "${config[@]}" anabranch >/dev/null
[ "$(fetch)" = hello ] || { as_user podman logs proxy; fail "rootless: no fetch"; }
as_user podman logs proxy 2>/dev/null | grep -o 'mptcp=[a-z-]*' | sed 's/^/rootless, host network: /'
as_user podman exec proxy anabranch status
as_user podman stop --time 45 proxy >/dev/null
[ "$(as_user podman inspect --format '{{.State.ExitCode}}' proxy)" = 0 ] || fail "rootless: no clean stop"

# Root's images of this run, apart from those the machine may have.
CONTAINERS_STORAGE_CONF=$work/storage.conf
export CONTAINERS_STORAGE_CONF
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/storage" "$work/run" >"$CONTAINERS_STORAGE_CONF"
"$here/build.sh" "$binary" "$root" >/dev/null
edge nft list ruleset >"$work/before"
edge podman run --detach --name edge "${unmanaged[@]}" --network host --read-only --tmpfs /run --user 0 --cap-drop all \
    --cap-add NET_ADMIN,NET_RAW,BPF,PERFMON --security-opt unmask=/proc/sys --security-opt seccomp=unconfined --security-opt no-new-privileges "${config[@]}" \
    anabranch run --config /etc/anabranch/anabranch.toml >/dev/null
[ "$(fetch)" = hello ] || { podman logs edge; fail "privileged: no fetch"; }
podman logs edge 2>&1 | grep -e WARN -e 'not possible' || true
edge podman exec edge anabranch policy list
edge nft list table netdev anabranch >/dev/null || fail "privileged: a policy is in force and nothing is in the kernel"
edge podman stop --time 45 edge >/dev/null
edge nft list ruleset | cmp - "$work/before" || fail "privileged: something stays in the kernel"
echo "privileged, host network: steers, and leaves nothing"
