/* SPDX-License-Identifier: MIT */
/* altstack.h - stacks for signals that are there: see altstack.c. */
#ifndef VVM_PRELOAD_ALTSTACK_H
#define VVM_PRELOAD_ALTSTACK_H

/* Before threads are made. */
void altstack_init(void);
/* The calling thread has begun, or is the first one. */
void altstack_begin(void);

#endif
