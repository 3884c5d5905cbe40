/* SPDX-License-Identifier: MIT */
/*
 * snapshot/freeze.c - the pages of a space at a fork.
 *
 * What is dirty is write-protected in runs and becomes FROZEN; so is what is
 * FROZEN already, for the reason in snapshot (1). When a run cannot be protected
 * its DIRTY pages are unprotected again, and the child inherits nothing.
 *
 * In a guarded space (space/view.c) nothing has told of writes to CLEAN pages: at
 * the fork all of them get markers and are compared with their slots. Those that
 * differ are frozen, too; the others keep the marker until they are touched. And
 * reading a frozen page is what writing to it is elsewhere.
 *
 * Pages of shared files are left as they are: no child gets them.
 *
 * Pinned pages are not protected (a device may write to them, and in inline
 * mode a system call, which would fail): they are copied at once.
 *
 * When no child needs them any more all FROZEN pages are made DIRTY at once (0.1 us
 * a page), so that a program which runs others by fork and exec does not take a
 * fault for each page that it writes to afterwards.
 */
#include "snapshot/impl.h"
#include "space/verify.h"
#include "space/view.h"

/* ---- walking over the pages ---- */

typedef int (*extent_fn)(struct vvm *vm, struct extent *p);

/* Calls fn for the extents of b. => space lock and block lock held. */
static int for_block(struct vvm *vm, struct block *b, extent_fn fn)
{
	gaddr_t at = b->base;
	struct extent p;
	int rc = 0;

	while (rc == 0 && at < b->base + BLOCK_BYTES &&
	       extent_next(vm, b, at, &p)) {
		rc = fn(vm, &p);
		at = b->base + pages_to_bytes(p.end);
	}
	return rc;
}

/* The same for all blocks; each is locked. => space lock held. */
static int for_all(struct vvm *vm, extent_fn fn)
{
	struct block *b;
	int rc = 0;

	pt_for_each_block (&vm->pt, b, 0, GUEST_END) {
		lock_take(&b->lock);
		if (b->dirty || (b->resident && space_is_guarded(vm)))
			rc = for_block(vm, b, fn);
		lock_drop(&b->lock);
		if (rc < 0)
			break;
	}
	return rc;
}

/* ---- freezing ---- */

/* Must stay writable: a device or a system call may write to it. */
static bool must_copy(pte_t e)
{
	return pte_state(e) == PAGE_DIRTY && (e & PTE_PINNED);
}

static bool must_freeze(pte_t e)
{
	return (pte_state(e) == PAGE_DIRTY && !(e & PTE_PINNED)) ||
	       pte_state(e) == PAGE_FROZEN; /* (1) */
}

/* Unprotects what is DIRTY of a run. */
static void unprotect_dirty(struct vvm *vm, struct extent *p, unsigned from,
			    unsigned to)
{
	for (; from < to; from++)
		if (pte_state(p->block->pte[from]) == PAGE_DIRTY &&
		    view_unprotect_firmly(vm, p->uffd, extent_host(p, from),
					  PAGE_BYTES) < 0)
			pt_move(p->block, from, PAGE_FROZEN, 0);
}

/*
 * Protects a run without pinned pages, from its first page that must be frozen
 * to its last. What lies between is protected already, or absent: a marker
 * there does no harm, since every install sets the protection that it wants.
 */
static int protect_run(struct vvm *vm, struct extent *p, unsigned from,
		       unsigned to)
{
	struct block *b = p->block;
	unsigned i;
	int rc;

	while (from < to && !must_freeze(b->pte[from]))
		from++;
	while (to > from && !must_freeze(b->pte[to - 1]))
		to--;
	if (from == to)
		return 0;
	rc = view_protect(vm, p->uffd, extent_host(p, from),
			  pages_to_bytes(to - from));
	if (rc < 0) /* it may have done some of it */
		unprotect_dirty(vm, p, from, to);
	/* no slot, no frame and no counter of the space changes */
	for (i = from; i < to && rc == 0; i++)
		if (pte_state(b->pte[i]) == PAGE_DIRTY)
			pt_move(b, i, PAGE_FROZEN, 0);
	return rc;
}

/*
 * Guarded spaces: after this CLEAN pages are as their slots are, and stay so
 * until the fork is over, since who touches one waits. A pinned one cannot be
 * kept from changing, so it is DIRTY from now on.
 */
static int freeze_clean(struct vvm *vm, const struct extent *p)
{
	uint64_t clean[EXTENT_WORDS] = {0};
	struct block *b = p->block;
	unsigned i;

	if (!space_is_guarded(vm))
		return 0;
	for (i = p->first; i < p->end; i++) {
		if (pte_state(b->pte[i]) != PAGE_CLEAN)
			continue;
		if (b->pte[i] & PTE_PINNED)
			space_move(vm, vm->api, b, i, PAGE_DIRTY, 0);
		else
			bit_set(clean, i);
	}
	return verify_clean(vm, vm->api, p, clean, snapshot_frames(vm));
}

static int freeze(struct vvm *vm, struct extent *p)
{
	struct block *b = p->block;
	unsigned i, from = p->first;
	int rc;

	if (p->own) /* no child gets them */
		return 0;
	rc = freeze_clean(vm, p);
	for (i = p->first; i <= p->end && rc == 0; i++) {
		if (i < p->end && !must_copy(b->pte[i]))
			continue;
		rc = protect_run(vm, p, from, i);
		from = i + 1;
		if (i < p->end && rc == 0)
			rc = snapshot_copy_now(vm, extent_host(p, i));
	}
	return rc;
}

/* Tells the child where FROZEN pages are: those of older forks, too. */
static int point_to_frames(struct vvm *vm, struct extent *p)
{
	unsigned i;

	for (i = p->first; !p->own && i < p->end; i++)
		if (pte_state(p->block->pte[i]) == PAGE_FROZEN)
			snapshot_point_to_frame(vm, extent_host(p, i));
	return 0;
}

/* ---- unfreezing ---- */

/* Makes FROZEN pages DIRTY again that no snapshot wants. */
static int unfreeze(struct vvm *vm, struct extent *p)
{
	struct block *b = p->block;
	unsigned i, from;

	for (i = p->first; i < p->end; i++) {
		for (from = i; i < p->end; i++)
			if (pte_state(b->pte[i]) != PAGE_FROZEN)
				break;
		if (from == i ||
		    view_unprotect_firmly(vm, p->uffd, extent_host(p, from),
					  pages_to_bytes(i - from)) < 0)
			continue;
		for (; from < i; from++)
			pt_move(b, from, PAGE_DIRTY, 0);
	}
	return 0;
}

/* ---- for snapshot/snapshot.c ---- */

int freeze_pages(struct vvm *vm)
{
	return for_all(vm, freeze);
}

int freeze_tell(struct vvm *vm)
{
	return for_all(vm, point_to_frames);
}

void freeze_end(struct vvm *vm)
{
	for_all(vm, unfreeze);
}
