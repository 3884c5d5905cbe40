/* SPDX-License-Identifier: MIT */
/*
 * door/hold.h - pages of the program's that the kernel is to find where they
 * are: door/hold.c. => as door/copy.h.
 */
#ifndef VVM_DOOR_HOLD_H
#define VVM_DOOR_HOLD_H

#include "base.h"

/* What is pinned; all zero: nothing. */
struct hold {
	haddr_t start, end;
};

/*
 * Pins the pages of [at, at + bytes), as far as they are of one region. Where
 * there is none it holds nothing. -ENOMEM: the budget does not allow it; or they
 * cannot be brought in.
 */
int hold_take(struct hold *h, haddr_t at, size_t bytes);
void hold_drop(struct hold *h);
/* Brings the page in once, to be written to or read. False: that is no use. */
bool hold_touch(haddr_t at, bool write);
/* A quarter of the budget that the memory is part of, in bytes. */
uint64_t hold_share(haddr_t at);

#endif
