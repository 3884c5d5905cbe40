#!/bin/sh
# SPDX-License-Identifier: MIT
# Everyday programs, unmodified, in a part of the memory that they need: what they
# print and write must be as in a plain run. As an ordinary user, as in a default
# container, or with privilege. Not part of `make check`: it takes minutes, and
# what is not installed is left out. Runs in the build directory, as root
# (tests/support/confined.c).
: "${top_srcdir:=..}"
build=$PWD
run=$build/tools/vvmrun/vvmrun
for part in daily servers tools; do
	# shellcheck source=/dev/null
	. "$top_srcdir/tests/script/userapps_$part.sh"
done

names()
{
	sed -n 's/^app_\([a-z0-9_]*\)()$/\1/p' \
		"$top_srcdir"/tests/script/userapps_*.sh
}

usage()
{
	cat <<END
Usage: userapps.sh [--only NAME,...] [--as WHO,...] [--faults HOW,...]
                   [--mmap yes|no|own,...] [--part N] [--dir DIR]
   or: make userapps [USERAPPS="--only sort,python"]

  --only NAME   of: $(names | tr '\n' ' ')
  --as WHO      nobody (the default), container, root
  --faults HOW  auto (the default), thread, inline, guard
  --mmap HOW    page mappings: yes, no, or as suits the program (own)
  --part N      the budget is an N-th of what the program needs (4): of its
                anonymous memory, as /proc has it in a plain run; where that is
                more than all that is paged of it, of that
  --dir DIR     for input, output and swap (/var/tmp)

What can be installed with apt-get is named where it is missing.
END
}

only='' dir=/var/tmp faults=auto who=nobody mmap=own part=4
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=$(echo "$2" | tr , ' '); shift ;;
	--as) who=$(echo "$2" | tr , ' '); shift ;;
	--faults) faults=$(echo "$2" | tr , ' '); shift ;;
	--mmap) mmap=$(echo "$2" | tr , ' '); shift ;;
	--part) part=$2; shift ;;
	--dir) dir=$2; shift ;;
	--help) usage; exit ;;
	*) usage >&2; exit 1 ;;
	esac
	shift
done
LIMIT=600   # seconds for one run of one program
LEAST=1024  # KiB of a budget

# ---- the programs -----------------------------------------------------------
#
# app_NAME prints a shell script. It runs in a folder with the input, "$W" before
# a command is what pages it, and what it prints is compared. Beside it:
#	needs_NAME	files, or programs in the path, without which it is left out
#	package_NAME	Debian's, if its name is another one
#	opts_NAME	for vvmrun
#	user_NAME	nobody: it does not run as root; root: only as root

# Runs a command; how much anonymous memory one of its processes had at most, in
# KiB, goes to the file.
meter()
{
	cat >"$work/meter.py" <<-'END'
	import os, signal, subprocess, sys, time
	def family(pid):
	    parent = {}
	    for n in filter(str.isdigit, os.listdir("/proc")):
	        try:
	            with open("/proc/%s/stat" % n) as f:
	                text = f.read()
	        except OSError:
	            continue
	        parent.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(n))
	    found = [pid]
	    for p in found:
	        found += parent.get(p, [])
	    return found
	def anonymous(pid):
	    try:
	        with open("/proc/%d/status" % pid) as f:
	            for line in f:
	                if line.startswith("RssAnon:"):
	                    return int(line.split()[1])
	    except OSError:
	        pass
	    return 0
	most = 0
	p = subprocess.Popen(sys.argv[2:], close_fds=False)
	signal.signal(signal.SIGINT, signal.SIG_IGN)
	while p.poll() is None:
	    most = max([most] + [anonymous(pid) for pid in family(p.pid)])
	    time.sleep(0.01)
	with open("%s.%d" % (sys.argv[1], os.getpid()), "w") as f:
	    f.write("%d\n" % most)
	if p.returncode < 0:
	    signal.signal(-p.returncode, signal.SIG_DFL)
	    os.kill(os.getpid(), -p.returncode)
	sys.exit(p.returncode)
	END
	printf '#!/bin/sh\nexec /usr/bin/python3 -S "%s" "%s" "$@"\n' \
		"$work/meter.py" "$work/need" >"$work/pager"
	chmod 755 "$work/pager"
}

# ---- running ----------------------------------------------------------------

# most NAME: of that line of all summaries of the last run
most()
{
	sed -n "s/^	$1: //p" "$work"/log.* 2>/dev/null | sort -n | tail -n 1
}

# How a command is paged, as one word.
pager()
{
	rm -f "$work"/log.*
	printf '#!/bin/sh\nexec "%s" -m %s -o "%s/log.$$" %s -- "$@"\n' \
		"$run" "$1" "$work" "$2" >"$work/pager"
	chmod 755 "$work/pager"
}

# What a command is run by, for a way and a program's wish.
rights()
{
	case $way-$user in
	root-nobody)
		echo setpriv --reuid 65534 --regid 65534 --clear-groups \
			--inh-caps=+sys_ptrace --ambient-caps=+sys_ptrace
		;;
	root-*) ;;
	*) echo "$build/tests/support/confined" "$way" ;;
	esac
}

# once NAME: its output goes to $work/NAME
once()
{
	begin=$(date +%s%N)
	# shellcheck disable=SC2046 # words
	(cd "$work" && W=$work/pager HOME=$work TMPDIR=$work VVM_SWAP=$work \
		timeout -k 10 $LIMIT $(rights) sh script) \
		>"$work/$1" 2>"$work/$1.err" </dev/null
	status=$?
	seconds=$(date +%s%N | awk -v b="$begin" '{ printf "%.2f", ($1 - b) / 1e9 }')
	# of a slow disk
	sed -i '/faults have not got on for/d' "$work/$1.err"
	return $status
}

# of_plain: sets $need
of_plain()
{
	meter
	rm -f "$work"/need.*
	once plain || [ -s "$work/plain" ] || return 1
	need=$(sort -n "$work"/need.* 2>/dev/null | tail -n 1)
	need=${need:-0}
}

# paged OPTIONS: with a budget that makes it page, if that is possible
paged()
{
	budget=$((need / part))
	for try in 1 2; do
		[ $budget -ge $LEAST ] || budget=$LEAST
		pager ${budget}k "$1"
		once small
		out=$(most 'Swapped out (kbytes)')
		peak=$(most 'Peak of resident paged memory (kbytes)')
		[ "${out:-0}" -eq 0 ] && [ "$try" -eq 1 ] &&
			[ "${peak:-0}" -gt $LEAST ] || break
		budget=$((peak / part))
	done
}

verdict()
{
	verdict=same
	cmp -s "$work/plain" "$work/small" || verdict=DIFFERS
	# a shell's words of who has died are ours to see
	[ ! -s "$work/small.err" ] || cmp -s "$work/plain.err" \
		"$work/small.err" || verdict=SAYS
	[ $verdict = same ] && return
	bad=1
	diff "$work/plain" "$work/small" | head -n 5
	head -n 5 "$work/small.err"
	echo "status $status"
}

row()
{
	printf '%-13s %-9s %-7s %-5s %8s %8s %8s %8s  %s\n' "$@"
}

# fault mode and mmap's
options()
{
	case $2 in
	own) echo "--faults $1 $opts" ;;
	yes) echo "--faults $1 --mmap $opts" ;;
	no) echo "--faults $1 $opts" | sed 's/--mmap//' ;;
	esac
}

one_way()
{
	of_plain || {
		row "$name" "$way" - - - - - - 'fails without vvmrun'
		return
	}
	for how in $faults; do
		for map in $mmap; do
			paged "$(options "$how" "$map")"
			verdict
			row "$name" "$way" "$how" "$map" "$need" "$budget" \
				"${out:--}" "$seconds" "$verdict"
		done
	done
}

# needed WORD...: sets $missing to the first that is not there
needed()
{
	missing=
	for file; do
		command -v "$file" >/dev/null || [ -e "$file" ] || {
			missing=$file
			return
		}
	done
}

one_app()
{
	eval "needs=\${needs_$name:-} opts=\${opts_$name:-} \
		user=\${user_$name:-} package=\${package_$name:-\$needs_$name}"
	# shellcheck disable=SC2086,SC2154 # words, and names of files
	needed $needs
	[ -z "$missing" ] || {
		row "$name" - - - - - - - \
			"left out: apt-get install --no-install-recommends $package"
		return
	}
	for way in $who; do
		[ "$user" != root ] || [ "$way" = root ] || {
			row "$name" "$way" - - - - - - 'left out: is for root'
			continue
		}
		# no server is left behind by a script that gives up
		(cd "$work" && {
			echo 'trap "kill \$(jobs -p) 2>/dev/null" EXIT'
			"app_$name"
		} >script)
		chmod -R a+rwX "$work"
		one_way
	done
}

[ "$(id -u)" -eq 0 ] || { echo "it must be root to become nobody"; exit 77; }
work=$(mktemp -d "$dir/userapps.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
chmod 777 "$work"
mkdir "$work/load.d"
awk 'BEGIN { srand(1); for (i = 0; i < 40000; i++) { s = ""
	for (j = 0; j < 8; j++) s = s sprintf("%c", 97 + rand() * 26)
	printf "%s %0200d\n", s, i } }' >"$work/text"
bad=0
row program as faults mmap need_kb budget swapped seconds result
[ -n "$only" ] || only=$(names)
for name in $only; do
	command -v "app_$name" >/dev/null || { usage >&2; exit 1; }
	one_app
done
exit $bad
