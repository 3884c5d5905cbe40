#!/bin/sh
# SPDX-License-Identifier: MIT
# vvmstat --sites names the code of a program under vvmrun that waits for pages:
# where threads resolve their own faults, where handler threads do, in trapped
# system calls, in code without a file, without symbols, in fork children. Runs
# in the build directory.
: "${top_srcdir:=..}" "${CC:=cc}"
build=$PWD
! grep -q -- '-DVVM_NO_STATS=1' "$build/Makefile" || {
	echo "built with --disable-stats: there are no sites"
	exit 77
}
tmp=$(mktemp -d) || exit 99
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
bad=0
tried=0
vvmrun=$build/tools/vvmrun/vvmrun
vvmstat=$build/tools/vvmstat/vvmstat

fail()
{
	echo "FAIL: $*"
	bad=1
}

# Nothing here takes more than a few seconds on an idle machine.
limited()
{
	timeout -k 5 200 "$@"
}

cat >"$tmp/guest.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 8192

static char *heap;
static unsigned long next = 1;

static char *any_page(void)
{
	next = next * 6364136223846793005ul + 1442695040888963407ul;
	return heap + (next >> 33) % PAGES * 4096;
}

__attribute__((noinline)) unsigned long slow_reader(const char *at)
{
	return *(const volatile unsigned long *)at; /* the line that waits */
}

static int by_call(const char *at)
{
	static int fd[2] = {-1, -1};
	char back[8];

	if (fd[0] < 0 && pipe(fd))
		return 0;
	return (int)write(fd[1], at, 8) + (int)read(fd[0], back, 8);
}

#ifdef __x86_64__
static unsigned long by_jit(const char *at)
{
	static const unsigned char load[] = {0x48, 0x8b, 0x07, 0xc3};
	static unsigned long (*code)(const char *);

	if (!code) {
		void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memcpy(p, load, sizeof(load));
		mprotect(p, 4096, PROT_READ | PROT_EXEC);
		code = (unsigned long (*)(const char *))p;
	}
	return code(at);
}
#else
#define by_jit slow_reader
#endif

static unsigned long work(const char *how, unsigned long n)
{
	unsigned long sum = 0;

	while (n--)
		sum += !strcmp(how, "jit")    ? by_jit(any_page())
		       : !strcmp(how, "call") ? (unsigned long)by_call(any_page())
					      : slow_reader(any_page());
	return sum;
}

int main(int argc, char **argv)
{
	unsigned long i;
	pid_t child;

	heap = malloc((PAGES + 1) * 4096ul);
	heap = (char *)(((uintptr_t)heap + 4095) & ~4095ul);
	for (i = 0; i < PAGES * 4096ul; i += 8)
		*(unsigned long *)(heap + i) = i * 0x9e3779b97f4a7c15ul;
	if (!strcmp(argv[1], "forever")) {
		printf("%d\n", (int)getpid());
		fflush(stdout);
		for (;;)
			work("read", 1000);
	}
	while (!strcmp(argv[1], "calls"))
		work("call", 1000);
	if (!strcmp(argv[1], "fork")) {
		child = fork();
		work("read", 500);
		if (child == 0)
			_exit(0);
		wait(NULL);
		return 0;
	}
	if (!strcmp(argv[1], "exec")) {
		work("read", 500);
		execl(argv[0], argv[0], "read", (char *)NULL);
	}
	work(argv[1], 1500);
	return argc > 2;
}
END
# shellcheck disable=SC2086 # CC may hold options
$CC -g -O1 -o "$tmp/guest" "$tmp/guest.c" || exit 99
strip -o "$tmp/stripped" "$tmp/guest" || exit 99
line=$(grep -n 'the line that waits' "$tmp/guest.c" | cut -d: -f1)

VVM_RESIDENT=4M VVM_SWAP=${TMPDIR:-/var/tmp} VVM_COMPRESS=off
export VVM_RESIDENT VVM_SWAP VVM_COMPRESS

# can MODE: are programs paged in this mode?
can()
{
	case $(VVM_LOG=info VVM_FAULTS=$1 limited "$vvmrun" -- true 2>&1) in
	*'not paged'* | *cannot*) return 1 ;;
	esac
	VVM_FAULTS=$1 limited "$vvmrun" -- true 2>/dev/null
}

# sites ARGS: into out and err
sites()
{
	limited "$vvmstat" --sites "$@" >"$tmp/out" 2>"$tmp/err"
}

# row PATTERN: the row of the output that is looked at
row()
{
	row=$(grep "$1" "$tmp/out" | head -n 1)
	[ -n "$row" ] || fail "$what: no row with $1: $(cat "$tmp/out" "$tmp/err")"
}

# is KEY VALUE: has the row this?
is()
{
	echo "$row" | grep -q "\"$1\":\"*$2\"*[,}]" ||
		fail "$what: no $1 of $2 in $row"
}

symbols=no
grep -q -- '-DHAVE_LIBDW=1' "$build/Makefile" && symbols=yes

# The code that waits is slow_reader(), named as well as this build can.
is_reader()
{
	if [ $symbols = no ]; then
		row "\"module\":\"$tmp/guest\""
		return
	fi
	row '"function":"slow_reader"'
	is module "$tmp/guest"
	is source "$tmp/guest.c"
	is line "$line"
}

for mode in inline guard; do
	what=$mode
	can $mode || continue
	tried=1
	VVM_FAULTS=$mode
	export VVM_FAULTS
	sites --json -e "$tmp/guest" read || fail "$what: status $?"
	is_reader
	is seen 0
	is faults '[1-9][0-9]*'
	is wait_us '[1-9][0-9]*'
	sites -e "$tmp/guest" read || fail "$what: text: status $?"
	grep -q '^waited .* sites$' "$tmp/out" || fail "$what: no sum"
	sites --folded -e "$tmp/guest" read || fail "$what: folded: status $?"
	grep -Eq '^guest;guest;[^ ;]+ [0-9]+$' "$tmp/out" ||
		fail "$what: folded: $(cat "$tmp/out")"
	[ $symbols = no ] || grep -q '^guest;guest;slow_reader ' "$tmp/out" ||
		fail "$what: folded without slow_reader"

	what="$mode, stripped"
	sites --json -e "$tmp/stripped" read || fail "$what: status $?"
	row "\"module\":\"$tmp/stripped\""
	is site 'stripped+0x[0-9a-f]*'
	is source ''

	what="$mode, JIT"
	if [ "$(uname -m)" = x86_64 ]; then
		sites --json -e "$tmp/guest" jit || fail "$what: status $?"
		row '"module":"\[anon\]"'
		is site '0x[0-9a-f]*'
	fi

	what="$mode, trapped calls"
	VVM_SYSCALLS=trap limited "$vvmstat" --sites --json -e "$tmp/guest" \
		call >"$tmp/out" 2>"$tmp/err"
	if [ "$(uname -m)" = x86_64 ] && ! grep -q trap "$tmp/err"; then
		row '"module":"[^"]*/libc[^"]*"'
		is faults '[1-9][0-9]*'
	fi

	what="$mode, fork"
	sites --json -e "$tmp/guest" fork || fail "$what: status $?"
	is_reader

	what="$mode, exec"
	sites --json -e "$tmp/guest" exec || fail "$what: status $?"
	is_reader

	what="$mode, failure"
	sites --json -e "$tmp/guest" read and fail
	[ $? = 3 ] || fail "$what: status"
	is_reader
done

# What the kernel says of a thread that waits for a handler.
what=thread
if can thread; then
	tried=1
	VVM_FAULTS=thread
	export VVM_FAULTS
	"$vvmrun" -- "$tmp/guest" forever >"$tmp/pid" &
	pid=$!
	tries=0
	while [ ! -s "$tmp/pid" ] && [ $tries -lt 1000 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	tries=0
	until sites --json -p "$pid" 0.5 1 && grep -q "$tmp/guest" "$tmp/out"
	do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || break
	done
	is_reader
	is faults 0
	is stalls 0
	is seen '[1-9][0-9]*'
	sites -p "$pid" || fail "$what: 2 seconds: status $?"
	grep -q '^waited .* s in [2-9]' "$tmp/out" || fail "$what: no 2 seconds"
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	sites -p "$pid"
	[ $? = 2 ] || fail "$what: of a process that has gone: status"
	pid=
	# in a system call that the kernel makes for it, until it is seen
	what="thread, calls"
	"$vvmrun" -- "$tmp/guest" calls >"$tmp/pid" &
	pid=$!
	tries=0
	until sites --json -p "$pid" 0.5 1 && grep -q /libc "$tmp/out"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || break
	done
	row '"module":"[^"]*/libc[^"]*"'
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	pid=
	what="thread, -e"
	sites --folded -e "$tmp/guest" read || fail "$what: status $?"
fi

[ $tried = 1 ] || {
	echo "no program can be paged here: see vvmstat --doctor"
	exit 77
}
exit $bad
