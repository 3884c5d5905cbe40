#!/bin/sh
# SPDX-License-Identifier: MIT
# The README does not rot: its settings table is what lib/util/conf.h says, its
# example compiles against the built library and prints what the README
# shows, and its commands work.
#
#	readme.sh           check; runs in the build directory
#	readme.sh --table   print the settings table, for pasting
#
# Conventions in README.md: the ```c block is demo.c, and a block after a line
# "<!-- file: name -->" is that file. The "$ " lines of a ```console block are
# one script, run with the built tools in a directory that holds these files;
# it fails if a command does. A block after a line "<!-- not run: why -->" is
# left out, and one that needs c++ where there is none. Lines after "$ " lines are output
# and are not compared, except demo's.
: "${top_srcdir:=..}" "${CC:=cc}"
top_srcdir=$(cd "$top_srcdir" && pwd) || exit 99
readme=$top_srcdir/README.md
build=$PWD
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

table()
{
	cat >"$tmp/table.c" <<-'END'
	#include <stdio.h>
	#include "util/conf.h"

	static void row(const char *env, const char *field, const char *def,
			const char *unit, const char *desc)
	{
		printf("| `VVM_%s` | `%s` | `%s` | ", env, field, def);
		for (; *unit; unit++)
			printf(*unit == '|' ? ", " : "%c", *unit);
		printf(" | %s |\n", desc);
	}

	int main(void)
	{
		printf("| variable | field | default | unit or values | what |\n");
		printf("|---|---|---|---|---|\n");
	#define X(type, field, env, def, unit, desc) \
		row(#env, #field, def, unit, desc);
		CONF_SETTINGS(X)
		return 0;
	}
	END
	# shellcheck disable=SC2086 # CC may hold options
	$CC -w -iquote "$top_srcdir/lib" -o "$tmp/table" "$tmp/table.c" &&
		"$tmp/table"
}

if [ "${1:-}" = --table ]; then
	table
	exit
fi

check_table()
{
	table >"$tmp/table.md" || fail "lib/util/conf.h: no table"
	sed -n '/^<!-- settings -->$/,/^<!-- end of settings -->$/p' "$readme" |
		grep '^|' >"$tmp/readme.md"
	diff "$tmp/readme.md" "$tmp/table.md" ||
		fail "settings: README (<) and lib/util/conf.h (>) differ;" \
			"see tests/script/readme.sh --table"
}

# Each "./bootstrap WORD" and `make WORD` of the README exists; they are not
# run here, because they run this.
# shellcheck disable=SC2013,SC2016 # words, and backquotes of the README
check_words()
{
	for word in $(grep -o '\./bootstrap [a-z][a-z]*' "$readme" |
		sort -u | cut -d' ' -f2); do
		"$top_srcdir/bootstrap" --help | grep -q "^  $word" ||
			fail "bootstrap knows no '$word'"
	done
	for word in $(grep -o '`make [a-z][a-z]*`' "$readme" | tr -d '`' |
		sort -u | cut -d' ' -f2); do
		grep -Eq "^([a-z-]+ )*$word( [a-z-]+)*:" Makefile ||
			fail "no target 'make $word'"
	done
	for test in $(grep -o '`\(api\|fuzz\|live\|unit\|torture\)/[a-z_]*`' \
		"$readme" | tr -d '`' | sort -u); do
		[ -f "$top_srcdir/tests/$test.c" ] ||
			fail "there is no tests/$test.c"
	done
}

# The blocks go to demo.c, block-1.sh, block-2.sh, ...
extract()
{
	awk -v tmp="$tmp" '
	/^```/ {
		if (kind != "") { kind = ""; next }
		kind = substr($0, 4)
		if (kind == "") kind = "text"
		if (kind == "console" && previous !~ /^<!-- not run: /)
			file = tmp "/block-" ++blocks ".sh"
		else if (previous ~ /^<!-- file: [a-z.]+ -->$/) {
			split(previous, word)
			file = tmp "/" word[3]
			kind = "source"
		} else if (kind == "c")
			file = tmp "/demo.c"
		else
			file = ""
		previous = ""
		next
	}
	kind == "" { if ($0 != "") previous = $0; next }
	file == "" { next }
	kind == "c" || kind == "source" { print >file }
	kind == "console" && /^\$ / { print substr($0, 3) >file; more = 0 }
	kind == "console" && more { print >file }
	kind == "console" { more = /\\$/ }
	' "$readme"
}

# A pkg-config file for the library that is built, not installed.
uninstalled()
{
	libs="-L$build/lib/.libs -lvvm"
	[ -f "$build/lib/.libs/libvvm.so" ] ||
		libs="$libs $(pkg-config --static --libs "$build/lib/libvvm.pc" |
			sed 's/-lvvm//') -pthread"
	cat >"$tmp/libvvm-uninstalled.pc" <<-END
	Name: libvvm
	Description: in the build directory
	Version: ${PACKAGE_VERSION:-0}
	Libs: $libs
	Cflags: -I$top_srcdir/include
	END
}

run_blocks()
{
	PKG_CONFIG_PATH=$tmp
	LD_LIBRARY_PATH=$build/lib/.libs
	PATH=$build/tools/vvmbench:$build/tools/vvmrun:$build/tools/vvmstat:$PATH
	export PKG_CONFIG_PATH LD_LIBRARY_PATH PATH
	cd "$tmp" || exit 99
	for block in block-*.sh; do
		[ -f "$block" ] || fail "README has no commands"
		if grep -q '^c++ ' "$block" && ! command -v c++ >/dev/null; then
			echo "-- $block: left out, there is no c++"
			continue
		fi
		echo "-- $block"
		cat "$block"
		echo wait >>"$block"
		timeout 60 sh -e "./$block" </dev/null >"$block.out" 2>&1 ||
			fail "status $? of:" "$(cat "$block")"
		cat "$block.out"
	done
}

check_table
check_words
extract
[ -f "$tmp/demo.c" ] || fail "README has no example"
if ! "$build/tools/vvmstat/vvmstat" --doctor >"$tmp/doctor"; then
	cat "$tmp/doctor"
	grep -Eq '^fail +(kernel|page size|userfaultfd) ' "$tmp/doctor" ||
		fail "vvmstat --doctor found something else than userfaultfd"
	[ $bad -eq 0 ] || exit 1
	echo "the commands need userfaultfd, which this process may not use"
	exit 77
fi
uninstalled
run_blocks
[ -x "$tmp/demo" ] || fail "no command of the README built demo"
want=$(grep -A 1 '^\$ \./demo$' "$readme" | tail -n 1)
[ "$("$tmp/demo")" = "$want" ] || fail "demo does not print '$want'"
exit $bad
