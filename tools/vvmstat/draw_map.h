/* SPDX-License-Identifier: MIT */
/* draw_map.h - a map on a terminal, as letters, and as a picture. */
#ifndef VVM_DRAW_MAP_H
#define VVM_DRAW_MAP_H

#include "screen/canvas.h"
#include "screen/picture.h"
#include "vvmstat/map.h"

/* Columns of a line that are no cells: the address. */
#define MAP_LABEL_WIDTH 13

/* The states of a line as letters, as the legend without colour has them. */
void map_letters(const struct map *m, unsigned line, char *text);

/* Draws it as wide and high as the area, with a legend below. */
void draw_map(const struct area *a, const struct layout *l, const char *wanted);
/* The same as a picture; the caller frees it. 0, -ENOENT, -ENOMEM. */
int map_picture(struct picture *p, const struct layout *l, const char *wanted,
		const char *title);

#endif
