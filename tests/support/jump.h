/* SPDX-License-Identifier: MIT */
/*
 * support/jump.h - a clock that jumps. To who waits, a process that is stopped
 * for an hour looks like one whose clock has jumped by an hour, and that can be
 * done without a race. For programs that are linked with -Wl,--wrap=os_now_us.
 */
#ifndef VVM_JUMP_H
#define VVM_JUMP_H

#include <stdint.h>

#define JUMP_US ((uint64_t)3600 * 1000000)

/* Until this many looks more; some time at most, if who looked has given up. */
void jump_await(uint64_t looks);

/*
 * Returns when the waiters have seen it. looks: how often all look at the
 * clock in one round of waiting, and one more for a look that is on its way.
 */
void jump(uint64_t looks);

/* The same when they have begun to wait. */
void jump_when_waiting(uint64_t looks);

#endif
