/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - a replacement policy in a model of libvvm's reclaim.
 *
 * The policy is the very object that the library links; what surrounds it here
 * does what evict.c, reclaim.c, frame.c and space.c do, without a page moving:
 *
 *   - the hand passes a block at a time, in the order in which the blocks came
 *     to have resident pages; a pass drops all mappings of the block, and a
 *     page that is mapped at the next one was used since;
 *   - a fault maps its page, prefetch does not;
 *   - reclaim starts below the low watermark and goes on to the high one, at
 *     most STEP_TARGET victims a pass;
 *   - turns of the hand without a victim raise the pressure.
 *
 * What it leaves out: time. Reclaim is done at once where the pager has
 * writes in flight, and there is one thread of accesses. The defaults of the
 * watermarks are built in.
 *
 * Prefetch is a stream detector as simple as can be: a miss whose two
 * predecessors were accessed within the last STREAM_MEMORY accesses reads
 * ahead_pages, as far as frames are free above half of the low watermark.
 */
#include "vvmbench/sim/reclaim.h"

#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#define LOW_PCT	      2
#define HIGH_PCT      4
#define TINY_PAGES    16 /* below it there are no watermarks */
#define STEP_TARGET   128
#define STREAM_MEMORY 64

_Static_assert(TRACE_BLOCK_PAGES == BLOCK_PAGES, "one notion of a block");

struct sim_page {
	bool resident, mapped, prefetched;
	uint8_t age;
};

struct sim_block {
	struct policy_block policy;
	uint32_t resident;
};

struct sim {
	const struct policy_ops *ops;
	const struct sim_setup *setup;
	struct sim_score *score;
	struct sim_page *pages;
	struct sim_block *blocks;
	uint32_t *last; /* access of each page, plus 1 */
	uint32_t *ring; /* queue of blocks: the hand is at its front */
	uint32_t first, length, passed, block_count;
	uint32_t used, low, high, barren;
	struct policy_space space;
};

/* ---- the ring ---- */

static void ring_push(struct sim *s, uint32_t block)
{
	s->ring[(s->first + s->length++) % s->block_count] = block;
}

static uint32_t ring_pop(struct sim *s)
{
	uint32_t block = s->ring[s->first];

	if (++s->passed > s->length) {
		s->passed = 1;
		policy_turn(s->ops, &s->space);
	}
	s->first = (s->first + 1) % s->block_count;
	s->length--;
	return block;
}

static unsigned pressure_of(const struct sim *s)
{
	uint32_t turns = s->length ? s->barren / s->length : 0;

	return MIN(turns, POLICY_AGE_MAX + 1u);
}

/* ---- frames ---- */

static void set_watermarks(struct sim *s)
{
	uint64_t budget = s->setup->budget_pages;

	if (budget < TINY_PAGES)
		return;
	s->low = (uint32_t)MIN(budget * LOW_PCT / 100, budget / 4);
	s->high = (uint32_t)MAX(budget * HIGH_PCT / 100, s->low);
	s->high = (uint32_t)MIN(s->high, budget / 2 - s->low);
}

static uint32_t frames_free(const struct sim *s)
{
	return s->setup->budget_pages - s->used;
}

/* ---- the hand ---- */

static bool visit(struct sim *s, uint32_t page, struct policy_step *step)
{
	struct sim_page *p = &s->pages[page];
	uint16_t *heat = &step->block->heat[page % BLOCK_PAGES];
	struct policy_page view = {.addr = (gaddr_t)page << PAGE_SHIFT,
				   .age = p->age,
				   .heat = *heat,
				   .referenced = p->mapped,
				   .prefetched = p->prefetched};
	bool victim = s->ops->visit(step, &view);

	s->score->visits++;
	s->score->minor += p->mapped;
	p->age = (uint8_t)view.age;
	*heat = (uint16_t)view.heat;
	if (p->mapped)
		p->prefetched = false;
	p->mapped = false;
	return victim;
}

static void evict(struct sim *s, uint32_t page)
{
	s->pages[page].resident = false;
	s->blocks[page / BLOCK_PAGES].resident--;
	s->used--;
}

/* Passes a block; returns its victims, at most `target`. */
static uint32_t pass_block(struct sim *s, uint32_t target)
{
	unsigned pressure = pressure_of(s);
	uint32_t block = ring_pop(s), page = block * BLOCK_PAGES, freed = 0;
	uint32_t end = page + BLOCK_PAGES;
	struct policy_step step;

	policy_begin(s->ops, &s->space, &s->blocks[block].policy,
		     (gaddr_t)page << PAGE_SHIFT, pressure, &step);
	policy_enter(s->ops, &step);
	for (; page < end; page++)
		if (s->pages[page].resident && visit(s, page, &step) &&
		    freed < target) {
			evict(s, page);
			freed++;
		}
	policy_end(s->ops, &s->space, &step);
	if (s->blocks[block].resident)
		ring_push(s, block);
	s->barren = freed ? 0 : s->barren + 1;
	s->score->pressure = MAX(s->score->pressure, pressure);
	s->score->failed |= !freed && pressure > POLICY_AGE_MAX;
	return freed;
}

/* Keeps `need` frames free, and the watermarks. */
static void reclaim(struct sim *s, uint32_t need)
{
	uint32_t goal = MAX(s->high, need);

	if (frames_free(s) >= MAX(s->low, need))
		return;
	while (frames_free(s) < goal && s->length && !s->score->failed)
		pass_block(s, MIN(goal - frames_free(s), STEP_TARGET));
}

/* ---- accesses ---- */

static void bring(struct sim *s, uint32_t page, bool prefetched)
{
	struct sim_block *b = &s->blocks[page / BLOCK_PAGES];
	struct sim_page *p = &s->pages[page];

	p->resident = true;
	p->mapped = !prefetched;
	p->prefetched = prefetched;
	p->age = (uint8_t)s->ops->admit(
		&s->space, &b->policy, (gaddr_t)page << PAGE_SHIFT, prefetched);
	s->used++;
	if (b->resident++ == 0)
		ring_push(s, page / BLOCK_PAGES);
}

static bool just_accessed(const struct sim *s, uint32_t page, uint32_t now)
{
	return s->last[page] && now - s->last[page] < STREAM_MEMORY;
}

static void read_ahead(struct sim *s, uint32_t page, uint32_t now)
{
	uint32_t i, end = MIN(page + 1 + s->setup->ahead_pages,
			      s->setup->trace->pages);

	if (page < 2 || !just_accessed(s, page - 1, now) ||
	    !just_accessed(s, page - 2, now))
		return;
	for (i = page + 1; i < end; i++) {
		if (s->pages[i].resident)
			continue;
		reclaim(s, 0);
		if (frames_free(s) <= s->low / 2 + 1)
			return;
		bring(s, i, true);
		s->score->prefetched++;
	}
}

static void access_page(struct sim *s, size_t i)
{
	uint32_t page = s->setup->trace->page[i], now = (uint32_t)i + 1;
	bool hit = s->pages[page].resident;

	sim_count(s->score, s->setup, i, hit);
	if (hit) {
		s->pages[page].mapped = true;
	} else {
		s->score->faults++;
		reclaim(s, 1);
		bring(s, page, false);
		read_ahead(s, page, now);
	}
	s->last[page] = now;
}

bool sim_policy(const struct policy_ops *ops, const struct sim_setup *setup,
		struct sim_score *score)
{
	uint32_t pages = setup->trace->pages;
	struct sim s = {.ops = ops, .setup = setup, .score = score};
	bool ok;
	size_t i;

	memset(score, 0, sizeof(*score));
	set_watermarks(&s);
	s.block_count = pages / BLOCK_PAGES;
	s.pages = calloc(pages, sizeof(*s.pages));
	s.blocks = calloc(s.block_count, sizeof(*s.blocks));
	s.ring = calloc(s.block_count, sizeof(*s.ring));
	s.last = calloc(pages, sizeof(*s.last));
	ok = s.pages && s.blocks && s.ring && s.last;
	for (i = 0; ok && i < setup->trace->accesses && !score->failed; i++) {
		sim_progress(setup, i);
		access_page(&s, i);
	}
	free(s.pages);
	free(s.blocks);
	free(s.ring);
	free(s.last);
	return ok;
}
