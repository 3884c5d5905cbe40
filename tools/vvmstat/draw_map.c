/* SPDX-License-Identifier: MIT */
/*
 * draw_map.c - a map on a terminal, and as a picture.
 *
 * Colours are chosen to be told apart by people who do not see red from
 * green, and so that brightness means activity: what is not in RAM is dark
 * (fresh pages, swapped ones), cold pages are dull, hot ones bright, dirty
 * ones orange; what needs attention (pinned, poisoned) is violet and red.
 * Without colours each state has a letter.
 */
#include "vvmstat/draw_map.h"

#include <errno.h>
#include <string.h>
#include "vvmstat/view.h"

static const struct {
	char letter;
	uint8_t colour; /* of the terminal's 256 */
	uint32_t rgb;
} looks[LAYOUT_STATES] = {
	[LAYOUT_ABSENT] = {' ', 0, 0x101014},
	[LAYOUT_FRESH] = {'.', 236, 0x303038},
	[LAYOUT_SWAPPED] = {'-', 24, 0x1d3a5f},
	[LAYOUT_COLD] = {'c', 66, 0x5f8787},
	[LAYOUT_HOT] = {'h', 80, 0x5fd7d7},
	[LAYOUT_DIRTY] = {'d', 214, 0xffaf00},
	[LAYOUT_MOVING] = {'m', 255, 0xeeeeee},
	[LAYOUT_PINNED] = {'P', 134, 0xaf5fd7},
	[LAYOUT_POISONED] = {'X', 196, 0xff2020},
};

/* ------------------------------------------------------------------ */
/* On a terminal							*/

static void draw_cell(struct canvas *c, unsigned row, unsigned column,
		      enum layout_state state)
{
	struct paint paint = {0, CANVAS_COLOUR(looks[state].colour), 0};

	if (c->colour)
		canvas_set(c, row, column, 0, paint);
	else
		canvas_set(c, row, column, (unsigned char)looks[state].letter,
			   PAINT_PLAIN);
}

static void draw_legend(const struct area *a, const struct map *m)
{
	unsigned row = a->first + m->lines, at = 0, i;
	char text[32];

	view_bytes(text, sizeof(text), 5,
		   (double)m->cell_pages * VVM_STAT_PAGE_BYTES);
	at = canvas_text(a->canvas, row, at, PAINT_DIM, "1 cell %s  ", text);
	if (m->left_out)
		at = canvas_text(a->canvas, row, at, PAINT_WARN,
				 "%u small parts not shown  ", m->left_out);
	for (i = LAYOUT_FRESH; i < LAYOUT_STATES; i++) {
		if (!m->pages[i])
			continue; /* there are none to see */
		draw_cell(a->canvas, row, at, i);
		view_bytes(text, sizeof(text), 4,
			   (double)m->pages[i] * VVM_STAT_PAGE_BYTES);
		at = canvas_text(a->canvas, row, at + 1, PAINT_PLAIN, " %s %s ",
				 layout_state_name(i), text);
	}
}

void draw_map(const struct area *a, const struct layout *l, const char *wanted)
{
	unsigned columns = a->canvas->columns - MAP_LABEL_WIDTH, i, k;
	struct map m;

	if (a->rows < 2 || map_make(&m, l, wanted, columns, a->rows - 1)) {
		canvas_text(a->canvas, a->first, 0, PAINT_DIM,
			    "no such region, or nothing of it was touched");
		return;
	}
	for (i = 0; i < m.lines; i++) {
		canvas_text(a->canvas, a->first + i, 0, PAINT_DIM, "%012llx",
			    (unsigned long long)m.line[i].from);
		for (k = 0; k < m.line[i].cells; k++)
			draw_cell(a->canvas, a->first + i, MAP_LABEL_WIDTH + k,
				  m.state[i * columns + k]);
	}
	draw_legend(a, &m);
	map_free(&m);
}

void map_letters(const struct map *m, unsigned line, char *text)
{
	unsigned i;

	for (i = 0; i < m->line[line].cells; i++)
		text[i] = looks[m->state[line * m->columns + i]].letter;
	text[i] = '\0';
}

/* ------------------------------------------------------------------ */
/* As a picture								*/

#define PICTURE_COLUMNS 256
#define PICTURE_LINES	176
#define PICTURE_WIDTH	(LEFT + PICTURE_COLUMNS * CELL + MARGIN)
#define CELL		4 /* pixels */
#define MARGIN		8
#define LEFT		(MARGIN + 13 * 8) /* twelve digits and a space */
#define TEXT_LINE	16
#define WHITE		(PICTURE_COLOURS - 1)

static void picture_legend(struct picture *p, unsigned y, const struct map *m)
{
	unsigned x = LEFT, i;
	char text[64], bytes[32];

	for (i = LAYOUT_FRESH; i < LAYOUT_STATES; i++) {
		picture_rectangle(p, x, y, 10, 10, (uint8_t)i);
		view_bytes(bytes, sizeof(bytes), 5,
			   (double)m->pages[i] * VVM_STAT_PAGE_BYTES);
		snprintf(text, sizeof(text), "%s %s", layout_state_name(i),
			 bytes);
		x = picture_text(p, x + 14, y, WHITE, text) + 12;
	}
}

static void picture_line(struct picture *p, unsigned y, const struct map *m,
			 unsigned line)
{
	const struct map_line *l = &m->line[line];
	char text[16];
	unsigned i;

	/* A label on each tenth line of an extent: there is room for those. */
	if ((l->from - l->extent) /
		    (m->cell_pages * VVM_STAT_PAGE_BYTES * m->columns) % 10 ==
	    0) {
		snprintf(text, sizeof(text), "%012llx",
			 (unsigned long long)l->from);
		picture_text(p, MARGIN, y, WHITE, text);
	}
	for (i = 0; i < l->cells; i++)
		picture_rectangle(p, LEFT + i * CELL, y, CELL, CELL,
				  m->state[line * m->columns + i]);
}

/* A gap above each extent but the first, so that labels do not overlap. */
static unsigned line_y(const struct map *m, unsigned line, unsigned y)
{
	if (line > 0 && m->line[line].extent != m->line[line - 1].extent)
		return y + CELL + TEXT_LINE;
	return line > 0 ? y + CELL : y;
}

int map_picture(struct picture *p, const struct layout *l, const char *wanted,
		const char *title)
{
	static uint32_t palette[PICTURE_COLOURS] = {[WHITE] = 0xd8d8d8};
	unsigned i, y = MARGIN + 2 * TEXT_LINE;
	struct map m;
	int error = map_make(&m, l, wanted, PICTURE_COLUMNS, PICTURE_LINES);

	if (error)
		return error;
	for (i = 0; i < LAYOUT_STATES; i++)
		palette[i] = looks[i].rgb;
	error = picture_new(p, PICTURE_WIDTH,
			    y + m.lines * CELL + m.extents * TEXT_LINE + MARGIN,
			    palette);
	if (!error) {
		picture_text(p, MARGIN, MARGIN, WHITE, title);
		picture_legend(p, MARGIN + TEXT_LINE, &m);
		for (i = 0; i < m.lines; i++) {
			y = line_y(&m, i, y);
			picture_line(p, y, &m, i);
		}
	}
	map_free(&m);
	return error;
}
