# The usual ways in. Nothing clever happens here: the work is in scripts/, CMakePresets.json and cargo.

.DEFAULT_GOAL := help
.PHONY: help run build test test-sanitizers fuzz bench soak soak-sim lint format install clean guests bootstrap

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

run: build guests ## build, then run hundreds of copies of real programs
	scripts/demo build/dev/bin/weft

build: bootstrap ## build the library, the command line and the tests (build/dev)
	cmake --preset dev --log-level=WARNING
	cmake --build --preset dev -j $(JOBS)

test: build guests ## run every test
	ctest --preset dev -j $(JOBS)

test-sanitizers: bootstrap guests ## run the tests under ASan + UBSan, then under TSan (takes long)
	scripts/test-sanitizers $(JOBS)

fuzz: bootstrap ## run the fuzzers of what parses over libFuzzer, FUZZ_SECONDS each (default 60)
	@scripts/bootstrap --fuzz
	cmake --preset fuzz --log-level=WARNING
	cmake --build --preset fuzz -j $(JOBS)
	@set -e; for fuzzer in build/fuzz/fuzz/*_fuzz; do name=$$(basename $$fuzzer); echo "$$name"; mkdir -p build/fuzz/found/$$name; \
	  $$fuzzer -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ build/fuzz/found/$$name \
	    $$(find src tests -type d -name $${name}_corpus) 2>&1 | tail -n 3; done

soak: build ## run weft up with 60 children that fall, for SOAK_SECONDS (default 600)
	tests/stress/soak_up/soak_up.py --seconds $(SOAK_SECONDS)

soak-sim: build ## run 200 hours of faults in a tree of supervisors, in virtual time (10 minutes)
	WEFT_SOAK_SEEDS=200 build/dev/tests/supervise_test --gtest_filter='Soak*'

bench: bootstrap ## release build (fat LTO: 10 minutes and more), then the table of comparisons
	@scripts/bootstrap --bench
	cmake --preset release --log-level=WARNING
	cmake --build --preset release -j $(JOBS)
	bench/run

lint: bootstrap ## include directions, formatting, clang-tidy, clippy, shell scripts, words
	@scripts/bootstrap --lint
	scripts/lint all

format: bootstrap ## format the C++ and Rust sources in place
	scripts/lint format-in-place

install: bootstrap ## release build, installed below PREFIX (default /usr/local)
	cmake --preset release --log-level=WARNING -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build --preset release -j $(JOBS)
	cmake --install build/release

guests: bootstrap ## build the guest programs (build/guests)
	@scripts/build-guests

bootstrap: ## install what is missing on this machine
	@scripts/bootstrap

clean: ## remove everything that was built
	rm -rf build
