/* SPDX-License-Identifier: MIT */
/*
 * unit/prefetch.c - streams found and followed, random faults left alone,
 * feedback that turns prefetch down and lets it come back.
 *
 * `machine` is a model of the pager around it: a page is there when it was
 * faulted in or planned, but for the trigger of each plan, and only accesses
 * to absent pages are faults.
 */
#include "policy/prefetch.h"
#include "support/test.h"
#include <string.h>

#define MAX_PAGES 64
#define PAGES	  ((uint64_t)1 << 18) /* 1 GiB */

struct machine {
	struct prefetch p;
	bool there[PAGES];
	uint64_t faults, planned, plans, walked, dropped;
	bool sequential;
};

static struct machine m;
static uint64_t seed;

static void setup(void)
{
	memset(&m, 0, sizeof(m));
	prefetch_init(&m.p, MAX_PAGES);
	seed = 5;
}

static uint64_t random_next(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 2685821657736338717ull;
}

/* A fault; checks what every plan promises. */
static struct prefetch_plan fault_in(uint64_t page, uint64_t low, uint64_t high)
{
	struct prefetch_plan plan =
		prefetch_fault(&m.p, page, low, high, m.sequential);
	uint64_t at = plan.first;
	bool good = plan.stride != 0 && plan.count <= m.p.max_pages;
	uint32_t i;

	for (i = 0; i < plan.count; i++, at += (uint64_t)plan.stride)
		good = good && at >= low && at < high && at != page;
	if (!good) /* ck_assert is too slow for millions of pages */
		ck_abort_msg("plan %llu + %u * %lld breaks a promise",
			     (unsigned long long)plan.first, plan.count,
			     (long long)plan.stride);
	return plan;
}

static void touch(uint64_t page)
{
	struct prefetch_plan plan;
	uint32_t i;

	if (m.there[page])
		return;
	m.there[page] = true;
	m.faults++;
	plan = fault_in(page, 0, PAGES);
	m.plans += plan.count > 0;
	m.planned += plan.count;
	for (i = 1; i < plan.count; i++)
		m.there[plan.first + (uint64_t)plan.stride * i] = true;
	m.walked += plan.walked;
	m.dropped += plan.dropped;
}

START_TEST(third_fault_in_step_starts_a_window)
{
	struct prefetch_plan plan;

	ck_assert_uint_eq(fault_in(100, 0, PAGES).count, 0);
	ck_assert_uint_eq(fault_in(101, 0, PAGES).count, 0);
	plan = fault_in(102, 0, PAGES);
	ck_assert_uint_eq(plan.first, 103);
	ck_assert_int_eq(plan.stride, 1);
	ck_assert_uint_eq(plan.count, PREFETCH_MIN);
	plan = fault_in(103 + PREFETCH_MIN, 0, PAGES);
	ck_assert_uint_eq(plan.first, 104 + PREFETCH_MIN);
	ck_assert_uint_eq(plan.count, 2 * PREFETCH_MIN);
}
END_TEST

/* Strides forward and backward: one fault for each window of 64 soon. */
START_TEST(streams_of_any_stride)
{
	static const int64_t strides[] = {1, -1, 3, -3, 7, 64, -64};
	int64_t stride = strides[_i];
	uint64_t page = stride > 0 ? 0 : PAGES - 1, n;

	for (n = 0; n < 4000; n++, page += (uint64_t)stride)
		touch(page);
	ck_assert_uint_lt(m.faults, 4000 / MAX_PAGES + 12);
	ck_assert_uint_lt(m.planned, 4000 + 2 * MAX_PAGES);
}
END_TEST

START_TEST(a_stride_too_long_is_none)
{
	uint64_t n;

	for (n = 0; n < 1000; n++)
		touch(n * 65);
	ck_assert_uint_eq(m.planned, 0);
}
END_TEST

START_TEST(interleaved_streams)
{
	uint64_t n, s;

	for (n = 0; n < 2000; n++) {
		for (s = 0; s < 6; s++)
			touch(s * 20000 + n);
		touch(200000 - n);
		touch(130000 + 3 * n);
	}
	ck_assert_uint_lt(m.faults, 8 * (2000 / MAX_PAGES + 14));
}
END_TEST

/* Symptom: two streams that start 32 pages apart paired up for ever. */
START_TEST(close_streams_are_told_apart)
{
	uint64_t n;

	for (n = 0; n < 30; n++) {
		touch(1000 + n);
		touch(1032 + n);
	}
	ck_assert_uint_lt(m.faults, 20);
}
END_TEST

START_TEST(random_faults_make_no_plans)
{
	uint64_t n, plans = 0;

	for (n = 0; n < 100000; n++)
		plans += fault_in(random_next() % PAGES, 0, PAGES).count > 0;
	ck_assert_uint_lt(plans, 100);
}
END_TEST

START_TEST(a_stream_survives_random_faults)
{
	uint64_t n;

	for (n = 0; n < 20000; n++) {
		touch(n);
		if (n % 4 == 0)
			touch(PAGES / 2 + random_next() % (PAGES / 2));
	}
	ck_assert_uint_lt(m.faults, 5000 + 20000 / MAX_PAGES + 100);
}
END_TEST

START_TEST(plans_stay_in_the_region)
{
	struct prefetch_plan plan = {0};
	uint64_t page;

	for (page = 100; page <= 102; page++)
		plan = fault_in(page, 100, 105);
	ck_assert_uint_eq(plan.count, 2);
	for (page = 110; page >= 108; page--)
		plan = fault_in(page, 106, 120);
	ck_assert_int_eq(plan.stride, -1);
	ck_assert_uint_eq(plan.count, 2);
	/* The last page of the address space, and page 0. */
	for (page = PAGES - 3; page < PAGES; page++)
		plan = fault_in(page, 0, PAGES);
	ck_assert_uint_eq(plan.count, 0);
	for (page = 3; page-- > 0;)
		plan = fault_in(page, 0, PAGES);
	ck_assert_uint_eq(plan.count, 0);
	ck_assert_uint_eq(fault_in(7, 7, 8).count, 0);
	ck_assert_uint_eq(prefetch_fault(&m.p, 5, 6, 9, true).count, 0);
}
END_TEST

START_TEST(random_calls_keep_the_promises)
{
	uint64_t n, page = 0, low, high;

	for (n = 0; n < 300000; n++) {
		if (random_next() % 8 == 0)
			page = random_next() % 3000;
		else
			page += random_next() % 5 - 2;
		page = MIN(page, 3000);
		low = page - MIN(page, random_next() % 50);
		high = page + 1 + random_next() % 50;
		m.sequential = random_next() % 16 == 0;
		fault_in(page, low, high);
		if (random_next() % 8 == 0)
			prefetch_feedback(&m.p, random_next() % 10,
					  random_next() % 20);
		if (m.p.useful_pct > 100)
			ck_abort_msg("useful_pct is %u", m.p.useful_pct);
	}
}
END_TEST

/* At the trigger, or past it, the next window is planned; all was used. */
START_TEST(the_trigger_plans_from_the_end)
{
	struct prefetch_plan plan;
	uint64_t page;

	for (page = 0; page < 3; page++)
		fault_in(page, 0, PAGES);
	/* 3..6 were planned, 3 is the trigger. */
	plan = fault_in(3, 0, PAGES);
	ck_assert_uint_eq(plan.first, 7);
	ck_assert_uint_eq(plan.count, 2 * PREFETCH_MIN);
	ck_assert_uint_eq(plan.walked, 0);
	/* 7..14, and the trigger, 7, was there after all: 9 is the fault. */
	plan = fault_in(9, 0, PAGES);
	ck_assert_uint_eq(plan.first, 15);
	ck_assert_uint_eq(plan.count, 4 * PREFETCH_MIN);
	ck_assert_uint_eq(plan.walked, 5);
	/* 15..30: all the way to the end. */
	plan = fault_in(31, 0, PAGES);
	ck_assert_uint_eq(plan.first, 32);
	ck_assert_uint_eq(plan.walked, 21);
}
END_TEST

START_TEST(a_lost_page_halves_the_window)
{
	struct prefetch_plan plan;
	uint64_t page;

	for (page = 0; page < 3; page++)
		fault_in(page, 0, PAGES);
	fault_in(3, 0, PAGES);
	fault_in(7, 0, PAGES);
	/* 15..30 are on their way; 9 was evicted before it was used. */
	plan = fault_in(9, 0, PAGES);
	ck_assert_uint_eq(plan.first, 10);
	ck_assert_uint_eq(plan.count, 2 * PREFETCH_MIN);
	ck_assert_uint_eq(plan.walked, 0);
	/* The same page again says nothing. */
	ck_assert_uint_eq(fault_in(9, 0, PAGES).count, 0);
	plan = fault_in(10, 0, PAGES);
	ck_assert_uint_eq(plan.first, 18);
	ck_assert_uint_eq(plan.count, 4 * PREFETCH_MIN);
}
END_TEST

START_TEST(a_smaller_limit_holds_at_once)
{
	uint64_t page;

	for (page = 0; page < 500; page++)
		touch(page);
	prefetch_limit(&m.p, 8);
	for (; page < 1000; page++)
		touch(page);
	ck_assert_uint_gt(m.faults, (500 - 2 * MAX_PAGES) / 8);
	prefetch_limit(&m.p, 0);
	ck_assert_uint_eq(fault_in(5000, 0, PAGES).count, 0);
}
END_TEST

/* What is walked through is told once, and what is given up. */
START_TEST(plans_tell_what_became_of_the_pages)
{
	uint64_t page, n;

	for (page = 0; page < 2000; page++)
		touch(page);
	ck_assert_uint_le(m.walked, 2000);
	ck_assert_uint_gt(m.walked, 2000 - 3 * MAX_PAGES);
	ck_assert_uint_eq(m.dropped, 0);
	for (n = 0; n < 5000; n++)
		touch(PAGES / 2 + random_next() % (PAGES / 2));
	ck_assert_uint_gt(m.dropped, 0);
	ck_assert_uint_le(m.walked + m.dropped + m.faults, m.planned + 5100);
}
END_TEST

/* Each page of a sparse stride is a read of its own: not too many. */
START_TEST(sparse_strides_have_smaller_windows)
{
	uint64_t n, most = 0;

	prefetch_init(&m.p, 256);
	for (n = 0; n < 3000; n++) {
		uint64_t before = m.planned;

		touch(n * (_i ? PREFETCH_DENSE : PREFETCH_DENSE + 1));
		most = MAX(most, m.planned - before);
	}
	ck_assert_uint_eq(most, _i ? 256 : PREFETCH_SPARSE_WINDOW);
}
END_TEST

START_TEST(sequential_advice_starts_at_once)
{
	struct prefetch_plan plan;

	m.sequential = true;
	plan = fault_in(500, 0, PAGES);
	ck_assert_uint_eq(plan.first, 501);
	ck_assert_uint_eq(plan.count, MAX_PAGES / 4);
	plan = fault_in(517, 0, PAGES);
	ck_assert_uint_eq(plan.count, MAX_PAGES / 2);
	fault_in(5000, 0, PAGES);
	plan = fault_in(4999, 0, PAGES);
	ck_assert_int_eq(plan.stride, -1);
	ck_assert_uint_gt(plan.count, 0);
}
END_TEST

START_TEST(max_pages_bounds_all)
{
	uint64_t page;

	prefetch_init(&m.p, 0);
	m.sequential = true;
	for (page = 0; page < 100; page++)
		ck_assert_uint_eq(fault_in(page, 0, PAGES).count, 0);
	prefetch_init(&m.p, 2);
	for (page = 0; page < 100; page += 3)
		ck_assert_uint_eq(fault_in(page, 0, PAGES).count, 2);
}
END_TEST

/* ---- feedback ---- */

/* Walks over `pages` pages; returns how many of them were prefetched. */
static uint64_t walk(uint64_t from, uint64_t pages)
{
	uint64_t before = m.planned, n;

	for (n = 0; n < pages; n++)
		touch(from + n);
	return m.planned - before;
}

START_TEST(waste_turns_it_down_and_a_probe_turns_it_up)
{
	uint64_t n;

	prefetch_feedback(&m.p, 0, 1000);
	ck_assert_uint_lt(m.p.useful_pct, 30);
	/* Streams that break off at once: only probes are read. */
	for (n = 0; n < 1000; n++) {
		uint64_t at = 200 * n, before = m.planned;

		touch(at);
		touch(at + 1);
		touch(at + 2);
		prefetch_feedback(&m.p, 0, m.planned - before);
	}
	ck_assert_uint_gt(m.plans, 20);
	ck_assert_uint_lt(m.plans, 100);
	ck_assert_uint_le(m.planned, m.plans * PREFETCH_MIN);
	/* A long stream: the probes succeed, windows grow again. */
	walk(210000, 10000);
	ck_assert_uint_ge(m.p.useful_pct, 90);
	ck_assert_uint_gt(walk(230000, 2000), 1800);
}
END_TEST

/* Every window is walked through; late reports alone must not turn it off. */
START_TEST(a_stream_reported_wasted_goes_on)
{
	uint64_t n, before;

	for (n = 0; n < 20000; n++) {
		before = m.planned;
		touch(n);
		prefetch_feedback(&m.p, 0, m.planned - before);
	}
	ck_assert_uint_lt(m.faults, 2 * 20000 / MAX_PAGES);
}
END_TEST

/* Runs of 3 pages, each at a random place, and no reports from anybody. */
START_TEST(broken_streams_turn_it_down_without_reports)
{
	uint64_t n, i, at;

	for (n = 0; n < 5000; n++) {
		at = random_next() % (PAGES - 3);
		for (i = 0; i < 3; i++)
			fault_in(at + i, 0, PAGES);
		m.plans += fault_in(at + 3 + PREFETCH_MIN, 0, PAGES).count > 0;
	}
	ck_assert_uint_ge(m.p.useful_pct, 45); /* 4 used, half of 8 not */
	for (n = 0; n < 5000; n++) {
		at = random_next() % (PAGES - 3);
		for (i = 0; i < 3; i++)
			fault_in(at + i, 0, PAGES);
	}
	ck_assert_uint_lt(m.p.useful_pct, 30);
}
END_TEST

START_TEST(estimate_follows_the_reports)
{
	unsigned n;

	ck_assert_uint_eq(m.p.useful_pct, 100);
	prefetch_feedback(&m.p, 0, 0);
	ck_assert_uint_eq(m.p.useful_pct, 100);
	for (n = 0; n < 1000; n++)
		prefetch_feedback(&m.p, 1, 1);
	ck_assert_uint_ge(m.p.useful_pct, 45);
	ck_assert_uint_le(m.p.useful_pct, 55);
	prefetch_feedback(&m.p, UINT32_MAX, UINT32_MAX);
	ck_assert_uint_le(m.p.useful_pct, 55);
	for (n = 0; n < 1000; n++)
		prefetch_feedback(&m.p, 0, 1);
	ck_assert_uint_le(m.p.useful_pct, 5);
	for (n = 0; n < 1000; n++)
		prefetch_feedback(&m.p, 1, 0);
	ck_assert_uint_ge(m.p.useful_pct, 95);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "streams");

	tcase_add_test(tc, third_fault_in_step_starts_a_window);
	tcase_add_loop_test(tc, streams_of_any_stride, 0, 7);
	tcase_add_test(tc, a_stride_too_long_is_none);
	tcase_add_test(tc, interleaved_streams);
	tcase_add_test(tc, close_streams_are_told_apart);
	tcase_add_test(tc, random_faults_make_no_plans);
	tcase_add_test(tc, a_stream_survives_random_faults);
	tcase_add_test(tc, plans_stay_in_the_region);
	tcase_add_test(tc, random_calls_keep_the_promises);
	tcase_add_test(tc, the_trigger_plans_from_the_end);
	tcase_add_test(tc, a_lost_page_halves_the_window);
	tcase_add_test(tc, a_smaller_limit_holds_at_once);
	tcase_add_test(tc, plans_tell_what_became_of_the_pages);
	tcase_add_loop_test(tc, sparse_strides_have_smaller_windows, 0, 2);
	tcase_add_test(tc, sequential_advice_starts_at_once);
	tcase_add_test(tc, max_pages_bounds_all);

	tc = test_case(suite, "feedback");
	tcase_add_test(tc, waste_turns_it_down_and_a_probe_turns_it_up);
	tcase_add_test(tc, a_stream_reported_wasted_goes_on);
	tcase_add_test(tc, broken_streams_turn_it_down_without_reports);
	tcase_add_test(tc, estimate_follows_the_reports);
}

const struct test_program test_program = {
	.name = "prefetch",
	.add = add_tests,
	.setup = setup,
};
