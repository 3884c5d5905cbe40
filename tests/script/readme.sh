#!/bin/sh
# SPDX-License-Identifier: MIT
# What the reader is told does not rot: the commands and examples of README.md
# and of the man pages work, and what they and the other pages name is there.
# Runs in the build directory.
#
# Conventions. In README.md the ```c block is demo.c. The "$ " lines of a
# ```console block are one script; so are those of a literal block of a man page
# (.Bd -literal or .nf) behind a line '.\" run'. A script is run with the built
# tools in a directory that holds these files, and fails if a command does. Lines
# that are not "$ " lines are output and are not compared, except demo's. A block
# behind "<!-- not run: why -->" or '.\" not run: why' is left out, and so is one
# that needs c++ where there is none, or watches a process with --disable-stats. A
# block of a man page behind '.\" file: name' is that file. A benchmark that nobody
# watches runs for a second.
: "${top_srcdir:=..}" "${CC:=cc}"
top_srcdir=$(cd "$top_srcdir" && pwd) || exit 99
readme=$top_srcdir/README.md
papers="$readme $top_srcdir/tests/README.md $top_srcdir/lib/README.md"
build=$PWD
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

fail()
{
	echo "FAIL: $*"
	bad=1
}

# Each "./bootstrap WORD" and `make WORD` of the papers exists; they are not run
# here, because they run this. So does each test that they name.
# shellcheck disable=SC2013,SC2016,SC2086 # words, and backquotes of the papers
check_words()
{
	for word in $(grep -ho '\./bootstrap [a-z][a-z]*' $papers |
		sort -u | cut -d' ' -f2); do
		"$top_srcdir/bootstrap" --help | grep -q "^  $word" ||
			fail "bootstrap knows no '$word'"
	done
	for word in $(grep -ho '`make [a-z][a-z-]*`' $papers | tr -d '`' |
		sort -u | cut -d' ' -f2); do
		grep -Eq "^([a-z-]+ )*$word( [a-z-]+)*:" Makefile ||
			fail "no target 'make $word'"
	done
	for test in $(grep -ho '`\(api\|fuzz\|live\|unit\|torture\)/[a-z_][a-z_]*`' \
		$papers | tr -d '`' | sort -u); do
		[ -f "$top_srcdir/tests/$test.c" ] ||
			fail "there is no tests/$test.c"
	done
	for script in $(grep -ho 'tests/script/[a-z]*\.sh' $papers | sort -u); do
		[ -f "$top_srcdir/$script" ] || fail "there is no $script"
	done
	for paper in $papers; do
		for link in $(grep -o '](\([^):]*\))' "$paper" | tr -d ']()'); do
			[ -e "$(dirname "$paper")/$link" ] ||
				fail "$paper: there is no $link"
		done
	done
}

# The blocks of README go to demo.c, README.md-1.sh, README.md-2.sh, ...
extract_readme()
{
	awk -v tmp="$tmp" '
	/^```/ {
		if (kind != "") { kind = ""; next }
		kind = substr($0, 4)
		if (kind == "") kind = "text"
		if (kind == "console" && previous !~ /^<!-- not run: /)
			file = tmp "/README.md-" ++blocks ".sh"
		else if (kind == "c")
			file = tmp "/demo.c"
		else
			file = ""
		previous = ""
		next
	}
	kind == "" { if ($0 != "") previous = $0; next }
	file == "" { next }
	kind == "c" { print >file }
	kind == "console" && /^\$ / { print substr($0, 3) >file; more = 0 }
	kind == "console" && more { print >file }
	kind == "console" { more = /\\$/ }
	' "$readme"
}

# The marked blocks of a man page go to PAGE-1.sh, ... and to the files named.
extract_page() # PAGE
{
	awk -v tmp="$tmp" -v page="${1##*/}" '
	function plain(line) {
		gsub(/\\-/, "-", line)
		gsub(/\\&/, "", line)
		gsub(/\\\(aq/, "\047", line)
		gsub(/\\e/, "\\", line)
		return line
	}
	/^\.\\" run$/ { file = tmp "/" page "-" ++blocks ".sh"; run = 1; next }
	/^\.\\" file: [a-z.]+$/ { file = tmp "/" $3; run = 0; next }
	/^\.\\" not run: / { file = "/dev/null"; run = 0; next }
	/^\.(Bd -literal|nf)/ { inside = 1; next }
	/^\.(Ed|fi)/ { inside = run = more = 0; file = ""; next }
	!inside || /^\.R[SE]/ { next }
	{ line = plain($0) }
	line ~ /^\$ / && file == "" {
		print page ": commands without a mark: " line
		next
	}
	file != "" && !run { print line >file }
	run && line ~ /^\$ / { print substr(line, 3) >file; more = 0 }
	run && more { print line >file }
	run { more = line ~ /\\$/ }
	' "$1" >>"$tmp/unmarked"
}

extract()
{
	extract_readme
	for page in "$top_srcdir"/lib/api/*.7 "$top_srcdir"/tools/*/*.1; do
		extract_page "$page"
	done
	[ ! -s "$tmp/unmarked" ] || fail "$(cat "$tmp/unmarked")"
}

# A pkg-config file for the library that is built, not installed.
uninstalled()
{
	libs="-L$build/lib/.libs -lvvm"
	[ -f "$build/lib/.libs/libvvm.so" ] ||
		libs="$libs $(pkg-config --static --libs "$build/lib/libvvm.pc" |
			sed 's/-lvvm//') -pthread"
	cat >"$tmp/libvvm-uninstalled.pc" <<-END
	Name: libvvm
	Description: in the build directory
	Version: ${PACKAGE_VERSION:-0}
	Libs: $libs
	Cflags: -I$top_srcdir/include
	END
}

run_blocks()
{
	PKG_CONFIG_PATH=$tmp
	LD_LIBRARY_PATH=$build/lib/.libs
	PATH=$build/tools/vvmbench:$build/tools/vvmrun:$build/tools/vvmstat:$PATH
	export PKG_CONFIG_PATH LD_LIBRARY_PATH PATH
	cd "$tmp" || exit 99
	for block in README.md-*.sh *.[17]-*.sh; do
		[ -f "$block" ] || fail "no commands: $block"
		if grep -q '^c++ ' "$block" && ! command -v c++ >/dev/null; then
			echo "-- $block: left out, there is no c++"
			continue
		fi
		if grep -q '^vvmstat .*-p' "$block" &&
			grep -q -- '-DVVM_NO_STATS=1' "$build/Makefile"; then
			echo "-- $block: left out, nothing is counted"
			continue
		fi
		echo "-- $block"
		cat "$block"
		sed -i '/&$/!s/--seconds [0-9]*/--seconds 1/' "$block"
		echo wait >>"$block"
		timeout $((60 * ${TEST_FACTOR:-1})) sh -e "./$block" </dev/null >"$block.out" 2>&1 ||
			fail "status $? of:" "$(cat "$block")"
		cat "$block.out"
	done
}

check_words
extract
[ -f "$tmp/demo.c" ] || fail "README has no example"
if ! "$build/tools/vvmstat/vvmstat" --doctor >"$tmp/doctor"; then
	cat "$tmp/doctor"
	grep -Eq '^fail +(kernel|page size|userfaultfd) ' "$tmp/doctor" ||
		fail "vvmstat --doctor found something else than userfaultfd"
	[ $bad -eq 0 ] || exit 1
	echo "the commands need userfaultfd, which this process may not use"
	exit 77
fi
uninstalled
run_blocks
[ -x "$tmp/demo" ] || fail "no command of the README built demo"
want=$(grep -A 1 '^\$ VVM_RESIDENT=32M \./demo$' "$readme" | tail -n 1)
[ "$(VVM_RESIDENT=32M "$tmp/demo")" = "$want" ] || fail "demo does not print '$want'"
exit $bad
