/* SPDX-License-Identifier: MIT */
/* top_draw.h - the full screen at one moment, drawn into a canvas. */
#ifndef VVM_TOP_DRAW_H
#define VVM_TOP_DRAW_H

#include "screen/canvas.h"
#include "vvmstat/layout.h"
#include "vvmstat/view.h"

/* What the sparklines show, newest last. */
#define TOP_HISTORY 256

enum top_series {
	SERIES_FAULTS,
	SERIES_READ,
	SERIES_P99,
	SERIES_IN,
	SERIES_OUT,
	SERIES_HIT,
	SERIES_COUNT
};

enum top_panel {
	PANEL_REGIONS,
	PANEL_MAP,
	PANEL_HISTOGRAM,
	PANEL_HEAT,
	PANEL_COUNTERS,
	PANEL_COUNT
};

struct top {
	struct view *view;
	struct target *target;
	double interval_s;
	struct sample now, delta;
	struct row row; /* of delta */
	struct layout layout, old_layout;
	double history[SERIES_COUNT][TOP_HISTORY];
	unsigned samples; /* of it that are filled */
	enum top_panel panel;
	unsigned scroll; /* lines of the panel that are above it */
	bool frozen, help;
	struct canvas canvas;
};

/* Draws all of it; pure. => canvas has its size. */
void top_draw(struct top *top);

#endif
