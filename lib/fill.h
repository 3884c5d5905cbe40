/* SPDX-License-Identifier: MIT */
/*
 * fill.h - pages on their way from the backing into the memfd.
 */
#ifndef VVM_FILL_H
#define VVM_FILL_H

#include "space.h"

/* What became of a fault, or of the demanded page of a fill. */
enum fault_result {
	FAULT_DONE,    /* resolved; the thread was woken */
	FAULT_JOINED,  /* on its way already; that install wakes the thread */
	FAULT_READ,    /* claimed: read fill->io, then fill_install() */
	FAULT_NOFRAME, /* nothing changed: try again when frames are free */
	FAULT_RETRY,   /* nothing changed: the kernel was short of memory */
	FAULT_GONE,    /* no region any more; the thread was woken */
	FAULT_FAILED,  /* the page is poisoned; the thread gets SIGBUS */
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
	bool intended;	 /* so shall the others: they will likely be written */
	unsigned advice; /* of the demanded page's region */
	haddr_t host;	 /* of the first page */
	int uffd;
	uint64_t start_ns; /* the owner began to read it, ... */
	uint64_t done_ns;  /* ... and had it, when fill_install() was called */
};

/*
 * Sets up a fill of one page that somebody waits for; its entry is FILLING
 * from now on. => block lock held, the page SWAPPED, a frame taken, fill->io.buf
 * and room set.
 */
void fill_claim(struct fill *fill, struct vvm *vm, struct vvm_stat_actor *actor,
		struct region *r, struct block *b, gaddr_t addr, bool write);
/*
 * Widens a claimed fill by up to `after` pages behind and `before` pages in
 * front of it, as far as the neighbours are swapped out in consecutive slots,
 * room and frames allow. Returns the pages added. => nothing locked.
 */
unsigned fill_widen(struct vvm *vm, struct vvm_stat_actor *actor,
		    struct fill *fill, unsigned before, unsigned after);
/*
 * Claims the first run of swapped-out pages in guest range [addr, end) as a
 * fill without demand; *next is where to go on. False: none found up to
 * `end`, or no frame to spare.
 */
bool fill_claim_ahead(struct vvm *vm, struct vvm_stat_actor *actor,
		      gaddr_t addr, gaddr_t end, struct fill *fill,
		      gaddr_t *next);
/*
 * Installs what the read brought (or gives it up), wakes the waiters.
 * FAULT_DONE, FAULT_FAILED, FAULT_GONE or FAULT_RETRY for the demanded page.
 * => fill->start_ns set.
 */
enum fault_result fill_install(struct fill *fill, struct vvm_stat_actor *actor,
			       int result);

/*
 * Fills up to `count` pages from host on with zeros, DIRTY and mapped, as far
 * as they are FRESH, writable, of one block and stripe, and frames can be
 * spared. Returns how many. => nothing locked.
 */
unsigned fill_zeros_ahead(struct vvm *vm, struct vvm_stat_actor *actor,
			  haddr_t host, unsigned count);

/*
 * Puts n pages into the memfd, maps them and wakes their waiters. Returns how
 * many; *error is why not all. from NULL: zeros. => block lock held.
 */
unsigned fill_put(struct vvm *vm, int uffd, haddr_t host, const char *from,
		  unsigned n, bool protect, int *error);
/* What an error of fill_put() means to the one who waits. */
enum fault_result fill_error(int error);
/*
 * Shall pages of r that are filled for reading be DIRTY, since they will
 * likely be written (intent.c)? => both: space lock held.
 */
bool fill_intends(struct region *r);
/* n pages are filled for reading, with the answer of fill_intends(). */
void fill_note_intent(struct vvm_stat_actor *actor, struct region *r,
		      bool intended, unsigned n);
/* A page has just become resident: its age. => block lock held. */
void fill_admit(struct vvm *vm, struct block *b, unsigned i, bool prefetched);

#endif
