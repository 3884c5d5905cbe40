# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2016,SC2034 # scripts; what userapps.sh reads
# Programs for userapps.sh: servers, with a client that is not paged.

# Its snapshot, written by a child while clients go on writing other keys, is
# loaded by a server that is not paged. It is linked with jemalloc.
needs_redis=redis-server
app_redis()
{
	cat <<-'END'
	cli="redis-cli -s redis.sock"
	# up COMMAND...: a server
	up()
	{
		"$@" --port 0 --unixsocket redis.sock --save '' --dir . \
			--enable-debug-command yes --loglevel warning \
			>redis.log 2>&1 &
		n=0
		until $cli ping 2>&1 | grep -q PONG; do
			[ $((n += 1)) -le 600 ] || exit 1
			sleep 0.05
		done
	}
	rm -f redis.sock dump.rdb
	up $W redis-server
	awk 'BEGIN { for (i = 0; i < 60000; i++) printf "SET key:%d %0300d\r\n", i, i }' |
		$cli --pipe >/dev/null
	$cli debug digest; $cli bgsave
	redis-benchmark -s redis.sock -q -P 8 -c 8 -t set,get,lpush -d 400 \
		-r 5000 -n 30000 >/dev/null && echo benchmark
	n=0
	while $cli info persistence | grep -q rdb_bgsave_in_progress:1; do
		[ $((n += 1)) -le 3000 ] || break
		sleep 0.1
	done
	$cli info persistence | grep rdb_last_bgsave_status
	$cli shutdown nosave; wait
	up redis-server
	$cli debug digest
	$cli shutdown nosave; wait
	END
}

package_nginx=nginx-light needs_nginx="nginx curl"
app_nginx()
{
	cat >nginx.conf <<-END
	worker_processes 2;
	daemon off;
	pid nginx.pid;
	error_log nginx.log;
	events { use epoll; }
	http {
		access_log off;
		client_body_temp_path tmp; proxy_temp_path tmp;
		fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
		sendfile on;
		gzip_buffers 128 64k; gzip_types *; gzip_comp_level 9;
		proxy_buffers 128 64k; proxy_busy_buffers_size 1m;
		output_buffers 16 256k;
		server {
			listen unix:$PWD/nginx.sock;
			root .;
			location /plain/ { alias $PWD/; }
			location /read/ { alias $PWD/; sendfile off; }
			location /small/ { alias $PWD/; gzip on; }
			location /proxy/ {
				proxy_pass http://unix:$PWD/nginx.sock:/plain/;
			}
			location /squeezed/ {
				proxy_pass http://unix:$PWD/nginx.sock:/read/;
				gzip on; gzip_proxied any;
			}
		}
	}
	END
	cat <<-'END'
	rm -rf nginx.sock tmp; mkdir -m 777 tmp
	$W nginx -p "$PWD" -c nginx.conf -e nginx.log >nginx.out 2>&1 &
	n=0
	until [ -S nginx.sock ] && [ -s nginx.pid ]; do
		[ $((n += 1)) -le 600 ] || exit 1
		sleep 0.05
	done
	get="curl -s --unix-socket nginx.sock"
	for how in plain read small proxy squeezed; do
		$get --compressed "http://x/$how/text" | cksum
		$get -r 100-250000 "http://x/$how/text" | cksum
	done
	$get -Z --parallel-max 8 "http://x/read/text?[1-9]" 2>/dev/null | wc -c
	$get -Z --parallel-max 8 "http://x/squeezed/text?[1-9]" \
		-H 'Accept-Encoding: gzip' 2>/dev/null | wc -c
	$get -o /dev/null -w '%{http_code}\n' http://x/plain/none
	kill -HUP "$(cat nginx.pid)"
	$get http://x/proxy/text | cksum
	kill -QUIT "$(cat nginx.pid)"
	wait; echo $?
	END
}

# It does not run as root. Shared buffers are not paged, what a backend sorts is.
package_postgres="postgresql postgresql-client"
needs_postgres="/usr/lib/postgresql/*/bin/postgres" opts_postgres=--follow
user_postgres=nobody
app_postgres()
{
	cat <<-'END'
	PATH=$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -n 1):$PATH
	PGHOST=$PWD PGUSER=me PGDATABASE=postgres
	export PGHOST PGUSER PGDATABASE
	rm -rf data
	$W initdb -A trust -U me --no-sync -D data >/dev/null && echo made
	$W postgres -D data -k "$PWD" -h '' -F -c max_parallel_workers=2 \
		-c shared_buffers=16MB >pg.log 2>&1 &
	n=0
	until pg_isready -q; do
		[ $((n += 1)) -le 900 ] || exit 1
		sleep 0.1
	done
	pgbench -i -q -s 1 >/dev/null 2>&1 || echo pgbench -i
	$W pgbench -n -c 2 -j 2 -t 150 --random-seed=7 >pgbench.log 2>&1 || echo pgbench
	grep 'number of transactions actually' pgbench.log
	psql -Atc "select sum(abalance), md5(string_agg(abalance::text, ','
		order by aid)) from pgbench_accounts"
	psql -Atc "set work_mem = '64MB'; select md5(string_agg(t, ',' order by
		md5(t))) from (select repeat(md5(i::text), 4) t from
		generate_series(1, 60000) i) x"
	kill -INT "$(head -n 1 data/postmaster.pid)"; wait
	rm -rf data
	END
}

# A login, which is a shell in a session that the daemon has become root for.
package_sshd="openssh-server openssh-client"
needs_sshd="/usr/sbin/sshd ssh" opts_sshd=--follow user_sshd=root
app_sshd()
{
	rm -f key key.pub host host.pub
	ssh-keygen -q -t ed25519 -N '' -f key
	ssh-keygen -q -t ed25519 -N '' -f host
	cat >sshd.conf <<-END
	HostKey $PWD/host
	AuthorizedKeysFile $PWD/key.pub
	PidFile $PWD/sshd.pid
	ListenAddress 127.0.0.1
	PermitRootLogin yes
	StrictModes no
	UsePAM no
	Subsystem sftp internal-sftp
	END
	cat <<-'END'
	chmod 600 key host
	port=$((20000 + $$ % 20000))
	mkdir -p /run/sshd
	$W /usr/sbin/sshd -D -f "$PWD/sshd.conf" -p $port >sshd.log 2>&1 &
	how="-i key -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	n=0
	until ssh $how -p $port root@127.0.0.1 true 2>/dev/null; do
		[ $((n += 1)) -le 100 ] || exit 1
		sleep 0.1
	done
	ssh $how -p $port root@127.0.0.1 'seq 100000; exit 3' | cksum
	ssh $how -p $port root@127.0.0.1 cksum <text
	ssh $how -tt -p $port root@127.0.0.1 'tty | cut -c 1-8; stty size' </dev/null
	scp $how -q -P $port text root@127.0.0.1:"$PWD/copied" && cmp text copied && echo copied
	kill "$(cat sshd.pid)"; wait
	rm -f copied
	END
}
