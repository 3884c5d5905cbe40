/* SPDX-License-Identifier: MIT */
/*
 * unit/grip.c - which pages the kernel may hold for whom.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "space/grip.h"
#include "support/expect.h"
#include "support/test.h"
#include "support/wait.h"

#define PAGE(n) ((haddr_t)(uintptr_t)absent + pages_to_bytes(n))
#define BUDGET	64
#define LARGE	100000
#define ABSENT	40

static struct grips g;
static struct grip_view view;

static int uffd = -1;
static char *absent; /* memory whose faults nobody resolves but we */

static void map_absent(void)
{
	enum os_uffd_method method;
	int fd;

	live_ok(os_uffd_open(OS_UFFD_SHMEM | OS_UFFD_WP_SHMEM, &uffd, &method));
	live_ok(os_memfd("absent", &fd));
	live_ok(os_truncate(fd, pages_to_bytes(ABSENT)));
	absent = mmap(NULL, pages_to_bytes(ABSENT), PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd, 0);
	live_check(absent != MAP_FAILED);
	live_ok(os_uffd_register(uffd, PAGE(0), pages_to_bytes(ABSENT)));
}

static void resolve(void)
{
	uint64_t done;
	unsigned i;

	for (i = 0; i < ABSENT; i++)
		os_uffd_zero(uffd, PAGE(i), PAGE_BYTES, &done);
}

/* A thread that does what it is told, one after the other. */
enum task { CALL = 1, SPIN, READ, END };

static struct worker {
	pthread_t thread;
	_Atomic int tid, task;
	int in[2]; /* a pipe that it reads from when it has done it */
	struct iovec target[10];
	unsigned targets;
} w;

static void *work(void *arg)
{
	static char bytes[10 * PAGE_BYTES];
	struct iovec from = {bytes, sizeof(bytes)};
	char c;

	w.tid = os_tid();
	while (w.task != END) {
		if (w.task == CALL)
			live_check(process_vm_writev(getpid(), &from, 1,
						     w.target, w.targets,
						     0) > 0);
		while (w.task == SPIN)
			;
		if (w.task != END)
			live_equal(read(w.in[0], &c, 1), 1);
	}
	return arg;
}

static void set_up(void)
{
	grips_init(&g);
	map_absent();
	w.task = READ;
	w.tid = 0;
	live_ok(pipe(w.in));
	live_ok(pthread_create(&w.thread, NULL, work, NULL));
	live_wait(w.tid, 10000);
}

/* From whatever it is in. */
static void next_task(enum task task)
{
	w.task = task;
	live_equal(write(w.in[1], "x", 1), 1);
}

static bool sleeps_in(long nr)
{
	struct os_call call;

	return os_thread_call(w.tid, &call) == 0 && call.nr == nr;
}

/* It writes to the targets, and waits for the first page. */
static void start_call(unsigned targets)
{
	w.targets = targets;
	next_task(CALL);
	live_wait(sleeps_in(SYS_process_vm_writev), 10000);
	grips_fault(&g, w.tid,
		    page_floor((haddr_t)(uintptr_t)w.target[0].iov_base),
		    BUDGET);
}

static void target_page(unsigned page)
{
	w.target[0] = (struct iovec){absent + pages_to_bytes(page), PAGE_BYTES};
	start_call(1);
}

static void tear_down(void)
{
	next_task(END);
	live_ok(pthread_join(w.thread, NULL));
}

static bool holds(haddr_t at)
{
	return grip_holds(&view, at, false, 0);
}

static bool held(unsigned page)
{
	return grips_view(&g, BUDGET, &view) && holds(PAGE(page));
}

START_TEST(nobody_holds_anything)
{
	live_wait(sleeps_in(SYS_read), 10000);
	live_check(!grips_view(&g, BUDGET, &view));
	/* a call that copies to where it faults */
	grips_fault(&g, w.tid, PAGE(1), BUDGET);
	live_check(!grips_view(&g, BUDGET, &view));
	live_equal(g.count, 0);
}
END_TEST

START_TEST(the_page_of_a_call_is_held)
{
	target_page(1);
	live_check(held(1));
	live_check(!held(0) && !held(2));
	resolve();
	live_wait(sleeps_in(SYS_read), 10000);
	live_check(!held(1));
	live_equal(g.count, 1); /* it may do it again */
	next_task(END);
	live_ok(pthread_join(w.thread, NULL));
	live_wait(!grips_view(&g, BUDGET, &view) && !g.count, 10000);
	live_ok(pthread_create(&w.thread, NULL, work, NULL)); /* tear_down() */
}
END_TEST

/* What was used since it last slept may be held, until it has run for long. */
START_TEST(a_thread_that_runs)
{
	uint64_t before_us;

	target_page(1);
	live_check(held(1));
	before_us = os_now_us() - 1000;
	w.task = SPIN;
	resolve();
	live_wait(grips_view(&g, BUDGET, &view) && g.of[0].runs, 10000);
	live_check(grip_holds(&view, PAGE(1), false, 0));
	live_check(grip_holds(&view, PAGE(5), true, 0));
	live_check(grip_holds(&view, PAGE(5), false, os_now_us()));
	/* as long as it may have made no call since */
	if (view.loose_us > before_us)
		live_check(!grip_holds(&view, PAGE(5), false, 0));
	before_us = os_now_us();
	live_wait((grips_view(&g, BUDGET, &view),
		   !grip_holds(&view, PAGE(1), false, before_us)),
		  30000);
	live_check(grip_holds(&view, PAGE(1), true, 0));
	next_task(READ);
	live_wait(!grips_view(&g, BUDGET, &view), 10000);
}
END_TEST

START_TEST(the_targets_of_a_call_are_held)
{
	unsigned i;

	for (i = 0; i < 10; i++) /* odd pages, the last two not whole */
		w.target[i] = (struct iovec){
			absent + pages_to_bytes(4 * i + 1) + (i > 7 ? 100 : 0),
			i > 7 ? 200 : PAGE_BYTES};
	start_call(10);
	live_check(grips_view(&g, BUDGET, &view));
	for (i = 0; i < 10; i++)
		live_check(holds(PAGE(4 * i + 1)));
	for (i = 0; i < 7; i++)
		live_check(!holds(PAGE(4 * i + 2)));
	/* more than half of this budget: what is within reach */
	live_check(grips_view(&g, 4, &view));
	live_check(holds(PAGE(1)));
	/* where its targets are not to be read: whatever is within reach */
	os_inject(OS_peek, 1, true, EPERM);
	live_check(grips_view(&g, BUDGET, &view));
	os_inject_clear();
	live_check(holds(PAGE(0)) && holds(PAGE(1000)) && !holds(PAGE(1100)));
	resolve();
	live_wait(sleeps_in(SYS_read), 10000);
	live_check(!grips_view(&g, BUDGET, &view));
}
END_TEST

/* It has been here before: its second call needs no fault to be noticed. */
START_TEST(a_call_without_a_fault)
{
	target_page(1);
	resolve();
	live_wait(sleeps_in(SYS_read), 10000);
	live_check(!grips_view(&g, BUDGET, &view));
	w.task = SPIN;
	live_equal(write(w.in[1], "x", 1), 1);
	live_wait(grips_view(&g, BUDGET, &view), 10000);
	live_check(grip_holds(&view, PAGE(1), true, 0));
	next_task(READ);
	live_wait(!grips_view(&g, BUDGET, &view), 10000);
}
END_TEST

/* ---- others ---- */

START_TEST(a_thread_that_may_not_be_looked_at)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	os_inject(OS_read_text, 1, true, EACCES);
	grips_fault(&g, pid, PAGE(10), BUDGET);
	grips_fault(&g, pid, PAGE(12), BUDGET);
	live_check(held(10) && held(11) && held(12));
	live_check(!held(9) && !held(13));
	grips_fault(&g, pid, PAGE(3), BUDGET); /* another call */
	live_check(held(3) && !held(10));
	live_wait(!held(3), 10000);
	live_equal(g.count, 0);
	/* one of ours is no stranger */
	grips_fault(&g, w.tid, PAGE(10), BUDGET);
	live_equal(g.count, 0);
	os_inject_clear();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

/* Those within a page are no such call's; with a large budget few are looked at. */
START_TEST(few_faults_are_looked_at)
{
	unsigned i;

	os_inject_clear();
	for (i = 0; i < 160; i++)
		grips_fault(&g, w.tid, PAGE(i) + 8, i % 2 ? LARGE : BUDGET);
	live_equal(os_inject_uses(OS_read_text), 0);
	for (i = 0; i < 160; i++)
		grips_fault(&g, w.tid, PAGE(i), LARGE);
	live_check(os_inject_uses(OS_read_text) >= 10);
	live_check(os_inject_uses(OS_read_text) <= 12);
	for (i = 0; i < 160; i++)
		grips_fault(&g, w.tid, PAGE(i), BUDGET);
	live_check(os_inject_uses(OS_read_text) >= 170);
}
END_TEST

/* Of too many threads those are known that were told of last. */
START_TEST(too_many_threads)
{
	unsigned i;

	os_inject(OS_read_text, 1, true, EACCES);
	for (i = 0; i < GRIP_THREADS + 4; i++)
		grips_fault(&g, (int)(4000000 + i), PAGE(2 * i), BUDGET);
	live_equal(g.count, GRIP_THREADS);
	live_check(held(2 * (GRIP_THREADS + 3)));
	live_check(!held(0));
	os_inject_clear();
	live_check(!grips_view(&g, BUDGET, &view)); /* they are no threads */
	live_equal(g.count, 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "grip");

	tcase_add_test(tc, nobody_holds_anything);
	tcase_add_test(tc, the_page_of_a_call_is_held);
	tcase_add_test(tc, a_thread_that_runs);
	tcase_add_test(tc, the_targets_of_a_call_are_held);
	tcase_add_test(tc, a_call_without_a_fault);
	tcase_add_test(tc, a_thread_that_may_not_be_looked_at);
	tcase_add_test(tc, few_faults_are_looked_at);
	tcase_add_test(tc, too_many_threads);
}

/* Every one of these needs what spaces need. */
static const char *missing(void)
{
	enum os_uffd_method method;
	unsigned features;

	return os_uffd_probe(&features, &method) < 0 ||
			       method == OS_UFFD_USER_ONLY
		       ? "userfaultfd is not permitted"
		       : NULL;
}

const struct test_program test_program = {
	.name = "grip",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
	.missing = missing,
};
