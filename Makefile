# Everything a developer or an evaluator types. `make` alone prints this help.
# Each target does all of its own set-up (deploy/bootstrap.sh): packages on Debian when they are missing, then the build.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# An ordinary user's PATH on Debian leaves out nft, tc and nginx; a toolchain just installed is not on any PATH yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin

TARGET := $(or $(CARGO_TARGET_DIR),target)
ANABRANCH := $(TARGET)/release/anabranch
# `make run CONFIG=file` runs a configuration of your own.
CONFIG ?=
# Where `make lab` keeps its results.
RESULTS ?= docs/results
# How long `make fuzz` runs each target.
FUZZ_SECONDS ?= 600

# What `make bench` is told besides: `make bench BENCH="--rounds 9 --scenario bulk"`; see `bench --help`.
BENCH ?=

.PHONY: help run demo test check lab bench fuzz deb build lint deny docs scripts setup-run setup-demo setup-lab setup-bench setup-test setup-fuzz setup-deb

help: ## Print this help
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

run: setup-run build ## Build and start the proxy on its defaults, 127.0.0.1:3128, and say how to try it
	@deploy/try.sh $(ANABRANCH) $(CONFIG)
	@exec $(ANABRANCH) run $(if $(CONFIG),--config $(CONFIG))

demo: setup-demo build ## Show two shaped links add up: plain TCP, then anabranch, in private namespaces
	@exec $(ANABRANCH) demo

test: setup-test ## Everything CI runs: check, all tests, all experiments in their quick form
	@$(MAKE) check build
	@tests/run.sh

check: setup-test lint deny docs scripts ## Formatting, lints, licences and sources of dependencies, documentation, scripts

lab: setup-lab build ## Every experiment in full; the results go to docs/results/
	@tests/experiments.sh $(RESULTS)

bench: setup-bench build ## anabranch beside HAProxy, Squid and others, and the bare kernel: one table; BENCH="--quick" for a trial
	@cargo build --release --locked -p anabranch-bench
	@mkdir -p $(RESULTS)
	@$(TARGET)/release/bench --save $(RESULTS)/bench.json --plot $(RESULTS)/bench.svg $(BENCH)

fuzz: setup-fuzz ## Arbitrary bytes for whatever reads bytes, FUZZ_SECONDS (600) for each target
	@sniffer/fuzz/run.sh $(TARGET)/fuzz $(FUZZ_SECONDS)

deb: setup-deb build ## Build the Debian package (12 and 13) into target/debian
	@deploy/deb/build.sh $(ANABRANCH) $(TARGET)/debian

build: setup-run ## Build the release binaries
	@cargo build --release --locked -p anabranch -p anabranch-lab

lint: setup-test ## rustfmt and clippy
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings

deny: setup-test ## Licences, bans and sources of every dependency
	@cargo deny --locked check --hide-inclusion-graph licenses bans sources

docs: setup-test ## Build the documentation; a warning is an error
	@RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked

scripts: setup-test ## shellcheck over every shell script in the repository
	@find . .ci/run -path ./target -prune -o \( -name '*.sh' -o -path .ci/run -o -path './deploy/deb/p*' -o -path './deploy/openwrt/files/*' \) ! -name '*.config' -type f -exec shellcheck {} +

setup-run:
	@deploy/bootstrap.sh run

setup-demo:
	@deploy/bootstrap.sh demo

setup-lab:
	@deploy/bootstrap.sh lab

setup-bench:
	@deploy/bootstrap.sh bench

setup-test:
	@deploy/bootstrap.sh test

setup-fuzz:
	@deploy/bootstrap.sh fuzz

setup-deb:
	@deploy/bootstrap.sh deb
