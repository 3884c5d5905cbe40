/* SPDX-License-Identifier: MIT */
/* plot.h - the series of `vvmbench soak`, as text and as a picture. */
#ifndef VVM_BENCH_PLOT_H
#define VVM_BENCH_PLOT_H

#include <stdio.h>

#include "vvmbench/soak/series.h"

/* A line for each series; verdicts by enum series_id. */
void plot_text(FILE *out, const struct series *s,
	       const struct series_verdict *verdicts);
/*
 * A PNG picture with a panel for each; what is before from_s is pale. 0 or
 * -errno. => picture_can_save()
 */
int plot_png(const char *path, const struct series *s,
	     const struct series_verdict *verdicts, double from_s);

#endif
