/* SPDX-License-Identifier: MIT */
/*
 * support/engine_fault.h - the steps of a fault and of what leads to it, on
 * support/engine.h's space.
 */
#ifndef VVM_ENGINE_FAULT_H
#define VVM_ENGINE_FAULT_H

#include "fault/fault.h"
#include "fill/ahead.h"

extern struct fault fault;   /* the last one begun, ... */
extern struct readahead ra;  /* ... and what was last claimed ahead */
extern struct io *engine_io; /* of the later of both */
extern char engine_buf[];    /* ENGINE_ROOM pages */

/* Of engine_start(). */
void engine_fault_start(void);

/* Of the test's actor: what must wait goes back to the test. */
struct fault engine_new_fault(haddr_t host, bool write);
/* As far as the first step that needs I/O. */
enum fault_result engine_begin(gaddr_t addr, bool write);
/* The page's fault has failed: fault_fail(). */
bool engine_fail(haddr_t host, int tid);
enum ahead_result engine_claim_ahead(struct ahead_job *job);
/* Claims what comes first in [from, to); *next: where to go on. */
bool engine_ahead(gaddr_t from, gaddr_t to, gaddr_t *next);

/* A transfer must succeed: for io.done. */
void engine_read_done(struct io *io, int result);

/* Reads what was claimed last. */
void engine_read(void);

/* Installs what was claimed last. */
enum fault_result engine_install(int result);

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
