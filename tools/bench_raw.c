/* SPDX-License-Identifier: MIT */
/*
 * bench_raw.c - the engine "raw": the disk itself, as the yardstick.
 *
 * No pager that moves one page for each miss can have more misses per second
 * than the disk has 4 KiB requests at the same number in flight; so this
 * engine does just these, on a file in the swap directory, and --threads is
 * the queue depth. O_DIRECT, since the page cache would answer instead; where
 * the file system refuses that we say so and go on, for a wrong yardstick is
 * worse than a warning.
 *
 * With io_uring one thread keeps all requests in flight, each in a lane with
 * a buffer of its own; without it (not compiled in, or forbidden here) there
 * is a thread with pread and pwrite for each. Reads verify all stamps of the
 * page; writes write the page that is there, so that reads of the same page
 * at the same time remain right. Every access is a miss.
 */
#include "bench_space.h"
#include "bench_stamp.h"
#include "bench_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

enum { FILL_PAGES = 256 }; /* 1 MiB a request */

/* One request at a time, and its buffer. */
struct lane {
	uint64_t page, start; /* start: clock_ticks() */
	bool write;
	uint64_t *words;
};

/* ------------------------------------------------------------------ */
/* The file								*/

static bool ring_permitted(void)
{
#ifdef HAVE_LIBURING
	struct io_uring ring;

	if (io_uring_queue_init(1, &ring, 0) == 0) {
		io_uring_queue_exit(&ring);
		return true;
	}
#endif
	return false;
}

static void raw_open(struct engine *e)
{
	int flags;

	e->fd = engine_file(e->plan, 0);
	flags = fcntl(e->fd, F_GETFL);
	if (fcntl(e->fd, F_SETFL, flags | O_DIRECT))
		tool_warn("no O_DIRECT here: raw measures the page cache");
	e->ring = ring_permitted();
}

static void raw_close(struct engine *e)
{
	close(e->fd);
}

static unsigned raw_workers(const struct engine *e)
{
	return e->ring ? 1 : (unsigned)e->plan->threads;
}

static void raw_counts(struct engine *e, struct engine_counts *c)
{
	uint64_t reads = atomic_load(&e->reads);
	uint64_t writes = atomic_load(&e->writes);

	c->faults = c->misses = reads + writes;
	c->read_bytes = reads * BENCH_PAGE;
	c->written_bytes = writes * BENCH_PAGE;
	c->resident_peak_bytes = 0;
}

/* ------------------------------------------------------------------ */
/* Requests								*/

_Noreturn static void failed(const char *what, uint64_t page, int error)
{
	tool_die(TOOL_FAILED, "%s of page %llu of the file: %s", what,
		 (unsigned long long)page,
		 error ? strerror(error) : "cut short");
}

static void *new_buffer(size_t bytes)
{
	void *buffer = aligned_alloc(BENCH_PAGE, bytes);

	if (!buffer)
		tool_die(TOOL_FAILED, "out of memory");
	return buffer;
}

static void lane_prepare(struct worker *w, struct lane *lane)
{
	lane->page = pattern_next(&w->pattern);
	lane->write = worker_writes(w);
	if (lane->write)
		stamp_page(lane->words, w->work->plan->seed, lane->page);
	lane->start = clock_ticks(&w->work->clock);
}

static void lane_verify(struct worker *w, const struct lane *lane)
{
	uint64_t seed = w->work->plan->seed;
	unsigned line = stamp_verify(lane->words, seed, lane->page);

	if (line < STAMP_LINES)
		work_mismatch(lane->page, lane->words, "stamp in the file",
			      stamp(seed, lane->page, line),
			      lane->words[line * STAMP_LINE_WORDS]);
}

/* => result as of pread(2), or -errno. */
static void lane_complete(struct worker *w, const struct lane *lane,
			  ssize_t result)
{
	struct engine *e = w->work->engine;

	if (result != BENCH_PAGE)
		failed(lane->write ? "write" : "read", lane->page,
		       result < 0 ? (int)-result : 0);
	worker_record(w, lane->start, clock_ticks(&w->work->clock));
	atomic_fetch_add_explicit(lane->write ? &e->writes : &e->reads, 1,
				  memory_order_relaxed);
	if (!lane->write)
		lane_verify(w, lane);
}

static void drive_sync(struct worker *w)
{
	struct lane lane = {.words = new_buffer(BENCH_PAGE)};
	int fd = w->work->engine->fd;

	while (worker_go(w)) {
		off_t at;
		ssize_t n;

		lane_prepare(w, &lane);
		at = (off_t)(lane.page * BENCH_PAGE);
		n = lane.write ? pwrite(fd, lane.words, BENCH_PAGE, at)
			       : pread(fd, lane.words, BENCH_PAGE, at);
		lane_complete(w, &lane, n < 0 ? -errno : n);
	}
	free(lane.words);
}

#ifdef HAVE_LIBURING
static void lane_submit(struct worker *w, struct io_uring *ring,
			struct lane *lane)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	int fd = w->work->engine->fd;

	lane_prepare(w, lane);
	if (lane->write)
		io_uring_prep_write(sqe, fd, lane->words, BENCH_PAGE,
				    lane->page * BENCH_PAGE);
	else
		io_uring_prep_read(sqe, fd, lane->words, BENCH_PAGE,
				   lane->page * BENCH_PAGE);
	io_uring_sqe_set_data(sqe, lane);
}

/* Completes what is there; with more, starts the lanes anew. */
static unsigned reap(struct worker *w, struct io_uring *ring, bool more)
{
	struct io_uring_cqe *cqe;
	unsigned head, reaped = 0;

	io_uring_for_each_cqe(ring, head, cqe)
	{
		struct lane *lane = io_uring_cqe_get_data(cqe);

		lane_complete(w, lane, cqe->res);
		if (more)
			lane_submit(w, ring, lane);
		reaped++;
	}
	io_uring_cq_advance(ring, reaped);
	return reaped;
}

static void run_ring(struct worker *w, struct io_uring *ring, unsigned depth)
{
	unsigned in_flight = depth;
	int n;

	while (in_flight) {
		bool more = worker_go(w);
		unsigned reaped;

		n = io_uring_submit_and_wait(ring, 1);
		if (n < 0 && n != -EINTR)
			failed("submission", 0, -n);
		reaped = reap(w, ring, more);
		if (!more)
			in_flight -= reaped;
	}
}

static void drive_ring(struct worker *w)
{
	unsigned depth = (unsigned)w->work->plan->threads, i;
	uint64_t *buffer = new_buffer((size_t)depth * BENCH_PAGE);
	struct lane *lanes = calloc(depth, sizeof(*lanes));
	struct io_uring ring;
	int error = io_uring_queue_init(depth, &ring, 0);

	if (error || !lanes)
		tool_die(TOOL_FAILED, "io_uring: %s",
			 strerror(error ? -error : ENOMEM));
	for (i = 0; i < depth; i++) {
		lanes[i].words = buffer + i * (BENCH_PAGE / sizeof(*buffer));
		lane_submit(w, &ring, &lanes[i]);
	}
	run_ring(w, &ring, depth);
	io_uring_queue_exit(&ring);
	free(lanes);
	free(buffer);
}
#endif

static void raw_drive(struct worker *w)
{
#ifdef HAVE_LIBURING
	if (w->work->engine->ring) {
		drive_ring(w);
		return;
	}
#endif
	drive_sync(w);
}

/* ------------------------------------------------------------------ */
/* Set-up								*/

static void write_all(int fd, const void *buffer, size_t bytes, uint64_t page)
{
	ssize_t n = pwrite(fd, buffer, bytes, (off_t)(page * BENCH_PAGE));

	if (n != (ssize_t)bytes)
		failed("write", page, n < 0 ? errno : 0);
}

static void raw_fill(struct worker *w, uint64_t first, uint64_t end)
{
	uint64_t *buffer = new_buffer(FILL_PAGES * BENCH_PAGE);
	uint64_t page = first, n, i;

	for (; page < end && !work_stopping(); page += n) {
		n = end - page < FILL_PAGES ? end - page : FILL_PAGES;
		for (i = 0; i < n; i++)
			stamp_page(buffer + i * (BENCH_PAGE / sizeof(*buffer)),
				   w->work->plan->seed, page + i);
		write_all(w->work->engine->fd, buffer, n * BENCH_PAGE, page);
		work_progress(w, n);
	}
	free(buffer);
}

const struct engine_ops engine_raw = {
	.open = raw_open,
	.close = raw_close,
	.counts = raw_counts,
	.workers = raw_workers,
	.fill = raw_fill,
	.drive = raw_drive,
};
