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
	unsigned i;

	division_yield(&d, BUDGET, BUDGET);
	for (i = 0; i < 200; i++) {
		struct division_sample s = full();

		s.old_reads = 100;
		s.scanned = 1000;
		s.cold = 300;
		s.cold_used = 50;
		look(&s, 1);
	}
	ck_assert_uint_eq(d.pages, BUDGET / 8 * 7);
}
END_TEST

START_TEST(where_frames_are_used_it_shrinks)
{
	unsigned i;

	grow();
	for (i = 0; i < 200; i++) {
		struct division_sample s = full();

		s.old_reads = 0;
		s.scanned = 1000;
		s.cold = 300;
		s.cold_used = 250;
		look(&s, 1);
	}
	ck_assert_uint_eq(d.pages,
			  BUDGET / 32); /* by that it may begin again */
	for (i = 0; i < 10; i++) {
		struct division_sample s = full();

		s.added = 0;
		s.scanned = 1000;
		s.cold = 300;
		s.cold_used = 250;
		look(&s, 1);
	}
	ck_assert_uint_eq(d.pages, 0);
}
END_TEST

/* 20 looks are a second. */
START_TEST(far_from_its_place_it_goes_fast)
{
	unsigned i;

	for (i = 0; i < 20; i++) {
		struct division_sample s = full();

		s.old_reads = 1000;
		s.scanned = 1000;
		s.cold = 300;
		s.cold_used = 50;
		look(&s, 1);
	}
	ck_assert_uint_eq(d.pages, BUDGET / 8 * 7);
	for (i = 0; i < 4; i++) {
		struct division_sample s = full();

		s.scanned = 1000;
		s.cold = 300;
		s.cold_used = 250;
		look(&s, 1);
	}
	ck_assert_uint_le(d.pages, BUDGET / 8 * 5);
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
	tcase_add_test(tc, little_says_nothing);
	tcase_add_test(tc, the_budget_bounds_it);
	tcase_add_test(tc, it_yields);
}

const struct test_program test_program = {
	.name = "division",
	.setup = start,
	.add = add_tests,
};
