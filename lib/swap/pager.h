/* SPDX-License-Identifier: MIT */
/*
 * swap/pager.h - code of the program as the backing of a region: what its pages
 * are until they are changed, and, if it writes, where they go then.
 */
#ifndef VVM_PAGER_H
#define VVM_PAGER_H

#include "swap/backing.h"

/* Of all pagers of a space. */
#define PAGERS_THREADS_MAX 256

/* Of a space: who runs code of the program for it. (a) all of it. */
struct pagers {
	struct flight flight; /* reads, for who looks for stalls */
	_Atomic unsigned top; /* all that are set are below */
	/* 0: none, -1: it has not begun */
	_Atomic int tid[PAGERS_THREADS_MAX];
};

void pagers_init(struct pagers *ps);
/*
 * Does the calling thread, or that one, run callbacks for this space? It must not
 * wait for any page of it. Async-signal-safe.
 */
bool pagers_call_me(const struct pagers *ps);
bool pagers_have(const struct pagers *ps, int tid);
/* Says in the log that such a thread's access to addr is refused. */
void pagers_refuse(int tid, uint64_t addr);

/*
 * Page 0 is at `offset` of what the program calls so. Starts its threads, who
 * begin with nothing to do. It has no user yet: backing_use(). -ENOMEM, -EAGAIN:
 * threads.
 */
int pager_open(struct backing **out, const struct vvm_pager *calls,
	       uint64_t offset, struct pagers *space);

#endif
