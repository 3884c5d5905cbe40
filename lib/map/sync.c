/* SPDX-License-Identifier: MIT */
/*
 * map/sync.c - what is changed in shared files, to the files.
 *
 * A page of a shared region that was changed gets to its file when it is evicted
 * (evict/writeback.c), or here: for vvm_sync(), for VVM_ADV_DONTNEED, and when it
 * is unmapped.
 *
 * The promise of vvm_sync() is about what was written before the call. Block by
 * block:
 *
 *	1. wait for the write-backs in flight: what they carry is written
 *	   then, or, after an error, DIRTY again. None begins as long as one
 *	   waits (block.awaited).
 *	2. in a guarded space: find out which CLEAN pages have been changed;
 *	3. write each page that is DIRTY or FROZEN (evict/flush.c), once, in the
 *	   order of their addresses. What is written to a page meanwhile makes it
 *	   DIRTY again: it is the next call's. So this ends, however fast
 *	   others write.
 *
 * A page that is neither was changed by nobody, or is in the file already; one
 * that is being filled has not been changed since it was. Then the disk is asked to
 * have it all, without a lock.
 *
 * The mapping lock is held for one block at a time, since a fork waits for it, but
 * not for long. In between regions may come and go: who unmaps writes what is
 * dirty with that lock held, so what a region had that is gone by now is in its
 * file, and the file is still open, since a sync has counted itself as a user.
 *
 * One writer serves all calls, one after the other: it belongs to who holds the
 * mapping lock. It is made with the first shared region, so that unmapping never
 * lacks memory for it.
 *
 * To *forget* pages is to evict those that are CLEAN and unpinned, and to have
 * POISONED ones, and what has been read ahead of, as at the first look.
 */
#include "map/sync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "evict/flush.h"
#include "map/impl.h"
#include "space/verify.h"
#include "util/log.h"

#define WRITEBACKS 4
#define ROOM	   64 /* 256 KiB, as the reclaimer's */

/* (m) all of it */
struct flusher {
	struct writer writer;
	uint16_t index[BLOCK_PAGES];
	void *frames; /* VERIFY_PAGES pages, in guarded spaces */
};

/* ---- construction ---- */

int sync_init(struct vvm *vm)
{
	struct flusher *f;
	int rc;

	if (vm->flusher)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	rc = writer_init(&f->writer, vm, vm->api, NULL, WRITEBACKS, ROOM);
	if (rc == 0 && space_is_guarded(vm))
		rc = os_map_anon(pages_to_bytes(VERIFY_PAGES), &f->frames);
	vm->flusher = f;
	if (rc < 0)
		sync_fini(vm);
	else
		f->writer.stays = true;
	return rc;
}

void sync_fini(struct vvm *vm)
{
	struct flusher *f = vm->flusher;

	if (!f)
		return;
	vm->flusher = NULL;
	writer_fini(&f->writer);
	if (f->frames)
		os_unmap((haddr_t)(uintptr_t)f->frames,
			 pages_to_bytes(VERIFY_PAGES));
	free(f);
}

/* A fork child has counters of its own. => mapping lock held. */
static struct flusher *flusher(struct vvm *vm)
{
	struct flusher *f = vm->flusher;

	f->writer.actor = vm->api;
	f->writer.error = 0;
	return f;
}

/* ---- pages ---- */

/* The next part of a run, from *first on, that is one extent. */
static bool next_extent(struct vvm *vm, const struct run *run, unsigned *first,
			struct extent *p)
{
	gaddr_t at = run->block->base + pages_to_bytes(*first);

	if (*first > run->last || !extent_next(vm, run->block, at, p))
		return false;
	p->end = MIN(p->end, run->last + 1);
	*first = p->end;
	return true;
}

/*
 * Those that are CLEAN, and may leave. Guarded spaces: what has been changed is
 * FROZEN then. -errno: of some it is not known.
 */
static int find_clean(struct vvm *vm, const struct extent *p, uint64_t *clean)
{
	const struct block *b = p->block;
	unsigned i;

	memset(clean, 0, EXTENT_WORDS * sizeof(*clean));
	for (i = p->first; i < p->end; i++)
		if (pte_state(b->pte[i]) == PAGE_CLEAN &&
		    !(b->pte[i] & PTE_PINNED))
			bit_set(clean, i);
	if (!space_is_guarded(vm))
		return 0;
	return verify_clean(vm, vm->api, p, clean, flusher(vm)->frames);
}

/*
 * A pinned page that is CLEAN cannot be kept from changing. If it has changed it
 * is DIRTY from now on.
 */
static int find_changed_pins(struct vvm *vm, const struct extent *p)
{
	struct block *b = p->block;
	char *buf = flusher(vm)->frames;
	unsigned i;
	int rc;

	for (i = p->first; b->pinned && i < p->end; i++) {
		if (pte_state(b->pte[i]) != PAGE_CLEAN ||
		    !(b->pte[i] & PTE_PINNED))
			continue;
		rc = os_frame_read(vm->memfd, buf, PAGE_BYTES,
				   extent_host(p, i));
		if (rc < 0)
			return rc;
		if (!verify_same(vm, b, i, buf))
			space_move(vm, vm->api, b, i, PAGE_DIRTY, 0);
	}
	return 0;
}

/* Has what is to be written of p in one of the states that say so. */
static int find_changed(struct vvm *vm, const struct extent *p)
{
	uint64_t clean[EXTENT_WORDS];
	int rc;

	if (!space_is_guarded(vm))
		return 0;
	rc = find_clean(vm, p, clean);
	return rc < 0 ? rc : find_changed_pins(vm, p);
}

/* Begins to write what is dirty of p from *first on; *first: where to go on. */
static int start_writes(struct vvm *vm, const struct extent *p, unsigned *first)
{
	struct flusher *f = flusher(vm);
	const struct block *b = p->block;
	unsigned i, n = 0, served;
	int rc;

	for (i = *first; i < p->end; i++)
		if (b->pte[i] & PTE_DIRTY)
			f->index[n++] = (uint16_t)i;
	rc = flush_start(&f->writer, p, f->index, n, &served);
	*first = served < n ? f->index[served] : p->end;
	return rc;
}

static int write_extent(struct vvm *vm, const struct extent *p)
{
	struct block *b = p->block;
	unsigned first = p->first;
	int rc = 0, error = 0;

	while (rc == 0 && first < p->end) {
		lock_take(&b->lock);
		space_wait_busy(vm, b, 1, 0, true); /* of writes only */
		if (space_broken(vm))
			rc = -EOWNERDEAD;
		else if (first == p->first)
			rc = find_changed(vm, p);
		if (rc == 0)
			rc = start_writes(vm, p, &first);
		lock_drop(&b->lock);
		writer_submit(&vm->flusher->writer);
		if (vm->flusher->writer.error)
			error = vm->flusher->writer.error;
	}
	return error ?: rc;
}

/* The first error, but all that can be written is. */
static int write_run(struct vvm *vm, const struct run *run)
{
	unsigned first = run->first;
	struct extent p;
	int rc = 0, failed;

	while (next_extent(vm, run, &first, &p)) {
		failed = write_extent(vm, &p);
		rc = rc ?: failed;
	}
	return rc;
}

/*
 * Pages without a frame: what was read ahead (space/standby.c), or could not be
 * read, is read when it is needed. => block lock held.
 */
static void forget_absent(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	unsigned i;

	for (i = run->first; i <= run->last; i++) {
		enum page_state s = pte_state(b->pte[i]);

		if (s != PAGE_POISONED && s != PAGE_SWAPPED)
			continue;
		space_move(vm, vm->api, b, i, PAGE_FRESH, 0);
		space_begin_page(b, i, run->region);
	}
}

/*
 * The mapping goes first, which spares a shootdown for each page, and is also how
 * poison markers go. None of the pages is FILLING. => block lock held.
 */
static int forget_still(struct vvm *vm, const struct run *run)
{
	uint64_t bytes = pages_to_bytes(run->last - run->first + 1);
	uint64_t clean[EXTENT_WORDS];
	unsigned first = run->first;
	struct extent p;
	int rc = 0, failed;

	if (!space_is_guarded(vm))
		rc = os_advise(run->host, bytes, OS_ADV_DONTNEED);
	if (rc == -ENOMEM && !os_all_mapped(run->host, bytes))
		rc = 0; /* the program has unmapped some, the rest is done */
	run->block->passed_us = os_now_us();
	while (rc == 0 && next_extent(vm, run, &first, &p)) {
		failed = find_clean(vm, &p, clean);
		space_give_frames(vm, vm->api,
				  extent_evict(vm, vm->api, &p, clean, false));
		rc = rc ?: failed;
	}
	if (rc == 0)
		forget_absent(vm, run);
	return rc < 0 ? -ENOMEM : 0;
}

/* A read that is on its way may have begun long ago. */
static int forget_run(struct vvm *vm, const struct run *run)
{
	struct block *b = run->block;
	unsigned at = run->first;
	int rc = 0;

	lock_take(&b->lock);
	while (rc == 0 && at <= run->last) {
		struct run part = mapping_still_part(vm, run, at);

		rc = forget_still(vm, &part);
		at = part.last + 1;
	}
	lock_drop(&b->lock);
	return rc;
}

/* Calls fn for the next run. */
static int with_next_run(struct vvm *vm, gaddr_t *at, gaddr_t end,
			 int (*fn)(struct vvm *vm, const struct run *run))
{
	struct run run;
	int rc = 0;

	lock_take(&vm->mapping);
	if (!mapping_next_run(vm, *at, end, &run)) {
		*at = run.block ? MIN(end, run.block->base + BLOCK_BYTES) : end;
	} else {
		*at = mapping_run_end(&run);
		rc = fn(vm, &run);
	}
	lock_drop(&vm->mapping);
	return rc;
}

static int write_if_shared(struct vvm *vm, const struct run *run)
{
	return region_home(run->region) ? write_run(vm, run) : 0;
}

/* ---- for other calls of the mappings ---- */

static int write_undiscarded(struct vvm *vm, const struct run *run)
{
	return run->region->backing && run->region->backing->discards
		       ? 0
		       : write_if_shared(vm, run);
}

void sync_ahead(struct vvm *vm, gaddr_t start, gaddr_t end, bool discard)
{
	bool any;

	lock_take(&vm->mapping);
	any = vm->flusher != NULL;
	lock_drop(&vm->mapping);
	while (any && start < end)
		with_next_run(vm, &start, end,
			      discard ? write_undiscarded : write_if_shared);
}

/* What cannot be written stays dirty, so nothing is lost. */
int sync_discard(struct vvm *vm, const struct run *run)
{
	write_run(vm, run);
	return forget_run(vm, run);
}

/* In a broken space nobody knows what is in the frames. */
void sync_unmapped(struct vvm *vm, const struct region *r, struct block *b,
		   unsigned first, unsigned last)
{
	if (!space_broken(vm))
		flush_gone(&flusher(vm)->writer, r, b, first, last);
}

/* ---- vvm_sync() ---- */

/* => mapping lock held */
static int note_files(struct vvm *vm, gaddr_t start, gaddr_t end,
		      struct sync_files *files)
{
	struct region *r = regions_next_guest(&vm->regions, start);
	size_t n = files->count;

	for (; r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end)) {
		struct backing *file = region_home(r);
		struct sync_file *more;

		files->read_only |= !file && region_is_shared(r);
		if (!file || (n && files->file[n - 1].file == file))
			continue;
		more = realloc(files->file, (n + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		files->file = more;
		more[n++] = (struct sync_file){file,
					       atomic_load(&file->sync_errors)};
		backing_use(file);
		files->count = n;
	}
	return 0;
}

int sync_begin(struct vvm *vm, gaddr_t start, gaddr_t end, bool pins,
	       struct sync_files *files)
{
	int rc = 0;

	memset(files, 0, sizeof(*files));
	lock_take(&vm->mapping);
	rwlock_read(&vm->lock);
	files->holes = !regions_cover(&vm->regions, start, end);
	if (pins && mapping_any_pinned(vm, start, end))
		rc = -EBUSY;
	rwlock_end_read(&vm->lock);
	if (rc == 0)
		rc = note_files(vm, start, end, files);
	lock_drop(&vm->mapping);
	if (rc < 0)
		sync_end(vm, files);
	return rc;
}

void sync_end(struct vvm *vm, struct sync_files *files)
{
	size_t i;

	lock_take(&vm->mapping);
	for (i = 0; i < files->count; i++)
		backing_drop(files->file[i].file);
	lock_drop(&vm->mapping);
	free(files->file);
	memset(files, 0, sizeof(*files));
}

int sync_write(struct vvm *vm, gaddr_t *at, gaddr_t end)
{
	return with_next_run(vm, at, end, write_if_shared);
}

/* Of what can never be written to nothing is to be kept. */
static int forget_if_shared(struct vvm *vm, const struct run *run)
{
	int rc;

	if (region_home(run->region))
		return forget_run(vm, run);
	if (!region_is_shared(run->region))
		return 0;
	rc = mapping_discard_run(vm, run);
	return rc == -EBUSY ? 0 : rc; /* pinned since, so it stays */
}

int sync_forget(struct vvm *vm, gaddr_t *at, gaddr_t end)
{
	return with_next_run(vm, at, end, forget_if_shared);
}

int sync_disk(const struct sync_files *files)
{
	int rc = 0, failed;
	size_t i;

	for (i = 0; i < files->count; i++) {
		struct sync_file *f = &files->file[i];

		failed = f->file->ops->sync(f->file, f->seen);
		rc = rc ?: failed;
	}
	return rc;
}
