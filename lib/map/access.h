/* SPDX-License-Identifier: MIT */
/*
 * map/access.h - what API threads do to pages without a plain access: touch,
 * pin, checked loads and stores, looking. Errors as the public functions. =>
 * nothing locked.
 */
#ifndef VVM_ACCESS_H
#define VVM_ACCESS_H

#include "space/space.h"

/* Ranges are page aligned, end <= GUEST_END. */
int access_touch(struct vvm *vm, gaddr_t start, gaddr_t end, bool write);
int access_pin(struct vvm *vm, gaddr_t start, gaddr_t end);
int access_unpin(struct vvm *vm, gaddr_t start, gaddr_t end);
/* Do regions cover the range? 0 or -VVM_EUNMAPPED. */
int access_covered(struct vvm *vm, gaddr_t start, gaddr_t end);
/* flags: no guest memory, since they are stored under locks. */
int access_residency(struct vvm *vm, gaddr_t start, gaddr_t end,
		     unsigned char *flags);
/* Any range. */
int access_copy(struct vvm *vm, gaddr_t addr, void *buf, size_t len,
		bool store);
/* The same for a buffer of the library's: not paged, and there. */
int access_copy_own(struct vvm *vm, gaddr_t addr, void *buf, size_t len,
		    bool store);
/* May [addr, addr + len) be accessed as `need` says? */
int access_check(struct vvm *vm, gaddr_t addr, size_t len, pte_t need);

#endif
