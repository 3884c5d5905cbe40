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
		!io_page_gap(io, i) && !io_page_memory(io, i) &&
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
			set_bad(io, i, !io_page_memory(io, i));
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

/* ---- pages in memory: swap/tier.c ---- */

/*
 * Page i of a read, which was in memory when the read began. If it is in its
 * slot now, then since then: it is read by itself.
 */
static void load_page(struct swap *s, struct io *io, unsigned i)
{
	unsigned tries;

	switch (tier_load(s->tier, page_slot(s, io, i), io_page_addr(io, i),
			  page_buf(io, i))) {
	case TIER_LOADED:
		set_bad(io, i, false);
		break;
	case TIER_DAMAGED:
		set_bad(io, i, true);
		break;
	case TIER_ABSENT:
		bit_clear(io->memory, i);
		set_bad(io, i, true);
		for (tries = 0; io_page_bad(io, i) && tries < READ_TRIES;
		     tries++)
			reread_page(s, io, i);
	}
}

static void load_pages(struct swap *s, struct io *io)
{
	unsigned i;

	for (i = 0; s->tier && i < io->pages; i++)
		if (io_page_memory(io, i))
			load_page(s, io, i);
}

/* Notes which pages of a read are in memory. True: all. */
static bool find_in_memory(struct swap *s, struct io *io)
{
	bool all = true;
	unsigned i;

	for (i = 0; i < io->pages; i++) {
		if (io_page_gap(io, i))
			continue;
		if (tier_has(s->tier, page_slot(s, io, i)))
			bit_set(io->memory, i);
		else
			all = false;
	}
	return all;
}

/* The part of io for which the disk is needed; false: none. */
static bool find_span(const struct io *io, unsigned *first, unsigned *n)
{
	unsigned i, last = 0;

	*n = 0;
	for (i = 0; i < io->pages; i++) {
		if (io_page_memory(io, i) || io_page_gap(io, i))
			continue;
		*first = *n ? *first : i;
		last = i;
		*n = last - *first + 1;
	}
	return *n;
}

bool swap_fetch(struct backing *b, struct io *io)
{
	struct swap *s = to_swap(b);

	memset(io->memory, 0, sizeof(io->memory));
	if (!s->tier || !find_in_memory(s, io))
		return false;
	memset(io->bad, 0, sizeof(io->bad));
	load_pages(s, io);
	return true;
}

/* ---- transfers ---- */

static void end(struct io *io, int result)
{
	struct swap *s = to_swap(io->backing);

	if (io->op.kind == RING_READ && result == 0)
		load_pages(s, io);
	flight_end(&s->flight);
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

static void count_transfer(struct swap *s, enum ring_kind kind, uint64_t bytes)
{
	struct backing_stat *c = &s->count;

	add(kind == RING_READ ? &c->reads : &c->writes, 1);
	add(kind == RING_READ ? &c->read_bytes : &c->written_bytes, bytes);
}

static void transfer(struct backing *b, struct ring *ring, struct io *io,
		     enum ring_kind kind)
{
	struct swap *s = to_swap(b);

	unsigned first = 0, n = io->pages;

	ASSERT(io->pages >= 1 && io->pages <= IO_MAX_PAGES);
	ASSERT(io->slot > s->base);
	if (s->tier)
		find_span(io, &first, &n);
	ASSERT(page_slot(s, io, io->pages - 1) <= s->slots.limit);
	io->backing = b;
	io->ring = ring;
	io->tries = 0;
	memset(io->bad, 0, sizeof(io->bad));
	io->op.done = op_done;
	io->op.kind = kind;
	io->op.fd = s->fd;
	io->op.bytes = (uint32_t)pages_to_bytes(n);
	io->op.off = pages_to_bytes(page_slot(s, io, first));
	io->op.buf = page_buf(io, first);
	count_transfer(s, kind, io->op.bytes);
	flight_begin(&s->flight);
	if (ring)
		ring_start(ring, &io->op);
	else
		transfer_now(io);
}

void swap_read(struct backing *b, struct ring *ring, struct io *io)
{
	if (swap_fetch(b, io))
		io->done(io, 0);
	else
		transfer(b, ring, io, RING_READ);
}

void swap_write(struct backing *b, struct ring *ring, struct io *io)
{
	struct swap *s = to_swap(b);
	unsigned i, first, n;

	memset(io->memory, 0, sizeof(io->memory));
	if (s->tier && io->keep)
		tier_keep(s->tier, io, page_slot(s, io, 0));
	for (i = 0; i < io->pages; i++) /* swap (4) */
		if (!io_page_memory(io, i))
			s->slots.checksum[page_slot(s, io, i)] =
				page_checksum(io, i);
	if (find_span(io, &first, &n))
		transfer(b, ring, io, RING_WRITE);
	else
		io->done(io, 0);
}

void swap_write_unpacked(struct swap *s, struct ring *ring, struct io *io,
			 uint64_t slot)
{
	io->slot = slot + s->base;
	memset(io->memory, 0, sizeof(io->memory));
	transfer(&s->backing, ring, io, RING_WRITE);
}

bool swap_stalled(struct backing *b, uint64_t now_us)
{
	return flight_stalled(&to_swap(b)->flight, now_us);
}
