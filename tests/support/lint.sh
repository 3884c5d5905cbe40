#!/bin/sh
# SPDX-License-Identifier: MIT
# `make lint`: clang-tidy (.clang-tidy says which checks, and why not others),
# cppcheck and gcc -fanalyzer over lib/ and tools/. Exit status: 0 nothing was
# found, 1 something was, or a tool is missing. LINT_FLAGS: from Makefile.
# LINT_FILES: these only. What a tool has wrong is told to it in the code,
# beside what is right: by an assertion or NOLINT(check), cppcheck-suppress.
: "${top_srcdir:=.}" "${LINT_FLAGS:=-std=gnu11}"
cd "$top_srcdir" || exit 99
flags="$LINT_FLAGS -D_GNU_SOURCE -DVVMRUN_OBJECT_DIR=\"/\" \
	-DPACKAGE_VERSION=\"0\" -Iinclude -iquote lib -iquote tools"
files=${LINT_FILES:-$(find lib tools -name '*.c' | sort)}
jobs=$(nproc)
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
	# shellcheck disable=SC2086 # words
	printf '%s\n' $files | xargs -P "$jobs" -n 1 "$@" || bad=1
}

if tool clang-tidy clang-tidy; then
	echo "== clang-tidy"
	# xargs puts the file last; clang-tidy wants it before the flags. One
	# file at a time: with more its valist checks go wrong.
	# shellcheck disable=SC2016,SC2086 # for the inner shell; words
	each sh -c 'flags=$1; clang-tidy --quiet "$2" -- $flags 2>/dev/null' \
		- "$flags"
fi
if tool cppcheck cppcheck; then
	echo "== cppcheck"
	# It knows gcc's word for "does not return" only. alloca() is what
	# exec() has in a child of vfork(). Across files (ctu) all that it
	# found was wrong, and that cannot be suppressed in the code.
	# shellcheck disable=SC2086
	cppcheck --quiet --std=c11 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 -j "$jobs" \
		--suppress=missingInclude --suppress=ctunullpointer \
		--suppress=ctuuninitvar \
		--suppress=allocaCalled:tools/preload/exec.c \
		-D_GNU_SOURCE -D__x86_64__ \
		"-D_Noreturn=__attribute__((noreturn))" "-DElfW(x)=Elf64_##x" \
		-Iinclude -Ilib -Itools $files || bad=1
fi
if tool gcc gcc; then
	echo "== gcc -fanalyzer"
	# It loses sight of what is stored in an array's items: what leaks
	# is AddressSanitizer's to find.
	# shellcheck disable=SC2086
	each gcc $flags -O2 -fanalyzer -Wno-analyzer-malloc-leak \
		-Werror -c -o /dev/null
fi
exit $bad
