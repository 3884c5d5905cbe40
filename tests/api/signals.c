/* SPDX-License-Identifier: MIT */
/*
 * api/signals.c - "a profiling timer hangs the process": signal handlers of the
 * program that touch memory which is in swap, while its thread is in any
 * function of the library, or in fork(). And "the result was to be stored in
 * paged memory": what the caller passes may be paged itself, and so may be the
 * stack that it is on.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "support/live.h"
#include "support/random.h"
#include "support/test.h"

#define BUDGET	16
#define PAGES	200 /* most of them in swap at any time */
#define SIGNALS 100 /* at least so many arrive during each call's turn */

static char *hot, *other;
static _Atomic unsigned taken;
static sem_t next; /* to be sent: the last has been taken, or it is over */
static _Atomic bool stop;

static void touch_swapped(int sig)
{
	static unsigned turn;

	(void)sig;
	turn += 37;
	*(volatile char *)(hot + turn % PAGES * LIVE_PAGE) += 1;
	taken++;
	sem_post(&next);
}

/* One signal at a time, each as soon as the last has been taken. */
static void *send_signals(void *arg)
{
	pthread_t to = *(pthread_t *)arg;

	while (!stop) {
		pthread_kill(to, SIGUSR1);
		while (sem_wait(&next))
			;
	}
	return NULL;
}

static void setup(void)
{
	struct sigaction sa = {.sa_handler = touch_swapped};

	live_begin(BUDGET);
	hot = live_map(vm, PAGES, LIVE_RW);
	other = live_map(vm, PAGES, LIVE_RW);
	memset(hot, 1, PAGES * LIVE_PAGE);
	memset(other, 1, PAGES * LIVE_PAGE);
	live_ok(sigaction(SIGUSR1, &sa, NULL));
}

/* ---- each function ---- */

static void do_protect(unsigned i)
{
	live_ok(vvm_protect(vm, live_addr(other), 16 * LIVE_PAGE,
			    i & 1 ? VVM_READ : LIVE_RW));
}

static void do_map(unsigned i)
{
	uint64_t at = VVM_ANYWHERE;

	(void)i;
	live_ok(vvm_map(vm, &at, 8 * LIVE_PAGE, LIVE_RW, "short"));
	live_ok(vvm_unmap(vm, at, 8 * LIVE_PAGE));
}

static void do_discard(unsigned i)
{
	live_ok(vvm_advise(vm, live_addr(other) + i % 100 * LIVE_PAGE,
			   8 * LIVE_PAGE, VVM_ADV_DONTNEED));
}

static void do_cold(unsigned i)
{
	live_ok(vvm_advise(vm, live_addr(other) + i % 100 * LIVE_PAGE,
			   8 * LIVE_PAGE, VVM_ADV_COLD));
}

static void do_willneed(unsigned i)
{
	live_ok(vvm_advise(vm, live_addr(other) + i % 100 * LIVE_PAGE,
			   4 * LIVE_PAGE, VVM_ADV_WILLNEED));
}

static void do_touch(unsigned i)
{
	live_ok(vvm_touch(vm, live_addr(other) + i % 190 * LIVE_PAGE,
			  4 * LIVE_PAGE, VVM_TOUCH_WRITE));
}

static void do_pin(unsigned i)
{
	uint64_t at = live_addr(other) + i % 190 * LIVE_PAGE;

	live_ok(vvm_pin(vm, at, 2 * LIVE_PAGE));
	live_ok(vvm_unpin(vm, at, 2 * LIVE_PAGE));
}

static void do_copy(unsigned i)
{
	uint64_t at = live_addr(other) + i % 190 * LIVE_PAGE, word = 1;

	live_ok(vvm_store(vm, at, &word, sizeof(word)));
	live_ok(vvm_load(vm, at, &word, sizeof(word)));
}

static void do_look(unsigned i)
{
	unsigned char flags[PAGES];
	struct vvm_region region;
	uint64_t at;

	(void)i;
	live_ok(vvm_query(vm, live_addr(other), &region));
	live_ok(vvm_residency(vm, live_addr(other), PAGES * LIVE_PAGE, flags));
	live_ok(vvm_addr(vm, other, &at));
	live_check(vvm_ptr(vm, at) == other);
}

static void do_other(unsigned i)
{
	struct vvm_stats stats;

	live_ok(vvm_stats(vm, &stats, sizeof(stats)));
	live_equal(vvm_fetch_check(vm, live_addr(other) + i, 1), -VVM_ENOEXEC);
	live_ok(vvm_on_fault(vm, NULL, NULL));
}

static void do_map_at(unsigned i)
{
	char *spare = live_map(vm, 4, LIVE_RW);

	int rc;

	(void)i;
	live_ok(vvm_unmap(vm, live_addr(spare), 4 * LIVE_PAGE));
	rc = vvm_map_at(vm, spare, 4 * LIVE_PAGE, LIVE_RW, "there");
	if (rc == -EEXIST) /* another thread was quicker */
		return;
	live_ok(rc);
	live_ok(vvm_unmap(vm, live_addr(spare), 4 * LIVE_PAGE));
}

static void do_resize(unsigned i)
{
	live_ok(vvm_resize(vm, (BUDGET + i % 2) * LIVE_PAGE));
}

static const struct {
	const char *name;
	void (*call)(unsigned i);
} calls[] = {
	{"vvm_protect", do_protect},
	{"vvm_map", do_map},
	{"VVM_ADV_DONTNEED", do_discard},
	{"VVM_ADV_COLD", do_cold},
	{"VVM_ADV_WILLNEED", do_willneed},
	{"vvm_touch", do_touch},
	{"vvm_pin", do_pin},
	{"vvm_load", do_copy},
	{"vvm_query", do_look},
	{"vvm_stats", do_other},
	{"vvm_map_at", do_map_at},
	{"vvm_resize", do_resize},
};

/* Calls it while signals arrive, until enough have. */
static void under_signals(void (*call)(unsigned i))
{
	pthread_t sender, self = pthread_self();
	unsigned i;

	taken = 0;
	stop = false;
	live_ok(sem_init(&next, 0, 0));
	live_ok(pthread_create(&sender, NULL, send_signals, &self));
	for (i = 0; taken < SIGNALS; i++)
		call(i);
	stop = true;
	sem_post(&next);
	live_ok(pthread_join(sender, NULL));
}

START_TEST(handlers_may_touch_memory)
{
	under_signals(calls[_i].call);
}
END_TEST

/* ---- fork ---- */

static void do_fork(unsigned i)
{
	int status = -1;
	pid_t pid;

	(void)i;
	pid = fork();
	live_check(pid >= 0);
	if (pid == 0)
		_exit(0);
	while (waitpid(pid, &status, 0) != pid)
		;
	live_equal(status, 0);
}

/* The mask is as before in the parent and in the child. */
static void check_masks(void)
{
	sigset_t mask;
	int status;
	pid_t pid;

	live_ok(pthread_sigmask(SIG_SETMASK, NULL, &mask));
	live_check(!sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGINT));
	pid = fork();
	if (pid == 0) {
		pthread_sigmask(SIG_SETMASK, NULL, &mask);
		_exit(sigismember(&mask, SIGUSR1) ||
		      sigismember(&mask, SIGINT));
	}
	live_equal(waitpid(pid, &status, 0), pid);
	live_equal(status, 0);
}

START_TEST(handlers_may_touch_memory_in_fork)
{
	if (_i) {
		struct vvm_options o;

		live_ok(vvm_close(vm));
		live_options(&o, BUDGET);
		o.fork = VVM_FORK_INHERIT;
		live_ok(vvm_open(&vm, &o));
		hot = live_map(vm, PAGES, LIVE_RW);
		other = live_map(vm, PAGES, LIVE_RW);
		memset(hot, 1, PAGES * LIVE_PAGE);
	}
	check_masks();
	under_signals(do_fork);
	check_masks();
}
END_TEST

/* ---- arguments that are paged ---- */

/* Has swap take the page. */
static void push_out(const void *page)
{
	live_push_out(vm, page, 1, hot, PAGES);
}

START_TEST(results_go_to_paged_memory)
{
	struct vvm_region *region = (struct vvm_region *)other;
	uint64_t *at = (uint64_t *)(other + LIVE_PAGE);
	unsigned char *flags = (unsigned char *)other + 2 * LIVE_PAGE;
	char *name = other + 3 * LIVE_PAGE;
	unsigned i;

	strcpy(name, "paged name");
	for (i = 0; i < 20; i++) {
		push_out(region);
		live_ok(vvm_query(vm, live_addr(other), region));
		live_equal(region->start, live_addr(other));
		push_out(at);
		live_ok(vvm_addr(vm, other, at));
		live_equal(*at, live_addr(other));
		push_out(flags);
		live_ok(vvm_residency(vm, live_addr(hot), PAGES * LIVE_PAGE,
				      flags));
		live_check(flags[PAGES - 1] &
			   (VVM_PAGE_RESIDENT | VVM_PAGE_SWAPPED));
		push_out(name);
		*at = VVM_ANYWHERE;
		live_ok(vvm_map(vm, at, LIVE_PAGE, LIVE_RW, name));
		live_ok(vvm_query(vm, *at, region));
		ck_assert_str_eq(region->name, "paged name");
		live_ok(vvm_unmap(vm, *at, LIVE_PAGE));
	}
}
END_TEST

/* ---- stacks that are paged ---- */

#define COROUTINES  8
#define STACK_PAGES 16
#define ROUNDS	    30

static ucontext_t back, coroutine[COROUTINES];
static char *stacks;
static void (*to_call)(unsigned i);
static unsigned round_now;

/* As deep as it takes for other pages to be the next ones. */
__attribute__((noinline)) static void descend(unsigned depth)
{
	volatile char pad[700];

	pad[0] = (char)depth;
	if (depth)
		descend(depth - 1);
	else
		to_call(round_now);
	live_equal(pad[0], (char)depth);
}

static void run_coroutine(int me)
{
	uint64_t state = (uint64_t)me;

	for (;;) {
		descend((unsigned)live_below(&state, 40));
		live_ok(swapcontext(&coroutine[me], &back));
	}
}

/* The kernel has to put the frames of SIGBUS somewhere. */
static void firm_signal_stack(void)
{
	static char memory[64 << 10];
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};

	live_ok(sigaltstack(&stack, NULL));
}

static void start_coroutines(void)
{
	uint64_t bytes = STACK_PAGES * LIVE_PAGE;
	int i;

	stacks = live_map(vm, COROUTINES * STACK_PAGES, LIVE_RW);
	for (i = 0; i < COROUTINES; i++) {
		live_ok(getcontext(&coroutine[i]));
		coroutine[i].uc_stack.ss_sp = stacks + (uint64_t)i * bytes;
		coroutine[i].uc_stack.ss_size = bytes;
		makecontext(&coroutine[i], (void (*)(void))run_coroutine, 1, i);
	}
}

static void *press(void *arg)
{
	uint64_t state = 1;

	while (!stop)
		*(volatile char *)(hot +
				   live_below(&state, PAGES) * LIVE_PAGE) += 1;
	return arg;
}

START_TEST(calls_on_paged_stacks)
{
	pthread_t presser;
	int i;

	if (LIVE_SANITIZED)
		return; /* they know of no other stacks */
	firm_signal_stack();
	start_coroutines();
	to_call = calls[_i].call;
	stop = false;
	live_ok(pthread_create(&presser, NULL, press, NULL));
	for (round_now = 0; round_now < ROUNDS; round_now++)
		for (i = 0; i < COROUTINES; i++)
			live_ok(swapcontext(&back, &coroutine[i]));
	stop = true;
	live_ok(pthread_join(presser, NULL));
}
END_TEST

static _Atomic unsigned repaired;

static enum vvm_verdict repair(struct vvm *space, const struct vvm_fault *fault,
			       void *arg)
{
	(void)arg;
	live_ok(vvm_protect(space, fault->addr & ~(LIVE_PAGE - 1), LIVE_PAGE,
			    LIVE_RW));
	repaired++;
	return VVM_RETRY;
}

/*
 * In inline mode the kernel could not put a SIGBUS frame there, nor any where
 * its own accesses bring no page.
 */
START_TEST(callbacks_on_a_paged_signal_stack)
{
	stack_t stack = {.ss_size = 64 << 10}, none = {.ss_flags = SS_DISABLE};
	pthread_t presser;
	unsigned i;

	if (live_inline() || live_missing_system_calls() || LIVE_SANITIZED)
		return;
	stack.ss_sp = live_map(vm, 16, LIVE_RW);
	live_ok(sigaltstack(&stack, NULL));
	live_ok(vvm_on_fault(vm, repair, NULL));
	stop = false;
	live_ok(pthread_create(&presser, NULL, press, NULL));
	for (i = 0; i < 500; i++) {
		char *page = other + i % PAGES * LIVE_PAGE;

		live_ok(vvm_protect(vm, live_addr(page), LIVE_PAGE, VVM_READ));
		*(volatile char *)page = 2;
	}
	live_equal(repaired, 500);
	stop = true;
	live_ok(pthread_join(presser, NULL));
	live_ok(sigaltstack(&none, NULL));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "signals");

	/*
	 * ThreadSanitizer blocks SIGBUS in handlers, which is the end in inline
	 * mode, and runs in a fork child those that its parent missed.
	 */
	if (!LIVE_TSAN || !live_inline())
		tcase_add_loop_test(tc, handlers_may_touch_memory, 0,
				    (int)LIVE_LEN(calls));
	if (!LIVE_TSAN)
		tcase_add_loop_test(tc, handlers_may_touch_memory_in_fork, 0,
				    2);
	tcase_add_test(tc, results_go_to_paged_memory);
	tcase_add_loop_test(tc, calls_on_paged_stacks, 0, (int)LIVE_LEN(calls));
	tcase_add_test(tc, callbacks_on_a_paged_signal_stack);
}

const struct test_program test_program = {
	.name = "api_signals",
	.add = add_tests,
	.setup = setup,
	.teardown = live_end,
	.missing = live_missing,
	.modes = true,
};
