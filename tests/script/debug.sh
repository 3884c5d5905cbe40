#!/bin/sh
# SPDX-License-Identifier: MIT
# What debuggers, tracers and profilers can do with a paged process is what
# vvm(7) says. Each tool that is not installed, or not permitted, is left out;
# without any of them the test is skipped. Runs in the build directory.
: "${top_srcdir:=..}" "${CC:=cc}"
build=$PWD
tmp=$(mktemp -d) || exit 99
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
bad=0
tried=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

# Nothing here takes more than a second on an idle machine.
limited()
{
	timeout -k 5 100 "$@"
}

cat >"$tmp/guest.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vvm.h>

#define PAGES 1024
struct vvm *vm;
volatile unsigned long *absent, *resident;
volatile int stop;

static void wait_here(void)
{
	while (!stop)
		usleep(1000);
}

int main(int argc, char **argv)
{
	struct vvm_options options;
	uint64_t addr = VVM_ANYWHERE;
	unsigned long i;
	char *p;

	vvm_options_init(&options);
	options.resident_bytes = 64 << 12;
	if (vvm_open(&vm, &options) ||
	    vvm_map(vm, &addr, PAGES << 12, VVM_READ | VVM_WRITE, "guest"))
		return 77;
	p = vvm_ptr(vm, addr);
	for (i = 0; i < PAGES; i++)
		*(unsigned long *)(p + (i << 12)) = 0xabc000 + i;
	for (i = 0; i < PAGES; i++)
		if (*(unsigned long *)(p + (i << 12)) != 0xabc000 + i)
			return 5;
	absent = (void *)(p + 4096);
	resident = (void *)(p + ((PAGES - 1l) << 12));
	if (argc > 1 && !strcmp(argv[1], "end"))
		return vvm_close(vm);
	printf("ready\n");
	fflush(stdout);
	wait_here();
	return *absent == 0xabc001 ? 0 : 6;
}
END

[ -f "$build/lib/.libs/libvvm.so" ] || {
	echo "no shared library was built"
	exit 77
}
# shellcheck disable=SC2086 # CC may hold options
$CC -g -O0 -I"$top_srcdir/include" -o "$tmp/guest" "$tmp/guest.c" \
	-L"$build/lib/.libs" -lvvm || exit 99
export LD_LIBRARY_PATH="$build/lib/.libs"
ulimit -c 0
limited "$tmp/guest" end
status=$?
[ $status -ne 77 ] || {
	echo "no space can be opened here"
	exit 77
}
[ $status -eq 0 ] || fail "the guest alone ends with $status"

# Starts the guest and waits until its pages are where they are to be.
start()
{
	"$tmp/guest" >"$tmp/out" &
	pid=$!
	tries=0
	until grep -q ready "$tmp/out"; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || {
			fail "$1: the guest does not start"
			return 1
		}
		sleep .1
	done
}

# says FILE TEXT
says()
{
	grep -Fq "$2" "$1" || {
		cat "$1"
		fail "$VVM_FAULTS: ${1##*/} does not say '$2'"
	}
}

gdb_attached()
{
	start gdb || return
	limited gdb -nx -p "$pid" -batch -ex 'handle SIGBUS nostop noprint' \
		-ex bt -ex 'info threads' -ex 'print/x *absent' \
		-ex 'print vvm_touch(vm, (unsigned long)absent & ~4095ul, 4096, 0)' \
		-ex 'printf "%lx\n", *absent' -ex "gcore $tmp/core" \
		-ex 'set var stop = 1' >"$tmp/gdb" 2>&1 ||
		fail "$VVM_FAULTS: gdb ends with $?"
	says "$tmp/gdb" 'in wait_here'
	says "$tmp/gdb" 'in main'
	says "$tmp/gdb" 'vvm-handler'
	says "$tmp/gdb" 'Cannot access memory'
	says "$tmp/gdb" 'abc001'
	wait "$pid" || fail "$VVM_FAULTS: after gdb the guest ends with $?"
	pid=
	limited gdb -nx -batch -ex bt -ex 'print/x *absent' "$tmp/guest" \
		"$tmp/core" >"$tmp/core.gdb" 2>&1
	says "$tmp/core.gdb" 'in wait_here'
	says "$tmp/core.gdb" 'Cannot access memory'
}

# ptrace may be forbidden: Yama, a container
gdb_works()
{
	command -v gdb >/dev/null && sleep 60 &
	pid=$!
	limited gdb -nx -p "$pid" -batch -ex 'print 40 + 2' 2>/dev/null |
		grep -q '= 42'
	status=$?
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
	return $status
}

for VVM_FAULTS in thread inline; do
	export VVM_FAULTS
	if gdb_works; then
		tried=$((tried + 1))
		gdb_attached
	fi
	if limited strace -o /dev/null true 2>/dev/null; then
		tried=$((tried + 1))
		limited strace -f -o "$tmp/strace" "$tmp/guest" end ||
			fail "$VVM_FAULTS: under strace the guest ends with $?"
		says "$tmp/strace" userfaultfd
	fi
	if limited perf record -q -o "$tmp/perf" true 2>/dev/null; then
		tried=$((tried + 1))
		limited perf record -q -g -o "$tmp/perf" "$tmp/guest" end ||
			fail "$VVM_FAULTS: under perf the guest ends with $?"
	fi
	if limited valgrind -q true 2>/dev/null; then
		tried=$((tried + 1))
		limited valgrind -q "$tmp/guest" end >"$tmp/valgrind" 2>&1
		status=$?
		if grep -q 'debuginfo reader' "$tmp/valgrind"; then
			echo "valgrind cannot read what this compiler writes"
			continue
		fi
		[ $status -eq 77 ] ||
			fail "$VVM_FAULTS: under valgrind: status $status"
		says "$tmp/valgrind" 'valgrind runs one thread at a time'
	fi
done
[ $tried -gt 0 ] || {
	echo "neither gdb, strace, perf nor valgrind can be used here"
	exit 77
}
exit $bad
