/* SPDX-License-Identifier: MIT */
/*
 * canvas.h - a rectangle of character cells, drawn in memory and then written
 * to a terminal. Knows escape sequences; does not know the terminal's state
 * (term.h).
 */
#ifndef VVM_CANVAS_H
#define VVM_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Colours: 0 the terminal's own, else 1 + a number of its 256. */
#define CANVAS_COLOUR(n) ((uint16_t)((n) + 1))

enum { CANVAS_BOLD = 1, CANVAS_DIM = 2, CANVAS_REVERSE = 4 };

struct paint {
	uint16_t fg, bg;
	uint16_t attributes; /* CANVAS_BOLD, ... */
};

struct cell {
	uint32_t character; /* Unicode; 0 is a space */
	struct paint paint;
};

struct canvas {
	unsigned rows, columns;
	bool colour; /* otherwise colours are dropped, attributes kept */
	bool plain;  /* drop attributes, too */
	bool utf8;   /* otherwise only ASCII may be drawn */
	struct cell *cell;
	struct cell *shown; /* what canvas_flush() last wrote */
	bool repaint;	    /* the terminal shows something else */
};

/* Rows [first, first + rows) of a canvas. */
struct area {
	struct canvas *canvas;
	unsigned first, rows;
};

extern const struct paint PAINT_PLAIN, PAINT_HEAD, PAINT_DIM, PAINT_WARN,
	PAINT_BAD, PAINT_BAR;

/* Makes it that large and empty; the next flush paints all. -ENOMEM. */
int canvas_resize(struct canvas *c, unsigned rows, unsigned columns);
void canvas_free(struct canvas *c);
void canvas_clear(struct canvas *c);
/* Draws outside of the canvas are cut off. */
void canvas_set(struct canvas *c, unsigned row, unsigned column,
		uint32_t character, struct paint paint);
/* Prints text (ASCII); returns the column behind it. */
unsigned canvas_text(struct canvas *c, unsigned row, unsigned column,
		     struct paint paint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Writes what changed since the last flush, with absolute positions. */
void canvas_flush(struct canvas *c, FILE *out);
/*
 * Writes the rows as lines, without positions or trailing space, and without
 * the empty ones at the end; `end` ends a line.
 */
void canvas_print(const struct canvas *c, FILE *out, const char *end);

/*
 * Draws values[0..n) as bars of one row, the newest at the right, scaled to
 * the largest (at least `least`).
 */
void canvas_sparkline(struct canvas *c, unsigned row, unsigned column,
		      unsigned width, const double *values, unsigned n,
		      double least, struct paint paint);
/* A bar `filled` (0 to 1) of the width. */
void canvas_bar(struct canvas *c, unsigned row, unsigned column, unsigned width,
		double filled, struct paint paint);

#endif
