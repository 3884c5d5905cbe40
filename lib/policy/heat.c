/* SPDX-License-Identifier: MIT */
/*
 * policy/heat.c - evicts what was used least of late, resident or not.
 *
 * CLOCK and LRU know when a page was last used, and only while it is resident.
 * On skewed loads the pages at the border of the budget are used once in
 * several times their stay: each time they come back as strangers. What tells
 * them apart is how often they were used over a time much longer than one stay.
 * The page table has a place for that: a leaf exists for evicted pages, too.
 *
 * Heat. Each page has 16 bits. A fault adds FAULT, a use that the hand sees
 * adds USE, and each turn of the hand takes 1/64 away. A page that is used in
 * each turn reaches SURE = 64 * USE. So heat / SURE estimates how likely the
 * page is to be used in a turn, and that is what matters. A block is cooled
 * when somebody visits it, for all turns since the last visit.
 *
 * A fault is worth half a use: of two pages that are used equally often the
 * resident one stays. That keeps a part of a loop that is larger than the
 * budget resident, where LRU always evicts what is needed next.
 *
 * Ages. The policy itself asks for two of them only: AGE_NEW, and AGE_COLD of a
 * page that prefetch brought. The others tell readers of the statistics how far
 * a page is from being evicted.
 *
 * A page that a fault installs is mapped by that: at the first pass after it
 * every such page shows as referenced, which says nothing (AGE_NEW). A page
 * that prefetch brings is not mapped: its first reference is the use that the
 * fault would have been, and admit() has counted that one. Such a page, when it
 * is cold and still unused, loses half of its heat at each pass.
 *
 * Victims. The hand evicts the coldest quarter of what it passes, wherever that
 * is. `seen` counts its visits by level of heat, over a turn or two, and
 * begin() finds the level below which a quarter of the visits was. A block in
 * which all pages are hot loses none; one that was scanned once loses all. If
 * the level itself has too many pages, whole blocks are taken or spared, so
 * that what was written together leaves and comes back together. Other blocks
 * are taken each turn, or the spared ones would be all that is left.
 *
 * Surprise. Such a memory is slow to forget: after a change of the load the old
 * working set would stay for 50 turns. But the change shows at once: pages that
 * were expected to be used are not. The sum of heat / SURE over the pages
 * passed in a turn is the number of uses to expect. If the number seen is, in
 * proportion to it, below 5/8 of what is usual, all heat is scaled down, first
 * by that proportion and then to an eighth, so that what comes now counts for
 * more. "Usual" is close to the lowest proportion of late, because a loop meets
 * the hand in waves, and their troughs are no surprise.
 *
 * Pressure 1: whatever was not used in the last turn is a victim. From 2 on
 * every page is.
 *
 * Measured (MEASURED.md, "Replacement"): misses on zipf 0.99 14.2 %, where
 * CLOCK has 15.4 and the optimum 8.7; on zipf with a scan 51.2, where CLOCK has
 * 57.5.
 *
 * Rejected: 8 bits of heat; a fault worth a whole use; evicting the coldest
 * third or fifth; cooling by 1/32 or 1/128 a turn; sparing pages in use from
 * forgetting; judging the surprise over several turns; no surprise at all; the
 * same blocks winning each tie.
 */
#include "policy/policy.h"

enum heat_age { AGE_COLD, AGE_NEW, AGE_WARM, AGE_HOT };

#define USE	   1024
#define FAULT	   512
#define COOL_SHIFT 6 /* 1/64 a turn */
#define SURE	   (USE << COOL_SHIFT)
#define PART	   4 /* the coldest 1/4 */

/* Above the victims' level, twice and eight times as hot. */
#define WARM_LEVELS 8
#define HOT_LEVELS  24

/*
 * A surprise: fewer uses than 5/8 of the usual, when EXPECT_MIN or more were to
 * be expected. What is left of 1 << 16 then: an eighth of how much of the usual
 * it was, or what FORGET_MAX turns leave.
 */
#define EXPECT_MIN	16
#define SURPRISE(usual) ((usual) / 8 * 5)
#define FORGET		((1 << 16) / 8)
#define FORGET_MAX	300
#define RATIO_MAX	(1u << 30)

_Static_assert(SURE == POLICY_HEAT_MAX + 1, "heat saturates at a sure use");

static unsigned level_of(unsigned heat)
{
	unsigned octave;

	if (heat < 8)
		return heat;
	octave = 31 - (unsigned)__builtin_clz(heat);
	return (octave - 2) * 8 + (heat >> (octave - 3) & 7);
}

/* What is left of 1 << 16 after so many turns. */
static uint32_t left_after(uint32_t turns)
{
	uint32_t left = 1 << 16;

	for (; turns && left >= 1 << COOL_SHIFT; turns--)
		left -= left >> COOL_SHIFT;
	return turns ? 0 : left;
}

static void cool(struct policy_block *b, uint32_t time)
{
	uint32_t left;
	unsigned i;

	if (b->time == time)
		return;
	left = left_after(time - b->time);
	for (i = 0; i < BLOCK_PAGES; i++)
		b->heat[i] = (uint16_t)(b->heat[i] * left >> 16);
	b->time = time;
}

/* A number below 256 by which a block wins or loses a tie in this turn. */
static unsigned draw(gaddr_t base, uint32_t time)
{
	return ((uint32_t)(base >> BLOCK_SHIFT) + time) * 2654435761u >> 24;
}

static unsigned warmer(unsigned heat, unsigned by)
{
	return MIN(heat + by, (unsigned)POLICY_HEAT_MAX);
}

static unsigned heat_admit(const struct policy_space *space,
			   struct policy_block *block, gaddr_t addr,
			   bool prefetched)
{
	uint32_t time =
		atomic_load_explicit(&space->time, memory_order_relaxed);
	uint16_t *heat = &block->heat[page_index(addr)];

	cool(block, time);
	*heat = (uint16_t)warmer(*heat, FAULT);
	return prefetched ? AGE_WARM : AGE_NEW;
}

/* The level below which a PART of the visits was, and how far into it. */
static void heat_begin(const struct policy_space *space, gaddr_t base,
		       struct policy_step *step)
{
	uint64_t total = 0, below = 0, want;
	unsigned level;

	for (level = 0; level < POLICY_LEVELS; level++)
		total += space->seen[level];
	want = total / PART;
	for (level = 0; level < POLICY_LEVELS; level++) {
		if (below + space->seen[level] > want)
			break;
		below += space->seen[level];
	}
	step->time = atomic_load_explicit(&space->time, memory_order_relaxed);
	step->level = level; /* nothing seen yet: above all of them */
	if (level < POLICY_LEVELS)
		step->tie = draw(base, step->time) <
			    (want - below) * 256 / space->seen[level];
}

static void heat_enter(struct policy_step *step)
{
	cool(step->block, step->time);
}

/* The page's heat after a pass that says something about it. */
static unsigned heat_now(struct policy_step *step,
			 const struct policy_page *page)
{
	step->expected += page->heat;
	if (!page->referenced)
		return page->heat;
	step->used++;
	return warmer(page->heat, USE);
}

static unsigned age_of(const struct policy_step *step, unsigned level)
{
	if (level < step->level + WARM_LEVELS)
		return AGE_COLD;
	return level < step->level + HOT_LEVELS ? AGE_WARM : AGE_HOT;
}

static bool heat_visit(struct policy_step *step, struct policy_page *page)
{
	unsigned level;

	if (page->age != AGE_NEW && !page->prefetched)
		page->heat = heat_now(step, page);
	else if (page->prefetched && !page->referenced && page->age == AGE_COLD)
		page->heat /= 2;
	level = level_of(page->heat);
	page->age = age_of(step, level);
	step->seen[level]++;
	if (step->pressure)
		return !page->referenced || step->pressure > 1;
	return level < step->level || (level == step->level && step->tie);
}

static void heat_end(struct policy_space *space, const struct policy_step *step)
{
	unsigned level;

	for (level = 0; level < POLICY_LEVELS; level++)
		space->seen[level] += (uint32_t)step->seen[level] << 8;
	space->expected += step->expected;
	space->used += step->used;
}

/* How long must it cool for 1 / 2^16 to become `left`? */
static uint32_t turns_to(uint32_t left)
{
	uint32_t now = 1 << 16, turns = 0;

	for (; now > left && turns < FORGET_MAX; turns++)
		now -= now >> COOL_SHIFT;
	return turns;
}

/*
 * Compares what was used in the turn with what was expected. `usual` is near
 * the lowest ratio of late: down at once, up slowly.
 */
static void look_back(struct policy_space *space)
{
	uint32_t ratio;
	int32_t off;

	if (space->expected < (uint64_t)EXPECT_MIN * SURE)
		return;
	ratio = (uint32_t)MIN(space->used * SURE * 256 / space->expected,
			      RATIO_MAX);
	if (!space->usual)
		space->usual = ratio;
	if (ratio >= SURPRISE(space->usual)) {
		off = (int32_t)ratio - (int32_t)space->usual;
		space->usual += (uint32_t)(off < 0 ? off / 2 : off / 32);
		return;
	}
	space->usual -= space->usual / 16;
	atomic_fetch_add_explicit(
		&space->time,
		turns_to((uint32_t)((uint64_t)ratio * FORGET / space->usual)),
		memory_order_relaxed);
}

static void heat_turn(struct policy_space *space)
{
	unsigned level;

	atomic_fetch_add_explicit(&space->time, 1, memory_order_relaxed);
	look_back(space);
	space->expected = space->used = 0;
	for (level = 0; level < POLICY_LEVELS; level++)
		space->seen[level] /= 2;
}

const struct policy_ops policy_heat = {
	.name = "heat",
	.new_age = AGE_NEW,
	.admit = heat_admit,
	.visit = heat_visit,
	.turn = heat_turn,
	.begin = heat_begin,
	.enter = heat_enter,
	.end = heat_end,
};
