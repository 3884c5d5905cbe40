/* SPDX-License-Identifier: MIT */
/*
 * policy/heat.c - evicts what was used least of late, resident or not.
 *
 * CLOCK and LRU know of a page only when it was last used, and only while it
 * is resident. On skewed loads the pages at the border of the budget are used
 * once in several times their stay: each time they come back as strangers.
 * What would tell them apart is how often they were used over a time much
 * longer than one stay. The page table has a place for it: a leaf exists for
 * pages that were evicted, too.
 *
 * Heat. 16 bits for each page: a fault adds FAULT, a use that the hand sees
 * adds USE, and at each turn of the hand 1/64 of it is lost. A page that is
 * used in each turn comes to SURE = 64 * USE; heat / SURE estimates how likely
 * it is to be used in a turn, which is what matters of a page. Blocks are
 * cooled when somebody comes by, for all turns since the last time.
 *
 * A fault is worth half a use: of two pages used equally often the one that is
 * there stays. That keeps a part of a loop that is larger than the budget
 * resident, where LRU would always evict what is needed next.
 *
 * Ages. Only "new" is asked for; the others tell readers of the statistics how
 * far a page is from being evicted.
 *
 * Installing a page maps it: at the first pass after its fault every page
 * shows as referenced, which says nothing (AGE_NEW). Pages that prefetch brings
 * are not mapped: a reference is the use that the fault would have been, and
 * counted by admit() already. Those unused for a turn lose half of their heat
 * at each pass.
 *
 * Victims. The hand evicts the coldest quarter of what it passes, wherever
 * that is: `seen` counts its visits by level of heat, over a turn or two, and
 * begin() finds the level below which a quarter of them was. A block of pages
 * that are all hot loses none, one that was scanned once loses all. Where the
 * level itself has too many, whole blocks are taken or spared, so that what
 * was written together goes and comes back together; other blocks each turn, or
 * those that are spared would be all that is left.
 *
 * Surprise. Such a memory is slow to forget: after a change of the load the
 * old working set would sit there for 50 turns. But then pages are not used
 * that were expected to be, and that shows at once: the sum of heat / SURE over
 * the pages passed in a turn is the number of uses to expect. If, in
 * proportion, fewer than 5/8 of the usual number are seen, all heat is scaled
 * down, by as much and then to an eighth: what comes now counts for more.
 * "Usual" is close to the lowest of late, because a loop meets the hand in
 * waves, and their troughs are no surprise.
 *
 * Misses in % (vvmbench sim: 262,144 pages of 4 KiB, a quarter of them
 * resident, 2 million accesses after the first touch of all; the scan of
 * scanmix faults page by page, in brackets the zipf part alone; "clock" is
 * policy/clock.c, CLOCK and LRU are exact and use all frames):
 *
 *		zipf 0.99  scanmix	  scanmix 90 %	 phases	 loop 1.1
 *	OPT	  8.7	   38.0 (3.1)	  67.6 (3.0)	 10.7	   8.9
 *	LRU	 15.9	   58.2 (23.5)	  92.1 (34.0)	 17.9	 100
 *	CLOCK	 15.4	   57.5 (22.2)	  91.9 (32.1)	 17.9	 100
 *	clock	 15.4	   59.8 (24.3)	  92.8 (35.5)	 18.6	  27.6
 *	heat	 14.2	   51.2 (16.1)	  85.3 (22.0)	 18.8	  34.4
 *
 * Real programs (valgrind --tool=lackey; budgets of 1/16 and 1/8 of what they
 * touch):
 *
 *		sort(1)		cc1 -O2		python3
 *	OPT	10.1  3.7	1.01  0.29	0.45  0.18
 *	LRU	21.2  8.8	1.99  0.48	0.84  0.36
 *	clock	22.7 10.6	2.79  0.68	1.39  0.48
 *	heat	21.8  9.0	3.05  0.73	0.91  0.40
 *
 * Losers: 8 bits of heat (a page used once in 30 turns is as cold as one never
 * used: zipf part of scanmix +2 points); a fault worth a use (loop +10); a
 * third instead of a quarter (zipf +0.15), a fifth (a quarter more page
 * visits, for 0.05); cooling 1/32 a turn (scanmix +0.5), 1/128 (no gain);
 * sparing pages in use from forgetting (no gain); judging the surprise over
 * several turns (phases +0.3 to 1); no surprise at all (phases +2.5, loop 21);
 * the same blocks winning each tie (a scan left only winners: 445 page visits
 * for an eviction).
 *
 * Pressure 1: whatever was not used in the last turn is a victim; from 2 on
 * everything.
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
