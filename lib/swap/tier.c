/* SPDX-License-Identifier: MIT */
/*
 * swap/tier.c - pages of the swap file that are in memory, compressed.
 *
 * A page that leaves its frame gets a slot, as ever; page table, snapshots and
 * fork children know it by that. The page may be *here* instead of in its slot:
 * as an item of the store (swap/store.c), or as a word if it is one word again
 * and again. Who writes slots asks tier_keep() first, who reads them
 * tier_load(), and nobody else needs to know.
 *
 *	write --keep--> here (item) --spill, the oldest first--> in its slot
 *	    \				 \
 *	     '--does not compress, ------'--no use for it any more--> gone
 *		or no room: in its slot
 *
 * A page stays here when it is read: it is CLEAN, and leaves its frame for
 * nothing the next time. The store is as large as its limit allows, which
 * changes all the time (policy/division.c); its pages are frames of the budget.
 *
 * A page that was read from its slot and leaves its frame unchanged can be
 * brought here, too (tier_wants()): all of them while there is room, one of
 * WANT_SHARE when there is none, so that what is here follows what is read. It is
 * COMING from then on until it is here, unless the slot is given back before. It
 * is in its slot as well (DISK), and needs no write when it goes again.
 *
 * The *owner*, who is the reclaimer, brings pages here, and spills the oldest when
 * there are to be fewer (swap/spill.c).
 *
 * Holes. When a chunk is opened, and a quarter of the log is holes, the owner
 * copies what is left of sparse chunks to it. So holes are rarely more than a
 * third.
 *
 * Checksums. An item has that of its bytes, seeded with the guest address; it is
 * verified before it is unpacked, for a reader or for a spill. checksum[slot] is
 * that of the page in the slot: somebody may be reading it from there when it
 * comes here, too.
 *
 * A fork child has a copy of all this as of the fork, and only reads it. The
 * owner has no spill in flight then (evict/reclaim.c stops with nothing in
 * flight), and nobody is loading (no page is FILLING).
 *
 * Invariants, with store.lock held:
 *  (1) kind[slot] (enum tier_kind) is ITEM exactly if place[slot] is an item
 *	of the store that has not been dropped, and that names the slot.
 *  (2) A slot that is SPILLING is taken in swap's slots, GIVEN or not.
 *	One that is COMING has not been given back since tier_wants().
 *  (3) kind[slot] of a slot that nobody has taken is 0.
 *
 * Rejected: a table of items by a hash (9 bytes for each slot that was ever used
 * are less than two pointers for each item); to drop what is read (a page that
 * is read again and again would be compressed again and again).
 */
#include "swap/tier.h"

#include <errno.h>

#include "os/os.h"
#include "swap/impl.h"
#include "util/checksum.h"

/* Chunks moved when one is opened: more would make the reclaimer late. */
#define MOVE_CHUNKS 2
/* Of pages that are read and leave again, when there is no room. */
#define WANT_SHARE 8
/* Spilling begins this much below the limit: 4 chunks, an eighth of it at most. */
#define AHEAD_CHUNKS 4
#define AHEAD_SHARE  8
/* Empty chunks that are kept: pages that are given back come back zeroed. */
#define KEEP_EMPTY 2
/* The part of the log whose use says what it is good for. */
#define OLD_SHARE   8
#define OLD_LOOK_US 20000

/* ---- construction ---- */

static void unmap(void *at, uint64_t bytes)
{
	if (at)
		os_unmap((haddr_t)(uintptr_t)at, bytes);
}

void tier_free(struct tier *t)
{
	store_fini(&t->store);
	squeeze_fini(&t->squeeze);
	unmap(t->place, t->place_bytes);
	unmap(t->kind, t->kind_bytes);
	spills_fini(t);
	os_unmap((haddr_t)(uintptr_t)t, page_ceil(sizeof(*t)));
}

static int map_tables(struct tier *t, uint64_t slots)
{
	void *memory;
	int rc;

	t->place_bytes = page_ceil((slots + 1) * sizeof(*t->place));
	t->kind_bytes = page_ceil((slots + 1) * sizeof(*t->kind));
	rc = os_map_anon(t->place_bytes, &memory);
	if (rc < 0)
		return rc;
	t->place = memory;
	rc = os_map_anon(t->kind_bytes, &memory);
	if (rc < 0)
		return rc;
	t->kind = memory;
	return 0;
}

int tier_new(struct tier **out, struct swap *swap, uint64_t slots,
	     uint32_t *checksum, const struct store_memory *memory)
{
	struct tier *t;
	void *mapping;
	int rc;

	if (!squeeze_known())
		return -ENOTSUP;
	rc = os_map_anon(page_ceil(sizeof(*t)), &mapping);
	if (rc < 0)
		return rc;
	t = mapping;
	t->swap = swap;
	t->checksum = checksum;
	store_init(&t->store, memory);
	rc = squeeze_init(&t->squeeze, STORE_ITEM_MAX);
	if (rc == 0)
		rc = map_tables(t, slots);
	if (rc == 0)
		rc = spills_init(t);
	if (rc < 0) {
		tier_free(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void tier_seal(struct tier *t)
{
	lock_init(&t->store.lock, LOCK_STORE);
	t->sealed = true;
}

/* What is not inherited is not there. */
void tier_shed(struct tier *t)
{
	if (t->store.memory.inherited)
		store_fini(&t->store);
}

/* ---- slots ---- */

static uint8_t kind_of(const struct tier *t, uint64_t slot)
{
	return __atomic_load_n(&t->kind[slot], __ATOMIC_ACQUIRE);
}

/* => locked */
static void set_item(struct tier *t, uint64_t slot, struct store_item *item)
{
	unsigned disk = t->kind[slot] & TIER_COMING ? TIER_DISK : 0;

	t->place[slot] = (uint64_t)(uintptr_t)item;
	t->items++;
	t->added++;
	tier_set_kind(t, slot, TIER_ITEM | disk);
}

void tier_forget(struct tier *t, uint64_t slot)
{
	unsigned kind = t->kind[slot];

	if (kind & TIER_ITEM) {
		store_drop(&t->store, tier_item(t, slot));
		t->items--;
	}
	t->words -= kind & TIER_WORD ? 1 : 0;
	tier_set_kind(t, slot, kind & TIER_SPILLING);
}

bool tier_has(const struct tier *t, uint64_t slot)
{
	return kind_of(t, slot) & TIER_HERE;
}

/* Only its owner's write brings a page here, and only ours takes it away. */
bool tier_give(struct tier *t, uint64_t slot)
{
	bool free;

	if (!kind_of(t, slot))
		return true;
	lock_take(&t->store.lock);
	tier_forget(t, slot);
	free = !t->kind[slot];
	if (!free)
		tier_set_kind(t, slot, TIER_SPILLING | TIER_GIVEN);
	lock_drop(&t->store.lock);
	return free;
}

/* ---- loading ---- */

bool tier_unpack(const struct store_item *item, gaddr_t addr, void *page)
{
	unsigned bytes = store_bytes(item);

	return checksum_bytes(item->bytes, bytes, addr) == item->checksum &&
	       squeeze_unpack(item->bytes, bytes, page);
}

/* A look at the slot, of a page that is here. */
struct sight {
	unsigned kind;
	uint64_t word;
	struct store_item *item;
	struct store_chunk *chunk; /* pinned */
};

/* => locked, or sealed */
static void look(struct tier *t, uint64_t slot, struct sight *s)
{
	s->kind = t->kind[slot];
	s->word = t->place[slot];
	if (!(s->kind & TIER_ITEM))
		return;
	s->item = tier_item(t, slot);
	s->chunk = store_chunk(s->item);
	store_pin(s->chunk);
	if (t->sealed)
		return;
	s->item->slot |= STORE_USED;
	if (s->chunk->turn < t->old_turn)
		atomic_fetch_add_explicit(&t->old_loads, 1,
					  memory_order_relaxed);
}

enum tier_result tier_load(struct tier *t, uint64_t slot, gaddr_t addr,
			   void *page)
{
	struct sight s = {0};
	bool good = true;

	if (!tier_has(t, slot))
		return TIER_ABSENT;
	if (!t->sealed)
		lock_take(&t->store.lock);
	look(t, slot, &s);
	if (!t->sealed)
		lock_drop(&t->store.lock);
	if (!s.item && !(s.kind & TIER_WORD))
		return TIER_ABSENT;
	atomic_fetch_add_explicit(&t->loads, 1, memory_order_relaxed);
	if (s.kind & TIER_WORD) {
		squeeze_fill(page, s.word);
		return TIER_LOADED;
	}
	good = tier_unpack(s.item, addr, page);
	store_unpin(s.chunk);
	if (good)
		return TIER_LOADED;
	atomic_fetch_add_explicit(&t->damaged, 1, memory_order_relaxed);
	return s.kind & TIER_DISK ? TIER_ABSENT : TIER_DAMAGED;
}

/* ---- keeping; the owner ---- */

bool tier_lives(const struct tier *t, const struct store_item *item)
{
	uint64_t slot = store_slot(item);

	return (t->kind[slot] & ~(unsigned)TIER_DISK) == TIER_ITEM &&
	       tier_item(t, slot) == item;
}

bool tier_move(struct tier *t, struct store_item *item)
{
	struct store_item *copy = store_copy(&t->store, item);

	if (!copy)
		return false;
	t->place[store_slot(item)] = (uint64_t)(uintptr_t)copy;
	t->moved++;
	store_drop(&t->store, item);
	return true;
}

/* The same with all of a chunk. => locked */
static void move_items(struct tier *t, const struct store_chunk *c)
{
	struct store_item *item;
	uint32_t at = 0;

	while ((item = store_each(c, &at)))
		if (tier_lives(t, item) && !tier_move(t, item))
			return;
}

/* Holes are more than a quarter. => locked */
static bool has_holes(const struct tier *t)
{
	uint64_t bytes = t->store.log_chunks * STORE_CHUNK_BYTES;

	return t->store.live_bytes < bytes - bytes / 4;
}

/* A new head; what lives between holes goes there first. */
static bool open_chunk(struct tier *t)
{
	struct store_chunk *c = NULL;
	unsigned i;

	if (!store_open(&t->store, t->limit))
		return false;
	for (i = 0; i < MOVE_CHUNKS; i++) {
		lock_take(&t->store.lock);
		c = has_holes(t) ? store_sparse(&t->store) : NULL;
		if (c)
			move_items(t, c);
		lock_drop(&t->store.lock);
	}
	return true;
}

/*
 * Adds what the squeeze has made of a page; kind: of the slot, if it is still its
 * page's. False: there is no room.
 */
static bool add_item(struct tier *t, uint64_t slot, gaddr_t addr,
		     unsigned bytes, unsigned kind)
{
	uint32_t checksum = checksum_bytes(t->squeeze.out, bytes, addr);
	struct store_item *item = NULL;
	bool gone;

	do {
		lock_take(&t->store.lock);
		gone = t->kind[slot] != kind;
		if (!gone)
			item = store_add(&t->store, slot, addr, t->squeeze.out,
					 bytes, checksum);
		if (item)
			set_item(t, slot, item);
		lock_drop(&t->store.lock);
	} while (!gone && !item && open_chunk(t));
	return gone || item;
}

static void add_word(struct tier *t, uint64_t slot, uint64_t word,
		     unsigned kind)
{
	lock_take(&t->store.lock);
	if (t->kind[slot] == kind) {
		t->place[slot] = word;
		t->words++;
		t->added++;
		tier_set_kind(t, slot, TIER_WORD);
	}
	lock_drop(&t->store.lock);
}

/* What has become of the pages of a write so far. */
struct tries {
	unsigned packed, refused;
	bool off; /* no room, or of no use */
};

/* Is this page here now? kind: as add_item() */
static bool keep_page(struct tier *t, uint64_t slot, gaddr_t addr,
		      const char *page, unsigned kind, struct tries *tries)
{
	uint64_t word;
	unsigned bytes;

	if (squeeze_word(page, &word)) {
		add_word(t, slot, word, kind);
		return true;
	}
	if (tries->off)
		return false;
	bytes = squeeze_pack(&t->squeeze, page);
	if (!bytes) {
		tries->refused++;
		tries->off = tries->refused > 2 + 4 * tries->packed;
		return false;
	}
	tries->packed++;
	tries->off = !add_item(t, slot, addr, bytes, kind);
	return !tries->off;
}

/* As many as it may have, or about to be. */
static bool is_full(struct tier *t)
{
	bool full;

	lock_take(&t->store.lock);
	full = (t->store.log_chunks + AHEAD_CHUNKS) * STORE_CHUNK_PAGES >=
	       t->limit;
	lock_drop(&t->store.lock);
	return full;
}

bool tier_wants(struct tier *t, uint64_t slot, gaddr_t addr)
{
	bool wants;

	if (!t->limit || kind_of(t, slot))
		return false;
	if (is_full(t) && t->turn++ % WANT_SHARE)
		return false;
	if (!squeeze_try(&t->squeeze, addr))
		return false;
	lock_take(&t->store.lock);
	wants = !t->kind[slot];
	if (wants)
		tier_set_kind(t, slot, TIER_COMING);
	lock_drop(&t->store.lock);
	return wants;
}

void tier_add(struct tier *t, uint64_t slot, gaddr_t addr, const char *page)
{
	struct tries tries = {0};

	if (page)
		keep_page(t, slot, addr, page, TIER_COMING, &tries);
	squeeze_learn(&t->squeeze, addr, tries.packed + tries.refused,
		      tries.packed);
	lock_take(&t->store.lock);
	if (t->kind[slot] == TIER_COMING)
		tier_set_kind(t, slot, 0);
	lock_drop(&t->store.lock);
}

void tier_keep(struct tier *t, struct io *io, uint64_t first)
{
	struct tries tries = {0};
	unsigned i;

	tries.off = !t->limit || !squeeze_try(&t->squeeze, io->addr);
	for (i = 0; i < io->pages; i++)
		if (keep_page(t, first + i, io_page_addr(io, i),
			      io->buf + pages_to_bytes(i), 0, &tries))
			bit_set(io->memory, i);
	squeeze_learn(&t->squeeze, io->addr, tries.packed + tries.refused,
		      tries.packed);
}

/* ---- its size; the owner ---- */

/* Pages of the log that nobody is writing away just now, roughly. */
static uint64_t pages_to_stay(struct tier *t)
{
	uint64_t pages;

	lock_take(&t->store.lock);
	pages = t->store.log_chunks * STORE_CHUNK_PAGES;
	lock_drop(&t->store.lock);
	return pages;
}

/* The chunk at which the older part of the log ends. */
static void set_old_turn(struct tier *t, uint64_t now_us)
{
	struct store *s = &t->store;
	struct store_chunk *c = NULL;
	uint64_t n;

	if (now_us < t->old_us + OLD_LOOK_US)
		return;
	t->old_us = now_us;
	lock_take(&s->lock);
	for (n = s->log_chunks / OLD_SHARE + 1; n && s->log_chunks; n--)
		c = store_next(s, c);
	t->old_turn = c ? c->turn : 0;
	lock_drop(&s->lock);
}

void tier_trim(struct tier *t, struct ring *ring, uint64_t pages)
{
	uint64_t ahead = MIN((uint64_t)AHEAD_CHUNKS * STORE_CHUNK_PAGES,
			     pages / AHEAD_SHARE);
	uint64_t now_us = os_now_us(), stay;

	t->limit = pages;
	if (now_us >= t->rest_us)
		while (pages_to_stay(t) > pages - ahead &&
		       spill_oldest(t, ring))
			;
	stay = pages_to_stay(t);
	stay = stay < pages ? (pages - stay) / STORE_CHUNK_PAGES : 0;
	store_release(&t->store, MIN(stay, (uint64_t)KEEP_EMPTY));
	set_old_turn(t, now_us);
}

/* ---- looking ---- */

void tier_stat(struct tier *t, struct backing_stat *st)
{
	lock_take(&t->store.lock);
	st->packed = t->items + t->words;
	st->packed_memory = store_pages(&t->store);
	st->packed_added = t->added;
	st->spilled = t->spilled;
	lock_drop(&t->store.lock);
	st->packed_reads = atomic_load(&t->loads);
	st->packed_old_reads = atomic_load(&t->old_loads);
	st->checksum_errors += atomic_load(&t->damaged);
}

void tier_check(struct tier *t)
{
	const struct store_chunk *c;
	uint64_t items = 0;
	struct list *node;

	store_check(&t->store);
	lock_take(&t->store.lock);
	list_for_each (node, &t->store.log) {
		struct store_item *item;
		uint32_t at = 0, live = 0, last = 0;

		c = container_of(node, struct store_chunk, link);
		while ((item = store_each(c, &at))) {
			uint64_t slot = store_slot(item);

			if ((t->kind[slot] & TIER_ITEM) &&
			    tier_item(t, slot) == item) {
				live += at - MAX(last, 16u);
				items++;
			}
			last = at;
		}
		ASSERT(live == c->live); /* (1) */
	}
	ASSERT(items == t->items); /* (1) */
	lock_drop(&t->store.lock);
}
