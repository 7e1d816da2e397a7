# SPDX-License-Identifier: GPL-2.0
#
# The commands of this project; what the kernel builds of it is in Kbuild.

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

help:
	@echo 'make boot       set up, build the kernel with rseq in Rust, boot it, run the demonstration'
	@echo 'make test       set up, build the kernels (rseq in Rust and in C), run all tests'
	@echo 'make test-full  as test, with the long tests, more as 32-bit programs, and our objects in other configurations'
	@echo 'make test-debug the tests on kernels that look for mistakes (DEBUG="kasan kcsan rt")'
	@echo 'make bench      measure Rust against C; results in build/bench/'
	@echo 'make bench-alloc measure percpu-malloc against other allocators, and its drains'
	@echo 'make check      formatting, lints, warnings, kernel style'
	@echo 'make kernel     build only (IMPL="rust c rust-bench c-bench"; default: rust)'
	@echo 'make setup      find the tools, install or name those that are missing'
	@echo 'make series     the whole change as a git format-patch series, in build/series/'
	@echo 'make clean      remove build/ (downloads and the compiler cache stay)'
	@echo
	@echo 'KERNEL_SRC=DIR|TARBALL  use these sources of Linux'
	@echo 'JOBS=N                  parallel jobs (default: one per CPU)'

IMPL ?= rust
export RESTARTABLE_START := $(shell date +%s)

setup:
	@scripts/setup

tree: setup
	@scripts/apply

kernel: tree
	@scripts/kernel $(IMPL)

boot: tree
	@scripts/kernel rust
	@scripts/boot

test: tree
	@scripts/kernel rust c
	@scripts/test

test-full: tree
	@scripts/kernel rust c rust-bench c-bench
	@scripts/build-variants
	@scripts/test --full

DEBUG ?= $(basename $(notdir $(wildcard config/debug/*.config)))
test-debug: tree
	@set -e; for debug in $(DEBUG); do \
		scripts/kernel rust-$$debug; \
		scripts/test --on rust-$$debug; \
	done

bench: tree
	@scripts/kernel rust-bench c-bench rust-bench-stats
	@scripts/bench

bench-alloc: tree
	@scripts/kernel rust-bench
	@scripts/bench-alloc

check: tree
	@scripts/check

series: tree
	@scripts/export-series build/series

clean:
	@rm -rf build

.PHONY: help setup tree kernel boot test test-full test-debug bench bench-alloc check series clean
