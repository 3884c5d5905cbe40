/* SPDX-License-Identifier: MIT */
/*
 * evict/writeback.c - dirty victims on their way to the backing.
 *
 * The victims of an extent are protected first and copied second, so the copy
 * cannot change unnoticed: a later write is an event, and it moves the page
 * back to DIRTY (space/space.c). All-zero copies need no slot. The others go to
 * consecutive slots in one write, though they need not be neighbours.
 * When the write completes, those still WRITING are CLEAN, and those that
 * nobody mapped in the meantime are evicted on the spot.
 *
 * A page that the kernel may hold for a system call is let go again, which can
 * be told only once it is protected (space/grip.c).
 *
 * Slots are taken before anything is protected, so that a full swap costs
 * nothing and changes nothing.
 *
 * Pages of a region that shares a file have their slots in it (the *home* of the
 * extent): none are taken or given, zeros are written like other bytes, and a
 * write is a run of neighbours. That they go to the same place each time is in
 * order since a block has one generation of write-backs at a time. After a write
 * that failed the file rests for a while: without that a full disk, which says so
 * at once, would keep the reclaimer busy for nothing.
 *
 * The write itself starts when nothing is locked any more: the backing may keep
 * pages in memory instead, which it compresses then, and is done at once.
 *
 * Rejected: writing from the frames themselves through an alias mapping (the
 * punch must then shoot down the alias: 20 us against 1.5 for the copy);
 * protecting without unmapping first (16 us a page).
 */
#include "evict/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/checksum.h"
#include "util/log.h"
#include "util/probe.h"
#include "snapshot/snapshot.h"
#include "space/verify.h"
#include "space/view.h"

/* Buffers lie in huge pages if they are at most this part of the budget. */
#define HUGE_SHARE 8

/* Does page `at` of the write-back go on with the run of the one before? */
typedef bool (*joins_fn)(const struct writeback *wb, unsigned at);

static bool adjoins(const struct writeback *wb, unsigned at)
{
	return wb->index[at] == wb->index[at - 1] + 1;
}

static bool bridged(const struct writeback *wb, unsigned at)
{
	return extent_bridge(wb->writer->vm, wb->extent.block,
			     wb->index[at - 1] + 1u, wb->index[at]);
}

/*
 * Calls fn for each maximal run among n pages. Stops at an error, *done is
 * how many of the n were covered.
 */
typedef int (*run_fn)(struct writeback *wb, unsigned at, unsigned n);

static int for_runs(struct writeback *wb, unsigned count, joins_fn joins,
		    run_fn fn, unsigned *done)
{
	unsigned at = 0, n;
	int rc = 0;

	while (at < count) {
		for (n = 1; at + n < count && joins(wb, at + n); n++)
			;
		rc = fn(wb, at, n);
		if (rc < 0)
			break;
		at += n;
	}
	*done = at;
	return rc;
}

static int run_protect(struct writeback *wb, unsigned at, unsigned n)
{
	unsigned pages = wb->index[at + n - 1] + 1u - wb->index[at];

	return view_protect(wb->writer->vm, wb->extent.uffd,
			    extent_host(&wb->extent, wb->index[at]),
			    pages_to_bytes(pages));
}

static int run_copy(struct writeback *wb, unsigned at, unsigned n)
{
	return os_frame_read(wb->writer->vm->memfd,
			     wb->io.buf + pages_to_bytes(at), pages_to_bytes(n),
			     extent_host(&wb->extent, wb->index[at]));
}

unsigned writeback_run(const struct writeback *wb, unsigned n)
{
	unsigned i;

	for (i = 1; i < n && adjoins(wb, i); i++)
		;
	return MIN(i, n);
}

int writeback_copy(struct writeback *wb, unsigned n, unsigned *copied)
{
	return for_runs(wb, n, adjoins, run_copy, copied);
}

void writeback_back_out(struct writeback *wb, unsigned from, unsigned to)
{
	struct writer *w = wb->writer;
	struct block *b = wb->extent.block;
	unsigned i;
	int rc;

	for (i = from; i < to; i++) {
		if (pte_state(b->pte[wb->index[i]]) != PAGE_DIRTY)
			continue;
		rc = view_unprotect_firmly(
			w->vm, wb->extent.uffd,
			extent_host(&wb->extent, wb->index[i]), PAGE_BYTES);
		/* -ENOENT: it is being unmapped, and void anyway */
		if (rc < 0)
			space_move(w->vm, w->actor, b, wb->index[i],
				   PAGE_FROZEN, 0);
	}
}

/*
 * Drops the all-zero pages from the copies: they become CLEAN without a slot
 * and their bits are set in `zero`. Returns how many remain.
 */
static unsigned sift_zeroes(struct writeback *wb, unsigned n, uint64_t *zero)
{
	struct writer *w = wb->writer;
	unsigned i, kept = 0;

	for (i = 0; i < n; i++) {
		char *copy = wb->io.buf + pages_to_bytes(i);

		if (page_is_zero(copy)) {
			space_move(w->vm, w->actor, wb->extent.block,
				   wb->index[i], PAGE_CLEAN, 0);
			bit_set(zero, wb->index[i]);
			continue;
		}
		if (kept != i)
			memcpy(wb->io.buf + pages_to_bytes(kept), copy,
			       PAGE_BYTES);
		wb->index[kept++] = wb->index[i];
	}
	return kept;
}

/* n pages begin to be in flight, or (below 0) are not any more. => block lock held. */
static void count_block(const struct writeback *wb, int n)
{
	struct block *b = wb->extent.block;

	b->writing = (uint16_t)(b->writing + n);
	if (wb->extent.home->slow)
		b->slow_writing = (uint16_t)(b->slow_writing + n);
}

/* What is on its way to a slow backing is not counted upon. => block lock held. */
static void count_writer(struct writeback *wb, int n)
{
	struct backing *home = wb->extent.home;
	struct writer *w = wb->writer;

	if (!home->slow) {
		w->pages += (uint64_t)(int64_t)n;
		return;
	}
	w->slow_pages += (uint64_t)(int64_t)n;
	atomic_fetch_add(&home->writing, n > 0 ? 1u : -1u);
}

void writeback_begin(struct writeback *wb, unsigned n, uint64_t slot)
{
	struct writer *w = wb->writer;
	struct block *b = wb->extent.block;
	unsigned i;

	for (i = 0; i < n; i++)
		if (!bit_get(wb->loose, i))
			space_move(w->vm, w->actor, b, wb->index[i],
				   PAGE_WRITING, 0);
	count_block(wb, (int)n);
	count_writer(wb, (int)n);
	wb->io.pages = n;
	wb->io.addr = b->base;
	wb->io.order = wb->index;
	wb->io.home = wb->extent.home;
	wb->io.slot = slot;
	list_remove(&wb->link);
	list_insert(&w->begun, &wb->link);
}

/* Pages that the backing has kept need no write. */
static void count_write(const struct writer *w, const struct io *io,
			unsigned pages)
{
	unsigned i, kept = 0;

	for (i = 0; i < pages; i++)
		kept += io_page_memory(io, i);
	stat_add(w->actor, VVM_STAT_packed_pages, kept);
	stat_add(w->actor, VVM_STAT_swapout_pages, pages - kept);
	stat_add(w->actor, VVM_STAT_swapout_writes, kept < pages);
}

void writer_submit(struct writer *w)
{
	struct list *node;

	while ((node = list_pop(&w->begun))) {
		struct writeback *wb = list_entry(node, struct writeback, link);
		unsigned n = wb->io.pages;

		PROBE3(writeback_start,
		       wb->io.addr + pages_to_bytes(wb->index[0]), n,
		       wb->io.slot);
		wb->io.keep = w->keep;
		io_write(&wb->io, w->ring);
		count_write(w, &wb->io, n);
	}
}

/*
 * Lets go of those of n protected pages that the kernel may hold. Returns how
 * many remain. => block lock held.
 */
static unsigned leave_gripped(struct writeback *wb, unsigned n)
{
	struct vvm *vm = wb->writer->vm;
	const struct extent *p = &wb->extent;
	uint64_t mapped[EXTENT_WORDS];
	struct grip_view view;
	unsigned i, kept = 0;

	if (!grips_view(&vm->grips, atomic_load(&vm->frames.budget), &view))
		return n;
	if (os_pagemap_present(vm->pagemap_fd, p->host, p->end - p->first,
			       mapped, NULL) < 0)
		memset(mapped, 0xff, sizeof(mapped));
	for (i = 0; i < n; i++) {
		unsigned at = wb->index[i] - p->first;
		bool used =
			bit_get(mapped, at) || bit_get(wb->pass->mapped, at);

		if (grip_holds(&view, extent_host(p, wb->index[i]), used,
			       wb->pass->before_us))
			writeback_back_out(wb, i, i + 1);
		else
			wb->index[kept++] = wb->index[i];
	}
	return kept;
}

/* Protects and copies n pages; returns how many are good, from the front. */
static unsigned protect_and_copy(struct writeback *wb, unsigned n)
{
	unsigned good, copied;

	for_runs(wb, n, bridged, run_protect, &good);
	/* the run that failed may be protected in part */
	writeback_back_out(wb, good, n);
	good = leave_gripped(wb, good);
	writeback_copy(wb, good, &copied);
	writeback_back_out(wb, copied, good);
	return copied;
}

/*
 * Makes the FROZEN pages of the write-back DIRTY: what fork children need of
 * them is copied. They are still protected. Returns how many are good, from
 * the front. => block lock held.
 */
static unsigned thaw(struct writeback *wb, unsigned n)
{
	struct writer *w = wb->writer;
	struct block *b = wb->extent.block;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (pte_state(b->pte[wb->index[i]]) != PAGE_FROZEN)
			continue;
		if (snapshot_copy(w->vm,
				  extent_host(&wb->extent, wb->index[i])) < 0)
			break;
		space_move(w->vm, w->actor, b, wb->index[i], PAGE_DIRTY, 0);
	}
	return i;
}

/*
 * Starts a write-back of the first of the pages named in wb->index[0..n):
 * DIRTY or FROZEN, not pinned, of wb->extent. As many as there are slots in a
 * row; *served says how many, 0 when swap is full. Returns the frames freed at
 * once (zero pages). => block lock held.
 */
static unsigned write_to_swap(struct writeback *wb, unsigned n,
			      unsigned *served)
{
	struct writer *w = wb->writer;
	struct backing *swap = w->vm->swap;
	uint64_t zero[EXTENT_WORDS] = {0};
	uint64_t slot, got = 0;
	unsigned kept;

	*served = 0;
	if (swap->ops->take(swap, n, &slot, &got) < 0) {
		stat_add(w->actor, VVM_STAT_swap_full, 1);
		PROBE2(error, wb->extent.block->base, -ENOSPC);
		w->swap_full = w->refused = true;
		return 0;
	}
	w->swap_full = w->refused = false;
	*served = (unsigned)got;
	n = protect_and_copy(wb, thaw(wb, (unsigned)got));
	kept = sift_zeroes(wb, n, zero);
	if (kept < got)
		swap->ops->give(swap, slot + kept, got - kept);
	if (kept)
		writeback_begin(wb, kept, slot);
	return extent_evict(w->vm, w->actor, &wb->extent, zero, false);
}

/*
 * The same of pages whose home is the region's own backing: those of the first
 * run, to the slots that they have; none while that rests. Zeros are no better
 * than other bytes there.
 */
static unsigned write_to_own(struct writeback *wb, unsigned n, unsigned *served)
{
	const struct extent *p = &wb->extent;
	struct writer *w = wb->writer;
	unsigned kept;

	*served = 0;
	w->refused = backing_rests(p->home, os_now_us());
	if (w->refused)
		return 0;
	*served = writeback_run(wb, n);
	n = protect_and_copy(wb, thaw(wb, *served));
	kept = writeback_run(wb, n); /* some may have been left out */
	writeback_back_out(wb, kept, n);
	if (kept)
		writeback_begin(wb, kept, extent_slot(p, wb->index[0]));
	return 0;
}

/* Is page i of a write in its slot now? */
static bool is_there(const struct writeback *wb, unsigned i, int result)
{
	if (wb->extent.own)
		return !io_page_bad(&wb->io, i);
	return result == 0 || io_page_memory(&wb->io, i);
}

/* It has been written to since it was copied, or may have been. */
static void count_touched(const struct writeback *wb, unsigned i, bool there)
{
	struct vvm_stat_actor *actor = wb->writer->actor;

	if (!bit_get(wb->loose, i))
		stat_add(actor, VVM_STAT_writeback_cancelled_pages, 1);
	else if (!there)
		stat_add(actor, VVM_STAT_writeback_failed_pages, 1);
}

/* What the completed write means for each page. => block lock held. */
static void complete(struct writeback *wb, int result, uint64_t *clean)
{
	struct writer *w = wb->writer;
	struct backing *swap = w->vm->swap;
	struct block *b = wb->extent.block;
	uint64_t flag = wb->extent.own ? SLOT_OF_REGION : 0;
	unsigned i;

	for (i = 0; i < wb->io.pages; i++) {
		unsigned index = wb->index[i];
		bool untouched = pte_state(b->pte[index]) == PAGE_WRITING;
		bool there = is_there(wb, i, result);

		if (untouched && there) {
			space_move(w->vm, w->actor, b, index, PAGE_CLEAN,
				   flag | (wb->io.slot + i));
			bit_set(clean, index);
			continue;
		}
		if (!wb->extent.own)
			swap->ops->give(swap, wb->io.slot + i, 1);
		if (!untouched) {
			count_touched(wb, i, there);
			continue;
		}
		stat_add(w->actor, VVM_STAT_writeback_failed_pages, 1);
		space_move(w->vm, w->actor, b, index, PAGE_DIRTY, 0);
		writeback_back_out(wb, i, i + 1);
	}
}

/* Takes pages that were mapped again since, or pinned, out of `clean`. */
static void keep_referenced(struct writeback *wb, uint64_t *clean)
{
	struct extent *p = &wb->extent;
	uint64_t mapped[EXTENT_WORDS];
	unsigned i;

	extent_mapped(wb->writer->vm, p, mapped);
	for (i = p->first; i < p->end; i++)
		if (bit_get(mapped, i - p->first))
			bit_clear(clean, i);
	for (i = 0; i < wb->io.pages; i++) {
		pte_t *e = &p->block->pte[wb->index[i]];

		if ((*e & PTE_PINNED) || !(*e & PTE_PRESENT))
			bit_clear(clean, wb->index[i]);
	}
}

/*
 * Those that are CLEAN and were not evicted need a digest, or are DIRTY again:
 * space/verify.c. They have been protected since they were copied.
 */
static void note_kept(struct writeback *wb, const uint64_t *clean)
{
	struct writer *w = wb->writer;
	struct block *b = wb->extent.block;
	unsigned i;

	if (!space_is_guarded(w->vm))
		return;
	for (i = 0; i < wb->io.pages; i++) {
		unsigned index = wb->index[i];

		if (!bit_get(clean, index) ||
		    pte_state(b->pte[index]) != PAGE_CLEAN ||
		    verify_note(w->vm, b, index,
				wb->io.buf + pages_to_bytes(i)))
			continue;
		space_move(w->vm, w->actor, b, index, PAGE_DIRTY, 0);
		writeback_back_out(wb, i, i + 1);
	}
}

static void note_failure(struct writeback *wb, int error)
{
	static atomic_flag swap = ATOMIC_FLAG_INIT, own = ATOMIC_FLAG_INIT;
	bool to_file = wb->extent.own;

	wb->writer->error = error;
	if (to_file)
		backing_rest(wb->extent.home, os_now_us());
	log_warn_once(to_file ? &own : &swap,
		      "writing to %s failed (error %d%s): pages stay in "
		      "memory and are tried again",
		      !to_file		      ? "swap"
		      : wb->extent.home->slow ? "a pager"
					      : "a mapped file",
		      -error,
		      error == -EFBIG ? ", the limit on the size of files, "
					"RLIMIT_FSIZE or ulimit -f"
				      : "");
}

static void written(struct io *io, int result)
{
	struct writeback *wb = container_of(io, struct writeback, io);
	struct writer *w = wb->writer;
	struct block *b = wb->extent.block;
	uint64_t clean[EXTENT_WORDS] = {0}, done[EXTENT_WORDS];
	unsigned freed = 0;

	PROBE3(writeback_end, b->base + pages_to_bytes(wb->index[0]), io->pages,
	       result);
	if (result < 0)
		note_failure(wb, result);
	lock_take(&b->lock);
	if (!space_broken(w->vm)) {
		complete(wb, result, clean);
		memcpy(done, clean, sizeof(done));
		if (!w->stays) {
			keep_referenced(wb, clean);
			freed = extent_evict(w->vm, w->actor, &wb->extent,
					     clean, true);
		}
		note_kept(wb, done);
		count_block(wb, -(int)io->pages);
		/* under the lock: who unmaps next finds the frames counted */
		space_give_frames(w->vm, w->actor, freed);
	}
	count_writer(wb, -(int)io->pages);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	/* the block may go away from here on */
	list_insert(&w->idle, &wb->link);
}

unsigned writer_start(struct writer *w, const struct extent *p,
		      const struct pass *pass, const uint16_t *index,
		      unsigned n)
{
	unsigned at = 0, served, freed = 0;

	while (at < n && !writer_busy(w)) {
		struct writeback *wb =
			list_entry(w->idle.next, struct writeback, link);
		unsigned some = MIN(n - at, w->room);

		wb->extent = *p;
		wb->pass = pass;
		memcpy(wb->index, index + at, some * sizeof(*wb->index));
		memset(wb->loose, 0, sizeof(wb->loose));
		freed += p->own ? write_to_own(wb, some, &served)
				: write_to_swap(wb, some, &served);
		if (!served)
			break;
		at += served;
	}
	return freed;
}

/* ---- construction ---- */

int writer_init(struct writer *w, struct vvm *vm, struct vvm_stat_actor *actor,
		struct ring *ring, unsigned count, unsigned room)
{
	uint64_t budget = atomic_load(&vm->frames.budget), pages;
	unsigned i;
	int rc;

	memset(w, 0, sizeof(*w));
	list_init(&w->idle);
	list_init(&w->begun);
	w->vm = vm;
	w->actor = actor;
	w->ring = ring;
	w->count = count;
	w->room = MIN(room, (unsigned)IO_MAX_PAGES);
	pages = (uint64_t)count * w->room;
	w->writebacks = calloc(count, sizeof(*w->writebacks));
	if (!w->writebacks)
		return -ENOMEM;
	rc = buffer_init(&w->buffer, pages_to_bytes(pages),
			 pages <= budget / HUGE_SHARE);
	if (rc < 0) {
		free(w->writebacks);
		w->writebacks = NULL;
		return rc;
	}
	for (i = 0; i < count; i++) {
		struct writeback *wb = &w->writebacks[i];

		wb->writer = w;
		wb->io.done = written;
		wb->io.buf = w->buffer.start + i * pages_to_bytes(w->room);
		list_insert(&w->idle, &wb->link);
	}
	return 0;
}

void writer_fini(struct writer *w)
{
	if (!w->writebacks)
		return;
	ASSERT((!w->pages && !w->slow_pages) || space_broken(w->vm));
	buffer_fini(&w->buffer);
	free(w->writebacks);
	w->writebacks = NULL;
}
