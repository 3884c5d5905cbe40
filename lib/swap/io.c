/* SPDX-License-Identifier: MIT */
/*
 * swap/io.c - transfers between buffers and the slots of a swap file.
 *
 * A read that fails or whose bytes do not match is repeated as a whole, up
 * to READ_TRIES: controllers recover, and the first try of a retry is cheap
 * next to losing data. Then it is *isolated*: the pages that are still bad
 * are read one by one, so that one bad sector costs one page and not its 63
 * neighbours. That happens on the spot, in the caller's ring_run(): it
 * delays a handler by some disk reads on a disk that is dying anyway.
 */
#include "swap/impl.h"

#include <errno.h>
#include <string.h>

#include "util/checksum.h"
#include "util/log.h"

#define READ_TRIES  3
#define WRITE_TRIES 3

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* The slot of the i-th page, counted from 1. */
static uint64_t page_slot(const struct swap *s, const struct io *io, unsigned i)
{
	return io->slot - s->base + i;
}

static char *page_buf(const struct io *io, unsigned i)
{
	return io->buf + pages_to_bytes(i);
}

static uint32_t page_checksum(const struct io *io, unsigned i)
{
	return checksum_page(page_buf(io, i), io_page_addr(io, i));
}

static void set_bad(struct io *io, unsigned i, bool bad)
{
	if (bad)
		bit_set(io->bad, i);
	else
		bit_clear(io->bad, i);
}

static bool any_bad(const struct io *io)
{
	uint64_t any = 0;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(io->bad); i++)
		any |= io->bad[i];
	return any;
}

/* Sets bad[i] to whether the bytes of page i are not those written. */
static void verify_page(struct swap *s, struct io *io, unsigned i)
{
	bool bad =
		!io_page_gap(io, i) &&
		page_checksum(io, i) != s->slots.checksum[page_slot(s, io, i)];

	set_bad(io, i, bad);
	if (bad)
		add(&s->count.checksum_errors, 1);
}

/* Sets bad[] after an attempt to read all of io. */
static void verify(struct swap *s, struct io *io, int result)
{
	unsigned i;

	if (result)
		add(&s->count.read_errors, 1);
	for (i = 0; i < io->pages; i++) {
		if (result)
			set_bad(io, i, true);
		else
			verify_page(s, io, i);
	}
}

/* One page of a read that failed, by itself. */
static int reread_page(struct swap *s, struct io *io, unsigned i)
{
	int err = os_pread(s->fd, page_buf(io, i), PAGE_BYTES,
			   pages_to_bytes(page_slot(s, io, i)));

	if (err)
		add(&s->count.read_errors, 1);
	else
		verify_page(s, io, i);
	return err;
}

/* Result of the whole: an error only when no page could be transferred. */
static int isolate(struct swap *s, struct io *io)
{
	unsigned i, moved = 0;
	int err, last = 0;

	for (i = 0; i < io->pages; i++) {
		err = io_page_bad(io, i) ? reread_page(s, io, i) : 0;
		moved += !err;
		last = err ? err : last;
	}
	if (any_bad(io) && last)
		log_warn_once(&s->read_logged,
			      "swap: slots %llu+%u cannot be read (error %d)",
			      (unsigned long long)io->slot, io->pages, last);
	else if (any_bad(io))
		log_warn_once(&s->read_logged,
			      "swap: slots %llu+%u are damaged (checksum)",
			      (unsigned long long)io->slot, io->pages);
	return moved ? 0 : last;
}

/* False: read it once more. */
static bool read_over(struct swap *s, struct io *io, int *result)
{
	verify(s, io, *result);
	if (!any_bad(io))
		return true;
	if (++io->tries < READ_TRIES) {
		add(&s->count.retries, 1);
		return false;
	}
	*result = isolate(s, io);
	return true;
}

/* False: write it once more. A disk that says no has tried hard already. */
static bool write_over(struct swap *s, struct io *io, int *result)
{
	if (*result == 0)
		return true;
	add(&s->count.write_errors, 1);
	if (*result != -EAGAIN && *result != -EINTR)
		return true;
	if (++io->tries == WRITE_TRIES)
		return true;
	add(&s->count.retries, 1);
	return false;
}

static bool transfer_over(struct io *io, int *result)
{
	struct swap *s = to_swap(io->backing);

	if (io->op.kind == RING_READ)
		return read_over(s, io, result);
	return write_over(s, io, result);
}

static void end(struct io *io, int result)
{
	struct swap *s = to_swap(io->backing);

	atomic_store(&s->progress_us, os_now_us());
	atomic_fetch_sub(&s->inflight, 1);
	io->done(io, result);
}

static void op_done(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);

	if (transfer_over(io, &result))
		end(io, result);
	else
		ring_start(io->ring, op);
}

static int transfer_once(const struct ring_op *op)
{
	if (op->kind == RING_READ)
		return os_pread(op->fd, op->buf, op->bytes, op->off);
	return os_pwrite(op->fd, op->buf, op->bytes, op->off);
}

static void transfer_now(struct io *io)
{
	int result;

	do
		result = transfer_once(&io->op);
	while (!transfer_over(io, &result));
	end(io, result);
}

static void transfer(struct backing *b, struct ring *ring, struct io *io,
		     enum ring_kind kind)
{
	struct swap *s = to_swap(b);

	ASSERT(io->pages >= 1 && io->pages <= IO_MAX_PAGES);
	ASSERT(io->slot > s->base);
	ASSERT(page_slot(s, io, io->pages - 1) <= s->slots.limit);
	io->backing = b;
	io->ring = ring;
	io->tries = 0;
	memset(io->bad, 0, sizeof(io->bad));
	io->op.done = op_done;
	io->op.kind = kind;
	io->op.fd = s->fd;
	io->op.bytes = (uint32_t)pages_to_bytes(io->pages);
	io->op.off = pages_to_bytes(page_slot(s, io, 0));
	io->op.buf = io->buf;
	/* who looks in between sees a stall: that costs patience only */
	if (atomic_fetch_add(&s->inflight, 1) == 0)
		atomic_store(&s->progress_us, os_now_us());
	if (ring)
		ring_start(ring, &io->op);
	else
		transfer_now(io);
}

void swap_read(struct backing *b, struct ring *ring, struct io *io)
{
	struct swap *s = to_swap(b);

	add(&s->count.reads, 1);
	add(&s->count.read_bytes, pages_to_bytes(io->pages));
	transfer(b, ring, io, RING_READ);
}

void swap_write(struct backing *b, struct ring *ring, struct io *io)
{
	struct swap *s = to_swap(b);
	unsigned i;

	add(&s->count.writes, 1);
	add(&s->count.written_bytes, pages_to_bytes(io->pages));
	for (i = 0; i < io->pages; i++) /* swap (4) */
		s->slots.checksum[page_slot(s, io, i)] = page_checksum(io, i);
	transfer(b, ring, io, RING_WRITE);
}

bool swap_stalled(struct backing *b, uint64_t now_us)
{
	const struct swap *s = to_swap(b);
	uint64_t since_us = atomic_load(&s->progress_us);

	return atomic_load(&s->inflight) &&
	       now_us > since_us + BACKING_STALL_US;
}
