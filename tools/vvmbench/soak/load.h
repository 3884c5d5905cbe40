/* SPDX-License-Identifier: MIT */
/*
 * load.h - the load of `vvmbench soak`: threads that do everything a program may
 * do with paged memory, and verify all of it.
 */
#ifndef VVM_BENCH_LOAD_H
#define VVM_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <vvm_heap.h>

#include "vvmbench/workload/plan.h"

/* X(name, help): the steps. */
#define LOAD_STEPS(X)                                                  \
	X(reads, "pages read, stamp and counter verified")             \
	X(writes, "pages incremented")                                 \
	X(objects, "objects allocated, grown or freed, and verified")  \
	X(regions, "regions mapped, written, discarded, and unmapped") \
	X(pins, "pages pinned, written and unpinned")

enum load_step {
#define X(name, help) LOAD_##name,
	LOAD_STEPS(X)
#undef X
		LOAD_STEP_COUNT
};

struct load;

/*
 * Maps the region, opens a heap, stamps all pages. Exits TOOL_FAILED when it
 * cannot. What is wrong later ends the process with TOOL_FAILED at once.
 */
struct load *load_open(const struct plan *plan, struct vvm *vm);
/* => not interrupted since */
void load_start(struct load *l);
/* Ends the threads, verifies all pages, and frees everything. */
void load_close(struct load *l);
/* Steps of all threads so far; NULL: no steps by kind. */
uint64_t load_steps(const struct load *l, uint64_t by_kind[LOAD_STEP_COUNT]);
void load_heap_stats(struct load *l, struct vvm_heap_stats *stats);
/* In a fork child that inherits, while threads work: some pages are right. */
bool load_looks_right(const struct load *l, uint64_t seed);
const char *load_step_name(enum load_step step);

#endif
