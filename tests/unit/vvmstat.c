/* SPDX-License-Identifier: MIT */
/*
 * unit/vvmstat.c - vvmstat's command line, the processes it finds, and what
 * it does with hostile segments. What it shows is in unit/vvmview.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "support/statview.h"
#include "support/test.h"
#include "vvmstat/layout.h"

/* ---- command line ---- */

START_TEST(help_and_version)
{
	ck_assert_int_eq(run("--help"), 0);
	assert_contains(out, "usage: vvmstat");
	ck_assert_int_eq(run("-V"), 0);
	assert_contains(out, "0.1.0");
	ck_assert_int_eq(run("--version"), 0);
	ck_assert_str_eq(errors, "");
}
END_TEST

static const char *const misuse[] = {
	"-q",
	"--nonsense",
	"-p",
	"-p x",
	"-p 0",
	"-p -1",
	"-S",
	"-S z",
	"-S KK",
	"0",
	"abc",
	"-- -1",
	"1 0",
	"1 x",
	"1 2 3",
	"-y",
	"-l 1",
	"-s 1",
	"1 1.5",
	"nan",
	"-o",
	"-o XML",
	"-w -r",
	"-z -H 1",
	"-y -T 1",
	"-S M -m",
	"--region x",
	"--png x",
	"-l -p 1",
	"-T 1 2",
	"--swap /tmp",
	"-T --json",
	"-f x -l",
	"-f x 1",
	"-m --json --png x",
	"--json --csv",
	"-l -s",
	"--json -o JSON",
	"--openmetrics --json",
	"--dir",
	"--json=1",
	"--doctor 1",
	"--folded",
	"--sites --json --folded",
	"--sites -f x",
	"--sites -y 1",
	"--sites -t 1",
	"--sites -H",
	"''",
};

START_TEST(usage_errors)
{
	ck_assert_msg(run("%s", misuse[_i]) == 1, "%s", misuse[_i]);
	ck_assert_str_eq(out, "");
	ck_assert_str_ne(errors, "");
}
END_TEST

START_TEST(nobody_there)
{
	unlink(in_dir(getpid(), 0));
	ck_assert_int_eq(run("--dir %s", dir), 2);
	assert_contains(errors, "no process uses libvvm");
	ck_assert_int_eq(run("--dir %s -l", dir), 2);
	ck_assert_int_eq(run("--dir %s -p %d", dir, getpid()), 2);
	assert_contains(errors, "no libvvm space");
	ck_assert_int_eq(run("--dir /nonexistent -l"), 2);
}
END_TEST

START_TEST(no_such_process)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(run("-p %d 1 1", pid), 2);
	assert_contains(errors, "no process");
	ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(output_that_fails)
{
	char command[512];

	snprintf(command, sizeof(command), "%s -s -p %d >/dev/full 2>/dev/null",
		 tool(), getpid());
	ck_assert_int_eq(WEXITSTATUS(system(command)), 4);
}
END_TEST

/* ---- list, rows, totals ---- */

START_TEST(list_as_text)
{
	char pid[32];

	ck_assert_int_eq(run("--dir %s -l", dir), 0);
	ck_assert_uint_eq(lines(out), 2);
	snprintf(pid, sizeof(pid), "%d vvmstat", getpid());
	assert_contains(out, pid);
	assert_contains(out, "256M"); /* budget */
	assert_contains(out, "128M"); /* resident */
	assert_contains(out, "00:0"); /* uptime */
	ck_assert_int_eq(run("--dir %s -l -S K", dir), 0);
	assert_contains(out, "262144");
}
END_TEST

START_TEST(list_as_json)
{
	ck_assert_int_eq(run("--dir %s -l --json", dir), 0);
	ck_assert_uint_eq(lines(out), 1);
	ck_assert_double_eq(number(out, "pid"), getpid());
	ck_assert_double_eq(number(out, "spaces"), 1);
	ck_assert_double_eq(number(out, "budget_pages"), 65536);
	assert_contains(out, "\"command\":\"vvmstat\"");
	assert_contains(out, "\"library_version\":\"0.1.0\"");
}
END_TEST

START_TEST(list_in_dev_shm)
{
	char pid[32];

	ck_assert_int_eq(run("-l"), 0);
	snprintf(pid, sizeof(pid), "%7d vvmstat", getpid());
	assert_contains(out, pid);
}
END_TEST

/* Two header lines, one row; all fit a terminal of 80 columns. */
START_TEST(row_fits_80_columns)
{
	const char *p, *end;

	stat_add(writer, VVM_STAT_faults, 123456789);
	stat_add(writer, VVM_STAT_faults_swapin, 123456789);
	stat_add(writer, VVM_STAT_swapin_pages, 123456789);
	stat_latency(writer, 20000000000);
	ck_assert_int_eq(run("--dir %s", dir), 0);
	ck_assert_uint_eq(lines(out), 3);
	for (p = out; *p; p = end + 1) {
		end = strchr(p, '\n');
		ck_assert_int_le(end - p, 80);
	}
	assert_contains(out, "memory");
	assert_contains(out, "128M");
	assert_contains(out, "\n128M 128M ");
}
END_TEST

START_TEST(wide_and_timestamp)
{
	size_t length;

	ck_assert_int_eq(run("--dir %s", dir), 0);
	length = strlen(out);
	ck_assert_int_eq(run("--dir %s -w", dir), 0);
	ck_assert_uint_gt(strlen(out), 2 * length);
	assert_contains(out, "budg");
	ck_assert_int_eq(run("--dir %s -t", dir), 0);
	assert_contains(out, "timestamp");
	assert_contains(out, ":");
	ck_assert_int_eq(run("--dir %s -S M", dir), 0);
	assert_contains(out, "       128 ");
}
END_TEST

START_TEST(header_repeats)
{
	ck_assert_int_eq(run("--dir %s 0.01 30", dir), 0);
	ck_assert_uint_eq(lines(out), 30 + 2 * 2);
	ck_assert_int_eq(run("--dir %s -n 0.01 30", dir), 0);
	ck_assert_uint_eq(lines(out), 30 + 2);
	ck_assert_int_eq(run("--dir %s -y 0.01 3", dir), 0);
	ck_assert_uint_eq(lines(out), 3 + 2);
	ck_assert_int_eq(run("--dir %s --json 0.01 3", dir), 0);
	ck_assert_uint_eq(lines(out), 3);
}
END_TEST

START_TEST(totals_name_every_counter)
{
	stat_add(writer, VVM_STAT_faults_wp, 4711);
	ck_assert_int_eq(run("--dir %s -s", dir), 0);
#define X(name, kind, help)                  \
	assert_contains(out, " " #name " "); \
	assert_contains(out, help);
	VVM_STAT_COUNTERS(X)
#undef X
#define X(name, help) assert_contains(out, " " #name " ");
	VVM_STAT_VALUES(X)
#undef X
	assert_contains(out, "4711 faults_wp");
	ck_assert_int_eq(run("--dir %s -s --json", dir), 0);
	ck_assert_double_eq(number(out, "faults_wp"), 4711);
	ck_assert_double_eq(number(out, "io_uring"), 1);
}
END_TEST

START_TEST(json_row_has_every_key)
{
	ck_assert_int_eq(run("--dir %s --json", dir), 0);
	ck_assert_uint_eq(lines(out), 1);
#define COUNT(name) assert_contains(out, "\"" #name "_per_s\":");
#define GAUGE(name) ck_assert_ptr_null(strstr(out, "\"" #name "_per_s\":"));
#define X(name, kind, help)                     \
	assert_contains(out, "\"" #name "\":"); \
	kind(name)
	VVM_STAT_COUNTERS(X)
#undef X
#define X(name, help) assert_contains(out, "\"" #name "\":");
	VVM_STAT_VALUES(X)
#undef X
	assert_contains(out, "\"since_start\":true");
	assert_contains(out, "\"latency_p50_us\":null");
	ck_assert_double_eq(number(out, "used_pct"), 50);
}
END_TEST

/* The bucket that holds 1000 ns is [960, 1024). */
START_TEST(percentiles)
{
	int i;

	for (i = 0; i < 98; i++)
		stat_latency(writer, 1000);
	stat_latency(writer, 1000000);
	stat_latency(writer, 1000000);
	ck_assert_int_eq(run("--dir %s --json", dir), 0);
	ck_assert_double_ge(number(out, "latency_p50_us"), 0.96);
	ck_assert_double_le(number(out, "latency_p50_us"), 1.024);
	ck_assert_double_ge(number(out, "latency_p99_us"), 900);
	ck_assert_double_le(number(out, "latency_p99_us"), 1100);
}
END_TEST

/* ---- over time ---- */

START_TEST(rates_of_an_interval)
{
	const char *row;
	FILE *f;

	stat_add(writer, VVM_STAT_faults, 1000);
	f = start("--json 0.3 2", getpid());
	row = next_line(f);
	ck_assert_double_eq(number(row, "faults"), 1000);
	stat_add(writer, VVM_STAT_faults, 100);
	stat_latency(writer, 5000);
	row = next_line(f);
	assert_contains(row, "\"since_start\":false");
	ck_assert_double_eq(number(row, "faults"), 1100);
	ck_assert_double_ge(number(row, "interval_s"), 0.25);
	ck_assert_double_eq_tol(number(row, "faults_per_s") *
					number(row, "interval_s"),
				100, 0.01);
	ck_assert_double_gt(number(row, "latency_p50_us"), 4);
	ck_assert_int_eq(pclose(f), 0);
}
END_TEST

START_TEST(counter_going_backwards_shows_zero)
{
	FILE *f;

	stat_add(writer, VVM_STAT_faults, 1000);
	f = start("--json 0.3 2", getpid());
	next_line(f);
	stat_add(writer, VVM_STAT_faults, -500);
	ck_assert_double_eq(number(next_line(f), "faults_per_s"), 0);
	ck_assert_int_eq(pclose(f), 0);
}
END_TEST

START_TEST(spaces_are_summed_and_may_go)
{
	struct stats second;
	const char *row;
	FILE *f;

	ck_assert_int_eq(stat_open(&second, true), 0);
	ck_assert_int_eq(link(second.path, in_dir(getpid(), 1)), 0);
	stat_set(&second, budget_pages, 1000);
	stat_add(writer, VVM_STAT_faults, 10);
	stat_add(stat_actor(&second, VVM_STAT_API), VVM_STAT_faults, 5);
	stat_add(stat_actor(&second, VVM_STAT_API), VVM_STAT_resident_pages, 8);
	f = start("--json 0.3 4", getpid());
	row = next_line(f);
	ck_assert_double_eq(number(row, "spaces"), 2);
	ck_assert_double_eq(number(row, "faults"), 15);
	ck_assert_double_eq(number(row, "budget_pages"), 66536);
	ck_assert_double_eq(number(row, "resident_pages"), 32776);
	ck_assert_double_eq(number(row, "io_uring"), 0);

	/* Closed: what it counted stays, what it held does not. */
	stat_close(&second);
	unlink(in_dir(getpid(), 1));
	row = next_line(f);
	ck_assert_double_eq(number(row, "spaces"), 1);
	ck_assert_double_eq(number(row, "faults"), 15);
	ck_assert_double_eq(number(row, "budget_pages"), 65536);
	ck_assert_double_eq(number(row, "resident_pages"), 32768);
	ck_assert_double_eq(number(row, "io_uring"), 1);

	/* A new one by the same name is found. */
	ck_assert_int_eq(stat_open(&second, true), 0);
	ck_assert_int_eq(link(second.path, in_dir(getpid(), 1)), 0);
	stat_add(stat_actor(&second, VVM_STAT_API), VVM_STAT_faults, 7);
	row = next_line(f);
	ck_assert_double_eq(number(row, "spaces"), 2);
	ck_assert_double_eq(number(row, "faults"), 22);

	/* And it may be replaced between two looks. */
	stat_close(&second);
	unlink(in_dir(getpid(), 1));
	ck_assert_int_eq(stat_open(&second, true), 0);
	ck_assert_int_eq(link(second.path, in_dir(getpid(), 1)), 0);
	stat_add(stat_actor(&second, VVM_STAT_API), VVM_STAT_faults, 1);
	row = next_line(f);
	ck_assert_double_eq(number(row, "spaces"), 2);
	ck_assert_double_eq(number(row, "faults"), 23);
	ck_assert_int_eq(pclose(f), 0);
	stat_close(&second);
}
END_TEST

/*
 * A child that publishes a segment and waits to be killed. For each byte that
 * it reads from `more` it counts 41 faults; -1: it does not read.
 */
static pid_t publisher(int more)
{
	int fds[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		memset(&st, 0, sizeof(st)); /* the parent's */
		if (stat_open(&st, true) || !st.path[0] ||
		    link(st.path, in_dir(getpid(), 0)))
			_exit(1);
		stat_add(stat_actor(&st, VVM_STAT_API), VVM_STAT_faults, 1);
		if (write(fds[1], "x", 1) != 1)
			_exit(1);
		while (more >= 0 && read(more, &byte, 1) == 1)
			stat_add(stat_actor(&st, VVM_STAT_API), VVM_STAT_faults,
				 41);
		for (;;)
			pause();
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void end(pid_t pid)
{
	char path[128];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/%s%d.0", VVM_STAT_DIR, VVM_STAT_PREFIX,
		 pid);
	unlink(path);
}

START_TEST(target_that_ends_while_watched)
{
	int more[2];
	uint64_t from;
	pid_t pid;
	FILE *f;

	ck_assert_int_eq(pipe(more), 0);
	pid = publisher(more[0]);
	f = start("--json 30", pid);
	ck_assert_double_eq(number(next_line(f), "faults"), 1);
	from = now_ms();
	ck_assert_int_eq(write(more[1], "x", 1), 1);
	usleep(50000);
	end(pid);
	/* The last row, at once, with the last numbers. */
	ck_assert_double_eq(number(next_line(f), "faults"), 42);
	ck_assert_int_eq(WEXITSTATUS(pclose(f)), 3);
	ck_assert_uint_lt(now_ms() - from, 2000);
	slurp("err", errors, sizeof(errors));
	assert_contains(errors, "ended");
}
END_TEST

START_TEST(file_cut_while_watched)
{
	pid_t pid = publisher(-1);
	FILE *f = start("--json 0.1", pid);

	next_line(f);
	ck_assert_int_eq(truncate(in_dir(pid, 0), 0), 0);
	next_line(f); /* may have looked just before */
	ck_assert_double_eq(number(next_line(f), "spaces"), 0);
	end(pid);
	while (*next_line(f))
		;
	ck_assert_int_eq(WEXITSTATUS(pclose(f)), 3);
}
END_TEST

START_TEST(several_processes_are_listed)
{
	pid_t pid = publisher(-1);

	ck_assert_int_eq(run("--dir %s 1", dir), 1);
	ck_assert_uint_eq(lines(out), 3);
	assert_contains(errors, "choose with -p");
	ck_assert_int_eq(run("--dir %s -p %d 1 1", dir, pid), 0);
	end(pid);
	/* The dead one's file is still there; now there is only us. */
	ck_assert_int_eq(run("--dir %s 1 1", dir), 0);
	ck_assert_int_eq(run("--dir %s -p %d", dir, pid), 2);
}
END_TEST

/*
 * Can a program be run paged? It needs userfaultfd, and a preload object that
 * was not built with a sanitizer, which wants to be in a program first.
 */
static bool can_page(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	run("--doctor --swap /dev/null");
	return !strstr(out, "cannot open spaces");
#endif
}

START_TEST(program_is_started_and_followed)
{
	if (!can_page())
		return;
	ck_assert_int_eq(run("--json 0.05 -e sh -c 'sleep 0.2; exec true'"), 0);
	ck_assert_uint_ge(lines(out), 2);
	assert_contains(out, "\"command\":\"sh\"");
	ck_assert_double_eq(number(out, "spaces"), 1);
	/* It waits for the program, and the options are the program's. */
	ck_assert_int_eq(run("-n 0.01 1 -e sh -c 'sleep 0.2; echo \"$@\"' x "
			     "-l -p 1 5"),
			 0);
	ck_assert_uint_eq(lines(out), 4);
	assert_contains(out, "\n-l -p 1 5\n");
}
END_TEST

START_TEST(program_that_fails)
{
	if (!can_page())
		return;
	ck_assert_int_eq(run("0.05 -e sh -c 'sleep 0.1; exit 7'"), 3);
	assert_contains(errors, "status 7");
	ck_assert_int_eq(run("0.05 -e sh -c 'sleep 0.1; kill -9 $$'"), 3);
	assert_contains(errors, "signal 9");
	ck_assert_int_eq(run("-e /nonexistent/program"), 2);
	ck_assert_int_eq(run("-p 1 -e true"), 1);
	ck_assert_int_eq(run("-l -e true"), 1);
	ck_assert_int_eq(run("-e"), 1);
}
END_TEST

/* ---- damaged and hostile segments ---- */

static struct vvm_stat_segment *bad;

/*
 * Puts `bytes` of *bad in place of our segment and shows two rows of it; all
 * of them: the file also gets its full length. It is held, as a living
 * process' is, unless `abandoned`.
 */
static bool abandoned;
static int held = -1; /* the last one */

static void put_bad(size_t bytes)
{
	int fd;

	unlink(in_dir(getpid(), 0));
	fd = open(in_dir(getpid(), 0), O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bad, bytes), (ssize_t)bytes);
	if (bytes == sizeof(*bad))
		ck_assert_int_eq(ftruncate(fd, VVM_STAT_FILE_BYTES), 0);
	if (!abandoned)
		ck_assert_int_eq(os_claim_file(fd), 0);
	if (held >= 0)
		close(held);
	held = fd;
}

static int run_bad(size_t bytes)
{
	int status;

	put_bad(bytes);
	status = run("--dir %s -p %d -w 0.01 2", dir, getpid());
	ck_assert_msg(status == 0 || status == 2, "exit status %d", status);
	ck_assert_ptr_null(strstr(errors, "runtime error"));
	return status;
}

/* The same in this process, where hundreds of them take no time. */
static void look_at_bad(void)
{
	char reason[SEGMENT_REASON_BYTES];
	struct layout layout = {.regions = 0};
	struct sample sample;
	struct target t;

	put_bad(sizeof(*bad));
	if (target_open(&t, dir, getpid(), reason))
		return;
	target_sample(&t, &sample);
	ck_assert_int_eq(layout_read(&layout, &t), 0);
	target_sample(&t, &sample);
	layout_free(&layout);
	target_close(&t);
}

static void setup_bad(void)
{
	view_setup();
	bad = aligned_alloc(_Alignof(struct vvm_stat_segment), sizeof(*bad));
	memcpy(bad, st.segment, sizeof(*bad));
}

static void teardown_bad(void)
{
	free(bad);
	view_teardown();
}

START_TEST(truncated)
{
	static const size_t sizes[] = {0,   1,	  7,	 8,
				       16,  100,  175,	 176,
				       200, 4096, 10000, sizeof(*bad) - 1};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_msg(run_bad(sizes[i]) == 2, "%zu bytes", sizes[i]);
	assert_contains(errors, "truncated");
	ck_assert_int_eq(run_bad(sizeof(*bad)), 0);
}
END_TEST

START_TEST(other_version)
{
	bad->version = 99;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
	assert_contains(errors, "segment version 99, this vvmstat reads 2");
	ck_assert_int_eq(run("--dir %s -l", dir), 2);
	assert_contains(errors, "segment version 99");
}
END_TEST

START_TEST(not_a_segment)
{
	bad->magic ^= 1;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
	assert_contains(errors, "not a libvvm segment");
	bad->magic = 0;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
	memset(bad, 0xff, sizeof(*bad));
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
}
END_TEST

START_TEST(recycled_pid)
{
	bad->pid_start++;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
	bad->pid_start--;
	bad->pid++;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
}
END_TEST

/* Nobody holds it: its process executed another program. */
START_TEST(left_behind)
{
	abandoned = true;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 2);
	assert_contains(errors, "no libvvm space open");
	ck_assert_int_eq(run("--dir %s -l", dir), 2);
	ck_assert_msg(access(in_dir(getpid(), 0), F_OK), "still there");
	abandoned = false;
}
END_TEST

START_TEST(hostile_layout)
{
	static const uint64_t values[] = {
		0,	    1,
		7,	    8,
		100,	    4095,
		1 << 20,    1ull << 31,
		1ull << 32, 1ull << 61,
		INT64_MAX,  1ull << 63,
		-8ull,	    UINT64_MAX - 7,
		UINT64_MAX,
	};
	uint64_t *field[17] = {&bad->file_bytes};
	struct vvm_stat_table *table[] = {&bad->actors, &bad->rings,
					  &bad->regions, &bad->blocks};
	uint64_t good;
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		for (k = 0; k < 4; k++)
			field[1 + 4 * i + k] = (uint64_t *)table[i] + k;
	for (i = 0; i < ARRAY_SIZE(field); i++) {
		good = *field[i];
		for (k = 0; k < ARRAY_SIZE(values); k++) {
			*field[i] = values[k];
			look_at_bad();
		}
		*field[i] = good;
	}
}
END_TEST

START_TEST(hostile_lists)
{
	static const uint32_t values[] = {
		0, 1, 37, 39, 256, 1000, 4096, 4097, 1u << 31, UINT32_MAX};
	size_t i;

	uint32_t *list[] = {&bad->counter_count,      &bad->value_count,
			    &bad->bucket_count,	      &bad->stage_count,
			    &bad->stage_bucket_count, &bad->kind_count};
	uint32_t good;
	size_t k;

	for (k = 0; k < ARRAY_SIZE(list); k++) {
		good = *list[k];
		for (i = 0; i < ARRAY_SIZE(values); i++) {
			*list[k] = values[i];
			look_at_bad();
		}
		*list[k] = good;
	}
}
END_TEST

/* Any number is allowed to be shown; none may crash us. */
START_TEST(hostile_numbers)
{
	memset(bad->actor, 0x7f, sizeof(bad->actor));
	memset(&bad->value, 0xff, sizeof(bad->value));
	bad->actors.count = VVM_STAT_ACTORS;
	bad->opened_unix_us = UINT64_MAX;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 0);
	memset(bad->actor, 0x80, sizeof(bad->actor));
	bad->opened_unix_us = 1;
	ck_assert_int_eq(run_bad(sizeof(*bad)), 0);
	ck_assert_int_eq(run("--dir %s --json -s", dir), 0);
	ck_assert_int_eq(run("--dir %s -l -S k", dir), 0);
}
END_TEST

START_TEST(hostile_command)
{
	memset(bad->command, 'x', sizeof(bad->command));
	memcpy(bad->command, "\033[2J\n\"\\", 7);
	ck_assert_int_eq(run_bad(sizeof(*bad)), 0);
	ck_assert_int_eq(run("--dir %s -l", dir), 0);
	ck_assert_uint_eq(lines(out), 2);
	ck_assert_ptr_null(strchr(out, '\033'));
	ck_assert_int_eq(run("--dir %s -l --json", dir), 0);
	ck_assert_uint_eq(lines(out), 1);
}
END_TEST

/* The writer knows more counters than we do. */
START_TEST(more_counters_than_known)
{
	const unsigned more = VVM_STAT_COUNTER_COUNT + 5;
	uint64_t *words;

	bad->counter_count = more;
	bad->actors.item_bytes += 5 * 8;
	bad->actors.count = 1;
	memset(bad->actor, 0, sizeof(bad->actor));
	words = (uint64_t *)bad->actor + 3;
	words[VVM_STAT_faults] = 77;
	words[more - 1] = 99;
	words[more + 80] = 1; /* latency */
	ck_assert_int_eq(run_bad(sizeof(*bad)), 0);
	ck_assert_int_eq(run("--dir %s --json", dir), 0);
	ck_assert_double_eq(number(out, "faults"), 77);
	ck_assert_double_eq(number(out, "regions"), 0);
	ck_assert_double_gt(number(out, "latency_p50_us"), 0);
}
END_TEST

/* Seeded noise over the header; with a sanitizer this is a small fuzzer. */
START_TEST(noise)
{
	unsigned seed = 4711, i, k;
	struct vvm_stat_segment good = *bad;

	for (i = 0; i < 1000; i++) {
		*bad = good;
		for (k = 0; k < 1 + i % 8; k++)
			((unsigned char *)bad)[8 + rand_r(&seed) % 400] =
				(unsigned char)rand_r(&seed);
		look_at_bad();
	}
}
END_TEST

START_TEST(symlink_is_refused)
{
	unlink(in_dir(getpid(), 0));
	ck_assert_int_eq(symlink(st.path, in_dir(getpid(), 0)), 0);
	ck_assert_int_eq(run("--dir %s -p %d", dir, getpid()), 2);
	assert_contains(errors, "symbolic link");
}
END_TEST

START_TEST(fifo_is_refused)
{
	unlink(in_dir(getpid(), 0));
	ck_assert_int_eq(mkfifo(in_dir(getpid(), 0), 0600), 0);
	ck_assert_int_eq(run("--dir %s -p %d", dir, getpid()), 2);
	assert_contains(errors, "not a regular file");
}
END_TEST

START_TEST(other_owner_is_refused)
{
	if (chown(st.path, 1, 1)) /* only root can make one */
		return;
	ck_assert_int_eq(run("--dir %s -p %d", dir, getpid()), 2);
	assert_contains(errors, "another user");
	ck_assert_int_eq(run("--dir %s -l", dir), 2);
}
END_TEST

/* ---- doctor ---- */

START_TEST(doctor_as_text)
{
	const char *p;
	int status = run("--doctor --swap %s", dir);

	ck_assert_msg(status == 0 || status == 4, "exit status %d", status);
	assert_contains(out, "userfaultfd");
	assert_contains(out, "io_uring");
	assert_contains(out, "swap path");
	assert_contains(out, "tmpfs"); /* that is where dir is */
	assert_contains(out, status ? "cannot run" : "can run");
	ck_assert_int_eq(status == 4, strstr(out, "\nfail") != NULL ||
					      !strncmp(out, "fail", 4));
	for (p = out; p && *p && *p != '\n'; p = strchr(p, '\n') + 1)
		ck_assert(!strncmp(p, "ok ", 3) || !strncmp(p, "warn ", 5) ||
			  !strncmp(p, "fail ", 5) || *p == ' ');
}
END_TEST

START_TEST(doctor_as_json)
{
	const char *p;

	run("--doctor --json --swap /dev/null"); /* no latency probe */
	ck_assert_uint_gt(lines(out), 8);
	for (p = out; *p; p = strchr(p, '\n') + 1)
		ck_assert(!strncmp(p, "{\"check\":\"", 10));
	assert_contains(out, "\"check\":\"summary\"");
}
END_TEST

START_TEST(doctor_finds_a_bad_swap_path)
{
	ck_assert_int_eq(run("--doctor --swap /nonexistent/x/y"), 4);
	assert_contains(out, "fail");
	assert_contains(out, "cannot run");
	ck_assert_int_eq(run("--doctor --swap /dev/null"), 4);
}
END_TEST

/* More than there is; more than a memory cgroup allows needs root. */
START_TEST(doctor_compares_the_budget)
{
	setenv("VVM_RESIDENT", "1000T", 1);
	run("--doctor --swap /dev/null");
	assert_contains(out, "\nwarn  budget ");
	setenv("VVM_RESIDENT", "64K", 1);
	run("--doctor --swap /dev/null");
	assert_contains(out, "\nok    budget ");
	unsetenv("VVM_RESIDENT");
}
END_TEST

START_TEST(doctor_leaves_no_file)
{
	char swap[64], command[128];

	snprintf(swap, sizeof(swap), "%s/swap", dir);
	ck_assert_int_eq(mkdir(swap, 0700), 0);
	run("--doctor --swap %s/file", swap);
	snprintf(command, sizeof(command), "rmdir %s", swap);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "command line");

	tcase_add_test(tc, help_and_version);
	tcase_add_loop_test(tc, usage_errors, 0, ARRAY_SIZE(misuse));
	tcase_add_test(tc, nobody_there);
	tcase_add_test(tc, no_such_process);
	tcase_add_test(tc, output_that_fails);

	tc = test_case(s, "views");
	tcase_add_test(tc, list_as_text);
	tcase_add_test(tc, list_as_json);
	tcase_add_test(tc, list_in_dev_shm);
	tcase_add_test(tc, row_fits_80_columns);
	tcase_add_test(tc, wide_and_timestamp);
	tcase_add_test(tc, header_repeats);
	tcase_add_test(tc, totals_name_every_counter);
	tcase_add_test(tc, json_row_has_every_key);
	tcase_add_test(tc, percentiles);

	tc = test_case(s, "over time");
	tcase_add_test(tc, rates_of_an_interval);
	tcase_add_test(tc, counter_going_backwards_shows_zero);
	tcase_add_test(tc, spaces_are_summed_and_may_go);
	tcase_add_test(tc, target_that_ends_while_watched);
	tcase_add_test(tc, file_cut_while_watched);
	tcase_add_test(tc, several_processes_are_listed);
	tcase_add_test(tc, program_is_started_and_followed);
	tcase_add_test(tc, program_that_fails);

	tc = test_case_with(s, "hostile segments", setup_bad, teardown_bad);
	tcase_add_test(tc, truncated);
	tcase_add_test(tc, other_version);
	tcase_add_test(tc, not_a_segment);
	tcase_add_test(tc, recycled_pid);
	tcase_add_test(tc, left_behind);
	tcase_add_test(tc, hostile_layout);
	tcase_add_test(tc, hostile_lists);
	tcase_add_test(tc, hostile_numbers);
	tcase_add_test(tc, hostile_command);
	tcase_add_test(tc, more_counters_than_known);
	tcase_add_test(tc, noise);
	tcase_add_test(tc, symlink_is_refused);
	tcase_add_test(tc, fifo_is_refused);
	tcase_add_test(tc, other_owner_is_refused);

	tc = test_case(s, "doctor");
	tcase_add_test(tc, doctor_as_text);
	tcase_add_test(tc, doctor_as_json);
	tcase_add_test(tc, doctor_finds_a_bad_swap_path);
	tcase_add_test(tc, doctor_compares_the_budget);
	tcase_add_test(tc, doctor_leaves_no_file);
}

/* Without it every test would fail, and say less. */
static void look_for_tool(void)
{
	if (access(tool(), X_OK) == 0)
		return;
	fprintf(stderr, "%s: %s (set VVMSTAT)\n", tool(), strerror(errno));
	exit(EXIT_FAILURE);
}

const struct test_program test_program = {
	.name = "vvmstat",
	.counts = true,
	.add = add_tests,
	.setup = view_setup,
	.teardown = view_teardown,
	.begin = look_for_tool,
};
