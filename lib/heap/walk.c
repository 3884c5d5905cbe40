/* SPDX-License-Identifier: MIT */
/*
 * heap/walk.c - looking at a whole heap: every object, and the statistics.
 *
 * A walk goes from entry to entry of the table of pages. It holds no lock while
 * it calls the program, so it first copies what a span holds. What it steps
 * over may change under it: each entry is looked at once, and a span again
 * under its class lock.
 */
#include "heap/heap.h"

#include <errno.h>
#include <string.h>

typedef int (*walk_fn)(void *arg, void *ptr, size_t bytes);

/* ---- walk ---- */

/* Pages to the next entry that is worth a look. */
static heap_page_t step(const struct vvm_heap *h, heap_entry_t e)
{
	switch (heap_kind(e)) {
	case HEAP_SMALL:
		return h->classes.info[heap_small_class(e)].pages;
	case HEAP_LARGE:
		return heap_run_pages(e);
	case HEAP_FREE: /* a run may have grown over where we come from */
		return e & HEAP_LAST ? 1 : heap_run_pages(e);
	default:
		return 1;
	}
}

/* Which objects of the span at page i live? Their number. */
static unsigned span_live(struct vvm_heap *h, heap_page_t i, heap_entry_t e,
			  uint8_t live[HEAP_SPAN_COUNT])
{
	unsigned class = heap_small_class(e), n, count = 0;
	struct heap_cache *c = heap_cache_mine(h);
	const struct span *s;

	heap_enter(c);
	lock_take(&h->class[class].lock);
	if (heap_entry(h, i) == e) {
		s = heap_span(h, (heap_span_t)(e >> 32));
		count = h->classes.info[class].count;
		for (n = 0; n < count; n++)
			live[n] = heap_state(&s->state[n]) == HEAP_LIVE;
	}
	lock_drop(&h->class[class].lock);
	heap_leave(c);
	return count;
}

static int walk_span(struct vvm_heap *h, heap_page_t i, heap_entry_t e,
		     walk_fn fn, void *arg)
{
	uint64_t bytes = h->classes.info[heap_small_class(e)].bytes;
	uint8_t live[HEAP_SPAN_COUNT];
	unsigned n, count = span_live(h, i, e, live);
	int rc = 0;

	for (n = 0; n < count && rc == 0; n++)
		if (live[n])
			rc = fn(arg, heap_page_ptr(h, i) + n * bytes,
				heap_small_usable(h, heap_small_class(e)));
	return rc;
}

int vvm_heap_walk(struct vvm_heap *heap,
		  int (*fn)(void *arg, void *ptr, size_t bytes), void *arg)
{
	heap_page_t i;
	heap_entry_t e;
	int rc = 0;

	if (!heap || !fn)
		return -EINVAL;
	if (!heap_may_enter(heap, NULL))
		return -EDEADLK;
	for (i = 1; i < heap->pages.top && rc == 0; i += step(heap, e)) {
		e = heap_entry(heap, i);
		if (heap_kind(e) == HEAP_SMALL)
			rc = walk_span(heap, i, e, fn, arg);
		else if (heap_kind(e) == HEAP_LARGE)
			rc = fn(arg, heap_page_ptr(heap, i),
				heap_large_usable(heap,
						  heap_page_ptr(heap, i)));
	}
	return rc;
}

/* ---- statistics ---- */

/* Objects of each class that are in caches. */
static void count_cached(struct vvm_heap *h, uint64_t cached[HEAP_CLASSES],
			 struct vvm_heap_stats *out)
{
	const struct heap_cache *c;
	unsigned i;

	memset(cached, 0, HEAP_CLASSES * sizeof(*cached));
	lock_take(&h->cache_lock);
	for (c = h->caches; c; c = c->next) {
		out->caches++;
		for (i = 0; i < HEAP_CLASSES; i++)
			cached[i] += atomic_load_explicit(&c->bin[i].count,
							  memory_order_relaxed);
	}
	lock_drop(&h->cache_lock);
}

static void count_small(struct vvm_heap *h, struct vvm_heap_stats *out)
{
	uint64_t cached[HEAP_CLASSES];
	unsigned i;

	count_cached(h, cached, out);
	heap_harden_count(h, cached);
	for (i = 0; i < HEAP_CLASSES; i++) {
		const struct heap_class_info *info = &h->classes.info[i];
		struct heap_class *c = &h->class[i];
		uint64_t live = c->out - MIN(c->out, cached[i]);

		out->live_objects += live;
		out->live_bytes += live * heap_small_usable(h, i);
		out->cached_bytes += cached[i] * info->bytes;
		out->span_bytes +=
			pages_to_bytes((uint64_t)c->spans * info->pages);
		out->refills += c->refills;
		out->flushes += c->flushes;
	}
}

int vvm_heap_stats(struct vvm_heap *heap, struct vvm_heap_stats *out)
{
	struct heap_cache *c;
	struct heap_pages *p;

	if (!heap || !out)
		return -EINVAL;
	if (!heap_may_enter(heap, NULL))
		return -EDEADLK;
	memset(out, 0, sizeof(*out));
	p = &heap->pages;
	c = heap_cache_mine(heap);
	heap_enter(c);
	count_small(heap, out);
	heap_leave(c);
	out->large_objects = p->large;
	out->large_bytes = p->large_bytes;
	out->live_objects += out->large_objects;
	out->live_bytes += out->large_bytes;
	out->dirty_bytes = pages_to_bytes(p->dirty);
	out->top_bytes = pages_to_bytes(p->top);
	out->reserve_bytes = heap->bytes;
	out->metadata_bytes = sizeof(*heap) + p->top * 16ull +
			      atomic_load(&p->meta_top) * 16 +
			      out->caches * heap->cache_bytes;
	out->discards = p->discards;
	out->discarded_bytes = pages_to_bytes(p->discarded);
	out->moves = heap->moves;
	out->misuses = heap->misuses;
	return 0;
}
