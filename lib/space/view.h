/* SPDX-License-Identifier: MIT */
/*
 * space/view.h - what threads reach of a space's memory without a fault, and
 * the two ways to take it from them: space/view.c.
 */
#ifndef VVM_VIEW_H
#define VVM_VIEW_H

#include "space/space.h"

/*
 * From now on a write to the pages is a fault; in a guarded space every access.
 * On an error that may be so for some of them. => block lock held, and the space
 * lock or the mapping lock.
 */
int view_protect(struct vvm *vm, int uffd, haddr_t host, uint64_t bytes);
/*
 * The opposite, which also wakes who waits. On an error nothing has changed.
 * -ENOENT: unmapped under us. In a guarded space only for pages that have a
 * frame: others would be filled by the kernel; and -ENOMEM: the program has
 * unmapped some, of the others it is done. => block lock held.
 */
int view_unprotect(struct vvm *vm, int uffd, haddr_t host, uint64_t bytes);
/*
 * The same, though the kernel may be short of memory for a moment. On an error
 * the page may be protected, and must not be DIRTY (space (2)): it stays, or
 * becomes, FROZEN.
 */
int view_unprotect_firmly(struct vvm *vm, int uffd, haddr_t host,
			  uint64_t bytes);
/* Makes threads that wait for pages look again. */
void view_wake(struct vvm *vm, int uffd, haddr_t host, uint64_t bytes);

/* ---- guarded spaces; in others these do nothing ---- */

/*
 * A region of a new mapping, or of an inherited one, which permits nothing yet.
 * => no other thread knows it.
 */
int view_begin(const struct region *r);
/*
 * Makes the part of r that holds host ready for use: it is not before it is
 * first touched. -ENOMEM. => space lock held.
 */
int view_ready(struct vvm *vm, const struct region *r, haddr_t host);
/* Is it? */
static inline bool view_is_ready(const struct region *r, haddr_t host)
{
	return !r->chunks ||
	       chunks_ready(r->chunks, chunks_index(r->chunks, host));
}
/*
 * Does the kernel refuse an access to a page that is usable, because somebody
 * has changed the mapping without vvm_*?
 */
bool view_refuses(haddr_t host, pte_t need);

/* Sets the permissions of r (VVM_PROT_*) where it is ready. */
int view_permit(const struct region *r, unsigned prot);

#endif
