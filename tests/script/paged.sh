# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034 # what those who source it read
# For scripts that run programs under vvmrun, in the build directory: $build,
# $run, and $counts: whether there is something to read in a summary. Without the
# preload object the script ends here, skipped.

# Where the preload object brings AddressSanitizer into programs without it;
# they die of signals as they would otherwise.
ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0:use_sigaltstack=0
ASAN_OPTIONS=$ASAN_OPTIONS:handle_segv=0:handle_sigbus=0
export ASAN_OPTIONS
build=$PWD
run=$build/tools/vvmrun/vvmrun
counts=yes
! grep -q -- '-DVVM_NO_STATS=1' "$build/Makefile" || counts=no
[ -f "$build/tools/preload/.libs/libvvm-preload.so" ] || {
	echo "no shared library was built, so no program can be paged"
	exit 77
}

# Skips the script where no program can be paged.
must_page()
{
	timeout $((60 * ${TEST_FACTOR:-1})) "$run" true 2>/dev/null && return
	echo "no program can be paged here: see vvmstat --doctor"
	exit 77
}
