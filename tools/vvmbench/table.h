/* SPDX-License-Identifier: MIT */
/* table.h - medians of several engines, side by side. */
#ifndef VVM_BENCH_TABLE_H
#define VVM_BENCH_TABLE_H

#include "vvmbench/figures.h"
#include "vvmbench/machine/why.h"

#include <stdio.h>

enum { TALLY_ROUNDS = 100 };

/* The rounds of one engine. */
struct tally {
	const char *name;
	unsigned rounds;
	struct why left_out; /* "": is in the comparison */
	double value[FIGURE_COUNT][TALLY_ROUNDS];
};

struct table {
	const struct plan *plan;
	struct tally *tallies;
	unsigned count;	 /* of tallies */
	unsigned rounds; /* that were asked for */
};

/* => t->rounds < TALLY_ROUNDS */
void tally_add(struct tally *t, const struct figures *f);
/* The median of each figure over the rounds that have it, else NAN. */
void tally_medians(const struct tally *t, struct figures *f);
/*
 * The engine that others are compared with: the one of that name, or the
 * first, of those that have run. NULL: none has.
 */
const struct tally *table_base(const struct table *table, const char *name);
/* of / base for each figure; NAN where that has no meaning. */
void table_ratios(const struct figures *of, const struct figures *base,
		  struct figures *ratios);

/* => base is of the table, or NULL. */
void table_print(const struct table *t, const struct tally *base, FILE *out);
void table_json(const struct table *t, const struct tally *base, FILE *out);
void table_csv(const struct table *t, const struct tally *base, FILE *out);

#endif
