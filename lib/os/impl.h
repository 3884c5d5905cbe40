/* SPDX-License-Identifier: MIT */
/*
 * os/impl.h - what the files of os/os.h share.
 */
#ifndef VVM_OS_IMPL_H
#define VVM_OS_IMPL_H

#include <errno.h>
#include <signal.h>

#include "os/os.h"

/* What a system call returned, as 0 or -errno. */
static inline int os_result(long r)
{
	return r < 0 ? -errno : 0;
}

/* Whole transfers, without an injection point. */
int os_read_all(int fd, void *buf, uint64_t bytes, uint64_t off);
int os_write_all(int fd, const void *buf, uint64_t bytes, uint64_t off);

/* Would RLIMIT_FSIZE keep this thread from writing up to byte `end` of a file? */
bool os_above_limit(uint64_t end);

/* os/signal.c: the signals that os_signals_block() blocks, as the kernel's word. */
uint64_t os_signals_waiting(void);
/* Blocks them for a thread of the library; *old: the mask before. */
void os_block_async_signals(sigset_t *old);

#endif
