/* SPDX-License-Identifier: MIT */
/* unit/division.c - where the border between frames and compressed pages goes. */
#include "policy/division.h"

#include "support/test.h"

#define BUDGET 16384u

static struct division d;

static void start(void)
{
	division_init(&d);
}

/* A sample with a store that is full. */
static struct division_sample full(void)
{
	return (struct division_sample){.budget = BUDGET,
					.packed = d.pages,
					.added = 200,
					.read_us = 60,
					.fault_us = 10};
}

static void look(const struct division_sample *s, unsigned times)
{
	while (times--)
		division_look(&d, s);
}

/* Looks at a store that is full, whose old pages and cold frames are used so. */
static void used(unsigned times, uint64_t old_reads, uint64_t cold_used,
		 uint64_t added)
{
	while (times--) {
		struct division_sample s = full();

		s.old_reads = old_reads;
		s.scanned = 1000;
		s.cold = 300;
		s.cold_used = cold_used;
		s.added = added;
		look(&s, 1);
	}
}

/* Fills memory for the first time: nothing is used twice. */
static void grow(void)
{
	unsigned i;

	for (i = 0; i < 200; i++) {
		struct division_sample s = full();

		look(&s, 1);
	}
}

/* Nothing can be added before it may have any. */
START_TEST(it_begins_when_pages_are_written)
{
	struct division_sample s = full();

	s.added = 0;
	look(&s, 1);
	ck_assert_uint_eq(d.pages, 0);
	s.written = 1;
	look(&s, 1);
	ck_assert_uint_eq(d.pages, BUDGET / 32);
}
END_TEST

START_TEST(at_first_it_grows)
{
	grow();
	ck_assert_uint_eq(d.pages, BUDGET / 8 * 7);
}
END_TEST

START_TEST(while_it_is_not_full_it_stays)
{
	struct division_sample s;

	grow();
	s = full();
	s.packed = BUDGET / 4;
	s.scanned = 1000;
	s.cold = 100;
	s.cold_used = 90;
	look(&s, 10);
	ck_assert_uint_ge(d.pages, BUDGET / 2);
}
END_TEST

START_TEST(where_old_ones_are_read_it_grows)
{
	division_yield(&d, BUDGET, BUDGET);
	used(200, 100, 50, 200);
	ck_assert_uint_eq(d.pages, BUDGET / 8 * 7);
}
END_TEST

START_TEST(where_frames_are_used_it_shrinks)
{
	grow();
	used(200, 0, 250, 200);
	ck_assert_uint_eq(d.pages,
			  BUDGET / 32); /* by that it may begin again */
	used(10, 0, 250, 0);
	ck_assert_uint_eq(d.pages, 0);
}
END_TEST

/* 20 looks are a second. */
START_TEST(far_from_its_place_it_goes_fast)
{
	used(20, 1000, 50, 200);
	ck_assert_uint_eq(d.pages, BUDGET / 8 * 7);
	used(4, 0, 250, 200);
	ck_assert_uint_le(d.pages, BUDGET / 8 * 5);
}
END_TEST

START_TEST(one_use_is_no_reason_to_go_fast)
{
	uint64_t pages;

	grow();
	pages = d.pages;
	used(1, 0, 1, 200);
	ck_assert_uint_eq(d.pages, pages - BUDGET / 64);
}
END_TEST

/* What is above the border is on its way to the disk. */
START_TEST(it_goes_down_when_the_store_has_followed)
{
	struct division_sample s;
	uint64_t pages;

	grow();
	pages = d.pages;
	used(1, 0, 250, 200);
	ck_assert_uint_eq(d.pages, pages - BUDGET / 16);
	s = full();
	s.packed = pages + 1;
	s.scanned = 1000;
	s.cold = 300;
	s.cold_used = 250;
	look(&s, 5);
	ck_assert_uint_eq(d.pages, pages - BUDGET / 16);
}
END_TEST

START_TEST(little_says_nothing)
{
	struct division_sample s;
	uint64_t pages;

	grow();
	pages = d.pages;
	s = full();
	s.added = 1;
	s.cold = s.scanned = s.cold_used = 10;
	look(&s, 3);
	ck_assert_uint_eq(d.pages, pages);
	look(&s, 10); /* but it adds up */
	ck_assert_uint_lt(d.pages, pages);
}
END_TEST

START_TEST(the_budget_bounds_it)
{
	struct division_sample s;

	grow();
	s = full();
	s.budget = 1000;
	look(&s, 1);
	ck_assert_uint_le(d.pages, 875);
	s.pinned = 900;
	look(&s, 1);
	ck_assert_uint_le(d.pages, 100);
	s.budget = DIVISION_BUDGET_MIN - 1;
	s.pinned = 0;
	look(&s, 1);
	ck_assert_uint_eq(d.pages, 0);
}
END_TEST

START_TEST(it_yields)
{
	grow();
	division_yield(&d, 1000, 100);
	ck_assert_uint_eq(d.pages, 900);
	division_yield(&d, 900, 1);
	ck_assert_uint_eq(d.pages, 884);
	division_yield(&d, 884, 5000);
	ck_assert_uint_eq(d.pages, 0);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "division");

	tcase_add_test(tc, it_begins_when_pages_are_written);
	tcase_add_test(tc, at_first_it_grows);
	tcase_add_test(tc, while_it_is_not_full_it_stays);
	tcase_add_test(tc, where_old_ones_are_read_it_grows);
	tcase_add_test(tc, where_frames_are_used_it_shrinks);
	tcase_add_test(tc, far_from_its_place_it_goes_fast);
	tcase_add_test(tc, one_use_is_no_reason_to_go_fast);
	tcase_add_test(tc, it_goes_down_when_the_store_has_followed);
	tcase_add_test(tc, little_says_nothing);
	tcase_add_test(tc, the_budget_bounds_it);
	tcase_add_test(tc, it_yields);
}

const struct test_program test_program = {
	.name = "division",
	.setup = start,
	.add = add_tests,
};
