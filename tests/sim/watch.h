/* SPDX-License-Identifier: MIT */
/*
 * sim/watch.h - invariants of the engine, looked at from outside.
 */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include <stdint.h>

struct vvm;

/* The space of this process; NULL: none. */
void sim_watch(struct vvm *vm);
/* Around vvm_resize() to so many pages: +1, -1. */
void sim_watch_resize(uint64_t pages, int begins);
/* After each frame that comes: is it within the budget? */
void sim_watch_frames(void);
/* Walks over all of it, if nobody is in the middle of something. */
void sim_watch_all(void);

/* Tells of frames and pages, for a finding. */
void sim_watch_tell(void);

#endif
