#!/bin/sh
# SPDX-License-Identifier: MIT
# `make lint`: clang-tidy (.clang-tidy says which checks, and why not others),
# cppcheck and gcc -fanalyzer over lib/ and tools/. Exit status: 0 nothing was
# found, 1 something was, or a tool is missing. LINT_FLAGS: from Makefile.
: "${top_srcdir:=.}" "${LINT_FLAGS:=-std=gnu11}"
cd "$top_srcdir" || exit 99
flags="$LINT_FLAGS -D_GNU_SOURCE -DVVMRUN_OBJECT_DIR=\"/\" \
	-DPACKAGE_VERSION=\"0\" -Iinclude -iquote lib -iquote tools"
files=$(find lib tools -name '*.c' | sort)
bad=0

# tool NAME PACKAGE
tool()
{
	command -v "$1" >/dev/null && return
	echo "lint: $1 is missing; Debian: apt-get install $2"
	bad=1
	return 1
}

# each WORD...: the command for every file, on all CPUs, only what it finds
each()
{
	echo "$files" | xargs -P "$(nproc)" -n 1 "$@" || bad=1
}

if tool clang-tidy clang-tidy; then
	echo "== clang-tidy"
	# xargs puts the file last; clang-tidy wants it before the flags
	# shellcheck disable=SC2016,SC2086 # for the inner shell; words
	each sh -c 'flags=$1; clang-tidy --quiet "$2" -- $flags 2>/dev/null' \
		- "$flags"
fi
if tool cppcheck cppcheck; then
	echo "== cppcheck"
	# Wrong ones: it does not know that out-of-memory does not return
	# (nullPointerRedundantCheck), nor that snprintf() of size 0 and a name
	# that is set in the first round are well (nullPointer); alloca() is
	# what exec() has in a child of vfork(); shifts of negative numbers are
	# gcc's arithmetic ones.
	# shellcheck disable=SC2086
	cppcheck --quiet --std=c11 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 -j "$(nproc)" \
		--suppress=missingInclude --suppress=allocaCalled \
		--suppress=nullPointerRedundantCheck \
		--suppress=shiftTooManyBitsSigned \
		--suppress=nullPointer:tools/preload/exec.c \
		--suppress=nullPointer:tools/vvmstat/view_rows.c \
		--suppress=invalidPrintfArgType_uint:tools/common/segment.c \
		-D_GNU_SOURCE -D__x86_64__ \
		-Iinclude -Ilib -Itools lib tools || bad=1
fi
if tool gcc gcc; then
	echo "== gcc -fanalyzer"
	# shellcheck disable=SC2086
	each gcc $flags -O2 -fanalyzer -Werror -c -o /dev/null
fi
exit $bad
