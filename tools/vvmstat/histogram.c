/* SPDX-License-Identifier: MIT */
/*
 * histogram.c - where the time of faults goes: one histogram for each stage
 * of a fault and one for all of it, side by side.
 *
 * A line is a power of two of time. Each histogram has a number and a bar,
 * scaled to the largest of its own lines, so that the shape of a stage shows
 * even when few faults go through it. Empty lines above the shortest and
 * below the longest time are left out, those between are not: a gap between
 * two humps is the most telling thing on the page.
 */
#include "vvmstat/histogram.h"

#include <math.h>
#include <string.h>

#define LINES	    VVM_STAT_STAGE_BUCKETS
#define LABEL_WIDTH 7 /* "512 ns " */
#define COUNT_WIDTH 6
#define COLUMNS	    (VVM_STAT_STAGE_COUNT + 1)

struct histogram {
	const char *name;
	double line[LINES];
	double sum, most;
};

struct histograms {
	struct histogram column[COLUMNS];
	unsigned first, end; /* lines that hold something; none: both 0 */
};

static void add(struct histogram *h, unsigned line, uint64_t n)
{
	h->line[line] += (double)n;
	h->sum += (double)n;
	h->most = fmax(h->most, h->line[line]);
}

/* The latency's eight buckets to a power of two become one. */
static void take_total(struct histogram *h, const struct sample *delta)
{
	unsigned i;

	h->name = "total";
	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		add(h, vvm_stat_stage_bucket(vvm_stat_bucket_ns(i)),
		    delta->latency[i]);
}

static void take_stage(struct histogram *h, const struct sample *delta,
		       unsigned stage)
{
	unsigned i;

	h->name = sample_stage_name(stage);
	for (i = 0; i < VVM_STAT_STAGE_BUCKETS; i++)
		add(h, i, delta->stage[stage][i]);
}

static void take_histograms(struct histograms *all, const struct sample *delta)
{
	unsigned i, k;

	memset(all, 0, sizeof(*all));
	for (i = 0; i < VVM_STAT_STAGE_COUNT; i++)
		take_stage(&all->column[i], delta, i);
	take_total(&all->column[i], delta);
	for (i = 0; i < LINES; i++)
		for (k = 0; k < COLUMNS; k++)
			if (all->column[k].line[i] > 0)
				all->end = i + 1;
	for (i = all->end; i-- > 0;)
		for (k = 0; k < COLUMNS; k++)
			if (all->column[k].line[i] > 0)
				all->first = i;
}

unsigned draw_histogram_rows(const struct sample *delta)
{
	struct histograms all;

	take_histograms(&all, delta);
	return 1 + (all.end > all.first ? all.end - all.first : 1);
}

/* The lower bound of a line: "1 us", "512 ns", "134 ms". */
static void draw_label(const struct area *a, unsigned row, unsigned line)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	uint64_t bound = line ? (uint64_t)1 << line : 0;
	unsigned unit = 0;

	for (; bound >= 1000 && unit < 3; unit++)
		bound /= 1000;
	canvas_text(a->canvas, row, 0, PAINT_DIM, "%3u %s", (unsigned)bound,
		    units[unit]);
}

static void draw_line(const struct area *a, unsigned row, unsigned column,
		      unsigned width, const struct histogram *h, unsigned line)
{
	double n = h->line[line];
	char text[32];

	if (n <= 0)
		return;
	snprintf(text, sizeof(text), n < 1e5 ? "%.0f" : "%.3g", n);
	canvas_text(a->canvas, row, column, PAINT_PLAIN, "%*s", COUNT_WIDTH,
		    text);
	if (width > COUNT_WIDTH + 2)
		canvas_bar(a->canvas, row, column + COUNT_WIDTH + 1,
			   width - COUNT_WIDTH - 2,
			   fmax(n / h->most, 0.125 / (width - COUNT_WIDTH - 2)),
			   PAINT_BAR);
}

static void draw_column(const struct area *a, unsigned column, unsigned width,
			const struct histograms *all, const struct histogram *h)
{
	unsigned end = all->end, first = all->first, line;

	canvas_text(a->canvas, a->first, column, PAINT_HEAD, "%*s", COUNT_WIDTH,
		    h->name);
	if (end - first + 1 > a->rows)
		first = end - a->rows + 1;
	for (line = first; line < end; line++)
		draw_line(a, a->first + 1 + line - first, column, width, h,
			  line);
}

void draw_histograms(const struct area *a, const struct sample *delta)
{
	unsigned width = (a->canvas->columns - LABEL_WIDTH) / COLUMNS;
	struct histograms all;
	unsigned i, first;

	take_histograms(&all, delta);
	if (a->rows < 2 || all.end == all.first) {
		canvas_text(a->canvas, a->first, 0, PAINT_DIM,
			    "no faults in this interval");
		return;
	}
	first = all.end - all.first + 1 > a->rows ? all.end - a->rows + 1
						  : all.first;
	canvas_text(a->canvas, a->first, 0, PAINT_HEAD, "  from");
	for (i = first; i < all.end; i++)
		draw_label(a, a->first + 1 + i - first, i);
	for (i = 0; i < COLUMNS; i++)
		draw_column(a, LABEL_WIDTH + i * width, width, &all,
			    &all.column[i]);
}
