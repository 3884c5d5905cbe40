/* SPDX-License-Identifier: MIT */
/*
 * space/kept.h - the host ranges of a space as a fork child can read them
 * whatever other threads were doing: space/kept.c.
 */
#ifndef VVM_KEPT_H
#define VVM_KEPT_H

#include "os/os.h"
#include "space/paged.h"

/* The host range of one vvm_map() call. */
struct kept_range {
	_Atomic haddr_t start; /* (m) */
	_Atomic haddr_t end;   /* (m) 0: free */
	unsigned regions;      /* (m) that lie in it */
	union {
		struct kept_range *next_free; /* (m) of a free one */
		struct paged_range *paged;    /* (m) of another */
	};
	struct os_held held; /* (m) with open */
	_Atomic bool open;   /* (m) held is a descriptor, of its backing */
};

struct kept {
	_Atomic(struct kept_chunk *) chunks; /* (m) never freed before fini */
	struct kept_range *free;	     /* (m) */
};

/*
 * Zeroed to begin with. => add, use and drop: the mapping lock is held, or one
 * thread has it all.
 */
void kept_fini(struct kept *k);
/* A range with one region. NULL: out of memory. */
struct kept_range *kept_add(struct kept *k, haddr_t start, uint64_t bytes);
/* It has a descriptor, which is closed after the range is dropped. */
void kept_hold(struct kept_range *r, const struct os_held *held);
/* One region more; one less, and without any it is forgotten. NULL is ok. */
void kept_use(struct kept_range *r);
void kept_drop(struct kept *k, struct kept_range *r);
/*
 * In a fork child: reserves what is free of all ranges, and closes what they
 * hold. -ENOMEM: some may be left. => no other thread.
 */
int kept_reserve(struct kept *k);

#endif
