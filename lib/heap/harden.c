/* SPDX-License-Identifier: MIT */
/*
 * heap/harden.c - what VVM_HEAP_HARDENED adds for small objects.
 *
 * The last 8 bytes of each object are its *guard value*, a hash of its address
 * and a secret of the heap: written when it is allocated, checked when it is
 * freed. A freed object is filled with 0xdf and waits in the *quarantine*, a
 * ring of the last thousand or so; when its turn comes the fill is checked,
 * for a write after the free, and only then may it be allocated again. Batches
 * for a thread's cache are taken from a span in a random order.
 *
 * All this touches the objects, which the heap else never does.
 *
 * The ring and the counts are under a lock of their own, a leaf; objects are
 * filled, checked and passed on outside it.
 */
#include "heap/heap.h"

#include <string.h>
#include <sys/auxv.h>

#include "os/os.h"

#define FILL	     0xdf
#define RING_OBJECTS 1024
#define RING_BYTES   ((uint64_t)1 << 20)

struct heap_quarantine {
	struct lock lock; /* rank LOCK_HEAP_PAGES */
	unsigned first, count;
	uint64_t bytes;
	uint32_t in_class[HEAP_CLASSES]; /* how many of each */
	void *object[RING_OBJECTS];
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* ---- the heap comes and goes ---- */

/* 16 random bytes that the kernel gives each process, and the time. */
static uint64_t draw_secret(const struct vvm_heap *h)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t secret = os_now_ns() ^ (uintptr_t)h, word = 0;

	if (random) /* at any address: it is not aligned */
		memcpy(&word, random, sizeof(word));
	return mix(secret ^ word);
}

int heap_harden_open(struct vvm_heap *h)
{
	void *memory;

	if (os_map_anon(page_ceil(sizeof(*h->quarantine)), &memory) < 0)
		return -1;
	h->quarantine = memory;
	lock_init(&h->quarantine->lock, LOCK_HEAP_PAGES);
	h->secret = draw_secret(h);
	h->hardened = true;
	h->guard_bytes = sizeof(uint64_t);
	return 0;
}

void heap_harden_close(struct vvm_heap *h)
{
	if (h->quarantine)
		os_unmap((haddr_t)(uintptr_t)h->quarantine,
			 page_ceil(sizeof(*h->quarantine)));
	h->quarantine = NULL;
}

struct lock *heap_harden_lock(const struct vvm_heap *h)
{
	return h->quarantine ? &h->quarantine->lock : NULL;
}

/* ---- guard values and fill ---- */

static uint64_t guard_value(const struct vvm_heap *h, const void *ptr)
{
	return mix((uintptr_t)ptr ^ h->secret);
}

static char *guard_at(const struct vvm_heap *h, unsigned class, void *ptr)
{
	return (char *)ptr + heap_small_usable(h, class);
}

void heap_harden_arm(struct vvm_heap *h, unsigned class, void *ptr)
{
	uint64_t value = guard_value(h, ptr);

	memcpy(guard_at(h, class, ptr), &value, sizeof(value));
}

void heap_harden_check(struct vvm_heap *h, unsigned class, void *ptr)
{
	uint64_t value = guard_value(h, ptr);

	if (memcmp(guard_at(h, class, ptr), &value, sizeof(value)))
		heap_report(h, VVM_HEAP_OVERRUN, ptr);
}

static bool fill_intact(const unsigned char *p, size_t bytes)
{
	return p[0] == FILL && !memcmp(p, p + 1, bytes - 1);
}

/* ---- quarantine ---- */

static unsigned class_at(const struct vvm_heap *h, const void *ptr)
{
	return heap_small_class(heap_entry(h, heap_page_at(h, ptr)));
}

/* The oldest object, if it is more than may stay. */
static void *oldest(struct vvm_heap *h, unsigned objects, uint64_t bytes)
{
	struct heap_quarantine *q = h->quarantine;
	struct heap_cache *c = heap_cache_mine(h);
	unsigned class;
	void *ptr = NULL;

	heap_enter(c);
	lock_take(&q->lock);
	if (q->count > objects || q->bytes > bytes) {
		ptr = q->object[q->first];
		class = class_at(h, ptr);
		q->first = (q->first + 1) % RING_OBJECTS;
		q->count--;
		q->bytes -= h->classes.info[class].bytes;
		q->in_class[class]--;
	}
	lock_drop(&q->lock);
	heap_leave(c);
	return ptr;
}

/* An object that leaves the quarantine goes to the thread's cache. */
static void set_free(struct vvm_heap *h, void *ptr)
{
	heap_entry_t e = heap_entry(h, heap_page_at(h, ptr));
	struct heap_object o;

	heap_find(h, ptr, e, &o);
	if (!fill_intact(ptr, heap_small_usable(h, o.class)))
		heap_report(h, VVM_HEAP_USE_AFTER_FREE, ptr);
	heap_set_state(&o.span->state[o.index], HEAP_CACHED);
	heap_cache_put(h, o.class, ptr);
}

static bool put(struct vvm_heap *h, unsigned class, void *ptr)
{
	struct heap_quarantine *q = h->quarantine;
	struct heap_cache *c = heap_cache_mine(h);
	bool room;

	heap_enter(c);
	lock_take(&q->lock);
	room = q->count < RING_OBJECTS;
	if (room) {
		q->object[(q->first + q->count) % RING_OBJECTS] = ptr;
		q->count++;
		q->bytes += h->classes.info[class].bytes;
		q->in_class[class]++;
	}
	lock_drop(&q->lock);
	heap_leave(c);
	return room;
}

static void drain(struct vvm_heap *h, unsigned objects, uint64_t bytes)
{
	void *ptr;

	while ((ptr = oldest(h, objects, bytes)))
		set_free(h, ptr);
}

void heap_harden_free(struct vvm_heap *h, unsigned class, void *ptr)
{
	heap_harden_check(h, class, ptr);
	memset(ptr, FILL, heap_small_usable(h, class));
	while (!put(h, class, ptr))
		drain(h, RING_OBJECTS - 1, RING_BYTES);
	drain(h, RING_OBJECTS, RING_BYTES);
}

void heap_harden_drain(struct vvm_heap *h)
{
	if (h->quarantine)
		drain(h, 0, 0);
}

void heap_harden_count(struct vvm_heap *h, uint64_t count[HEAP_CLASSES])
{
	struct heap_quarantine *q = h->quarantine;
	unsigned i;

	if (!q)
		return;
	lock_take(&q->lock);
	for (i = 0; i < HEAP_CLASSES; i++)
		count[i] += q->in_class[i];
	lock_drop(&q->lock);
}

/* ---- random placement ---- */

unsigned heap_harden_random(struct vvm_heap *h, unsigned below)
{
	uint64_t x = atomic_fetch_add_explicit(
		&h->random, 0x9e3779b97f4a7c15ull, memory_order_relaxed);

	return (unsigned)((mix(x ^ h->secret) >> 32) * below >> 32);
}

void heap_harden_shuffle(struct vvm_heap *h, void **objects, unsigned n)
{
	unsigned i, other;
	void *swap;

	for (i = n; i > 1; i--) {
		other = heap_harden_random(h, i);
		swap = objects[i - 1];
		objects[i - 1] = objects[other];
		objects[other] = swap;
	}
}
