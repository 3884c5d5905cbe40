/* SPDX-License-Identifier: MIT */
/*
 * os/stack.c - running a function on another stack.
 *
 * By the C library's contexts, which know what belongs to a stack on each
 * machine (shadow stacks, for one). They set the signal mask as well, a system
 * call each way. All that these calls write to is on the new stack: the
 * caller's may be paged, and in inline mode the kernel does not bring pages in.
 *
 * The mask is put back just before the way back. A signal handler that leaves by
 * siglongjmp() at that moment loses the stack, and no more.
 */
#define _GNU_SOURCE 1
#include <ucontext.h>

#include "os/impl.h"
#include "os/os.h"

struct visit {
	ucontext_t here, there;
	void (*run)(void *);
	void *arg;
};

/* makecontext() passes ints. */
static void enter(unsigned low, unsigned high)
{
	struct visit *v =
		(struct visit *)(uintptr_t)(low | (uint64_t)high << 32);

	v->run(v->arg);
}

void os_run_on(void *stack, uint64_t bytes, void (*run)(void *), void *arg)
{
	uint64_t at = ((uintptr_t)stack + bytes - sizeof(struct visit)) &
		      ~(uint64_t)(CACHE_LINE - 1);
	struct visit *v = (struct visit *)(uintptr_t)at;
	uint64_t mask = os_signals_waiting();

	v->run = run;
	v->arg = arg;
	getcontext(&v->there);
	sigemptyset(&v->there.uc_sigmask);
	__builtin_memcpy(&v->there.uc_sigmask, &mask, sizeof(mask));
	v->there.uc_stack.ss_sp = stack;
	v->there.uc_stack.ss_size = at - (uintptr_t)stack;
	v->there.uc_link = &v->here;
	makecontext(&v->there, (void (*)(void))enter, 2, (unsigned)at,
		    (unsigned)(at >> 32));
	swapcontext(&v->here, &v->there);
}
