/* SPDX-License-Identifier: MIT */
/*
 * unit/lock.c - util/lock.c under threads. Each test proves a property by
 * counting (mutual exclusion, no lost wake-up) or by arranging who waits and
 * then looking at the order (writer preference). To arrange it, the tests
 * read the lock words, whose layout util/lock.c's theory comment describes; they
 * never sleep to win a race. A lost wake-up is a hang, which the limit of
 * the test case ends.
 */
#include "util/lock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "support/jump.h"
#include "os/os.h"
#include "support/test.h"
#include "support/wait.h"

#define THREADS	     8
#define ROUNDS	     20000
#define WAITERS_MASK 0x7ff00000u
#define PATIENCE_US  wait_scaled(30000000) /* longer than any test takes */

static struct lock lock;
static struct rwlock rwlock;
static struct waitq waitq;
static long counter; /* (lock), (rwlock) or (a) by waitq protocol */

static void run_threads(unsigned n, void *(*run)(void *))
{
	pthread_t threads[THREADS];
	uintptr_t i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, run, (void *)i), 0);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* ---- mutex ---- */

START_TEST(test_lock_states)
{
	lock_init(&lock, LOCK_MISC);
	ck_assert(!lock_held(&lock));
	lock_take(&lock);
	ck_assert(lock_held(&lock));
	ck_assert_uint_eq(atomic_load(&lock.word), 1);
	ck_assert(!lock_try(&lock));
	lock_drop(&lock);
	ck_assert(!lock_held(&lock));
	ck_assert(lock_try(&lock));
	lock_drop(&lock);
	ck_assert_uint_eq(atomic_load(&lock.word), 0);
}
END_TEST

static void *count_taking(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		lock_take(&lock);
		counter++;
		if (i % 64 == 0) /* let others pile up and sleep */
			sched_yield();
		lock_drop(&lock);
	}
	return NULL;
}

START_TEST(test_lock_excludes)
{
	lock_init(&lock, LOCK_BLOCK);
	counter = 0;
	run_threads(THREADS, count_taking);
	ck_assert_int_eq(counter, (long)THREADS * ROUNDS);
	ck_assert_uint_eq(atomic_load(&lock.word), 0);
}
END_TEST

static void *count_trying(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		while (!lock_try(&lock))
			sched_yield();
		counter++;
		lock_drop(&lock);
	}
	return NULL;
}

START_TEST(test_try_excludes)
{
	lock_init(&lock, LOCK_BLOCK);
	counter = 0;
	run_threads(4, count_trying);
	ck_assert_int_eq(counter, 4L * ROUNDS);
}
END_TEST

static void *take_once(void *arg)
{
	(void)arg;
	lock_take(&lock);
	counter++;
	lock_drop(&lock);
	return NULL;
}

/* A taker that went to sleep (word 2) is woken by the drop. */
START_TEST(test_drop_wakes_sleeper)
{
	pthread_t thread;

	lock_init(&lock, LOCK_MISC);
	counter = 0;
	lock_take(&lock);
	pthread_create(&thread, NULL, take_once, NULL);
	while (atomic_load(&lock.word) != 2)
		sched_yield();
	lock_drop(&lock);
	pthread_join(thread, NULL);
	ck_assert_int_eq(counter, 1);
}
END_TEST

START_TEST(test_drop_of_free_lock_aborts)
{
	lock_init(&lock, LOCK_MISC);
	lock_drop(&lock);
}
END_TEST

static void *fail_to_take(void *arg)
{
	(void)arg;
	ck_assert(!lock_take_timed(&lock, 1000));
	return NULL;
}

START_TEST(test_timed_take_gives_up)
{
	lock_init(&lock, LOCK_MISC);
	ck_assert(lock_take_timed(&lock, 0));
	run_threads(1, fail_to_take);
	lock_drop(&lock);
	ck_assert_uint_eq(atomic_load(&lock.word), 0);
}
END_TEST

static void *take_patiently(void *arg)
{
	(void)arg;
	counter += lock_take_timed(&lock, PATIENCE_US);
	lock_drop(&lock);
	return NULL;
}

/* Its holder could not drop it meanwhile. */
START_TEST(test_timed_take_and_a_stopped_process)
{
	pthread_t thread;

	lock_init(&lock, LOCK_MISC);
	counter = 0;
	lock_take(&lock);
	pthread_create(&thread, NULL, take_patiently, NULL);
	jump_when_waiting(2);
	lock_drop(&lock);
	pthread_join(thread, NULL);
	ck_assert_int_eq(counter, 1);
}
END_TEST

/* ---- reader-writer lock ---- */

START_TEST(test_rwlock_states)
{
	rwlock_init(&rwlock, LOCK_SPACE);
	rwlock_read(&rwlock);
	ck_assert(!rwlock_held_write(&rwlock));
	rwlock_end_read(&rwlock);
	ck_assert(rwlock_try_read(&rwlock));
	rwlock_end_read(&rwlock);
	rwlock_write(&rwlock);
	ck_assert(rwlock_held_write(&rwlock));
	ck_assert(!rwlock_try_read(&rwlock));
	rwlock_end_write(&rwlock);
	ck_assert_uint_eq(atomic_load(&rwlock.word), 0);
}
END_TEST

static long twin; /* (rwlock) equals counter whenever no writer is inside */

static void *read_and_write(void *arg)
{
	unsigned i, me = (unsigned)(uintptr_t)arg;
	long torn = 0;

	for (i = 0; i < ROUNDS; i++) {
		if ((i + me) % 8 == 0) {
			rwlock_write(&rwlock);
			counter++;
			if (i % 64 == 0)
				sched_yield();
			twin++;
			rwlock_end_write(&rwlock);
		} else {
			rwlock_read(&rwlock);
			torn += counter != twin;
			rwlock_end_read(&rwlock);
		}
	}
	ck_assert_int_eq(torn, 0);
	return NULL;
}

START_TEST(test_rwlock_excludes)
{
	rwlock_init(&rwlock, LOCK_SPACE);
	counter = twin = 0;
	run_threads(THREADS, read_and_write);
	ck_assert_int_eq(counter, (long)THREADS * ROUNDS / 8);
	ck_assert_uint_eq(atomic_load(&rwlock.word), 0);
}
END_TEST

static pthread_barrier_t barrier;

/* Both must be inside at once to pass the barrier. */
static void *read_together(void *arg)
{
	(void)arg;
	rwlock_read(&rwlock);
	pthread_barrier_wait(&barrier);
	rwlock_end_read(&rwlock);
	return NULL;
}

START_TEST(test_readers_share)
{
	rwlock_init(&rwlock, LOCK_SPACE);
	pthread_barrier_init(&barrier, NULL, 4);
	run_threads(4, read_together);
	pthread_barrier_destroy(&barrier);
}
END_TEST

static void *note_write(void *arg)
{
	rwlock_write(&rwlock);
	counter = counter * 10 + (long)(uintptr_t)arg;
	rwlock_end_write(&rwlock);
	return NULL;
}

static void *note_read(void *arg)
{
	rwlock_read(&rwlock);
	/* Racy only if the test fails: the sole other reader is our starter. */
	__atomic_store_n(&counter, counter * 10 + (long)(uintptr_t)arg,
			 __ATOMIC_RELAXED);
	rwlock_end_read(&rwlock);
	return NULL;
}

/*
 * We read; a writer (1) waits; then a reader (2) comes. It must not join us
 * but follow the writer: the order is 12.
 */
START_TEST(test_waiting_writer_goes_first)
{
	pthread_t writer, reader;

	rwlock_init(&rwlock, LOCK_SPACE);
	counter = 0;
	rwlock_read(&rwlock);
	pthread_create(&writer, NULL, note_write, (void *)1);
	while (!(atomic_load(&rwlock.word) & WAITERS_MASK))
		sched_yield();
	ck_assert(!rwlock_try_read(&rwlock));
	pthread_create(&reader, NULL, note_read, (void *)2);
	while (!(atomic_load(&rwlock.turn) & 1)) /* somebody sleeps */
		sched_yield();
	ck_assert_int_eq(__atomic_load_n(&counter, __ATOMIC_RELAXED), 0);
	rwlock_end_read(&rwlock);
	pthread_join(writer, NULL);
	pthread_join(reader, NULL);
	ck_assert_int_eq(counter, 12);
}
END_TEST

START_TEST(test_sleeping_readers_wake)
{
	pthread_t threads[4];
	unsigned i;

	rwlock_init(&rwlock, LOCK_SPACE);
	pthread_barrier_init(&barrier, NULL, 4);
	rwlock_write(&rwlock);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, read_together, NULL);
	while (!(atomic_load(&rwlock.turn) & 1))
		sched_yield();
	rwlock_end_write(&rwlock);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
}
END_TEST

static void *fail_to_write(void *arg)
{
	(void)arg;
	ck_assert(!rwlock_write_timed(&rwlock, 1000));
	return NULL;
}

/* ... and leaves no trace: readers are let in again. */
START_TEST(test_timed_write_gives_up)
{
	rwlock_init(&rwlock, LOCK_SPACE);
	rwlock_read(&rwlock);
	run_threads(1, fail_to_write);
	rwlock_end_read(&rwlock);
	ck_assert_uint_eq(atomic_load(&rwlock.word), 0);
	ck_assert(rwlock_write_timed(&rwlock, 0));
	rwlock_end_write(&rwlock);
}
END_TEST

static void *give_up_at_last(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&counter, __ATOMIC_RELAXED))
		ck_assert(!rwlock_write_timed(&rwlock, 100000));
	return NULL;
}

/* ... even those that sleep because of it. */
START_TEST(test_timed_write_lets_sleeping_readers_in)
{
	pthread_t writer, reader;

	rwlock_init(&rwlock, LOCK_SPACE);
	counter = 0;
	rwlock_read(&rwlock);
	pthread_create(&writer, NULL, give_up_at_last, NULL);
	while (!(atomic_load(&rwlock.word) & WAITERS_MASK))
		sched_yield();
	pthread_create(&reader, NULL, note_read, (void *)2);
	pthread_join(writer, NULL);
	pthread_join(reader, NULL);
	ck_assert_int_eq(counter, 2);
	rwlock_end_read(&rwlock);
}
END_TEST

static void *write_patiently(void *arg)
{
	(void)arg;
	counter += rwlock_write_timed(&rwlock, PATIENCE_US);
	rwlock_end_write(&rwlock);
	return NULL;
}

START_TEST(test_timed_write_and_a_stopped_process)
{
	pthread_t thread;

	rwlock_init(&rwlock, LOCK_SPACE);
	counter = 0;
	rwlock_read(&rwlock);
	pthread_create(&thread, NULL, write_patiently, NULL);
	jump_when_waiting(2);
	rwlock_end_read(&rwlock);
	pthread_join(thread, NULL);
	ck_assert_int_eq(counter, 1);
	ck_assert_uint_eq(atomic_load(&rwlock.word), 0);
}
END_TEST

START_TEST(test_end_of_unread_aborts)
{
	rwlock_init(&rwlock, LOCK_SPACE);
	rwlock_end_read(&rwlock);
}
END_TEST

START_TEST(test_end_of_unwritten_aborts)
{
	rwlock_init(&rwlock, LOCK_SPACE);
	rwlock_end_write(&rwlock);
}
END_TEST

/* ---- wait queue ---- */

START_TEST(test_waitq_wake_since_ticket)
{
	uint32_t ticket;

	waitq_init(&waitq);
	ticket = waitq_ticket(&waitq);
	waitq_wake(&waitq);
	ck_assert_int_eq(waitq_wait(&waitq, ticket, -1), 0);
	ck_assert_int_eq(waitq_wait(&waitq, ticket, 0), 0);
	ck_assert_uint_eq(atomic_load(&waitq.waiters), 0);
}
END_TEST

START_TEST(test_waitq_times_out)
{
	uint64_t start_us = os_now_us();

	waitq_init(&waitq);
	ck_assert_int_eq(waitq_wait(&waitq, waitq_ticket(&waitq), 0),
			 -ETIMEDOUT);
	ck_assert_int_eq(waitq_wait(&waitq, waitq_ticket(&waitq), 20000),
			 -ETIMEDOUT);
	ck_assert_uint_ge(os_now_us() - start_us, 20000);
	ck_assert_uint_eq(atomic_load(&waitq.waiters), 0);
}
END_TEST

static void on_signal(int sig)
{
	(void)sig;
}

static _Atomic bool woke;

static void *wait_for_wake(void *arg)
{
	(void)arg;
	ck_assert_int_eq(waitq_wait(&waitq, 0, -1), 0);
	atomic_store(&woke, true);
	return NULL;
}

/* Signals neither end the wait nor lose the wake. */
START_TEST(test_waitq_survives_signals)
{
	struct sigaction action = {.sa_handler = on_signal};
	pthread_t thread;
	int i;

	sigaction(SIGUSR1, &action, NULL);
	waitq_init(&waitq);
	atomic_store(&woke, false);
	pthread_create(&thread, NULL, wait_for_wake, NULL);
	while (!atomic_load(&waitq.waiters))
		sched_yield();
	for (i = 0; i < 100; i++) {
		pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	ck_assert(!atomic_load(&woke));
	waitq_wake(&waitq);
	pthread_join(thread, NULL);
	ck_assert(atomic_load(&woke));
}
END_TEST

/*
 * The use in the library: a condition under a lock. Players pass a ball
 * around; each waits until it is his turn. One lost wake-up hangs the game.
 */
#define PLAYERS 4
#define PASSES	4000 /* each */

static void *play(void *arg)
{
	long me = (long)(uintptr_t)arg;
	uint32_t ticket;
	int i;

	for (i = 0; i < PASSES; i++) {
		lock_take(&lock);
		while (counter % PLAYERS != me) {
			ticket = waitq_ticket(&waitq);
			lock_drop(&lock);
			waitq_wait(&waitq, ticket, -1);
			lock_take(&lock);
		}
		counter++;
		lock_drop(&lock);
		waitq_wake(&waitq);
	}
	return NULL;
}

START_TEST(test_waitq_loses_no_wake)
{
	lock_init(&lock, LOCK_BLOCK);
	waitq_init(&waitq);
	counter = 0;
	run_threads(PLAYERS, play);
	ck_assert_int_eq(counter, PLAYERS * PASSES);
	ck_assert_uint_eq(atomic_load(&waitq.waiters), 0);
}
END_TEST

static void *wait_for_start(void *arg)
{
	(void)arg;
	waitq_wait(&waitq, 0, -1);
	return NULL;
}

START_TEST(test_waitq_wakes_all)
{
	pthread_t threads[THREADS];
	unsigned i;

	waitq_init(&waitq);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, wait_for_start, NULL);
	while (atomic_load(&waitq.waiters) < THREADS)
		sched_yield();
	waitq_wake(&waitq);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

/* ---- order ---- */

START_TEST(test_rising_ranks_are_legal)
{
	struct lock mapping, block, misc;

	lock_init(&mapping, LOCK_MAPPING);
	rwlock_init(&rwlock, LOCK_SPACE);
	lock_init(&block, LOCK_BLOCK);
	lock_init(&misc, LOCK_MISC);
	lock_take(&mapping);
	rwlock_read(&rwlock);
	lock_take(&block);
	ck_assert(lock_try(&misc));
	/* Dropped in any order; and what is free again may be taken again. */
	rwlock_end_read(&rwlock);
	lock_drop(&mapping);
	lock_drop(&misc);
	lock_take(&misc);
	lock_drop(&block);
	lock_drop(&misc);
	rwlock_write(&rwlock);
	rwlock_end_write(&rwlock);
}
END_TEST

/* Ranks are per thread: another thread's locks do not count. */
START_TEST(test_order_is_per_thread)
{
	struct lock misc;

	lock_init(&misc, LOCK_MISC);
	lock_init(&lock, LOCK_MAPPING);
	counter = 0;
	lock_take(&misc);
	run_threads(1, take_once);
	lock_drop(&misc);
	ck_assert_int_eq(counter, 1);
}
END_TEST

/* A try that fails is no violation, whatever is held. */
START_TEST(test_failed_try_is_legal)
{
	struct lock misc;

	lock_init(&misc, LOCK_MISC);
	lock_init(&lock, LOCK_BLOCK);
	lock_take(&lock);
	lock_take(&misc);
	ck_assert(!lock_try(&lock));
	rwlock_init(&rwlock, LOCK_SPACE);
	atomic_store(&rwlock.word, WAITERS_MASK); /* as if writers waited */
	ck_assert(!rwlock_try_read(&rwlock));
	lock_drop(&misc);
	lock_drop(&lock);
}
END_TEST

#ifdef VVM_DEBUG

static struct lock low, high, peer;

static void init_ranks(void)
{
	lock_init(&low, LOCK_BLOCK);
	lock_init(&high, LOCK_POOL);
	lock_init(&peer, LOCK_POOL);
	rwlock_init(&rwlock, LOCK_SPACE);
}

START_TEST(test_falling_rank_aborts)
{
	init_ranks();
	lock_take(&high);
	lock_take(&low);
}
END_TEST

START_TEST(test_equal_rank_aborts)
{
	init_ranks();
	lock_take(&high);
	lock_take(&peer);
}
END_TEST

START_TEST(test_taking_twice_aborts)
{
	init_ranks();
	lock_take(&low);
	lock_take(&low);
}
END_TEST

START_TEST(test_try_of_falling_rank_aborts)
{
	init_ranks();
	lock_take(&high);
	lock_try(&low);
}
END_TEST

START_TEST(test_read_below_block_aborts)
{
	init_ranks();
	lock_take(&low);
	rwlock_read(&rwlock);
}
END_TEST

START_TEST(test_try_read_below_block_aborts)
{
	init_ranks();
	lock_take(&low);
	rwlock_try_read(&rwlock);
}
END_TEST

START_TEST(test_write_below_block_aborts)
{
	init_ranks();
	lock_take(&low);
	rwlock_write(&rwlock);
}
END_TEST

START_TEST(test_nested_read_aborts)
{
	init_ranks();
	rwlock_read(&rwlock);
	rwlock_read(&rwlock);
}
END_TEST

static void *drop_foreign(void *arg)
{
	(void)arg;
	lock_drop(&low);
	return NULL;
}

START_TEST(test_foreign_drop_aborts)
{
	init_ranks();
	lock_take(&low);
	run_threads(1, drop_foreign);
}
END_TEST

static void *look_at_foreign(void *arg)
{
	(void)arg;
	counter = lock_held(&low) + rwlock_held_write(&rwlock);
	return NULL;
}

/* In debug builds "held" means held by me. */
START_TEST(test_held_is_exact)
{
	init_ranks();
	rwlock_write(&rwlock);
	lock_take(&low);
	ck_assert(lock_held(&low) && rwlock_held_write(&rwlock));
	run_threads(1, look_at_foreign);
	ck_assert_int_eq(counter, 0);
	lock_drop(&low);
	rwlock_end_write(&rwlock);
}
END_TEST

#endif

static void add_order_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "order");

	tcase_add_test(tc, test_rising_ranks_are_legal);
	tcase_add_test(tc, test_order_is_per_thread);
	tcase_add_test(tc, test_failed_try_is_legal);
#ifdef VVM_DEBUG
#define ABORTS(test) tcase_add_test_raise_signal(tc, test, SIGABRT)
	ABORTS(test_falling_rank_aborts);
	ABORTS(test_equal_rank_aborts);
	ABORTS(test_taking_twice_aborts);
	ABORTS(test_try_of_falling_rank_aborts);
	ABORTS(test_read_below_block_aborts);
	ABORTS(test_try_read_below_block_aborts);
	ABORTS(test_write_below_block_aborts);
	ABORTS(test_nested_read_aborts);
	ABORTS(test_foreign_drop_aborts);
	tcase_add_test(tc, test_held_is_exact);
#endif
}

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "lock");

	tcase_add_test(tc, test_lock_states);
	tcase_add_test(tc, test_lock_excludes);
	tcase_add_test(tc, test_try_excludes);
	tcase_add_test(tc, test_drop_wakes_sleeper);
	tcase_add_test(tc, test_timed_take_gives_up);
	tcase_add_test(tc, test_timed_take_and_a_stopped_process);
	tcase_add_test_raise_signal(tc, test_drop_of_free_lock_aborts, SIGABRT);
	tc = test_case(suite, "rwlock");
	tcase_add_test(tc, test_rwlock_states);
	tcase_add_test(tc, test_rwlock_excludes);
	tcase_add_test(tc, test_readers_share);
	tcase_add_test(tc, test_waiting_writer_goes_first);
	tcase_add_test(tc, test_sleeping_readers_wake);
	tcase_add_test(tc, test_timed_write_gives_up);
	tcase_add_test(tc, test_timed_write_lets_sleeping_readers_in);
	tcase_add_test(tc, test_timed_write_and_a_stopped_process);
	tcase_add_test_raise_signal(tc, test_end_of_unread_aborts, SIGABRT);
	tcase_add_test_raise_signal(tc, test_end_of_unwritten_aborts, SIGABRT);
	tc = test_case(suite, "waitq");
	tcase_add_test(tc, test_waitq_wake_since_ticket);
	tcase_add_test(tc, test_waitq_times_out);
	tcase_add_test(tc, test_waitq_survives_signals);
	tcase_add_test(tc, test_waitq_loses_no_wake);
	tcase_add_test(tc, test_waitq_wakes_all);
	add_order_tests(suite);
}

const struct test_program test_program = {
	.name = "lock",
	.add = add_tests,
};
