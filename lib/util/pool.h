/* SPDX-License-Identifier: MIT */
/*
 * util/pool.h - objects of one size from mmap'd chunks, never from malloc.
 *
 * Fault handling needs page table nodes, and must not call malloc: the
 * application may be inside malloc, waiting for the very fault. Chunks are
 * zeroed and returned to the kernel only by pool_fini().
 */
#ifndef VVM_POOL_H
#define VVM_POOL_H

#include "list.h"
#include "util/lock.h"

struct pool {
	struct lock lock;      /* rank LOCK_POOL */
	size_t object_bytes;   /* (i) rounded up to a cache line */
	size_t chunk_bytes;    /* (i) */
	void *free;	       /* (lock) singly linked through the objects */
	void *chunks;	       /* (lock) linked through each chunk's head */
	uint64_t used_objects; /* (lock) */
};

void pool_init(struct pool *p, size_t object_bytes);
/* Unmaps every chunk; outstanding objects die with them. */
void pool_fini(struct pool *p);
/* A zeroed object, cache-line aligned, or NULL when mmap failed. */
void *pool_take(struct pool *p);
/* The same with whatever it held before: for buffers that are filled anyway. */
void *pool_take_dirty(struct pool *p);
void pool_give(struct pool *p, void *object);
/* The same when somebody may still look at all but the first word of it. */
void pool_give_in_use(struct pool *p, void *object);

#endif
