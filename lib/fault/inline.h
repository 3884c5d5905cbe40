/* SPDX-License-Identifier: MIT */
/*
 * fault/inline.h - faults resolved by the thread that needs the page: API
 * threads (touch, pin, load, store) and, in inline and guard mode, every faulting
 * thread, in its signal handler.
 */
#ifndef VVM_INLINE_H
#define VVM_INLINE_H

#include "space/space.h"

/*
 * Makes the page at addr usable, waiting as needed, and returns its block
 * with the block's lock *and* the space lock (for reading) held: the page is
 * then resident, DIRTY if write, and stays so until inline_page_end(). need:
 * PTE_READ, PTE_WRITE: what must be permitted.
 * 0; -VVM_EUNMAPPED, -VVM_ENOREAD, -VVM_ENOWRITE, -VVM_ENOEXEC, -VVM_EPOISON,
 * -VVM_ENOFRAME, -ENOMEM: then nothing is held.
 */
int inline_page(struct vvm *vm, gaddr_t addr, pte_t need, bool write,
		struct block **locked, struct region **region);
void inline_page_end(struct vvm *vm, struct block *b);

/*
 * The fault of a plain access, in the thread that did it, counted as one. need:
 * as above; 0 where the MMU has seen to it. ip: of the code that made it. 0: do
 * the access again. Errors as inline_page(). Async-signal-safe, as long as the
 * interrupted code holds none of our locks: see fault/trap.c.
 */
int inline_fault(struct vvm *vm, gaddr_t addr, bool write, pte_t need,
		 uint64_t ip);
/*
 * Says for whom this thread calls the library from now on: the code at ip, or
 * VVM_STAT_SITE_CALLS. Returns what it was. Async-signal-safe.
 */
uint64_t inline_caller(uint64_t ip);

/* Inline mode's own state, if vm is in that or guard mode. -ENOMEM. */
int inline_init(struct vvm *vm);
void inline_fini(struct vvm *vm);
/* inline_fini() in a fork child. */
void inline_abandon(struct vvm *vm);
/* In a fork child: closes the descriptors, and nothing else. */
void inline_shed(struct vvm *vm);

#endif
