/* SPDX-License-Identifier: MIT */
/*
 * space/life.h - the library's threads of a space: do they live, and do they
 * get on? space/life.c has the theory.
 */
#ifndef VVM_LIFE_H
#define VVM_LIFE_H

#include "space/space.h"

/* Starts the guard. -ENOMEM, -EAGAIN. */
int lives_start(struct vvm *vm);
/* Ends it. => vm->stopping is set, and the other threads have ended. */
void lives_stop(struct vvm *vm);

/*
 * The calling thread is number i's from now on, until life_end(). It cannot be
 * cancelled.
 */
struct life *life_begin(struct vvm *vm, unsigned i, const char *name,
			struct vvm_stat_actor *actor, struct ring *ring);
void life_end(struct life *l);
/* A round begins at now_us. */
void life_works(struct life *l, uint64_t now_us);
/* It sleeps until there is something to do. */
void life_sleeps(struct life *l);
/* Somebody who is none of these begins what may stall. Async-signal-safe. */
void life_look_out(struct vvm *vm);

/*
 * The calling thread l looks at what it waits for: `wait` is a number for it,
 * 0: for nothing. True, once for each, when that has not changed for
 * LIFE_STALL_US in which the process could run. When it changes the stall is
 * over.
 */
bool life_stalls(struct life *l, uint64_t wait, uint64_t now_us);
/*
 * Says what l waits for and since when, in the log and in the segment. arg: see
 * VVM_STAT_STALLS.
 */
void life_report(const struct life *l, enum vvm_stat_stall kind,
		 uint64_t since_us, uint64_t arg);

/*
 * The guard's look at the others. In how many us to look again; below 0:
 * nothing happens, and life_works() wakes it.
 */
int64_t lives_look(struct vvm *vm);

#endif
