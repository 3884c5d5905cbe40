/* SPDX-License-Identifier: MIT */
/*
 * space/frame.h - the budget: how many frames may exist, and who waits for one.
 *
 * A frame is taken before a page is filled and given back after its hole was
 * punched, so frames in flight count. All fields are atomic; no lock.
 */
#ifndef VVM_FRAME_H
#define VVM_FRAME_H

#include <stdatomic.h>
#include "base.h"
#include "util/lock.h"

struct frames {
	_Atomic uint64_t used;	 /* taken frames */
	_Atomic uint64_t budget; /* may be below used for a while: resize */
	_Atomic uint64_t low;	 /* reclaim starts when free < low */
	_Atomic uint64_t high;	 /* and ends when free >= high */
	_Atomic uint64_t peak;	 /* highest `used` ever */
	_Atomic uint64_t wanted; /* frames that somebody waits for now */
	_Atomic uint64_t pinned; /* of used, pinned ones */
	_Atomic uint64_t packed; /* of used, those for compressed pages */
	_Atomic uint64_t saved;	 /* of packed, those that are not in use yet */
	_Atomic uint64_t owed;	 /* to be saved of what is given back next */
};

/* Who may change the budget: space/budget.c. */
struct budget {
	struct lock lock;	/* rank LOCK_MISC: one change at a time */
	_Atomic bool automatic; /* (lock) writes; it follows the machine */
	unsigned resizing;	/* (lock) vvm_resize()s that have not ended */
	uint64_t least, most;	/* (i) pages, of an automatic budget */
};

/* Percentages of the budget; both are 0 for budgets of a few pages. */
void frames_init(struct frames *f, uint64_t budget, unsigned low_pct,
		 unsigned high_pct);
/* Takes n frames or none. reserve: leave at least so many free. */
bool frames_take(struct frames *f, uint64_t n, uint64_t reserve);
void frames_give(struct frames *f, uint64_t n);
/*
 * Takes n frames for compressed pages: of the saved ones, or of the free ones if
 * faults have enough left. False: not now; frames given back are saved from then
 * on. One thread at a time.
 */
bool frames_take_packed(struct frames *f, uint64_t n);
/* Gives such frames back. */
void frames_give_packed(struct frames *f, uint64_t n);
/* Saves no more, and gives back what is saved. Returns how many. */
uint64_t frames_spend(struct frames *f);
/* Sets the budget and its watermarks. */
void frames_resize(struct frames *f, uint64_t budget, unsigned low_pct,
		   unsigned high_pct);
/* Free frames; 0 while over budget. */
uint64_t frames_free(const struct frames *f);
/* How many frames reclaim should free now to reach `high` and all wanted. */
uint64_t frames_shortage(const struct frames *f);
/* True when reclaim should start: free < low, or somebody waits. */
bool frames_low(const struct frames *f);

#endif
