/* SPDX-License-Identifier: MIT */
/*
 * heap/report.c - what is wrong with a pointer, and saying so.
 *
 * Only a faulty program comes here, so it may take its time; but it may have
 * run over anything, so this looks at the heap's own tables only, and writes
 * without stdio.
 */
#include "heap/heap.h"

#include <stdlib.h>
#include <string.h>

#include "util/log.h"

static const char *const texts[] = {
	[VVM_HEAP_DOUBLE_FREE] = "freed, but it is free already",
	[VVM_HEAP_FOREIGN] = "not an object of this heap",
	[VVM_HEAP_INTERIOR] = "points into an object, not to its start",
	[VVM_HEAP_OVERRUN] = "bytes behind the object were written",
	[VVM_HEAP_USE_AFTER_FREE] = "written after it was freed",
	[VVM_HEAP_REENTERED] = ("the heap is called by a signal handler that "
				"has interrupted it"),
};

void heap_report(struct vvm_heap *h, enum vvm_heap_misuse what, const void *ptr)
{
	atomic_fetch_add(&h->misuses, 1);
	if (h->report) {
		h->report(h->report_arg, (int)what, ptr, texts[what]);
		return;
	}
	log_error("heap: %p: %s", ptr, texts[what]);
	abort();
}

/* The large object that has page i inside it, or 0. */
static heap_page_t large_around(const struct vvm_heap *h, heap_page_t i)
{
	heap_page_t at;
	heap_entry_t e;

	for (at = i; at > 0; at--) {
		e = heap_entry(h, at);
		if (heap_kind(e) == HEAP_LARGE)
			return at + heap_run_pages(e) > i ? at : 0;
		if (heap_kind(e) != HEAP_NONE)
			return 0;
	}
	return 0;
}

static enum vvm_heap_misuse diagnose_small(const struct vvm_heap *h,
					   const void *ptr, heap_entry_t e)
{
	struct heap_object o;

	if (!heap_find(h, ptr, e, &o))
		return VVM_HEAP_INTERIOR;
	switch (heap_state(&o.span->state[o.index])) {
	case HEAP_FRESH:
	case HEAP_CACHED_FRESH:
		return VVM_HEAP_FOREIGN; /* it never was one */
	default:
		return VVM_HEAP_DOUBLE_FREE;
	}
}

void heap_report_pointer(struct vvm_heap *h, const void *ptr)
{
	uint64_t off = (uintptr_t)ptr - h->base;
	enum vvm_heap_misuse what = VVM_HEAP_FOREIGN;
	heap_page_t i = (heap_page_t)(off >> PAGE_SHIFT);
	heap_entry_t e;

	if (off < h->bytes && i > 0) {
		e = heap_entry(h, i);
		if (heap_kind(e) == HEAP_SMALL)
			what = diagnose_small(h, ptr, e);
		else if (large_around(h, i))
			what = VVM_HEAP_INTERIOR;
		else if (i < h->pages.top)
			what = VVM_HEAP_DOUBLE_FREE; /* its page is free */
	}
	heap_report(h, what, ptr);
}
