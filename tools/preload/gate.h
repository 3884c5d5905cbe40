/* SPDX-License-Identifier: MIT */
/*
 * gate.h - the one place from which the library's own system calls are made:
 * see gate.c.
 */
#ifndef VVM_PRELOAD_GATE_H
#define VVM_PRELOAD_GATE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As syscall(2), for the library: no filter of the program refuses it. */
long gate(long number, long a, long b, long c, long d, long e, long f);
#define GATE_PICK(n, a, b, c, d, e, f, ...)                                    \
	gate((long)(n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), \
	     (long)(f))
#define gate_call(...) GATE_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/*
 * Until the other, with its result, this thread runs no signal handler but those
 * of instructions and system calls: one could wait for a lock that it has.
 */
uint64_t gate_signals_block(void);
void gate_signals_restore(uint64_t before);

/*
 * As syscall(2), for the program, which may not be allowed it: from libc's
 * code.
 */
long plain_call(long number, ...);

/*
 * Where the gate is, for a program that this process becomes under its filters;
 * and, there, puts it in that place. False: it cannot be put there.
 */
uintptr_t gate_place(void);
bool gate_inherit(uintptr_t place);

/* The longest text of gate_head(), in instructions. */
enum { GATE_HEAD = 128 };
/*
 * What is to be put before a filter: it decides on the library's calls, and
 * goes on with what follows for all others. Its length; 0: there is no gate on
 * this machine.
 */
unsigned gate_head(struct sock_filter head[GATE_HEAD]);

#endif
