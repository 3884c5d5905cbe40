/* SPDX-License-Identifier: MIT */
/*
 * space/pagetable.h - the software page table: four levels of 512, 48-bit guest
 * addresses. A leaf is a struct block (2 MiB of guest addresses).
 *
 * Locks, all the caller's:
 *   (s) the space lock: read to walk, write to free nodes
 *   (b) the block's own lock
 *   (c) the clock lock of reclaim
 *   (a) atomic
 * pt_get() may add nodes under the space lock held for reading: nodes are
 * published with compare-and-swap, so two threads may race to add one.
 */
#ifndef VVM_PAGETABLE_H
#define VVM_PAGETABLE_H

#include "list.h"
#include "util/lock.h"
#include "policy/policy.h"
#include "space/page.h"
#include "util/checksum.h"
#include "util/pool.h"
#include "stat/stat.h"

struct block {
	struct lock lock;	/* rank LOCK_BLOCK */
	struct waitq busy_done; /* woken when a busy page is done */
	gaddr_t base;		/* (i) guest address of page 0 */
	struct list clock_link; /* (c) in the clock's ring while on_clock */
	bool on_clock;		/* (b) */
	uint16_t mapped;	/* (b) entries not NONE */
	uint16_t resident;	/* (b) entries with PTE_PRESENT */
	uint16_t dirty;		/* (b) entries DIRTY or WRITING */
	uint16_t filling;	/* (b) entries FILLING */
	uint16_t writing;	/* (b) pages in write-backs not yet completed,
				 * whatever became of their entries */
	uint16_t slow_writing;	/* (b) of these, those to slow backings */
	uint16_t awaited;	/* (b) threads that wait for the end of these:
				 * no others begin */
	uint16_t pinned;	/* (b) entries with PTE_PINNED */
	uint16_t swapped;	/* (b) entries SWAPPED, to the swap */
	uint16_t *pins;		/* (b) pin counts, allocated on the first pin */
	struct digest *digests; /* (b) of what slots hold: space/verify.c */
	struct vvm_stat_block *stat; /* (i) what readers see; or NULL */
	uint64_t filled_us;	/* (b) when a fault last made a page usable */
	uint64_t passed_us;	/* (b) what is not mapped has not been used
				 * since then */
	pte_t pte[BLOCK_PAGES]; /* (b) */
	struct policy_block policy; /* (b) */
};

/* Interior node: children are nodes, or blocks at the last level. */
struct pt_node {
	void *_Atomic child[512];
};

struct pagetable {
	struct pt_node *root;
	struct pool nodes, blocks, pins, digests;
	uint64_t seed; /* (i) of the digests */
	_Atomic uint64_t block_count;
	struct stats *stats; /* (i) where blocks are published; or NULL */
};

/* -ENOMEM when not even the root could be had. */
int pt_init(struct pagetable *pt);
/* Frees all nodes and blocks, whatever their entries say. */
void pt_fini(struct pagetable *pt);
/* The block that holds addr, or NULL. => space lock held. */
struct block *pt_find(struct pagetable *pt, gaddr_t addr);
/*
 * The same, made if missing (entries NONE, lock free), *fresh (may be NULL)
 * set when this call made it. NULL: out of memory. => space lock held.
 */
struct block *pt_get(struct pagetable *pt, gaddr_t addr, bool *fresh);
/*
 * First existing block whose base is >= block_floor(from) and < end, or NULL;
 * skips holes at the highest level that is empty. => space lock held.
 */
struct block *pt_next(struct pagetable *pt, gaddr_t from, gaddr_t end);
#define pt_for_each_block(pt, b, from, end)     \
	for ((b) = pt_next(pt, from, end); (b); \
	     (b) = pt_next(pt, (b)->base + BLOCK_BYTES, end))
/*
 * Frees a block whose entries are all NONE and interior nodes that become
 * empty; its pin counts go with it. => space lock held for writing, block
 * lock not held, not on the clock.
 */
void pt_free_block(struct pagetable *pt, struct block *b);

/*
 * Moves the page at index i of b to `to` with slot `slot` (0: none) and keeps
 * the block's counts. Asserts that the move is legal. Clears PINNED,
 * PREFETCHED and age when the page loses its frame; permissions and MAPPED
 * change only on moves from and to NONE. => block lock held.
 */
void pt_move(struct block *b, unsigned i, enum page_state to, uint64_t slot);
/* Is from -> to in the table? */
bool pt_legal(enum page_state from, enum page_state to);
const char *pt_state_name(enum page_state s);
/*
 * Sets the permission bits (PTE_READ...) of a mapped entry. => block lock
 * held.
 */
void pt_set_perms(struct block *b, unsigned i, pte_t perms);
/*
 * The block's 512 pin counts, made on the first use; NULL: out of memory.
 * They stay until the block is freed. => block lock held.
 */
uint16_t *pt_pins(struct pagetable *pt, struct block *b);
/*
 * The block's 512 digests, made on the first use, not zeroed; NULL: out of
 * memory. => block lock held.
 */
struct digest *pt_digests(struct pagetable *pt, struct block *b);
/* Frees them. => block lock held. */
void pt_give_digests(struct pagetable *pt, struct block *b);
/*
 * Sets or clears PINNED of a page with a frame and counts it in `pinned`.
 * => block lock held, pt_pins() succeeded.
 */
void pt_set_pinned(struct block *b, unsigned i, bool pinned);

/*
 * Tells readers of the statistics what has changed in an entry otherwise than
 * by the functions above; ages and PREFETCHED of the whole block; all of it.
 * => block lock held.
 */
void pt_publish(struct block *b, unsigned i);
void pt_publish_ages(struct block *b);
void pt_publish_block(struct block *b);

/* Verifies the block's counts against its entries; ASSERTs. => block lock. */
void pt_check_block(const struct block *b);
/*
 * Verifies the shape of the tree; ASSERTs. Does not look into blocks.
 * => space lock held, nobody in pt_get().
 */
void pt_check(struct pagetable *pt);

#endif
