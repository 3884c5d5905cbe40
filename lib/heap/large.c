/* SPDX-License-Identifier: MIT */
/*
 * heap/large.c - objects of more than 32 KiB, each in a run of its own.
 *
 * The table of pages holds all there is to know: the entry of the first page
 * has the length of the run, the next entry the bytes asked for. An object of n
 * pages has a run of at least n + 1. The page behind the object, the *gap*,
 * stays untouched: if it was written, the object was overrun, and
 * vvm_residency() tells that without a fault. (A run that is used again may
 * have a gap that was written before; then this gap is not watched.) In a
 * hardened heap the gap has no permissions, the rest of the last page is filled
 * and checked, and what is freed is given back at once, so it reads as zeros.
 *
 * Address space costs nothing here, so an object that has to move because it
 * grows gets a run of twice its size, to grow into: a chain of realloc()s
 * copies each byte about once. While it is moved, what has been copied is
 * given back, so that it needs frames and swap once, not twice.
 *
 * Rejected: moving the page table entries instead of the bytes. A frame lies
 * in the memfd at the offset of its page (space/space.c), so a resident page
 * must be copied anyway, and slots would need a new kind of move in the engine.
 */
#include "heap/heap.h"

#include <errno.h>
#include <string.h>

/* Zeroing this much costs less than the faults on fresh pages would. */
#define CLEAR_BYTES ((size_t)256 << 10)
/* Copied at a time when an object moves. */
#define MOVE_BYTES ((size_t)1 << 20)
/* Flags of an entry that are about the gap. */
#define GAP_FLAGS (HEAP_GAP_CLEAN | HEAP_GAP_GUARDED)
/* Each costs two of the process's 65,530 mappings. */
#define GUARDS_MAX 8192
#define TAIL_FILL  0x5e

/* ---- the gap ---- */

static uint64_t bytes_of(const struct vvm_heap *h, heap_page_t first)
{
	return heap_entry(h, first + 1) >> 2;
}

static heap_page_t gap_of(const struct vvm_heap *h, heap_page_t first)
{
	return first + (heap_page_t)bytes_to_pages(bytes_of(h, first));
}

static uint64_t page_addr(const struct vvm_heap *h, heap_page_t i)
{
	return h->base + pages_to_bytes(i);
}

static bool all_zero(const char *page)
{
	return !*page && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

/*
 * Was the page written? A dirty page may also have been filled with zeros ahead
 * of a stream, and in a fork child such a page counts as swapped; a clean one may
 * have been written to in guard mode. So its content decides. To look costs
 * nothing if the page is resident; one in swap has, but for that case, been
 * written anyway.
 */
static bool page_written(const struct vvm_heap *h, heap_page_t i)
{
	unsigned char flags = 0;

	if (vvm_residency(h->vm, page_addr(h, i), PAGE_BYTES, &flags) < 0)
		return false;
	return flags & (VVM_PAGE_RESIDENT | VVM_PAGE_SWAPPED) &&
	       !all_zero(heap_page_ptr(h, i));
}

/* The flags for a gap; fresh: known to be untouched. */
static heap_entry_t watch_gap(struct vvm_heap *h, heap_page_t gap, bool fresh)
{
	if (h->hardened && atomic_fetch_add(&h->guards, 1) < GUARDS_MAX &&
	    vvm_protect(h->vm, page_addr(h, gap), PAGE_BYTES, VVM_NONE) == 0)
		return HEAP_GAP_GUARDED;
	if (h->hardened)
		atomic_fetch_sub(&h->guards, 1);
	return fresh || !page_written(h, gap) ? HEAP_GAP_CLEAN : 0;
}

/* Takes the guard away. False: the kernel does not let us, it stays. */
static bool unguard_gap(struct vvm_heap *h, heap_page_t gap, heap_entry_t flags)
{
	if (!(flags & HEAP_GAP_GUARDED))
		return true;
	if (vvm_protect(h->vm, page_addr(h, gap), PAGE_BYTES,
			VVM_READ | VVM_WRITE) < 0)
		return false;
	atomic_fetch_sub(&h->guards, 1);
	return true;
}

/* ---- the tail: what is left of the last page, in a hardened heap ---- */

static void tail_of(const struct vvm_heap *h, heap_page_t first, char **tail,
		    size_t *bytes)
{
	uint64_t used = bytes_of(h, first);

	*tail = heap_page_ptr(h, first) + used;
	*bytes = page_ceil(used) - used;
}

static void arm_tail(struct vvm_heap *h, heap_page_t first)
{
	size_t bytes;
	char *tail;

	tail_of(h, first, &tail, &bytes);
	memset(tail, TAIL_FILL, bytes);
}

static bool tail_written(const struct vvm_heap *h, heap_page_t first)
{
	size_t bytes;
	char *tail;

	tail_of(h, first, &tail, &bytes);
	return bytes &&
	       (tail[0] != TAIL_FILL || memcmp(tail, tail + 1, bytes - 1));
}

/*
 * Looks for the last time at what is behind the object, and reports an overrun.
 * False: the gap is guarded still, and cannot be used by anybody.
 */
static bool unwatch(struct vvm_heap *h, heap_page_t first, heap_entry_t e)
{
	heap_page_t gap = gap_of(h, first);
	bool free = unguard_gap(h, gap, e & GAP_FLAGS);
	bool written = e & HEAP_GAP_CLEAN && page_written(h, gap);

	if (h->hardened)
		written |= tail_written(h, first);
	if (written)
		heap_report(h, VVM_HEAP_OVERRUN, heap_page_ptr(h, first));
	return free;
}

/* ---- allocation ---- */

/* What the program may use of an object of so many bytes. */
static uint64_t usable(const struct vvm_heap *h, uint64_t bytes)
{
	return h->hardened ? bytes : page_ceil(bytes);
}

static void count_large(struct vvm_heap *h, int objects, uint64_t before,
			uint64_t after)
{
	h->pages.large += (uint64_t)objects;
	h->pages.large_bytes += usable(h, after) - usable(h, before);
}

/* Takes a run of `run` pages; the object may use all of them but one. */
static heap_page_t take(struct vvm_heap *h, heap_page_t run, size_t align,
			size_t bytes, bool *fresh)
{
	struct heap_cache *c = heap_cache_get(h);
	heap_page_t first;

	if (!heap_enter(c)) {
		heap_report(h, VVM_HEAP_REENTERED, NULL);
		return 0;
	}
	lock_take(&h->pages.lock);
	first = heap_pages_take(h, run, (heap_page_t)bytes_to_pages(align),
				fresh);
	if (first)
		count_large(h, 1, 0, bytes);
	lock_drop(&h->pages.lock);
	heap_leave(c);
	if (first && !*fresh)
		heap_pages_void(h, page_addr(h, first), page_ceil(bytes));
	return first;
}

/* Makes the memory of a dirty run read as zeros. */
static void clear(struct vvm_heap *h, heap_page_t first, size_t bytes)
{
	if (bytes <= CLEAR_BYTES ||
	    vvm_advise(h->vm, page_addr(h, first), bytes, VVM_ADV_DONTNEED) < 0)
		memset(heap_page_ptr(h, first), 0, bytes);
}

/* => the run was just taken: nobody else knows it. */
static void *publish(struct vvm_heap *h, heap_page_t first, heap_page_t run,
		     size_t bytes, bool fresh)
{
	heap_page_t gap = first + (heap_page_t)bytes_to_pages(bytes);
	heap_entry_t flags = watch_gap(h, gap, fresh);

	heap_set_entry(h, first + 1, (heap_entry_t)bytes << 2);
	heap_set_entry(h, first,
		       HEAP_LARGE | flags |
			       (heap_entry_t)run << HEAP_RUN_SHIFT);
	if (h->hardened)
		arm_tail(h, first);
	return heap_page_ptr(h, first);
}

static bool too_large(const struct vvm_heap *h, size_t bytes, size_t align)
{
	return bytes >= h->bytes || align >= h->bytes;
}

void *heap_large_alloc(struct vvm_heap *h, size_t bytes, size_t align,
		       bool zero)
{
	bool fresh = zero && bytes > CLEAR_BYTES;
	heap_page_t first, run;

	if (too_large(h, bytes, align))
		return NULL;
	run = (heap_page_t)bytes_to_pages(MAX(bytes, 1u)) + 1;
	first = take(h, run, align, MAX(bytes, 1u), &fresh);
	if (!first)
		return NULL;
	if (zero && !fresh)
		clear(h, first, bytes);
	return publish(h, first, run, MAX(bytes, 1u), fresh);
}

/* ---- freeing ---- */

/*
 * Takes the object at page first out of the table, if its entry is still e.
 * When two threads free one object, this succeeds for one of them; the other
 * reports.
 */
static bool claim(struct vvm_heap *h, heap_page_t first, heap_entry_t e)
{
	return heap_kind(e) == HEAP_LARGE &&
	       atomic_compare_exchange_strong(&h->page[first], &e, HEAP_NONE);
}

/*
 * Gives back the run of an object; clean: its own pages read as zeros; gap: the
 * one behind it, too, else that is never used again.
 */
static void release(struct vvm_heap *h, heap_page_t first, heap_entry_t e,
		    bool clean, bool gap)
{
	struct heap_cache *c = heap_cache_get(h);
	heap_page_t run = heap_run_pages(e), behind;
	uint64_t bytes = bytes_of(h, first);
	heap_page_t pages = (heap_page_t)bytes_to_pages(bytes);

	heap_enter(c); /* heap_may_enter() has said so */
	lock_take(&h->pages.lock);
	heap_set_entry(h, first + 1, HEAP_NONE);
	count_large(h, -1, bytes, 0);
	behind = pages + !gap;
	if ((clean || !gap) && run > behind)
		heap_pages_give(h, first + behind, run - behind, true);
	heap_pages_give(h, first, clean || !gap ? pages : run, !clean);
	lock_drop(&h->pages.lock);
	heap_pages_settle(h);
	heap_leave(c);
}

/* Makes the object read as zeros. */
static bool discard(struct vvm_heap *h, heap_page_t first)
{
	return vvm_advise(h->vm, page_addr(h, first), bytes_of(h, first),
			  VVM_ADV_DONTNEED) == 0;
}

void heap_large_free(struct vvm_heap *h, void *ptr)
{
	heap_page_t first = heap_page_at(h, ptr);
	heap_entry_t e = heap_entry(h, first);
	bool gap;

	if (!heap_may_enter(h, ptr))
		return;
	if (!claim(h, first, e)) {
		heap_report(h, VVM_HEAP_DOUBLE_FREE, ptr);
		return;
	}
	gap = unwatch(h, first, e);
	release(h, first, e, h->hardened && discard(h, first), gap);
}

size_t heap_large_usable(const struct vvm_heap *h, const void *ptr)
{
	return usable(h, bytes_of(h, heap_page_at(h, ptr)));
}

/* ---- realloc ---- */

/* Makes the run of the object long enough, in place. */
static bool lengthen(struct vvm_heap *h, heap_page_t first, heap_page_t *run,
		     heap_page_t need)
{
	bool ok = true;

	if (*run < need)
		ok = heap_pages_extend(h, first + *run, need - *run);
	if (ok)
		*run = MAX(*run, need);
	return ok;
}

/*
 * Gives back the end of a run when the object got smaller: everything behind
 * the new gap. A part of that may never have been touched.
 */
static void shorten(struct vvm_heap *h, heap_page_t first, heap_page_t *run,
		    heap_page_t need)
{
	if (*run <= need)
		return;
	heap_pages_give(h, first + need, *run - need, true);
	*run = need;
}

/* Fits the run to a new size; returns it, 0 if there is no room. */
static heap_page_t change(struct vvm_heap *h, heap_page_t first,
			  heap_page_t run, uint64_t bytes)
{
	heap_page_t need = (heap_page_t)bytes_to_pages(bytes) + 1;
	struct heap_cache *c = heap_cache_get(h);
	uint64_t old = bytes_of(h, first);
	bool ok = true;

	heap_enter(c);
	lock_take(&h->pages.lock);
	if (bytes > old)
		ok = lengthen(h, first, &run, need);
	else
		shorten(h, first, &run, need);
	if (ok)
		count_large(h, 0, old, bytes);
	lock_drop(&h->pages.lock);
	heap_leave(c);
	return ok ? run : 0;
}

void *heap_large_resize(struct vvm_heap *h, void *ptr, size_t bytes)
{
	heap_page_t first = heap_page_at(h, ptr), run;
	heap_entry_t e = heap_entry(h, first);

	if (bytes <= HEAP_SMALL_MAX || too_large(h, bytes, 1) ||
	    !heap_may_enter(h, ptr))
		return NULL;
	if (!h->hardened && page_ceil(bytes) == page_ceil(bytes_of(h, first))) {
		heap_set_entry(h, first + 1, (heap_entry_t)bytes << 2);
		return ptr;
	}
	if (!unwatch(h, first, e))
		return NULL;
	run = change(h, first, heap_run_pages(e), bytes);
	if (!run) { /* it stays as it was, for now */
		publish(h, first, heap_run_pages(e), bytes_of(h, first), false);
		return NULL;
	}
	publish(h, first, run, bytes, false);
	heap_pages_settle(h);
	return ptr;
}

/*
 * Pages to take for an object that may grow again: twice as many, while less
 * than half of the addresses are taken.
 */
static heap_page_t roomy(const struct vvm_heap *h, heap_page_t pages)
{
	uint64_t run = (uint64_t)pages * 2;

	if (h->pages.top + run > h->pages.end / 2)
		return pages + 1;
	return (heap_page_t)run + 1;
}

/*
 * Copies, and discards the source as it goes. True: the source reads as zeros.
 */
static bool copy_away(struct vvm_heap *h, char *to, char *from, size_t bytes)
{
	size_t done, n;
	bool clean = bytes > MOVE_BYTES;

	for (done = 0; done < bytes; done += n) {
		n = MIN(MOVE_BYTES, bytes - done);
		memcpy(to + done, from + done, n);
		if (clean)
			clean = vvm_advise(h->vm, (uintptr_t)from + done, n,
					   VVM_ADV_DONTNEED) == 0;
	}
	return clean;
}

/* => bytes is more than the object has. */
static void *grow_elsewhere(struct vvm_heap *h, heap_page_t first,
			    heap_entry_t e, size_t bytes)
{
	heap_page_t run = roomy(h, (heap_page_t)bytes_to_pages(bytes)), to;
	bool fresh = true, clean, gap;

	to = take(h, run, 1, bytes, &fresh);
	if (!to) {
		run = (heap_page_t)bytes_to_pages(bytes) + 1;
		to = take(h, run, 1, bytes, &fresh);
	}
	if (!to)
		return NULL;
	publish(h, to, run, bytes, fresh);
	gap = unwatch(h, first, e);
	clean = copy_away(h, heap_page_ptr(h, to), heap_page_ptr(h, first),
			  usable(h, bytes_of(h, first)));
	heap_set_entry(h, first, HEAP_NONE);
	release(h, first, e, clean, gap);
	h->moves++;
	return heap_page_ptr(h, to);
}

void *heap_large_move(struct vvm_heap *h, void *ptr, size_t bytes)
{
	heap_page_t first = heap_page_at(h, ptr);
	heap_entry_t e = heap_entry(h, first);
	void *to;

	if (too_large(h, bytes, 1))
		return NULL;
	if (bytes > bytes_of(h, first))
		return grow_elsewhere(h, first, e, bytes);
	to = vvm_malloc(h, bytes);
	if (to) {
		memcpy(to, ptr, bytes);
		heap_large_free(h, ptr);
	}
	return to;
}
