/* SPDX-License-Identifier: MIT */
/*
 * space/frame.c - the budget of frames.
 *
 * There is no list of free frames: frames live in a memfd, where a page gets
 * storage when it is filled and loses it when it is punched. What must be
 * managed is only how many there are. A filler takes before it fills and
 * whoever punches gives back after, so `used` is never less than what the
 * kernel has allocated.
 *
 * Two watermarks drive reclaim: it starts when fewer than `low` frames are
 * free and goes on until `high` are, so that fault handling finds a free
 * frame without waiting while reclaim works in batches.
 *
 * Invariants:
 *  (1) frames_take() never makes used exceed budget; only a shrinking
 *	frames_resize() leaves it above for a while.
 *  (2) low <= high and low + high <= budget / 2: with half of the budget
 *	always usable, watermarks cannot turn a small budget into none.
 *  (3) peak >= every value that used ever had.
 *
 * Everything is an atomic counter: fault handlers on all CPUs come here for
 * each fault, and no decision needs two of the values at the same instant.
 * A watermark read during a resize may be the old one; the next look sees
 * the new one.
 */
#include "space/frame.h"

/*
 * Below this many pages there is no low watermark: 2 % would be less than one
 * page, and a frame kept free for later is one that a thread needs now.
 * vvm_pin() counts differently below it, too.
 */
#define FRAMES_TINY 16
/*
 * What reclaim frees at a time, once it has started, on budgets of which 4 %
 * are fewer: waking it and the thread that waits takes longer than freeing some
 * more (MEASURED.md, "Reclaim").
 */
#define FRAMES_BATCH 16

static uint64_t percent(uint64_t n, unsigned pct)
{
	return n / 100 * pct + n % 100 * pct / 100;
}

static void set_watermarks(struct frames *f, uint64_t budget, unsigned low_pct,
			   unsigned high_pct)
{
	uint64_t low = 0, high = 0;

	if (budget >= FRAMES_TINY)
		low = MIN(percent(budget, low_pct), budget / 4);
	high = MAX(percent(budget, high_pct), low);
	if (high_pct)
		high = MAX(high, MIN(budget / 4, (uint64_t)FRAMES_BATCH));
	high = MIN(high, budget / 2 - low);
	/* Never low > high, whichever of the two a reader sees first. */
	atomic_store(&f->low, 0);
	atomic_store(&f->high, high);
	atomic_store(&f->low, low);
}

void frames_init(struct frames *f, uint64_t budget, unsigned low_pct,
		 unsigned high_pct)
{
	atomic_init(&f->used, 0);
	atomic_init(&f->peak, 0);
	atomic_init(&f->wanted, 0);
	atomic_init(&f->pinned, 0);
	atomic_init(&f->packed, 0);
	frames_resize(f, budget, low_pct, high_pct);
}

void frames_resize(struct frames *f, uint64_t budget, unsigned low_pct,
		   unsigned high_pct)
{
	ASSERT(budget > 0);
	atomic_store(&f->budget, budget);
	set_watermarks(f, budget, low_pct, high_pct);
}

static void raise_peak(struct frames *f, uint64_t used)
{
	uint64_t peak = atomic_load_explicit(&f->peak, memory_order_relaxed);

	while (peak < used &&
	       !atomic_compare_exchange_weak(&f->peak, &peak, used))
		;
}

/* Do n more fit, with `reserve` left over? Written so as not to overflow. */
static bool fits(uint64_t used, uint64_t budget, uint64_t n, uint64_t reserve)
{
	uint64_t room = used < budget ? budget - used : 0;

	return n <= room && reserve <= room - n;
}

bool frames_take(struct frames *f, uint64_t n, uint64_t reserve)
{
	uint64_t used = atomic_load_explicit(&f->used, memory_order_relaxed);

	do {
		if (!fits(used, atomic_load(&f->budget), n, reserve))
			return false;
	} while (!atomic_compare_exchange_weak(&f->used, &used, used + n));
	raise_peak(f, used + n);
	return true;
}

void frames_give(struct frames *f, uint64_t n)
{
	uint64_t before = atomic_fetch_sub(&f->used, n);

	ASSERT(before >= n);
}

uint64_t frames_free(const struct frames *f)
{
	uint64_t budget = atomic_load(&f->budget);
	uint64_t used = atomic_load(&f->used);

	return used < budget ? budget - used : 0;
}

uint64_t frames_shortage(const struct frames *f)
{
	uint64_t budget = atomic_load(&f->budget);
	uint64_t used = atomic_load(&f->used);
	uint64_t goal = atomic_load(&f->high) + atomic_load(&f->wanted);

	if (used + goal <= budget)
		return 0;
	/* More threads may wait than there are frames to free. */
	return MIN(used + goal - budget, used);
}

bool frames_low(const struct frames *f)
{
	uint64_t budget = atomic_load(&f->budget);
	uint64_t used = atomic_load(&f->used);

	if (used > budget || atomic_load(&f->wanted) > 0)
		return true;
	return budget - used < atomic_load(&f->low);
}
