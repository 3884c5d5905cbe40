/* SPDX-License-Identifier: MIT */
/*
 * fault/crew.h - which handlers read fault events, by load: fault/crew.c. There
 * is one struct crew for each handler, owned by its thread; only vm->serving is
 * shared.
 */
#ifndef VVM_CREW_H
#define VVM_CREW_H

#include "space/space.h"

#define CREW_WINDOW 64 /* events between two decisions */

struct crew {
	struct vvm *vm;	   /* (i) */
	unsigned self;	   /* (i) the handler's number; 0: the leader */
	unsigned events;   /* (o) in this window */
	unsigned crowded;  /* (o) of these: others were being worked on */
	uint64_t start_ns; /* (o) of this window */
	uint64_t idle_ns;  /* (o) in this window */
};

/* => number 0 first, before any handler runs. */
void crew_init(struct crew *s, struct vvm *vm, unsigned self);
static inline bool crew_is_leader(const struct crew *s)
{
	return s->self == 0;
}
/* Is this handler to read events? The leader always is. */
bool crew_serves(const struct crew *s);
/* It has read so many, while so many operations were in flight. */
void crew_events(struct crew *s, unsigned n, unsigned inflight);
/* A look for something to do that found nothing took so long. */
void crew_looked(struct crew *s, uint64_t ns);
/* It slept so long. */
void crew_slept(struct crew *s, uint64_t ns);
/* At the end of a window: the leader invites a helper, or a helper leaves. */
void crew_adjust(struct crew *s, uint64_t now_ns);
/* A helper reads no more events until it is invited again. */
void crew_leave(struct crew *s);

#endif
