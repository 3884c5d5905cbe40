/* SPDX-License-Identifier: MIT */
/*
 * evict/flush.c - dirty pages of shared files on their way there because
 * somebody asks for it, not because their frames are wanted.
 *
 * A victim may be left alone when something is in the way. What is flushed may
 * not: all that was written to the page before is to be in the file. So a page
 * that cannot be kept from changing while it is copied is *loose*: the copy is
 * written, which has what came before, and the page stays as it is, DIRTY or
 * FROZEN, so that what comes in the middle of it is written some other time. Such
 * are
 *	- pinned pages, to which a device may write;
 *	- those that the kernel may hold for a system call (space/grip.c);
 *	- those that it does not protect for want of memory, or that a fork child
 *	  reads and there is no memory for a copy.
 * The others become CLEAN as in evict/writeback.c, and stay resident.
 *
 * flush_gone() is for pages that nobody can touch any more, since they have been
 * unmapped. There is nothing to protect, and no state to go to.
 */
#include "evict/flush.h"

#include <errno.h>
#include <string.h>

#include "evict/impl.h"
#include "snapshot/snapshot.h"
#include "space/verify.h"
#include "space/view.h"
#include "util/log.h"

#define COPY_TRIES 10 /* each is a yield: a moment's lack of memory */

/* ---- pages that are in use ---- */

static haddr_t host_of(const struct writeback *wb, unsigned i)
{
	return extent_host(&wb->extent, wb->index[i]);
}

/* FROZEN pages are DIRTY from here on; what fork children need is copied. */
static void thaw(struct writeback *wb, unsigned n)
{
	struct block *b = wb->extent.block;
	struct writer *w = wb->writer;
	unsigned i;

	for (i = 0; i < n; i++) {
		pte_t e = b->pte[wb->index[i]];
		bool pinned = e & PTE_PINNED;

		if (!pinned && pte_state(e) != PAGE_FROZEN)
			continue;
		if (pinned || snapshot_copy(w->vm, host_of(wb, i)) < 0)
			bit_set(wb->loose, i);
		else
			space_move(w->vm, w->actor, b, wb->index[i], PAGE_DIRTY,
				   0);
	}
}

static void loosen(struct writeback *wb, unsigned from, unsigned to)
{
	writeback_back_out(wb, from, to);
	for (; from < to; from++)
		bit_set(wb->loose, from);
}

static void protect(struct writeback *wb, unsigned n)
{
	const struct extent *p = &wb->extent;
	unsigned from, to;

	for (from = 0; from < n; from = to) {
		for (to = from; to < n && !bit_get(wb->loose, to); to++)
			;
		if (to == from)
			to++;
		else if (view_protect(wb->writer->vm, p->uffd,
				      host_of(wb, from),
				      pages_to_bytes(to - from)) < 0)
			loosen(wb, from, to);
	}
}

/* It can be told only when they are protected. */
static void loosen_gripped(struct writeback *wb, unsigned n)
{
	struct vvm *vm = wb->writer->vm;
	struct grip_view view;
	unsigned i;

	if (!grips_view(&vm->grips, atomic_load(&vm->frames.budget), &view))
		return;
	for (i = 0; i < n; i++)
		if (!bit_get(wb->loose, i) &&
		    grip_holds(&view, host_of(wb, i), true, 0))
			loosen(wb, i, i + 1);
}

static int copy(struct writeback *wb, unsigned n)
{
	unsigned tries, copied;
	int rc;

	for (tries = 0; tries < COPY_TRIES; tries++) {
		rc = writeback_copy(wb, n, &copied);
		if (rc == 0)
			return 0;
		os_yield();
	}
	loosen(wb, 0, n);
	return rc;
}

int flush_start(struct writer *w, const struct extent *p, const uint16_t *index,
		unsigned n, unsigned *served)
{
	int rc = 0;

	*served = 0;
	while (rc == 0 && *served < n && !writer_busy(w)) {
		struct writeback *wb =
			list_entry(w->idle.next, struct writeback, link);
		unsigned some = MIN(n - *served, w->room);

		wb->extent = *p;
		wb->pass = NULL;
		memset(wb->loose, 0, sizeof(wb->loose));
		memcpy(wb->index, index + *served, some * sizeof(*index));
		some = writeback_run(wb, some);
		thaw(wb, some);
		protect(wb, some);
		loosen_gripped(wb, some);
		rc = copy(wb, some);
		if (rc == 0)
			writeback_begin(wb, some, extent_slot(p, wb->index[0]));
		*served += some;
	}
	return rc;
}

/* ---- pages that have been unmapped ---- */

/* Its result is a count of pages that are not in the file. */
struct gone {
	struct io io;
	unsigned failed;
};

static void gone_done(struct io *io, int result)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	struct gone *g = container_of(io, struct gone, io);
	unsigned i;

	for (i = 0; i < io->pages; i++)
		g->failed += io_page_bad(io, i);
	if (result < 0)
		log_warn_once(
			&once,
			"writing to a file or pager that is being unmapped failed "
			"(error %d): changed pages of it are lost",
			-result);
}

/* May page i not be as in its file? */
static bool may_differ(const struct vvm *vm, pte_t e)
{
	return (e & PTE_DIRTY) ||
	       (space_is_guarded(vm) && pte_state(e) == PAGE_CLEAN);
}

static int read_frames(struct vvm *vm, char *buf, haddr_t host, unsigned n)
{
	unsigned tries = 0;
	int rc;

	while ((rc = os_frame_read(vm->memfd, buf, pages_to_bytes(n), host)) <
		       0 &&
	       ++tries < COPY_TRIES)
		os_yield();
	return rc;
}

/* Which of the pages [from, to), whose frames are in buf, have been changed? */
static void find_changed(const struct vvm *vm, struct block *b, unsigned from,
			 unsigned to, const char *buf, uint64_t *changed)
{
	unsigned i;

	lock_take(&b->lock); /* others may make digests */
	for (i = from; i < to; i++, buf += PAGE_BYTES)
		if ((b->pte[i] & PTE_DIRTY) || !verify_same(vm, b, i, buf))
			bit_set(changed, i - from);
	lock_drop(&b->lock);
}

/* Those of pages [from, to) of r that differ; all of them may. */
static unsigned write_gone(struct writer *w, const struct region *r,
			   struct block *b, unsigned from, unsigned to)
{
	gaddr_t addr = b->base + pages_to_bytes(from);
	uint64_t changed[BITS_WORDS(IO_MAX_PAGES)] = {0};
	struct gone g = {.io.done = gone_done, .io.home = r->backing};
	char *buf = w->buffer.start;
	unsigned i, end;

	if (read_frames(w->vm, buf, region_to_host(r, addr), to - from) < 0)
		return to - from;
	find_changed(w->vm, b, from, to, buf, changed);
	for (i = from; i < to; i = end) {
		for (end = i; end < to && bit_get(changed, end - from); end++)
			;
		if (end == i) {
			end++;
			continue;
		}
		g.io.addr = b->base + pages_to_bytes(i);
		g.io.slot = region_slot(r, g.io.addr) & ~SLOT_OF_REGION;
		g.io.pages = end - i;
		g.io.buf = buf + pages_to_bytes(i - from);
		io_write(&g.io, NULL);
		stat_add(w->actor, VVM_STAT_swapout_pages, end - i);
		stat_add(w->actor, VVM_STAT_swapout_writes, 1);
	}
	return g.failed;
}

void flush_gone(struct writer *w, const struct region *r, struct block *b,
		unsigned first, unsigned last)
{
	unsigned from, to, failed = 0;

	for (from = first; from <= last; from = to) {
		for (to = from; to <= last && to - from < w->room &&
				may_differ(w->vm, b->pte[to]);
		     to++)
			;
		if (to == from)
			to++;
		else
			failed += write_gone(w, r, b, from, to);
	}
	stat_add(w->actor, VVM_STAT_writeback_failed_pages, failed);
}
