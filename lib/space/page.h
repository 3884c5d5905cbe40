/* SPDX-License-Identifier: MIT */
/*
 * space/page.h - a page table entry, and the life of a page.
 *
 * An entry is 64 bits: flags in the low 12, as on real hardware, and the
 * page's slot in its backing above (0: no slot; slot 0 is never handed out).
 * Usually that is a slot of the swap. In a region that has a backing of its own
 * a page that was never changed has one of that: SLOT_OF_REGION.
 *
 *	63                                   12 11 10  9 8 7 6 5 4 3 2 1 0
 *	+--------------------------------------+-----+--+-+-+-+-+-+-+-+-+-+
 *	| slot                                 | age |PF|N|!|B|D|P|X|W|R|M|
 *	+--------------------------------------+-----+--+-+-+-+-+-+-+-+-+-+
 *	M mapped  R W X permissions  P present  D dirty  B busy
 *	! poisoned or, of a page that is present, frozen
 *	N pinned  PF brought by prefetch, not yet seen used; without a frame:
 *	on standby, or to be (space/standby.c)   age 0..3
 *
 * The life of a page is the table in space/pagetable.c: states are derived from
 * M P D B ! and the slot; pt_move() is the one function that changes them.
 *
 * In a region with a backing of its own what has just been mapped, or discarded,
 * is SWAPPED; a page that was changed to zeros may be FRESH. Not if the backing is
 * its home (swap/backing.h): then changed pages, zeros too, are written to the slots
 * that they have there, so none is FRESH, or has a slot of the swap.
 *
 *	NONE                                             POISONED
 *	  | map                                             ^
 *	  v                     claim                       | read failed
 *	FRESH ------------------------------------------> FILLING
 *	  | ^                                               | ^
 *	  | |          SWAPPED --------- claim ----------------+
 *	  | |             ^                                 |
 *	  | | evict,      | evict,                          | installed for
 *	  | | no slot     | slot         +------------------+
 *	  | |             |              | read             | write
 *	  | |             |              v                  v
 *	  | +-------------+----------- CLEAN -- WP event -> DIRTY <-----+
 *	  |                            ^ ^ ^                | |         |
 *	  | zero fill: CLEAN or DIRTY  | | +-- page is zero +           |
 *	  +----------------------------+ |                  | write-back|
 *	                                 |                  v begins    |
 *	                                 +-- written --- WRITING -------+
 *	                                     untouched     WP event or error
 *
 * Not drawn: FILLING that gave up goes back to FRESH or SWAPPED; unmap takes
 * every state but FILLING to NONE, discard (DONTNEED) takes it to FRESH; a
 * synchronous write takes DIRTY to CLEAN in one step. A fork takes DIRTY to
 * FROZEN: protected, because a snapshot may still read the frame
 * (snapshot/snapshot.c). It is DIRTY again when the snapshot has its copy or is
 * gone. When the kernel does not lift the protection of a write-back that was
 * given up, the page is DIRTY and then FROZEN, too.
 *
 * In a guarded space CLEAN is "was equal when it was filled": space/view.c.
 *
 * DIRTY is never write-protected; CLEAN and WRITING always are, and FROZEN as
 * long as a snapshot needs it (space (2)).
 */
#ifndef VVM_PTE_H
#define VVM_PTE_H

#include "base.h"

typedef uint64_t pte_t;

#define PTE_MAPPED     ((pte_t)1 << 0)
#define PTE_READ       ((pte_t)1 << 1)
#define PTE_WRITE      ((pte_t)1 << 2)
#define PTE_EXEC       ((pte_t)1 << 3)
#define PTE_PRESENT    ((pte_t)1 << 4) /* the memfd holds its frame */
#define PTE_DIRTY      ((pte_t)1 << 5)
#define PTE_BUSY       ((pte_t)1 << 6) /* I/O in flight */
#define PTE_POISON     ((pte_t)1 << 7)
#define PTE_FROZEN     PTE_POISON /* with PTE_PRESENT */
#define PTE_PINNED     ((pte_t)1 << 8)
#define PTE_PREFETCHED ((pte_t)1 << 9)
#define PTE_AGE_SHIFT  10
#define PTE_AGE_MAX    3
#define PTE_AGE	       ((pte_t)PTE_AGE_MAX << PTE_AGE_SHIFT)
#define PTE_PERMS      (PTE_READ | PTE_WRITE | PTE_EXEC)
#define PTE_SLOT_SHIFT 12

/*
 * The other bits are the number of the page in its mapping (region_slot()): what
 * the backing knows.
 */
#define SLOT_OF_REGION ((uint64_t)1 << 50)

enum page_state {
	PAGE_NONE,     /* no region here */
	PAGE_FRESH,    /* mapped; reads as zeros; no frame, no slot */
	PAGE_SWAPPED,  /* its content is in its slot only */
	PAGE_FILLING,  /* busy: a frame is taken, its content on the way */
	PAGE_CLEAN,    /* frame equals slot (or zeros); write-protected */
	PAGE_DIRTY,    /* frame is the only copy */
	PAGE_WRITING,  /* dirty, protected, being written to a new slot */
	PAGE_POISONED, /* its content is lost: touching it is SIGBUS */
	PAGE_FROZEN,   /* dirty, protected, not yet copied for a snapshot */
	PAGE_STATES
};

static inline enum page_state pte_state(pte_t e)
{
	if (!(e & PTE_MAPPED))
		return PAGE_NONE;
	if (e & PTE_POISON)
		return e & PTE_PRESENT ? PAGE_FROZEN : PAGE_POISONED;
	if (e & PTE_PRESENT) {
		if (!(e & PTE_DIRTY))
			return PAGE_CLEAN;
		return e & PTE_BUSY ? PAGE_WRITING : PAGE_DIRTY;
	}
	if (e & PTE_BUSY)
		return PAGE_FILLING;
	return e >> PTE_SLOT_SHIFT ? PAGE_SWAPPED : PAGE_FRESH;
}

static inline uint64_t pte_slot(pte_t e)
{
	return e >> PTE_SLOT_SHIFT;
}

/* Is it a slot, and of the swap? */
static inline bool slot_is_swap(uint64_t slot)
{
	return slot && !(slot & SLOT_OF_REGION);
}

static inline pte_t pte_with_slot(pte_t e, uint64_t slot)
{
	return (e & (((pte_t)1 << PTE_SLOT_SHIFT) - 1)) |
	       slot << PTE_SLOT_SHIFT;
}

static inline unsigned pte_age(pte_t e)
{
	return (unsigned)(e >> PTE_AGE_SHIFT) & PTE_AGE_MAX;
}

static inline pte_t pte_with_age(pte_t e, unsigned age)
{
	return (e & ~PTE_AGE) | (pte_t)age << PTE_AGE_SHIFT;
}

#endif
