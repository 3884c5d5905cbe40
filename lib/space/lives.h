/* SPDX-License-Identifier: MIT */
/*
 * space/lives.h - what is known of the library's threads of a space. What is
 * made of it: space/life.h.
 */
#ifndef VVM_LIVES_H
#define VVM_LIVES_H

#include <pthread.h>

#include "os/ring.h"
#include "settings.h"
#include "stat/stat.h"
#include "util/awake.h"
#include "util/lock.h"

struct vvm;

/* The handlers by their numbers, then the reclaimer. */
#define LIFE_RECLAIMER SETTING_HANDLERS_MAX
#define LIVES	       (SETTING_HANDLERS_MAX + 1)

/* How often somebody looks while there is something to look at. */
#define LIFE_LOOK_US AWAKE_STEP_US
/*
 * Whoever has not got on for so long is reported. A healthy disk answers in a
 * hundredth of it, also beside other work, and BACKING_STALL_US is a fifth.
 */
#define LIFE_STALL_US 5000000

/* A wait that somebody looks at. */
struct stall {
	uint64_t wait; /* which one; 0: none */
	struct awake awake;
	bool told;
};

/* Locks: (i) set at the thread's start, (l) lives.lock, (a), (o) owner. */
struct life {
	struct vvm *vm;		      /* (i) */
	const char *name;	      /* (i) of what it is */
	struct vvm_stat_actor *actor; /* (i) */
	struct ring *ring;	      /* (i) */
	struct lock_table *locks;     /* (l) */
	int fd;		 /* (l) readable when it has ended; or -1 */
	_Atomic int tid; /* (a) 0: no such thread */
	/* (a) its last round began then; 0: it sleeps until there is work */
	_Atomic uint64_t round_us;
	struct stall own;    /* (o) of its own waits */
	struct stall looked; /* the guard's */
};

/* The guard's own. */
struct guard {
	int event;	     /* (i) wakes it */
	_Atomic bool asleep; /* until somebody begins something */
	_Atomic bool runs;
	bool started; /* by lives_start() */
	pthread_t thread;
	uint64_t looked_us; /* (o) */
};

/* All of them, in struct vvm. (i) by lives_open(), (l) lock. */
struct lives {
	struct life life[LIVES];
	struct lock lock; /* rank LOCK_MISC */
	int fd;		  /* (i) readable when one has ended */
	struct guard guard;
};

/* => nobody lives yet. */
void lives_init(struct lives *ls, struct vvm *vm);
/* Its descriptors. -EMFILE, ... */
int lives_open(struct lives *ls);
void lives_close(struct lives *ls);

#endif
