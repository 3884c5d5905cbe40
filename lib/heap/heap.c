/* SPDX-License-Identifier: MIT */
/*
 * heap/heap.c - the public functions of <vvm_heap.h>, and the theory of the
 * heap.
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

#include "os/os.h"

/* ---- open and close ---- */

#define RESERVE_MIN	((uint64_t)1 << 20)
#define RESERVE_MAX	((uint64_t)8 << 40) /* 2^31 pages */
#define RESERVE_DEFAULT ((uint64_t)64 << 30)
#define ALIGN_MAX	((size_t)1 << 40)
/* A heap's tables take 8% of its addresses. */
#define TABLES_PART 12

/* Everything of a heap that is mapped, in the order in which it is. */
static void unmap_tables(struct vvm_heap *h)
{
	if (h->meta)
		os_unmap((haddr_t)(uintptr_t)h->meta, h->meta_bytes);
	if (h->link)
		os_unmap((haddr_t)(uintptr_t)h->link, h->link_bytes);
	if (h->page)
		os_unmap((haddr_t)(uintptr_t)h->page, h->page_bytes);
}

/* Anonymous memory that takes RAM page by page, as it fills. */
static void *map_table(uint64_t bytes)
{
	void *memory;

	if (os_map_anon(bytes, &memory) < 0)
		return NULL;
	os_advise((haddr_t)(uintptr_t)memory, bytes, OS_ADV_NOHUGEPAGE);
	return memory;
}

/* The most metadata that spans on so many pages can need, in 16 bytes. */
static uint64_t meta_units(const struct vvm_heap *h, uint64_t pages)
{
	uint64_t most = 0, units;
	unsigned i;

	for (i = 0; i < HEAP_CLASSES; i++) {
		const struct heap_class_info *info = &h->classes.info[i];

		units = (info->units + info->pages - 1u) / info->pages;
		most = MAX(most, units);
	}
	return MIN(pages * most + 1, (uint64_t)UINT32_MAX);
}

static int map_tables(struct vvm_heap *h)
{
	uint64_t pages = h->bytes >> PAGE_SHIFT;
	uint64_t units = meta_units(h, pages);

	/* one entry more: the walk for extending looks behind the last */
	h->page_bytes = page_ceil((pages + 1) * sizeof(*h->page));
	h->link_bytes = page_ceil(pages * sizeof(*h->link));
	h->meta_bytes = page_ceil(units * 16);
	h->page = map_table(h->page_bytes);
	h->link = h->page ? map_table(h->link_bytes) : NULL;
	h->meta = h->link ? map_table(h->meta_bytes) : NULL;
	if (!h->meta)
		return -ENOMEM;
	heap_pages_init(&h->pages, (heap_page_t)pages, units);
	return 0;
}

static int map_region(struct vvm_heap *h, const char *name)
{
	uint64_t addr = VVM_ANYWHERE;
	int rc = vvm_map(h->vm, &addr, h->bytes, VVM_READ | VVM_WRITE, name);

	h->base = rc < 0 ? 0 : addr;
	return rc;
}

/* Undone by release(), on an error too. */
static int acquire(struct vvm_heap *h, uint64_t bytes, const char *name)
{
	int rc;

	h->bytes = bytes;
	rc = map_tables(h);
	if (rc == 0)
		rc = map_region(h, name);
	return rc;
}

static void release(struct vvm_heap *h)
{
	unmap_tables(h);
	h->page = NULL;
	h->link = NULL;
	h->meta = NULL;
}

/*
 * Where the kernel accounts strictly the tables count in full, and once more in
 * each child that is forked: they take a quarter of what there is.
 */
static uint64_t default_reserve(void)
{
	uint64_t bytes = RESERVE_DEFAULT, commit = os_commit_bytes();

	while (bytes < 4 * os_ram_bytes() && bytes < RESERVE_MAX)
		bytes *= 2;
	while (bytes > RESERVE_MIN && bytes / TABLES_PART > commit / 4)
		bytes /= 2;
	return bytes;
}

/*
 * As much as there is; but where there is less than the default (ulimit -v, -d)
 * half of that, as others need some.
 */
static int acquire_default(struct vvm_heap *h, const char *name)
{
	uint64_t bytes = default_reserve();
	int rc = acquire(h, bytes, name);

	if (rc != -ENOMEM)
		return rc;
	while (rc == -ENOMEM && bytes / 2 >= RESERVE_MIN) {
		release(h);
		bytes /= 2;
		rc = acquire(h, bytes, name);
	}
	if (rc == 0 && bytes / 2 >= RESERVE_MIN) {
		vvm_unmap(h->vm, h->base, h->bytes);
		release(h);
		rc = acquire(h, bytes / 2, name);
	}
	return rc;
}

static int read_options(struct vvm_heap_options *o,
			const struct vvm_heap_options *given)
{
	memset(o, 0, sizeof(*o));
	if (given) {
		if (given->struct_size < sizeof(given->struct_size) ||
		    given->struct_size > sizeof(*o))
			return -EINVAL;
		memcpy(o, given, given->struct_size);
	}
	if (o->flags & ~(unsigned)VVM_HEAP_HARDENED)
		return -EINVAL;
	if (o->reserve_bytes &&
	    (o->reserve_bytes < RESERVE_MIN || o->reserve_bytes > RESERVE_MAX))
		return -EINVAL;
	if (!o->name)
		o->name = "heap";
	return 0;
}

static int build(struct vvm_heap *h, const struct vvm_heap_options *o)
{
	unsigned i;
	int rc;

	h->report = o->report;
	h->report_arg = o->report_arg;
	heap_classes_init(&h->classes);
	if (o->flags & VVM_HEAP_HARDENED && heap_harden_open(h) < 0)
		return -ENOMEM;
	for (i = 0; i < HEAP_CLASSES; i++)
		lock_init(&h->class[i].lock, LOCK_HEAP_CLASS);
	if (o->reserve_bytes)
		rc = acquire(h, page_ceil(o->reserve_bytes), o->name);
	else
		rc = acquire_default(h, o->name);
	if (rc == 0) {
		rc = heap_cache_open(h);
		if (rc < 0)
			vvm_unmap(h->vm, h->base, h->bytes);
	}
	if (rc < 0) {
		release(h);
		heap_harden_close(h);
	} else {
		heap_pages_budget(h);
	}
	return rc;
}

int vvm_heap_open(struct vvm *vm, const struct vvm_heap_options *options,
		  struct vvm_heap **out)
{
	struct vvm_heap_options o;
	struct vvm_heap *h;
	void *memory;
	int rc;

	if (!vm || !out)
		return -EINVAL;
	rc = read_options(&o, options);
	if (rc < 0)
		return rc;
	rc = os_map_anon(page_ceil(sizeof(*h)), &memory);
	if (rc < 0)
		return -ENOMEM;
	h = memory;
	h->vm = vm;
	rc = build(h, &o);
	if (rc < 0)
		os_unmap((haddr_t)(uintptr_t)h, page_ceil(sizeof(*h)));
	else
		*out = h;
	return rc;
}

int vvm_heap_close(struct vvm_heap *heap)
{
	int rc;

	if (!heap)
		return 0;
	rc = vvm_unmap(heap->vm, heap->base, heap->bytes);
	if (rc < 0)
		return rc;
	heap_cache_close(heap);
	heap_harden_close(heap);
	release(heap);
	os_unmap((haddr_t)(uintptr_t)heap, page_ceil(sizeof(*heap)));
	return 0;
}

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

/* ---- fork ---- */

/*
 * The program's signal handlers wait, as in every call that holds locks: they
 * may be what the heap is for, malloc(3), where it is none that they call.
 */
void vvm_heap_fork_prepare(struct vvm_heap *heap)
{
	struct lock *slot = heap_cache_slot_lock(heap);
	uint64_t signals = os_signals_block();
	unsigned i;

	if (slot)
		lock_freeze(slot);
	lock_freeze(&heap->pages.trim); /* no run is on its way back */
	lock_freeze(&heap->cache_lock);
	for (i = 0; i < HEAP_CLASSES; i++)
		lock_freeze(&heap->class[i].lock);
	lock_freeze(&heap->pages.lock);
	if (heap->hardened)
		lock_freeze(heap_harden_lock(heap));
	heap->signals = signals;
}

void vvm_heap_fork_parent(struct vvm_heap *heap)
{
	struct lock *slot = heap_cache_slot_lock(heap);
	uint64_t signals = heap->signals;
	unsigned i;

	if (heap->hardened)
		lock_thaw(heap_harden_lock(heap));
	lock_thaw(&heap->pages.lock);
	for (i = 0; i < HEAP_CLASSES; i++)
		lock_thaw(&heap->class[i].lock);
	lock_thaw(&heap->cache_lock);
	lock_thaw(&heap->pages.trim);
	if (slot)
		lock_thaw(slot);
	os_signals_restore(signals);
}

void vvm_heap_fork_child(struct vvm_heap *heap)
{
	unsigned i;

	if (heap->hardened)
		lock_init(heap_harden_lock(heap), LOCK_HEAP_PAGES);
	lock_init(&heap->pages.lock, LOCK_HEAP_PAGES);
	for (i = 0; i < HEAP_CLASSES; i++)
		lock_init(&heap->class[i].lock, LOCK_HEAP_CLASS);
	lock_init(&heap->cache_lock, LOCK_HEAP_CACHES);
	lock_init(&heap->pages.trim, LOCK_HEAP_TRIM);
	heap_cache_forked(heap);
	os_signals_restore(heap->signals);
}
