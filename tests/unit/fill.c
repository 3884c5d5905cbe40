/* SPDX-License-Identifier: MIT */
/*
 * unit/fill.c - fills, step by step: what a claim takes, what an install
 * leaves of each page, when all is well, when pages are bad and when the
 * kernel refuses, and what becomes of triggers. After each: states, frames,
 * slots, content and counters. Claims of readahead are unit/ahead.c's. Needs
 * userfaultfd, else skips.
 */
#include "fill/fill.h"

#include <errno.h>
#include <string.h>

#include "fill/ahead.h"
#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define RW (VVM_READ | VVM_WRITE)

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

/* ---- between two steps of an install: once, after the call that is named */

int __real_os_frame_write(int fd, const void *buf, uint64_t bytes,
			  uint64_t off);
int __wrap_os_frame_write(int fd, const void *buf, uint64_t bytes,
			  uint64_t off);
int __real_os_uffd_wake(int fd, haddr_t at, uint64_t bytes);
int __wrap_os_uffd_wake(int fd, haddr_t at, uint64_t bytes);
int __real_os_uffd_copy(int fd, haddr_t to, const void *from, uint64_t bytes,
			unsigned mode, uint64_t *done);
int __wrap_os_uffd_copy(int fd, haddr_t to, const void *from, uint64_t bytes,
			unsigned mode, uint64_t *done);

static void (*after_write)(void), (*after_wake)(void), (*after_copy)(void);

static int then(int rc, void (**hook)(void))
{
	void (*fn)(void) = *hook;

	*hook = NULL;
	if (fn)
		fn();
	return rc;
}

int __wrap_os_frame_write(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	return then(__real_os_frame_write(fd, buf, bytes, off), &after_write);
}

int __wrap_os_uffd_wake(int fd, haddr_t at, uint64_t bytes)
{
	return then(__real_os_uffd_wake(fd, at, bytes), &after_wake);
}

int __wrap_os_uffd_copy(int fd, haddr_t to, const void *from, uint64_t bytes,
			unsigned mode, uint64_t *done)
{
	return then(__real_os_uffd_copy(fd, to, from, bytes, mode, done),
		    &after_copy);
}

/* Claims page i for reading (or writing), of what is swapped out. */
static void claim(unsigned i, bool write)
{
	ck_assert_int_eq(engine_begin(at(i), write), FAULT_READ);
}

/* Claims pages [first, end), all that are out and in a row, as readahead. */
static void ahead(unsigned first, unsigned end)
{
	gaddr_t next;

	ck_assert(engine_ahead(at(first), at(end), &next));
	ck_assert_uint_eq(next, at(end));
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
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	space_check(vm);
}

/* ---- claim ---- */

START_TEST(claim_takes_one_page)
{
	uint64_t slot = engine_out(at(10), 3);

	engine_remember();
	claim(11, true);
	expect_state(at(11), PAGE_FILLING);
	ck_assert_uint_eq(vm->frames.used, 1);
	ck_assert_uint_eq(engine_io->slot, slot + 1);
	ck_assert_uint_eq(engine_io->pages, 1);
	ck_assert_uint_eq(io_page_addr(engine_io, 0), at(11));
	ck_assert_uint_eq(fault.host, host_of(at(11)));
	ck_assert(!fault.standby);
	ck_assert_uint_eq(fault.index, 11);
	ck_assert_uint_eq(fault.stat.page, at(11));
	ck_assert(fault.write && !fault.intended);
	ck_assert_uint_eq(fault.advice, VVM_ADV_NORMAL);
	ck_assert_int_eq(fault.uffd, vm->port[0].uffd);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(12), PAGE_SWAPPED);
	engine_expect(C(faults) = 1, C(faults_swapin) = 1,
		      C(resident_pages) = 1, C(swapped_pages) = -1);
	finish();
	expect_state(at(11), PAGE_DIRTY);
	ck_assert_uint_eq(slots_used(), 2); /* DIRTY has none */
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
	ck_assert_uint_eq(pte_age(entry(at(10))), vm->clock.ops->new_age);
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

	engine_out(at(10), 3);
	claim(10, false);
	finish();
	ahead(11, 12);
	finish();
	ahead(12, 13);
	ra.map = true;
	finish();
	for (i = 10; i < 13; i++) {
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

/* Where reads are usually followed by a write. */
START_TEST(installed_for_the_write_to_come)
{
	unsigned i;

	engine_out(at(10), 7);
	engine_remember();
	regions_at_guest(&vm->regions, addr)->intent.on = 1;
	claim(10, false);
	finish();
	ahead(11, 14);
	finish();
	ahead(14, 17);
	ra.map = true;
	finish();
	expect_range(10, 7, PAGE_DIRTY);
	engine_expect(C(faults) = 1, C(faults_swapin) = 1, C(swapin_pages) = 7,
		      C(swapin_reads) = 3, C(prefetch_pages) = 6,
		      C(intent_pages) = 7, C(resident_pages) = 7,
		      C(dirty_pages) = 7, C(swapped_pages) = -7);
	ck_assert_uint_eq(slots_used(), 0);
	for (i = 10; i < 17; i++) {
		ck_assert_int_eq(!!(entry(at(i)) & PTE_PREFETCHED),
				 i > 10 && i < 14);
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
	ahead(10, 19);
	finish();
	for (i = 10; i < 19; i++) {
		expect_state(at(i), PAGE_CLEAN);
		ck_assert(entry(at(i)) & PTE_PREFETCHED);
		ck_assert_uint_eq(pte_age(entry(at(i))), 0);
		ck_assert_uint_ne(pte_slot(entry(at(i))), 0);
		ck_assert(!is_mapped(at(i)));
		expect_content(i, 1); /* the kernel maps it by itself */
		ck_assert(is_mapped(at(i)));
	}
	ck_assert_uint_eq(slots_used(), 9);
}
END_TEST

START_TEST(readahead_of_a_proved_stream_is_mapped_and_new)
{
	unsigned i;

	engine_out(at(10), 9);
	ahead(10, 19);
	ra.map = true;
	finish();
	for (i = 10; i < 19; i++) {
		expect_state(at(i), PAGE_CLEAN);
		ck_assert(!(entry(at(i)) & PTE_PREFETCHED));
		ck_assert_uint_eq(pte_age(entry(at(i))),
				  vm->clock.ops->new_age);
		ck_assert(is_mapped(at(i)));
		expect_content(i, 1);
	}
	ck_assert_uint_eq(slots_used(), 9);
}
END_TEST

START_TEST(installed_in_parts)
{
	engine_out(at(10), 9);
	ahead(10, 19);
	engine_read();
	engine_remember();
	readahead_arrived(&ra, actor, 0);
	ck_assert(!readahead_install(&ra, actor, 4));
	expect_range(10, 4, PAGE_CLEAN);
	expect_range(14, 5, PAGE_FILLING);
	space_check(vm);
	ck_assert(!readahead_install(&ra, actor, 4));
	expect_range(14, 4, PAGE_CLEAN);
	ck_assert(readahead_install(&ra, actor, 4));
	expect_range(10, 9, PAGE_CLEAN);
	engine_expect(C(swapin_pages) = 9, C(swapin_reads) = 1);
	expect_content(10, 1);
	expect_content(18, 1);
}
END_TEST

START_TEST(abandoned)
{
	struct app app;

	engine_out(at(10), 1);
	claim(10, false);
	app_start(&app, at(10), false, 0);
	ck_assert_uint_eq(page_floor(app_event().addr), host_of(at(10)));
	fault_abandon(&fault);
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	ck_assert_uint_eq(vm->frames.used, 0);
	app_event(); /* it asks again */
	ck_assert_int_eq(engine_fault(at(10), false), FAULT_DONE);
	app_join(&app);
}
END_TEST

/* ---- triggers ---- */

/* Readahead of [first, end) whose first page is a trigger. */
static void ahead_with_trigger(unsigned first, unsigned end)
{
	struct ahead_job job = {.addr = at(first),
				.stride = 1,
				.count = end - first,
				.most = end - first,
				.trigger = true};

	ck_assert_int_eq(engine_claim_ahead(&job), AHEAD_CLAIMED);
	ck_assert(!job.trigger);
	expect_state(at(first), PAGE_FILLING);
}

START_TEST(a_trigger_is_on_standby)
{
	uint64_t slot = engine_out(at(10), 5);

	ahead_with_trigger(10, 15);
	engine_remember();
	finish();
	expect_state(at(10), PAGE_SWAPPED);
	ck_assert_uint_eq(pte_slot(entry(at(10))), slot);
	expect_range(11, 4, PAGE_CLEAN);
	ck_assert_uint_eq(vm->frames.used, 4);
	engine_expect(C(swapin_pages) = 5, C(swapin_reads) = 1,
		      C(resident_pages) = -1, C(swapped_pages) = 1);
	engine_remember();
	claim(10, false);
	ck_assert(fault.standby);
	engine_expect(C(faults) = 1, C(faults_joined) = 1,
		      C(resident_pages) = 1, C(swapped_pages) = -1);
	memset(engine_buf, 0xee, PAGE_BYTES);
	memset(engine_io->bad, 0xff,
	       sizeof(engine_io->bad)); /* of an earlier use */
	ck_assert(fault_from_standby(&fault));
	engine_remember();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	space_check(vm);
	expect_content(10, 1);
	engine_expect(C(prefetch_hit_pages) = 1);
	/* Out again: it is not on standby any more. */
	engine_cold(at(10), 1);
	ck_assert_int_eq(evict_step(&evictor, 99), EVICT_FREED);
	expect_state(at(10), PAGE_SWAPPED);
	claim(10, true);
	ck_assert(!fault_from_standby(&fault));
	finish();
	expect_content(10, 1);
}
END_TEST

START_TEST(a_trigger_that_is_wanted_is_installed)
{
	struct fault f = engine_new_fault(host_of(at(10)), false);
	struct fault again = f;

	engine_out(at(10), 5);
	ahead_with_trigger(10, 15);
	ck_assert_int_eq(fault_run(&f), FAULT_JOINED);
	ck_assert(f.trigger);
	ck_assert_int_eq(fault_run(&again), FAULT_JOINED);
	ck_assert(!again.trigger); /* once is enough */
	finish();
	expect_range(10, 5, PAGE_CLEAN);
	expect_content(10, 1);
}
END_TEST

/* What is on standby is not what the page holds once it was resident. */
START_TEST(a_standby_copy_is_not_believed_for_long)
{
	unsigned how = (unsigned)_i;

	engine_out(at(10), 5);
	ahead_with_trigger(10, 15);
	finish();
	if (how == 0) { /* written, and out again */
		ck_assert_int_eq(engine_fault(at(10), true), FAULT_DONE);
		stamp(ptr_of(at(10)), at(10), 2);
		engine_cold(at(10), 5);
		ck_assert_int_eq(evict_step(&evictor, 99), EVICT_FREED);
		engine_complete();
	} else { /* discarded */
		ck_assert_int_eq(mapping_dontneed(vm, at(10), at(11)), 0);
		engine_out(at(10), 1);
	}
	expect_state(at(10), PAGE_SWAPPED);
	claim(10, false);
	ck_assert(!fault_from_standby(&fault));
	finish();
	expect_content(10, how == 0 ? 2 : 1);
}
END_TEST

START_TEST(standby_pages_go_with_their_region)
{
	engine_out(at(10), 5);
	ahead_with_trigger(10, 15);
	finish();
	ck_assert_int_eq(mapping_unmap(vm, addr, at(BLOCK_PAGES)), 0);
	ck_assert_uint_eq(vm->frames.used, 0);
	ck_assert_uint_eq(slots_used(), 0);
}
END_TEST

START_TEST(an_unwanted_copy_makes_room)
{
	unsigned i, n = vm->standby.count + 1;

	engine_out(at(0), n);
	for (i = 0; i < n; i++) {
		ahead_with_trigger(i, i + 1);
		engine_remember();
		finish();
		engine_expect(C(swapin_pages) = 1, C(swapin_reads) = 1,
			      C(resident_pages) = -1, C(swapped_pages) = 1,
			      C(prefetch_waste_pages) = i == n - 1);
	}
	ck_assert(entry(at(0)) & PTE_PREFETCHED);
	claim(0, false);
	ck_assert(!fault.standby && !fault_from_standby(&fault));
	finish();
	expect_content(0, 1);
	claim(1, false);
	ck_assert(fault_from_standby(&fault));
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	expect_content(1, 1);
}
END_TEST

START_TEST(a_bad_trigger_is_not_on_standby)
{
	engine_out(at(10), 3);
	ahead_with_trigger(10, 13);
	engine_read();
	engine_io->bad[0] = 1;
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_range(11, 2, PAGE_CLEAN);
	claim(10, false);
	ck_assert(!fault.standby);
	finish();
	expect_content(10, 1);
}
END_TEST

/* Who joined a fill is woken by its install, mapped or not. */
START_TEST(install_wakes_the_waiters)
{
	struct app app;

	engine_out(at(10), 4);
	ahead(10, 14);
	ra.map = _i;
	app_start(&app, at(12), false, 0);
	ck_assert_uint_eq(page_floor(app_event().addr), host_of(at(12)));
	finish();
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
	ck_assert_uint_eq(app.value, word_of(at(12), 1));
}
END_TEST

static struct app writer;

/* A thread writes, and its event is taken on: the page is FILLING. */
static void write_meanwhile(void)
{
	struct os_fault f;

	app_start(&writer, at(12), true, 77);
	f = app_event();
	ck_assert_uint_eq(page_floor(f.addr), host_of(at(12)));
	ck_assert(f.protect);
	fault = engine_new_fault(host_of(at(12)), true);
	ck_assert_int_eq(fault_run(&fault), FAULT_JOINED);
}

/*
 * Between the arrival of pages and their change of state: who writes to one
 * waits, whatever was woken before, and nothing is lost.
 */
START_TEST(a_write_between_arrival_and_state)
{
	engine_out(at(10), 4);
	ahead(10, 14);
	engine_read();
	ra.map = _i == 2;
	if (_i == 0)
		after_write = write_meanwhile;
	else if (_i == 1)
		after_wake = write_meanwhile;
	else
		after_copy = write_meanwhile;
	readahead_arrived(&ra, actor, 0);
	ck_assert(readahead_install(&ra, actor, ra.io.pages));
	ck_assert(stamped(frame_of(at(12)), at(12), 1));
	expect_range(10, 4, PAGE_CLEAN);
	/* it is awake, and asks again */
	ck_assert_uint_eq(page_floor(app_event().addr), host_of(at(12)));
	ck_assert_int_eq(engine_fault(at(12), true), FAULT_DONE);
	app_join(&writer);
	ck_assert_int_eq(writer.signal, 0);
	ck_assert_uint_eq(*(uint64_t *)(void *)ptr_of(at(12)), 77);
	expect_state(at(12), PAGE_DIRTY);
	space_check(vm);
}
END_TEST

/* ---- bad pages ---- */

static void set_bad(unsigned i)
{
	engine_io->bad[i / 64] |= (uint64_t)1 << i % 64;
}

START_TEST(a_bad_demanded_page_is_poisoned)
{
	engine_out(at(10), 3);
	claim(11, false);
	engine_read();
	set_bad(0);
	engine_remember();
	ck_assert_int_eq(engine_install(0), FAULT_FAILED);
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	expect_state(at(11), PAGE_POISONED);
	ck_assert_uint_eq(vm->frames.used, 0);
	engine_expect(C(swapin_pages) = 1, C(swapin_reads) = 1,
		      C(read_errors) = 1, C(poisoned_pages) = 1,
		      C(resident_pages) = -1);
}
END_TEST

/* In the middle and at the ends of a read, mapped at once or not. */
START_TEST(bad_readahead_goes_back)
{
	uint64_t slot = engine_out(at(10), 6);

	ahead(10, 16);
	ra.map = _i;
	engine_read();
	set_bad(0);
	set_bad(3);
	set_bad(5);
	engine_remember();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
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

START_TEST(a_failed_demand_is_poisoned)
{
	engine_out(at(10), 1);
	claim(10, false);
	engine_remember();
	ck_assert_int_eq(engine_install(-EIO), FAULT_FAILED);
	space_check(vm);
	expect_state(at(10), PAGE_POISONED);
	ck_assert_uint_eq(vm->frames.used, 0);
	engine_expect(C(swapin_pages) = 1, C(swapin_reads) = 1,
		      C(read_errors) = 1, C(poisoned_pages) = 1,
		      C(resident_pages) = -1);
}
END_TEST

START_TEST(a_failed_readahead_is_as_if_it_had_not_been)
{
	struct app app;

	engine_out(at(10), 5);
	engine_remember();
	ahead(10, 15);
	app_start(&app, at(12), false, 0);
	app_event();
	ck_assert_int_eq(engine_install(-EIO), FAULT_DONE);
	space_check(vm);
	expect_range(10, 5, PAGE_SWAPPED);
	engine_expect(C(swapin_pages) = 5, C(swapin_reads) = 1,
		      C(prefetch_pages) = 5);
	app_event(); /* who had joined it asks again */
	ck_assert_int_eq(engine_fault(at(12), false), FAULT_DONE);
	app_join(&app);
	ck_assert_uint_eq(app.value, word_of(at(12), 1));
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
	uint64_t slot = engine_out(at(10), 1);

	claim(10, true);
	engine_read();
	engine_remember();
	os_inject(OS_uffd_copy, 1, false, refusals[_i].error);
	ck_assert_int_eq(engine_install(0), refusals[_i].result);
	space_check(vm);
	expect_state(at(10), PAGE_SWAPPED);
	ck_assert_uint_eq(pte_slot(entry(at(10))), slot);
	engine_expect(C(swapin_pages) = 1, C(swapin_reads) = 1,
		      C(resident_pages) = -1, C(swapped_pages) = 1);
	ck_assert_int_eq(engine_fault(at(10), false), FAULT_DONE);
	expect_content(10, 1);
}
END_TEST

/* What is in the memfd against all expectation is overwritten. */
static void expect_overwritten(bool write)
{
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
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
		ck_assert_int_eq(
			os_pwrite(vm->memfd, junk, PAGE_BYTES, host_of(at(10))),
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

/* Readahead that cannot be installed goes back. */
START_TEST(readahead_refused)
{
	bool map = _i == (int)ARRAY_SIZE(install_points);

	engine_out(at(10), 4);
	ahead(10, 14);
	ra.map = map;
	engine_read();
	engine_remember();
	os_inject(map ? OS_uffd_copy : install_points[_i], 1, false, ENOMEM);
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	os_inject_clear();
	space_check(vm);
	expect_range(10, 4, PAGE_SWAPPED);
	ck_assert_uint_eq(vm->frames.used, 0);
	engine_expect(C(swapin_pages) = 4, C(swapin_reads) = 1,
		      C(resident_pages) = -4, C(swapped_pages) = 4);
	ck_assert_int_eq(engine_fault(at(11), true), FAULT_DONE);
	expect_content(11, 1);
	stamp(ptr_of(at(11)), at(11), 2); /* no protection was left behind */
	expect_content(11, 2);
}
END_TEST

/*
 * Readahead for writing is protected until all of it is there: the second call
 * takes the protection off, and goes on when the kernel is short of memory.
 */
START_TEST(readahead_for_writing_is_unprotected)
{
	engine_out(at(10), 4);
	ahead(10, 14);
	ra.intended = true;
	engine_read();
	os_inject(OS_uffd_wp, 2, false, ENOMEM);
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	os_inject_clear();
	space_check(vm);
	expect_range(10, 4, PAGE_DIRTY);
	expect_content(12, 1);
	stamp(ptr_of(at(12)), at(12), 2); /* no event, nobody would see it */
	expect_content(12, 2);
}
END_TEST

/* The kernel takes two pages of four and has no memory for the others. */
START_TEST(readahead_refused_in_part)
{
	engine_out(at(10), 4);
	ahead(10, 14);
	ra.map = true;
	engine_read();
	ck_assert_int_eq(os_pwrite(vm->memfd, "x", 1, host_of(at(12))), 0);
	os_inject(OS_frame_write, 1, false, ENOMEM);
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	os_inject_clear();
	space_check(vm);
	expect_range(10, 2, PAGE_CLEAN);
	expect_range(12, 2, PAGE_SWAPPED);
	expect_content(11, 1);
	ck_assert_int_eq(engine_fault(at(12), false), FAULT_DONE);
	expect_content(12, 1);
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
	ck_assert_int_eq(engine_install(0), FAULT_RETRY);
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
	ck_assert_uint_eq(
		fill_put(vm, vm->port[0].uffd, host, engine_buf, 8, false, &rc),
		8);
	ck_assert_int_eq(rc, 0);
	for (i = 0; i < 8; i++)
		ck_assert(stamped(frame_of(at(i)), at(i), 3));
	os_inject(OS_uffd_copy, 1, false, ENOMEM);
	ck_assert_uint_eq(fill_put(vm, vm->port[0].uffd, host + 9 * PAGE_BYTES,
				   engine_buf, 1, false, &rc),
			  0);
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_int_eq(os_punch(vm->memfd, host, 10 * PAGE_BYTES), 0);
}
END_TEST

/* ---- running it ---- */

static void add_trigger_tests(Suite *s)
{
	TCase *tc = test_case(s, "triggers");

	tcase_add_test(tc, a_trigger_is_on_standby);
	tcase_add_test(tc, a_trigger_that_is_wanted_is_installed);
	tcase_add_loop_test(tc, a_standby_copy_is_not_believed_for_long, 0, 2);
	tcase_add_test(tc, standby_pages_go_with_their_region);
	tcase_add_test(tc, an_unwanted_copy_makes_room);
	tcase_add_test(tc, a_bad_trigger_is_not_on_standby);
}

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "install");

	tcase_add_test(tc, claim_takes_one_page);
	tcase_add_test(tc, installed_for_reading);
	tcase_add_test(tc, installed_for_reading_is_protected);
	tcase_add_test(tc, installed_for_writing);
	tcase_add_test(tc, installed_for_the_write_to_come);
	tcase_add_test(tc, read_only_regions_are_filled_for_reading);
	tcase_add_test(tc, readahead_is_not_mapped_and_old);
	tcase_add_test(tc, readahead_of_a_proved_stream_is_mapped_and_new);
	tcase_add_test(tc, installed_in_parts);
	tcase_add_test(tc, abandoned);
	tcase_add_loop_test(tc, install_wakes_the_waiters, 0, 2);
	tcase_add_loop_test(tc, a_write_between_arrival_and_state, 0, 3);
	tcase_add_test(tc, a_bad_demanded_page_is_poisoned);
	tcase_add_loop_test(tc, bad_readahead_goes_back, 0, 2);
	tcase_add_test(tc, a_failed_demand_is_poisoned);
	tcase_add_test(tc, a_failed_readahead_is_as_if_it_had_not_been);
	tcase_add_loop_test(tc, copy_refused, 0, (int)ARRAY_SIZE(refusals));
	tcase_add_loop_test(tc, a_frame_that_is_there_already, 0, 4);
	tcase_add_loop_test(tc, readahead_refused, 0,
			    (int)ARRAY_SIZE(install_points) + 1);
	tcase_add_test(tc, readahead_for_writing_is_unprotected);
	tcase_add_test(tc, readahead_refused_in_part);
	tcase_add_loop_test(tc, overwriting_refused, 0,
			    (int)ARRAY_SIZE(install_points));
	tcase_add_test(tc, put_many_and_some_are_there);
	add_trigger_tests(s);
}

const struct test_program test_program = {
	.name = "fill",
	.add = add_tests,
	.setup = engine_setup,
	.teardown = engine_close,
	.missing = engine_missing,
};
