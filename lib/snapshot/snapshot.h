/* SPDX-License-Identifier: MIT */
/*
 * snapshot/snapshot.h - what fork children may still read of their parent's
 * space.
 *
 * The parent's side. A snapshot is taken while the space is still, and ends
 * when the child and its own children have exited, executed a program or
 * closed the space.
 */
#ifndef VVM_SNAPSHOT_H
#define VVM_SNAPSHOT_H

#include "snapshot/inherit.h"
#include "space/space.h"

/* -ENOMEM, -EMFILE ... => no thread yet. */
int snapshots_new(struct vvm *vm);
/*
 * Forgets all snapshots; children go on reading what they need. => no
 * threads, no regions.
 */
void snapshots_free(struct vvm *vm);

/*
 * Takes a snapshot for the child that is about to be forked: DIRTY pages are
 * FROZEN on return. -errno: there is none, though some pages may be FROZEN.
 * => the space lock is held for writing, no page is FILLING or WRITING.
 */
int snapshot_take(struct vvm *vm);
/*
 * The fork has been tried: from now on the snapshot ends with the child, and
 * later children do not get it. => in the parent, nothing locked.
 */
void snapshot_forked(struct vvm *vm);
/*
 * In the child: what it gets, but for swap and frames, and everything else
 * that came along of vm->snapshots is closed and freed. => no other thread
 * yet.
 */
void snapshot_inherit(struct vvm *vm, struct origin *origin);

/* Readable when a snapshot may end: then snapshot_reap(). */
int snapshot_watch(const struct vvm *vm);
/* Ends the snapshots whose readers are gone. => nothing locked. */
void snapshot_reap(struct vvm *vm);

/*
 * Gives every snapshot that still reads the frame of a FROZEN page a copy of
 * it: then the frame may change, or go. -errno: the kernel is short of memory.
 * => block lock held.
 */
int snapshot_copy(struct vvm *vm, haddr_t host);
/*
 * The same for all FROZEN pages of [first, last], the first at host, whose
 * frames must go. What cannot be copied is lost to the children: they get
 * SIGBUS. => block lock held.
 */
void snapshot_give_up(struct vvm *vm, struct block *b, unsigned first,
		      unsigned last, haddr_t host);

#endif
