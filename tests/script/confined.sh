#!/bin/sh
# SPDX-License-Identifier: MIT
# vvmrun where there is little: no /dev/shm, a root that is read-only, small
# limits, a memory cgroup, name spaces. What cannot be had here is named and left
# out. Runs in the build directory.
: "${top_srcdir:=..}"
# shellcheck source=/dev/null
. "$top_srcdir/tests/script/paged.sh"
must_page
top=$(mktemp -d "${TMPDIR:-/var/tmp}/vvmconfined.XXXXXX") || exit 99
group=
bad=0

clean()
{
	rm -rf "$top"
	[ -z "$group" ] || rmdir "$group"
}
trap clean EXIT
chmod 755 "$top"

# Where the build is may be out of sight: what runs is a copy.
mkdir -p "$top/tools/vvmrun" "$top/tools/preload/.libs" "$top/swap"
cp "$build/tests/script/vvmrun_guest" "$top/guest"
for file in vvmrun/vvmrun preload/.libs/libvvm-preload.so; do
	cp "$build/tools/$file" "$top/tools/$file"
done
run=$top/tools/vvmrun/vvmrun
guest=$top/guest
limited="timeout -k 5 $((60 * ${TEST_FACTOR:-1}))"
unset VVM_SWAP VVM_RESIDENT

fail()
{
	echo "FAIL: $*"
	cat "$top/out"
	bad=1
}

# expect STATUS COMMAND...: its output goes to $top/out
expect()
{
	want=$1
	shift
	case $1 in
	in_*) "$@" >"$top/out" 2>&1 </dev/null ;; # which are limited within
	*) $limited "$@" >"$top/out" 2>&1 </dev/null ;;
	esac
	got=$?
	[ $got -eq "$want" ] || fail "status $got, not $want: $*"
}

# quiet STATUS COMMAND...: and it says nothing (a slow disk may be told of)
quiet()
{
	expect "$@"
	! grep -qv 'faults have not got on for' "$top/out" || fail "speaks: $*"
}

# says TEXT: in the only line of the library
says()
{
	grep -q "^libvvm.*$1" "$top/out" || fail "it does not say '$1'"
	[ "$(grep -c '^libvvm' "$top/out")" -eq 1 ] || fail "more than a line"
}

# ---- limits -----------------------------------------------------------------

if command -v prlimit >/dev/null; then
	for test in large forks; do
		quiet 0 prlimit --nofile=64 "$run" -m 1M "$guest" $test
		quiet 0 prlimit --memlock=0 "$run" -m 1M "$guest" $test
		quiet 0 prlimit --as=$((1 << 30)) "$run" -m 1M "$guest" $test
		quiet 0 prlimit --data=$((1 << 30)) "$run" -m 1M "$guest" $test
	done
	quiet 0 prlimit --nofile=64 env VVM_HANDLERS=4 "$run" -m 1M "$guest" large
	expect 125 prlimit --nofile=12 "$run" "$guest" malloc
	grep -q 'ulimit -n' "$top/out" || fail "which limit?"
	expect 125 prlimit --as=$((40 << 20)) "$run" "$guest" malloc
	grep -q 'ulimit -v' "$top/out" || fail "which limit?"
	expect 125 prlimit --fsize=1000000 "$run" "$guest" malloc
	says 'ulimit -f'
else
	echo "left out: limits (there is no prlimit)"
fi

# ---- file systems -----------------------------------------------------------

# in_view SETUP COMMAND...: where SETUP has changed the mounts; $top is /mnt
in_view()
{
	setup=$1
	shift
	$limited unshare -m sh -c "set -e; mount --bind '$top' /mnt
		mount --bind '$top/swap' /mnt/swap; $setup
		exec \"\$@\"" in_view "$@"
}

readonly='for dir in / /mnt; do mount -o remount,ro,bind $dir; done
	for dir in /dev/shm /tmp; do mount -t tmpfs -o ro none $dir; done'
if unshare -m sh -c 'mount --bind /tmp /mnt' 2>/dev/null; then
	run=/mnt/tools/vvmrun/vvmrun guest=/mnt/guest
	for shm in ro size=64M size=8k; do
		quiet 0 in_view "mount -t tmpfs -o $shm none /dev/shm; cd /mnt" \
			"$run" -m 1M -s /mnt/swap "$guest" large
		quiet 0 in_view "mount -t tmpfs -o $shm none /dev/shm" \
			"$run" -m 1M -s /mnt/swap "$guest" forks
	done
	expect 125 in_view "$readonly" "$run" -m 1M "$guest" malloc
	says 'swap /var/tmp .*Read-only file system: set VVM_SWAP'
	expect 0 in_view "$readonly; mount -t tmpfs -o size=64M none /tmp
		cd /tmp; export TMPDIR=/tmp" "$run" -m 1M "$guest" large
	says 'swap is in /tmp, which is memory'
	expect 0 in_view "$readonly; mount -t tmpfs -o size=64M none /tmp
		cd /mnt/swap" env TMPDIR=/mnt/swap "$run" -m 1M "$guest" large
	says 'swap is in /mnt/swap, as /var/tmp .*Read-only file system'
	expect 0 in_view 'mount -t tmpfs none /var; cd /mnt/swap' \
		env TMPDIR=/mnt/swap "$run" -m 1M "$guest" large
	says 'swap is in /mnt/swap, as /var/tmp .*No such file'
	# children go where their parent went, and say nothing more
	expect 0 in_view 'mount -t tmpfs none /var' \
		env TMPDIR=/mnt/swap "$run" -m 1M "$guest" forks
	says 'swap is in /mnt/swap'
	expect 135 in_view "$readonly; mount -t tmpfs -o size=4M none /tmp" \
		env VVM_FRAME_WAIT_MS=500 "$run" -m 1M "$guest" compute
	grep -q 'cannot grow beyond 3 MiB.*VVM_SWAP' "$top/out" ||
		fail "swap that is full"
	run=$top/tools/vvmrun/vvmrun guest=$top/guest
else
	echo "left out: file systems (no mount name space is to be had)"
fi

# ---- process ids --------------------------------------------------------------

if unshare -pf --mount-proc true 2>/dev/null; then
	quiet 0 unshare -pf --mount-proc "$run" -m 1M "$guest" forks
	# as the first process vvmrun gets orphans, whose end is not the program's
	expect 7 unshare -pf --mount-proc "$run" -v -m 1M sh -c \
		'(sleep 0 & echo $! >"$0")
		while kill -0 "$(cat "$0")" 2>/dev/null; do sleep 0.02; done
		exit 7' "$top/orphan"
	grep -q 'Exit status: 7' "$top/out" || fail "an orphan ended it"
else
	echo "left out: process ids (no pid name space is to be had)"
fi

# ---- a memory cgroup ------------------------------------------------------------

# in_group LIMIT COMMAND...: in a group of its own
in_group()
{
	echo "$1" >"$group/$limit" || return 99
	shift
	$limited sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" "$@"
}

make_group()
{
	own=$(sed -n 's/^[0-9]*:[^:]*\bmemory\b[^:]*:\(.*\)/\1/p' /proc/self/cgroup)
	limit=memory.limit_in_bytes
	group=/sys/fs/cgroup/memory${own%/}/vvmconfined.$$
	[ -n "$own" ] || {
		own=$(sed -n 's/^0:://p' /proc/self/cgroup)
		limit=memory.max
		group=/sys/fs/cgroup${own%/}/vvmconfined.$$
	}
	mkdir "$group" 2>/dev/null || group=
	[ -z "$group" ] || [ -w "$group/$limit" ] || {
		rmdir "$group"
		group=
	}
	[ -n "$group" ]
}

# has_budget KBYTES COMMAND...: in a group with a limit of 100 MiB
has_budget()
{
	kbytes=$1
	shift
	expect 0 in_group $((100 * mib)) "$@" -o "$top/summary" true
	[ $counts = no ] || grep -q "Budget (kbytes): $kbytes" "$top/summary" ||
		fail "not $kbytes: $*"
}

if make_group; then
	mib=1048576
	# the budget and 16 MiB are enough, whatever is written
	quiet 0 in_group $((24 * mib)) "$run" -m 8M "$guest" compute
	quiet 0 in_group $((24 * mib)) "$run" -m 8M "$guest" threads
	has_budget 51200 "$run" -m 50%
	has_budget 51200 "$run"
	VVM_RESIDENT=25% has_budget 25600 "$run"
	expect 0 in_group $((64 * mib)) "$run" -m 60M true
	says 'the memory that this process may use, 64 MiB'
else
	echo "left out: a memory cgroup (none can be made)"
fi
exit $bad
