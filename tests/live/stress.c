/* SPDX-License-Identifier: MIT */
/*
 * live/stress.c - sixteen threads on a budget of a few pages: random atomic
 * increments and stamped reads. Nothing may be lost, no stamp may be wrong
 * or old, nothing may hang, and the memfd never holds more frames than the
 * budget, sampled independently of the library.
 *
 * VVM_STRESS_SECONDS: how long each budget is exercised (0.6 s without it),
 * in each fault mode.
 *
 * Page layout, 64-bit words:
 *	0	  stamp: page number << 32 | version, 0 before the first
 *	1	  live_stamp(page, version), written before word 0
 *	64..511	  counters, incremented by anybody
 * Only its owner (page % threads) stamps a page: check, then word 1, word 0,
 * then the version is published in plain memory. A reader that has seen the
 * version published must find it, or a later one, in the page.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"
#include "swap/squeeze.h"

#define THREADS	    16
#define FIRST	    64 /* first counter */
#define COUNTERS    448
#define STAMP(p, v) ((uint64_t)(p) << 32 | (v))

static struct run {
	char *base;
	uint32_t pages;
	atomic_bool stop;
	_Atomic uint32_t *published; /* version, by page */
	_Atomic uint32_t *expected;  /* increments, by page */
	_Atomic uint64_t operations;
} run;

struct worker {
	pthread_t thread;
	uint32_t id;
	uint64_t random;
};

static _Atomic uint64_t *page_words(uint32_t page)
{
	return (_Atomic uint64_t *)(void *)(run.base +
					    (uint64_t)page * LIVE_PAGE);
}

static void increment(struct worker *w, uint32_t page)
{
	uint64_t n = live_below(&w->random, COUNTERS);

	atomic_fetch_add(&page_words(page)[FIRST + n], 1);
	atomic_fetch_add(&run.expected[page], 1);
}

static void read_stamp(uint32_t page)
{
	uint32_t published = atomic_load(&run.published[page]);
	uint64_t stamp = atomic_load(&page_words(page)[0]);

	if (stamp == 0 && published == 0)
		return;
	if (stamp >> 32 != page || (uint32_t)stamp < published)
		live_fail("page %u: stamp %#llx, published version %u", page,
			  (unsigned long long)stamp, published);
}

static void write_stamp(struct worker *w, uint32_t page)
{
	uint32_t version, own;
	uint64_t was;

	own = page - page % THREADS + w->id;
	page = own < run.pages ? own : w->id;
	if (page >= run.pages)
		return;
	version = atomic_load(&run.published[page]);
	was = atomic_load(&page_words(page)[0]);
	if (was != (version ? STAMP(page, version) : 0))
		live_fail("page %u: stamp %#llx, its owner wrote version %u",
			  page, (unsigned long long)was, version);
	was = atomic_load(&page_words(page)[1]);
	if (was != (version ? live_stamp(page, version) : 0))
		live_fail("page %u: word 1 is not of version %u", page,
			  version);
	version++;
	atomic_store(&page_words(page)[1], live_stamp(page, version));
	atomic_store(&page_words(page)[0], STAMP(page, version));
	atomic_store(&run.published[page], version);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t n = 0;

	while (!atomic_load_explicit(&run.stop, memory_order_relaxed)) {
		uint32_t page = (uint32_t)live_below(&w->random, run.pages);

		/* By turns most of what is read is written next: policy/intent.c. */
		switch (live_below(&w->random, n & 64 ? 12 : 4)) {
		case 0:
		case 1:
			increment(w, page);
			break;
		case 2:
			read_stamp(page);
			break;
		default:
			write_stamp(w, page);
		}
		n++;
	}
	atomic_fetch_add(&run.operations, n);
	return NULL;
}

/* Sums the counters of every THREADS-th page. */
static void *verify(void *arg)
{
	struct worker *w = arg;

	for (uint32_t page = w->id; page < run.pages; page += THREADS) {
		uint64_t sum = 0;

		if (!run.expected[page] && !run.published[page])
			continue; /* nobody was here */
		for (int i = 0; i < COUNTERS; i++)
			sum += atomic_load(&page_words(page)[FIRST + i]);
		if (sum != run.expected[page])
			live_fail("page %u: %llu increments of %u", page,
				  (unsigned long long)sum, run.expected[page]);
		read_stamp(page);
	}
	return NULL;
}

static void start(struct worker *w, void *(*fn)(void *))
{
	for (uint32_t i = 0; i < THREADS; i++) {
		w[i].id = i;
		w[i].random = 1000 + i;
		live_equal(pthread_create(&w[i].thread, NULL, fn, &w[i]), 0);
	}
}

static void join(struct worker *w)
{
	for (int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
}

static void stress(uint64_t budget, uint32_t pages, long ms)
{
	struct live_sampler sampler;
	struct worker w[THREADS];
	struct vvm *vm = live_open(budget);
	struct vvm_stats st;
	uint64_t max, end;

	memset(&run, 0, sizeof run);
	run.pages = pages;
	run.base = live_map(vm, pages, LIVE_RW);
	run.published = calloc(pages, sizeof *run.published);
	run.expected = calloc(pages, sizeof *run.expected);
	live_check(run.published && run.expected);
	live_sampler_start(&sampler, budget);
	start(w, work);
	for (end = live_now_ms() + (uint64_t)ms; live_now_ms() < end;)
		live_nap_us(20000);
	atomic_store(&run.stop, true);
	join(w);
	start(w, verify);
	join(w);
	max = live_sampler_stop(&sampler);
	st = live_stats(vm);
	printf("live_stress%s: budget %llu, %u pages: %llu operations, %lld "
	       "faults, at most %llu frames (%llu samples)\n",
	       live_inline() ? " (inline)" : "", (unsigned long long)budget,
	       pages, (unsigned long long)run.operations, (long long)st.faults,
	       (unsigned long long)max, (unsigned long long)sampler.samples);
	fflush(stdout);
	live_check(max >= 1 && max <= budget);
	live_check(st.peak_pages <= budget);
	live_check(run.operations > 0);
	live_equal(st.faults_failed, 0);
	live_ok(vvm_close(vm));
	free(run.published);
	free(run.expected);
}

/* Of what they write most is zeros: it is kept compressed, and does not fit. */
static void stress_compressed(long ms)
{
	setenv("VVM_COMPRESS", "lz4", 1);
	stress(512, 16384, ms);
	unsetenv("VVM_COMPRESS");
}

static long stress_ms(void)
{
	long seconds = live_setting("VVM_STRESS_SECONDS", 0);

	return seconds > 0 ? seconds * 1000 : 600;
}

/* Fewer pages for the smallest budgets: the walk at the end faults on each. */
static const struct {
	uint64_t budget;
	uint32_t pages;
} budgets[] = {{16, 16384}, {8, 16384}, {4, 4096}, {2, 1024}, {1, 512}};

START_TEST(sixteen_threads_on_a_tiny_budget)
{
	stress(budgets[_i].budget, budgets[_i].pages, stress_ms());
}
END_TEST

/* All threads want the same few pages, more than there are frames. */
START_TEST(sixteen_threads_on_the_same_pages)
{
	stress(16, 24, stress_ms() / 2);
	stress(1, 2, stress_ms() / 4);
}
END_TEST

START_TEST(sixteen_threads_on_compressed_memory)
{
	stress_compressed(stress_ms());
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "stress");

	test_limit(tc, (unsigned)(stress_ms() / 500 + 120));
	tcase_add_loop_test(tc, sixteen_threads_on_a_tiny_budget, 0,
			    (int)LIVE_LEN(budgets));
	tcase_add_test(tc, sixteen_threads_on_the_same_pages);
	if (squeeze_known())
		tcase_add_test(tc, sixteen_threads_on_compressed_memory);
}

const struct test_program test_program = {
	.name = "live_stress",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
