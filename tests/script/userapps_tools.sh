# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2016,SC2034 # scripts; what userapps.sh reads
# Programs for userapps.sh: languages, editors, and what draws and computes.

opts_php=--mmap package_php="php-cli php-mbstring php-xml php-intl"
needs_php=php
app_php()
{
	cat >app.php <<-'END'
	<?php
	$rows = [];
	foreach (file("text") as $i => $line)
		$rows[substr($line, 0, 6)][] = [$i, strrev(trim($line))];
	ksort($rows);
	echo count($rows), " ", array_key_first($rows), "\n";
	$json = json_encode(array_slice($rows, 0, 9000));
	echo strlen($json), " ", md5($json), " ", count(json_decode($json, true)), "\n";
	$dom = new DOMDocument;
	$root = $dom->appendChild($dom->createElement("all"));
	foreach (array_slice($rows, 0, 4000) as $k => $v)
		$root->appendChild($dom->createElement("row", $v[0][1]))->setAttribute("k", $k);
	$xml = $dom->saveXML();
	$sum = 0;
	foreach ((new SimpleXMLElement($xml))->row as $r)
		$sum += strlen((string)$r);
	echo strlen($xml), " ", $sum, "\n";
	echo mb_strlen(mb_strtoupper(str_repeat("\u{e4}\u{f6}x", 200000))), "\n";
	if (class_exists("Collator")) {
		$l = array_slice(array_keys($rows), 0, 5000);
		(new Collator("de_DE"))->sort($l);
		echo md5(implode($l)), "\n";
	}
	$db = new PDO("sqlite::memory:");
	$db->exec("create table t(a, b)");
	$s = $db->prepare("insert into t values(?, ?)");
	foreach (array_slice($rows, 0, 5000) as $k => $v)
		$s->execute([$k, $v[0][1]]);
	echo $db->query("select count(*), max(b) from t")->fetch()[1], "\n";
	preg_match_all('/[a-f]{3}\d/', file_get_contents("text"), $m);
	echo count($m[0]), " ", strlen(gzcompress($xml)), "\n";
	$p = proc_open(["cksum"], [["pipe", "r"], ["pipe", "w"]], $pipes);
	fwrite($pipes[0], $json);
	fclose($pipes[0]);
	echo stream_get_contents($pipes[1]), proc_close($p), "\n";
	echo shell_exec("echo from a shell");
	END
	echo '$W php -d memory_limit=-1 app.php'
}

needs_vim=vim
app_vim()
{
	cat >edit.vim <<-'END'
	%s/0\{20}/zeros /g
	sort
	g/^b/move 0
	let l = getline(1, '$')
	call map(l, {i, v -> strlen(v) . v[0:9]})
	call writefile(l, 'list.txt')
	%s/zeros/ZEROS/ge
	undo
	normal! ggyGGp
	1,5000!rev
	w! edited.txt
	qa!
	END
	echo '$W vim -u NONE -i NONE -n -N -es -S edit.vim text </dev/null; echo $?
		cksum <edited.txt; cksum <list.txt; rm edited.txt list.txt'
}

package_emacs=emacs-nox needs_emacs=emacs opts_emacs=--mmap
app_emacs()
{
	cat >edit.el <<-'END'
	(find-file "text")
	(buffer-enable-undo)
	(sort-lines nil (point-min) (point-max))
	(goto-char (point-min))
	(while (re-search-forward "0\\{20\\}" nil t) (replace-match "zeros "))
	(princ (format "%d %s\n" (buffer-size) (md5 (current-buffer))))
	(let ((h (make-hash-table :test 'equal)))
	  (dolist (l (split-string (buffer-string) "\n"))
	    (puthash (substring l 0 (min 5 (length l)))
	             (1+ (gethash (substring l 0 (min 5 (length l))) h 0)) h))
	  (princ (format "%d\n" (hash-table-count h))))
	(shell-command-on-region (point-min) (point-max) "cksum" "*out*")
	(princ (with-current-buffer "*out*" (buffer-string)))
	(primitive-undo 3 buffer-undo-list)
	(princ (format "%d\n" (buffer-size)))
	(set-buffer-modified-p nil)
	END
	echo '$W emacs -Q --batch -l edit.el'
}

package_r=r-base-core needs_r=R opts_r=--mmap
app_r()
{
	cat >app.R <<-'END'
	set.seed(1)
	x <- rnorm(400000)
	d <- data.frame(g = sample(letters, 400000, TRUE), x = x)
	print(aggregate(x ~ g, d, mean)[1:5, ])
	print(quantile(x))
	m <- matrix(runif(90000), 300)
	print(sum(solve(m) %*% m))
	l <- readLines("text")
	t <- table(substr(l, 1, 2))
	print(head(sort(t, decreasing = TRUE), 5))
	print(summary(lm(x ~ seq_along(x), d[1:50000, ], subset = 1:50000))$r.squared)
	print(system("echo from a shell", intern = TRUE))
	print(sum(unlist(parallel::mclapply(1:4, function(i) sum(x[seq(i, 400000, 4)]), mc.cores = 2))))
	END
	echo '$W R --vanilla --no-echo -f app.R'
}

package_octave=octave needs_octave=octave-cli opts_octave=--mmap
app_octave()
{
	cat >app.m <<-'END'
	rand("seed", 1); a = rand(400);
	printf("%.6f %.6f\n", trace(a * a'), sum(sum(inv(a) * a)));
	s = sort(rand(1, 500000)); printf("%.6f\n", s(250000));
	printf("%.4f\n", sum(abs(fft(rand(1, 2^18)))));
	c = cell(1, 20000); for i = 1:20000, c{i} = sprintf("%05d", mod(i * 7919, 10007)); end
	u = unique(c); printf("%d %s\n", numel(u), u{77});
	t = fileread("text"); printf("%d %d\n", numel(t), sum(t == "a"));
	[st, out] = system("echo from a shell"); printf("%s", out);
	save("-binary", "o.mat", "a"); b = load("o.mat"); printf("%d\n", isequal(a, b.a));
	delete("o.mat");
	END
	echo '$W octave-cli --norc app.m'
}

package_ffmpeg=ffmpeg needs_ffmpeg=ffmpeg
app_ffmpeg()
{
	echo '$W ffmpeg -v error -nostdin -f lavfi -i testsrc=s=640x480:d=2 \
		-threads 2 -c:v mpeg4 -q:v 5 -flags +bitexact -fflags +bitexact \
		-y out.avi && cksum <out.avi
		$W ffmpeg -v error -nostdin -i out.avi -vf scale=800:-2,reverse -f md5 -
		rm out.avi'
}

package_gnuplot=gnuplot-nox needs_gnuplot=gnuplot
app_gnuplot()
{
	cat >plot.gp <<-'END'
	set terminal svg
	set output "plot.svg"
	set isosamples 250
	set samples 250
	splot sin(x) * cos(y) with pm3d
	set output "lines.svg"
	plot "points" using 1:2 with lines, "" using 1:3 smooth bezier
	set output
	stats "points" using 2
	END
	awk 'BEGIN { for (i = 0; i < 60000; i++) print i, i * 7919 % 1009, sin(i) }' >points
	echo '$W gnuplot plot.gp 2>&1; cksum <plot.svg; cksum <lines.svg; rm -f ./*.svg'
}

package_lua=lua5.4 needs_lua=lua5.4
app_lua()
{
	cat >app.lua <<-'END'
	local t, n = {}, 0
	for l in io.lines("text") do
	  local k = l:sub(1, 4)
	  t[k] = (t[k] or 0) + #l
	  n = n + 1
	  t[n] = l:reverse()
	end
	local keys = {}
	for k in pairs(t) do if type(k) == "string" then keys[#keys + 1] = k end end
	table.sort(keys)
	print(n, #keys, keys[100], t[keys[100]], t[777])
	local big = table.concat(t, ",", 1, 20000)
	print(#big, select(2, big:gsub("a+", "")))
	local p = io.popen("cksum", "w"); p:write(big); print(p:close())
	print(os.execute("exit 5"))
	collectgarbage()
	END
	echo '$W lua5.4 app.lua'
}

needs_gawk=gawk
app_gawk()
{
	cat >app.awk <<-'END'
	{ n[substr($1, 1, 4)]++; line[NR] = $0 }
	END {
		c = asorti(n, keys)
		print c, NR, keys[100]
		asort(line)
		print substr(line[20000], 1, 20)
		sum = "cksum"
		for (i = 1; i <= 20000; i++) print line[i] |& sum
		close(sum, "to"); sum |& getline x; print x
		print length(gensub(/0+/, "-", "g", line[1])), system("exit 5")
	}
	END
	echo 'LC_ALL=C $W gawk -f app.awk text'
}

# It shuts itself in with a filter of system calls, and so do its children.
package_man=man-db needs_man=man opts_man=--follow
app_man()
{
	{
		printf '.TH BIG 1\n.SH NAME\nbig \\- a page\n'
		head -n 4000 text | sed 's/^\(.*\)$/.SH \1\n.B \1/' | cut -c 1-70
	} >big.1
	echo 'MANWIDTH=80 $W man -l big.1 | cksum
		LC_ALL=C $W man -Tascii -l big.1 | head -n 20'
}

needs_jemalloc="/usr/lib/*/libjemalloc.so.2 perl" package_jemalloc=libjemalloc2
app_jemalloc()
{
	app_perl >/dev/null
	echo 'LD_PRELOAD=$(echo /usr/lib/*/libjemalloc.so.2) $W perl hash.pl'
}

needs_java_g1=java opts_java_g1=--mmap package_java_g1=default-jre-headless
app_java_g1()
{
	cat >G1.java <<-'END'
	import java.util.*;
	import java.util.concurrent.*;
	class G1 {
	    public static void main(String[] a) throws Exception {
	        ExecutorService e = Executors.newFixedThreadPool(3);
	        List<Future<Long>> l = new ArrayList<>();
	        for (int t = 0; t < 6; t++) {
	            int seed = t;
	            l.add(e.submit(() -> {
	                Map<Integer, byte[]> m = new HashMap<>();
	                Random r = new Random(seed);
	                long sum = 0;
	                for (int i = 0; i < 60000; i++) {
	                    byte[] old = m.put(r.nextInt(5000), new byte[r.nextInt(2000)]);
	                    sum += old == null ? 1 : old.length;
	                }
	                return sum;
	            }));
	        }
	        for (Future<Long> f : l) System.out.println(f.get());
	        e.shutdown();
	        System.gc();
	        System.out.println(Runtime.getRuntime().exec("true").waitFor());
	    }
	}
	END
	echo '$W java -Xmx96m -XX:+UseG1GC G1.java'
}

needs_node_workers=node opts_node_workers=--mmap package_node_workers=nodejs
app_node_workers()
{
	cat >workers.js <<-'END'
	const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
	const crypto = require("crypto"), fs = require("fs");
	if (isMainThread) {
	    const shared = new SharedArrayBuffer(4 << 20);
	    const text = fs.readFileSync("text");
	    const all = [0, 1, 2].map(i => new Promise((yes, no) => {
	        const w = new Worker(__filename, { workerData: { i, shared } });
	        const part = new Uint8Array(text.subarray(i * 2000000, i * 2000000 + 2000000)).buffer;
	        w.postMessage(part, [part]);
	        w.on("message", m => yes([i, m]));
	        w.on("error", no);
	    }));
	    Promise.all(all).then(r => {
	        for (const [i, m] of r)
	            console.log(i, crypto.createHash("sha256").update(Buffer.from(m)).digest("hex"));
	        console.log(new Int32Array(shared).reduce((a, b) => a + b, 0));
	    });
	} else {
	    parentPort.once("message", b => {
	        const lines = Buffer.from(b).toString("latin1").split("\n").sort();
	        const n = new Int32Array(workerData.shared);
	        for (let i = 0; i < n.length; i += 3)
	            Atomics.add(n, i, workerData.i + 1);
	        const out = new TextEncoder().encode(lines.join("\n")).buffer;
	        parentPort.postMessage(out, [out]);
	    });
	}
	END
	echo '$W node workers.js'
}
