#!/bin/sh
# SPDX-License-Identifier: MIT
# What the table of settings, lib/settings.h, cannot be expanded into says the
# same as the table: the list in vvm(7), and in <vvm.h> the fields of struct
# vvm_options and the enums. (That a field has the type of its row, api/open.c
# has the compiler check.) The policies are in unit/conf.
#
#	settings.sh          check
#	settings.sh --mdoc   print the list, for pasting into lib/api/vvm.7
: "${top_srcdir:=$(dirname "$0")/../..}" "${CC:=cc}"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

# compiled ARGUMENT...: the compiler, on a file that may use the table
compiled()
{
	# shellcheck disable=SC2086 # CC may hold options
	$CC -w -iquote "$top_srcdir/lib" -I "$top_srcdir/include" "$@"
}

# What is wanted, from the table: "mdoc", "fields", "enums".
make_program()
{
	cat >"$tmp/table.c" <<-'END'
	#include <ctype.h>
	#include <stdio.h>
	#include <string.h>
	#include "settings.h"

	/* A sentence begins with a capital, but for a name like io_uring. */
	static int capital(const char *text)
	{
		size_t n = strcspn(text, " ,:");

		return memchr(text, '_', n) ? *text : toupper(*text);
	}

	static void mdoc(const char *variable, const char *field, int public,
			 const char *initial, const char *values,
			 const char *why, const char *what)
	{
		printf(".It Ev VVM_%s", variable);
		if (public)
			printf(" Pq Va %s", field);
		printf("\n%c%s.\nValues: ", capital(what), what + 1);
		for (; *values; values++)
			printf(*values == '|' ? ", " : "%c", *values);
		printf("; default: %s%s%s.\n", initial, *why ? ";\n" : "", why);
	}

	/* As the preprocessor prints it, without white space. */
	static void enum_of(const char *field, const char *values)
	{
		size_t i;

		printf("enumvvm_%s{", field);
		for (;; values++) {
			printf("VVM_");
			for (i = 0; field[i]; i++)
				putchar(toupper(field[i]));
			putchar('_');
			for (; *values && *values != '|'; values++)
				putchar(toupper(*values));
			if (!*values)
				break;
			putchar(',');
		}
		printf("};\n");
	}

	int main(int argc, char **argv)
	{
		struct {
			unsigned long long least, most;
			const char *why;
		} range;

	#define ROW(public, field, variable, initial, values, what) \
		if (!strcmp(argv[1], "mdoc")) \
			mdoc(#variable, #field, public, initial, values, \
			     range.why, what); \
		else if (!strcmp(argv[1], "fields") && public) \
			puts(#field);
	#define X(type, field, variable, initial, values, limits, what) \
		range = (__typeof__(range)){SETTING_LIMITS limits}; \
		ROW(1, field, variable, initial, values, what) \
		if (!strcmp(argv[1], "enums") && !strcmp(#type, "ENUM")) \
			enum_of(#field, values);
		SETTINGS_OPTIONS(X)
	#undef X
	#define X(type, field, variable, initial, values, limits, what) \
		range = (__typeof__(range)){SETTING_LIMITS limits}; \
		ROW(0, field, variable, initial, values, what)
		SETTINGS_PROCESS(X)
		return 0;
	}
	END
	compiled -o "$tmp/table" "$tmp/table.c" || fail "lib/settings.h: no table"
}

check_manual()
{
	"$tmp/table" mdoc >"$tmp/want"
	sed -n '/^\.\\" settings:/,/^\.\\" end of settings$/p' \
		"$top_srcdir/lib/api/vvm.7" | grep -v '^\.\\"' >"$tmp/manual"
	diff "$tmp/manual" "$tmp/want" ||
		fail "vvm.7 (<) and lib/settings.h (>) differ: see" \
			"tests/script/settings.sh --mdoc"
}

# <vvm.h> as the compiler sees it: no comments, no white space
check_header()
{
	echo '#include <vvm.h>' >"$tmp/header.c"
	compiled -E -P "$tmp/header.c" | tr '\n' ' ' >"$tmp/header"
	sed 's/.*struct vvm_options *{\([^}]*\)}.*/\1/' "$tmp/header" |
		tr ',;' '[\n*]' | sed 's/ *$//; s/.*[ *]//' | grep . |
		grep -vx struct_bytes | sort >"$tmp/fields"
	"$tmp/table" fields | sort | diff "$tmp/fields" - ||
		fail "struct vvm_options of vvm.h (<) and lib/settings.h (>)" \
			"have different fields"
	tr -d ' ' <"$tmp/header" >"$tmp/packed"
	"$tmp/table" enums >"$tmp/enums"
	while read -r enum; do
		grep -Fq "$enum" "$tmp/packed" ||
			fail "lib/settings.h wants a '$enum' of vvm.h"
	done <"$tmp/enums"
	[ -s "$tmp/enums" ] || fail "lib/settings.h has no enum"
}

make_program
if [ "${1:-}" = --mdoc ]; then
	"$tmp/table" mdoc
	exit
fi
check_manual
check_header
exit $bad
