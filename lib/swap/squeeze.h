/* SPDX-License-Identifier: MIT */
/*
 * swap/squeeze.h - a page in less than a page, and whether it is worth trying:
 * swap/squeeze.c.
 */
#ifndef VVM_SQUEEZE_H
#define VVM_SQUEEZE_H

#include "base.h"

/* Can pages be compressed in this build at all? */
bool squeeze_known(void);

/* Is the page one 64-bit word, again and again? 8-byte aligned. */
bool squeeze_word(const void *page, uint64_t *word);
void squeeze_fill(void *page, uint64_t word);
/* False: that is no page, and what is in `page` now is nothing. */
bool squeeze_unpack(const void *from, unsigned bytes, void *page);

#define SQUEEZE_BLOCKS 1024u

/* What has become of the last tries with the pages of a block. */
struct squeeze_block {
	uint32_t tag;
	uint8_t skip; /* so many times it is not to be tried */
	uint8_t wait; /* and then, in vain, so many */
};

/* One thread's. */
struct squeeze {
	void *state; /* the compressor's */
	char *out; /* what squeeze_pack() has made, squeeze.most bytes at most */
	unsigned most;
	struct squeeze_block block[SQUEEZE_BLOCKS];
};

/* -ENOMEM. most: bytes that a page may take. */
int squeeze_init(struct squeeze *q, unsigned most);
void squeeze_fini(struct squeeze *q);
/* Compresses a page to q->out. How many bytes; 0: it does not get so small. */
unsigned squeeze_pack(struct squeeze *q, const void *page);
/* Shall pages of this block be tried now? Counts what is not. */
bool squeeze_try(struct squeeze *q, gaddr_t block);
/* Of the pages that were tried, so many were packed. */
void squeeze_learn(struct squeeze *q, gaddr_t block, unsigned tried,
		   unsigned packed);

#endif
