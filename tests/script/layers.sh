#!/bin/sh
# SPDX-License-Identifier: MIT
# The architecture, checked: a folder is a subject, and its place in the list
# of floors says what it may use. A file includes only from its own folder or
# from a lower floor, by path; nothing includes in a circle; the kernel is
# called in lib/os only; tools and api tests see the public headers only. And
# Makefile.am names every source file, or a package would lack it.
#
# layers.sh --list [lib|tools] prints the floors as a table, which for lib is
# the one in lib/README.md.
: "${top_srcdir:=.}"
cd "$top_srcdir" || exit 99
bad=0

# The floors, from low to high.
floors_lib()
{
	cat <<'END'
. types, assertions, lists, sets of bits, formatting: C without a kernel
os the kernel behind one door, io_uring included, and where calls are made to fail
util what every thread of the library needs: locks, messages, settings, buffers
policy decisions without mechanism; vvmbench replays traces through these very objects
stat what is counted, and the segment that vvmstat reads
swap where pages live that have no frame
space one address space: its state and the few moves that change it
snapshot what a fork child may still read
fill pages on their way in
evict pages on their way out
fault who needs a page now
map calls on ranges of addresses
fork holding a space still, and what the child makes of it
door system calls whose pointers may be paged
api the public functions: check, call, narrow the error
heap malloc on <vvm.h>, like any user of it
END
}

floors_tools()
{
	cat <<'END'
common what two or more of the tools share
screen cells and pixels, which know nothing of paging
preload what vvmrun puts into a program
vvmrun runs a program with its heap in paged memory
vvmstat shows what a process pages
vvmbench/workload which page is next, what it holds, how long that took
vvmbench/machine what changes the machine, and undoes it
vvmbench/engine what a workload runs on, one file an engine
vvmbench/sort sorting text in memory several times the budget
vvmbench/sim replaying traces under every policy
vvmbench/heap malloc on paged memory against the C library's
vvmbench/soak a mixed load, and whether anything grows meanwhile
vvmbench the sub-commands
END
}

fail()
{
	echo "FAIL: $*"
	bad=1
}

# The table of floors, from low to high, for a reader.
list()
{
	echo "| folder | one sentence |"
	echo "|---|---|"
	"floors_$1" | while read -r folder sentence; do
		[ "$folder" != . ] || folder='(root)'
		echo "| $folder | $sentence |"
	done
}

if [ "${1:-}" = --list ]; then
	list "${2:-lib}"
	exit
fi

# sources TREE: its .c and .h files, without the tree's name
sources()
{
	find "$1" -name '*.[ch]' | sed "s|^$1/||" | sort
}

# includes TREE: "FILE HEADER" for each include in quotes
includes()
{
	(cd "$1" && sources . | xargs awk '
		/^#[[:space:]]*include "/ {
			split($0, part, "\"")
			file = FILENAME
			sub(/^\.\//, "", file)
			print file, part[2]
		}')
}

# check_tree TREE: upward includes. A file that is in no folder of the list has
# no floor; a header that is not of the tree is another's matter.
check_tree()
{
	{
		"floors_$1" | sed 's/ .*//; s/^/floor /'
		sources "$1" | sed 's/^/file /'
		includes "$1"
	} | awk -v tree="$1" '
		function folder(path)
		{
			return sub(/\/[^\/]*$/, "", path) ? path : "."
		}
		$1 == "floor" { floor[$2] = ++floors; next }
		$1 == "file" {
			known[$2]
			if (!(folder($2) in floor))
				print tree "/" $2 ": its folder is on no floor"
			next
		}
		$2 in known && floor[folder($2)] > floor[folder($1)] {
			print tree "/" $1 " includes " $2 ", which is higher up"
		}' | grep . && fail "$1: its floors"
}

# check_circles TREE: a .c and its .h are one, and what an impl.h shares among
# the parts of one module is left out; tsort knows a circle
check_circles()
{
	includes "$1" | grep -v 'impl\.h' | sed 's/\.[ch]\>//g' |
		awk '$1 != $2' | tsort 2>&1 >/dev/null |
		grep . && fail "$1: a circle of includes"
}

# lib/README.md shows the floors, and names files and functions that exist;
# what a comment cites as 'MEASURED.md, "Title"' is a title there
check_papers()
{
	shown=$(sed -n '/^<!-- floors -->$/,/^<!-- end of floors -->$/p' \
		lib/README.md | grep '^|')
	[ "$shown" = "$(list lib)" ] ||
		fail "the floors of lib/README.md: see layers.sh --list"
	find lib -name '*.[ch]' -exec cat {} + | tr '\n\t' '  ' | sed 's/  *\* */ /g' |
		grep -o 'MEASURED\.md, "[^"]*"' | cut -d'"' -f2 | sort -u |
		while read -r title; do
			grep -qx "## $title" lib/MEASURED.md || echo "$title"
		done | grep . && fail "lib/MEASURED.md has no such title"
	# shellcheck disable=SC2016 # backquotes of the page
	grep -o '`[a-z_]*()`' lib/README.md | tr -d '`()' | sort -u |
		while read -r name; do
			grep -rqw "$name" --include='*.[ch]' lib tools tests ||
				echo "$name"
		done | grep . && fail "lib/README.md names no such function"
	grep -o '[a-z_]*/[a-z_/]*\.[ch]\>' lib/README.md | sort -u |
		while read -r name; do
			[ -f "$name" ] || [ -f "lib/$name" ] || echo "$name"
		done | grep . && fail "lib/README.md names no such file"
}

for tree in lib tools; do
	check_tree $tree
	check_circles $tree
done
check_papers

kernel='sys/mman\.h|sys/ioctl\.h|sys/syscall\.h|linux/userfaultfd\.h|linux/fs\.h'
# the second: the numbers of other people's calls
find lib -name '*.[ch]' ! -path 'lib/os/*' ! -path lib/door/ioctl.c \
	-exec grep -nE "^#[[:space:]]*include <($kernel)>" {} + &&
	fail "these call the kernel: that is lib/os's part"
find lib -name '*.[ch]' ! -path 'lib/os/ring*' -exec grep -n '<liburing' {} + &&
	fail "these use liburing: that is lib/os/ring's part"

for tree in tools tests/api; do
	includes $tree | while read -r file header; do
		[ -f "lib/$header" ] || continue
		case $tree/$file,$header in
		*,vvm.h | *,vvm_stat.h) ;;
		# the simulator replays traces through the policies: pure
		# objects, which it links from a library of their own
		tools/*sim*,policy/policy.h) ;;
		# said once for both: what a size is, a percentage of what, and
		# the settings
		tools/*,parse.h | tools/*,os/memcg.h | tools/*,settings.h) ;;
		*) echo "$tree/$file includes $header of lib/" ;;
		esac
	done | grep . && fail "public headers only"
done
for file in $(find lib tools tests -name '*.[ch17]' -o -name '*.sh' -o \
	-name '*.cc' -o -name '*.map'); do
	name=$file
	# a test program may be named without its only source
	case $file in tests/*.c) name=${file%.c} ;; esac
	grep -q "\(^\|[[:space:]/]\)$name\($\|[[:space:].]\)" Makefile.am ||
		fail "Makefile.am does not name $file"
done
exit $bad
