/* SPDX-License-Identifier: MIT */
/*
 * canvas.c - character cells, and how they get on a terminal.
 *
 * Everything is drawn into memory first; a flush compares the cells with
 * those that it wrote last and sends the runs that differ. So a view draws
 * the whole screen each time, without thinking about what was there before,
 * and a quiet process costs a slow line some bytes a second.
 *
 * Rejected: ncurses. It would save this file, but needs terminfo and a
 * library, its endwin() may not be called from a signal handler, so that a
 * terminal cannot be restored from a crash, and its colour pairs are a poor
 * fit for a map with a dozen colours. Every terminal of this century
 * understands the six sequences that are used here.
 *
 * Without UTF-8 bars and sparklines are made of ASCII; without colour the
 * attributes (bold, dim, reverse) stay, and maps have a letter for each
 * state, so nothing is told by colour alone.
 */
#include "screen/canvas.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct paint PAINT_PLAIN, PAINT_HEAD = {0, 0, CANVAS_BOLD},
				PAINT_DIM = {0, 0, CANVAS_DIM},
				PAINT_WARN = {CANVAS_COLOUR(3), 0, 0},
				PAINT_BAD = {CANVAS_COLOUR(9), 0, CANVAS_BOLD},
				PAINT_BAR = {CANVAS_COLOUR(37), 0, 0};

int canvas_resize(struct canvas *c, unsigned rows, unsigned columns)
{
	size_t n = (size_t)rows * columns;

	canvas_free(c);
	c->cell = calloc(n, sizeof(*c->cell));
	c->shown = calloc(n, sizeof(*c->shown));
	if (!c->cell || !c->shown) {
		canvas_free(c);
		return -ENOMEM;
	}
	c->rows = rows;
	c->columns = columns;
	c->repaint = true;
	return 0;
}

void canvas_free(struct canvas *c)
{
	free(c->cell);
	free(c->shown);
	c->cell = c->shown = NULL;
	c->rows = c->columns = 0;
}

void canvas_clear(struct canvas *c)
{
	memset(c->cell, 0, (size_t)c->rows * c->columns * sizeof(*c->cell));
}

void canvas_set(struct canvas *c, unsigned row, unsigned column,
		uint32_t character, struct paint paint)
{
	struct cell *cell;

	if (row >= c->rows || column >= c->columns)
		return;
	cell = &c->cell[(size_t)row * c->columns + column];
	cell->character = character == ' ' ? 0 : character;
	cell->paint = paint;
	if (!c->colour)
		cell->paint.fg = cell->paint.bg = 0;
	if (c->plain)
		cell->paint.attributes = 0;
}

unsigned canvas_text(struct canvas *c, unsigned row, unsigned column,
		     struct paint paint, const char *fmt, ...)
{
	char text[512];
	const char *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (p = text; *p; p++)
		canvas_set(c, row, column++, (unsigned char)*p, paint);
	return column;
}

/* ------------------------------------------------------------------ */
/* Bars									*/

void canvas_sparkline(struct canvas *c, unsigned row, unsigned column,
		      unsigned width, const double *values, unsigned n,
		      double least, struct paint paint)
{
	static const char ascii[] = " .:-=+*#%";
	double most = least;
	unsigned i;

	for (i = n > width ? n - width : 0; i < n; i++)
		most = fmax(most, values[i]); /* ignores NAN */
	for (i = 0; i < width && i < n; i++) {
		double value = values[n - 1 - i];
		unsigned level = isfinite(value) && value > 0 && most > 0
					 ? (unsigned)ceil(value / most * 8)
					 : 0;

		canvas_set(c, row, column + width - 1 - i,
			   c->utf8 && level ? 0x2580 + level
					    : (uint32_t)ascii[level],
			   paint);
	}
}

void canvas_bar(struct canvas *c, unsigned row, unsigned column, unsigned width,
		double filled, struct paint paint)
{
	double eighths =
		isfinite(filled) ? fmin(fmax(filled, 0), 1) * width * 8 : 0;
	unsigned n = (unsigned)lround(eighths), i;

	for (i = 0; i < width && n > 0; i++, n -= n < 8 ? n : 8) {
		if (c->utf8)
			canvas_set(c, row, column + i,
				   n >= 8 ? 0x2588 : 0x2590 - n, paint);
		else if (n >= 4)
			canvas_set(c, row, column + i, '#', paint);
	}
}

/* ------------------------------------------------------------------ */
/* Writing								*/

static void put_character(FILE *out, uint32_t c)
{
	if (c == 0)
		fputc(' ', out);
	else if (c < 0x80)
		fputc((int)c, out);
	else if (c < 0x800)
		fprintf(out, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
	else
		fprintf(out, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f),
			0x80 | (c & 0x3f));
}

/* Switches from any paint to this one. */
static void put_paint(FILE *out, struct paint p)
{
	fputs("\033[0", out);
	if (p.attributes & CANVAS_BOLD)
		fputs(";1", out);
	if (p.attributes & CANVAS_DIM)
		fputs(";2", out);
	if (p.attributes & CANVAS_REVERSE)
		fputs(";7", out);
	if (p.fg)
		fprintf(out, ";38;5;%u", p.fg - 1u);
	if (p.bg)
		fprintf(out, ";48;5;%u", p.bg - 1u);
	fputc('m', out);
}

static bool same_paint(struct paint a, struct paint b)
{
	return a.fg == b.fg && a.bg == b.bg && a.attributes == b.attributes;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
	return a->character == b->character && same_paint(a->paint, b->paint);
}

static void flush_row(struct canvas *c, unsigned row, struct paint *now,
		      FILE *out)
{
	const struct cell *cell = &c->cell[(size_t)row * c->columns];
	const struct cell *shown = &c->shown[(size_t)row * c->columns];
	bool there = false; /* is the cursor at this column? */
	unsigned i;

	for (i = 0; i < c->columns; i++) {
		if (same_cell(&cell[i], &shown[i]) && !c->repaint) {
			there = false;
			continue;
		}
		if (!there)
			fprintf(out, "\033[%u;%uH", row + 1, i + 1);
		there = true;
		if (!same_paint(cell[i].paint, *now))
			put_paint(out, cell[i].paint);
		*now = cell[i].paint;
		put_character(out, cell[i].character);
	}
}

void canvas_flush(struct canvas *c, FILE *out)
{
	struct paint now = {0, 0, 0};
	unsigned row;

	fputs(c->repaint ? "\033[0m\033[2J" : "\033[0m", out);
	for (row = 0; row < c->rows; row++)
		flush_row(c, row, &now, out);
	fputs("\033[0m", out);
	memcpy(c->shown, c->cell,
	       (size_t)c->rows * c->columns * sizeof(*c->cell));
	c->repaint = false;
	fflush(out);
}

/* Cells of a row up to the last that is not blank. */
static unsigned row_length(const struct canvas *c, unsigned row)
{
	static const struct cell blank;
	const struct cell *cell = &c->cell[(size_t)row * c->columns];
	unsigned n = c->columns;

	while (n > 0 && same_cell(&cell[n - 1], &blank))
		n--;
	return n;
}

static void print_row(const struct canvas *c, unsigned row, FILE *out)
{
	const struct cell *cell = &c->cell[(size_t)row * c->columns];
	struct paint now = {0, 0, 0};
	unsigned i, n = row_length(c, row);

	for (i = 0; i < n; i++) {
		if (!same_paint(cell[i].paint, now))
			put_paint(out, cell[i].paint);
		now = cell[i].paint;
		put_character(out, cell[i].character);
	}
	if (!same_paint(now, (struct paint){0, 0, 0}))
		fputs("\033[0m", out);
}

void canvas_print(const struct canvas *c, FILE *out, const char *end)
{
	unsigned row, rows = c->rows;

	while (rows > 0 && row_length(c, rows - 1) == 0)
		rows--;
	for (row = 0; row < rows; row++) {
		print_row(c, row, out);
		fputs(end, out);
	}
}
