#!/bin/sh
# SPDX-License-Identifier: MIT
# `make torture`: torture/stress in many ways, for a time, and torture/crash and
# torture/heap among them. Run N has the seed SEED + N - 1, and the seed decides all
# that the command line leaves open: fault mode, swap (swaps.sh), threads, budget,
# what children inherit, I/O engine, policy. One line a run; the last line is the sum.
# Exit status: 0, 1 if a run has failed, 77 if this machine can run none.
usage()
{
	cat <<'END'
usage: runs.sh [OPTION]...    (or: make torture OPTION=VALUE...)
  --seconds S   SECONDS=S   all together, about; 60
  --seed N      SEED=N      of the first run; the time of day
  --faults M    FAULTS=M    thread, inline or guard
  --threads N   THREADS=N   1 to 64
  --budget N    BUDGET=N    pages
  --fork F      FORK=F      die or inherit
  --swap NAME   SWAP=NAME   file, named, loop, slow, tmpfs, ext4;
                            crash: kill -9 at random moments; heap: torture/heap
  --once        ONCE=1      one run, of all the time
Without a value an option is as if it were not there.
END
	exit "$1"
}

seconds='' seed='' faults='' threads='' budget='' fork='' swap_name='' once=''
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage 0 ;;
	--once) once=1 ;;
	--seconds | --seed | --faults | --threads | --budget | --fork | --swap)
		[ $# -ge 2 ] || usage 64 >&2
		case $1 in
		--seconds) seconds=$2 ;;
		--seed) seed=$2 ;;
		--faults) faults=$2 ;;
		--threads) threads=$2 ;;
		--budget) budget=$2 ;;
		--fork) fork=$2 ;;
		--swap) swap_name=$2 ;;
		esac
		shift
		;;
	*) usage 64 >&2 ;;
	esac
	shift
done
: "${seconds:=60}" "${seed:=$(date +%s)}" "${top_srcdir:=.}"
case "$seconds$seed" in *[!0-9]*) usage 64 >&2 ;; esac

# Mounts of our own, so that none is left whatever becomes of us.
if [ -z "$TORTURE_PRIVATE" ] && unshare -m true 2>/dev/null; then
	set -- --seconds "$seconds" --seed "$seed" --faults "$faults" \
		--threads "$threads" --budget "$budget" --fork "$fork" \
		--swap "$swap_name" ${once:+--once}
	TORTURE_PRIVATE=1 exec unshare -m --propagation private sh "$0" "$@"
fi

# shellcheck source=tests/torture/swaps.sh
. "$top_srcdir/tests/torture/swaps.sh"

# Longest and shortest run, and how many there are in between.
RUN_MAX=60 RUN_MIN=3 RUNS=16
kinds='file named loop slow crash tmpfs heap ext4'

child=
finish()
{
	trap '' INT TERM HUP
	[ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null
	swap_fini
}
trap 'finish' EXIT
trap 'exit 130' INT TERM HUP

# pick SALT WORD...: one of the words, which the run's seed decides
pick()
{
	x=$(((run_seed * 31 + $1) & 0xffffffff))
	x=$((((x >> 16 ^ x) * 0x45d9f3b) & 0xffffffff))
	x=$((((x >> 16 ^ x) * 0x45d9f3b) & 0xffffffff))
	x=$((x >> 16 ^ x))
	shift
	shift $((x % $#))
	echo "$1"
}

# Of the run's seed, all that nobody has decided.
choose()
{
	case $((run_seed % 4)) in
	0 | 2) r_faults=${faults:-thread} ;;
	1) r_faults=${faults:-inline} ;;
	3) r_faults=${faults:-guard} ;;
	esac
	# shellcheck disable=SC2086 # words
	r_kind=${swap_name:-$(set -- $kinds && shift $((run_seed / 2 % $#)) && echo "$1")}
	r_threads=${threads:-$(pick 1 1 2 4 8 16 32 64)}
	r_budget=${budget:-$(pick 2 1 2 4 8 16 64 256 1024)}
	r_fork=${fork:-$(pick 3 die inherit)}
	r_io=$(pick 4 auto auto sync)
	r_policy=$(pick 5 heat heat heat clock)
	r_size=$((1 + r_budget / 128))
	[ "$r_kind" != slow ] || r_size=1
}

# together COMMAND...: its exit status, its output in the file. In the background,
# since a trap waits for a command in the foreground.
together()
{
	if [ -n "$swap_run" ]; then
		($swap_run "$@") >"$swap_dir/output" 2>&1 9>&- &
	else
		"$@" >"$swap_dir/output" 2>&1 9>&- &
	fi
	child=$!
	wait "$child"
	status=$?
	child=
	return $status
}

# What hangs says so itself, and long before; and it ends when we are killed.
limit="timeout $((20 * seconds + 3600))"
! setpriv --pdeathsig TERM true 2>/dev/null ||
	limit="setpriv --pdeathsig TERM $limit"
run_stress()
{
	swap_begin "$r_kind" || return 77
	# shellcheck disable=SC2086 # words
	VVM_IO=$r_io VVM_POLICY=$r_policy together $limit tests/torture/stress \
		--seconds "$r_seconds" --seed "$run_seed" \
		--faults "$r_faults" --threads "$r_threads" --budget "$r_budget" \
		--fork "$r_fork" --size "$r_size" --swap "$swap" $swap_options
	result=$?
	swap_end
	return $result
}

run_crash()
{
	mkdir -p "$swap_dir/crash"
	# shellcheck disable=SC2086 # words
	VVM_FAULTS=$r_faults together $limit tests/torture/crash \
		--seconds "$r_seconds" --seed "$run_seed" --threads "$r_threads" \
		--budget "$r_budget" --fork "$r_fork" \
		--directory "$swap_dir/crash" --stress tests/torture/stress
}

run_heap()
{
	# shellcheck disable=SC2086 # words
	VVM_FAULTS=$r_faults VVM_STRESS_SECONDS=$r_seconds together \
		$limit tests/torture/heap
}

done_runs=0 failed=0 skipped=0
one_run()
{
	choose
	case $r_kind in
	crash) run_crash ;;
	heap) run_heap ;;
	*) run_stress ;;
	esac
	status=$?
	what=$(printf '%-10s %-6s %2s threads %4s pages %-5s %-7s' "$run_seed" \
		"$r_faults" "$r_threads" "$r_budget" "$r_kind" "$r_fork")
	case $status in
	0)
		done_runs=$((done_runs + 1))
		echo "$what  $(tail -n 1 "$swap_dir/output")"
		grep -a '^libvvm' "$swap_dir/output" | sort | uniq -c | head -n 5
		;;
	77)
		skipped=$((skipped + 1))
		echo "$what  skipped: ${swap_why:-$(tail -n 1 "$swap_dir/output")}"
		;;
	*)
		failed=$((failed + 1))
		echo "$what  FAILED, status $status"
		sed 's/^/    /' "$swap_dir/output"
		echo "    again: make torture ONCE=1 SECONDS=$r_seconds SEED=$run_seed" \
			"FAULTS=$r_faults THREADS=$r_threads BUDGET=$r_budget" \
			"FORK=$r_fork SWAP=$r_kind"
		;;
	esac
}

swap_init
begin=$(date +%s)
run_seed=$seed
r_seconds=$((seconds / RUNS))
[ "$r_seconds" -le "$RUN_MAX" ] || r_seconds=$RUN_MAX
[ "$r_seconds" -ge "$RUN_MIN" ] || r_seconds=$RUN_MIN
[ -z "$once" ] || r_seconds=$seconds
echo "torture for $seconds s, seed $seed, $r_seconds s a run"
while :; do
	one_run
	run_seed=$((run_seed + 1))
	[ -z "$once" ] && [ $(($(date +%s) - begin)) -lt "$seconds" ] || break
done
echo "$done_runs runs passed, $failed failed, $skipped skipped (seed $seed)"
[ "$failed" = 0 ] || exit 1
[ "$done_runs" -gt 0 ] || exit 77
