/* SPDX-License-Identifier: MIT */
/*
 * api/counters.c - for workloads whose faults are known exactly every counter
 * has exactly the expected value, in both fault modes; and what a reader of
 * the segment finds there (actors, regions, blocks, pages, stages, events)
 * adds up to the same.
 *
 * One thread, VVM_ADV_RANDOM or no readahead where each page shall be an
 * event of its own, and a budget that is either ample or changed when nothing
 * moves.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vvm_stat.h>

#include "support/access.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define N 300

static const struct vvm_stat_segment *seg;
static struct vvm_stats seen; /* at the last expect() */

static void open_segment(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s%d.0", VVM_STAT_DIR, VVM_STAT_PREFIX,
		 getpid());
	fd = open(path, O_RDONLY);
	live_check(fd >= 0);
	seg = mmap(NULL, VVM_STAT_FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	live_check(seg != MAP_FAILED);
	close(fd);
	live_equal(seg->magic, VVM_STAT_MAGIC);
}

static void setup(void)
{
	struct vvm_options o;

	live_catch();
	live_options(&o, 1024);
	o.stat_segment = 1;
	live_ok(vvm_open(&vm, &o));
	open_segment();
	memset(&seen, 0, sizeof(seen));
}

static void teardown(void)
{
	live_ok(vvm_close(vm));
	live_equal(seg->closed, 1);
	munmap((void *)(uintptr_t)seg, VVM_STAT_FILE_BYTES);
}

/* ---- counters ---- */

static void counters_of(const struct vvm_stats *s, int64_t *to)
{
#define X(name, kind, help) *to++ = s->name;
	VVM_STAT_COUNTERS(X)
#undef X
}

/* Each counter moved by what `want` says since the last time; times apart. */
static void compare(const int64_t *want, int line)
{
	static const char *const names[] = {
#define X(name, kind, help) #name,
		VVM_STAT_COUNTERS(X)
#undef X
	};
	int64_t old[VVM_STAT_COUNTER_COUNT], now[VVM_STAT_COUNTER_COUNT];
	struct vvm_stats s = live_idle_stats(vm);
	unsigned i;

	counters_of(&seen, old);
	counters_of(&s, now);
	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		ck_assert_msg(
			i == VVM_STAT_stall_us || i == VVM_STAT_swapin_us ||
				now[i] - old[i] == want[i],
			"line %d: %s moved by %lld, not %lld", line, names[i],
			(long long)(now[i] - old[i]), (long long)want[i]);
	seen = s;
}

#define C(name) [VVM_STAT_##name]
/* expect(C(faults) = 1, C(faults_zero) = 1): these moved, and no others. */
#define expect(...) \
	compare((const int64_t[VVM_STAT_COUNTER_COUNT]){__VA_ARGS__}, __LINE__)

/* ---- what a reader of the segment finds ---- */

static const void *item(const struct vvm_stat_table *t, uint64_t i)
{
	return (const char *)seg + t->offset + i * t->item_bytes;
}

/* Actors, latencies, stages and events, against the last expect(). */
static void check_actors(void)
{
	uint64_t faults = 0, events = 0, resolved = 0, a, i, k;
	uint64_t stage[VVM_STAT_STAGE_COUNT] = {0};

	for (a = 0; a < seg->actors.count; a++) {
		const struct vvm_stat_actor *at = &seg->actor[a];

		faults += (uint64_t)at->counter[VVM_STAT_faults];
		events += at->events;
		for (i = 0; i < VVM_STAT_BUCKETS; i++)
			resolved += at->latency[i];
		for (k = 0; k < VVM_STAT_STAGE_COUNT; k++)
			for (i = 0; i < VVM_STAT_STAGE_BUCKETS; i++)
				stage[k] += at->stage[k][i];
	}
	live_equal(faults, (uint64_t)seen.faults);
	live_equal(events, faults);
	live_equal(resolved, faults - (uint64_t)seen.faults_failed -
				     (uint64_t)seen.faults_joined);
	live_equal(stage[VVM_STAT_STAGE_queue], resolved);
	live_equal(stage[VVM_STAT_STAGE_lookup], resolved);
	live_equal(stage[VVM_STAT_STAGE_install], resolved);
	live_equal(stage[VVM_STAT_STAGE_read], (uint64_t)seen.faults_swapin);
}

static void check_regions(void)
{
	uint64_t zero = 0, swapin = 0, wp = 0, other = 0, bytes = 0, n = 0, i;

	for (i = 0; i < seg->regions.count; i++) {
		const struct vvm_stat_region *r = item(&seg->regions, i);
		struct vvm_region query;

		live_equal(r->seq % 2, 0);
		if (r->start == r->end)
			continue;
		n++;
		bytes += r->end - r->start;
		zero += r->faults_zero;
		swapin += r->faults_swapin;
		wp += r->faults_wp;
		other += r->faults_other;
		live_ok(vvm_query(vm, r->start, &query));
		live_equal(query.start, r->start);
		live_equal(query.end, r->end);
		live_equal((uint64_t)(uintptr_t)query.host, r->host);
		live_equal(query.prot, r->prot);
		live_equal(query.advice, r->advice);
		live_equal(query.mapping, r->mapping);
		ck_assert_str_eq(query.name, r->name);
	}
	live_equal(n, (uint64_t)seen.regions);
	live_equal(bytes, (uint64_t)seen.mapped_bytes);
	live_equal(zero + swapin + wp + other + seg->value.faults_elsewhere,
		   (uint64_t)seen.faults);
	if (seg->value.faults_elsewhere)
		return;
	live_equal(zero, (uint64_t)seen.faults_zero);
	live_equal(swapin, (uint64_t)seen.faults_swapin);
	live_equal(wp, (uint64_t)seen.faults_wp);
}

/* One page's byte against vvm_residency(). */
static void check_page(uint64_t addr, unsigned byte)
{
	unsigned state = byte & VVM_STAT_PAGE_STATE;
	unsigned char flags = 0;

	if (state == VVM_STAT_PAGE_NONE) {
		live_expect(vvm_residency(vm, addr, LIVE_PAGE, &flags),
			    -VVM_EUNMAPPED);
		return;
	}
	live_ok(vvm_residency(vm, addr, LIVE_PAGE, &flags));
	live_equal(!!(flags & VVM_PAGE_RESIDENT),
		   state == VVM_STAT_PAGE_CLEAN ||
			   state == VVM_STAT_PAGE_DIRTY);
	live_equal(!!(flags & VVM_PAGE_DIRTY), state == VVM_STAT_PAGE_DIRTY);
	live_equal(!!(flags & VVM_PAGE_PINNED),
		   !!(byte & VVM_STAT_PAGE_PINNED));
	if (flags & VVM_PAGE_RESIDENT)
		live_equal(!!(flags & VVM_PAGE_SWAPPED),
			   !!(byte & VVM_STAT_PAGE_SLOT));
	else
		live_equal(!!(flags & VVM_PAGE_SWAPPED),
			   state == VVM_STAT_PAGE_SWAPPED);
}

static void check_blocks(void)
{
	uint64_t resident = 0, dirty = 0, swapped = 0, faults = 0, i, k;

	for (i = 0; i < seg->blocks.count; i++) {
		const struct vvm_stat_block *b = item(&seg->blocks, i);
		unsigned mapped = 0;

		if (!b->base)
			continue;
		resident += VVM_STAT_BLOCK_RESIDENT(b->pages);
		dirty += VVM_STAT_BLOCK_DIRTY(b->pages);
		swapped += VVM_STAT_BLOCK_SWAPPED(b->pages);
		faults += b->faults;
		for (k = 0; k < VVM_STAT_BLOCK_PAGES; k++) {
			mapped += b->page[k] != VVM_STAT_PAGE_NONE;
			check_page(b->base - 1 + k * LIVE_PAGE, b->page[k]);
		}
		live_equal(mapped, VVM_STAT_BLOCK_MAPPED(b->pages));
	}
	live_equal(resident, (uint64_t)seen.resident_pages);
	live_equal(dirty, (uint64_t)seen.dirty_pages);
	live_equal(swapped, (uint64_t)seen.swapped_pages);
	live_equal(seg->value.unpublished_blocks, 0);
	if (seg->value.faults_elsewhere == 0)
		live_equal(faults, (uint64_t)seen.faults);
}

static void check_segment(void)
{
	check_actors();
	check_regions();
	check_blocks();
}

/* ---- workloads ---- */

static char *map(uint64_t pages, enum vvm_advice advice)
{
	char *p = live_map(vm, pages, LIVE_RW);

	live_ok(vvm_advise(vm, live_addr(p), pages * LIVE_PAGE, advice));
	expect(C(regions) = 1, C(mapped_bytes) = (int64_t)(pages * LIVE_PAGE));
	return p;
}

static void write_pages(char *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
}

static void read_pages(const char *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
}

static void read_zeros(const char *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		live_check(live_is_zero(p + i * LIVE_PAGE));
}

START_TEST(first_writes)
{
	char *p = map(N, VVM_ADV_RANDOM);

	write_pages(p, N);
	expect(C(faults) = N, C(faults_zero) = N, C(resident_pages) = N,
	       C(dirty_pages) = N);
	check_segment();
	write_pages(p, N); /* hits cost nothing and count nothing */
	read_pages(p, N);
	expect([0] = 0);
	check_segment();
}
END_TEST

START_TEST(first_reads_then_writes)
{
	char *p = map(N, VVM_ADV_RANDOM);

	read_zeros(p, N);
	expect(C(faults) = N, C(faults_zero) = N, C(resident_pages) = N);
	check_segment();
	write_pages(p, N);
	if (live_guarded()) /* there is no event */
		expect([0] = 0);
	else
		expect(C(faults) = N, C(faults_wp) = N, C(dirty_pages) = N);
	check_segment();
}
END_TEST

START_TEST(dontneed_then_read_again)
{
	char *p = map(N, VVM_ADV_RANDOM);
	uint64_t half = N / 2;

	write_pages(p, N);
	expect(C(faults) = N, C(faults_zero) = N, C(resident_pages) = N,
	       C(dirty_pages) = N);
	live_ok(vvm_advise(vm, live_addr(p), half * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	expect(C(discarded_pages) = N / 2, C(resident_pages) = -N / 2,
	       C(dirty_pages) = -N / 2);
	check_segment();
	read_zeros(p, half);
	expect(C(faults) = N / 2, C(faults_zero) = N / 2,
	       C(resident_pages) = N / 2);
	check_segment();
}
END_TEST

/*
 * How many pages go when the budget shrinks is up to reclaim; that they come
 * back one by one, and where they were meanwhile, is not.
 */
START_TEST(swap_in_of_pages)
{
	char *p = map(N, VVM_ADV_RANDOM);
	struct vvm_stats s;
	int64_t out;

	write_pages(p, N);
	live_ok(vvm_resize(vm, 100 * LIVE_PAGE));
	s = live_idle_stats(vm);
	out = s.swapped_pages;
	live_check(out >= N - 100);
	live_equal(s.evict_written_pages, out);
	live_equal(s.evict_clean_pages, 0);
	live_check(s.swapout_pages >= out);
	live_equal(s.swapout_pages - out, s.resident_pages - s.dirty_pages);
	live_equal(s.swap_used_pages, (uint64_t)s.swapout_pages);
	live_equal(s.faults, N);
	seen = s;
	check_segment();

	live_ok(vvm_resize(vm, 1024 * LIVE_PAGE));
	read_pages(p, N);
	expect(C(faults) = out, C(faults_swapin) = out, C(swapin_pages) = out,
	       C(swapin_reads) = out, C(resident_pages) = out,
	       C(swapped_pages) = -out, C(resize_program) = 1);
	live_check(seen.swapin_us > 0);
	check_segment();
	/* they kept their slots: going again they need no write */
	live_ok(vvm_resize(vm, 100 * LIVE_PAGE));
	s = live_idle_stats(vm);
	live_equal(s.faults, seen.faults);
	live_equal(s.evict_clean_pages + s.evict_written_pages - out,
		   s.swapped_pages);
	live_check(s.evict_clean_pages > 0);
	live_equal(s.evict_zero_pages, 0);
	seen = s;
	check_segment();
}
END_TEST

/* Zeros are evicted without a slot, and are first touches again. */
START_TEST(zero_pages)
{
	char *p = map(N, VVM_ADV_RANDOM);
	struct vvm_stats s;
	int64_t out;

	read_zeros(p, N);
	expect(C(faults) = N, C(faults_zero) = N, C(resident_pages) = N);
	live_ok(vvm_resize(vm, 100 * LIVE_PAGE));
	s = live_idle_stats(vm);
	out = s.evict_zero_pages;
	live_equal(s.resident_pages, N - out);
	live_equal(s.evict_clean_pages, out);
	live_equal(s.swapout_pages, 0);
	live_equal(s.swapped_pages, 0);
	seen = s;
	check_segment();
	live_ok(vvm_resize(vm, 1024 * LIVE_PAGE));
	read_zeros(p, N);
	expect(C(faults) = out, C(faults_zero) = out, C(resident_pages) = out,
	       C(resize_program) = 1);
	check_segment();
}
END_TEST

START_TEST(calls_of_the_library)
{
	char *p = map(N, VVM_ADV_RANDOM), buf[5000] = "x";
	uint64_t addr = live_addr(p);

	live_ok(vvm_touch(vm, addr, 50 * LIVE_PAGE, VVM_TOUCH_READ));
	expect(C(api_fills) = 50, C(resident_pages) = 50);
	live_ok(vvm_touch(vm, addr, 60 * LIVE_PAGE, VVM_TOUCH_WRITE));
	expect(C(api_fills) = 10, C(resident_pages) = 10, C(dirty_pages) = 60);
	live_ok(vvm_pin(vm, addr, 10 * LIVE_PAGE));
	live_ok(vvm_pin(vm, addr,
			5 * LIVE_PAGE)); /* once more: no other pages */
	expect(C(pinned_pages) = 10);
	check_segment();
	live_ok(vvm_store(vm, addr + 70 * LIVE_PAGE + 8, buf, sizeof(buf)));
	expect(C(api_fills) = 2, C(resident_pages) = 2, C(dirty_pages) = 2);
	live_ok(vvm_unpin(vm, addr, 5 * LIVE_PAGE));
	live_ok(vvm_unpin(vm, addr, 10 * LIVE_PAGE));
	expect(C(pinned_pages) = -10);
	check_segment();
}
END_TEST

/* Splitting, merging and unmapping keep what was counted. */
START_TEST(regions_that_change)
{
	char *p = map(N, VVM_ADV_RANDOM), *q = map(N, VVM_ADV_RANDOM);
	uint64_t addr = live_addr(p), third = N / 3 * LIVE_PAGE;

	write_pages(p, N);
	write_pages(q, N / 2);
	expect(C(faults) = N + N / 2, C(faults_zero) = N + N / 2,
	       C(resident_pages) = N + N / 2, C(dirty_pages) = N + N / 2);
	live_ok(vvm_protect(vm, addr + third, third, VVM_READ));
	expect(C(regions) = 2);
	check_segment();
	live_ok(vvm_advise(vm, addr, third, VVM_ADV_SEQUENTIAL));
	live_ok(vvm_protect(vm, addr + third, third, LIVE_RW));
	expect(C(regions) = -1);
	check_segment();
	live_ok(vvm_advise(vm, addr, third, VVM_ADV_RANDOM));
	expect(C(regions) = -1);
	check_segment();
	live_ok(vvm_unmap(vm, addr + third, third));
	expect(C(regions) = 1, C(mapped_bytes) = -(int64_t)third,
	       C(discarded_pages) = N / 3, C(resident_pages) = -N / 3,
	       C(dirty_pages) = -N / 3);
	check_segment();
	live_ok(vvm_unmap(vm, live_addr(q), N * LIVE_PAGE));
	expect(C(regions) = -1, C(mapped_bytes) = -(int64_t)(N * LIVE_PAGE),
	       C(discarded_pages) = N / 2, C(resident_pages) = -N / 2,
	       C(dirty_pages) = -N / 2);
	live_equal(seg->value.faults_elsewhere, N / 2);
	check_segment();
}
END_TEST

/* The ring tells the same faults one by one: in order, of this thread. */
START_TEST(events_tell_each_fault)
{
	char *p = map(N, VVM_ADV_RANDOM);
	unsigned found = 0;
	uint64_t a, n;

	write_pages(p, N);
	expect(C(faults) = N, C(faults_zero) = N, C(resident_pages) = N,
	       C(dirty_pages) = N);
	for (a = 0; a < seg->rings.count; a++)
		for (n = 0; n < seg->actor[a].events; n++, found++) {
			const struct vvm_stat_ring *r = item(&seg->rings, a);
			const struct vvm_stat_event *e = &r->event[n];

			live_equal(e->seq,
				   vvm_stat_event_seq(n, e->time_ns, e->page,
						      e->took));
			live_equal(e->page & 4095,
				   VVM_STAT_KIND_zero | VVM_STAT_EVENT_WRITE);
			live_check((e->page & ~(uint64_t)4095) - live_addr(p) <
				   N * LIVE_PAGE);
			live_equal(e->took & 0xffffff, (uint64_t)gettid());
			live_check(e->took >> VVM_STAT_EVENT_TID_BITS > 0);
		}
	live_equal(found, N);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "counters");

	tcase_add_test(tc, first_writes);
	tcase_add_test(tc, first_reads_then_writes);
	tcase_add_test(tc, dontneed_then_read_again);
	tcase_add_test(tc, swap_in_of_pages);
	tcase_add_test(tc, zero_pages);
	tcase_add_test(tc, calls_of_the_library);
	tcase_add_test(tc, regions_that_change);
	tcase_add_test(tc, events_tell_each_fault);
}

const struct test_program test_program = {
	.name = "api_counters",
	.counts = true,
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
};
