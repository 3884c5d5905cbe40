/* SPDX-License-Identifier: MIT */
/*
 * unit/space.c - the state that all actors share: moves of a page, frames
 * and who is woken for one, entries that come with a region, the clock's
 * ring, waiting for busy pages; and that space_check() passes what is good
 * and aborts on each broken invariant. Needs userfaultfd or guard pages, else
 * skips.
 */
#include "space/space.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"
#include "swap/impl.h"

#define RW (VVM_READ | VVM_WRITE)

static void setup(void)
{
	engine_open(16);
}

/* ---- the clock ---- */

static gaddr_t base; /* of the blocks A, B, ... */

static struct block *nth(unsigned n)
{
	return pt_find(&vm->pt, base + n * BLOCK_BYTES);
}

/* Four blocks, none on the clock. */
static void four_blocks(void)
{
	unsigned i;

	base = engine_map(4 * BLOCK_PAGES, RW);
	for (i = 0; i < 4; i++)
		lock_drop(&block_of(base + i * BLOCK_BYTES)->lock);
}

static void add(unsigned n)
{
	struct block *b = nth(n);

	lock_take(&b->lock);
	clock_add(&vm->clock, b);
	lock_drop(&b->lock);
	ck_assert(b->on_clock);
}

static void take_off(unsigned n)
{
	struct block *b = nth(n);

	lock_take(&b->lock);
	clock_remove(&vm->clock, b);
	lock_drop(&b->lock);
	ck_assert(!b->on_clock);
}

/* Moves the hand over as many blocks as `order` has letters. */
static void expect_order(const char *order)
{
	char seen[16] = "";
	size_t i;

	for (i = 0; i < strlen(order); i++) {
		struct block *b = clock_advance(&vm->clock);

		seen[i] =
			b ? (char)('A' + (b->base - base) / BLOCK_BYTES) : '-';
	}
	ck_assert_str_eq(seen, order);
}

START_TEST(clock_goes_round)
{
	four_blocks();
	expect_order("--");
	add(0);
	expect_order("AAA");
	add(1);
	add(2);
	ck_assert_uint_eq(vm->clock.blocks, 3);
	expect_order("ABCABCA");
	add(1); /* is there already */
	ck_assert_uint_eq(vm->clock.blocks, 3);
	expect_order("BCA");
	take_off(0);
	take_off(1);
	take_off(2);
	expect_order("-");
	ck_assert_uint_eq(vm->clock.blocks, 0);
}
END_TEST

START_TEST(a_new_block_comes_last)
{
	four_blocks();
	add(0);
	add(1);
	add(2);
	expect_order("A");
	add(3); /* just behind the hand */
	expect_order("BCADBCAD");
	take_off(3);
	expect_order("BC"); /* now at the end of the ring */
	add(3);
	expect_order("ABCDA");
	take_off(0);
	take_off(1);
	take_off(2);
	take_off(3);
}
END_TEST

START_TEST(removal_keeps_the_hand)
{
	four_blocks();
	add(0);
	add(1);
	add(2);
	add(3);
	expect_order("AB");
	take_off(2); /* the one that the hand points to */
	expect_order("DABD");
	take_off(0);
	take_off(0); /* not there any more */
	ck_assert_uint_eq(vm->clock.blocks, 2);
	expect_order("BD");
	take_off(1);
	expect_order("DD");
	take_off(3);
	expect_order("--");
}
END_TEST

START_TEST(pressure_counts_full_barren_turns)
{
	unsigned i;

	four_blocks();
	clock_found(&vm->clock, false);
	ck_assert_uint_eq(clock_pressure(&vm->clock), 0); /* no block at all */
	clock_found(&vm->clock, true);
	add(0);
	add(1);
	for (i = 0; i < 20; i++) {
		ck_assert_uint_eq(clock_pressure(&vm->clock),
				  MIN(i / 2, POLICY_AGE_MAX + 1u));
		clock_found(&vm->clock, false);
	}
	clock_found(&vm->clock, true);
	ck_assert_uint_eq(clock_pressure(&vm->clock), 0);
	take_off(0);
	take_off(1);
}
END_TEST

START_TEST(a_block_is_on_the_clock_with_its_first_frame)
{
	gaddr_t addr = engine_map(BLOCK_PAGES, RW);

	ck_assert_int_eq(engine_fault(addr, false), FAULT_DONE);
	ck_assert_uint_eq(vm->clock.blocks, 1);
	ck_assert_int_eq(engine_fault(page_of(addr, 1), true), FAULT_DONE);
	ck_assert_uint_eq(vm->clock.blocks, 1);
	ck_assert_ptr_eq(clock_advance(&vm->clock), pt_find(&vm->pt, addr));
}
END_TEST

/* ---- frames ---- */

static bool signalled(int event)
{
	uint64_t ready = 0, invalid = 0;

	ck_assert_int_eq(os_poll(&event, 1, 0, &ready, &invalid), 0);
	if (ready)
		os_eventfd_drain(event);
	return ready;
}

START_TEST(frames_are_counted)
{
	ck_assert(space_take_frames(vm, actor, 10, 0));
	ck_assert(!space_take_frames(vm, actor, 7, 0));
	ck_assert(!space_take_frames(vm, actor, 6, 1));
	ck_assert(space_take_frames(vm, actor, 6, 0));
	ck_assert_uint_eq(vm->frames.used, 16);
	engine_expect(C(resident_pages) = 16);
	space_give_frames(vm, actor, 16);
	space_give_frames(vm, actor, 0);
	ck_assert_uint_eq(vm->frames.used, 0);
	ck_assert_uint_eq(vm->frames.peak, 16);
	engine_expect(C(resident_pages) = -16);
}
END_TEST

START_TEST(few_frames_wake_the_reclaimer_once)
{
	frames_resize(&vm->frames, 100, 10, 20);
	vm->reclaim_asleep = true;
	ck_assert(space_take_frames(vm, actor, 90, 0));
	ck_assert(vm->reclaim_asleep && !signalled(vm->reclaim_event));
	ck_assert(space_take_frames(vm, actor, 1, 0));
	ck_assert(!vm->reclaim_asleep && signalled(vm->reclaim_event));
	ck_assert(space_take_frames(vm, actor, 1, 0)); /* it is awake now */
	ck_assert(!signalled(vm->reclaim_event));
	vm->reclaim_asleep = true;
	ck_assert(
		!space_take_frames(vm, actor, 9, 0)); /* refused counts, too */
	ck_assert(!vm->reclaim_asleep && signalled(vm->reclaim_event));
	space_give_frames(vm, actor, 92);
	space_kick_reclaim(vm);
	ck_assert(!signalled(vm->reclaim_event));
	vm->reclaim_asleep = true;
	space_kick_reclaim(vm);
	ck_assert(!vm->reclaim_asleep && signalled(vm->reclaim_event));
}
END_TEST

START_TEST(a_frame_wakes_those_who_want_one)
{
	uint32_t ticket = waitq_ticket(&vm->frame_free);

	ck_assert(space_take_frames(vm, actor, 3, 0));
	vm->port[0].starving = true;
	space_give_frames(vm, actor, 1); /* nobody wants one */
	ck_assert(!signalled(vm->port[0].event));
	ck_assert_int_eq(waitq_wait(&vm->frame_free, ticket, 0), -ETIMEDOUT);
	vm->frames.wanted = 1;
	space_give_frames(vm, actor, 1);
	ck_assert(signalled(vm->port[0].event));
	ck_assert_int_eq(waitq_wait(&vm->frame_free, ticket, ENGINE_US), 0);
	vm->port[0].starving = false;
	space_give_frames(vm, actor, 1);
	ck_assert(!signalled(vm->port[0].event));
	vm->frames.wanted = 0;
}
END_TEST

static void *wait_for_a_frame(void *arg)
{
	uint32_t ticket = waitq_ticket(&vm->frame_free);

	atomic_fetch_add(&vm->frames.wanted, 1);
	*(int *)arg = waitq_wait(&vm->frame_free, ticket, ENGINE_US);
	return NULL;
}

START_TEST(a_sleeper_is_woken_by_a_frame)
{
	pthread_t thread;
	int rc = 1;

	ck_assert(space_take_frames(vm, actor, 1, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_a_frame, &rc),
			 0);
	while (!atomic_load(&vm->frames.wanted))
		os_yield();
	space_give_frames(vm, actor, 1);
	pthread_join(thread, NULL);
	ck_assert_int_eq(rc, 0);
	vm->frames.wanted = 0;
}
END_TEST

/* ---- entries and moves ---- */

static bool mapped(gaddr_t addr)
{
	return entry(addr) & PTE_MAPPED;
}

#define AT ((gaddr_t)77 << BLOCK_SHIFT) /* some block */

START_TEST(entries_come_with_the_first_look)
{
	gaddr_t ro = page_of(AT, 100), none = page_of(AT, 200);

	engine_map_at(AT, 10);
	ck_assert_int_eq(mapping_map(vm, &ro, 5 * PAGE_BYTES, VVM_READ, ""), 0);
	ck_assert_int_eq(mapping_map(vm, &none, 600 * PAGE_BYTES, 0, ""), 0);
	ck_assert_ptr_null(pt_find(&vm->pt, AT)); /* mapping made none */
	lock_drop(&block_of(page_of(AT, 3))->lock);
	ck_assert_uint_eq(pt_find(&vm->pt, AT)->mapped, 10 + 5 + 312);
	expect_state(AT, PAGE_FRESH);
	ck_assert(mapped(page_of(AT, 9)) && !mapped(page_of(AT, 10)));
	ck_assert(!mapped(page_of(AT, 99)) && mapped(ro));
	ck_assert_uint_eq(entry(AT) & PTE_PERMS, PTE_READ | PTE_WRITE);
	ck_assert_uint_eq(entry(ro) & PTE_PERMS, PTE_READ);
	ck_assert(mapped(none) && !(entry(none) & PTE_PERMS));
	ck_assert_ptr_null(pt_find(&vm->pt, AT + BLOCK_BYTES));
	space_check(vm);
	/* a region that comes later: at its first look, beside the others */
	ck_assert_int_eq(engine_fault(AT, true), FAULT_DONE);
	engine_map_at(page_of(AT, 50), 2);
	ck_assert(!mapped(page_of(AT, 50)));
	lock_drop(&block_of(page_of(AT, 51))->lock);
	ck_assert(mapped(page_of(AT, 50)) && mapped(page_of(AT, 51)));
	expect_state(AT, PAGE_DIRTY);
}
END_TEST

START_TEST(no_memory_for_a_block)
{
	gaddr_t addr = engine_map(BLOCK_PAGES, RW);

	os_inject_clear();
	os_inject(OS_map, 1, false, ENOMEM);
	rwlock_read(&vm->lock);
	ck_assert_ptr_null(space_lock_block(vm, addr));
	rwlock_end_read(&vm->lock);
	space_check(vm);
	ck_assert_int_eq(engine_fault(addr, true), FAULT_DONE);
}
END_TEST

START_TEST(moves_count_and_give_slots_back)
{
	gaddr_t addr = engine_map(BLOCK_PAGES, RW);
	uint64_t slot = engine_out(addr, 3);
	struct block *b = block_of(addr);

	engine_expect(C(swapped_pages) = 3);
	ck_assert_uint_eq(slots_used(), 3);
	space_move(vm, actor, b, 0, PAGE_FILLING, slot); /* keeps it */
	ck_assert_uint_eq(slots_used(), 3);
	engine_expect(C(swapped_pages) = -1);
	space_move(vm, actor, b, 0, PAGE_SWAPPED, slot);
	space_move(vm, actor, b, 1, PAGE_FRESH, 0); /* gives it back */
	ck_assert_uint_eq(slots_used(), 2);
	engine_expect([0] = 0);
	lock_drop(&b->lock);
	ck_assert_int_eq(engine_fault(addr, true), FAULT_DONE);
	ck_assert_uint_eq(slots_used(), 1);
	engine_expect(C(swapped_pages) = -1, C(dirty_pages) = 1,
		      C(resident_pages) = 1, C(faults) = 1,
		      C(faults_swapin) = 1, C(swapin_pages) = 1,
		      C(swapin_reads) = 1);
}
END_TEST

/* ---- waiting ---- */

static void *wait_busy(void *arg)
{
	struct block *b = arg;

	lock_take(&b->lock);
	space_wait_busy(vm, b, 0, 3, true);
	ck_assert(pte_state(b->pte[2]) != PAGE_FILLING && !b->writing);
	lock_drop(&b->lock);
	return NULL;
}

/* The waiter sleeps, or has not looked yet: right either way. */
START_TEST(wait_for_a_fill_and_a_write)
{
	gaddr_t addr = engine_map(BLOCK_PAGES, RW);
	struct block *b;
	pthread_t thread;

	engine_out(addr, 4);
	ck_assert_int_eq(engine_begin(page_of(addr, 2), false), FAULT_READ);
	b = block_of(addr);
	lock_drop(&b->lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_busy, b), 0);
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	pthread_join(thread, NULL);
	/* nothing busy in 0..1, and none that counts in 0..3: no wait */
	ck_assert_int_eq(engine_begin(page_of(addr, 3), false), FAULT_READ);
	b = block_of(addr);
	space_wait_busy(vm, b, 0, 2, true);
	b->writing = 1;
	space_wait_busy(vm, b, 0, 2, false);
	lock_drop(&b->lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_busy, b), 0);
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	lock_take(&b->lock);
	b->writing = 0;
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	pthread_join(thread, NULL);
}
END_TEST

static void look_forked(int arg)
{
	(void)arg;
	_exit(space_forked(vm) ? 3 : 4);
}

START_TEST(a_child_knows_that_it_is_one)
{
	int status;

	ck_assert_int_eq(os_fork_watch(), 0);
	ck_assert(!space_forked(vm));
	status = engine_child(look_forked, 0);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	ck_assert(!space_forked(vm));
}
END_TEST

/* What has been in flight for longest is what a stall is told by. */
START_TEST(transfers_of_all_disks_are_counted)
{
	struct flight *swap = &to_swap(vm->swap)->flight;
	static const struct {
		uint32_t swap, files;
		uint64_t swap_us, files_us, want_us;
	} cases[] = {
		{1, 0, 30, 5, 30},
		{0, 2, 30, 50, 50},
		{1, 2, 30, 50, 30},
		{1, 2, 50, 30, 30},
	};
	struct backing_stat bs;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		atomic_store(&swap->count, cases[i].swap);
		atomic_store(&swap->progress_us, cases[i].swap_us);
		atomic_store(&vm->flight.count, cases[i].files);
		atomic_store(&vm->flight.progress_us, cases[i].files_us);
		memset(&bs, 0, sizeof(bs));
		space_backing_stat(vm, &bs);
		ck_assert_uint_eq(bs.inflight, cases[i].swap + cases[i].files);
		ck_assert_uint_eq(bs.progress_us, cases[i].want_us);
	}
	atomic_store(&swap->count, 0);
	atomic_store(&vm->flight.count, 0);
}
END_TEST

START_TEST(publish_says_what_is)
{
	gaddr_t addr = engine_map(BLOCK_PAGES, RW);

	engine_out(addr, 5);
	ck_assert_int_eq(engine_fault(addr, false), FAULT_DONE);
	space_publish(vm);
	ck_assert_uint_eq(vm->stats.segment->value.budget_pages, 16);
	ck_assert_uint_eq(vm->stats.segment->value.peak_pages, 1);
	ck_assert_uint_eq(vm->stats.segment->value.swap_used_pages, 5);
	ck_assert_uint_eq(vm->stats.segment->value.handlers, 1);
}
END_TEST

/* ---- space_check() ---- */

static gaddr_t good;

/* Every state but POISONED at pages 0, 1, ... of one block. */
static void good_space(void)
{
	good = engine_map(BLOCK_PAGES, RW);
	engine_dirty(good, 1);
	engine_out(page_of(good, 1), 3);
	ck_assert_int_eq(engine_fault(page_of(good, 1), false), FAULT_DONE);
	engine_dirty(page_of(good, 5), 1);
	engine_cold(page_of(good, 5), 1);
	ck_assert_int_eq(evict_step(&evictor, 1), EVICT_FREED);
	ck_assert_int_eq(engine_begin(page_of(good, 2), false), FAULT_READ);
	expect_state(good, PAGE_DIRTY);
	expect_state(page_of(good, 1), PAGE_CLEAN);
	expect_state(page_of(good, 2), PAGE_FILLING);
	expect_state(page_of(good, 3), PAGE_SWAPPED);
	expect_state(page_of(good, 4), PAGE_FRESH);
	expect_state(page_of(good, 5), PAGE_WRITING);
	space_check(vm);
}

enum {
	COUNT_RESIDENT,
	COUNT_DIRTY,
	COUNT_FILLING,
	NOT_ON_CLOCK,
	WRONG_PERMS,
	NO_REGION,
	DIRTY_AND_ABSENT,
	SWAPPED_TO_NOWHERE,
	PINNED_AND_ABSENT,
	TOO_FEW_FRAMES_USED,
	TOO_MANY_FRAMES,
	UNSORTED_REGIONS,
	BREAKS
};

static void break_entry(struct block *b, int what)
{
	switch (what) {
	case COUNT_RESIDENT:
		b->resident--;
		break;
	case COUNT_DIRTY:
		b->dirty++;
		break;
	case COUNT_FILLING:
		b->filling = 0;
		break;
	case NOT_ON_CLOCK:
		b->on_clock = false;
		break;
	case WRONG_PERMS:
		b->pte[4] &= ~PTE_WRITE;
		break;
	case DIRTY_AND_ABSENT:
		b->pte[4] |= PTE_DIRTY;
		b->dirty++;
		break;
	case SWAPPED_TO_NOWHERE:
		b->pte[3] = pte_with_slot(b->pte[3], 0) | PTE_BUSY | PTE_POISON;
		break;
	case PINNED_AND_ABSENT:
		b->pte[3] |= PTE_PINNED;
		b->pinned++;
		break;
	default:
		break;
	}
}

static void break_and_check(int what)
{
	struct region *r = regions_at_guest(&vm->regions, good);

	break_entry(pt_find(&vm->pt, good), what);
	if (what == NO_REGION) {
		rwlock_write(&vm->lock);
		regions_remove(&vm->regions, r->start, r->end);
		rwlock_end_write(&vm->lock);
	}
	if (what == TOO_FEW_FRAMES_USED)
		vm->frames.used--;
	if (what == TOO_MANY_FRAMES)
		os_pwrite(vm->memfd, "x", 1, host_of(page_of(good, 4)));
	if (what == UNSORTED_REGIONS)
		r->end = r->start;
	space_check(vm);
}

/* With the filling page in the memfd and one more, used is too small. */
START_TEST(space_check_aborts_on)
{
	int status;

	good_space();
	if (_i == TOO_MANY_FRAMES) {
		engine_read();
		ck_assert_int_eq(engine_install(0), FAULT_DONE);
		space_check(vm);
	}
	status = engine_child(break_and_check, _i);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
		      "status %#x", (unsigned)status);
	_exit(0); /* the child may have broken what we share */
}
END_TEST

START_TEST(space_check_passes_what_is_good)
{
	good_space();
	engine_complete();
	space_check(vm);
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	space_check(vm);
	engine_close();
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "space");

	tcase_add_test(tc, clock_goes_round);
	tcase_add_test(tc, a_new_block_comes_last);
	tcase_add_test(tc, removal_keeps_the_hand);
	tcase_add_test(tc, pressure_counts_full_barren_turns);
	tcase_add_test(tc, a_block_is_on_the_clock_with_its_first_frame);
	tcase_add_test(tc, frames_are_counted);
	tcase_add_test(tc, few_frames_wake_the_reclaimer_once);
	tcase_add_test(tc, a_frame_wakes_those_who_want_one);
	tcase_add_test(tc, a_sleeper_is_woken_by_a_frame);
	tcase_add_test(tc, entries_come_with_the_first_look);
	tcase_add_test(tc, no_memory_for_a_block);
	tcase_add_test(tc, moves_count_and_give_slots_back);
	tcase_add_test(tc, wait_for_a_fill_and_a_write);
	tcase_add_test(tc, a_child_knows_that_it_is_one);
	tcase_add_test(tc, transfers_of_all_disks_are_counted);
	tcase_add_test(tc, publish_says_what_is);
	tc = test_case_with(s, "space_check", setup, NULL);
	tcase_add_test(tc, space_check_passes_what_is_good);
	tcase_add_loop_test(tc, space_check_aborts_on, 0, BREAKS);
}

const struct test_program test_program = {
	.name = "space",
	.add = add_tests,
	.setup = setup,
	.teardown = engine_close,
	.missing = engine_missing_markers,
};
