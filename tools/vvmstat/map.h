/* SPDX-License-Identifier: MIT */
/*
 * map.h - a picture of regions: one cell to so many pages. Pure.
 */
#ifndef VVM_MAP_H
#define VVM_MAP_H

#include "vvmstat/layout.h"

struct map_line {
	const struct layout_region *region;
	uint64_t extent; /* where the part of it begins that is shown */
	uint64_t from;	 /* address of its first cell */
	unsigned cells;
};

struct map {
	unsigned columns; /* cells of a whole line */
	uint64_t cell_pages;
	unsigned lines, extents;
	unsigned left_out; /* extents that found no room */
	struct map_line *line;
	uint8_t *state;		       /* lines * columns, enum layout_state */
	uint64_t pages[LAYOUT_STATES]; /* of all wanted regions */
};

/*
 * Maps the regions that `wanted` names (NULL or "": all; else a name, or an
 * address in hexadecimal) on at most so many lines. => columns, lines > 0.
 * 0, -ENOENT: there is no such region, or nothing of it was touched, -ENOMEM.
 */
int map_make(struct map *m, const struct layout *l, const char *wanted,
	     unsigned columns, unsigned lines);
void map_free(struct map *m);

#endif
