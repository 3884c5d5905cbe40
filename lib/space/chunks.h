/* SPDX-License-Identifier: MIT */
/*
 * space/chunks.h - which parts of a mapping have their guard markers:
 * space/view.c.
 */
#ifndef VVM_CHUNKS_H
#define VVM_CHUNKS_H

#include "bits.h"
#include "util/lock.h"

/*
 * More of them are more mappings to the kernel, of which a process may have
 * 65530; fewer are larger: the first touch of one costs 4 KiB of page table and
 * 20 us for each 2 MiB of it. So 1 TiB is cut into parts of 256 MiB.
 */
#define CHUNKS_MAX 4096

/* Of one vvm_map() call; its regions share it. */
struct chunks {
	struct lock lock;      /* rank LOCK_MISC: one is being made ready */
	unsigned regions;      /* (m) that have it */
	unsigned shift, count; /* (i) of equal ones; the last may be short */
	haddr_t start;	       /* (i) */
	uint64_t bytes;	       /* (i) */
	_Atomic uint64_t word[BITS_WORDS(CHUNKS_MAX)]; /* bit set: ready */
};

/* None is ready, one region has it. NULL: out of memory. Calls malloc. */
struct chunks *chunks_new(haddr_t start, uint64_t bytes);
/* => use and drop: mapping lock held. NULL is ok. */
void chunks_use(struct chunks *c);
void chunks_drop(struct chunks *c);
/* None is ready any more. => no other thread. */
void chunks_reset(struct chunks *c);

static inline unsigned chunks_index(const struct chunks *c, haddr_t host)
{
	return (unsigned)((host - c->start) >> c->shift);
}

static inline haddr_t chunks_from(const struct chunks *c, unsigned i)
{
	return c->start + ((haddr_t)i << c->shift);
}

static inline haddr_t chunks_to(const struct chunks *c, unsigned i)
{
	return MIN(chunks_from(c, i + 1), c->start + c->bytes);
}

static inline bool chunks_ready(const struct chunks *c, unsigned i)
{
	return atomic_load_explicit(&c->word[i / 64], memory_order_acquire) >>
		       i % 64 &
	       1;
}

void chunks_set_ready(struct chunks *c, unsigned i);

#endif
