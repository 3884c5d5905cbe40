/* SPDX-License-Identifier: MIT */
/*
 * door/filter.h - the seccomp filter of the door: door/filter.c.
 */
#ifndef VVM_DOOR_FILTER_H
#define VVM_DOOR_FILTER_H

#include <linux/filter.h>

#include "base.h"

/* Its longest text. */
#define FILTER_MOST 1024
/* What a trap of the filter has as si_errno; changes with what it traps. */
#define FILTER_MARK 0x5602

/* Writes the filter; its length. 0: there is none for this machine. */
unsigned filter_text(struct sock_filter text[FILTER_MOST]);

#endif
