/* SPDX-License-Identifier: MIT */
/*
 * snapshot/impl.h - what the files of snapshot/snapshot.h share.
 */
#ifndef VVM_SNAPSHOT_IMPL_H
#define VVM_SNAPSHOT_IMPL_H

#include "snapshot/snapshot.h"

/* ---- snapshot/snapshot.c: the snapshot that is being taken ---- */

/* Copies a page that must stay writable. => its block lock held */
int snapshot_copy_now(struct vvm *vm, haddr_t host);
/* Tells the child that it finds the page in its parent's frame. */
void snapshot_point_to_frame(struct vvm *vm, haddr_t host);
/* Room for VERIFY_PAGES pages; NULL but in a guarded space. */
void *snapshot_frames(const struct vvm *vm);

/* ---- snapshot/freeze.c; => space lock held ---- */

/* Freezes what is dirty. On an error some of it may be FROZEN. */
int freeze_pages(struct vvm *vm);
/* Tells the child of all that is FROZEN. */
int freeze_tell(struct vvm *vm);
/* Makes DIRTY what is FROZEN. => no snapshot wants it */
void freeze_end(struct vvm *vm);

#endif
