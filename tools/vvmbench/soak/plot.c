/* SPDX-License-Identifier: MIT */
/*
 * plot.c - the series of `vvmbench soak`, as text and as a picture.
 *
 * Each is drawn from its own least value, to a height of what it may change by
 * or of its own range, whichever is larger: a harmless wiggle looks small and
 * what is too much fills the height.
 */
#include "vvmbench/soak/plot.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "screen/canvas.h"
#include "screen/picture.h"
#include "screen/term.h"

enum { TEXT_COLUMNS = 110, SPARK_AT = 18, SPARK_WIDTH = 44 };

/* ------------------------------------------------------------------ */
/* Text								*/

static void draw_series(struct canvas *c, unsigned row, const struct series *s,
			enum series_id id, const struct series_verdict *v)
{
	double height[DRIFT_SAMPLES_MAX], low = INFINITY;
	char first[16], last[16], change[16], allowed[16];
	unsigned i, at = SPARK_AT + SPARK_WIDTH + 1;

	for (i = 0; i < s->count; i++)
		low = fmin(low, s->value[id][i]);
	for (i = 0; i < s->count; i++)
		height[i] = s->value[id][i] - low;
	canvas_text(c, row, 0, v->drifts ? PAINT_BAD : PAINT_PLAIN, "%s",
		    series_name(id));
	canvas_sparkline(c, row, SPARK_AT, SPARK_WIDTH, height, s->count,
			 fmax(v->allowed, 1e-9), PAINT_BAR);
	at = canvas_text(c, row, at, PAINT_PLAIN, "%9s > %-9s",
			 series_text(first, id, v->first),
			 series_text(last, id, v->last));
	if (v->known)
		canvas_text(c, row, at + 1, v->drifts ? PAINT_BAD : PAINT_DIM,
			    "%8s of %s%s",
			    series_text(change, id, v->drift.change),
			    series_text(allowed, id, v->allowed),
			    v->drifts ? "  DRIFTS" : "");
}

void plot_text(FILE *out, const struct series *s,
	       const struct series_verdict *verdicts)
{
	bool terminal = isatty(fileno(out));
	struct canvas c = {
		.colour = terminal, .plain = !terminal, .utf8 = term_utf8()};
	unsigned i;

	if (canvas_resize(&c, SERIES_COUNT + 1, TEXT_COLUMNS))
		return;
	canvas_text(&c, 0, 0, PAINT_HEAD, "%-*s%*s   %-9s %8s", SPARK_AT,
		    "series", SPARK_WIDTH + 10, "from", "to", "change");
	for (i = 0; i < SERIES_COUNT; i++)
		draw_series(&c, i + 1, s, (enum series_id)i, &verdicts[i]);
	canvas_print(&c, out, "\n");
	canvas_free(&c);
}

/* ------------------------------------------------------------------ */
/* The picture								*/

enum { PANEL_WIDTH = 520, PANEL_HEIGHT = 120, COLUMNS = 2, EDGE = 8 };
enum { PLOT_TOP = 24, PLOT_HEIGHT = PANEL_HEIGHT - PLOT_TOP - EDGE };
enum { PLOT_WIDTH = PANEL_WIDTH - 2 * EDGE };
enum { PAPER, INK, PALE, GRID, LINE, BAD };

static const uint32_t palette[PICTURE_COLOURS] = {
	[PAPER] = 0xffffff, [INK] = 0x202020,  [PALE] = 0xb0b0b0,
	[GRID] = 0xe8e8e8,  [LINE] = 0x0087af, [BAD] = 0xc01c28,
};

/* Where things are in one panel, and how values become rows. */
struct panel {
	struct picture *picture;
	unsigned left, top;
	double low, range, start_s, span_s;
};

static unsigned column_of(const struct panel *p, double at_s)
{
	double share = p->span_s > 0 ? (at_s - p->start_s) / p->span_s : 0;

	return p->left + (unsigned)(share * (PLOT_WIDTH - 1));
}

static unsigned row_of(const struct panel *p, double value)
{
	double share = (value - p->low) / p->range;

	return p->top + (unsigned)((1 - share) * (PLOT_HEIGHT - 2));
}

/* From one sample to the next, in steps of a column. */
static void draw_step(const struct panel *p, unsigned x0, unsigned y0,
		      unsigned x1, unsigned y1, uint8_t colour)
{
	unsigned x, n = x1 > x0 ? x1 - x0 : 1, last = y0;

	for (x = 0; x <= n; x++) {
		unsigned y = (unsigned)((int)y0 +
					((int)y1 - (int)y0) * (int)x / (int)n);
		unsigned up = y < last ? y : last;
		unsigned tall = (y < last ? last - y : y - last) + 2;

		picture_rectangle(p->picture, x0 + x, up, 2, tall, colour);
		last = y;
	}
}

static void draw_line(const struct panel *p, const struct series *s,
		      enum series_id id, bool drifts, double from_s)
{
	unsigned i;

	for (i = 1; i < s->count; i++) {
		uint8_t colour = s->at_s[i] < from_s ? PALE
				 : drifts	     ? BAD
						     : LINE;

		draw_step(p, column_of(p, s->at_s[i - 1]),
			  row_of(p, s->value[id][i - 1]),
			  column_of(p, s->at_s[i]), row_of(p, s->value[id][i]),
			  colour);
	}
}

static void scale(struct panel *p, const struct series *s, enum series_id id,
		  double allowed)
{
	double high = -INFINITY;
	unsigned i;

	p->low = INFINITY;
	for (i = 0; i < s->count; i++) {
		p->low = fmin(p->low, s->value[id][i]);
		high = fmax(high, s->value[id][i]);
	}
	p->range = fmax(fmax(high - p->low, allowed), 1e-9);
	p->start_s = s->count ? s->at_s[0] : 0;
	p->span_s = s->count ? s->at_s[s->count - 1] - p->start_s : 0;
}

static void draw_panel(struct picture *picture, unsigned number,
		       const struct series *s, const struct series_verdict *v,
		       double from_s)
{
	enum series_id id = (enum series_id)number;
	struct panel p = {
		.picture = picture,
		.left = number % COLUMNS * PANEL_WIDTH + EDGE,
		.top = number / COLUMNS * PANEL_HEIGHT + PLOT_TOP,
	};
	char title[120], first[16], last[16];

	scale(&p, s, id, v->allowed);
	snprintf(title, sizeof(title), "%s: %s > %s%s", series_name(id),
		 series_text(first, id, v->first),
		 series_text(last, id, v->last), v->drifts ? "  DRIFTS" : "");
	picture_text(picture, p.left, p.top - 14, v->drifts ? BAD : INK, title);
	picture_rectangle(picture, p.left, p.top, PLOT_WIDTH, PLOT_HEIGHT,
			  GRID);
	draw_line(&p, s, id, v->drifts, from_s);
}

int plot_png(const char *path, const struct series *s,
	     const struct series_verdict *verdicts, double from_s)
{
	unsigned i, rows = (SERIES_COUNT + COLUMNS - 1) / COLUMNS;
	struct picture picture;
	int error = picture_new(&picture, COLUMNS * PANEL_WIDTH,
				rows * PANEL_HEIGHT, palette);

	if (error)
		return error;
	for (i = 0; i < SERIES_COUNT; i++)
		draw_panel(&picture, i, s, &verdicts[i], from_s);
	error = picture_save(&picture, path);
	picture_free(&picture);
	return error;
}
