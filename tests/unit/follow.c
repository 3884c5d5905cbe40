/* SPDX-License-Identifier: MIT */
/*
 * unit/follow.c - an automatic budget: who may change it, what it does to frames,
 * what is counted. What the machine has left is what the test says.
 */
#include "evict/follow.h"

#include <errno.h>
#include <string.h>

#include "evict/reclaim.h"
#include "map/access.h"
#include "os/os.h"
#include "space/budget.h"

#include "support/engine.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define LEAST 64u /* pages */
#define MOST  600u
#define GIB   ((uint64_t)1 << 30)
#define USED  400u

static struct follower f;
static struct room room; /* of the machine */
static uint64_t now_us;

static void look_at_room(const struct room_source *s, struct room *to)
{
	(void)s;
	*to = room;
}

static void setup(void)
{
	struct conf c;

	engine_conf(&c, MOST);
	c.resident_bytes = SETTING_AUTO;
	c.resident_min_bytes = pages_to_bytes(LEAST);
	c.resident_max_bytes = pages_to_bytes(MOST);
	engine_start(&c, 4, ENGINE_ROOM);
	addr = engine_map(BLOCK_PAGES, VVM_READ | VVM_WRITE);
	follow_init(&f, vm, actor, &evictor.writer);
	f.look = look_at_room;
	memset(&room, 0xff, sizeof(room)); /* nothing is known */
	room.ram_bytes = 8 * GIB;
	room.free_bytes = 7 * GIB;
	now_us = os_now_us();
}

static uint64_t budget(void)
{
	return atomic_load(&vm->frames.budget);
}

static uint64_t count(enum vvm_stat_counter c)
{
	return (uint64_t)stat_sum(&vm->stats, c);
}

static uint64_t look_after(uint64_t us)
{
	now_us += us;
	follow_look(&f, now_us);
	return budget();
}

START_TEST(it_begins_within_its_bounds)
{
	ck_assert(space_is_automatic(vm));
	ck_assert_uint_eq(budget(), MOST);
	space_publish(vm);
	ck_assert_uint_eq(vm->stats.segment->value.auto_budget, 1);
	ck_assert_uint_eq(vm->stats.segment->value.resize_reason, 0);
	engine_close();
}
END_TEST

/* The limit comes first: what is freed cannot be taken again. */
START_TEST(when_memory_is_short_it_shrinks_and_frames_go)
{
	unsigned i;

	engine_dirty(addr, USED);
	engine_cold(addr, USED);
	look_after(1000000);
	room.free_bytes = 0;
	ck_assert_uint_lt(look_after(1000000), USED);
	ck_assert_uint_ge(budget(), LEAST);
	ck_assert_uint_eq(count(VVM_STAT_resize_machine), 1);
	ck_assert_uint_eq(vm->stats.segment->value.resize_reason,
			  VVM_STAT_BY_resize_machine);
	ck_assert_uint_eq(vm->stats.segment->value.budget_pages, budget());
	ck_assert(!frames_take(&vm->frames, 1, 0));
	ck_assert(frames_low(&vm->frames));
	for (i = 0; i < 100 && atomic_load(&vm->frames.used) > budget(); i++) {
		evict_step(&evictor, frames_shortage(&vm->frames));
		engine_complete();
	}
	ck_assert_uint_le(atomic_load(&vm->frames.used), budget());
	for (i = 0; i < 50; i++)
		look_after(100000);
	ck_assert_uint_ge(budget(), LEAST);
	engine_close();
}
END_TEST

START_TEST(the_groups_limit_is_another_reason)
{
	engine_dirty(addr, USED);
	look_after(1000000);
	room.group.limit_bytes = GIB;
	room.group.free_bytes = 1 << 20;
	ck_assert_uint_lt(look_after(1000000), USED);
	ck_assert_uint_eq(count(VVM_STAT_resize_group), 1);
	engine_close();
}
END_TEST

/* Faults that waited for swap raise it; the time of reads ahead does not. */
START_TEST(waits_raise_it)
{
	engine_dirty(addr, 200);
	budget_follow(vm, actor, 200, VVM_STAT_BY_resize_idle);
	look_after(1000000);
	f.sizing.trim_after_us = UINT64_MAX;
	stat_add(actor, VVM_STAT_swapin_reads, 100);
	stat_add(actor, VVM_STAT_swapin_pages, 1);
	stat_add(actor, VVM_STAT_swapin_us, 100000);
	ck_assert_uint_eq(look_after(1000000), 200);
	stat_add(actor, VVM_STAT_faults_swapin, 50);
	stat_add(actor, VVM_STAT_swapin_reads, 100);
	stat_add(actor, VVM_STAT_swapin_pages, 1);
	stat_add(actor, VVM_STAT_swapin_us, 100000);
	ck_assert_uint_gt(look_after(1000000), 200);
	ck_assert_uint_eq(count(VVM_STAT_resize_demand), 1);
	stat_add(actor, VVM_STAT_swapin_reads, -200);
	stat_add(actor, VVM_STAT_swapin_pages, -2);
	stat_add(actor, VVM_STAT_swapin_us, -200000);
	stat_add(actor, VVM_STAT_faults_swapin, -50);
	engine_close();
}
END_TEST

/* Nothing can be written: then it is not lowered for nothing. */
START_TEST(swap_that_is_full_is_looked_at)
{
	engine_dirty(addr, USED);
	look_after(1000000);
	ck_assert_uint_eq(f.sizing.last.frame_wait_us,
			  vm->conf.frame_wait_ms * 1000);
	evictor.writer.swap_full = true;
	ck_assert_uint_ge(look_after(1000000), USED);
	room.free_bytes = 0;
	ck_assert_uint_lt(look_after(1000000), USED); /* it is tried */
	ck_assert_uint_ge(look_after(50000), USED);
	ck_assert_uint_eq(count(VVM_STAT_resize_undo), 1);
	evictor.writer.swap_full = false;
	engine_close();
}
END_TEST

/* Who waits for a frame need not wait for one to be given back. */
START_TEST(a_raise_wakes_who_waits)
{
	int event = vm->port[0].event;
	uint64_t ready, invalid;

	budget_follow(vm, actor, 200, VVM_STAT_BY_resize_idle);
	atomic_store(&vm->port[0].starving, true);
	ck_assert_int_eq(os_poll(&event, 1, 0, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 0);
	atomic_fetch_add(&vm->frames.wanted, 1);
	ck_assert(budget_follow(vm, actor, 300, VVM_STAT_BY_resize_demand));
	ck_assert_int_eq(os_poll(&event, 1, 0, &ready, &invalid), 0);
	ck_assert_uint_eq(ready, 1);
	atomic_fetch_sub(&vm->frames.wanted, 1);
	atomic_store(&vm->port[0].starving, false);
	engine_close();
}
END_TEST

START_TEST(bounds_hold)
{
	ck_assert(budget_follow(vm, actor, 1, VVM_STAT_BY_resize_idle));
	ck_assert_uint_eq(budget(), LEAST);
	ck_assert(!budget_follow(vm, actor, 2, VVM_STAT_BY_resize_idle));
	ck_assert_uint_eq(count(VVM_STAT_resize_idle), 1);
	ck_assert(budget_follow(vm, actor, GIB, VVM_STAT_BY_resize_demand));
	ck_assert_uint_eq(budget(), MOST);
	engine_close();
}
END_TEST

START_TEST(what_is_pinned_is_not_taken_away)
{
	ck_assert_int_eq(access_pin(vm, addr, page_of(addr, 100)), 0);
	ck_assert(!budget_follow(vm, actor, 107, VVM_STAT_BY_resize_idle));
	ck_assert_uint_eq(budget(), MOST);
	ck_assert(budget_follow(vm, actor, 108, VVM_STAT_BY_resize_idle));
	ck_assert_int_eq(access_unpin(vm, addr, page_of(addr, 100)), 0);
	engine_close();
}
END_TEST

/* It is small because the program was idle: vvm_pin() must not fail for it. */
START_TEST(pins_raise_it)
{
	budget_follow(vm, actor, LEAST, VVM_STAT_BY_resize_idle);
	ck_assert_int_eq(access_pin(vm, addr, page_of(addr, 300)), 0);
	ck_assert_uint_ge(budget(), 308);
	ck_assert_uint_gt(count(VVM_STAT_resize_pinned), 0);
	ck_assert_int_eq(access_unpin(vm, addr, page_of(addr, 300)), 0);
	engine_close();
}
END_TEST

/* Another thread has raised it for more in the meantime. */
START_TEST(pins_do_not_lower_it)
{
	ck_assert(!budget_follow(vm, actor, 300, VVM_STAT_BY_resize_pinned));
	ck_assert_uint_eq(budget(), MOST);
	ck_assert_uint_eq(count(VVM_STAT_resize_pinned), 0);
	engine_close();
}
END_TEST

START_TEST(pins_do_not_raise_it_above_its_bound)
{
	gaddr_t more = engine_map(200, VVM_READ | VVM_WRITE);

	ck_assert_int_eq(access_pin(vm, addr, page_of(addr, BLOCK_PAGES)), 0);
	ck_assert_int_eq(access_pin(vm, more, page_of(more, 200)), -EAGAIN);
	ck_assert_uint_le(budget(), MOST);
	ck_assert_uint_eq(atomic_load(&vm->frames.pinned), BLOCK_PAGES);
	ck_assert_int_eq(access_unpin(vm, addr, page_of(addr, BLOCK_PAGES)), 0);
	engine_close();
}
END_TEST

START_TEST(a_resize_ends_it)
{
	ck_assert_int_eq(reclaim_resize(vm, 200, 1000), 0);
	ck_assert(!space_is_automatic(vm));
	ck_assert_uint_eq(count(VVM_STAT_resize_program), 1);
	ck_assert_uint_eq(vm->stats.segment->value.auto_budget, 0);
	ck_assert(!budget_follow(vm, actor, 300, VVM_STAT_BY_resize_demand));
	ck_assert_uint_eq(budget(), 200);
	ck_assert_int_eq(follow_due_us(&f, now_us, true), -1);
	engine_close();
}
END_TEST

START_TEST(a_resize_that_fails_does_not)
{
	uint64_t old;

	ck_assert_int_eq(access_pin(vm, addr, page_of(addr, 100)), 0);
	ck_assert_int_eq(reclaim_resize(vm, 100, 0), -EBUSY); /* at once */
	ck_assert(space_is_automatic(vm));
	ck_assert_int_eq(access_unpin(vm, addr, page_of(addr, 100)), 0);
	engine_dirty(addr, USED); /* there is no reclaimer */
	ck_assert_int_eq(reclaim_resize(vm, 100, 20), -EBUSY);
	ck_assert(space_is_automatic(vm));
	ck_assert_uint_eq(budget(), MOST);
	ck_assert_uint_eq(count(VVM_STAT_resize_program), 0);
	/* while it is going on */
	ck_assert_int_eq(budget_begin(vm, 500, &old), 0);
	ck_assert(!budget_follow(vm, actor, 300, VVM_STAT_BY_resize_idle));
	budget_undo(vm, 500, old);
	ck_assert_uint_eq(budget(), MOST);
	ck_assert(budget_follow(vm, actor, 300, VVM_STAT_BY_resize_idle));
	engine_close();
}
END_TEST

/* Soon when frames are short, else when sizing says. */
START_TEST(when_to_look)
{
	ck_assert_int_eq(follow_due_us(&f, now_us, false), 0);
	look_after(0);
	ck_assert_int_eq(follow_due_us(&f, now_us, true), 100000);
	ck_assert_int_gt(follow_due_us(&f, now_us, false), 100000);
	ck_assert_int_eq(follow_due_us(&f, now_us + 99999, true), 1);
	ck_assert_int_eq(follow_due_us(&f, now_us + 1000000, false), 0);
	ck_assert_int_gt(follow_due_us(&f, now_us - 1000, true), 0);
	engine_close();
}
END_TEST

/* The looks are no work of reclaim. */
START_TEST(its_own_time_does_not_count)
{
	uint64_t before_us, after_us;
	unsigned i;

	look_after(1000000);
	ck_assert_int_eq(os_thread_cpu_us(os_tid(), &before_us), 0);
	for (i = 0; i < 2000; i++)
		look_after(1000000);
	ck_assert_int_eq(os_thread_cpu_us(os_tid(), &after_us), 0);
	ck_assert_uint_ge(f.own_us, (after_us - before_us) / 4);
	ck_assert_uint_le(f.sizing.last.work_us + f.own_us, after_us);
	engine_close();
}
END_TEST

START_TEST(a_child_goes_on)
{
	uint64_t old;

	ck_assert_int_eq(budget_begin(vm, 500, &old), 0);
	space_reset(vm);
	ck_assert(space_is_automatic(vm));
	ck_assert(budget_follow(vm, actor, 300, VVM_STAT_BY_resize_idle));
	engine_close();
}
END_TEST

static void fixed_setup(void)
{
	engine_open(MOST);
}

START_TEST(a_fixed_budget_is_left_alone)
{
	ck_assert(!space_is_automatic(vm));
	ck_assert(!budget_follow(vm, actor, 300, VVM_STAT_BY_resize_idle));
	follow_init(&f, vm, actor, &evictor.writer);
	ck_assert_int_eq(follow_due_us(&f, os_now_us(), true), -1);
	ck_assert_uint_eq(budget(), MOST);
	engine_close();
}
END_TEST

/* The upper bound says more than the default of the lower one. */
static void small_setup(void)
{
	struct conf c;

	engine_conf(&c, MOST);
	c.resident_bytes = SETTING_AUTO;
	c.resident_min_bytes = 0;
	c.resident_max_bytes = pages_to_bytes(MOST);
	engine_start(&c, 4, ENGINE_ROOM);
}

START_TEST(an_upper_bound_alone_holds)
{
	ck_assert_uint_eq(budget(), MOST);
	ck_assert_uint_eq(vm->budget.least, MOST);
	ck_assert(!budget_follow(vm, actor, GIB, VVM_STAT_BY_resize_demand));
	ck_assert_uint_eq(budget(), MOST);
	engine_close();
}
END_TEST

/* With --disable-stats what only sizing needs is counted for nobody else. */
START_TEST(what_it_goes_by_is_counted_for_it_alone)
{
	stat_add(actor, VVM_STAT_stall_us, 5);
	ck_assert_uint_eq(count(VVM_STAT_stall_us), _i || STAT_ON ? 5 : 0);
	stat_add(actor, VVM_STAT_stall_us, _i || STAT_ON ? -5 : 0);
	engine_close();
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "follow");

	tcase_add_test(tc, it_begins_within_its_bounds);
	test_counted(tc, when_memory_is_short_it_shrinks_and_frames_go);
	test_counted(tc, the_groups_limit_is_another_reason);
	test_counted(tc, waits_raise_it);
	test_counted(tc, swap_that_is_full_is_looked_at);
	tcase_add_test(tc, a_raise_wakes_who_waits);
	test_counted(tc, bounds_hold);
	tcase_add_test(tc, what_is_pinned_is_not_taken_away);
	test_counted(tc, pins_raise_it);
	tcase_add_test(tc, pins_do_not_lower_it);
	tcase_add_test(tc, pins_do_not_raise_it_above_its_bound);
	test_counted(tc, a_resize_ends_it);
	test_counted(tc, a_resize_that_fails_does_not);
	tcase_add_test(tc, when_to_look);
	tcase_add_test(tc, its_own_time_does_not_count);
	tcase_add_test(tc, a_child_goes_on);
	tcase_add_loop_test(tc, what_it_goes_by_is_counted_for_it_alone, 1, 2);
	tc = test_case_with(suite, "small", small_setup, NULL);
	tcase_add_test(tc, an_upper_bound_alone_holds);
	tc = test_case_with(suite, "fixed", fixed_setup, NULL);
	tcase_add_test(tc, a_fixed_budget_is_left_alone);
	tcase_add_loop_test(tc, what_it_goes_by_is_counted_for_it_alone, 0, 1);
}

const struct test_program test_program = {
	.name = "follow",
	.setup = setup,
	.add = add_tests,
	.missing = engine_missing,
};
