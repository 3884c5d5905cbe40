/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the steps of a fault, shared by everybody who needs a page:
 * handler threads (asynchronously, handler.c) and API threads (fault_page).
 *
 *	check -> look up -> claim -> fill -> install -> wake
 */
#ifndef VVM_FAULT_H
#define VVM_FAULT_H

#include "space.h"

enum fault_result {
	FAULT_DONE,    /* resolved; the thread was woken */
	FAULT_JOINED,  /* on its way already; that install wakes the thread */
	FAULT_READ,    /* claimed: read fill->io, then fault_install() */
	FAULT_NOFRAME, /* nothing changed: try again when frames are free */
	FAULT_RETRY,   /* nothing changed: the kernel was short of memory */
	FAULT_GONE,    /* no region any more; the thread was woken */
	FAULT_FAILED,  /* the page is poisoned; the thread gets SIGBUS */
};

/* What is wanted. */
struct fault {
	haddr_t host; /* page aligned */
	bool write;   /* the page shall be DIRTY afterwards */
	int tid;      /* of the faulting thread, 0: not known */
};

/* Pages in flight: one run of a block with consecutive slots. */
struct fill {
	struct io io;	/* io.buf and room are the owner's */
	unsigned room;	/* pages that io.buf can hold */
	struct vvm *vm;
	struct block *block;
	unsigned first;	 /* index in the block of the run's first page */
	unsigned demand; /* of the page that somebody waits for */
	bool has_demand; /* false: all of it is prefetch */
	bool write;	 /* the demanded page shall be DIRTY */
	unsigned advice; /* of the demanded page's region */
	haddr_t host;	 /* of the first page */
	int uffd;
};

/*
 * Runs the fault up to where I/O is needed. FAULT_READ: fill is set up for
 * the one page. => nothing locked; fill->io.buf and room set.
 */
enum fault_result fault_begin(struct vvm *vm, struct vvm_stat_actor *actor,
			      const struct fault *f, struct fill *fill);
/*
 * Widens a claimed fill by up to `after` pages behind and `before` pages in
 * front of it, as far as the neighbours are swapped out in consecutive slots,
 * room and frames allow. Returns the pages added. => as fault_begin().
 */
unsigned fault_widen(struct vvm *vm, struct vvm_stat_actor *actor,
		     struct fill *fill, unsigned before, unsigned after);
/*
 * Claims the first run of swapped-out pages in guest range [addr, end) as a
 * fill without demand; *next is where to go on. False: none found up to
 * `end`, or no frame to spare.
 */
bool fault_claim_ahead(struct vvm *vm, struct vvm_stat_actor *actor,
		       gaddr_t addr, gaddr_t end, struct fill *fill,
		       gaddr_t *next);
/*
 * Installs what the read brought (or gives it up), wakes the waiters.
 * FAULT_DONE, FAULT_FAILED, FAULT_GONE or FAULT_RETRY for the demanded page.
 */
enum fault_result fault_install(struct fill *fill, struct vvm_stat_actor *actor,
				int result);
/*
 * Gives whoever waits on host SIGBUS, unless the page is (being) made usable
 * by now. The page's state is unchanged. For a page that is not POISONED the
 * caller undoes it with fault_unfail() when the thread has had time to see
 * it. True when there is something to undo. tid: of the faulting thread.
 */
bool fault_fail(struct vvm *vm, haddr_t host, int tid);
void fault_unfail(struct vvm *vm, haddr_t host);
/* Wakes threads that wait on a page of whatever region. */
void fault_wake(struct vvm *vm, haddr_t host);

/*
 * For API threads: makes the page at addr usable, waiting as needed, and
 * returns its block with the block's lock *and* the space lock (for reading)
 * held: the page is then resident, DIRTY if write, and stays so until
 * fault_page_end(). need: PTE_READ, PTE_WRITE: what must be permitted.
 * 0; -VVM_EUNMAPPED, -VVM_ENOREAD, -VVM_ENOWRITE, -VVM_ENOEXEC, -VVM_EPOISON,
 * -VVM_ENOFRAME, -ENOMEM: then nothing is held.
 */
int fault_page(struct vvm *vm, gaddr_t addr, pte_t need, bool write,
	       struct block **locked, struct region **region);
void fault_page_end(struct vvm *vm, struct block *b);

/* Why perms do not allow `need`; 0 when they do. */
int fault_refusal(pte_t perms, pte_t need);

#endif
