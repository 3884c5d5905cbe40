#!/bin/sh
# SPDX-License-Identifier: MIT
# The built library is what <vvm.h> and <vvm_heap.h> promise: it exports every
# function of the headers and nothing else, has the soname libvvm.so.0 and the version of the
# header, and the probes of vvm(7); the headers compile alone, pedantically, in
# C and in C++.
# Runs in the build directory.
: "${top_srcdir:=..}" "${CC:=cc}"
include=$top_srcdir/include
so=lib/.libs/libvvm.so
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

for h in vvm vvm_heap vvm_stat; do
	echo "#include <$h.h>" >"$tmp/$h.c"
	echo "int main(void) { return 0; }" >>"$tmp/$h.c"
	cp "$tmp/$h.c" "$tmp/$h.cc"
	# shellcheck disable=SC2086 # CC may hold options
	$CC -std=c11 -pedantic -Wall -Wextra -Werror -I"$include" \
		-o "$tmp/$h" "$tmp/$h.c" || fail "$h.h is not C11"
	if command -v c++ >/dev/null; then
		c++ -std=c++11 -Wall -Wextra -Werror -I"$include" \
			-o "$tmp/$h" "$tmp/$h.cc" || fail "$h.h is not C++11"
	fi
done

version=$(sed -n 's/^#define VVM_VERSION_[A-Z]* \([0-9]*\)$/\1/p' \
	"$include/vvm.h" | paste -sd .)
[ "$version" = "${PACKAGE_VERSION:-$version}" ] ||
	fail "vvm.h says version $version, configure.ac $PACKAGE_VERSION"
[ "$(sed -n 's/^Version: //p' lib/libvvm.pc)" = "$version" ] ||
	fail "libvvm.pc has another version than $version"

if [ -f $so ]; then
	# shellcheck disable=SC2086
	$CC -E -P -std=c11 -I"$include" "$tmp/vvm_heap.c" |
		sed 's/static inline.*//' |
		grep -o '\<vvm_[a-z0-9_]*(' | tr -d '(' |
		grep -v '^vvm_stat_bucket' | sort -u >"$tmp/declared"
	nm -D --defined-only $so | sed 's/@.*//' |
		awk '$2 != "A" { print $3 }' | sort -u >"$tmp/exported"
	diff "$tmp/declared" "$tmp/exported" ||
		fail "declared in vvm.h, vvm_heap.h (<) and exported (>) differ"
	# built without probes it has no notes
	sed -n 's/^\.It Fn \([a-z_]*\) .*/\1/p' "$top_srcdir/lib/api/vvm.7" |
		sort -u >"$tmp/documented"
	readelf -n $so | sed -n '/^ *Provider: libvvm/{n;s/ *Name: //p}' |
		sort -u >"$tmp/probes"
	[ ! -s "$tmp/probes" ] || diff "$tmp/documented" "$tmp/probes" ||
		fail "probes in vvm.7 (<) and in the library (>) differ"
	readelf -d $so | grep -q 'SONAME.*\[libvvm\.so\.0\]' ||
		fail "the soname is not libvvm.so.0"
else
	echo "no shared library was built: exports not looked at"
fi
exit $bad
