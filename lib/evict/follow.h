/* SPDX-License-Identifier: MIT */
/*
 * evict/follow.h - has an automatic budget follow the machine: evict/follow.c.
 * The reclaimer's thread only.
 */
#ifndef VVM_FOLLOW_H
#define VVM_FOLLOW_H

#include "evict/writeback.h"
#include "policy/sizing.h"
#include "space/space.h"

struct follower {
	struct vvm *vm;
	struct vvm_stat_actor *actor;
	const struct writer *writer; /* of the same thread */
	struct sizing sizing;
	uint64_t looked_us; /* 0: never */
	uint64_t own_us;    /* CPU time of the looks */
	/* Of the machine, as it was then; tests put theirs here. */
	void (*look)(const struct room_source *s, struct room *room);
};

/* => the budget is automatic, or nothing of this is used. */
void follow_init(struct follower *f, struct vvm *vm,
		 struct vvm_stat_actor *actor, const struct writer *writer);
/*
 * How long until the next look; -1: never. busy: the thread is awake anyway, and
 * frames are short.
 */
int64_t follow_due_us(const struct follower *f, uint64_t now_us, bool busy);
/* Looks, and sets the budget. => the thread's own actor and CPU time. */
void follow_look(struct follower *f, uint64_t now_us);

#endif
