/* SPDX-License-Identifier: MIT */
/*
 * faults.c - `vvmbench faults`: the fault path without any I/O.
 *
 * A fresh page is filled with zeros: nothing is read, nothing written, and
 * what remains is the fault itself, the wake-ups included. A region that fits
 * the budget with room to spare, so that reclaim sleeps, is touched page by
 * page; then VVM_ADV_DONTNEED makes it fresh again for the next round.
 *
 * Each thread has a share of the region, and in each round touches every page
 * of it once, in an order scrambled so that no stream can be detected and
 * every page is a fault of its own (--in-order: the opposite). Rounds begin
 * and end at a barrier; only what lies between counts, giving the pages back
 * does not. Each page is verified to be all fresh: the word touched must be
 * zero, though the round before left a mark in it.
 */
#include "vvmbench/faults.h"

#include "common/json.h"

#include "common/option.h"
#include "vvmbench/workload/clock.h"
#include "vvmbench/workload/hist.h"
#include "vvmbench/workload/pattern.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct faults_plan {
	uint64_t size_bytes, threads, handlers;
	double seconds;
	int faults;
	bool read, in_order, json;
};

/* (i) set before the threads start, (b) changes only between the barriers */
struct faults_run {
	const struct faults_plan *plan; /* (i) */
	struct bench_clock clock;	/* (i) */
	struct vvm *vm;			/* (i) */
	char *base;			/* (i) */
	uint64_t share_pages;		/* (i) */
	pthread_barrier_t start, end;
	bool stop;		  /* (b) */
	uint64_t rounds, busy_ns; /* (b) */
	struct hist hist;	  /* (b) */
};

struct toucher {
	struct faults_run *run;
	pthread_t thread;
	char *base; /* of its share */
	struct scramble order;
	struct hist hist;
} __attribute__((aligned(64)));

static const char summary[] =
	"Touches fresh pages, gives them back, touches them again: rate and\n"
	"latency of faults that need no I/O.\n";

#define FIELD(f) offsetof(struct faults_plan, f)

static const struct opt opts[] = {
	OPTION_RANGE('t', "threads", FIELD(threads), NUMBER, "N", 1, 1024,
		     "that touch pages (1)"),
	OPTION_RANGE('d', "seconds", FIELD(seconds), REAL, "S", 0.01, 1e6,
		     "to measure (5)"),
	OPTION_WORD(0, "faults", FIELD(faults), "HOW", bench_fault_words,
		    "who resolves faults"),
	OPTION_RANGE('s', "size", FIELD(size_bytes), SIZE, "SIZE", 4096, 0x1p40,
		     "touched in a round (64M)"),
	OPTION_RANGE(0, "handlers", FIELD(handlers), NUMBER, "N", 1, 32,
		     "handler threads"),
	OPTION_FLAG(0, "read", FIELD(read), "touch by reading, not writing"),
	OPTION_FLAG(0, "in-order", FIELD(in_order),
		    "touch page after page, not scrambled"),
	OPTION_FLAG(0, "json", FIELD(json), "print one JSON object"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "faults", .args = "", .summary = summary, .opts = opts};

/* ------------------------------------------------------------------ */
/* Touching								*/

static void touch(const struct faults_run *run, char *page)
{
	_Atomic uint64_t *word = (_Atomic uint64_t *)page;
	uint64_t found;

	if (run->plan->read)
		found = atomic_load_explicit(word, memory_order_relaxed);
	else
		found = atomic_exchange_explicit(word, (uint64_t)page,
						 memory_order_relaxed);
	if (found)
		tool_die(TOOL_FAILED,
			 "verification failed: fresh page %p holds %#llx",
			 (void *)page, (unsigned long long)found);
}

static void touch_share(struct toucher *t)
{
	const struct faults_run *run = t->run;
	uint64_t i;

	for (i = 0; i < run->share_pages; i++) {
		uint64_t page =
			run->plan->in_order ? i : scramble(&t->order, i);
		uint64_t start = clock_ticks(&run->clock);

		touch(run, t->base + page * VVM_PAGE_SIZE);
		hist_add(&t->hist, clock_since(&run->clock, start,
					       clock_ticks(&run->clock)));
	}
}

static void *toucher_body(void *arg)
{
	struct toucher *t = arg;
	struct faults_run *run = t->run;

	for (;;) {
		pthread_barrier_wait(&run->start);
		if (run->stop)
			return NULL;
		touch_share(t);
		pthread_barrier_wait(&run->end);
	}
}

/* ------------------------------------------------------------------ */
/* Rounds								*/

static void one_round(struct faults_run *run)
{
	uint64_t start;

	pthread_barrier_wait(&run->start);
	start = clock_ns();
	pthread_barrier_wait(&run->end);
	run->busy_ns += clock_ns() - start;
	run->rounds++;
	bench_space_advise(run->vm, run->base,
			   run->share_pages * run->plan->threads *
				   VVM_PAGE_SIZE,
			   VVM_ADV_DONTNEED);
}

static void run_rounds(struct faults_run *run)
{
	uint64_t length_us = (uint64_t)(run->plan->seconds * 1e6);
	uint64_t start_us = tool_now_us(), done_us = 0;
	struct progress p;

	progress_start(&p, NULL, "measuring");
	while (done_us < length_us && !bench_interrupted()) {
		one_round(run);
		done_us = tool_now_us() - start_us;
		progress_draw(&p, done_us, length_us);
	}
	progress_end(&p);
	run->stop = true;
	pthread_barrier_wait(&run->start);
}

static void start_toucher(struct faults_run *run, struct toucher *t,
			  unsigned id)
{
	int error;

	t->run = run;
	t->base = run->base + id * run->share_pages * VVM_PAGE_SIZE;
	scramble_init(&t->order, run->share_pages, id + 1);
	error = pthread_create(&t->thread, NULL, toucher_body, t);
	if (error)
		tool_die(TOOL_FAILED, "cannot start thread %u: %s", id,
			 strerror(error));
}

static void run_threads(struct faults_run *run)
{
	unsigned n = (unsigned)run->plan->threads, i;
	struct toucher *t = aligned_alloc(64, n * sizeof(*t));

	if (!t)
		tool_die(TOOL_FAILED, "out of memory");
	memset(t, 0, n * sizeof(*t));
	pthread_barrier_init(&run->start, NULL, n + 1);
	pthread_barrier_init(&run->end, NULL, n + 1);
	for (i = 0; i < n; i++)
		start_toucher(run, &t[i], i);
	run_rounds(run);
	for (i = 0; i < n; i++) {
		pthread_join(t[i].thread, NULL);
		hist_merge(&run->hist, &t[i].hist);
	}
	pthread_barrier_destroy(&run->start);
	pthread_barrier_destroy(&run->end);
	free(t);
}

/* ------------------------------------------------------------------ */
/* Report								*/

static void report_text(const struct faults_run *run, double per_s)
{
	const struct hist *h = &run->hist;

	printf("%s, %llu thread%s: %.0f faults/s\n",
	       bench_fault_words[run->plan->faults],
	       (unsigned long long)run->plan->threads,
	       run->plan->threads == 1 ? "" : "s", per_s);
	printf("latency p50 %.2f  p90 %.2f  p99 %.1f  p99.9 %.1f  "
	       "max %.0f us\n",
	       (double)hist_percentile_ns(h, 50) / 1e3,
	       (double)hist_percentile_ns(h, 90) / 1e3,
	       (double)hist_percentile_ns(h, 99) / 1e3,
	       (double)hist_percentile_ns(h, 99.9) / 1e3,
	       (double)h->max_ns / 1e3);
}

static void json_latency(struct tool_json *j, const struct hist *h)
{
	tool_json_real(j, "latency_p50_us",
		       (double)hist_percentile_ns(h, 50) / 1e3);
	tool_json_real(j, "latency_p90_us",
		       (double)hist_percentile_ns(h, 90) / 1e3);
	tool_json_real(j, "latency_p99_us",
		       (double)hist_percentile_ns(h, 99) / 1e3);
	tool_json_real(j, "latency_p999_us",
		       (double)hist_percentile_ns(h, 99.9) / 1e3);
	tool_json_real(j, "latency_max_us", (double)h->max_ns / 1e3);
}

static void report_json(const struct faults_run *run, double per_s)
{
	struct vvm_stats stats;
	struct tool_json j;

	bench_space_stats(run->vm, &stats);
	tool_json_begin(&j, stdout);
	tool_json_text(&j, "fault_mode", bench_fault_words[run->plan->faults]);
	tool_json_uint(&j, "threads", run->plan->threads);
	tool_json_bool(&j, "read", run->plan->read);
	tool_json_bool(&j, "in_order", run->plan->in_order);
	tool_json_uint(&j, "rounds", run->rounds);
	tool_json_uint(&j, "touched_pages", run->hist.count);
	tool_json_real(&j, "seconds", (double)run->busy_ns / 1e9);
	tool_json_real(&j, "faults_per_s", per_s);
	json_latency(&j, &run->hist);
	tool_json_object(&j, "vvm");
	bench_space_json(&j, &stats);
	tool_json_close(&j);
	tool_json_end(&j);
}

/* ------------------------------------------------------------------ */

static void open_space(struct faults_run *run)
{
	const struct faults_plan *plan = run->plan;
	struct vvm_options options;
	uint64_t bytes;

	run->share_pages = plan->size_bytes / plan->threads / VVM_PAGE_SIZE;
	if (!run->share_pages)
		opt_usage(&command, "--size: less than a page for each thread");
	bytes = run->share_pages * plan->threads * VVM_PAGE_SIZE;
	bench_space_options(&options);
	options.faults = (enum vvm_faults)plan->faults;
	options.resident_bytes = bytes + bytes / 4 + (4 << 20);
	if (plan->handlers)
		options.handlers = (unsigned)plan->handlers;
	run->vm = bench_space_open(&options);
	run->base = bench_space_map(run->vm, bytes, "vvmbench faults");
}

int bench_faults(int argc, char **argv)
{
	struct vvm_options defaults;
	struct faults_plan plan = {
		.size_bytes = 64 << 20, .threads = 1, .seconds = 5};
	struct faults_run *run = calloc(1, sizeof(*run));
	double per_s;

	bench_space_options(&defaults);
	plan.faults = (int)defaults.faults;
	if (opt_parse(&command, &plan, argc, argv) > 0)
		opt_usage(&command, "takes options only");
	if (!run)
		tool_die(TOOL_FAILED, "out of memory");
	run->plan = &plan;
	bench_catch_interrupts();
	bench_clock_init(&run->clock);
	open_space(run);
	run_threads(run);
	per_s = (double)run->hist.count / ((double)run->busy_ns / 1e9);
	(plan.json ? report_json : report_text)(run, per_s);
	vvm_close(run->vm);
	free(run);
	return TOOL_OK;
}
