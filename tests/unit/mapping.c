/* SPDX-License-Identifier: MIT */
/*
 * unit/mapping.c - map, unmap, protect and advise. First, each of them on a
 * range that spans regions and pages in every state, with the n-th use of
 * each injection point of os/os.h failing, for all n until none is met: on an
 * error everything is as it was (or, for unmap and DONTNEED, which may be
 * half done, each region or page is as it was or gone), and the same call
 * then succeeds. Then what they leave of pages, frames, slots and neighbours,
 * and that they wait for I/O in flight. Needs userfaultfd, else skips.
 */
#include "map/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "map/access.h"
#include "support/engine.h"
#include "support/engine_app.h"
#include "support/engine_count.h"
#include "support/engine_fault.h"
#include "support/test.h"

#define RW    (VVM_READ | VVM_WRITE)
#define PAGES (3 * BLOCK_PAGES)
/* Of the range that is worked on: parts of three regions. */
#define FIRST 5
#define LAST  1100

static gaddr_t at(unsigned i)
{
	return page_of(addr, i);
}

/*
 * Regions: RW [0, 500), READ [500, 1000), RW [1000, PAGES). Pages in every
 * state but those that need I/O in flight, in each of them.
 */
static void populate(void)
{
	static const unsigned start[] = {0, 500, 1000};
	unsigned i, from;

	addr = engine_map(PAGES, RW);
	for (i = 0; i < ARRAY_SIZE(start); i++) {
		from = start[i];
		engine_dirty(at(from), 8);
		engine_out(at(from + 8), 4);
		ck_assert_int_eq(engine_fault(at(from + 8), false), FAULT_DONE);
		ck_assert_int_eq(engine_fault(at(from + 20), false),
				 FAULT_DONE);
		ck_assert_int_eq(engine_begin(at(from + 11), false),
				 FAULT_READ);
		ck_assert_int_eq(engine_install(-EIO),
				 FAULT_FAILED); /* POISONED */
	}
	ck_assert_int_eq(mapping_protect(vm, at(500), at(1000), VVM_READ), 0);
	engine_remember();
	space_check(vm);
}

static void setup(void)
{
	engine_open(600);
	populate();
}

/* ---- everything there is ---- */

#define REGIONS_MAX 16

struct picture {
	struct region region[REGIONS_MAX];
	size_t regions;
	pte_t pte[PAGES];
	uint64_t used, pinned, slots;
	int64_t counter[VVM_STAT_COUNTER_COUNT];
	char perms[REGIONS_MAX][5]; /* as the kernel sees them */
};

static struct picture before, after;

/* "rw-s", of the mapping that holds the address; "" when there is none. */
static void kernel_perms(haddr_t host, char *perms)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long long from, to;
	char line[512], text[5];

	perms[0] = '\0';
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %4s", &from, &to, text) == 3 &&
		    host >= from && host < to)
			memcpy(perms, text, sizeof(text));
	fclose(f);
}

static void look(struct picture *p)
{
	unsigned i;

	memset(p, 0, sizeof(*p));
	p->regions = vm->regions.count;
	ck_assert_uint_le(p->regions, REGIONS_MAX);
	for (i = 0; i < p->regions; i++) {
		p->region[i] = *vm->regions.by_guest[i];
		p->region[i].next = NULL;
		kernel_perms(p->region[i].host, p->perms[i]);
	}
	for (i = 0; i < PAGES; i++)
		p->pte[i] = entry(at(i));
	p->used = vm->frames.used;
	p->pinned = vm->frames.pinned;
	p->slots = slots_used();
	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		p->counter[i] = stat_sum(&vm->stats, i);
}

static void expect_unchanged(void)
{
	look(&after);
	ck_assert_uint_eq(after.regions, before.regions);
	ck_assert_int_eq(
		memcmp(after.region, before.region, sizeof(after.region)), 0);
	ck_assert_int_eq(memcmp(after.perms, before.perms, sizeof(after.perms)),
			 0);
	ck_assert_int_eq(memcmp(after.pte, before.pte, sizeof(after.pte)), 0);
	ck_assert_uint_eq(after.used, before.used);
	ck_assert_uint_eq(after.pinned, before.pinned);
	ck_assert_uint_eq(after.slots, before.slots);
	ck_assert_int_eq(
		memcmp(after.counter, before.counter, sizeof(after.counter)),
		0);
}

/* Resident pages still hold what they held. */
static void expect_contents(void)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		if (pte_state(entry(at(i))) == PAGE_DIRTY)
			ck_assert(stamped(frame_of(at(i)), at(i), 1));
}

/* Every page of the range and every region: as it was, or `gone`. */
static void expect_unchanged_or(enum page_state gone)
{
	unsigned i;

	look(&after);
	for (i = 0; i < PAGES; i++)
		ck_assert_msg(after.pte[i] == before.pte[i] ||
				      (i >= FIRST && i < LAST &&
				       pte_state(after.pte[i]) == gone),
			      "page %u: %#llx was %#llx", i,
			      (unsigned long long)after.pte[i],
			      (unsigned long long)before.pte[i]);
	if (gone == PAGE_FRESH)
		ck_assert_int_eq(memcmp(after.region, before.region,
					sizeof(after.region)),
				 0);
}

static void none(void)
{
	expect_unchanged();
}

static void none_or_unmapped(void)
{
	expect_unchanged_or(PAGE_NONE);
}

static void none_or_fresh(void)
{
	expect_unchanged_or(PAGE_FRESH);
}

/* ---- the walk ---- */

static gaddr_t mapped_at;

static int do_map(void)
{
	mapped_at = VVM_ANYWHERE;
	return mapping_map(vm, &mapped_at, BLOCK_BYTES, RW, "walk");
}

static int do_map_at(void)
{
	mapped_at = (gaddr_t)123 << BLOCK_SHIFT;
	return mapping_map(vm, &mapped_at, 10 * PAGE_BYTES, RW, NULL);
}

static int do_unmap(void)
{
	return mapping_unmap(vm, at(FIRST), at(LAST));
}

static int do_protect(void)
{
	return mapping_protect(vm, at(FIRST), at(LAST), VVM_NONE);
}

static int do_protect_more(void)
{
	return mapping_protect(vm, at(FIRST), at(LAST), RW | VVM_EXEC);
}

static int do_advise(void)
{
	return mapping_set_advice(vm, at(FIRST), at(LAST), VVM_ADV_RANDOM);
}

static int do_dontneed(void)
{
	return mapping_dontneed(vm, at(FIRST), at(LAST));
}

static int do_cold(void)
{
	return mapping_cold(vm, at(FIRST), at(LAST));
}

static const struct {
	const char *name;
	int (*run)(void);
	void (*expect)(void); /* on an error */
} calls[] = {
	{"map", do_map, none},
	{"map at", do_map_at, none},
	{"unmap", do_unmap, none_or_unmapped},
	{"protect", do_protect, none},
	{"protect more", do_protect_more, none},
	{"advise", do_advise, none},
	{"dontneed", do_dontneed, none_or_fresh},
	{"cold", do_cold, none},
};

/* One round of the walk. False: the call did not get so far. */
static bool fail_nth(unsigned call, enum os_point point, uint64_t nth)
{
	bool met;
	int rc;

	setup();
	look(&before);
	os_inject_clear();
	os_inject(point, nth, false, ENOMEM);
	rc = calls[call].run();
	met = os_inject_uses(point) >= nth;
	os_inject_clear();
	space_check(vm);
	if (rc < 0) {
		ck_assert(met);
		ck_assert_msg(rc == -ENOMEM, "%s: %d", calls[call].name, rc);
		calls[call].expect();
		rc = calls[call].run();
		space_check(vm);
	}
	ck_assert_msg(rc == 0, "%s: %d", calls[call].name, rc);
	expect_contents();
	engine_close();
	return met;
}

START_TEST(every_os_call_fails_once)
{
	unsigned point, failures = 0;
	uint64_t nth;

	for (point = 0; point < OS_POINT_COUNT; point++)
		for (nth = 1; fail_nth((unsigned)_i, point, nth); nth++)
			failures++;
	/* advice changes the table only */
	ck_assert_msg(failures || calls[_i].run == do_advise, "%s meets none",
		      calls[_i].name);
}
END_TEST

/* ---- refusals ---- */

static uint64_t address_pages(void)
{
	char text[128];

	ck_assert_int_ge(os_read_text("/proc/self/statm", text, sizeof(text)),
			 0);
	return strtoull(text, NULL, 10);
}

/* Whatever fails of it: a map that did not succeed keeps no addresses. */
START_TEST(a_map_that_fails_keeps_no_addresses)
{
	uint64_t bytes = 1ull << 40, before_pages = address_pages();
	unsigned point, failures = 0;
	gaddr_t a;
	int rc;

	for (point = 0; point < OS_POINT_COUNT; point++) {
		os_inject(point, 1, false, ENOMEM);
		a = VVM_ANYWHERE;
		rc = mapping_map(vm, &a, bytes, RW, NULL);
		os_inject_clear();
		if (rc == 0)
			ck_assert_int_eq(mapping_unmap(vm, a, a + bytes), 0);
		failures += rc < 0;
		ck_assert_uint_lt(address_pages() - before_pages,
				  bytes_to_pages(bytes) / 2);
	}
	ck_assert_uint_gt(failures, 1);
}
END_TEST

START_TEST(pinned_pages_refuse)
{
	ck_assert_int_eq(access_pin(vm, at(1000), at(1002)), 0);
	look(&before);
	ck_assert_int_eq(do_unmap(), -EBUSY);
	expect_unchanged();
	ck_assert_int_eq(do_dontneed(), -EBUSY);
	expect_unchanged();
	ck_assert_int_eq(access_unpin(vm, at(1000), at(1001)), 0);
	ck_assert_int_eq(do_unmap(), -EBUSY);
	ck_assert_int_eq(access_unpin(vm, at(1001), at(1002)), 0);
	ck_assert_int_eq(do_unmap(), 0);
}
END_TEST

START_TEST(holes_refuse)
{
	ck_assert_int_eq(mapping_unmap(vm, at(600), at(601)), 0);
	look(&before);
	ck_assert_int_eq(do_protect(), -VVM_EUNMAPPED);
	ck_assert_int_eq(do_advise(), -VVM_EUNMAPPED);
	ck_assert_int_eq(do_dontneed(), -VVM_EUNMAPPED);
	ck_assert_int_eq(do_cold(), -VVM_EUNMAPPED);
	expect_unchanged();
	ck_assert_int_eq(do_unmap(), 0); /* is allowed */
	ck_assert_int_eq(do_unmap(), 0);
}
END_TEST

START_TEST(taken_addresses_refuse)
{
	gaddr_t taken = at(PAGES - 1);

	look(&before);
	ck_assert_int_eq(mapping_map(vm, &taken, 2 * PAGE_BYTES, RW, ""),
			 -EEXIST);
	ck_assert_uint_eq(taken, at(PAGES - 1));
	expect_unchanged();
}
END_TEST

/* ---- what is left ---- */

START_TEST(unmap_leaves_the_rest)
{
	unsigned i;

	look(&before);
	ck_assert_int_eq(do_unmap(), 0);
	space_check(vm);
	look(&after);
	for (i = 0; i < PAGES; i++)
		if (i < FIRST || i >= LAST)
			ck_assert_uint_eq(after.pte[i], before.pte[i]);
		else
			expect_state(at(i), PAGE_NONE);
	ck_assert_uint_eq(after.regions, 2);
	ck_assert_uint_eq(after.region[0].end, at(FIRST));
	ck_assert_uint_eq(after.region[1].start, at(LAST));
	ck_assert_uint_eq(after.used, FIRST);
	ck_assert_uint_eq(after.slots, 0);
	ck_assert_int_eq(after.counter[VVM_STAT_regions], 2);
	ck_assert_int_eq(after.counter[VVM_STAT_mapped_bytes],
			 (int64_t)pages_to_bytes(PAGES - (LAST - FIRST)));
	expect_contents();
	/* the block in the middle had nothing else: it is gone */
	ck_assert_ptr_null(pt_find(&vm->pt, at(BLOCK_PAGES)));
	ck_assert_ptr_nonnull(pt_find(&vm->pt, at(0)));
}
END_TEST

START_TEST(protect_and_back_is_one_region_again)
{
	gaddr_t one = engine_map(BLOCK_PAGES, RW);

	ck_assert_int_eq(engine_fault(page_of(one, 3), true), FAULT_DONE);
	look(&before);
	ck_assert_int_eq(
		mapping_protect(vm, page_of(one, 2), page_of(one, 9), VVM_READ),
		0);
	space_check(vm);
	ck_assert_uint_eq(vm->regions.count, before.regions + 2);
	ck_assert_uint_eq(entry(page_of(one, 3)) & PTE_PERMS, PTE_READ);
	ck_assert_uint_eq(entry(page_of(one, 9)) & PTE_PERMS,
			  PTE_READ | PTE_WRITE);
	ck_assert_int_eq(
		mapping_protect(vm, one, page_of(one, BLOCK_PAGES), VVM_WRITE),
		0); /* implies reading */
	space_check(vm);
	expect_unchanged();
}
END_TEST

START_TEST(advice_splits_and_joins)
{
	look(&before);
	ck_assert_int_eq(do_advise(), 0);
	ck_assert_uint_eq(vm->regions.count, before.regions + 2);
	ck_assert_uint_eq(regions_at_guest(&vm->regions, at(700))->advice,
			  VVM_ADV_RANDOM);
	ck_assert_uint_eq(regions_at_guest(&vm->regions, at(LAST))->advice,
			  VVM_ADV_NORMAL);
	space_check(vm);
	ck_assert_int_eq(
		mapping_set_advice(vm, at(0), at(PAGES), VVM_ADV_NORMAL), 0);
	expect_unchanged();
}
END_TEST

START_TEST(dontneed_makes_zeros)
{
	unsigned i;

	look(&before);
	ck_assert_int_eq(do_dontneed(), 0);
	space_check(vm);
	look(&after);
	for (i = 0; i < PAGES; i++)
		if (i < FIRST || i >= LAST)
			ck_assert_uint_eq(after.pte[i], before.pte[i]);
		else if (after.pte[i])
			expect_state(at(i), PAGE_FRESH);
	ck_assert_uint_eq(after.regions, before.regions);
	ck_assert_uint_eq(after.used, FIRST);
	ck_assert_uint_eq(after.slots, 0);
	/* 3 x 8 dirty, 2 clean, 2 swapped, 1 poisoned, less FIRST */
	engine_expect(C(discarded_pages) = 3 * 13 - FIRST,
		      C(resident_pages) = -(3 * 10 - FIRST),
		      C(dirty_pages) = -(3 * 8 - FIRST),
		      C(swapped_pages) = -3 * 2);
	ck_assert_int_eq(engine_fault(at(FIRST), true), FAULT_DONE);
	ck_assert_uint_eq(*ptr_of(at(FIRST)), 0);
}
END_TEST

START_TEST(cold_pages_are_old_and_unmapped)
{
	ck_assert(is_mapped(at(6)) && is_mapped(at(0)));
	ck_assert_int_eq(do_cold(), 0);
	ck_assert(!is_mapped(at(6)) && is_mapped(at(0)));
	ck_assert_uint_eq(pte_age(entry(at(6))), 0);
	ck_assert_uint_eq(pte_age(entry(at(0))), vm->clock.ops->new_age);
	expect_state(at(6), PAGE_DIRTY);
	engine_expect_nothing();
}
END_TEST

START_TEST(a_hundred_cycles_leave_nothing)
{
	uint64_t used = vm->frames.used, slots = slots_used();
	unsigned i;

	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(i % 2 ? do_map() : do_map_at(), 0);
		ck_assert_int_eq(engine_fault(mapped_at, true), FAULT_DONE);
		ck_assert_int_eq(
			mapping_unmap(vm, mapped_at, mapped_at + BLOCK_BYTES),
			0);
	}
	ck_assert_uint_eq(vm->frames.used, used);
	ck_assert_uint_eq(slots_used(), slots);
	ck_assert_uint_eq(vm->pt.block_count, 2);
	space_check(vm);
}
END_TEST

/* ---- I/O in flight ---- */

static void *call(void *arg)
{
	int (*run)(void) = *(int (**)(void))arg;

	ck_assert_int_eq(run(), 0);
	return NULL;
}

static void run_beside(pthread_t *thread, int (*run)(void))
{
	static int (*what)(void);

	what = run;
	ck_assert_int_eq(pthread_create(thread, NULL, call, &what), 0);
}

static void join(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ENGINE_US / 1000000;
	ck_assert_int_eq(pthread_timedjoin_np(thread, NULL, &until), 0);
}

static bool has_region(gaddr_t a)
{
	bool has;

	rwlock_read(&vm->lock);
	has = regions_at_guest(&vm->regions, a);
	rwlock_end_read(&vm->lock);
	return has;
}

/* The fill may find the range covered, or not yet: it is gone either way. */
START_TEST(unmap_waits_for_a_fill)
{
	enum fault_result result;
	pthread_t thread;

	ck_assert_int_eq(engine_begin(at(9), false), FAULT_READ);
	engine_read();
	run_beside(&thread, do_unmap);
	while (has_region(at(9)))
		os_yield();
	ck_assert_uint_eq(pt_find(&vm->pt, at(9))->filling, 1);
	result = engine_install(0);
	ck_assert(result == FAULT_DONE || result == FAULT_GONE);
	join(thread);
	space_check(vm);
	ck_assert_uint_eq(vm->frames.used, FIRST);
	ck_assert_uint_eq(slots_used(), 0);
}
END_TEST

static uint32_t waiters(gaddr_t a)
{
	return atomic_load(&pt_find(&vm->pt, a)->busy_done.waiters);
}

/* What is unmapped with it is gone before that. */
START_TEST(unmap_of_many_regions_waits_for_a_fill)
{
	char *page = ptr_of(at(LAST - 1));
	pthread_t thread;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(engine_begin(at(9), false), FAULT_READ);
	engine_read();
	run_beside(&thread, do_unmap);
	live_wait(waiters(at(9)), 10000);
	ck_assert(write(ends[1], page, 1) < 0 && errno == EFAULT);
	ck_assert_int_eq(engine_install(0), FAULT_GONE);
	join(thread);
	space_check(vm);
}
END_TEST

/* Does somebody wait for the write-backs of the block? */
static bool awaited(gaddr_t a)
{
	struct block *b = block_of(a);
	bool is = b->awaited;

	lock_drop(&b->lock);
	return is;
}

START_TEST(unmap_waits_for_a_write)
{
	pthread_t thread;

	engine_cold(at(6), 1);
	ck_assert_int_eq(evict_step(&evictor, 1), EVICT_FREED);
	expect_state(at(6), PAGE_WRITING);
	run_beside(&thread, do_unmap);
	while (has_region(at(6)))
		os_yield();
	ck_assert_uint_eq(pt_find(&vm->pt, at(6))->writing, 1);
	live_wait(awaited(at(6)), 10000);
	engine_complete();
	join(thread);
	space_check(vm);
	ck_assert_uint_eq(vm->frames.used, FIRST);
	ck_assert_uint_eq(slots_used(), 0);
}
END_TEST

/* For that page alone, of which there may always be one. */
/* Beside a thread that changes it. */
static enum page_state state_now(gaddr_t addr)
{
	struct block *b = pt_find(&vm->pt, addr);
	enum page_state state;

	lock_take(&b->lock);
	state = pte_state(b->pte[page_index(addr)]);
	lock_drop(&b->lock);
	return state;
}

START_TEST(dontneed_waits_for_a_fill)
{
	pthread_t thread;

	ck_assert_int_eq(engine_begin(at(9), false), FAULT_READ);
	engine_read();
	run_beside(&thread, do_dontneed);
	live_wait(state_now(at(8)) == PAGE_FRESH, 10000);
	expect_state(at(9), PAGE_FILLING);
	ck_assert_int_eq(engine_install(0), FAULT_DONE);
	join(thread);
	space_check(vm);
	expect_state(at(9), PAGE_FRESH);
	ck_assert_uint_eq(vm->frames.used, FIRST);
}
END_TEST

/* Whoever is blocked in a fault gets SIGSEGV, never zeros. */
START_TEST(unmap_wakes_the_blocked)
{
	struct app app;

	app_start(&app, at(9), false, 0);
	app_event(); /* read and forgotten */
	ck_assert_int_eq(do_unmap(), 0);
	app_join(&app);
	ck_assert_int_eq(app.signal, SIGSEGV);
}
END_TEST

/*
 * The frames cannot be freed: they and their addresses are kept, the call
 * succeeds, and nobody waits for ever. The next call frees them.
 */
START_TEST(frames_that_cannot_be_freed)
{
	uint64_t used = vm->frames.used;
	struct app app;

	app_start(&app, at(9), false, 0);
	app_event();
	os_inject(OS_punch, 1, true, EIO);
	ck_assert_int_eq(do_unmap(), 0);
	os_inject_clear();
	app_join(&app);
	ck_assert_int_eq(app.signal, SIGSEGV);
	space_check(vm);
	ck_assert_uint_eq(vm->frames.used, used); /* still in the memfd */
	ck_assert_uint_eq(slots_used(), 0);
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_regions), 2);
	ck_assert_int_eq(do_unmap(), 0);
	ck_assert_uint_lt(vm->frames.used, used);
	ck_assert_ptr_null(vm->unburied);
}
END_TEST

static void add_walk(Suite *s)
{
	TCase *tc = test_case_with(s, "walk", NULL, NULL);

	tcase_add_loop_test(tc, every_os_call_fails_once, 0,
			    (int)ARRAY_SIZE(calls));
}

/* The kernel is short of memory until somebody lets others run. */
void __wrap_os_yield(void);
void __wrap_os_yield(void)
{
	os_inject(OS_protect, 1, false, 0);
}

START_TEST(protect_that_fails_is_undone_in_the_end)
{
	gaddr_t one = engine_map(4, RW), other = page_of(one, 2);
	volatile char *first = (char *)(uintptr_t)host_of(one);
	volatile char *second = (char *)(uintptr_t)host_of(other);

	engine_dirty(one, 4);
	/* two regions: the first is protected, the second cannot be */
	ck_assert_int_eq(mapping_set_advice(vm, one, other, VVM_ADV_RANDOM), 0);
	os_inject(OS_protect, 2, true, ENOMEM);
	ck_assert_int_eq(mapping_protect(vm, one, page_of(one, 4), VVM_NONE),
			 -ENOMEM);
	*first = *second = 2; /* or SIGSEGV */
	space_check(vm);
}
END_TEST

static unsigned closed;

static void close_backing(struct backing *b)
{
	(void)b;
	closed++;
}

/* A read that nobody waits for may be of it. */
START_TEST(a_lost_space_closes_backings_at_last)
{
	static const struct backing_ops ops = {.close = close_backing};
	static struct backing b = {.ops = &ops, .held.fd = -1};
	gaddr_t start = VVM_ANYWHERE, middle;

	closed = 0;
	ck_assert_int_eq(
		mapping_map_backed(vm, &start, 4 * PAGE_BYTES, RW, NULL, &b),
		0);
	middle = start + 2 * PAGE_BYTES;
	ck_assert_uint_eq(b.users, 1);
	atomic_store(&vm->broken, true);
	ck_assert_int_eq(mapping_unmap(vm, start, middle), 0);
	ck_assert_ptr_null(vm->orphans);
	ck_assert_int_eq(mapping_unmap(vm, middle, start + 4 * PAGE_BYTES), 0);
	ck_assert_uint_eq(closed, 0);
	ck_assert_ptr_eq(vm->orphans, &b);
	atomic_store(&vm->broken, false);
	engine_close();
	ck_assert_uint_eq(closed, 1);
	setup();
	ck_assert_int_eq(
		mapping_map_backed(vm, &start, PAGE_BYTES, RW, NULL, &b), 0);
	ck_assert_int_eq(mapping_unmap(vm, start, start + PAGE_BYTES), 0);
	ck_assert_uint_eq(closed, 2);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "mapping");

	tcase_add_test(tc, a_map_that_fails_keeps_no_addresses);
	tcase_add_test(tc, pinned_pages_refuse);
	tcase_add_test(tc, holes_refuse);
	tcase_add_test(tc, taken_addresses_refuse);
	test_counted(tc, unmap_leaves_the_rest);
	tcase_add_test(tc, protect_and_back_is_one_region_again);
	tcase_add_test(tc, protect_that_fails_is_undone_in_the_end);
	tcase_add_test(tc, advice_splits_and_joins);
	test_counted(tc, dontneed_makes_zeros);
	tcase_add_test(tc, cold_pages_are_old_and_unmapped);
	tcase_add_test(tc, a_hundred_cycles_leave_nothing);
	tcase_add_test(tc, unmap_waits_for_a_fill);
	tcase_add_test(tc, unmap_of_many_regions_waits_for_a_fill);
	tcase_add_test(tc, unmap_waits_for_a_write);
	tcase_add_test(tc, dontneed_waits_for_a_fill);
	tcase_add_test(tc, unmap_wakes_the_blocked);
	test_counted(tc, frames_that_cannot_be_freed);
	tcase_add_test(tc, a_lost_space_closes_backings_at_last);
	add_walk(s);
}

const struct test_program test_program = {
	.name = "mapping",
	.add = add_tests,
	.setup = setup,
	.teardown = engine_close,
	.missing = engine_missing,
};
