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
 * Writes. A file that is shared is the home of its pages: they are written to
 * where they were read from. A write never makes the file longer: it ends where
 * the file does when it begins, so what is behind the end in the last page goes
 * nowhere, and a page wholly past the end is dropped, which counts as written, as
 * with mmap(2). (A file that others cut short between that look and the write is
 * as long again as what was written: the kernel has no write that does not do
 * that, but through a mapping, and fstat(2) does not wait for a truncation, as
 * the write then does. So under load it is not rare.) The size is asked for when
 * the pages have been copied: what the program wrote before that to what is then
 * in the file is written.
 *
 * Direct writes are of whole blocks. The last page of a file that ends within it
 * goes through the page cache, by a second descriptor. A write that fails is made
 * again page by page, on the spot, whoever waits for this thread.
 *
 * The kernel tells of an error of the page cache, or of a disk's, once for a
 * description, to the next sync(2) of it. Ours is one for all threads: so they
 * sync one after the other, and each knows by `sync_errors` whether another was
 * told.
 *
 * Rejected: O_DIRECT on a duplicate (it would be the caller's, too); mapping the
 * file and copying (a truncated file is SIGBUS in our threads, all goes through the
 * cache, and a page that is overwritten is read first).
 */
#include "swap/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/lock.h"
#include "util/log.h"

struct source {
	struct backing backing;
	int fd;		       /* (i) */
	int cached;	       /* (i) another, without O_DIRECT; -1: none */
	bool own;	       /* (i) its flags are not the caller's, too */
	_Atomic bool direct;   /* (a) */
	uint64_t offset;       /* (i) byte of page 0 */
	struct flight *flight; /* (i) */
	atomic_flag read_logged;
	_Atomic bool syncing; /* (a) a thread is in fdatasync(2) */
	struct waitq synced;
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

/* ---- writes ---- */

/* Through the page cache, whatever the descriptor's flags are. */
static int write_cached(struct source *s, const char *buf, uint64_t bytes,
			uint64_t off)
{
	int err;

	if (s->cached < 0)
		return os_pwrite_own(s->fd, buf, bytes, off, !s->own);
	err = os_pwrite_own(s->cached, buf, bytes, off, false);
	os_uncache(s->cached, off, bytes);
	return err;
}

/* How much of io's pages [first, first + n) is in the file now. */
static int bytes_there(const struct source *s, const struct io *io,
		       unsigned first, unsigned n, uint64_t *bytes)
{
	uint64_t off = io->op.off + pages_to_bytes(first);
	struct os_file file;
	int err = os_fd_info(s->fd, &file);

	if (err == 0)
		*bytes = file.bytes > off
				 ? MIN(file.bytes - off, pages_to_bytes(n))
				 : 0;
	return err;
}

/* Those pages by system calls. */
static int write_some(struct source *s, struct io *io, unsigned first,
		      unsigned n)
{
	const char *buf = io->buf + pages_to_bytes(first);
	uint64_t off = io->op.off + pages_to_bytes(first), bytes = 0, whole;
	int err = bytes_there(s, io, first, n, &bytes);
	bool direct;

	if (err < 0)
		return err;
	whole = page_floor(bytes);
	while (whole) {
		direct = atomic_load(&s->direct);
		err = os_pwrite_own(s->fd, buf, whole, off, !s->own);
		if (err != -EINVAL || !direct || !give_up_direct(s))
			break;
	}
	if (err == 0 && bytes > whole)
		err = write_cached(s, buf + whole, bytes - whole, off + whole);
	return err;
}

/* All of them; after an error each by itself. The last error. */
static int write_now(struct source *s, struct io *io)
{
	int err = write_some(s, io, 0, io->pages), last = 0;
	unsigned i;

	for (i = 0; err < 0 && i < io->pages; i++) {
		int failed = io->pages > 1 ? write_some(s, io, i, 1) : err;

		if (failed) {
			bit_set(io->bad, i);
			last = failed;
		}
	}
	return last;
}

/* ---- transfers ---- */

static void end(struct source *s, struct io *io, int result)
{
	if (!atomic_load_explicit(&s->direct, memory_order_relaxed))
		os_uncache(s->fd, io->op.off, pages_to_bytes(io->pages));
	flight_end(s->flight);
	io->done(io, result);
}

static void begin(struct source *s, struct ring *ring, struct io *io,
		  enum ring_kind kind)
{
	ASSERT(io->pages >= 1 && io->pages <= IO_MAX_PAGES);
	io->backing = &s->backing;
	io->ring = ring;
	io->op.kind = kind;
	io->op.fd = s->fd;
	io->op.off = s->offset + pages_to_bytes(io->slot);
	io->op.buf = io->buf;
	io->op.bytes = (uint32_t)pages_to_bytes(io->pages);
	memset(io->bad, 0, sizeof(io->bad));
	memset(io->memory, 0, sizeof(io->memory));
	flight_begin(s->flight);
}

static void op_done(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);
	struct source *s = to_source(io->backing);

	if (result < 0)
		read_now(s, io, io->pages);
	end(s, io, 0);
}

static void source_read(struct backing *b, struct ring *ring, struct io *io)
{
	struct source *s = to_source(b);

	begin(s, ring, io, RING_READ);
	io->op.done = op_done;
	if (ring) {
		ring_start(ring, &io->op);
		return;
	}
	read_now(s, io, io->pages);
	end(s, io, 0);
}

/* Of pages that were all in the file when the write began. */
static void op_written(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);
	struct source *s = to_source(io->backing);

	end(s, io, result < 0 ? write_now(s, io) : 0);
}

/*
 * By the ring when the file has all of the pages, and its descriptor is our own:
 * of another the flags may change.
 */
static void source_write(struct backing *b, struct ring *ring, struct io *io)
{
	struct source *s = to_source(b);
	uint64_t bytes;

	begin(s, ring, io, RING_WRITE);
	io->op.done = op_written;
	if (ring && s->own && bytes_there(s, io, 0, io->pages, &bytes) == 0 &&
	    bytes == io->op.bytes) {
		ring_start(ring, &io->op);
		return;
	}
	end(s, io, write_now(s, io));
}

static int source_sync(struct backing *b, uint32_t seen)
{
	struct source *s = to_source(b);
	uint32_t ticket = waitq_ticket(&s->synced);
	int err, state = os_cancel_off();

	while (atomic_exchange(&s->syncing, true)) {
		waitq_wait(&s->synced, ticket, -1);
		ticket = waitq_ticket(&s->synced);
	}
	err = os_fdatasync(s->fd);
	if (err < 0)
		atomic_fetch_add(&b->sync_errors, 1);
	else if (atomic_load(&b->sync_errors) != seen)
		err = -EIO;
	atomic_store(&s->syncing, false);
	waitq_wake(&s->synced);
	os_cancel_restore(state);
	return err;
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
	if (s->cached >= 0)
		os_close(s->cached);
	os_cancel_restore(state);
	free(s);
}

static const struct backing_ops source_ops = {
	.name = "file",
	.read = source_read,
	.fetch = source_fetch,
	.close = source_close,
};

static const struct backing_ops shared_ops = {
	.name = "shared file",
	.read = source_read,
	.write = source_write,
	.fetch = source_fetch,
	.sync = source_sync,
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

/*
 * For the page in which the file ends. It is there for as long as the other one:
 * to close any descriptor of a file is to give up the process's locks of it
 * (fcntl(2)), which may be at no other time than a mapping's end.
 */
static void open_cached(struct source *s)
{
	bool own = false;

	if (os_reopen(s->fd, true, &s->cached, &own) == 0 && own) {
		s->backing.held.second = s->cached;
		return;
	}
	if (s->cached >= 0)
		os_close(s->cached);
	s->cached = -1;
	give_up_direct(s); /* else writes of that page fail */
}

static int open_with(struct backing **out, int fd, uint64_t offset,
		     struct flight *flight, const struct backing_ops *ops)
{
	struct source *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->fd = s->cached = -1;
	err = os_reopen(fd, ops == &shared_ops, &s->fd, &s->own);
	if (err == 0)
		err = os_hold(s->fd, &s->backing.held);
	if (err < 0) {
		os_close(s->fd);
		free(s);
		return err;
	}
	s->backing.ops = ops;
	s->offset = offset;
	s->flight = flight;
	waitq_init(&s->synced);
	if (s->own)
		probe_direct(s);
	if (atomic_load(&s->direct) && ops == &shared_ops)
		open_cached(s);
	if (s->own && !atomic_load(&s->direct))
		os_no_readahead(s->fd);
	*out = &s->backing;
	return 0;
}

int source_open(struct backing **out, int fd, uint64_t offset,
		struct flight *flight)
{
	return open_with(out, fd, offset, flight, &source_ops);
}

/* What can never be changed needs no home. */
int source_open_shared(struct backing **out, int fd, uint64_t offset,
		       struct flight *flight, bool write)
{
	int err = os_may_map(fd, true);

	if (err == -EACCES && !write) {
		err = source_open(out, fd, offset, flight);
		if (err == 0)
			(*out)->read_only = true;
		return err;
	}
	return err < 0 ? err : open_with(out, fd, offset, flight, &shared_ops);
}

void source_name(const struct backing *b, char *name, size_t size)
{
	os_file_name(to_source(b)->fd, name, size);
}
