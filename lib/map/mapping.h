/* SPDX-License-Identifier: MIT */
/*
 * map/mapping.h - the calls that change what is mapped where: map, unmap,
 * protect, advise. Errors as the public functions of the same names; ranges
 * are page aligned, not empty and end at or below GUEST_END (api/vvm.c checks).
 * => all: nothing locked; they take the mapping lock and may wait for I/O.
 */
#ifndef VVM_MAPPING_H
#define VVM_MAPPING_H

#include "space/space.h"

int mapping_map(struct vvm *vm, gaddr_t *addr, uint64_t bytes, unsigned prot,
		const char *name);
/* The same address for guest and host, not 0. */
int mapping_map_at(struct vvm *vm, haddr_t at, uint64_t bytes, unsigned prot,
		   const char *name);
/*
 * As mapping_map(), with pages that begin as what `backing` says. It is taken over,
 * and closed after an error.
 */
int mapping_map_backed(struct vvm *vm, gaddr_t *addr, uint64_t bytes,
		       unsigned prot, const char *name,
		       struct backing *backing);
int mapping_unmap(struct vvm *vm, gaddr_t start, gaddr_t end);
int mapping_protect(struct vvm *vm, gaddr_t start, gaddr_t end, unsigned prot);
/* NORMAL, RANDOM, SEQUENTIAL. */
int mapping_set_advice(struct vvm *vm, gaddr_t start, gaddr_t end,
		       unsigned advice);
int mapping_dontneed(struct vvm *vm, gaddr_t start, gaddr_t end);
int mapping_cold(struct vvm *vm, gaddr_t start, gaddr_t end);
/*
 * In a space that has lost a thread: has the program's pagers end what they have
 * in hand, which is nobody's any more. Before the actors go. Sleeps.
 */
void mapping_abandon(struct vvm *vm);
/* Unmaps everything, pinned or not; for vvm_close(). */
void mapping_unmap_all(struct vvm *vm);

/*
 * In a fork child: maps the memfd, which is a new one, for all regions.
 * -EEXIST: something is in the way. => no other thread yet.
 */
int mapping_inherit(struct vvm *vm);
/* Puts a reservation in the place of all regions that start before `end`. */
void mapping_disinherit(struct vvm *vm, gaddr_t end);

#endif
