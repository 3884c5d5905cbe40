#!/bin/sh
# SPDX-License-Identifier: MIT
# summary.sh LOG...: prints the failures and, as the last line, the sum
#
#	N passed, N failed, N skipped
#
# over the single tests of all programs. A libcheck program counts as many
# tests as it reports, a script is one test, and a program that exits with 77
# is one skipped. A program that died, or never ran, counts as one failed.
# The exit status is 1 if anything failed.
passed=0 failed=0 skipped=0

# result LOG: PASS, FAIL, SKIP, ERROR, ... as Automake's driver recorded it
result()
{
	sed -n 's/^:test-result: *\([A-Z]*\).*/\1/p' "${1%.log}.trs" 2>/dev/null
}

# counts LOG: "passed failed" of what libcheck reports; nothing if it is none
counts()
{
	sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
		"$1" 2>/dev/null |
	awk '{ bad += $2 + $3; all += $1 } END { if (NR) print all - bad, bad }'
}

# explain LOG: libcheck's lines about what failed; without any, the last ones
explain()
{
	grep -a '^[^: ]*:[0-9]*:[FE]:' "$1" || tail -n 25 "$1"
}

for log; do
	result=$(result "$log")
	counts=$(counts "$log")
	good=${counts% *}
	bad=${counts#* }
	case $result in
	SKIP)
		skipped=$((skipped + 1))
		echo "skipped: ${log%.log}: $(grep -v '^SKIP ' "$log" | tail -n 1)"
		continue
		;;
	PASS)
		good=${good:-1} bad=${bad:-0}
		;;
	*)
		good=${good:-0} bad=${bad:-1}
		[ "$bad" -gt 0 ] || bad=1
		echo "failed: ${log%.log} (${result:-did not run or did not finish})"
		[ ! -f "$log" ] || explain "$log" | sed 's/^/    /'
		;;
	esac
	passed=$((passed + good))
	failed=$((failed + bad))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
