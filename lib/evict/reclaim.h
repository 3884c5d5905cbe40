/* SPDX-License-Identifier: MIT */
/*
 * evict/reclaim.h - the reclaim thread, and live changes of the budget.
 */
#ifndef VVM_RECLAIM_H
#define VVM_RECLAIM_H

#include "space/space.h"

/* Starts the reclaimer. -ENOMEM, -EAGAIN, ... */
int reclaim_start(struct vvm *vm);
/* Stops and frees it. => vm->stopping is set. */
void reclaim_stop(struct vvm *vm);
/* In a fork child, where its thread is not: frees what it had. */
void reclaim_abandon(struct vvm *vm);
/* In a fork child: closes the descriptors, and nothing else. */
void reclaim_shed(struct vvm *vm);
/*
 * Sets the budget and waits until it holds. -EBUSY: pinned pages or a full
 * swap do not allow it within timeout_ms; the old one is back then. => nothing
 * locked.
 */
int reclaim_resize(struct vvm *vm, uint64_t budget_pages, uint64_t timeout_ms);

#endif
