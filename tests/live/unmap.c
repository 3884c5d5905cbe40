/* SPDX-License-Identifier: MIT */
/*
 * live/unmap.c - the address space changes while threads fault: map, unmap,
 * protect, DONTNEED, resize and close racing with accesses that page. And
 * 10,000 cycles of map, touch, unmap that must leave nothing behind.
 *
 * Words are self-describing: the word at pointer p is 0 or live_stamp() of
 * p, whoever mapped the region there, so that an access that comes late and
 * meets the next mapping of the same address is no false alarm. Nothing but
 * the library maps memory while such late writers run.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "support/access.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define THREADS 8

static atomic_bool stop;

struct worker {
	pthread_t thread;
	uint32_t id;
	uint64_t random;
	_Atomic uint64_t accesses, signals;
};

static struct worker worker[THREADS];

static void start(int n, void *(*fn)(void *))
{
	atomic_store(&stop, false);
	for (int i = 0; i < n; i++) {
		worker[i].id = (uint32_t)i;
		worker[i].random = 77 + (uint64_t)i;
		worker[i].accesses = worker[i].signals = 0;
		live_equal(
			pthread_create(&worker[i].thread, NULL, fn, &worker[i]),
			0);
	}
}

static void join(int n)
{
	for (int i = 0; i < n; i++)
		pthread_join(worker[i].thread, NULL);
}

static void finish(int n)
{
	atomic_store(&stop, true);
	join(n);
}

/* Every worker has done so many accesses since it was started. */
static void wait_accesses(int n, uint64_t accesses)
{
	for (int i = 0; i < n; i++)
		live_wait(worker[i].accesses >= accesses, 60000);
}

static uint64_t all_accesses(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += worker[i].accesses;
	return sum;
}

/* ---- cycles ---- */

static void cycle(uint64_t n, uint64_t *random)
{
	uint64_t pages = 1 + live_below(random, 64);
	uint64_t touched = n % 100 ? 1 + live_below(random, 4) : pages;
	char *p = live_map(vm, pages, LIVE_RW);

	if (touched > pages)
		touched = pages;
	for (uint64_t i = 0; i < touched; i++) {
		volatile uint64_t *w = (void *)(p + i * LIVE_PAGE);

		live_check(w[9] == 0); /* fresh, whatever was here before */
		w[9] = live_stamp(i, n);
	}
	for (uint64_t i = 0; i < touched; i++)
		live_check(*(volatile uint64_t *)(p + i * LIVE_PAGE + 72) ==
			   live_stamp(i, n));
	live_ok(vvm_unmap(vm, live_addr(p), pages * LIVE_PAGE));
}

START_TEST(ten_thousand_cycles_leave_nothing)
{
	uint64_t random = 4, rss;
	int fds, maps, threads;
	struct vvm_stats st;

	vm = live_open(16);
	for (uint64_t n = 0; n < 300; n++)
		cycle(n, &random);
	fds = live_count_fds();
	maps = live_count_maps();
	threads = live_count_threads();
	rss = live_rss_bytes();
	for (uint64_t n = 0; n < 10000; n++)
		cycle(n, &random);
	st = live_stats(vm);
	live_equal(st.regions, 0);
	live_equal(st.mapped_bytes, 0);
	live_equal(st.resident_pages, 0);
	live_equal(st.dirty_pages, 0);
	live_equal(st.swapped_pages, 0);
	live_equal(st.swap_used_pages, 0);
	live_check(st.swapout_pages > 0); /* or it has shown little */
	live_equal(live_frames(live_memfd()), 0);
	live_equal(live_count_fds(), fds);
	live_equal(live_count_threads(), threads);
	ck_assert_int_le(live_count_maps(), maps + 10);
	if (!LIVE_SANITIZED)
		ck_assert_uint_le(live_rss_bytes(), rss + (2 << 20));
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- unmap against faults ---- */

#define SLOTS	   8
#define SLOT_PAGES 64

/* A region, and a count that is odd while it is being replaced. */
static struct slot {
	char *_Atomic base;
	_Atomic uint64_t turn;
} slot[SLOTS];

static uint64_t own_stamp(const void *p)
{
	return live_stamp(live_addr(p), 0);
}

static void *access_slots(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		struct slot *s = &slot[live_below(&w->random, SLOTS)];
		uint64_t turn = atomic_load(&s->turn), value = 0;
		char *p = atomic_load(&s->base) +
			  live_below(&w->random, SLOT_PAGES) * LIVE_PAGE + 64;
		int sig;

		if (live_below(&w->random, 2))
			sig = live_try_store(p, value = own_stamp(p));
		else
			sig = live_try_load(p, &value);
		w->accesses++;
		if (turn % 2 == 0 && turn == atomic_load(&s->turn)) {
			/* it was mapped all the time */
			live_equal(sig, 0);
			live_check(value == 0 || value == own_stamp(p));
		} else if (sig) {
			live_equal(sig, SIGSEGV);
			live_check(live_signal_addr == p);
			w->signals++;
		}
	}
	return NULL;
}

START_TEST(unmap_races_with_faults)
{
	uint64_t random = 8, last = 0;

	mallopt(M_ARENA_MAX, 1);
	live_catch();
	vm = live_open(32);
	for (int i = 0; i < SLOTS; i++)
		slot[i].base = live_map(vm, SLOT_PAGES, LIVE_RW);
	start(THREADS, access_slots);
	wait_accesses(THREADS, 50);
	for (int n = 0; n < 1500; n++) {
		struct slot *s = &slot[live_below(&random, SLOTS)];
		uint64_t a = live_addr(s->base);

		s->turn++;
		live_ok(vvm_unmap(vm, a, SLOT_PAGES * LIVE_PAGE));
		s->base = live_map(vm, SLOT_PAGES, LIVE_RW);
		s->turn++;
		if (n % 50 == 0) { /* the workers have not come to a stop */
			last = worker[n / 50 % THREADS].accesses;
			live_wait(worker[n / 50 % THREADS].accesses > last,
				  60000);
		}
	}
	finish(THREADS);
	live_check(live_stats(vm).peak_pages <= 32);
	for (int i = 0; i < SLOTS; i++)
		live_ok(vvm_unmap(vm, live_addr(slot[i].base),
				  SLOT_PAGES * LIVE_PAGE));
	live_equal(live_stats(vm).resident_pages, 0);
	live_equal(live_stats(vm).swap_used_pages, 0);
	live_equal(live_frames(live_memfd()), 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* The checked functions, touch and pin meet regions that come and go. */
static void *call_on_slots(void *arg)
{
	struct worker *w = arg;
	uint64_t value;

	while (!atomic_load(&stop)) {
		struct slot *s = &slot[live_below(&w->random, SLOTS)];
		uint64_t a = live_addr(atomic_load(&s->base)) +
			     live_below(&w->random, SLOT_PAGES - 2) * LIVE_PAGE;
		int r;

		switch (live_below(&w->random, 4)) {
		case 0:
			r = vvm_load(vm, a + 64, &value, 8);
			live_check(r == 0 || r == -VVM_EUNMAPPED);
			break;
		case 1:
			value = live_stamp(a + 64, 0);
			r = vvm_store(vm, a + 64, &value, 8);
			live_check(r == 0 || r == -VVM_EUNMAPPED);
			break;
		case 2:
			r = vvm_touch(vm, a, 2 * LIVE_PAGE, VVM_TOUCH_WRITE);
			live_check(r == 0 || r == -VVM_EUNMAPPED);
			break;
		default:
			r = vvm_pin(vm, a, 2 * LIVE_PAGE);
			live_check(r == 0 || r == -VVM_EUNMAPPED ||
				   r == -EBUSY || r == -EAGAIN);
			if (r == 0) /* nobody can unmap it now */
				live_ok(vvm_unpin(vm, a, 2 * LIVE_PAGE));
		}
		w->accesses++;
	}
	return NULL;
}

START_TEST(unmap_races_with_calls)
{
	uint64_t random = 8;
	int r;

	vm = live_open(64);
	for (int i = 0; i < SLOTS; i++)
		slot[i].base = live_map(vm, SLOT_PAGES, LIVE_RW);
	start(THREADS, call_on_slots);
	wait_accesses(THREADS, 50);
	for (int n = 0; n < 1500; n++) {
		struct slot *s = &slot[live_below(&random, SLOTS)];

		r = vvm_unmap(vm, live_addr(s->base), SLOT_PAGES * LIVE_PAGE);
		live_check(r == 0 || r == -EBUSY);
		if (r == 0)
			s->base = live_map(vm, SLOT_PAGES, LIVE_RW);
	}
	finish(THREADS);
	live_equal(live_stats(vm).pinned_pages, 0);
	live_equal(live_stats(vm).regions, SLOTS);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- protect against paging ---- */

#define PAGES 256

static char *base;
static _Atomic uint64_t added[PAGES];

static void *add_everywhere(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		uint64_t page = live_below(&w->random, PAGES), value;
		char *p = base + page * LIVE_PAGE + 8 * w->id;
		int sig;

		if (live_below(&w->random, 4)) {
			sig = live_try_add(p, 1);
			if (!sig)
				atomic_fetch_add(&added[page], 1);
		} else {
			sig = live_try_load(p, &value);
		}
		if (sig) {
			live_equal(sig, SIGSEGV);
			live_check(live_signal_addr == p);
			w->signals++;
		}
		w->accesses++;
	}
	return NULL;
}

static void check_added(void)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t sum = 0;

		for (int i = 0; i < THREADS; i++)
			sum += *(uint64_t *)(base + page * LIVE_PAGE + 8 * i);
		live_equal(sum, added[page]);
	}
}

START_TEST(protect_races_with_paging)
{
	static const unsigned prots[] = {VVM_NONE, VVM_READ, LIVE_RW,
					 LIVE_RW | VVM_EXEC};
	uint64_t random = 6, signals = 0;

	live_catch();
	vm = live_open(32);
	base = live_map(vm, PAGES, LIVE_RW);
	start(4, add_everywhere);
	wait_accesses(4, 50);
	for (int n = 0; n < 4000; n++) {
		uint64_t first = live_below(&random, PAGES);
		uint64_t pages = 1 + live_below(&random, PAGES - first);

		if (pages > 16)
			pages = 16;
		live_ok(vvm_protect(vm, live_addr(base) + first * LIVE_PAGE,
				    pages * LIVE_PAGE,
				    prots[live_below(&random, 4)]));
	}
	finish(4);
	for (int i = 0; i < 4; i++)
		signals += worker[i].signals;
	live_check(signals > 0);
	live_ok(vvm_protect(vm, live_addr(base), PAGES * LIVE_PAGE, VVM_READ));
	check_added();
	live_check(live_stats(vm).peak_pages <= 32);
	live_ok(vvm_close(vm));
}
END_TEST

/* A fault callback that repairs, while pages go in and out. */
static enum vvm_verdict repair(struct vvm *space, const struct vvm_fault *fault,
			       void *arg)
{
	(void)arg;
	live_ok(vvm_protect(space, fault->addr & ~(LIVE_PAGE - 1), LIVE_PAGE,
			    LIVE_RW));
	return VVM_RETRY;
}

START_TEST(protect_races_with_a_callback_that_repairs)
{
	uint64_t random = 6;

	live_catch();
	vm = live_open(32);
	base = live_map(vm, PAGES, LIVE_RW);
	live_ok(vvm_on_fault(vm, repair, NULL));
	start(4, add_everywhere);
	wait_accesses(4, 50);
	for (int n = 0; n < 2000; n++)
		live_ok(vvm_protect(
			vm,
			live_addr(base) +
				live_below(&random, PAGES - 8) * LIVE_PAGE,
			8 * LIVE_PAGE,
			live_below(&random, 2) ? VVM_READ : VVM_NONE));
	finish(4);
	for (int i = 0; i < 4; i++)
		live_equal(worker[i].signals, 0);
	check_added();
	live_check(live_stats(vm).denied > 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- DONTNEED against paging ---- */

/*
 * Its own pages (page % THREADS) for a strict check, all for a loose one. Bare:
 * that others change what it looks at is what it is for.
 */
static LIVE_BARE void *discard_and_access(void *arg)
{
	struct worker *w = arg;
	uint64_t version = 0;

	while (!atomic_load(&stop)) {
		uint64_t page =
			live_below(&w->random, PAGES / 2 / THREADS) * THREADS +
			w->id;
		char *own = base + page * LIVE_PAGE;
		char *any = base +
			    (PAGES / 2 + live_below(&w->random, PAGES / 2)) *
				    LIVE_PAGE +
			    64;
		uint64_t value = *(volatile uint64_t *)any;

		live_fill(own, page, ++version);
		live_check(value == 0 || value == own_stamp(any));
		if (live_below(&w->random, 2))
			*(volatile uint64_t *)any = own_stamp(any);
		else if (live_below(&w->random, 4) == 0)
			live_ok(vvm_advise(vm, live_addr(any) & ~4095ull,
					   LIVE_PAGE, VVM_ADV_DONTNEED));
		live_equal(live_verify(own, page, version), -1);
		if (live_below(&w->random, 2) == 0)
			continue;
		live_ok(vvm_advise(vm, live_addr(own), LIVE_PAGE,
				   VVM_ADV_DONTNEED));
		live_check(live_is_zero(own));
		w->accesses++;
	}
	return NULL;
}

START_TEST(dontneed_races_with_paging)
{
	vm = live_open(32);
	base = live_map(vm, PAGES, LIVE_RW);
	start(THREADS, discard_and_access);
	wait_accesses(THREADS, 300);
	finish(THREADS);
	live_check(live_stats(vm).peak_pages <= 32);
	live_ok(vvm_advise(vm, live_addr(base), PAGES * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	live_equal(live_stats(vm).resident_pages, 0);
	/* the slot of a page being written is given back after the write */
	live_wait(live_stats(vm).swap_used_pages == 0, 10000);
	live_equal(live_frames(live_memfd()), 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- close against faults ---- */

/* Until the first signal: the address may be somebody else's afterwards. */
static void *access_until_closed(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		char *p = base + live_below(&w->random, 1024) * LIVE_PAGE;
		uint64_t value = 0;
		int sig = live_try_load(p, &value);

		if (sig) {
			live_equal(sig, SIGSEGV);
			live_check(live_signal_addr == p);
			w->signals++;
			return NULL;
		}
		live_check(value == own_stamp(p)); /* never zeros */
		if (w->id % 2 && live_try_store(p, value)) {
			w->signals++;
			return NULL;
		}
		w->accesses++;
	}
}

START_TEST(close_with_faults_in_flight)
{
	live_catch();
	for (int round = 0; round < 4; round++) {
		vm = live_open(round % 2 ? 8 : 64);
		base = live_map(vm, 1024, LIVE_RW);
		for (uint64_t i = 0; i < 1024; i++)
			*(volatile uint64_t *)(base + i * LIVE_PAGE) =
				own_stamp(base + i * LIVE_PAGE);
		start(8, access_until_closed);
		wait_accesses(8, 100);
		live_ok(vvm_close(vm));
		join(8);
		for (int i = 0; i < 8; i++)
			live_equal(worker[i].signals, 1);
	}
	live_equal(live_memfd(), -1);
}
END_TEST

/* ---- the budget shrinks and grows under load ---- */

#define LARGE 72000 /* pages: more than 256 MiB */

static _Atomic uint32_t *large_added;

static void *fill_large(void *arg)
{
	struct worker *w = arg;

	for (uint64_t page = w->id; page < LARGE; page += 4)
		*(volatile uint64_t *)(base + page * LIVE_PAGE + 8) =
			live_stamp(page, 1);
	return NULL;
}

static void *add_large(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		uint64_t page = live_below(&w->random, LARGE);

		atomic_fetch_add(
			(_Atomic uint64_t *)(void *)(base + page * LIVE_PAGE),
			1);
		atomic_fetch_add(&large_added[page], 1);
		w->accesses++;
	}
	return NULL;
}

static void *verify_large(void *arg)
{
	struct worker *w = arg;
	uint64_t first = (uint64_t)w->id * LARGE / 4;

	for (uint64_t page = first; page < first + LARGE / 4; page++) {
		volatile uint64_t *p = (void *)(base + page * LIVE_PAGE);

		live_equal(p[0], large_added[page]);
		live_check(p[1] == live_stamp(page, 1));
	}
	return NULL;
}

START_TEST(budget_from_256_mib_to_1_mib_and_back_under_load)
{
	const uint64_t mib = (1 << 20) / LIVE_PAGE;
	int memfd;

	vm = live_open(256 * mib);
	memfd = live_memfd();
	base = live_map(vm, LARGE, LIVE_RW);
	large_added = calloc(LARGE, sizeof *large_added);
	start(4, fill_large);
	join(4);
	start(4, add_large);
	wait_accesses(4, 200);
	for (int round = 0; round < 2; round++) {
		uint64_t now = all_accesses();

		live_ok(vvm_resize(vm, mib * LIVE_PAGE));
		live_check(live_within(memfd, mib));
		live_equal(live_stats(vm).budget_pages, mib);
		live_wait(all_accesses() > now + 1000, 60000);
		live_check(live_within(memfd, mib));
		live_ok(vvm_resize(vm, 256 * mib * LIVE_PAGE));
		live_wait(all_accesses() > now + 4000, 60000);
		live_check(live_within(memfd, 256 * mib));
	}
	finish(4);
	live_ok(vvm_advise(vm, live_addr(base), LARGE * LIVE_PAGE,
			   VVM_ADV_SEQUENTIAL));
	start(4, verify_large);
	join(4);
	live_ok(vvm_close(vm));
	free((void *)large_added);
}
END_TEST

/* ---- the program's own munmap(2) ---- */

#define HOLE(i) ((i) % 7 == 3)
#define HOLED	256

static void make_holes(void)
{
	for (unsigned i = 0; i < HOLED; i++)
		if (HOLE(i))
			live_check(munmap(base + i * LIVE_PAGE, LIVE_PAGE) ==
				   0);
}

/* All others can be had, though what was asked of the kernel has holes. */
START_TEST(neighbours_of_pages_that_the_program_has_unmapped)
{
	uint64_t value;

	live_catch();
	vm = live_open(16);
	base = live_map(vm, HOLED, LIVE_RW);
	if (_i == 0)
		make_holes();
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < HOLED; i++) {
			char *p = base + i * LIVE_PAGE;

			if (HOLE(i) && (_i == 0 || round > 1)) {
				live_equal(live_try_load(p, &value), SIGSEGV);
				continue;
			}
			live_equal(live_try_load(p, &value), 0);
			live_equal(value, round ? own_stamp(p) + round : 0);
			live_equal(live_try_store(p, own_stamp(p) + round + 1),
				   0);
		}
		if (_i && round == 1)
			make_holes();
	}
	live_equal(live_stats(vm).frame_timeouts, 0);
	live_check(live_stats(vm).peak_pages <= 16);
	live_ok(vvm_advise(vm, live_addr(base), HOLED * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	live_equal(live_stats(vm).resident_pages, 0);
	live_ok(vvm_unmap(vm, live_addr(base), HOLED * LIVE_PAGE));
	live_ok(vvm_close(vm));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "races");

	test_limit(tc, 120);
	tcase_add_test(tc, unmap_races_with_faults);
	tcase_add_test(tc, unmap_races_with_calls);
	tcase_add_test(tc, protect_races_with_paging);
	test_counted(tc, protect_races_with_a_callback_that_repairs);
	tcase_add_test(tc, dontneed_races_with_paging);
	tcase_add_test(tc, close_with_faults_in_flight);
	tc = test_case(s, "holes");
	tcase_add_loop_test(
		tc, neighbours_of_pages_that_the_program_has_unmapped, 0, 2);
	if (live_inline()) /* the rest has no part in who resolves faults */
		return;
	tc = test_case(s, "cycles");
	test_limit(tc, 120);
	test_counted(tc, ten_thousand_cycles_leave_nothing);
	tc = test_case(s, "resize");
	test_limit(tc, 120);
	tcase_add_test(tc, budget_from_256_mib_to_1_mib_and_back_under_load);
}

const struct test_program test_program = {
	.name = "live_unmap",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
