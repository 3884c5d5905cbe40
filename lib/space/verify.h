/* SPDX-License-Identifier: MIT */
/*
 * space/verify.h - in a guarded space: is a CLEAN page as its slot is?
 * space/verify.c.
 */
#ifndef VVM_VERIFY_H
#define VVM_VERIFY_H

#include "space/extent.h"

#define VERIFY_PAGES 16 /* read at a time */

/*
 * Remembers what the slot of page i of b holds. False: no memory, and then the
 * page must not become CLEAN. In other spaces it does nothing. => block lock
 * held.
 */
bool verify_note(struct vvm *vm, struct block *b, unsigned i,
		 const void *bytes);
/*
 * Is a CLEAN page, whose frame has these bytes, as it was when it became so?
 * => as changes are kept from b's entries and digests.
 */
bool verify_same(const struct vvm *vm, const struct block *b, unsigned i,
		 const void *bytes);
/* Nothing of b is resident. => block lock held. */
void verify_forget(struct vvm *vm, struct block *b);
/*
 * Protects the CLEAN pages of p whose bit (by index in the block) is set, and
 * compares them. Those that are not as they were are FROZEN afterwards, and
 * their bits are clear. buf is of VERIFY_PAGES pages. -errno: some could not be
 * protected; they are CLEAN, and their bits are clear. => block lock held, and
 * the space lock.
 */
int verify_clean(struct vvm *vm, struct vvm_stat_actor *actor,
		 const struct extent *p, uint64_t *clean, char *buf);

#endif
