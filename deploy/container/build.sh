#!/bin/sh
# Builds the container image out of a binary and a Debian root of its own: no image registry is asked.
#
#     deploy/container/build.sh BINARY [ROOT] [NAME]
#
# ROOT is what `debootstrap --variant=minbase bookworm ROOT` made, or an archive of it (.tar); without it one is made, which takes
# root. NAME is anabranch unless given. Takes buildah. The image goes into the storage of whoever calls: root for the privileged
# mode, yourself for the rootless one. Only root can read all of a Debian root, so the rootless one wants the archive:
#
#     sudo tar --create --file root.tar --directory ROOT --exclude './dev/*' .

set -eu
cd "$(dirname "$0")/../.."

binary=${1:?a built binary} root=${2:-} name=${3:-anabranch}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
trap 'exit 130' INT TERM

if [ -z "$root" ]; then
    root=$context/root
    debootstrap --variant=minbase bookworm "$root" >&2
fi
# Lists, caches and logs of the making are of no use in an image; neither are device files, which no rootless user may unpack.
if [ -f "$root" ]; then
    cp "$root" "$context/root.tar"
else
    tar --create --file "$context/root.tar" --directory "$root" --numeric-owner --exclude='./dev/*' --exclude='./proc/*' \
        --exclude='./sys/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' .
fi
install -m 755 "$binary" "$context/anabranch"
strip --strip-unneeded "$context/anabranch"
install -m 644 deploy/examples/minimal.toml "$context/anabranch.toml"
rm -rf "$context/root"
buildah build --quiet --tag "$name" --file deploy/container/Containerfile "$context"
