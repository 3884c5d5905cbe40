/* SPDX-License-Identifier: MIT */
/*
 * support/child.h - forked children, each with a time limit.
 */
#ifndef VVM_CHILD_H
#define VVM_CHILD_H

#include <stdint.h>
#include <sys/types.h>

struct vvm;

/* How long a child may take. */
unsigned live_child_seconds(void);

/*
 * Runs fn(arg) in a forked child without a core file, for as long at most. The
 * exit status is what fn returns. Who takes longer dies of SIGALRM: not of
 * libcheck's handler, which would kill the test with SIGKILL, saying nothing.
 */
pid_t live_fork(int (*fn)(void *), void *arg);

/* Waits for the end of a child; its wait status. */
int live_status(pid_t pid);

void live_ended_ok(pid_t pid);
int live_child(int (*fn)(void *), void *arg);
void live_child_ok(int (*fn)(void *), void *arg);
/* For children that must die of a signal without a sanitizer's help. */
void live_default_signals(void);
/* Has a child write to *p: that is SIGSEGV. */
void live_child_dies_at(void *p);
/* In a child: maps so many pages, has them hold something, and closes the space. */
void live_child_works(struct vvm *vm, uint64_t pages);

#endif
