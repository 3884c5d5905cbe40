/* SPDX-License-Identifier: MIT */
/*
 * support/ways.h - the ways of a transfer, for loop tests: 0 by system calls (no
 * ring), 1 by the ring's twin, 2 by io_uring.
 */
#ifndef VVM_WAYS_H
#define VVM_WAYS_H

#include "os/ring.h"

/* How many there are: 2 where io_uring is not built in, or not permitted. */
int ways(void);
/* The ring of a way, of depth 4. */
struct ring *way_open(int way);

#endif
