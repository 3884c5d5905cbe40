/* SPDX-License-Identifier: MIT */
/*
 * draw.h - views that are printed as well as shown full screen: each draws
 * into some rows of a canvas.
 */
#ifndef VVM_DRAW_H
#define VVM_DRAW_H

#include "screen/canvas.h"
#include "common/sample.h"

/* Rows [first, first + rows) of a canvas. */
struct area {
	struct canvas *canvas;
	unsigned first, rows;
};

extern const struct paint PAINT_PLAIN, PAINT_HEAD, PAINT_DIM, PAINT_WARN,
	PAINT_BAD, PAINT_BAR;

/*
 * How many rows the histograms of a delta need, with their header. Drawing
 * into fewer leaves out the shortest times.
 */
unsigned draw_histogram_rows(const struct sample *delta);
void draw_histograms(const struct area *a, const struct sample *delta);

#endif
