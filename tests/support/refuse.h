/* SPDX-License-Identifier: MIT */
/*
 * support/refuse.h - makes one system call fail for the rest of the process, by
 * a seccomp filter: how an older kernel, another file system or a container's
 * profile would answer. Needs no privilege. Only for tests that run in a
 * process of their own (CK_FORK).
 */
#ifndef VVM_REFUSE_H
#define VVM_REFUSE_H

#include <stdbool.h>
#include <stdint.h>

/* Calls of number nr with (argument & mask) == value fail with error. */
bool refuse(unsigned nr, unsigned argument, uint32_t mask, uint32_t value,
	    unsigned error);

/*
 * A thread that makes such a call is killed by it, alone, whichever thread of
 * the process it is.
 */
bool refuse_and_kill(unsigned nr, unsigned argument, uint32_t mask,
		     uint32_t value);

#endif
