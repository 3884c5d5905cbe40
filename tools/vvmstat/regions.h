/* SPDX-License-Identifier: MIT */
/*
 * regions.h - tables of regions and of the addresses that fault most.
 */
#ifndef VVM_REGIONS_H
#define VVM_REGIONS_H

#include "screen/canvas.h"
#include "vvmstat/layout.h"

/* Faults per second, by kind. */
struct region_rate {
	double faults, swapin, zero, wp;
};

void region_rates(struct region_rate *rate, const struct layout_region *r,
		  const struct layout *old, double seconds);
/* "norm", "rand" or "seq". */
const char *region_advice(const struct layout_region *r);
/* "rwx", "r--". */
void region_prot(const struct layout_region *r, char text[4]);

struct heat {
	const struct layout_block *block;
	uint64_t faults; /* since the older layout */
};

/*
 * The blocks that faulted since, most first, and the sum of their faults.
 * The caller frees the result; NULL (and *n 0): out of memory.
 */
struct heat *heat_rank(const struct layout *now, const struct layout *old,
		       size_t *n, uint64_t *total);

/* The region that a block, or its end, lies in; or NULL. */
const struct layout_region *heat_region(const struct layout *l,
					const struct layout_block *b);

/* Tables with a header; `skip` rows are scrolled away. */
void draw_regions(const struct area *a, const struct layout *now,
		  const struct layout *old, double seconds, size_t skip);
void draw_heat(const struct area *a, const struct layout *now,
	       const struct layout *old, double seconds, size_t skip);

#endif
