/* SPDX-License-Identifier: MIT */
/*
 * fuzz/model.h - pages in the slots of a swap, and what each slot should hold:
 * an array with one cell a slot. fuzz/swap.c and fuzz/tier.c do things to what is
 * behind it.
 *
 * A page that is read must be what was written, or be marked bad for a reason
 * that the model knows. No slot is handed out that is in use or held.
 */
#ifndef VVM_FUZZ_MODEL_H
#define VVM_FUZZ_MODEL_H

#include "fuzz/fuzz.h"
#include "os/ring.h"
#include "swap/backing.h"

#define MODEL_SLOTS 700u
#define MODEL_RUN   40u /* slots that an order is about */
#define MODEL_HOLDS 2u

struct model_cell {
	bool owned;	  /* a page is in it */
	bool known;	  /* its write succeeded */
	bool damaged;	  /* since then */
	uint8_t held;	  /* bit n: by hold n */
	uint16_t page;	  /* whose it is */
	uint32_t version; /* of the page */
};

extern struct backing *model_swap;
extern struct model_cell model_cell[MODEL_SLOTS + 1];
extern bool model_disk_fails; /* reads and writes may */

/* What a target defines. */
/* The content of a page; at `to`, PAGE_BYTES. */
void model_fill(char *to, unsigned page, uint32_t version);
/* May the swap hand out the slot, which nobody owns or holds? */
bool model_free(unsigned slot);
/* Is what is in a slot not what was written? */
bool model_damaged(unsigned slot);
/* Slots that are held, but not owned, can be read; a wrong address is noticed. */
extern const bool model_reads_held, model_knows_addresses;

/* Begins with a swap that was just opened. */
void model_begin(struct backing *swap);
/* Ends holds, gives all slots back, and looks that nothing is left. */
void model_end(void);

/*
 * Takes up to `want` slots and writes pages to them, the first one's number near
 * `page`; keep: they may be kept in memory. ring: NULL for system calls.
 */
void model_take(struct ring *ring, unsigned want, unsigned page, bool keep);
/* Gives the next owned slots back, n at most. */
void model_give(unsigned first, unsigned n);
/*
 * Reads a run of slots, of which those that hold nothing are gaps; number `wrong`
 * of them under a wrong address.
 */
void model_read(struct ring *ring, unsigned first, unsigned n, unsigned wrong);
/* The same with all slots. */
void model_read_all(struct ring *ring);
/* Begins a hold, or ends it. */
void model_toggle_hold(unsigned n);

/* The nth use from now of the point fails, once or for ever. */
void model_fail_disk(unsigned point, unsigned nth, bool for_ever,
		     unsigned error);
void model_mend_disk(void);

#endif
