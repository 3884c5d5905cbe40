/* SPDX-License-Identifier: MIT */
/*
 * unit/fault.c - what a fault makes of a page: every state, read and write,
 * with the result, the state afterwards and every counter; with no frame to
 * give, no region, and a kernel that refuses; and accesses that are made to
 * fail. Needs userfaultfd, else skips.
 */
#include "fault/fault.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

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

/* ---- every state ---- */

/* Page 3 is in this state then. */
static void bring_to(enum page_state state)
{
	switch (state) {
	case PAGE_FRESH:
		lock_drop(&block_of(at(3))->lock);
		break;
	case PAGE_SWAPPED:
		engine_out(at(3), 1);
		break;
	case PAGE_FILLING:
		engine_out(at(3), 1);
		ck_assert_int_eq(engine_begin(at(3), false), FAULT_READ);
		break;
	case PAGE_CLEAN:
		engine_out(at(3), 1);
		ck_assert_int_eq(engine_fault(at(3), false), FAULT_DONE);
		break;
	case PAGE_DIRTY:
		engine_dirty(at(3), 1);
		break;
	case PAGE_WRITING:
		engine_dirty(at(3), 1);
		engine_cold(at(3), 1);
		ck_assert_int_eq(evict_step(&evictor, 1), EVICT_FREED);
		break;
	default:
		engine_out(at(3), 1);
		ck_assert_int_eq(engine_begin(at(3), false), FAULT_READ);
		ck_assert_int_eq(engine_install(-EIO), FAULT_FAILED);
	}
	expect_state(at(3), state);
	engine_remember();
}

/* What the fault did not finish. */
static void tidy(void)
{
	if (pte_state(entry(at(3))) == PAGE_FILLING) {
		engine_read();
		ck_assert_int_eq(engine_install(0), FAULT_DONE);
	}
	engine_complete();
	space_check(vm);
}

static const struct {
	enum page_state before;
	bool write;
	enum fault_result result;
	enum page_state after;
	int64_t slots; /* given back, so minus */
	int64_t moved[VVM_STAT_COUNTER_COUNT];
} cases[] = {
	{PAGE_FRESH,
	 false,
	 FAULT_DONE,
	 PAGE_CLEAN,
	 0,
	 {C(faults_zero) = 1, C(resident_pages) = 1}},
	{PAGE_FRESH,
	 true,
	 FAULT_DONE,
	 PAGE_DIRTY,
	 0,
	 {C(faults_zero) = 1, C(resident_pages) = 1, C(dirty_pages) = 1}},
	{PAGE_SWAPPED,
	 false,
	 FAULT_READ,
	 PAGE_FILLING,
	 0,
	 {C(faults_swapin) = 1, C(resident_pages) = 1, C(swapped_pages) = -1}},
	{PAGE_SWAPPED,
	 true,
	 FAULT_READ,
	 PAGE_FILLING,
	 0,
	 {C(faults_swapin) = 1, C(resident_pages) = 1, C(swapped_pages) = -1}},
	{PAGE_FILLING,
	 false,
	 FAULT_JOINED,
	 PAGE_FILLING,
	 0,
	 {C(faults_joined) = 1}},
	{PAGE_FILLING,
	 true,
	 FAULT_JOINED,
	 PAGE_FILLING,
	 0,
	 {C(faults_joined) = 1}},
	{PAGE_CLEAN,
	 false,
	 FAULT_DONE,
	 PAGE_CLEAN,
	 0,
	 {C(faults_spurious) = 1}},
	{PAGE_CLEAN,
	 true,
	 FAULT_DONE,
	 PAGE_DIRTY,
	 -1,
	 {C(faults_wp) = 1, C(dirty_pages) = 1}},
	{PAGE_DIRTY,
	 false,
	 FAULT_DONE,
	 PAGE_DIRTY,
	 0,
	 {C(faults_spurious) = 1}},
	{PAGE_DIRTY, true, FAULT_DONE, PAGE_DIRTY, 0, {C(faults_spurious) = 1}},
	{PAGE_WRITING,
	 false,
	 FAULT_DONE,
	 PAGE_WRITING,
	 0,
	 {C(faults_spurious) = 1}},
	{PAGE_WRITING, true, FAULT_DONE, PAGE_DIRTY, 0, {C(faults_wp) = 1}},
	{PAGE_POISONED,
	 false,
	 FAULT_FAILED,
	 PAGE_POISONED,
	 0,
	 {C(faults_failed) = 1}},
	{PAGE_POISONED,
	 true,
	 FAULT_FAILED,
	 PAGE_POISONED,
	 0,
	 {C(faults_failed) = 1}},
};

START_TEST(state)
{
	struct fault other; /* FILLING is of the first one */
	enum fault_result result;
	int64_t moved[VVM_STAT_COUNTER_COUNT];
	int64_t slots;

	memcpy(moved, cases[_i].moved, sizeof(moved));
	moved[VVM_STAT_faults] = 1;
	bring_to(cases[_i].before);
	slots = (int64_t)slots_used();
	if (cases[_i].before == PAGE_FILLING) {
		other = engine_new_fault(host_of(at(3)), cases[_i].write);
		result = fault_run(&other);
	} else {
		result = engine_begin(at(3), cases[_i].write);
	}
	ck_assert_int_eq(result, cases[_i].result);
	expect_state(at(3), cases[_i].after);
	engine_compare(moved, __LINE__);
	ck_assert_int_eq((int64_t)slots_used() - slots, cases[_i].slots);
	space_check(vm);
	tidy();
}
END_TEST

/* A resolved fault has woken the thread, whose access then goes through. */
START_TEST(the_thread_goes_on)
{
	bool write = cases[_i].write;
	struct os_fault f;
	struct app app;

	if (cases[_i].result != FAULT_DONE && cases[_i].result != FAULT_READ)
		return;
	if (!write && cases[_i].before != PAGE_FRESH &&
	    cases[_i].before != PAGE_SWAPPED)
		return; /* no event: the kernel maps it */
	if (cases[_i].before == PAGE_DIRTY)
		return;
	bring_to(cases[_i].before);
	app_start(&app, at(3), write, 99);
	f = app_event();
	ck_assert_uint_eq(page_floor(f.addr), host_of(at(3)));
	ck_assert_int_eq(f.write || f.protect, write);
	ck_assert_int_eq(engine_fault(at(3), write), FAULT_DONE);
	app_join(&app);
	ck_assert_int_eq(app.signal, 0);
	if (!write)
		ck_assert_uint_eq(app.value, cases[_i].before == PAGE_FRESH
						     ? 0
						     : word_of(at(3), 1));
	else
		ck_assert_uint_eq(*(uint64_t *)(void *)frame_of(at(3)), 99);
	tidy();
}
END_TEST

/* Whoever comes late is woken although there is nothing to do. */
START_TEST(a_spurious_fault_wakes)
{
	struct app app;

	app_start(&app, at(3), false, 0);
	app_event();
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	app_join(&app);
	engine_remember();
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	engine_expect(C(faults) = 1, C(faults_spurious) = 1);
}
END_TEST

START_TEST(new_pages_are_new)
{
	ck_assert_int_eq(engine_fault(at(0), false), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(1), true), FAULT_DONE);
	ck_assert_uint_eq(pte_age(entry(at(0))), vm->clock.ops->new_age);
	ck_assert_uint_eq(pte_age(entry(at(1))), vm->clock.ops->new_age);
	ck_assert_uint_eq(*ptr_of(at(0)), 0);
	ck_assert_uint_eq(*ptr_of(at(1)), 0);
	ck_assert(pt_find(&vm->pt, addr)->filled_us > 0);
	ck_assert_uint_eq(vm->frames.used, 2);
	ck_assert_uint_eq(slots_used(), 0);
}
END_TEST

static struct intent *intent_of(gaddr_t a)
{
	return &regions_at_guest(&vm->regions, a)->intent;
}

/* Only a write that follows the read soon tells something. */
START_TEST(writes_after_reads_are_counted)
{
	engine_out(at(1), 1);
	ck_assert_int_eq(engine_fault(at(0), false), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(1), false), FAULT_DONE);
	ck_assert_int_eq(engine_fault(at(2), true), FAULT_DONE);
	ck_assert_uint_eq(intent_of(addr)->filled, 2);
	ck_assert_uint_eq(intent_of(addr)->written, 0);
	ck_assert_int_eq(engine_fault(at(1), true), FAULT_DONE);
	ck_assert_uint_eq(intent_of(addr)->written, 1);
	engine_cold(at(0), 1);
	ck_assert_int_eq(engine_fault(at(0), true), FAULT_DONE);
	ck_assert_uint_eq(intent_of(addr)->written, 1);
	ck_assert_uint_eq(intent_of(addr)->filled, 2);
}
END_TEST

START_TEST(zeros_for_the_write_to_come)
{
	intent_of(addr)->on = 1;
	engine_remember();
	ck_assert_int_eq(engine_fault(at(0), false), FAULT_DONE);
	expect_state(at(0), PAGE_DIRTY);
	engine_expect(C(faults) = 1, C(faults_zero) = 1, C(intent_pages) = 1,
		      C(resident_pages) = 1, C(dirty_pages) = 1);
	ck_assert_uint_eq(*ptr_of(at(0)), 0);
	stamp(ptr_of(at(0)), at(0), 1); /* no event, or it hangs */
}
END_TEST

START_TEST(a_write_ends_prefetched)
{
	gaddr_t next;

	engine_out(at(3), 1);
	ck_assert(engine_ahead(at(0), at(9), &next));
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	ck_assert(entry(at(3)) & PTE_PREFETCHED);
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	ck_assert(!(entry(at(3)) & PTE_PREFETCHED));
	expect_state(at(3), PAGE_DIRTY);
}
END_TEST

/* ---- nothing to give, nothing there ---- */

START_TEST(no_frame)
{
	bool write = _i & 1;
	pte_t was;

	bring_to(_i & 2 ? PAGE_SWAPPED : PAGE_FRESH);
	ck_assert(space_take_frames(vm, actor, 600, 0));
	engine_remember();
	was = entry(at(3));
	ck_assert_int_eq(engine_begin(at(3), write), FAULT_NOFRAME);
	ck_assert_uint_eq(entry(at(3)), was);
	engine_expect_nothing(); /* not even a fault: it comes again */
	space_give_frames(vm, actor, 600);
	ck_assert_int_eq(engine_fault(at(3), write), FAULT_DONE);
	space_check(vm);
}
END_TEST

/* The other states need none. */
START_TEST(no_frame_needed)
{
	static const enum page_state resident[] = {PAGE_CLEAN, PAGE_DIRTY,
						   PAGE_WRITING};

	bring_to(resident[_i]);
	ck_assert(space_take_frames(vm, actor, 599, 0));
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	space_give_frames(vm, actor, 599);
	expect_state(at(3), PAGE_DIRTY);
	tidy();
}
END_TEST

START_TEST(no_region)
{
	struct fault f = engine_new_fault(host_of(addr) - PAGE_BYTES, false);

	if (regions_at_host(&vm->regions, f.host))
		return;
	ck_assert_int_eq(fault_run(&f), FAULT_GONE);
	engine_expect(C(faults) = 1, C(faults_spurious) = 1);
	ck_assert_uint_eq(vm->pt.block_count, 0);
	space_check(vm);
}
END_TEST

/* It was counted by what it met; its event tells how it ended. */
START_TEST(counted_then_lost)
{
	struct fault f;

	bring_to(PAGE_FILLING);
	f = engine_new_fault(host_of(at(3)), true);
	ck_assert_int_eq(fault_run(&f), FAULT_JOINED);
	engine_expect(C(faults) = 1, C(faults_joined) = 1);
	fault_count_lost(&f); /* gone, and woken */
	ck_assert_uint_eq(f.stat.flags & VVM_STAT_EVENT_KIND,
			  VVM_STAT_KIND_joined);
	f.error = -VVM_ENOFRAME;
	fault_count_lost(&f);
	ck_assert_uint_eq(f.stat.flags,
			  VVM_STAT_KIND_failed | VVM_STAT_EVENT_WRITE);
	engine_expect_nothing();
	tidy();
}
END_TEST

START_TEST(no_memory_for_the_table)
{
	os_inject_clear();
	os_inject(OS_map, 1, false, ENOMEM);
	ck_assert_int_eq(engine_begin(at(3), true), FAULT_NOMEM);
	engine_expect_nothing();
	space_check(vm);
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
}
END_TEST

static const struct {
	enum page_state state;
	bool write;
	enum os_point point;
} kernel[] = {
	{PAGE_FRESH, false, OS_uffd_copy},
	{PAGE_FRESH, true, OS_uffd_zero},
	{PAGE_CLEAN, true, OS_uffd_wp},
	{PAGE_WRITING, true, OS_uffd_wp},
};

START_TEST(the_kernel_refuses)
{
	pte_t was;

	bring_to(kernel[_i].state);
	was = entry(at(3));
	os_inject(kernel[_i].point, 1, false, ENOMEM);
	ck_assert_int_eq(engine_begin(at(3), kernel[_i].write), FAULT_RETRY);
	ck_assert_uint_eq(entry(at(3)), was);
	engine_expect_nothing();
	space_check(vm);
	os_inject(kernel[_i].point, 1, false, ENOENT);
	ck_assert_int_eq(engine_begin(at(3), kernel[_i].write), FAULT_GONE);
	ck_assert_uint_eq(entry(at(3)), was);
	engine_remember();
	ck_assert_int_eq(engine_fault(at(3), kernel[_i].write), FAULT_DONE);
	tidy();
}
END_TEST

/* A frame where the table knows of none: zeros are put into it. */
START_TEST(zeros_over_a_frame)
{
	ck_assert_int_eq(os_pwrite(vm->memfd, "junk", 4, host_of(at(3))), 0);
	ck_assert_int_eq(engine_fault(at(3), _i), FAULT_DONE);
	expect_state(at(3), _i ? PAGE_DIRTY : PAGE_CLEAN);
	ck_assert_uint_eq(*(const uint32_t *)(const void *)frame_of(at(3)), 0);
	ck_assert_uint_eq(*(uint32_t *)(void *)ptr_of(at(3)), 0);
	space_check(vm);
}
END_TEST

/* ---- accesses that fail ---- */

static void expect_signal(int signal, bool write)
{
	struct app app;

	app_start(&app, at(3), write, 1);
	app_join(&app);
	ck_assert_int_eq(app.signal, signal);
}

static bool poison_permitted(void)
{
	return vm->uffd_features & OS_UFFD_POISON;
}

START_TEST(poisoned_is_sigbus)
{
	if (!poison_permitted())
		return;
	bring_to(PAGE_POISONED);
	ck_assert_int_eq(engine_begin(at(3), false), FAULT_FAILED);
	expect_signal(SIGBUS, false);
	expect_signal(SIGBUS, true);
	expect_state(at(3), PAGE_POISONED);
	ck_assert(!engine_fail(host_of(at(3)), 0)); /* it is, already */
	ck_assert_uint_eq(vm->failing, 0);
	ck_assert_int_eq(mapping_dontneed(vm, at(3), at(4)), 0);
	expect_state(at(3), PAGE_FRESH);
	ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
	expect_signal(0, true);
}
END_TEST

START_TEST(fail_and_unfail)
{
	bool write = _i & 1;

	if (!poison_permitted())
		return;
	bring_to(_i & 2 ? PAGE_SWAPPED : PAGE_FRESH);
	ck_assert(engine_fail(host_of(at(3)), 0));
	ck_assert_uint_eq(vm->failing, 1);
	expect_state(at(3), _i & 2 ? PAGE_SWAPPED : PAGE_FRESH);
	expect_signal(SIGBUS, write);
	fault_unfail(vm, host_of(at(3)));
	ck_assert_uint_eq(vm->failing, 0);
	engine_expect_nothing();
	ck_assert_int_eq(engine_fault(at(3), write), FAULT_DONE);
	expect_signal(0, write);
	space_check(vm);
}
END_TEST

/* A fault that fails wakes its thread into the signal. */
START_TEST(fail_wakes)
{
	struct os_fault f;
	struct app app;

	bring_to(PAGE_SWAPPED);
	app_start(&app, at(3), false, 0);
	f = app_event();
	ck_assert(engine_fail(host_of(at(3)), f.tid));
	app_join(&app);
	ck_assert_int_eq(app.signal, SIGBUS);
	fault_unfail(vm, host_of(at(3)));
	ck_assert_int_eq(engine_fault(at(3), false), FAULT_DONE);
	expect_signal(0, false);
}
END_TEST

/* One that is usable, or being made so, is not made to fail. */
START_TEST(fail_spares)
{
	static const enum page_state spared[] = {PAGE_FILLING, PAGE_CLEAN,
						 PAGE_DIRTY, PAGE_WRITING};

	bring_to(spared[_i]);
	ck_assert(!engine_fail(host_of(at(3)), os_tid()));
	expect_state(at(3), spared[_i]);
	ck_assert_uint_eq(vm->failing, 0);
	tidy();
	if (spared[_i] != PAGE_WRITING)
		expect_signal(0, false);
}
END_TEST

/* A page that comes while it is made to fail: demanded, or read ahead. */
START_TEST(filled_while_it_fails)
{
	bool write = _i & 1, ahead = _i & 2;
	gaddr_t next;

	engine_out(at(2), 3);
	ck_assert(engine_fail(host_of(at(3)), 0));
	if (ahead)
		ck_assert(engine_ahead(at(2), at(5), &next));
	else
		ck_assert_int_eq(engine_begin(at(3), write), FAULT_READ);
	engine_read();
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	space_check(vm);
	expect_state(at(3), write && !ahead ? PAGE_DIRTY : PAGE_CLEAN);
	ck_assert(stamped(frame_of(at(3)), at(3), 1));
	fault_unfail(vm, host_of(at(3)));
	expect_signal(0, false);
	if (pte_state(entry(at(3))) == PAGE_CLEAN) { /* and it is protected */
		struct app app;

		app_start(&app, at(3), true, 7);
		ck_assert(app_event().protect);
		ck_assert_int_eq(engine_fault(at(3), true), FAULT_DONE);
		app_join(&app);
	}
	tidy();
}
END_TEST

/*
 * The region may be gone by then, and others have something at its address.
 */
START_TEST(unfail_spares_strangers)
{
	haddr_t host = host_of(at(3));
	char *stranger;

	bring_to(PAGE_SWAPPED);
	ck_assert(engine_fail(host, 0));
	ck_assert_int_eq(mapping_unmap(vm, addr, at(BLOCK_PAGES)), 0);
	stranger = mmap(
		(void *)(uintptr_t)host, PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ck_assert_uint_eq((uintptr_t)stranger, host);
	memset(stranger, 'x', PAGE_BYTES);
	fault_unfail(vm, host);
	ck_assert_uint_eq(vm->failing, 0);
	ck_assert_int_eq(stranger[0], 'x');
	ck_assert_int_eq(stranger[PAGE_BYTES - 1], 'x');
	munmap(stranger, PAGE_BYTES);
}
END_TEST

START_TEST(fail_without_a_region)
{
	haddr_t host = host_of(addr) - PAGE_BYTES;

	if (!regions_at_host(&vm->regions, host))
		ck_assert(!engine_fail(host, 0));
	ck_assert_uint_eq(vm->failing, 0);
}
END_TEST

START_TEST(refusals)
{
	ck_assert_int_eq(fault_refusal(PTE_READ, PTE_READ), 0);
	ck_assert_int_eq(fault_refusal(PTE_PERMS, PTE_PERMS), 0);
	ck_assert_int_eq(fault_refusal(0, 0), 0);
	ck_assert_int_eq(fault_refusal(0, PTE_READ), -VVM_ENOREAD);
	ck_assert_int_eq(fault_refusal(PTE_READ, PTE_WRITE), -VVM_ENOWRITE);
	ck_assert_int_eq(fault_refusal(PTE_READ | PTE_WRITE, PTE_EXEC),
			 -VVM_ENOEXEC);
	ck_assert_int_eq(fault_refusal(0, PTE_READ | PTE_WRITE), -VVM_ENOWRITE);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "states");

	tcase_add_loop_test(tc, state, 0, (int)ARRAY_SIZE(cases));
	tcase_add_loop_test(tc, the_thread_goes_on, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(tc, a_spurious_fault_wakes);
	tcase_add_test(tc, new_pages_are_new);
	tcase_add_test(tc, writes_after_reads_are_counted);
	tcase_add_test(tc, zeros_for_the_write_to_come);
	tcase_add_test(tc, a_write_ends_prefetched);
	tcase_add_loop_test(tc, no_frame, 0, 4);
	tcase_add_loop_test(tc, no_frame_needed, 0, 3);
	tcase_add_test(tc, no_region);
	tcase_add_test(tc, counted_then_lost);
	tcase_add_test(tc, no_memory_for_the_table);
	tcase_add_loop_test(tc, the_kernel_refuses, 0, (int)ARRAY_SIZE(kernel));
	tcase_add_loop_test(tc, zeros_over_a_frame, 0, 2);
	tc = test_case(s, "failing");
	tcase_add_test(tc, poisoned_is_sigbus);
	tcase_add_loop_test(tc, fail_and_unfail, 0, 4);
	tcase_add_test(tc, fail_wakes);
	tcase_add_loop_test(tc, fail_spares, 0, 4);
	tcase_add_loop_test(tc, filled_while_it_fails, 0, 4);
	tcase_add_test(tc, unfail_spares_strangers);
	tcase_add_test(tc, fail_without_a_region);
	tcase_add_test(tc, refusals);
}

const struct test_program test_program = {
	.name = "fault",
	.add = add_tests,
	.setup = engine_setup,
	.teardown = engine_close,
	.missing = engine_missing,
};
