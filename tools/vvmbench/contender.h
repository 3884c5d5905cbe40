/* SPDX-License-Identifier: MIT */
/*
 * contender.h - the engines of `vvmbench compare`: what one of run's
 * engines needs to be that contender.
 *
 * X(id, name, usual, engine, faults, advice, needs, page_cluster, help);
 * usual: without --engines it is in the comparison. advice -1: the plan's.
 */
#ifndef VVM_BENCH_CONTENDER_H
#define VVM_BENCH_CONTENDER_H

#include "vvmbench/machine/cage.h"

#define CONTENDERS(X)                                                          \
	X(vvm_thread, "vvm-thread", 1, vvm, VVM_FAULTS_THREAD, -1, 0, 0,       \
	  "libvvm, faults resolved by handler threads")                        \
	X(vvm_inline, "vvm-inline", 1, vvm, VVM_FAULTS_INLINE, -1, 0, 0,       \
	  "libvvm, faults resolved by the faulting thread")                    \
	X(vvm_guard, "vvm-guard", 0, vvm, VVM_FAULTS_GUARD, -1, 0, 0,          \
	  "the same without userfaultfd; only when it is asked for")           \
	X(swap, "swap", 1, swap, 0, -1, CAGE_GROUP | CAGE_SWAP, 0,             \
	  "the kernel's swap, a page at a time (vm.page-cluster 0)")           \
	X(swap3, "swap3", 1, swap, 0, -1, CAGE_GROUP | CAGE_SWAP, 3,           \
	  "the same, 8 pages at a time (3, the kernel's default)")             \
	X(zswap, "zswap", 0, swap, 0, -1, CAGE_GROUP | CAGE_SWAP | CAGE_ZSWAP, \
	  0, "swap behind zswap; only when it is asked for")                   \
	X(mmap, "mmap", 1, mmap, 0, VVM_ADV_RANDOM, CAGE_GROUP, 0,             \
	  "a mapped file, MADV_RANDOM")                                        \
	X(mmap_default, "mmap-default", 1, mmap, 0, VVM_ADV_NORMAL,            \
	  CAGE_GROUP, 0, "a mapped file, no advice")                           \
	X(raw, "raw", 1, raw, 0, -1, 0, 0,                                     \
	  "the disk itself, as many requests in flight as threads")

enum contender_id {
#define X(id, ...) CONTENDER_##id,
	CONTENDERS(X)
#undef X
		CONTENDER_COUNT
};

struct contender {
	const char *name;
	int usual, engine, faults, advice;
	struct cage_needs needs;
};

extern const struct contender contenders[CONTENDER_COUNT];

/*
 * Which of them a list of names with commas between means, in that order;
 * NULL: the usual ones. Returns how many, or -1: the list is empty or has a
 * name twice or one that is unknown, which is then in *bad (to be freed).
 */
int contenders_parse(const char *list, int ids[CONTENDER_COUNT], char **bad);
/* The plan as a contender runs it. */
void contender_plan(const struct contender *c, struct plan *plan);

#endif
