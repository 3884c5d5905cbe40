/* SPDX-License-Identifier: MIT */
/*
 * unit/life.c - who does not get on is reported, once, and only then; the guard
 * sleeps while nothing happens; and the end of a space one of whose threads has
 * died. The clock goes as the test wants. Needs userfaultfd, else skips.
 */
#include "space/life.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "os/os.h"
#include "support/engine.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define LOOKS (LIFE_STALL_US / LIFE_LOOK_US)

uint64_t __real_os_now_us(void); /* NOLINT: the linker's name */
uint64_t __wrap_os_now_us(void); /* NOLINT */

static _Atomic uint64_t ahead_us; /* of the real clock */

uint64_t __wrap_os_now_us(void) /* NOLINT */
{
	return __real_os_now_us() + atomic_load(&ahead_us);
}

static struct life *life;

/* Handler 0 runs in this thread, and there is no guard. */
static void setup(void)
{
	engine_setup();
	life = life_begin(vm, 0, "handler", actor, ring);
	vm->lives.life[LIFE_RECLAIMER].actor = vm->api;
}

static void teardown(void)
{
	life_end(life);
	engine_close();
}

/* Looks so often, a look apart; how often was something to be reported? */
static unsigned look(uint64_t wait, unsigned looks)
{
	unsigned n = 0;

	while (looks--) {
		atomic_fetch_add(&ahead_us, LIFE_LOOK_US);
		n += life_stalls(life, wait, os_now_us());
	}
	return n;
}

START_TEST(a_wait_is_reported_once)
{
	ck_assert_uint_eq(look(7, LOOKS / 2), 0);
	ck_assert_uint_eq(look(7, LOOKS), 1);
	ck_assert_uint_eq(look(7, 3 * LOOKS), 0);
	ck_assert_uint_eq(look(8, LOOKS / 2), 0);
	ck_assert_uint_eq(look(9, LOOKS), 0); /* each for a while: it gets on */
	ck_assert_uint_eq(look(9, 2), 1);
	ck_assert_uint_eq(look(0, 3 * LOOKS), 0);
}
END_TEST

/* An hour, seen by one look, may have been a SIGSTOP. */
START_TEST(a_stopped_process_does_not_stall)
{
	ck_assert_uint_eq(look(7, 1), 0);
	atomic_fetch_add(&ahead_us, 3600 * (uint64_t)1000000);
	ck_assert_uint_eq(look(7, LOOKS / 2), 0);
}
END_TEST

START_TEST(a_report_ends_with_the_wait)
{
	ck_assert_uint_eq(look(7, LOOKS + 1), 1);
	life_report(life, VVM_STAT_STALL_read, os_now_us() - 6000000, 77);
	engine_expect(C(watchdog_stalls) = 1);
	ck_assert_uint_eq(actor->stall, VVM_STAT_STALL_read);
	ck_assert_uint_eq(actor->stall_arg, 77);
	ck_assert_uint_le(actor->stall_since_unix_us, os_unix_us() - 6000000);
	ck_assert_uint_eq(look(7, 1), 0);
	ck_assert_uint_eq(actor->stall, VVM_STAT_STALL_read);
	life_sleeps(life);
	ck_assert_uint_eq(actor->stall, VVM_STAT_STALL_none);
	life_report(life, VVM_STAT_STALL_frame, os_now_us(), 0);
	engine_expect(C(watchdog_stalls) = 1);
}
END_TEST

/* ---- the guard's look ---- */

static int64_t lives_looks(unsigned looks)
{
	int64_t again_us = 0;

	while (looks--) {
		atomic_fetch_add(&ahead_us, LIFE_LOOK_US);
		again_us = lives_look(vm);
	}
	return again_us;
}

static bool event_waits(void)
{
	uint64_t ready, invalid;

	ck_assert_int_eq(
		os_poll(&vm->lives.guard.event, 1, 0, &ready, &invalid), 0);
	if (ready)
		os_eventfd_drain(vm->lives.guard.event);
	return ready;
}

START_TEST(the_guard_sleeps_while_nothing_happens)
{
	ck_assert_int_eq(lives_looks(1), LIFE_LOOK_US); /* once more */
	ck_assert_int_lt(lives_looks(1), 0);
	ck_assert(!event_waits());
	life_works(life, os_now_us());
	ck_assert(event_waits());
	life_works(life, os_now_us());
	ck_assert(!event_waits()); /* once is enough */
	ck_assert_int_eq(lives_looks(3), LIFE_LOOK_US);
	life_sleeps(life);
	ck_assert_int_eq(lives_looks(1), LIFE_LOOK_US);
	ck_assert_int_lt(lives_looks(1), 0);
}
END_TEST

/* Rounds go on: all is well. They do not: it is stuck. */
START_TEST(a_handler_that_does_not_come_round)
{
	unsigned i;

	for (i = 0; i < 2 * LOOKS; i++) {
		life_works(life, os_now_us());
		lives_looks(1);
	}
	engine_expect_nothing();
	lives_looks(2 * LOOKS);
	engine_expect(C(watchdog_stalls) = 1);
	ck_assert_uint_eq(actor->stall, VVM_STAT_STALL_stuck);
	life_works(life, os_now_us());
	lives_looks(1);
	ck_assert_uint_eq(actor->stall, VVM_STAT_STALL_none);
	ck_assert(!space_broken(vm));
}
END_TEST

/* ---- locks ---- */

static struct lock contended = {.rank = LOCK_MISC};
static _Atomic bool has_it;

static void *take(void *unused)
{
	struct life *l = life_begin(vm, 1, "handler", actor, ring);

	(void)unused;
	lock_take(&contended);
	atomic_store(&has_it, true);
	lock_drop(&contended);
	life_end(l);
	return NULL;
}

START_TEST(a_lock_that_nobody_drops)
{
	uint64_t end_us = __real_os_now_us() + (uint64_t)ENGINE_US;
	pthread_t thread;

	lock_init(&contended, LOCK_MISC);
	lock_take(&contended);
	ck_assert_int_eq(pthread_create(&thread, NULL, take, NULL), 0);
	while (__atomic_load_n(&actor->stall, __ATOMIC_RELAXED) !=
	       VVM_STAT_STALL_lock) {
		ck_assert_uint_lt(__real_os_now_us(), end_us);
		atomic_fetch_add(&ahead_us, LIFE_LOOK_US);
		os_sleep_us(1000);
	}
	ck_assert(!atomic_load(&has_it));
	lock_drop(&contended);
	pthread_join(thread, NULL);
	ck_assert(atomic_load(&has_it));
	engine_expect(C(watchdog_stalls) = 1);
}
END_TEST

/* ---- the end ---- */

static void *die(void *unused)
{
	struct life *l = life_begin(vm, 1, "handler", actor, ring);

	(void)unused;
	(void)l;
	rwlock_read(&vm->lock);
	lock_take(&pt_find(&vm->pt, addr)->lock);
	return NULL; /* as far as anybody can see it was killed */
}

/* Its locks are free, its descriptor is noticed, the memory is SIGBUS. */
START_TEST(what_a_dead_thread_leaves)
{
	struct block *b;
	pthread_t thread;
	uint64_t n;

	engine_out(addr, 4);
	ck_assert_int_eq(engine_begin(page_of(addr, 2), false), FAULT_READ);
	ck_assert_int_eq(lives_start(vm), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, die, NULL), 0);
	while (!space_broken(vm))
		os_sleep_us(1000);
	rwlock_write(&vm->lock);
	rwlock_end_write(&vm->lock);
	b = block_of(addr);
	ck_assert_uint_gt(b->filling, 0);
	space_wait_busy(vm, b, 0, 3, true); /* undone, not waited for */
	ck_assert_uint_eq(b->filling, 0);
	lock_drop(&b->lock);
	ck_assert_int_eq(engine_fault(addr, false), FAULT_FAILED);
	ck_assert_int_eq(os_allocated(vm->memfd, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_lt(os_truncate(vm->memfd, PAGE_BYTES), 0);
	pthread_join(thread, NULL);
	atomic_store(&vm->stopping, true);
	lives_stop(vm);
}
END_TEST

static void forget(void)
{
	/* what is broken is not checked */
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "stalls");

	tcase_add_test(tc, a_wait_is_reported_once);
	tcase_add_test(tc, a_stopped_process_does_not_stall);
	tcase_add_test(tc, a_report_ends_with_the_wait);
	tcase_add_test(tc, the_guard_sleeps_while_nothing_happens);
	tcase_add_test(tc, a_handler_that_does_not_come_round);
	tcase_add_test(tc, a_lock_that_nobody_drops);
	tc = test_case_with(s, "death", setup, forget);
	tcase_add_test(tc, what_a_dead_thread_leaves);
}

const struct test_program test_program = {
	.name = "life",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = engine_missing,
};
