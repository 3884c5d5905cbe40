/* SPDX-License-Identifier: MIT */
/*
 * fill/reader.h - what reads ahead: buffers, a queue of jobs and the reads in
 * flight of one handler thread.
 */
#ifndef VVM_READER_H
#define VVM_READER_H

#include "fill/ahead.h"
#include "util/buffer.h"

/* Streams that may wait to be read; many threads share an inline reader. */
#define READER_JOBS	64
#define READER_WILLNEED 16
#define READER_READS	16 /* in flight at most */

struct reader_read {
	struct readahead ra;
	struct reader *reader;
	struct list link; /* idle or arrived */
};

/* Jobs in the order in which they came. */
struct reader_queue {
	struct ahead_job *job; /* (i) room for `size` */
	unsigned size;	       /* (i) */
	unsigned count;
};

/* (o) the owner thread only, (i) set by reader_init(), (l) lock. */
struct reader {
	struct vvm *vm;		      /* (i) */
	struct vvm_stat_actor *actor; /* (i) */
	struct ring *ring;	      /* (i) */
	struct reader_read read[READER_READS];
	struct list idle;     /* (o) reads */
	struct list arrived;  /* (o) read, and to be installed */
	unsigned reads, room; /* (i) reads, and pages of each */
	struct buffer buffer; /* (i) of all reads */
	uint16_t *indices;    /* (i) */
	uint64_t dry_us;      /* (o) no frame to spare since; 0: there are */
	struct lock lock;     /* rank LOCK_MISC */
	struct ahead_job jobs[READER_JOBS], needs[READER_WILLNEED];
	struct reader_queue streams;  /* (l) goes first */
	struct reader_queue willneed; /* (l) */
};

/* share: pages that the buffers may hold; there is at least one. -ENOMEM. */
int reader_init(struct reader *rd, struct vvm *vm, struct vvm_stat_actor *actor,
		struct ring *ring, uint64_t share_pages);
/* => no read in flight, the jobs are forgotten. */
void reader_fini(struct reader *rd);
/*
 * Queues a job of a stream, or one that the application asked for. Any
 * thread, async-signal-safe. False: the queue is full and the job forgotten.
 */
bool reader_ask(struct reader *rd, const struct ahead_job *job, bool stream);
/*
 * The owner's turn: installs some of what has arrived, and starts reads.
 * Returns in how many us to call it again: 0 at once; < 0 when a read has
 * completed or a job has come.
 */
int64_t reader_work(struct reader *rd);
/* Installs all that has arrived. => no read in flight. */
void reader_drain(struct reader *rd);

#endif
