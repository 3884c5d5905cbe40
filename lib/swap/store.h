/* SPDX-License-Identifier: MIT */
/*
 * swap/store.h - memory for compressed pages: a log of items of any size, in
 * chunks whose pages are taken from the budget of frames. Its theory is at the
 * head of swap/store.c.
 *
 * One thread, the *owner*, adds, moves and gives memory back; any thread looks
 * at items and drops them.
 */
#ifndef VVM_STORE_H
#define VVM_STORE_H

#include "list.h"
#include "util/lock.h"

#define STORE_CHUNK_BYTES ((uint64_t)64 << 10)
#define STORE_CHUNK_PAGES (STORE_CHUNK_BYTES >> PAGE_SHIFT)
/* The largest item: what is left of a page must be worth the trouble. */
#define STORE_ITEM_MAX 3072

/* Where the pages come from. Both are called with nothing locked. */
struct store_memory {
	bool (*take)(void *arg, uint64_t pages);
	void (*give)(void *arg, uint64_t pages);
	void *arg;
	bool inherited; /* fork children shall have a copy */
};

/* A compressed page. What it is good for is its user's business. */
struct store_item {
	uint64_t slot;	/* (lock) and STORE_USED */
	uint64_t where; /* (i) guest address, and the bytes in its low bits */
	uint32_t checksum; /* (i) of the bytes, with the address */
	uint32_t reserved;
	char bytes[]; /* (i) */
};

#define STORE_USED ((uint64_t)1 << 63)

/* (lock) of its store, (i) set when the chunk was made, (a) atomic. */
struct store_chunk {
	struct list link; /* (lock) log, empty or idle */
	char *memory;	  /* (i) STORE_CHUNK_BYTES, so aligned */
	uint32_t cut;	  /* (lock) bytes given out */
	uint32_t live;	  /* (lock) of these, not dropped */
	uint32_t looked;  /* (lock) the user's: as far as it has looked */
	_Atomic uint32_t readers; /* (a) pins */
	uint64_t turn;		  /* (lock) of its opening */
};

struct store_slab;

struct store {
	struct lock lock;	    /* rank LOCK_STORE */
	struct store_memory memory; /* (i) */
	struct list log;	    /* (lock) oldest first, the head last */
	struct list empty;	    /* (lock) chunks with pages, but no items */
	struct list idle;	    /* (lock) chunks without pages */
	uint64_t log_chunks;	    /* (lock) */
	uint64_t empty_chunks;	    /* (lock) */
	uint64_t live_bytes;	    /* (lock) of all chunks of the log */
	uint64_t turn;		    /* (lock) chunks opened so far */
	struct list *hand;	    /* (lock) where to look for sparse chunks */
	struct store_slab *slabs;   /* (owner) */
};

void store_init(struct store *s, const struct store_memory *memory);
/*
 * Unmaps it all, and gives no page back: their budget ends with it, or is
 * another process's.
 */
void store_fini(struct store *s);

/* ---- the owner ---- */

/*
 * Opens a new chunk at the head of the log, so that the store has at most
 * `most` pages. False: that many it has, or there is no memory. => not locked.
 */
bool store_open(struct store *s, uint64_t most_pages);
/*
 * Gives the pages of empty chunks back, but for `keep` chunks. Returns how many
 * pages. keep 0: those of a head without items, too. => not locked.
 */
uint64_t store_release(struct store *s, uint64_t keep);

/* ---- the owner; => locked ---- */

/* Adds an item. NULL: the head has no room for it. bytes <= STORE_ITEM_MAX. */
struct store_item *store_add(struct store *s, uint64_t slot, gaddr_t addr,
			     const void *from, unsigned bytes,
			     uint32_t checksum);
/* A copy of it at the head; the old one is still to be dropped. NULL: no room. */
struct store_item *store_copy(struct store *s, const struct store_item *item);
/* The chunk after this one in the log; of NULL: the oldest. NULL: no more. */
struct store_chunk *store_next(const struct store *s,
			       const struct store_chunk *c);
/* Is it the one that is added to? */
bool store_is_head(const struct store *s, const struct store_chunk *c);
/*
 * A chunk of which half is dropped, or more, of the few looked at this time.
 * NULL: none.
 */
struct store_chunk *store_sparse(struct store *s);

/* ---- any thread ---- */

/* => locked. The item may not be looked at any more, but for pins. */
void store_drop(struct store *s, struct store_item *item);
/* The items of a chunk, dropped ones included, from offset *at on. => locked. */
struct store_item *store_each(const struct store_chunk *c, uint32_t *at);
/* Pages that it has. => locked. */
static inline uint64_t store_pages(const struct store *s)
{
	return (s->log_chunks + s->empty_chunks) * STORE_CHUNK_PAGES;
}

/* The chunk of an item. => locked, or pinned. */
static inline struct store_chunk *store_chunk(const struct store_item *item)
{
	uintptr_t start = (uintptr_t)item & ~(uintptr_t)(STORE_CHUNK_BYTES - 1);

	return *(struct store_chunk *const *)start;
}

/* Until it is unpinned the items of the chunk stay readable. => locked. */
static inline void store_pin(struct store_chunk *c)
{
	atomic_fetch_add_explicit(&c->readers, 1, memory_order_relaxed);
}

/* Any thread, locked or not. */
static inline void store_unpin(struct store_chunk *c)
{
	atomic_fetch_sub_explicit(&c->readers, 1, memory_order_release);
}

static inline uint64_t store_slot(const struct store_item *item)
{
	return item->slot & ~STORE_USED;
}

static inline gaddr_t store_addr(const struct store_item *item)
{
	return page_floor(item->where);
}

static inline unsigned store_bytes(const struct store_item *item)
{
	return (unsigned)(item->where & PAGE_MASK);
}

/* Asserts the invariants of swap/store.c. => not locked, nothing moves. */
void store_check(struct store *s);

#endif
