/* SPDX-License-Identifier: MIT */
/*
 * api/automatic.c - a budget that follows the machine, as programs have it: no
 * byte is lost while it changes, its bounds hold, an idle program's shrinks,
 * vvm_resize() ends it, and a fork child has one, too.
 */
#include <errno.h>
#include <string.h>

#include "support/child.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define MOST	    1024 /* pages */
#define LEAST	    64
#define PATIENCE_MS wait_scaled(40000)

static void options(struct vvm_options *o)
{
	live_options(o, MOST);
	o->resident_bytes = VVM_RESIDENT_AUTO;
	o->resident_min_bytes = LEAST * LIVE_PAGE;
	o->resident_max_bytes = MOST * LIVE_PAGE;
}

static struct vvm *open_one(enum vvm_fork fork)
{
	struct vvm_options o;
	struct vvm *vm;

	options(&o);
	o.fork = fork;
	live_ok(vvm_open(&vm, &o));
	return vm;
}

static void fill(char *base, uint64_t pages, uint64_t stamp)
{
	for (uint64_t i = 0; i < pages; i++)
		live_fill(base + i * LIVE_PAGE, stamp + i, 1);
}

static void verify(char *base, uint64_t pages, uint64_t stamp)
{
	for (uint64_t i = 0; i < pages; i++)
		live_equal(live_verify(base + i * LIVE_PAGE, stamp + i, 1), -1);
}

/* How often it was made smaller, for whatever reason. */
static uint64_t lowered(struct vvm *vm)
{
	struct vvm_stats s = live_stats(vm);

	return s.resize_idle + s.resize_machine + s.resize_group +
	       s.resize_stall;
}

START_TEST(it_is_never_above_its_bound)
{
	struct vvm *vm = open_one(VVM_FORK_DIE);
	char *base = live_map(vm, 4 * MOST, LIVE_RW);

	live_equal(live_stats(vm).auto_budget, 1);
	for (unsigned i = 0; i < 3; i++) {
		fill(base, 4 * MOST, i);
		verify(base, 4 * MOST, i);
	}
	live_check(live_stats(vm).peak_pages <= MOST);
	live_check(live_stats(vm).budget_pages <= MOST);
	live_check(live_stats(vm).budget_pages >= LEAST);
	live_ok(vvm_close(vm));
}
END_TEST

/* On a machine that is short of memory that is the reason; it shrinks anyway. */
START_TEST(an_idle_programs_shrinks_and_nothing_is_lost)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS;
	struct vvm *vm = open_one(VVM_FORK_DIE);
	char *base = live_map(vm, MOST / 2, LIVE_RW);

	fill(base, MOST / 2, 7);
	while (lowered(vm) < 5) {
		live_check(live_now_ms() < end_ms);
		live_nap_us(50000);
	}
	live_check(live_stats(vm).budget_pages < MOST);
	live_check(live_stats(vm).resize_reason != 0);
	verify(base, MOST / 2, 7);
	live_check(live_stats(vm).peak_pages <= MOST);
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(vvm_resize_ends_it)
{
	struct vvm *vm = open_one(VVM_FORK_DIE);
	char *base = live_map(vm, 2 * MOST, LIVE_RW);

	fill(base, 2 * MOST, 1);
	live_expect(vvm_resize(vm, LIVE_PAGE - 1), -EINVAL);
	live_equal(live_stats(vm).auto_budget, 1);
	live_ok(vvm_pin(vm, live_addr(base), 40 * LIVE_PAGE));
	live_expect(vvm_resize(vm, 40 * LIVE_PAGE), -EBUSY);
	live_equal(live_stats(vm).auto_budget, 1);
	live_equal(live_stats(vm).resize_program, 0);
	live_ok(vvm_unpin(vm, live_addr(base), 40 * LIVE_PAGE));
	live_ok(vvm_resize(vm, 200 * LIVE_PAGE));
	live_equal(live_stats(vm).auto_budget, 0);
	live_equal(live_stats(vm).resize_program, 1);
	live_equal(live_stats(vm).budget_pages, 200);
	verify(base, 2 * MOST, 1);
	live_equal(live_stats(vm).budget_pages, 200);
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(pins_are_made_although_it_has_shrunk)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS;
	struct vvm *vm = open_one(VVM_FORK_DIE);
	char *base = live_map(vm, MOST, LIVE_RW);

	fill(base, MOST / 2, 3);
	while (lowered(vm) == 0) {
		live_check(live_now_ms() < end_ms);
		live_nap_us(50000);
	}
	live_ok(vvm_pin(vm, live_addr(base), (MOST - 8) * LIVE_PAGE));
	live_check(live_stats(vm).budget_pages == MOST);
	verify(base, MOST / 2, 3);
	live_ok(vvm_unpin(vm, live_addr(base), (MOST - 8) * LIVE_PAGE));
	live_ok(vvm_close(vm));
}
END_TEST

static struct vvm *inherited;
static char *inherited_base;

static int child(void *arg)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS;

	(void)arg;
	verify(inherited_base, 2 * MOST, 5);
	fill(inherited_base, 2 * MOST, 6);
	verify(inherited_base, 2 * MOST, 6);
	live_equal(live_stats(inherited).auto_budget, 1);
	live_check(live_stats(inherited).peak_pages <= MOST);
	while (lowered(inherited) == 0) { /* its own controller works */
		live_check(live_now_ms() < end_ms);
		live_nap_us(50000);
	}
	live_ok(vvm_resize(inherited, 100 * LIVE_PAGE));
	live_equal(live_stats(inherited).auto_budget, 0);
	verify(inherited_base, 2 * MOST, 6);
	return 0;
}

START_TEST(a_child_has_one_too)
{
	pid_t pid;

	inherited = open_one(VVM_FORK_INHERIT);
	inherited_base = live_map(inherited, 2 * MOST, LIVE_RW);
	fill(inherited_base, 2 * MOST, 5);
	pid = live_fork(child, NULL);
	verify(inherited_base, 2 * MOST, 5);
	live_ended_ok(pid);
	verify(inherited_base, 2 * MOST, 5);
	live_equal(live_stats(inherited).auto_budget, 1);
	live_ok(vvm_close(inherited));
}
END_TEST

static int fds_before;

static int has_none_of_them(void *arg)
{
	(void)arg;
	child_check(live_count_fds() == fds_before);
	return 0;
}

/* What it looks at stays open, but not in a child without the memory. */
START_TEST(no_descriptor_is_left)
{
	struct vvm *vm;

	fds_before = live_count_fds();
	vm = open_one(VVM_FORK_DIE);
	live_check(live_count_fds() > fds_before);
	live_child_ok(has_none_of_them, NULL);
	live_ok(vvm_close(vm));
	live_equal(live_count_fds(), fds_before);
}
END_TEST

START_TEST(the_environment_asks_for_it)
{
	struct vvm_options o;
	struct vvm *vm;

	setenv("VVM_LOG", "none", 1);
	setenv("VVM_RESIDENT", "auto", 1);
	setenv("VVM_RESIDENT_MIN", "4M", 1);
	setenv("VVM_RESIDENT_MAX", "8M", 1);
	live_ok(vvm_options_init(&o));
	live_check(o.resident_bytes == VVM_RESIDENT_AUTO);
	live_equal(o.resident_min_bytes, 4 << 20);
	live_ok(vvm_open(&vm, NULL));
	live_equal(live_stats(vm).auto_budget, 1);
	live_check(live_stats(vm).budget_pages <= 2048);
	live_ok(vvm_close(vm));
	setenv("VVM_RESIDENT_MIN", "9M", 1); /* more than the most */
	live_expect(vvm_open(&vm, NULL), -EINVAL);
	setenv("VVM_RESIDENT", "4M", 1); /* of a fixed one they say nothing */
	live_ok(vvm_open(&vm, NULL));
	live_equal(live_stats(vm).auto_budget, 0);
	live_equal(live_stats(vm).budget_pages, 1024);
	live_ok(vvm_close(vm));
	setenv("VVM_RESIDENT", "automatic", 1);
	live_expect(vvm_options_init(&o), -EINVAL);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "automatic");

	tcase_add_test(tc, it_is_never_above_its_bound);
	test_counted(tc, an_idle_programs_shrinks_and_nothing_is_lost);
	test_counted(tc, vvm_resize_ends_it);
	test_counted(tc, pins_are_made_although_it_has_shrunk);
	test_counted(tc, a_child_has_one_too);
	tcase_add_test(tc, no_descriptor_is_left);
	tcase_add_test(tc, the_environment_asks_for_it);
}

const struct test_program test_program = {
	.name = "api_automatic",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
