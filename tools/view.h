/* SPDX-License-Identifier: MIT */
/*
 * view.h - what vvmstat prints: rows, totals and the list, as text or JSON.
 */
#ifndef VVM_VIEW_H
#define VVM_VIEW_H

#include <stdbool.h>
#include "target.h"

struct view {
	bool json;
	bool wide;
	bool once; /* the header only at the start */
	bool timestamp;
	double unit_bytes;     /* -S; 0: chosen for each number */
	unsigned since_header; /* rows printed below the last header */
	bool started;
};

/*
 * Prints one row: what happened in `seconds` up to `now`. since_start: the
 * row covers the whole life of the spaces. Prints the header when one is due.
 */
void view_row(struct view *v, const struct target *t,
	      const struct sample *delta, const struct sample *now,
	      double seconds, bool since_start);
/* Everything that was counted, one number on a line. */
void view_totals(const struct view *v, const struct target *t,
		 const struct sample *now);
/* One line of the list of processes; the header with the first. */
void view_list(struct view *v, const struct target *t,
	       const struct sample *now);

/*
 * Formats into at most width characters (and a NUL) if that is possible:
 * "12345", "123k", "1.2M"; NAN is "-". view_bytes: powers of 1024 and always
 * with a unit, "4.0K", "256M".
 */
void view_number(char *buf, size_t size, int width, double value);
void view_bytes(char *buf, size_t size, int width, double bytes);

#endif
