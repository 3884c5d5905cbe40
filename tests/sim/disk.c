/* SPDX-License-Identifier: MIT */
/*
 * sim/disk.c - the swap file and its disk: a ring engine in the place of
 * lib/os/ring_uring.c, and the calls that the other engine makes.
 *
 * The file is a real memfd, shared with fork children as theirs would be. A
 * transfer is due some time after it was started, in any order, and moves its
 * bytes at the beginning or at the end of that time: nobody may count on
 * either. It may be short, or fail, and what was read may be damaged; that
 * it never comes is not in here (the engine waits for it, however long).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/os.h"
#include "os/ring_impl.h"
#include "sim/files.h"
#include "sim/sched.h"

#define STALL_US 500000
#define OPS	 1100 /* the deepest ring, and room for watches */

struct started {
	struct ring_op *op;
	unsigned request;
	int moved; /* by now, of an early one; else INT32_MIN */
};

struct sim_ring {
	struct ring ring;
	unsigned id, count;
	struct started started[OPS];
};

static struct sim_ring *to_sim(struct ring *r)
{
	return container_of(r, struct sim_ring, ring);
}

/* ---- transfers ---- */

static uint64_t latency_ns(void)
{
	uint64_t us = sim_around(K->params.disk_us);

	if (sim_chance(200)) /* it stalls */
		us = MIN(us * 200, (uint64_t)STALL_US);
	return us * 1000;
}

/* How many bytes of an attempt move, or an -errno. */
static int attempt(const struct ring_op *op)
{
	static const int errors[] = {-EIO, -EAGAIN, -EINTR, -EIO};
	uint32_t bytes = op->bytes - op->moved;

	if (K->fail && sim_chance(K->params.disk_errors)) {
		K->failures++;
		return errors[sim_below(4)];
	}
	if (sim_chance(16) && bytes > 512)
		bytes = (uint32_t)(sim_below(bytes / 512) + 1) * 512;
	return (int)bytes;
}

static int move(const struct ring_op *op)
{
	int bytes = attempt(op);
	char *buf = op->buf + op->moved;
	off_t off = (off_t)(op->off + op->moved);
	ssize_t n;

	if (bytes < 0)
		return bytes;
	if (op->kind == RING_READ)
		n = pread(op->fd, buf, (size_t)bytes, off);
	else
		n = pwrite(op->fd, buf, (size_t)bytes, off);
	if (n < 0)
		return -errno;
	/* nothing but swap has checksums */
	if (n > 0 && op->kind == RING_READ &&
	    sim_file(op->fd)->kind == SIM_SWAP && K->fail &&
	    sim_chance(K->params.disk_errors))
		buf[sim_below((uint64_t)n)] ^= 1;
	return (int)n;
}

/* ---- the engine ---- */

static unsigned new_request(const struct sim_ring *sr)
{
	unsigned i;

	for (i = 0; i < SIM_REQUESTS; i++)
		if (!K->request[i].used)
			break;
	if (i == SIM_REQUESTS)
		sim_fail("the simulated disk has no room for a request");
	K->request_end = MAX(K->request_end, i + 1);
	K->request[i].used = true;
	K->request[i].proc = sim_proc;
	K->request[i].ring = sr->id;
	K->request[i].due_ns = K->now_ns + latency_ns();
	return i;
}

static void submit(struct sim_ring *sr, struct ring_op *op)
{
	struct started *s = &sr->started[sr->count++];

	sim_trace(SIM_EV_DISK, op->kind, op->off);
	s->op = op;
	s->moved = sim_chance(2) ? move(op) : INT32_MIN;
	s->request = new_request(sr);
}

static void sim_start(struct ring *r, struct ring_op *op)
{
	struct sim_ring *sr = to_sim(r);

	if (sr->count >= r->depth)
		list_insert(&r->waiting, &op->link);
	else
		submit(sr, op);
}

/* One that is due, any of them; -1: none. */
static int due(const struct sim_ring *sr)
{
	unsigned i, first, n = sr->count;

	if (!n)
		return -1;
	first = (unsigned)sim_below(n);
	for (i = 0; i < n; i++) {
		const struct started *s = &sr->started[(first + i) % n];

		if (K->request[s->request].due_ns <= K->now_ns)
			return (int)((first + i) % n);
	}
	return -1;
}

static int complete(struct sim_ring *sr, unsigned i)
{
	struct started s = sr->started[i];
	struct list *node;
	int result;

	K->request[s.request].used = false;
	sr->started[i] = sr->started[--sr->count];
	if (s.moved == INT32_MIN)
		s.moved = move(s.op);
	sim_trace(SIM_EV_DISK, 10 + (uint64_t)s.op->kind, s.op->off);
	if (!ring_op_over(s.op, s.moved, &result)) {
		submit(sr, s.op);
		return 0;
	}
	node = list_pop(&sr->ring.waiting);
	if (node)
		submit(sr, list_entry(node, struct ring_op, link));
	ring_op_done(&sr->ring, s.op, result);
	return 1;
}

static int run_watches(struct sim_ring *sr)
{
	unsigned i, n = 0;

	for (i = 0; i < sr->ring.watch_count; i++) {
		struct ring_watch *w = sr->ring.watches[i];

		if (!sim_readable(sim_proc, w->fd))
			continue;
		w->ready(w);
		n++;
	}
	return (int)n;
}

static int reap(struct sim_ring *sr)
{
	int i, n = 0;

	while ((i = due(sr)) >= 0)
		n += complete(sr, (unsigned)i);
	return n;
}

static void poll_watches(const struct sim_ring *sr)
{
	unsigned i;

	for (i = 0; i < sr->ring.watch_count; i++)
		sim_self->polls[i] = sr->ring.watches[i]->fd;
	sim_self->poll_count = i;
	sim_self->ring = sr->id;
}

static int sim_run(struct ring *r, int64_t timeout_us)
{
	struct sim_ring *sr = to_sim(r);
	uint64_t deadline_ns = 0;
	int n;

	sim_point(SIM_AT_CALL);
	if (timeout_us > 0)
		deadline_ns = K->now_ns + (uint64_t)timeout_us * 1000;
	for (;;) {
		n = timeout_us ? run_watches(sr) : 0;
		n += reap(sr);
		if (n || !timeout_us)
			return n;
		poll_watches(sr);
		if (sim_wait(SIM_POLL, 0, deadline_ns) == -ETIMEDOUT)
			return 0;
	}
}

static void sim_close(struct ring *r)
{
	struct sim_ring *sr = to_sim(r);
	unsigned i;

	/* in a fork child they are the parent's */
	for (i = 0; i < sr->count; i++)
		if (K->request[sr->started[i].request].proc == sim_proc)
			sim_fail("a ring is closed under a transfer");
	munmap(sr, sizeof(*sr));
}

static const struct ring_ops sim_ops = {
	.engine = VVM_IO_URING,
	.close = sim_close,
	.start = sim_start,
	.run = sim_run,
};

int __wrap_ring_uring_open(struct ring **out, unsigned depth, bool shared)
{
	struct sim_ring *sr;
	int error = sim_call(OS_ring_setup);

	(void)depth;
	(void)shared;
	if (error)
		return error;
	sr = mmap(NULL, sizeof(*sr), PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sr->id = ++K->rings;
	sr->ring.ops = &sim_ops;
	*out = &sr->ring;
	return 0;
}

/* ---- the file ---- */

int __wrap_os_open(const char *path, unsigned flags, int *fd)
{
	int error = sim_call(OS_open);

	(void)path;
	(void)flags;
	if (error)
		return error;
	*fd = memfd_create("swap", MFD_CLOEXEC);
	sim_file_new(*fd, SIM_SWAP);
	return 0;
}

int __wrap_os_file_info(const char *path, enum os_file_type *type,
			uint64_t *bytes)
{
	(void)path;
	sim_point(SIM_AT_CALL);
	*type = OS_FILE_DIR;
	*bytes = 0;
	return 0;
}

int __wrap_os_free_space(int fd, uint64_t *bytes)
{
	(void)fd;
	sim_point(SIM_AT_CALL);
	*bytes = (uint64_t)1 << 30;
	return 0;
}

int __wrap_os_set_direct(int fd, bool on)
{
	(void)fd;
	(void)on;
	return sim_call(OS_open);
}

/* Room is claimed, not taken. */
int __wrap_os_fallocate(int fd, uint64_t off, uint64_t bytes)
{
	int error = sim_call(OS_fallocate);

	if (!error && lseek(fd, 0, SEEK_END) < (off_t)(off + bytes) &&
	    ftruncate(fd, (off_t)(off + bytes)) < 0)
		error = -errno;
	return error;
}

/* The thread waits for the disk itself. */
static int transfer_now(enum ring_kind kind, int fd, void *buf, uint64_t bytes,
			uint64_t off)
{
	struct ring_op op = {.kind = kind,
			     .fd = fd,
			     .bytes = (uint32_t)bytes,
			     .off = off,
			     .buf = buf};
	int moved;

	while (op.moved < op.bytes) {
		sim_wait(SIM_SLEEP, 0, K->now_ns + latency_ns());
		moved = move(&op);
		if (moved == -EINTR)
			continue;
		if (moved < 0)
			return moved;
		if (moved == 0)
			return -EIO;
		op.moved += (uint32_t)moved;
	}
	return 0;
}

extern int __real_os_pread(int fd, void *buf, uint64_t bytes, uint64_t off);
int __wrap_os_pread(int fd, void *buf, uint64_t bytes, uint64_t off)
{
	sim_point(SIM_AT_CALL);
	if (!sim_self || sim_file(fd)->kind != SIM_SWAP)
		return __real_os_pread(fd, buf, bytes, off);
	return transfer_now(RING_READ, fd, buf, bytes, off);
}

extern int __real_os_pwrite(int fd, const void *buf, uint64_t bytes,
			    uint64_t off);
int __wrap_os_pwrite(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	sim_point(SIM_AT_CALL);
	if (!sim_self || sim_file(fd)->kind != SIM_SWAP)
		return __real_os_pwrite(fd, buf, bytes, off);
	return transfer_now(RING_WRITE, fd, (void *)(uintptr_t)buf, bytes, off);
}
