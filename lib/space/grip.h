/* SPDX-License-Identifier: MIT */
/*
 * space/grip.h - pages that the kernel holds for a system call which writes to
 * them later, past the page table: space/grip.c.
 */
#ifndef VVM_GRIP_H
#define VVM_GRIP_H

#include "util/lock.h"

#define GRIP_THREADS  16
#define GRIP_RANGES   8
#define GRIP_SKIPPERS 64

struct grip_range {
	haddr_t start, end;
};

/* A thread that makes such calls. */
struct grip {
	int tid; /* 0: free */
	bool runs;
	uint64_t told_us;  /* its last fault in such a call */
	uint64_t loose_us; /* what it holds it took later, or is in range[] */
	uint64_t seen_us, cpu_us; /* its CPU time was that then */
	haddr_t first, at; /* of that fault, and of those that led up to it */
	unsigned ranges;
	struct grip_range range[GRIP_RANGES];
};

struct grips {
	struct lock lock;	      /* rank LOCK_MISC */
	_Atomic unsigned count;	      /* of threads */
	struct grip of[GRIP_THREADS]; /* (lock) */
	struct {
		int tid;
		unsigned faults;
	} skipper[GRIP_SKIPPERS]; /* (lock) by a hash of tid */
};

/* What such threads may hold now. */
struct grip_view {
	uint64_t loose_us; /* some of them run: what was used since then */
	unsigned ranges;
	struct grip_range range[GRIP_THREADS * GRIP_RANGES];
};

void grips_init(struct grips *g);
/*
 * A thread has a fault because of a write to addr, exact as far as known, and
 * waits for us. budget: of the space, in pages. => any lock but LOCK_MISC.
 */
void grips_fault(struct grips *g, int tid, haddr_t addr, uint64_t budget);
/* False: nobody holds anything. => the same. */
bool grips_view(struct grips *g, uint64_t budget, struct grip_view *view);
/*
 * May the page at host be held? used: it is mapped, or was when last looked at;
 * else it was not used since passed_us.
 */
bool grip_holds(const struct grip_view *view, haddr_t host, bool used,
		uint64_t passed_us);

#endif
