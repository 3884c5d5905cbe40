/* SPDX-License-Identifier: MIT */
/*
 * unit/pause.c - util/pause.c: while a stop holds, no actor runs; nobody sleeps for
 * ever, and who waits too long is heard.
 */
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include "util/pause.h"
#include "support/jump.h"
#include "support/wait.h"
#include "os/os.h"

#define ACTORS 4
/* The longest that anything may take. */
#define PATIENCE_US wait_scaled(10000000)

static struct pause gate;
static _Atomic bool stopped, finish;
static _Atomic uint64_t turns, bad, looks;

static void look(struct pause *h)
{
	(void)h;
	atomic_fetch_add(&looks, 1);
}

static void *act(void *arg)
{
	(void)arg;
	pause_enter(&gate);
	while (!atomic_load(&finish)) {
		atomic_fetch_add(&bad, atomic_load(&stopped));
		atomic_fetch_add(&turns, 1);
		if (pause_wanted(&gate)) {
			pause_leave(&gate);
			pause_enter(&gate);
		}
	}
	pause_leave(&gate);
	return NULL;
}

START_TEST(nobody_runs_while_stopped)
{
	pthread_t thread[ACTORS];
	uint64_t before;
	int i, round;

	pause_init(&gate, NULL);
	for (i = 0; i < ACTORS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, act, NULL),
				 0);
	for (round = 0; round < 300; round++) {
		pause_request(&gate);
		ck_assert(pause_wait(&gate, PATIENCE_US));
		atomic_store(&stopped, true);
		before = atomic_load(&turns);
		os_yield();
		ck_assert_uint_eq(atomic_load(&turns), before);
		atomic_store(&stopped, false);
		pause_resume(&gate);
	}
	atomic_store(&finish, true);
	for (i = 0; i < ACTORS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(atomic_load(&bad), 0);
	ck_assert_uint_eq(atomic_load(&gate.running), 0);
}
END_TEST

START_TEST(waiting_has_a_limit)
{
	pause_init(&gate, NULL);
	pause_enter(&gate);
	pause_request(&gate);
	ck_assert(!pause_wait(&gate, 1000));
	pause_leave(&gate);
	ck_assert(pause_wait(&gate, 0));
	pause_resume(&gate);
	pause_enter(&gate);
	pause_leave(&gate);
}
END_TEST

static void *wait_patiently(void *arg)
{
	*(bool *)arg = pause_wait(&gate, PATIENCE_US);
	return NULL;
}

/* The actor could not leave meanwhile. */
START_TEST(waiting_while_the_process_is_stopped)
{
	pthread_t thread;
	bool left = false;

	pause_init(&gate, NULL);
	pause_enter(&gate);
	pause_request(&gate);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_patiently, &left),
			 0);
	jump_when_waiting(6);
	pause_leave(&gate);
	pthread_join(thread, NULL);
	ck_assert(left);
	pause_resume(&gate);
}
END_TEST

START_TEST(a_halted_actor_looks_whether_it_is_overdue)
{
	pthread_t thread;

	pause_init(&gate, look);
	pause_request(&gate);
	atomic_store(&finish, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, act, NULL), 0);
	while (!atomic_load(&looks))
		os_sleep_us(1000);
	pause_resume(&gate);
	pthread_join(thread, NULL);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "pause");

	tcase_add_test(tc, nobody_runs_while_stopped);
	tcase_add_test(tc, waiting_has_a_limit);
	tcase_add_test(tc, waiting_while_the_process_is_stopped);
	tcase_add_test(tc, a_halted_actor_looks_whether_it_is_overdue);
}

const struct test_program test_program = {
	.name = "pause",
	.add = add_tests,
};
