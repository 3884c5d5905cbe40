/* SPDX-License-Identifier: MIT */
/*
 * swap/hold.h - slots that may not be used again yet, because a fork child may
 * still read them.
 */
#ifndef VVM_HOLD_H
#define VVM_HOLD_H

#include "swap/slots.h"

/* The slots that were in use at one moment. */
struct hold {
	struct hold *next;
	uint64_t bytes; /* of the mapping that this is the start of */
	uint64_t words;
	uint64_t bits[]; /* as slots.bitmap */
};

/* All holds on the slots of one backing. The caller locks, as for slots. */
struct holds {
	struct hold *first;
	uint64_t *kept; /* bit set: given back by its owner, but held */
	uint64_t kept_count;
};

void holds_fini(struct holds *hs, const struct slots *s);
/*
 * Allocates a hold with room for the slots of the area. -ENOMEM. Apart from
 * hold_begin() so that no system call is made with a lock held; should the
 * area grow in between, hold_begin() says so.
 */
int hold_new(struct holds *hs, const struct slots *s, struct hold **out);
/* Holds every slot in use now. False: the area has grown since hold_new(). */
bool hold_begin(struct holds *hs, const struct slots *s, struct hold *h);
/* Gives the slots back that only this hold has kept; hold_free() is next. */
void hold_end(struct holds *hs, struct slots *s, struct hold *h);
/* => it never began, or has ended. */
void hold_free(struct hold *h);
/* slots_give() for the slots that nobody holds; keeps the others. */
void holds_give(struct holds *hs, struct slots *s, uint64_t first, uint64_t n);

#endif
