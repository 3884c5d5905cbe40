#!/bin/sh
# SPDX-License-Identifier: MIT
# Includes point down: a file of lib/ includes only headers of its own layer
# or of a lower one; the kernel is called in os*.c, io_uring in ring*.c and
# nowhere else; tools and api tests see the public headers only. And
# Makefile.am names every source file, or a package would lack it.
: "${top_srcdir:=.}"
cd "$top_srcdir" || exit 99
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

# layer NAME: the layer of lib/NAME.[ch]
layer()
{
	case $1 in
	vvm_stat) echo 0 ;;
	base | list | bits | format | awake | probe | lock | log | halt | buffer | pool | conf | os | os_*) echo 0 ;;
	pte | pagetable | region | frame | policy | policy_*) echo 1 ;;
	slots | hold | codec | prefetch | park | stat | stat_* | intent) echo 1 ;;
	ring | ring_* | poller | backing | swap | swap_* | inherit | copies) echo 2 ;;
	space | space_* | clock) echo 3 ;;
	fill | ahead | streams | reader | fault | piece | writeback | evict | inline | demand | handler | server | reclaim | trap) echo 4 ;;
	access | mapping | mapping_* | snapshot | fork | fork_*) echo 4 ;;
	fault_* | evict_* | handler_* | reclaim_* | trap_*) echo 4 ;;
	vvm | vvm_* | heap | heap_*) echo 5 ;;
	esac
}

# quoted FILE: the names it includes in quotes, without ".h"
quoted()
{
	sed -n 's/^#[[:space:]]*include "\(.*\)\.h".*/\1/p' "$1"
}

for file in lib/*.[ch]; do
	name=$(basename "${file%.[ch]}")
	mine=$(layer "$name")
	if [ -z "$mine" ]; then
		fail "$file has no layer: add it to tests/layers.sh"
		continue
	fi
	for header in $(quoted "$file"); do
		# vvm.h is the public header: its types are for everyone
		[ "$header" = vvm ] && continue
		theirs=$(layer "$header")
		[ "${theirs:-9}" -le "$mine" ] ||
			fail "$file (layer $mine) includes $header.h (${theirs:-?})"
	done
done

kernel='sys/mman\.h|sys/ioctl\.h|sys/syscall\.h|linux/userfaultfd\.h|linux/fs\.h'
for file in lib/*.[ch]; do
	case $file in
	lib/os.[ch] | lib/os_*.[ch] | lib/ring.c | lib/ring_*.[ch]) ;;
	*) ! grep -nE "^#[[:space:]]*include <($kernel)>" "$file" ||
		fail "$file calls the kernel: that is os.c's part" ;;
	esac
	case $file in
	lib/ring.c | lib/ring_*.[ch]) ;;
	*) ! grep -n '<liburing' "$file" ||
		fail "$file uses liburing: that is ring.c's part" ;;
	esac
done

for file in tools/*.[ch] tests/api_*.[ch]; do
	[ -f "$file" ] || continue
	for header in $(quoted "$file"); do
		case $header in vvm | vvm_stat) continue ;; esac
		# the simulator replays traces through the policies: pure
		# objects, which it links from a library of their own
		case $file,$header in tools/bench_sim*,policy) continue ;; esac
		[ ! -f "lib/${header##*/}.h" ] ||
			fail "$file includes $header.h of lib/: public headers only"
	done
done
for file in lib/*.[ch] tools/*.[ch1] tests/*.[ch] tests/*.sh; do
	name=$file
	# a test program may be named without its only source
	case $file in tests/*.c) name=${file%.c} ;; esac
	grep -q "\(^\|[[:space:]]\)$name\($\|[[:space:].]\)" Makefile.am ||
		fail "Makefile.am does not name $file"
done
exit $bad
