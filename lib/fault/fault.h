/* SPDX-License-Identifier: MIT */
/*
 * fault/fault.h - the steps of a fault, shared by everybody who needs a page:
 * handler threads (asynchronously, fault/handler.c) and threads that wait for it
 * themselves (fault/inline.c).
 *
 *	check -> look up -> claim -> fill -> install -> wake
 */
#ifndef VVM_FAULT_H
#define VVM_FAULT_H

#include "fill/fill.h"

/* What is wanted, and what was found. */
struct fault {
	haddr_t host; /* page aligned */
	bool write;   /* the page shall be DIRTY afterwards */
	int tid;      /* of the faulting thread, 0: not known */
	bool fresh;   /* out: it was the first touch of the page */
	bool trigger; /* out: JOINED, and the first to want a stream's trigger */
	gaddr_t addr; /* out: guest address */
	unsigned advice; /* out: of its region */
	struct stat_fault stat; /* times in; page and flags out, if counted */
};

/*
 * Runs the fault up to where I/O is needed. FAULT_READ: fill is set up for
 * the one page. => nothing locked; fill->io.buf and room set.
 */
enum fault_result fault_begin(struct vvm *vm, struct vvm_stat_actor *actor,
			      struct fault *f, struct fill *fill);
/*
 * Gives whoever waits on host SIGBUS, unless the page is (being) made usable
 * by now. The page's state is unchanged. For a page that is not POISONED the
 * caller undoes it with fault_unfail() when the thread has had time to see
 * it. True when there is something to undo. tid: of the faulting thread.
 */
bool fault_fail(struct vvm *vm, haddr_t host, int tid);
void fault_unfail(struct vvm *vm, haddr_t host);
/*
 * Counts a fault that is given up, because no frame came free.
 * => nothing locked.
 */
void fault_lost(struct vvm *vm, struct vvm_stat_actor *actor, struct fault *f);
/* Wakes threads that wait on a page of whatever region. */
void fault_wake(struct vvm *vm, haddr_t host);

/* Why perms do not allow `need`; 0 when they do. */
int fault_refusal(pte_t perms, pte_t need);

/* ---- the steps, for fault/inline.c ---- */

/* One page under its locks: what fault_look_up() found. */
struct step {
	struct vvm *vm;
	struct vvm_stat_actor *actor;
	struct region *region;
	struct block *block;
	unsigned index;
	gaddr_t addr;
	haddr_t host;
	int uffd;
	bool write;
	struct fill *fill;
	bool woke; /* the kernel has been told already */
	uint64_t looked_ns; /* when the kernel was about to be told */
	bool trigger; /* as in struct fault */
};

/* Fills s from the region and takes the block lock. => space lock held. */
bool fault_look_up(struct step *s, struct region *r, gaddr_t addr);
/* Does what the page's state demands. => space lock and block lock held. */
enum fault_result fault_decide(struct step *s);
/*
 * Counts a fault by the state that it met and what came of it, for its
 * region and block, too. Returns its flags for the ring. => both locks held.
 */
unsigned fault_count(struct step *s, enum page_state was,
		     enum fault_result result);
/* The same for one that met no region (NULL), or that failed. => space lock. */
unsigned fault_count_failed(struct vvm *vm, struct vvm_stat_actor *actor,
			    struct region *r, bool write);

#endif
