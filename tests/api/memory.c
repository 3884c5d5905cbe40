/* SPDX-License-Identifier: MIT */
/*
 * api/memory.c - what the library itself needs: at most 32 bytes for a page
 * ever touched, resident or swapped out, in whatever order; nothing for what
 * is not touched, and no more for a large region than for a small one.
 *
 * Measured by the kernel: the growth of RssAnon. This test allocates nothing
 * itself, and frames are in the memfd and not in RssAnon. Buffers of fixed
 * size fill when they are first used: the same work is done once on another
 * region beforehand.
 */
#include "support/live.h"
#include "support/test.h"

#define BUDGET	  1024		      /* pages */
#define WARM	  ((uint64_t)1 << 11) /* pages */
#define PAGES	  ((uint64_t)1 << 15)
#define PAGE_COST 32			/* bytes, the promise */
#define SLACK	  ((uint64_t)256 << 10) /* of the C library, for all else */

static uint64_t rss_anon(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long long kib = 0;
	char line[128];
	bool found = false;

	live_check(f != NULL);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "RssAnon: %llu kB", &kib) == 1;
	live_check(found);
	fclose(f);
	return kib << 10;
}

static void stamp_all(char *p, uint64_t pages, uint64_t version)
{
	for (uint64_t i = 0; i < pages; i++)
		*(uint64_t *)(p + i * LIVE_PAGE) = i + version;
}

/* Scattered rewriting: the swap file gets holes, and grows. */
static void rewrite(char *p, uint64_t pages, uint64_t version)
{
	for (uint64_t i = 0; i < pages; i += 3)
		*(uint64_t *)(p + i * LIVE_PAGE) = i + version;
}

static void read_back(const char *p, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		live_equal(*(const uint64_t *)(p + i * LIVE_PAGE),
			   i + (i % 3 ? 1 : 2));
}

static void work(char *p, uint64_t pages)
{
	stamp_all(p, pages, 1);
	rewrite(p, pages, 2);
	read_back(p, pages);
}

static void setup(void)
{
	live_begin(BUDGET);
	work(live_map(vm, WARM, LIVE_RW), WARM);
}

/* Growth of RssAnon since `before`, bytes; 0 when it has shrunk. */
static uint64_t grown(uint64_t before)
{
	uint64_t now = rss_anon();

	return now > before ? now - before : 0;
}

START_TEST(a_touched_page_costs_at_most_32_bytes)
{
	char *p = live_map(vm, PAGES, LIVE_RW);
	uint64_t before, cost;

	work(p, PAGES);
	before = rss_anon();
	p = live_map(vm, PAGES, LIVE_RW);
	stamp_all(p, PAGES, 1);
	live_check(live_stats(vm).swapped_pages >= (int64_t)(PAGES - BUDGET));
	cost = grown(before);
	ck_assert_msg(cost <= PAGES * PAGE_COST, "%.1f bytes a page",
		      (double)cost / (double)PAGES);
	ck_assert_msg(cost >= PAGES * 8, "%.1f bytes: not measured",
		      (double)cost / (double)PAGES);
	rewrite(p, PAGES, 2);
	cost = grown(before);
	ck_assert_msg(cost <= PAGES * PAGE_COST, "rewritten: %.1f bytes a page",
		      (double)cost / (double)PAGES);
	read_back(p, PAGES);
	cost = grown(before);
	ck_assert_msg(cost <= PAGES * PAGE_COST, "read back: %.1f bytes a page",
		      (double)cost / (double)PAGES);
}
END_TEST

START_TEST(what_is_not_touched_costs_nothing)
{
	uint64_t before = rss_anon(), cost, pages = (uint64_t)1 << 28;
	char *p = live_map(vm, pages, LIVE_RW); /* 1 TiB */
	uint64_t i;

	cost = grown(before);
	ck_assert_msg(cost <= SLACK, "a TiB: %llu bytes",
		      (unsigned long long)cost);
	for (i = 0; i < 16; i++) /* a block each, and interior nodes */
		p[i * (pages / 16) * LIVE_PAGE] = 1;
	cost = grown(before);
	ck_assert_msg(cost <= SLACK + 16 * 4 * 4096, "16 pages: %llu bytes",
		      (unsigned long long)cost);
}
END_TEST

START_TEST(a_region_costs_as_much_large_or_small)
{
	uint64_t before = rss_anon(), cost[2];
	unsigned i, k;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < 1000; i++)
			live_map(vm, k ? 1 << 15 : 1, LIVE_RW);
		cost[k] = grown(before);
		before = rss_anon();
	}
	ck_assert_msg(cost[1] <= cost[0] + SLACK && cost[1] <= 1000 * 1024,
		      "1000 regions of 1 and of 32768 pages: %llu, %llu bytes",
		      (unsigned long long)cost[0], (unsigned long long)cost[1]);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "memory");

	test_counted(tc, a_touched_page_costs_at_most_32_bytes);
	tcase_add_test(tc, what_is_not_touched_costs_nothing);
	tcase_add_test(tc, a_region_costs_as_much_large_or_small);
}

static const char *missing(void)
{
	if (LIVE_SANITIZED)
		return "a sanitizer's memory is counted with the library's";
	return live_missing();
}

const struct test_program test_program = {
	.name = "api_memory",
	.add = add_tests,
	.setup = setup,
	.teardown = live_end,
	.missing = missing,
};
