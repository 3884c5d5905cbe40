/* SPDX-License-Identifier: MIT */
/*
 * view_rows.c - vmstat's rows: two header lines and one line an interval.
 *
 * The header comes again when a window's height of rows has scrolled it away,
 * and the height is asked for each time, so it follows a window that changes
 * its size. A row in which nothing happened (-z) is left out, levels or not:
 * nothing was taken from the kernel, read, written, evicted, or went wrong.
 */
#define _GNU_SOURCE 1
#include "vvmstat/view_rows.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Rows of a window when standard output is none. */
#define DEFAULT_ROWS 24
/* Two header lines, and one for the prompt, as vmstat does. */
#define HEADER_ROWS 3

/* In a fixed unit (-S) a byte column holds all its digits. */
#define UNIT_WIDTH 10

#define for_each_column(v, c)                                     \
	for ((c) = columns; (c) < columns + columns_count; (c)++) \
		if (column_width(v, c) == 0)                      \
			continue;                                 \
		else

static int column_width(const struct view *v, const struct column *c)
{
	int width = v->wide ? c->wide_width : c->width;

	return width && c->format == COLUMN_BYTES && v->unit_bytes > 0
		       ? UNIT_WIDTH
		       : width;
}

/* ------------------------------------------------------------------ */
/* Header								*/

static unsigned window_rows(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ||
	    size.ws_row <= HEADER_ROWS)
		return DEFAULT_ROWS;
	return size.ws_row;
}

/* The group's name in the middle of dashes, over its columns. */
static void print_group(const char *name, int width)
{
	int left = (width - (int)strlen(name)) / 2, i;

	for (i = 0; i < width; i++) {
		if (i == left) {
			fputs(name, stdout);
			i += (int)strlen(name) - 1;
		} else {
			putchar('-');
		}
	}
}

static void print_groups(const struct view *v)
{
	const struct column *c;
	const char *group = "";
	int width = 0;

	for_each_column(v, c)
	{
		if (*group && strcmp(group, c->group)) {
			print_group(group, width);
			putchar(' ');
			width = 0;
		}
		width += column_width(v, c) + (width > 0);
		group = c->group;
	}
	print_group(group, width);
	if (v->timestamp)
		fputs(v->iso_time ? " -------timestamp--------"
				  : " -----timestamp-----",
		      stdout);
}

static void print_names(const struct view *v)
{
	const struct column *c;
	const char *space = "";
	time_t now = time(NULL);
	char zone[32] = "";

	for_each_column(v, c)
	{
		printf("%s%*s", space, column_width(v, c), c->name);
		space = " ";
	}
	strftime(zone, sizeof(zone), "%Z", localtime(&now));
	if (v->timestamp)
		printf(" %*s", v->iso_time ? 24 : 19, zone);
}

static void print_header(struct view *v)
{
	bool due = !v->started ||
		   (!v->once && v->since_header + HEADER_ROWS >= window_rows());
	const char *on = v->colour ? view_sgr(STYLE_HEAD) : "";
	const char *off = v->colour ? VIEW_SGR_OFF : "";

	if (!due)
		return;
	fputs(on, stdout);
	print_groups(v);
	printf("%s\n%s", off, on);
	print_names(v);
	printf("%s\n", off);
	v->since_header = 0;
	v->started = true;
}

/* ------------------------------------------------------------------ */
/* Rows									*/

static bool is_idle(const struct row *r)
{
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		if (!sample_counter_is_gauge(i) && r->delta->counter[i])
			return false;
	return true;
}

static void print_time(const struct view *v, uint64_t unix_us)
{
	time_t at = (time_t)(unix_us / 1000000);
	struct tm tm = {0};
	char text[64];

	localtime_r(&at, &tm);
	strftime(text, sizeof(text), v->iso_time ? "%FT%T%z" : "%F %T", &tm);
	printf(" %s", text);
}

static void print_cell(const struct view *v, const struct column *c,
		       double value)
{
	enum style style = v->colour ? view_style(c, value) : STYLE_PLAIN;
	char text[64];

	view_cell(v, c, column_width(v, c), value, text, sizeof(text));
	printf("%s%*s%s", view_sgr(style), column_width(v, c), text,
	       style ? VIEW_SGR_OFF : "");
}

static void print_row(struct view *v, const struct row *r, uint64_t unix_us)
{
	const struct column *c;
	const char *space = "";

	print_header(v);
	for_each_column(v, c)
	{
		fputs(space, stdout);
		print_cell(v, c, c->value(r, c));
		space = " ";
	}
	if (v->timestamp)
		print_time(v, unix_us);
	putchar('\n');
	v->since_header++;
}

static void output_row(struct view *v, const struct target *t,
		       const struct row *r, const struct sample *now,
		       bool since_start)
{
	struct record record;

	view_record_head(&record, t, now);
	record_bool(&record, "since_start", since_start);
	record_real(&record, "interval_s", r->seconds);
	view_record_values(&record, now);
	view_record_rates(&record, r);
	view_record_derived(&record, r);
	output_group(&v->output, "row", now->unix_us);
	output_record(&v->output, &record);
	output_group_end(&v->output);
}

void view_row(struct view *v, const struct target *t,
	      const struct sample *delta, const struct sample *now,
	      double seconds, enum row_kind kind)
{
	struct row r = {.delta = delta, .seconds = seconds};

	if (kind == ROW_SINCE_START)
		r.seconds = view_uptime_s(now);
	if (v->skip_idle && kind == ROW_INTERVAL && is_idle(&r))
		return;
	if (v->output.form != OUTPUT_TEXT) {
		if (kind != ROW_AVERAGE)
			output_row(v, t, &r, now, kind == ROW_SINCE_START);
		return;
	}
	if (kind == ROW_AVERAGE)
		printf("\nAverage of %.1f s:\n", seconds);
	print_row(v, &r, now->unix_us);
	v->since_header += view_stall(v, now);
}
