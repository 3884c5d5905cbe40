/* SPDX-License-Identifier: MIT */
/*
 * unit/hold.c - swap/hold.c: slots that are kept for fork children, against a
 * model that has one counter for each slot.
 */
#include "support/test.h"

#include <string.h>

#include "swap/hold.h"

#define SLOTS 1000
#define HOLDS 6

static struct slots slots;
static struct holds holds;

static void set_up(void)
{
	memset(&holds, 0, sizeof(holds));
	ck_assert_int_eq(slots_init(&slots, SLOTS), 0);
	slots_grow(&slots, SLOTS);
}

static void tear_down(void)
{
	holds_fini(&holds, &slots);
	slots_fini(&slots);
}

static uint64_t take(uint64_t n)
{
	uint64_t first, got;

	ck_assert_int_eq(slots_take(&slots, n, true, &first, &got), 0);
	ck_assert_uint_eq(got, n);
	return first;
}

static struct hold *begin(void)
{
	struct hold *h;

	ck_assert_int_eq(hold_new(&holds, &slots, &h), 0);
	ck_assert(hold_begin(&holds, &slots, h));
	return h;
}

static void end(struct hold *h)
{
	hold_end(&holds, &slots, h);
	hold_free(h);
}

START_TEST(without_holds_it_is_slots_give)
{
	uint64_t first = take(10);

	holds_give(&holds, &slots, first, 10);
	ck_assert_uint_eq(slots.used, 0);
}
END_TEST

START_TEST(a_held_slot_is_kept_until_the_end)
{
	uint64_t first = take(10), later;
	struct hold *h = begin();

	later = take(5);
	holds_give(&holds, &slots, first, 10);
	holds_give(&holds, &slots, later, 5); /* taken after: free at once */
	ck_assert_uint_eq(slots.used, 10);
	ck_assert_uint_eq(holds.kept_count, 10);
	end(h);
	ck_assert_uint_eq(slots.used, 0);
	ck_assert_uint_eq(holds.kept_count, 0);
	slots_check(&slots);
}
END_TEST

START_TEST(a_kept_slot_is_not_held_again)
{
	uint64_t first = take(3);
	struct hold *old = begin(), *young;

	holds_give(&holds, &slots, first, 3);
	young = begin();
	end(old);
	ck_assert_uint_eq(slots.used, 0);
	end(young);
}
END_TEST

START_TEST(the_area_may_grow_in_between)
{
	struct slots s;
	struct holds hs = {0};
	struct hold *h;

	ck_assert_int_eq(slots_init(&s, 10000), 0);
	slots_grow(&s, 100);
	ck_assert_int_eq(hold_new(&hs, &s, &h), 0);
	slots_grow(&s, 5000);
	ck_assert(!hold_begin(&hs, &s, h));
	hold_free(h);
	ck_assert_int_eq(hold_new(&hs, &s, &h), 0);
	ck_assert(hold_begin(&hs, &s, h));
	slots_grow(&s, 10000); /* slots beyond are not held */
	hold_end(&hs, &s, h);
	hold_free(h);
	holds_fini(&hs, &s);
	slots_fini(&s);
}
END_TEST

/* A slot is in use while an owner or a hold of its time has it. */
START_TEST(random_against_the_model)
{
	static struct {
		bool owned, kept;
		bool held[HOLDS];
	} model[SLOTS + 1];
	struct hold *h[HOLDS] = {NULL};
	unsigned seed = 7, step, k;
	uint64_t i, used = 0, got;

	for (step = 0; step < 20000; step++) {
		k = (unsigned)rand_r(&seed) % HOLDS;
		switch (rand_r(&seed) % 8) {
		case 0: /* a fork, or its end */
			if (h[k])
				end(h[k]);
			h[k] = h[k] ? NULL : begin();
			for (i = 1; i <= SLOTS; i++)
				model[i].held[k] = h[k] && model[i].owned;
			break;
		case 1:
		case 2:
		case 3:
			i = (uint64_t)rand_r(&seed) % SLOTS + 1;
			if (!model[i].owned)
				break;
			holds_give(&holds, &slots, i, 1);
			model[i].owned = false;
			break;
		default:
			if (slots_take(&slots, 1, true, &i, &got) < 0)
				break;
			for (k = 0; k < HOLDS; k++)
				ck_assert(!model[i].held[k]);
			ck_assert(!model[i].owned);
			model[i].owned = true;
		}
		for (used = 0, i = 1; i <= SLOTS; i++) {
			bool any = model[i].owned;

			for (k = 0; k < HOLDS; k++)
				any |= model[i].held[k];
			used += any;
		}
		ck_assert_uint_eq(slots.used, used);
	}
	slots_check(&slots);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "hold");

	tcase_add_test(tc, without_holds_it_is_slots_give);
	tcase_add_test(tc, a_held_slot_is_kept_until_the_end);
	tcase_add_test(tc, a_kept_slot_is_not_held_again);
	tcase_add_test(tc, the_area_may_grow_in_between);
	tcase_add_test(tc, random_against_the_model);
}

const struct test_program test_program = {
	.name = "hold",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
};
