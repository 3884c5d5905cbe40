/* SPDX-License-Identifier: MIT */
/*
 * unit/intent.c - when pages that are read are expected to be written: a
 * program is simulated whose reads are followed by a write with a given
 * probability.
 */
#include "policy/intent.h"
#include "support/test.h"

static struct intent in;
static uint32_t seed;

static void setup(void)
{
	in = (struct intent){0};
	seed = 1;
}

/* True `pct` times in 100. */
static bool chance(unsigned pct)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % 100 < pct;
}

struct outcome {
	unsigned writable, events; /* fills for writing, second events */
};

/* n fills of `run` pages; of the pages pct in 100 are written then. */
static struct outcome use(unsigned n, unsigned run, unsigned pct)
{
	struct outcome o = {0, 0};
	unsigned i;

	while (n--) {
		bool writable = intent_ask(&in);

		o.writable += writable;
		if (!writable)
			intent_filled(&in, run);
		for (i = 0; i < run; i++) {
			if (!chance(pct) || writable)
				continue;
			o.events++;
			intent_written(&in);
		}
	}
	return o;
}

START_TEST(pages_that_are_only_read_are_never_expected_to_be_written)
{
	struct outcome o = use(10000, 1, 0);

	ck_assert_uint_eq(o.writable, 0);
}
END_TEST

START_TEST(read_modify_write_is_noticed_soon)
{
	struct outcome o = use(10000, 1, 100);

	ck_assert_uint_gt(o.writable, 9000);
	ck_assert_uint_lt(o.events, 1000);
	o = use(100, 32, 100);
	ck_assert_uint_gt(o.writable, 90);
}
END_TEST

/* Samples go on, so that it can be noticed. */
START_TEST(the_end_of_it_is_noticed_too)
{
	struct outcome o;

	use(1000, 1, 100);
	o = use(10000, 1, 0);
	ck_assert_uint_lt(o.writable, 4000);
	o = use(1000, 1, 0);
	ck_assert_uint_eq(o.writable, 0);
	o = use(1000, 1, 100);
	ck_assert_uint_gt(o.writable, 500);
}
END_TEST

START_TEST(half_is_not_enough_to_begin_but_to_go_on)
{
	struct outcome o;

	use(1000, 1, 5);
	o = use(10000, 1, 60);
	ck_assert_uint_eq(o.writable, 0);
	use(1000, 1, 100);
	o = use(10000, 1, 65);
	ck_assert_uint_gt(o.writable, 9000);
}
END_TEST

/* Pages filled long ago are written now, while none is filled. */
START_TEST(late_writes_do_not_weigh_for_ever)
{
	unsigned i;

	use(10000, 1, 0);
	for (i = 0; i < 100000; i++)
		intent_written(&in);
	use(10000, 1, 0);
	ck_assert_uint_eq(use(1000, 1, 0).writable, 0);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "intent");

	tcase_add_test(
		tc, pages_that_are_only_read_are_never_expected_to_be_written);
	tcase_add_test(tc, read_modify_write_is_noticed_soon);
	tcase_add_test(tc, the_end_of_it_is_noticed_too);
	tcase_add_test(tc, half_is_not_enough_to_begin_but_to_go_on);
	tcase_add_test(tc, late_writes_do_not_weigh_for_ever);
}

const struct test_program test_program = {
	.name = "intent",
	.add = add_tests,
	.setup = setup,
};
