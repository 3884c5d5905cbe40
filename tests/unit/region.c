/* SPDX-License-Identifier: MIT */
/*
 * unit/region.c - the index of regions: look-ups, splitting, merging,
 * and a random history of all of them against an array with one cell a page.
 */
#include "space/region.h"
#include "support/test.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define P PAGE_BYTES

static struct regions rs;

static void setup(void)
{
	regions_init(&rs);
}

static void teardown(void)
{
	regions_check(&rs);
	regions_fini(&rs);
}

/* Guest pages [start, end) at host page `host`. */
static struct region *region_new(uint64_t start, uint64_t end, uint64_t host)
{
	struct region *r = calloc(1, sizeof(*r));

	r->start = start * P;
	r->end = end * P;
	r->host = host * P;
	r->stripe_shift = 21;
	return r;
}

static struct region *add(uint64_t start, uint64_t end, uint64_t host)
{
	struct region *r = region_new(start, end, host);

	ck_assert_int_eq(regions_insert(&rs, r), 0);
	return r;
}

START_TEST(empty_index_finds_nothing)
{
	ck_assert_ptr_null(regions_at_guest(&rs, 0));
	ck_assert_ptr_null(regions_at_host(&rs, 0));
	ck_assert_ptr_null(regions_next_guest(&rs, 0));
	ck_assert(regions_free_range(&rs, 0, GUEST_END));
	ck_assert(!regions_cover(&rs, 0, P));
	ck_assert(regions_cover(&rs, P, P));
	ck_assert_int_eq(regions_split(&rs, P), 0);
	regions_merge(&rs, 0, GUEST_END);
	ck_assert_uint_eq(rs.count, 0);
}
END_TEST

START_TEST(lookups_at_the_edges)
{
	struct region *a = add(10, 20, 1010), *b = add(20, 25, 500);

	ck_assert_ptr_null(regions_at_guest(&rs, 10 * P - 1));
	ck_assert_ptr_eq(regions_at_guest(&rs, 10 * P), a);
	ck_assert_ptr_eq(regions_at_guest(&rs, 20 * P - 1), a);
	ck_assert_ptr_eq(regions_at_guest(&rs, 20 * P), b);
	ck_assert_ptr_null(regions_at_guest(&rs, 25 * P));
	ck_assert_ptr_eq(regions_at_host(&rs, 500 * P), b);
	ck_assert_ptr_eq(regions_at_host(&rs, 505 * P - 1), b);
	ck_assert_ptr_null(regions_at_host(&rs, 505 * P));
	ck_assert_ptr_eq(regions_at_host(&rs, 1019 * P), a);
	ck_assert_ptr_eq(regions_next_guest(&rs, 0), a);
	ck_assert_ptr_eq(regions_next_guest(&rs, a->end), b);
	ck_assert_ptr_null(regions_next_guest(&rs, b->end));
	ck_assert_uint_eq(region_to_host(b, 21 * P + 3), 501 * P + 3);
	ck_assert_uint_eq(region_to_guest(b, 501 * P + 3), 21 * P + 3);
}
END_TEST

START_TEST(free_and_covered_ranges)
{
	add(10, 20, 1010);
	add(20, 25, 500);
	add(30, 31, 30);
	ck_assert(regions_free_range(&rs, 0, 10 * P));
	ck_assert(!regions_free_range(&rs, 0, 10 * P + 1));
	ck_assert(regions_free_range(&rs, 25 * P, 30 * P));
	ck_assert(!regions_free_range(&rs, 24 * P, 25 * P));
	ck_assert(regions_free_range(&rs, 31 * P, GUEST_END));
	ck_assert(regions_cover(&rs, 10 * P, 25 * P));
	ck_assert(regions_cover(&rs, 19 * P, 21 * P));
	ck_assert(!regions_cover(&rs, 9 * P, 11 * P));
	ck_assert(!regions_cover(&rs, 24 * P, 31 * P));
	ck_assert(regions_cover(&rs, 30 * P, 31 * P));
}
END_TEST

START_TEST(overlap_is_refused)
{
	struct region *r;

	add(10, 20, 1010);
	r = region_new(19, 21, 5000);
	ck_assert_int_eq(regions_insert(&rs, r), -EEXIST);
	free(r);
	r = region_new(100, 110, 1001);
	ck_assert_int_eq(regions_insert(&rs, r), -EEXIST);
	free(r);
	add(20, 30, 1020);
	add(0, 10, 1000);
	ck_assert_uint_eq(rs.count, 3);
}
END_TEST

START_TEST(last_page_of_the_guest)
{
	uint64_t last = GUEST_END / P - 1;
	struct region *r = add(last, last + 1, 77);

	ck_assert_ptr_eq(regions_at_guest(&rs, GUEST_END - 1), r);
	ck_assert(regions_cover(&rs, GUEST_END - P, GUEST_END));
}
END_TEST

START_TEST(split_keeps_addresses_and_stripes)
{
	struct region *r = add(10, 2000, 100000), *upper;
	unsigned stripe = region_stripe(r, 101000 * P, 4);

	ck_assert_int_eq(regions_split(&rs, 10 * P), 0);
	ck_assert_int_eq(regions_split(&rs, 5 * P), 0);
	ck_assert_uint_eq(rs.count, 1);
	ck_assert_int_eq(regions_split(&rs, 500 * P), 0);
	ck_assert_uint_eq(rs.count, 2);
	upper = regions_at_guest(&rs, 500 * P);
	ck_assert_ptr_ne(upper, r);
	ck_assert_uint_eq(r->end, 500 * P);
	ck_assert_uint_eq(upper->host, 100490 * P);
	ck_assert_ptr_eq(regions_at_host(&rs, 101000 * P), upper);
	ck_assert_uint_eq(region_stripe(upper, 101000 * P, 4), stripe);
	regions_check(&rs);
}
END_TEST

static unsigned closed;

static void close_backing(struct backing *b)
{
	(void)b;
	closed++;
}

/* ... and its backing, which the last part closes. */
START_TEST(split_keeps_slots_of_the_backing)
{
	static const struct backing_ops ops = {.close = close_backing};
	struct backing b = {.ops = &ops, .users = 1};
	struct region *r = add(10, 20, 1000), *gone;
	uint64_t i;

	closed = 0;
	r->backing = &b;
	r->first_page = 5;
	ck_assert_int_eq(regions_split(&rs, 17 * P), 0);
	ck_assert_int_eq(regions_split(&rs, 13 * P), 0);
	for (i = 10; i < 20; i++)
		ck_assert_uint_eq(
			region_slot(regions_at_guest(&rs, i * P), i * P),
			SLOT_OF_REGION | (i - 5));
	ck_assert_uint_eq(b.users, 3);
	gone = regions_remove(&rs, 13 * P, 17 * P);
	regions_free(&rs, gone);
	regions_merge(&rs, 0, GUEST_END);
	ck_assert_uint_eq(rs.count, 2);
	ck_assert_int_eq(regions_split(&rs, 19 * P), 0);
	regions_merge(&rs, 0, GUEST_END);
	ck_assert_uint_eq(b.users, 2);
	ck_assert_uint_eq(closed, 0);
	regions_free(&rs, regions_remove(&rs, 10 * P, 13 * P));
	ck_assert_uint_eq(closed, 0);
	regions_fini(&rs);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(merge_undoes_split)
{
	struct region *r = add(10, 2000, 100000);
	uint64_t at;

	for (at = 11; at < 2000; at += 7)
		ck_assert_int_eq(regions_split(&rs, at * P), 0);
	ck_assert_uint_gt(rs.count, 200);
	regions_merge(&rs, 10 * P, 2000 * P);
	ck_assert_uint_eq(rs.count, 1);
	ck_assert_ptr_eq(regions_at_guest(&rs, 1999 * P), r);
	ck_assert_uint_eq(r->end, 2000 * P);
}
END_TEST

START_TEST(merge_reaches_both_neighbours_only)
{
	uint64_t at;

	add(10, 60, 1000);
	for (at = 20; at < 60; at += 10)
		ck_assert_int_eq(regions_split(&rs, at * P), 0);
	regions_merge(&rs, 30 * P, 40 * P);
	/* [10,20) and [50,60) do not touch the range. */
	ck_assert_uint_eq(rs.count, 3);
	ck_assert_uint_eq(regions_at_guest(&rs, 35 * P)->start, 20 * P);
	ck_assert_uint_eq(regions_at_guest(&rs, 35 * P)->end, 50 * P);
	regions_check(&rs);
}
END_TEST

/* Each difference alone must keep two neighbours apart. */
START_TEST(different_neighbours_do_not_merge)
{
	struct region *b = add(20, 30, 1010);

	add(10, 20, 1000);
	b->prot = _i == 0;
	b->advice = _i == 1;
	b->mapping_id = _i == 2;
	b->stripe_shift = _i == 3 ? 30 : 21;
	regions_merge(&rs, 0, GUEST_END);
	ck_assert_uint_eq(rs.count, _i < 4 ? 2 : 1);
}
END_TEST

START_TEST(hosts_or_guests_apart_do_not_merge)
{
	add(10, 20, 1000);
	add(20, 30, 1011);
	add(31, 40, 1021);
	regions_merge(&rs, 0, GUEST_END);
	ck_assert_uint_eq(rs.count, 3);
}
END_TEST

START_TEST(remove_gives_the_region_back)
{
	struct region *a = add(10, 20, 1000), *b = add(20, 30, 500);

	ck_assert_ptr_eq(regions_remove(&rs, a->start, a->end), a);
	ck_assert_ptr_null(regions_at_guest(&rs, 10 * P));
	ck_assert_ptr_null(regions_at_host(&rs, 1000 * P));
	ck_assert_ptr_eq(regions_at_host(&rs, 500 * P), b);
	free(a);
	add(5, 20, 1000);
}
END_TEST

/* The hosts of the regions are in another order than their guests. */
START_TEST(all_of_a_range_are_removed)
{
	struct region *r, *next;
	uint64_t i, at;

	for (i = 0; i < 100; i++)
		add(i * 10, i * 10 + 5, 100000 + i * 37 % 100 * 10);
	ck_assert_ptr_null(regions_remove(&rs, 5 * P, 10 * P));
	ck_assert_int_eq(regions_split(&rs, 203 * P), 0);
	ck_assert_int_eq(regions_split(&rs, 802 * P), 0);
	at = 203;
	for (r = regions_remove(&rs, 203 * P, 802 * P); r; r = next) {
		next = r->next;
		ck_assert_uint_eq(r->start, at * P);
		at = at / 10 * 10 + 10;
		regions_free(&rs, r);
	}
	ck_assert_uint_eq(at, 810);
	ck_assert_uint_eq(rs.count, 41);
	regions_check(&rs);
	ck_assert(regions_free_range(&rs, 203 * P, 802 * P));
	ck_assert(regions_cover(&rs, 200 * P, 203 * P));
	ck_assert(regions_cover(&rs, 802 * P, 805 * P));
	for (r = regions_remove(&rs, 0, GUEST_END); r; r = next) {
		next = r->next;
		regions_free(&rs, r);
	}
	ck_assert_uint_eq(rs.count, 0);
}
END_TEST

START_TEST(stripe_shift)
{
	uint64_t bytes;
	unsigned n, shift;

	ck_assert_uint_eq(region_stripe_shift(P, 4), 21);
	ck_assert_uint_eq(region_stripe_shift((uint64_t)1 << 30, 1), 47);
	ck_assert_uint_eq(region_stripe_shift((uint64_t)1 << 30, 4), 24);
	ck_assert_uint_eq(region_stripe_shift((uint64_t)1 << 47, 2), 40);
	for (n = 2; n <= 32; n++) {
		for (bytes = (uint64_t)n << 26; bytes < (uint64_t)n << 44;
		     bytes = bytes * 3 / 2) {
			shift = region_stripe_shift(bytes, n);
			ck_assert_uint_ge(bytes >> shift, 16 * n);
			ck_assert_uint_le(bytes >> shift, 32 * n);
		}
	}
}
END_TEST

START_TEST(wrong_region_aborts)
{
	struct region *r = region_new(10, 20, 30);

	switch (_i) {
	case 0:
		r->end = r->start;
		regions_insert(&rs, r);
		break;
	case 1:
		r->host++;
		regions_insert(&rs, r);
		break;
	case 2:
		regions_insert(&rs, r);
		regions_remove(&rs, r->start + P, r->end);
		break;
	case 3:
		regions_split(&rs, 1);
		break;
	default:
		regions_insert(&rs, r);
		rs.by_guest[0]->end = GUEST_END + P;
		regions_check(&rs);
	}
}
END_TEST

/* ---- a random history against a flat array ---- */

#define PAGES  512
#define SHIFT  100000 /* host page = guest page + SHIFT, or far off */
#define ROUNDS 20000

struct cell {
	uint64_t host; /* host page; 0: not mapped */
	unsigned prot;
	uint64_t mapping;
};

static struct cell model[PAGES];
static uint64_t seed = 11;

static uint64_t random_next(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 2685821657736338717ull;
}

static void random_range(uint64_t *start, uint64_t *end)
{
	*start = random_next() % PAGES;
	*end = *start + 1 + random_next() % 40;
	*end = MIN(*end, PAGES);
}

static bool model_free(uint64_t start, uint64_t end)
{
	for (; start < end; start++)
		if (model[start].host)
			return false;
	return true;
}

static bool model_cover(uint64_t start, uint64_t end)
{
	for (; start < end; start++)
		if (!model[start].host)
			return false;
	return true;
}

static void step_map(uint64_t start, uint64_t end)
{
	static uint64_t mapping;
	uint64_t i, host = SHIFT + start;
	struct region *r;

	mapping++;
	if (mapping % 3 == 0)
		host += 1000 * mapping;
	r = region_new(start, end, host);
	r->mapping_id = mapping;
	if (!model_free(start, end)) {
		ck_assert_int_eq(regions_insert(&rs, r), -EEXIST);
		free(r);
		return;
	}
	ck_assert_int_eq(regions_insert(&rs, r), 0);
	for (i = start; i < end; i++)
		model[i] = (struct cell){host + i - start, 0, mapping};
}

static void step_unmap(uint64_t start, uint64_t end)
{
	struct region *r, *next;

	ck_assert_int_eq(regions_split(&rs, start * P), 0);
	ck_assert_int_eq(regions_split(&rs, end * P), 0);
	for (r = regions_remove(&rs, start * P, end * P); r; r = next) {
		next = r->next;
		free(r);
	}
	for (; start < end; start++)
		model[start] = (struct cell){0};
}

static void step_protect(uint64_t start, uint64_t end)
{
	unsigned prot = random_next() % 3;
	struct region *r;
	gaddr_t at;

	ck_assert_int_eq(regions_split(&rs, start * P), 0);
	ck_assert_int_eq(regions_split(&rs, end * P), 0);
	for (at = start * P;
	     (r = regions_next_guest(&rs, at)) && r->start < end * P;
	     at = r->end)
		r->prot = prot;
	regions_merge(&rs, start * P, end * P);
	for (; start < end; start++)
		model[start].prot = model[start].host ? prot : 0;
}

/* Do pages i - 1 and i belong into one region? */
static bool model_joined(uint64_t i)
{
	const struct cell *a = &model[i - 1], *b = &model[i];

	return a->host && b->host == a->host + 1 && a->prot == b->prot &&
	       a->mapping == b->mapping;
}

static void compare_page(uint64_t i)
{
	struct region *r = regions_at_guest(&rs, i * P + 5);

	if (!model[i].host) {
		ck_assert_ptr_null(r);
		return;
	}
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(region_to_host(r, i * P), model[i].host * P);
	ck_assert_uint_eq(r->prot, model[i].prot);
	ck_assert_uint_eq(r->mapping_id, model[i].mapping);
	ck_assert_ptr_eq(regions_at_host(&rs, model[i].host * P + 9), r);
}

static void compare_all(void)
{
	uint64_t i, regions = 0;

	for (i = 0; i < PAGES; i++) {
		compare_page(i);
		regions += model[i].host && (i == 0 || !model_joined(i));
	}
	regions_merge(&rs, 0, GUEST_END);
	ck_assert_uint_eq(rs.count, regions);
	regions_check(&rs);
}

START_TEST(random_history_agrees_with_array)
{
	uint64_t start, end;
	unsigned round;

	for (round = 0; round < ROUNDS; round++) {
		random_range(&start, &end);
		ck_assert_int_eq(regions_free_range(&rs, start * P, end * P),
				 model_free(start, end));
		ck_assert_int_eq(regions_cover(&rs, start * P, end * P),
				 model_cover(start, end));
		switch (random_next() % 4) {
		case 0:
			step_unmap(start, end);
			break;
		case 1:
			step_protect(start, end);
			break;
		default:
			step_map(start, end);
		}
		regions_check(&rs);
		if (round % 50 == 0)
			compare_all();
	}
}
END_TEST

/* "ENOMEM with more than 900 regions" is a complaint about others. */
START_TEST(fifty_thousand_regions)
{
	uint64_t i;

	for (i = 0; i < 50000; i++)
		add(2 * i, 2 * i + 1, SHIFT + 2 * i);
	for (i = 0; i < 50000; i += 501)
		ck_assert_uint_eq(regions_at_guest(&rs, 2 * i * P)->start,
				  2 * i * P);
	ck_assert(!regions_cover(&rs, 0, 3 * P));
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "region");

	tcase_add_test(tc, empty_index_finds_nothing);
	tcase_add_test(tc, lookups_at_the_edges);
	tcase_add_test(tc, free_and_covered_ranges);
	tcase_add_test(tc, overlap_is_refused);
	tcase_add_test(tc, last_page_of_the_guest);
	tcase_add_test(tc, split_keeps_addresses_and_stripes);
	tcase_add_test(tc, split_keeps_slots_of_the_backing);
	tcase_add_test(tc, merge_undoes_split);
	tcase_add_test(tc, merge_reaches_both_neighbours_only);
	tcase_add_loop_test(tc, different_neighbours_do_not_merge, 0, 5);
	tcase_add_test(tc, hosts_or_guests_apart_do_not_merge);
	tcase_add_test(tc, remove_gives_the_region_back);
	tcase_add_test(tc, all_of_a_range_are_removed);
	tcase_add_test(tc, stripe_shift);
	tcase_add_test(tc, random_history_agrees_with_array);
	tcase_add_test(tc, fifty_thousand_regions);

	tc = test_case_with(suite, "promises", setup, NULL);
	tcase_add_loop_test_raise_signal(tc, wrong_region_aborts, SIGABRT, 0,
					 5);
}

const struct test_program test_program = {
	.name = "region",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
