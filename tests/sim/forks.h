/* SPDX-License-Identifier: MIT */
/*
 * sim/forks.h - real forks, whose children go on under the same scheduler.
 */
#ifndef SIM_FORKS_H
#define SIM_FORKS_H

#include <sys/types.h>

/* Registers the simulator's handlers: the first of all. */
void sim_forks_init(void);
/*
 * Called in fork(), by a handler that was registered before the library's:
 * after its prepare handler, before the fork.
 */
extern void (*sim_early_prepare)(void);
/* fork(2). *proc: the simulator's number of the child. */
pid_t sim_fork(int *proc);
/* Waits for the end of a child. */
void sim_await_child(pid_t pid, int proc);

#endif
