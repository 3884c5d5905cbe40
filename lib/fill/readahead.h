/* SPDX-License-Identifier: MIT */
/*
 * fill/readahead.h - one read of pages that somebody is going to want, from
 * its claim (fill/ahead.c) until they are installed.
 */
#ifndef VVM_READAHEAD_H
#define VVM_READAHEAD_H

#include "space/space.h"

/* Pages of one block, in a run of slots with few gaps. */
struct readahead {
	struct io io;	 /* io.buf is the owner's */
	uint16_t *index; /* the owner's: of page i of io in the block, or IO_GAP
			  */
	unsigned room;	 /* pages that buf and index can hold */
	struct vvm *vm;
	struct block *block;
	haddr_t host; /* of the block's first page, mapped or not */
	int uffd;
	bool intended; /* pages shall be DIRTY: they will likely be written */
	bool map;      /* they shall be mapped at once */
	bool gave_up;  /* pages that somebody may have to ask for again */
	unsigned at;   /* of io.pages: installed or given up so far */
	uint64_t start_ns; /* the owner began to read */
};

/*
 * The read has ended, with this result. => nothing locked, ra->start_ns set.
 */
void readahead_arrived(struct readahead *ra, struct vvm_stat_actor *actor,
		       int result);
/*
 * Installs about `most` of the pages that arrived, or gives them up, and wakes
 * their waiters. True: that was the last of them, the readahead is over. =>
 * nothing locked.
 */
bool readahead_install(struct readahead *ra, struct vvm_stat_actor *actor,
		       unsigned most);

#endif
