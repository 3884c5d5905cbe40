/* SPDX-License-Identifier: MIT */
/*
 * evict/writeback.h - dirty pages on their way to the backing. A writer is
 * bound to one actor thread and its ring, as the evictor that it is part of.
 */
#ifndef VVM_WRITEBACK_H
#define VVM_WRITEBACK_H

#include "util/buffer.h"
#include "space/extent.h"

struct writeback;

/* What the pass over an extent has seen of its use. */
struct pass {
	uint64_t mapped[EXTENT_WORDS]; /* bit i: of page first + i */
	uint64_t before_us;	       /* what is not now was not used since */
};

struct writer {
	struct vvm *vm;
	struct vvm_stat_actor *actor;
	struct ring *ring;
	struct writeback *writebacks; /* array */
	struct list idle;	      /* of struct writeback */
	struct list begun;	      /* of those that writer_submit() starts */
	unsigned count;		      /* in the array */
	unsigned room;		      /* pages of each one's buffer */
	struct buffer buffer;	      /* (i) of all write-backs */
	uint64_t pages;		      /* in flight, of this writer, ... */
	uint64_t slow_pages;	      /* ... and those to slow backings */
	bool swap_full;		      /* the last one to swap found no slot */
	bool refused;		      /* the last one of all did not begin */
	bool keep;		      /* (i) struct io has it */
	bool stays; /* (i) what has been written is not evicted */
	int error;  /* of the last write that failed */
};

/* count write-backs in flight, of up to `room` pages each. -ENOMEM. */
int writer_init(struct writer *w, struct vvm *vm, struct vvm_stat_actor *actor,
		struct ring *ring, unsigned count, unsigned room);
/* => nothing in flight. */
void writer_fini(struct writer *w);

/* Are all write-backs in flight? */
static inline bool writer_busy(const struct writer *w)
{
	return list_empty(&w->idle);
}

/*
 * Begins to write pages index[0..n) of p, DIRTY or FROZEN, not pinned, in
 * ascending order: as many as there are idle write-backs and slots for. They
 * are evicted when the write completes, after writer_submit(); those that are all
 * zero at once. Returns the frames freed at once, which the caller gives back.
 * => block lock held, and no write-back of the block in flight but those that
 * were started under it.
 */
unsigned writer_start(struct writer *w, const struct extent *p,
		      const struct pass *pass, const uint16_t *index,
		      unsigned n);
/*
 * Starts the writes that were begun. They complete in ring_run(), or here, if
 * no disk is needed. => nothing locked.
 */
void writer_submit(struct writer *w);

#endif
