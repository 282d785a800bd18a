#!/bin/sh
# Checks that this machine has what a make target needs, and installs the Debian packages that are missing.
#
#     deploy/bootstrap.sh run     compiler and curl
#     deploy/bootstrap.sh demo    and the tools of the lab: network, nginx, clients
#     deploy/bootstrap.sh lab     and the proxies that `lab conversion` holds beside anabranch
#     deploy/bootstrap.sh bench   what `lab` needs, and the other proxies that `make bench` measures
#     deploy/bootstrap.sh test    what `lab` needs, and what `make check` runs
#     deploy/bootstrap.sh deb     what `run` needs, and the tools that make a package
#     deploy/bootstrap.sh fuzz    what `run` needs, a C++ compiler and cargo-fuzz
#
# A browser is not among them: it is 300 MB, and only `lab client-setup` looks for one (apt-get install chromium), without which its full
# run says that nothing was measured of it.
#
# Says what it installs, before it does. Runs nothing when all is there. Never installs a Rust toolchain: which one a
# machine has is its owner's decision; the one command that cures a missing or old one is printed instead.

set -eu

cd "$(dirname "$0")/.."
# An ordinary user's PATH on Debian leaves out where nft, tc and nginx live.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
need=${1:?run, demo, lab, bench, test, deb or fuzz}

# program:package, one a line. The header stands for what a compiler needs besides itself.
case $need in
    run) level=1 ;;
    demo) level=2 ;;
    lab | bench) level=3 ;;
    test) level=4 ;;
    deb | fuzz) level=1 ;;
    *) echo "bootstrap: $need is none of run, demo, lab, bench, test, deb, fuzz" >&2; exit 64 ;;
esac
wanted="cc:gcc /usr/include/stdio.h:libc6-dev curl:curl /etc/ssl/certs/ca-certificates.crt:ca-certificates"
if [ "$level" -ge 2 ]; then
    wanted="$wanted ip:iproute2 tc:iproute2 ss:iproute2 nft:nftables ethtool:ethtool tcpdump:tcpdump unshare:util-linux"
    wanted="$wanted nginx:nginx-light wget:wget mptcpize:mptcpize sha256sum:coreutils sysctl:procps"
fi
if [ "$level" -ge 3 ]; then
    wanted="$wanted haproxy:haproxy squid:squid setpriv:util-linux"
fi
if [ "$level" -ge 4 ]; then
    wanted="$wanted shellcheck:shellcheck tshark:tshark pactester:libpacparser1 valgrind:valgrind"
fi
if [ "$need" = deb ]; then
    wanted="$wanted dpkg-shlibdeps:dpkg-dev strip:binutils"
fi
if [ "$need" = bench ]; then
    wanted="$wanted traffic_server:trafficserver tinyproxy:tinyproxy"
fi
if [ "$need" = fuzz ]; then
    # libFuzzer comes as source.
    wanted="$wanted c++:g++"
fi

missing=
for pair in $wanted; do
    thing=${pair%%:*} package=${pair#*:}
    case $thing in
        /*) [ -e "$thing" ] && continue ;;
        *) command -v "$thing" >/dev/null 2>&1 && continue ;;
    esac
    case " $missing " in *" $package "*) ;; *) missing="${missing:+$missing }$package" ;; esac
done

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null
}

install_packages() {
    # A package's service must not start because its program is wanted: while a policy says no, none does. Somebody
    # else's policy stays as it is.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    # A fresh machine has no lists yet, and an old one has lists of packages that are gone.
    # shellcheck disable=SC2086  # one word a package
    if ! apt --simulate install --no-install-recommends $missing 2>/dev/null; then apt update; fi
    # shellcheck disable=SC2086
    apt install --yes --no-install-recommends $missing ||
        { apt update && apt install --yes --no-install-recommends $missing; }
    for service in nginx haproxy squid trafficserver tinyproxy; do
        case " $missing " in
            *" $service "* | *" $service-light "*)
                # Wanted as a program in the lab's namespaces, not as a server of this machine at its next start.
                if command -v systemctl >/dev/null 2>&1; then as_root systemctl --quiet disable "$service" 2>/dev/null || true; fi
                ;;
        esac
    done
}

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "bootstrap: these Debian packages' programs are missing: $missing" >&2
        echo "bootstrap: this machine has no apt-get; install them its own way, then run make again" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        echo "bootstrap: missing packages, and no right to install them. As root:" >&2
        echo "    apt-get update && apt-get install -y --no-install-recommends $missing" >&2
        exit 1
    fi
    echo "bootstrap: installing $missing (apt-get, without recommendations)"
    install_packages
fi

# The toolchain: present, able to run here, and new enough.
wanted_rust=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml)
have_rust=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\.[0-9]*\).*/\1/p') || have_rust=
enough() {
    [ "${have_rust%%.*}" -gt "${wanted_rust%%.*}" ] ||
        { [ "${have_rust%%.*}" -eq "${wanted_rust%%.*}" ] && [ "${have_rust#*.}" -ge "${wanted_rust#*.}" ]; }
}
if [ -z "$have_rust" ] || ! enough; then
    if command -v rustup >/dev/null 2>&1; then
        cure="rustup toolchain install stable --profile minimal --component rustfmt,clippy && rustup default stable"
    elif apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [0-9]' && [ "$(id -u)" = 0 ]; then
        cure="apt-get install -y rustup && rustup default stable"
    elif apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [0-9]' && command -v sudo >/dev/null 2>&1; then
        cure="sudo apt-get install -y rustup && rustup default stable"
    else
        # Debian 12 has no rustup, and a user without sudo could not install it: rustup's own installer needs neither.
        cure="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
    fi
    echo "bootstrap: Rust $wanted_rust or newer is needed, ${have_rust:-none} is here. This cures it; then run make again:" >&2
    echo "    $cure" >&2
    exit 1
fi

# Any version that is here will do; a missing one is built at a version known to work.
if [ "$need" = fuzz ] && ! cargo fuzz --version >/dev/null 2>&1; then
    echo "bootstrap: installing cargo-fuzz 0.13.2 (cargo install; some minutes)"
    cargo install --quiet --locked cargo-fuzz@0.13.2
fi

[ "$level" -ge 4 ] || exit 0

if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    echo "bootstrap: rustfmt and clippy are needed. This cures it; then run make again:" >&2
    echo "    rustup component add rustfmt clippy" >&2
    exit 1
fi
# Any version that is here will do; a missing one is built at a version known to work.
if ! cargo deny --version >/dev/null 2>&1; then
    echo "bootstrap: installing cargo-deny 0.20.2 (cargo install; some minutes)"
    cargo install --quiet --locked cargo-deny@0.20.2
fi
