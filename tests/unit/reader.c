/* SPDX-License-Identifier: MIT */
/*
 * unit/reader.c - reading ahead from end to end, by the test's own thread:
 * whose streams are found and with which windows (fill/streams.c), which job is
 * read first, what waits without frames and for how long, what becomes of
 * reads that fail (fill/reader.c). And with a thread that reads ahead all the time
 * while regions are unmapped, discarded and the budget shrinks. Needs
 * userfaultfd, else skips.
 */
#include "fill/reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "evict/reclaim.h"
#include "fill/streams.h"
#include "support/engine.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define RW	  (VVM_READ | VVM_WRITE)
#define BUDGET	  2048
#define READAHEAD 64 /* largest window: BUDGET / 32 */
#define PAGES	  (4 * BLOCK_PAGES)

/* A clock that stands still, where patience must not end meanwhile. */
static _Atomic uint64_t still_us;

uint64_t __real_os_now_us(void);
uint64_t __wrap_os_now_us(void);

uint64_t __wrap_os_now_us(void)
{
	uint64_t now_us = atomic_load(&still_us);

	return now_us ? now_us : __real_os_now_us();
}

static struct reader reader;
static uint64_t out_pages;

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

static void put_out(unsigned first, unsigned end)
{
	for (; first < end; first += ENGINE_ROOM)
		engine_out(at(first), MIN(end - first, (unsigned)ENGINE_ROOM));
}

static void open_reader(uint64_t share)
{
	memset(&reader, 0, sizeof(reader));
	ck_assert_int_eq(reader_init(&reader, vm, actor, ring, share), 0);
}

static void setup(void)
{
	engine_open(BUDGET);
	addr = engine_map(PAGES, RW);
	put_out(0, PAGES);
	out_pages = PAGES;
	ck_assert_int_eq(streams_init(vm), 0);
	open_reader(BUDGET / 8);
}

static void teardown(void)
{
	reader_fini(&reader);
	streams_fini(vm);
	engine_close();
}

/* Works until nothing is left to do now; returns what the reader says. */
static int64_t work(void)
{
	int64_t again_us;

	do {
		again_us = reader_work(&reader);
		if (again_us && ring_inflight(ring)) {
			ck_assert_int_ge(ring_run(ring, ENGINE_US), 0);
			again_us = 0;
		}
	} while (again_us == 0);
	space_check(vm);
	return again_us;
}

static struct ahead_job job_of(unsigned first, int64_t stride, uint64_t count)
{
	return (struct ahead_job){.addr = at(first),
				  .stride = stride,
				  .count = count,
				  .most = count};
}

static void ask(unsigned first, int64_t stride, uint64_t count)
{
	struct ahead_job job = job_of(first, stride, count);

	ck_assert(reader_ask(&reader, &job, true));
}

static unsigned clean_pages(unsigned first, unsigned end)
{
	unsigned n = 0;

	for (; first < end; first++)
		n += pte_state(entry(at(first))) == PAGE_CLEAN;
	return n;
}

static void expect_content(unsigned first, unsigned end)
{
	for (; first < end; first++)
		ck_assert(stamped(ptr_of(at(first)), at(first), 1));
}

/* ---- jobs ---- */

START_TEST(a_job_is_read_to_its_end)
{
	engine_remember();
	ask(10, 1, 700);
	ck_assert_int_lt(work(), 0);
	ck_assert_uint_eq(clean_pages(0, PAGES), 700);
	ck_assert_uint_eq(vm->frames.used, 700);
	engine_expect(C(prefetch_pages) = 700, C(swapin_pages) = 700,
		      C(swapin_reads) = 700 / 64 + 2, C(resident_pages) = 700,
		      C(swapped_pages) = -700);
	expect_content(10, 710);
}
END_TEST

START_TEST(strides_and_backward)
{
	ask(3, 3, 100);
	ask(1500, -1, 100);
	ck_assert_int_lt(work(), 0);
	ck_assert_uint_eq(clean_pages(0, 303), 100);
	ck_assert_uint_eq(clean_pages(1401, 1501), 100);
	ck_assert_uint_eq(vm->frames.used, 200);
	expect_content(1401, 1501);
	expect_state(at(300), PAGE_CLEAN);
	expect_state(at(301), PAGE_SWAPPED);
}
END_TEST

/* What the application asked for comes after the streams' jobs. */
START_TEST(streams_go_first)
{
	struct ahead_job need = job_of(1000, 1, 64);

	ck_assert(reader_ask(&reader, &need, false));
	ask(10, 1, 64);
	ask(100, 1, 64);
	frames_resize(&vm->frames, 129, 0, 0);
	work();
	ck_assert_uint_eq(clean_pages(10, 164), 128);
	ck_assert_uint_eq(clean_pages(1000, 1064), 0);
}
END_TEST

START_TEST(a_full_queue_refuses)
{
	struct ahead_job job = job_of(0, 1, 1);
	unsigned i;

	for (i = 0; i < READER_JOBS; i++)
		ask(i, 1, 1);
	ck_assert(!reader_ask(&reader, &job, true));
	for (i = 0; i < READER_WILLNEED; i++)
		ck_assert(reader_ask(&reader, &job, false));
	ck_assert(!reader_ask(&reader, &job, false));
	ck_assert_int_lt(work(), 0);
	ck_assert(reader_ask(&reader, &job, true));
	ck_assert_uint_eq(clean_pages(0, PAGES), READER_JOBS);
}
END_TEST

/* Whichever read ends first: the stream comes by in this order. */
START_TEST(installs_in_the_order_of_the_reads)
{
	static const unsigned ends[] = {2, 0, 3, 1};
	struct reader_read *rr;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		rr = &reader.read[i];
		list_remove(&rr->link);
		rr->ra.vm = vm;
		rr->ra.start_ns = i + 1;
	}
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		rr = &reader.read[ends[i]];
		rr->ra.io.done(&rr->ra.io, 0);
	}
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		rr = &reader.read[i];
		ck_assert_ptr_eq(list_pop(&reader.arrived), &rr->link);
		list_insert(&reader.idle, &rr->link);
	}
	ck_assert(list_empty(&reader.arrived));
}
END_TEST

START_TEST(a_small_share_reads_in_small_pieces)
{
	static const unsigned shares[] = {0, 1, 5};

	reader_fini(&reader);
	open_reader(shares[_i]);
	ask(0, 1, 100);
	engine_remember();
	ck_assert_int_lt(work(), 0);
	engine_expect(C(prefetch_pages) = 100, C(swapin_pages) = 100,
		      C(swapin_reads) = _i == 2 ? 50 : 100,
		      C(resident_pages) = 100, C(swapped_pages) = -100);
}
END_TEST

/* ---- frames ---- */

/* Symptom: WILLNEED forgot the rest of a block when frames ran out. */
START_TEST(a_job_waits_for_frames)
{
	struct ahead_job need = job_of(0, 1, 500);

	atomic_store(&still_us, os_now_us());
	frames_resize(&vm->frames, 201, 0, 0);
	ck_assert(reader_ask(&reader, &need, false));
	ck_assert_int_gt(work(), 0);
	ck_assert_uint_eq(vm->frames.used, 200);
	ck_assert_int_gt(work(), 0);
	frames_resize(&vm->frames, 401, 0, 0);
	ck_assert_int_gt(work(), 0);
	ck_assert_uint_eq(clean_pages(0, 400), 400);
	frames_resize(&vm->frames, BUDGET, 0, 0);
	ck_assert_int_lt(work(), 0);
	ck_assert_uint_eq(clean_pages(0, PAGES), 500);
}
END_TEST

START_TEST(but_not_for_ever)
{
	uint64_t until_us = os_now_us() + ENGINE_US;
	int64_t again_us;

	frames_resize(&vm->frames, 101, 0, 0);
	ask(0, 1, 200);
	ask(600, 1, 200);
	while ((again_us = work()) > 0) {
		ck_assert_uint_lt(os_now_us(), until_us);
		os_sleep_us((uint64_t)again_us);
	}
	ck_assert_uint_eq(vm->frames.used, 100);
	ck_assert_uint_eq(reader.streams.count, 0);
	frames_resize(&vm->frames, BUDGET, 0, 0);
	ck_assert_int_lt(work(), 0);
	ck_assert_uint_eq(vm->frames.used, 100);
}
END_TEST

/* ---- failures ---- */

/* The read of the second piece fails for good: that piece is as before. */
START_TEST(a_read_that_fails_in_the_middle)
{
	ask(0, 1, 192);
	ck_assert_int_lt(reader_work(&reader), 0);
	os_inject(OS_pread, 2, true, EIO);
	ck_assert_int_ge(ring_run(ring, ENGINE_US), 0);
	while (ring_inflight(ring))
		ck_assert_int_ge(ring_run(ring, ENGINE_US), 0);
	os_inject_clear();
	ck_assert_int_lt(work(), 0);
	ck_assert_uint_eq(clean_pages(0, 64), 64);
	ck_assert_uint_eq(clean_pages(64, PAGES), 0);
	ck_assert_uint_eq(vm->frames.used, 64);
	ck_assert_int_eq(engine_fault(at(70), false), FAULT_DONE);
	expect_content(0, 64);
	expect_content(70, 71);
}
END_TEST

START_TEST(a_kernel_that_refuses)
{
	os_inject(OS_uffd_wp, 2, false, ENOMEM);
	ask(0, 1, 64);
	ck_assert_int_lt(work(), 0);
	os_inject_clear();
	ck_assert_uint_eq(clean_pages(0, 64), 32); /* installed in two parts */
	ck_assert_uint_eq(vm->frames.used, 32);
}
END_TEST

/* ---- streams ---- */

/* Faults and reads as a handler does; returns true when it cost a read. */
static bool step(uint64_t thread, gaddr_t page)
{
	struct ahead_job job;
	bool read = false;

	if (pte_state(entry(page)) == PAGE_CLEAN)
		return false;
	ck_assert_int_eq(engine_begin(page, false), FAULT_READ);
	if (!fault_from_standby(&fault)) {
		engine_read();
		read = true;
	}
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	fault.thread = thread;
	if (fault_ahead(&fault, &job))
		ck_assert(reader_ask(&reader, &job, true));
	ck_assert_int_lt(work(), 0);
	return read;
}

/* Three reads, and no other fault has to wait for one. */
START_TEST(a_stream_waits_for_three_reads)
{
	static const int64_t strides[] = {1, -1, 3, -3, 20};
	int64_t stride = strides[_i];
	unsigned n, reads = 0, count = stride == 20 ? 100 : 600;
	gaddr_t page = stride > 0 ? at(0) : at(PAGES - 1);

	for (n = 0; n < count; n++, page += (gaddr_t)stride * PAGE_BYTES) {
		reads += step(1, page);
		ck_assert(stamped((char *)(uintptr_t)host_of(page), page, 1));
	}
	ck_assert_uint_eq(reads, 3);
}
END_TEST

START_TEST(threads_are_told_apart)
{
	unsigned n, t, reads = 0;

	for (n = 0; n < 200; n++)
		for (t = 0; t < 4; t++)
			reads += step(t * 77 + 1, at(t * BLOCK_PAGES + n));
	ck_assert_uint_eq(reads, 12);
}
END_TEST

/* Where a guest address is not the host's, it is the guest's that counts. */
START_TEST(guest_addresses_of_ones_own)
{
	gaddr_t mine = (gaddr_t)5 << 44, was = addr;
	unsigned n, reads = 0;

	engine_map_at(mine, BLOCK_PAGES);
	addr = mine;
	put_out(0, BLOCK_PAGES);
	for (n = 0; n < 300; n++)
		reads += step(1, at(n));
	ck_assert_uint_eq(reads, 3);
	expect_content(0, 300);
	addr = was;
	ck_assert_uint_eq(clean_pages(0, PAGES), 0);
}
END_TEST

START_TEST(windows_are_mapped_once_proved)
{
	unsigned n;

	for (n = 0; n < 8; n++)
		step(1, at(n));
	ck_assert(!is_mapped(at(9)));
	ck_assert(entry(at(9)) & PTE_PREFETCHED);
	for (; n < 300; n++)
		step(1, at(n));
	ck_assert(is_mapped(at(301)));
	ck_assert(!(entry(at(301)) & PTE_PREFETCHED));
	ck_assert_int_gt(stat_sum(&vm->stats, VVM_STAT_prefetch_hit_pages),
			 150);
}
END_TEST

START_TEST(the_budget_limits_the_window)
{
	struct ahead_job job;
	uint64_t most = 0, n;

	for (n = 0; n < 1000;) { /* from trigger to trigger */
		gaddr_t page = at((unsigned)n++);

		if (!streams_read(vm, actor, 1, page, host_of(page),
				  VVM_ADV_NORMAL, &job))
			continue;
		most = MAX(most, job.count);
		n = (job.addr - addr) >> PAGE_SHIFT;
	}
	ck_assert_uint_eq(most, READAHEAD);
	frames_resize(&vm->frames, 127, 0, 0);
	for (n = 0; n < 100; n++)
		ck_assert(!streams_read(vm, actor, 2, at((unsigned)n),
					host_of(at((unsigned)n)),
					VVM_ADV_SEQUENTIAL, &job));
}
END_TEST

START_TEST(advice)
{
	struct ahead_job job;
	unsigned n;

	for (n = 0; n < 10; n++)
		ck_assert(!streams_read(vm, actor, 1, at(n), host_of(at(n)),
					VVM_ADV_RANDOM, &job));
	ck_assert(streams_read(vm, actor, 1, at(50), host_of(at(50)),
			       VVM_ADV_SEQUENTIAL, &job));
	ck_assert_uint_eq(job.addr, at(51));
	ck_assert_uint_eq(job.count, READAHEAD / 4);
	ck_assert(job.trigger && !job.map);
}
END_TEST

START_TEST(first_writes_of_a_stream)
{
	gaddr_t fresh = engine_map(BLOCK_PAGES, RW);
	unsigned n, faults = 0;

	for (n = 0; n < 500; n++) {
		gaddr_t page = page_of(fresh, n);

		if (pte_state(entry(page)) == PAGE_DIRTY)
			continue;
		faults++;
		ck_assert_int_eq(engine_fault(page, true), FAULT_DONE);
		streams_zeros(vm, actor, 1, host_of(page), VVM_ADV_NORMAL);
	}
	ck_assert_uint_lt(faults, 20);
	ck_assert_int_gt(stat_sum(&vm->stats, VVM_STAT_zero_ahead_pages), 480);
}
END_TEST

START_TEST(jobs_are_split)
{
	struct ahead_job job = job_of(10, -3, 100), part;

	job.trigger = true;
	part = ahead_split(&job, 30);
	ck_assert(part.trigger && !job.trigger);
	ck_assert_uint_eq(part.addr, at(10));
	ck_assert_uint_eq(part.count, 30);
	ck_assert_uint_eq(part.most, 30);
	ck_assert_uint_eq(job.addr, at(10) - 90 * PAGE_BYTES);
	ck_assert_uint_eq(job.count, 70);
	ck_assert_uint_eq(job.most, 70);
	part = ahead_split(&job, 100);
	ck_assert_uint_eq(part.count, 70);
	ck_assert_uint_eq(job.count, 0);
}
END_TEST

/* ---- while the world changes ---- */

static _Atomic bool stop;

/* Reads ahead whatever is out, over and over. */
static void *read_all(void *arg)
{
	uint64_t turn = 0;

	(void)arg;
	while (!atomic_load(&stop) || ring_inflight(ring) ||
	       !list_empty(&reader.arrived)) {
		struct ahead_job job = job_of(turn++ % PAGES, 1, 300);

		job.map = turn & 1;
		job.trigger = turn & 2;
		if (!atomic_load(&stop) && !reader.streams.count)
			reader_ask(&reader, &job, true);
		reader_work(&reader);
		if (ring_inflight(ring))
			ring_run(ring, 0);
	}
	return NULL;
}

static void expect_settled(pthread_t thread)
{
	atomic_store(&stop, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	space_check(vm);
	ck_assert_uint_le(vm->frames.peak, BUDGET);
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_filling_pages), 0);
}

/* Unmapped or discarded: whatever is on its way is waited for, not lost. */
START_TEST(under_unmap_and_dontneed)
{
	gaddr_t again = addr; /* the thread reads addr */
	pthread_t thread;
	unsigned n;

	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_all, NULL), 0);
	for (n = 0; n < 15; n++) {
		ck_assert_int_eq(mapping_dontneed(vm, at(100), at(1500)), 0);
		ck_assert_int_eq(mapping_unmap(vm, at(0), at(PAGES)), 0);
		ck_assert_uint_eq(slots_used(), 0);
		ck_assert_int_eq(mapping_map(vm, &again, pages_to_bytes(PAGES),
					     RW, "test"),
				 0);
		put_out(0, PAGES);
	}
	expect_settled(thread);
}
END_TEST

/* The budget shrinks and the pages are evicted while they are read. */
START_TEST(under_eviction)
{
	uint64_t until_us = os_now_us() + 300000;
	unsigned n = 0;
	pthread_t thread;
	struct ring *mine;

	ck_assert_int_eq(ring_open(&mine, 8, VVM_IO_SYNC), 0);
	evictor.writer.ring = mine;
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_all, NULL), 0);
	while (os_now_us() < until_us) {
		frames_resize(&vm->frames, n++ & 1 ? BUDGET : 100, 2, 4);
		evict_step(&evictor, 100);
		ring_run(mine, 0);
	}
	frames_resize(&vm->frames, BUDGET, 2, 4);
	expect_settled(thread);
	while (ring_inflight(mine))
		ring_run(mine, ENGINE_US);
	for (n = 0; n < PAGES; n++)
		if (pte_state(entry(at(n))) == PAGE_CLEAN)
			expect_content(n, n + 1);
	ring_close(mine);
	evictor.writer.ring = ring;
}
END_TEST

static void add_other_tests(Suite *s)
{
	TCase *tc = test_case(s, "streams");

	tcase_add_loop_test(tc, a_stream_waits_for_three_reads, 0, 5);
	tcase_add_test(tc, threads_are_told_apart);
	tcase_add_test(tc, guest_addresses_of_ones_own);
	test_counted(tc, windows_are_mapped_once_proved);
	tcase_add_test(tc, the_budget_limits_the_window);
	tcase_add_test(tc, advice);
	test_counted(tc, first_writes_of_a_stream);
	tcase_add_test(tc, jobs_are_split);
	tcase_add_test(tc, under_unmap_and_dontneed);
	tcase_add_test(tc, under_eviction);
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "reader");

	tcase_add_test(tc, a_job_is_read_to_its_end);
	tcase_add_test(tc, strides_and_backward);
	tcase_add_test(tc, streams_go_first);
	tcase_add_test(tc, a_full_queue_refuses);
	tcase_add_test(tc, installs_in_the_order_of_the_reads);
	tcase_add_loop_test(tc, a_small_share_reads_in_small_pieces, 0, 3);
	tcase_add_test(tc, a_job_waits_for_frames);
	tcase_add_test(tc, but_not_for_ever);
	tcase_add_test(tc, a_read_that_fails_in_the_middle);
	tcase_add_test(tc, a_kernel_that_refuses);
	add_other_tests(s);
}

const struct test_program test_program = {
	.name = "reader",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = engine_missing,
};
