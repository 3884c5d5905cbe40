#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests as an ordinary user has them, and as in a default container: run as
# nobody, without capabilities, and with the filter of support/container.c. Which
# are left out there says each. `make check-user` runs all that can be; without
# --all it is a selection. Runs in the build directory, as root.
: "${top_srcdir:=..}"
export top_srcdir
: "${TEST_FACTOR:=10}" # of limits: the machine may be loaded
export TEST_FACTOR
confined=$PWD/tests/support/confined
tests="unit/os unit/os_uffd unit/ring unit/place unit/swap unit/stat unit/space
	unit/fill unit/fault unit/evict unit/mapping api/access api/fault
	api/locked api/map api/open api/stats"
[ "${1:-}" != --all ] || {
	shift
	tests=$*
}
"$confined" nobody true || exit 77
top=$(mktemp -d /var/tmp/vvmuser.XXXXXX) || exit 99
trap 'rm -rf "$top"' EXIT
chmod 1777 "$top"
TMPDIR=$top
export TMPDIR
bad=0

# one MODE TEST
one()
{
	case $2 in
	*.sh) set -- "$1" "$2" sh "$top_srcdir/tests/$2" ;;
	*) set -- "$1" "$2" "tests/$2" ;;
	esac
	mode=$1 test=$2
	shift 2
	timeout $((300 * TEST_FACTOR)) "$confined" "$mode" "$@" \
		>"$top/log" 2>&1 </dev/null
	case $? in
	0)
		echo "$mode $test: passed"
		grep -a 'left out' "$top/log" | sed 's/^/	/'
		;;
	77) echo "$mode $test: left out: $(tail -n 1 "$top/log")" ;;
	*)
		echo "FAIL: $mode $test"
		grep -a ':[FE]:' "$top/log" || tail -n 25 "$top/log"
		bad=1
		;;
	esac
}

for mode in nobody container; do
	"$confined" $mode true || {
		echo "$mode: left out"
		continue
	}
	for test in $tests; do
		one $mode "$test"
	done
done
exit $bad
