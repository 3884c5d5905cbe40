/* SPDX-License-Identifier: MIT */
/*
 * policy/polling.h - is it worth a CPU to poll for a read? policy/polling.c. Any
 * thread; zeroed to begin with.
 */
#ifndef VVM_POLLING_H
#define VVM_POLLING_H

#include <stdatomic.h>

#include "base.h"

struct polling {
	_Atomic uint32_t polled_ns, slept_ns; /* a read; 0: not known */
	_Atomic uint32_t turn;
};

/* Is the next read to be polled for? */
bool polling_pays(struct polling *p);
/* A read has taken so long, as its thread saw it. */
void polling_took(struct polling *p, bool polled, uint64_t ns);

#endif
