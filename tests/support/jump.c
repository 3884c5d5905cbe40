/* SPDX-License-Identifier: MIT */
#include "support/jump.h"

#include <stdatomic.h>

#include "os/os.h"
#include "support/wait.h"

uint64_t __real_os_now_us(void); /* NOLINT: the linker's name */
uint64_t __wrap_os_now_us(void); /* NOLINT */

static _Atomic uint64_t jump_us, jump_looks;

uint64_t __wrap_os_now_us(void) /* NOLINT */
{
	uint64_t us = __real_os_now_us() + atomic_load(&jump_us);

	atomic_fetch_add(&jump_looks, 1);
	return us;
}

void jump_await(uint64_t looks)
{
	uint64_t end = atomic_load(&jump_looks) + looks;
	uint64_t i;

	for (i = 0; i < wait_scaled(10000) && atomic_load(&jump_looks) < end;
	     i++)
		os_sleep_us(1000);
}

void jump(uint64_t looks)
{
	atomic_fetch_add(&jump_us, JUMP_US);
	jump_await(looks);
}

void jump_when_waiting(uint64_t looks)
{
	jump_await(looks);
	jump(looks);
}
