/* SPDX-License-Identifier: MIT */
/*
 * swap/source.c - a file as the backing of a region.
 *
 * Page n of it is at byte offset + n * 4096 of the file. There are no checksums
 * and nothing is allocated: the file is somebody else's, and may change, grow
 * and shrink at any time. What a page is, is decided when it is read:
 *
 *	within the file		its bytes
 *	the end is in it	its bytes, then zeros
 *	wholly past the end	bad
 *
 * A read ends at the end of the file, which is not asked for before: over a
 * network that may be a question that takes long. Whether the end has cut a read
 * short, or an error, is found out by reading once more, by a plain system call,
 * and then, after an error, page by page: one bad sector costs one page. As in
 * swap/io.c that happens on the spot.
 *
 * The page cache. What is read is kept in frames, within the budget; a second
 * copy in the cache would be memory that nobody counts. So the file is opened
 * anew by way of /proc/self/fd, which gives a descriptor with flags of its own,
 * with O_DIRECT. Where the file system refuses that, reads go through the cache,
 * without the kernel's own readahead, and what was read is dropped from it
 * behind them. The file cannot be opened anew without /proc, or if the process
 * may not: then the descriptor is a duplicate, flags and all.
 *
 * Rejected: O_DIRECT on a duplicate (it would be the caller's, too); mapping the
 * file and copying (a truncated file is SIGBUS in our threads, and all goes
 * through the cache).
 */
#include "swap/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"

struct source {
	struct backing backing;
	int fd;		       /* (i) */
	bool own;	       /* (i) its flags are not the caller's, too */
	_Atomic bool direct;   /* (a) */
	uint64_t offset;       /* (i) byte of page 0 */
	struct flight *flight; /* (i) */
	atomic_flag read_logged;
};

static struct source *to_source(const struct backing *b)
{
	return container_of(b, struct source, backing);
}

/* ---- what a read has brought ---- */

/* `got` bytes have come for io's pages [first, first + n). */
static void settle(struct io *io, unsigned first, unsigned n, uint64_t got)
{
	unsigned i;

	for (i = first; i < first + n; i++) {
		uint64_t bytes = MIN(got, PAGE_BYTES);

		got -= bytes;
		if (!bytes) {
			bit_set(io->bad, i);
			continue;
		}
		bit_clear(io->bad, i);
		memset(io->buf + pages_to_bytes(i) + bytes, 0,
		       PAGE_BYTES - bytes);
	}
}

/*
 * Some file systems accept the flag and then refuse the transfers. Several
 * threads may find that out at once.
 */
static bool give_up_direct(struct source *s)
{
	if (os_set_direct(s->fd, false) < 0)
		return false;
	os_no_readahead(s->fd);
	atomic_store(&s->direct, false);
	return true;
}

/* Pages [first, first + n) of io by a system call. */
static int read_some(struct source *s, struct io *io, unsigned first,
		     unsigned n)
{
	char *buf = io->buf + pages_to_bytes(first);
	uint64_t off = io->op.off + pages_to_bytes(first), got = 0;
	bool direct;
	int err;

	do {
		direct = atomic_load(&s->direct);
		err = os_pread_some(s->fd, buf, pages_to_bytes(n), off, &got);
	} while (err == -EINVAL && direct && give_up_direct(s));
	if (err == 0)
		settle(io, first, n, got);
	return err;
}

/* All of them; after an error each by itself. */
static void read_now(struct source *s, struct io *io, unsigned n)
{
	int err = read_some(s, io, 0, n), last = 0;
	unsigned i;

	for (i = 0; err < 0 && i < n; i++) {
		int failed = read_some(s, io, i, 1);

		if (failed) {
			bit_set(io->bad, i);
			last = failed;
		}
	}
	if (last)
		log_warn_once(&s->read_logged,
			      "a file cannot be read at byte %llu (error %d)",
			      (unsigned long long)io->op.off, -last);
}

/* ---- transfers ---- */

static void end(struct source *s, struct io *io)
{
	if (!atomic_load_explicit(&s->direct, memory_order_relaxed))
		os_uncache(s->fd, io->op.off, io->op.bytes);
	flight_end(s->flight);
	io->done(io, 0);
}

static void op_done(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);
	struct source *s = to_source(io->backing);

	if (result < 0)
		read_now(s, io, (unsigned)(op->bytes >> PAGE_SHIFT));
	end(s, io);
}

static void source_read(struct backing *b, struct ring *ring, struct io *io)
{
	struct source *s = to_source(b);

	ASSERT(io->pages >= 1 && io->pages <= IO_MAX_PAGES);
	io->backing = b;
	io->ring = ring;
	io->op.done = op_done;
	io->op.kind = RING_READ;
	io->op.fd = s->fd;
	io->op.off = s->offset + pages_to_bytes(io->slot);
	io->op.buf = io->buf;
	memset(io->bad, 0, sizeof(io->bad));
	memset(io->memory, 0, sizeof(io->memory));
	io->op.bytes = (uint32_t)pages_to_bytes(io->pages);
	flight_begin(s->flight);
	if (ring) {
		ring_start(ring, &io->op);
		return;
	}
	read_now(s, io, io->pages);
	end(s, io);
}

/* Nothing of it is in memory but in frames. */
static bool source_fetch(struct backing *b, struct io *io)
{
	(void)b;
	(void)io;
	return false;
}

/* ---- open and close ---- */

static void source_close(struct backing *b)
{
	struct source *s = to_source(b);
	int state = os_cancel_off(); /* close(2) is a cancellation point */

	os_close(s->fd);
	os_cancel_restore(state);
	free(s);
}

static const struct backing_ops source_ops = {
	.name = "file",
	.read = source_read,
	.fetch = source_fetch,
	.close = source_close,
};

/* At the start of what is mapped; at the end of the file that says nothing. */
static void probe_direct(struct source *s)
{
	uint64_t got;
	void *page;

	if (os_map_anon(PAGE_BYTES, &page) < 0)
		return;
	atomic_store(&s->direct, os_set_direct(s->fd, true) == 0);
	if (atomic_load(&s->direct) &&
	    os_pread_some(s->fd, page, PAGE_BYTES, s->offset, &got) < 0)
		give_up_direct(s);
	os_unmap((haddr_t)(uintptr_t)page, PAGE_BYTES);
}

int source_open(struct backing **out, int fd, uint64_t offset,
		struct flight *flight)
{
	struct source *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	err = os_reopen(fd, &s->fd, &s->own);
	if (err == 0)
		err = os_hold(s->fd, &s->backing.held);
	if (err < 0) {
		os_close(s->fd);
		free(s);
		return err;
	}
	s->backing.ops = &source_ops;
	s->offset = offset;
	s->flight = flight;
	if (s->own)
		probe_direct(s);
	if (s->own && !atomic_load(&s->direct))
		os_no_readahead(s->fd);
	*out = &s->backing;
	return 0;
}

void source_name(const struct backing *b, char *name, size_t size)
{
	os_file_name(to_source(b)->fd, name, size);
}
