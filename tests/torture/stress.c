/* SPDX-License-Identifier: MIT */
/*
 * torture/stress.c - everything at once, against a model, for as long as you
 * like: increments by pointer, stamped reads, checked loads and stores, touch
 * and pin, protect, DONTNEED, regions that come and go, a budget that moves.
 * The first violation ends the program with status 1; no progress for a
 * minute ends it with 2.
 *
 * Each thread owns the pages p with p % threads == its number, and a model
 * of them: the version each was last filled with (0: zeros). Anybody may
 * increment the shared counters, one page of them for each 16 pages.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/access.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/random.h"
#include "support/wait.h"

static struct {
	long seconds, threads, budget, size_mib;
	uint64_t seed;
} option = {20, 8, 64, 16, 1};

static char *base, *shared;
static uint64_t pages, shared_pages;
static _Atomic uint64_t *expected; /* increments, by shared page */
static uint64_t *version;	   /* by page; of its owner only */
static atomic_bool stop;
static _Atomic uint64_t operations, budget_now;

struct worker {
	pthread_t thread;
	uint64_t id, random, next_version;
};

static char *page_at(uint64_t page)
{
	return base + page * LIVE_PAGE;
}

/* One of the worker's own pages. */
static uint64_t own_page(struct worker *w)
{
	uint64_t n = pages / (uint64_t)option.threads;

	return live_below(&w->random, n) * (uint64_t)option.threads + w->id;
}

static void verify_page(uint64_t page)
{
	int word;

	if (!version[page]) {
		if (!live_is_zero(page_at(page)))
			live_fail("page %llu is not zeros",
				  (unsigned long long)page);
		return;
	}
	word = live_verify(page_at(page), page, version[page]);
	if (word >= 0)
		live_fail("page %llu, word %d: not of version %llu",
			  (unsigned long long)page, word,
			  (unsigned long long)version[page]);
}

static void op_fill(struct worker *w)
{
	uint64_t page = own_page(w);

	verify_page(page);
	version[page] = ++w->next_version;
	live_fill(page_at(page), page, version[page]);
}

static void op_verify(struct worker *w)
{
	verify_page(own_page(w));
}

static void op_increment(struct worker *w)
{
	uint64_t page = live_below(&w->random, shared_pages);
	uint64_t word = live_below(&w->random, 512);

	__atomic_fetch_add((uint64_t *)(void *)(shared + page * LIVE_PAGE) +
				   word,
			   1, __ATOMIC_SEQ_CST);
	atomic_fetch_add(&expected[page], 1);
}

static void op_store(struct worker *w)
{
	uint64_t page = own_page(w), words[512];

	version[page] = ++w->next_version;
	live_fill(words, page, version[page]);
	live_ok(vvm_store(vm, live_addr(page_at(page)), words, LIVE_PAGE));
	verify_page(page);
}

static void op_load(struct worker *w)
{
	uint64_t page = own_page(w), words[512];

	live_ok(vvm_load(vm, live_addr(page_at(page)), words, LIVE_PAGE));
	if (version[page] ? live_verify(words, page, version[page]) >= 0
			  : !live_is_zero(words))
		live_fail("vvm_load of page %llu: not version %llu",
			  (unsigned long long)page,
			  (unsigned long long)version[page]);
}

static void op_protect(struct worker *w)
{
	uint64_t page = own_page(w), value;
	uint64_t a = live_addr(page_at(page));

	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_READ));
	verify_page(page);
	live_equal(live_try_store(page_at(page), 1), SIGSEGV);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, VVM_NONE));
	live_equal(live_try_load(page_at(page) + 64, &value), SIGSEGV);
	live_check(live_signal_addr == page_at(page) + 64);
	live_ok(vvm_protect(vm, a, LIVE_PAGE, LIVE_RW));
	verify_page(page);
}

static void op_discard(struct worker *w)
{
	uint64_t page = own_page(w);

	verify_page(page);
	live_ok(vvm_advise(vm, live_addr(page_at(page)), LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	version[page] = 0;
	verify_page(page);
}

static void op_advise(struct worker *w)
{
	static const enum vvm_advice kinds[] = {VVM_ADV_WILLNEED, VVM_ADV_COLD};
	uint64_t first = live_below(&w->random, pages);
	uint64_t n = 1 + live_below(&w->random, 64);

	n = first + n > pages ? pages - first : n;
	live_ok(vvm_advise(vm, live_addr(page_at(first)), n * LIVE_PAGE,
			   kinds[live_below(&w->random, 2)]));
}

static void op_pin(struct worker *w)
{
	uint64_t page = own_page(w), a = live_addr(page_at(page));
	int r = vvm_pin(vm, a, LIVE_PAGE);

	if (r == -EAGAIN)
		return;
	live_ok(r);
	live_check(live_flags(vm, page_at(page)) & VVM_PAGE_PINNED);
	verify_page(page);
	version[page] = ++w->next_version;
	live_fill(page_at(page), page, version[page]);
	live_expect(vvm_unmap(vm, a, LIVE_PAGE), -EBUSY);
	live_ok(vvm_unpin(vm, a, LIVE_PAGE));
}

static void op_touch(struct worker *w)
{
	uint64_t page = own_page(w);

	live_ok(vvm_touch(vm, live_addr(page_at(page)), LIVE_PAGE,
			  live_below(&w->random, 2) ? VVM_TOUCH_READ
						    : VVM_TOUCH_WRITE));
	verify_page(page);
}

/* A region of its own for a moment, cut in two. */
static void op_region(struct worker *w)
{
	uint64_t n = 3 + live_below(&w->random, 40), cut;
	char *p = live_map(vm, n, LIVE_RW);

	for (uint64_t i = 0; i < n; i++) {
		live_check(live_is_zero(p + i * LIVE_PAGE));
		live_fill(p + i * LIVE_PAGE, i, w->id);
	}
	cut = 1 + live_below(&w->random, n - 2);
	live_ok(vvm_unmap(vm, live_addr(p) + cut * LIVE_PAGE, LIVE_PAGE));
	for (uint64_t i = 0; i < n; i++)
		if (i != cut)
			live_equal(live_verify(p + i * LIVE_PAGE, i, w->id),
				   -1);
	live_ok(vvm_unmap(vm, live_addr(p), n * LIVE_PAGE));
}

/* Up to twice the budget and down to a quarter: one thread does it. */
static void op_resize(struct worker *w)
{
	uint64_t least = (uint64_t)option.budget / 4 + 1;
	uint64_t n = least + live_below(&w->random,
					2 * (uint64_t)option.budget - least);
	int r;

	if (w->id)
		return;
	if (n > budget_now) /* the sampler must not see more than it knows */
		budget_now = n;
	r = vvm_resize(vm, n * LIVE_PAGE);
	if (r == -EBUSY) /* pins: the old budget holds */
		budget_now = 2 * (uint64_t)option.budget;
	else
		live_ok(r);
	if (r == 0)
		budget_now = n;
}

static const struct {
	void (*run)(struct worker *w);
	unsigned weight;
} ops[] = {
	{op_fill, 200}, {op_verify, 200}, {op_increment, 300}, {op_store, 40},
	{op_load, 40},	{op_protect, 20}, {op_discard, 30},    {op_advise, 10},
	{op_pin, 20},	{op_touch, 20},	  {op_region, 3},      {op_resize, 1},
};

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		uint64_t pick = live_below(&w->random, 884);
		size_t i = 0;

		while (i < LIVE_LEN(ops) - 1 && pick >= ops[i].weight)
			pick -= ops[i++].weight;
		ops[i].run(w);
		operations++;
	}
	return NULL;
}

/* Allocated frames against the budget, until told to stop. */
static void *watch_budget(void *arg)
{
	int memfd = *(int *)arg;

	while (!atomic_load(&stop)) {
		uint64_t before = budget_now;
		uint64_t frames = live_frames_above(memfd, before);

		if (frames > before && frames > budget_now)
			live_fail("%llu frames at a budget of %llu",
				  (unsigned long long)frames,
				  (unsigned long long)budget_now);
		live_nap_us(200);
	}
	return NULL;
}

/* Prints what goes on; ends the program when nothing does. */
static void wait_and_report(void)
{
	uint64_t end = live_now_ms() + (uint64_t)option.seconds * 1000;
	uint64_t last = 0, still = 0, shown = live_now_ms();

	while (live_now_ms() < end) {
		live_nap_us(100000);
		still = operations == last ? still + 1 : 0;
		last = operations;
		if (still > 600) {
			fprintf(stderr, "no operation for a minute: a hang\n");
			_exit(2);
		}
		if (live_now_ms() - shown >= 5000) {
			struct vvm_stats st = live_stats(vm);

			shown = live_now_ms();
			printf("%llu operations, %lld faults, %lld pages in, "
			       "%lld out\n",
			       (unsigned long long)last, (long long)st.faults,
			       (long long)st.swapin_pages,
			       (long long)st.swapout_pages);
			fflush(stdout);
		}
	}
}

static void check_everything(void)
{
	for (uint64_t page = 0; page < pages; page++)
		verify_page(page);
	for (uint64_t page = 0; page < shared_pages; page++) {
		uint64_t *words = (void *)(shared + page * LIVE_PAGE), sum = 0;

		for (int i = 0; i < 512; i++)
			sum += words[i];
		live_equal(sum, expected[page]);
	}
	live_equal(live_stats(vm).pinned_pages, 0);
}

static void torture(void)
{
	struct worker *w = calloc((size_t)option.threads, sizeof *w);
	pthread_t watcher;
	int memfd;

	vm = live_open((uint64_t)option.budget);
	budget_now = (uint64_t)option.budget;
	memfd = live_memfd();
	pages = (uint64_t)option.size_mib * 256;
	shared_pages = pages / 16 + 1;
	base = live_map(vm, pages, LIVE_RW);
	shared = live_map(vm, shared_pages, LIVE_RW);
	version = calloc(pages, sizeof *version);
	expected = calloc(shared_pages, sizeof *expected);
	live_check(w && version && expected);
	live_equal(pthread_create(&watcher, NULL, watch_budget, &memfd), 0);
	for (long i = 0; i < option.threads; i++) {
		w[i].id = (uint64_t)i;
		w[i].random = option.seed * 1000 + (uint64_t)i;
		live_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	wait_and_report();
	atomic_store(&stop, true);
	for (long i = 0; i < option.threads; i++)
		pthread_join(w[i].thread, NULL);
	pthread_join(watcher, NULL);
	check_everything();
	live_ok(vvm_close(vm));
	free(w);
	free(version);
	free((void *)expected);
}

static int usage(const char *name, int status)
{
	fprintf(status ? stderr : stdout,
		"usage: %s [--seconds S] [--threads N] [--budget PAGES] "
		"[--size MIB] [--seed N] [--faults thread|inline]\n",
		name);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{"seconds", required_argument, NULL, 's'},
		{"threads", required_argument, NULL, 't'},
		{"budget", required_argument, NULL, 'b'},
		{"size", required_argument, NULL, 'z'},
		{"seed", required_argument, NULL, 'r'},
		{"faults", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *missing = live_missing();
	int c;

	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		long n = optarg ? strtol(optarg, NULL, 0) : 0;

		switch (c) {
		case 's':
			option.seconds = n;
			break;
		case 't':
			option.threads = n;
			break;
		case 'b':
			option.budget = n;
			break;
		case 'z':
			option.size_mib = n;
			break;
		case 'r':
			option.seed = (uint64_t)n;
			break;
		case 'f': /* where a space takes it from */
			if (strcmp(optarg, "thread") &&
			    strcmp(optarg, "inline"))
				return usage(argv[0], 64);
			setenv("VVM_FAULTS", optarg, 1);
			break;
		case 'h':
			return usage(argv[0], 0);
		default:
			return usage(argv[0], 64);
		}
	}
	if (option.seconds < 1 || option.threads < 1 || option.threads > 128 ||
	    option.budget < 1 || option.size_mib < 1)
		return usage(argv[0], 64);
	if (missing) {
		printf("torture_stress: skipped: %s\n", missing);
		return 77;
	}
	live_catch();
	torture();
	printf("torture_stress: %llu operations, no violation (seed %llu)\n",
	       (unsigned long long)operations, (unsigned long long)option.seed);
	return 0;
}
