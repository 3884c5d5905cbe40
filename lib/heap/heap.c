/* SPDX-License-Identifier: MIT */
/*
 * heap/heap.c - malloc, free and their family (<vvm_heap.h>), and the theory of
 * the heap.
 *
 * A general allocator keeps its lists and headers in the memory that it hands
 * out. When that memory is paged, each malloc and free may wait for the disk,
 * and a list that runs through a thousand pages keeps them all resident. Here
 * all bookkeeping is in plain memory of the library's own, small and dense,
 * and a page that nobody uses is known to be unused without a look at it.
 *
 * The heap is one region of the space, far larger than needed: address space
 * costs nothing. It is cut into *runs* of pages:
 *	span	objects of one size class, up to 32 KiB	(heap/span.c)
 *	large	one larger object			(heap/large.c)
 *	free	dirty or clean				(heap/pages.c)
 * and *the table of pages* has an entry of 8 bytes for each page that says
 * which (heap/heap.h). An address leads to everything by one look at the table:
 *
 *	address --> entry of its page --> class, struct span
 *		    offset / size     --> the object's byte in the span
 *
 * The byte of an object says whether it is free, in a thread's cache, or
 * live. It is what makes a double free, and a pointer that is no object's,
 * an error that is seen at once and never a corrupted heap.
 *
 * Life of a small object:
 *
 *	span --take--> thread cache --malloc--> program
 *	     <--give--		    <--free----
 *
 * malloc and free use the calling thread's cache alone (heap/cache.c). A freed
 * object goes to the cache of the thread that frees it, whoever allocated it.
 * Batches go between cache and span under the lock of the class.
 *
 * Which pages. Objects are placed for the pager: a batch comes from one span
 * in the order of addresses, so what is allocated together is on one page; a
 * class fills its fullest spans first, so pages empty out; empty pages are
 * given back, frame and slot, before the pager spends writes on them.
 *
 * Nothing here calls the C library's malloc: the heap may be what replaces it.
 *
 * Rejected: a bit for each object, set and cleared atomically (two locked
 * instructions for each malloc, 5 ns each, where a byte is a plain store); free
 * lists through the objects (the reason for this file); arenas for each thread
 * (objects of one time would be spread over as many pages as there are
 * threads).
 */
#include "heap/heap.h"

#include <errno.h>
#include <string.h>

#define ALIGN_MAX ((size_t)1 << 40)

/* ---- small objects ---- */

static __attribute__((noinline)) void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* The state of an object of the class. */
static inline _Atomic uint8_t *state_of(const struct vvm_heap *h,
					const void *ptr, unsigned class)
{
	heap_entry_t e = heap_entry(h, heap_page_at(h, ptr));

	return &heap_span(h, (heap_span_t)(e >> 32))
			->state[heap_index(h, ptr, e, class)];
}

/* Gives a CACHED object to the program. *fresh: all zero. */
static inline void *make_live(struct vvm_heap *h, unsigned class, void *ptr,
			      bool *fresh)
{
	_Atomic uint8_t *state = state_of(h, ptr, class);

	*fresh = heap_state(state) == HEAP_CACHED_FRESH;
	heap_set_state(state, HEAP_LIVE);
	return ptr;
}

static __attribute__((noinline)) void *small_alloc(struct vvm_heap *h,
						   unsigned class, bool *fresh)
{
	void *ptr = heap_cache_take(h, class);

	if (!ptr)
		return no_memory();
	make_live(h, class, ptr, fresh);
	if (h->hardened)
		heap_harden_arm(h, class, ptr);
	return ptr;
}

/*
 * What malloc nearly always does. All that is rare is in other functions, so
 * that this one saves no registers (2 ns of 12 for malloc and free).
 */
static inline void *pop_live(struct vvm_heap *h, unsigned class, bool *fresh)
{
	struct heap_cache *c = heap_cache_mine(h);
	void *ptr;

	if (unlikely(!c || h->hardened))
		return NULL;
	ptr = heap_cache_pop(h, c, class);
	return likely(ptr != NULL) ? make_live(h, class, ptr, fresh) : NULL;
}

/* ---- malloc and free ---- */

static __attribute__((noinline)) void *large_alloc(struct vvm_heap *h,
						   size_t bytes, size_t align,
						   bool zero)
{
	void *ptr = heap_large_alloc(h, bytes, align, zero);

	return ptr ? ptr : no_memory();
}

static __attribute__((noinline)) void *malloc_slowly(struct vvm_heap *h,
						     size_t bytes)
{
	bool fresh;

	if (bytes > HEAP_SMALL_MAX - h->guard_bytes)
		return large_alloc(h, bytes, 1, false);
	return small_alloc(h, heap_class_of(bytes + h->guard_bytes), &fresh);
}

void *vvm_malloc(struct vvm_heap *heap, size_t bytes)
{
	bool fresh;
	void *ptr;

	if (likely(bytes <= HEAP_SMALL_MAX)) {
		ptr = pop_live(heap, heap_class_of(bytes), &fresh);
		if (likely(ptr != NULL))
			return ptr;
	}
	return malloc_slowly(heap, bytes);
}

void *vvm_calloc(struct vvm_heap *heap, size_t count, size_t bytes)
{
	bool fresh;
	size_t all;
	void *ptr;

	if (__builtin_mul_overflow(count, bytes, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	if (all > HEAP_SMALL_MAX - heap->guard_bytes)
		return large_alloc(heap, all, 1, true);
	ptr = small_alloc(heap, heap_class_of(all + heap->guard_bytes), &fresh);
	if (ptr && !fresh)
		memset(ptr, 0, all);
	return ptr;
}

/* Is ptr a large object? */
static bool is_large(const struct vvm_heap *h, const void *ptr)
{
	uint64_t off = (uintptr_t)ptr - h->base;

	return off < h->bytes && !(off & PAGE_MASK) &&
	       heap_kind(heap_entry(h, heap_page_at(h, ptr))) == HEAP_LARGE;
}

/* Neither a live small object nor NULL. */
static __attribute__((noinline)) void free_other(struct vvm_heap *h, void *ptr)
{
	int error = errno;

	if (is_large(h, ptr))
		heap_large_free(h, ptr);
	else
		heap_report_pointer(h, ptr);
	errno = error;
}

/* Finds a live small object. */
static inline bool find_live(const struct vvm_heap *h, const void *ptr,
			     struct heap_object *o)
{
	uint64_t off = (uintptr_t)ptr - h->base;
	heap_entry_t e;

	if (unlikely(off >= h->bytes))
		return false;
	e = heap_entry(h, (heap_page_t)(off >> PAGE_SHIFT));
	return likely(heap_kind(e) == HEAP_SMALL && heap_find(h, ptr, e, o) &&
		      heap_state(&o->span->state[o->index]) == HEAP_LIVE);
}

static __attribute__((noinline)) void free_slowly(struct vvm_heap *h, void *ptr)
{
	struct heap_object o;

	if (!find_live(h, ptr, &o)) {
		free_other(h, ptr);
	} else if (h->hardened) {
		if (!heap_may_enter(h, ptr))
			return;
		heap_set_state(&o.span->state[o.index], HEAP_QUARANTINED);
		heap_harden_free(h, o.class, ptr);
	} else {
		heap_set_state(&o.span->state[o.index], HEAP_CACHED);
		if (!heap_cache_put(h, o.class, ptr))
			heap_set_state(&o.span->state[o.index], HEAP_LIVE);
	}
}

void vvm_free(struct vvm_heap *heap, void *ptr)
{
	struct heap_cache *c = heap_cache_mine(heap);
	struct heap_object o;

	if (likely(c && !heap->hardened && find_live(heap, ptr, &o))) {
		heap_set_state(&o.span->state[o.index], HEAP_CACHED);
		if (likely(heap_cache_push(heap, c, o.class, ptr)))
			return;
		heap_set_state(&o.span->state[o.index], HEAP_LIVE);
	}
	if (ptr)
		free_slowly(heap, ptr);
}

/* ---- realloc ---- */

static void *small_realloc(struct vvm_heap *h, void *ptr, unsigned class,
			   size_t bytes)
{
	size_t have = heap_small_usable(h, class);
	void *to;

	if (h->hardened)
		heap_harden_check(h, class, ptr);
	/* keep it when it fits and would not waste half */
	if (bytes <= have && (bytes > have / 2 || have <= 64))
		return ptr;
	to = vvm_malloc(h, bytes);
	if (!to)
		return NULL;
	memcpy(to, ptr, MIN(bytes, have));
	vvm_free(h, ptr);
	return to;
}

static void *large_realloc(struct vvm_heap *h, void *ptr, size_t bytes)
{
	void *to = heap_large_resize(h, ptr, bytes);

	if (!to)
		to = heap_large_move(h, ptr, bytes);
	return to ? to : no_memory();
}

void *vvm_realloc(struct vvm_heap *heap, void *ptr, size_t bytes)
{
	struct heap_object o;

	if (!ptr)
		return vvm_malloc(heap, bytes);
	if (!bytes) {
		vvm_free(heap, ptr);
		return NULL;
	}
	if (find_live(heap, ptr, &o))
		return small_realloc(heap, ptr, o.class, bytes);
	if (is_large(heap, ptr))
		return large_realloc(heap, ptr, bytes);
	heap_report_pointer(heap, ptr);
	errno = EINVAL;
	return NULL;
}

/* ---- the rest of the family ---- */

/* The first class whose objects hold so many bytes and are aligned. */
static unsigned aligned_class(const struct vvm_heap *h, size_t align,
			      size_t bytes)
{
	unsigned class = heap_class_of(MAX(bytes + h->guard_bytes, align));

	while (h->classes.info[class].bytes & (align - 1))
		class ++; /* the last class is a power of two */
	return class;
}

void *vvm_aligned_alloc(struct vvm_heap *heap, size_t align, size_t bytes)
{
	bool fresh;

	if (!align || (align & (align - 1)) || align > ALIGN_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (align <= PAGE_BYTES && bytes <= HEAP_SMALL_MAX - heap->guard_bytes)
		return small_alloc(heap, aligned_class(heap, align, bytes),
				   &fresh);
	return large_alloc(heap, bytes, align, false);
}

size_t vvm_usable_size(struct vvm_heap *heap, const void *ptr)
{
	struct heap_object o;

	if (!ptr)
		return 0;
	if (find_live(heap, ptr, &o))
		return heap_small_usable(heap, o.class);
	if (is_large(heap, ptr))
		return heap_large_usable(heap, ptr);
	heap_report_pointer(heap, ptr);
	return 0;
}

int vvm_heap_owns(const struct vvm_heap *heap, const void *ptr)
{
	return heap && (uintptr_t)ptr - heap->base < heap->bytes;
}

int vvm_heap_trim(struct vvm_heap *heap)
{
	struct heap_cache *c;
	int rc;

	if (!heap)
		return -EINVAL;
	if (!heap_may_enter(heap, NULL))
		return -EDEADLK;
	heap_harden_drain(heap);
	heap_cache_drain_mine(heap);
	c = heap_cache_mine(heap);
	heap_enter(c);
	rc = heap_pages_trim_all(heap);
	heap_leave(c);
	return rc;
}
