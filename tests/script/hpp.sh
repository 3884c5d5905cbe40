#!/bin/sh
# SPDX-License-Identifier: MIT
# <vvm.hpp> compiles without a warning as C++11 and C++17, and containers
# work on it (tests/script/hpp.cc). Skipped where there is no C++ compiler.
# Runs in the build directory.
: "${top_srcdir:=..}" "${CXX:=c++}"
build=$PWD
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

command -v "${CXX%% *}" >/dev/null || {
	echo "there is no C++ compiler ($CXX); Debian: apt-get install g++"
	exit 77
}
[ -f "$build/lib/.libs/libvvm.so" ] || {
	echo "no shared library was built"
	exit 77
}
for std in c++11 c++17; do
	echo "int main() {}" | $CXX -std=$std -x c++ -o "$tmp/none" - \
		2>/dev/null || continue # an older compiler
	# shellcheck disable=SC2086 # CXX may hold options
	$CXX -std=$std -pedantic -Wall -Wextra -Werror -pthread \
		-I"$top_srcdir/include" -o "$tmp/test" \
		"$top_srcdir/tests/script/hpp.cc" -L"$build/lib/.libs" \
		-lvvm || {
		echo "FAIL: vvm.hpp or its test as $std"
		bad=1
		continue
	}
	LD_LIBRARY_PATH=$build/lib/.libs timeout $((60 * ${TEST_FACTOR:-1})) "$tmp/test"
	status=$?
	[ $status -eq 77 ] && exit 77
	[ $status -eq 0 ] || {
		echo "FAIL: $std: status $status"
		bad=1
	}
done
exit $bad
