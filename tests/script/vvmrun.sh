#!/bin/sh
# SPDX-License-Identifier: MIT
# vvmrun: programs that know nothing of libvvm behave under it as without:
# results, exit statuses, signals, environment, children. Runs in the build
# directory. What the guests do is in tests/script/vvmrun_guest.c and
# vvmrun_flags.c.
: "${top_srcdir:=..}" "${CC:=cc}"
# shellcheck source=/dev/null
. "$top_srcdir/tests/script/paged.sh"
guest=$build/tests/script/vvmrun_guest
guest_flags=$build/tests/script/vvmrun_flags
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/vvmrun.XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

# expect STATUS COMMAND...: its output goes to $tmp/out
expect()
{
	want=$1
	shift
	timeout $((60 * ${TEST_FACTOR:-1})) "$@" >"$tmp/out" 2>&1
	got=$?
	[ $got -eq "$want" ] || {
		fail "status $got, not $want: $*"
		cat "$tmp/out"
	}
}

# says TEXT: the last command printed it
says()
{
	grep -q -- "$1" "$tmp/out" || {
		fail "'$1' is not in the output:"
		cat "$tmp/out"
	}
}

# value NAME: of that line of the summary in $tmp/summary
value()
{
	sed -n "s/^	$1: //p" "$tmp/summary"
}

# counted NAME OPERATOR NUMBER: so says the summary, in a build that counts
counted()
{
	[ $counts = no ] || [ "$(value "$1")" "$2" "$3" ] ||
		fail "$1: $(value "$1"), not $2 $3"
}

# ---- needs nothing ----------------------------------------------------------

expect 0 "$run" --help
expect 0 "$run" --version
expect 125 "$run"
expect 125 "$run" --no-such-option true
expect 125 "$run" -m many true
expect 125 "$run" -m automatic true
expect 125 "$run" --faults sometimes true
expect 125 "$run" --syscalls sometimes true
expect 125 "$run" --mmap=x true
expect 125 "$run" --stat=never true
# LD_PRELOAD would be cut in two at the space
mkdir -p "$tmp/a build/vvmrun" "$tmp/a build/preload/.libs"
cp "$build/tools/vvmrun/.libs/vvmrun" "$tmp/a build/vvmrun/" 2>/dev/null ||
	cp "$run" "$tmp/a build/vvmrun/"
cp "$build/tools/preload/.libs/libvvm-preload.so" "$tmp/a build/preload/.libs/"
expect 125 "$tmp/a build/vvmrun/vvmrun" true
says "cannot hold this path"

expect 1 "$build/tools/vvmbench/vvmbench" confine true
says "after '--'"

if ! timeout $((60 * ${TEST_FACTOR:-1})) "$run" true; then
	"$build/tools/vvmstat/vvmstat" --doctor && fail "but vvmrun does not"
	[ $bad -eq 0 ] || exit 1
	echo "the rest needs userfaultfd, which this process may not use"
	exit 77
fi

# x86-64, and where there is a userfaultfd
inline=no
"$run" --faults=inline true 2>/dev/null && inline=yes
[ $inline = yes ] || echo "left out: --faults=inline, which there is not here"

# ---- what cannot be run -----------------------------------------------------

expect 127 "$run" "$tmp/none"
expect 127 "$run" no-such-program-anywhere
echo "not a program" >"$tmp/text"
expect 126 "$run" "$tmp/text"
echo 'int main(void) { return 3; }' >"$tmp/three.c"
# shellcheck disable=SC2086 # CC may hold options
if $CC -static -o "$tmp/static" "$tmp/three.c" 2>/dev/null; then
	expect 126 "$run" "$tmp/static"
	says "statically linked"
	printf '#!%s\n' "$tmp/static" >"$tmp/script"
	chmod +x "$tmp/script"
	expect 126 "$run" "$tmp/script"
	says "statically linked"
fi
# shellcheck disable=SC2086
$CC -o "$tmp/three" "$tmp/three.c" || fail "$CC"
patched()
{
	cp "$tmp/three" "$tmp/patched"
	printf '%b' "$1" | dd of="$tmp/patched" bs=1 seek="$2" conv=notrunc 2>/dev/null
	expect 126 "$run" "$tmp/patched"
}
patched '\01' 4
says "not a 64-bit program"
patched '\0367\0377' 18
says "another machine"
loader=$(LC_ALL=C readelf -l "$tmp/three" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
expect 126 "$run" "$loader" "$tmp/three"
says "is a dynamic loader"
expect 3 "$run" sh -c "exec '$loader' '$tmp/three'"
# one with another loader (a copy of ours does), which has nothing of us
cat >"$tmp/other.c" <<-'END'
#include <stdlib.h>
int main(void)
{
	return getenv("LD_PRELOAD") || getenv("VVMRUN") ? 4 : 3;
}
END
cp "$loader" "$tmp/ld-other.so.1"
# shellcheck disable=SC2086
$CC -Wl,--dynamic-linker="$tmp/ld-other.so.1" -o "$tmp/other" "$tmp/other.c" ||
	fail "$CC"
printf '#!%s\n' "$tmp/other" >"$tmp/script"
chmod +x "$tmp/script"
expect 3 "$tmp/other"
for program in "$tmp/other" "$tmp/script" "$tmp/ld-other.so.1"; do
	expect 126 "$run" "$program" true
	[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "more than a line"
	for how in "" --follow; do
		# shellcheck disable=SC2086
		{
			expect 3 "$run" $how sh -c 'exec "$0" "$1"' "$program" \
				"$tmp/other"
			expect 3 env PATH="$tmp:$PATH" "$run" $how sh -c \
				'exec "$0" "$1"' "${program##*/}" "$tmp/other"
			expect 3 "$run" $how sh -c '"$0" "$1"' "$program" \
				"$tmp/other"
			expect 0 "$run" $how "$guest" spawn3 "$program" \
				"$tmp/other"
		}
	done
done
if [ "$(id -u)" -eq 0 ]; then
	cp "$tmp/three" "$tmp/setuid"
	chown 65534 "$tmp/setuid" && chmod 4755 "$tmp/setuid"
	expect 126 "$run" "$tmp/setuid"
	says "privileges"
fi

# ---- ends -------------------------------------------------------------------

# with and without a process that waits
for wait in "" "-v" "--stat=100"; do
	# shellcheck disable=SC2086
	{
		expect 3 "$run" $wait "$tmp/three"
		expect 0 "$run" $wait -- true
		expect 143 sh -c "\"\$0\" $wait sh -c 'kill -TERM \$\$'" "$run"
		# what is sent to vvmrun reaches the program
		expect 7 sh -c "\"\$0\" $wait sh -c \
			'trap \"exit 7\" USR1; echo >\"$tmp/up\"; 
			 while :; do sleep 0.02; done' &
			until [ -e '$tmp/up' ]; do sleep 0.02; done
			kill -USR1 \$!; wait \$!" "$run"
	}
	rm -f "$tmp/up"
done
# whoever started vvmrun may not have wanted to know of its children
if env --ignore-signal=CHLD true 2>/dev/null; then
	expect 3 timeout -k 1 $((20 * ${TEST_FACTOR:-1})) env --ignore-signal=CHLD \
		"$run" -o "$tmp/summary" "$tmp/three"
	expect 0 env --ignore-signal=CHLD "$run" -o "$tmp/summary" \
		grep -q 'SigIgn:.*1....$' /proc/self/status
fi

# ---- what programs do -------------------------------------------------------

export VVM_SWAP="$tmp"
for test in malloc threads mainexit children fork forks dlopen closeall stack \
	foreign manyfiles generations robust; do
	expect 0 "$run" -m 1M "$guest" $test
done
# the same with a budget that follows the machine
for test in malloc threads children fork forks closeall foreign lowest generations \
	robust; do
	expect 0 env VVM_RESIDENT_MIN=512K VVM_RESIDENT_MAX=1M \
		"$run" -m auto -o "$tmp/summary" "$guest" $test
	counted 'Peak of resident paged memory (kbytes)' -le 1024
done
expect 0 "$run" -m auto -o "$tmp/summary" "$guest" malloc
expect 0 "$run" -m 1M "$guest" cycles 3
expect 0 "$run" -m 1M --mmap "$guest" mmap
expect 0 "$run" -m 1M --mmap=0 -o "$tmp/summary" "$guest" mmap
counted 'Swapped out (kbytes)' -ge 6144
for test in over refused segment advising userfault data barefork rawfork \
	words; do
	expect 0 "$guest" $test
	for how in thread inline guard; do
		! "$run" --faults=$how true 2>/dev/null ||
			expect 0 "$run" -m 1M --mmap --faults=$how "$guest" $test
	done
done
expect 0 "$run" -m 1M "$guest" rawclose
[ "$(wc -l <"$tmp/out")" -le 20 ] || fail "floods: $(wc -l <"$tmp/out") lines"
expect 125 sh -c 'ulimit -f 1000; exec "$0" true' "$run"
says "ulimit -f"
if [ $inline = yes ]; then
	expect 0 "$run" -m 1M --faults inline "$guest" compute
	expect 0 "$run" -m 1M --faults inline "$guest" malloc
	expect 0 "$run" -m 1M --faults inline "$guest" cycles 2
fi
# ---- signals, stacks and children that meet absent pages --------------------

signals=$build/tests/script/vvmrun_signals
for test in mask handler stack ranges libc "spawn $tmp/line"; do
	# shellcheck disable=SC2086
	{
		expect 0 "$signals" $test
		expect 0 "$run" -m 1M "$signals" $test
		[ $inline = no ] ||
			expect 0 "$run" -m 1M --faults inline "$signals" $test
	}
done

threads=$build/tests/script/vvmrun_threads
for test in attributes altstack contexts links blocked; do
	expect 0 "$threads" $test
	expect 0 "$run" -m 1M "$threads" $test
	[ $inline = no ] ||
		expect 0 "$run" -m 1M --faults inline "$threads" $test
done

# ---- structures that are there, and what they point to is not ---------------

calls=$build/tests/script/vvmrun_calls
for test in "vectors $tmp/file" "large $tmp/file" "messages $tmp/socket" waiting nothing structures; do
	# shellcheck disable=SC2086
	{
		expect 0 "$calls" $test
		expect 0 "$run" -m 1M "$calls" $test
		[ $inline = no ] ||
			expect 0 "$run" -m 1M --faults inline "$calls" $test
	}
done
for mode in $([ $inline = no ] || echo inline) guard; do
	expect 0 "$run" -m 1M --faults $mode --syscalls off "$calls" results
done
LD_PRELOAD=libm.so.6 expect 0 "$run" sh -c 'test "$LD_PRELOAD" = libm.so.6'

# ---- flags ------------------------------------------------------------------

# Each call on mappings does what it does without vvmrun, or is refused as
# vvmrun(1) says; then nothing has changed (the state of "advice" -2).
cat >"$tmp/flags.awk" <<-'AWK'
	function refused(call, value)
	{
		if (call == "mlockall")
			return "ENOMEM"
		if (call == "mremap" && $3 == "grow")
			return "ENOMEM" # where the kernel has room
		# paged memory has its place then
		if (call == "mmap" && trapped && / hint /)
			return 0
		if (call == "madvise-locked" && value == 24)
			return "EINVAL"
		if (call !~ /^madvise/)
			return ""
		# what there is: up to 25 but for some, and 102, 103
		return value ~ /^(10|12|13|14|17|18|25)$/ || value > 25 ? \
			"EINVAL" : ""
	}
	{ state = $0; sub(/^.*[|] /, "", state)
	  result = $0; sub(/^[^:]*: /, "", result); sub(/ .*/, "", result) }
	NR == FNR { plain[FNR] = $0; old[FNR] = result; next }
	$2 == -2 { unchanged = state }
	$1 == "mlockall" { unchanged = "0 kwkw" }
	{ lines = FNR }
	$0 == plain[FNR] { same++; next }
	# a kernel that does not know what we do
	old[FNR] == "EINVAL" && result == 0 && $2 ~ /^(8|15|19|2[0-4])$/ { next }
	result == refused($1, $2) &&
	($1 == "mremap" || $1 == "mmap" || state == unchanged) {
		next
	}
	{ print "plain: " plain[FNR]; print "paged: " $0; bad = 1 }
	END { exit bad || lines < 200 || same < lines / 2 ||
	      lines != length(plain) }
AWK
for how in "--mmap mmap" "--mmap malloc" "--faults=inline malloc"; do
	source=${how#* }
	[ $inline = yes ] || [ "${how% *}" = --mmap ] || continue
	timeout $((60 * ${TEST_FACTOR:-1})) "$guest_flags" "$source" <"$0" >"$tmp/plain" || fail flags
	expect 0 "$run" -m 4M "${how% *}" "$guest_flags" "$source" <"$0"
	# shellcheck disable=SC2086
	awk -v trapped="$("$run" -v ${how% *} true 2>&1 | grep -c trapped)" \
		-f "$tmp/flags.awk" "$tmp/plain" "$tmp/out" ||
		fail "flags: $how"
	says '^madvise 99 prot 3: EINVAL | kwkw/k'
	says '^mlockall 1: ENOMEM' # it was paged
done

"$run" -m 1M -o "$tmp/summary" "$guest" large || fail "summary"
counted 'Budget (kbytes)' = 1024
counted 'Peak of resident paged memory (kbytes)' -le 1024
counted 'Swapped out (kbytes)' -ge 3072
counted 'Programs paged' = 1
[ $counts = yes ] || grep -q 'Paged memory: not known (built ' "$tmp/summary" ||
	fail "the summary does not say why it knows nothing"
# it says how, in one line, if asked
VVM_SYSCALLS=off expect 0 "$run" -v --syscalls=auto "$guest" large
[ "$(grep -c '^vvmrun: ' "$tmp/out")" = 1 ] || fail "how: $(cat "$tmp/out")"
says '^vvmrun: vvmrun_guest: .*faults'
[ "$(value 'Exit status')" = 0 ] || fail "exit status"
[ $bad -eq 0 ] || cat "$tmp/summary"

for how in auto inline guard; do
	"$run" --faults=$how true 2>/dev/null || continue
	VVM_FORK=die expect 1 "$run" --faults=$how "$guest" fork
	says "a child made by fork(), touched"
done
expect 0 "$run" sh -c 'x=$(echo a$(echo b | cat)); (test $x = ab) || exit 1
	exec 3>&1 9>&1; (exec 4>&1; y=$(echo c); test $y = c)'

for entries in a=1 'a=1 b=2'; do # an odd or an even number of them
	expect 0 env $entries "$run" -m 1M "$guest" clean
done
# a program that becomes another stays paged; its environment is clean
printf '#!/usr/bin/env sh\nexec "%s" "$1"\n' "$guest" >"$tmp/script"
chmod +x "$tmp/script"
"$run" -m 1M -o "$tmp/summary" "$tmp/script" large || fail "exec"
counted 'Programs paged' = 3 # after two exec
counted 'Swapped out (kbytes)' -ge 3072
expect 0 "$run" -m 1M "$tmp/script" children

# --follow: children are paged, and can tell
"$run" --follow -m 1M -o "$tmp/summary" sh -c "'$guest' large; '$guest' malloc" ||
	fail "--follow"
counted 'Programs paged' = 3
[ $counts = no ] || grep -q 'Program .*(vvmrun_guest)' "$tmp/summary" ||
	fail "no children's lines"

[ $counts = no ] || {
	expect 0 "$run" --stat=0.05 -m 1M sh -c "sleep 2"
	says "-swap/s--"
}

if command -v c++ >/dev/null; then
	cat >"$tmp/cxx.cc" <<-'END'
	#include <map>
	#include <memory>
	#include <new>
	#include <string>
	struct alignas(256) wide { char c[256]; };
	int main()
	{
		std::map<int, std::string> m;
		for (int i = 0; i < 20000; i++)
			m[i] = std::string(i % 100, 'x') + std::to_string(i);
		auto w = std::make_unique<wide[]>(1000);
		if (reinterpret_cast<unsigned long>(&w[0]) % 256)
			return 1;
		delete[] new (std::nothrow) char[1000];
		try {
			volatile unsigned long huge = -1ul / 4;
			delete[] new char[huge];
			return 2;
		} catch (std::bad_alloc &) {
		}
		for (int i = 0; i < 20000; i++)
			if (m[i] != std::string(i % 100, 'x') + std::to_string(i))
				return 3;
	}
	END
	c++ -std=c++17 -o "$tmp/cxx" "$tmp/cxx.cc" || fail "c++"
	expect 0 "$run" -m 1M "$tmp/cxx"
fi

# ---- other allocators, and plugins ------------------------------------------

# An allocator that dies of blocks that are not its own.
cat >"$tmp/allocator.c" <<-'END'
	#include <stdint.h>
	#include <stdlib.h>
	#include <string.h>
	enum { MAGIC = 0x600d600d };
	static char room[64 << 20];
	static size_t used = 4096;
	struct head { uint64_t magic, bytes; };
	static struct head *of(void *p)
	{
		struct head *h = (struct head *)p - 1;
		if ((char *)p < room || (char *)p >= room + sizeof(room) ||
		    h->magic != MAGIC)
			abort();
		return h;
	}
	size_t malloc_usable_size(void *p) { return p ? of(p)->bytes : 0; }
	void free(void *p) { if (p) of(p); }
	void *malloc(size_t n)
	{
		struct head *h = (struct head *)(room + used);
		used += (n + 31) & -16ul;
		if (used > sizeof(room))
			abort();
		*h = (struct head){MAGIC, n};
		return h + 1;
	}
	void *calloc(size_t n, size_t size)
	{
		return malloc(n * size);
	}
	void *realloc(void *p, size_t n)
	{
		void *q = malloc(n);
		if (p)
			memcpy(q, p, of(p)->bytes < n ? of(p)->bytes : n);
		return q;
	}
	/* libc's second names, as some have them */
	void *__libc_malloc(size_t n) { return malloc(n); }
	void __libc_free(void *p) { free(p); }
	void *__libc_calloc(size_t n, size_t size) { return calloc(n, size); }
	void *__libc_realloc(void *p, size_t n) { return realloc(p, n); }
END
# shellcheck disable=SC2086
$CC -shared -fPIC -fno-builtin -o "$tmp/liballocator.so" "$tmp/allocator.c" &&
	$CC -o "$tmp/linked" -Wl,--no-as-needed "$top_srcdir/tests/script/vvmrun_sizes.c" \
		"$tmp/liballocator.so" &&
	$CC -o "$tmp/unlinked" "$top_srcdir/tests/script/vvmrun_sizes.c" ||
	fail "$CC: allocator"
expect 0 "$tmp/linked"
for how in --mmap --faults=inline; do
	[ $inline = yes ] || [ $how = --mmap ] || continue
	expect 0 "$run" -m 1M $how "$tmp/linked"
	LD_PRELOAD="$tmp/liballocator.so" expect 0 "$run" -m 1M $how \
		"$tmp/unlinked"
	# AddressSanitizer is an allocator, too, and bears no other.
	ldd "$build/tools/preload/.libs/libvvm-preload.so" | grep -q libasan &&
		continue
	for lib in /usr/lib/*/libjemalloc.so.? \
		/usr/lib/*/libtcmalloc_minimal.so.? /usr/lib/*/libmimalloc.so.?
	do
		[ ! -e "$lib" ] || LD_PRELOAD=$lib expect 0 "$run" -m 1M $how \
			"$tmp/unlinked"
	done
done

# A plugin that would find libc's functions before ours; and it is found by the
# program's own idea of where plugins are.
mkdir "$tmp/plugins"
cat >"$tmp/plugin.c" <<-'END'
	#define _GNU_SOURCE
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/mman.h>
	static char *early;
	__attribute__((constructor)) static void begin(void)
	{
		early = realpath("/usr/bin/..", NULL);
		free(strdup("from libc"));
	}
	int plugin(void)
	{
		char *a = NULL, *line = NULL;
		size_t n = 0;
		FILE *f = fopen("/proc/self/maps", "r");
		free(early);
		if (asprintf(&a, "%0900d", 42) < 0 || !f ||
		    getline(&line, &n, f) < 0)
			return 2;
		a = realloc(a, 200000);
		free(a);
		free(line);
		fclose(f);
		return 0;
	}
	void *give(size_t n) { return malloc(n); }
	void take(void *p) { free(p); }
	int unmap(void *p, size_t n) { return munmap(p, n); }
END
cat >"$tmp/host.c" <<-'END'
	#define _GNU_SOURCE
	#include <dlfcn.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/mman.h>
	int main(void)
	{
		int (*plugin)(void), (*unmap)(void *, size_t);
		void *(*give)(size_t), (*take)(void *), *l, *p;
		l = dlopen("libplugin.so", RTLD_NOW | RTLD_DEEPBIND);
		if (!l) {
			puts(dlerror());
			return 3;
		}
		plugin = (int (*)(void))dlsym(l, "plugin");
		give = (void *(*)(size_t))dlsym(l, "give");
		take = (void (*)(void *))dlsym(l, "take");
		unmap = (int (*)(void *, size_t))dlsym(l, "unmap");
		free(give(1000));
		take(malloc(1000));
		take(malloc(1000000));
		p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(p, 1, 4 << 20);
		if (unmap(p, 4 << 20))
			return 4;
		p = malloc(4 << 20); /* it may be there again */
		memset(p, 1, 4 << 20);
		return plugin();
	}
END
# shellcheck disable=SC2086
$CC -shared -fPIC -o "$tmp/plugins/libplugin.so" "$tmp/plugin.c" &&
	$CC -o "$tmp/host" "$tmp/host.c" -ldl -Wl,--enable-new-dtags \
		-Wl,-rpath,"$tmp/plugins" || fail "$CC: plugin"
expect 0 "$tmp/host"
expect 0 "$run" -m 1M "$tmp/host"
expect 0 "$run" -m 1M --mmap "$tmp/host"
[ $inline = no ] ||
	expect 0 "$run" -m 1M --faults=inline "$tmp/host"

# ---- a real program ---------------------------------------------------------

# 20 MiB of text, in long lines: each comparison needs the page of one
awk 'BEGIN { srand(1); for (i = 0; i < 1280; i++)
	printf "%.9f %016370d\n", rand(), i }' >"$tmp/text"
LC_ALL=C sort -S 256M --parallel=2 "$tmp/text" >"$tmp/plain"
LC_ALL=C timeout $((100 * ${TEST_FACTOR:-1})) "$run" -m 4M -o "$tmp/summary" \
	sort -S 256M --parallel=2 "$tmp/text" >"$tmp/paged" || fail "sort"
cmp "$tmp/plain" "$tmp/paged" || fail "sorted text differs"
counted 'Swapped out (kbytes)' -ge 12288

for left in /dev/shm/vvm-stat.*; do
	pid=${left#*stat.}
	[ ! -e "$left" ] || [ -e "/proc/${pid%.*}" ] || echo "note: $left is left"
done
exit $bad
