/* SPDX-License-Identifier: MIT */
/*
 * view.h - what all of vvmstat's views share: view_rows.h, view_list.h,
 * view_tables.h, view_trace.h.
 */
#ifndef VVM_VIEW_H
#define VVM_VIEW_H

#include <stdbool.h>
#include "common/target.h"
#include "vvmstat/column.h"
#include "vvmstat/output.h"

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
	bool folded;	       /* of --sites: for flame graphs */
	double unit_bytes;     /* -S; 0: chosen for each number */
	unsigned since_header; /* rows printed below the last header */
	bool started;
};

/*
 * Sets what the environment says: colour (NO_COLOR, S_COLORS, is standard
 * output a terminal?) and time format (S_TIME_FORMAT).
 */
void view_environment(struct view *v);

/* Ends what the machine-readable forms must end. */
void view_end(struct view *v);

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
/* Prints a line if faults do not get on: "stalled 12 s: ...". True then. */
bool view_stall(const struct view *v, const struct sample *now);
/* Keys that every record begins with. */
void view_record_head(struct record *r, const struct target *t,
		      const struct sample *now);
/* All counters and values; of a row also rates and what is derived. */
void view_record_values(struct record *r, const struct sample *now);
void view_record_rates(struct record *r, const struct row *row);
void view_record_derived(struct record *r, const struct row *row);

#endif
