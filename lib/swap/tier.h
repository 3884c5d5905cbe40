/* SPDX-License-Identifier: MIT */
/*
 * swap/tier.h - pages of the swap file that are in memory, compressed, instead
 * of in their slots: swap/tier.c. Slots are numbered from 1 here.
 */
#ifndef VVM_TIER_H
#define VVM_TIER_H

#include "swap/backing.h"
#include "swap/squeeze.h"
#include "swap/store.h"

struct swap;

#define TIER_SPILLS	 8u /* writes to the disk in flight */
#define TIER_SPILL_PAGES 32u

/* One write of pages to their slots. (o) the owner. */
struct tier_spill {
	struct io io;				   /* (o) */
	struct tier *tier;			   /* (o) */
	struct store_chunk *chunk;		   /* (o) pinned; NULL: idle */
	uint64_t slot;				   /* (o) of page 0 */
	struct store_item *item[TIER_SPILL_PAGES]; /* (o) */
	uint32_t checksum[TIER_SPILL_PAGES];	   /* (o) of the pages */
};

/* (i) set by tier_new(), (o) the owner, (a) atomic; else store.lock. */
struct tier {
	struct swap *swap;  /* (i) */
	uint32_t *checksum; /* (i) by slot: of the page that is in it */
	uint64_t *place;    /* by slot: an item, or a word */
	uint8_t *kind;	    /* by slot; (a) to read */
	uint64_t place_bytes, kind_bytes; /* (i) */
	struct store store;
	bool sealed; /* (i) in a fork child: nothing changes any more */
	struct squeeze squeeze;		      /* (o) */
	struct tier_spill spill[TIER_SPILLS]; /* (o) */
	void *buffers;			      /* (i) of the spills */
	uint64_t limit;			      /* (o) pages that it may have */
	uint64_t rest_us;		/* (o) a write failed: none before */
	uint64_t items, words;		/* pages that are here now */
	uint64_t added, spilled, moved; /* pages so far */
	unsigned turn;			/* (o) of tier_wants() */
	uint64_t old_turn; /* chunks before it are the oldest part */
	uint64_t old_us;   /* (o) it was found */
	_Atomic uint64_t loads, old_loads; /* of these, from the oldest part */
	_Atomic uint64_t damaged;
};

/* -ENOMEM, -ENOTSUP: this build cannot compress. slots: there may be. */
int tier_new(struct tier **out, struct swap *swap, uint64_t slots,
	     uint32_t *checksum, const struct store_memory *memory);
void tier_free(struct tier *t);
/* In a fork child: it is only read from now on. => no other thread. */
void tier_seal(struct tier *t);
/* In a fork child that has no use for it: unmaps it. => no other thread. */
void tier_shed(struct tier *t);

/* ---- any thread ---- */

/* Is the page of this slot here? It may be written to the slot a moment later. */
bool tier_has(const struct tier *t, uint64_t slot);
enum tier_result {
	TIER_LOADED,
	TIER_ABSENT,  /* it is in its slot */
	TIER_DAMAGED, /* it is nowhere */
};
/* => the slot has an owner, who waits for this. */
enum tier_result tier_load(struct tier *t, uint64_t slot, gaddr_t addr,
			   void *page);
/*
 * The slot's owner has no use for its content any more. False: it is just being
 * written, and must not be given back by the caller; tier_trim()'s write does
 * it.
 */
bool tier_give(struct tier *t, uint64_t slot);

/* ---- the owner ---- */

/*
 * Keeps those pages of a write that compress, as far as there is room: their
 * bits in io->memory are set. first: the slot of page 0; they have just been
 * taken.
 */
void tier_keep(struct tier *t, struct io *io, uint64_t first);
/*
 * A page that is in its slot leaves its frame: shall it be here as well? True:
 * tier_add() is to be called. => the slot's owner waits, as for all of these
 */
bool tier_wants(struct tier *t, uint64_t slot, gaddr_t addr);
/*
 * ... with its content, or NULL. Nothing happens if the slot has been given back
 * since.
 */
void tier_add(struct tier *t, uint64_t slot, gaddr_t addr, const char *page);
/*
 * It may have so many pages from now on. Starts to write to the disk what is
 * above that, on this ring, and gives pages back that are not used.
 */
void tier_trim(struct tier *t, struct ring *ring, uint64_t pages);

/* Adds what is known of it. Any thread. */
void tier_stat(struct tier *t, struct backing_stat *st);

/* Asserts that slots and store agree. => nothing moves. */
void tier_check(struct tier *t);

#endif
