/* SPDX-License-Identifier: MIT */
/*
 * replay.h - replaying a trace: what is given, what is counted. Pure, as are
 * reclaim.h and exact.h, which do it.
 */
#ifndef VVM_BENCH_REPLAY_H
#define VVM_BENCH_REPLAY_H

#include "vvmbench/workload/trace.h"

struct sim_setup {
	const struct trace *trace;
	uint32_t budget_pages; /* >= 1 */
	uint32_t ahead_pages;  /* read after a miss in a stream; 0: none */
	size_t warm;	       /* accesses that are not counted */
	void (*progress)(void *arg, size_t accesses); /* or NULL */
	void *arg;
};

struct sim_score {
	uint64_t accesses, hits;
	uint64_t apart_accesses, apart_hits; /* of TRACE_APART */
	/* Of policies: */
	uint64_t faults;     /* misses, warm-up included */
	uint64_t prefetched; /* pages read ahead */
	uint64_t visits;     /* pages that the hand has passed */
	uint64_t minor;	     /* of them, found mapped again */
	unsigned pressure;   /* the highest that was needed */
	bool failed;	     /* at full pressure no victim was found */
};

/* Counts an access in the score unless it is warm-up. */
static inline void sim_count(struct sim_score *score,
			     const struct sim_setup *setup, size_t i, bool hit)
{
	if (i < setup->warm)
		return;
	score->accesses++;
	score->hits += hit;
	if (setup->trace->flags[i] & TRACE_APART) {
		score->apart_accesses++;
		score->apart_hits += hit;
	}
}

static inline void sim_progress(const struct sim_setup *setup, size_t i)
{
	if (setup->progress && i % 65536 == 0)
		setup->progress(setup->arg, i);
}

#endif
