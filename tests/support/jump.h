/* SPDX-License-Identifier: MIT */
/*
 * support/jump.h - a clock that jumps. To who waits, a process that is stopped for an
 * hour looks like one whose clock has jumped by an hour, and that can be done
 * without a race. For programs that are linked with -Wl,--wrap=os_now_us.
 */
#ifndef VVM_TEST_JUMP_H
#define VVM_TEST_JUMP_H

#include <stdatomic.h>
#include <stdint.h>
#include "os/os.h"

#define JUMP_US ((uint64_t)3600 * 1000000)

uint64_t __real_os_now_us(void); /* NOLINT: the linker's name */
uint64_t __wrap_os_now_us(void); /* NOLINT */

static _Atomic uint64_t jump_us, jump_looks;

uint64_t __wrap_os_now_us(void) /* NOLINT */
{
	uint64_t us = __real_os_now_us() + atomic_load(&jump_us);

	atomic_fetch_add(&jump_looks, 1);
	return us;
}

/* Until this many looks more; 10 s at most, if who looked has given up. */
static inline void jump_await(uint64_t looks)
{
	uint64_t end = atomic_load(&jump_looks) + looks;
	int i;

	for (i = 0; i < 10000 && atomic_load(&jump_looks) < end; i++)
		os_sleep_us(1000);
}

/*
 * Returns when the waiters have seen it. looks: how often all look at the
 * clock in one round of waiting, and one more for a look that is on its way.
 */
static inline void jump(uint64_t looks)
{
	atomic_fetch_add(&jump_us, JUMP_US);
	jump_await(looks);
}

/* The same when they have begun to wait. */
static inline void jump_when_waiting(uint64_t looks)
{
	jump_await(looks);
	jump(looks);
}

#endif
