/* SPDX-License-Identifier: MIT */
/* atfork.h - the program's fork handlers: see atfork.c. */
#ifndef VVM_PRELOAD_ATFORK_H
#define VVM_PRELOAD_ATFORK_H

#include <sys/types.h>

/*
 * The program's handlers, in the order that pthread_atfork(3) says.
 * => nothing of ours is locked.
 */
void atfork_prepare(void);
void atfork_parent(void);
void atfork_child(void);
/* fork(), without the program's handlers. */
pid_t atfork_without(void);
/* The same by a system call of the program's; errno as it sets it. */
long atfork_call(long number, const unsigned long a[6]);
/* Around the fork itself the list does not change; and in the child. */
void atfork_freeze(void);
void atfork_thaw(void);
void atfork_renew(void);
/* From now on fork.c runs them. */
void atfork_take_over(void);

#endif
