/* SPDX-License-Identifier: MIT */
/*
 * heap/span.c - spans: pages cut into objects of one class.
 *
 * A struct span has a byte for each object, heap_state. It lies in an array
 * of its own, never in the pages; the table of pages names it, with the
 * class, for each page of the span. Who frees an object finds its byte from
 * the address alone, with one look at the table.
 *
 * Spans with free objects are in the lists of their class by how much of them
 * is free: less than 1/4, 1/2, 3/4, less than all, all. Objects are taken from
 * the first list that has a span, from the span that came there last, lowest
 * address first: nearly full pages fill up, nearly empty ones get a chance to
 * become empty, and objects that are allocated together lie together.
 *
 * A class keeps one empty span, if it has no other with room, so that one
 * object malloc'd and freed over and over moves no pages.
 *
 * Rejected: to ask the space which spans are resident, and to take a new page
 * rather than one that must be read (as many reads for each operation: what is
 * saved at first is lost to the holes).
 *
 * Invariants, while the class lock is free:
 *   (1) span.free is the number of its objects that are FRESH or USED.
 *   (2) A span is in list[by its free], in none if it is full.
 *   (3) `out` is the number of objects of the class that are not.
 *   (4) A FRESH or CACHED_FRESH object is all zero.
 */
#include "heap/heap.h"

#include <errno.h>
#include <string.h>

/* ---- memory for struct span: under pages.lock ---- */

static heap_span_t meta_take(struct vvm_heap *h, unsigned units)
{
	struct heap_pages *p = &h->pages;
	heap_span_t i = p->spare[units];

	if (i) {
		p->spare[units] = heap_span(h, i)->next;
		return i;
	}
	if (p->meta_top + units > p->meta_end)
		return 0;
	i = (heap_span_t)p->meta_top;
	p->meta_top += units;
	return i;
}

static void meta_give(struct vvm_heap *h, heap_span_t i, unsigned units)
{
	heap_span(h, i)->next = h->pages.spare[units];
	h->pages.spare[units] = i;
}

/* ---- lists ---- */

static unsigned list_for(const struct span *s, unsigned count)
{
	if (s->free == count)
		return HEAP_LIST_EMPTY;
	return s->free * 4u / count;
}

static void list_remove(struct vvm_heap *h, heap_span_t i)
{
	struct span *s = heap_span(h, i);
	struct heap_class *c = &h->class[s->class];

	if (s->list == HEAP_NO_LIST)
		return;
	if (s->next)
		heap_span(h, s->next)->prev = s->prev;
	if (s->prev)
		heap_span(h, s->prev)->next = s->next;
	else
		c->list[s->list] = s->next;
	s->list = HEAP_NO_LIST;
}

static void list_insert(struct vvm_heap *h, heap_span_t i, unsigned list)
{
	struct span *s = heap_span(h, i);
	heap_span_t *head = &h->class[s->class].list[list];

	s->prev = 0;
	s->next = *head;
	s->list = (uint8_t)list;
	if (*head)
		heap_span(h, *head)->prev = i;
	*head = i;
}

/* Puts the span where it belongs now. */
static void list_update(struct vvm_heap *h, heap_span_t i)
{
	struct span *s = heap_span(h, i);
	unsigned list = s->free ? list_for(s, h->classes.info[s->class].count)
				: HEAP_NO_LIST;

	if (list == s->list)
		return;
	list_remove(h, i);
	if (list != HEAP_NO_LIST)
		list_insert(h, i, list);
}

/* ---- spans come and go ---- */

static void set_entries(struct vvm_heap *h, heap_span_t i, unsigned pages)
{
	const struct span *s = heap_span(h, i);
	heap_entry_t e = HEAP_SMALL | (heap_entry_t)s->class << 2 |
			 (heap_entry_t)i << 32;
	unsigned n;

	for (n = 0; n < pages; n++)
		heap_set_entry(h, s->page + n, e | (heap_entry_t)n << 9);
}

static heap_span_t take_memory(struct vvm_heap *h,
			       const struct heap_class_info *info, bool *fresh,
			       heap_page_t *page)
{
	heap_span_t i;

	lock_take(&h->pages.lock);
	i = meta_take(h, info->units);
	*page = i ? heap_pages_take(h, info->pages, 1, fresh) : 0;
	if (i && !*page) {
		meta_give(h, i, info->units);
		i = 0;
	}
	lock_drop(&h->pages.lock);
	return i;
}

/* A new span, in its list, or 0. => class lock held. */
static heap_span_t span_new(struct vvm_heap *h, unsigned class)
{
	const struct heap_class_info *info = &h->classes.info[class];
	bool fresh = false;
	struct span *s;
	heap_page_t page;
	heap_span_t i = take_memory(h, info, &fresh, &page);

	if (!i)
		return 0;
	s = heap_span(h, i);
	s->page = page;
	s->free = info->count;
	s->hint = 0;
	s->class = (uint8_t) class;
	memset((void *)s->state, fresh ? HEAP_FRESH : HEAP_USED, info->count);
	list_insert(h, i, HEAP_LIST_EMPTY);
	set_entries(h, i, info->pages);
	h->class[class].spans++;
	return i;
}

/* => class lock held, the span is empty. */
static void span_free(struct vvm_heap *h, heap_span_t i)
{
	struct span *s = heap_span(h, i);
	const struct heap_class_info *info = &h->classes.info[s->class];
	unsigned n;

	list_remove(h, i);
	for (n = 0; n < info->pages; n++)
		heap_set_entry(h, s->page + n, HEAP_NONE);
	h->class[s->class].spans--;
	lock_take(&h->pages.lock);
	heap_pages_give(h, s->page, info->pages, true);
	meta_give(h, i, info->units);
	lock_drop(&h->pages.lock);
}

/* Frees the empty spans of the class but one, and that if it is not needed. */
static void free_empty(struct vvm_heap *h, struct heap_class *c)
{
	bool needed = true;
	heap_span_t i, next;
	unsigned list;

	for (list = 0; list < HEAP_LIST_EMPTY; list++)
		if (c->list[list])
			needed = false;
	for (i = c->list[HEAP_LIST_EMPTY]; i; i = next) {
		next = heap_span(h, i)->next;
		if (!needed)
			span_free(h, i);
		needed = false;
	}
}

/* ---- taking ---- */

static heap_span_t best_span(const struct heap_class *c)
{
	unsigned list;

	for (list = 0; list < HEAP_LISTS; list++)
		if (c->list[list])
			return c->list[list];
	return 0;
}

/* Takes up to n objects of a span, the lowest to the end of the array. */
static unsigned take_objects(struct vvm_heap *h, struct span *s, void **end,
			     unsigned n)
{
	const struct heap_class_info *info = &h->classes.info[s->class];
	char *base = heap_page_ptr(h, s->page);
	unsigned i, got = 0;

	for (i = s->hint; got < n && s->free; i++) {
		unsigned state = heap_state(&s->state[i]);

		if (state > HEAP_USED)
			continue;
		heap_set_state(&s->state[i], state == HEAP_FRESH
						     ? HEAP_CACHED_FRESH
						     : HEAP_CACHED);
		*--end = base + (uint64_t)i * info->bytes;
		s->free--;
		got++;
	}
	s->hint = (uint16_t)i;
	return got;
}

/* One object of a span, any. */
static unsigned take_random(struct vvm_heap *h, struct span *s, void **end)
{
	const struct heap_class_info *info = &h->classes.info[s->class];

	s->hint = (uint16_t)heap_harden_random(h, info->count);
	while (heap_state(&s->state[s->hint]) > HEAP_USED)
		s->hint = (uint16_t)((s->hint + 1) % info->count);
	return take_objects(h, s, end, 1);
}

/* From a hardened heap they come in no order. */
static unsigned take_from(struct vvm_heap *h, struct span *s, void **end,
			  unsigned n)
{
	unsigned got = 0;

	if (!h->hardened)
		return take_objects(h, s, end, n);
	while (got < n && s->free)
		got += take_random(h, s, end - got);
	s->hint = 0;
	return got;
}

/* They are ours, so their pages may be changed without a lock. */
static void void_objects(struct vvm_heap *h, unsigned class, void **objects,
			 unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		heap_pages_void(h, (uintptr_t)objects[i],
				h->classes.info[class].bytes);
}

unsigned heap_span_take(struct vvm_heap *h, unsigned class, void **objects,
			unsigned n)
{
	struct heap_class *c = &h->class[class];
	unsigned got = 0;
	heap_span_t i;

	lock_take(&c->lock);
	while (got < n) {
		i = best_span(c);
		if (!i)
			i = span_new(h, class);
		if (!i)
			break;
		got += take_from(h, heap_span(h, i), objects + n - got,
				 n - got);
		list_update(h, i);
	}
	c->out += got;
	c->refills++;
	lock_drop(&c->lock);
	if (got < n) /* move them to the front */
		memmove(objects, objects + n - got, got * sizeof(*objects));
	if (h->hardened)
		heap_harden_shuffle(h, objects, got);
	if (h->classes.info[class].bytes >= PAGE_BYTES)
		void_objects(h, class, objects, got);
	return got;
}

/* ---- giving ---- */

/* => class lock held. */
static void give_object(struct vvm_heap *h, void *ptr)
{
	heap_page_t page =
		(heap_page_t)(((uintptr_t)ptr - h->base) >> PAGE_SHIFT);
	heap_entry_t e = heap_entry(h, page);
	struct heap_object o;
	bool found, fresh;

	found = heap_kind(e) == HEAP_SMALL && heap_find(h, ptr, e, &o);
	ASSERT(found);
	fresh = heap_state(&o.span->state[o.index]) == HEAP_CACHED_FRESH;
	heap_set_state(&o.span->state[o.index], fresh ? HEAP_FRESH : HEAP_USED);
	o.span->free++;
	o.span->hint = (uint16_t)MIN(o.span->hint, o.index);
	list_update(h, (heap_span_t)(e >> 32));
}

void heap_span_give(struct vvm_heap *h, unsigned class, void **objects,
		    unsigned n)
{
	struct heap_class *c = &h->class[class];
	int error = errno;
	unsigned i;

	lock_take(&c->lock);
	for (i = 0; i < n; i++)
		give_object(h, objects[i]);
	c->out -= n;
	c->flushes++;
	if (c->list[HEAP_LIST_EMPTY])
		free_empty(h, c);
	lock_drop(&c->lock);
	heap_pages_settle(h);
	errno = error;
}
