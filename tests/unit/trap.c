/* SPDX-License-Identifier: MIT */
/*
 * unit/trap.c - SIGSEGV on a page whose permissions of now allow the access,
 * since they have changed in between. What handlers and callbacks see else is
 * api/fault's. The thread that has the signal is stopped where it looks at the
 * region, at the space lock; mprotect(2) changes what the kernel permits alone.
 */
#include "fault/trap.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "fault/inline.h"
#include "support/access.h"
#include "support/live.h"
#include "support/test.h"
#include "support/wait.h"

static char *page;
static _Atomic int calls;

static enum vvm_verdict decline(struct vvm *space,
				const struct vvm_fault *fault, void *arg)
{
	(void)space;
	(void)fault;
	(void)arg;
	atomic_fetch_add(&calls, 1);
	return VVM_DECLINE;
}

static void set_up(void)
{
	live_begin(64);
	live_ok(vvm_on_fault(vm, decline, NULL));
	page = live_map(vm, 2, LIVE_RW);
	page[0] = page[LIVE_PAGE] = 1;
}

struct store {
	pthread_t thread;
	int signal;
	bool ended;
};

static void *store(void *arg)
{
	struct store *s = arg;

	s->signal = live_try_store(page, 7);
	__atomic_store_n(&s->ended, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Somebody sleeps until the space lock is free, or has not come to it. */
static bool stopped(const struct store *s)
{
	return (atomic_load(&vm->lock.turn) & 1) ||
	       __atomic_load_n(&s->ended, __ATOMIC_SEQ_CST);
}

/* What a store ends in that the kernel refuses, and permits a moment later. */
static int store_too_early(void)
{
	struct store s = {0};

	rwlock_write(&vm->lock);
	live_equal(mprotect(page, LIVE_PAGE, PROT_NONE), 0);
	live_equal(pthread_create(&s.thread, NULL, store, &s), 0);
	live_wait(stopped(&s), 10000);
	live_check(!s.ended);
	live_equal(mprotect(page, LIVE_PAGE, PROT_READ | PROT_WRITE), 0);
	rwlock_end_write(&vm->lock);
	pthread_join(s.thread, NULL);
	return s.signal;
}

/* The access may as well have come later. Each change is another chance. */
START_TEST(permitted_a_moment_later)
{
	for (unsigned i = 0; i < 3; i++) {
		page[0] = 1;
		live_ok(vvm_protect(vm, live_addr(page), LIVE_PAGE, LIVE_RW));
		live_equal(store_too_early(), 0);
		live_equal(*(uint64_t *)(void *)page, 7);
	}
	live_equal(atomic_load(&calls), 0);
}
END_TEST

/* The program has called mprotect(2): it is not tried for ever. */
START_TEST(refused_behind_the_librarys_back)
{
	live_equal(mprotect(page, 2 * LIVE_PAGE, PROT_NONE), 0);
	for (int i = 0; i < 4; i++) {
		char *at = page + i % 2 * LIVE_PAGE;
		uint64_t value;

		live_equal(i < 2 ? live_try_store(at, 7)
				 : live_try_load(at, &value),
			   SIGSEGV);
		live_check(live_signal_addr == at);
		live_equal(atomic_load(&calls), i + 1);
	}
	live_equal(mprotect(page, 2 * LIVE_PAGE, PROT_READ | PROT_WRITE), 0);
	live_equal(page[0] + page[LIVE_PAGE], 2);
}
END_TEST

/* What has taken the permission since the signal is no failure of ours. */
START_TEST(a_refusal_is_no_failed_fault)
{
	if (!space_is_inline(vm))
		return;
	live_ok(vvm_protect(vm, live_addr(page), LIVE_PAGE, VVM_READ));
	live_equal(inline_fault(vm, live_addr(page), true, PTE_WRITE, 0),
		   -VVM_ENOWRITE);
	live_equal(live_stats(vm).faults_failed, 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "permissions");

	tcase_add_test(tc, permitted_a_moment_later);
	tcase_add_test(tc, refused_behind_the_librarys_back);
	if (TEST_STATS)
		tcase_add_test(tc, a_refusal_is_no_failed_fault);
}

const struct test_program test_program = {
	.name = "trap",
	.add = add_tests,
	.setup = set_up,
	.teardown = live_end,
	.missing = live_missing,
	.modes = true,
};
