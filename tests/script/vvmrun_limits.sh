#!/bin/sh
# SPDX-License-Identifier: MIT
# vvmrun: programs that lower their limits, give up rights and shut themselves
# in do so as without it, and their memory works on. What the guests do is in
# tests/script/vvmrun_limits.c and vvmrun_confined.c.
: "${top_srcdir:=..}"
# shellcheck source=/dev/null
. "$top_srcdir/tests/script/paged.sh"
must_page
limits=$build/tests/script/vvmrun_limits
confined=$build/tests/script/vvmrun_confined
# how NAME: is there such a way to take faults? (x86-64; a userfaultfd; 6.15)
how()
{
	timeout $((60 * ${TEST_FACTOR:-1})) "$run" --faults "$1" true 2>/dev/null
}
inline=yes guard=yes
how inline || inline=no
how guard || guard=no
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/vvmlimits.XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
VVM_SWAP=/var/tmp
export VVM_SWAP
bad=0

# expect STATUS COMMAND...: and that it says nothing
expect()
{
	want=$1
	shift
	timeout -k 5 $((120 * ${TEST_FACTOR:-1})) "$@" >"$tmp/out" 2>&1 </dev/null
	got=$?
	[ $got -eq "$want" ] && return
	echo "FAIL: status $got, not $want: $*"
	cat "$tmp/out"
	bad=1
}

quiet()
{
	expect "$@"
	# a slow disk is the watchdog's to tell, a signal the shell's
	if grep -v -e 'faults have not got on for' -e '^Bad system call' \
		"$tmp/out"; then
		echo "FAIL: it speaks: $*"
		bad=1
	fi
}

# both STATUS COMMAND...: without vvmrun and with
both()
{
	want=$1
	shift
	quiet "$want" "$@"
	quiet "$want" "$run" -m 1M "$@"
}

# ---- limits -----------------------------------------------------------------

for test in as data nofile child exec; do
	both 0 "$limits" $test
	quiet 0 "$run" -m 1M --mmap "$limits" $test
done
both 0 "$limits" fsize "$tmp/file"
[ $guard = no ] ||
	quiet 0 "$run" -m 1M --faults guard "$limits" fsize "$tmp/file"
VVM_IO=sync quiet 0 "$run" -m 1M "$limits" nofile
[ $inline = no ] ||
	quiet 0 "$run" -m 1M --faults inline "$limits" atfork
both 0 "$limits" atfork

# ---- rights -----------------------------------------------------------------

both 0 "$limits" groups
[ $inline = no ] || quiet 0 "$run" -m 1M --faults inline "$limits" groups

if [ "$(id -u)" -eq 0 ]; then
	both 0 "$limits" setuid
	both 0 "$limits" sshd "$tmp/root"
	# without its directory a child pages to memory, and says so
	expect 0 "$limits" chroot "$tmp/root"
	expect 0 "$run" -m 1M "$limits" chroot "$tmp/root"
fi
mkdir "$tmp/swap"
VVM_SWAP=$tmp/swap expect 0 "$run" -m 1M "$limits" swapgone "$tmp/swap"

# ---- filters of system calls ------------------------------------------------

for filter in sshd man tight tsync trap; do
	both 0 "$confined" $filter heap
	quiet 0 "$run" -m 256M "$confined" $filter heap
	VVM_IO=sync quiet 0 "$run" -m 1M "$confined" $filter heap
done
for filter in sshd man tight tsync timeless trap; do
	VVM_RESIDENT_MIN=512K VVM_RESIDENT_MAX=1M quiet 0 \
		"$run" -m auto "$confined" $filter following
done
both 0 "$confined" man fork
both 0 "$confined" forks fork
both 0 "$confined" trap trapped
both 0 "$confined" threads threads
for how in inline guard; do
	! how $how || quiet 0 "$run" -m 1M --faults $how "$confined" threads threads
done
both 0 "$confined" man refused
both 0 "$confined" none ours
# the kernel has no way from a filter to the strict mode
! grep -q '^Seccomp:.*0' /proc/self/status || both 0 "$confined" none strict
for test in child-killed child-exit; do
	both 0 "$confined" sshd $test
done
# a thread that is killed: the process lives while others do, and no longer
both 159 "$confined" sshd killed
both 159 "$confined" sshd thread
both 7 "$confined" sshd exit
if [ $inline = yes ]; then
	for filter in sshd tsync; do
		quiet 0 "$run" -m 1M --faults inline "$confined" $filter heap
	done
	quiet 0 "$run" -m 1M --faults inline "$confined" forks fork
fi

# ---- devices ----------------------------------------------------------------

timeout $((100 * ${TEST_FACTOR:-1})) "$limits" direct "$tmp/data"
case $? in
0)
	quiet 0 "$run" -m 1M "$limits" direct "$tmp/data"
	quiet 0 "$run" -m 1M --mmap "$limits" direct "$tmp/data"
	;;
77) echo "note: no O_DIRECT in $tmp" ;;
*) bad=1 ;;
esac
exit $bad
