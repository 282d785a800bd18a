#!/bin/sh
# Makes the Debian package out of a binary that is built: no network, no root, the same bytes for the same input.
#
#     deploy/deb/build.sh BINARY DIRECTORY [VERSION]
#
# VERSION is that of Cargo.toml unless given. A binary built on Debian 12 runs on 13 as well.

set -eu
cd "$(dirname "$0")/../.."

binary=${1:?a built binary} out=${2:?a directory for the package}
version=${3:-$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)}
arch=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-anabranch} <${DEBEMAIL:-anabranch@example.org}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root

put() { # MODE FILE PLACE
    install -D -m "$1" "$2" "$root/$3"
}

pages() {
    "$binary" manual "$work/manual"
    for page in "$work"/manual/man/*.1; do
        put 644 "$page" "usr/share/man/man1/${page##*/}"
    done
    gzip -9n "$root"/usr/share/man/man1/*.1
    put 644 "$work/manual/completions/anabranch.bash" usr/share/bash-completion/completions/anabranch
    put 644 "$work/manual/completions/_anabranch" usr/share/zsh/vendor-completions/_anabranch
    put 644 "$work/manual/completions/anabranch.fish" usr/share/fish/vendor_completions.d/anabranch.fish
}

files() {
    put 755 "$binary" usr/bin/anabranch
    strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/anabranch"
    put 644 deploy/deb/anabranch.toml etc/anabranch/anabranch.toml
    for unit in anabranch-proxy.service anabranch-steer.service anabranch.socket; do
        put 644 "deploy/systemd/$unit" "usr/lib/systemd/system/$unit"
    done
    put 644 deploy/systemd/anabranch.sysusers usr/lib/sysusers.d/anabranch.conf
    put 644 deploy/systemd/anabranch.tmpfiles usr/lib/tmpfiles.d/anabranch.conf
    put 644 deploy/sysctl.d/50-anabranch.conf usr/lib/sysctl.d/50-anabranch.conf
    put 644 deploy/deb/lintian-overrides usr/share/lintian/overrides/anabranch
    for example in edge household minimal; do
        put 644 "deploy/examples/$example.toml" "usr/share/doc/anabranch/examples/$example.toml"
    done
    put 644 deploy/deb/copyright usr/share/doc/anabranch/copyright
    changelog | gzip -9n >"$root/usr/share/doc/anabranch/changelog.gz"
}

# What changed is in the repository's changelog; Debian wants its own form.
changelog() {
    printf 'anabranch (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of this version.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

libraries() {
    # dpkg-shlibdeps wants a source package's control file beside it, and only to be there.
    mkdir -p "$work/debian"
    printf 'Source: anabranch\n\nPackage: anabranch\nArchitecture: any\n' >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O --ignore-missing-info "$root/usr/bin/anabranch" 2>/dev/null) | sed 's/^shlibs:Depends=//'
}

control() {
    mkdir -p "$root/DEBIAN"
    sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$arch/; s/@MAINTAINER@/$maintainer/; s/@LIBRARIES@/$(libraries)/" \
        -e "s/@SIZE@/$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)/" deploy/deb/control >"$root/DEBIAN/control"
    echo /etc/anabranch/anabranch.toml >"$root/DEBIAN/conffiles"
    # What the drop-in sets, one `key value` a line.
    sed -n 's/^-\{0,1\}\([a-z0-9_.]*\) = \(.*\)/\1 \2/p' deploy/sysctl.d/50-anabranch.conf >"$work/settings"
    for script in preinst postinst prerm postrm; do
        sed -e "/^@SETTINGS@\$/{r $work/settings" -e 'd}' "deploy/deb/$script" >"$root/DEBIAN/$script"
        chmod 755 "$root/DEBIAN/$script"
    done
    (cd "$root" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
        >"$root/DEBIAN/md5sums"
    chmod 644 "$root"/DEBIAN/control "$root"/DEBIAN/conffiles "$root"/DEBIAN/md5sums
}

pages
files
control
mkdir -p "$out"
dpkg-deb --root-owner-group --build "$root" "$out/anabranch_${version}_$arch.deb"
