# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2016,SC2034 # scripts; what userapps.sh reads
# Programs for userapps.sh: what people use every day.

needs_sort=sort
app_sort()
{
	echo 'LC_ALL=C $W sort -S 50% --parallel=2 text | cksum'
}

opts_python=--mmap needs_python=/usr/bin/python3
app_python()
{
	cat >objects.py <<-'END'
	import random
	n = 60000
	r = random.Random(1)
	table = {i * 7919 % 1000003 + (i << 20): "value %d" % i for i in range(n)}
	rows = [(k % 1009, v) for k, v in table.items()]
	groups = {}
	for key, value in rows:
	    groups.setdefault(key, []).append(value)
	rows.sort()
	print(len(table), max(len(g) for g in groups.values()), rows[n // 2])
	END
	echo '$W /usr/bin/python3 objects.py'
}

opts_python_io=--mmap needs_python_io=/usr/bin/python3
app_python_io()
{
	cat >io.py <<-'END'
	import array, asyncio, hashlib, json, multiprocessing, os, select
	import signal, socket, sqlite3, subprocess, tempfile, threading, zlib
	big = bytes(range(256)) * 20000
	def digest(b):
	    return hashlib.sha256(b).hexdigest()[:16]
	def square(x):
	    return x * x + len(big)
	def echo(s):
	    with s:
	        while True:
	            b = s.recv(70000)
	            if not b:
	                break
	            s.sendall(b)
	def sockets():
	    a, b = socket.socketpair()
	    t = threading.Thread(target=echo, args=(b,))
	    t.start()
	    out = bytearray()
	    sender = threading.Thread(target=lambda: (a.sendall(big),
	                              a.shutdown(socket.SHUT_WR)))
	    sender.start()
	    while True:
	        view = bytearray(65536)
	        n, _, _, _ = a.recvmsg_into([view])
	        if not n:
	            break
	        out += view[:n]
	    t.join()
	    sender.join()
	    print("sockets", digest(out) == digest(big))
	def processes():
	    r = subprocess.run(["cat"], input=big, stdout=subprocess.PIPE)
	    print("subprocess", digest(r.stdout) == digest(big))
	    r = subprocess.run("echo $0 $PAGED; exit 3", shell=True, text=True,
	                       env=dict(os.environ, PAGED="x" * 5000),
	                       stdout=subprocess.PIPE, cwd="/")
	    print(len(r.stdout), r.returncode, os.system("exit 4") >> 8)
	    print(os.popen("echo from popen").read().strip())
	    for method in "fork", "spawn":
	        with multiprocessing.get_context(method).Pool(2) as p:
	            print(method, sum(p.map(square, range(1000))))
	def files():
	    with tempfile.TemporaryDirectory(dir=".") as d:
	        name = os.path.join(d, "f" * 100)
	        with open(name, "wb") as f:
	            f.write(big)
	        fd = os.open(name, os.O_RDWR)
	        print("pwritev", os.pwritev(fd, [big[:9], big[9:5000]], 7))
	        bufs = [bytearray(1000), bytearray(900000)]
	        print("preadv", os.preadv(fd, bufs, 3), digest(bufs[1]))
	        os.close(fd)
	        print(os.stat(name).st_size, os.listdir(d) == ["f" * 100])
	        with open(name, "rb") as f:
	            a = array.array("B", bytes(1 << 20))
	            print("readinto", f.readinto(a), digest(a))
	        db = sqlite3.connect(os.path.join(d, "db"))
	        db.execute("create table t(a, b)")
	        db.executemany("insert into t values(?, ?)",
	                       ((i, "row %d" % i * 9) for i in range(5000)))
	        db.commit()
	        print(db.execute("select count(*), max(b) from t").fetchone())
	        db.close()
	def signals():
	    hits = []
	    signal.signal(signal.SIGALRM, lambda *a: hits.append(bytes(big)[9]))
	    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
	    while len(hits) < 5:
	        zlib.compress(big[:100000])
	    signal.setitimer(signal.ITIMER_REAL, 0)
	    print("signals", hits[0])
	    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
	    digest(big)
	    now = signal.pthread_sigmask(signal.SIG_SETMASK, mask)
	    print(signal.SIGSYS in now, signal.SIGBUS in now)
	async def loop():
	    async def handle(reader, writer):
	        while True:
	            b = await reader.read(100000)
	            if not b:
	                break
	            writer.write(b)
	            await writer.drain()
	        writer.close()
	    s = await asyncio.start_unix_server(handle, "socket")
	    reader, writer = await asyncio.open_unix_connection("socket")
	    async def send():
	        for i in range(0, len(big), 50000):
	            writer.write(big[i:i + 50000])
	            await writer.drain()
	        writer.write_eof()
	    task = asyncio.ensure_future(send())
	    out = await reader.read()
	    await task
	    print("asyncio", digest(out) == digest(big))
	    s.close()
	if __name__ == "__main__":
	    sockets()
	    processes()
	    files()
	    signals()
	    asyncio.run(loop())
	    p = select.poll()
	    p.register(0, select.POLLIN)
	    print("poll", p.poll(0) is not None)
	    print(digest(json.dumps(list(range(100000))).encode()))
	END
	echo '$W /usr/bin/python3 io.py </dev/null; rm -f socket'
}

needs_numpy="/usr/bin/python3 /usr/lib/python3/dist-packages/numpy"
opts_numpy=--mmap package_numpy=python3-numpy
app_numpy()
{
	cat >matrix.py <<-'END'
	import multiprocessing, socket, subprocess, threading
	import numpy as np
	r = np.random.default_rng(1)
	v = r.integers(0, 1 << 40, 1500000)
	def part(i):
	    return int(np.sort(v[i::4])[1000]), v[i::4] % 10007
	def through(s, n):
	    out = np.empty(n, v.dtype)
	    view, at = memoryview(out).cast("B"), 0
	    while at < len(view):
	        at += s.recv_into(view[at:at + 300000])
	    return out
	def main():
	    s = np.sort(v)
	    print(s[::500000], int(v.sum()))
	    u, c = np.unique(v % 10007, return_counts=True)
	    print(len(u), c.max())
	    a = r.random((400, 400))
	    print("%.6f" % (a @ a.T).trace())
	    print("%.3f" % np.linalg.solve(a, np.ones(400)).sum())
	    print("%.4f" % abs(np.fft.rfft(r.random(1 << 18))).sum())
	    np.save("a.npy", v)
	    w, m = np.load("a.npy"), np.load("a.npy", mmap_mode="r")
	    print((w == v).all(), (m[::1000] == v[::1000]).all())
	    v.tofile("raw")
	    print((np.fromfile("raw", v.dtype) == v).all())
	    for method in "fork", "spawn":
	        with multiprocessing.get_context(method).Pool(2) as p:
	            got = p.map(part, range(4))
	        print(method, [g[0] for g in got], sum(int(g[1].sum()) for g in got))
	    x, y = socket.socketpair()
	    t = threading.Thread(target=x.sendall, args=(v,))
	    t.start()
	    print((through(y, len(v)) == v).all())
	    t.join()
	    p = subprocess.run(["cksum"], input=v.tobytes(), stdout=subprocess.PIPE)
	    print(p.stdout)
	if __name__ == "__main__":
	    main()
	END
	echo 'OPENBLAS_NUM_THREADS=2 $W /usr/bin/python3 matrix.py; rm a.npy raw'
}

needs_sqlite=sqlite3
app_sqlite()
{
	cat >load.sql <<-'END'
	create table item(id integer primary key, part int, name text, note text);
	with recursive c(x) as (select 1 union all select x + 1 from c
		where x < 30000)
	insert into item select x, x * 7919 % 10007,
		printf('name %d', x * 104729 % 1000003),
		printf('%.*c', 120 + x % 100, 'n') from c;
	create index item_name on item(name);
	select count(*), sum(length(note)), min(name), max(name) from item;
	select substr(name, 6, 2), count(*), avg(length(note)) from item group by 1;
	END
	echo '$W sqlite3 :memory: <load.sql; rm -f db
		$W sqlite3 db <load.sql; rm -f db'
}

needs_perl=perl
app_perl()
{
	cat >hash.pl <<-'END'
	my (%h, @l);
	open(my $f, "<", "text") or die;
	while (<$f>) { my @w = split; $h{substr($w[0], 0, 4)} += length; push @l, $_; }
	print scalar(keys %h), " ", (sort { $h{$b} <=> $h{$a} || $a cmp $b } keys %h)[0], "\n";
	$ENV{PAGED} = "y" x 3000;
	print length(`echo \$PAGED`), " ", system("exit 7") >> 8, "\n";
	my $pid = open(my $p, "|-", "cksum") or die;
	print $p $_ for @l;
	close $p;
	my $c = fork;
	if (!$c) { print "child ", scalar(@l), " $l[100]"; exit 3; }
	waitpid $c, 0;
	print $? >> 8, "\n";
	END
	echo '$W perl hash.pl'
}

opts_gcc="--follow --mmap" needs_gcc=gcc
app_gcc()
{
	awk 'BEGIN { for (i = 0; i < 60; i++) {
		printf "int f%d(int a, int b) {\n int x = a ^ %d, y = b;\n", i, i
		for (j = 0; j < 20; j++)
			printf " for (int k = 0; k < (x & %d); k++) y += k * %d;\n", j + 3, j + i
		print " return x + y;\n}" } }' >big.c
	echo '$W gcc -O2 -w -c -o big.o big.c && cksum <big.o'
}

needs_make=make opts_make=--follow
app_make()
{
	printf 'all: a b c\n\tcat a b c\na b c:\n\tsort text | head -n 5 >$@; echo $@ >>$@\n' >Makefile.apps
	echo '$W make -s -j2 -f Makefile.apps; rm -f a b c'
}

# The packs are not compared: how two threads share the work is not certain.
opts_git="--mmap --follow" needs_git=git
app_git()
{
	cat <<-'END'
	rm -rf repo && git init -q repo && cd repo || exit 1
	git config user.email a@b.c && git config user.name n
	for i in 1 2 3 4 5 6; do
		tail -n +$((i * 100)) ../text | head -n 9000 >file$i
		for j in 1 2 3 4 5 6 7 8 9; do
			tail -n +$((i * j * 50)) ../text | head -n 200 >small$j
		done
		git add . && GIT_AUTHOR_DATE="$i 0" GIT_COMMITTER_DATE="$i 0" \
			git commit -q -m $i
	done
	$W git repack -a -d -f -q --window=20 --threads=2
	git fsck --full 2>&1; $W git log --stat | cksum
	$W git gc -q --aggressive --prune=now; git fsck --full 2>&1
	git rev-list --objects --all | sort | cksum
	$W git diff HEAD~3 | cksum
	$W git clone -q --no-local . ../clone && git -C ../clone rev-parse HEAD
	rm -rf ../clone ../repo
	END
}

needs_xz=xz
app_xz()
{
	echo 'head -c 3000000 text >part
		$W xz -6 -T2 -c part >part.xz && $W xz -dc part.xz | cksum
		cksum <part.xz; rm part part.xz'
}

needs_zstd=zstd
app_zstd()
{
	echo '$W zstd -12 -T1 -q -c text | $W zstd -dc | cksum'
}

needs_jq=jq
app_jq()
{
	awk 'BEGIN { print "["; for (i = 0; i < 8000; i++)
		printf "%s{\"id\":%d,\"name\":\"n%d\",\"v\":[%d,%d]}\n",
			i ? "," : "", i, i * 7919 % 1007, i, i + 1; print "]" }' >big.json
	echo '$W jq -c "group_by(.name) | map({name: .[0].name, n: length}) | .[:50]" big.json'
}

needs_tar=tar
app_tar()
{
	echo '$W tar -cf - text load.d 2>/dev/null | $W tar -tf -
		$W tar -czf - text | $W tar -xzOf - | cksum'
}

needs_bash=bash opts_bash=--follow
app_bash()
{
	cat >script.bash <<-'END'
	declare -A seen
	while read -r word rest; do seen[${word:0:3}]=$((seen[${word:0:3}] + 1)); done < <(head -n 4000 text)
	echo ${#seen[@]}
	export PAGED=$(printf 'z%.0s' {1..3000})
	sh -c 'echo ${#PAGED}'
	trap 'echo got usr1' USR1
	kill -USR1 $$
	sort text | head -n 3 | while read -r a b; do echo "${#a}"; done
	(exit 9); echo $?
	END
	echo '$W bash script.bash'
}

needs_awk=awk
app_awk()
{
	echo '$W awk '\''{ n[substr($1, 1, 4)]++; line[NR] = $0 }
		END { for (k in n) c++; print c, NR; print line[7] | "cat"
		close("cat"); "echo sub" | getline x; print x, system("exit 5") }'\'' text'
}

opts_node=--mmap needs_node=node
app_node()
{
	cat >app.js <<-'END'
	const fs = require("fs"), cp = require("child_process"), zlib = require("zlib");
	const m = new Map();
	for (const l of fs.readFileSync("text", "latin1").split("\n"))
	    m.set(l.slice(0, 6), (m.get(l.slice(0, 6)) || 0) + l.length);
	console.log(m.size, [...m.values()].reduce((a, b) => a + b, 0));
	console.log(cp.execFileSync("sh", ["-c", "echo child"]).toString().trim());
	zlib.gzip(Buffer.alloc(1 << 20, "x"), (e, b) => console.log(e, b.length));
	END
	echo '$W node app.js'
}

needs_java=java opts_java=--mmap
app_java()
{
	cat >App.java <<-'END'
	import java.util.*;
	class App {
	    public static void main(String[] a) throws Exception {
	        Map<String, Integer> m = new TreeMap<>();
	        for (int i = 0; i < 100000; i++) m.merge("k" + i * 7919 % 10007, i, Integer::sum);
	        System.out.println(m.size() + " " + m.get("k77"));
	        Object none = m.get("absent");
	        try { none.hashCode(); } catch (NullPointerException e) { System.out.println("null"); }
	        Process p = new ProcessBuilder("echo", "child").inheritIO().start();
	        System.out.println(p.waitFor());
	    }
	}
	END
	echo '$W java -Xmx64m -XX:+UseSerialGC App.java'
}
