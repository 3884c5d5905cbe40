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
 * Compressed pages are in frames, too. While memory is filled all that is given
 * back is taken by faults at once, and the store of such pages would get none
 * although each of its frames lets three of theirs go. So it is *owed* some: what
 * is given back is *saved* for it first.
 *
 * Invariants:
 *  (1) frames_take() never makes used exceed budget; only a shrinking
 *	frames_resize() leaves it above for a while.
 *  (2) low <= high and low + high <= budget / 2: with half of the budget
 *	always usable, watermarks cannot turn a small budget into none.
 *  (3) peak >= every value that used ever had.
 *  (4) saved <= packed <= used.
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
/* What is saved: for a batch of victims, of a large budget only. */
#define SAVED_TAKES 4
#define SAVED_SHARE 64

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
	atomic_init(&f->saved, 0);
	atomic_init(&f->owed, 0);
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

/* Of n that are given back: how many are saved instead? */
static uint64_t save(struct frames *f, uint64_t n)
{
	uint64_t owed = atomic_load(&f->owed);

	do {
		n = MIN(n, owed);
		if (!n || atomic_load(&f->used) > atomic_load(&f->budget))
			return 0;
	} while (!atomic_compare_exchange_weak(&f->owed, &owed, owed - n));
	atomic_fetch_add(&f->packed, n);
	atomic_fetch_add(&f->saved, n);
	return n;
}

static void give(struct frames *f, uint64_t n)
{
	uint64_t before = atomic_fetch_sub(&f->used, n);

	ASSERT(before >= n);
}

void frames_give(struct frames *f, uint64_t n)
{
	give(f, n - save(f, n));
}

static bool take_saved(struct frames *f, uint64_t n)
{
	uint64_t saved = atomic_load(&f->saved);

	do {
		if (saved < n)
			return false;
	} while (!atomic_compare_exchange_weak(&f->saved, &saved, saved - n));
	return true;
}

bool frames_take_packed(struct frames *f, uint64_t n)
{
	uint64_t most = atomic_load(&f->budget) / SAVED_SHARE / n;

	if (take_saved(f, n)) {
		atomic_fetch_add(&f->owed, n);
		return true;
	}
	/* Half of what reclaim keeps free is for faults. */
	if (frames_take(f, n, atomic_load(&f->low) / 2)) {
		atomic_fetch_add(&f->packed, n);
		return true;
	}
	most = n * MIN(MAX(most, 1u), SAVED_TAKES);
	atomic_store(&f->owed, most - MIN(most, atomic_load(&f->saved)));
	return false;
}

void frames_give_packed(struct frames *f, uint64_t n)
{
	uint64_t before = atomic_fetch_sub(&f->packed, n);

	ASSERT(before >= n);
	frames_give(f, n);
}

uint64_t frames_spend(struct frames *f)
{
	uint64_t n;

	atomic_store(&f->owed, 0);
	n = atomic_exchange(&f->saved, 0);
	atomic_fetch_sub(&f->packed, n);
	give(f, n);
	return n;
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
