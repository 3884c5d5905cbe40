/* SPDX-License-Identifier: MIT */
/*
 * support/engine_fault.h - the steps of a fault and of what leads to it, on
 * support/engine.h's space.
 */
#ifndef VVM_ENGINE_FAULT_H
#define VVM_ENGINE_FAULT_H

#include "fault/fault.h"

extern struct fill fill;
extern char engine_buf[]; /* ENGINE_ROOM pages */

/* Of engine_start(). */
void engine_fault_start(void);

/* To where a page must be read, which is claimed then. */
enum fault_result engine_begin(gaddr_t addr, bool write);
/* Claims what comes first in [from, to); *next: where to go on. */
bool engine_ahead(gaddr_t from, gaddr_t to, gaddr_t *next);

/* A transfer must succeed: for io.done. */
void engine_read_done(struct io *io, int result);

/* Reads what was claimed. */
void engine_read(void);

/* A whole fault. */
enum fault_result engine_fault(gaddr_t addr, bool write);

/* Makes n pages DIRTY, stamped with version 1. */
void engine_dirty(gaddr_t addr, unsigned n);

/*
 * Puts n FRESH pages of one block into consecutive slots, stamped with
 * version 1; they are SWAPPED then. Returns the first slot.
 */
uint64_t engine_out(gaddr_t addr, unsigned n);

/* Makes resident pages old, unmapped, out of grace: victims, all of them. */
void engine_cold(gaddr_t addr, uint64_t n);

/* Completes what the evictor has in flight. */
void engine_complete(void);

#endif
