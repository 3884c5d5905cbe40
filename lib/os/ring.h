/* SPDX-License-Identifier: MIT */
/*
 * os/ring.h - completions: reads, writes and "descriptor is readable", from
 * io_uring, or from its twin on pread, pwrite and poll where io_uring is not
 * permitted. The same interface, the same results.
 *
 * A ring belongs to one thread, the one that first calls ring_run(); nothing
 * here locks. Another thread may open it, start operations before that first
 * ring_run(), and close it after the owner's last. Callbacks run inside
 * ring_run(). They may start further operations, but must not call ring_run().
 * No malloc after ring_open(). Operations and watches are the caller's memory,
 * which the caller leaves alone until the callback.
 *
 * What some other thread does, and not the kernel, completes here, too: the owner
 * expects it, the other one posts it.
 */
#ifndef VVM_RING_H
#define VVM_RING_H

#include "list.h"
#include "vvm.h"

struct ring;

enum ring_kind { RING_READ, RING_WRITE };

/* Largest operation; io_uring's results are an int. */
#define RING_OP_BYTES_MAX ((uint32_t)1 << 30)

struct ring_op {
	/* result: 0 when all bytes moved, else -errno (-EIO: end of file). */
	void (*done)(struct ring_op *op, int result);
	enum ring_kind kind;
	int fd;
	uint32_t bytes;
	uint64_t off;
	char *buf;
	/* private: */
	uint32_t moved; /* short transfers are continued */
	uint32_t again; /* attempts without progress (EINTR, EAGAIN) */
	int result;	/* that was posted */
	struct list link;
};

struct ring_watch {
	/*
	 * fd is readable; called again in each ring_run() that finds it so. A
	 * descriptor that cannot be watched: called once, then never again.
	 */
	void (*ready)(struct ring_watch *watch);
	int fd;
	/* private: */
	bool armed; /* a poll is with the kernel */
	bool unwatchable;
};

/*
 * depth: operations in flight before further ones queue in the ring's own
 * list. VVM_IO_AUTO falls back to VVM_IO_SYNC on EPERM, ENOSYS, EACCES,
 * ENOMEM (memlock). Errors: -ENOMEM, -EMFILE, and with VVM_IO_URING what
 * io_uring says.
 */
int ring_open(struct ring **out, unsigned depth, enum vvm_io engine);
/* => no operation in flight; watches may be. */
void ring_close(struct ring *r);
/*
 * A ring on io_uring that any thread may use, one after the other, each until
 * nothing is in flight; without watches. Errors: those of VVM_IO_URING.
 */
int ring_open_shared(struct ring **out, unsigned depth);
/*
 * ring_close() in a fork child, where what is in flight is the parent's, or of
 * a thread that has died. The buffers are never used again.
 */
void ring_abandon(struct ring *r);
enum vvm_io ring_engine(const struct ring *r);
/* Starts op (submitted at the latest by the next ring_run()). Cannot fail. */
void ring_start(struct ring *r, struct ring_op *op);
/*
 * Starts watching, until ring_close(), in those ring_run()s that may wait: a
 * call that only looks (timeout 0) may not be told. -ENOSPC: RING_WATCHES are
 * being watched.
 */
#define RING_WATCHES 40 /* a port for each handler, and a few more */
int ring_watch(struct ring *r, struct ring_watch *watch);
/*
 * The owner watches fd, an eventfd: who posts something wakes it by that. Before
 * the first ring_run().
 */
void ring_wake_by(struct ring *r, int fd);
/* May operations of r be posted? */
bool ring_is_posted_to(const struct ring *r);
/* By the owner: op is in flight, until somebody posts it. */
void ring_expect(struct ring *r, struct ring_op *op);
/*
 * By any thread: op, which r expects, is over. ring_run() calls done(). => r is
 * there until this returns, which may be after done().
 */
void ring_post(struct ring *r, struct ring_op *op, int result);
/*
 * Submits what is queued, waits until something completes or timeout_us
 * passed (0: only look, < 0: no limit) and runs the callbacks of all that has
 * completed (the sync engine: of one operation and the watches, so that
 * events do not stand behind a queue of reads). Returns their number
 * (0: timeout), or -errno, and that not at once: all callers come again.
 */
int ring_run(struct ring *r, int64_t timeout_us);
/* Operations started and not yet done (watches do not count). */
unsigned ring_inflight(const struct ring *r);
/*
 * What the owner does by a system call that returns when it is done (the sync
 * engine). For any thread. False: nothing.
 */
bool ring_doing(const struct ring *r, enum ring_kind *kind, uint64_t *off);

#endif
