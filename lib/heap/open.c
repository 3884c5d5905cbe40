/* SPDX-License-Identifier: MIT */
/*
 * heap/open.c - a heap is opened and closed, and held still for a fork.
 *
 * The region of a heap and the tables of its pages are reserved for the largest
 * size that it may get, and take memory only as they fill. A process whose
 * address space is limited gets a smaller one.
 *
 * A fork takes all locks of a heap in their order, so that the child finds no
 * object half way between span and cache. The child makes the locks anew: the
 * threads that would drop them are not there.
 */
#include "heap/heap.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"

#define RESERVE_MIN	((uint64_t)1 << 20)
#define RESERVE_MAX	((uint64_t)8 << 40) /* 2^31 pages */
#define RESERVE_DEFAULT ((uint64_t)64 << 30)
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
