/* SPDX-License-Identifier: MIT */
/*
 * unit/demand.c - the faults that a handler has taken on, without the handler:
 * the test reads the events and runs the ring. Needs userfaultfd, else skips.
 */
#include "fault/demand.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "fill/streams.h"
#include "policy/prefetch.h"
#include "map/access.h"
#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"
#include "swap/impl.h"

#define FAULTS	(DEMAND_READS + 1)
#define WAIT_MS 2

static struct demands demands;

static void setup(void)
{
	engine_open(600);
	vm->conf.frame_wait_ms = WAIT_MS;
	addr = engine_map(BLOCK_PAGES, VVM_READ | VVM_WRITE);
	demands.vm = vm;
	demands.port = &vm->port[0];
	demands.actor = actor;
	demands.ring = ring;
	ck_assert_int_eq(streams_init(vm), 0);
	ck_assert_int_eq(demands_init(&demands), 0);
}

static void teardown(void)
{
	demands_fini(&demands);
	streams_fini(vm);
	engine_close();
}

/* Reads the events of n threads, each waited for. */
static void read_events(unsigned n)
{
	uint64_t ready, invalid;
	unsigned got = 0;

	while (got < n) {
		ck_assert_int_eq(os_poll(&vm->port[0].uffd, 1, ENGINE_US,
					 &ready, &invalid),
				 0);
		ck_assert(ready);
		got += demands_read(&demands, &vm->port[0]);
	}
	ck_assert_uint_eq(got, n);
}

/* Reads may take as long as they like, and so may those behind them. */
START_TEST(a_slow_disk_is_no_want_of_frames)
{
	static struct app app[FAULTS];
	unsigned i;

	engine_out(addr, DEMAND_READS);
	engine_out(page_of(addr, DEMAND_READS), 1);
	engine_remember();
	for (i = 0; i < FAULTS; i++)
		app_start(&app[i], page_of(addr, i), false, 0);
	read_events(FAULTS);
	ck_assert_uint_eq(ring_inflight(ring), DEMAND_READS);
	ck_assert_uint_eq(demands.pending_count, 1);
	for (i = 0; i < 3 * WAIT_MS; i++) {
		os_sleep_us(1000);
		ck_assert(!demands_go_on(&demands));
	}
	ck_assert_uint_eq(demands.pending_count, 1);
	engine_complete();
	ck_assert(demands_go_on(&demands));
	engine_complete();
	for (i = 0; i < FAULTS; i++) {
		app_join(&app[i]);
		ck_assert_int_eq(app[i].signal, 0);
		ck_assert_uint_eq(app[i].value, word_of(page_of(addr, i), 1));
	}
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_frame_timeouts), 0);
	ck_assert_uint_eq(vm->frames.wanted, 0);
}
END_TEST

static void *walk(void *arg)
{
	unsigned i, *pages = arg;

	for (i = 0; i < *pages; i++)
		(void)*(volatile char *)ptr_of(page_of(addr, i));
	return NULL;
}

/* What a stream will want is left to the handler: after three faults. */
START_TEST(what_to_read_ahead_is_noted)
{
	unsigned i, pages = 3;
	pthread_t thread;

	engine_out(addr, DEMAND_READS);
	ck_assert_int_eq(pthread_create(&thread, NULL, walk, &pages), 0);
	for (i = 0; i < pages; i++) {
		ck_assert_uint_eq(demands.ahead_count, 0);
		read_events(1);
		engine_complete();
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(demands.ahead_count, 1);
	ck_assert_uint_eq(demands.ahead[0].addr, page_of(addr, pages));
	ck_assert_int_eq(demands.ahead[0].stride, 1);
	ck_assert_uint_ge(demands.ahead[0].count, PREFETCH_MIN);
}
END_TEST

static atomic_int touched; /* the result; 1: not yet */

static void *touch(void *arg)
{
	(void)arg;
	atomic_store(&touched, access_touch(vm, page_of(addr, 2),
					    page_of(addr, 3), false));
	return NULL;
}

/* While the disk answers nothing, nobody knows what there will be. */
START_TEST(a_stalled_disk_is_no_want_of_frames)
{
	static struct app app[2];
	pthread_t thread;
	uint64_t frames;
	unsigned i;

	atomic_store(&touched, 1);
	engine_out(addr, 2);
	app_start(&app[0], addr, false, 0);
	read_events(1);
	ck_assert_uint_eq(ring_inflight(ring), 1);
	frames = frames_free(&vm->frames);
	ck_assert(space_take_frames(vm, actor, frames, 0));
	atomic_store(&to_swap(vm->swap)->progress_us,
		     os_now_us() - 2 * BACKING_STALL_US);
	app_start(&app[1], page_of(addr, 1), false, 0);
	read_events(1);
	ck_assert_int_eq(pthread_create(&thread, NULL, touch, NULL), 0);
	for (i = 0; i < 40 * WAIT_MS;
	     i++) { /* fault/inline.c looks every 10 ms */
		os_sleep_us(1000);
		ck_assert(!demands_go_on(&demands));
	}
	ck_assert_uint_eq(demands.pending_count, 1);
	ck_assert_int_eq(atomic_load(&touched), 1);
	engine_complete();
	ck_assert(!backing_stalled(vm->swap, os_now_us()));
	space_give_frames(vm, actor, frames);
	ck_assert(demands_go_on(&demands));
	engine_complete();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(atomic_load(&touched), 0);
	for (i = 0; i < 2; i++) {
		app_join(&app[i]);
		ck_assert_int_eq(app[i].signal, 0);
		ck_assert_uint_eq(app[i].value, word_of(page_of(addr, i), 1));
	}
}
END_TEST

/* A fault that finds no frame does not wait for ever: it is SIGBUS. */
START_TEST(a_want_of_frames_is)
{
	uint64_t frames = frames_free(&vm->frames);
	struct app app;

	engine_out(addr, 1);
	ck_assert(space_take_frames(vm, actor, frames, 0));
	app_start(&app, addr, false, 0);
	read_events(1);
	ck_assert_uint_eq(demands.pending_count, 1);
	while (demands.pending_count) {
		os_sleep_us(1000);
		demands_go_on(&demands);
	}
	app_join(&app);
	ck_assert_int_eq(app.signal, SIGBUS);
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_frame_timeouts), 1);
	space_give_frames(vm, actor, frames);
	while (demands.unfail_count) {
		os_sleep_us(1000);
		demands_go_on(&demands);
	}
	app_start(&app, addr, false, 0);
	read_events(1);
	engine_complete();
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
	ck_assert_uint_eq(app.value, word_of(addr, 1));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "waiting");

	tcase_add_test(tc, a_slow_disk_is_no_want_of_frames);
	tcase_add_test(tc, what_to_read_ahead_is_noted);
	tcase_add_test(tc, a_stalled_disk_is_no_want_of_frames);
	tcase_add_test(tc, a_want_of_frames_is);
}

const struct test_program test_program = {
	.name = "demand",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = engine_missing,
};
