/* SPDX-License-Identifier: MIT */
/*
 * space/stack.c - stacks of our own, for threads whose stack is paged memory.
 *
 * A program may run coroutines, or handle signals, on stacks that it has from
 * the heap, and call the library there. While the call holds a lock its stack
 * must not be paged: the next page of it may be in swap, and who brings that
 * page waits for the lock. So such a call runs on a stack from here.
 *
 * Rejected: to pin the stack for so long. It takes as many frames as the call
 * may use of it, which small budgets do not have, and pinning is a call that
 * takes locks itself.
 *
 * What runs there calls nothing of the program's. A few stacks are kept for the
 * next call. State outside `struct vvm`: a stack belongs to no space;
 * atomic words only, since signal handlers come here. In a fork child those of
 * its parent's other threads are lost.
 */
#include "space/stack.h"

#include "os/os.h"

/*
 * The deepest call takes 10 KiB; a signal frame of AVX-512 or AMX, and our
 * handler on it, 16. Untouched stack costs address space only.
 */
#define STACK_BYTES ((uint64_t)128 << 10)
#define STACKS_KEPT 16

static _Atomic(void *) kept[STACKS_KEPT];

struct call {
	void (*fn)(void);
	uintptr_t arg[STACK_ARGS];
	uintptr_t result;
};

/* A page below it is out of bounds. */
static void *stack_new(void)
{
	void *memory;

	if (os_map_anon(STACK_BYTES + PAGE_BYTES, &memory) < 0)
		return NULL;
	if (os_protect((haddr_t)(uintptr_t)memory, PAGE_BYTES, 0) < 0) {
		os_unmap((haddr_t)(uintptr_t)memory, STACK_BYTES + PAGE_BYTES);
		return NULL;
	}
	return (char *)memory + PAGE_BYTES;
}

static void *stack_take(void)
{
	unsigned i;

	for (i = 0; i < STACKS_KEPT; i++) {
		void *stack = atomic_exchange(&kept[i], NULL);

		if (stack)
			return stack;
	}
	return stack_new();
}

static void stack_give(void *stack)
{
	unsigned i;

	for (i = 0; i < STACKS_KEPT; i++) {
		void *none = NULL;

		if (atomic_compare_exchange_strong(&kept[i], &none, stack))
			return;
	}
	os_unmap((haddr_t)(uintptr_t)stack - PAGE_BYTES,
		 STACK_BYTES + PAGE_BYTES);
}

/* Arguments that a function does not take do no harm in these ABIs. */
static void run(void *arg)
{
	typedef uintptr_t (*any_fn)(uintptr_t, uintptr_t, uintptr_t, uintptr_t,
				    uintptr_t);
	struct call *c = arg;

	c->result = ((any_fn)c->fn)(c->arg[0], c->arg[1], c->arg[2], c->arg[3],
				    c->arg[4]);
}

uintptr_t stack_call(void (*fn)(void), const uintptr_t *arg, unsigned args)
{
	void *stack = stack_take();
	struct call c = {.fn = fn};
	unsigned i;

	for (i = 0; i < args; i++)
		c.arg[i] = arg[i];
	if (stack) {
		os_run_on(stack, STACK_BYTES, run, &c);
		stack_give(stack);
	} else {
		run(&c);
	}
	return c.result;
}
