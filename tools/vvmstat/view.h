/* SPDX-License-Identifier: MIT */
/*
 * view.h - what vvmstat prints: rows, totals, the list, and what all views
 * share.
 */
#ifndef VVM_VIEW_H
#define VVM_VIEW_H

#include <stdbool.h>
#include "vvmstat/column.h"
#include "vvmstat/layout.h"
#include "vvmstat/output.h"
#include "common/target.h"

struct view {
	struct output output;
	bool colour;
	bool wide;
	bool once; /* the header only at the start */
	bool timestamp;
	bool skip_idle;	       /* no rows in which nothing happened */
	bool iso_time;	       /* S_TIME_FORMAT=ISO */
	bool repeats;	       /* there will be another one */
	const char *region;    /* of -m; NULL: all */
	const char *png_path;  /* of -m; NULL: it is printed */
	double unit_bytes;     /* -S; 0: chosen for each number */
	unsigned since_header; /* rows printed below the last header */
	bool started;
};

/* All that is known of a process at one moment. */
struct moment {
	struct sample sample;
	struct layout layout; /* only of views that need it */
};

enum row_kind { ROW_SINCE_START, ROW_INTERVAL, ROW_AVERAGE };

/*
 * Sets what the environment says: colour (NO_COLOR, S_COLORS, is standard
 * output a terminal?) and time format (S_TIME_FORMAT).
 */
void view_environment(struct view *v);

/*
 * Prints one row: what happened in `seconds` up to `now` (SINCE_START: in the
 * whole life of the spaces). Prints the header when one is due. An average is
 * for people: the machine-readable forms leave it out.
 */
void view_row(struct view *v, const struct target *t,
	      const struct sample *delta, const struct sample *now,
	      double seconds, enum row_kind kind);
/* Everything that was counted, one number on a line. */
void view_totals(struct view *v, const struct target *t,
		 const struct sample *now);
/* One line of the list of processes; the header with the first. */
void view_list(struct view *v, const struct target *t,
	       const struct sample *now);
/*
 * Tables and pictures of what happened from one moment to the next; without
 * an older one (`old` is empty) since the start. view_map: -m, of the regions
 * that v->region names.
 */
void view_histograms(struct view *v, const struct target *t,
		     const struct moment *old, const struct moment *now);
void view_regions(struct view *v, const struct target *t,
		  const struct moment *old, const struct moment *now);
void view_heat(struct view *v, const struct target *t, const struct moment *old,
	       const struct moment *now);
void view_map(struct view *v, const struct target *t, const struct moment *now);
/* Ends what the machine-readable forms must end. */
void view_end(struct view *v);

/* ---- for the views ---- */

/*
 * Formats into at most width characters (and a NUL) if that is possible:
 * "12345", "123k", "1.2M"; NAN is "-". view_bytes: powers of 1024 and always
 * with a unit, "4.0K", "256M".
 */
void view_number(char *buf, size_t size, int width, double value);
void view_bytes(char *buf, size_t size, int width, double bytes);
/* As that column prints it. */
void view_cell(const struct view *v, const struct column *c, int width,
	       double value, char *buf, size_t size);

enum style { STYLE_PLAIN, STYLE_DIM, STYLE_HEAD, STYLE_WARN, STYLE_BAD };
/* The style of a column's value: its alarm, or dim for nothing. */
enum style view_style(const struct column *c, double value);
/* The escape sequence that switches it on; "" for PLAIN. */
const char *view_sgr(enum style style);
#define VIEW_SGR_OFF "\033[0m"

/* "42s", "03:07", "5:03:07", "12d05h" */
void view_uptime(char *buf, size_t size, double seconds);
/* Seconds since the oldest space was opened; 0 when the clock was set back. */
double view_uptime_s(const struct sample *now);
/* Keys that every record begins with. */
void view_record_head(struct record *r, const struct target *t,
		      const struct sample *now);
/* All counters and values; of a row also rates and what is derived. */
void view_record_values(struct record *r, const struct sample *now);
void view_record_rates(struct record *r, const struct row *row);
void view_record_derived(struct record *r, const struct row *row);

#endif
