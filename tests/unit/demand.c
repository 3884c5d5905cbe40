/* SPDX-License-Identifier: MIT */
/*
 * unit/demand.c - the faults that a handler has taken on, without the handler:
 * the test reads the events and runs the ring. Needs userfaultfd, else skips.
 */
#include <errno.h>

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

START_TEST(no_more_is_noted_than_there_is_room_for)
{
	unsigned i, pages = 3;
	pthread_t thread;

	engine_out(addr, DEMAND_READS);
	ck_assert_int_eq(pthread_create(&thread, NULL, walk, &pages), 0);
	for (i = 0; i < pages; i++) {
		demands.ahead_count = DEMAND_AHEAD; /* of other streams */
		read_events(1);
		engine_complete();
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(demands.ahead_count, DEMAND_AHEAD);
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

/* No transfer of the swap's (0) or a file's (1) has ended for long. */
static void stall_disk(int file)
{
	struct flight *f = file ? &vm->flight : &to_swap(vm->swap)->flight;

	atomic_store(&f->progress_us, os_now_us() - 2 * BACKING_STALL_US);
	if (file)
		atomic_store(&f->count, 1);
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
	stall_disk(_i);
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
	/* before the stall ends: from then on the thread's patience counts */
	space_give_frames(vm, actor, frames);
	atomic_store(&vm->flight.count, 0);
	engine_complete();
	ck_assert(!space_stalled(vm, os_now_us()));
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

/* Goes on with all faults until none is pending, or none to be unfailed. */
static void wait_until_none(const unsigned *count)
{
	while (*count) {
		os_sleep_us(1000);
		demands_go_on(&demands);
	}
}

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
	wait_until_none(&demands.pending_count);
	app_join(&app);
	ck_assert_int_eq(app.signal, SIGBUS);
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_frame_timeouts), 1);
	space_give_frames(vm, actor, frames);
	wait_until_none(&demands.unfail_count);
	app_start(&app, addr, false, 0);
	read_events(1);
	engine_complete();
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
	ck_assert_uint_eq(app.value, word_of(addr, 1));
}
END_TEST

/* Starts n threads that read the first pages; all have faulted then. */
static void start_apps(struct app *app, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		app_start(&app[i], page_of(addr, i), false, 0);
}

/* Takes all frames away. */
static uint64_t take_frames(void)
{
	uint64_t frames = frames_free(&vm->frames);

	ck_assert(space_take_frames(vm, actor, frames, 0));
	return frames;
}

static bool all_done(struct app *app, unsigned n)
{
	unsigned i, done = 0;

	for (i = 0; i < n; i++)
		done += atomic_load(&app[i].done);
	return done == n;
}

/* Each of them gets its SIGBUS, sooner or later, and none for ever. */
START_TEST(more_accesses_that_fail_at_once_than_are_remembered)
{
	static struct app app[DEMAND_UNFAILS + 6];
	const unsigned n = ARRAY_SIZE(app);
	uint64_t frames = take_frames(),
		 until_us = os_now_us() + (uint64_t)ENGINE_US;
	unsigned i;

	start_apps(app, n);
	read_events(n);
	ck_assert_uint_eq(demands.pending_count, n);
	os_sleep_us(2 * WAIT_MS * 1000); /* all of them are due */
	while (!all_done(app, n)) {
		demands_go_on(&demands);
		ck_assert_uint_le(demands.unfail_count, DEMAND_UNFAILS);
		/* of those that are not remembered some ask once more */
		demands_read(&demands, &vm->port[0]);
		os_sleep_us(1000);
		ck_assert_uint_le(os_now_us(), until_us);
	}
	for (i = 0; i < n; i++) {
		app_join(&app[i]);
		ck_assert_int_eq(app[i].signal, SIGBUS);
	}
	ck_assert_int_ge(stat_sum(&vm->stats, VVM_STAT_frame_timeouts), n);
	while (demands.unfail_count || demands.pending_count) {
		os_sleep_us(1000);
		demands_go_on(&demands);
	}
	ck_assert_uint_eq(vm->frames.wanted, 0);
	ck_assert_uint_eq(vm->failing, 0);
	space_give_frames(vm, actor, frames);
	start_apps(app, n);
	read_events(n);
	for (i = 0; i < n; i++) {
		app_join(&app[i]);
		ck_assert_int_eq(app[i].signal, 0);
	}
}
END_TEST

/* An access that failed is allowed when its time has come, whatever others do. */
START_TEST(each_failed_access_has_a_time_of_its_own)
{
	static struct app app[2];
	uint64_t frames = take_frames();
	unsigned i;

	start_apps(app, 2);
	read_events(2);
	while (demands.unfail_count < 2) {
		os_sleep_us(1000);
		demands_go_on(&demands);
	}
	for (i = 0; i < 2; i++)
		app_join(&app[i]);
	/* they may be looked at in another order than that of their times */
	demands.unfail[0].due_us = os_now_us() + ENGINE_US;
	demands.unfail[1].due_us = 0;
	i = demands.unfail[1].host == (haddr_t)ptr_of(page_of(addr, 1));
	demands_go_on(&demands);
	ck_assert_uint_eq(demands.unfail_count, 1);
	space_give_frames(vm, actor, frames);
	app_start(&app[0], page_of(addr, i), false, 0);
	read_events(1);
	app_join(&app[0]);
	ck_assert_int_eq(app[0].signal, 0);
	demands.unfail[0].due_us = 0;
	demands_go_on(&demands);
	ck_assert_uint_eq(vm->failing, 0);
}
END_TEST

/* Nothing fails while it may still wait. */
START_TEST(a_fault_waits_as_long_as_it_may)
{
	uint64_t frames = take_frames();
	struct app app;
	unsigned i;

	vm->conf.frame_wait_ms = (uint64_t)ENGINE_US / 1000;
	start_apps(&app, 1);
	read_events(1);
	for (i = 0; i < 20; i++) {
		os_sleep_us(1000);
		demands_go_on(&demands);
	}
	ck_assert_uint_eq(demands.pending_count, 1);
	space_give_frames(vm, actor, frames);
	ck_assert(demands_go_on(&demands));
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
}
END_TEST

/* So many that the next 32 might not find room. */
#define FULL  (DEMAND_FAULTS - 31)
#define CROWD (DEMAND_FAULTS + 30)

/* Beyond what there is room for events wait in the kernel. */
START_TEST(more_faults_than_there_is_room_for)
{
	static struct app app[CROWD];
	uint64_t frames, until_us = os_now_us() + (uint64_t)ENGINE_US;
	unsigned i, read = DEMAND_READS;

	vm->conf.frame_wait_ms = (uint64_t)ENGINE_US / 1000;
	engine_out(addr, DEMAND_READS);
	start_apps(app, DEMAND_READS);
	read_events(DEMAND_READS);
	ck_assert_uint_eq(ring_inflight(ring), DEMAND_READS);
	frames = take_frames();
	for (i = DEMAND_READS; i < FULL; i++)
		app_start(&app[i], page_of(addr, i), false, 0);
	while (read < FULL) {
		read += demands_read(&demands, &vm->port[0]);
		ck_assert_uint_le(os_now_us(), until_us);
	}
	ck_assert_uint_eq(demands.pending_count, FULL - DEMAND_READS);
	for (; i < CROWD; i++)
		app_start(&app[i], page_of(addr, i), false, 0);
	for (i = 0; i < 100; i++) {
		ck_assert_uint_eq(demands_read(&demands, &vm->port[0]), 0);
		os_sleep_us(100);
	}
	space_give_frames(vm, actor, frames);
	while (read < CROWD || demands.pending_count || ring_inflight(ring)) {
		if (ring_inflight(ring))
			ck_assert_int_ge(ring_run(ring, 0), 0);
		demands_go_on(&demands);
		read += demands_read(&demands, &vm->port[0]);
		ck_assert_uint_le(os_now_us(), until_us);
	}
	for (i = 0; i < CROWD; i++) {
		app_join(&app[i]);
		ck_assert_int_eq(app[i].signal, 0);
	}
	for (i = 0; i < DEMAND_READS; i++)
		ck_assert_uint_eq(app[i].value, word_of(page_of(addr, i), 1));
	ck_assert_uint_eq(vm->frames.wanted, 0);
}
END_TEST

/* Whatever the kernel has for the page table: it ends, and others go on. */
START_TEST(no_memory_for_the_table_is_sigbus)
{
	struct app app;

	pt_fini(&vm->pt); /* its pools are empty then */
	ck_assert_int_eq(pt_init(&vm->pt), 0);
	os_inject(OS_map, 1, true, ENOMEM);
	app_start(&app, addr, _i, 7);
	read_events(1);
	ck_assert_uint_eq(demands.pending_count, 1);
	wait_until_none(&demands.pending_count);
	app_join(&app);
	ck_assert_int_eq(app.signal, SIGBUS);
	ck_assert_uint_eq(vm->failing, 1);
	os_inject_clear();
	wait_until_none(&demands.unfail_count);
	ck_assert_uint_eq(vm->failing, 0);
	app_start(&app, addr, _i, 7);
	read_events(1);
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
	expect_state(addr, _i ? PAGE_DIRTY : PAGE_CLEAN);
	space_check(vm);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "waiting");

	tcase_add_test(tc, a_slow_disk_is_no_want_of_frames);
	tcase_add_test(tc, what_to_read_ahead_is_noted);
	tcase_add_test(tc, no_more_is_noted_than_there_is_room_for);
	tcase_add_loop_test(tc, a_stalled_disk_is_no_want_of_frames, 0, 2);
	test_counted(tc, a_want_of_frames_is);
	test_counted(tc, more_accesses_that_fail_at_once_than_are_remembered);
	tcase_add_test(tc, a_fault_waits_as_long_as_it_may);
	tcase_add_test(tc, each_failed_access_has_a_time_of_its_own);
	tcase_add_test(tc, more_faults_than_there_is_room_for);
	tcase_add_loop_test(tc, no_memory_for_the_table_is_sigbus, 0, 2);
}

const struct test_program test_program = {
	.name = "demand",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = engine_missing,
};
