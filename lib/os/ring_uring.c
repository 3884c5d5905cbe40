/* SPDX-License-Identifier: MIT */
/*
 * os/ring_uring.c - the ring on io_uring; the only file that knows liburing.
 *
 * Operations and watches are submission entries; the one system call of a
 * turn both submits what was started since the last turn and waits. Up to
 * `depth` operations are with the kernel; further ones wait in the ring's
 * list and follow as others complete.
 *
 * Set-up flags, best first, down to none for kernels that know no better
 * (5.19 is the oldest that can run libvvm at all):
 *
 *  DEFER_TASKRUN (6.1): completion work runs when we ask for completions, not
 *	by interrupting the thread in the middle of a page copy. It needs
 *	SINGLE_ISSUER, which binds the ring to one thread, and R_DISABLED,
 *	which puts that binding off until the first ring_run(): a ring is
 *	opened by one thread and used by another.
 *  COOP_TASKRUN (5.19): no interprocessor interrupt for completions. The best
 *	for a shared ring, whose user changes.
 *  TASKRUN_FLAG with both: a word in shared memory says whether there is
 *	completion work, so that polling an idle ring, ring_run(r, 0), is a
 *	few loads and no system call.
 *
 * Invariants:
 *  (1) An operation with the kernel has exactly one submission entry or
 *	request, an armed watch likewise, so the submission queue (depth +
 *	RING_WATCHES; of a shared ring, which has no watches, depth) never
 *	overflows.
 *  (2) `submitted` counts the operations of (1), and is `depth` whenever an
 *	operation is waiting.
 *  (3) user_data is a struct ring_op *, or a struct ring_watch * with
 *	bit 0 set.
 *  (4) A completion is taken off the queue before its callback runs.
 *
 * Watches are one-shot polls, armed only by a turn that is going to wait. A
 * handler that polls its userfaultfd by reading it leaves no poll behind, so a
 * faulting thread finds nobody to wake.
 *
 * Rejected: multishot polls, armed for good (every fault event then ran
 * io_uring's wake-up in the faulting thread and its completion in ours: faults
 * without I/O 5-8 % slower); reading the userfaultfd through the ring (io_uring
 * would hold the descriptor's reads in worker threads); registered files and
 * buffers, SQPOLL and IOPOLL (nothing that could be measured, MEASURED.md).
 */

#include "os/ring_impl.h"

#include <errno.h>

#ifdef HAVE_LIBURING

#include <liburing.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

#define WATCH_TAG ((uintptr_t)1)
/* How long to wait when the kernel has no memory for requests. */
#define AGAIN_US 1000
/*
 * EXT_ARG (5.11): the wait takes its timeout as an argument. RSRC_TAGS (5.13)
 * stands for what older kernels lack without a flag of its own.
 */
#define FEATURES (IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS)

static const unsigned setup_flags[] = {
	IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
		IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

struct ring_uring {
	struct ring ring;
	struct io_uring uring; /* (o) */
	bool disabled;	       /* (o) the owner has not run it yet */
	unsigned submitted;    /* (o) operations with an entry or request */
};

static struct ring_uring *to_uring(struct ring *r)
{
	return container_of(r, struct ring_uring, ring);
}

static struct io_uring_sqe *get_sqe(struct ring_uring *ru)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ru->uring);

	ASSERT(sqe); /* (1) */
	return sqe;
}

/* Makes an entry for what is left of op. */
static void queue_op(struct ring_uring *ru, struct ring_op *op)
{
	struct io_uring_sqe *sqe = get_sqe(ru);
	char *buf = op->buf + op->moved;
	uint32_t bytes = op->bytes - op->moved;
	uint64_t off = op->off + op->moved;

	if (op->kind == RING_READ)
		io_uring_prep_read(sqe, op->fd, buf, bytes, off);
	else
		io_uring_prep_write(sqe, op->fd, buf, bytes, off);
	io_uring_sqe_set_data(sqe, op);
}

static void queue_watch(struct ring_uring *ru, struct ring_watch *watch)
{
	struct io_uring_sqe *sqe = get_sqe(ru);

	io_uring_prep_poll_add(sqe, watch->fd, POLLIN);
	io_uring_sqe_set_data(sqe, (void *)((uintptr_t)watch | WATCH_TAG));
	watch->armed = true;
}

/* Before a wait: every watch that is not with the kernel goes there. */
static void arm_watches(struct ring_uring *ru)
{
	unsigned i;

	for (i = 0; i < ru->ring.watch_count; i++) {
		struct ring_watch *watch = ru->ring.watches[i];

		if (!watch->armed && !watch->unwatchable)
			queue_watch(ru, watch);
	}
}

static void uring_start(struct ring *r, struct ring_op *op)
{
	struct ring_uring *ru = to_uring(r);

	if (ru->submitted == r->depth) {
		list_insert(&r->waiting, &op->link);
		return;
	}
	ru->submitted++;
	queue_op(ru, op);
}

/* The kernel is done with one operation: the next may go. */
static void start_waiting(struct ring_uring *ru)
{
	struct list *node = list_pop(&ru->ring.waiting);

	ru->submitted--;
	if (node)
		uring_start(&ru->ring, list_entry(node, struct ring_op, link));
}

/* The result of the request, or the error that a test wants instead. */
static int injected(const struct ring_op *op, int res)
{
	enum os_point point = op->kind == RING_READ ? OS_pread : OS_pwrite;
	int err = os_inject_check(point);

	return err ? err : res;
}

/* Returns the number of callbacks run. */
static int complete_op(struct ring_uring *ru, struct ring_op *op, int res)
{
	int result;

	if (!ring_op_over(op, injected(op, res), &result)) {
		queue_op(ru, op);
		return 0;
	}
	start_waiting(ru);
	ring_op_done(&ru->ring, op, result);
	return 1;
}

static bool poll_interrupted(int res)
{
	return res == -EINTR || res == -EAGAIN || res == -ECANCELED;
}

static int complete_watch(struct ring_watch *watch, int res)
{
	watch->armed = false;
	if (poll_interrupted(res))
		return 0;
	/* Not pollable: it would fail again, at once, for ever. */
	watch->unwatchable = res < 0;
	watch->ready(watch);
	return 1;
}

static int complete(struct ring_uring *ru, const struct io_uring_cqe *cqe)
{
	uintptr_t data = (uintptr_t)cqe->user_data;

	if (data & WATCH_TAG)
		return complete_watch((void *)(data & ~WATCH_TAG), cqe->res);
	return complete_op(ru, (void *)data, cqe->res);
}

/*
 * Runs the callbacks of what has completed. Completions that arrive while
 * they run are left for the next turn, or a busy watch could hold us here.
 */
static int reap(struct ring_uring *ru)
{
	struct io_uring_cqe *cqe, copy;
	int count = 0;
	unsigned n;

	/* Also enters the kernel if completion work is waiting there. */
	if (io_uring_peek_cqe(&ru->uring, &cqe))
		return 0;
	for (n = io_uring_cq_ready(&ru->uring); n > 0; n--) {
		io_uring_peek_cqe(&ru->uring, &cqe);
		copy = (struct io_uring_cqe){.user_data = cqe->user_data,
					     .res = cqe->res};
		io_uring_cqe_seen(&ru->uring, cqe); /* (4) */
		count += complete(ru, &copy);
	}
	return count;
}

/* Submits and waits. 0 or more, or -errno; -ETIME: nothing came. */
static int submit_and_wait(struct ring_uring *ru, int64_t timeout_us)
{
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {
		.tv_sec = timeout_us / 1000000,
		.tv_nsec = timeout_us % 1000000 * 1000,
	};
	int err;

	if (timeout_us == 0 && !io_uring_sq_ready(&ru->uring))
		return 0;
	err = os_inject_check(OS_ring_enter);
	if (err)
		return err;
	if (timeout_us == 0)
		return io_uring_submit(&ru->uring);
	return io_uring_submit_and_wait_timeout(
		&ru->uring, &cqe, 1, timeout_us < 0 ? NULL : &ts, NULL);
}

/* Errors that end no turn: look at the clock and try again. */
static int wait_again(int err)
{
	if (err >= 0 || err == -ETIME || err == -EINTR || err == -EBUSY)
		return 0;
	if (err != -EAGAIN)
		return err;
	os_sleep_us(AGAIN_US);
	return 0;
}

/*
 * Binds the ring to the calling thread. By the bare system call: liburing
 * 2.3 declares io_uring_enable_rings() but its shared object lacks it.
 */
static int enable(struct ring_uring *ru)
{
	int err;

	if (!ru->disabled)
		return 0;
	err = os_inject_check(OS_ring_enable);
	if (err)
		return err;
	if (syscall(SYS_io_uring_register, ru->uring.ring_fd,
		    IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	ru->disabled = false;
	return 0;
}

static int uring_run(struct ring *r, int64_t timeout_us)
{
	struct ring_uring *ru = to_uring(r);
	int64_t deadline = ring_deadline(timeout_us);
	int count, err = enable(ru);

	while (!err) {
		if (timeout_us != 0)
			arm_watches(ru);
		err = submit_and_wait(ru, timeout_us);
		count = reap(ru);
		if (count > 0 || timeout_us == 0)
			return count > 0 ? count : MIN(wait_again(err), 0);
		err = wait_again(err);
		timeout_us = ring_time_left(deadline);
	}
	return err;
}

/*
 * liburing maps and unmaps by system calls that ThreadSanitizer does not see: two
 * rings at one address, of two threads, are one to it, and race.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
static char ring_memory; /* stands for what all rings have mapped */
#define take_memory() __tsan_acquire(&ring_memory)
#define give_memory() __tsan_release(&ring_memory)
#else
#define take_memory() ((void)0)
#define give_memory() ((void)0)
#endif

static void queue_exit(struct ring_uring *ru)
{
	give_memory();
	io_uring_queue_exit(&ru->uring);
}

/*
 * Watches may be armed: closing the ring cancels them, some time later and
 * in the kernel; no callback and no memory of ours is involved.
 */
static void uring_close(struct ring *r)
{
	struct ring_uring *ru = to_uring(r);

	queue_exit(ru);
	os_unmap((haddr_t)ru, sizeof(*ru));
}

static const struct ring_ops uring_ops = {
	.engine = VVM_IO_URING,
	.close = uring_close,
	.start = uring_start,
	.run = uring_run,
};

/*
 * As io_uring_queue_init_params(), with a call that lib/door's filter lets pass:
 * to the program it looks as if there was no io_uring.
 */
static int set_up_one(struct ring_uring *ru, unsigned entries,
		      struct io_uring_params *params)
{
	const uint64_t a[6] = {entries, (uintptr_t)params};
	unsigned i;
	long fd;
	int err;

	if (!os_door_is_open())
		return io_uring_queue_init_params(entries, &ru->uring, params);
	fd = os_call_unfiltered(SYS_io_uring_setup, a);
	if (fd < 0)
		return (int)fd;
	err = io_uring_queue_mmap((int)fd, params, &ru->uring);
	if (err) {
		os_close((int)fd);
		return err;
	}
	/* which liburing 2.3 leaves to its other function */
	for (i = 0; i < params->sq_entries; i++)
		ru->uring.sq.array[i] = i;
	ru->uring.features = params->features;
	return 0;
}

/* Tries the flags from best to none. */
static int setup(struct ring_uring *ru, unsigned entries, bool shared)
{
	struct io_uring_params params;
	unsigned i;
	int err = os_inject_check(OS_ring_setup);

	if (err)
		return err;
	for (i = shared; i < ARRAY_SIZE(setup_flags); i++) {
		params = (struct io_uring_params){.flags = setup_flags[i]};
		err = set_up_one(ru, entries, &params);
		if (err != -EINVAL)
			break;
	}
	if (err)
		return err;
	take_memory();
	ru->disabled = params.flags & IORING_SETUP_R_DISABLED;
	if ((params.features & FEATURES) == FEATURES)
		return 0;
	queue_exit(ru);
	return -ENOSYS;
}

int ring_uring_open(struct ring **out, unsigned depth, bool shared)
{
	struct ring_uring *ru;
	int err;

	err = os_map_anon(sizeof(*ru), (void **)&ru);
	if (err)
		return err;
	err = setup(ru, depth + (shared ? 0 : RING_WATCHES), shared);
	if (err) {
		os_unmap((haddr_t)ru, sizeof(*ru));
		return err;
	}
	ru->ring.ops = &uring_ops;
	*out = &ru->ring;
	return 0;
}

#else /* without liburing */

int ring_uring_open(struct ring **out, unsigned depth, bool shared)
{
	(void)out;
	(void)depth;
	(void)shared;
	return -ENOSYS;
}

#endif
