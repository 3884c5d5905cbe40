/* SPDX-License-Identifier: MIT */
/*
 * fault/trap.h - illegal and failed plain accesses: the SIGSEGV and SIGBUS
 * handlers behind vvm_on_fault().
 */
#ifndef VVM_TRAP_H
#define VVM_TRAP_H

#include "space/space.h"

#define TRAP_SPACES 64

/*
 * Makes faults in the regions of vm reach vm->on_fault; installs the process's
 * handlers the first time. Idempotent. -EAGAIN: TRAP_SPACES spaces have one.
 */
int trap_register(struct vvm *vm);
/*
 * A region was unmapped, or has other permissions: an access to it that was
 * refused may be tried again. => of permissions: space lock held for writing.
 */
void trap_changed(void);
/* The opposite; returns when no handler looks at vm any more. Idempotent. */
void trap_unregister(struct vvm *vm);
/* In a fork child: threads that were in a handler are not here. */
void trap_forked(void);

#endif
