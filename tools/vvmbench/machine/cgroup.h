/* SPDX-License-Identifier: MIT */
/* cgroup.h - memory cgroups, of either version. */
#ifndef VVM_BENCH_CGROUP_H
#define VVM_BENCH_CGROUP_H

#include "vvmbench/machine/why.h"

#include <limits.h>
#include <stdint.h>

/* Where groups can be made. */
struct cgroup_place {
	int version; /* 1, 2; 0: nowhere */
	char path[PATH_MAX];
};

/* A group, and the memory that is not the region's but charged to it. */
struct cgroup {
	int version;
	char path[PATH_MAX];
	uint64_t allowance_bytes; /* set by cgroup_fence() */
};

/* root, self: see os/memcg.h. 0, or -1 and the reason. */
int cgroup_find(struct cgroup_place *place, const char *root, const char *self,
		struct why *why);
/* The names that a group gets; nothing is made yet. */
void cgroup_name(struct cgroup *g, const struct cgroup_place *place,
		 const char *name);
/* 0, or -1 and the reason. */
int cgroup_make(const struct cgroup *g, struct why *why);
/*
 * Kills what is left in the group, waits for it to end, removes the group.
 * A path that is not there is done. 0 or -errno.
 */
int cgroup_remove(const char *path);
/* Moves the calling process in. 0 or -errno. */
int cgroup_enter(const struct cgroup *g);
/*
 * Limits the group to the bytes and what it needs beside them: what is charged
 * to it now, and more_bytes that will be. 0 or -errno.
 */
int cgroup_fence(struct cgroup *g, uint64_t bytes, uint64_t more_bytes);
/*
 * For somebody outside, every few milliseconds. Is the group stuck, since the
 * kernel did not find what to swap? 1: it was, and has been helped on; 0: no,
 * or the kernel kills by itself (version 2); -errno: its memory is used up,
 * from now on the kernel kills.
 */
int cgroup_relieve(const struct cgroup *g);
/* The most it ever had, without the allowance; 0: not known. */
uint64_t cgroup_peak_bytes(const struct cgroup *g);

#endif
