#!/bin/sh
# SPDX-License-Identifier: MIT
# Mutants: small faults, put into a copy of the tree one at a time. Each does
# harm, so a test has to notice it. One that the tests let live shows what no
# test looks for, and gets a test. The faults are in the tables *.mut, whose
# form is in table.awk.
#
#	mutants.sh check		each applies (`make check` does that)
#	mutants.sh run [NAME...]	tries all, or these (`make mutants`)
#
# Runs in the build directory, where the copy and its build are in .mutants/.
# For each mutant the programs that its table names are built and run. A program
# that fails, dies, or takes much longer than without the mutant has noticed.
# When all of them pass the mutant has survived; with MUTANTS_SUITE=1 the whole
# suite is run first, since a test that nobody thought of may notice.
#
# A mutant of a .c file of lib/ is compiled apart, and linked before the library
# that has the real one: two commands, 2 seconds. Others, of headers and of
# tools/, are built by make, and come last.
#
# A mutant that was noticed is not tried again until it, its file or its tests
# change, unless it is named: what was interrupted goes on. Results are in
# .mutants/results. The exit status is 0 when all were noticed.
: "${top_srcdir:=.}" "${CC:=cc}"
tables=$top_srcdir/tests/mutants
work=.mutants
tab=$(printf '\t')
# What is copied: the sources, and what autoreconf has made of them.
# In an order in which none looks older than what it was made of.
parts="configure.ac Makefile.am .aux aclocal.m4 configure Makefile.in LICENSE
	README.md include lib tests tools"

table()
{
	awk -f "$tables/table.awk" "$@" "$tables"/*.mut
}

die()
{
	echo "mutants: $*" >&2
	exit 1
}

# ---- the copy, and its build ------------------------------------------------

# Only what has changed is copied, so that make has little to do. What was there
# before gets a new date: it may be a mutant's.
update_copy()
{
	mkdir -p $work/src
	# shellcheck disable=SC2086 # words
	(cd "$top_srcdir" && find $parts ! -type d ! -name '*.o' ! -name '*.lo' \
		! -path '*/.libs/*' ! -path '*/.deps/*') >$work/files
	while read -r f; do
		cmp -s "$top_srcdir/$f" "$work/src/$f" && continue
		[ "${f%/*}" = "$f" ] || mkdir -p "$work/src/${f%/*}"
		if [ -e "$work/src/$f" ]; then
			cp "$top_srcdir/$f" "$work/src/$f"
		else
			cp -p "$top_srcdir/$f" "$work/src/$f"
		fi || die "cannot copy $f"
	done <$work/files
}

# Without static libraries each file is compiled once; -O1 compiles faster.
configure_copy()
{
	[ ! -f $work/build/Makefile ] || return 0
	mkdir -p $work/build
	(cd $work/build && ../src/configure --quiet --disable-static \
		CC="$CC" CFLAGS='-g -O1') >$work/log 2>&1 ||
		die "configure failed: see $work/log"
}

# targets TEST...: what is to be built for them
targets()
{
	for test; do
		case $test in
		script/*) echo all tests/script/vvmrun_guest \
			tests/script/vvmrun_flags ;;
		*) echo "tests/$test" ;;
		esac
	done | tr ' ' '\n' | sort -u
}

build()
{
	# shellcheck disable=SC2046 # words
	make -C $work/build -j2 $(targets "$@") >$work/log 2>&1
}

# command MODE TARGET SOURCE: what make would do for it, without libtool
command_for()
{
	make -C $work/build -n V=1 -W "../src/$3" "$2" 2>/dev/null |
		sed -n "s/.*--mode=$1 //p" | tail -n 1
}

# Compiles .mutants/mutant.c.
compile_apart()
{
	[ -s $work/compile ] ||
		command_for compile lib/os/ring.lo lib/os/ring.c |
		sed 's/ -MT .*//' >$work/compile
	(cd $work/build && eval "$(cat ../compile)" -fPIC -c -o ../mutant.o \
		../mutant.c) >$work/log 2>&1
}

# link_apart TEST: as tests/TEST.mutant
link_apart()
{
	link=$work/link.$(echo "$1" | tr / .)
	libs=$(sed -n 's/^\(URING\|XXHASH\|LZ4\)_LIBS = //p' $work/build/Makefile |
		tr '\n' ' ')
	[ -s "$link" ] ||
		command_for link "tests/$1" "tests/$1.c" | sed \
			-e "s|-o tests/$1 |-o tests/$1.mutant ../mutant.o |" \
			-e "s| lib/libvvm.la| lib/.libs/libvvmcore.a $libs|" \
			-e "s| lib/libvvmcore.la| lib/.libs/libvvmcore.a $libs|" \
			-e 's| lib/\(libvvm[a-z]*\).la| lib/.libs/\1.a|g' \
			>"$link"
	(cd $work/build && eval "$(cat "../${link##*/}")") >$work/log 2>&1
}

# ---- a test -----------------------------------------------------------------

# What a mutant leaves running must not stay: where we may, each test has
# processes and a /dev/shm of its own, which end with it.
cage=
find_cage()
{
	if unshare -fpm --kill-child --mount-proc mount -t tmpfs none /dev/shm \
		2>/dev/null; then
		cage="unshare -fpm --kill-child --mount-proc"
	fi
}

# parts SCRIPT#PART+...: what is before the first heading, them, and the end.
parts()
{
	awk -v parts="${1#*#}" '
		BEGIN { n = split(parts, part, "+") }
		/^# ---- / {
			skip = 1
			heading = substr($0, 8)
			gsub(/ /, "-", heading)
			for (i = 1; i <= n; i++)
				if (index(heading, part[i]) == 1)
					skip = 0
		}
		!skip
		END { print "exit $bad" }' "$top_srcdir/tests/${1%#*}"
}

# run_test TEST SECONDS [SUFFIX]: its status, 124 or 137 when it took longer
run_test()
{
	case $1 in
	*#*)
		parts "$1" >$work/parts.sh
		program="sh ../parts.sh"
		;;
	*.sh) program="sh ../src/tests/$1" ;;
	*) program="./tests/$1${3:-}" ;;
	esac
	# shellcheck disable=SC2016,SC2086 # for the inner shell; words
	(cd $work/build && $cage sh -c '
		[ -z "$1" ] || mount -t tmpfs -o mode=1777 none /dev/shm
		shift
		timeout -k 5 "$@"
		exit $?' - "$cage" "$2" \
		env top_srcdir=../src CC="$CC" \
		VVMSTAT="$PWD/tools/vvmstat/vvmstat" \
		sh ../src/tests/support/run-test.sh $program) >$work/log 2>&1
}

# What failed first, for who reads the result.
first_failure()
{
	sed -n -e 's/^[^:]*:[0-9]*:[FE]:[^:]*:\([^:]*\):.*/(\1)/p' \
		-e 's/^FAIL: *\(.*\)/(\1)/p' $work/log | head -n 1
}

sum()
{
	xargs cat <"$1" | cksum | tr ' ' -
}

# measure TEST: it has to pass without a mutant, once for each state of the tree.
# How long it takes is kept.
measure()
{
	sources=$(cd "$top_srcdir/tests" &&
		cat "${1%#*}" "$1.c" 2>/dev/null | cksum | tr ' ' -)
	state="$1 $(cat $work/tree) $sources"
	if ! grep -qx "$1" $work/built; then
		build "$1" || die "cannot build $1: see $work/log"
		echo "$1" >>$work/built
	fi
	! grep -q "^$state " $work/times || return 0
	start=$(date +%s)
	run_test "$1" 3600
	case $? in
	0) echo "$state $(($(date +%s) - start))" >>$work/times ;;
	77) die "$1 cannot run here: $(tail -n 1 $work/log)" ;;
	*) die "$1 fails without a mutant: see $work/log" ;;
	esac
}

limit_of()
{
	awk -v test="$1" '$1 == test { s = $NF } END { print 60 + 5 * s }' \
		$work/times
}

# ---- a mutant ---------------------------------------------------------------

# key NAME FILE TEST...: changes when the result might
key()
{
	name=$1 file=$2
	shift 2
	{
		table -v mode=show -v only="$name"
		cat "$top_srcdir/$file"
		for test; do
			cat "$top_srcdir/tests/${test%#*}" \
				"$top_srcdir/tests/$test.c"
		done 2>/dev/null
	} | cksum | tr ' ' -
}

whole_suite()
{
	make -C $work/build -j2 build-tests >$work/log 2>&1 || return 0
	make -C $work/build -j2 -k check >$work/log 2>&1
}

# try SUFFIX TEST...: runs them and sets result; with a suffix links them first
try()
{
	suffix=$1
	shift
	for test; do
		result="does not build"
		[ -z "$suffix" ] || { measure "$test" && link_apart "$test"; } ||
			return
		run_test "$test" "$(limit_of "$test")" "$suffix"
		case $? in
		0 | 77) ;;
		124 | 137)
			result="noticed by $test (time limit)"
			return
			;;
		*)
			result="noticed by $test $(first_failure)"
			return
			;;
		esac
	done
	result=survived
}

try_suite()
{
	make -C $work/build -j2 build-tests >$work/log 2>&1 &&
		make -C $work/build -j2 -k check >$work/log 2>&1 && return
	result="noticed by $(grep -h '^\(FAIL\|ERROR\):' $work/log |
		sed 's/^[A-Z]*: //' | tr '\n' ' ')"
}

# In the copy itself: FILE TEST...
try_in_place()
{
	file=$1
	shift
	for test; do
		measure "$test"
	done
	cp $work/mutant.c "$work/src/$file"
	result="does not build"
	if build "$@"; then
		try '' "$@"
		[ "$result" != survived ] || [ -z "${MUTANTS_SUITE:-}" ] ||
			try_suite
	fi
	cp "$top_srcdir/$file" "$work/src/$file"
	: >$work/built
}

# is_apart FILE TEST...: can it be compiled apart?
is_apart()
{
	case "$*" in
	lib/*.h\ * | tools/* | *\ script/*) return 1 ;;
	esac
	[ -z "${MUTANTS_SUITE:-}" ]
}

# mutant NAME FILE TEST...
mutant()
{
	name=$1
	shift
	if ! table -v mode=apply -v only="$name" -v top="$top_srcdir" \
		>$work/mutant.c; then
		result="does not apply"
	elif ! is_apart "$@"; then
		try_in_place "$@"
	elif compile_apart; then
		shift
		try .mutant "$@"
	else
		result="does not build"
	fi
	echo "$name: $result"
}

count()
{
	cut -f 3 $work/now | grep -c "^$1"
}

run()
{
	mkdir -p $work
	: >>$work/results
	: >>$work/times
	: >$work/now
	: >$work/built
	trap 'exit 1' HUP INT TERM
	# a mutant that was interrupted may still be in there
	update_copy
	configure_copy
	find_cage
	table -v mode=list >$work/all || die "no mutants"
	: >$work/todo
	while IFS=$tab read -r name file tests; do
		[ $# -eq 0 ] || case " $* " in
		*" $name "*) ;;
		*) continue ;;
		esac
		# shellcheck disable=SC2086 # words
		now=$(key "$name" "$file" $tests)
		before=$(grep "^$name$tab$now${tab}noticed" $work/results |
			tail -n 1)
		if [ $# -eq 0 ] && [ -n "$before" ]; then
			echo "$before" >>$work/now
			echo "$name: ${before##*"$tab"} (before)"
			continue
		fi
		printf '%s\t%s\t%s\t%s\n' "$name" "$file" "$tests" "$now" \
			>>$work/todo
	done <$work/all
	[ $# -eq 0 ] || [ "$(wc -l <$work/todo)" -eq $# ] ||
		die "not all of these are in $tables"
	(cd "$top_srcdir" && grep -v '^tests/[^s]' | sum /dev/stdin) \
		<$work/files >$work/tree
	make -C $work/build -j2 lib/libvvm.la >$work/log 2>&1 ||
		die "cannot build the library: see $work/log"
	rm -f $work/compile $work/link.*
	# shellcheck disable=SC2086 # words
	while IFS=$tab read -r name file tests now; do
		order=2
		is_apart "$file" $tests && order=1
		printf '%s\t%s\t%s\t%s\t%s\n' $order "$name" "$file" "$tests" \
			"$now"
	done <$work/todo | sort -s -n -k 1,1 | cut -f 2- >$work/sorted
	while IFS=$tab read -r name file tests now <&3; do
		# shellcheck disable=SC2086 # words
		mutant "$name" "$file" $tests
		printf '%s\t%s\t%s\n' "$name" "$now" "$result" |
			tee -a $work/now >>$work/results
	done 3<$work/sorted
	echo "$(wc -l <$work/now) mutants: $(count noticed) noticed," \
		"$(count survived) survived, $(count 'does not apply') do not" \
		"apply, $(count 'does not build') do not build"
	[ "$(wc -l <$work/now)" -eq "$(count noticed)" ]
}

case ${1:-} in
check)
	table -v mode=check -v top="$top_srcdir"
	;;
run)
	shift
	run "$@"
	;;
*)
	die "check, or run [NAME...]"
	;;
esac
