/* SPDX-License-Identifier: MIT */
/* histogram.h - where the time of faults goes, stage by stage. */
#ifndef VVM_HISTOGRAM_H
#define VVM_HISTOGRAM_H

#include "common/sample.h"
#include "screen/canvas.h"

/*
 * How many rows the histograms of a delta need, with their header. Drawing
 * into fewer leaves out the shortest times.
 */
unsigned draw_histogram_rows(const struct sample *delta);
void draw_histograms(const struct area *a, const struct sample *delta);

#endif
