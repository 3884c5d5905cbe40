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
#include "os/os.h"

#define ACTORS 4

static struct halt halt;
static _Atomic bool stopped, finish;
static _Atomic uint64_t turns, bad, looks;

static void look(struct halt *h)
{
	(void)h;
	atomic_fetch_add(&looks, 1);
}

static void *act(void *arg)
{
	(void)arg;
	halt_enter(&halt);
	while (!atomic_load(&finish)) {
		atomic_fetch_add(&bad, atomic_load(&stopped));
		atomic_fetch_add(&turns, 1);
		if (halt_wanted(&halt)) {
			halt_leave(&halt);
			halt_enter(&halt);
		}
	}
	halt_leave(&halt);
	return NULL;
}

START_TEST(nobody_runs_while_stopped)
{
	pthread_t thread[ACTORS];
	uint64_t before;
	int i, round;

	halt_init(&halt, NULL);
	for (i = 0; i < ACTORS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, act, NULL),
				 0);
	for (round = 0; round < 300; round++) {
		halt_request(&halt);
		ck_assert(halt_wait(&halt, 10000000));
		atomic_store(&stopped, true);
		before = atomic_load(&turns);
		os_yield();
		ck_assert_uint_eq(atomic_load(&turns), before);
		atomic_store(&stopped, false);
		halt_resume(&halt);
	}
	atomic_store(&finish, true);
	for (i = 0; i < ACTORS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(atomic_load(&bad), 0);
	ck_assert_uint_eq(atomic_load(&halt.running), 0);
}
END_TEST

START_TEST(waiting_has_a_limit)
{
	halt_init(&halt, NULL);
	halt_enter(&halt);
	halt_request(&halt);
	ck_assert(!halt_wait(&halt, 1000));
	halt_leave(&halt);
	ck_assert(halt_wait(&halt, 0));
	halt_resume(&halt);
	halt_enter(&halt);
	halt_leave(&halt);
}
END_TEST

static void *wait_patiently(void *arg)
{
	*(bool *)arg = halt_wait(&halt, 30000000); /* longer than the test */
	return NULL;
}

/* The actor could not leave meanwhile. */
START_TEST(waiting_while_the_process_is_stopped)
{
	pthread_t thread;
	bool left = false;

	halt_init(&halt, NULL);
	halt_enter(&halt);
	halt_request(&halt);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_patiently, &left),
			 0);
	jump_when_waiting(6);
	halt_leave(&halt);
	pthread_join(thread, NULL);
	ck_assert(left);
	halt_resume(&halt);
}
END_TEST

START_TEST(a_halted_actor_looks_whether_it_is_overdue)
{
	pthread_t thread;

	halt_init(&halt, look);
	halt_request(&halt);
	atomic_store(&finish, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, act, NULL), 0);
	while (!atomic_load(&looks))
		os_sleep_us(1000);
	halt_resume(&halt);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("halt");
	TCase *tc = test_case(s, "halt", 60);

	tcase_add_test(tc, nobody_runs_while_stopped);
	tcase_add_test(tc, waiting_has_a_limit);
	tcase_add_test(tc, waiting_while_the_process_is_stopped);
	tcase_add_test(tc, a_halted_actor_looks_whether_it_is_overdue);
	return test_run(s);
}
