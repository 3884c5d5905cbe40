/* SPDX-License-Identifier: MIT */
/*
 * door/door.h - system calls whose pointers may be paged: door/door.c.
 */
#ifndef VVM_DOOR_H
#define VVM_DOOR_H

#include "base.h"

/*
 * Makes the call: its result, or -errno. context: the ucontext_t of the trap
 * that it was stopped by, whose mask and signal stack it may change; or NULL.
 * *mask: the program's signal mask, before and after. => nothing locked, signals
 * blocked as by os_signals_block(). Async-signal-safe.
 */
long door_syscall(long nr, const uint64_t arg[6], void *context,
		  uint64_t *mask);
/* The same for who has blocked nothing: vvm_syscall(). */
long door_call(long nr, const uint64_t arg[6]);

/*
 * Installs the filter and the handler of SIGSYS, unless it has been done.
 * -ENOTSUP: not on this machine, or not with what is mapped here; -ENOSYS: the
 * kernel has no filters; -EPERM: none is permitted; -EBUSY, -ENOMEM.
 */
int door_install(void);

#endif
