/* SPDX-License-Identifier: MIT */
/*
 * unit/policy.c - what a policy promises to reclaim, and what each remembers
 * of a page. How good the choices are is unit/policy_sim.c's question.
 */
#include "policy/policy.h"
#include "support/test.h"

#include <limits.h>
#include <string.h>

enum { PAGE = 7 };

/* One page in a block, and hands that pass it. */
static const struct policy_ops *ops;
static struct policy_space space;
static struct policy_block block;
static struct policy_page page;

static void use(const struct policy_ops *policy)
{
	ops = policy;
	ck_assert_ptr_nonnull(ops);
	memset(&space, 0, sizeof(space));
	memset(&block, 0, sizeof(block));
}

static void setup_clock(void)
{
	use(&policy_clock);
}

static void setup_heat(void)
{
	use(&policy_heat);
}

static void bring(bool prefetched)
{
	gaddr_t addr = PAGE * PAGE_BYTES;

	page = (struct policy_page){.addr = addr, .prefetched = prefetched};
	page.age = ops->admit(&space, &block, addr, prefetched);
	ck_assert_uint_le(page.age, POLICY_AGE_MAX);
}

/* Passes the page, and `others` that are unused and of heat 0. */
static bool pass(bool referenced, unsigned pressure, unsigned others)
{
	struct policy_page other = {.addr = 0};
	struct policy_step step;
	bool victim;

	policy_begin(ops, &space, &block, 0, pressure, &step);
	policy_enter(ops, &step);
	for (; others; others--)
		ops->visit(&step, &other);
	page.heat = block.heat[PAGE];
	page.referenced = referenced;
	victim = ops->visit(&step, &page);
	ck_assert_uint_le(page.age, POLICY_AGE_MAX);
	ck_assert_uint_le(page.heat, POLICY_HEAT_MAX);
	block.heat[PAGE] = (uint16_t)page.heat;
	if (referenced)
		page.prefetched = false;
	policy_end(ops, &space, &step);
	policy_turn(ops, &space);
	return victim;
}

/* Passes until the page is a victim; the first `used` see it used. */
static unsigned passes(unsigned used, bool prefetched)
{
	unsigned n;

	bring(prefetched);
	for (n = 1; n < 50; n++)
		if (pass(n <= used, 0, 0))
			return n;
	return n;
}

/* ---- all policies ---- */

/* The places are those of the words of the setting. */
START_TEST(found_by_place)
{
	ck_assert_ptr_eq(policy_at(0), &policy_heat);
	ck_assert_str_eq(policy_at(0)->name, "heat");
	ck_assert_ptr_eq(policy_at(1), &policy_clock);
	ck_assert_str_eq(policy_at(1)->name, "clock");
	ck_assert_ptr_null(policy_at(2));
	ck_assert_ptr_null(policy_at(UINT_MAX));
}
END_TEST

START_TEST(pressure_makes_every_page_a_victim)
{
	unsigned bits, pressure, turn;

	ops = policy_at((unsigned)_i);
	for (bits = 0; bits < 8; bits++) {
		for (pressure = POLICY_AGE_MAX + 1; pressure < 8; pressure++) {
			use(ops);
			bring(bits & 1);
			for (turn = 0; bits & 4 && turn < 50; turn++)
				pass(true, 0, 0); /* hot */
			ck_assert(pass(bits & 2, pressure, 1));
		}
	}
}
END_TEST

/* Where there is something colder, a page in use stays. */
START_TEST(used_pages_stay_without_pressure)
{
	unsigned turn;

	use(policy_at((unsigned)_i));
	bring(false);
	for (turn = 0; turn < 100; turn++)
		ck_assert(!pass(true, 0, 8) || turn == 0);
}
END_TEST

START_TEST(an_unused_page_becomes_a_victim)
{
	unsigned turn;

	use(policy_at((unsigned)_i));
	bring(false);
	for (turn = 0; turn < 100; turn++)
		pass(true, 0, 0);
	for (turn = 0; turn < 1000 && !pass(false, 0, 0); turn++)
		;
	ck_assert_uint_lt(turn, 1000);
}
END_TEST

/* ---- clock ---- */

/* The install maps the page: the first pass must not take that for a use. */
START_TEST(clock_install_is_no_use)
{
	ck_assert_uint_eq(passes(1, false), passes(0, false));
	ck_assert_uint_eq(passes(1, false), 2);
	ck_assert_uint_gt(passes(2, false), 3);
}
END_TEST

START_TEST(clock_prefetched_pages_start_old)
{
	ck_assert_uint_eq(passes(0, true), 1);
	/* The first use is worth a fault. */
	ck_assert_uint_eq(passes(1, true), passes(1, false));
	ck_assert_uint_gt(passes(2, true), 3);
}
END_TEST

START_TEST(clock_a_used_page_outlives_a_new_one)
{
	ck_assert_uint_gt(passes(2, false) - 2, passes(0, false) - 1);
}
END_TEST

/* ---- heat ---- */

static void turns(unsigned n)
{
	while (n--)
		policy_turn(ops, &space);
}

/* The page's heat now. */
static unsigned heat_now(void)
{
	struct policy_step step;

	policy_begin(ops, &space, &block, 0, 0, &step);
	policy_enter(ops, &step);
	return block.heat[PAGE];
}

START_TEST(heat_survives_eviction_and_cools)
{
	unsigned once, later;

	bring(false);
	once = heat_now();
	ck_assert_uint_gt(once, 0);
	turns(45); /* 63/64 to the 45th: a half */
	later = heat_now();
	ck_assert_uint_ge(later, once * 48 / 100);
	ck_assert_uint_le(later, once * 50 / 100);
	bring(false);
	ck_assert_uint_ge(heat_now(), once + later);
	turns(2000);
	ck_assert_uint_eq(heat_now(), 0);
}
END_TEST

START_TEST(heat_cools_the_same_late_or_at_once)
{
	unsigned n, at_once;

	bring(false);
	turns(30);
	at_once = heat_now();
	use(&policy_heat);
	bring(false);
	for (n = 0; n < 30; n++) {
		turns(1);
		heat_now();
	}
	ck_assert_uint_le(heat_now(), at_once);
	ck_assert_uint_ge(heat_now() + 30, at_once); /* rounded down */
}
END_TEST

/* A pass tells of a page's use only when the fault did not map it. */
START_TEST(heat_of_a_use)
{
	unsigned fault;

	bring(false);
	fault = page.heat = heat_now();
	pass(true, 0, 0);
	ck_assert_uint_le(heat_now(), fault); /* the install */
	pass(true, 0, 0);
	ck_assert_uint_gt(heat_now(), 2 * fault);

	use(&policy_heat);
	bring(true);
	ck_assert_uint_eq(heat_now(), fault);
	pass(true, 0, 0);
	ck_assert_uint_ge(heat_now() + 10, fault);
	pass(true, 0, 0);
	ck_assert_uint_gt(heat_now(), 2 * fault);
}
END_TEST

/* Readahead gets a turn to be used in; then it is worth less and less. */
START_TEST(heat_of_an_unused_prefetch_halves)
{
	unsigned before, pass_nr;

	bring(true);
	before = heat_now();
	pass(false, 0, 0);
	ck_assert_uint_ge(heat_now() + 20, before);
	for (pass_nr = 0; pass_nr < 3; pass_nr++) {
		before = heat_now();
		pass(false, 0, 0);
		ck_assert_uint_le(heat_now(), before / 2);
		ck_assert_uint_gt(heat_now(), before / 3);
	}
}
END_TEST

START_TEST(heat_saturates)
{
	unsigned turn;

	bring(false);
	for (turn = 0; turn < 1000; turn++)
		pass(true, 0, 0);
	ck_assert_uint_gt(page.heat, POLICY_HEAT_MAX / 10 * 9);
	ck_assert_uint_le(page.heat, POLICY_HEAT_MAX);
	for (turn = 0; turn < 200; turn++)
		bring(false);
	ck_assert_uint_le(heat_now(), POLICY_HEAT_MAX);
	ck_assert_uint_gt(heat_now(), POLICY_HEAT_MAX / 10 * 9);
}
END_TEST

/* A round over a block of 256 pages, each with a heat of its own. */
static unsigned pass_all(const unsigned *heats, unsigned n, unsigned *hottest)
{
	unsigned i, victims = 0;
	struct policy_step step;

	*hottest = 0;
	policy_begin(ops, &space, &block, 0, 0, &step);
	policy_enter(ops, &step);
	for (i = 0; i < n; i++) {
		struct policy_page p = {.addr = i * PAGE_BYTES,
					.heat = heats[i]};

		if (!ops->visit(&step, &p))
			continue;
		victims++;
		if (heats[i] > *hottest)
			*hottest = heats[i];
	}
	policy_end(ops, &space, &step);
	policy_turn(ops, &space);
	return victims;
}

START_TEST(heat_takes_the_coldest_quarter)
{
	unsigned heats[256], i, hottest, victims, turn;

	for (i = 0; i < 256; i++)
		heats[(i * 77) % 256] = 200 + i * 200;
	for (turn = 0; turn < 4; turn++)
		victims = pass_all(heats, 256, &hottest);
	ck_assert_uint_ge(victims, 256 / 4 - 12); /* a level's width */
	ck_assert_uint_le(victims, 256 / 4 + 12);
	ck_assert_uint_lt(hottest, 200 + (256 / 4 + 12) * 200);
}
END_TEST

/* Two blocks, hot and cold: the hot one loses nothing. */
START_TEST(heat_spares_hot_blocks)
{
	unsigned hot[64], cold[64], i, hottest, turn, taken = 0, spared = 0;

	for (i = 0; i < 64; i++) {
		hot[i] = 30000 + i;
		cold[i] = 100 + i;
	}
	pass_all(cold, 64, &hottest);
	for (turn = 0; turn < 20; turn++) {
		spared += pass_all(hot, 64, &hottest);
		taken += pass_all(cold, 64, &hottest);
	}
	ck_assert_uint_eq(spared, 0);
	ck_assert_uint_gt(taken, 20 * 64 / 4);
}
END_TEST

/* Uses seen in a turn of 100 pages that are all hot. */
static void turn_with(unsigned used)
{
	struct policy_step step;
	unsigned i;

	policy_begin(ops, &space, &block, 0, 0, &step);
	policy_enter(ops, &step);
	for (i = 0; i < 100; i++) {
		struct policy_page p = {.heat = POLICY_HEAT_MAX,
					.referenced = i < used};

		ops->visit(&step, &p);
	}
	policy_end(ops, &space, &step);
	policy_turn(ops, &space);
}

START_TEST(heat_forgets_after_a_surprise)
{
	unsigned turn, before, time;

	bring(false);
	for (turn = 0; turn < 20; turn++)
		turn_with(90);
	turn_with(80); /* may happen */
	time = space.time;
	ck_assert_uint_eq(time, 21);
	before = heat_now();
	turn_with(10);
	ck_assert_uint_gt(space.time, time + 100);
	ck_assert_uint_lt(heat_now(), before / 8);
	time = space.time;
	turn_with(90);
	ck_assert_uint_eq(space.time, time + 1);
}
END_TEST

START_TEST(heat_is_not_surprised_by_nothing)
{
	unsigned turn;

	for (turn = 0; turn < 20; turn++)
		turn_with(90);
	turns(100); /* no page passed at all */
	ck_assert_uint_eq(space.time, 120);
}
END_TEST

static void add_heat(Suite *suite)
{
	TCase *tc = test_case_with(suite, "heat", setup_heat, NULL);

	tcase_add_test(tc, heat_survives_eviction_and_cools);
	tcase_add_test(tc, heat_cools_the_same_late_or_at_once);
	tcase_add_test(tc, heat_of_a_use);
	tcase_add_test(tc, heat_of_an_unused_prefetch_halves);
	tcase_add_test(tc, heat_saturates);
	tcase_add_test(tc, heat_takes_the_coldest_quarter);
	tcase_add_test(tc, heat_spares_hot_blocks);
	tcase_add_test(tc, heat_forgets_after_a_surprise);
	tcase_add_test(tc, heat_is_not_surprised_by_nothing);
}

static void add_clock(Suite *suite)
{
	TCase *tc = test_case_with(suite, "clock", setup_clock, NULL);

	tcase_add_test(tc, clock_install_is_no_use);
	tcase_add_test(tc, clock_prefetched_pages_start_old);
	tcase_add_test(tc, clock_a_used_page_outlives_a_new_one);
}

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "all");

	tcase_add_test(tc, found_by_place);
	tcase_add_loop_test(tc, pressure_makes_every_page_a_victim, 0, 2);
	tcase_add_loop_test(tc, used_pages_stay_without_pressure, 0, 2);
	tcase_add_loop_test(tc, an_unused_page_becomes_a_victim, 0, 2);
	add_clock(suite);
	add_heat(suite);
}

const struct test_program test_program = {
	.name = "policy",
	.add = add_tests,
};
