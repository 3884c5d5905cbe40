/* SPDX-License-Identifier: MIT */
/*
 * work.h - the threads of a workload and its phases: fill, warm up,
 * measure, sweep. The theory is in work.c.
 */
#ifndef VVM_BENCH_WORK_H
#define VVM_BENCH_WORK_H

#include "vvmbench/engine/engine.h"
#include "vvmbench/workload/clock.h"
#include "vvmbench/workload/hist.h"
#include "vvmbench/workload/trace.h"

#include <pthread.h>
#include <stdatomic.h>

enum phase { PHASE_FILL, PHASE_WARM, PHASE_MEASURE, PHASE_SWEEP };

/*
 * (i) set before the threads start, (o) owner thread while it runs, then
 * whoever joined it, (a) atomic.
 */
struct worker {
	struct work *work;	  /* (i) */
	unsigned id;		  /* (i) */
	pthread_t thread;	  /* (i) */
	enum phase phase;	  /* (o) the last it has seen */
	struct rng rng;		  /* (o) read or write? */
	struct pattern pattern;	  /* (o) */
	uint64_t ops;		  /* (o) accesses in the phase */
	uint64_t increments;	  /* (o) writes since the fill */
	uint64_t hot_turn;	  /* (o) scanmix: accesses of the zipf part */
	uint64_t hot_probes;	  /* (o) in the phase: those looked at first */
	uint64_t hot_hits;	  /* (o) and found resident */
	struct trace_part *trace; /* (o) where its accesses go, or NULL */
	struct hist hist;	  /* (o) latencies in the phase */
} __attribute__((aligned(64)));

struct work {
	const struct plan *plan;	   /* (i) */
	struct engine *engine;		   /* (i) */
	struct bench_clock clock;	   /* (i) */
	_Atomic int phase;		   /* (a) enum phase */
	_Atomic unsigned running;	   /* (a) workers that have not ended */
	_Atomic uint64_t done_pages;	   /* (a) progress of fill and sweep */
	_Atomic uint64_t swept_increments; /* (a) found in the pages */
	_Atomic uint32_t *versions;	   /* (a) for each page: see memory.c */
	struct trace_file *trace;	   /* (i) or NULL */
	struct trace_part *parts;	   /* (i) the workers', or NULL */
	struct worker *workers;		   /* (i) */
	unsigned worker_count;		   /* (i) */
};

/* What was measured. */
struct work_result {
	uint64_t fill_us, sweep_us, elapsed_us, cpu_us;
	uint64_t ops, increments, lost_increments;
	uint64_t hot_probes, hot_hits; /* scanmix: see memory.c */
	bool measured, swept;
	struct engine_counts counts; /* of the measured phase alone */
	struct hist hist;
};

/*
 * The phases that the plan wants, with the group (NULL: none) limited to the
 * budget when all but the region is there. The pattern fill has no measuring,
 * its figures are those of the first phase. False: interrupted before there was
 * a result; a page that fails verification ends the process with TOOL_FAILED.
 */
bool work_run(struct engine *e, struct work_result *r, struct cgroup *group);

/* Has the user had enough? */
bool work_stopping(void);
/* Fill and sweep: so many more pages are done. */
void work_progress(struct worker *w, uint64_t pages);
/*
 * A page is not what it must be: says which, where and how, and ends the
 * process at once. Any thread.
 */
_Noreturn void work_mismatch(uint64_t page, const void *where, const char *what,
			     uint64_t expected, uint64_t got);

/* worker_go() when the phase is not the worker's. */
bool worker_turn(struct worker *w, enum phase phase);

/* Shall there be another access? */
static inline bool worker_go(struct worker *w)
{
	enum phase phase = (enum phase)atomic_load_explicit(
		&w->work->phase, memory_order_relaxed);

	return phase == w->phase || worker_turn(w, phase);
}

/* An access is done; ticks are clock_ticks(). */
static inline void worker_record(struct worker *w, uint64_t start, uint64_t end)
{
	hist_add(&w->hist, clock_since(&w->work->clock, start, end));
	w->ops++;
}

/* Is the next access a write? */
static inline bool worker_writes(struct worker *w)
{
	uint64_t pct = w->work->plan->write_pct;

	return pct && (pct == 100 || rng_below(&w->rng, 100) < pct);
}

#endif
