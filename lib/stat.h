/* SPDX-License-Identifier: MIT */
/*
 * stat.h - the writing side of vvm_stat.h: the segment of one space.
 * Without a segment (VVM_STAT=no, or no /dev/shm) the counters live in
 * private memory and everything else works the same.
 */
#ifndef VVM_LIB_STAT_H
#define VVM_LIB_STAT_H

#include <stdatomic.h>
#include "base.h"
#include "vvm_stat.h"

struct stats {
	struct vvm_stat_segment *segment;
	char path[128]; /* of the file, "" when private */
};

/*
 * publish: make the file (O_EXCL, O_NOFOLLOW, 0600); stale files of this
 * user's dead processes are removed first. Falls back to private memory.
 * -ENOMEM only.
 */
int stat_open(struct stats *st, bool publish);
/*
 * Marks the segment closed, removes the file and unmaps. In a fork child it
 * only unmaps: the file is the parent's. Never opened (all zero): nothing.
 */
void stat_close(struct stats *st);
/*
 * Gives a new actor its block, for ever, with the caller's tid in it. The
 * application's threads share block 0: VVM_STAT_API gets it as often as it
 * asks. NULL: none left.
 */
struct vvm_stat_actor *stat_actor(struct stats *st, enum vvm_stat_role role);
/* Sum of a counter over the actors. */
int64_t stat_sum(const struct stats *st, enum vvm_stat_counter c);

/* Adds n; any thread (relaxed atomic, uncontended when the actor has one). */
static inline void stat_add(struct vvm_stat_actor *a, enum vvm_stat_counter c,
			    int64_t n)
{
	__atomic_fetch_add(&a->counter[c], n, __ATOMIC_RELAXED);
}

static inline void stat_latency(struct vvm_stat_actor *a, uint64_t ns)
{
	__atomic_fetch_add(&a->latency[vvm_stat_bucket(ns)], 1,
			   __ATOMIC_RELAXED);
}

#define stat_set(st, name, v)                                                  \
	__atomic_store_n(&(st)->segment->value.name, (v), __ATOMIC_RELAXED)

#endif
