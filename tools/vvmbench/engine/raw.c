/* SPDX-License-Identifier: MIT */
/*
 * raw.c - the engine "raw": the disk itself, as the yardstick.
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
 *
 * A pager may merge what a sequential reader will want into large requests;
 * so for the patterns seq and loop a request is RUN_PAGES neighbours, each of
 * them counted as an access, with the latency of their request. That is the
 * yardstick for prefetch.
 */
#include "vvmbench/engine/work.h"
#include "vvmbench/workload/space.h"
#include "vvmbench/workload/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

enum { RUN_PAGES = 256 }; /* 1 MiB a request */

/* One request at a time, and its buffer. */
struct lane {
	uint64_t page, start; /* start: clock_ticks() */
	unsigned pages;
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

/* Pages of the longest request. */
static unsigned run_pages(const struct plan *plan)
{
	bool runs =
		plan->pattern == PATTERN_seq || plan->pattern == PATTERN_loop;

	return runs ? RUN_PAGES : 1;
}

/* Pages of a request that begins at a page; runs do not go round the end. */
static unsigned pages_from(const struct plan *plan, uint64_t page)
{
	uint64_t end = plan->pattern == PATTERN_loop ? plan_loop_pages(plan)
						     : plan_pages(plan);
	unsigned max = run_pages(plan);

	return end - page < max ? (unsigned)(end - page) : max;
}

static uint64_t *page_of(uint64_t *words, unsigned i)
{
	return words + i * (BENCH_PAGE / sizeof(*words));
}

static void stamp_pages(uint64_t *words, const struct plan *plan, uint64_t page,
			unsigned pages)
{
	unsigned i;

	for (i = 0; i < pages; i++)
		stamp_page(page_of(words, i), plan->seed, page + i,
			   plan_noise(plan));
}

static void lane_prepare(struct worker *w, struct lane *lane)
{
	const struct plan *plan = w->work->plan;
	unsigned i;

	lane->page = pattern_next(&w->pattern);
	lane->pages = pages_from(plan, lane->page);
	for (i = 1; i < lane->pages; i++)
		pattern_next(&w->pattern);
	lane->write = worker_writes(w);
	if (lane->write)
		stamp_pages(lane->words, plan, lane->page, lane->pages);
	lane->start = clock_ticks(&w->work->clock);
}

static void verify_page(uint64_t seed, const uint64_t *words, uint64_t page)
{
	unsigned line = stamp_verify(words, seed, page);

	if (line < STAMP_LINES)
		work_mismatch(page, words, "stamp in the file",
			      stamp(seed, page, line),
			      words[line * STAMP_LINE_WORDS]);
}

/* A request is done: every page of it is an access. */
static void record(struct worker *w, uint64_t start, unsigned pages, bool write)
{
	struct engine *e = w->work->engine;
	uint64_t end = clock_ticks(&w->work->clock);
	unsigned i;

	for (i = 0; i < pages; i++)
		worker_record(w, start, end);
	atomic_fetch_add_explicit(write ? &e->writes : &e->reads, pages,
				  memory_order_relaxed);
}

/* => result as of pread(2), or -errno. */
static void lane_complete(struct worker *w, const struct lane *lane,
			  ssize_t result)
{
	unsigned i;

	if (result != (ssize_t)lane->pages * BENCH_PAGE)
		failed(lane->write ? "write" : "read", lane->page,
		       result < 0 ? (int)-result : 0);
	record(w, lane->start, lane->pages, lane->write);
	for (i = 0; !lane->write && i < lane->pages; i++)
		verify_page(w->work->plan->seed, page_of(lane->words, i),
			    lane->page + i);
}

static void drive_sync(struct worker *w)
{
	unsigned most = run_pages(w->work->plan);
	struct lane lane = {.words = new_buffer(most * BENCH_PAGE)};
	int fd = w->work->engine->fd;

	while (worker_go(w)) {
		size_t bytes;
		off_t at;
		ssize_t n;

		lane_prepare(w, &lane);
		bytes = (size_t)lane.pages * BENCH_PAGE;
		at = (off_t)(lane.page * BENCH_PAGE);
		n = lane.write ? pwrite(fd, lane.words, bytes, at)
			       : pread(fd, lane.words, bytes, at);
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
	unsigned bytes;

	lane_prepare(w, lane);
	bytes = lane->pages * BENCH_PAGE;
	if (lane->write)
		io_uring_prep_write(sqe, fd, lane->words, bytes,
				    lane->page * BENCH_PAGE);
	else
		io_uring_prep_read(sqe, fd, lane->words, bytes,
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
	unsigned most = run_pages(w->work->plan);
	uint64_t *buffer = new_buffer((size_t)depth * most * BENCH_PAGE);
	struct lane *lanes = calloc(depth, sizeof(*lanes));
	struct io_uring ring;
	int error = io_uring_queue_init(depth, &ring, 0);

	if (error || !lanes)
		tool_die(TOOL_FAILED, "io_uring: %s",
			 strerror(error ? -error : ENOMEM));
	for (i = 0; i < depth; i++) {
		lanes[i].words = page_of(buffer, i * most);
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
	uint64_t *buffer = new_buffer(RUN_PAGES * BENCH_PAGE);
	uint64_t page = first, start;
	unsigned n;

	for (; page < end && !work_stopping(); page += n) {
		n = end - page < RUN_PAGES ? (unsigned)(end - page) : RUN_PAGES;
		start = clock_ticks(&w->work->clock);
		stamp_pages(buffer, w->work->plan, page, n);
		write_all(w->work->engine->fd, buffer, (size_t)n * BENCH_PAGE,
			  page);
		record(w, start, n, true);
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
