#!/bin/sh
# SPDX-License-Identifier: MIT
# lib/door/table.c knows every system call that the kernel's headers have: those
# with pointers in its table, the others in its list. A call in neither is made
# with its pages pinned; it is noticed here. And what the preload object does beside
# a filter of the program's (gate_call()) is in the list that such a filter gets.
: "${top_srcdir:=.}" "${CC:=cc}"
table=$top_srcdir/lib/door/table.c
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT

# shellcheck disable=SC2086 # CC may hold options
echo '#include <asm/unistd.h>' | $CC -E -dM - |
	sed -n 's/^#define __NR_\([a-z_0-9]*\) .*/\1/p' | sort -u >"$tmp/all"
{
	sed -n 's/^[[:space:]]*\(ROW\|DATA\)(\([a-z_0-9]*\),.*/\2/p' "$table"
	sed -n 's/^[[:space:]]*NEW([0-9]*, \([a-z_0-9]*\),.*/\1/p' "$table"
	echo mseal
	grep -o '__NR_[a-z_0-9]*' "$table" | sed 's/__NR_//'
} | sort -u >"$tmp/known"
[ "$(wc -l <"$tmp/all")" -gt 200 ] || {
	echo "FAIL: <asm/unistd.h> has no system calls"
	exit 1
}
if comm -23 "$tmp/all" "$tmp/known" | grep .; then
	echo "FAIL: these are in neither list of lib/door/table.c"
	exit 1
fi
gate=$top_srcdir/tools/preload/gate.c
cat "$top_srcdir"/tools/preload/*.c | tr -d '\n\t ' |
	grep -o 'gate_call(SYS_[a-z_0-9]*' | sed 's/.*(//' | sort -u >"$tmp/made"
sed -n '/^static const int from_/,/^}/p' "$gate" | grep -o 'SYS_[a-z_0-9]*' |
	sort -u >"$tmp/permitted"
if [ ! -s "$tmp/made" ] || comm -23 "$tmp/made" "$tmp/permitted" | grep .; then
	echo "FAIL: these are in no list of tools/preload/gate.c"
	exit 1
fi
