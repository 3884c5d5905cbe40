#!/bin/sh
# SPDX-License-Identifier: MIT
# All C files are as clang-format wants them (`make format-check`), which
# differs from version to version: 14 is the one that decides.
# --fix formats them (`make format`).
: "${top_srcdir:=.}"
cd "$top_srcdir" || exit 99

is_14()
{
	"$1" --version 2>/dev/null | grep -q 'version 14\.'
}

for format in clang-format-14 clang-format none; do
	! is_14 $format || break
done
if [ $format = none ]; then
	echo "skipped: clang-format 14 is missing;" \
		"Debian: apt-get install clang-format-14"
	exit 77
fi

if [ "${1:-}" = --fix ]; then
	find include lib tools tests -name '*.[ch]' -exec $format -i {} +
	exit
fi

find include lib tools tests -name '*.[ch]' \
	-exec $format --dry-run --Werror --ferror-limit=1 {} + || {
	echo "FAIL: to format them: make format"
	exit 1
}
