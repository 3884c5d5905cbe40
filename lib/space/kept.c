/* SPDX-License-Identifier: MIT */
/*
 * space/kept.c - the host ranges of a space as a fork child can read them.
 *
 * A child that does not inherit a space has holes where the memory was. They
 * have to stay empty: a mapping that landed there would answer to pointers of
 * the parent's with other data. So the child reserves them, in its fork
 * handler, before it can map anything itself.
 *
 * Other threads may have been changing the regions at that moment, and a fork
 * copies memory page by page, not all at once: the child cannot rely on arrays
 * that are moved. Hence this table. An entry never moves; it counts when its
 * end is not 0, which is set last and taken away first, and which lies in the
 * same page as its start. An entry that is missing is of a vvm_map() that had
 * not returned: nobody had the address. One that is too much, or too long since
 * a part was unmapped, costs the child address space that it did not need, or
 * meets what the parent had mapped there since: that is left as it is.
 *
 * A range that is of a file also has its descriptor, which a child must not keep
 * either. Numbers of descriptors are used again; descriptors and memory are not
 * copied at the same moment. So the child closes what is still that file.
 *
 * Each range is also in the table of all paged memory (space/paged.c).
 *
 * Rejected: to hold the space lock over every fork (fork/fork.c has to go to
 * great lengths for that); to read /proc/self/maps in the parent at each fork.
 */
#include "space/kept.h"

#include <errno.h>

#include "os/os.h"

#define CHUNK_BYTES ((uint64_t)16 << 10)

struct kept_chunk {
	_Atomic(struct kept_chunk *) next;
	uint64_t unused[7]; /* no entry straddles two pages */
	struct kept_range range[CHUNK_BYTES / sizeof(struct kept_range) - 1];
};

_Static_assert(sizeof(struct kept_range) == 64, "divides a page");
_Static_assert(sizeof(struct kept_chunk) == CHUNK_BYTES, "and its head is one");

static void forget_all(struct kept_chunk *c)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(c->range); i++)
		if (atomic_load(&c->range[i].end))
			paged_drop(c->range[i].paged);
}

void kept_fini(struct kept *k)
{
	struct kept_chunk *c = atomic_load(&k->chunks), *next;

	for (; c; c = next) {
		next = atomic_load(&c->next);
		forget_all(c);
		os_unmap((haddr_t)(uintptr_t)c, CHUNK_BYTES);
	}
	atomic_init(&k->chunks, NULL);
	k->free = NULL;
}

static void set_free(struct kept *k, struct kept_range *r)
{
	r->next_free = k->free;
	k->free = r;
}

static int add_chunk(struct kept *k)
{
	struct kept_chunk *c;
	void *memory;
	size_t i;
	int rc = os_map_anon(CHUNK_BYTES, &memory);

	if (rc < 0)
		return rc;
	c = memory;
	for (i = ARRAY_SIZE(c->range); i-- > 0;)
		set_free(k, &c->range[i]);
	atomic_store(&c->next, atomic_load(&k->chunks));
	atomic_store(&k->chunks, c);
	return 0;
}

struct kept_range *kept_add(struct kept *k, haddr_t start, uint64_t bytes)
{
	struct paged_range *paged;
	struct kept_range *r;

	if (!k->free && add_chunk(k) < 0)
		return NULL;
	paged = paged_add(start, start + bytes);
	if (!paged)
		return NULL;
	r = k->free;
	k->free = r->next_free;
	r->paged = paged;
	r->regions = 1;
	atomic_store(&r->start, start);
	atomic_store(&r->end, start + bytes);
	return r;
}

void kept_hold(struct kept_range *r, const struct os_held *held)
{
	r->held = *held;
	atomic_store(&r->open, true);
}

void kept_use(struct kept_range *r)
{
	if (r)
		r->regions++;
}

void kept_drop(struct kept *k, struct kept_range *r)
{
	if (!r || --r->regions)
		return;
	atomic_store(&r->open, false);
	atomic_store(&r->end, 0);
	paged_drop(r->paged);
	set_free(k, r);
}

/* ---- in a fork child ---- */

/* Halves what is neither free nor all taken until it is either. */
static int reserve_free(haddr_t start, haddr_t end)
{
	haddr_t at, middle = start + page_floor((end - start) / 2);
	int rc = os_reserve(end - start, PAGE_BYTES, 0, start, &at);

	if (rc != -EEXIST)
		return rc;
	if (end - start == PAGE_BYTES || os_all_mapped(start, end - start))
		return 0;
	rc = reserve_free(start, middle);
	return rc < 0 ? rc : reserve_free(middle, end);
}

int kept_reserve(struct kept *k)
{
	struct kept_chunk *c;
	size_t i;
	int rc, result = 0;

	for (c = atomic_load(&k->chunks); c; c = atomic_load(&c->next))
		for (i = 0; i < ARRAY_SIZE(c->range); i++) {
			haddr_t end = atomic_load(&c->range[i].end);

			if (!end)
				continue;
			if (atomic_load(&c->range[i].open))
				os_close_held(&c->range[i].held);
			rc = reserve_free(atomic_load(&c->range[i].start), end);
			result = rc < 0 ? rc : result;
		}
	return result;
}
