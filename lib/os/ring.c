/* SPDX-License-Identifier: MIT */
/*
 * os/ring.c - one loop for everything a handler thread waits for.
 *
 * A handler waits for fault events, for reads and for writes at the same
 * time. All three are *completions* of one ring: an operation (struct
 * ring_op) moves bytes between a buffer and a file and completes once; a
 * watch (struct ring_watch) completes each time its descriptor has become
 * readable. ring_run() sleeps until something completes and calls back.
 *
 * Two engines do the work behind one table (struct ring_ops): os/ring_uring.c
 * on io_uring, and os/ring_sync.c, its twin on pread, pwrite and poll for
 * systems where io_uring is forbidden or missing. This file has what they
 * share: the bookkeeping of operations, and which engine to take.
 *
 * The life of an operation:
 *
 *	ring_start -> waiting (in the ring's list, when the engine is full)
 *		   -> with the kernel -> ring_op_over -> done()
 *			  ^                  |
 *			  +--- short, EINTR -+
 *
 * Invariants:
 *  (1) An operation that was started is counted in `inflight` until just
 *	before its done() runs, so a callback that asks sees the others.
 *  (2) done() is called exactly once, from ring_run(), with 0 only when all
 *	bytes have moved. A transfer that stops short is continued; one that
 *	then moves nothing is at the end of the file: -EIO.
 *  (3) Interrupted and refused attempts (EINTR, EAGAIN) are repeated, but
 *	not for ever: AGAIN_MAX in a row without progress are reported.
 *  (4) No callback runs inside ring_start() or ring_watch(), and none may
 *	call ring_run(): callbacks never nest, so the stack is bounded
 *	whatever a callback starts.
 *  (5) After ring_open() nothing allocates: the lists are intrusive.
 *  (6) Who posts puts the operation on the list first and wakes the owner
 *	then; the owner looks at the list before it sleeps, and each time it
 *	has been woken.
 *
 * A thread pool in place of io_uring was rejected for the twin: it would
 * need a second wake-up for each transfer (59 us where the read itself takes
 * 70), locks, and a size to choose. Where io_uring is missing, other
 * handlers, each with a ring of its own, give the parallelism.
 */

#include "os/ring.h"

#include <errno.h>

#include "os/os.h"
#include "os/ring_impl.h"

/* A deeper queue gained nothing on any disk that we tried (MEASURED.md). */
#define RING_DEPTH_MAX 1024
/*
 * Attempts in a row without progress. The kernel gives EAGAIN for want of a
 * request structure; two or three are plausible, a hundred are not.
 */
#define AGAIN_MAX 100
/*
 * After a failure to wait. It may be for good (a program that has closed our
 * descriptor by a bare system call), and who called will call again.
 */
#define ERROR_US 1000

static bool want_sync_instead(int error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSYS ||
	       error == -ENOMEM;
}

static int open_engine(struct ring **out, unsigned depth, enum vvm_io engine)
{
	int err;

	if (engine == VVM_IO_SYNC)
		return ring_sync_open(out, depth);
	err = ring_uring_open(out, depth, false);
	if (engine == VVM_IO_AUTO && want_sync_instead(err))
		return ring_sync_open(out, depth);
	return err;
}

static void init(struct ring *r, unsigned depth)
{
	r->depth = depth;
	r->inflight = 0;
	r->watch_count = 0;
	list_init(&r->waiting);
	r->wake_fd = -1;
	atomic_init(&r->posted, NULL);
}

int ring_open(struct ring **out, unsigned depth, enum vvm_io engine)
{
	int err;

	depth = MIN(MAX(depth, 1), RING_DEPTH_MAX);
	err = open_engine(out, depth, engine);
	if (err == 0)
		init(*out, depth);
	return err;
}

int ring_open_shared(struct ring **out, unsigned depth)
{
	int err = ring_uring_open(out, depth, true);

	if (err == 0)
		init(*out, depth);
	return err;
}

void ring_close(struct ring *r)
{
	ASSERT(r->inflight == 0);
	r->ops->close(r);
}

void ring_abandon(struct ring *r)
{
	r->ops->close(r);
}

enum vvm_io ring_engine(const struct ring *r)
{
	return r->ops->engine;
}

void ring_start(struct ring *r, struct ring_op *op)
{
	ASSERT(op->bytes > 0 && op->bytes <= RING_OP_BYTES_MAX);
	op->moved = 0;
	op->again = 0;
	list_init(&op->link);
	r->inflight++;
	r->ops->start(r, op);
}

int ring_watch(struct ring *r, struct ring_watch *watch)
{
	if (r->watch_count == RING_WATCHES)
		return -ENOSPC;
	r->watches[r->watch_count++] = watch;
	watch->armed = watch->unwatchable = false;
	return 0;
}

void ring_wake_by(struct ring *r, int fd)
{
	r->wake_fd = fd;
}

bool ring_is_posted_to(const struct ring *r)
{
	return r->wake_fd >= 0;
}

void ring_expect(struct ring *r, struct ring_op *op)
{
	list_init(&op->link);
	r->inflight++;
}

void ring_post(struct ring *r, struct ring_op *op, int result)
{
	struct list *last = atomic_load(&r->posted);
	int fd = r->wake_fd;

	op->result = result;
	do {
		op->link.next = last;
	} while (!atomic_compare_exchange_weak(&r->posted, &last, &op->link));
	os_eventfd_signal(fd);
}

/* Calls back for what was posted, in that order. Returns how many. */
static int run_posted(struct ring *r)
{
	struct list *node, *next, *first = NULL;
	int n = 0;

	if (!atomic_load_explicit(&r->posted, memory_order_relaxed))
		return 0;
	for (node = atomic_exchange(&r->posted, NULL); node; node = next) {
		next = node->next;
		node->next = first;
		first = node;
	}
	for (node = first; node; node = next, n++) {
		struct ring_op *op = list_entry(node, struct ring_op, link);

		next = node->next;
		ring_op_done(r, op, op->result);
	}
	return n;
}

int ring_run(struct ring *r, int64_t timeout_us)
{
	int n, posted = run_posted(r);

	/* Nothing to wait for, for ever: a hang, and a bug of the caller. */
	ASSERT(posted || timeout_us >= 0 || r->inflight || r->watch_count);
	n = r->ops->run(r, posted ? 0 : timeout_us);
	posted += run_posted(r);
	if (n < 0 && !posted)
		os_sleep_us(ERROR_US);
	return posted ? posted + MAX(n, 0) : n;
}

unsigned ring_inflight(const struct ring *r)
{
	return r->inflight;
}

void ring_does(struct ring *r, const struct ring_op *op)
{
	uint64_t doing =
		op ? op->off >> PAGE_SHIFT << 2 | op->kind << 1 | 1 : 0;

	atomic_store_explicit(&r->doing, doing, memory_order_relaxed);
}

bool ring_doing(const struct ring *r, enum ring_kind *kind, uint64_t *off)
{
	uint64_t doing = atomic_load_explicit(&r->doing, memory_order_relaxed);

	*kind = (enum ring_kind)(doing >> 1 & 1);
	*off = doing >> 2 << PAGE_SHIFT;
	return doing;
}

bool ring_op_over(struct ring_op *op, int moved, int *result)
{
	if (moved == -EINTR || moved == -EAGAIN) {
		*result = moved;
		return ++op->again == AGAIN_MAX;
	}
	/* At a ragged end of file O_DIRECT refuses the unaligned rest. */
	if (moved == -EINVAL && op->moved)
		moved = 0;
	*result = moved < 0 ? moved : moved == 0 ? -EIO : 0;
	if (moved <= 0)
		return true;
	op->again = 0;
	op->moved += (uint32_t)moved;
	DEBUG_ASSERT(op->moved <= op->bytes);
	return op->moved == op->bytes;
}

void ring_op_done(struct ring *r, struct ring_op *op, int result)
{
	r->inflight--;
	op->done(op, result);
}

int64_t ring_deadline(int64_t timeout_us)
{
	return timeout_us > 0 ? (int64_t)os_now_us() + timeout_us : timeout_us;
}

int64_t ring_time_left(int64_t deadline_us)
{
	int64_t now;

	if (deadline_us <= 0)
		return deadline_us;
	now = (int64_t)os_now_us();
	return MAX(deadline_us - now, 0);
}
