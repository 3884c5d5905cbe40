/* SPDX-License-Identifier: MIT */
/*
 * unit/ahead.c - what one read of readahead takes: runs of slots over holes
 * and gaps, up and down, at any stride, and where they end; how the job
 * shrinks; frames; zeros ahead. After each: states, frames, content. Needs
 * userfaultfd, else skips.
 */
#include "fill/ahead.h"

#include <errno.h>
#include <unistd.h>

#include "support/engine.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define RW (VVM_READ | VVM_WRITE)

static struct ahead_job job;

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

static void want(unsigned first, int64_t stride, uint64_t count)
{
	job = (struct ahead_job){.addr = at(first),
				 .stride = stride,
				 .count = count,
				 .most = count};
}

static enum ahead_result claim(void)
{
	return engine_claim_ahead(&job);
}

/* The next read covers `slots` slots; `pages` of them are wanted. */
static void expect_read(unsigned slots, unsigned pages)
{
	uint64_t used = vm->frames.used;
	unsigned i, wanted = 0;

	ck_assert_int_eq(claim(), AHEAD_CLAIMED);
	ck_assert_uint_eq(engine_io->pages, slots);
	for (i = 0; i < slots; i++) {
		gaddr_t page = io_page_addr(engine_io, i);

		if (io_page_gap(engine_io, i))
			continue;
		wanted++;
		expect_state(page, PAGE_FILLING);
		ck_assert_uint_eq(pte_slot(entry(page)), engine_io->slot + i);
		ck_assert_uint_eq(ra.host + pages_to_bytes(ra.index[i]),
				  host_of(page));
	}
	ck_assert_uint_eq(wanted, pages);
	ck_assert_uint_eq(vm->frames.used, used + pages);
	space_check(vm);
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	space_check(vm);
}

/* The job is over, at once or in a few steps over nothing. */
static void expect_end(void)
{
	unsigned steps;

	for (steps = 0; job.count; steps++) {
		ck_assert_uint_lt(steps, 1000);
		ck_assert_int_eq(claim(), AHEAD_NOTHING);
	}
	ck_assert_int_eq(claim(), AHEAD_NOTHING);
}

/* Pages first, first + step, ... are there, n of them, and no others. */
static void expect_there(unsigned first, unsigned step, unsigned n)
{
	ck_assert_uint_eq(vm->frames.used, n);
	for (; n; n--, first += step) {
		expect_state(at(first), PAGE_CLEAN);
		ck_assert(stamped(ptr_of(at(first)), at(first), 1));
	}
}

static void waste_a_slot(void)
{
	uint64_t slot, got;

	ck_assert_int_eq(vm->swap->ops->take(vm->swap, 8, &slot, &got), 0);
	engine_out(at(511), 1);
	vm->swap->ops->give(vm->swap, slot, got);
}

/* ---- runs ---- */

START_TEST(a_run)
{
	engine_out(at(10), 5);
	want(0, 1, 100);
	engine_remember();
	expect_read(5, 5);
	ck_assert_uint_eq(job.addr, at(15));
	ck_assert_uint_eq(job.count, 85);
	ck_assert_uint_eq(job.most, 95);
	engine_expect(C(prefetch_pages) = 5, C(resident_pages) = 5,
		      C(swapped_pages) = -5, C(swapin_pages) = 5,
		      C(swapin_reads) = 1);
	expect_end();
	expect_there(10, 1, 5);
}
END_TEST

/* Pages that are there do not end a run whose slots go on. */
START_TEST(a_run_over_pages_that_are_there)
{
	engine_out(at(10), 20);
	ck_assert_int_eq(engine_fault(at(12), false), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(17), false), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(18), false), FAULT_DONE);
	want(10, 1, 20);
	expect_read(20, 17);
	ck_assert_uint_eq(job.count, 0);
	expect_there(10, 1, 20);
}
END_TEST

START_TEST(slots_in_a_row_over_fresh_pages)
{
	engine_out(at(10), 5);
	engine_out(at(20), 5); /* the next slots */
	want(0, 1, 100);
	expect_read(10, 10);
	expect_end();
}
END_TEST

/* Three slots that nobody wants are read over, four are not. */
START_TEST(gaps)
{
	engine_out(at(10), 20);
	want(10, 4, 5);
	expect_read(17, 5);
	expect_end();
	expect_there(10, 4, 5);
	want(11, 5, 3);
	expect_read(1, 1);
	ck_assert_uint_eq(job.addr, at(16));
	expect_read(1, 1);
	expect_read(1, 1);
	ck_assert_uint_eq(job.count, 0);
}
END_TEST

/* A bad page in a gap is nobody's. */
START_TEST(a_gap_may_be_bad)
{
	/* A write of another page into the slot of page 11. */
	struct io io = {.done = engine_read_done,
			.addr = at(300),
			.pages = 1,
			.buf = engine_buf,
			.slot = engine_out(at(10), 7) + 1};

	vm->swap->ops->write(vm->swap, NULL, &io);
	want(10, 3, 3);
	expect_read(7, 3);
	expect_there(10, 3, 3);
}
END_TEST

START_TEST(backward)
{
	engine_out(at(10), 20);
	want(29, -1, 8);
	expect_read(8, 8);
	ck_assert_uint_eq(job.count, 0);
	expect_there(22, 1, 8);
	want(21, -3, 4);
	expect_read(10, 4);
	expect_end();
	expect_state(at(12), PAGE_CLEAN);
	expect_state(at(13), PAGE_SWAPPED);
}
END_TEST

/* Written in the opposite order: slots go down as addresses go up. */
START_TEST(slots_that_go_down)
{
	unsigned i;

	for (i = 20; i-- > 10;)
		engine_out(at(i), 1);
	want(10, 1, 10);
	expect_read(10, 10);
	expect_there(10, 1, 10);
}
END_TEST

/* Strided pages that were written together are neighbours in the file. */
START_TEST(a_long_stride_with_slots_in_a_row)
{
	unsigned i;

	for (i = 0; i < 6; i++)
		engine_out(at(30 * i), 1);
	want(0, 30, 6);
	expect_read(6, 6);
	expect_there(0, 30, 6);
}
END_TEST

START_TEST(a_run_that_turns_ends)
{
	engine_out(at(12), 3);
	engine_out(at(10), 2); /* later slots */
	want(10, 1, 10);
	expect_read(2, 2);
	ck_assert_uint_eq(job.addr, at(12));
	expect_read(3, 3);
	expect_end();
	engine_out(at(50), 3);
	waste_a_slot();
	engine_out(at(53), 3);
	want(50, 1, 6);
	expect_read(3, 3);
	expect_read(3, 3);
	expect_end();
}
END_TEST

START_TEST(a_run_ends_with_the_room)
{
	engine_out(at(10), 20);
	ra.room = 7;
	want(10, 1, 20);
	expect_read(7, 7);
	ra.room = 5;
	expect_read(5, 5);
	want(22, 3, 3);
	expect_read(4, 2); /* 22, 25; 28 is the 7th slot */
	ck_assert_uint_eq(job.addr, at(28));
	ra.room = 1;
	expect_read(1, 1);
	ra.room = ENGINE_ROOM;
}
END_TEST

START_TEST(a_job_ends_with_most)
{
	engine_out(at(10), 20);
	want(10, 1, 20);
	job.most = 7;
	expect_read(7, 7);
	ck_assert_uint_eq(job.count, 0);
	expect_there(10, 1, 7);
}
END_TEST

/* ---- blocks, regions, stripes ---- */

START_TEST(a_run_ends_with_the_block)
{
	addr = engine_map(100 * BLOCK_PAGES, RW);
	engine_out(at(BLOCK_PAGES - 3), 3);
	engine_out(at(BLOCK_PAGES), 2);
	engine_out(at(90 * BLOCK_PAGES + 7), 2);
	want(0, 1, 100 * BLOCK_PAGES);
	expect_read(3, 3);
	ck_assert_uint_eq(job.addr, at(BLOCK_PAGES));
	expect_read(2, 2);
	ck_assert_int_eq(claim(), AHEAD_NOTHING); /* the rest of the block */
	ck_assert_int_eq(claim(), AHEAD_NOTHING); /* 88 that do not exist */
	expect_read(2, 2);
	expect_end();
	want(BLOCK_PAGES + 1, -1, 4); /* and backward: all is there now */
	expect_end();
}
END_TEST

START_TEST(backward_over_a_block)
{
	addr = engine_map(3 * BLOCK_PAGES, RW);
	engine_out(at(BLOCK_PAGES - 3), 3);
	engine_out(at(2 * BLOCK_PAGES), 2);
	want(2 * BLOCK_PAGES + 1, -1, BLOCK_PAGES + 5);
	expect_read(2, 2);
	ck_assert_int_eq(claim(), AHEAD_NOTHING); /* a block that is not */
	expect_read(3, 3);
	ck_assert_uint_eq(job.count, 0);
}
END_TEST

START_TEST(a_run_ends_with_the_region)
{
	addr = (gaddr_t)99 << BLOCK_SHIFT;
	engine_map_at(at(10), 10);
	engine_map_at(at(20), 10);
	engine_map_at(at(40), 10);
	engine_out(at(15), 10);
	engine_out(at(45), 5);
	want(0, 1, BLOCK_PAGES);
	ck_assert_int_eq(claim(), AHEAD_NOTHING); /* no region */
	ck_assert_uint_eq(job.addr, at(10));
	expect_read(5, 5);
	expect_read(5, 5);
	ck_assert_int_eq(claim(), AHEAD_NOTHING);
	ck_assert_int_eq(claim(), AHEAD_NOTHING);
	ck_assert_uint_eq(job.addr, at(40));
	expect_read(5, 5);
	expect_end();
	want(15, -2, 1000); /* runs out of the region, and below address 0 */
	expect_end();
}
END_TEST

START_TEST(jobs_outside_of_everything)
{
	job = (struct ahead_job){.addr = GUEST_END - PAGE_BYTES,
				 .stride = 1,
				 .count = 9,
				 .most = 9};
	expect_end();
	job = (struct ahead_job){
		.addr = PAGE_BYTES, .stride = -1, .count = 9, .most = 9};
	expect_end();
	job = (struct ahead_job){.addr = UINT64_MAX - PAGE_BYTES,
				 .stride = 64,
				 .count = 9,
				 .most = 9};
	expect_end();
}
END_TEST

START_TEST(a_run_ends_with_the_stripe)
{
	struct region *r = regions_at_guest(&vm->regions, addr);

	engine_out(at(0), 40);
	r->stripe_shift = PAGE_SHIFT + 3; /* 8 pages; one handler anyway */
	want(19, 1, 100);
	expect_read(5, 5);
	expect_read(8, 8);
	want(18, -1, 5);
	expect_read(3, 3);
	expect_read(2, 2);
	r->stripe_shift = 47;
}
END_TEST

/* ---- frames ---- */

/* Readahead leaves one frame, and half of `low`: 16 asked, 8 tried, 4 ... */
START_TEST(frames_to_spare)
{
	engine_out(at(10), 40);
	frames_resize(&vm->frames, 12, 0, 0);
	want(10, 1, 16);
	expect_read(8, 8);
	expect_read(2, 2);
	expect_read(1, 1);
	engine_remember();
	ck_assert_int_eq(claim(), AHEAD_DRY);
	ck_assert_uint_eq(job.addr, at(21));
	ck_assert_uint_eq(job.count, 5);
	expect_state(at(21), PAGE_SWAPPED);
	engine_expect_nothing();
	frames_resize(&vm->frames, 100, 10, 20);
	ck_assert(space_take_frames(vm, actor, 81, 0));
	expect_read(2, 2); /* 11 used; with these 92: two above 10 / 2 + 1 */
	ck_assert_int_eq(claim(), AHEAD_DRY);
	space_give_frames(vm, actor, 81);
	expect_read(3, 3);
	expect_end();
}
END_TEST

/* Half of a strided run: the frames are for wanted pages, not for gaps. */
START_TEST(frames_for_a_strided_run)
{
	engine_out(at(10), 40);
	frames_resize(&vm->frames, 9, 0, 0);
	want(10, 3, 12);
	expect_read(16, 6);
	expect_there(10, 3, 6);
	ck_assert_uint_eq(job.addr, at(28));
}
END_TEST

/* ---- triggers ---- */

START_TEST(the_first_page_that_is_read_is_the_trigger)
{
	engine_out(at(10), 10);
	ck_assert_int_eq(engine_fault(at(10), false), FAULT_DONE);
	want(10, 1, 6);
	job.trigger = true;
	expect_read(5, 5);
	expect_state(at(11), PAGE_SWAPPED);
	ck_assert(entry(at(11)) & PTE_PREFETCHED);
	expect_state(at(12), PAGE_CLEAN);
	ck_assert(!job.trigger);
	want(19, -1, 3);
	job.trigger = true;
	expect_read(3, 3);
	expect_state(at(17), PAGE_CLEAN);
	expect_state(at(18), PAGE_CLEAN);
	expect_state(at(19), PAGE_SWAPPED);
}
END_TEST

/* ---- zeros ---- */

START_TEST(zeros)
{
	unsigned i;

	engine_remember();
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(5)), 20), 20);
	engine_expect(C(zero_ahead_pages) = 20, C(resident_pages) = 20,
		      C(dirty_pages) = 20);
	for (i = 5; i < 25; i++) {
		expect_state(at(i), PAGE_DIRTY);
		ck_assert(is_mapped(at(i)));
		ck_assert_uint_eq(*ptr_of(at(i)), 0);
	}
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(5)), 20), 0);
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(2)), 20), 3);
	space_check(vm);
}
END_TEST

START_TEST(zeros_over_blocks_to_the_end_of_the_region)
{
	addr = engine_map(2 * BLOCK_PAGES + 7, RW);
	ck_assert_uint_eq(
		ahead_zeros(vm, actor, host_of(at(2 * BLOCK_PAGES - 10)), 99),
		17);
	space_check(vm);
}
END_TEST

START_TEST(zeros_need_frames_and_permission)
{
	ck_assert_int_eq(mapping_protect(vm, at(0), at(8), VVM_READ), 0);
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(0)), 4), 0);
	frames_resize(&vm->frames, 20, 0, 0);
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(8)), 64), 19);
	ck_assert_uint_eq(vm->frames.used, 19);
	space_check(vm);
}
END_TEST

START_TEST(zeros_refused)
{
	os_inject(OS_uffd_zero, 1, false, ENOMEM);
	ck_assert_uint_eq(ahead_zeros(vm, actor, host_of(at(0)), 4), 0);
	ck_assert_uint_eq(vm->frames.used, 0);
	expect_state(at(0), PAGE_FRESH);
	space_check(vm);
}
END_TEST

static void add_other_tests(Suite *s)
{
	TCase *tc = test_case(s, "frames");

	tcase_add_test(tc, frames_to_spare);
	tcase_add_test(tc, frames_for_a_strided_run);
	tcase_add_test(tc, the_first_page_that_is_read_is_the_trigger);
	tcase_add_test(tc, zeros);
	tcase_add_test(tc, zeros_over_blocks_to_the_end_of_the_region);
	tcase_add_test(tc, zeros_need_frames_and_permission);
	tcase_add_test(tc, zeros_refused);
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "runs");

	tcase_add_test(tc, a_run);
	tcase_add_test(tc, a_run_over_pages_that_are_there);
	tcase_add_test(tc, slots_in_a_row_over_fresh_pages);
	tcase_add_test(tc, gaps);
	tcase_add_test(tc, a_gap_may_be_bad);
	tcase_add_test(tc, backward);
	tcase_add_test(tc, slots_that_go_down);
	tcase_add_test(tc, a_long_stride_with_slots_in_a_row);
	tcase_add_test(tc, a_run_that_turns_ends);
	tcase_add_test(tc, a_run_ends_with_the_room);
	tcase_add_test(tc, a_job_ends_with_most);
	tcase_add_test(tc, a_run_ends_with_the_block);
	tcase_add_test(tc, backward_over_a_block);
	tcase_add_test(tc, a_run_ends_with_the_region);
	tcase_add_test(tc, jobs_outside_of_everything);
	tcase_add_test(tc, a_run_ends_with_the_stripe);
	add_other_tests(s);
}

const struct test_program test_program = {
	.name = "ahead",
	.add = add_tests,
	.setup = engine_setup,
	.teardown = engine_close,
	.missing = engine_missing,
};
