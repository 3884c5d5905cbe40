/* SPDX-License-Identifier: MIT */
/*
 * heap/cache.c - what each thread keeps at hand.
 *
 * A cache has for each class an array of pointers to free objects, used as a
 * stack: malloc and free are a push and a pop and one byte in the object's
 * span, without a lock. An empty stack is filled with up to half of what it
 * may hold, in the order of addresses; from a full one the older half goes
 * back. What it may hold starts small and doubles each time, to 16 KiB or 64
 * objects: a thread that allocates little keeps little.
 *
 * Finding the cache. One pointer of thread-local storage (initial-exec: it
 * needs no allocation, ever) leads to the thread's table of slots. A heap has
 * a slot, its index, in all threads' tables, and an id that no other heap ever
 * had; so the entry of a heap that was closed is recognised without looking
 * at it.
 *
 * A thread exits: the destructor of a pthread key gives back what the caches
 * hold. Destructors of other keys may run after it and use the heap again; from
 * then on the thread has no caches and goes to the spans directly. A thread may
 * outlive the heap, or exit while somebody closes it: slots[] says which heap
 * is open, under a lock that is held while the cache is drained. This table is
 * global because threads belong to the process, not to a heap.
 *
 * fork(): the other threads' caches are found in the child as they were at
 * that moment, for a thread stores an object before it counts it, and does not
 * count it any more when it gives it back: what a cache counts is in no other
 * cache, and in no span's hands. An object may be there twice while a thread
 * turns its stack round, and may be the program's, so each is looked at. One on
 * its way to or from the program, or to its span, is lost to the child.
 */
#include "heap/heap.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "os/os.h"

#define LIMIT_FIRST 8 /* objects that a stack may hold at first */

__thread struct heap_thread *heap_mine
	__attribute__((tls_model("initial-exec")));
__thread struct heap_inside heap_bare
	__attribute__((tls_model("initial-exec")));

/* What a thread has when its caches are gone: no heap has the id 0. */
static struct heap_thread exited;

static struct slot {
	struct lock lock;      /* rank LOCK_HEAP_SLOT */
	struct vvm_heap *heap; /* of that id, while lock is held */
	_Atomic uint64_t id;   /* 0: free; (slots_lock) writes */
} slots[HEAP_SLOTS];

static struct lock slots_lock = {.rank = LOCK_HEAP_CACHES};
static uint64_t last_id; /* (slots_lock) */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

/* ---- stacks ---- */

static inline unsigned bin_count(const struct cache_bin *bin)
{
	return atomic_load_explicit(&bin->count, memory_order_relaxed);
}

static inline void bin_set(struct cache_bin *bin, unsigned count)
{
	atomic_signal_fence(memory_order_seq_cst); /* fork: objects first */
	atomic_store_explicit(&bin->count, (uint16_t)count,
			      memory_order_relaxed);
}

static void grow_limit(const struct heap_class_info *info,
		       struct cache_bin *bin)
{
	bin->limit = (uint16_t)MIN(info->cached, bin->limit * 2u);
}

/* One object of the class from the spans, filling the cache. NULL: none. */
static void *refill(struct vvm_heap *h, struct heap_cache *c, unsigned class)
{
	const struct heap_class_info *info = &h->classes.info[class];
	struct cache_bin *bin = &c->bin[class];
	void **stack = c->object + info->first;
	unsigned got = heap_span_take(h, class, stack, bin->limit / 2u);

	if (!got)
		return NULL;
	grow_limit(info, bin);
	bin_set(bin, got - 1);
	return stack[got - 1];
}

/* Swaps the older n of the objects with the others, which are not more. */
static void turn_round(void **stack, unsigned count, unsigned n)
{
	unsigned i;
	void *older;

	for (i = 0; i + n < count; i++) {
		older = stack[i];
		stack[i] = stack[i + n];
		stack[i + n] = older;
	}
}

/*
 * Makes room for one more object of the class. The cache forgets the objects
 * before it gives them back: from then on they may be in another one.
 */
static void flush(struct vvm_heap *h, struct heap_cache *c, unsigned class)
{
	const struct heap_class_info *info = &h->classes.info[class];
	struct cache_bin *bin = &c->bin[class];
	void **stack = c->object + info->first;
	unsigned count = bin_count(bin), n = (count + 1) / 2;

	if (bin->limit < info->cached) {
		grow_limit(info, bin);
		if (count < bin->limit)
			return;
	}
	turn_round(stack, count, n);
	bin_set(bin, count - n);
	heap_span_give(h, class, stack + count - n, n);
}

bool heap_may_enter(struct vvm_heap *h, const void *ptr)
{
	if (!heap_is_inside(heap_cache_mine(h)))
		return true;
	heap_report(h, VVM_HEAP_REENTERED, ptr);
	return false;
}

void *heap_cache_take(struct vvm_heap *h, unsigned class)
{
	struct heap_cache *c = heap_cache_get(h);
	void *ptr;

	ptr = c ? heap_cache_pop(h, c, class) : NULL;
	if (ptr)
		return ptr;
	if (!heap_enter(c)) {
		heap_report(h, VVM_HEAP_REENTERED, NULL);
		return NULL;
	}
	if (c)
		ptr = refill(h, c, class);
	else if (!heap_span_take(h, class, &ptr, 1))
		ptr = NULL;
	heap_leave(c);
	return ptr;
}

bool heap_cache_put(struct vvm_heap *h, unsigned class, void *ptr)
{
	struct heap_cache *c = heap_cache_get(h);

	bool given = false;

	while (!given && !(c && heap_cache_push(h, c, class, ptr))) {
		if (!heap_enter(c)) {
			heap_report(h, VVM_HEAP_REENTERED, ptr);
			return false;
		}
		given = !c;
		if (c)
			flush(h, c, class);
		else
			heap_span_give(h, class, &ptr, 1);
		heap_leave(c);
	}
	return true;
}

static void drain(struct vvm_heap *h, struct heap_cache *c)
{
	unsigned i, count;

	for (i = 0; i < HEAP_CLASSES; i++) {
		count = bin_count(&c->bin[i]);
		bin_set(&c->bin[i], 0);
		if (count)
			heap_span_give(h, i,
				       c->object + h->classes.info[i].first,
				       count);
	}
}

/* ---- caches come and go ---- */

/* In a fork child it may be of a thread that was in the middle of a call. */
static void cache_reset(struct vvm_heap *h, struct heap_cache *c)
{
	unsigned i;

	atomic_store_explicit(&c->inside.yes, 0, memory_order_relaxed);
	for (i = 0; i < HEAP_CLASSES; i++) {
		c->bin[i].count = 0;
		c->bin[i].limit =
			(uint16_t)MIN(LIMIT_FIRST, h->classes.info[i].cached);
	}
}

/* A cache for the thread, its old one if it has one. => cache_lock held. */
static struct heap_cache *cache_take(struct vvm_heap *h,
				     const struct heap_thread *owner)
{
	struct heap_cache *c;
	void *memory;

	for (c = h->caches; c; c = c->next)
		if (c->owner == owner)
			return c;
	c = h->retired;
	if (c) {
		h->retired = c->next;
	} else {
		if (os_map_anon(h->cache_bytes, &memory) < 0)
			return NULL;
		c = memory;
	}
	cache_reset(h, c);
	c->owner = owner;
	c->next = h->caches;
	h->caches = c;
	return c;
}

/* => the cache is drained, cache_lock held. */
static void cache_retire(struct vvm_heap *h, struct heap_cache *c)
{
	struct heap_cache **at = &h->caches;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->owner = NULL;
	c->next = h->retired;
	h->retired = c;
}

static void drain_and_retire(struct vvm_heap *h, struct heap_cache *c)
{
	drain(h, c);
	lock_take(&h->cache_lock);
	cache_retire(h, c);
	lock_drop(&h->cache_lock);
}

/* ---- threads ---- */

/* The destructor. */
static void thread_exits(void *arg)
{
	struct heap_thread *t = arg;
	unsigned i;

	heap_mine = &exited;
	heap_enter(NULL); /* lest a signal handler meets the locks */
	for (i = 0; i < HEAP_SLOTS; i++) {
		if (!t->slot[i].id)
			continue;
		lock_take(&slots[i].lock);
		if (slots[i].id == t->slot[i].id)
			drain_and_retire(slots[i].heap, t->slot[i].cache);
		lock_drop(&slots[i].lock);
	}
	heap_leave(NULL);
	os_unmap((haddr_t)(uintptr_t)t, page_ceil(sizeof(*t)));
}

static void make_key(void)
{
	unsigned i;

	for (i = 0; i < HEAP_SLOTS; i++)
		lock_init(&slots[i].lock, LOCK_HEAP_SLOT);
	key_error = -pthread_key_create(&key, thread_exits);
}

/* The thread's table; made, with its destructor, if need be. */
static struct heap_thread *thread_get(void)
{
	struct heap_thread *none = NULL;
	void *memory;

	if (heap_mine)
		return heap_mine;
	if (os_map_anon(page_ceil(sizeof(struct heap_thread)), &memory) < 0)
		return NULL;
	/* First, for pthread_setspecific() may call malloc: that may be us. */
	if (!__atomic_compare_exchange_n(&heap_mine, &none, memory, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		os_unmap((haddr_t)(uintptr_t)memory, /* a signal handler */
			 page_ceil(sizeof(struct heap_thread)));
		return heap_mine;
	}
	if (pthread_setspecific(key, memory) == 0)
		return memory;
	heap_mine = NULL;
	os_unmap((haddr_t)(uintptr_t)memory,
		 page_ceil(sizeof(struct heap_thread)));
	return NULL;
}

struct heap_cache *heap_cache_make(struct vvm_heap *h)
{
	struct heap_thread *t;
	struct heap_cache *c;

	if (heap_mine == &exited || h->slot == HEAP_SLOTS)
		return NULL;
	t = thread_get();
	if (!t || !heap_enter(NULL))
		return NULL;
	lock_take(&h->cache_lock);
	c = cache_take(h, t);
	lock_drop(&h->cache_lock);
	if (c) {
		t->slot[h->slot].cache = c;
		t->slot[h->slot].id = h->id;
	}
	heap_leave(NULL);
	return c;
}

void heap_cache_drain_mine(struct vvm_heap *h)
{
	struct heap_cache *c = heap_cache_mine(h);

	if (!c)
		return;
	heap_enter(c); /* heap_may_enter() has said so */
	drain(h, c);
	heap_leave(c);
}

/* ---- the heap comes and goes ---- */

int heap_cache_open(struct vvm_heap *h)
{
	unsigned i;

	pthread_once(&once, make_key);
	if (key_error)
		return -ENOMEM;
	lock_init(&h->cache_lock, LOCK_HEAP_CACHES);
	h->cache_bytes = page_ceil(sizeof(struct heap_cache) +
				   h->classes.cached * sizeof(void *));
	lock_take(&slots_lock);
	h->id = ++last_id;
	for (i = 0; i < HEAP_SLOTS; i++)
		if (!slots[i].id)
			break;
	h->slot = i;
	if (i < HEAP_SLOTS) {
		slots[i].heap = h;
		slots[i].id = h->id;
	}
	lock_drop(&slots_lock);
	return 0;
}

static void unmap_list(struct heap_cache *c, uint64_t bytes)
{
	struct heap_cache *next;

	for (; c; c = next) {
		next = c->next;
		os_unmap((haddr_t)(uintptr_t)c, bytes);
	}
}

void heap_cache_close(struct vvm_heap *h)
{
	if (h->slot < HEAP_SLOTS) {
		lock_take(&slots[h->slot].lock);
		lock_take(&slots_lock);
		slots[h->slot].heap = NULL;
		slots[h->slot].id = 0;
		lock_drop(&slots_lock);
		lock_drop(&slots[h->slot].lock);
	}
	unmap_list(h->caches, h->cache_bytes);
	unmap_list(h->retired, h->cache_bytes);
	h->caches = h->retired = NULL;
}

/* ---- fork ---- */

struct lock *heap_cache_slot_lock(const struct vvm_heap *h)
{
	return h->slot < HEAP_SLOTS ? &slots[h->slot].lock : NULL;
}

/* Is it an object of this class that a cache may hold? */
static bool cached(const struct vvm_heap *h, const void *ptr, unsigned class)
{
	heap_entry_t e = heap_entry(h, heap_page_at(h, ptr));
	struct heap_object o;
	unsigned state;

	if (heap_kind(e) != HEAP_SMALL || heap_small_class(e) != class ||
	    !heap_find(h, ptr, e, &o))
		return false;
	state = heap_state(&o.span->state[o.index]);
	return state == HEAP_CACHED || state == HEAP_CACHED_FRESH;
}

/* Its thread may have been giving objects back: they are still in the cache. */
static void salvage(struct vvm_heap *h, struct heap_cache *c, unsigned class)
{
	void **stack = c->object + h->classes.info[class].first;
	unsigned i, count = bin_count(&c->bin[class]);

	for (i = 0; i < count; i++)
		if (cached(h, stack[i], class))
			heap_span_give(h, class, &stack[i], 1);
}

void heap_cache_forked(struct vvm_heap *h)
{
	struct heap_cache *c, *next;
	unsigned i;

	if (h->slot < HEAP_SLOTS)
		lock_init(&slots[h->slot].lock, LOCK_HEAP_SLOT);
	lock_init(&slots_lock, LOCK_HEAP_CACHES);
	for (c = h->caches; c; c = next) { /* there is one thread */
		next = c->next;
		if (c->owner == heap_mine)
			continue;
		for (i = 0; i < HEAP_CLASSES; i++)
			salvage(h, c, i);
		cache_retire(h, c);
	}
}
