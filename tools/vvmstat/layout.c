/* SPDX-License-Identifier: MIT */
/*
 * layout.c - copies regions and pages out of the segments of a process.
 *
 * The segment's tables are in no order, change while they are read, and may
 * be hostile (common/segment.c). What comes out of here is sorted, disjoint and
 * plausible:
 *
 *  (1) regions are whole pages below 2^57, not empty, and do not overlap;
 *      of two that do, the one at the lower address stays;
 *  (2) blocks begin at a multiple of their size, each once.
 *
 * Reading happens in two looks, since nothing may be allocated inside of one:
 * the first counts, the second copies as much as there is room for. A region
 * whose sequence number is odd, or changes while it is copied, is tried again
 * a few times and then left out: it is being made or removed.
 *
 * A page that lies in a region but in no block was never touched: fresh.
 * That is also what a block looks like for which the segment had no room.
 */
#include "vvmstat/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((uint64_t)VVM_STAT_BLOCK_PAGES * VVM_STAT_PAGE_BYTES)
#define ADDRESS_END ((uint64_t)1 << 57)
#define TRIES	    4

/* What one pair of looks at one segment works on. */
struct reader {
	struct layout *layout;
	unsigned space;
	size_t regions, blocks; /* that were counted */
};

/* ------------------------------------------------------------------ */
/* Pages								*/

const char *layout_state_name(enum layout_state state)
{
	static const char *const names[LAYOUT_STATES] = {
		"absent", "fresh",  "swapped", "cold",	  "hot",
		"dirty",  "moving", "pinned",  "poisoned"};

	return names[state];
}

static enum layout_state page_state(uint8_t byte)
{
	switch (byte & VVM_STAT_PAGE_STATE) {
	case VVM_STAT_PAGE_NONE:
	case VVM_STAT_PAGE_FRESH:
		return LAYOUT_FRESH;
	case VVM_STAT_PAGE_SWAPPED:
		return LAYOUT_SWAPPED;
	case VVM_STAT_PAGE_POISONED:
		return LAYOUT_POISONED;
	}
	if (byte & VVM_STAT_PAGE_PINNED)
		return LAYOUT_PINNED;
	switch (byte & VVM_STAT_PAGE_STATE) {
	case VVM_STAT_PAGE_CLEAN:
		return VVM_STAT_PAGE_HEAT(byte) >= 2 ? LAYOUT_HOT : LAYOUT_COLD;
	case VVM_STAT_PAGE_DIRTY:
		return LAYOUT_DIRTY;
	default:
		return LAYOUT_MOVING;
	}
}

uint64_t layout_resident(const uint64_t counts[LAYOUT_STATES])
{
	return counts[LAYOUT_COLD] + counts[LAYOUT_HOT] + counts[LAYOUT_DIRTY] +
	       counts[LAYOUT_MOVING] + counts[LAYOUT_PINNED];
}

uint64_t layout_pages(const struct layout_region *r)
{
	return (r->end - r->start) / VVM_STAT_PAGE_BYTES;
}

/* ------------------------------------------------------------------ */
/* Order								*/

static int compare_keys(unsigned space_a, uint64_t a, unsigned space_b,
			uint64_t b)
{
	if (space_a != space_b)
		return space_a < space_b ? -1 : 1;
	return (a > b) - (a < b);
}

static int compare_regions(const void *a, const void *b)
{
	const struct layout_region *x = a, *y = b;

	return compare_keys(x->space, x->start, y->space, y->start);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct layout_block *x = a, *y = b;

	return compare_keys(x->space, x->base, y->space, y->base);
}

/* (1) */
static void order_regions(struct layout *l)
{
	size_t i, kept = 0;

	if (l->regions)
		qsort(l->region, l->regions, sizeof(*l->region),
		      compare_regions);
	for (i = 0; i < l->regions; i++) {
		const struct layout_region *r = &l->region[i];
		const struct layout_region *last =
			kept ? &l->region[kept - 1] : NULL;

		if (!last || r->space != last->space || r->start >= last->end)
			l->region[kept++] = *r;
	}
	l->regions = kept;
}

/* (2) */
static void order_blocks(struct layout *l)
{
	size_t i, kept = 0;

	if (l->blocks)
		qsort(l->block, l->blocks, sizeof(*l->block), compare_blocks);
	for (i = 0; i < l->blocks; i++)
		if (kept == 0 ||
		    compare_blocks(&l->block[i], &l->block[kept - 1]))
			l->block[kept++] = l->block[i];
	l->blocks = kept;
}

/* The first block of the space at or above base. */
static size_t lower_bound(const struct layout *l, unsigned space, uint64_t base)
{
	size_t low = 0, high = l->blocks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct layout_block *b = &l->block[middle];

		if (compare_keys(b->space, b->base, space, base) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct layout_block *layout_old_block(const struct layout *old,
					    const struct layout_block *b)
{
	size_t i = lower_bound(old, b->space, b->base);

	return i < old->blocks && !compare_blocks(&old->block[i], b)
		       ? &old->block[i]
		       : NULL;
}

const struct layout_region *layout_find(const struct layout *l, unsigned space,
					uint64_t address)
{
	size_t low = 0, high = l->regions;
	const struct layout_region *r;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		r = &l->region[middle];
		if (compare_keys(r->space, r->start, space, address) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	r = low ? &l->region[low - 1] : NULL;
	return r && r->space == space && address < r->end ? r : NULL;
}

const struct layout_region *layout_old_region(const struct layout *old,
					      const struct layout_region *r)
{
	const struct layout_region *o = layout_find(old, r->space, r->start);

	return o && o->start == r->start && o->mapping == r->mapping ? o : NULL;
}

/* ------------------------------------------------------------------ */
/* Counting								*/

size_t layout_first_block(const struct layout *l, const struct layout_region *r)
{
	return lower_bound(l, r->space, r->start & ~(BLOCK_BYTES - 1));
}

void layout_count(const struct layout *l, const struct layout_region *r,
		  uint64_t from, uint64_t to, uint64_t counts[LAYOUT_STATES])
{
	size_t i = lower_bound(l, r->space, from & ~(BLOCK_BYTES - 1));
	uint64_t fresh = (to - from) / VVM_STAT_PAGE_BYTES;

	for (; i < l->blocks; i++) {
		const struct layout_block *b = &l->block[i];
		uint64_t first, end, k;

		if (b->space != r->space || b->base >= to)
			break;
		first = from > b->base ? from - b->base : 0;
		end = to - b->base < BLOCK_BYTES ? to - b->base : BLOCK_BYTES;
		first /= VVM_STAT_PAGE_BYTES;
		end /= VVM_STAT_PAGE_BYTES;
		for (k = first; k < end; k++)
			counts[page_state(b->page[k])]++;
		fresh -= end - first;
	}
	counts[LAYOUT_FRESH] += fresh;
}

/* ------------------------------------------------------------------ */
/* Reading								*/

static void look_count(struct segment *s, void *arg)
{
	struct reader *r = arg;

	r->regions = segment_items(s, &s->regions);
	r->blocks = segment_items(s, &s->blocks);
}

/* Copies region i when it stands still; false: it does not. */
static bool copy_region(struct segment *s, size_t i, struct vvm_stat_region *to)
{
	size_t offset = s->regions.offset + i * s->regions.item_bytes;
	uint64_t seq;
	unsigned try;

	for (try = 0; try < TRIES; try++) {
		segment_copy(s, to, offset, sizeof(*to));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		segment_copy(s, &seq, offset, sizeof(seq));
		if (seq % 2 == 0 && seq == to->seq)
			return true;
	}
	return false;
}

static bool sane_region(const struct vvm_stat_region *r)
{
	return r->start < r->end && r->end <= ADDRESS_END &&
	       (r->start | r->end) % VVM_STAT_PAGE_BYTES == 0;
}

static void take_region(struct reader *to, const struct vvm_stat_region *r)
{
	struct layout_region *l = &to->layout->region[to->layout->regions++];

	*l = (struct layout_region){
		.space = to->space,
		.start = r->start,
		.end = r->end,
		.host = r->host,
		.prot = r->prot,
		.advice = r->advice,
		.mapping = r->mapping,
		.faults = r->faults_zero + r->faults_swapin + r->faults_wp +
			  r->faults_other,
		.faults_zero = r->faults_zero,
		.faults_swapin = r->faults_swapin,
		.faults_wp = r->faults_wp,
	};
	segment_text(l->name, r->name, sizeof(l->name));
}

static void look_copy(struct segment *s, void *arg)
{
	struct reader *to = arg;
	struct vvm_stat_region region;
	struct vvm_stat_block block;
	struct layout_block *b;
	size_t i;

	for (i = 0; i < to->regions; i++)
		if (copy_region(s, i, &region) && sane_region(&region))
			take_region(to, &region);
	for (i = 0; i < to->blocks; i++) {
		segment_copy(s, &block,
			     s->blocks.offset + i * s->blocks.item_bytes,
			     sizeof(block));
		if (block.base % BLOCK_BYTES != 1 || block.base > ADDRESS_END)
			continue;
		b = &to->layout->block[to->layout->blocks++];
		b->space = to->space;
		b->base = block.base - 1;
		b->faults = block.faults;
		b->last_us = block.last_us;
		memcpy(b->page, block.page, sizeof(b->page));
	}
}

/* Makes room for n more items; false: there is none. */
static bool reserve(void **array, size_t have, size_t more, size_t item)
{
	void *grown = realloc(*array, (have + more + 1) * item);

	if (grown)
		*array = grown;
	return grown != NULL;
}

/* A segment that was cut has no layout, which is not an error. */
static int read_space(struct layout *l, struct target_space *space)
{
	struct reader r = {.layout = l, .space = space->number};
	size_t regions = l->regions, blocks = l->blocks;

	if (segment_look(&space->segment, look_count, &r))
		return 0;
	if (!reserve((void **)&l->region, l->regions, r.regions,
		     sizeof(*l->region)) ||
	    !reserve((void **)&l->block, l->blocks, r.blocks,
		     sizeof(*l->block)))
		return -ENOMEM;
	if (segment_look(&space->segment, look_copy, &r)) {
		l->regions = regions;
		l->blocks = blocks;
	}
	return 0;
}

int layout_read(struct layout *l, struct target *t)
{
	size_t i;

	l->regions = l->blocks = 0;
	for (i = 0; i < t->spaces; i++)
		if (read_space(l, &t->space[i])) {
			layout_free(l);
			return -ENOMEM;
		}
	order_regions(l);
	order_blocks(l);
	for (i = 0; i < l->regions; i++)
		layout_count(l, &l->region[i], l->region[i].start,
			     l->region[i].end, l->region[i].pages);
	return 0;
}

void layout_free(struct layout *l)
{
	free(l->region);
	free(l->block);
	memset(l, 0, sizeof(*l));
}

void layout_keep(struct layout *old, struct layout *now)
{
	layout_free(old);
	*old = *now;
	memset(now, 0, sizeof(*now));
}
