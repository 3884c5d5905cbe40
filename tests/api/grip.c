/* SPDX-License-Identifier: MIT */
/*
 * api/grip.c - "process_vm_writev() lost some of it": system calls that take
 * pages first and write to them later, at budgets so small that what was taken
 * first would be evicted before the last is there, while other threads take
 * every frame that they can get.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET	 64
#define TARGET	 512 /* pages that are written to */
#define OTHER	 512 /* of each presser */
#define MOST	 48  /* pages in one call */
#define PRESSERS 2

static char *target, *other;
static char buf[MOST * VVM_PAGE_SIZE];
static pthread_t presser[PRESSERS];
static _Atomic bool stop;
static _Atomic uint64_t pressed;

static void *press(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	char *mine = other + state * OTHER * LIVE_PAGE;

	while (!stop) {
		mine[live_random(&state) % OTHER * LIVE_PAGE]++;
		pressed++;
	}
	return NULL;
}

static void setup(void)
{
	live_begin(BUDGET);
	target = live_map(vm, TARGET, LIVE_RW);
	other = live_map(vm, PRESSERS * OTHER, LIVE_RW);
	stop = false;
	for (uintptr_t i = 0; i < PRESSERS; i++)
		live_ok(pthread_create(&presser[i], NULL, press, (void *)i));
}

static void teardown(void)
{
	stop = true;
	for (unsigned i = 0; i < PRESSERS; i++)
		live_ok(pthread_join(presser[i], NULL));
	live_check(live_stats(vm).peak_pages <= BUDGET);
	live_end();
}

/* ---- this process ---- */

static ssize_t write_to(char *to, const char *from, size_t bytes)
{
	struct iovec here = {(void *)(uintptr_t)from, bytes};
	struct iovec there = {to, bytes};

	return process_vm_writev(getpid(), &here, 1, &there, 1, 0);
}

static bool forbidden(ssize_t n)
{
	return n < 0 && (errno == EPERM || errno == ENOSYS);
}

static void check_written(const char *at, uint64_t pages, char want)
{
	for (uint64_t i = 0; i < pages; i++) {
		live_equal(at[i * LIVE_PAGE], want);
		live_equal(at[i * LIVE_PAGE + LIVE_PAGE - 1], want);
	}
}

/* Writes n times to `pages` pages of the first `among`, at random. */
static void write_often(unsigned n, uint64_t pages, uint64_t among, char *from)
{
	uint64_t state = 7;

	for (unsigned i = 0; i < n; i++) {
		char want = (char)(i % 250 + 1);
		char *to = target + live_random(&state) % (among - pages + 1) *
					    LIVE_PAGE;
		ssize_t got;

		memset(from, want, pages * LIVE_PAGE);
		got = write_to(to, from, pages * LIVE_PAGE);
		if (forbidden(got))
			return;
		live_equal(got, pages * LIVE_PAGE);
		check_written(to, pages, want);
	}
}

START_TEST(writes_to_absent_pages)
{
	write_often(300, 16, TARGET, buf);
}
END_TEST

/* Most are there when the call begins, and are taken without a fault. */
START_TEST(writes_to_pages_that_come_and_go)
{
	write_often(3000, 12, 14, buf);
}
END_TEST

START_TEST(writes_from_paged_memory)
{
	write_often(200, 8, 64, target + 256 * LIVE_PAGE);
}
END_TEST

/* Larger than half of the budget: it may be short, but what it says is so. */
START_TEST(writes_that_are_too_large)
{
	uint64_t state = 3;

	for (unsigned i = 0; i < 2; i++) {
		char *to = target +
			   live_random(&state) % (TARGET - MOST) * LIVE_PAGE;
		ssize_t got;

		memset(buf, (int)i + 1, sizeof(buf));
		got = write_to(to, buf, sizeof(buf));
		if (forbidden(got))
			return;
		if (got < 0)
			live_equal(errno, EFAULT);
		else
			check_written(to, (uint64_t)got / LIVE_PAGE,
				      (char)(i + 1));
	}
}
END_TEST

/* ---- another process ---- */

struct command {
	char *to;
	char want;
};

/* Obeys until the pipe ends. */
static int write_to_parent(int from, int answer)
{
	static char bytes[16 * VVM_PAGE_SIZE];
	struct command c;

	while (read(from, &c, sizeof(c)) == sizeof(c)) {
		struct iovec here = {bytes, sizeof(bytes)};
		struct iovec there = {c.to, sizeof(bytes)};
		ssize_t n;

		memset(bytes, c.want, sizeof(bytes));
		n = process_vm_writev(getppid(), &here, 1, &there, 1, 0);
		if (n < 0)
			n = -errno;
		if (write(answer, &n, sizeof(n)) != sizeof(n))
			return 1;
	}
	return 0;
}

START_TEST(writes_of_another_process)
{
	int ask[2], answer[2];
	uint64_t state = 5;
	pid_t pid;

	live_ok(pipe2(ask, O_CLOEXEC));
	live_ok(pipe2(answer, O_CLOEXEC));
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = fork();
	live_check(pid >= 0);
	if (pid == 0) {
		close(ask[1]);
		_exit(write_to_parent(ask[0], answer[1]));
	}
	for (unsigned i = 0; i < 200; i++) {
		struct command c = {.to = target + live_random(&state) %
							   (TARGET - 16) *
							   LIVE_PAGE,
				    .want = (char)(i % 250 + 1)};
		ssize_t n;

		live_equal(write(ask[1], &c, sizeof(c)), sizeof(c));
		live_equal(read(answer[0], &n, sizeof(n)), sizeof(n));
		if (n == -EPERM || n == -ENOSYS)
			break;
		live_equal(n, 16 * LIVE_PAGE);
		check_written(c.to, 16, c.want);
	}
	close(ask[1]);
	live_equal(live_status(pid), 0);
	close(ask[0]);
	close(answer[0]);
	close(answer[1]);
}
END_TEST

/* ---- a process that is killed ---- */

static struct {
	int ready[2], go[2], end[2]; /* pipes */
	pid_t writer;
} killed;

/* Tells who it is, has a page that is absent, and a child that writes to it. */
static int be_written_to(void *arg)
{
	static char byte;
	struct iovec here = {&byte, 1}, there = {NULL, 1};
	pid_t self = getpid(), writer;

	(void)arg;
	vm = live_open(BUDGET);
	there.iov_base = live_map(vm, 1, LIVE_RW);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	writer = fork();
	live_check(writer >= 0);
	if (writer == 0) {
		live_equal(read(killed.go[0], &byte, 1), 1);
		process_vm_writev(self, &here, 1, &there, 1, 0);
		_exit(0);
	}
	close(killed.end[1]); /* the writer's end alone is left */
	live_equal(write(killed.ready[1], &writer, sizeof(writer)),
		   sizeof(writer));
	for (;;)
		pause();
}

static char state_of(pid_t pid)
{
	char path[32], text[256] = "", *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 'X';
	live_check(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	at = strrchr(text, ')');
	return at ? at[2] : 'X';
}

static bool writer_has_ended(void)
{
	struct pollfd end = {.fd = killed.end[0], .events = POLLIN};

	return poll(&end, 1, 0) == 1;
}

/* Who is in a fault on its memory is not left there. */
START_TEST(writes_to_a_process_that_is_killed)
{
	pid_t pid;

	live_ok(pipe2(killed.ready, O_CLOEXEC));
	live_ok(pipe2(killed.go, O_CLOEXEC));
	live_ok(pipe2(killed.end, O_CLOEXEC));
	pid = live_fork(be_written_to, NULL);
	close(killed.end[1]);
	live_equal(read(killed.ready[0], &killed.writer, sizeof(pid)),
		   sizeof(pid));
	live_ok(kill(pid, SIGSTOP)); /* nobody brings the page */
	live_wait(state_of(pid) == 'T', 10000);
	live_equal(write(killed.go[1], "", 1), 1);
	live_wait(state_of(killed.writer) == 'D' || writer_has_ended(), 10000);
	live_ok(kill(pid, SIGKILL));
	live_status(pid);
	for (int i = 0; i < 500 && !writer_has_ended(); i++)
		live_nap_us((long)wait_scaled(10000));
	if (!writer_has_ended()) {
		kill(killed.writer, SIGKILL);
		live_fail("it waits for ever");
	}
}
END_TEST

/* ---- nobody waits for such a thread ---- */

static _Atomic bool written;

/* It makes a call, and never sleeps again. */
static void *write_and_spin(void *arg)
{
	(void)arg;
	write_often(20, 16, TARGET, buf);
	written = true;
	while (!stop)
		;
	return NULL;
}

START_TEST(others_go_on_when_the_writer_spins)
{
	pthread_t writer;
	uint64_t before;

	written = false;
	live_ok(pthread_create(&writer, NULL, write_and_spin, NULL));
	live_wait(written, 30000);
	before = pressed;
	live_wait(pressed > before + 4 * BUDGET, 30000);
	stop = true;
	live_ok(pthread_join(writer, NULL));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "grip");

	tcase_add_test(tc, writes_to_absent_pages);
	tcase_add_test(tc, writes_to_pages_that_come_and_go);
	tcase_add_test(tc, writes_from_paged_memory);
	tcase_add_test(tc, writes_that_are_too_large);
	tcase_add_test(tc, writes_of_another_process);
	tcase_add_test(tc, others_go_on_when_the_writer_spins);
	tc = test_case_with(s, "killed", NULL, NULL);
	tcase_add_test(tc, writes_to_a_process_that_is_killed);
}

const struct test_program test_program = {
	.name = "api_grip",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing_system_calls,
};
