/* SPDX-License-Identifier: MIT */
/* merge.h - merges the runs. */
#ifndef VVM_BENCH_SORT_MERGE_H
#define VVM_BENCH_SORT_MERGE_H

#include "vvmbench/sort/sorter.h"
#include "vvmbench/workload/progress.h"

/*
 * Merges all runs, from side 1, into the descriptor: in one pass, or in
 * several through both sides when there are more runs than fan_in. Returns
 * the number of passes; exits TOOL_FAILED when out cannot be written.
 */
unsigned sort_merge(struct sorter *s, int out, struct progress *p);

#endif
