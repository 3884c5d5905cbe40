/* SPDX-License-Identifier: MIT */
/*
 * map/place.h - where in the process's address space regions go: map/place.c.
 */
#ifndef VVM_PLACE_H
#define VVM_PLACE_H

#include "space/space.h"

/*
 * Reserves address space for a region of vm, as os_reserve() without a hint.
 * -ENOMEM. => mapping lock.
 */
int place_reserve(struct vvm *vm, uint64_t bytes, uint64_t align,
		  uint64_t congruent, haddr_t *host);
/* No region goes below by the library's own choice. */
haddr_t place_floor(const struct vvm *vm);

#endif
