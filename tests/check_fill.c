/* SPDX-License-Identifier: MIT */
/*
 * check_fill.c - fills, step by step: what a claim, a widening and a claim
 * ahead take, and where they stop; what an install leaves of each page, when
 * all is well, when pages are bad and when the kernel refuses. After each:
 * states, frames, slots, content and counters. Needs userfaultfd, else skips.
 */
#include "test.h"
#include "engine.h"

#define RW (VVM_READ | VVM_WRITE)

static gaddr_t addr; /* of one block, mapped */

static void setup(void)
{
	engine_open(600);
	addr = engine_map(BLOCK_PAGES, RW);
}

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

/* Claims page i for reading (or writing), of what is swapped out. */
static void claim(unsigned i, bool write)
{
	ck_assert_int_eq(engine_begin(at(i), write), FAULT_READ);
}

static unsigned widen(unsigned before, unsigned after)
{
	return fill_widen(vm, actor, &fill, before, after);
}

static void expect_run(unsigned first, unsigned pages)
{
	unsigned i;

	ck_assert_uint_eq(fill.first, first);
	ck_assert_uint_eq(fill.io.pages, pages);
	ck_assert_uint_eq(fill.io.addr, at(first));
	ck_assert_uint_eq(fill.io.slot, pte_slot(entry(at(first))));
	ck_assert_uint_eq(fill.host, host_of(at(first)));
	for (i = first; i < first + pages; i++)
		expect_state(at(i), PAGE_FILLING);
	ck_assert_uint_eq(vm->frames.used, pages);
	space_check(vm);
}

static void expect_range(unsigned first, unsigned n, enum page_state state)
{
	for (; n; n--, first++)
		expect_state(at(first), state);
}

/* Reads and installs what is claimed, all well. */
static void finish(void)
{
	engine_read();
	ck_assert_int_eq(fill_install(&fill, actor, 0), FAULT_DONE);
	space_check(vm);
}

/* ---- claim ---- */

START_TEST(claim_takes_one_page)
{
	uint64_t slot = engine_out(at(10), 3);

	engine_remember();
	claim(11, true);
	expect_run(11, 1);
	ck_assert_uint_eq(fill.io.slot, slot + 1);
	ck_assert_ptr_null(fill.io.order);
	ck_assert_uint_eq(fill.demand, 11);
	ck_assert(fill.has_demand && fill.write);
	ck_assert_uint_eq(fill.advice, VVM_ADV_NORMAL);
	ck_assert_int_eq(fill.uffd, vm->port[0].uffd);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(12), PAGE_SWAPPED);
	engine_expect(C(faults) = 1, C(faults_swapin) = 1,
		      C(resident_pages) = 1, C(swapped_pages) = -1);
	finish();
	expect_state(at(11), PAGE_DIRTY);
	ck_assert_uint_eq(slots_used(), 2); /* DIRTY has none */
}
END_TEST

/* ---- widen ---- */

START_TEST(widen_forward)
{
	engine_out(at(10), 20);
	claim(12, false);
	engine_remember();
	ck_assert_uint_eq(widen(0, 5), 5);
	expect_run(12, 6);
	engine_expect(C(prefetch_pages) = 5, C(resident_pages) = 5,
		      C(swapped_pages) = -5);
	ck_assert_uint_eq(widen(0, 0), 0);
	ck_assert_uint_eq(widen(0, 100), 12); /* to the end of the run */
	expect_run(12, 18);
	ck_assert_uint_eq(widen(0, 100), 0);
	finish();
}
END_TEST

START_TEST(widen_backward)
{
	uint64_t slot = engine_out(at(10), 20);

	claim(20, false);
	ck_assert_uint_eq(widen(4, 0), 4);
	expect_run(16, 5);
	ck_assert_uint_eq(fill.io.slot, slot + 6);
	ck_assert_uint_eq(fill.demand, 20);
	ck_assert_uint_eq(widen(100, 3), 9);
	expect_run(10, 14);
	ck_assert_uint_eq(fill.io.slot, slot);
	finish();
	expect_range(10, 14, PAGE_CLEAN);
	expect_range(24, 6, PAGE_SWAPPED);
}
END_TEST

START_TEST(widen_stops_at_the_block)
{
	gaddr_t two = engine_map(2 * BLOCK_PAGES, RW);

	addr = two;
	engine_out(at(0), 4);
	engine_out(at(BLOCK_PAGES - 4), 4);
	engine_out(at(BLOCK_PAGES), 4); /* slots go on */
	claim(BLOCK_PAGES - 2, false);
	ck_assert_uint_eq(widen(0, 10), 1);
	expect_run(BLOCK_PAGES - 2, 2);
	finish();
	claim(1, false);
	ck_assert_uint_eq(widen(10, 0), 1);
	ck_assert_uint_eq(fill.first, 0);
	finish();
}
END_TEST

START_TEST(widen_stops_at_the_region)
{
	addr = (gaddr_t)99 << BLOCK_SHIFT;
	engine_map_at(at(0), 10);
	engine_map_at(at(10), 10); /* the same block, another region */
	engine_map_at(at(20), 10);
	engine_out(at(5), 20);
	claim(12, false);
	ck_assert_uint_eq(widen(20, 20), 9);
	expect_run(10, 10);
	finish();
}
END_TEST

START_TEST(widen_stops_at_the_stripe)
{
	struct region *r = regions_at_guest(&vm->regions, addr);

	engine_out(at(0), 40);
	r->stripe_shift = PAGE_SHIFT + 3; /* 8 pages; one handler anyway */
	claim(19, false);
	ck_assert_uint_eq(widen(30, 30), 7);
	expect_run(16, 8);
	r->stripe_shift = 47;
	finish();
}
END_TEST

START_TEST(widen_stops_where_slots_do)
{
	engine_out(at(20), 5);
	engine_out(at(10), 10); /* later slots, lower addresses */
	claim(22, false);
	ck_assert_uint_eq(widen(30, 30), 4);
	expect_run(20, 5);
	finish();
	expect_range(10, 10, PAGE_SWAPPED);
}
END_TEST

START_TEST(widen_stops_at_a_page_that_is_not_out)
{
	engine_out(at(10), 20);
	ck_assert_int_eq(engine_fault(at(12), false), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(18), true), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(18), false), FAULT_DONE);
	claim(15, false);
	ck_assert_uint_eq(widen(30, 30), 4);
	ck_assert_uint_eq(fill.first, 13);
	ck_assert_uint_eq(fill.io.pages, 5);
	finish();
}
END_TEST

START_TEST(widen_stops_at_the_room)
{
	engine_out(at(10), 40);
	fill.room = 7;
	claim(30, false);
	ck_assert_uint_eq(widen(10, 4), 6); /* behind comes first */
	expect_run(28, 7);
	ck_assert_uint_eq(widen(1, 1), 0);
	finish();
	fill.room = 1;
	claim(20, false);
	ck_assert_uint_eq(widen(9, 9), 0);
	finish();
	fill.room = ENGINE_ROOM;
}
END_TEST

/* Readahead leaves one frame, and half of `low`: 16 asked, 8 tried, 4 ... */
START_TEST(widen_stops_at_the_frames)
{
	engine_out(at(10), 40);
	frames_resize(&vm->frames, 12, 0, 0);
	claim(20, false);
	ck_assert_uint_eq(widen(0, 16), 8);
	expect_run(20, 9);
	ck_assert_uint_eq(widen(0, 16), 2);
	ck_assert_uint_eq(widen(0, 16), 0);
	finish();
	frames_resize(&vm->frames, 100, 10, 20);
	claim(40, false); /* 12 used; with these 92: two above 10 / 2 + 1 */
	ck_assert(space_take_frames(vm, actor, 80, 0));
	ck_assert_uint_eq(widen(0, 3), 1);
	ck_assert_uint_eq(widen(0, 3), 1);
	ck_assert_uint_eq(widen(0, 3), 0);
	space_give_frames(vm, actor, 80);
	finish();
}
END_TEST

START_TEST(widen_after_the_region_is_gone)
{
	struct region *r = regions_at_guest(&vm->regions, addr);
	gaddr_t elsewhere = engine_map(BLOCK_PAGES, RW);

	engine_out(at(0), 4);
	claim(0, false);
	fill.host = host_of(elsewhere) + BLOCK_BYTES; /* nobody's */
	if (!regions_at_host(&vm->regions, fill.host))
		ck_assert_uint_eq(widen(0, 3), 0);
	fill.host = region_to_host(r, addr);
	finish();
}
END_TEST

/* ---- claim ahead ---- */

static bool ahead(unsigned from, unsigned to, unsigned *next)
{
	gaddr_t stop = 0;
	bool claimed =
		fill_claim_ahead(vm, actor, at(from), at(to), &fill, &stop);

	*next = (unsigned)((stop - addr) >> PAGE_SHIFT);
	return claimed;
}

START_TEST(ahead_finds_runs_over_holes)
{
	unsigned next;

	engine_out(at(10), 5);
	engine_out(at(20), 5);
	engine_out(at(30), 5);
	engine_remember();
	ck_assert(ahead(0, 100, &next));
	expect_run(10, 5);
	ck_assert(!fill.has_demand && !fill.write);
	ck_assert_uint_eq(next, 15);
	engine_expect(C(prefetch_pages) = 5, C(resident_pages) = 5,
		      C(swapped_pages) = -5);
	finish();
	expect_range(10, 5, PAGE_CLEAN);
	ck_assert(ahead(next, 100, &next));
	ck_assert_uint_eq(fill.first, 20);
	ck_assert_uint_eq(next, 25);
	finish();
	ck_assert(ahead(next, 33, &next)); /* part of a run */
	ck_assert_uint_eq(fill.io.pages, 3);
	ck_assert_uint_eq(next, 33);
	finish();
	ck_assert(!ahead(25, 30, &next));
	ck_assert_uint_eq(next, 30);
	ck_assert(ahead(33, 34, &next)); /* one page */
	ck_assert_uint_eq(fill.io.pages, 1);
	finish();
	ck_assert(ahead(33, BLOCK_PAGES, &next));
	ck_assert_uint_eq(fill.first, 34);
	finish();
	ck_assert(!ahead(0, BLOCK_PAGES, &next));
	ck_assert_uint_eq(next, BLOCK_PAGES);
	engine_expect(C(prefetch_pages) = 10, C(resident_pages) = 10,
		      C(swapped_pages) = -10, C(swapin_pages) = 15,
		      C(swapin_reads) = 5);
}
END_TEST

/* One block at a time, blocks that do not exist in no time. */
START_TEST(ahead_over_blocks)
{
	unsigned next, from;

	addr = engine_map(100 * BLOCK_PAGES, RW);
	engine_out(at(BLOCK_PAGES - 3), 3);
	engine_out(at(BLOCK_PAGES), 2);
	engine_out(at(90 * BLOCK_PAGES + 7), 2);
	ck_assert(ahead(0, 100 * BLOCK_PAGES, &next));
	ck_assert_uint_eq(next, BLOCK_PAGES);
	ck_assert_uint_eq(fill.io.pages, 3);
	finish();
	ck_assert(ahead(next, 100 * BLOCK_PAGES, &next));
	ck_assert_uint_eq(next, BLOCK_PAGES + 2);
	finish();
	from = next;
	ck_assert(!ahead(from, 100 * BLOCK_PAGES, &next)); /* its rest */
	ck_assert_uint_eq(next, 2 * BLOCK_PAGES);
	ck_assert(ahead(next, 100 * BLOCK_PAGES, &next));
	ck_assert_uint_eq(fill.first, 7);
	ck_assert_uint_eq(next, 90 * BLOCK_PAGES + 9);
	finish();
}
END_TEST

START_TEST(ahead_stays_in_the_region)
{
	unsigned next;

	addr = (gaddr_t)99 << BLOCK_SHIFT;
	engine_map_at(at(10), 10);
	engine_map_at(at(20), 10);
	engine_map_at(at(40), 10);
	engine_out(at(15), 10);
	engine_out(at(45), 5);
	ck_assert(ahead(0, 512, &next));
	ck_assert_uint_eq(next, 20);
	ck_assert_uint_eq(fill.io.pages, 5);
	finish();
	ck_assert(ahead(next, 512, &next));
	ck_assert_uint_eq(next, 25);
	finish();
	ck_assert(!ahead(next, 512, &next));
	ck_assert_uint_eq(next, 30);
	ck_assert(ahead(next, 512, &next));
	ck_assert_uint_eq(next, 50);
	finish();
	ck_assert(!ahead(next, 512, &next));
	ck_assert_uint_eq(next, 512);
}
END_TEST

START_TEST(ahead_stops_at_slots_and_room)
{
	unsigned next;

	engine_out(at(13), 3);
	engine_out(at(10), 3); /* the later slots */
	ck_assert(ahead(10, 16, &next));
	ck_assert_uint_eq(next, 13);
	finish();
	fill.room = 2;
	ck_assert(ahead(next, 16, &next));
	ck_assert_uint_eq(next, 15);
	finish();
	fill.room = ENGINE_ROOM;
}
END_TEST

START_TEST(ahead_needs_frames)
{
	unsigned next;

	engine_out(at(10), 8);
	frames_resize(&vm->frames, 5, 0, 0);
	ck_assert(space_take_frames(vm, actor, 4, 0));
	engine_remember();
	ck_assert(!ahead(0, 100, &next));
	engine_expect_nothing();
	expect_range(10, 8, PAGE_SWAPPED);
	space_give_frames(vm, actor, 4);
	ck_assert(ahead(0, 100, &next));
	expect_run(10, 4);
	finish();
}
END_TEST

/* ---- install ---- */

/* The page has this content, by its frame and by a plain read. */
static void expect_content(unsigned i, unsigned version)
{
	ck_assert(stamped(frame_of(at(i)), at(i), version));
	ck_assert(stamped(ptr_of(at(i)), at(i), version));
}

START_TEST(installed_for_reading)
{
	uint64_t slot = engine_out(at(10), 1);

	engine_remember();
	claim(10, false);
	finish();
	expect_state(at(10), PAGE_CLEAN);
	ck_assert_uint_eq(pte_slot(entry(at(10))), slot);
	ck_assert_uint_eq(pte_age(entry(at(10))), vm->policy->new_age);
	ck_assert(!(entry(at(10)) & PTE_PREFETCHED));
	ck_assert(is_mapped(at(10)));
	ck_assert_uint_gt(pt_find(&vm->pt, addr)->filled_us, 0);
	engine_expect(C(faults) = 1, C(faults_swapin) = 1, C(swapin_pages) = 1,
		      C(swapin_reads) = 1, C(resident_pages) = 1,
		      C(swapped_pages) = -1);
	expect_content(10, 1);
	ck_assert_uint_eq(slots_used(), 1);
}
END_TEST

/* A write to a page that was installed for reading is an event. */
START_TEST(installed_for_reading_is_protected)
{
	struct app app;
	struct os_fault f;
	unsigned i;

	engine_out(at(10), 2);
	claim(10, false);
	widen(0, 1);
	finish();
	for (i = 10; i < 12; i++) {
		app_start(&app, at(i), true, 77);
		f = app_event();
		ck_assert_uint_eq(page_floor(f.addr), host_of(at(i)));
		ck_assert(f.protect);
		ck_assert(stamped(frame_of(at(i)), at(i), 1));
		ck_assert_int_eq(engine_fault(at(i), true), FAULT_DONE);
		app_join(&app);
		ck_assert_int_eq(app.signal, 0);
		ck_assert_uint_eq(*(uint64_t *)(void *)ptr_of(at(i)), 77);
	}
}
END_TEST

START_TEST(installed_for_writing)
{
	engine_out(at(10), 1);
	engine_remember();
	claim(10, true);
	finish();
	expect_state(at(10), PAGE_DIRTY);
	engine_expect(C(faults) = 1, C(faults_swapin) = 1, C(swapin_pages) = 1,
		      C(swapin_reads) = 1, C(resident_pages) = 1,
		      C(dirty_pages) = 1, C(swapped_pages) = -1);
	expect_content(10, 1);
	stamp(ptr_of(at(10)), at(10), 2); /* no event: or this would hang */
	expect_content(10, 2);
	ck_assert_uint_eq(slots_used(), 0);
}
END_TEST

/* Where reads are usually followed by a write, the page and its company. */
START_TEST(installed_for_the_write_to_come)
{
	unsigned i;

	engine_out(at(10), 4);
	engine_remember();
	regions_at_guest(&vm->regions, addr)->intent.on = 1;
	claim(10, false);
	ck_assert_uint_eq(widen(0, 3), 3);
	finish();
	expect_range(10, 4, PAGE_DIRTY);
	engine_expect(C(faults) = 1, C(faults_swapin) = 1, C(swapin_pages) = 4,
		      C(swapin_reads) = 1, C(prefetch_pages) = 3,
		      C(intent_pages) = 4, C(resident_pages) = 4,
		      C(dirty_pages) = 4, C(swapped_pages) = -4);
	ck_assert_uint_eq(slots_used(), 0);
	for (i = 10; i < 14; i++) {
		ck_assert_int_eq(!!(entry(at(i)) & PTE_PREFETCHED), i > 10);
		expect_content(i, 1);
		stamp(ptr_of(at(i)), at(i), 2); /* no event, or it hangs */
		expect_content(i, 2);
	}
}
END_TEST

START_TEST(read_only_regions_are_filled_for_reading)
{
	engine_out(at(10), 1);
	ck_assert_int_eq(mapping_protect(vm, at(0), at(BLOCK_PAGES), VVM_READ),
			 0);
	regions_at_guest(&vm->regions, addr)->intent.on = 1;
	claim(10, false);
	finish();
	expect_state(at(10), PAGE_CLEAN);
}
END_TEST

START_TEST(readahead_is_not_mapped_and_old)
{
	unsigned i;

	engine_out(at(10), 9);
	claim(14, true);
	ck_assert_uint_eq(widen(4, 4), 8);
	finish();
	for (i = 10; i < 19; i++) {
		if (i == 14)
			continue;
		expect_state(at(i), PAGE_CLEAN);
		ck_assert(entry(at(i)) & PTE_PREFETCHED);
		ck_assert_uint_eq(pte_age(entry(at(i))), 0);
		ck_assert_uint_ne(pte_slot(entry(at(i))), 0);
		ck_assert(!is_mapped(at(i)));
		expect_content(i, 1); /* the kernel maps it by itself */
		ck_assert(is_mapped(at(i)));
	}
	expect_state(at(14), PAGE_DIRTY);
	ck_assert(is_mapped(at(14)));
	ck_assert(!(entry(at(14)) & PTE_PREFETCHED));
	ck_assert_uint_eq(slots_used(), 8);
}
END_TEST

START_TEST(ahead_is_installed_like_readahead)
{
	unsigned next;

	engine_out(at(10), 3);
	ck_assert(ahead(0, 100, &next));
	finish();
	expect_range(10, 3, PAGE_CLEAN);
	ck_assert(!is_mapped(at(10)) && entry(at(10)) & PTE_PREFETCHED);
	expect_content(12, 1);
}
END_TEST

/* Who joined a fill is woken by its install, mapped or not. */
START_TEST(install_wakes_the_waiters)
{
	struct app app;

	engine_out(at(10), 4);
	claim(10, false);
	widen(0, 3);
	app_start(&app, at(12), false, 0);
	ck_assert_uint_eq(page_floor(app_event().addr), host_of(at(12)));
	finish();
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
	ck_assert_uint_eq(app.value, word_of(at(12), 1));
}
END_TEST

/* ---- bad pages ---- */

static void set_bad(unsigned i)
{
	fill.io.bad[i / 64] |= (uint64_t)1 << i % 64;
}

START_TEST(a_bad_demanded_page_is_poisoned)
{
	engine_out(at(10), 5);
	claim(12, false);
	widen(2, 2);
	engine_read();
	set_bad(2);
	engine_remember();
	ck_assert_int_eq(fill_install(&fill, actor, 0), FAULT_FAILED);
	space_check(vm);
	expect_range(10, 2, PAGE_CLEAN);
	expect_state(at(12), PAGE_POISONED);
	expect_range(13, 2, PAGE_CLEAN);
	ck_assert_uint_eq(vm->frames.used, 4);
	engine_expect(C(swapin_pages) = 5, C(swapin_reads) = 1,
		      C(read_errors) = 1, C(poisoned_pages) = 1,
		      C(resident_pages) = -1);
	expect_content(11, 1);
	expect_content(13, 1);
}
END_TEST

START_TEST(bad_readahead_goes_back)
{
	uint64_t slot = engine_out(at(10), 6);

	claim(12, false);
	widen(2, 3);
	engine_read();
	set_bad(0);
	set_bad(3);
	set_bad(5);
	engine_remember();
	ck_assert_int_eq(fill_install(&fill, actor, 0), FAULT_DONE);
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_range(11, 2, PAGE_CLEAN);
	expect_state(at(13), PAGE_SWAPPED);
	expect_state(at(14), PAGE_CLEAN);
	expect_state(at(15), PAGE_SWAPPED);
	ck_assert_uint_eq(pte_slot(entry(at(13))), slot + 3);
	engine_expect(C(swapin_pages) = 6, C(swapin_reads) = 1,
		      C(resident_pages) = -3, C(swapped_pages) = 3);
	ck_assert_int_eq(engine_fault(at(13), false), FAULT_DONE);
	expect_content(13, 1); /* a fault of its own tries again */
	expect_content(14, 1);
}
END_TEST

START_TEST(a_failed_read_spoils_only_the_demand)
{
	engine_out(at(10), 5);
	claim(12, false);
	widen(2, 2);
	engine_remember();
	ck_assert_int_eq(fill_install(&fill, actor, -EIO), FAULT_FAILED);
	space_check(vm);
	expect_range(10, 2, PAGE_SWAPPED);
	expect_state(at(12), PAGE_POISONED);
	expect_range(13, 2, PAGE_SWAPPED);
	ck_assert_uint_eq(vm->frames.used, 0);
	engine_expect(C(swapin_pages) = 5, C(swapin_reads) = 1,
		      C(read_errors) = 1, C(poisoned_pages) = 1,
		      C(resident_pages) = -5, C(swapped_pages) = 4);
}
END_TEST

START_TEST(a_failed_readahead_is_as_if_it_had_not_been)
{
	unsigned next;

	engine_out(at(10), 5);
	engine_remember();
	ck_assert(ahead(0, 100, &next));
	ck_assert_int_eq(fill_install(&fill, actor, -EIO), FAULT_DONE);
	space_check(vm);
	expect_range(10, 5, PAGE_SWAPPED);
	engine_expect(C(swapin_pages) = 5, C(swapin_reads) = 1,
		      C(prefetch_pages) = 5);
}
END_TEST

/* ---- the kernel refuses ---- */

static const struct {
	int error;
	enum fault_result result;
} refusals[] = {
	{ENOENT, FAULT_GONE},
	{ESRCH, FAULT_GONE},
	{EAGAIN, FAULT_RETRY},
	{ENOMEM, FAULT_RETRY},
};

START_TEST(copy_refused)
{
	uint64_t slot = engine_out(at(10), 4);

	claim(10, true);
	widen(0, 3);
	engine_read();
	engine_remember();
	os_inject(OS_uffd_copy, 1, false, refusals[_i].error);
	ck_assert_int_eq(fill_install(&fill, actor, 0), refusals[_i].result);
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	ck_assert_uint_eq(pte_slot(entry(at(10))), slot);
	expect_range(11, 3, PAGE_CLEAN); /* those had no copy */
	engine_expect(C(swapin_pages) = 4, C(swapin_reads) = 1,
		      C(resident_pages) = -1, C(swapped_pages) = 1);
	ck_assert_int_eq(engine_fault(at(10), false), FAULT_DONE);
	expect_content(10, 1);
}
END_TEST

/* What is in the memfd against all expectation is overwritten. */
static void expect_overwritten(bool write)
{
	ck_assert_int_eq(fill_install(&fill, actor, 0), FAULT_DONE);
	space_check(vm);
	expect_state(at(10), write ? PAGE_DIRTY : PAGE_CLEAN);
	expect_content(10, 1);
}

START_TEST(a_frame_that_is_there_already)
{
	static char junk[PAGE_BYTES];
	bool write = _i & 1, injected = _i & 2;
	struct app app;

	memset(junk, 0x55, sizeof(junk));
	engine_out(at(10), 1);
	claim(10, write);
	engine_read();
	if (injected)
		os_inject(OS_uffd_copy, 1, false, EEXIST);
	else
		ck_assert_int_eq(os_pwrite(vm->memfd, junk, PAGE_BYTES,
					   host_of(at(10))),
				 0);
	expect_overwritten(write);
	app_start(&app, at(10), true, 5);
	if (!write) { /* protected all the same */
		ck_assert(app_event().protect);
		ck_assert_int_eq(engine_fault(at(10), true), FAULT_DONE);
	}
	app_join(&app);
	ck_assert_uint_eq(*(uint64_t *)(void *)ptr_of(at(10)), 5);
}
END_TEST

static const enum os_point install_points[] = {OS_uffd_wp, OS_frame_write,
					       OS_uffd_wake};

/* Readahead that cannot be installed goes back; the demand is there. */
START_TEST(readahead_refused)
{
	engine_out(at(10), 4);
	claim(10, false);
	widen(0, 3);
	engine_read();
	engine_remember();
	os_inject(install_points[_i], 1, false, ENOMEM);
	ck_assert_int_eq(fill_install(&fill, actor, 0), FAULT_DONE);
	os_inject_clear();
	space_check(vm);
	expect_state(at(10), PAGE_CLEAN);
	expect_range(11, 3, PAGE_SWAPPED);
	ck_assert_uint_eq(vm->frames.used, 1);
	engine_expect(C(swapin_pages) = 4, C(swapin_reads) = 1,
		      C(resident_pages) = -3, C(swapped_pages) = 3);
	ck_assert_int_eq(engine_fault(at(11), true), FAULT_DONE);
	expect_content(11, 1);
	stamp(ptr_of(at(11)), at(11), 2); /* no protection was left behind */
	expect_content(11, 2);
}
END_TEST

/*
 * The overwriting of a frame that is there fails: it must not stay, half
 * written, to be mapped by the kernel as the page's content.
 */
START_TEST(overwriting_refused)
{
	uint64_t allocated = 1;

	engine_out(at(10), 1);
	claim(10, false);
	engine_read();
	ck_assert_int_eq(os_pwrite(vm->memfd, "junk", 4, host_of(at(10))), 0);
	os_inject(install_points[_i], 1, false, ENOMEM);
	ck_assert_int_eq(fill_install(&fill, actor, 0), FAULT_RETRY);
	os_inject_clear();
	expect_state(at(10), PAGE_SWAPPED);
	ck_assert_uint_eq(vm->frames.used, 0);
	ck_assert_int_eq(os_allocated(vm->memfd, &allocated), 0);
	ck_assert_uint_eq(allocated, 0);
	space_check(vm);
	ck_assert_int_eq(engine_fault(at(10), false), FAULT_DONE);
	expect_content(10, 1);
}
END_TEST

/* ---- put ---- */

START_TEST(put_many_and_some_are_there)
{
	uint64_t host = host_of(addr);
	unsigned i;
	int rc = 1;

	for (i = 0; i < 8; i++)
		stamp(engine_buf + pages_to_bytes(i), at(i), 3);
	ck_assert_int_eq(os_pwrite(vm->memfd, "x", 1, host + 2 * PAGE_BYTES),
			 0);
	ck_assert_int_eq(os_pwrite(vm->memfd, "x", 1, host + 5 * PAGE_BYTES),
			 0);
	ck_assert_uint_eq(fill_put(vm, vm->port[0].uffd, host, engine_buf, 8,
				   false, &rc),
			  8);
	ck_assert_int_eq(rc, 0);
	for (i = 0; i < 8; i++)
		ck_assert(stamped(frame_of(at(i)), at(i), 3));
	ck_assert_uint_eq(fill_put(vm, vm->port[0].uffd, host + 8 * PAGE_BYTES,
				   NULL, 1, false, &rc),
			  1);
	ck_assert_uint_eq(*ptr_of(at(8)), 0);
	os_inject(OS_uffd_copy, 1, false, ENOMEM);
	ck_assert_uint_eq(fill_put(vm, vm->port[0].uffd, host + 9 * PAGE_BYTES,
				   NULL, 1, false, &rc),
			  0);
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_int_eq(os_punch(vm->memfd, host, 10 * PAGE_BYTES), 0);
}
END_TEST

/* ---- running it ---- */

static void add_claim_tests(Suite *s)
{
	TCase *tc = test_case(s, "claim", 30);

	tcase_add_checked_fixture(tc, setup, engine_close);
	tcase_add_test(tc, claim_takes_one_page);
	tcase_add_test(tc, widen_forward);
	tcase_add_test(tc, widen_backward);
	tcase_add_test(tc, widen_stops_at_the_block);
	tcase_add_test(tc, widen_stops_at_the_region);
	tcase_add_test(tc, widen_stops_at_the_stripe);
	tcase_add_test(tc, widen_stops_where_slots_do);
	tcase_add_test(tc, widen_stops_at_a_page_that_is_not_out);
	tcase_add_test(tc, widen_stops_at_the_room);
	tcase_add_test(tc, widen_stops_at_the_frames);
	tcase_add_test(tc, widen_after_the_region_is_gone);
	tcase_add_test(tc, ahead_finds_runs_over_holes);
	tcase_add_test(tc, ahead_over_blocks);
	tcase_add_test(tc, ahead_stays_in_the_region);
	tcase_add_test(tc, ahead_stops_at_slots_and_room);
	tcase_add_test(tc, ahead_needs_frames);
}

int main(void)
{
	Suite *s = suite_create("fill");
	TCase *tc = test_case(s, "install", 30);

	tcase_add_checked_fixture(tc, setup, engine_close);
	tcase_add_test(tc, installed_for_reading);
	tcase_add_test(tc, installed_for_reading_is_protected);
	tcase_add_test(tc, installed_for_writing);
	tcase_add_test(tc, installed_for_the_write_to_come);
	tcase_add_test(tc, read_only_regions_are_filled_for_reading);
	tcase_add_test(tc, readahead_is_not_mapped_and_old);
	tcase_add_test(tc, ahead_is_installed_like_readahead);
	tcase_add_test(tc, install_wakes_the_waiters);
	tcase_add_test(tc, a_bad_demanded_page_is_poisoned);
	tcase_add_test(tc, bad_readahead_goes_back);
	tcase_add_test(tc, a_failed_read_spoils_only_the_demand);
	tcase_add_test(tc, a_failed_readahead_is_as_if_it_had_not_been);
	tcase_add_loop_test(tc, copy_refused, 0, (int)ARRAY_SIZE(refusals));
	tcase_add_loop_test(tc, a_frame_that_is_there_already, 0, 4);
	tcase_add_loop_test(tc, readahead_refused, 0,
			    (int)ARRAY_SIZE(install_points));
	tcase_add_loop_test(tc, overwriting_refused, 0,
			    (int)ARRAY_SIZE(install_points));
	tcase_add_test(tc, put_many_and_some_are_there);
	add_claim_tests(s);
	return engine_run(s, "check_fill");
}
