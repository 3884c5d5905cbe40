/* SPDX-License-Identifier: MIT */
/*
 * api_memory.c - what the library itself needs: at most 32 bytes for a page
 * ever touched, resident or swapped out, in whatever order; nothing for what
 * is not touched, and no more for a large region than for a small one.
 *
 * Measured by the kernel: the growth of RssAnon. This test allocates nothing
 * itself, frames are in the memfd and not in RssAnon, and buffers of fixed
 * size, which fill when they are first used, are populated beforehand.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "test.h"
#include "live.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE /* 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define BUDGET	  1024			/* pages */
#define WARM	  ((uint64_t)1 << 11)	/* pages */
#define PAGES	  ((uint64_t)1 << 15)
#define PAGE_COST 32 /* bytes, the promise */
#define SLACK	  ((uint64_t)256 << 10) /* of the C library, for all else */
#define FIXED_MAX ((uint64_t)16 << 20)	/* no buffer is larger, tables are */

static struct vvm *vm;

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

/* Stacks, heaps and buffers: all private anonymous memory that is not huge. */
static void populate(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long long from, to, inode;
	char line[512], prot[8];

	live_check(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %7s %*s %*s %llu", &from, &to, prot,
			   &inode) == 4 &&
		    !strcmp(prot, "rw-p") && !inode && to - from <= FIXED_MAX)
			madvise((void *)(uintptr_t)from, to - from,
				MADV_POPULATE_WRITE);
	fclose(f);
}

static void setup(void)
{
	char *p;

	vm = live_open(BUDGET);
	p = live_map(vm, WARM, LIVE_RW);
	stamp_all(p, WARM, 1);
	rewrite(p, WARM, 1);
	populate();
}

static void teardown(void)
{
	live_ok(vvm_close(vm));
}

/* Growth of RssAnon since `before`, bytes; 0 when it has shrunk. */
static uint64_t grown(uint64_t before)
{
	uint64_t now = rss_anon();

	return now > before ? now - before : 0;
}

START_TEST(a_touched_page_costs_at_most_32_bytes)
{
	uint64_t before = rss_anon(), cost;
	char *p = live_map(vm, PAGES, LIVE_RW);

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
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(*(uint64_t *)(p + i * LIVE_PAGE),
			   i + (i % 3 ? 1 : 2));
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

int main(void)
{
	Suite *s = suite_create("api_memory");
	TCase *tc = test_case(s, "memory", 60);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_touched_page_costs_at_most_32_bytes);
	tcase_add_test(tc, what_is_not_touched_costs_nothing);
	tcase_add_test(tc, a_region_costs_as_much_large_or_small);
	if (LIVE_SANITIZED) {
		printf("api_memory: skipped: a sanitizer's memory is counted "
		       "with the library's\n");
		srunner_free(srunner_create(s));
		return TEST_SKIP;
	}
	return live_run(s, "api_memory");
}
