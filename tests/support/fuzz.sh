#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh SECONDS TARGET... - libFuzzer on each, in turn, a line for each; see
# `make fuzz`. What is found is left in the current directory, as is each
# target's log.
seconds=$1
shift
bad=0

# number NAME LOG - a figure of libFuzzer's final statistics
number()
{
	sed -n "s/^stat::$1: *//p" "$2"
}

for target; do
	corpus=corpus/$target
	log=$(basename "$target").fuzz.log
	mkdir -p "$corpus"
	"./$target" -max_total_time="$seconds" -max_len=256 -len_control=0 \
		-timeout=60 -close_fd_mask=3 -print_final_stats=1 \
		-artifact_prefix="$(basename "$target")-" "$corpus" \
		>"$log" 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		found="nothing found"
	else
		found=$(sed -n 's/.*Test unit written to /FOUND: /p' "$log")
		found="${found:-FAILED with status $status}, see $log"
		bad=1
	fi
	echo "$target: $seconds s, $(number number_of_executed_units "$log")" \
		"inputs, $(find "$corpus" -type f | wc -l) kept: $found"
done
exit $bad
