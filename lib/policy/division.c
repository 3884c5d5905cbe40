/* SPDX-License-Identifier: MIT */
/*
 * policy/division.c - how much of the budget compressed pages may take.
 *
 * A page of memory is worth what it saves. As a frame it saves the faults on
 * the page in it, even those that only unpack. Full of compressed pages it saves
 * the reads from the disk of three or so. What counts is the page that would
 * change hands, the one of least use on either side:
 *
 *   of the compressed ones, the oldest part of the log: its reads since the last
 *	look, times what a read from the disk takes, by its pages;
 *   of the frames, those that the hand may evict next: how many were used in the
 *	last turn, times what a fault takes that unpacks, by their number.
 *
 * The border moves a step towards the side that has more of it, and several at a
 * time if that side has far more. It goes down only when the store has given what
 * was decided before. It stays within MOST of what is not pinned, and where it is
 * while the store is not full yet: then its oldest part is not old. When neither
 * side has shown any use (memory is filled for the first time), the store grows,
 * since what does not fit is written to the disk.
 *
 * Data that does not compress never gets there: the store has no pages, whatever
 * it might have. If nothing compressed is used it shrinks to nothing; a small
 * part, FLOOR, is left while dirty pages leave: by that it begins.
 */
#include "policy/division.h"

#include <string.h>

#define STEP(budget)  MAX((budget) / 64, 16u)
#define MOST(pages)   ((pages) / 8 * 7)
#define FLOOR(budget) ((budget) / 32)
/*
 * Memory is filled for the first time, which is over soon; or the border is far
 * from where it should be, since one side has FAR times the use of the other.
 */
#define LONG_STEPS 4
#define FAR	   4
/* Events without which a sample says too little. */
#define ENOUGH 64
/* The store is full when less than so many steps are missing. */
#define FULL_STEPS 2
/* One side must have 9/8 of the other's use: no step to and fro. */
#define CLEARLY(a) ((a) + (a) / 8)

void division_init(struct division *d)
{
	memset(d, 0, sizeof(*d));
}

static void add_up(struct division *d, const struct division_sample *s)
{
	d->old_reads += s->old_reads;
	d->scanned += s->scanned;
	d->cold += s->cold;
	d->cold_used += s->cold_used;
}

static void forget(struct division *d)
{
	d->old_reads = d->scanned = d->cold = d->cold_used = 0;
}

/* Microseconds that a page saves since the last decision, << 20. */
static uint64_t use_of_packed(const struct division *d,
			      const struct division_sample *s)
{
	uint64_t pages = s->packed / DIVISION_OLD_SHARE + 1;

	return (d->old_reads * s->read_us << 20) / pages;
}

static uint64_t use_of_frames(const struct division *d,
			      const struct division_sample *s)
{
	uint64_t frames = s->budget - MIN(s->packed, s->budget);
	uint64_t cold = d->scanned ? frames * d->cold / d->scanned : frames;

	return (d->cold_used * s->fault_us << 20) / (cold + 1);
}

static uint64_t clamp(const struct division_sample *s, uint64_t pages)
{
	uint64_t most = s->budget - MIN(s->pinned, s->budget);

	if (s->budget < DIVISION_BUDGET_MIN)
		return 0;
	if (s->added + s->written)
		pages = MAX(pages, FLOOR(s->budget));
	return MIN(pages, MOST(most));
}

/* Has one side, by enough events of its own, FAR times the other's use? */
static bool is_far(const struct division *d, uint64_t packed, uint64_t frames)
{
	return (d->old_reads >= ENOUGH && packed / FAR > frames) ||
	       (d->cold_used >= ENOUGH && frames / FAR > packed);
}

/* The border after what both sides have shown. */
static uint64_t decide(const struct division *d,
		       const struct division_sample *s)
{
	uint64_t packed = use_of_packed(d, s), frames = use_of_frames(d, s);
	uint64_t step = STEP(s->budget);

	if (is_far(d, packed, frames) || (!packed && !frames))
		step *= LONG_STEPS;
	if (packed > CLEARLY(frames) || (!packed && !frames))
		return d->pages + step;
	/* what was decided before is to have had its effect */
	if (frames > CLEARLY(packed) && s->packed <= d->pages + step)
		return d->pages - MIN(step, d->pages);
	return d->pages;
}

void division_look(struct division *d, const struct division_sample *s)
{
	bool full = s->packed + FULL_STEPS * STEP(s->budget) >= d->pages;

	add_up(d, s);
	if (d->old_reads + d->cold_used + s->added + s->written < ENOUGH) {
		d->pages = clamp(s, d->pages);
		return;
	}
	if (full)
		d->pages = decide(d, s);
	d->pages = clamp(s, d->pages);
	forget(d);
}

void division_yield(struct division *d, uint64_t packed, uint64_t need)
{
	uint64_t pages = MIN(d->pages, packed);

	d->pages = pages - MIN(pages, MAX(need, 16u));
}
