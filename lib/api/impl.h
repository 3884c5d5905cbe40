/* SPDX-License-Identifier: MIT */
/* api/impl.h - what the public functions share; for lib/api only. */
#ifndef VVM_VVM_IMPL_H
#define VVM_VVM_IMPL_H

#include <errno.h>

#include "space/space.h"

/*
 * In a public function: the program's signal handlers do not run before it
 * returns. One that touches guest memory would wait for whoever resolves its
 * fault, who waits for the locks of the call that it interrupts.
 */
#define SIGNALS_WAIT                                    \
	__attribute__((cleanup(signals_go_on), unused)) \
	uint64_t signals_before = os_signals_block()

static inline void signals_go_on(const uint64_t *before)
{
	os_signals_restore(*before);
}

/*
 * 0 when the space may be used by this process, else -EINVAL, -ECHILD or, when
 * a thread of the library has died, -EOWNERDEAD. Rouses a space that a fork
 * child has inherited.
 */
static inline int usable(struct vvm *vm)
{
	if (!vm)
		return -EINVAL;
	if (space_forked(vm))
		return -ECHILD;
	if (space_broken(vm))
		return -EOWNERDEAD;
	if (unlikely(atomic_load_explicit(&vm->dormant, memory_order_acquire)))
		space_rouse(vm);
	return 0;
}

#endif
