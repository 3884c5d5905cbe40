/* SPDX-License-Identifier: MIT */
/* unit/frame.c - the budget: taking, giving, watermarks, shortage, races. */
#include "space/frame.h"
#include "support/test.h"
#include <pthread.h>
#include <signal.h>

static struct frames f;

START_TEST(takes_all_or_nothing)
{
	frames_init(&f, 10, 0, 0);
	ck_assert(frames_take(&f, 0, 0));
	ck_assert(frames_take(&f, 7, 0));
	ck_assert(!frames_take(&f, 4, 0));
	ck_assert_uint_eq(f.used, 7);
	ck_assert(frames_take(&f, 3, 0));
	ck_assert(!frames_take(&f, 1, 0));
	ck_assert_uint_eq(frames_free(&f), 0);
	frames_give(&f, 10);
	ck_assert_uint_eq(frames_free(&f), 10);
	ck_assert_uint_eq(f.peak, 10);
}
END_TEST

START_TEST(reserve_stays_free)
{
	frames_init(&f, 10, 0, 0);
	ck_assert(!frames_take(&f, 8, 3));
	ck_assert(frames_take(&f, 7, 3));
	ck_assert(!frames_take(&f, 1, 3));
	ck_assert(frames_take(&f, 1, 2));
	ck_assert(!frames_take(&f, 1, UINT64_MAX));
	ck_assert(!frames_take(&f, UINT64_MAX, 0));
	ck_assert(!frames_take(&f, UINT64_MAX, UINT64_MAX));
	ck_assert_uint_eq(f.used, 8);
	ck_assert_uint_eq(f.peak, 8);
}
END_TEST

START_TEST(one_page_budget)
{
	frames_init(&f, 1, 2, 4);
	ck_assert(!frames_low(&f));
	ck_assert(frames_take(&f, 1, 0));
	ck_assert(!frames_low(&f));
	ck_assert_uint_eq(frames_shortage(&f), 0);
	f.wanted = 5;
	ck_assert(frames_low(&f));
	ck_assert_uint_eq(frames_shortage(&f), 1);
}
END_TEST

START_TEST(watermarks_are_percentages)
{
	frames_init(&f, 1000, 2, 4);
	ck_assert_uint_eq(f.low, 20);
	ck_assert_uint_eq(f.high, 40);
	frames_init(&f, (uint64_t)1 << 60, 2, 4);
	ck_assert_uint_eq(f.low, ((uint64_t)1 << 60) / 50);
	ck_assert_uint_eq(f.high, ((uint64_t)1 << 60) / 25);
}
END_TEST

START_TEST(watermarks_leave_half_and_keep_order)
{
	uint64_t budget;
	unsigned low, high;
	bool good = true;

	for (budget = 1; budget < 300; budget++) {
		for (low = 0; low <= 100; low += 5) {
			for (high = 0; high <= 100; high += 5) {
				frames_init(&f, budget, low, high);
				good = good && f.low <= f.high &&
				       f.low + f.high <= budget / 2 &&
				       (budget >= 16 || f.low == 0) &&
				       (high || f.high == f.low);
			}
		}
	}
	ck_assert(good);
}
END_TEST

START_TEST(shortage_counts_high_wanted_and_excess)
{
	frames_init(&f, 1000, 2, 4);
	ck_assert(frames_take(&f, 960, 0));
	ck_assert_uint_eq(frames_shortage(&f), 0);
	ck_assert(!frames_low(&f));
	ck_assert(frames_take(&f, 20, 0));
	ck_assert_uint_eq(frames_shortage(&f), 20);
	ck_assert(!frames_low(&f));
	ck_assert(frames_take(&f, 1, 0));
	ck_assert(frames_low(&f));
	f.wanted = 7;
	ck_assert_uint_eq(frames_shortage(&f), 28);
	frames_resize(&f, 500, 2, 4);
	ck_assert_uint_eq(frames_free(&f), 0);
	ck_assert(frames_low(&f));
	ck_assert(!frames_take(&f, 1, 0));
	ck_assert(!frames_take(&f, 0, 1));
	ck_assert_uint_eq(frames_shortage(&f), 981 - 500 + 20 + 7);
}
END_TEST

/* Reclaim is worth more than one frame, even where 4 % are not one. */
START_TEST(small_budgets_are_freed_in_batches)
{
	static const unsigned high[][2] = {
		{3, 0}, {4, 1}, {8, 2}, {15, 3}, {64, 16}, {400, 16}, {500, 20},
	};
	unsigned i;

	for (i = 0; i < sizeof(high) / sizeof(high[0]); i++) {
		frames_init(&f, high[i][0], 2, 4);
		ck_assert_uint_eq(f.high, high[i][1]);
	}
}
END_TEST

START_TEST(over_budget_is_low_without_watermarks)
{
	frames_init(&f, 10, 2, 4);
	ck_assert(frames_take(&f, 10, 0));
	frames_resize(&f, 4, 2, 4);
	ck_assert(frames_low(&f));
	ck_assert_uint_eq(frames_shortage(&f), 6 + 1);
	frames_give(&f, 6);
	ck_assert(!frames_low(&f));
	frames_resize(&f, 10, 2, 4);
	ck_assert_uint_eq(frames_free(&f), 6);
}
END_TEST

/* Faults take all that is given back, and yet the store gets its part. */
START_TEST(what_is_owed_is_saved_first)
{
	frames_init(&f, 8192, 2, 4);
	ck_assert(frames_take_packed(&f, 16));
	ck_assert_uint_eq(f.packed, 16);
	ck_assert(frames_take(&f, 8192 - 16, 0));
	ck_assert(!frames_take_packed(&f, 16));
	frames_give(&f, 10);
	ck_assert_uint_eq(frames_free(&f), 0);
	ck_assert_uint_eq(f.packed, 26);
	ck_assert(!frames_take_packed(&f, 16));
	frames_give(&f, 100);
	ck_assert_uint_eq(f.saved, 64); /* no more than for a batch */
	ck_assert_uint_eq(frames_free(&f), 110 - 64);
	ck_assert(frames_take(&f, 110 - 64, 0));
	ck_assert(frames_take_packed(&f, 16));
	ck_assert_uint_eq(f.saved, 48);
	frames_give(&f, 8);
	ck_assert_uint_eq(f.saved, 56);
	ck_assert_uint_eq(frames_spend(&f), 56);
	ck_assert_uint_eq(f.packed, 32);
	frames_give(&f, 8);
	ck_assert_uint_eq(frames_free(&f), 64);
	frames_give_packed(&f, 32);
	ck_assert_uint_eq(f.packed, 0);
	ck_assert_uint_eq(f.used, 8192 - 96);
	ck_assert_uint_eq(frames_spend(&f), 0);
}
END_TEST

START_TEST(over_budget_nothing_is_saved)
{
	frames_init(&f, 1000, 2, 4);
	ck_assert(frames_take(&f, 1000, 0));
	ck_assert(!frames_take_packed(&f, 16));
	frames_resize(&f, 500, 2, 4);
	frames_give(&f, 400);
	ck_assert_uint_eq(f.used, 600);
	ck_assert_uint_eq(f.saved, 0);
	frames_give(&f, 200); /* 400: from here on it may be */
	ck_assert_uint_eq(f.used, 400 + f.saved);
}
END_TEST

START_TEST(giving_too_many_aborts)
{
	frames_init(&f, 10, 0, 0);
	ck_assert(frames_take(&f, 2, 0));
	frames_give(&f, 3);
}
END_TEST

START_TEST(no_budget_aborts)
{
	frames_init(&f, 0, 0, 0);
}
END_TEST

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ull;
}

/* Random calls against plain arithmetic. */
START_TEST(agrees_with_arithmetic)
{
	uint64_t seed = 3, used = 0, budget = 100, peak = 0, n, reserve;
	unsigned turn;
	bool fits, good = true;

	frames_init(&f, budget, 2, 4);
	for (turn = 0; turn < 300000; turn++) {
		n = random_next(&seed) % 20;
		reserve = random_next(&seed) % 20;
		switch (random_next(&seed) % 5) {
		case 0:
		case 1:
			fits = used <= budget && used + n + reserve <= budget;
			if (n == 0 && reserve == 0)
				fits = true;
			good = good && frames_take(&f, n, reserve) == fits;
			used += fits ? n : 0;
			peak = MAX(peak, used);
			break;
		case 2:
		case 3:
			n = MIN(n, used);
			frames_give(&f, n);
			used -= n;
			break;
		default:
			if (n == 0)
				budget = 1 + random_next(&seed) % 200;
			frames_resize(&f, budget, 2, 4);
		}
		good = good && f.used == used && f.peak == peak &&
		       frames_free(&f) == budget - MIN(used, budget);
		if (!good)
			ck_abort_msg("differs in turn %u", turn);
	}
}
END_TEST

#define THREADS 4
#define ROUNDS	100000
#define BUDGET	10

static _Atomic bool broken;

static void *churn(void *arg)
{
	unsigned n = 1 + (unsigned)(uintptr_t)arg, round;
	bool took = false;

	for (round = 0; round < ROUNDS || !took; round++) {
		if (!frames_take(&f, n, 0))
			continue;
		took = true;
		if (f.used > BUDGET)
			broken = true;
		frames_give(&f, n);
	}
	return NULL;
}

START_TEST(racing_takers_respect_the_budget)
{
	pthread_t thread[THREADS];
	uintptr_t i;

	frames_init(&f, BUDGET, 0, 0);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, churn, (void *)(2 * i));
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert(!broken);
	ck_assert_uint_eq(f.used, 0);
	ck_assert_uint_le(f.peak, BUDGET);
	ck_assert_uint_ge(f.peak, 7);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "frame");

	tcase_add_test(tc, takes_all_or_nothing);
	tcase_add_test(tc, reserve_stays_free);
	tcase_add_test(tc, one_page_budget);
	tcase_add_test(tc, watermarks_are_percentages);
	tcase_add_test(tc, watermarks_leave_half_and_keep_order);
	tcase_add_test(tc, small_budgets_are_freed_in_batches);
	tcase_add_test(tc, shortage_counts_high_wanted_and_excess);
	tcase_add_test(tc, over_budget_is_low_without_watermarks);
	tcase_add_test(tc, what_is_owed_is_saved_first);
	tcase_add_test(tc, over_budget_nothing_is_saved);
	tcase_add_test_raise_signal(tc, giving_too_many_aborts, SIGABRT);
	tcase_add_test_raise_signal(tc, no_budget_aborts, SIGABRT);
	tcase_add_test(tc, agrees_with_arithmetic);
	tcase_add_test(tc, racing_takers_respect_the_budget);
}

const struct test_program test_program = {
	.name = "frame",
	.add = add_tests,
};
