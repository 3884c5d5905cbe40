/* SPDX-License-Identifier: MIT */
/* view_list.h - lists: all counters of a process, all processes. */
#ifndef VVM_VIEW_LIST_H
#define VVM_VIEW_LIST_H

#include "vvmstat/view.h"

/* Everything that was counted, one number on a line. */
void view_totals(struct view *v, const struct target *t,
		 const struct sample *now);
/* One line of the list of processes; the header with the first. */
void view_list(struct view *v, const struct target *t,
	       const struct sample *now);

#endif
