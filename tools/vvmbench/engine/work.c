/* SPDX-License-Identifier: MIT */
/*
 * work.c - the threads of a workload and its phases.
 *
 *	fill	 every page is stamped, each worker a contiguous share: the
 *		 first touch, timed and reported apart
 *	warm	 accesses that are not reported, until the pager has settled
 *	measure	 the accesses that are
 *	sweep	 every page is verified once more, exactly
 *
 * The pattern "fill" is about the first touch: then fill is what is reported,
 * and there is neither warm-up nor measuring.
 *
 * Warm and measure are one run of the same threads: what changes is a word
 * that each worker compares before every access. When it sees "measure" it
 * clears its counters, when it sees anything later it ends; nobody waits at a
 * barrier, so the pager is in full swing when measuring begins. The engine's
 * counters are read when the word is changed, a few accesses early or late.
 *
 * Workers share nothing that they write often: a worker's counters are on
 * cache lines of its own, and are added up after it was joined.
 *
 * A page with wrong content is not a result but the end: work_mismatch()
 * prints it and calls _exit(), without running anything in a process whose
 * memory has just been proved wrong.
 */
#include "vvmbench/engine/work.h"

#include "common/tool.h"
#include "vvmbench/machine/cage.h"
#include "vvmbench/workload/progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { POLL_US = 20000 };

/* ------------------------------------------------------------------ */
/* For workers								*/

bool work_stopping(void)
{
	return bench_interrupted();
}

void work_progress(struct worker *w, uint64_t pages)
{
	atomic_fetch_add_explicit(&w->work->done_pages, pages,
				  memory_order_relaxed);
}

_Noreturn void work_mismatch(uint64_t page, const void *where, const char *what,
			     uint64_t expected, uint64_t got)
{
	static atomic_flag reported = ATOMIC_FLAG_INIT;

	/* One report: the other threads wait for the end of the process. */
	while (atomic_flag_test_and_set(&reported))
		pause();
	tool_warn("verification failed: page %llu at %p: %s: expected "
		  "%#llx, got %#llx",
		  (unsigned long long)page, where, what,
		  (unsigned long long)expected, (unsigned long long)got);
	_exit(TOOL_FAILED);
}

bool worker_turn(struct worker *w, enum phase phase)
{
	if (phase == PHASE_SWEEP)
		return false; /* the counters are the result: keep them */
	w->phase = phase;
	hist_clear(&w->hist);
	w->ops = 0;
	w->hot_probes = 0;
	w->hot_hits = 0;
	return true;
}

/* ------------------------------------------------------------------ */
/* Threads								*/

typedef void *(*worker_body)(void *worker);

static void start_workers(struct work *w, worker_body body)
{
	unsigned i;
	int error;

	atomic_store(&w->running, w->worker_count);
	for (i = 0; i < w->worker_count; i++) {
		error = pthread_create(&w->workers[i].thread, NULL, body,
				       &w->workers[i]);
		if (error)
			tool_die(TOOL_FAILED, "cannot start thread %u: %s", i,
				 strerror(error));
	}
}

static void join_workers(struct work *w)
{
	unsigned i;

	for (i = 0; i < w->worker_count; i++)
		pthread_join(w->workers[i].thread, NULL);
}

static void share(const struct worker *w, uint64_t *first, uint64_t *end)
{
	uint64_t pages = plan_pages(w->work->plan);
	unsigned n = w->work->worker_count;

	*first = (uint64_t)((unsigned __int128)pages * w->id / n);
	*end = (uint64_t)((unsigned __int128)pages * (w->id + 1) / n);
}

static void *fill_body(void *arg)
{
	struct worker *w = arg;
	uint64_t first, end;

	share(w, &first, &end);
	w->work->engine->ops->fill(w, first, end);
	atomic_fetch_sub(&w->work->running, 1);
	return NULL;
}

static void *sweep_body(void *arg)
{
	struct worker *w = arg;
	uint64_t first, end;

	share(w, &first, &end);
	w->work->engine->ops->sweep(w, first, end);
	atomic_fetch_sub(&w->work->running, 1);
	return NULL;
}

static void *drive_body(void *arg)
{
	struct worker *w = arg;

	w->work->engine->ops->drive(w);
	return NULL;
}

/* Has the workers go over all pages; returns the time it took. */
static uint64_t over_all_pages(struct work *w, worker_body body,
			       const char *label)
{
	struct progress p;

	atomic_store(&w->done_pages, 0);
	progress_start(&p, w->plan->label, label);
	start_workers(w, body);
	while (atomic_load(&w->running)) {
		progress_draw(&p, atomic_load(&w->done_pages),
			      plan_pages(w->plan));
		usleep(POLL_US / 10);
	}
	join_workers(w);
	return progress_end(&p);
}

/* ------------------------------------------------------------------ */
/* Phases								*/

static void init_worker(struct work *w, unsigned id)
{
	const struct plan *plan = w->plan;
	struct pattern_spec spec = {.kind = (enum pattern_kind)plan->pattern,
				    .pages = plan_pages(plan),
				    .theta = plan->theta,
				    .stride = plan->stride,
				    .seed = plan->seed,
				    .loop_pages = plan_loop_pages(plan),
				    .scan_pct = (unsigned)plan->scan_pct};
	struct worker *worker = &w->workers[id];

	worker->work = w;
	worker->id = id;
	worker->phase = PHASE_FILL;
	worker->rng.state = rng_mix(plan->seed ^ ~(uint64_t)id);
	pattern_init(&worker->pattern, &spec, id, w->worker_count);
}

/* The trace is of the warm-up and what is measured. */
static void open_trace(struct work *w)
{
	const char *path = w->plan->trace_path;
	struct trace_part *parts;
	unsigned i;

	w->trace = trace_create(path);
	if (!w->trace)
		tool_die(TOOL_FAILED, "%s: %s", path, strerror(errno));
	parts = calloc(w->worker_count, sizeof(*parts));
	if (!parts)
		tool_die(TOOL_FAILED, "out of memory");
	w->parts = parts;
	for (i = 0; i < w->worker_count; i++) {
		trace_part_init(&parts[i], w->trace, i);
		w->workers[i].trace = &parts[i];
	}
}

static void close_trace(struct work *w)
{
	unsigned i;
	int error;

	for (i = 0; i < w->worker_count; i++)
		trace_part_flush(w->workers[i].trace);
	free(w->parts);
	error = trace_close(w->trace);
	if (error)
		tool_die(TOOL_FAILED, "%s: %s", w->plan->trace_path,
			 strerror(error));
}

static void init(struct work *w, struct engine *e, const struct plan *plan)
{
	unsigned i;

	memset(w, 0, sizeof(*w));
	w->plan = plan;
	w->engine = e;
	w->worker_count = e->ops->workers(e);
	bench_clock_init(&w->clock);
	w->versions = calloc(plan_pages(plan), sizeof(*w->versions));
	w->workers = aligned_alloc(64, w->worker_count * sizeof(*w->workers));
	if (!w->versions || !w->workers)
		tool_die(TOOL_FAILED, "out of memory");
	memset(w->workers, 0, w->worker_count * sizeof(*w->workers));
	for (i = 0; i < w->worker_count; i++)
		init_worker(w, i);
	if (plan->trace_path)
		open_trace(w);
}

static void fini(struct work *w)
{
	if (w->trace)
		close_trace(w);
	free(w->versions);
	free(w->workers);
}

/* Sleeps, drawing progress. False: interrupted. */
static bool wait_seconds(const struct plan *plan, double seconds,
			 const char *label)
{
	uint64_t length_us = (uint64_t)(seconds * 1e6), done_us = 0;
	uint64_t start_us = tool_now_us();
	struct progress p;

	progress_start(&p, plan->label, label);
	while (done_us < length_us && !bench_interrupted()) {
		uint64_t left_us = length_us - done_us;

		usleep(left_us < POLL_US ? (useconds_t)left_us : POLL_US);
		done_us = tool_now_us() - start_us;
		progress_draw(&p, done_us, length_us);
	}
	progress_end(&p);
	return !bench_interrupted();
}

static uint64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* What an engine has counted from one moment to another. */
static void subtract(struct engine_counts *c, const struct engine_counts *from)
{
	c->faults -= from->faults;
	c->misses -= from->misses;
	c->minor_faults -= from->minor_faults;
	c->read_bytes -= from->read_bytes;
	c->written_bytes -= from->written_bytes;
}

static void add_up(struct work *w, struct work_result *r, enum phase phase)
{
	unsigned i;

	r->ops = r->increments = r->hot_probes = r->hot_hits = 0;
	hist_clear(&r->hist);
	for (i = 0; i < w->worker_count; i++) {
		const struct worker *worker = &w->workers[i];

		r->increments += worker->increments;
		if (worker->phase != phase)
			continue; /* interrupted before it saw the change */
		r->ops += worker->ops;
		r->hot_probes += worker->hot_probes;
		r->hot_hits += worker->hot_hits;
		hist_merge(&r->hist, &worker->hist);
	}
}

/* What is read before and after what is measured. */
struct meter {
	uint64_t start_us, start_cpu_us;
	struct engine_counts before;
};

static void meter_start(struct meter *m, struct engine *e)
{
	m->start_us = tool_now_us();
	m->start_cpu_us = cpu_us();
	e->ops->counts(e, &m->before);
}

static void meter_stop(const struct meter *m, struct engine *e,
		       struct work_result *r)
{
	e->ops->counts(e, &r->counts);
	r->elapsed_us = tool_now_us() - m->start_us;
	r->cpu_us = cpu_us() - m->start_cpu_us;
	subtract(&r->counts, &m->before);
}

static bool fill(struct work *w, struct work_result *r)
{
	struct meter meter;

	atomic_store(&w->phase, PHASE_FILL);
	meter_start(&meter, w->engine);
	r->fill_us = over_all_pages(w, fill_body, "set-up");
	if (w->plan->pattern == PATTERN_fill) {
		meter_stop(&meter, w->engine, r);
		add_up(w, r, PHASE_FILL);
		r->measured = r->ops > 0;
	}
	return !bench_interrupted();
}

/* The measured phase proper, while the workers run. */
static void meter_phase(struct work *w, struct work_result *r)
{
	struct meter meter;

	meter_start(&meter, w->engine);
	atomic_store(&w->phase, PHASE_MEASURE);
	wait_seconds(w->plan, w->plan->seconds, "measuring");
	meter_stop(&meter, w->engine, r);
}

/* Warms up and measures. False: interrupted before measuring began. */
static bool measure(struct work *w, struct work_result *r)
{
	if (w->plan->pattern == PATTERN_fill)
		return r->measured;
	atomic_store(&w->phase, PHASE_WARM);
	start_workers(w, drive_body);
	r->measured = wait_seconds(w->plan, w->plan->warm_s, "warming up");
	if (r->measured)
		meter_phase(w, r);
	atomic_store(&w->phase, PHASE_SWEEP);
	join_workers(w);
	add_up(w, r, PHASE_MEASURE);
	return r->measured;
}

/* Every page once more, unless that is interrupted. */
static void sweep(struct work *w, struct work_result *r)
{
	if (!w->engine->ops->sweep || bench_interrupted())
		return;
	atomic_store(&w->swept_increments, 0);
	r->sweep_us = over_all_pages(w, sweep_body, "sweep");
	r->swept = !bench_interrupted();
	if (r->swept)
		r->lost_increments =
			r->increments - atomic_load(&w->swept_increments);
}

bool work_run(struct engine *e, struct work_result *r, struct cgroup *group)
{
	struct work work;

	init(&work, e, e->plan);
	if (group)
		cage_fence(group, e->plan);
	if (fill(&work, r) && measure(&work, r) && !e->plan->no_sweep)
		sweep(&work, r);
	fini(&work);
	return r->measured;
}
