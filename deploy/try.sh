#!/bin/sh
# Prints how to try the proxy that is about to start; called by `make run`.
#
#     deploy/try.sh BINARY [CONFIG]

set -eu

binary=${1:?the binary}
config=${2:-}

if [ -n "$config" ]; then
    echo "anabranch starts with $config; Ctrl-C drains and ends it."
    exit 0
fi
cat <<END

anabranch starts on its embedded defaults: 127.0.0.1:3128 and [::1]:3128, for this machine only. Ctrl-C ends it.
In another terminal:

    curl --proxy http://127.0.0.1:3128 -sSI https://example.org/                # a tunnel to the Internet
    mptcpize run curl --proxy http://127.0.0.1:3128 -sSI https://example.org/   # the same over Multipath TCP

Without the Internet:

    $binary status                              # how it is; also: connections
    curl --proxy http://127.0.0.1:3128 -i http://127.0.0.1/      # refused, with the reason: private addresses are closed
    make demo                                                    # two shaped links in private namespaces

To fetch something without the Internet, end this proxy (Ctrl-C), start it with an example that opens 127.0.0.1:8080, and serve:

    make run CONFIG=deploy/examples/try.toml
    python3 -m http.server --bind 127.0.0.1 8080                 # in a second terminal: serves its folder
    curl --proxy http://127.0.0.1:3128 http://127.0.0.1:8080/    # in a third

END
