/* SPDX-License-Identifier: MIT */
/* objects.h - the workload of `vvmbench heap`. */
#ifndef VVM_BENCH_OBJECTS_H
#define VVM_BENCH_OBJECTS_H

#include "vvmbench/heap/allocator.h"

/* X(name, column, help): what a run has found. */
#define HEAP_FIGURES(X)                                                        \
	X(ops_per_s, "ops/s", "malloc, calloc, realloc and free calls")        \
	X(ns_per_op, "ns/op", "time of one thread for each, work included")    \
	X(live_bytes, "live", "that the program has asked for, at the end")    \
	X(memory_bytes, "memory", "RAM that this takes, bookkeeping included") \
	X(major_faults_per_s, "majflt/s",                                      \
	  "page faults that waited for a read")                                \
	X(cpu_us_per_op, "CPU/op", "of the whole process")

enum heap_figure {
#define X(name, column, help) HEAP_FIGURE_##name,
	HEAP_FIGURES(X)
#undef X
		HEAP_FIGURE_COUNT
};

struct heap_figures {
	double value[HEAP_FIGURE_COUNT];
};

/*
 * Runs the workload; ready() is called when everything but the heap has been
 * touched. False: interrupted. Exits TOOL_FAILED when a stamp is wrong.
 */
bool heap_work(const struct heap_plan *plan, struct heap_engine *e,
	       void (*ready)(void *arg), void *arg, struct heap_figures *f);

/* Sizes of objects, as a random variable. */
size_t heap_random_bytes(struct rng *rng);
/* Its mean, computed. */
double heap_mean_bytes(void);

#endif
