/* SPDX-License-Identifier: MIT */
/* load.h - reads what is to be sorted. */
#ifndef VVM_BENCH_SORT_LOAD_H
#define VVM_BENCH_SORT_LOAD_H

#include "vvmbench/sort/sorter.h"
#include "vvmbench/workload/progress.h"

/*
 * Appends a file ("-": standard input), with the newline that its last line
 * may lack, to the text and index of side 0, and cuts it into chunks. Exits
 * TOOL_FAILED when it cannot be read or has no room.
 */
void sort_load(struct sorter *s, const char *path, struct progress *p,
	       uint64_t expected_bytes);

#endif
