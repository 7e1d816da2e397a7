# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by the other scripts: paths, messages, and how the kernel's make is called.
#
#   top build linux cache log   where things are
#   die MESSAGE...              message to stderr, exit 1
#   phase MESSAGE...            a headline with the time since the first script started
#   progress LOG COMMAND...     run COMMAND with its output in LOG, showing how far it is
#   patch_names                 the patches, one per line
#   objdir IMPL                 the O= directory of IMPL (rust, c, rust-bench, c-bench, ...)
#   kmake IMPL TARGET...        the kernel's make in that directory, with the toolchain of setup
#   kconfigure IMPL FILE...     its .config: only what these fragments ask for

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$top/build
linux=$build/linux
# shellcheck disable=SC2034 # for those who source this
log=$build/log
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restartable
toolchain=$build/toolchain
KMAKE_VARS=()
: "${RESTARTABLE_START:=$(date +%s)}"
export RESTARTABLE_START

die() {
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# only_one FILE: one run at a time, which holds a lock on FILE.
only_one() {
	exec {only_one}>"$1"
	flock -n "$only_one" || die "scripts/${0##*/} is already running here"
}

elapsed() {
	local s=$(($(date +%s) - RESTARTABLE_START))

	printf '%d:%02d' $((s / 60)) $((s % 60))
}

phase() {
	printf '[%s] %s\n' "$(elapsed)" "$*" >&2
}

# How far a log is: the steps of a kernel build, the files of an archive, or its last line.
progress_line() {
	awk -v t="$(elapsed)" '
		/^ +[A-Z]/ { n++; last = $1 " " $NF; what = "steps" }
		/^[^ ]+\/[^ ]*$/ { n++; last = $1; what = "files" }
		{ line = $0 }
		END {
			if (n) printf "[%s]   %d %s, at %.50s", t, n, what, last
			else printf "[%s]   %.70s", t, line
		}' "$1"
}

# A tool's last words that matter, and the remedy where the reason is known.
explain_failure() {
	grep -E -m 15 '^(error|E|tar|cp|xz)[:[]|[:)] (fatal )?error: |\*\*\*|undefined (reference|symbol)|objtool: ' \
		"$1" >&2 ||
		tail -n 15 "$1" >&2
	if grep -q 'No space left on device' "$1"; then
		printf 'The disk is full: %s\n' \
			"make room (the builds need about 6 GB below $build), then run it again." >&2
	elif grep -q -E 'Killed|Cannot allocate memory|signal 9' "$1"; then
		printf 'Out of memory: try again with JOBS=1 in the environment.\n' >&2
	fi
}

progress() {
	local file=$1 pid rc=0 tick=0 period=15
	shift
	mkdir -p "${file%/*}"
	[[ -t 2 ]] && period=1
	"$@" >"$file" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		((++tick % period)) && continue
		if [[ -t 2 ]]; then
			printf '\r\033[K%s' "$(progress_line "$file")" >&2
		else
			printf '%s\n' "$(progress_line "$file")" >&2
		fi
	done
	[[ -t 2 ]] && printf '\r\033[K' >&2
	wait "$pid" || rc=$?
	if ((rc)); then
		explain_failure "$file"
		printf 'Full log: %s\n' "${file#"$PWD"/}" >&2
	fi
	return "$rc"
}

# The names in patches/series, in order.
patch_names() {
	sed -n -E 's/[[:space:]]*(#.*)?$//; /\.patch$/p' "$top/patches/series"
}

objdir() {
	printf '%s/x86_64-%s\n' "$build" "$1"
}

# Sets LLVM CLANG LIBCLANG_PATH RUSTC RUSTC_VERSION RUST_LIB_SRC BINDGEN.
load_toolchain() {
	[[ -r $toolchain ]] || die "no compilers chosen yet: run 'make setup'"
	# shellcheck source=/dev/null
	. "$toolchain"
}

# crates_cargo ARGUMENT...: cargo for the crates of tools/lib/percpu/rust, by the chosen toolchain
crates_cargo() (
	load_toolchain
	cd "$top/tools/lib/percpu/rust" &&
		PATH=${RUSTC%/*}:$PATH CARGO_TARGET_DIR=$build/crates cargo "$@"
)

# build_malloc DIR: libpercpu_malloc.so, there
build_malloc() {
	crates_cargo build --locked --release -p percpu-malloc --features preload &&
		cp "$build/crates/release/libpercpu_malloc.so" "$1"
}

# Prints a Python that has matplotlib: the machine's, or one in the cache.
plotting_python() {
	local python

	for python in python3 /usr/bin/python3 "$cache/plot/bin/python3"; do
		if "$python" -c 'import matplotlib' 2>/dev/null; then
			echo "$python"
			return
		fi
	done
	return 1
}

# Paths given to the compiler are relative (srcroot), so that ccache serves any clone.
# Further variables for make can stand in the array KMAKE_VARS.
kmake() {
	local dir bin src=${linux##*/}

	dir=$(objdir "$1")
	shift
	[[ -f $linux/Makefile ]] || die "no kernel tree in ${linux#"$PWD"/}: run 'make kernel'"
	load_toolchain
	bin=${RUSTC%/*}
	mkdir -p "$dir"
	env -u MAKEFLAGS -u MFLAGS CCACHE_DIR="$cache/ccache" CCACHE_BASEDIR="$top" \
		CCACHE_MAXSIZE=10G LIBCLANG_PATH="$LIBCLANG_PATH" \
		make -C "$dir" -f "../$src/Makefile" srcroot="../$src" -j "${JOBS:-$(nproc)}" \
		ARCH=x86_64 LLVM="$LLVM" CC="ccache $CLANG" HOSTCC="$CLANG" \
		RUSTC="$RUSTC" HOSTRUSTC="$RUSTC" RUSTDOC="$bin/rustdoc" RUSTFMT="$bin/rustfmt" \
		CLIPPY_DRIVER="$bin/clippy-driver" BINDGEN="$BINDGEN" RUST_LIB_SRC="$RUST_LIB_SRC" \
		"${KMAKE_VARS[@]}" "$@"
}

# An option that the fragments ask for and that does not get its value is an error.
kconfigure() {
	local impl=$1 dir lost

	dir=$(objdir "$impl")
	shift
	mkdir -p "$dir" "$log"
	cat "$@" >"$dir/fragments.config"
	[[ ! -f $dir/.config ]] || cp -p "$dir/.config" "$dir/.config.before"
	kmake "$impl" KCONFIG_ALLCONFIG=fragments.config allnoconfig \
		>"$log/config-$impl.log" 2>&1 || {
		explain_failure "$log/config-$impl.log"
		die "cannot configure $impl; full log: build/log/config-$impl.log"
	}
	lost=$(lost_options "$dir/fragments.config" "$dir/.config")
	[[ -z $lost ]] || die "Kconfig does not accept these options for $impl: $lost" \
		"(a dependency is off, or a tool too old: see build/log/config-$impl.log)"
	if cmp -s "$dir/.config.before" "$dir/.config"; then
		mv "$dir/.config.before" "$dir/.config" # the old time stamp: nothing to redo
	fi
}

# lost_options WANTED CONFIG: of several values for an option the last one is wanted
lost_options() {
	awk '
		function name(line) { sub(/^# /, "", line); sub(/[= ].*/, "", line); return line }
		!/^(# )?CONFIG_/ { next }
		NR == FNR { want[name($0)] = $0; next }
		{ have[name($0)] = $0 }
		END {
			for (n in want)
				if (want[n] ~ /is not set|=n$/ ? have[n] ~ /=/ : have[n] != want[n])
					printf "%s ", want[n]
		}' "$1" "$2"
}
