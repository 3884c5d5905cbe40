/* SPDX-License-Identifier: MIT */
/*
 * api/inline.c - VVM_FAULTS_INLINE through the public library: the faulting
 * thread resolves its fault in a SIGBUS handler. Every kind of fault, every
 * kind of stack; other people's SIGBUS and SIGBUS for good; system calls,
 * which fail with EFAULT; tiny budgets, streams, races.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define THREADS 16

#define PATIENCE_MS \
	wait_scaled(10000) /* no page may fail for want of a frame */

static struct vvm *open_inline(uint64_t budget, uint64_t swap_limit_bytes,
			       uint64_t wait_ms, const char *path)
{
	struct vvm_options o;
	struct vvm *space = NULL;

	live_limits(&o, budget, swap_limit_bytes, wait_ms, path);
	o.faults = VVM_FAULTS_INLINE;
	live_ok(vvm_open(&space, &o));
	return space;
}

static void open_vm(uint64_t budget)
{
	live_catch(); /* before the first space, as vvm.h says */
	vm = open_inline(budget, 0, PATIENCE_MS, NULL);
}

static void close_vm(uint64_t budget)
{
	struct vvm_stats st = live_stats(vm);

	live_check(st.peak_pages <= budget);
	live_equal(st.faults_failed, 0);
	live_check(live_within(live_memfd(), budget));
	live_ok(vvm_close(vm));
}

static void fill_pages(char *p, uint64_t pages, uint64_t version)
{
	for (uint64_t i = 0; i < pages; i++)
		live_fill(p + i * LIVE_PAGE, i, version);
}

static void verify_pages(const char *p, uint64_t pages, uint64_t version)
{
	for (uint64_t i = 0; i < pages; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, version), -1);
}

/* ---- faults ---- */

START_TEST(reads_and_writes)
{
	char *p;

	open_vm(16);
	p = live_map(vm, 100, LIVE_RW);
	for (uint64_t i = 0; i < 100; i++)
		live_check(live_is_zero(p + i * LIVE_PAGE));
	fill_pages(p, 100, 1);
	verify_pages(p, 100, 1);
	fill_pages(p, 100, 2);
	verify_pages(p, 100, 2);
	live_check(live_stats(vm).faults_swapin > 0);
	live_check(live_stats(vm).swapout_pages > 0);
	close_vm(16);
}
END_TEST

/* With room for all of it each first access is exactly one fault. */
START_TEST(faults_are_counted)
{
	struct vvm_stats st;
	char *p;

	open_vm(64);
	p = live_map(vm, 4, LIVE_RW);
	live_equal(*(volatile char *)p, 0);
	st = live_stats(vm);
	live_equal(st.faults, 1);
	live_equal(st.faults_zero, 1);
	*(volatile char *)p = 1; /* clean until now */
	st = live_stats(vm);
	live_equal(st.faults, 2);
	live_equal(st.faults_wp, 1);
	*(volatile char *)p = 2;
	*(volatile char *)(p + LIVE_PAGE) = 1;
	*(volatile char *)(p + LIVE_PAGE) = 2;
	st = live_stats(vm);
	live_equal(st.faults, 3);
	live_equal(st.faults_zero, 2);
	live_equal(st.resident_pages, 2);
	live_equal(st.dirty_pages, 2);
	live_check(live_flags(vm, p) == (VVM_PAGE_RESIDENT | VVM_PAGE_DIRTY));
	close_vm(64);
}
END_TEST

START_TEST(an_access_over_two_pages)
{
	char *p, *q;
	uint64_t word = 0x1122334455667788;

	open_vm(16);
	p = live_map(vm, 8, LIVE_RW);
	q = live_map(vm, 100, LIVE_RW);
	memcpy(p + LIVE_PAGE - 3, &word, 8);
	live_push_out(vm, p, 8, q, 100);
	live_equal(memcmp(p + LIVE_PAGE - 3, &word, 8), 0);
	close_vm(16);
}
END_TEST

#ifdef __x86_64__
START_TEST(code_is_paged)
{
	/* mov $n, %eax; ret */
	static const char code[] = {(char)0xb8, 0, 0, 0, 0, (char)0xc3};
	char *p, *q;

	open_vm(16);
	p = live_map(vm, 60, LIVE_RW);
	q = live_map(vm, 100, LIVE_RW);
	for (int i = 0; i < 60; i++) {
		memcpy(p + (uint64_t)i * LIVE_PAGE, code, sizeof code);
		p[(uint64_t)i * LIVE_PAGE + 1] = (char)i;
	}
	live_ok(vvm_protect(vm, live_addr(p), 60 * LIVE_PAGE,
			    VVM_READ | VVM_EXEC));
	for (int round = 0; round < 2; round++) {
		live_push_out(vm, p, 60, q, 100);
		for (uint64_t i = 0; i < 60; i++) {
			char *at = p + i * LIVE_PAGE;

			live_equal(((int (*)(void))(uintptr_t)at)(), i);
		}
	}
	close_vm(16);
}
END_TEST
#endif

START_TEST(guest_addresses_of_ones_own)
{
	uint64_t addr = 0x7000000000; /* not the host's */
	char *p;

	open_vm(16);
	live_ok(vvm_map(vm, &addr, 200 * LIVE_PAGE, LIVE_RW, "guest"));
	p = vvm_ptr(vm, addr);
	fill_pages(p, 200, 1);
	verify_pages(p, 200, 1);
	close_vm(16);
}
END_TEST

/* One space in each mode, in one thread. */
START_TEST(beside_a_space_with_handlers)
{
	struct vvm_options o;
	struct vvm *other;
	char *p, *q;

	open_vm(16);
	live_options(&o, 16);
	o.faults = VVM_FAULTS_THREAD;
	live_ok(vvm_open(&other, &o));
	p = live_map(vm, 100, LIVE_RW);
	q = live_map(other, 100, LIVE_RW);
	for (uint64_t i = 0; i < 100; i++) {
		live_fill(p + i * LIVE_PAGE, i, 1);
		memcpy(q + i * LIVE_PAGE, p + i * LIVE_PAGE, LIVE_PAGE);
	}
	verify_pages(p, 100, 1);
	verify_pages(q, 100, 1);
	live_ok(vvm_close(vm));
	verify_pages(q, 100, 1);
	live_ok(vvm_close(other));
}
END_TEST

START_TEST(errno_is_kept)
{
	char *p;

	open_vm(16);
	p = live_map(vm, 200, LIVE_RW);
	for (uint64_t i = 0; i < 200; i++) {
		errno = 4711;
		*(volatile char *)(p + i % 100 * LIVE_PAGE) += 1;
		live_equal(errno, 4711);
	}
	close_vm(16);
}
END_TEST

/* ---- stacks and threads ---- */

/* Kernel frame, handler and thread are to fit; sanitizers need more. */
#define SMALL_STACK (LIVE_SANITIZED ? 256 << 10 : 16 << 10)

static char *base;

static void *touch_some(void *arg)
{
	uint64_t id = (uint64_t)(uintptr_t)arg;

	for (uint64_t i = id; i < 200; i += THREADS)
		live_fill(base + i * LIVE_PAGE, i, 1);
	for (uint64_t i = id; i < 200; i += THREADS)
		live_check(live_verify(base + i * LIVE_PAGE, i, 1) == -1);
	return NULL;
}

static void run_threads(void *(*fn)(void *), size_t stack_bytes)
{
	pthread_t thread[THREADS];
	pthread_attr_t attr;

	live_equal(pthread_attr_init(&attr), 0);
	if (stack_bytes)
		live_equal(pthread_attr_setstacksize(&attr, stack_bytes), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		live_equal(pthread_create(&thread[i], &attr, fn, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	pthread_attr_destroy(&attr);
}

START_TEST(small_stacks)
{
	open_vm(32);
	base = live_map(vm, 200, LIVE_RW);
	run_threads(touch_some, SMALL_STACK);
	close_vm(32);
}
END_TEST

static void *on_alternate_stack(void *arg)
{
	stack_t stack = {.ss_size = 64 << 10};

	stack.ss_sp = malloc(stack.ss_size);
	live_check(stack.ss_sp && sigaltstack(&stack, NULL) == 0);
	touch_some(arg);
	stack.ss_flags = SS_DISABLE;
	live_check(sigaltstack(&stack, NULL) == 0);
	free(stack.ss_sp);
	return NULL;
}

START_TEST(alternate_stacks)
{
	open_vm(32);
	base = live_map(vm, 200, LIVE_RW);
	run_threads(on_alternate_stack, 0);
	close_vm(32);
}
END_TEST

/* 160 threads, and nothing is kept of any. */
START_TEST(threads_come_and_go)
{
	int fds, threads, maps;

	open_vm(32);
	base = live_map(vm, 200, LIVE_RW);
	run_threads(touch_some, 0);
	fds = live_count_fds();
	threads = live_count_threads();
	maps = live_count_maps();
	for (int round = 0; round < 10; round++)
		run_threads(touch_some, 0);
	live_equal(live_count_fds(), fds);
	live_wait(live_count_threads() == threads, 10000);
	if (!LIVE_SANITIZED) /* malloc's arenas */
		live_check(live_count_maps() <= maps + 4 * THREADS);
	close_vm(32);
}
END_TEST

static atomic_bool stop;
static atomic_int cancelled, laps;

static void await(atomic_int *flag)
{
	while (!atomic_load(flag))
		sched_yield();
}

/* Plain accesses only: it may end at the last line, and nowhere else. */
static void *walk_cancelled(void *arg)
{
	(void)arg;
	await(&cancelled);
	verify_pages(base, 200, 1);
	fill_pages(base, 200, 2);
	atomic_fetch_add(&laps, 1);
	pthread_testcancel();
	return NULL;
}

/* A fault is no cancellation point, whatever the library does for it. */
START_TEST(a_fault_cancels_nobody)
{
	pthread_t thread;
	void *result;

	cancelled = laps = 0;
	open_vm(32);
	base = live_map(vm, 200, LIVE_RW);
	fill_pages(base, 200, 1);
	live_ok(pthread_create(&thread, NULL, walk_cancelled, NULL));
	live_ok(pthread_cancel(thread));
	cancelled = 1;
	live_ok(pthread_join(thread, &result));
	live_equal(laps, 1);
	live_check(result == PTHREAD_CANCELED);
	verify_pages(base, 200, 2);
	close_vm(32);
}
END_TEST

/*
 * Each page is waited for, in each round, and a loaded machine may take 10 ms
 * for it: what is wanted is the cancelling.
 */
#define KILLABLE_PAGES 40

/* May end at any instruction: of its own, not of the library. */
static void *walk_killable(void *arg)
{
	volatile char *p = base;

	(void)arg;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;) {
		for (unsigned i = 0; i < KILLABLE_PAGES; i++)
			p[i * LIVE_PAGE]++;
		laps = 1;
	}
	return NULL;
}

START_TEST(a_thread_is_cancelled_in_a_fault)
{
	pthread_t thread;

	open_vm(16);
	base = live_map(vm, KILLABLE_PAGES, LIVE_RW);
	for (int round = 0; round < 50; round++) {
		laps = 0;
		live_ok(pthread_create(&thread, NULL, walk_killable, NULL));
		await(&laps);
		live_ok(pthread_cancel(thread));
		live_ok(pthread_join(thread, NULL));
	}
	fill_pages(base, KILLABLE_PAGES, 1);
	verify_pages(base, KILLABLE_PAGES, 1);
	close_vm(16);
}
END_TEST

static char *signal_page;
static _Atomic int signals_taken;

static void touch_in_handler(int sig)
{
	static unsigned turn;

	(void)sig;
	*(volatile char *)(signal_page + turn++ % 50 * LIVE_PAGE) += 1;
	signals_taken++;
}

static void *send_signals(void *arg)
{
	pthread_t to = *(pthread_t *)arg;

	for (int sent = 0; !atomic_load(&stop); sent++) {
		pthread_kill(to, SIGUSR1);
		while (signals_taken < sent && !atomic_load(&stop))
			sched_yield();
	}
	return NULL;
}

/*
 * A signal that comes while a fault is being resolved finds a handler that
 * touches paged memory itself: it must not meet its own thread's locks.
 */
START_TEST(signal_handlers_may_fault)
{
	struct sigaction sa = {.sa_handler = touch_in_handler};
	pthread_t self = pthread_self(), sender;

	open_vm(16);
	base = live_map(vm, 200, LIVE_RW);
	signal_page = live_map(vm, 50, LIVE_RW);
	sigemptyset(&sa.sa_mask);
	live_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	live_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
	for (uint64_t round = 1; round < 3 || signals_taken < 300; round++) {
		fill_pages(base, 200, round);
		verify_pages(base, 200, round);
	}
	atomic_store(&stop, true);
	pthread_join(sender, NULL);
	close_vm(16);
}
END_TEST

/* ---- the callback ---- */

static struct {
	_Atomic int calls;
	struct vvm_fault fault;
	char *stack;
	unsigned repair; /* protection; VVM_NONE: decline */
} seen;

static enum vvm_verdict on_fault(struct vvm *space,
				 const struct vvm_fault *fault, void *arg)
{
	live_check(arg == &seen);
	seen.calls++;
	seen.fault = *fault;
	seen.stack = __builtin_frame_address(0);
	if (seen.repair == VVM_NONE)
		return VVM_DECLINE;
	live_ok(vvm_protect(space, fault->addr & ~(LIVE_PAGE - 1), LIVE_PAGE,
			    seen.repair));
	return VVM_RETRY;
}

START_TEST(the_callback_repairs)
{
	char *p;

	open_vm(16);
	p = live_map(vm, 100, VVM_READ);
	live_ok(vvm_on_fault(vm, on_fault, &seen));
	seen.repair = LIVE_RW;
	for (uint64_t i = 0; i < 100; i++)
		*(volatile char *)(p + i * LIVE_PAGE + 5) = 9;
	live_equal(seen.calls, 100);
	live_equal(seen.fault.error, -VVM_ENOWRITE);
	live_equal(seen.fault.access, VVM_ACCESS_WRITE);
	live_check(seen.fault.ptr == p + 99 * LIVE_PAGE + 5);
	live_equal(live_stats(vm).denied, 100);
	/* without it faults go on as before */
	live_ok(vvm_on_fault(vm, NULL, NULL));
	for (uint64_t i = 0; i < 100; i++)
		live_equal(*(volatile char *)(p + i * LIVE_PAGE + 5), 9);
	live_ok(vvm_protect(vm, live_addr(p), LIVE_PAGE, VVM_NONE));
	live_equal(live_try_store(p, 1), SIGSEGV);
	live_check(live_signal_addr == p);
	live_equal(seen.calls, 100);
	close_vm(16);
}
END_TEST

START_TEST(the_callback_runs_on_the_alternate_stack)
{
	static char memory[64 << 10];
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
	char *p;

	open_vm(16);
	p = live_map(vm, 4, VVM_READ);
	live_check(sigaltstack(&stack, NULL) == 0);
	live_ok(vvm_on_fault(vm, on_fault, &seen));
	seen.repair = LIVE_RW;
	*(volatile char *)p = 1;
	live_equal(seen.calls, 1);
	live_check(LIVE_SANITIZED || (seen.stack > memory &&
				      seen.stack < memory + sizeof memory));
	close_vm(16);
}
END_TEST

/* ---- failures ---- */

/* 200 pages onto 32 frames and 32 slots; then there is room again. */
START_TEST(a_full_swap_is_sigbus)
{
	int failed = 0;
	char *p;

	live_catch();
	vm = open_inline(32, 32 * LIVE_PAGE, wait_scaled(1000), NULL);
	p = live_map(vm, 200, LIVE_RW);
	live_ok(vvm_on_fault(vm, on_fault, &seen));
	for (uint64_t i = 0; i < 200 && failed < 3; i++) {
		int sig = live_try_store(p + i * LIVE_PAGE, live_stamp(i, 1));

		live_check(sig == 0 || sig == SIGBUS);
		if (sig == 0)
			continue;
		live_check(live_signal_addr == p + i * LIVE_PAGE);
		live_equal(seen.calls, ++failed);
		live_equal(seen.fault.error, -VVM_ENOFRAME);
		live_equal(seen.fault.access, VVM_ACCESS_WRITE);
		live_check(seen.fault.ptr == p + i * LIVE_PAGE);
		live_check(i >= 50);
	}
	live_equal(failed, 3);
	live_equal(live_stats(vm).faults_failed, 3);
	live_equal(live_stats(vm).frame_timeouts, 3);
	live_ok(vvm_advise(vm, live_addr(p), 40 * LIVE_PAGE, VVM_ADV_DONTNEED));
	for (uint64_t i = 40; i < 50; i++)
		live_equal(*(uint64_t *)(p + i * LIVE_PAGE), live_stamp(i, 1));
	for (uint64_t i = 180; i < 200; i++)
		live_equal(live_try_store(p + i * LIVE_PAGE, i), 0);
	live_check(live_stats(vm).peak_pages <= 32);
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(lost_content_is_sigbus)
{
	const char *path = live_path("swap");
	uint64_t value, out = 0, lost = 0;
	char *p, *q;

	live_catch();
	vm = open_inline(32, 4 << 20, PATIENCE_MS, path);
	p = live_map(vm, 20, LIVE_RW);
	q = live_map(vm, 100, LIVE_RW);
	fill_pages(p, 20, 1);
	live_push_out(vm, p, 20, q, 100);
	live_overwrite(path);
	live_ok(vvm_on_fault(vm, on_fault, &seen));
	for (uint64_t i = 0; i < 20; i++) {
		out++;
		if (live_try_load(p + i * LIVE_PAGE + 8, &value) != SIGBUS)
			continue;
		lost++;
		live_check(live_signal_addr == p + i * LIVE_PAGE + 8);
		live_equal(seen.fault.error, -VVM_EPOISON);
		live_equal(seen.fault.access, VVM_ACCESS_READ);
		live_check(live_flags(vm, p + i * LIVE_PAGE) ==
			   (VVM_PAGE_POISONED | VVM_PAGE_SWAPPED));
	}
	live_equal(lost, out); /* not one is believed */
	live_equal(live_stats(vm).poisoned_pages, 20);
	live_equal(seen.calls, 20);
	/* still lost, until its owner says that it does not matter */
	live_equal(live_try_store(p, 1), SIGBUS);
	live_ok(vvm_advise(vm, live_addr(p), LIVE_PAGE, VVM_ADV_DONTNEED));
	live_equal(live_try_store(p, 1), 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- other people's SIGBUS ---- */

/* Two pages of a file of one. */
static char *truncated_file(void)
{
	FILE *f = tmpfile();
	char *p;

	live_check(f && ftruncate(fileno(f), (off_t)LIVE_PAGE) == 0);
	p = mmap(NULL, 2 * LIVE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fileno(f), 0);
	live_check(p != MAP_FAILED);
	fclose(f);
	return p;
}

START_TEST(foreign_sigbus_goes_to_the_handler_before)
{
	char *file = truncated_file(), *p;
	uint64_t value;

	open_vm(16);
	p = live_map(vm, 100, LIVE_RW);
	live_ok(vvm_on_fault(vm, on_fault, &seen));
	for (uint64_t i = 0; i < 200; i++) {
		*(volatile char *)(p + i % 100 * LIVE_PAGE) += 1;
		live_equal(live_try_load(file + LIVE_PAGE + 8 * i, &value),
			   SIGBUS);
		live_check(live_signal_addr == file + LIVE_PAGE + 8 * i);
		live_equal(live_try_load(file, &value), 0);
	}
	live_equal(seen.calls, 0); /* none of them was in a region */
	close_vm(16);
	/* the handler stays when no space is left */
	live_equal(live_try_load(file + LIVE_PAGE, &value), SIGBUS);
}
END_TEST

static _Atomic int plain_calls;
static sigjmp_buf plain_env;

static void plain_handler(int sig)
{
	plain_calls++;
	siglongjmp(plain_env, sig);
}

/* One installed by signal(), with one argument. */
START_TEST(foreign_sigbus_and_a_plain_handler)
{
	char *volatile file = truncated_file();
	char *volatile p;

	signal(SIGBUS, plain_handler);
	vm = open_inline(16, 0, PATIENCE_MS, NULL);
	p = live_map(vm, 100, LIVE_RW);
	for (volatile int i = 0; i < 3; i++) {
		fill_pages(p, 100, 1);
		if (!sigsetjmp(plain_env, 1)) {
			*(volatile char *)(file + LIVE_PAGE) = 1;
			live_fail("no SIGBUS");
		}
	}
	live_equal(plain_calls, 3);
	close_vm(16);
}
END_TEST

static int die_of_foreign_sigbus(void *arg)
{
	char *file = truncated_file(), *p;

	live_default_signals();
	if (arg)
		signal(SIGBUS, SIG_IGN); /* the kernel does not care */
	vm = open_inline(16, 0, PATIENCE_MS, NULL);
	p = live_map(vm, 100, LIVE_RW);
	fill_pages(p, 100, 1);
	*(volatile char *)(file + LIVE_PAGE) = 1;
	return 1;
}

START_TEST(foreign_sigbus_without_a_handler_kills)
{
	int status = live_child(die_of_foreign_sigbus, _i ? &seen : NULL);

	live_check(WIFSIGNALED(status));
	live_equal(WTERMSIG(status), SIGBUS);
}
END_TEST

static int die_of_a_sent_sigbus(void *arg)
{
	char *p;

	live_default_signals();
	if (arg)
		signal(SIGBUS, SIG_IGN);
	vm = open_inline(16, 0, PATIENCE_MS, NULL);
	p = live_map(vm, 100, LIVE_RW);
	fill_pages(p, 100, 1);
	kill(getpid(), SIGBUS);
	verify_pages(p, 100, 1);
	return 7;
}

START_TEST(a_sigbus_that_was_sent)
{
	int status = live_child(die_of_a_sent_sigbus, _i ? &seen : NULL);

	if (_i) {
		live_check(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	} else {
		live_check(WIFSIGNALED(status));
		live_equal(WTERMSIG(status), SIGBUS);
	}
}
END_TEST

static char *foreign;

static void *both_kinds(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg, value;

	for (int i = 0; i < 100; i++) {
		char *p = base + live_below(&random, 200) * LIVE_PAGE;
		char *f = foreign + LIVE_PAGE + 8 * live_below(&random, 512);

		__atomic_fetch_add((uint64_t *)(void *)p, 1, __ATOMIC_SEQ_CST);
		live_check(live_try_load(f, &value) == SIGBUS);
		live_check(live_signal_addr == f);
	}
	return NULL;
}

START_TEST(foreign_sigbus_in_many_threads)
{
	uint64_t sum = 0;

	open_vm(32);
	base = live_map(vm, 200, LIVE_RW);
	foreign = truncated_file();
	run_threads(both_kinds, 0);
	for (uint64_t i = 0; i < 200; i++)
		sum += *(uint64_t *)(base + i * LIVE_PAGE);
	live_equal(sum, THREADS * 100);
	close_vm(32);
}
END_TEST

/* ---- system calls ---- */

static void expect_efault(ssize_t n)
{
	live_equal(n, -1);
	live_equal(errno, EFAULT);
}

START_TEST(system_calls_get_efault)
{
	char buf[8] = "content";
	int fds[2];
	char *p;

	open_vm(64);
	p = live_map(vm, 8, LIVE_RW);
	live_check(pipe(fds) == 0);
	expect_efault(write(fds[1], p, 8)); /* absent */
	expect_efault(pipe((int *)(void *)p));
	live_equal(write(fds[1], buf, 8), 8);
	expect_efault(read(fds[0], p, 8)); /* absent; nothing was taken */
	live_equal(*(volatile char *)p, 0);
	expect_efault(read(fds[0], p, 8)); /* clean, and would be written */
	live_equal(*(volatile char *)p, 0);
	live_ok(vvm_touch(vm, live_addr(p), LIVE_PAGE, VVM_TOUCH_WRITE));
	live_equal(read(fds[0], p, 8), 8);
	live_equal(strcmp(p, buf), 0);
	live_ok(vvm_touch(vm, live_addr(p) + LIVE_PAGE, LIVE_PAGE,
			  VVM_TOUCH_READ));
	live_equal(write(fds[1], p + LIVE_PAGE, 8), 8);
	close(fds[0]);
	close(fds[1]);
	close_vm(64);
}
END_TEST

/* Bare: how many of the increments are lost does not matter. */
static LIVE_BARE void *thrash(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;

	while (!atomic_load(&stop))
		*(volatile char *)(base +
				   live_below(&random, 200) * LIVE_PAGE) += 1;
	return NULL;
}

/* Pinned, a buffer is safe however much is paged around it. */
START_TEST(pinned_buffers_work)
{
	static char want[3 * 4096];
	pthread_t thread[4];
	FILE *f = tmpfile();
	char *p;

	open_vm(32);
	base = live_map(vm, 200, LIVE_RW);
	p = live_map(vm, 30, LIVE_RW);
	for (uintptr_t i = 0; i < 4; i++)
		live_equal(pthread_create(&thread[i], NULL, thrash, (void *)i),
			   0);
	for (uint64_t n = 0; n < 300; n++) {
		char *at = p + n % 27 * LIVE_PAGE + n;

		memset(want, (int)n + 1, sizeof want);
		live_equal(pwrite(fileno(f), want, sizeof want - n, 0),
			   sizeof want - n);
		live_ok(vvm_pin(vm, live_addr(at) & ~(LIVE_PAGE - 1),
				4 * LIVE_PAGE));
		live_equal(pread(fileno(f), at, sizeof want - n, 0),
			   sizeof want - n);
		live_equal(memcmp(at, want, sizeof want - n), 0);
		live_equal(pwrite(fileno(f), at, sizeof want - n, 0),
			   sizeof want - n);
		live_ok(vvm_unpin(vm, live_addr(at) & ~(LIVE_PAGE - 1),
				  4 * LIVE_PAGE));
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	fclose(f);
	close_vm(32);
}
END_TEST

/* ---- tiny budgets ---- */

static const struct {
	uint64_t budget, pages, operations; /* of each thread */
} budgets[] = {{1, 24, 40}, {2, 40, 60}, {8, 200, 100}, {16, 400, 150}};

static uint64_t stress_pages, stress_operations;
static _Atomic uint64_t increments[400];
static uint64_t versions[400]; /* by its owner: page % THREADS */

/* Word 0: increments of anybody. The rest of a page: stamps of its owner. */
static void *stress(void *arg)
{
	uint64_t id = (uint64_t)(uintptr_t)arg, random = id + 1;

	for (uint64_t n = 0; n < stress_operations; n++) {
		uint64_t page = live_below(&random, stress_pages);
		volatile uint64_t *w = (void *)(base + page * LIVE_PAGE);

		if (live_below(&random, 2)) {
			__atomic_fetch_add(w, 1, __ATOMIC_SEQ_CST);
			increments[page]++;
			continue;
		}
		page = page - page % THREADS + id;
		if (page >= stress_pages)
			continue;
		w = (void *)(base + page * LIVE_PAGE);
		for (uint64_t i = 1; i < 512; i += 73)
			live_check(w[i] == (versions[page]
						    ? live_stamp(page * 512 + i,
								 versions[page])
						    : 0));
		versions[page]++;
		for (uint64_t i = 1; i < 512; i += 73)
			w[i] = live_stamp(page * 512 + i, versions[page]);
	}
	return NULL;
}

START_TEST(sixteen_threads_on_a_tiny_budget)
{
	uint64_t budget = budgets[_i].budget;
	struct live_sampler sampler;

	open_vm(budget);
	stress_pages = budgets[_i].pages;
	stress_operations = budgets[_i].operations;
	base = live_map(vm, stress_pages, LIVE_RW);
	live_sampler_start(&sampler, budget);
	run_threads(stress, 0);
	for (uint64_t page = 0; page < stress_pages; page++) {
		volatile uint64_t *w = (void *)(base + page * LIVE_PAGE);

		live_equal(w[0], increments[page]);
		for (uint64_t i = 1; i < 512 && versions[page]; i += 73)
			live_check(w[i] ==
				   live_stamp(page * 512 + i, versions[page]));
	}
	live_check(live_sampler_stop(&sampler) <= budget);
	close_vm(budget);
}
END_TEST

/* ---- readahead ---- */

#define STREAM 4096 /* pages, at a budget of half of them */

static void open_stream(enum vvm_advice advice)
{
	open_vm(STREAM / 2);
	base = live_map(vm, STREAM, LIVE_RW);
	live_ok(vvm_advise(vm, live_addr(base), STREAM * LIVE_PAGE, advice));
	for (uint64_t i = 0; i < STREAM; i++)
		*(uint64_t *)(base + i * LIVE_PAGE) = live_stamp(i, 1);
}

static void read_stream(void)
{
	for (uint64_t i = 0; i < STREAM; i++)
		live_equal(*(volatile uint64_t *)(base + i * LIVE_PAGE),
			   live_stamp(i, 1));
}

START_TEST(sequential_reads_are_read_ahead)
{
	open_stream(VVM_ADV_NORMAL);
	for (int round = 0; round < 3; round++)
		read_stream();
	live_check(live_stats(vm).prefetch_pages > 0);
	live_check(live_stats(vm).prefetch_hit_pages > 0);
	close_vm(STREAM / 2);
}
END_TEST

START_TEST(random_advice_is_not)
{
	open_stream(VVM_ADV_RANDOM);
	read_stream();
	live_equal(live_stats(vm).prefetch_pages, 0);
	close_vm(STREAM / 2);
}
END_TEST

START_TEST(willneed_reads_ahead)
{
	struct vvm_stats st;
	uint64_t n = 64;

	open_stream(VVM_ADV_RANDOM);
	live_push_out(vm, base, n, base + n * LIVE_PAGE, STREAM - n);
	/* frames to spare: readahead is not to push anything out */
	live_ok(vvm_advise(vm, live_addr(base) + STREAM / 2 * LIVE_PAGE,
			   STREAM / 2 * LIVE_PAGE, VVM_ADV_DONTNEED));
	live_ok(vvm_advise(vm, live_addr(base), n * LIVE_PAGE,
			   VVM_ADV_WILLNEED));
	live_wait(live_count_flags(vm, base, n, VVM_PAGE_RESIDENT) == n, 10000);
	st = live_stats(vm);
	live_equal(st.prefetch_pages, n);
	for (uint64_t i = 0; i < n; i++)
		live_equal(*(volatile uint64_t *)(base + i * LIVE_PAGE),
			   live_stamp(i, 1));
	live_equal(live_stats(vm).faults_swapin, st.faults_swapin);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- unmap ---- */

#define SLOTS	   4
#define SLOT_PAGES 32

/* A region, and a count that is odd while it is being replaced. */
static struct {
	char *_Atomic base;
	_Atomic uint64_t turn;
} slot[SLOTS];
static _Atomic uint64_t accesses;

static void *access_slots(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;

	while (!atomic_load(&stop)) {
		uint64_t i = live_below(&random, SLOTS), value = 0;
		uint64_t turn = atomic_load(&slot[i].turn);
		char *p = atomic_load(&slot[i].base) +
			  live_below(&random, SLOT_PAGES) * LIVE_PAGE + 64;
		int sig;

		if (live_below(&random, 2))
			sig = live_try_store(p, value = live_addr(p));
		else
			sig = live_try_load(p, &value);
		accesses++;
		if (turn % 2 == 0 && turn == atomic_load(&slot[i].turn)) {
			/* it was mapped all the time */
			live_check(sig == 0);
			live_check(value == 0 || value == live_addr(p));
		} else if (sig) {
			live_check(sig == SIGSEGV);
			live_check(live_signal_addr == p);
		}
	}
	return NULL;
}

START_TEST(unmap_races_with_faults)
{
	pthread_t thread[4];
	uint64_t random = 8;

	mallopt(M_ARENA_MAX, 1); /* nobody else maps memory meanwhile */
	open_vm(16);
	for (int i = 0; i < SLOTS; i++)
		slot[i].base = live_map(vm, SLOT_PAGES, LIVE_RW);
	for (uintptr_t i = 0; i < 4; i++)
		live_equal(pthread_create(&thread[i], NULL, access_slots,
					  (void *)i),
			   0);
	live_wait(accesses > 100, 10000);
	for (int n = 0; n < 500; n++) {
		uint64_t i = live_below(&random, SLOTS);

		slot[i].turn++;
		live_ok(vvm_unmap(vm, live_addr(slot[i].base),
				  SLOT_PAGES * LIVE_PAGE));
		slot[i].base = live_map(vm, SLOT_PAGES, LIVE_RW);
		slot[i].turn++;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	live_ok(vvm_unmap(vm, 0, LIVE_GUEST));
	live_equal(live_stats(vm).resident_pages, 0);
	live_equal(live_stats(vm).swap_used_pages, 0);
	live_equal(live_frames(live_memfd()), 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* Unmapped memory is SIGSEGV, whoever asks. */
START_TEST(unmapped_is_sigsegv)
{
	uint64_t value;
	char *p;

	open_vm(16);
	p = live_map(vm, 4, LIVE_RW);
	*(volatile char *)p = 1;
	live_ok(vvm_unmap(vm, live_addr(p), 4 * LIVE_PAGE));
	live_equal(live_try_load(p, &value), SIGSEGV);
	live_check(live_signal_addr == p);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- running it ---- */

static void add_faults(Suite *s)
{
	TCase *tc = test_case(s, "faults");

	test_counted(tc, reads_and_writes);
	test_counted(tc, faults_are_counted);
	tcase_add_test(tc, an_access_over_two_pages);
#ifdef __x86_64__
	tcase_add_test(tc, code_is_paged);
#endif
	tcase_add_test(tc, guest_addresses_of_ones_own);
	tcase_add_test(tc, beside_a_space_with_handlers);
	tcase_add_test(tc, errno_is_kept);
	tcase_add_test(tc, small_stacks);
	tcase_add_test(tc, alternate_stacks);
	tcase_add_test(tc, threads_come_and_go);
	tcase_add_test(tc, a_fault_cancels_nobody);
	tcase_add_test(tc, a_thread_is_cancelled_in_a_fault);
	if (!LIVE_TSAN) /* would run the handler within the library's */
		tcase_add_test(tc, signal_handlers_may_fault);
}

static void add_signals(Suite *s)
{
	TCase *tc = test_case(s, "signals");

	tcase_add_unchecked_fixture(tc, live_dir_make, live_dir_remove);
	test_counted(tc, the_callback_repairs);
	tcase_add_test(tc, the_callback_runs_on_the_alternate_stack);
	test_counted(tc, a_full_swap_is_sigbus);
	test_counted(tc, lost_content_is_sigbus);
	tcase_add_test(tc, foreign_sigbus_goes_to_the_handler_before);
	tcase_add_test(tc, foreign_sigbus_and_a_plain_handler);
	tcase_add_loop_test(tc, foreign_sigbus_without_a_handler_kills, 0, 2);
	tcase_add_loop_test(tc, a_sigbus_that_was_sent, 0, 2);
	tcase_add_test(tc, foreign_sigbus_in_many_threads);
	tcase_add_test(tc, system_calls_get_efault);
	tcase_add_test(tc, pinned_buffers_work);
}

static void add_tests(Suite *s)
{
	TCase *tc;

	add_faults(s);
	add_signals(s);
	tc = test_case(s, "load");
	tcase_add_loop_test(tc, sixteen_threads_on_a_tiny_budget, 0,
			    (int)LIVE_LEN(budgets));
	test_counted(tc, sequential_reads_are_read_ahead);
	tcase_add_test(tc, random_advice_is_not);
	test_counted(tc, willneed_reads_ahead);
	tcase_add_test(tc, unmap_races_with_faults);
	tcase_add_test(tc, unmapped_is_sigsegv);
}

static const char *missing(void)
{
#ifdef __x86_64__
	return live_mode_missing("inline");
#else
	return "faults=inline is for x86-64 only";
#endif
}

const struct test_program test_program = {
	.name = "api_inline",
	.add = add_tests,
	.missing = missing,
};
