/* SPDX-License-Identifier: MIT */
/* view_tables.h - the views that take more than a line. */
#ifndef VVM_VIEW_TABLES_H
#define VVM_VIEW_TABLES_H

#include "vvmstat/layout.h"
#include "vvmstat/view.h"

/* All that is known of a process at one moment. */
struct moment {
	struct sample sample;
	struct layout layout; /* only of views that need it */
};

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

#endif
