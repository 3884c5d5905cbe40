/* SPDX-License-Identifier: MIT */
/*
 * unit/sync.c - pages of shared files on their way there, step by step: victims,
 * vvm_sync()'s passes, discarding and unmapping; with every system call on the
 * way failing. Needs userfaultfd, else skips.
 */
#include "map/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "map/access.h"
#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"
#include "swap/source.h"

#define RW    (VVM_READ | VVM_WRITE)
#define PAGES 64
#define ALL   10000 /* a target that no step reaches */

static char dir[256], path[300];
static int file;

static void make_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/vvm-check-sync.XXXXXX",
		 tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/file", dir);
}

static void remove_dir(void)
{
	unlink(path);
	if (rmdir(dir))
		perror(dir);
}

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

/* PAGES of zeros, mapped at addr. */
static void setup(void)
{
	struct backing *b;

	engine_open(600);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, PAGES * PAGE_BYTES), 0);
	ck_assert_int_eq(source_open_shared(&b, file, 0, &vm->flight, true), 0);
	addr = (gaddr_t)1 << 40; /* one block */
	ck_assert_int_eq(mapping_map_backed(vm, &addr, PAGES * PAGE_BYTES, RW,
					    "file", b),
			 0);
	engine_remember();
}

static void teardown(void)
{
	engine_close();
	close(file);
}

static void expect_range(unsigned first, unsigned n, enum page_state state)
{
	for (; n; n--, first++)
		expect_state(at(first), state);
}

static bool in_file(unsigned i, unsigned version)
{
	char page[PAGE_BYTES] __attribute__((aligned(8)));

	ck_assert_int_eq(pread(file, page, PAGE_BYTES, (off_t)(i * PAGE_BYTES)),
			 PAGE_BYTES);
	return version ? stamped(page, at(i), version) : page_is_zero(page);
}

static void expect_in_file(unsigned first, unsigned n, unsigned version)
{
	for (; n; n--, first++)
		ck_assert_msg(in_file(first, version), "page %u", first);
}

/* Writes to DIRTY pages: no event is needed. */
static void write_again(unsigned first, unsigned n, unsigned version)
{
	for (; n; n--, first++) {
		expect_state(at(first), PAGE_DIRTY);
		stamp(ptr_of(at(first)), at(first), version);
	}
}

static int write_all(void)
{
	gaddr_t from = addr, end = at(PAGES);
	int rc = 0, failed;

	while (from < end) {
		failed = sync_write(vm, &from, end);
		rc = rc ? rc : failed;
	}
	space_check(vm);
	return rc;
}

static int forget_all(void)
{
	gaddr_t from = addr;
	int rc = 0;

	while (rc == 0 && from < at(PAGES))
		rc = sync_forget(vm, &from, at(PAGES));
	space_check(vm);
	return rc;
}

static void expect_step(uint64_t target, enum evict_result want)
{
	ck_assert_int_eq(evict_step(&evictor, target), want);
	space_check(vm);
}

/* ---- victims ---- */

/* Two runs are two requests, to where they belong; no slot is taken. */
START_TEST(victims_go_to_their_places)
{
	engine_dirty(at(3), 2);
	engine_dirty(at(10), 4);
	engine_cold(at(0), PAGES);
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	expect_range(3, 2, PAGE_WRITING);
	expect_range(10, 4, PAGE_WRITING);
	ck_assert_uint_eq(slots_used(), 0);
	engine_complete();
	expect_range(3, 2, PAGE_SWAPPED);
	expect_range(10, 4, PAGE_SWAPPED);
	ck_assert_uint_eq(pte_slot(entry(at(11))), SLOT_OF_REGION | 11);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 6,
		      C(swapout_pages) = 6, C(swapout_writes) = 2,
		      C(evict_written_pages) = 6, C(dirty_pages) = -6,
		      C(resident_pages) = -6);
	expect_in_file(3, 2, 1);
	expect_in_file(10, 4, 1);
	expect_in_file(5, 5, 0);
	ck_assert_int_eq(engine_fault(at(12), false), FAULT_DONE);
	ck_assert(stamped(ptr_of(at(12)), at(12), 1));
	space_check(vm);
}
END_TEST

/* Zeros, which need no slot of the swap, are what the page is to be. */
START_TEST(zeros_are_written)
{
	engine_dirty(at(3), 1);
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(3, 1, 1);
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	memset(ptr_of(at(3)), 0, PAGE_BYTES);
	engine_cold(at(3), 1);
	expect_step(ALL, EVICT_FREED);
	expect_state(at(3), PAGE_WRITING);
	engine_complete();
	expect_state(at(3), PAGE_SWAPPED);
	expect_in_file(3, 1, 0);
}
END_TEST

START_TEST(a_victim_that_is_written_to_meanwhile_stays)
{
	engine_dirty(at(3), 2);
	engine_cold(at(3), 2);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(engine_fault(at(4), true), FAULT_DONE);
	write_again(4, 1, 2);
	engine_complete();
	expect_state(at(3), PAGE_SWAPPED);
	expect_state(at(4), PAGE_DIRTY);
	expect_in_file(3, 2, 1);
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(4, 1, 2);
}
END_TEST

/* One bad page; then all: nothing is lost, and the file rests. */
START_TEST(victims_that_cannot_be_written)
{
	struct backing *b = regions_at_guest(&vm->regions, addr)->backing;

	engine_dirty(at(3), 4);
	engine_cold(at(3), 4);
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	os_inject_some(OS_pwrite, 1, 3, EIO); /* ring, whole, the first page */
	engine_complete();
	os_inject_clear();
	expect_state(at(3), PAGE_DIRTY);
	expect_range(4, 3, PAGE_SWAPPED);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 4,
		      C(swapout_pages) = 4, C(swapout_writes) = 1,
		      C(evict_written_pages) = 3, C(dirty_pages) = -3,
		      C(resident_pages) = -3, C(writeback_failed_pages) = 1);
	ck_assert(backing_rests(b, os_now_us()));
	atomic_store(&b->rest_us, UINT64_MAX);
	ck_assert_int_eq(engine_fault(at(20), false), FAULT_DONE);
	engine_cold(at(0), PAGES);
	expect_step(ALL, EVICT_FREED); /* the clean one */
	expect_state(at(20), PAGE_SWAPPED);
	expect_state(at(3), PAGE_DIRTY);
	engine_cold(at(0), PAGES);
	expect_step(ALL, EVICT_NOTHING);
	ck_assert(evictor.writer.refused && !evictor.writer.swap_full);
	write_again(3, 1, 2); /* nothing was protected */
	atomic_store(&b->rest_us, 0);
	engine_cold(at(0), PAGES);
	expect_step(ALL, EVICT_FREED);
	ck_assert(!evictor.writer.refused);
	engine_complete();
	expect_state(at(3), PAGE_SWAPPED);
	expect_in_file(3, 1, 2);
	expect_in_file(4, 3, 1);
}
END_TEST

/* Dirty pages of a file that rests do not stand for the clean ones behind. */
START_TEST(a_file_that_rests_and_clean_pages_behind_dirty_ones)
{
	struct backing *b = regions_at_guest(&vm->regions, addr)->backing;
	unsigned i;

	atomic_store(&b->rest_us, UINT64_MAX);
	engine_dirty(at(3), 8);
	engine_cold(at(0), PAGES);
	expect_step(ALL, EVICT_NOTHING);
	for (i = 30; i < 34; i++)
		ck_assert_int_eq(engine_fault(at(i), false), FAULT_DONE);
	engine_cold(at(0), PAGES);
	expect_step(4, EVICT_FREED);
	expect_range(3, 8, PAGE_DIRTY);
	expect_range(30, 4, PAGE_SWAPPED);
}
END_TEST

/* ---- vvm_sync()'s passes ---- */

START_TEST(dirty_pages_are_clean_and_stay)
{
	engine_dirty(at(3), 2);
	engine_dirty(at(10), 4);
	ck_assert_int_eq(engine_fault(at(20), false), FAULT_DONE);
	engine_remember();
	ck_assert_int_eq(write_all(), 0);
	expect_range(3, 2, PAGE_CLEAN);
	expect_range(10, 4, PAGE_CLEAN);
	ck_assert_uint_eq(pte_slot(entry(at(11))), SLOT_OF_REGION | 11);
	engine_expect(C(swapout_pages) = 6, C(swapout_writes) = 2,
		      C(dirty_pages) = -6);
	expect_in_file(3, 2, 1);
	expect_in_file(10, 4, 1);
	ck_assert_int_eq(write_all(), 0);
	engine_expect_nothing();
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	write_again(3, 1, 2);
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(3, 1, 2);
	expect_in_file(4, 1, 1);
}
END_TEST

/* Else it would be lost. */
START_TEST(the_next_write_is_an_event)
{
	struct os_fault event;
	struct app a;
	uint64_t word;

	engine_dirty(at(3), 2);
	ck_assert_int_eq(write_all(), 0);
	app_start(&a, at(4), true, 77);
	event = app_event();
	ck_assert_uint_eq(page_floor(event.addr), host_of(at(4)));
	ck_assert(event.protect);
	ck_assert_int_eq(engine_fault(at(4), true), FAULT_DONE);
	app_join(&a);
	ck_assert_int_eq(write_all(), 0);
	ck_assert_int_eq(pread(file, &word, 8, 4 * PAGE_BYTES), 8);
	ck_assert_uint_eq(word, 77);
}
END_TEST

/* More runs than write-backs, and runs longer than one. */
START_TEST(any_number_of_runs)
{
	unsigned i;

	for (i = 0; i < PAGES; i += 2)
		engine_dirty(at(i), 1);
	ck_assert_int_eq(write_all(), 0);
	for (i = 0; i < PAGES; i++)
		expect_in_file(i, 1, i % 2 ? 0 : 1);
	engine_dirty(at(0), PAGES);
	for (i = 0; i < PAGES; i++)
		stamp(ptr_of(at(i)), at(i), 2);
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(0, PAGES, 2);
	expect_range(0, PAGES, PAGE_CLEAN);
}
END_TEST

START_TEST(a_write_that_fails)
{
	engine_dirty(at(3), 4);
	engine_dirty(at(20), 2);
	engine_remember();
	os_inject_some(OS_pwrite, 1, 2, ENOSPC); /* whole, the first page */
	ck_assert_int_eq(write_all(), -ENOSPC);
	expect_state(at(3), PAGE_DIRTY);
	expect_range(4, 3, PAGE_CLEAN);
	expect_range(20, 2, PAGE_CLEAN); /* the others all the same */
	engine_expect(C(swapout_pages) = 6, C(swapout_writes) = 2,
		      C(dirty_pages) = -5, C(writeback_failed_pages) = 1);
	expect_in_file(3, 1, 0);
	expect_in_file(4, 3, 1);
	write_again(3, 1, 2);
	ck_assert_int_eq(write_all(), 0); /* though it rests */
	expect_in_file(3, 1, 2);
}
END_TEST

/* They cannot be kept from changing: written, and still dirty. */
START_TEST(pages_that_the_kernel_does_not_protect)
{
	engine_dirty(at(3), 4);
	os_inject(OS_uffd_wp, 1, false, ENOMEM);
	ck_assert_int_eq(write_all(), 0);
	os_inject_clear();
	expect_in_file(3, 4, 1);
	expect_range(3, 4, PAGE_DIRTY);
	write_again(3, 4, 2);
	ck_assert_int_eq(write_all(), 0);
	expect_range(3, 4, PAGE_CLEAN);
	expect_in_file(3, 4, 2);
}
END_TEST

START_TEST(pinned_pages_are_not_protected)
{
	engine_dirty(at(3), 4);
	ck_assert_int_eq(access_pin(vm, at(4), at(6)), 0);
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(3, 4, 1);
	expect_range(4, 2, PAGE_DIRTY);
	expect_state(at(3), PAGE_CLEAN);
	expect_state(at(6), PAGE_CLEAN);
	write_again(4, 2, 2);
	ck_assert_int_eq(forget_all(), 0);
	expect_range(4, 2, PAGE_DIRTY);
	os_inject(OS_pwrite, 1, true, EIO);
	engine_remember();
	ck_assert_int_eq(write_all(), -EIO);
	engine_expect(C(swapout_pages) = 2, C(swapout_writes) = 1,
		      C(writeback_failed_pages) = 2);
	os_inject_clear();
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(4, 2, 2);
	ck_assert_int_eq(access_unpin(vm, at(4), at(6)), 0);
}
END_TEST

START_TEST(frames_that_cannot_be_copied)
{
	engine_dirty(at(3), 4);
	os_inject(OS_frame_read, 1, false, ENOMEM);
	ck_assert_int_eq(write_all(), 0); /* a moment's */
	expect_in_file(3, 4, 1);
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	write_again(3, 1, 2);
	os_inject(OS_frame_read, 1, true, ENOMEM);
	ck_assert_int_eq(write_all(), -ENOMEM);
	os_inject_clear();
	expect_in_file(3, 1, 1);
	write_again(3, 1, 3); /* it is not protected */
	ck_assert_int_eq(write_all(), 0);
	expect_in_file(3, 1, 3);
}
END_TEST

static _Atomic int result;

static void *sync_beside(void *arg)
{
	(void)arg;
	result = write_all();
	return NULL;
}

static bool is_awaited(struct block *b)
{
	bool awaited;

	lock_take(&b->lock);
	awaited = b->awaited;
	lock_drop(&b->lock);
	return awaited;
}

/*
 * What a victim's write carries was written before the call: it is waited for,
 * and made again if it fails.
 */
START_TEST(writes_in_flight_are_waited_for)
{
	struct block *b;
	pthread_t thread;

	engine_dirty(at(3), 4);
	engine_cold(at(3), 4);
	expect_step(ALL, EVICT_FREED);
	expect_range(3, 4, PAGE_WRITING);
	result = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, sync_beside, NULL), 0);
	b = pt_find(&vm->pt, at(3));
	live_wait(is_awaited(b), 10000);
	ck_assert_int_eq(result, 1);
	/* nobody begins another meanwhile */
	ck_assert_int_eq(engine_fault(at(20), true), FAULT_DONE);
	stamp(ptr_of(at(20)), at(20), 1);
	if (_i)
		os_inject_some(OS_pwrite, 1, 6, EIO); /* all of that write's */
	engine_complete();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(result, 0);
	expect_in_file(3, 4, 1);
	expect_in_file(20, 1, 1);
	expect_range(3, 4, _i ? PAGE_CLEAN : PAGE_SWAPPED);
}
END_TEST

/* ---- forgetting ---- */

START_TEST(clean_pages_are_forgotten)
{
	char page[PAGE_BYTES];
	struct block *b;

	ck_assert_int_eq(engine_fault(at(3), false), FAULT_DONE);
	b = block_of(at(9)); /* on standby */
	b->pte[page_index(at(9))] |= PTE_PREFETCHED;
	lock_drop(&b->lock);
	engine_dirty(at(5), 1);
	ck_assert_int_eq(engine_begin(at(7), false), FAULT_READ);
	ck_assert_int_eq(engine_install(-EIO), FAULT_FAILED);
	expect_state(at(7), PAGE_POISONED);
	stamp(page, at(3), 7);
	ck_assert_int_eq(pwrite(file, page, PAGE_BYTES, 3 * PAGE_BYTES),
			 PAGE_BYTES);
	ck_assert_int_eq(forget_all(), 0);
	expect_state(at(3), PAGE_SWAPPED);
	expect_state(at(5), PAGE_DIRTY);
	expect_state(at(7), PAGE_SWAPPED);
	ck_assert(!(entry(at(9)) & PTE_PREFETCHED));
	ck_assert_int_eq(engine_fault(at(3), false), FAULT_DONE);
	ck_assert(stamped(ptr_of(at(3)), at(3), 7));
	ck_assert_int_eq(engine_fault(at(7), false), FAULT_DONE);
}
END_TEST

/* It may have been pinned since that was looked at. */
START_TEST(a_pinned_page_is_not_forgotten)
{
	ck_assert_int_eq(mapping_protect(vm, at(0), at(8), VVM_READ), 0);
	ck_assert_int_eq(access_pin(vm, at(3), at(4)), 0);
	expect_state(at(3), PAGE_CLEAN);
	ck_assert_int_eq(forget_all(), 0);
	expect_state(at(3), PAGE_CLEAN);
	ck_assert_int_eq(access_unpin(vm, at(3), at(4)), 0);
	ck_assert_int_eq(forget_all(), 0);
	expect_state(at(3), PAGE_SWAPPED);
}
END_TEST

START_TEST(discarding_writes_first_and_keeps_what_cannot_be_written)
{
	engine_dirty(at(3), 4);
	os_inject(OS_pwrite, 1, true, EIO);
	ck_assert_int_eq(mapping_dontneed(vm, at(0), at(PAGES)), 0);
	os_inject_clear();
	expect_range(3, 4, PAGE_DIRTY);
	ck_assert_int_eq(mapping_dontneed(vm, at(0), at(PAGES)), 0);
	expect_range(3, 4, PAGE_SWAPPED);
	expect_in_file(3, 4, 1);
	space_check(vm);
}
END_TEST

/* ---- unmapping ---- */

START_TEST(unmapping_writes)
{
	engine_dirty(at(3), 4);
	engine_dirty(at(30), 2);
	engine_remember();
	if (_i) /* not ahead of it, but when nobody can stop it any more */
		os_inject_some(OS_pwrite, 1, 5, EIO);
	ck_assert_int_eq(mapping_unmap(vm, at(0), at(20)), 0);
	os_inject_clear();
	expect_in_file(3, 4, 1);
	expect_in_file(30, 2, 0);
	expect_state(at(30), PAGE_DIRTY);
	ck_assert_int_eq(mapping_unmap(vm, at(20), at(PAGES)), 0);
	for (unsigned i = 30; i < 32; i++)
		ck_assert(in_file(i, 1));
}
END_TEST

START_TEST(unmapping_what_cannot_be_written)
{
	engine_dirty(at(3), 4);
	engine_remember();
	os_inject(OS_pwrite, 1, true, EIO);
	ck_assert_int_eq(mapping_unmap(vm, at(0), at(PAGES)), 0);
	os_inject_clear();
	expect_in_file(3, 4, 0);
	engine_expect(C(swapout_pages) = 8, C(swapout_writes) = 2,
		      C(dirty_pages) = -4, C(resident_pages) = -4,
		      C(discarded_pages) = 4, C(writeback_failed_pages) = 8,
		      C(regions) = -1,
		      C(mapped_bytes) = -(int64_t)(PAGES * PAGE_BYTES));
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "victims");

	tcase_add_test(tc, victims_go_to_their_places);
	tcase_add_test(tc, zeros_are_written);
	tcase_add_test(tc, a_victim_that_is_written_to_meanwhile_stays);
	tcase_add_test(tc, victims_that_cannot_be_written);
	tcase_add_test(tc, a_file_that_rests_and_clean_pages_behind_dirty_ones);
	tc = test_case(suite, "sync");
	tcase_add_test(tc, dirty_pages_are_clean_and_stay);
	tcase_add_test(tc, the_next_write_is_an_event);
	tcase_add_test(tc, any_number_of_runs);
	tcase_add_test(tc, a_write_that_fails);
	tcase_add_test(tc, pages_that_the_kernel_does_not_protect);
	tcase_add_test(tc, pinned_pages_are_not_protected);
	tcase_add_test(tc, frames_that_cannot_be_copied);
	tcase_add_loop_test(tc, writes_in_flight_are_waited_for, 0, 2);
	tc = test_case(suite, "forget");
	tcase_add_test(tc, clean_pages_are_forgotten);
	tcase_add_test(tc, a_pinned_page_is_not_forgotten);
	tcase_add_test(
		tc, discarding_writes_first_and_keeps_what_cannot_be_written);
	tc = test_case(suite, "unmap");
	tcase_add_loop_test(tc, unmapping_writes, 0, 2);
	tcase_add_test(tc, unmapping_what_cannot_be_written);
}

const struct test_program test_program = {
	.name = "sync",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = engine_missing,
	.begin = make_dir,
	.end = remove_dir,
};
