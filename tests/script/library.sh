#!/bin/sh
# SPDX-License-Identifier: MIT
# The built library is what <vvm.h> and <vvm_heap.h> promise: it exports every
# function of the headers and nothing else, has the soname libvvm.so.0 and the version of the
# header, and the probes of vvm(7); the headers compile alone, pedantically, in
# C and in C++. And the object for vvmrun makes its system calls from one place.
# Runs in the build directory.
: "${top_srcdir:=..}" "${CC:=cc}"
include=$top_srcdir/include
so=lib/.libs/libvvm.so
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

for h in vvm vvm_heap vvm_stat; do
	echo "#include <$h.h>" >"$tmp/$h.c"
	echo "int main(void) { return 0; }" >>"$tmp/$h.c"
	cp "$tmp/$h.c" "$tmp/$h.cc"
	# shellcheck disable=SC2086 # CC may hold options
	$CC -std=c11 -pedantic -Wall -Wextra -Werror -I"$include" \
		-o "$tmp/$h" "$tmp/$h.c" || fail "$h.h is not C11"
	if command -v c++ >/dev/null; then
		c++ -std=c++11 -Wall -Wextra -Werror -I"$include" \
			-o "$tmp/$h" "$tmp/$h.cc" || fail "$h.h is not C++11"
	fi
done

version=$(sed -n 's/^#define VVM_VERSION_[A-Z]* \([0-9]*\)$/\1/p' \
	"$include/vvm.h" | paste -sd .)
[ "$version" = "${PACKAGE_VERSION:-$version}" ] ||
	fail "vvm.h says version $version, configure.ac $PACKAGE_VERSION"
[ "$(sed -n 's/^Version: //p' lib/libvvm.pc)" = "$version" ] ||
	fail "libvvm.pc has another version than $version"

if [ -f $so ]; then
	# shellcheck disable=SC2086
	$CC -E -P -std=c11 -I"$include" "$tmp/vvm_heap.c" |
		sed 's/static inline.*//' |
		grep -o '\<vvm_[a-z0-9_]*(' | tr -d '(' |
		grep -v '^vvm_stat_bucket' | sort -u >"$tmp/declared"
	nm -D --defined-only $so | sed 's/@.*//' |
		awk '$2 != "A" { print $3 }' | sort -u >"$tmp/exported"
	diff "$tmp/declared" "$tmp/exported" ||
		fail "declared in vvm.h, vvm_heap.h (<) and exported (>) differ"
	# built without probes it has no notes
	sed -n 's/^\.It Fn \([a-z_]*\) .*/\1/p' "$top_srcdir/lib/api/vvm.7" |
		sort -u >"$tmp/documented"
	readelf -n $so | sed -n '/^ *Provider: libvvm/{n;s/ *Name: //p}' |
		sort -u >"$tmp/probes"
	[ ! -s "$tmp/probes" ] || diff "$tmp/documented" "$tmp/probes" ||
		fail "probes in vvm.7 (<) and in the library (>) differ"
	readelf -d $so | grep -q 'SONAME.*\[libvvm\.so\.0\]' ||
		fail "the soname is not libvvm.so.0"
else
	echo "no shared library was built: exports not looked at"
fi

# Functions of libc that the preload object uses as they are: those that make no
# system call, and those that are for its start only, or the end. All others
# must be in tools/preload/wrap.c, or a filter of the program kills for them.
preload=tools/preload/.libs/libvvm-preload.so
cat >"$tmp/plain" <<-'END'
	_IO_list_lock _IO_list_unlock __cxa_finalize __environ environ
	__errno_location __gmon_start__ __progname _r_debug
	_ITM_deregisterTMCloneTable _ITM_registerTMCloneTable
	program_invocation_short_name __stack_chk_fail __chk_fail
	bcmp memchr memcmp memcpy memmove memset stpcpy strcasecmp strchr strcmp strcpy strcspn
	strlen strncasecmp strncmp strncpy strrchr strsep strspn strstr
	strtok_r strtol strtoul strtoull __ctype_b_loc getrandom strerror strerrordesc_np
	snprintf vsnprintf __isoc99_sscanf getenv secure_getenv getauxval
	clock_gettime sysconf __sysconf dladdr dlsym
	_exit abort exit raise signal sigaction socket connect
	fdatasync fsync getuid pwrite
	sigaddset sigdelset sigemptyset sigfillset sigismember pthread_sigmask
	getcontext makecontext swapcontext __libc_stack_end
	pthread_mutexattr_getrobust
	pthread_attr_destroy pthread_attr_init pthread_attr_setstack
	pthread_attr_getaffinity_np pthread_attr_getdetachstate
	pthread_attr_getinheritsched pthread_attr_getschedparam
	pthread_attr_getschedpolicy pthread_attr_getscope
	pthread_attr_getsigmask_np pthread_attr_getstack
	pthread_attr_getstacksize pthread_attr_setaffinity_np
	pthread_attr_setdetachstate pthread_attr_setinheritsched
	pthread_attr_setschedparam pthread_attr_setschedpolicy
	pthread_attr_setscope pthread_attr_setsigmask_np
	pthread_attr_setstacksize pthread_create pthread_detach pthread_join
	pthread_key_create pthread_mutex_init pthread_mutex_lock
	pthread_mutex_unlock pthread_mutexattr_init pthread_mutexattr_setrobust
	pthread_once pthread_self pthread_setcancelstate
	pthread_setcanceltype pthread_setspecific
END
if [ -f $preload ]; then
	# what returns twice is jumped to (tools/preload/tail.h)
	for name in __sigsetjmp setjmp getcontext swapcontext; do
		[ "$(uname -m)" = x86_64 ] || break
		objdump -d "--disassemble=$name" $preload |
			grep -q 'jmp  *\*' ||
			fail "$name() calls libc's, and does not jump"
	done
	tr -s '\t ' '\n' <"$tmp/plain" | sort -u >"$tmp/known"
	nm -D --undefined-only $preload | awk '{ print $2 }' |
		sed 's/@.*//; s/^__\([a-z]*\)_chk$/\1/' |
		grep -v '^XXH\|^LZ4_\|io_uring\|^__\(asan\|ubsan\|gcov\)' |
		sort -u >"$tmp/used"
	comm -13 "$tmp/known" "$tmp/used" >"$tmp/unknown"
	[ ! -s "$tmp/unknown" ] ||
		fail "neither known nor wrapped:" $(cat "$tmp/unknown")
fi
exit $bad
