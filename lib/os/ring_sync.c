/* SPDX-License-Identifier: MIT */
/*
 * os/ring_sync.c - the ring's twin without io_uring.
 *
 * Operations wait in the ring's list. Each turn of ring_run() takes the
 * first, does it with one system call, and looks at the watches; without an
 * operation it sleeps in poll(2) on the watches. One operation a turn, not
 * all: a fault event must not stand behind a queue of prefetch reads of
 * 70 us each, and one poll a turn costs 1 us.
 *
 * Watches are level-triggered, as the one-shot polls of os/ring_uring.c are.
 *
 * Errors are injected by os_pread() and os_pwrite() themselves.
 */
#include "os/ring_impl.h"

#include <errno.h>

#include "os/os.h"

struct ring_sync {
	struct ring ring;
};

static void sync_close(struct ring *r)
{
	os_unmap((haddr_t)r, sizeof(struct ring_sync));
}

static void sync_start(struct ring *r, struct ring_op *op)
{
	list_insert(&r->waiting, &op->link);
}

/* os_pread() and os_pwrite() move all bytes or fail. */
static int transfer(const struct ring_op *op)
{
	char *buf = op->buf + op->moved;
	uint32_t bytes = op->bytes - op->moved;
	uint64_t off = op->off + op->moved;
	int err;

	if (op->kind == RING_READ)
		err = os_pread(op->fd, buf, bytes, off);
	else
		err = os_pwrite(op->fd, buf, bytes, off);
	return err ? err : (int)bytes;
}

/* Does the first waiting operation. Returns how many are done: 0 or 1. */
static int run_one_op(struct ring *r)
{
	struct list *node = list_pop(&r->waiting);
	struct ring_op *op;
	int result;

	if (!node)
		return 0;
	op = list_entry(node, struct ring_op, link);
	ring_does(r, op);
	while (!ring_op_over(op, transfer(op), &result))
		;
	ring_does(r, NULL);
	ring_op_done(r, op, result);
	return 1;
}

/* Collects the watches that can be polled. Returns their number. */
static unsigned live_watches(struct ring *r, struct ring_watch **watches,
			     int *fds)
{
	unsigned i, n = 0;

	for (i = 0; i < r->watch_count; i++) {
		if (r->watches[i]->unwatchable)
			continue;
		watches[n] = r->watches[i];
		fds[n++] = r->watches[i]->fd;
	}
	return n;
}

/* Waits for the watches and calls back. Returns how many were ready. */
static int run_watches(struct ring *r, int64_t timeout_us)
{
	struct ring_watch *watches[RING_WATCHES];
	int fds[RING_WATCHES];
	uint64_t ready, invalid;
	unsigned i, n = live_watches(r, watches, fds);
	int err;

	if (n == 0 && timeout_us == 0)
		return 0;
	err = os_poll(fds, n, timeout_us, &ready, &invalid);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		if (invalid >> i & 1)
			watches[i]->unwatchable = true;
		if (ready >> i & 1)
			watches[i]->ready(watches[i]);
	}
	return __builtin_popcountll(ready);
}

static int sync_run(struct ring *r, int64_t timeout_us)
{
	int ops = run_one_op(r);
	int watches = run_watches(r, ops ? 0 : timeout_us);

	return watches < 0 && ops == 0 ? watches : ops + MAX(watches, 0);
}

static const struct ring_ops sync_ops = {
	.engine = VVM_IO_SYNC,
	.close = sync_close,
	.start = sync_start,
	.run = sync_run,
};

int ring_sync_open(struct ring **out, unsigned depth)
{
	struct ring_sync *rs;
	int err;

	(void)depth;
	err = os_map_anon(sizeof(*rs), (void **)&rs);
	if (err)
		return err;
	rs->ring.ops = &sync_ops;
	*out = &rs->ring;
	return 0;
}
