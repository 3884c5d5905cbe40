/* SPDX-License-Identifier: MIT */
/*
 * live/killed.c - a thread of the library is killed, alone, by a seccomp filter
 * on all threads: whoever touches the memory gets SIGBUS, nobody hangs or reads
 * what was not written, and the space closes.
 *
 * A filter is for ever, so each test is a process of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "support/access.h"
#include "support/child.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/refuse.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET	64
#define PAGES	1024
#define THREADS 8
#define WAIT_MS 20000

static char *base;
static int fds_before;

static const char *missing(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), O_EXCL);

	if (fd < 0)
		return "no descriptors of threads before Linux 6.9";
	close(fd);
	return live_missing();
}

/* ---- the library's threads ---- */

/* The first number in a file of a thread, the second in base 16. */
static bool read_task(int tid, const char *file, char *text, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
	f = fopen(path, "re");
	text[0] = '\0';
	if (f && !fgets(text, (int)size, f))
		text[0] = '\0';
	if (f)
		fclose(f);
	return text[0];
}

/* The thread of that name; there is one. */
static int thread_called(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	char text[64];
	int tid = 0;

	live_check(dir != NULL);
	while (!tid && (d = readdir(dir)))
		if (read_task(atoi(d->d_name), "comm", text, sizeof text) &&
		    !strncmp(text, name, strlen(name)))
			tid = atoi(d->d_name);
	closedir(dir);
	return tid;
}

struct call {
	int nr;
	unsigned long long arg; /* the first: which ring, which array */
};

/* Does it sleep, and in which system call? Not one that ends by itself. */
static bool sleeps(int tid, struct call *call)
{
	char text[256];

	return read_task(tid, "syscall", text, sizeof text) &&
	       sscanf(text, "%d %llx", &call->nr, &call->arg) == 2 &&
	       (call->nr == SYS_io_uring_enter || call->nr == SYS_ppoll);
}

/* From now on that thread is killed when it goes to sleep again. */
static void doom(const char *name)
{
	struct call call;
	int tid = 0;

	live_wait((tid = thread_called(name)) && sleeps(tid, &call), WAIT_MS);
	live_check(refuse_and_kill((unsigned)call.nr, 0, UINT32_MAX,
				   (uint32_t)call.arg));
}

/* ---- the program ---- */

static uint64_t stamp_of(uint64_t page)
{
	return page * 0x9e3779b97f4a7c15u | 1;
}

static void open_with(enum vvm_io io, unsigned handlers, enum vvm_fork fork)
{
	struct vvm_options o;

	live_catch();
	fds_before = live_count_fds();
	live_options(&o, BUDGET);
	o.io = io;
	o.handlers = handlers;
	o.fork = fork;
	o.pollers = 0; /* else the program's threads use io_uring, too */
	live_ok(vvm_open(&vm, &o));
	base = live_map(vm, PAGES, LIVE_RW);
	for (uint64_t i = 0; i < PAGES; i++)
		*(volatile uint64_t *)(base + i * LIVE_PAGE) = stamp_of(i);
}

/* Reads and writes until that is SIGBUS. */
static void *work(void *arg)
{
	uint64_t random = (uintptr_t)arg, value = 0;
	int sig = 0;

	while (!sig) {
		uint64_t page = live_below(&random, PAGES);
		char *p = base + page * LIVE_PAGE;

		sig = live_try_load(p, &value);
		if (!sig)
			live_check(value == stamp_of(page));
		if (!sig && page % 3 == 0)
			sig = live_try_store(p, value);
	}
	live_equal(sig, SIGBUS);
	return NULL;
}

/* All come to their end, and everything is lost in the same way. */
static void expect_the_end(void)
{
	pthread_t thread[THREADS];
	uint64_t i, value;

	for (i = 0; i < THREADS; i++)
		live_equal(pthread_create(&thread[i], NULL, work,
					  (void *)(uintptr_t)(i + 1)),
			   0);
	for (i = 0; i < THREADS; i++)
		live_equal(pthread_join(thread[i], NULL), 0);
	for (i = 0; i < PAGES; i++)
		live_equal(live_try_load(base + i * LIVE_PAGE, &value), SIGBUS);
	live_expect(vvm_load(vm, live_addr(base), &value, sizeof value),
		    -EOWNERDEAD);
	live_expect(vvm_touch(vm, live_addr(base), LIVE_PAGE, VVM_TOUCH_READ),
		    -EOWNERDEAD);
	live_expect(vvm_unmap(vm, live_addr(base), LIVE_PAGE), -EOWNERDEAD);
	live_ok(vvm_close(vm));
	live_equal(live_count_fds(), fds_before);
}

/* ---- tests ---- */

static const enum vvm_io engines[] = {VVM_IO_AUTO, VVM_IO_SYNC};

START_TEST(the_handler)
{
	open_with(engines[_i], 1, VVM_FORK_DIE);
	doom("vvm-handler");
	/* inline mode: it has nothing else to do */
	live_ok(vvm_advise(vm, live_addr(base), PAGES * LIVE_PAGE,
			   VVM_ADV_WILLNEED));
	expect_the_end();
}
END_TEST

START_TEST(the_reclaimer)
{
	open_with(engines[_i], 1, VVM_FORK_DIE);
	doom("vvm-reclaim");
	expect_the_end();
}
END_TEST

/* The survivor has noticed before it goes to sleep, and is killed. */
START_TEST(all_of_them)
{
	struct call call;

	open_with(VVM_IO_AUTO, 1, VVM_FORK_INHERIT);
	live_wait(sleeps(thread_called("vvm-handler"), &call), WAIT_MS);
	live_check(refuse_and_kill((unsigned)call.nr, 0, 0, 0));
	expect_the_end();
}
END_TEST

/* It dies with locks in its hands, while others wait for them. */
START_TEST(in_the_middle_of_a_fault)
{
	if (live_inline())
		return; /* it is the program's thread that would die */
	open_with(VVM_IO_AUTO, 2, VVM_FORK_DIE);
	live_check(refuse_and_kill(SYS_ioctl, 1, UINT32_MAX,
				   (uint32_t)UFFDIO_COPY));
	expect_the_end();
}
END_TEST

static int lives(void *arg)
{
	(void)arg;
	return 0;
}

static int touches(void *arg)
{
	live_default_signals();
	return *(volatile char *)arg;
}

/* A fork of what is lost: the child has none of it, and may live. */
START_TEST(then_forked)
{
	int status;

	open_with(VVM_IO_AUTO, 1, VVM_FORK_INHERIT);
	doom("vvm-handler");
	live_ok(vvm_advise(vm, live_addr(base), PAGES * LIVE_PAGE,
			   VVM_ADV_WILLNEED));
	work((void *)1);
	live_child_ok(lives, NULL);
	status = live_child(touches, base);
	live_check(WIFSIGNALED(status));
	expect_the_end();
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "asleep");

	tcase_add_loop_test(tc, the_handler, 0, LIVE_LEN(engines));
	tcase_add_loop_test(tc, the_reclaimer, 0, LIVE_LEN(engines));
	tc = test_case(s, "all");
	tcase_add_test(tc, all_of_them);
	tc = test_case(s, "busy");
	tcase_add_test(tc, in_the_middle_of_a_fault);
	tc = test_case(s, "forked");
	tcase_add_test(tc, then_forked);
}

const struct test_program test_program = {
	.name = "live_killed",
	.add = add_tests,
	.missing = missing,
	.modes = true,
};
