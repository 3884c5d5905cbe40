/* SPDX-License-Identifier: MIT */
/* runs.h - sorted runs; and how memory is given back and called in. */
#ifndef VVM_BENCH_SORT_RUNS_H
#define VVM_BENCH_SORT_RUNS_H

#include "vvmbench/sort/sorter.h"
#include "vvmbench/workload/progress.h"

/* Turns every chunk of side 0 into a run of side 1. */
void sort_make_runs(struct sorter *s, struct progress *p);
/*
 * [mark, at) has been consumed: once it holds step_bytes of whole pages,
 * gives them back. Returns the new mark. The pages at the ends, which may be
 * shared with a neighbour, are kept.
 */
const char *sort_release(const struct sorter *s, const char *mark,
			 const char *at, uint64_t step_bytes);
/* [start, start + len) is read soon: brings it in, without waiting. */
void sort_will_need(const struct sorter *s, const char *start, uint64_t len);

#endif
