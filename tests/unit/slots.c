/* SPDX-License-Identifier: MIT */
/*
 * unit/slots.c - the slot allocator against a naive model: an array of
 * bools that is searched from end to end.
 */
#include "swap/slots.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "os/os.h"
#include "support/test.h"

#define MODEL_SLOTS 5000 /* two groups of the summary, the second in part */

static bool model[MODEL_SLOTS + 2]; /* taken; [0] and the last are fences */
static struct slots s;
static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

static void model_reset(uint64_t seed_value)
{
	memset(model, 0, sizeof(model));
	model[0] = true;
	seed = seed_value;
}

static uint64_t model_longest(uint64_t area, uint64_t *runs)
{
	uint64_t i, run = 0, longest = 0;

	*runs = 0;
	for (i = 1; i <= area; i++) {
		run = model[i] ? 0 : run + 1;
		*runs += run == 1;
		longest = MAX(longest, run);
	}
	return longest;
}

/* The model agrees that the run was free, and takes it. */
static void model_take(uint64_t first, uint64_t n)
{
	uint64_t i;

	for (i = first; i < first + n; i++) {
		ck_assert_uint_ge(i, 1);
		ck_assert_uint_le(i, s.area);
		ck_assert(!model[i]);
		model[i] = true;
	}
}

static void take_and_check(uint64_t want, bool force)
{
	uint64_t first, got, runs, longest = model_longest(s.area, &runs);
	int err = slots_take(&s, want, force, &first, &got);

	if (longest == 0) {
		ck_assert_int_eq(err, s.area < s.limit ? -EAGAIN : -ENOSPC);
		return;
	}
	if (err) {
		ck_assert_int_eq(err, -EAGAIN);
		ck_assert(!force && s.area < s.limit);
		ck_assert(runs > SLOTS_SEARCH_RUNS || longest < want);
		return;
	}
	ck_assert_uint_ge(got, 1);
	ck_assert_uint_le(got, want);
	if (runs <= SLOTS_SEARCH_RUNS) /* the search saw all of them */
		ck_assert_uint_eq(got, MIN(want, longest));
	model_take(first, got);
}

/* Gives back what is taken of up to `n` slots from a random one on. */
static void give_some(uint64_t n)
{
	uint64_t i = 1 + random_below(s.area), end;

	while (i <= s.area && !model[i])
		i++;
	for (end = i; end <= s.area && model[end] && end - i < n; end++)
		model[end] = false;
	if (end > i)
		slots_give(&s, i, end - i);
}

static void random_walk(uint64_t want_max, unsigned give_pct)
{
	unsigned step;

	for (step = 0; step < 4000; step++) {
		if (random_below(100) < give_pct && s.area > 0)
			give_some(1 + random_below(8));
		else
			take_and_check(1 + random_below(want_max),
				       random_below(2));
		if (random_below(300) == 0)
			slots_grow(&s,
				   s.area + random_below(s.limit - s.area + 1));
		if (step % 100 == 0)
			slots_check(&s);
	}
	slots_check(&s);
}

START_TEST(random_walk_agrees_with_the_model)
{
	static const unsigned give_pct[] = {0, 20, 50, 70, 90};

	model_reset((uint64_t)_i);
	ck_assert_int_eq(slots_init(&s, MODEL_SLOTS), 0);
	random_walk(_i % 2 ? 1 : 64, give_pct[_i % ARRAY_SIZE(give_pct)]);
	slots_fini(&s);
}
END_TEST

START_TEST(empty_area_wants_to_grow)
{
	uint64_t first, got;

	ck_assert_int_eq(slots_init(&s, 10), 0);
	ck_assert_int_eq(slots_take(&s, 1, false, &first, &got), -EAGAIN);
	ck_assert_int_eq(slots_take(&s, 1, true, &first, &got), -EAGAIN);
	slots_grow(&s, 1);
	ck_assert_int_eq(slots_take(&s, 4, false, &first, &got), -EAGAIN);
	ck_assert_int_eq(slots_take(&s, 4, true, &first, &got), 0);
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(got, 1);
	slots_fini(&s);
}
END_TEST

START_TEST(full_at_the_limit_is_enospc)
{
	uint64_t first, got;

	ck_assert_int_eq(slots_init(&s, 100), 0);
	slots_grow(&s, 100);
	ck_assert_int_eq(slots_take(&s, 256, false, &first, &got), 0);
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(got, 100);
	ck_assert_int_eq(slots_take(&s, 1, true, &first, &got), -ENOSPC);
	slots_give(&s, 50, 1);
	ck_assert_int_eq(slots_take(&s, 2, false, &first, &got), 0);
	ck_assert_uint_eq(first, 50);
	slots_check(&s);
	slots_fini(&s);
}
END_TEST

START_TEST(runs_follow_each_other)
{
	uint64_t first, got, i;

	ck_assert_int_eq(slots_init(&s, 10000), 0);
	slots_grow(&s, 10000);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(slots_take(&s, 37, false, &first, &got), 0);
		ck_assert_uint_eq(first, 1 + 37 * i);
		ck_assert_uint_eq(got, 37);
	}
	slots_give(&s, 1, 37); /* next fit: not back to the hole */
	ck_assert_int_eq(slots_take(&s, 37, false, &first, &got), 0);
	ck_assert_uint_eq(first, 1 + 37 * 100);
	slots_fini(&s);
}
END_TEST

START_TEST(checksums_are_there_for_every_slot)
{
	ck_assert_int_eq(slots_init(&s, 5000), 0);
	slots_grow(&s, 5000);
	s.checksum[1] = 1;
	s.checksum[5000] = 2;
	ck_assert_uint_eq(s.checksum[1], 1);
	ck_assert_uint_eq(s.checksum[5000], 2);
	slots_fini(&s);
}
END_TEST

/* CPU time of this thread, which other load on the machine leaves alone. */
static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Takes all of `limit` slots, then lives off single ones far apart. */
static uint64_t live_off_single_slots(uint64_t limit)
{
	uint64_t first, got, i, start, us;

	ck_assert_int_eq(slots_init(&s, limit), 0);
	slots_grow(&s, limit);
	while (slots_take(&s, 4096, false, &first, &got) == 0)
		;
	start = cpu_us();
	for (i = 0; i < 20000; i++) {
		slots_give(&s, 1 + i * 2654435761u % limit, 1);
		ck_assert_int_eq(slots_take(&s, 64, false, &first, &got), 0);
		ck_assert_uint_eq(got, 1);
	}
	us = cpu_us() - start;
	slots_check(&s);
	slots_fini(&s);
	return us;
}

/* A scan of the bitmap would take 20 us each, a summary takes 0.5. */
START_TEST(nearly_full_is_not_slow)
{
	uint64_t few_us = live_off_single_slots((uint64_t)1 << 13);
	uint64_t many_us = live_off_single_slots((uint64_t)1 << 22);

	ck_assert_msg(many_us < 5 * few_us, "%.2f us each, of few %.2f",
		      (double)many_us / 20000, (double)few_us / 20000);
}
END_TEST

START_TEST(checkerboard_is_not_slow)
{
	const uint64_t limit = (uint64_t)1 << 20;
	uint64_t first, got, i, start, us;

	ck_assert_int_eq(slots_init(&s, limit), 0);
	slots_grow(&s, limit);
	while (slots_take(&s, 4096, false, &first, &got) == 0)
		;
	for (i = 2; i <= limit; i += 2)
		slots_give(&s, i, 1);
	start = cpu_us();
	for (i = 0; i < 5000; i++)
		ck_assert_int_eq(slots_take(&s, 64, false, &first, &got), 0);
	us = cpu_us() - start;
	/* 2^19 free runs: looking at all would take ms; TSan costs tenfold. */
	ck_assert_msg(us < 5000 * 200, "%.2f us each", (double)us / 5000);
	slots_fini(&s);
}
END_TEST

/* A tebibyte of slots is only address space until it is used. */
START_TEST(a_tebibyte_costs_nothing)
{
	uint64_t first, got;

	ck_assert_int_eq(slots_init(&s, (uint64_t)1 << 28), 0);
	slots_grow(&s, (uint64_t)1 << 28);
	ck_assert_int_eq(slots_take(&s, 64, false, &first, &got), 0);
	slots_give(&s, first, got);
	slots_fini(&s);
}
END_TEST

/*
 * Ageing: a program on PAGES pages, of which a quarter fits, is simulated with
 * the rules of evict/writeback.c and swap/alloc.c: a page that is filled for writing
 * gives its slot back, the hand goes from block to block and takes half of what
 * is resident, and the area grows only while half of it is in use.
 */
#define PAGES	   ((uint64_t)1 << 15)
#define BLOCK	   512
#define AGE_BUDGET (PAGES / 4)
#define AGE_WRITE  64 /* pages of a write */

struct ageing {
	uint64_t slot[PAGES];
	bool resident[PAGES];
	uint64_t used, hand, seed;
	uint64_t writes, written, batches;
};

static uint64_t age_random(struct ageing *a)
{
	a->seed = a->seed * 6364136223846793005u + 1442695040888963407u;
	return a->seed >> 33;
}

static void age_write(struct ageing *a, const uint64_t *page, uint64_t n)
{
	uint64_t at, first, got, i;

	a->batches += n > 0;
	for (at = 0; at < n; at += got) {
		uint64_t want = MIN(n - at, (uint64_t)AGE_WRITE);

		while (slots_take(&s, want, s.used < s.area / 2, &first,
				  &got) == -EAGAIN)
			slots_grow(&s, s.area + PAGES / 16);
		for (i = 0; i < got; i++)
			a->slot[page[at + i]] = first + i;
		a->writes++;
		a->written += got;
	}
}

/* pct: of the resident pages of the block that the hand is at. */
static void age_evict(struct ageing *a, unsigned pct)
{
	uint64_t victim[BLOCK], n = 0, i;

	for (i = a->hand; i < a->hand + BLOCK; i++) {
		if (!a->resident[i] || age_random(a) % 100 >= pct)
			continue;
		a->resident[i] = false;
		a->used--;
		victim[n++] = i;
	}
	age_write(a, victim, n);
	a->hand = (a->hand + BLOCK) % PAGES;
}

/* A write to the page. */
static void age_touch(struct ageing *a, uint64_t page, unsigned pct)
{
	if (a->resident[page])
		return;
	if (a->slot[page])
		slots_give(&s, a->slot[page], 1);
	a->slot[page] = 0;
	a->resident[page] = true;
	if (++a->used < AGE_BUDGET)
		return;
	while (a->used > AGE_BUDGET - AGE_BUDGET / 25)
		age_evict(a, pct);
}

/* Pages per write from now on: forgets what was. */
static double age_run(struct ageing *a)
{
	double run = a->writes ? (double)a->written / (double)a->writes : 0;

	a->writes = a->written = a->batches = 0;
	return run;
}

/* How many pages that follow each other in memory do so in the swap, too. */
static double age_locality(const struct ageing *a)
{
	uint64_t runs = 0, n = 0, i;

	for (i = 1; i < PAGES; i++) {
		if (!a->slot[i])
			continue;
		n++;
		runs += a->slot[i] != a->slot[i - 1] + 1;
	}
	return (double)n / (double)MAX(runs, (uint64_t)1);
}

/*
 * Hours of random rewriting: PAGES of them are one turn, 1.3 s for a GiB.
 * With the file at most twice what is in it, a random free half has no long
 * runs; what matters is that the runs stop getting shorter, that the file
 * stops growing, and that both heal when the program goes in sequence again.
 */
START_TEST(ageing)
{
	struct ageing *a = calloc(1, sizeof(*a));
	uint64_t i, area;
	double run;

	ck_assert_int_eq(slots_init(&s, (uint64_t)1 << 24), 0);
	a->seed = 1;
	for (i = 0; i < PAGES; i++)
		age_touch(a, i, 100);
	ck_assert(age_run(a) > 0.95 * AGE_WRITE);
	for (i = 0; i < 60 * PAGES; i++)
		age_touch(a, age_random(a) % PAGES, 50);
	area = s.area;
	age_run(a);
	for (i = 0; i < 60 * PAGES; i++)
		age_touch(a, age_random(a) % PAGES, 50);
	run = age_run(a);
	ck_assert_msg(run > 7, "%.1f pages a write after ageing", run);
	ck_assert_uint_eq(s.area, area);
	ck_assert_uint_le(s.area, 2 * PAGES + PAGES / 8);
	for (i = 0; i < 2 * PAGES; i++)
		age_touch(a, i % PAGES, 100);
	age_run(a);
	for (i = 0; i < 2 * PAGES; i++)
		age_touch(a, i % PAGES, 100);
	run = age_run(a);
	ck_assert_msg(run > 0.7 * AGE_WRITE, "%.1f pages a write in sequence",
		      run);
	ck_assert_msg(age_locality(a) > 0.7 * AGE_WRITE,
		      "%.1f pages in a row after it", age_locality(a));
	ck_assert_uint_eq(s.area, area);
	slots_check(&s);
	slots_fini(&s);
	free(a);
}
END_TEST

START_TEST(init_without_memory_is_enomem)
{
	unsigned nth;

	for (nth = 1; nth <= 3; nth++) {
		os_inject_clear();
		os_inject(OS_map, nth, false, ENOMEM);
		ck_assert_int_eq(slots_init(&s, 100), -ENOMEM);
	}
	os_inject_clear();
	ck_assert_int_eq(slots_init(&s, 100), 0);
	slots_fini(&s);
}
END_TEST

START_TEST(giving_twice_aborts)
{
	uint64_t first, got;

	ck_assert_int_eq(slots_init(&s, 100), 0);
	slots_grow(&s, 100);
	ck_assert_int_eq(slots_take(&s, 10, false, &first, &got), 0);
	slots_give(&s, first, got);
	slots_give(&s, first, got);
}
END_TEST

START_TEST(giving_slot_0_aborts)
{
	ck_assert_int_eq(slots_init(&s, 100), 0);
	slots_grow(&s, 100);
	slots_give(&s, 0, 1);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "slots");

	tcase_add_loop_test(tc, random_walk_agrees_with_the_model, 0, 10);
	tcase_add_test(tc, empty_area_wants_to_grow);
	tcase_add_test(tc, full_at_the_limit_is_enospc);
	tcase_add_test(tc, runs_follow_each_other);
	tcase_add_test(tc, checksums_are_there_for_every_slot);
	tcase_add_test(tc, nearly_full_is_not_slow);
	tcase_add_test(tc, checkerboard_is_not_slow);
	tcase_add_test(tc, a_tebibyte_costs_nothing);
	tcase_add_test(tc, ageing);
	tcase_add_test(tc, init_without_memory_is_enomem);
	tcase_add_test_raise_signal(tc, giving_twice_aborts, 6);
	tcase_add_test_raise_signal(tc, giving_slot_0_aborts, 6);
}

const struct test_program test_program = {
	.name = "slots",
	.add = add_tests,
};
