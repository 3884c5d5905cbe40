/* SPDX-License-Identifier: MIT */
/*
 * space/paged.c - which host addresses are paged memory.
 *
 * A thread must know that before it takes a lock: what it touches while it
 * holds one must not be paged, nor its stack (space/stack.c). So no lock is
 * needed to ask. The table is in chunks that are never freed, and an entry
 * counts when its end is set, which is set last and taken away first. The
 * answer is exact for an address whose mapping does not come or go meanwhile,
 * and that of memory in use does not.
 *
 * The usual answer takes two loads: the addresses lie between the lowest and
 * the highest that ever were paged, and the stack of the first thread is above
 * all mappings. Those of other threads may be between them. They remember that
 * the part of the stack they are on was found not to be paged, as long as
 * nothing is added.
 *
 * State outside `struct vvm`: it is about the process. A child has the table of
 * its parent; of memory that it did not inherit nothing can be a stack.
 */
#include "space/paged.h"

#include "os/os.h"

#define CHUNK_BYTES ((uint64_t)16 << 10)
#define CLAIMED	    1  /* an end that is not set yet */
#define PART_SHIFT  16 /* 64 KiB of stack are remembered */

struct chunk {
	_Atomic(struct chunk *) next;
	_Atomic unsigned taken, top; /* entries in use; ever used */
	struct paged_range range[CHUNK_BYTES / sizeof(struct paged_range) - 1];
};

_Static_assert(sizeof(struct chunk) <= CHUNK_BYTES, "its head is an entry");

static _Atomic(struct chunk *) chunks;		     /* (a) the newest first */
static _Atomic haddr_t lowest = UINT64_MAX, highest; /* (a) ever */
static _Atomic unsigned additions;		     /* (a) */

/* Of the calling thread: nothing was paged here after so many additions. */
static __thread struct {
	haddr_t part;
	unsigned additions;
} clear __attribute__((tls_model("initial-exec")));

static void widen(haddr_t start, haddr_t end)
{
	haddr_t low = atomic_load(&lowest), high = atomic_load(&highest);

	while (start < low &&
	       !atomic_compare_exchange_weak(&lowest, &low, start))
		;
	while (end > high &&
	       !atomic_compare_exchange_weak(&highest, &high, end))
		;
}

static struct paged_range *claim_in(struct chunk *c)
{
	unsigned i, top;

	if (atomic_load(&c->taken) >= ARRAY_SIZE(c->range))
		return NULL;
	for (i = 0; i < ARRAY_SIZE(c->range); i++) {
		haddr_t none = 0;

		if (!atomic_compare_exchange_strong(&c->range[i].end, &none,
						    CLAIMED))
			continue;
		atomic_fetch_add(&c->taken, 1);
		top = atomic_load(&c->top);
		while (top <= i &&
		       !atomic_compare_exchange_weak(&c->top, &top, i + 1))
			;
		return &c->range[i];
	}
	return NULL;
}

static bool add_chunk(void)
{
	struct chunk *c, *next = atomic_load(&chunks);
	void *memory;

	if (os_map_anon(CHUNK_BYTES, &memory) < 0)
		return false;
	c = memory;
	do
		atomic_store(&c->next, next);
	while (!atomic_compare_exchange_weak(&chunks, &next, c));
	return true;
}

static struct paged_range *claim(void)
{
	struct paged_range *r;
	struct chunk *c;

	do {
		for (c = atomic_load(&chunks); c; c = atomic_load(&c->next)) {
			r = claim_in(c);
			if (r)
				return r;
		}
	} while (add_chunk());
	return NULL;
}

struct paged_range *paged_add(haddr_t start, haddr_t end)
{
	struct paged_range *r = claim();

	if (!r)
		return NULL;
	widen(start, end);
	atomic_store(&r->start, start);
	atomic_store(&r->end, end);
	atomic_fetch_add(&additions, 1);
	return r;
}

static struct chunk *chunk_of(const struct paged_range *r)
{
	struct chunk *c = atomic_load(&chunks);

	while (r < c->range || r >= c->range + ARRAY_SIZE(c->range))
		c = atomic_load(&c->next);
	return c;
}

void paged_drop(struct paged_range *r)
{
	atomic_store(&r->end, 0);
	atomic_fetch_sub(&chunk_of(r)->taken, 1);
}

static bool meets(struct paged_range *r, haddr_t start, haddr_t end)
{
	haddr_t r_end = atomic_load(&r->end);

	return r_end > start && atomic_load(&r->start) < end &&
	       r_end != CLAIMED;
}

static struct paged_range *find(haddr_t start, haddr_t end)
{
	struct chunk *c;
	unsigned i, top;

	if (end <= atomic_load_explicit(&lowest, memory_order_relaxed) ||
	    start >= atomic_load_explicit(&highest, memory_order_relaxed))
		return NULL;
	for (c = atomic_load(&chunks); c; c = atomic_load(&c->next)) {
		top = atomic_load(&c->top);
		for (i = 0; i < top; i++)
			if (meets(&c->range[i], start, end))
				return &c->range[i];
	}
	return NULL;
}

bool paged_meets(haddr_t start, haddr_t end)
{
	return find(start, end);
}

haddr_t paged_end(haddr_t start, haddr_t end)
{
	struct paged_range *r = find(start, end);

	return r ? atomic_load(&r->end) : 0;
}

bool paged_at(haddr_t addr)
{
	haddr_t part = addr >> PART_SHIFT;
	unsigned now;

	if (addr < atomic_load_explicit(&lowest, memory_order_relaxed) ||
	    addr >= atomic_load_explicit(&highest, memory_order_relaxed))
		return false;
	now = atomic_load(&additions);
	if (clear.part == part && clear.additions == now)
		return false;
	if (!paged_meets(part << PART_SHIFT, (part + 1) << PART_SHIFT)) {
		clear.part = part;
		clear.additions = now;
		return false;
	}
	return paged_meets(addr, addr + 1);
}
