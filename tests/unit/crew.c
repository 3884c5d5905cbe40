/* SPDX-License-Identifier: MIT */
/* unit/crew.c - the leader stays; helpers come when asked, by load, and go. */
#include "fault/crew.h"
#include "support/test.h"

#include <string.h>

#define HANDLERS  3
#define WINDOW_NS ((uint64_t)CREW_WINDOW * 10000)

static struct vvm vm;
static struct crew crews[HANDLERS];
static uint64_t now_ns;

static void setup(void)
{
	unsigned i;

	memset(&vm, 0, sizeof(vm));
	vm.handler_count = HANDLERS;
	for (i = 0; i < HANDLERS; i++) {
		ck_assert_int_eq(os_eventfd(&vm.port[i].event), 0);
		crew_init(&crews[i], &vm, i);
	}
	now_ns = os_now_ns();
	for (i = 0; i < HANDLERS; i++)
		crews[i].start_ns = now_ns;
}

static void teardown(void)
{
	unsigned i;

	for (i = 0; i < HANDLERS; i++)
		os_close(vm.port[i].event);
}

/* A window of s that was idle for so long, one event at a time. */
static void window_with(struct crew *s, unsigned idle_pct, unsigned inflight)
{
	unsigned i;

	crew_slept(s, WINDOW_NS * idle_pct / 100);
	now_ns = s->start_ns + WINDOW_NS;
	for (i = 0; i < CREW_WINDOW; i++) {
		ck_assert_uint_eq(s->events, i);
		crew_adjust(s, now_ns);
		crew_events(s, 1, inflight);
	}
	crew_adjust(s, now_ns);
	ck_assert_uint_eq(s->events, 0);
}

static void window(struct crew *s, unsigned idle_pct)
{
	window_with(s, idle_pct, 1);
}

static bool signalled(unsigned handler)
{
	uint64_t ready, invalid;

	ck_assert_int_eq(
		os_poll(&vm.port[handler].event, 1, 0, &ready, &invalid), 0);
	os_eventfd_drain(vm.port[handler].event);
	return ready;
}

static unsigned serving(void)
{
	unsigned i, set = 0;

	for (i = 0; i < HANDLERS; i++)
		set |= (unsigned)crew_serves(&crews[i]) << i;
	return set;
}

START_TEST(leader_serves_alone_at_first)
{
	ck_assert_uint_eq(serving(), 1);
	ck_assert(crew_is_leader(&crews[0]));
	ck_assert(!crew_is_leader(&crews[1]));
}
END_TEST

START_TEST(busy_leader_invites_one_a_window)
{
	window(&crews[0], 10);
	ck_assert_uint_eq(serving(), 3);
	ck_assert(signalled(1) && !signalled(2));
	window(&crews[0], 10);
	ck_assert_uint_eq(serving(), 7);
	ck_assert(!signalled(1) && signalled(2));
	window(&crews[0], 10);
	ck_assert_uint_eq(serving(), 7);
}
END_TEST

START_TEST(leader_with_time_invites_nobody_and_stays)
{
	window(&crews[0], 80);
	window(&crews[0], 99);
	ck_assert_uint_eq(serving(), 1);
	window(&crews[0], 70);
	ck_assert_uint_eq(serving(), 3);
}
END_TEST

/* Unless it is the leader's own time that the one fault waits for. */
START_TEST(a_lone_thread_needs_no_helper)
{
	window_with(&crews[0], 50, 0);
	ck_assert_uint_eq(serving(), 1);
	window_with(&crews[0], 30, 0);
	ck_assert_uint_eq(serving(), 3);
}
END_TEST

START_TEST(helper_leaves_when_idle_and_never_invites)
{
	window(&crews[0], 0);
	window(&crews[1], 0);
	window(&crews[1], 90);
	ck_assert_uint_eq(serving(), 3);
	window(&crews[1], 99);
	ck_assert_uint_eq(serving(), 1);
}
END_TEST

START_TEST(who_left_is_invited_again)
{
	window(&crews[0], 0);
	window(&crews[0], 0);
	crew_leave(&crews[1]);
	ck_assert_uint_eq(serving(), 5);
	signalled(1);
	window(&crews[0], 0);
	ck_assert_uint_eq(serving(), 7);
	ck_assert(signalled(1));
}
END_TEST

/* A look of 10 us was interrupted; one of a window: the CPU was not ours. */
START_TEST(an_interrupted_look_is_work)
{
	unsigned i;

	for (i = 0; i < CREW_WINDOW / 4; i++)
		crew_looked(&crews[0], 4 * WINDOW_NS / CREW_WINDOW);
	window(&crews[0], 0);
	ck_assert_uint_eq(serving(), 3);
	crew_looked(&crews[0], WINDOW_NS);
	window(&crews[0], 0);
	ck_assert_uint_eq(serving(), 3);
}
END_TEST

START_TEST(one_handler_has_nobody_to_invite)
{
	vm.handler_count = 1;
	window(&crews[0], 0);
	ck_assert_uint_eq(serving(), 1);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "all");

	tcase_add_test(tc, leader_serves_alone_at_first);
	tcase_add_test(tc, busy_leader_invites_one_a_window);
	tcase_add_test(tc, leader_with_time_invites_nobody_and_stays);
	tcase_add_test(tc, a_lone_thread_needs_no_helper);
	tcase_add_test(tc, helper_leaves_when_idle_and_never_invites);
	tcase_add_test(tc, who_left_is_invited_again);
	tcase_add_test(tc, an_interrupted_look_is_work);
	tcase_add_test(tc, one_handler_has_nobody_to_invite);
}

const struct test_program test_program = {
	.name = "crew",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
