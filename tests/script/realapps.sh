#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs, unmodified, from Debian's packages, in a quarter of the memory
# that they use: on libvvm (vvmrun) and on the kernel's swap (vvmbench confine:
# a memory cgroup and a swap file), with the time that each takes. The results
# must be those of a plain run. Not part of `make check`. Runs in the build
# directory, as root for the kernel's part and to become somebody else.
: "${top_srcdir:=..}"
build=$PWD
run=$build/tools/vvmrun/vvmrun
bench=$build/tools/vvmbench/vvmbench

usage()
{
	cat <<END
Usage: realapps.sh [--quick] [--size MIB] [--only NAME,...] [--dir DIR]
                   [--rounds N] [--no-swap] [--as WHO]
   or: make realapps [REALAPPS="--quick ..."]

  --size MIB   of the text that sort gets; all else in proportion (1024)
  --quick      --size 8: takes some minutes; the programs' fixed memory counts
  --only NAME  of: $all
  --dir DIR    for input, output and both swaps; needs some 8 x MIB (/var/tmp)
  --rounds N   the median of so many runs of each (1)
  --no-swap    without the kernel's swap
  --as WHO     whose rights the programs have: root (the default), nobody,
               container (tests/support/confined.c); without the kernel's swap

Packages that are missing are installed with apt-get.
END
}

all="sort python sqlite redis gcc xz zstd jq malloc vm"
size=1024 only=$all dir=/var/tmp swap=yes rounds=1 who=root
while [ $# -gt 0 ]; do
	case $1 in
	--quick) size=8 ;;
	--size) size=$2; shift ;;
	--only) only=$(echo "$2" | tr , ' '); shift ;;
	--dir) dir=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--no-swap) swap= ;;
	--as) who=$2; shift ;;
	--help) usage; exit ;;
	*) usage >&2; exit 1 ;;
	esac
	shift
done
[ "$size" -ge 8 ] 2>/dev/null || { usage >&2; exit 1; }
case $who in
root) confined= ;;
nobody | container) confined="$build/tests/support/confined $who" swap= ;;
*) usage >&2; exit 1 ;;
esac
LIMIT=1800 # seconds for one run of one program

step()
{
	printf '== %s\n' "$*" >&2
}

# ---- packages ---------------------------------------------------------------

install_missing()
{
	missing=
	for pair in sort:coreutils time:time python3:python3 sqlite3:sqlite3 \
		redis-server:redis-server redis-cli:redis-tools gcc:gcc \
		xz:xz-utils zstd:zstd jq:jq stress-ng:stress-ng; do
		command -v "/usr/bin/${pair%:*}" >/dev/null ||
			missing="$missing ${pair#*:}"
	done
	[ -n "$missing" ] || return 0
	step "installing$missing"
	# shellcheck disable=SC2086 # a list
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends $missing >&2 || exit 1
}

# ---- the programs -----------------------------------------------------------
#
# input_NAME makes files in $work. script_NAME prints a shell script that runs
# there: "$W" before a command is what pages it (empty: nobody); what it writes
# to "$OUT" must be the same in all runs. opts_NAME: for vvmrun.

input_sort()
{
	python3 - "$size" >"$work/text" <<-'END'
	import random, sys
	r = random.Random(1)
	alphabet = "abcdefghijklmnopqrstuvwxyz      "
	for i in range(int(sys.argv[1]) * 2560):
	    word = "".join(r.choices(alphabet, k=40))
	    print(word, word[::-1] * 9)
	END
}

script_sort()
{
	echo 'LC_ALL=C $W sort -S 50% --parallel=2 text >"$OUT"'
}

opts_python=--mmap

input_python()
{
	cat >"$work/objects.py" <<-'END'
	import random, sys
	n = int(sys.argv[1]) * 3500
	r = random.Random(1)
	table = {i * 7919 % 1000003 + (i << 20): "value %d" % i for i in range(n)}
	rows = [(k % 1009, v) for k, v in table.items()]
	groups = {}
	for key, value in rows:
	    groups.setdefault(key, []).append(value)
	print(len(table), sum(len(v) for v in table.values()))
	keys = list(table)
	print(sum(len(table[keys[r.randrange(n)]]) for _ in range(n // 50)))
	print(max(len(g) for g in groups.values()), min(groups))
	rows.sort()
	print(rows[0], rows[n // 2], rows[-1])
	END
}

script_python()
{
	echo "\$W /usr/bin/python3 objects.py $size >\"\$OUT\""
}

input_sqlite()
{
	rows=$((size * 2200))
	cat >"$work/load.sql" <<-END
	create table item(id integer primary key, part int, name text, note text);
	with recursive c(x) as (select 1 union all select x + 1 from c
		where x < $rows)
	insert into item select x, x * 7919 % 10007,
		printf('name %d', x * 104729 % 1000003),
		printf('%.*c', 120 + x % 100, 'n') from c;
	create table part(id integer primary key, label text);
	insert into part select distinct part, 'part ' || part from item;
	create index item_part on item(part);
	create index item_name on item(name);
	select count(*), sum(length(note)), min(name), max(name) from item;
	select p.label, count(*), sum(length(i.note)) from item i
		join part p on p.id = i.part where p.id % 50 = 0
		group by p.id order by 2 desc, 1 limit 20;
	select substr(name, 6, 2), count(*), avg(length(note)) from item
		group by 1 order by 1;
	update item set note = upper(note) where part % 10 = 0;
	select count(*), sum(unicode(note)) from item;
	END
}

script_sqlite()
{
	echo '$W sqlite3 :memory: <load.sql >"$OUT"'
}

# The server's digest of all data, and the same of the snapshot that a child
# wrote while clients went on writing other keys.
input_redis()
{
	python3 - $((size * 800)) >"$work/load.resp" <<-'END'
	import sys
	def command(*words):
	    sys.stdout.write("*%d\r\n" % len(words) + "".join(
	        "$%d\r\n%s\r\n" % (len(w), w) for w in words))
	for i in range(int(sys.argv[1])):
	    command("SET", "key:%d" % i, ("%d " % (i * 7919)) * 60)
	    if i % 10 == 0:
	        command("HSET", "hash:%d" % (i // 1000), "field%d" % i, "v" * 100)
	END
}

script_redis()
{
	cat <<-END
	rm -f redis.sock dump.rdb
	\$W redis-server --port 0 --unixsocket redis.sock --save '' \\
		--enable-debug-command yes --dir . --daemonize no \\
		--loglevel warning >redis.log 2>&1 &
	cli="redis-cli -s redis.sock"
	until \$cli ping >ping 2>&1 && grep -q PONG ping; do sleep 0.05; done
	\$cli --pipe <load.resp >pipe.log
	\$cli debug digest >"\$OUT"
	\$cli bgsave >>"\$OUT"
	redis-benchmark -s redis.sock -q -P 8 -c 8 -t set,get -d 400 \\
		-r $((size * 200)) -n $((size * 400)) >benchmark.log
	while \$cli info persistence | grep -q rdb_bgsave_in_progress:1; do
		sleep 0.1
	done
	\$cli info persistence | grep rdb_last_bgsave_status >>"\$OUT"
	\$cli shutdown nosave
	wait
	END
}

# After each run: what is in the snapshot?
after_redis()
{
	redis-server --port 0 --unixsocket "$work/redis.sock" --save '' \
		--enable-debug-command yes --dir "$work" >/dev/null 2>&1 &
	until redis-cli -s "$work/redis.sock" ping 2>/dev/null |
		grep -q PONG; do sleep 0.05; done
	redis-cli -s "$work/redis.sock" debug digest >>"$1"
	redis-cli -s "$work/redis.sock" shutdown nosave 2>/dev/null
	wait
}

opts_gcc=--follow

input_gcc()
{
	python3 - "$size" >"$work/big.c" <<-'END'
	import sys
	print("extern int sink(int, const char *);")
	print("static int state[4096];")
	for i in range(int(sys.argv[1])):
	    print("int f%d(int a, int b) {\n int x = a ^ %d, y = b;" % (i, i))
	    for j in range(24):
	        print(" for (int k = 0; k < (x & %d); k++) { y += state[(x + k * %d) & 4095] * %d; if (y > %d) x = sink(y, \"s%d\"); }"
	              % (j + 3, j + i, j * 7 + 1, i * j, i * 31 + j))
	    print(" switch (y & 15) {")
	    for j in range(16):
	        print("  case %d: x += f%d(y, x) + %d; break;" % (j, max(i - j, 0), j * i))
	    print(" }\n return state[x & 4095] = x + y;\n}")
	END
}

script_gcc()
{
	echo '$W gcc -O2 -w -c -o big.o big.c && cp big.o "$OUT"'
}

# The machine's own programs and libraries, to compress. Not much of them: both
# look up several random pages for each byte of it.
binary()
{
	cat /usr/lib/x86_64-linux-gnu/*.so* /usr/bin/* 2>/dev/null |
		head -c "$1" >"$work/binary"
}

input_xz()
{
	binary "$((size * 4))K"
}

script_xz()
{
	echo '$W xz -9 -T1 -c binary >"$OUT"'
}

input_zstd()
{
	binary "$((size * 32))K"
}

script_zstd()
{
	echo '$W zstd --ultra -20 -q -c binary >"$OUT"'
}

input_jq()
{
	python3 - $((size * 400)) >"$work/big.json" <<-'END'
	import json, sys
	n = int(sys.argv[1])
	print("[")
	for i in range(n):
	    print(json.dumps({"id": i, "name": "name %d" % (i * 7919 % 10007),
	        "tags": ["t%d" % (i % 7), "u%d" % (i % 11)],
	        "value": {"x": i * 0.5, "y": [i, i + 1, i + 2]}}),
	        end="]" if i == n - 1 else ",\n")
	END
}

script_jq()
{
	echo '$W jq -c "group_by(.name) | map({name: .[0].name, n: length,
		x: (map(.value.x) | add)}) | .[:1000]" big.json >"$OUT"'
}

# stress-ng, one stressor at a time: each process has a budget under vvmrun, but
# all together have one in a cgroup.
input_malloc()
{
	:
}

script_malloc()
{
	cat <<-END
	\$W stress-ng --quiet --malloc 1 --malloc-pthreads 2 \\
		--malloc-bytes $((size * 8))k --malloc-max 64 \\
		--malloc-ops 4000 --malloc-touch --verify --temp-path .
	echo "status \$?" >"\$OUT"
	END
}

opts_vm=--mmap

input_vm()
{
	:
}

script_vm()
{
	cat <<-END
	\$W stress-ng --quiet --vm 1 --vm-bytes ${size}m --vm-method incdec \\
		--vm-keep --vm-ops $((size * 100)) --temp-path .
	echo "status \$?" >"\$OUT"
	END
}

# ---- measuring --------------------------------------------------------------

now_ms()
{
	echo $(($(date +%s%N) / 1000000))
}

# value NAME FILE: of a line of a summary
value()
{
	sed -n "s/^	$1: //p" "$2"
}

# timed MODE COMMAND...: runs in $work; the milliseconds go to $work/MODE.ms
# shellcheck disable=SC2086 # confined is a list
timed()
{
	mode=$1
	shift
	start=$(now_ms)
	(cd "$work" && OUT=$work/$mode.out HOME=$work \
		exec timeout -k 10 $LIMIT $confined "$@" </dev/null) &
	child=$!
	wait $child
	status=$?
	child=
	echo $(($(now_ms) - start)) >"$work/$mode.ms"
	return $status
}

run_plain()
{
	timed plain env W="/usr/bin/time -o $work/time.log -f %M" sh script
	peak=$(sort -n "$work/time.log" | tail -n 1)
}

# shellcheck disable=SC2086 # opts is a list
run_vvm()
{
	timed vvm env VVM_SWAP="$work" \
		W="$run -m ${budget}k -o $work/vvm.log $opts" sh script
}

# The kernel kills now and then what it could have paged, less often if it
# reads page by page: a second chance, and a third.
run_swap()
{
	for cluster in 3 0 0; do
		timed swap env W= "$bench" confine -m "${budget}k" \
			--page-cluster $cluster \
			--size "$((peak * 3 + 262144))k" --swap "$work" \
			-o "$work/swap.log" -- sh script
		status=$?
		[ $status -ne 0 ] || break
		step "$name: on the kernel's swap it ends with status $status"
	done
	s=$(value 'Elapsed time (seconds)' "$work/swap.log")
	echo "${s%.*}${s#*.}0" | sed 's/^0*\(.\)/\1/' >"$work/swap.ms"
	return $status
}

# once MODE: one run, checked against the plain one; sets $verdict
once()
{
	rm -f "$work/$1.out"
	verdict=failed
	"run_$1" || {
		step "$name, $1: status $?"
		return
	}
	command -v "after_$name" >/dev/null && "after_$name" "$work/$1.out"
	verdict=DIFFERS
	cmp -s "$work/plain.out" "$work/$1.out" && verdict=same
}

median_of()
{
	sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# measure MODE: sets $ms, $faults and $verdict
measure()
{
	: >"$work/$1.times"
	for _ in $(seq "$rounds"); do
		once "$1"
		cat "$work/$1.ms" >>"$work/$1.times"
		[ "$verdict" = same ] || break
	done
	ms=$(median_of "$work/$1.times")
	faults=$(value Faults "$work/$1.log")
	[ "$verdict" = same ] || bad=1
}

seconds()
{
	printf '%d.%02d' $(($1 / 1000)) $(($1 % 1000 / 10))
}

row()
{
	printf '%-8s %8s %8s %8s  %8s %9s %-8s %8s %9s %-8s %6s\n' "$@"
}

one_program()
{
	eval "opts=\${opts_$name:-}"
	step "$name: input"
	"input_$name"
	"script_$name" >"$work/script"
	step "$name: plain"
	once plain
	[ -s "$work/plain.out" ] || {
		step "$name: the plain run failed"
		bad=1
		return
	}
	plain_ms=$(cat "$work/plain.ms")
	budget=$((peak / 4))
	step "$name: vvmrun with $budget KiB"
	measure vvm
	vvm_ms=$ms vvm_faults=$faults vvm_verdict=$verdict
	swap_ms=0 faults=- verdict=- ratio=-
	if [ -n "$swap" ]; then
		step "$name: kernel swap with $budget KiB"
		was_bad=$bad
		measure swap
		bad=$was_bad # the kernel's failures are not ours
		[ "$verdict" != same ] || ratio=$(awk "BEGIN {
			printf \"%.2f\", $vvm_ms / ($ms + 1) }")
		swap_ms=$ms
	fi
	row "$name" "$((peak / 1024))M" "$((budget / 1024))M" \
		"$(seconds "$plain_ms")" "$(seconds "$vvm_ms")" "$vvm_faults" \
		"$vvm_verdict" "$(seconds "$swap_ms")" "$faults" "$verdict" \
		"$ratio" | tee -a "$table"
}

install_missing
[ "$(id -u)" -eq 0 ] || swap=
table=$(mktemp)
work=$(mktemp -d "$dir/realapps.XXXXXX") || exit 99
[ "$who" = root ] || chmod 777 "$work"
child=
trap 'rm -rf "$work" "$table"' EXIT
# What runs gets the signal from its timeout, and its time to clean up.
trap '[ -z "$child" ] || { kill $child; wait $child; }; exit 130' INT TERM HUP
bad=0
for name in $only; do
	command -v "script_$name" >/dev/null || { usage >&2; exit 1; }
	one_program
	rm -rf "${work:?}"/*
done
echo
row program peak budget plain_s vvm_s faults result swap_s majfaults result \
	ratio
cat "$table"
exit $bad
