/* SPDX-License-Identifier: MIT */
/*
 * live/ahead.c - reading ahead of real streams, in both fault modes: forward,
 * backward, strided, several at once beside random accesses, with and without
 * writes, from large budgets down to a few pages. Every page is verified,
 * the budget is watched from outside, and streams must be found.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define THREADS 4
#define SHARE	1024 /* pages of a thread's part of the region */
#define PAGES	(THREADS * SHARE)
#define LAPS	10

static char *base;
static struct live_sampler sampler;
static uint64_t version[PAGES]; /* each only touched by its thread */

struct walk {
	pthread_t thread;
	uint64_t first, pages, random;
	int64_t stride;
	bool write, at_random;
};

static struct walk walk[THREADS];

static char *page_at(uint64_t n)
{
	return base + n * LIVE_PAGE;
}

static void open_space(uint64_t budget)
{
	vm = live_open(budget);
	base = live_map(vm, PAGES, LIVE_RW);
	for (uint64_t n = 0; n < PAGES; n++)
		live_fill(page_at(n), n, version[n] = 1);
	live_sampler_start(&sampler, budget);
}

static void close_space(uint64_t budget)
{
	live_check(live_sampler_stop(&sampler) <= budget);
	live_check(live_stats(vm).peak_pages <= budget);
	live_ok(vvm_close(vm));
}

static void visit(struct walk *w, uint64_t n)
{
	live_equal(live_verify(page_at(n), n, version[n]), -1);
	if (w->write && n % 3 == 0)
		live_fill(page_at(n), n, ++version[n]);
}

/* One lap over the thread's share, in steps. */
static void *lap(void *arg)
{
	struct walk *w = arg;
	uint64_t step = (uint64_t)(w->stride < 0 ? -w->stride : w->stride);

	for (uint64_t k = 0; k < w->pages / step; k++) {
		uint64_t at = k * step;

		if (w->stride < 0)
			at = w->pages - 1 - at;
		if (w->at_random)
			at = live_below(&w->random, w->pages);
		visit(w, w->first + at);
	}
	return NULL;
}

static void walk_all(const int64_t *strides, uint64_t pages, bool write,
		     bool one_at_random)
{
	for (int i = 0; i < THREADS; i++) {
		walk[i] = (struct walk){.first = (uint64_t)i * SHARE,
					.pages = pages,
					.stride = strides[i],
					.write = write,
					.random = (uint64_t)i,
					.at_random = one_at_random && i == 0};
		live_equal(pthread_create(&walk[i].thread, NULL, lap, &walk[i]),
			   0);
	}
	for (int i = 0; i < THREADS; i++)
		live_equal(pthread_join(walk[i].thread, NULL), 0);
}

/*
 * Nearly all is out, and frames are free: no stream has to wait for those
 * that a loaded disk must write first.
 */
static void page_out(uint64_t budget)
{
	live_wait(vvm_resize(vm, 8 * LIVE_PAGE) == 0, 60000);
	live_ok(vvm_resize(vm, budget * LIVE_PAGE));
}

/* All of it once. Did few faults wait for a read of their own? */
static bool is_read_ahead(struct walk *w)
{
	struct vvm_stats s, t;
	int64_t ahead;

	page_out(PAGES / 4);
	s = live_stats(vm);
	for (int i = 0; i < THREADS; i++) {
		w->first = (uint64_t)i * SHARE;
		lap(w);
	}
	t = live_stats(vm);
	ahead = t.prefetch_pages - s.prefetch_pages;
	return ahead > PAGES / 20 && t.faults_swapin - s.faults_swapin < ahead;
}

/*
 * One thread, one kind of stream. Whoever reads ahead may come too late when
 * others have the CPUs: once is enough.
 */
START_TEST(one_stream)
{
	static const int64_t strides[] = {1, -1, 3, -3, 9};
	struct walk w = {.stride = strides[_i], .pages = SHARE};
	unsigned laps = 0;

	open_space(PAGES / 4);
	while (!is_read_ahead(&w))
		live_check(++laps < LAPS);
	close_space(PAGES / 4);
}
END_TEST

START_TEST(many_streams)
{
	static const int64_t forward[] = {1, 1, 1, 1}, mixed[] = {1, -1, 3, -7};
	static const uint64_t budgets[] = {1024, 150, 5};
	/* Everything is an I/O of one page below some hundred frames. */
	static const uint64_t pages[] = {SHARE, SHARE / 2, 100};

	open_space(budgets[_i]);
	walk_all(forward, pages[_i], _i, false);
	walk_all(mixed, pages[_i], true, true);
	close_space(budgets[_i]);
}
END_TEST

/* Threads that take turns at one stream: its pages are right all the same. */
static _Atomic uint64_t next_page;

static void *take_turns(void *arg)
{
	uint64_t n;

	(void)arg;
	while ((n = atomic_fetch_add(&next_page, 1)) < PAGES)
		live_equal(live_verify(page_at(n), n, 1), -1);
	return NULL;
}

START_TEST(a_stream_of_many_threads)
{
	open_space(512);
	atomic_store(&next_page, 0);
	for (int i = 0; i < THREADS; i++)
		live_equal(
			pthread_create(&walk[i].thread, NULL, take_turns, NULL),
			0);
	for (int i = 0; i < THREADS; i++)
		live_equal(pthread_join(walk[i].thread, NULL), 0);
	close_space(512);
}
END_TEST

/* A stream goes on while what lies ahead of it is discarded or unmapped. */
START_TEST(what_is_ahead_goes_away)
{
	uint64_t hole;

	open_space(512);
	for (hole = 100; hole + 300 < PAGES; hole += 300) {
		struct walk w = {.first = hole - 100, .stride = 1};

		for (uint64_t n = 0; n < 100; n++)
			visit(&w, w.first + n);
		live_ok(vvm_advise(vm, live_addr(page_at(hole)), 50 * LIVE_PAGE,
				   VVM_ADV_DONTNEED));
		live_ok(vvm_unmap(vm, live_addr(page_at(hole + 50)),
				  50 * LIVE_PAGE));
		for (uint64_t n = 0; n < 50; n++)
			live_check(live_is_zero(page_at(hole + n)));
		for (uint64_t n = 100; n < 200; n++)
			visit(&w, hole + n);
	}
	close_space(512);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "streams");

	if (TEST_STATS)
		tcase_add_loop_test(tc, one_stream, 0, 5);
	tcase_add_loop_test(tc, many_streams, 0, 3);
	tcase_add_test(tc, a_stream_of_many_threads);
	tcase_add_test(tc, what_is_ahead_goes_away);
}

const struct test_program test_program = {
	.name = "live_ahead",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
