/* SPDX-License-Identifier: MIT */
/*
 * map/sync.h - what is changed in shared files, to the files: map/sync.c. =>
 * nothing locked, unless they say so.
 */
#ifndef VVM_SYNC_H
#define VVM_SYNC_H

#include "space/space.h"

/* The shared files of a range, kept open while it is synced. */
struct sync_files {
	struct sync_file {
		struct backing *file;
		uint32_t seen; /* its sync_errors at the beginning */
	} * file;
	size_t count;
	bool holes;	/* not all of the range is mapped */
	bool read_only; /* there are some that cannot be written to */
};

/*
 * What vvm_sync() needs before the first region that shares a file is mapped.
 * -ENOMEM. => mapping lock held.
 */
int sync_init(struct vvm *vm);
/* => no region is left. */
void sync_fini(struct vvm *vm);

/* -EBUSY: a page of [start, end) is pinned, with `pins`; -ENOMEM. */
int sync_begin(struct vvm *vm, gaddr_t start, gaddr_t end, bool pins,
	       struct sync_files *files);
void sync_end(struct vvm *vm, struct sync_files *files);
/*
 * Writes what was changed before the call in a first part of [*at, end), a block
 * at most, and sets *at to where to go on: end when it is through. -errno of
 * write(2), or -ENOMEM: some is not written, and still dirty.
 */
int sync_write(struct vvm *vm, gaddr_t *at, gaddr_t end);
/* Has what was written so far on the disk. -errno of fdatasync(2). */
int sync_disk(const struct sync_files *files);
/* As sync_write(), but drops the frames of pages that have not been changed. */
int sync_forget(struct vvm *vm, gaddr_t *at, gaddr_t end);

#endif
