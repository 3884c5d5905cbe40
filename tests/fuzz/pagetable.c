/* SPDX-License-Identifier: MIT */
/*
 * fuzz/pagetable.c - the page table (space/pagetable.c) against a flat list of
 * blocks with a few pages each.
 *
 * An input is a list of orders: make a block, with memory or without; move a
 * page on in its life; set permissions; pin and unpin; free a block that is
 * empty; look a block, or the next one, up. The blocks are where indices of the
 * tree's levels begin and end. Compared: each result, and after each order the
 * entries, the blocks that there are, and what pt_check() and
 * pt_check_block() verify.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include "os/os.h"
#include "space/pagetable.h"

#define NODE  512ull
#define LAST  (NODE * NODE * NODE - 1) /* block of the 48 bits */
#define CELLS 4

/* In ascending order. */
static const uint64_t numbers[] = {
	0,
	1,
	2,
	NODE - 1,
	NODE,
	NODE + 1,
	NODE *NODE - 1,
	NODE *NODE,
	NODE *NODE + NODE,
	2 * NODE *NODE,
	256 * NODE *NODE - 1,
	256 * NODE *NODE,
	300 * NODE *NODE + 77 * NODE + 5,
	LAST - NODE,
	LAST - 1,
	LAST,
};
#define BLOCKS ARRAY_SIZE(numbers)

/* Of each block these pages. */
static const unsigned cells[CELLS] = {0, 1, 63, BLOCK_PAGES - 1};

struct cell {
	enum page_state state;
	uint64_t slot;
	pte_t perms;
	bool pinned;
};

static struct {
	bool exists;
	struct cell cell[CELLS];
} model[BLOCKS];

static struct pagetable pt;

static gaddr_t base_of(unsigned n)
{
	return numbers[n] << BLOCK_SHIFT;
}

/* ---- orders ---- */

static void make_block(unsigned n, bool no_memory, unsigned nth)
{
	bool fresh = false;
	struct block *b;

	if (no_memory)
		os_inject(OS_map, nth, true, ENOMEM);
	b = pt_get(&pt, base_of(n) + nth * PAGE_BYTES, &fresh);
	os_inject_clear();
	MUST(b || no_memory);
	MUST(b || !model[n].exists);
	MUST(fresh == (b && !model[n].exists));
	MUST(!b || b->base == base_of(n));
	model[n].exists |= b != NULL;
}

static bool has_frame(enum page_state s)
{
	return s == PAGE_CLEAN || s == PAGE_DIRTY || s == PAGE_WRITING ||
	       s == PAGE_FROZEN;
}

/* May, or must, a page of that state have a slot? */
static uint64_t slot_for(enum page_state s, uint64_t wish)
{
	if (s == PAGE_SWAPPED)
		return wish ? wish : 1;
	if (s == PAGE_CLEAN || s == PAGE_FILLING || s == PAGE_POISONED)
		return wish;
	return 0;
}

static void move(struct block *b, struct cell *c, unsigned i,
		 enum page_state to, uint64_t wish)
{
	uint64_t slot = slot_for(to, wish);

	if (!pt_legal(c->state, to))
		return;
	lock_take(&b->lock);
	pt_move(b, cells[i], to, slot);
	lock_drop(&b->lock);
	c->pinned &= has_frame(to);
	if (to == PAGE_NONE)
		c->perms = 0;
	c->state = to;
	c->slot = slot;
}

static void set_perms(struct block *b, struct cell *c, unsigned i, pte_t perms)
{
	if (c->state == PAGE_NONE)
		return;
	lock_take(&b->lock);
	pt_set_perms(b, cells[i], perms & PTE_PERMS);
	lock_drop(&b->lock);
	c->perms = perms & PTE_PERMS;
}

static void pin(struct block *b, struct cell *c, unsigned i, bool no_memory)
{
	uint16_t *pins;

	if (!has_frame(c->state))
		return;
	lock_take(&b->lock);
	if (no_memory)
		os_inject(OS_map, 1, true, ENOMEM);
	pins = pt_pins(&pt, b);
	os_inject_clear();
	MUST(pins || no_memory);
	if (pins) {
		pins[cells[i]] = !c->pinned;
		pt_set_pinned(b, cells[i], !c->pinned);
		c->pinned = !c->pinned;
	}
	lock_drop(&b->lock);
}

static void free_block(unsigned n, struct block *b)
{
	unsigned i;

	for (i = 0; i < CELLS; i++)
		if (model[n].cell[i].state != PAGE_NONE)
			return;
	pt_free_block(&pt, b);
	model[n].exists = false;
}

/* The first block that is not wholly below `from`, if it begins below end. */
static void look_next(gaddr_t from, gaddr_t end)
{
	struct block *b = pt_next(&pt, from, end);
	unsigned n;

	for (n = 0; n < BLOCKS; n++)
		if (model[n].exists && base_of(n) + BLOCK_BYTES > from)
			break;
	if (n < BLOCKS && base_of(n) < end)
		MUST(b && b->base == base_of(n));
	else
		MUST(!b);
}

static void look(unsigned n, unsigned m, unsigned shift)
{
	gaddr_t from = base_of(n) + (shift & 7) * (BLOCK_BYTES / 7);
	gaddr_t end = base_of(m) + (shift >> 3) * (BLOCK_BYTES / 7);

	look_next(from, end);
	look_next(from, GUEST_END);
	look_next(0, end);
	MUST(!pt_find(&pt, GUEST_END + from));
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 16), n = fuzz_below(in, BLOCKS);
	unsigned i = fuzz_below(in, CELLS), a = fuzz_byte(in);
	struct block *b = pt_find(&pt, base_of(n) + a * PAGE_BYTES);
	struct cell *c = &model[n].cell[i];

	MUST(!b == !model[n].exists);
	if (what == 0)
		make_block(n, a & 1, a >> 1 & 7);
	else if (what == 1)
		look(n, fuzz_below(in, BLOCKS), a);
	else if (!b)
		make_block(n, false, 0);
	else if (what == 2)
		free_block(n, b);
	else if (what < 5)
		pin(b, c, i, a & 1);
	else if (what < 7)
		set_perms(b, c, i, a);
	else
		move(b, c, i, a % PAGE_STATES,
		     a < 128 ? 0 : (uint64_t)fuzz_word(in) << (a & 31));
}

/* ---- comparing ---- */

static pte_t flags_of(const struct cell *c)
{
	static const pte_t bits[PAGE_STATES] = {
		[PAGE_FRESH] = PTE_MAPPED,
		[PAGE_SWAPPED] = PTE_MAPPED,
		[PAGE_FILLING] = PTE_MAPPED | PTE_BUSY,
		[PAGE_CLEAN] = PTE_MAPPED | PTE_PRESENT,
		[PAGE_DIRTY] = PTE_MAPPED | PTE_PRESENT | PTE_DIRTY,
		[PAGE_WRITING] =
			PTE_MAPPED | PTE_PRESENT | PTE_DIRTY | PTE_BUSY,
		[PAGE_FROZEN] =
			PTE_MAPPED | PTE_PRESENT | PTE_DIRTY | PTE_FROZEN,
		[PAGE_POISONED] = PTE_MAPPED | PTE_POISON,
	};

	return bits[c->state] | c->perms | (c->pinned ? PTE_PINNED : 0);
}

static void check_block(unsigned n, struct block *b)
{
	unsigned i, mapped = 0, resident = 0;

	lock_take(&b->lock);
	pt_check_block(b);
	lock_drop(&b->lock);
	for (i = 0; i < CELLS; i++) {
		const struct cell *c = &model[n].cell[i];
		pte_t e = b->pte[cells[i]];

		MUST(e == (flags_of(c) | c->slot << PTE_SLOT_SHIFT));
		MUST_EQ(pte_state(e), c->state);
		MUST(!b->pins || b->pins[cells[i]] == c->pinned);
		mapped += c->state != PAGE_NONE;
		resident += has_frame(c->state);
	}
	MUST_EQ(b->mapped, mapped);
	MUST_EQ(b->resident, resident);
}

static void check(void)
{
	uint64_t count = 0;
	struct block *b;
	unsigned n = 0;

	pt_check(&pt);
	pt_for_each_block (&pt, b, 0, GUEST_END) {
		while (n < BLOCKS && !model[n].exists)
			n++;
		MUST(n < BLOCKS && b->base == base_of(n));
		check_block(n++, b);
		count++;
	}
	while (n < BLOCKS)
		MUST(!model[n++].exists);
	MUST_EQ(pt.block_count, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	memset(model, 0, sizeof(model));
	os_inject_clear();
	MUST_EQ(pt_init(&pt), 0);
	while (in.size) {
		obey(&in);
		check();
	}
	pt_fini(&pt);
	return 0;
}

const long fuzz_runs = 200;

size_t fuzz_make(uint8_t *data, size_t most)
{
	size_t size = fuzz_make_bytes(data, 8, most < 400 ? most : 400), i;

	if (fuzz_random() % 2) /* few blocks, whose pages come far */
		for (i = 0; i + 1 < size; i += 4)
			data[i + 1] %= 3;
	return size;
}
