/* SPDX-License-Identifier: MIT */
/* api/impl.h - what the public functions share; for lib/api only. */
#ifndef VVM_VVM_IMPL_H
#define VVM_VVM_IMPL_H

#include <errno.h>

#include "space/space.h"

/*
 * 0 when the space may be used by this process, else -EINVAL or -ECHILD. Rouses
 * a space that a fork child has inherited.
 */
static inline int usable(struct vvm *vm)
{
	if (!vm)
		return -EINVAL;
	if (space_forked(vm))
		return -ECHILD;
	if (unlikely(atomic_load_explicit(&vm->dormant, memory_order_acquire)))
		space_rouse(vm);
	return 0;
}

#endif
