/* SPDX-License-Identifier: MIT */
/*
 * check_policy.c - what a policy promises to reclaim, for each age. How good
 * the choices are is sim_policy.c's question.
 */
#include "policy.h"
#include "test.h"

static const struct policy_ops *clock_ops;

static void setup(void)
{
	clock_ops = policy_find("clock");
	ck_assert_ptr_nonnull(clock_ops);
}

static struct policy_page page_of(unsigned age, bool referenced,
				  bool prefetched)
{
	return (struct policy_page){.addr = 4096,
				    .age = age,
				    .referenced = referenced,
				    .prefetched = prefetched};
}

/* Passes of the hand until the page is a victim; n first see it used. */
static unsigned passes(unsigned age, unsigned used, bool prefetched)
{
	struct policy_page page = page_of(age, true, prefetched);
	unsigned n;

	for (n = 1; n < 50; n++) {
		page.referenced = n <= used;
		if (clock_ops->visit(&page, 0))
			return n;
		ck_assert_uint_le(page.age, PTE_AGE_MAX);
	}
	return n;
}

START_TEST(found_by_name)
{
	ck_assert_ptr_eq(policy_find("clock"), &policy_clock);
	ck_assert_str_eq(policy_find("clock")->name, "clock");
	ck_assert_ptr_null(policy_find("fifo"));
	ck_assert_ptr_null(policy_find(""));
}
END_TEST

START_TEST(pressure_makes_every_page_a_victim)
{
	unsigned age, bits, pressure;
	struct policy_page page;

	for (age = 0; age <= PTE_AGE_MAX; age++) {
		for (bits = 0; bits < 4; bits++) {
			for (pressure = age + 1; pressure < 8; pressure++) {
				page = page_of(age, bits & 1, bits & 2);
				ck_assert(clock_ops->visit(&page, pressure));
			}
		}
	}
}
END_TEST

START_TEST(used_pages_stay_without_pressure)
{
	struct policy_page page =
		page_of(clock_ops->admit(0, false), true, false);
	unsigned turn;

	for (turn = 0; turn < 100; turn++) {
		page.referenced = true;
		ck_assert(!clock_ops->visit(&page, 0));
	}
}
END_TEST

START_TEST(every_unused_page_becomes_a_victim)
{
	unsigned age;

	for (age = 0; age <= PTE_AGE_MAX; age++) {
		ck_assert_uint_le(passes(age, 0, false), PTE_AGE_MAX + 1);
		ck_assert_uint_le(passes(age, 0, true), PTE_AGE_MAX + 1);
	}
}
END_TEST

/* The install maps the page: the first pass must not take that for a use. */
START_TEST(the_install_is_no_use)
{
	unsigned new = clock_ops->admit(0, false);

	ck_assert_uint_eq(passes(new, 1, false), passes(new, 0, false));
	ck_assert_uint_eq(passes(new, 1, false), 2);
	ck_assert_uint_gt(passes(new, 2, false), 3);
}
END_TEST

START_TEST(prefetched_pages_start_old)
{
	unsigned old = clock_ops->admit(0, true);

	ck_assert_uint_lt(old, clock_ops->admit(0, false));
	ck_assert_uint_eq(passes(old, 1, true), 1);
	/* Once the flag is gone a use counts. */
	ck_assert_uint_gt(passes(old, 1, false), 2);
}
END_TEST

START_TEST(a_used_page_outlives_a_new_one)
{
	unsigned new = clock_ops->admit(0, false);

	ck_assert_uint_gt(passes(new, 2, false) - 2, passes(new, 0, false) - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tc = test_case(suite, "clock", 5);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, found_by_name);
	tcase_add_test(tc, pressure_makes_every_page_a_victim);
	tcase_add_test(tc, used_pages_stay_without_pressure);
	tcase_add_test(tc, every_unused_page_becomes_a_victim);
	tcase_add_test(tc, the_install_is_no_use);
	tcase_add_test(tc, prefetched_pages_start_old);
	tcase_add_test(tc, a_used_page_outlives_a_new_one);
	return test_run(suite);
}
