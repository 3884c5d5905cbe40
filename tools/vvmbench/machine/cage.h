/* SPDX-License-Identifier: MIT */
/*
 * cage.h - a process, and around it what the kernel's own paging needs:
 * a memory cgroup, a swap area, settings. The theory is in cage.c.
 */
#ifndef VVM_BENCH_CAGE_H
#define VVM_BENCH_CAGE_H

#include "vvmbench/machine/cgroup.h"
#include "vvmbench/machine/journal.h"
#include "vvmbench/machine/swapfile.h"
#include "vvmbench/workload/plan.h"

#include <signal.h>

/* What a run needs; a bit each. */
enum { CAGE_GROUP = 1, CAGE_SWAP = 2, CAGE_ZSWAP = 4 };

struct cage_needs {
	unsigned bits;
	int page_cluster; /* with CAGE_SWAP: pages read at a time, log2 */
};

/* (i) but for interrupted: one thread of one process has it. */
struct cage {
	struct journal journal;
	struct cgroup_place place;
	struct swapfile file;
	sigset_t old_mask;
	bool interrupted; /* SIGINT, SIGTERM, SIGHUP or SIGQUIT came */
	/* Why not: no_group counts for swap too, no_swap for zswap. */
	struct why no_group, no_swap, no_zswap;
};

/* What a worker gets; its status is the result. group: NULL, or it is in. */
typedef int (*cage_body)(void *arg, struct cgroup *group);

/*
 * Blocks signals, undoes what a killed vvmbench has left, finds out what is
 * permitted and makes the swap file. bits: all that is wanted.
 * => To be closed whatever happens; nothing may exit before.
 */
void cage_open(struct cage *c, const struct plan *plan, unsigned bits);
void cage_close(struct cage *c);
/* Why the needs cannot be met, or NULL. */
const char *cage_refuses(const struct cage *c, unsigned bits);
/*
 * Sets up what is needed, runs the body in a child process, undoes it. The
 * first interrupting signal is given to the child as SIGTERM, the second
 * kills it. 0, and *status as of waitpid(2), or -1 and the reason.
 */
int cage_run(struct cage *c, const struct cage_needs *needs, cage_body body,
	     void *arg, int *status, struct why *why);
bool cage_interrupted(const struct cage *c);
/*
 * For the body, when all but the region is set up: limits the group to the
 * plan's budget. Exits TOOL_FAILED.
 */
void cage_fence(struct cgroup *group, const struct plan *plan);

#endif
