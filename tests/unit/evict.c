/* SPDX-License-Identifier: MIT */
/*
 * unit/evict.c - the clock step by step: which pages go, what a write-back
 * makes of each, what happens when a page is used, written or pinned in the
 * middle of it, and when swap or the kernel refuses; with exact counters.
 * Needs userfaultfd, else skips.
 *
 * Pages are made victims by engine_cold(): old and unmapped. The evictor has
 * 4 write-backs of 64 pages; a write completes in engine_complete().
 */
#include "evict/evict.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "fill/ahead.h"
#include "map/access.h"
#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define RW  (VVM_READ | VVM_WRITE)
#define ALL 10000 /* a target that no step reaches */

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

static void expect_step(uint64_t target, enum evict_result want)
{
	ck_assert_int_eq(evict_step(&evictor, target), want);
	space_check(vm);
}

static void expect_range(unsigned first, unsigned n, enum page_state state)
{
	for (; n; n--, first++)
		expect_state(at(first), state);
}

/* n CLEAN pages from i on, with slots, cold. */
static void clean(unsigned i, unsigned n)
{
	unsigned k;

	engine_out(at(i), n);
	for (k = i; k < i + n; k++)
		ck_assert_int_eq(engine_fault(at(k), false), FAULT_DONE);
	engine_cold(at(i), n);
	engine_remember();
}

/* n DIRTY ones. */
static void dirty(unsigned i, unsigned n)
{
	engine_dirty(at(i), n);
	engine_cold(at(i), n);
	engine_remember();
}

/* After an eviction: back they come, whole. */
static void expect_content(unsigned first, unsigned n)
{
	for (; n; n--, first++) {
		ck_assert_int_eq(engine_fault(at(first), false), FAULT_DONE);
		ck_assert(stamped(ptr_of(at(first)), at(first), 1));
	}
}

/* ---- clean victims ---- */

START_TEST(nothing_resident)
{
	expect_step(ALL, EVICT_EMPTY);
	engine_out(at(0), 3);
	engine_remember();
	expect_step(ALL, EVICT_EMPTY);
	engine_expect_nothing();
}
END_TEST

START_TEST(clean_pages_go_at_once)
{
	clean(10, 3);
	expect_step(ALL, EVICT_FREED);
	expect_range(10, 3, PAGE_SWAPPED);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 3,
		      C(evict_clean_pages) = 3, C(resident_pages) = -3,
		      C(swapped_pages) = 3);
	ck_assert_uint_eq(vm->frames.used, 0);
	ck_assert_uint_eq(vm->clock.blocks, 0); /* none left: off the clock */
	ck_assert_uint_eq(slots_used(), 3);
	expect_step(ALL, EVICT_EMPTY);
	expect_content(10, 3);
}
END_TEST

START_TEST(pages_never_written_need_no_slot)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(engine_fault(at(i), false), FAULT_DONE);
	engine_cold(at(0), 4);
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	expect_range(0, 4, PAGE_FRESH);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 4,
		      C(evict_clean_pages) = 4, C(evict_zero_pages) = 4,
		      C(resident_pages) = -4);
	ck_assert_uint_eq(slots_used(), 0);
}
END_TEST

START_TEST(no_more_than_the_target)
{
	clean(10, 8);
	expect_step(3, EVICT_FREED);
	expect_range(10, 3, PAGE_SWAPPED);
	expect_range(13, 5, PAGE_CLEAN);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 8,
		      C(evict_clean_pages) = 3, C(resident_pages) = -3,
		      C(swapped_pages) = 3);
	expect_step(ALL, EVICT_FREED);
	expect_range(10, 8, PAGE_SWAPPED);
}
END_TEST

START_TEST(the_first_steps_only_age)
{
	unsigned i;

	clean(10, 2);
	for (i = 10; i < 12; i++) { /* as a fault leaves them: new, mapped */
		struct block *b = block_of(at(i));

		b->pte[i] = pte_with_age(b->pte[i], vm->clock.ops->new_age);
		lock_drop(&b->lock);
		ck_assert(stamped(ptr_of(at(i)), at(i), 1));
	}
	expect_step(ALL, EVICT_NOTHING);
	expect_range(10, 2, PAGE_CLEAN);
	ck_assert(!is_mapped(at(10)) && !is_mapped(at(11)));
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 2,
		      C(reclaim_referenced_pages) = 2);
	clock_found(&vm->clock, true);		       /* no pressure */
	ck_assert(stamped(ptr_of(at(11)), at(11), 1)); /* used again */
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_CLEAN);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 2,
		      C(reclaim_referenced_pages) = 1, C(evict_clean_pages) = 1,
		      C(resident_pages) = -1, C(swapped_pages) = 1);
}
END_TEST

/* No matter how often it is used, at last it goes. */
START_TEST(pressure_gets_at_used_pages)
{
	unsigned steps;

	clean(10, 1);
	for (steps = 0; steps < 2 * POLICY_AGE_MAX + 4; steps++) {
		ck_assert(stamped(ptr_of(at(10)), at(10), 1));
		if (evict_step(&evictor, ALL) == EVICT_FREED)
			break;
	}
	expect_state(at(10), PAGE_SWAPPED);
	ck_assert_uint_eq(clock_pressure(&vm->clock), 0);
}
END_TEST

/* On a tiny budget new pages are spared for SPACE_GRACE_US. */
START_TEST(a_page_just_filled_is_spared)
{
	struct block *b;
	uint64_t since_us, tries;

	frames_resize(&vm->frames, 16, 0, 0);
	clean(10, 2);
	b = block_of(at(10));
	lock_drop(&b->lock);
	for (tries = 0; tries < 1000; tries++) {
		b->pte[10] = pte_with_age(b->pte[10], vm->clock.ops->new_age);
		b->pte[11] = pte_with_age(b->pte[11], PTE_AGE_MAX);
		clock_found(&vm->clock, true);
		engine_remember();
		since_us = b->filled_us = os_now_us();
		ck_assert_int_ne(evict_step(&evictor, ALL), EVICT_FREED);
		if (os_now_us() - since_us < SPACE_GRACE_US)
			break; /* else we were too slow to tell */
	}
	if (tries == 1000)
		return;
	/* only the other one was looked at */
	ck_assert_uint_eq(pte_age(entry(at(10))), vm->clock.ops->new_age);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 1);
	b->filled_us = 0;
	clock_found(&vm->clock, true);
	expect_step(ALL, EVICT_NOTHING);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 2);
	ck_assert_uint_ne(pte_age(entry(at(10))), vm->clock.ops->new_age);
}
END_TEST

/* ---- dirty victims ---- */

START_TEST(dirty_pages_go_when_written)
{
	dirty(10, 3);
	expect_step(ALL, EVICT_FREED);
	expect_range(10, 3, PAGE_WRITING);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 3,
		      C(swapout_pages) = 3, C(swapout_writes) = 1);
	ck_assert_uint_eq(evictor.writer.pages, 3);
	ck_assert_uint_eq(pt_find(&vm->pt, addr)->writing, 3);
	ck_assert_uint_eq(slots_used(), 3);
	engine_complete();
	space_check(vm);
	expect_range(10, 3, PAGE_SWAPPED);
	ck_assert_uint_eq(evictor.writer.pages, 0);
	ck_assert_uint_eq(pt_find(&vm->pt, addr)->writing, 0);
	engine_expect(C(evict_written_pages) = 3, C(resident_pages) = -3,
		      C(dirty_pages) = -3, C(swapped_pages) = 3);
	expect_content(10, 3);
}
END_TEST

START_TEST(zeros_go_at_once)
{
	unsigned i;

	for (i = 10; i < 13; i++)
		ck_assert_int_eq(engine_fault(at(i), true), FAULT_DONE);
	stamp(ptr_of(at(11)), at(11), 1);
	engine_cold(at(10), 3);
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_FRESH);
	expect_state(at(11), PAGE_WRITING);
	expect_state(at(12), PAGE_FRESH);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 3,
		      C(swapout_pages) = 1, C(swapout_writes) = 1,
		      C(evict_clean_pages) = 2, C(evict_zero_pages) = 2,
		      C(resident_pages) = -2, C(dirty_pages) = -2);
	ck_assert_uint_eq(slots_used(), 1);
	engine_complete();
	space_check(vm);
	expect_content(11, 1);
}
END_TEST

START_TEST(only_zeros_take_no_slot)
{
	ck_assert_int_eq(engine_fault(at(10), true), FAULT_DONE);
	engine_cold(at(10), 1);
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_FRESH);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 1,
		      C(evict_clean_pages) = 1, C(evict_zero_pages) = 1,
		      C(resident_pages) = -1, C(dirty_pages) = -1);
	ck_assert_uint_eq(slots_used(), 0);
	ck_assert_uint_eq(ring_inflight(ring), 0);
}
END_TEST

/* Victims that are no neighbours share one write, and follow in swap. */
START_TEST(victims_of_a_block_get_consecutive_slots)
{
	static const unsigned index[] = {1, 5, 6, 7, 100, 511};
	uint64_t slot = 0;
	unsigned i;

	engine_dirty(at(3), 1); /* not cold */
	for (i = 0; i < ARRAY_SIZE(index); i++)
		dirty(index[i], 1);
	clean(50, 2);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	space_check(vm);
	for (i = 0; i < ARRAY_SIZE(index); i++) {
		expect_state(at(index[i]), PAGE_SWAPPED);
		if (i)
			ck_assert_uint_eq(pte_slot(entry(at(index[i]))),
					  slot + i);
		else
			slot = pte_slot(entry(at(index[i])));
	}
	expect_state(at(3), PAGE_DIRTY);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 9,
		      C(reclaim_referenced_pages) = 1, C(swapout_pages) = 6,
		      C(swapout_writes) = 1, C(evict_written_pages) = 6,
		      C(evict_clean_pages) = 2, C(resident_pages) = -8,
		      C(dirty_pages) = -6, C(swapped_pages) = 8);
	for (i = 0; i < ARRAY_SIZE(index); i++)
		expect_content(index[i], 1);
}
END_TEST

/* 64 pages a write, 4 writes: the 44 that are left wait. */
/* All free runs of the swap are 3 long: several writes, but of all victims. */
START_TEST(victims_of_a_block_in_a_fragmented_swap)
{
	struct backing *swap = vm->swap;
	uint64_t first, got, n = 0;
	struct backing_stat bs;
	unsigned i;

	do {
		ck_assert_int_eq(swap->ops->take(swap, 4, &first, &got), 0);
		swap->ops->stat(swap, &bs);
		n++;
	} while (bs.slots_used + 4 <= bs.slots_area);
	for (i = 0; i < n; i++)
		swap->ops->give(swap, 1 + 4 * i, 3);
	dirty(10, 10);
	expect_step(ALL, EVICT_FREED);
	expect_range(10, 10, PAGE_WRITING);
	engine_complete();
	expect_range(10, 10, PAGE_SWAPPED);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 10,
		      C(swapout_pages) = 10, C(swapout_writes) = 4,
		      C(evict_written_pages) = 10, C(resident_pages) = -10,
		      C(dirty_pages) = -10, C(swapped_pages) = 10);
	for (i = 0; i < 10; i++)
		ck_assert_uint_eq(pte_slot(entry(at(10 + i))),
				  1 + 4 * (i / 3) + i % 3);
	expect_content(10, 10);
	for (i = 0; i < n; i++)
		swap->ops->give(swap, 4 + 4 * i, 1);
}
END_TEST

START_TEST(more_victims_than_write_backs)
{
	dirty(0, 300);
	expect_step(ALL, EVICT_FREED);
	ck_assert_uint_eq(evictor.writer.pages, 256);
	ck_assert(list_empty(&evictor.writer.idle));
	expect_range(0, 256, PAGE_WRITING);
	expect_range(256, 44, PAGE_DIRTY);
	expect_step(ALL, EVICT_SKIPPED); /* writes of the block in flight */
	engine_complete();
	expect_range(0, 256, PAGE_SWAPPED);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	expect_range(0, 300, PAGE_SWAPPED);
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_swapout_writes), 5);
	ck_assert_uint_eq(slots_used(), 300);
	space_check(vm);
}
END_TEST

START_TEST(no_write_back_is_idle)
{
	gaddr_t other = engine_map(BLOCK_PAGES, RW);

	dirty(0, 256);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(engine_fault(other, true), FAULT_DONE);
	engine_cold(other, 1);
	ck_assert_int_eq(evict_step(&evictor, ALL), EVICT_SKIPPED); /* ours */
	expect_step(ALL, EVICT_SKIPPED); /* victims, but no buffer for them */
	expect_state(other, PAGE_DIRTY);
	engine_complete();
}
END_TEST

/* Or unmap might wait for ever for a moment between two of them. */
START_TEST(none_begins_while_somebody_waits_for_their_end)
{
	struct block *b;

	dirty(0, 10);
	b = block_of(addr);
	b->awaited = 1;
	lock_drop(&b->lock);
	expect_step(ALL, EVICT_SKIPPED);
	expect_range(0, 10, PAGE_DIRTY);
	lock_take(&b->lock);
	b->awaited = 0;
	lock_drop(&b->lock);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
}
END_TEST

/* ---- in the middle of a write ---- */

START_TEST(a_write_cancels_a_write_back)
{
	uint64_t slot;

	dirty(10, 3);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(engine_fault(at(11), true), FAULT_DONE);
	expect_state(at(11), PAGE_DIRTY);
	stamp(ptr_of(at(11)), at(11), 2);
	engine_remember();
	engine_complete();
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_DIRTY);
	expect_state(at(12), PAGE_SWAPPED);
	engine_expect(C(writeback_cancelled_pages) = 1,
		      C(evict_written_pages) = 2, C(resident_pages) = -2,
		      C(dirty_pages) = -2, C(swapped_pages) = 2);
	ck_assert_uint_eq(slots_used(), 2); /* its slot went back */
	ck_assert(stamped(ptr_of(at(11)), at(11), 2));
	stamp(ptr_of(at(11)), at(11), 3); /* not protected */
	/* and it can be written again, to a slot of its own */
	engine_cold(at(11), 1);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	slot = pte_slot(entry(at(11)));
	ck_assert_uint_ne(slot, pte_slot(entry(at(10))));
	ck_assert_uint_ne(slot, pte_slot(entry(at(12))));
	ck_assert_int_eq(engine_fault(at(11), false), FAULT_DONE);
	ck_assert(stamped(ptr_of(at(11)), at(11), 3));
}
END_TEST

/* A write to a page in flight is an event: the copy cannot be outdated. */
START_TEST(a_page_in_flight_is_protected)
{
	gaddr_t page = at(10 + (unsigned)_i);
	struct app app;

	dirty(10, 3);
	expect_step(ALL, EVICT_FREED);
	app_start(&app, page, true, 5);
	ck_assert(app_event().protect);
	ck_assert_int_eq(engine_fault(page, true), FAULT_DONE);
	app_join(&app);
	engine_complete();
	expect_state(page, PAGE_DIRTY);
	ck_assert_uint_eq(*(uint64_t *)(void *)ptr_of(page), 5);
}
END_TEST

static gaddr_t written_first; /* before any page is protected */

int __real_os_uffd_wp(int fd, haddr_t at, uint64_t bytes, bool protect);
int __wrap_os_uffd_wp(int fd, haddr_t at, uint64_t bytes, bool protect);

int __wrap_os_uffd_wp(int fd, haddr_t where, uint64_t bytes, bool protect)
{
	if (written_first && protect)
		stamp(ptr_of(written_first), written_first, 2);
	written_first = 0;
	return __real_os_uffd_wp(fd, where, bytes, protect);
}

/* Until a page is protected it may be written: what goes to swap has that. */
START_TEST(a_write_just_before_the_protection)
{
	dirty(10, 3);
	written_first = at(11);
	expect_step(ALL, EVICT_FREED);
	ck_assert_uint_eq(written_first, 0);
	engine_complete();
	if (pte_state(entry(at(11))) == PAGE_CLEAN) { /* it was used */
		engine_cold(at(10), 3);
		expect_step(ALL, EVICT_FREED);
	}
	expect_state(at(11), PAGE_SWAPPED);
	ck_assert_int_eq(engine_fault(at(11), false), FAULT_DONE);
	ck_assert(stamped(ptr_of(at(11)), at(11), 2));
}
END_TEST

START_TEST(a_page_read_in_flight_stays)
{
	dirty(10, 2);
	expect_step(ALL, EVICT_FREED);
	ck_assert(stamped(ptr_of(at(11)), at(11), 1)); /* maps it */
	engine_remember();
	engine_complete();
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_CLEAN);
	ck_assert_uint_ne(pte_slot(entry(at(11))), 0);
	engine_expect(C(evict_written_pages) = 1, C(resident_pages) = -1,
		      C(dirty_pages) = -2, C(swapped_pages) = 1);
	ck_assert_uint_eq(slots_used(), 2);
	engine_cold(at(11), 1); /* now it goes without a write */
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 1,
		      C(evict_clean_pages) = 1, C(resident_pages) = -1,
		      C(swapped_pages) = 1);
	expect_content(10, 2);
}
END_TEST

START_TEST(a_page_discarded_in_flight)
{
	dirty(10, 2);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(mapping_dontneed(vm, at(11), at(12)), 0);
	engine_complete();
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_FRESH);
	ck_assert_uint_eq(slots_used(), 1);
	ck_assert_uint_eq(vm->frames.used, 0);
}
END_TEST

/* Pinned for reading only: a page of a read-only region stays CLEAN. */
START_TEST(a_page_pinned_in_flight_stays)
{
	dirty(10, 2);
	ck_assert_int_eq(
		mapping_protect(vm, addr, addr + BLOCK_BYTES, VVM_READ), 0);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(access_pin(vm, at(11), at(12)), 0);
	engine_complete();
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_CLEAN);
	ck_assert_int_eq(access_unpin(vm, at(11), at(12)), 0);
}
END_TEST

/* ---- who may not leave ---- */

START_TEST(pinned_pages_stay)
{
	unsigned i;

	clean(10, 3);
	ck_assert_int_eq(access_pin(vm, at(11), at(12)), 0); /* and DIRTY */
	engine_cold(at(10), 3);
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_DIRTY);
	expect_state(at(12), PAGE_SWAPPED);
	engine_remember();
	for (i = 0; i < 2 * POLICY_AGE_MAX + 4; i++) /* under no pressure */
		expect_step(ALL, EVICT_NOTHING);
	engine_expect(C(reclaim_steps) = 2 * POLICY_AGE_MAX + 4);
	ck_assert_int_eq(access_unpin(vm, at(11), at(12)), 0);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	expect_content(11, 1);
}
END_TEST

START_TEST(filling_pages_stay)
{
	clean(10, 1);
	engine_out(at(20), 1);
	ck_assert_int_eq(engine_begin(at(20), false), FAULT_READ);
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(20), PAGE_FILLING);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 1,
		      C(evict_clean_pages) = 1, C(resident_pages) = -1,
		      C(swapped_pages) = 1);
	expect_step(ALL, EVICT_EMPTY); /* a block of FILLING pages only */
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	ck_assert_uint_eq(vm->clock.blocks, 1);
}
END_TEST

struct holder {
	pthread_t thread;
	_Atomic int step; /* 1: it holds the lock, 2: it shall let go */
	bool space;
};

static void *hold(void *arg)
{
	struct holder *h = arg;
	struct block *b = pt_find(&vm->pt, addr);

	if (h->space)
		rwlock_write(&vm->lock);
	else
		lock_take(&b->lock);
	atomic_store(&h->step, 1);
	while (atomic_load(&h->step) == 1)
		os_yield();
	if (h->space)
		rwlock_end_write(&vm->lock);
	else
		lock_drop(&b->lock);
	return NULL;
}

/* Reclaim only tries locks. */
START_TEST(a_block_that_is_locked_is_passed_over)
{
	struct holder h = {.space = _i};

	clean(10, 1);
	ck_assert_int_eq(pthread_create(&h.thread, NULL, hold, &h), 0);
	while (!atomic_load(&h.step))
		os_yield();
	ck_assert_int_eq(evict_step(&evictor, ALL), EVICT_SKIPPED);
	atomic_store(&h.step, 2);
	pthread_join(h.thread, NULL);
	engine_expect(C(reclaim_steps) = h.space ? 0 : 1);
	expect_step(ALL, EVICT_FREED);
}
END_TEST

/* ---- readahead ---- */

START_TEST(readahead_that_was_used_stays)
{
	gaddr_t next;

	engine_out(at(10), 3);
	ck_assert(engine_ahead(at(0), at(99), &next));
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	ck_assert(stamped(ptr_of(at(11)), at(11), 1));
	engine_remember();
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_CLEAN);
	expect_state(at(12), PAGE_SWAPPED);
	ck_assert(!(entry(at(11)) & PTE_PREFETCHED));
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 3,
		      C(reclaim_referenced_pages) = 1,
		      C(prefetch_hit_pages) = 1, C(prefetch_waste_pages) = 2,
		      C(evict_clean_pages) = 2, C(resident_pages) = -2,
		      C(swapped_pages) = 2);
	expect_content(10, 3);
}
END_TEST

/* ---- refusals ---- */

START_TEST(a_write_that_fails)
{
	dirty(10, 3);
	os_inject(OS_pwrite, 1, true, EIO);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(engine_fault(at(12), true), FAULT_DONE);
	engine_remember();
	engine_complete();
	os_inject_clear();
	space_check(vm);
	expect_range(10, 3, PAGE_DIRTY);
	engine_expect(C(writeback_failed_pages) = 2,
		      C(writeback_cancelled_pages) = 1);
	ck_assert_uint_eq(slots_used(), 0);
	ck_assert_uint_eq(vm->frames.used, 3);
	stamp(ptr_of(at(10)), at(10), 1); /* unprotected, or this would hang */
	stamp(ptr_of(at(11)), at(11), 1);
	engine_cold(at(10), 3);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	expect_range(10, 3, PAGE_SWAPPED);
	expect_content(10, 3);
}
END_TEST

/* 2 slots for 5 pages, two of which are zeros. */
static void small_swap(void)
{
	struct conf *c = malloc(sizeof(*c));

	engine_conf(c, 600);
	c->swap_limit_bytes = 2 * PAGE_BYTES;
	engine_start(c, 4, ENGINE_ROOM);
	free(c);
	addr = engine_map(BLOCK_PAGES, RW);
}

START_TEST(a_full_swap)
{
	engine_close();
	small_swap();
	dirty(10, 5);
	expect_step(ALL, EVICT_FREED);
	expect_range(10, 2, PAGE_WRITING);
	expect_range(12, 3, PAGE_DIRTY);
	engine_complete();
	expect_range(10, 2, PAGE_SWAPPED);
	engine_remember();
	expect_step(ALL, EVICT_NOTHING);
	ck_assert(evictor.writer.swap_full);
	expect_range(12, 3, PAGE_DIRTY);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 3,
		      C(swap_full) = 1);
	stamp(ptr_of(at(12)), at(12), 1); /* nothing was protected */
	ck_assert_uint_eq(slots_used(), 2);
	/* clean pages go all the same: used ones under rising pressure */
	ck_assert_int_eq(engine_fault(at(30), false), FAULT_DONE);
	while (pte_state(entry(at(30))) == PAGE_CLEAN) {
		ck_assert_uint_le(clock_pressure(&vm->clock), POLICY_AGE_MAX);
		evict_step(&evictor, ALL);
	}
	expect_state(at(30), PAGE_FRESH);
	/* room */
	ck_assert_int_eq(mapping_dontneed(vm, at(10), at(11)), 0);
	engine_cold(at(12), 3);
	expect_step(ALL, EVICT_FREED);
	ck_assert(evictor.writer.swap_full); /* again: it was for one page */
	engine_complete();
	space_check(vm);
	expect_state(at(12), PAGE_SWAPPED);
	expect_range(13, 2, PAGE_DIRTY);
}
END_TEST

/* Dirty pages, which cannot go, do not stand for the clean ones behind them. */
START_TEST(a_full_swap_and_clean_pages_behind_dirty_ones)
{
	unsigned i;

	engine_close();
	small_swap();
	dirty(10, 2);
	expect_step(ALL, EVICT_FREED); /* swap is full then */
	engine_complete();
	dirty(20, 8);
	expect_step(ALL, EVICT_NOTHING);
	ck_assert(evictor.writer.swap_full);
	for (i = 30; i < 34; i++)
		ck_assert_int_eq(engine_fault(at(i), false), FAULT_DONE);
	engine_cold(at(20), 14);
	expect_step(4, EVICT_FREED);
	expect_range(20, 8, PAGE_DIRTY);
	expect_range(30, 4, PAGE_FRESH);
}
END_TEST

/* Cold dirty pages that cannot go are no reason to spare a clean one in use. */
START_TEST(a_full_swap_and_a_clean_page_in_use)
{
	unsigned steps;

	engine_close();
	small_swap();
	dirty(10, 2);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	dirty(20, 8);
	expect_step(ALL, EVICT_NOTHING);
	ck_assert(evictor.writer.swap_full);
	ck_assert_int_eq(engine_fault(at(30), false), FAULT_DONE);
	for (steps = 0; steps < 2 * POLICY_AGE_MAX + 4; steps++) {
		ck_assert_int_eq(*(volatile char *)ptr_of(at(30)), 0);
		engine_cold(at(20), 8);
		if (evict_step(&evictor, ALL) == EVICT_FREED)
			break;
	}
	expect_range(20, 8, PAGE_DIRTY);
	expect_state(at(30), PAGE_FRESH);
}
END_TEST

START_TEST(a_punch_that_fails)
{
	clean(10, 3);
	os_inject(OS_punch, 1, true, ENOMEM);
	expect_step(ALL, EVICT_SKIPPED); /* not to be tried at once */
	expect_range(10, 3, PAGE_CLEAN);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 3);
	ck_assert_uint_eq(vm->frames.used, 3);
	os_inject_clear();
	expect_step(ALL, EVICT_FREED);
	expect_content(10, 3);
}
END_TEST

/* Pages without a frame do not end a run: one call punches them all. */
START_TEST(a_run_goes_over_absent_pages)
{
	clean(10, 3);
	clean(20, 2);
	os_inject_clear();
	os_inject(OS_punch, 2, true, ENOMEM);
	expect_step(ALL, EVICT_FREED);
	os_inject_clear();
	expect_range(10, 3, PAGE_SWAPPED);
	expect_range(20, 2, PAGE_SWAPPED);
	expect_range(13, 7, PAGE_FRESH);
	expect_content(10, 3);
	expect_content(20, 2);
}
END_TEST

/* The same when they are protected; what comes there later is as it was. */
START_TEST(protection_goes_over_absent_pages)
{
	dirty(10, 1);
	dirty(20, 1);
	os_inject_clear();
	os_inject(OS_uffd_wp, 2, true, ENOMEM);
	expect_step(ALL, EVICT_FREED);
	os_inject_clear();
	engine_complete();
	ck_assert_uint_eq(slots_used(), 2);
	engine_dirty(at(15), 2);
	stamp(ptr_of(at(15)), at(15), 1); /* no event, or it hangs */
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(17)), 2), 2);
	stamp(ptr_of(at(17)), at(17), 1);
	expect_content(10, 1);
	expect_content(20, 1);
}
END_TEST

START_TEST(a_run_ends_at_poison)
{
	struct block *b;

	clean(10, 1);
	clean(12, 1);
	engine_out(at(11), 1);
	b = block_of(at(11));
	space_move(vm, actor, b, 11, PAGE_FILLING, pte_slot(b->pte[11]));
	space_move(vm, actor, b, 11, PAGE_POISONED, pte_slot(b->pte[11]));
	lock_drop(&b->lock);
	os_inject_clear();
	os_inject(OS_punch, 2, false, ENOMEM);
	expect_step(ALL, EVICT_FREED);
	os_inject_clear();
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(12), PAGE_CLEAN);
}
END_TEST

/* Readahead puts FILLING pages into the memfd with nothing locked. */
START_TEST(a_run_ends_at_a_filling_page)
{
	static char arriving[PAGE_BYTES], kept[PAGE_BYTES];

	memset(arriving, 0x5a, sizeof(arriving));
	clean(10, 1);
	clean(12, 1);
	engine_out(at(11), 1);
	ck_assert_int_eq(engine_begin(at(11), false), FAULT_READ);
	ck_assert_int_eq(os_frame_write(vm->memfd, arriving, PAGE_BYTES,
					host_of(at(11))),
			 0);
	expect_step(ALL, EVICT_FREED);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(12), PAGE_SWAPPED);
	ck_assert_int_eq(
		os_frame_read(vm->memfd, kept, PAGE_BYTES, host_of(at(11))), 0);
	ck_assert_mem_eq(kept, arriving, PAGE_BYTES);
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	expect_content(11, 1);
}
END_TEST

/* A resident page that is too new to be a victim; its content is zeros. */
static void stay(unsigned i)
{
	ck_assert_int_eq(engine_fault(at(i), true), FAULT_DONE);
	engine_remember();
}

/* The first of two runs cannot be punched, the second can. */
START_TEST(a_punch_that_fails_for_one_run)
{
	clean(10, 3);
	stay(15);
	clean(20, 2);
	os_inject_clear();
	os_inject(OS_punch, 1, false, ENOMEM);
	expect_step(ALL, EVICT_FREED);
	expect_range(10, 3, PAGE_CLEAN);
	expect_range(20, 2, PAGE_SWAPPED);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 6,
		      C(reclaim_referenced_pages) = 1, C(evict_clean_pages) = 2,
		      C(resident_pages) = -2, C(swapped_pages) = 2);
}
END_TEST

START_TEST(a_punch_that_fails_after_the_write)
{
	dirty(10, 2);
	expect_step(ALL, EVICT_FREED);
	os_inject(OS_punch, 1, true, ENOMEM);
	engine_complete();
	os_inject_clear();
	space_check(vm);
	expect_range(10, 2, PAGE_CLEAN); /* written, but still here */
	ck_assert_uint_eq(slots_used(), 2);
	ck_assert_uint_eq(vm->frames.used, 2);
	engine_cold(at(10), 2);
	expect_step(ALL, EVICT_FREED);
	expect_content(10, 2);
}
END_TEST

/* Not knowing what was used means that all was. */
START_TEST(a_pagemap_that_fails)
{
	clean(10, 2);
	os_inject(OS_pagemap, 1, false, EIO);
	expect_step(ALL, EVICT_NOTHING);
	expect_range(10, 2, PAGE_CLEAN);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 2,
		      C(reclaim_referenced_pages) = 2);
}
END_TEST

/* After a write: a page that may have been used must not go. */
START_TEST(a_pagemap_that_fails_after_the_write)
{
	dirty(10, 2);
	expect_step(ALL, EVICT_FREED);
	os_inject(OS_pagemap, 1, false, EIO);
	engine_complete();
	os_inject_clear();
	space_check(vm);
	expect_range(10, 2, PAGE_CLEAN);
	ck_assert_uint_eq(slots_used(), 2);
	expect_content(10, 2);
}
END_TEST

START_TEST(a_pagemap_that_fails_spares_pinned_pages)
{
	dirty(10, 2);
	ck_assert_int_eq(
		mapping_protect(vm, addr, addr + BLOCK_BYTES, VVM_READ), 0);
	expect_step(ALL, EVICT_FREED);
	ck_assert_int_eq(access_pin(vm, at(11), at(12)), 0);
	os_inject(OS_pagemap, 1, false, EIO);
	engine_complete();
	os_inject_clear();
	space_check(vm);
	ck_assert_uint_eq(vm->frames.pinned, 1);
	ck_assert_int_eq(access_unpin(vm, at(11), at(12)), 0);
}
END_TEST

/* Neighbours are protected and copied run by run: what came before is good. */
static const struct {
	enum os_point point;
	uint64_t nth;
	unsigned written;
} prepare[] = {
	{OS_uffd_wp, 1, 0},    {OS_uffd_wp, 2, 2},    {OS_uffd_wp, 3, 5},
	{OS_frame_read, 1, 0}, {OS_frame_read, 2, 2}, {OS_frame_read, 3, 5},
};

START_TEST(protecting_or_copying_fails)
{
	static const unsigned index[] = {10, 11, 20, 21, 22, 30};
	unsigned i, n = prepare[_i].written;

	for (i = 0; i < ARRAY_SIZE(index); i++)
		dirty(index[i], 1);
	stay(15);
	stay(25);
	os_inject_clear();
	os_inject(prepare[_i].point, prepare[_i].nth, false, ENOMEM);
	expect_step(ALL, n ? EVICT_FREED : EVICT_SKIPPED);
	os_inject_clear();
	ck_assert_uint_eq(slots_used(), n);
	for (i = 0; i < ARRAY_SIZE(index); i++)
		expect_state(at(index[i]), i < n ? PAGE_WRITING : PAGE_DIRTY);
	for (i = n; i < ARRAY_SIZE(index); i++) /* unprotected again */
		stamp(ptr_of(at(index[i])), at(index[i]), 1);
	engine_complete();
	space_check(vm);
	engine_cold(at(0), 40);
	expect_step(ALL, EVICT_FREED);
	engine_complete();
	ck_assert_uint_eq(slots_used(), 6);
	for (i = 0; i < ARRAY_SIZE(index); i++)
		expect_content(index[i], 1);
}
END_TEST

/* ---- extents ---- */

/* Two regions in one block: two host runs, one step. */
START_TEST(a_block_of_two_regions)
{
	addr = (gaddr_t)99 << BLOCK_SHIFT;
	engine_map_at(at(0), 10);
	engine_map_at(at(10), 10);
	dirty(8, 4);
	expect_step(ALL, EVICT_FREED);
	expect_range(8, 4, PAGE_WRITING);
	engine_complete();
	space_check(vm);
	expect_range(8, 4, PAGE_SWAPPED);
	engine_expect(C(reclaim_steps) = 1, C(reclaim_scanned_pages) = 4,
		      C(swapout_pages) = 4, C(swapout_writes) = 2,
		      C(evict_written_pages) = 4, C(resident_pages) = -4,
		      C(dirty_pages) = -4, C(swapped_pages) = 4);
	expect_content(8, 4);
}
END_TEST

START_TEST(the_target_holds_over_pieces)
{
	addr = (gaddr_t)99 << BLOCK_SHIFT;
	engine_map_at(at(0), 10);
	engine_map_at(at(10), 10);
	clean(8, 4);
	expect_step(3, EVICT_FREED);
	expect_range(8, 3, PAGE_SWAPPED);
	expect_state(at(11), PAGE_CLEAN);
	expect_step(3, EVICT_FREED);
	expect_state(at(11), PAGE_SWAPPED);
}
END_TEST

START_TEST(the_target_holds_over_pieces_of_dirty_pages)
{
	addr = (gaddr_t)99 << BLOCK_SHIFT;
	engine_map_at(at(0), 10);
	engine_map_at(at(10), 10);
	dirty(8, 4);
	expect_step(3, EVICT_FREED);
	ck_assert_uint_eq(evictor.writer.pages, 3);
	engine_complete();
	expect_range(8, 3, PAGE_SWAPPED);
	expect_state(at(11), PAGE_DIRTY);
}
END_TEST

/* ---- construction ---- */

START_TEST(construction_fails_cleanly)
{
	struct evictor ev;

	os_inject_clear();
	os_inject(OS_map, 1, false, ENOMEM);
	ck_assert_int_eq(evict_init(&ev, vm, actor, ring, 2, 8), -ENOMEM);
	evict_fini(&ev); /* allowed */
	ck_assert_int_eq(evict_init(&ev, vm, actor, ring, 2, 100000), 0);
	ck_assert_uint_eq(ev.writer.room, IO_MAX_PAGES);
	evict_fini(&ev);
}
END_TEST

static void add_refusals(Suite *s)
{
	TCase *tc = test_case(s, "refusals");

	tcase_add_test(tc, a_write_that_fails);
	tcase_add_test(tc, a_full_swap);
	tcase_add_test(tc, a_full_swap_and_clean_pages_behind_dirty_ones);
	tcase_add_test(tc, a_full_swap_and_a_clean_page_in_use);
	tcase_add_test(tc, a_punch_that_fails);
	tcase_add_test(tc, a_run_goes_over_absent_pages);
	tcase_add_test(tc, protection_goes_over_absent_pages);
	tcase_add_test(tc, a_run_ends_at_poison);
	tcase_add_test(tc, a_run_ends_at_a_filling_page);
	tcase_add_test(tc, a_punch_that_fails_for_one_run);
	tcase_add_test(tc, a_punch_that_fails_after_the_write);
	tcase_add_test(tc, a_pagemap_that_fails);
	tcase_add_test(tc, a_pagemap_that_fails_after_the_write);
	tcase_add_test(tc, a_pagemap_that_fails_spares_pinned_pages);
	tcase_add_loop_test(tc, protecting_or_copying_fails, 0,
			    (int)ARRAY_SIZE(prepare));
	tcase_add_test(tc, construction_fails_cleanly);
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "evict");

	tcase_add_test(tc, nothing_resident);
	tcase_add_test(tc, clean_pages_go_at_once);
	tcase_add_test(tc, pages_never_written_need_no_slot);
	tcase_add_test(tc, no_more_than_the_target);
	tcase_add_test(tc, the_first_steps_only_age);
	tcase_add_test(tc, pressure_gets_at_used_pages);
	tcase_add_test(tc, a_page_just_filled_is_spared);
	tcase_add_test(tc, dirty_pages_go_when_written);
	tcase_add_test(tc, zeros_go_at_once);
	tcase_add_test(tc, only_zeros_take_no_slot);
	tcase_add_test(tc, victims_of_a_block_get_consecutive_slots);
	tcase_add_test(tc, victims_of_a_block_in_a_fragmented_swap);
	test_counted(tc, more_victims_than_write_backs);
	tcase_add_test(tc, no_write_back_is_idle);
	tcase_add_test(tc, none_begins_while_somebody_waits_for_their_end);
	tcase_add_test(tc, a_write_cancels_a_write_back);
	tcase_add_loop_test(tc, a_page_in_flight_is_protected, 0, 3);
	tcase_add_test(tc, a_write_just_before_the_protection);
	tcase_add_test(tc, a_page_read_in_flight_stays);
	tcase_add_test(tc, a_page_discarded_in_flight);
	tcase_add_test(tc, a_page_pinned_in_flight_stays);
	tcase_add_test(tc, pinned_pages_stay);
	tcase_add_test(tc, filling_pages_stay);
	tcase_add_loop_test(tc, a_block_that_is_locked_is_passed_over, 0, 2);
	tcase_add_test(tc, readahead_that_was_used_stays);
	tcase_add_test(tc, a_block_of_two_regions);
	tcase_add_test(tc, the_target_holds_over_pieces);
	tcase_add_test(tc, the_target_holds_over_pieces_of_dirty_pages);
	add_refusals(s);
}

const struct test_program test_program = {
	.name = "evict",
	.add = add_tests,
	.setup = engine_setup,
	.teardown = engine_close,
	.missing = engine_missing,
};
