/* SPDX-License-Identifier: MIT */
/*
 * space/spaces.h - all spaces of the process, for who has a host address and
 * does not know whose it is. Any thread, and signal handlers.
 */
#ifndef VVM_SPACES_H
#define VVM_SPACES_H

#include "space/space.h"

/* A space that was found stays until it is let go. */
struct spaces_entry;

/* -ENOMEM. */
int spaces_add(struct vvm *vm);
/* Returns when nobody looks at vm any more. Idempotent. */
void spaces_remove(struct vvm *vm);
/* In a fork child: threads that had found one are not here. */
void spaces_forked(void);

/* A run of paged memory of one region. */
struct spaces_run {
	struct vvm *vm;
	struct spaces_entry *held;
	gaddr_t addr;	/* of its first byte */
	uint64_t bytes; /* to the end of the region */
	unsigned prot;
};
/*
 * Which space has this host address? True: spaces_let_go(run) is to be called.
 * Of spaces that a fork child did not inherit none. => no lock of a space, stack
 * not paged.
 */
bool spaces_find(haddr_t host, struct spaces_run *run);
void spaces_let_go(struct spaces_run *run);

#endif
