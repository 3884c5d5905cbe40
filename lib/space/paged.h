/* SPDX-License-Identifier: MIT */
/*
 * space/paged.h - which host addresses are paged memory, of whatever space.
 * Every function may be called by any thread, whatever it holds, and in signal
 * handlers.
 */
#ifndef VVM_PAGED_H
#define VVM_PAGED_H

#include <stdatomic.h>
#include "base.h"

struct paged_range {
	_Atomic haddr_t start;
	_Atomic haddr_t end; /* 0: free */
};

/* NULL: out of memory. */
struct paged_range *paged_add(haddr_t start, haddr_t end);
void paged_drop(struct paged_range *r);
/* Does a range hold the address? */
bool paged_at(haddr_t addr);
/* Does one meet [start, end)? */
bool paged_meets(haddr_t start, haddr_t end);
/* The end of one that does; 0: none. */
haddr_t paged_end(haddr_t start, haddr_t end);

#endif
