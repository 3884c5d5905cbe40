/* SPDX-License-Identifier: MIT */
/*
 * swap/store.c - memory for compressed pages.
 *
 * A *log*: items are added at the head of the youngest chunk, one behind the
 * other, and never changed. So they are packed without gaps, whatever their
 * sizes are, and the order of the log is their age. A dropped item leaves a
 * hole. A chunk without items is *empty*: its pages are used for the next
 * chunk, or given back. What else is to be done about holes, and about a log
 * that is too long, is the user's decision (swap/tier.c): it copies the items
 * of a chunk to the head, or writes them to the disk, and drops them.
 *
 *	idle --open--> log (head) --> log (older) --all dropped--> empty
 *	  ^		  ^					   |  |
 *	  |		  '-------------- open --------------------'  |
 *	  '------------------------- release --------------------------'
 *
 * Pages. A chunk takes its 16 pages from the budget before it is first touched,
 * and gives them back after the kernel has taken them (MADV_DONTNEED), so the
 * store never has more than it says. It lies in small pages: a huge one would
 * bring memory that nobody has asked for.
 *
 * Readers do not hold the lock while they look at an item: they *pin* its
 * chunk. A pinned chunk may become empty, but is not used again, nor given back.
 * Since nothing in a chunk ever changes, that is all they need.
 *
 * After a fork the child has the whole store, as it was, as private memory, if
 * `inherited`; the pages that the parent changes meanwhile are copied by the
 * kernel. Else the child has none of it.
 *
 * Invariants, with the lock held:
 *  (1) A chunk is in one list. In the log they are in the order of their turns.
 *  (2) live_bytes is the sum of `live` of the log; a chunk of the log that is
 *	not its head has items that live.
 *  (3) Chunks that are not idle have pages: store_pages() of them are taken.
 *  (4) cut <= STORE_CHUNK_BYTES; items lie one behind the other up to there.
 *
 * Rejected: size classes (waste in each, and a class that has shrunk keeps its
 * pages until somebody compacts it; here age and place are one order, and what
 * is oldest is found without a list of all items); an item that spans chunks
 * (0.7 of an item, 1 KiB of 64, is lost at the end of a chunk).
 */
#include "swap/store.h"

#include <string.h>

#include "os/os.h"

#define SLAB_CHUNKS 32u /* 2 MiB of addresses: few mappings */
#define SLAB_BYTES  (SLAB_CHUNKS * STORE_CHUNK_BYTES)
/* The first word of a chunk points to its struct store_chunk. */
#define FIRST_ITEM 16u
/* Chunks that one store_sparse() looks at. */
#define LOOK_CHUNKS 32u

struct store_slab {
	struct store_slab *next;
	void *mapping;
	struct store_chunk chunk[SLAB_CHUNKS];
};

void store_init(struct store *s, const struct store_memory *memory)
{
	memset(s, 0, sizeof(*s));
	s->memory = *memory;
	lock_init(&s->lock, LOCK_STORE);
	list_init(&s->log);
	list_init(&s->empty);
	list_init(&s->idle);
	s->hand = &s->log;
}

void store_fini(struct store *s)
{
	struct store_slab *slab, *next;

	for (slab = s->slabs; slab; slab = next) {
		next = slab->next;
		os_unmap((haddr_t)(uintptr_t)slab->mapping,
			 SLAB_BYTES + STORE_CHUNK_BYTES);
		os_unmap((haddr_t)(uintptr_t)slab, page_ceil(sizeof(*slab)));
	}
	s->slabs = NULL;
}

/* ---- chunks ---- */

static uint32_t item_size(unsigned bytes)
{
	return (uint32_t)(sizeof(struct store_item) + ((bytes + 7u) & ~7u));
}

static struct store_chunk *entry(const struct list *link)
{
	return container_of(link, struct store_chunk, link);
}

/* NULL: there is none. => locked. */
static struct store_chunk *head(const struct store *s)
{
	return list_empty(&s->log) ? NULL : entry(s->log.prev);
}

/* Huge pages would be more than what is counted. */
static int prepare(const struct store *s, haddr_t at)
{
	int rc = os_advise(at, SLAB_BYTES, OS_ADV_NOHUGEPAGE);

	if (rc == 0 && !s->memory.inherited)
		rc = os_advise(at, SLAB_BYTES, OS_ADV_DONTFORK);
	return rc;
}

/* More idle chunks. => not locked, the owner. */
static bool add_slab(struct store *s)
{
	uint64_t bytes = page_ceil(sizeof(struct store_slab));
	struct store_slab *slab;
	void *memory, *mapping;
	haddr_t start;
	unsigned i;

	if (os_map_anon(bytes, &memory) < 0)
		return false;
	if (os_map_anon(SLAB_BYTES + STORE_CHUNK_BYTES, &mapping) < 0) {
		os_unmap((haddr_t)(uintptr_t)memory, bytes);
		return false;
	}
	slab = memory;
	slab->mapping = mapping;
	start = ((haddr_t)(uintptr_t)mapping + STORE_CHUNK_BYTES - 1) &
		~(STORE_CHUNK_BYTES - 1);
	if (prepare(s, start) < 0) {
		os_unmap((haddr_t)(uintptr_t)mapping,
			 SLAB_BYTES + STORE_CHUNK_BYTES);
		os_unmap((haddr_t)(uintptr_t)memory, bytes);
		return false;
	}
	slab->next = s->slabs;
	s->slabs = slab;
	lock_take(&s->lock);
	for (i = 0; i < SLAB_CHUNKS; i++) {
		slab->chunk[i].memory =
			(char *)(uintptr_t)(start + i * STORE_CHUNK_BYTES);
		list_insert(&s->idle, &slab->chunk[i].link);
	}
	lock_drop(&s->lock);
	return true;
}

static bool is_pinned(const struct store_chunk *c)
{
	/* who sees the last pin go sees all that was done under it */
	return atomic_load_explicit(&c->readers, memory_order_acquire);
}

/* An empty chunk that nobody looks at, out of its list. => locked. */
static struct store_chunk *take_empty(struct store *s)
{
	struct list *node;

	list_for_each (node, &s->empty) {
		if (is_pinned(entry(node)))
			continue;
		list_remove(node);
		s->empty_chunks--;
		return entry(node);
	}
	return NULL;
}

/* A chunk of the log has no items any more. => locked. */
static void retire(struct store *s, struct store_chunk *c)
{
	if (s->hand == &c->link)
		s->hand = c->link.next;
	list_remove(&c->link);
	list_insert(&s->empty, &c->link);
	s->log_chunks--;
	s->empty_chunks++;
}

/* It is the head now. => locked. */
static void begin(struct store *s, struct store_chunk *c)
{
	struct store_chunk *old = head(s);

	*(struct store_chunk **)c->memory = c;
	c->cut = FIRST_ITEM;
	c->live = c->looked = 0;
	c->turn = s->turn++;
	list_insert(&s->log, &c->link);
	s->log_chunks++;
	if (old && !old->live) /* (2) */
		retire(s, old);
}

/* A chunk with pages of its own, in no list. => not locked. */
static struct store_chunk *take_new(struct store *s)
{
	struct list *node;

	if (!s->memory.take(s->memory.arg, STORE_CHUNK_PAGES))
		return NULL;
	lock_take(&s->lock);
	node = list_pop(&s->idle);
	lock_drop(&s->lock);
	if (!node && add_slab(s)) {
		lock_take(&s->lock);
		node = list_pop(&s->idle);
		lock_drop(&s->lock);
	}
	if (!node)
		s->memory.give(s->memory.arg, STORE_CHUNK_PAGES);
	return node ? entry(node) : NULL;
}

bool store_open(struct store *s, uint64_t most_pages)
{
	struct store_chunk *c;
	bool full;

	lock_take(&s->lock);
	c = take_empty(s);
	full = store_pages(s) + STORE_CHUNK_PAGES > most_pages;
	lock_drop(&s->lock);
	if (!c && !full)
		c = take_new(s);
	if (!c)
		return false;
	lock_take(&s->lock);
	begin(s, c);
	lock_drop(&s->lock);
	return true;
}

/* False: the kernel keeps the pages, and the chunk is empty on. */
static bool release(struct store *s, struct store_chunk *c)
{
	bool done = os_advise((haddr_t)(uintptr_t)c->memory, STORE_CHUNK_BYTES,
			      OS_ADV_DONTNEED) == 0;

	if (done)
		s->memory.give(s->memory.arg, STORE_CHUNK_PAGES);
	lock_take(&s->lock);
	list_insert(done ? &s->idle : &s->empty, &c->link);
	s->empty_chunks += !done;
	lock_drop(&s->lock);
	return done;
}

uint64_t store_release(struct store *s, uint64_t keep)
{
	struct store_chunk *c;
	uint64_t pages = 0;

	lock_take(&s->lock);
	c = head(s);
	if (!keep && c && !c->live)
		retire(s, c);
	lock_drop(&s->lock);
	for (;;) {
		lock_take(&s->lock);
		c = s->empty_chunks > keep ? take_empty(s) : NULL;
		lock_drop(&s->lock);
		if (!c || !release(s, c))
			return pages;
		pages += STORE_CHUNK_PAGES;
	}
}

/* ---- items; => locked ---- */

static struct store_item *add(struct store *s, uint64_t slot, uint64_t where,
			      const void *from, uint32_t checksum)
{
	unsigned bytes = (unsigned)(where & PAGE_MASK);
	struct store_chunk *c = head(s);
	uint32_t size = item_size(bytes);
	struct store_item *item;

	DEBUG_ASSERT(lock_held(&s->lock));
	ASSERT(bytes && bytes <= STORE_ITEM_MAX);
	if (!c || c->cut + size > STORE_CHUNK_BYTES)
		return NULL;
	item = (struct store_item *)(c->memory + c->cut);
	item->slot = slot;
	item->where = where;
	item->checksum = checksum;
	memcpy(item->bytes, from, bytes);
	c->cut += size;
	c->live += size;
	s->live_bytes += size;
	return item;
}

struct store_item *store_add(struct store *s, uint64_t slot, gaddr_t addr,
			     const void *from, unsigned bytes,
			     uint32_t checksum)
{
	return add(s, slot, addr | bytes, from, checksum);
}

struct store_item *store_copy(struct store *s, const struct store_item *item)
{
	return add(s, item->slot, item->where, item->bytes, item->checksum);
}

void store_drop(struct store *s, struct store_item *item)
{
	struct store_chunk *c = store_chunk(item);
	uint32_t size = item_size(store_bytes(item));

	DEBUG_ASSERT(lock_held(&s->lock));
	ASSERT(c->live >= size);
	c->live -= size;
	s->live_bytes -= size;
	if (!c->live && c != head(s))
		retire(s, c);
}

struct store_item *store_each(const struct store_chunk *c, uint32_t *at)
{
	struct store_item *item;

	if (*at < FIRST_ITEM)
		*at = FIRST_ITEM;
	if (*at >= c->cut)
		return NULL;
	item = (struct store_item *)(c->memory + *at);
	*at += item_size(store_bytes(item));
	return item;
}

struct store_chunk *store_next(const struct store *s,
			       const struct store_chunk *c)
{
	const struct list *next = c ? c->link.next : s->log.next;

	return next == &s->log ? NULL : entry(next);
}

bool store_is_head(const struct store *s, const struct store_chunk *c)
{
	return c == head(s);
}

struct store_chunk *store_sparse(struct store *s)
{
	struct store_chunk *c, *best = NULL;
	unsigned i;

	for (i = 0; i < LOOK_CHUNKS && i < s->log_chunks; i++) {
		if (s->hand == &s->log)
			s->hand = s->log.next;
		c = entry(s->hand);
		s->hand = s->hand->next;
		if (c != head(s) && c->live <= c->cut / 2 &&
		    (!best || c->live < best->live))
			best = c;
	}
	return best;
}

/* ---- checking ---- */

static uint64_t count(const struct list *l)
{
	const struct list *node;
	uint64_t n = 0;

	list_for_each (node, l)
		n++;
	return n;
}

static void check_chunk(const struct store *s, const struct store_chunk *c)
{
	uint32_t at = 0;

	ASSERT(store_chunk((const struct store_item *)c->memory) == c);
	ASSERT(c->live || c == head(s));			  /* (2) */
	ASSERT(c->live <= c->cut && c->cut <= STORE_CHUNK_BYTES); /* (4) */
	while (store_each(c, &at))
		;
	ASSERT(at == c->cut); /* (4) */
}

void store_check(struct store *s)
{
	const struct list *node;
	uint64_t live = 0, last = 0;

	lock_take(&s->lock);
	list_for_each (node, &s->log) {
		const struct store_chunk *c = entry(node);

		check_chunk(s, c);
		ASSERT(c->turn >= last); /* (1) */
		last = c->turn;
		live += c->live;
	}
	ASSERT(live == s->live_bytes);		     /* (2) */
	ASSERT(count(&s->log) == s->log_chunks);     /* (3) */
	ASSERT(count(&s->empty) == s->empty_chunks); /* (3) */
	lock_drop(&s->lock);
}
