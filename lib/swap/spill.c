/* SPDX-License-Identifier: MIT */
/*
 * swap/spill.c - compressed pages on their way to the disk.
 *
 * When there is to be less in memory (tier_trim()) the owner of the tier, who is
 * the reclaimer, writes the oldest items of the log to their slots, as they were
 * before they were compressed: a write takes items of one chunk whose slots
 * follow one another. Items that were read since they came get a second chance:
 * they go to the head, if it has room. What is in its slot as well is forgotten
 * and needs no write.
 *
 * While a slot is being spilled its page is still in memory. Should its owner
 * give the slot up meanwhile, then it is GIVEN: free only when the write has
 * ended, or it would hit whoever has the slot next. A spill that fails changes
 * nothing, and none begins for a while.
 *
 * An item that is damaged is spilled with a checksum that cannot match: its page
 * is lost, like one that the disk does not give back.
 */
#include "os/os.h"
#include "swap/impl.h"
#include "util/checksum.h"

/* A write to the disk has failed: the next one after so long. */
#define REST_US 200000

int spills_init(struct tier *t)
{
	unsigned i;
	int rc = os_map_anon(pages_to_bytes(TIER_SPILLS * TIER_SPILL_PAGES),
			     &t->buffers);

	if (rc < 0)
		return rc;
	for (i = 0; i < TIER_SPILLS; i++) {
		t->spill[i].tier = t;
		t->spill[i].io.buf =
			(char *)t->buffers +
			pages_to_bytes((uint64_t)i * TIER_SPILL_PAGES);
	}
	return 0;
}

void spills_fini(struct tier *t)
{
	if (t->buffers)
		os_unmap((haddr_t)(uintptr_t)t->buffers,
			 pages_to_bytes(TIER_SPILLS * TIER_SPILL_PAGES));
}

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
	return tier_move(t, item);
}

/* Adds an item to the spill; false: it is for another one. => locked */
static bool join(struct tier_spill *sp, struct store_item *item)
{
	uint64_t slot = store_slot(item);
	struct tier *t = sp->tier;

	if (t->kind[slot] & TIER_DISK) {
		tier_forget(t, slot); /* nothing to write */
		return true;
	}
	if (!sp->io.pages)
		sp->slot = slot;
	else if (slot != sp->slot + sp->io.pages)
		return false;
	sp->item[sp->io.pages++] = item;
	tier_set_kind(t, slot, TIER_ITEM | TIER_SPILLING);
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
		if (tier_lives(t, item) && !spare(t, item) && !join(sp, item))
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
		bool good = tier_unpack(item, addr, page);

		sp->checksum[i] = checksum_page(page, addr);
		if (good)
			continue;
		sp->checksum[i] = ~sp->checksum[i];
		atomic_fetch_add(&sp->tier->damaged, 1);
	}
}

/* The write of a slot has ended. True: it is to be given back. => locked */
static bool end_slot(struct tier_spill *sp, unsigned i, int result)
{
	struct tier *t = sp->tier;
	uint64_t slot = sp->slot + i;

	if (t->kind[slot] & TIER_GIVEN) {
		tier_set_kind(t, slot, 0);
		return true;
	}
	ASSERT(t->kind[slot] == (TIER_ITEM | TIER_SPILLING));
	if (result < 0) {
		tier_set_kind(t, slot, TIER_ITEM);
		return false;
	}
	t->checksum[slot] = sp->checksum[i];
	t->spilled++;
	tier_forget(t, slot);
	tier_set_kind(t, slot, 0);
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
		if (end_slot(sp, i, result))
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

bool spill_oldest(struct tier *t, struct ring *ring)
{
	struct tier_spill *sp = idle_spill(t);

	if (!sp || !collect_oldest(sp))
		return false;
	unpack_all(sp);
	sp->io.done = spilled;
	swap_write_unpacked(t->swap, ring, &sp->io, sp->slot);
	return true;
}
