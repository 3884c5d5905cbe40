/* SPDX-License-Identifier: MIT */
/*
 * api/stats.c - the counters tell what happened, exactly, for scripted
 * workloads of one thread; the budget holds; vvm_resize() and its errors.
 */
#include <errno.h>
#include <string.h>

#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

static void setup(void)
{
	live_begin(1024);
}

static void write_pages(char *p, uint64_t first, uint64_t n, uint64_t version)
{
	for (uint64_t i = first; i < first + n; i++)
		live_fill(p + i * LIVE_PAGE, i, version);
}

static void read_pages(const char *p, uint64_t first, uint64_t n,
		       uint64_t version)
{
	for (uint64_t i = first; i < first + n; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, version), -1);
}

/* What always holds when the library is idle and nothing was unmapped. */
static void check_sums(const struct vvm_stats *s)
{
	live_equal(s->faults_zero + s->zero_ahead_pages + s->faults_swapin +
			   s->prefetch_pages + s->api_fills,
		   s->resident_pages + s->evict_clean_pages +
			   s->evict_written_pages);
	live_check(s->resident_pages <= (int64_t)s->budget_pages);
	live_check(s->peak_pages <= s->budget_pages);
	live_check(s->resident_pages <= (int64_t)s->peak_pages);
	live_check(s->dirty_pages <= s->resident_pages);
	live_check(s->pinned_pages <= s->resident_pages);
	live_check(s->swapped_pages <= (int64_t)s->swap_used_pages);
	live_check(s->swap_used_pages <= s->swap_area_pages);
	live_check(s->swap_area_pages <= s->swap_limit_pages);
	live_check(s->evict_zero_pages <= s->evict_clean_pages);
	live_check(s->prefetch_hit_pages + s->prefetch_waste_pages <=
		   s->prefetch_pages);
	live_check(s->faults_zero + s->faults_swapin + s->faults_wp +
			   s->faults_joined + s->faults_spurious +
			   s->faults_failed <=
		   s->faults);
	live_check(s->swapin_reads <= s->swapin_pages);
	live_check(s->swapout_writes <= s->swapout_pages);
	live_equal(s->faults_failed, 0);
	live_equal(s->read_errors, 0);
	live_equal(s->poisoned_pages, 0);
	live_equal(s->frame_timeouts, 0);
	live_equal(s->writeback_failed_pages, 0);
}

START_TEST(stats_of_a_new_space)
{
	struct vvm_stats s = live_idle_stats(vm);

	live_equal(s.budget_pages, 1024);
	live_check(s.handlers >= 1);
	live_check(s.swap_limit_pages > 0);
	live_equal(s.faults, 0);
	live_equal(s.resident_pages, 0);
	live_equal(s.peak_pages, 0);
	live_equal(s.mapped_bytes, 0);
	live_equal(s.regions, 0);
	live_equal(s.swap_used_pages, 0);
	check_sums(&s);
}
END_TEST

START_TEST(stats_arguments)
{
	struct vvm_stats whole;
	unsigned char part[sizeof whole];

	live_expect(vvm_stats(NULL, &whole, sizeof whole), -EINVAL);
	live_expect(vvm_stats(vm, NULL, sizeof whole), -EINVAL);
	live_map(vm, 10, LIVE_RW)[0] = 1;
	whole = live_idle_stats(vm);
	memset(part, 0xa5, sizeof part); /* of an older, shorter header */
	live_ok(vvm_stats(vm, (struct vvm_stats *)(void *)part, 64));
	live_check(memcmp(part, &whole, 64) == 0);
	for (size_t i = 64; i < sizeof part; i++)
		live_equal(part[i], 0xa5);
}
END_TEST

/* Nothing ahead of a fault: so each page is an event of its own. */
static char *map_random(uint64_t pages)
{
	char *p = live_map(vm, pages, LIVE_RW);

	live_ok(vvm_advise(vm, live_addr(p), pages * LIVE_PAGE,
			   VVM_ADV_RANDOM));
	return p;
}

START_TEST(a_stream_of_first_writes_is_filled_ahead)
{
	char *p = live_map(vm, 600, LIVE_RW);
	struct vvm_stats s;

	write_pages(p, 0, 600, 1);
	read_pages(p, 0, 600, 1);
	s = live_idle_stats(vm);
	live_check(s.zero_ahead_pages > 300);
	/* the last window may reach past what was written */
	live_check(s.faults_zero + s.zero_ahead_pages >= 600);
	live_equal(s.faults_wp, 0);
	live_equal(s.swapin_pages, 0);
	live_equal(s.resident_pages, 600);
	check_sums(&s);
}
END_TEST

START_TEST(first_writes_are_zero_fills)
{
	char *p = map_random(300);
	struct vvm_stats s;

	write_pages(p, 0, 300, 1);
	write_pages(p, 0, 300, 2); /* hits: nothing is counted */
	read_pages(p, 0, 300, 2);
	s = live_idle_stats(vm);
	live_equal(s.faults_zero, 300);
	live_equal(s.faults_wp, 0);
	live_equal(s.faults_swapin, 0);
	live_equal(s.swapin_pages, 0);
	live_equal(s.resident_pages, 300);
	live_equal(s.dirty_pages, 300);
	live_equal(s.peak_pages, 300);
	live_equal(s.swap_used_pages, 0);
	live_equal(s.mapped_bytes, 300 * LIVE_PAGE);
	live_equal(s.regions, 1);
	live_equal(live_frames(live_memfd()), 300);
	check_sums(&s);
}
END_TEST

/* The same for reads: pages that were evicted as zeros are such a stream. */
START_TEST(a_stream_over_zeros_is_filled_ahead)
{
	char *p = live_map(vm, 600, LIVE_RW);
	struct vvm_stats s;
	uint64_t i;

	for (i = 0; i < 600; i++)
		live_equal(*(volatile uint64_t *)(p + i * LIVE_PAGE), 0);
	s = live_idle_stats(vm);
	live_check(s.zero_ahead_pages > 300);
	live_check(s.faults_zero + s.zero_ahead_pages >= 600);
	live_equal(s.resident_pages, 600);
	check_sums(&s);
}
END_TEST

START_TEST(reads_then_writes_are_write_protect_faults)
{
	char *p = map_random(200);
	struct vvm_stats s;

	if (live_guarded())
		return; /* nobody tells of a first write */
	for (uint64_t i = 0; i < 200; i++)
		live_equal(*(volatile uint64_t *)(p + i * LIVE_PAGE), 0);
	s = live_idle_stats(vm);
	live_equal(s.faults_zero, 200);
	live_equal(s.faults_wp, 0);
	live_equal(s.resident_pages, 200);
	live_equal(s.dirty_pages, 0);
	write_pages(p, 0, 200, 1);
	s = live_idle_stats(vm);
	live_equal(s.faults_zero, 200);
	live_equal(s.faults_wp, 200);
	live_equal(s.dirty_pages, 200);
	live_equal(s.resident_pages, 200);
	check_sums(&s);
}
END_TEST

START_TEST(touch_and_pin_are_counted)
{
	char *p = live_map(vm, 100, LIVE_RW);
	struct vvm_stats s;
	char buf[5000] = "x";

	live_ok(vvm_touch(vm, live_addr(p), 50 * LIVE_PAGE, VVM_TOUCH_READ));
	live_ok(vvm_pin(vm, live_addr(p) + 50 * LIVE_PAGE, 10 * LIVE_PAGE));
	live_ok(vvm_store(vm, live_addr(p) + 60 * LIVE_PAGE, buf, 5000));
	s = live_idle_stats(vm);
	live_equal(s.faults_zero, 0);
	live_equal(s.api_fills, 62);
	live_equal(s.resident_pages, 62);
	live_equal(s.pinned_pages, 10);
	live_equal(s.dirty_pages, 12);
	check_sums(&s);
	live_ok(vvm_unpin(vm, live_addr(p) + 50 * LIVE_PAGE, 10 * LIVE_PAGE));
	live_equal(live_stats(vm).pinned_pages, 0);
}
END_TEST

/* Four times the budget, written once and read three times. */
START_TEST(spilling_adds_up)
{
	char *p = live_map(vm, 4096, LIVE_RW);
	struct vvm_stats s, t;

	live_ok(vvm_advise(vm, live_addr(p), 4096 * LIVE_PAGE, VVM_ADV_RANDOM));
	write_pages(p, 0, 4096, 1);
	s = live_idle_stats(vm);
	/* a page may go between its fault and the write that had it */
	live_equal(s.faults_zero, 4096 + s.evict_zero_pages);
	live_check(s.swapout_pages >= 4096 - 1024);
	read_pages(p, 0, 4096, 1);
	read_pages(p, 0, 4096, 1);
	s = live_idle_stats(vm);
	live_equal(s.faults_wp, 0);
	live_equal(s.prefetch_pages, 0);
	live_equal(s.swapin_pages, s.faults_swapin);
	live_equal(s.swapped_pages + s.resident_pages, 4096);
	check_sums(&s);
	read_pages(p, 0, 4096, 1); /* clean evictions write nothing */
	t = live_idle_stats(vm);
	check_sums(&t);
	live_check(t.swapin_pages > s.swapin_pages + 2000);
	live_equal(t.swapout_pages, s.swapout_pages);
	live_equal(t.evict_written_pages, s.evict_written_pages);
	live_check(t.evict_clean_pages > s.evict_clean_pages + 2000);
	live_check(t.swap_used_pages <= 4096);
}
END_TEST

START_TEST(sequential_reads_are_read_ahead)
{
	struct vvm_options o;
	char *p = live_map(vm, 4096, LIVE_RW);
	struct vvm_stats s;

	live_options(&o, 1);
	if (!o.readahead_max_pages)
		return;
	write_pages(p, 0, 4096, 1);
	live_ok(vvm_advise(vm, live_addr(p), 4096 * LIVE_PAGE,
			   VVM_ADV_SEQUENTIAL));
	read_pages(p, 0, 4096, 1);
	read_pages(p, 0, 4096, 1);
	s = live_idle_stats(vm);
	live_check(s.prefetch_pages > 0);
	/* a read in vain is no fault: guarded pages may be gone by then */
	live_check(s.swapin_pages >= s.faults_swapin + s.prefetch_pages);
	live_check(live_guarded() ||
		   s.swapin_pages == s.faults_swapin + s.prefetch_pages);
	live_check(s.swapin_reads < s.swapin_pages); /* larger reads */
	live_check(live_within(live_memfd(), 1024));
}
END_TEST

/* Zeros need no slot and no I/O, however often they are written. */
START_TEST(zero_pages_take_no_swap)
{
	char *p = live_map(vm, 4096, LIVE_RW);
	struct vvm_stats s;

	for (int round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 4096; i++) {
			memset(p + i * LIVE_PAGE, 0, LIVE_PAGE);
			/* or clang does both rounds in one */
			__asm__ volatile("" : : : "memory");
		}
	for (uint64_t i = 0; i < 4096; i++)
		live_check(live_is_zero(p + i * LIVE_PAGE));
	s = live_idle_stats(vm);
	live_equal(s.swap_used_pages, 0);
	live_equal(s.swapout_pages, 0);
	live_equal(s.swapin_pages, 0);
	live_check(s.evict_zero_pages >= 3 * (4096 - 1024));
	check_sums(&s);
}
END_TEST

START_TEST(unmap_and_dontneed_give_everything_back)
{
	char *p = live_map(vm, 3000, LIVE_RW), *q = live_map(vm, 3000, LIVE_RW);
	struct vvm_stats s;

	write_pages(p, 0, 3000, 1);
	write_pages(q, 0, 3000, 2);
	live_ok(vvm_advise(vm, live_addr(p), 3000 * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	s = live_idle_stats(vm);
	live_check(s.discarded_pages > 0);
	live_equal(s.swapped_pages + s.resident_pages, 3000);
	live_equal(s.mapped_bytes, 6000 * LIVE_PAGE);
	live_ok(vvm_unmap(vm, live_addr(q), 3000 * LIVE_PAGE));
	live_ok(vvm_unmap(vm, live_addr(p), 3000 * LIVE_PAGE));
	s = live_idle_stats(vm);
	live_equal(s.resident_pages, 0);
	live_equal(s.dirty_pages, 0);
	live_equal(s.swapped_pages, 0);
	live_equal(s.swap_used_pages, 0);
	live_equal(s.mapped_bytes, 0);
	live_equal(s.regions, 0);
	live_equal(live_frames(live_memfd()), 0);
}
END_TEST

START_TEST(latencies_are_counted)
{
	char *p = map_random(500);
	struct vvm_stats s;
	uint64_t sum = 0;

	write_pages(p, 0, 500, 1);
	s = live_idle_stats(vm);
	for (int i = 0; i < VVM_STAT_BUCKETS; i++)
		sum += s.latency[i];
	live_check(sum >= 500 && sum <= (uint64_t)s.faults);
	live_equal(s.latency[0], 0); /* no fault takes 0 ns */
}
END_TEST

/* ---- resize ---- */

START_TEST(resize_refuses)
{
	char *p = live_map(vm, 600, LIVE_RW);

	live_expect(vvm_resize(NULL, 1 << 20), -EINVAL);
	live_expect(vvm_resize(vm, 0), -EINVAL);
	live_expect(vvm_resize(vm, LIVE_PAGE - 1), -EINVAL);
	live_ok(vvm_pin(vm, live_addr(p), 600 * LIVE_PAGE));
	live_expect(vvm_resize(vm, 500 * LIVE_PAGE), -EBUSY);
	live_equal(live_stats(vm).budget_pages, 1024);
	live_ok(vvm_unpin(vm, live_addr(p), 600 * LIVE_PAGE));
	live_ok(vvm_resize(vm, 500 * LIVE_PAGE));
	live_equal(live_stats(vm).budget_pages, 500);
}
END_TEST

START_TEST(resize_down_and_up)
{
	static const uint64_t budget[] = {1024, 100, 8, 1, 2, 16, 1000, 3000};
	char *p = live_map(vm, 2500, LIVE_RW);
	int memfd;

	write_pages(p, 0, 2500, 1);
	memfd = live_memfd();
	for (size_t i = 0; i < LIVE_LEN(budget); i++) {
		uint64_t n = budget[i] < 16 ? 100 : 2500;

		live_ok(vvm_resize(vm, budget[i] * LIVE_PAGE));
		live_check(live_within(memfd, budget[i]));
		live_equal(live_stats(vm).budget_pages, budget[i]);
		read_pages(p, 0, n, i + 1);
		write_pages(p, 0, 2500, i + 2);
		live_check(live_within(memfd, budget[i]));
	}
	read_pages(p, 0, 2500, LIVE_LEN(budget) + 1);
	read_pages(p, 0, 2500, LIVE_LEN(budget) + 1);
	live_equal(live_frames(memfd), 2500); /* room for all of them now */
}
END_TEST

static void add_counters(Suite *s)
{
	TCase *tc = test_case(s, "counters");

	tcase_add_test(tc, stats_of_a_new_space);
	tcase_add_test(tc, stats_arguments);
	tcase_add_test(tc, a_stream_over_zeros_is_filled_ahead);
	tcase_add_test(tc, first_writes_are_zero_fills);
	tcase_add_test(tc, a_stream_of_first_writes_is_filled_ahead);
	tcase_add_test(tc, reads_then_writes_are_write_protect_faults);
	tcase_add_test(tc, touch_and_pin_are_counted);
	tcase_add_test(tc, spilling_adds_up);
	tcase_add_test(tc, sequential_reads_are_read_ahead);
	tcase_add_test(tc, zero_pages_take_no_swap);
	tcase_add_test(tc, unmap_and_dontneed_give_everything_back);
	tcase_add_test(tc, latencies_are_counted);
}

static void add_resize(Suite *s)
{
	TCase *tc = test_case(s, "resize");

	tcase_add_test(tc, resize_refuses);
	tcase_add_test(tc, resize_down_and_up);
}

static void add_tests(Suite *s)
{
	add_counters(s);
	add_resize(s);
}

const struct test_program test_program = {
	.name = "api_stats",
	.counts = true,
	.add = add_tests,
	.setup = setup,
	.teardown = live_end,
	.missing = live_missing,
};
