/* SPDX-License-Identifier: MIT */
/*
 * fill/reader.c - reading ahead, by a thread that has other things to do.
 *
 *	job --> claim --> read --> arrived --> install, a few pages a turn
 *	  ^       |
 *	  +-------+ until nothing of it is left, or no buffer is idle
 *
 * A handler has one reader and calls it in each round of its loop. In thread
 * mode the jobs are those of the streams that it serves; in inline mode, where
 * nobody else could complete a read, the handler threads read for all.
 * Jobs of streams go before those of WILLNEED, which nobody waits for.
 *
 * What has arrived is installed in the order in which it was asked for, which
 * is the stream's: the stream comes to its trigger early, and the disk reads
 * the next window while this one is installed. That is done INSTALL_PAGES at a
 * time, and in between the handler looks for fault events: those of other
 * threads do not wait for the whole, and the stream goes on with what is there.
 *
 * When there is no frame to spare the jobs wait, RETRY_US at a time: a frame
 * that comes free is a fault's, so nobody wakes readahead for it. After DRY_US
 * the jobs are forgotten. They are advice.
 *
 * Buffers. Reads of 256 KiB, several in flight, into huge pages
 * (util/buffer.h): the disk takes 4 KiB pages that do not adjoin in physical
 * memory as segments of their own, and with those it is half as fast
 * (MEASURED.md, "The disk"). The buffer that was used last is used first, so
 * that what nobody needs is not touched.
 */
#include "fill/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_PAGES    64 /* 256 KiB */
#define INSTALL_PAGES 32
#define RETRY_US      500
#define DRY_US	      20000

/* ---- jobs ---- */

static bool queue_add(struct reader_queue *q, const struct ahead_job *job)
{
	if (q->count == q->size)
		return false;
	q->job[q->count++] = *job;
	return true;
}

static void queue_shift(struct reader_queue *q)
{
	memmove(q->job, q->job + 1, --q->count * sizeof(*q->job));
}

bool reader_ask(struct reader *rd, const struct ahead_job *job, bool stream)
{
	bool queued;

	lock_take(&rd->lock);
	queued = queue_add(stream ? &rd->streams : &rd->willneed, job);
	lock_drop(&rd->lock);
	return queued;
}

/* The job to go on with; NULL: none. Only the owner takes jobs away. */
static struct reader_queue *next_queue(struct reader *rd)
{
	struct reader_queue *q = NULL;

	lock_take(&rd->lock);
	if (rd->streams.count)
		q = &rd->streams;
	else if (rd->willneed.count)
		q = &rd->willneed;
	lock_drop(&rd->lock);
	return q;
}

/* The first job is done. */
static void next_job(struct reader *rd, struct reader_queue *q)
{
	lock_take(&rd->lock);
	queue_shift(q);
	lock_drop(&rd->lock);
	rd->dry_us = 0;
}

/* There is no frame for the first job, and so none for the others. */
static void forget_jobs(struct reader *rd, struct reader_queue *q)
{
	lock_take(&rd->lock);
	q->count = 0;
	lock_drop(&rd->lock);
	rd->dry_us = 0;
}

/* ---- reads ---- */

static void read_give(struct reader_read *rr)
{
	list_insert(rr->reader->idle.next, &rr->link); /* used next */
}

/* Is this read younger? */
static bool started_after(const struct list *link, uint64_t ns)
{
	return list_entry(link, struct reader_read, link)->ra.start_ns > ns;
}

static void arrived(struct io *io, int result)
{
	struct reader_read *rr = container_of(io, struct reader_read, ra.io);
	struct list *head = &rr->reader->arrived, *next = head;

	readahead_arrived(&rr->ra, rr->reader->actor, result);
	/* Streams come by in the order of the reads, not of their ends. */
	while (next->prev != head && started_after(next->prev, rr->ra.start_ns))
		next = next->prev;
	list_insert(next, &rr->link);
}

/* Starts the next read of the first job of q. */
static enum ahead_result read_next(struct reader *rd, struct reader_queue *q)
{
	struct reader_read *rr =
		list_entry(rd->idle.next, struct reader_read, link);
	enum ahead_result result;

	result = ahead_claim(rd->vm, rd->actor, &q->job[0], &rr->ra);
	if (result != AHEAD_CLAIMED)
		return result;
	list_remove(&rr->link);
	rd->dry_us = 0;
	rr->ra.start_ns = os_now_ns();
	io_read(&rr->ra.io, rd->ring);
	return result;
}

/* Starts reads. As reader_work(). */
static int64_t start_reads(struct reader *rd)
{
	struct reader_queue *q;
	uint64_t now_us;

	while (!list_empty(&rd->idle) && (q = next_queue(rd))) {
		if (read_next(rd, q) == AHEAD_DRY) {
			now_us = os_now_us();
			if (!rd->dry_us)
				rd->dry_us = now_us;
			if (now_us - rd->dry_us < DRY_US)
				return RETRY_US;
			forget_jobs(rd, q);
		} else if (!q->job[0].count) {
			next_job(rd, q);
		}
	}
	return -1;
}

static void install_some(struct reader *rd)
{
	struct reader_read *rr;

	if (list_empty(&rd->arrived))
		return;
	rr = list_entry(rd->arrived.next, struct reader_read, link);
	if (readahead_install(&rr->ra, rd->actor, INSTALL_PAGES)) {
		list_remove(&rr->link);
		read_give(rr);
	}
}

int64_t reader_work(struct reader *rd)
{
	int64_t wait_us;

	install_some(rd);
	wait_us = start_reads(rd);
	return list_empty(&rd->arrived) ? wait_us : 0;
}

void reader_drain(struct reader *rd)
{
	while (!list_empty(&rd->arrived))
		install_some(rd);
}

/* ---- construction ---- */

static void init_reads(struct reader *rd)
{
	unsigned i;

	for (i = 0; i < rd->reads; i++) {
		struct reader_read *rr = &rd->read[i];

		rr->reader = rd;
		rr->ra.room = rd->room;
		rr->ra.index = rd->indices + (size_t)i * rd->room;
		rr->ra.io.done = arrived;
		rr->ra.io.buf = rd->buffer.start +
				pages_to_bytes((uint64_t)i * rd->room);
		list_insert(&rd->idle, &rr->link);
	}
}

int reader_init(struct reader *rd, struct vvm *vm, struct vvm_stat_actor *actor,
		struct ring *ring, uint64_t share_pages)
{
	int rc;

	rd->vm = vm;
	rd->actor = actor;
	rd->ring = ring;
	list_init(&rd->idle);
	list_init(&rd->arrived);
	lock_init(&rd->lock, LOCK_MISC);
	rd->streams =
		(struct reader_queue){.job = rd->jobs, .size = READER_JOBS};
	rd->willneed = (struct reader_queue){.job = rd->needs,
					     .size = READER_WILLNEED};
	share_pages = MAX(share_pages, 1u);
	rd->room =
		(unsigned)MIN(MAX(share_pages / 2, 1u), (uint64_t)READ_PAGES);
	rd->reads =
		(unsigned)MIN(share_pages / rd->room, (uint64_t)READER_READS);
	rd->indices =
		calloc((size_t)rd->reads * rd->room, sizeof(*rd->indices));
	if (!rd->indices)
		return -ENOMEM;
	rc = buffer_init(&rd->buffer,
			 pages_to_bytes((uint64_t)rd->reads * rd->room), true);
	if (rc == 0)
		init_reads(rd);
	return rc;
}

void reader_fini(struct reader *rd)
{
	buffer_fini(&rd->buffer);
	free(rd->indices);
	rd->indices = NULL;
}
