/* SPDX-License-Identifier: MIT */
/*
 * fill/ahead.h - takes from a readahead job the pages that one read can bring,
 * and claims them.
 */
#ifndef VVM_AHEAD_H
#define VVM_AHEAD_H

#include "fill/readahead.h"

/* Pages to be read ahead: count of them, stride apart. */
struct ahead_job {
	gaddr_t addr;	/* of the next one */
	int64_t stride; /* pages, not 0 */
	uint64_t count; /* 0: done */
	uint64_t most;	/* read no more of them than this; not 0 */
	bool trigger;	/* the next page to be claimed is a trigger */
	bool map;	/* the pages shall be mapped when they are installed */
};

/* Takes the first n pages off the job, as a job of their own. */
struct ahead_job ahead_split(struct ahead_job *job, uint64_t n);

enum ahead_result {
	AHEAD_CLAIMED, /* ra is to be read */
	AHEAD_NOTHING, /* none in this block, or no more at all */
	AHEAD_DRY,     /* there is one, but no frame to spare */
};

/*
 * Claims the next pages of the job that one read can bring: SWAPPED pages of
 * one block, whose slots are in a row or separated by gaps that are cheaper to
 * read than to leave out. Takes off the job what was claimed and what needs no
 * reading. => nothing locked; ra->io.buf, index and room set.
 */
enum ahead_result ahead_claim(struct vvm *vm, struct vvm_stat_actor *actor,
			      struct ahead_job *job, struct readahead *ra);

/*
 * Fills up to `count` pages from host on with zeros, DIRTY and mapped, as far
 * as they are FRESH, writable, and frames can be spared. Returns how many.
 * => nothing locked.
 */
unsigned ahead_zeros(struct vvm *vm, struct vvm_stat_actor *actor, haddr_t host,
		     unsigned count);

#endif
