/* SPDX-License-Identifier: MIT */
/*
 * sim/work.h - the program that is simulated.
 */
#ifndef SIM_WORK_H
#define SIM_WORK_H

#include "sim/model.h"
#include "vvm.h"
#include "vvm_heap.h"

/* For the heap copies objects: vvm.h says that it needs so many pages. */
#define SIM_HEAP_BUDGET 8

extern struct vvm *sim_vm;
extern struct vvm_heap *sim_heap;

/* Some operations, by the calling thread. */
void sim_work(unsigned ops);
/* What its signal handler does. */
void sim_work_signal(void);
/* Maps a region; false: an error that may be. */
bool sim_map_region(void);
/* Reads every word of every region. */
void sim_verify_all(void);
/* Closes the heap and the space. */
void sim_close(void);
/* Is an error one that a call may return here? Else a finding. */
bool sim_may_fail(const char *call, int rc, int allowed);
/* The calling thread's slots. */
unsigned sim_own_slot(void);

/* sim/work_calls.c: one call each */
void sim_op_store(void);
void sim_op_load(void);
void sim_op_touch(void);
void sim_op_pin(void);
void sim_op_residency(void);
void sim_op_query(void);
void sim_op_stats(void);
void sim_op_advise(void);
void sim_op_protect(void);
void sim_op_map(void);
void sim_op_unmap(void);
void sim_op_resize(void);
/* Gives some pages up; may be called in a fork handler. */
void sim_discard_some(void);
/* Swap is full now and then: the program makes room. */
void sim_low_space_init(void);

/* sim/work_heap.c */
void sim_heap_open(void);
void sim_heap_close(void);
void sim_heap_op(void);
/* In a signal handler, which the heap does not allow, but survives. */
void sim_heap_signal(void);
/*
 * In a child: all that the program had is there, and nothing comes twice. Not
 * alive: its memory must not be touched.
 */
void sim_heap_forked(bool alive);

/* sim/work_fork.c */
void sim_fork_op(void);
void sim_await_children(void);
/* Does this process have the memory, as far as it knows? For its handlers. */
bool sim_may_touch(void);

#endif
