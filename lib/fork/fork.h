/* SPDX-License-Identifier: MIT */
/*
 * fork/fork.h - what a fork child has of a space: all of it (fork=inherit), or
 * nothing (fork/shed.h).
 */
#ifndef VVM_FORK_H
#define VVM_FORK_H

#include "util/awake.h"
#include "space/space.h"

#define FORK_SPACES 64

enum fork_gate { GATE_OPEN, GATE_CLOSING, GATE_CLOSED, GATE_BROKEN };

struct fork {
	_Atomic int gate;	    /* enum fork_gate */
	struct awake_shared closed; /* for how long it has been CLOSED */
	const char *why;   /* the child inherits nothing; NULL: it does */
	pthread_t starter; /* of a child's actors */
	bool started;	   /* it has to be joined */
};

/* What the space needs for it. -ENOMEM, -EMFILE ... => no threads. */
int fork_init(struct vvm *vm);
/* => no threads. */
void fork_fini(struct vvm *vm);
/*
 * From now on children inherit vm, or shed it. -EAGAIN: FORK_SPACES others are
 * to be inherited; -ENOMEM.
 */
int fork_register(struct vvm *vm);
/* From now on they do not. Waits for the end of a fork in progress. */
void fork_unregister(struct vvm *vm);
/*
 * If the calling thread holds vm still, between prepare() and the fork or after
 * it: lets everything go on, so that the thread can make a call. True: then
 * fork_reclose() holds it still again. => vm->fork.
 */
bool fork_reopen(struct vvm *vm);
void fork_reclose(struct vvm *vm);
/* The same for who does not know which space it will be; a bit for each. */
uint64_t fork_reopen_all(void);
void fork_reclose_all(uint64_t reopened);
/* fork/child.c, for fork/fork.c: makes the space this process's, dormant. */
int fork_take_over(struct vvm *vm);

#endif
