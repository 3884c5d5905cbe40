/* SPDX-License-Identifier: MIT */
/*
 * heap.h - what `vvmbench heap` is made of: allocators under one ops
 * table, and the workload that runs on them.
 */
#ifndef VVM_BENCH_HEAP_H
#define VVM_BENCH_HEAP_H

#include "vvmbench/engine/engine.h"

#include <pthread.h>

/*
 * X(id, name, faults, help): the allocators. faults of enum vvm_faults, or
 * -1: the C library's.
 */
#define HEAP_ENGINES(X)                                           \
	X(thread, "vvm-thread", VVM_FAULTS_THREAD,                \
	  "vvm_malloc(), faults resolved by handler threads")     \
	X(inline, "vvm-inline", VVM_FAULTS_INLINE,                \
	  "vvm_malloc(), faults resolved by the faulting thread") \
	X(malloc, "malloc", -1,                                   \
	  "the C library's malloc() (on kernel swap "             \
	  "with --pressure)")

enum heap_engine_id {
#define X(id, name, faults, help) HEAP_ENGINE_##id,
	HEAP_ENGINES(X)
#undef X
		HEAP_ENGINE_COUNT
};

/* One run, as the command line gives it. */
struct heap_plan {
	struct plan plan; /* budget, threads, seed, seconds, cage */
	const char *engines;
	uint64_t live_bytes, rounds, lookups, page_cluster;
	bool pressure, hardened;
	int ids[HEAP_ENGINE_COUNT];
	unsigned count;
};

/* An allocator. */
struct heap_engine {
	void *(*malloc)(void *self, size_t bytes);
	void *(*calloc)(void *self, size_t bytes);
	void *(*realloc)(void *self, void *ptr, size_t bytes);
	void (*free)(void *self, void *ptr);
	void *self;
	struct vvm *vm; /* or NULL */
};

/* Exits TOOL_FAILED when it cannot. hardened: of libvvm's only. */
void heap_engine_open(struct heap_engine *e, const struct heap_plan *plan,
		      int id);
void heap_engine_close(struct heap_engine *e);
/* RAM of the process that is not its program: all that was allocated. */
uint64_t heap_engine_memory(const struct heap_engine *e);

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
