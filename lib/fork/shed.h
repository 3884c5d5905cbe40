/* SPDX-License-Identifier: MIT */
/*
 * fork/shed.h - what becomes of spaces that a fork child does not inherit.
 */
#ifndef VVM_SHED_H
#define VVM_SHED_H

#include "space/space.h"

/*
 * Spaces whose children inherit nothing, fork=die. -ENOMEM. The second returns
 * when no fork in progress can meet the space any more.
 */
int shed_register(struct vvm *vm);
void shed_unregister(struct vvm *vm);
/*
 * In a fork child: closes all descriptors of the space, and keeps its
 * addresses. => no other thread.
 */
void shed_space(struct vvm *vm);

#endif
