/* SPDX-License-Identifier: MIT */
/*
 * engine.h - what a workload runs on: an ops table for each pager.
 *
 * X(name, help): the engines. Each is a struct engine_ops named
 * engine_<name>, in bench_<name>.c.
 */
#ifndef VVM_BENCH_ENGINE_H
#define VVM_BENCH_ENGINE_H

#include "vvmbench/workload/plan.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ENGINES(X)                                                            \
	X(vvm, "libvvm, --resident of --size")                                \
	X(swap, "anonymous memory, a swap file, a memory cgroup (root only)") \
	X(mmap, "a mapped file, in a memory cgroup where that is permitted")  \
	X(raw, "the disk: 4 KiB requests, as many in flight as threads")

enum engine_kind {
#define X(name, help) ENGINE_##name,
	ENGINES(X)
#undef X
		ENGINE_COUNT
};

/* What an engine has counted since it was opened. */
struct engine_counts {
	uint64_t faults;       /* the pager's events; the kernel's: major */
	uint64_t misses;       /* accesses whose page was not there */
	uint64_t minor_faults; /* the kernel's, without a read */
	uint64_t read_bytes, written_bytes;
	uint64_t resident_peak_bytes;
};

struct engine_ops;
struct tool_json;
struct vvm;
struct worker;

struct engine {
	const struct engine_ops *ops;
	const struct plan *plan;
	char *base;	/* (i) plan->size_bytes of memory; NULL: has none */
	struct vvm *vm; /* (i) of vvm, else NULL */
	int fd;		/* (i) the file, or -1 */
	bool ring;	/* (i) raw: requests go through io_uring */
	_Atomic uint64_t reads, writes; /* (a) raw: requests completed */
};

struct engine_ops {
	/* => *e holds ops and plan, the rest zero. Exits TOOL_FAILED. */
	void (*open)(struct engine *e);
	void (*close)(struct engine *e);
	void (*counts)(struct engine *e, struct engine_counts *c);
	/* Threads that drive() needs for the plan's parallelism. */
	unsigned (*workers)(const struct engine *e);
	/*
	 * Run by workers, all at once: stamp the pages of a share; access
	 * pages until worker_go() says no; verify every page of a share
	 * (NULL: not needed). They leave early when work_stopping().
	 */
	void (*fill)(struct worker *w, uint64_t first, uint64_t end);
	void (*drive)(struct worker *w);
	void (*sweep)(struct worker *w, uint64_t first, uint64_t end);
	/* Counters of its own, as a nested object; NULL: none. */
	void (*json)(struct engine *e, struct tool_json *j);
};

/* Names for the option parser; ends with NULL. */
extern const char *const engine_words[];

/* Opens plan->engine. Exits TOOL_FAILED with a message when it cannot. */
void engine_open(struct engine *e, const struct plan *plan);
void engine_close(struct engine *e);
/*
 * An unlinked file of the plan's size in the swap directory, for engines
 * that need one. Exits TOOL_FAILED; flags are added to open(2)'s.
 */
int engine_file(const struct plan *plan, int flags);

#endif
