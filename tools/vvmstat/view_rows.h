/* SPDX-License-Identifier: MIT */
/* view_rows.h - vmstat's rows. */
#ifndef VVM_VIEW_ROWS_H
#define VVM_VIEW_ROWS_H

#include "vvmstat/view.h"

enum row_kind { ROW_SINCE_START, ROW_INTERVAL, ROW_AVERAGE };

/*
 * Prints one row: what happened in `seconds` up to `now` (SINCE_START: in the
 * whole life of the spaces). Prints the header when one is due. An average is
 * for people: the machine-readable forms leave it out.
 */
void view_row(struct view *v, const struct target *t,
	      const struct sample *delta, const struct sample *now,
	      double seconds, enum row_kind kind);

#endif
