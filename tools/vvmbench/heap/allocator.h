/* SPDX-License-Identifier: MIT */
/* allocator.h - what `vvmbench heap` compares, under one ops table. */
#ifndef VVM_BENCH_ALLOCATOR_H
#define VVM_BENCH_ALLOCATOR_H

#include <stddef.h>
#include <stdint.h>

#include "vvmbench/workload/plan.h"

/*
 * X(id, name, faults, help): the allocators. faults of enum vvm_faults, or
 * -1: the C library's.
 */
#define HEAP_ENGINES(X)                                           \
	X(thread, "vvm-thread", VVM_FAULTS_THREAD,                \
	  "vvm_malloc(), faults resolved by handler threads")     \
	X(inline, "vvm-inline", VVM_FAULTS_INLINE,                \
	  "vvm_malloc(), faults resolved by the faulting thread") \
	X(guard, "vvm-guard", VVM_FAULTS_GUARD,                   \
	  "the same without userfaultfd; only when it is "        \
	  "asked for")                                            \
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

#endif
