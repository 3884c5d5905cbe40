/* SPDX-License-Identifier: MIT */
/*
 * util/pool.c - objects of one size, cut from chunks of anonymous memory.
 *
 * A chunk starts with a header of one cache line, objects follow it back to
 * back. The newest chunk is cut from front to back as objects are asked for,
 * so that its untouched rest costs address space and no memory; objects that
 * came back are kept in a singly linked list through their first word and
 * are preferred. Chunks stay until pool_fini().
 *
 * (1) Every object is either in use, in the free list, or beyond `cut` of
 *     the newest chunk; older chunks are cut completely.
 * (2) Memory beyond `cut` is as the kernel gave it: zero. Objects in the
 *     free list are dirty and are zeroed when taken again, unless the
 *     taker does not care.
 *
 * The pool lock is held over the mmap of a new chunk. That is no I/O and
 * waits for nobody who could wait for us: a thread that sleeps in a page
 * fault does not hold the kernel's mmap lock. It keeps (1) simple: two
 * threads cannot add a chunk each and strand the rest of the older.
 */
#include "util/pool.h"

#include <string.h>

#include "os/os.h"

/*
 * A chunk holds at least this many bytes and this many objects: 64 KiB make
 * the mmap call (1.5 us) vanish, 16 objects keep the loss at the end of
 * a chunk (less than one object) under 6 %.
 */
#define POOL_CHUNK_BYTES   ((size_t)64 << 10)
#define POOL_CHUNK_OBJECTS 16

struct chunk {
	struct chunk *next; /* (pool lock) older chunk */
	size_t cut;	    /* (pool lock) bytes given out, header included */
};

/* An object in the free list. */
struct spare {
	struct spare *next;
};

_Static_assert(sizeof(struct chunk) <= CACHE_LINE, "one line of header");

void pool_init(struct pool *p, size_t object_bytes)
{
	size_t bytes =
		(object_bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	size_t chunk = CACHE_LINE + POOL_CHUNK_OBJECTS * bytes;

	ASSERT(object_bytes > 0);
	lock_init(&p->lock, LOCK_POOL);
	p->object_bytes = bytes;
	p->chunk_bytes = page_ceil(MAX(chunk, POOL_CHUNK_BYTES));
	p->free = NULL;
	p->chunks = NULL;
	p->used_objects = 0;
}

/* => nobody else uses the pool or its objects any more. */
void pool_fini(struct pool *p)
{
	struct chunk *c, *next;

	for (c = p->chunks; c; c = next) {
		next = c->next;
		os_unmap((haddr_t)(uintptr_t)c, p->chunk_bytes);
	}
	p->chunks = NULL;
	p->free = NULL;
	p->used_objects = 0;
}

/* Takes from the free list, or NULL. The object is dirty. */
static void *take_spare(struct pool *p)
{
	struct spare *s = p->free;

	if (s)
		p->free = s->next;
	return s;
}

/* Cuts from the newest chunk, or NULL if it is used up. Zeroed by (2). */
static void *take_fresh(struct pool *p)
{
	struct chunk *c = p->chunks;
	void *object;

	if (!c || c->cut + p->object_bytes > p->chunk_bytes)
		return NULL;
	object = (char *)c + c->cut;
	c->cut += p->object_bytes;
	return object;
}

static int add_chunk(struct pool *p)
{
	struct chunk *c;
	void *memory;
	int error = os_map_anon(p->chunk_bytes, &memory);

	if (error)
		return error;
	c = memory;
	c->next = p->chunks;
	c->cut = CACHE_LINE;
	p->chunks = c;
	return 0;
}

/* *dirty: it comes from the free list. */
static void *take(struct pool *p, bool *dirty)
{
	void *object;

	lock_take(&p->lock);
	object = take_spare(p);
	*dirty = object;
	if (!object)
		object = take_fresh(p);
	if (!object && add_chunk(p) == 0)
		object = take_fresh(p);
	if (object)
		p->used_objects++;
	lock_drop(&p->lock);
	return object;
}

void *pool_take(struct pool *p)
{
	bool dirty;
	void *object = take(p, &dirty);

	if (object && dirty)
		memset(object, 0, p->object_bytes);
	return object;
}

void *pool_take_dirty(struct pool *p)
{
	bool dirty;

	return take(p, &dirty);
}

void pool_give(struct pool *p, void *object)
{
	ASSERT(object);
#ifdef VVM_DEBUG
	memset(object, 0xdb, p->object_bytes); /* whoever still reads it */
#endif
	pool_give_in_use(p, object);
}

void pool_give_in_use(struct pool *p, void *object)
{
	struct spare *s = object;

	ASSERT(object && ((uintptr_t)object & (CACHE_LINE - 1)) == 0);
	lock_take(&p->lock);
	ASSERT(p->used_objects > 0);
	p->used_objects--;
	s->next = p->free;
	p->free = s;
	lock_drop(&p->lock);
}
