/* SPDX-License-Identifier: MIT */
/* api/impl.h - what the public functions share; for lib/api only. */
#ifndef VVM_VVM_IMPL_H
#define VVM_VVM_IMPL_H

#include <errno.h>

#include "fork/fork.h"
#include "space/space.h"
#include "space/stack.h"

/*
 * First in a public function, `fn` with its arguments: where the caller's stack
 * is paged it runs on one of ours. What takes locks is to be in it, what calls
 * or touches something of the program's for long is not. type: int or a pointer.
 */
#define ON_FIRM_STACK(type, fn, ...) \
	if (stack_is_paged())        \
	return (type)STACK_CALL(fn, __VA_ARGS__)

/*
 * Next, unless vm may be no space. Until the function returns
 *   - the program's signal handlers do not run. One that touches guest memory
 *     would wait for whoever resolves its fault, who waits for the locks of the
 *     call that it interrupts;
 *   - what this thread holds still for a fork may change: fork handlers of the
 *     program may come after ours, and free memory.
 */
#define IN_CALL(vm)                                                        \
	__attribute__((cleanup(call_end), unused)) struct call call_here = \
		call_begin(vm)

struct call {
	uint64_t signals;     /* the mask before */
	struct vvm *reopened; /* to be held still again; or NULL */
};

static inline struct call call_begin(struct vvm *vm)
{
	struct call c = {.signals = os_signals_block()};

	if (vm && vm->fork && fork_reopen(vm))
		c.reopened = vm;
	return c;
}

static inline void call_end(const struct call *c)
{
	if (c->reopened)
		fork_reclose(c->reopened);
	os_signals_restore(c->signals);
}

/*
 * 0 when the space may be used by this process, else -EINVAL, -ECHILD, -EDEADLK
 * in a callback of a pager of it or, when a thread of the library has died,
 * -EOWNERDEAD. Rouses a space that a fork child has inherited.
 */
static inline int usable(struct vvm *vm)
{
	if (!vm)
		return -EINVAL;
	if (space_forked(vm))
		return -ECHILD;
	if (unlikely(pagers_call_me(&vm->pagers)))
		return -EDEADLK;
	if (space_broken(vm))
		return -EOWNERDEAD;
	if (unlikely(atomic_load_explicit(&vm->dormant, memory_order_acquire)))
		space_rouse(vm);
	return 0;
}

/* ---- arguments: api/vvm.c ---- */

/* As usable(), and of a page range, whose end is stored. */
int api_range(struct vvm *vm, uint64_t addr, uint64_t len, gaddr_t *end);
/* May something be mapped at *addr, or anywhere? */
int api_mappable(struct vvm *vm, const uint64_t *addr, uint64_t len,
		 unsigned prot);
/* Errors of the kernel that no caller could act on are a lack of memory. */
int api_narrow(int rc, const char *what);

/* A name may be paged: it is not read under locks. */
struct own_name {
	char text[sizeof(((struct region *)NULL)->name)];
};
const char *api_name(struct own_name *own, const char *name);

#endif
