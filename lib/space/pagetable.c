/* SPDX-License-Identifier: MIT */
/*
 * space/pagetable.c - the software page table and the life of a page.
 *
 * The tree. A 48-bit guest address is four 9-bit indices and a 12-bit offset,
 * as on x86-64. Three levels of interior nodes (struct pt_node, 512 pointers)
 * lead to a leaf, the block: 512 entries, 2 MiB of guest addresses, one lock.
 *
 *	47     39 38     30 29     21 20     12 11         0
 *	+--------+---------+---------+---------+------------+
 *	|  root  |  node   |  node   |  block  |   offset   |
 *	+--------+---------+---------+---------+------------+
 *
 * Nodes come from pools because pt_get() runs in fault handling, which must
 * not call malloc. It runs under the space lock held for reading, so two
 * threads may want the same missing node: each makes one, compare-and-swap
 * publishes the first, the loser gives its own back. Nodes go away only in
 * pt_free_block(), with the space lock held for writing, so a pointer read
 * under the lock stays good until the lock is dropped.
 *
 * The life of a page is the table `legal` below, drawn in space/page.h.
 * pt_move() is the one function that changes a state; it asserts that the move
 * is in the table and that the slot fits the state, and keeps the counts. Ages,
 * PREFETCHED and pins are no states: their owners set them in place.
 *
 * Invariants, verified by pt_check_block() (1-5) and pt_check() (6-7):
 *  (1) The flags of an entry are exactly those of one state, plus
 *	permissions, and, with a frame or busy, PINNED, PREFETCHED and an age;
 *	SWAPPED may be PREFETCHED, too (space/standby.c).
 *  (2) NONE is the entry 0. FRESH, DIRTY, WRITING and FROZEN have no slot,
 *	SWAPPED has one; CLEAN, FILLING and POISONED may have one.
 *  (3) mapped, resident, dirty, filling, swapped and pinned of a block count
 *	its entries that are not NONE, PRESENT, DIRTY, WRITING or FROZEN,
 *	FILLING, SWAPPED (to the swap), PINNED.
 *  (4) A page that is PINNED has a frame; pinned > 0 implies pins.
 *  (5) base is a multiple of BLOCK_BYTES below GUEST_END.
 *  (6) A block hangs where its base says; block_count counts them.
 *  (7) An interior node other than the root may be empty only when pt_get()
 *	ran out of memory below it; the next pt_get() there uses it.
 *
 * Rejected: a hash table of blocks (no cheap walk in address order, and
 * resizing under readers); a radix tree of variable height (a branch saved
 * for small addresses, but guest addresses are host addresses: all high).
 */
#include "space/pagetable.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "os/os.h"

#define NODE_BITS   9
#define NODE_CHILDS ((unsigned)1 << NODE_BITS)
#define TOP_SHIFT   (GUEST_BITS - NODE_BITS) /* of the root's index */

_Static_assert(sizeof(struct pt_node) == NODE_CHILDS * sizeof(void *),
	       "a node is 512 pointers");
_Static_assert((int)VVM_STAT_PAGE_SWAPPED == PAGE_SWAPPED &&
		       (int)VVM_STAT_PAGE_POISONED == PAGE_POISONED &&
		       PAGE_STATES == 9 && PTE_AGE_MAX == 3 &&
		       PTE_AGE_MAX == POLICY_AGE_MAX,
	       "vvm_stat.h's byte for a page");
/* A pool keeps a link in an object's first word: see block_new(). */
_Static_assert(offsetof(struct block, busy_done) >= sizeof(void *) &&
		       offsetof(struct block, base) >
			       offsetof(struct block, busy_done),
	       "the lock, which is set anew, then busy_done, then the rest");
_Static_assert(sizeof(pte_t) == 8 && BLOCK_PAGES == 512, "a block is 4 KiB");

/* ---- the life of a page ---- */

/* The flags that make up each state. */
static const pte_t state_bits[PAGE_STATES] = {
	[PAGE_NONE] = 0,
	[PAGE_FRESH] = PTE_MAPPED,
	[PAGE_SWAPPED] = PTE_MAPPED,
	[PAGE_FILLING] = PTE_MAPPED | PTE_BUSY,
	[PAGE_CLEAN] = PTE_MAPPED | PTE_PRESENT,
	[PAGE_DIRTY] = PTE_MAPPED | PTE_PRESENT | PTE_DIRTY,
	[PAGE_WRITING] = PTE_MAPPED | PTE_PRESENT | PTE_DIRTY | PTE_BUSY,
	[PAGE_FROZEN] = PTE_MAPPED | PTE_PRESENT | PTE_DIRTY | PTE_FROZEN,
	[PAGE_POISONED] = PTE_MAPPED | PTE_POISON,
};

#define STATE_BITS \
	(PTE_MAPPED | PTE_PRESENT | PTE_DIRTY | PTE_BUSY | PTE_POISON)

/*
 * legal[from][to]. Column FRESH is map, discard, "gave up" and the eviction
 * of a zero page; column NONE is unmap, which waits for FILLING pages: their
 * frame is on its way and only the filler can give it back. FROZEN becomes
 * SWAPPED in a fork child, which reads it from its parent (snapshot/inherit.c),
 * and FRESH where the region has a backing of its own (space_begin_page()).
 */
/* clang-format off */
static const bool legal[PAGE_STATES][PAGE_STATES] = {
	/*		     NONE FRSH SWAP FILL CLEN DRTY WRTG POIS FRZN */
	[PAGE_NONE] =	    { 0,   1,   0,   0,   0,   0,   0,   0,   0 },
	[PAGE_FRESH] =	    { 1,   0,   1,   1,   1,   1,   0,   0,   0 },
	[PAGE_SWAPPED] =    { 1,   1,   0,   1,   0,   0,   0,   0,   0 },
	[PAGE_FILLING] =    { 0,   1,   1,   0,   1,   1,   0,   1,   0 },
	[PAGE_CLEAN] =	    { 1,   1,   1,   0,   0,   1,   0,   0,   0 },
	[PAGE_DIRTY] =	    { 1,   1,   0,   0,   1,   0,   1,   0,   1 },
	[PAGE_WRITING] =    { 1,   1,   0,   0,   1,   1,   0,   0,   0 },
	[PAGE_POISONED] =   { 1,   1,   0,   0,   0,   0,   0,   0,   0 },
	[PAGE_FROZEN] =	    { 1,   1,   1,   0,   0,   1,   0,   0,   0 },
};
/* clang-format on */

/* May an entry in this state name a slot, and must it? Invariant (2). */
static bool slot_fits(enum page_state s, uint64_t slot)
{
	switch (s) {
	case PAGE_SWAPPED:
		return slot != 0;
	case PAGE_CLEAN:
	case PAGE_FILLING:
	case PAGE_POISONED:
		return true;
	default:
		return slot == 0;
	}
}

bool pt_legal(enum page_state from, enum page_state to)
{
	return from < PAGE_STATES && to < PAGE_STATES && legal[from][to];
}

const char *pt_state_name(enum page_state s)
{
	static const char *const name[PAGE_STATES] = {
		[PAGE_NONE] = "none",	      [PAGE_FRESH] = "fresh",
		[PAGE_SWAPPED] = "swapped",   [PAGE_FILLING] = "filling",
		[PAGE_CLEAN] = "clean",	      [PAGE_DIRTY] = "dirty",
		[PAGE_WRITING] = "writing",   [PAGE_FROZEN] = "frozen",
		[PAGE_POISONED] = "poisoned",
	};

	return s < PAGE_STATES ? name[s] : "?";
}

/* ---- what readers see ---- */

/* Is it in the swap, and nowhere else? */
static bool is_swapped(pte_t e)
{
	return pte_state(e) == PAGE_SWAPPED && slot_is_swap(pte_slot(e));
}

/*
 * vvm_stat.h's byte for an entry. To readers FROZEN is as good as DIRTY, and what
 * is only in the region's own backing as good as FRESH: nothing is kept of it.
 */
static uint8_t entry_byte(pte_t e)
{
	unsigned byte = pte_state(e);

	if (byte == PAGE_FROZEN)
		byte = PAGE_DIRTY;
	else if (byte == PAGE_SWAPPED && !is_swapped(e))
		byte = PAGE_FRESH;
	if (e & PTE_PRESENT) {
		byte |= e & PTE_PINNED ? VVM_STAT_PAGE_PINNED : 0;
		byte |= e & PTE_PREFETCHED ? VVM_STAT_PAGE_AHEAD : 0;
		byte |= slot_is_swap(pte_slot(e)) ? VVM_STAT_PAGE_SLOT : 0;
		byte |= pte_age(e) << 6;
	}
	return (uint8_t)byte;
}

static void publish_counts(const struct block *b)
{
	__atomic_store_n(&b->stat->pages,
			 (uint64_t)b->mapped | (uint64_t)b->resident << 16 |
				 (uint64_t)b->dirty << 32 |
				 (uint64_t)b->swapped << 48,
			 __ATOMIC_RELAXED);
}

void pt_publish(struct block *b, unsigned i)
{
	if (!STAT_ON || !b->stat)
		return;
	__atomic_store_n(&b->stat->page[i], entry_byte(b->pte[i]),
			 __ATOMIC_RELAXED);
	publish_counts(b);
}

/* The part of the byte that changes without a move. */
static uint8_t aged_byte(uint8_t byte, pte_t e)
{
	const uint8_t part = VVM_STAT_PAGE_AHEAD | 3 << 6;
	uint8_t mask = (uint8_t)(e & PTE_PRESENT ? part : 0);

	_Static_assert(PTE_PREFETCHED >> 5 == VVM_STAT_PAGE_AHEAD, "one shift");
	return (uint8_t)((byte & ~mask) |
			 (((e & PTE_AGE) >> 4 | (e & PTE_PREFETCHED) >> 5) &
			  mask));
}

/* Half the time of pt_publish_block(), once for each step of the clock. */
void pt_publish_ages(struct block *b)
{
	unsigned i;

	if (!STAT_ON || !b->stat)
		return;
	for (i = 0; i < BLOCK_PAGES; i++)
		b->stat->page[i] = aged_byte(b->stat->page[i], b->pte[i]);
}

void pt_publish_block(struct block *b)
{
	unsigned i;

	if (!STAT_ON || !b->stat)
		return;
	for (i = 0; i < BLOCK_PAGES; i++)
		b->stat->page[i] = entry_byte(b->pte[i]);
	publish_counts(b);
}

/* ---- moves ---- */

/* Adds an entry to its block's counts (sign 1), or takes it out (-1). */
static void count_entry(struct block *b, pte_t e, int sign)
{
	enum page_state s = pte_state(e);

	b->mapped += sign * (s != PAGE_NONE);
	b->resident += sign * !!(e & PTE_PRESENT);
	b->dirty += sign * !!(e & PTE_DIRTY);
	b->filling += sign * (s == PAGE_FILLING);
	b->swapped += sign * is_swapped(e);
	b->pinned += sign * !!(e & PTE_PINNED);
}

/* The entry after a move: what survives it is decided here. */
static pte_t moved_entry(pte_t e, enum page_state to, uint64_t slot)
{
	pte_t keep = PTE_PERMS;

	if (to == PAGE_NONE)
		return 0;
	if (state_bits[to] & PTE_PRESENT)
		keep |= PTE_PINNED | PTE_PREFETCHED | PTE_AGE;
	return pte_with_slot((e & keep) | state_bits[to], slot);
}

void pt_move(struct block *b, unsigned i, enum page_state to, uint64_t slot)
{
	pte_t old, new;

	ASSERT(lock_held(&b->lock));
	ASSERT(i < BLOCK_PAGES);
	old = b->pte[i];
	ASSERT(pt_legal(pte_state(old), to));
	ASSERT(slot_fits(to, slot) && slot >> (64 - PTE_SLOT_SHIFT) == 0);
	new = moved_entry(old, to, slot);
	if ((old & PTE_PINNED) && !(new &PTE_PINNED))
		b->pins[i] = 0;
	count_entry(b, old, -1);
	count_entry(b, new, 1);
	b->pte[i] = new;
	pt_publish(b, i);
}

void pt_set_perms(struct block *b, unsigned i, pte_t perms)
{
	ASSERT(lock_held(&b->lock));
	ASSERT(i < BLOCK_PAGES && b->pte[i] & PTE_MAPPED);
	ASSERT((perms & ~PTE_PERMS) == 0);
	b->pte[i] = (b->pte[i] & ~PTE_PERMS) | perms;
}

void pt_set_pinned(struct block *b, unsigned i, bool pinned)
{
	pte_t e;

	ASSERT(lock_held(&b->lock));
	ASSERT(i < BLOCK_PAGES && b->pte[i] & PTE_PRESENT);
	ASSERT(b->pins);
	e = b->pte[i];
	count_entry(b, e, -1);
	e = pinned ? e | PTE_PINNED : e & ~PTE_PINNED;
	count_entry(b, e, 1);
	b->pte[i] = e;
	pt_publish(b, i);
}

/* ---- the tree ---- */

static unsigned child_index(gaddr_t addr, unsigned shift)
{
	return (unsigned)(addr >> shift) & (NODE_CHILDS - 1);
}

static void *child_load(struct pt_node *n, unsigned i)
{
	return atomic_load_explicit(&n->child[i], memory_order_acquire);
}

int pt_init(struct pagetable *pt)
{
	pool_init(&pt->nodes, sizeof(struct pt_node));
	pool_init(&pt->blocks, sizeof(struct block));
	pool_init(&pt->pins, BLOCK_PAGES * sizeof(uint16_t));
	pool_init(&pt->digests, BLOCK_PAGES * sizeof(struct digest));
	pt->seed = os_random();
	atomic_init(&pt->block_count, 0);
	pt->stats = NULL;
	pt->root = pool_take(&pt->nodes);
	if (pt->root)
		return 0;
	pt_fini(pt);
	return -ENOMEM;
}

void pt_fini(struct pagetable *pt)
{
	pt->root = NULL;
	pool_fini(&pt->digests);
	pool_fini(&pt->pins);
	pool_fini(&pt->blocks);
	pool_fini(&pt->nodes);
}

struct block *pt_find(struct pagetable *pt, gaddr_t addr)
{
	void *at = pt->root;
	unsigned shift;

	if (addr >= GUEST_END)
		return NULL;
	for (shift = TOP_SHIFT; at && shift >= BLOCK_SHIFT; shift -= NODE_BITS)
		at = child_load(at, child_index(addr, shift));
	return at;
}

/*
 * Publishes `made` as child i of n unless somebody was faster; then it goes
 * back to its pool. Returns the child that is there now.
 */
static void *child_publish(struct pt_node *n, unsigned i, struct pool *pool,
			   void *made, bool *won)
{
	void *there = NULL;

	*won = atomic_compare_exchange_strong_explicit(
		&n->child[i], &there, made, memory_order_acq_rel,
		memory_order_acquire);
	if (*won)
		return made;
	pool_give(pool, made);
	return there;
}

static struct pt_node *node_get(struct pagetable *pt, struct pt_node *n,
				unsigned i)
{
	struct pt_node *child = child_load(n, i);
	bool won;

	if (child)
		return child;
	child = pool_take(&pt->nodes);
	if (!child)
		return NULL;
	return child_publish(n, i, &pt->nodes, child, &won);
}

/*
 * A thread that waits in busy_done with nothing locked (fault/inline.c) may
 * still be there when the block has been freed, and even when its memory has
 * become another block. It then takes itself out of `waiters`. So busy_done is
 * kept from block to block. In a new block it is zero, as waitq_init() makes
 * it.
 */
static struct block *block_new(struct pagetable *pt, gaddr_t base)
{
	const size_t rest = offsetof(struct block, base);
	struct block *b = pool_take_dirty(&pt->blocks);

	if (!b)
		return NULL;
	memset((char *)b + rest, 0, sizeof(*b) - rest);
	lock_init(&b->lock, LOCK_BLOCK);
	list_init(&b->clock_link);
	b->base = base;
	b->stat = stat_block_take(pt->stats, base);
	return b;
}

static struct block *block_get(struct pagetable *pt, struct pt_node *n,
			       gaddr_t addr, bool *fresh)
{
	unsigned i = child_index(addr, BLOCK_SHIFT);
	struct block *b = child_load(n, i);
	struct vvm_stat_block *stat;

	if (b)
		return b;
	b = block_new(pt, block_floor(addr));
	if (!b)
		return NULL;
	stat = b->stat;
	b = child_publish(n, i, &pt->blocks, b, fresh);
	if (*fresh)
		atomic_fetch_add(&pt->block_count, 1);
	else
		stat_block_give(pt->stats, stat);
	return b;
}

struct block *pt_get(struct pagetable *pt, gaddr_t addr, bool *fresh)
{
	struct pt_node *n = pt->root;
	bool unused;
	unsigned shift;

	ASSERT(addr < GUEST_END);
	if (!fresh)
		fresh = &unused;
	*fresh = false;
	for (shift = TOP_SHIFT; shift > BLOCK_SHIFT; shift -= NODE_BITS) {
		n = node_get(pt, n, child_index(addr, shift));
		if (!n)
			return NULL;
	}
	return block_get(pt, n, addr, fresh);
}

/*
 * First block at or above `from`, below end, in the subtree `at` whose
 * children cover 1 << shift bytes; below the last level `at` is the block.
 */
static void *next_below(void *at, unsigned shift, gaddr_t from, gaddr_t end)
{
	unsigned i;
	void *child, *b;

	if (shift < BLOCK_SHIFT)
		return at;
	for (i = child_index(from, shift); i < NODE_CHILDS && from < end; i++) {
		child = child_load(at, i);
		b = child ? next_below(child, shift - NODE_BITS, from, end)
			  : NULL;
		if (b)
			return b;
		from = ((from >> shift) + 1) << shift;
	}
	return NULL;
}

struct block *pt_next(struct pagetable *pt, gaddr_t from, gaddr_t end)
{
	if (from >= GUEST_END)
		return NULL;
	return next_below(pt->root, TOP_SHIFT, block_floor(from), end);
}

static bool node_is_empty(struct pt_node *n)
{
	unsigned i;

	for (i = 0; i < NODE_CHILDS; i++)
		if (child_load(n, i))
			return false;
	return true;
}

/* Takes the block at addr out of the tree, with nodes that it leaves empty. */
static void unlink_below(struct pagetable *pt, struct pt_node *n,
			 unsigned shift, gaddr_t addr)
{
	unsigned i = child_index(addr, shift);
	struct pt_node *child = child_load(n, i);

	if (shift > BLOCK_SHIFT) {
		unlink_below(pt, child, shift - NODE_BITS, addr);
		if (!node_is_empty(child))
			return;
		pool_give(&pt->nodes, child);
	}
	atomic_store_explicit(&n->child[i], NULL, memory_order_release);
}

void pt_free_block(struct pagetable *pt, struct block *b)
{
	ASSERT(b->mapped == 0 && b->writing == 0 && !b->on_clock);
	ASSERT(pt_find(pt, b->base) == b);
	unlink_below(pt, pt->root, TOP_SHIFT, b->base);
	if (b->pins)
		pool_give(&pt->pins, b->pins);
	pt_give_digests(pt, b);
	stat_block_give(pt->stats, b->stat);
	pool_give_in_use(&pt->blocks, b); /* busy_done: block_new() */
	atomic_fetch_sub(&pt->block_count, 1);
}

uint16_t *pt_pins(struct pagetable *pt, struct block *b)
{
	ASSERT(lock_held(&b->lock));
	if (!b->pins)
		b->pins = pool_take(&pt->pins);
	return b->pins;
}

struct digest *pt_digests(struct pagetable *pt, struct block *b)
{
	if (!b->digests)
		b->digests = pool_take_dirty(&pt->digests);
	return b->digests;
}

void pt_give_digests(struct pagetable *pt, struct block *b)
{
	if (b->digests)
		pool_give(&pt->digests, b->digests);
	b->digests = NULL;
}

/* ---- walkers that verify the invariants ---- */

/* (1), (2), and (4) for one entry. */
static void check_entry(pte_t e)
{
	enum page_state s = pte_state(e);
	pte_t extra = PTE_PINNED | PTE_PREFETCHED | PTE_AGE;

	ASSERT((e & STATE_BITS) == state_bits[s]);
	ASSERT(s != PAGE_NONE || e == 0);
	ASSERT(slot_fits(s, pte_slot(e)));
	ASSERT((e & extra) == 0 || e & (PTE_PRESENT | PTE_BUSY) ||
	       (s == PAGE_SWAPPED && (e & extra) == PTE_PREFETCHED));
	ASSERT(!(e & PTE_PINNED) || e & PTE_PRESENT);
}

void pt_check_block(const struct block *b)
{
	struct block sum = {0};
	unsigned i;

	ASSERT(lock_held(&b->lock));
	ASSERT(b->base < GUEST_END && b->base == block_floor(b->base));
	for (i = 0; i < BLOCK_PAGES; i++) {
		check_entry(b->pte[i]);
		count_entry(&sum, b->pte[i], 1);
	}
	ASSERT(sum.mapped == b->mapped && sum.resident == b->resident);
	ASSERT(sum.dirty == b->dirty && sum.filling == b->filling);
	ASSERT(sum.swapped == b->swapped);
	ASSERT(sum.pinned == b->pinned && (!b->pinned || b->pins));
}

/* Returns the number of blocks below `at`, which covers [base, ...). */
static uint64_t check_below(void *at, unsigned shift, gaddr_t base)
{
	uint64_t blocks = 0;
	unsigned i;
	void *child;

	if (shift < BLOCK_SHIFT) {
		ASSERT(((struct block *)at)->base == base);
		return 1;
	}
	for (i = 0; i < NODE_CHILDS; i++) {
		child = child_load(at, i);
		if (child)
			blocks += check_below(child, shift - NODE_BITS,
					      base + ((gaddr_t)i << shift));
	}
	return blocks;
}

void pt_check(struct pagetable *pt)
{
	uint64_t blocks = check_below(pt->root, TOP_SHIFT, 0);

	ASSERT(blocks == atomic_load(&pt->block_count));
}
