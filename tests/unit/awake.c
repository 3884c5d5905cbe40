/* SPDX-License-Identifier: MIT */
/*
 * unit/awake.c - time that passes while the process is stopped is no time
 * that was waited.
 */
#include "util/awake.h"
#include "support/test.h"

#define START 1000000000

START_TEST(nothing_has_passed_at_the_first_look)
{
	struct awake a = {0};

	ck_assert_uint_eq(awake_look(&a, START), 0);
	ck_assert_uint_eq(awake_look(&a, START), 0);
}
END_TEST

START_TEST(all_time_between_looks_in_time_counts)
{
	struct awake a = {0};
	uint64_t us;

	for (us = 0; us <= 30 * AWAKE_STEP_US; us += 500)
		ck_assert_uint_eq(awake_look(&a, START + us), us);
	us += AWAKE_STEP_US - 500;
	ck_assert_uint_eq(awake_look(&a, START + us), us);
}
END_TEST

START_TEST(a_stop_of_any_length_counts_as_one_step)
{
	struct awake a = {0};

	awake_look(&a, START);
	ck_assert_uint_eq(awake_look(&a, START + 700), 700);
	ck_assert_uint_eq(awake_look(&a, 100 * (uint64_t)START),
			  700 + AWAKE_STEP_US);
	ck_assert_uint_eq(awake_look(&a, 100 * (uint64_t)START + 300),
			  1000 + AWAKE_STEP_US);
}
END_TEST

START_TEST(several_who_look_count_once)
{
	struct awake_shared a;

	awake_begin(&a, START);
	ck_assert_uint_eq(awake_look_shared(&a, START + 100), 100);
	ck_assert_uint_eq(awake_look_shared(&a, START + 50), 100); /* late */
	ck_assert_uint_eq(awake_look_shared(&a, START + 250), 300);
	ck_assert_uint_eq(awake_look_shared(&a, 100 * (uint64_t)START),
			  300 + AWAKE_STEP_US);
	ck_assert_uint_eq(awake_look_shared(&a, 100 * (uint64_t)START + 7),
			  307 + AWAKE_STEP_US);
	awake_begin(&a, START);
	ck_assert_uint_eq(awake_look_shared(&a, START + 1), 1);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "awake");

	tcase_add_test(tc, nothing_has_passed_at_the_first_look);
	tcase_add_test(tc, all_time_between_looks_in_time_counts);
	tcase_add_test(tc, a_stop_of_any_length_counts_as_one_step);
	tcase_add_test(tc, several_who_look_count_once);
}

const struct test_program test_program = {
	.name = "awake",
	.add = add_tests,
};
