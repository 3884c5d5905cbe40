/* SPDX-License-Identifier: MIT */
/*
 * space/budget.h - who may change the budget: the program, or the library on
 * its own (VVM_RESIDENT=auto). Theory: space/budget.c.
 */
#ifndef VVM_BUDGET_H
#define VVM_BUDGET_H

#include "space/space.h"

/* vvm_pin() leaves so many frames unpinned, or half of a smaller budget. */
#define BUDGET_UNPINNED 8

/* => nobody uses vm. Sets vm->frames.budget, too. */
void budget_init(struct vvm *vm, const struct conf *conf);
/*
 * Sets an automatic budget, within its bounds, and counts the reason. False: it
 * is not automatic (any more), vvm_resize() is at work, it would not change, or
 * pinned pages need more. Takes a leaf lock only.
 */
bool budget_follow(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t pages,
		   enum vvm_stat_resize reason);
/*
 * `pinned` pages are to be pinned: may they be? If not, an automatic budget is
 * raised as far as that helps. => a block lock may be held.
 */
bool budget_fits_pinned(struct vvm *vm, uint64_t pinned);

/*
 * vvm_resize(): sets the budget; *old is what it was. -EBUSY: more is pinned.
 * Until budget_end() nobody else makes it follow the machine.
 */
int budget_begin(struct vvm *vm, uint64_t pages, uint64_t *old);
/* It holds: from now on it is a fixed one. */
void budget_end(struct vvm *vm);
/* It does not, and is the old one again, if it was not changed since. */
void budget_undo(struct vvm *vm, uint64_t pages, uint64_t old);

#endif
