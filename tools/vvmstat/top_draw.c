/* SPDX-License-Identifier: MIT */
/*
 * top_draw.c - lays the full-screen view out: a title, five lines of rates
 * with sparklines, and below them one panel, or two in a tall window.
 *
 * The five lines go from cause to effect: how much memory there is, what was
 * asked of the pager, how long it took, what the disk did for it, and how
 * good the pager's guesses were. They fit 80 columns; a wider window makes
 * the bars and sparklines longer, nothing else moves.
 */
#define _GNU_SOURCE 1
#include "vvmstat/top_draw.h"

#include <limits.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include "vvmstat/draw_map.h"
#include "vvmstat/histogram.h"
#include "vvmstat/regions.h"

#define HEAD_ROWS 7 /* title, five lines, tabs */
/* From here on half is enough for a panel that would fill everything. */
#define TWO_PANELS_ROWS 26
#define MAP_ROWS	5 /* the least that is worth drawing */

static const struct paint title_paint = {0, 0, CANVAS_REVERSE};
static const struct paint spark_paint = {CANVAS_COLOUR(37), 0, 0};

static const char *const panel_names[PANEL_COUNT] = {
	[PANEL_REGIONS] = "r regions",	   [PANEL_MAP] = "m map",
	[PANEL_HISTOGRAM] = "h histogram", [PANEL_HEAT] = "a addresses",
	[PANEL_COUNTERS] = "c counters",
};

/* ------------------------------------------------------------------ */
/* Head									*/

static struct paint style_paint(enum style style)
{
	switch (style) {
	case STYLE_DIM:
		return PAINT_DIM;
	case STYLE_WARN:
		return PAINT_WARN;
	case STYLE_BAD:
		return PAINT_BAD;
	default:
		return PAINT_PLAIN;
	}
}

/* A column's value, by group and name; "name value"; the column behind. */
static unsigned put_value(struct top *top, unsigned row, unsigned at,
			  const char *label, const char *group,
			  const char *name)
{
	const struct column *c = column_by_name(group, name);
	double value = c->value(&top->row, c);
	char text[32];

	view_cell(top->view, c, 5, value, text, sizeof(text));
	at = canvas_text(&top->canvas, row, at, PAINT_DIM, "%s", label);
	return canvas_text(&top->canvas, row, at + 1,
			   style_paint(view_style(c, value)), "%5s%s", text,
			   c->format == COLUMN_PERCENT ? "%" : "");
}

static void put_spark(struct top *top, unsigned row, unsigned at,
		      unsigned width, enum top_series series, double least)
{
	canvas_sparkline(&top->canvas, row, at, width, top->history[series],
			 top->samples, least, spark_paint);
}

static void draw_title(struct top *top)
{
	struct canvas *c = &top->canvas;
	time_t at = (time_t)(top->now.unix_us / 1000000);
	char up[32], clock[32], stall[SAMPLE_STALL_BYTES];
	struct tm tm = {0};
	unsigned i;

	for (i = 0; i < c->columns; i++)
		canvas_set(c, 0, i, 0, title_paint);
	view_uptime(up, sizeof(up), view_uptime_s(&top->now));
	i = canvas_text(c, 0, 1, title_paint,
			"%d %s  up %s  %u space%s  every %g s%s",
			top->target->pid, top->target->command, up,
			top->now.spaces, top->now.spaces == 1 ? "" : "s",
			top->interval_s, top->frozen ? "  FROZEN" : "");
	if (top->now.stall.kind)
		canvas_text(c, 0, i + 2, PAINT_BAD, "stalled %.0f s: %s",
			    sample_stalled_s(&top->now),
			    sample_stall_text(&top->now, stall));
	localtime_r(&at, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	canvas_text(c, 0, c->columns - 9, title_paint, "%s", clock);
}

static void draw_memory(struct top *top, unsigned row)
{
	double budget = (double)top->now.value[VALUE_budget_pages];
	double resident = (double)top->now.counter[VVM_STAT_resident_pages];
	double dirty = (double)top->now.counter[VVM_STAT_dirty_pages];
	unsigned wide = top->canvas.columns - 80 + 13, at;
	/* The cell that it ends in belongs to the clean ones. */
	static const struct paint dirty_paint = {CANVAS_COLOUR(172),
						 CANVAS_COLOUR(37), 0};

	canvas_text(&top->canvas, row, 1, PAINT_HEAD, "memory");
	canvas_text(&top->canvas, row, 9, PAINT_PLAIN, "[");
	canvas_bar(&top->canvas, row, 10, wide, resident / fmax(budget, 1),
		   PAINT_BAR);
	canvas_bar(&top->canvas, row, 10, wide, dirty / fmax(budget, 1),
		   dirty_paint);
	at = canvas_text(&top->canvas, row, 10 + wide, PAINT_PLAIN, "]");
	at = put_value(top, row, at + 1, "res", "memory", "res");
	at = put_value(top, row, at + 1, "of", "memory", "budg");
	if (top->now.value[VALUE_auto_budget])
		at = canvas_text(&top->canvas, row, at + 1, PAINT_DIM,
				 "auto %s", sample_resize_name(&top->now));
	at = put_value(top, row, at + 2, "dirty", "memory", "drty");
	at = put_value(top, row, at + 2, "pin", "memory", "pin");
	put_value(top, row, at + 2, "swap", "memory", "swap");
}

enum { LINE_FIELDS = 5 };

/* A line of the head: a series, and the values of columns. */
struct line {
	const char *head;
	enum top_series series;
	struct {
		const char *label, *group, *name;
	} field[LINE_FIELDS];
};

static const struct line faults_line = {
	"faults/s",
	SERIES_FAULTS,
	{{"all", "faults/s", "all"},
	 {"read", "faults/s", "read"},
	 {"zero", "faults/s", "zero"},
	 {"wp", "faults/s", "wp"},
	 {"soft", "faults/s", "soft"}},
};

static const struct line wait_line = {
	"wait us",
	SERIES_P99,
	{{"p50", "wait us", "p50"},
	 {"p99", "wait us", "p99"},
	 {"p99.9", "wait us", "p99.9"},
	 {"queue", "wait us", "que"},
	 {"stalls", "bad", "stl"}},
};

static const struct line guesses_line = {
	"ram hit",
	SERIES_HIT,
	{{"hit", "ram", "hit"},
	 {"ahead", "ahead", "pg/s"},
	 {"hit", "ahead", "hit"},
	 {"ex/fr", "reclaim", "ex/fr"},
	 {"err", "bad", "err"}},
};

static void draw_line(struct top *top, unsigned row, const struct line *line)
{
	unsigned wide = top->canvas.columns - 80 + 13, at = 10 + wide, i;

	canvas_text(&top->canvas, row, 1, PAINT_HEAD, "%s", line->head);
	put_spark(top, row, 10, wide, line->series, 100);
	for (i = 0; i < LINE_FIELDS; i++)
		at = put_value(top, row, at + 1, line->field[i].label,
			       line->field[i].group, line->field[i].name);
}

static void draw_swap(struct top *top, unsigned row)
{
	unsigned wide = (top->canvas.columns - 80 + 32) / 2, at;

	canvas_text(&top->canvas, row, 1, PAINT_HEAD, "swap/s");
	put_spark(top, row, 10, wide, SERIES_IN, 1 << 20);
	at = put_value(top, row, 11 + wide, "in", "swap/s", "in");
	put_spark(top, row, at + 2, wide, SERIES_OUT, 1 << 20);
	at = put_value(top, row, at + 3 + wide, "out", "swap/s", "out");
	put_value(top, row, at + 2, "avoided", "swap/s", "avd");
}

static void draw_tabs(struct top *top, unsigned row)
{
	unsigned i, at = 1;

	for (i = 0; i < PANEL_COUNT; i++)
		at = canvas_text(&top->canvas, row, at,
				 i == top->panel ? title_paint : PAINT_DIM,
				 " %s ", panel_names[i]);
	canvas_text(&top->canvas, row, top->canvas.columns - 16, PAINT_DIM,
		    "? help  q quit");
}

/* ------------------------------------------------------------------ */
/* Panels								*/

static void draw_counters(struct top *top, const struct area *a)
{
	unsigned i, row, width = 80;

	for (i = top->scroll; i < VVM_STAT_COUNTER_COUNT; i++) {
		unsigned at = (i - top->scroll) / a->rows * width;
		double rate = top->row.seconds > 0
				      ? (double)top->delta.counter[i] /
						top->row.seconds
				      : 0;

		row = a->first + (i - top->scroll) % a->rows;
		if (sample_counter_is_gauge(i))
			canvas_text(a->canvas, row, at, PAINT_PLAIN,
				    "%15lld %10s %-25s %.27s",
				    (long long)top->now.counter[i], "",
				    sample_counter_name(i),
				    sample_counter_help(i));
		else
			canvas_text(a->canvas, row, at,
				    rate > 0 ? PAINT_PLAIN : PAINT_DIM,
				    "%15lld %8.0f/s %-25s %.27s",
				    (long long)top->now.counter[i], rate,
				    sample_counter_name(i),
				    sample_counter_help(i));
	}
}

static void draw_panel(struct top *top, const struct area *a)
{
	double seconds = top->row.seconds;

	switch (top->panel) {
	case PANEL_REGIONS:
		draw_regions(a, &top->layout, &top->old_layout, seconds,
			     top->scroll);
		break;
	case PANEL_MAP:
		draw_map(a, &top->layout, NULL);
		break;
	case PANEL_HEAT:
		draw_heat(a, &top->layout, &top->old_layout, seconds,
			  top->scroll);
		break;
	case PANEL_COUNTERS:
		draw_counters(top, a);
		break;
	default:
		draw_histograms(a, &top->delta);
	}
}

/* How many rows the panel can use. */
static unsigned panel_rows(const struct top *top)
{
	switch (top->panel) {
	case PANEL_REGIONS:
		return (unsigned)top->layout.regions + 1;
	case PANEL_HISTOGRAM:
		return draw_histogram_rows(&top->delta);
	default:
		return UINT_MAX;
	}
}

/* The panel, and where there is room the map below it. */
static void draw_panels(struct top *top, struct area a)
{
	unsigned rows = a.rows, wanted = panel_rows(top);

	if (wanted > rows && rows >= TWO_PANELS_ROWS)
		wanted = rows / 2;
	if (top->panel == PANEL_MAP || wanted > rows ||
	    rows - wanted < 1 + MAP_ROWS) {
		draw_panel(top, &a);
		return;
	}
	a.rows = wanted;
	draw_panel(top, &a);
	a.first += wanted + 1;
	a.rows = rows - wanted - 1;
	draw_map(&a, &top->layout, NULL);
}

static void draw_help(const struct area *a)
{
	static const char *const lines[] = {
		"r        regions: size, resident, dirty, swapped, faults",
		"m        a map of all pages",
		"h        latency histograms by stage",
		"a        the addresses that fault most",
		"c        all counters, total and per second",
		"Tab      the next panel",
		"arrows   scroll the panel (also PgUp, PgDn, Home)",
		"+ -      a longer or shorter interval",
		"Space    freeze; again to go on",
		"?        this text; any key closes it",
		"q        quit (also Esc and Ctrl-C)",
	};
	unsigned i;

	for (i = 0; i < sizeof(lines) / sizeof(*lines) && i < a->rows; i++)
		canvas_text(a->canvas, a->first + i, 2, PAINT_PLAIN, "%s",
			    lines[i]);
}

void top_draw(struct top *top)
{
	struct canvas *c = &top->canvas;
	struct area a = {.canvas = c, .first = HEAD_ROWS};

	canvas_clear(c);
	if (c->columns < 80 || c->rows < HEAD_ROWS + 3) {
		canvas_text(c, 0, 0, PAINT_BAD, "window too small (80x10)");
		return;
	}
	a.rows = c->rows - HEAD_ROWS;
	draw_title(top);
	draw_memory(top, 1);
	draw_line(top, 2, &faults_line);
	draw_line(top, 3, &wait_line);
	draw_swap(top, 4);
	draw_line(top, 5, &guesses_line);
	draw_tabs(top, 6);
	if (top->help)
		draw_help(&a);
	else
		draw_panels(top, a);
}
