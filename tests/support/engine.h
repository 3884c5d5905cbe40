/* SPDX-License-Identifier: MIT */
/*
 * support/engine.h - a space without its threads, for the unit tests of the
 * engine's modules: the test is handler and reclaimer, one step at a time
 * (support/engine_fault.h), so that every step has one outcome. Where a
 * faulting thread is needed it is a second thread that makes one access
 * (support/engine_app.h).
 *
 * Everything is counted: support/engine_count.h.
 */
#ifndef VVM_ENGINE_H
#define VVM_ENGINE_H

#include "evict/evict.h"
#include "map/mapping.h"
#include "os/ring.h"

#include "support/vm.h"
#include "support/wait.h"

#define ENGINE_ROOM 64 /* pages of a fill or write-back */
/* The longest that anything may take. */
#define ENGINE_US ((int64_t)wait_scaled(10000000))

extern struct vvm_stat_actor *actor;
extern struct ring *ring;
extern struct evictor evictor;
extern gaddr_t addr; /* of engine_setup()'s pages */

/* For test_program.missing: why there can be no space. */
const char *engine_missing(void);
/* The same, for what is so in guard mode as well. */
const char *engine_missing_markers(void);

/* A fixture: a budget of 600 pages, and a block of them mapped at addr. */
void engine_setup(void);

void engine_conf(struct conf *c, uint64_t budget_pages);
/* Write-backs in flight: count, of up to room pages. */
void engine_start(const struct conf *c, unsigned count, unsigned room);

void engine_open(uint64_t budget_pages);
/* Unmaps everything: nothing may be left of it. */
void engine_close(void);

/* Aligned to a block when it is one or more long. Not counted. */
gaddr_t engine_map(uint64_t pages, unsigned prot);

/* The same at a guest address of our choice. */
void engine_map_at(gaddr_t addr, uint64_t pages);

haddr_t host_of(gaddr_t addr);
char *ptr_of(gaddr_t addr);
gaddr_t page_of(gaddr_t addr, uint64_t n);
pte_t entry(gaddr_t addr);
bool is_mapped(gaddr_t addr);
uint64_t slots_used(void);
/* Its block, locked as space_move() and the like want it. */
struct block *block_of(gaddr_t addr);

uint64_t word_of(gaddr_t addr, unsigned version);
void stamp(void *page, gaddr_t addr, unsigned version);
bool stamped(const void *page, gaddr_t addr, unsigned version);
/* What the frame holds, without touching the guest memory. */
const char *frame_of(gaddr_t addr);

#define expect_state(addr, want)                                        \
	do {                                                            \
		enum page_state is_ = pte_state(entry(addr));           \
		ck_assert_msg(is_ == (want), "%s is %s, not %s", #addr, \
			      pt_state_name(is_), pt_state_name(want)); \
	} while (0)

#endif
