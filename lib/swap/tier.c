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
 * Spilling. The *owner*, who is the reclaimer, writes the oldest items to their
 * slots, as they were before they were compressed. Items that were read since
 * they came get a second chance: they go to the head, if it has room. While a
 * slot is being spilled its page is still here. Should its owner give the slot
 * up meanwhile, then it is GIVEN: free only when the write has ended, or it
 * would hit whoever has the slot next. A spill that fails changes nothing.
 *
 * Holes. When a chunk is opened, and a quarter of the log is holes, the owner
 * copies what is left of sparse chunks to it. So holes are rarely more than a
 * third.
 *
 * Checksums. An item has that of its bytes, seeded with the guest address; it is
 * verified before it is unpacked, for a reader or for a spill. checksum[slot] is
 * that of the page in the slot: somebody may be reading it from there when it
 * comes here, too. An item that is damaged is spilled with a checksum that cannot
 * match: its page is lost, like one that the disk does not give back.
 *
 * A fork child has a copy of all this as of the fork, and only reads it. The
 * owner has no spill in flight then (evict/reclaim.c stops with nothing in
 * flight), and nobody is loading (no page is FILLING).
 *
 * Invariants, with store.lock held:
 *  (1) kind[slot] is ITEM exactly if place[slot] is an item of the store that
 *	has not been dropped, and that names the slot.
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
#include <string.h>

#include "os/os.h"
#include "swap/impl.h"
#include "util/checksum.h"

enum {
	ITEM = 1,
	WORD = 2,
	HERE = ITEM | WORD,
	SPILLING = 4,
	GIVEN = 8,
	COMING = 16, /* tier_add() is next */
	DISK = 32,   /* it is in its slot, too */
};

/* Chunks moved when one is opened: more would make the reclaimer late. */
#define MOVE_CHUNKS 2
/* Of pages that are read and leave again, when there is no room. */
#define WANT_SHARE 8
/* A write to the disk has failed: the next one after so long. */
#define REST_US 200000
/* Spilling begins this much below the limit: 4 chunks, an eighth of it at most. */
#define AHEAD_CHUNKS 4
#define AHEAD_SHARE  8
/* Empty chunks that are kept: pages that are given back come back zeroed. */
#define KEEP_EMPTY 2
/* The part of the log whose use says what it is good for. */
#define OLD_SHARE   8
#define OLD_LOOK_US 20000

/* ---- construction ---- */

static void init_spills(struct tier *t)
{
	unsigned i;

	for (i = 0; i < TIER_SPILLS; i++) {
		t->spill[i].tier = t;
		t->spill[i].io.buf =
			(char *)t->buffers +
			pages_to_bytes((uint64_t)i * TIER_SPILL_PAGES);
	}
}

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
	unmap(t->buffers, pages_to_bytes(TIER_SPILLS * TIER_SPILL_PAGES));
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
	return os_map_anon(pages_to_bytes(TIER_SPILLS * TIER_SPILL_PAGES),
			   &t->buffers);
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
	if (rc < 0) {
		tier_free(t);
		return -ENOMEM;
	}
	init_spills(t);
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
static void set_kind(struct tier *t, uint64_t slot, unsigned kind)
{
	__atomic_store_n(&t->kind[slot], (uint8_t)kind, __ATOMIC_RELEASE);
}

static struct store_item *item_of(const struct tier *t, uint64_t slot)
{
	return (struct store_item *)(uintptr_t)t->place[slot];
}

/* => locked */
static void set_item(struct tier *t, uint64_t slot, struct store_item *item)
{
	unsigned disk = t->kind[slot] & COMING ? DISK : 0;

	t->place[slot] = (uint64_t)(uintptr_t)item;
	t->items++;
	t->added++;
	set_kind(t, slot, ITEM | disk);
}

/* The page of the slot is not here any more. => locked */
static void forget(struct tier *t, uint64_t slot)
{
	unsigned kind = t->kind[slot];

	if (kind & ITEM) {
		store_drop(&t->store, item_of(t, slot));
		t->items--;
	}
	t->words -= kind & WORD ? 1 : 0;
	set_kind(t, slot, kind & SPILLING);
}

bool tier_has(const struct tier *t, uint64_t slot)
{
	return kind_of(t, slot) & HERE;
}

/* Only its owner's write brings a page here, and only ours takes it away. */
bool tier_give(struct tier *t, uint64_t slot)
{
	bool free;

	if (!kind_of(t, slot))
		return true;
	lock_take(&t->store.lock);
	forget(t, slot);
	free = !t->kind[slot];
	if (!free)
		set_kind(t, slot, SPILLING | GIVEN);
	lock_drop(&t->store.lock);
	return free;
}

/* ---- loading ---- */

/* Verifies and unpacks what a pin keeps readable. */
static bool unpack(const struct store_item *item, gaddr_t addr, void *page)
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
	if (!(s->kind & ITEM))
		return;
	s->item = item_of(t, slot);
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
	if (!(s.kind & HERE))
		return TIER_ABSENT;
	atomic_fetch_add_explicit(&t->loads, 1, memory_order_relaxed);
	if (s.kind & WORD) {
		squeeze_fill(page, s.word);
		return TIER_LOADED;
	}
	good = unpack(s.item, addr, page);
	store_unpin(s.chunk);
	if (good)
		return TIER_LOADED;
	atomic_fetch_add_explicit(&t->damaged, 1, memory_order_relaxed);
	return s.kind & DISK ? TIER_ABSENT : TIER_DAMAGED;
}

/* ---- keeping; the owner ---- */

/* Is it a page, which nobody is writing? => locked */
static bool lives(const struct tier *t, const struct store_item *item)
{
	uint64_t slot = store_slot(item);

	return (t->kind[slot] & ~(unsigned)DISK) == ITEM &&
	       item_of(t, slot) == item;
}

/* To the head, if it has room. => locked, it lives. */
static bool move_item(struct tier *t, struct store_item *item)
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
		if (lives(t, item) && !move_item(t, item))
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
		set_kind(t, slot, WORD);
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
		set_kind(t, slot, COMING);
	lock_drop(&t->store.lock);
	return wants;
}

void tier_add(struct tier *t, uint64_t slot, gaddr_t addr, const char *page)
{
	struct tries tries = {0};

	if (page)
		keep_page(t, slot, addr, page, COMING, &tries);
	squeeze_learn(&t->squeeze, addr, tries.packed + tries.refused,
		      tries.packed);
	lock_take(&t->store.lock);
	if (t->kind[slot] == COMING)
		set_kind(t, slot, 0);
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

/* ---- spilling; the owner ---- */

static struct tier_spill *idle_spill(struct tier *t)
{
	unsigned i;

	for (i = 0; i < TIER_SPILLS; i++)
		if (!t->spill[i].chunk)
			return &t->spill[i];
	return NULL;
}

/* It was read since: to the head with it, if that has room. => locked */
static bool spare(struct tier *t, struct store_item *item)
{
	if (!t->limit || !(item->slot & STORE_USED))
		return false;
	item->slot &= ~STORE_USED;
	return move_item(t, item);
}

/* Adds an item to the spill; false: it is for another one. => locked */
static bool join(struct tier_spill *sp, struct store_item *item)
{
	uint64_t slot = store_slot(item);
	struct tier *t = sp->tier;

	if (t->kind[slot] & DISK) {
		forget(t, slot); /* nothing to write */
		return true;
	}
	if (!sp->io.pages)
		sp->slot = slot;
	else if (slot != sp->slot + sp->io.pages)
		return false;
	sp->item[sp->io.pages++] = item;
	set_kind(t, slot, ITEM | SPILLING);
	return true;
}

/*
 * Takes items of a chunk from where it was looked at last, whose slots follow
 * one another. True: there are any; the chunk is pinned. => locked
 */
static bool collect(struct tier_spill *sp, struct store_chunk *c)
{
	struct tier *t = sp->tier;
	struct store_item *item;
	uint32_t at = c->looked;
	unsigned n;

	sp->io.pages = 0;
	store_pin(c);
	while (sp->io.pages < TIER_SPILL_PAGES && (item = store_each(c, &at))) {
		if (lives(t, item) && !spare(t, item) && !join(sp, item))
			break;
		c->looked = at;
	}
	n = sp->io.pages;
	if (!n)
		store_unpin(c);
	return n;
}

/* What is to be written next; false: nothing. The head if it is the end. */
static bool collect_oldest(struct tier_spill *sp)
{
	struct store *s = &sp->tier->store;
	struct store_chunk *c, *next;

	lock_take(&s->lock);
	for (c = store_next(s, NULL); c; c = next) {
		next = store_next(s, c);
		if (store_is_head(s, c) && sp->tier->limit)
			c = NULL;
		if (!c || collect(sp, c))
			break;
	}
	lock_drop(&s->lock);
	sp->chunk = c;
	return c;
}

static void unpack_all(struct tier_spill *sp)
{
	unsigned i;

	for (i = 0; i < sp->io.pages; i++) {
		const struct store_item *item = sp->item[i];
		char *page = sp->io.buf + pages_to_bytes(i);
		gaddr_t addr = store_addr(item);
		bool good = unpack(item, addr, page);

		sp->checksum[i] = checksum_page(page, addr);
		if (good)
			continue;
		sp->checksum[i] = ~sp->checksum[i];
		atomic_fetch_add(&sp->tier->damaged, 1);
	}
}

/* The write of a slot has ended. True: it is to be given back. => locked */
static bool settle(struct tier_spill *sp, unsigned i, int result)
{
	struct tier *t = sp->tier;
	uint64_t slot = sp->slot + i;

	if (t->kind[slot] & GIVEN) {
		set_kind(t, slot, 0);
		return true;
	}
	ASSERT(t->kind[slot] == (ITEM | SPILLING));
	if (result < 0) {
		set_kind(t, slot, ITEM);
		return false;
	}
	t->checksum[slot] = sp->checksum[i];
	t->spilled++;
	forget(t, slot);
	set_kind(t, slot, 0);
	return false;
}

static void spilled(struct io *io, int result)
{
	struct tier_spill *sp = container_of(io, struct tier_spill, io);
	uint64_t given[BITS_WORDS(TIER_SPILL_PAGES)] = {0};
	struct store_chunk *c = sp->chunk;
	struct tier *t = sp->tier;
	unsigned i;

	lock_take(&t->store.lock);
	for (i = 0; i < io->pages; i++)
		if (settle(sp, i, result))
			bit_set(given, i);
	if (result < 0)
		c->looked = 0;
	store_unpin(c);
	lock_drop(&t->store.lock);
	sp->chunk = NULL;
	if (result < 0)
		t->rest_us = os_now_us() + REST_US;
	for (i = 0; i < io->pages; i++)
		if (bit_get(given, i))
			swap_give_slots(t->swap, sp->slot + i, 1);
}

/* False: there is nothing to write. */
static bool spill(struct tier *t, struct ring *ring, struct tier_spill *sp)
{
	if (!collect_oldest(sp))
		return false;
	unpack_all(sp);
	sp->io.done = spilled;
	swap_write_unpacked(t->swap, ring, &sp->io, sp->slot);
	return true;
}

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
	struct tier_spill *sp;

	t->limit = pages;
	if (now_us >= t->rest_us)
		while (pages_to_stay(t) > pages - ahead &&
		       (sp = idle_spill(t)) && spill(t, ring, sp))
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

			if ((t->kind[slot] & ITEM) &&
			    item_of(t, slot) == item) {
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
