/* SPDX-License-Identifier: MIT */
/*
 * api_memory.c - what the library itself costs in RAM: at most 32 bytes for a
 * page that was ever touched, swapped out or not, and nothing for pages that
 * were not.
 *
 * Counted is anonymous memory of the process: the page table with its history
 * of all pages, slots and checksums of the swap. Frames are shared memory, as
 * is the statistics segment (a byte for each page).
 */
#include "test.h"

#include <stdbool.h>
#include <vvm.h>

#define PAGES	   32768 /* 128 MiB */
#define BUDGET	   (8 << 20)
#define BYTES_MAX  32
#define UNTOUCHED  (1ull << 36) /* 64 GiB */
#define REGION_MAX (64 << 10)	/* of memory, for a region of any size */

static struct vvm *vm;

static uint64_t anonymous_bytes(void)
{
	FILE *in = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[256];

	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in))
		if (sscanf(line, "RssAnon: %lu kB", &kib) == 1)
			break;
	fclose(in);
	ck_assert_uint_gt(kib, 0);
	return (uint64_t)kib << 10;
}

static void setup(void)
{
	struct vvm_options options;

	ck_assert_int_eq(vvm_options_init(&options), 0);
	options.resident_bytes = BUDGET;
	ck_assert_int_eq(vvm_open(&vm, &options), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(vvm_close(vm), 0);
}

static uint64_t *map(uint64_t bytes)
{
	uint64_t addr = VVM_ANYWHERE;

	ck_assert_int_eq(vvm_map(vm, &addr, bytes, VVM_READ | VVM_WRITE, "m"),
			 0);
	return vvm_ptr(vm, addr);
}

/* Writes, or reads, what no codec can make smaller. */
static void touch_all(uint64_t *words, bool write)
{
	uint64_t page, x;

	for (page = 0; page < PAGES; page++) {
		x = (page + 1) * 0x9e3779b97f4a7c15ull;
		if (write)
			words[page * 512] = x;
		else
			ck_assert_uint_eq(words[page * 512], x);
	}
}

START_TEST(a_touched_page_costs_32_bytes)
{
	uint64_t *words = map(2 * (uint64_t)PAGES * VVM_PAGE_SIZE), before;
	uint64_t cost;

	/* Buffers are touched by their first use, and are not per page. */
	touch_all(words, true);
	touch_all(words, false);
	before = anonymous_bytes();
	touch_all(words + PAGES * 512, true);
	touch_all(words + PAGES * 512, false);
	cost = anonymous_bytes() - before;
	printf("%.1f bytes for a touched page\n", (double)cost / PAGES);
	ck_assert_uint_le(cost, (uint64_t)PAGES * BYTES_MAX);
	ck_assert_uint_ge(cost, (uint64_t)PAGES * 8); /* or we counted wrong */
}
END_TEST

START_TEST(an_untouched_region_costs_nothing)
{
	uint64_t before = anonymous_bytes(), after;

	map(UNTOUCHED);
	after = anonymous_bytes();
	ck_assert_uint_le(after, before + REGION_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api_memory");
	TCase *tc = test_case(suite, "memory", 30);
	struct vvm_probe probe;

	if (vvm_probe(&probe) || !probe.usable) {
		printf("api_memory: skipped: %s\n", probe.reason);
		return TEST_SKIP;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_touched_page_costs_32_bytes);
	tcase_add_test(tc, an_untouched_region_costs_nothing);
	return test_run(suite);
}
