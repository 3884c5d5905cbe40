/* SPDX-License-Identifier: MIT */
/*
 * snapshot/inherit.c - the backing of a space in a fork child.
 *
 * A child begins with a page table that names slots of its parent's swap and,
 * of pages that were dirty at the fork, frames of its parent's memfd. It only
 * reads these. What it writes out goes to a swap of its own. When it forks in
 * its turn, its child reads both, and so on: each process is a *generation*,
 * and what one generation has left to the next is its *origin*. A slot says
 * which generation it is of (snapshot/inherit.h), so the page table is passed
 * on as it is, however long the chain.
 *
 *	grandchild's table --+-- own slots ------> own swap
 *			     +-- slots of gen. 1 -> origin[1]: child's swap,
 *			     |			    frames, preimages
 *			     +-- slots of gen. 0 -> origin[0]: parent's
 *
 * A frame is read from the memfd of the process that forked, and counts only
 * if the word in `where` says afterwards that it has not been changed since;
 * else the copy is read (snapshot/snapshot.c has the protocol). The checksums
 * of slots came with the fork, as private memory of the parent's `struct swap`;
 * so did the pages that it had in memory, compressed (swap/tier.c).
 *
 * An origin counts the entries that name it. With the last one its descriptors
 * are closed, which also tells the parents that they need not keep it. The
 * descriptors of frames and preimages are closed before that, with the last
 * entry that names a frame: when the parent has gone without closing its space,
 * its memfd exists for its children only, all of it, up to the parent's budget.
 * That memory is in nobody's budget. An entry names a frame until its page is
 * written to, discarded or unmapped; reading it is not enough.
 *
 * Invariants:
 *  (1) origin[g] is open as long as an entry names generation g, its frames as
 *	long as an entry names one, and nothing is read from either that no
 *	entry names: a read in flight has its entry.
 *  (2) The process's own generation is the number of its ancestors.
 */
#include "snapshot/inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define READ_TRIES 3 /* as swap/io.c */

struct generation {
	struct origin origin;
	_Atomic uint64_t slots;	 /* entries that name its swap */
	_Atomic uint64_t frames; /* and its frames */
	_Atomic bool open;
	_Atomic bool frames_open; /* frames, preimages and where */
};

struct inherit {
	struct backing backing;
	struct backing *own;	  /* (i) NULL until inherit_set_own() */
	unsigned generation;	  /* (i) ours */
	struct generation past[]; /* those before us */
};

static const struct backing_ops inherit_ops;

static struct inherit *to_inherit(struct backing *b)
{
	return container_of(b, struct inherit, backing);
}

static bool is_inherit(const struct backing *b)
{
	return b->ops == &inherit_ops;
}

/* ---- generations ---- */

static void close_frames(struct generation *gen)
{
	struct origin *o = &gen->origin;

	if (!atomic_exchange(&gen->frames_open, false))
		return;
	os_close(o->frames);
	os_close(o->preimages);
	os_unmap((haddr_t)(uintptr_t)o->where, o->pages * sizeof(*o->where));
}

static void close_generation(struct generation *gen)
{
	struct origin *o = &gen->origin;

	close_frames(gen);
	if (!atomic_exchange(&gen->open, false))
		return;
	o->swap->ops->close(o->swap);
	os_close(o->alive);
}

/* Closes what no entry names. */
static void close_unnamed(struct generation *gen)
{
	if (atomic_load(&gen->frames))
		return;
	if (atomic_load(&gen->slots))
		close_frames(gen);
	else
		close_generation(gen);
}

static _Atomic uint64_t *counter(struct inherit *in, uint64_t slot)
{
	struct generation *gen = &in->past[inherit_generation(slot)];

	return slot & INHERIT_FRAME ? &gen->frames : &gen->slots;
}

/* n entries less name the generation. */
static void forget(struct inherit *in, uint64_t slot, uint64_t n)
{
	struct generation *gen = &in->past[inherit_generation(slot)];
	uint64_t before = atomic_fetch_sub(counter(in, slot), n);

	ASSERT(before >= n);
	if (before == n)
		close_unnamed(gen);
}

/* ---- frames ---- */

static struct generation *io_generation(const struct io *io)
{
	return &to_inherit(io->backing)->past[inherit_generation(io->slot)];
}

/* A copy of a page that has been changed since. */
static bool read_copy(const struct origin *o, char *buf, uint64_t copy)
{
	unsigned tries;

	for (tries = 0; tries < READ_TRIES; tries++)
		if (os_frame_read(o->preimages, buf, PAGE_BYTES,
				  pages_to_bytes(copy)) == 0)
			return true;
	return false;
}

/* Decides where page i of a read came from. True: it is good. */
static bool verify_page(const struct origin *o, struct io *io, unsigned i,
			bool read)
{
	haddr_t host = (io->slot + i) << PAGE_SHIFT &
		       (((haddr_t)1 << (INHERIT_NUMBER_BITS + PAGE_SHIFT)) - 1);
	uint32_t where = atomic_load(&o->where[(host - o->base) >> PAGE_SHIFT]);
	uint64_t copy = where - WHERE_COPY;

	if (where == WHERE_FRAME)
		return read;
	return where >= WHERE_COPY &&
	       read_copy(o, io->buf + pages_to_bytes(i), copy);
}

/* Result of the whole: an error only when no page could be read. */
static int verify(struct io *io, int result)
{
	const struct origin *o = &io_generation(io)->origin;
	unsigned i, good = 0;

	/* the frames have been read before any word is */
	atomic_thread_fence(memory_order_seq_cst);
	memset(io->bad, 0, sizeof(io->bad));
	for (i = 0; i < io->pages; i++) {
		if (io_page_gap(io, i) || verify_page(o, io, i, result == 0))
			good++;
		else
			bit_set(io->bad, i);
	}
	return good ? 0 : result ? result : -EIO;
}

static void start_read(struct io *io);

static void frames_done(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);

	if (result && ++io->tries < READ_TRIES)
		start_read(io);
	else
		io->done(io, verify(io, result));
}

static void start_read(struct io *io)
{
	struct ring_op *op = &io->op;

	if (io->ring)
		ring_start(io->ring, op);
	else
		frames_done(op,
			    os_frame_read(op->fd, op->buf, op->bytes, op->off));
}

static void read_frames(struct backing *b, struct ring *ring, struct io *io)
{
	io->backing = b;
	io->op.done = frames_done;
	io->op.kind = RING_READ;
	io->op.fd = io_generation(io)->origin.frames;
	io->op.bytes = (uint32_t)pages_to_bytes(io->pages);
	io->op.off = io->slot << PAGE_SHIFT &
		     (((uint64_t)1 << (INHERIT_NUMBER_BITS + PAGE_SHIFT)) - 1);
	io->op.buf = io->buf;
	io->ring = ring;
	io->tries = 0;
	start_read(io);
}

/* ---- the backing ---- */

static bool is_own(const struct inherit *in, uint64_t slot)
{
	return !(slot & INHERIT_FRAME) &&
	       inherit_generation(slot) == in->generation;
}

/* Whose slot it is. */
static struct backing *swap_of(const struct inherit *in, uint64_t slot)
{
	return is_own(in, slot)
		       ? in->own
		       : in->past[inherit_generation(slot)].origin.swap;
}

static void inherit_read(struct backing *b, struct ring *ring, struct io *io)
{
	struct backing *from;

	if (io->slot & INHERIT_FRAME) {
		memset(io->memory, 0, sizeof(io->memory));
		read_frames(b, ring, io);
		return;
	}
	from = swap_of(to_inherit(b), io->slot);
	from->ops->read(from, ring, io);
}

static bool inherit_fetch(struct backing *b, struct io *io)
{
	struct backing *from;

	if (io->slot & INHERIT_FRAME)
		return false;
	from = swap_of(to_inherit(b), io->slot);
	return from->ops->fetch(from, io);
}

/* What is the parents' stays where it is. */
static bool inherit_wants(struct backing *b, uint64_t slot, gaddr_t addr)
{
	struct inherit *in = to_inherit(b);

	return is_own(in, slot) && in->own->ops->wants(in->own, slot, addr);
}

static void inherit_add(struct backing *b, uint64_t slot, gaddr_t addr,
			const char *page)
{
	struct inherit *in = to_inherit(b);

	in->own->ops->add(in->own, slot, addr, page);
}

static void inherit_trim(struct backing *b, struct ring *ring, uint64_t pages)
{
	struct inherit *in = to_inherit(b);

	in->own->ops->trim(in->own, ring, pages);
}

static void inherit_write(struct backing *b, struct ring *ring, struct io *io)
{
	struct inherit *in = to_inherit(b);

	in->own->ops->write(in->own, ring, io);
}

static int inherit_take(struct backing *b, uint64_t want, uint64_t *first,
			uint64_t *got)
{
	struct inherit *in = to_inherit(b);

	return in->own->ops->take(in->own, want, first, got);
}

static void inherit_give(struct backing *b, uint64_t first, uint64_t n)
{
	struct inherit *in = to_inherit(b);

	if (is_own(in, first))
		in->own->ops->give(in->own, first, n);
	else
		forget(in, first, n);
}

/* Counters of reads from the parents are theirs at the fork, plus ours. */
static void inherit_stat(struct backing *b, struct backing_stat *st)
{
	struct inherit *in = to_inherit(b);

	if (in->own)
		in->own->ops->stat(in->own, st);
}

static bool inherit_stalled(struct backing *b, uint64_t now_us)
{
	struct inherit *in = to_inherit(b);

	return in->own && in->own->ops->stalled(in->own, now_us);
}

static int inherit_hold(struct backing *b, struct hold **out)
{
	struct inherit *in = to_inherit(b);

	return in->own->ops->hold(in->own, out);
}

static void inherit_release(struct backing *b, struct hold *h)
{
	struct inherit *in = to_inherit(b);

	in->own->ops->release(in->own, h);
}

static void inherit_forked(struct backing *b)
{
	struct inherit *in = to_inherit(b);

	in->own->ops->forked(in->own);
}

/*
 * In a child, where memory is as it was a moment after the descriptors were
 * copied: what is marked open is.
 */
static void shed_generation(struct generation *gen)
{
	struct origin *o = &gen->origin;

	if (gen->frames_open) {
		os_close(o->frames);
		os_close(o->preimages);
	}
	if (!gen->open)
		return;
	o->swap->ops->shed(o->swap);
	os_close(o->alive);
}

static void inherit_shed(struct backing *b)
{
	struct inherit *in = to_inherit(b);
	unsigned g;

	for (g = 0; g < in->generation; g++)
		shed_generation(&in->past[g]);
	if (in->own)
		in->own->ops->shed(in->own);
}

static void inherit_close(struct backing *b)
{
	struct inherit *in = to_inherit(b);
	unsigned g;

	for (g = 0; g < in->generation; g++)
		close_generation(&in->past[g]);
	if (in->own)
		in->own->ops->close(in->own);
	free(in);
}

static const struct backing_ops inherit_ops = {
	.name = "inherit",
	.read = inherit_read,
	.write = inherit_write,
	.fetch = inherit_fetch,
	.wants = inherit_wants,
	.add = inherit_add,
	.trim = inherit_trim,
	.take = inherit_take,
	.give = inherit_give,
	.stat = inherit_stat,
	.stalled = inherit_stalled,
	.hold = inherit_hold,
	.release = inherit_release,
	.forked = inherit_forked,
	.shed = inherit_shed,
	.close = inherit_close,
};

/* ---- construction ---- */

/*
 * What the parent had inherited is ours now. The parent counted one for each of
 * its entries; we count again from nothing.
 */
static void take_generations(struct inherit *in, struct inherit *from)
{
	unsigned g;

	for (g = 0; g < from->generation; g++) {
		in->past[g].origin = from->past[g].origin;
		in->past[g].open = atomic_load(&from->past[g].open);
		in->past[g].frames_open =
			atomic_load(&from->past[g].frames_open);
	}
	free(from);
}

int inherit_new(struct backing **backing, const struct origin *origin)
{
	unsigned g = inherit_own_generation(*backing);
	struct inherit *in;

	if (g + 1 == INHERIT_GENERATIONS)
		return -E2BIG;
	in = calloc(1, sizeof(*in) + (g + 1) * sizeof(in->past[0]));
	if (!in)
		return -ENOMEM;
	in->backing.ops = &inherit_ops;
	in->generation = g + 1;
	in->past[g].origin = *origin;
	in->past[g].open = in->past[g].frames_open = true;
	if (is_inherit(*backing))
		take_generations(in, to_inherit(*backing));
	*backing = &in->backing;
	return 0;
}

unsigned inherit_own_generation(const struct backing *b)
{
	return is_inherit(b) ? container_of(b, const struct inherit, backing)
				       ->generation
			     : 0;
}

void inherit_set_own(struct backing *b, struct backing *own)
{
	to_inherit(b)->own = own;
}

struct backing *inherit_own(struct backing *b)
{
	return is_inherit(b) ? to_inherit(b)->own : b;
}

void inherit_count(struct backing *b, uint64_t slot)
{
	struct inherit *in = to_inherit(b);

	if (!is_own(in, slot))
		atomic_fetch_add(counter(in, slot), 1);
}

void inherit_counted(struct backing *b)
{
	struct inherit *in = to_inherit(b);
	unsigned g;

	for (g = 0; g < in->generation; g++)
		close_unnamed(&in->past[g]);
}
