/* SPDX-License-Identifier: MIT */
/*
 * inject/pages.h - a space to make failures in, and pages of which it is known
 * what must be in them.
 */
#ifndef VVM_PAGES_H
#define VVM_PAGES_H

#include <vvm.h>

#include "inject/walk.h"
#include "support/live.h"

#define PAGES_BUDGET 12
#define PAGES_MOST   48
#define PAGES_WORDS  2 /* of a page are written: near its start and its end */

struct pages {
	char *base;
	unsigned count;
	uint64_t word[PAGES_MOST][PAGES_WORDS];
	bool gone[PAGES_MOST]; /* not to be looked at */
	unsigned failures;     /* of accesses, since pages_fill() */
};

/* Options as walk wants them, with little patience. */
void pages_options(struct vvm_options *o, enum vvm_fork fork);
/* Opens vm. */
void pages_open(enum vvm_fork fork);
/* Nothing may be left in it but what is mapped; closes it. */
void pages_close(void);

void pages_map(struct pages *p, unsigned count);
/* Forgets what is in [first, first + n): zeros. */
void pages_zero(struct pages *p, unsigned first, unsigned n);

/*
 * Writes to page i; an access that fails does so by SIGBUS. After some of those
 * it does nothing.
 */
void pages_write(struct pages *p, unsigned i, unsigned version);
void pages_write_all(struct pages *p, unsigned version);
/* The same where nothing may fail. */
void pages_fill(struct pages *p, unsigned version);
/* Reads page i, as far as that works: nothing wrong. */
void pages_read(struct pages *p, unsigned i);
void pages_read_all(struct pages *p);
/* Nothing fails any more: everything is there, every byte of it. */
void pages_verify(struct pages *p);
/* All of it is in swap, none resident. */
void pages_push_out(struct pages *p);

/* rc is 0 or one of the negative errors, up to a 0. */
void pages_allow(const char *call, int rc, const int *errors);
#define PAGES_ALLOW(call, ...) \
	pages_allow(#call, call, (const int[]){__VA_ARGS__, 0})

#endif
