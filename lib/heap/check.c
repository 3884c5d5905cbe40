/* SPDX-License-Identifier: MIT */
/*
 * heap/check.c - verifies the numbered invariants of heap/span.c and
 * heap/pages.c over a whole heap. For tests: nobody else may use it meanwhile.
 */
#include "heap/heap.h"

#include <string.h>

/* What the walk over the pages has counted. */
struct audit {
	uint64_t used, dirty, large;
	uint64_t spans[HEAP_CLASSES], out[HEAP_CLASSES], listed[HEAP_CLASSES];
};

static const char *check_none(const struct vvm_heap *h, heap_page_t from,
			      heap_page_t end)
{
	for (; from < end; from++)
		if (heap_entry(h, from) != HEAP_NONE)
			return "pages (1): an entry inside a run is not NONE";
	return NULL;
}

static const char *check_free(const struct vvm_heap *h, heap_page_t i,
			      heap_entry_t e, struct audit *a)
{
	heap_page_t n = heap_run_pages(e), top = h->pages.top;
	heap_entry_t next;

	if (!n || i + n > top ||
	    (n > 1 && heap_entry(h, i + n - 1) != (e | HEAP_LAST)))
		return "pages (1): the ends of a free run differ";
	if (e & HEAP_DIRTY)
		a->dirty += n;
	else if (i + n == top)
		return "pages (2): a clean run ends at top";
	next = i + n < top ? heap_entry(h, i + n) : HEAP_NONE;
	if (heap_kind(next) == HEAP_FREE && !((next ^ e) & HEAP_DIRTY))
		return "pages (2): two free runs of a kind touch";
	return n > 2 ? check_none(h, i + 1, i + n - 1) : NULL;
}

static const char *check_large(const struct vvm_heap *h, heap_page_t i,
			       heap_entry_t e, struct audit *a)
{
	heap_page_t n = heap_run_pages(e);
	uint64_t bytes = heap_entry(h, i + 1) >> 2;

	a->used += n;
	a->large++;
	if (i + n > h->pages.top || !bytes || bytes_to_pages(bytes) >= n)
		return "a large object does not fit its run";
	return check_none(h, i + 2, i + n);
}

static const char *check_entries(const struct vvm_heap *h, heap_page_t i,
				 heap_entry_t e, unsigned pages)
{
	unsigned n;

	for (n = 0; n < pages; n++)
		if (heap_entry(h, i + n) != (e | (heap_entry_t)n << 9))
			return "the entries of a span differ";
	return NULL;
}

static unsigned count_free(const struct span *s, unsigned count, unsigned *low)
{
	unsigned n, free = 0;

	*low = count;
	for (n = count; n-- > 0;)
		if (heap_state(&s->state[n]) <= HEAP_USED) {
			free++;
			*low = n;
		}
	return free;
}

static const char *check_span(const struct vvm_heap *h, heap_page_t i,
			      heap_entry_t e, struct audit *a)
{
	unsigned class = heap_small_class(e), free, low;
	const struct heap_class_info *info = &h->classes.info[class];
	const struct span *s = heap_span(h, (heap_span_t)(e >> 32));

	if (s->page != i || s->class != class)
		return "a span is not where its entry says";
	free = count_free(s, info->count, &low);
	if (free != s->free)
		return "span (1): free is wrong";
	if (free && s->hint > low)
		return "an object below the hint is free";
	if ((s->list == HEAP_NO_LIST) != !free)
		return "span (2): a full span is listed, or another is not";
	a->used += info->pages;
	a->spans[class]++;
	a->out[class] += info->count - free;
	return check_entries(h, i, e, info->pages);
}

static const char *check_list(const struct vvm_heap *h, unsigned class,
			      unsigned list, struct audit *a)
{
	unsigned count = h->classes.info[class].count;
	heap_span_t i = h->class[class].list[list], prev = 0;
	const struct span *s;

	for (; i; prev = i, i = s->next) {
		s = heap_span(h, i);
		if (s->prev != prev || s->list != list || s->class != class)
			return "span (2): a list is broken";
		if (list != (s->free == count ? (unsigned)HEAP_LIST_EMPTY
					      : s->free * 4u / count))
			return "span (2): a span is in the wrong list";
		a->listed[class]++;
		if (a->listed[class] > a->spans[class])
			return "span (2): more spans are listed than exist";
	}
	return NULL;
}

static const char *check_class(const struct vvm_heap *h, unsigned class,
			       struct audit *a)
{
	const char *bad = NULL;
	unsigned list;

	if (a->spans[class] != h->class[class].spans)
		return "a class has another number of spans";
	if (a->out[class] != h->class[class].out)
		return "span (3): out is wrong";
	for (list = 0; list < HEAP_LISTS && !bad; list++)
		bad = check_list(h, class, list, a);
	return bad;
}

static const char *check_page(const struct vvm_heap *h, heap_page_t i,
			      struct audit *a)
{
	heap_entry_t e = heap_entry(h, i);

	switch (heap_kind(e)) {
	case HEAP_FREE:
		return check_free(h, i, e, a);
	case HEAP_LARGE:
		return check_large(h, i, e, a);
	case HEAP_SMALL:
		return check_span(h, i, e, a);
	default: /* a gap whose guard the kernel would not lift: heap/large.c */
		a->used++;
		return h->hardened && e == HEAP_NONE
			       ? NULL
			       : "a page below top is in no run";
	}
}

static heap_page_t run_length(const struct vvm_heap *h, heap_page_t i)
{
	heap_entry_t e = heap_entry(h, i);

	if (heap_kind(e) == HEAP_SMALL)
		return h->classes.info[heap_small_class(e)].pages;
	return MAX(heap_run_pages(e), (heap_page_t)1);
}

const char *heap_check(const struct vvm_heap *h)
{
	const struct heap_pages *p = &h->pages;
	struct audit a;
	const char *bad = NULL;
	heap_page_t i;
	unsigned class;

	memset(&a, 0, sizeof(a));
	for (i = 1; i < p->top && !bad; i += run_length(h, i))
		bad = check_page(h, i, &a);
	if (bad)
		return bad;
	if (a.used != p->used)
		return "the number of pages in use is wrong";
	if (a.dirty != p->dirty)
		return "pages (3): dirty is wrong";
	if (a.large != p->large)
		return "the number of large objects is wrong";
	for (class = 0; class < HEAP_CLASSES && !bad; class ++)
		bad = check_class(h, class, &a);
	return bad;
}
