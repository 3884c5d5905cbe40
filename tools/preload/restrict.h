/* SPDX-License-Identifier: MIT */
/* restrict.h - a program that gives up what it may do: see restrict.c. */
#ifndef VVM_PRELOAD_RESTRICT_H
#define VVM_PRELOAD_RESTRICT_H

/*
 * The program is about to lose a right for good: gets what the library will
 * need of that. Keeps errno.
 */
void before_restriction(void);

#endif
