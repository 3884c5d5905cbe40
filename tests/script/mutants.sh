#!/bin/sh
# SPDX-License-Identifier: MIT
# Each mutant of tests/mutants/ still applies, names tests that there are, and
# every folder of the library has some. That the tests notice them is shown by
# `make mutants`, which takes hours.
: "${top_srcdir:=$(dirname "$0")/../..}"
tables=$top_srcdir/tests/mutants
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

top_srcdir=$top_srcdir sh "$tables/mutants.sh" check || fail "see above"
for folder in "$top_srcdir"/lib/*/ "$top_srcdir"/tools/preload/ \
	"$top_srcdir"/tools/vvmrun/; do
	folder=${folder#"$top_srcdir"/}
	grep -q "^file $folder" "$tables"/*.mut || fail "$folder has no mutants"
done
[ "$(cat "$tables"/*.mut | grep -c '^mutant ')" -ge 150 ] ||
	fail "fewer than 150 mutants"
exit $bad
