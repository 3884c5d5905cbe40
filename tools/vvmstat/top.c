/* SPDX-License-Identifier: MIT */
/*
 * top.c - the full-screen view: samples, keys, and the end.
 *
 * One loop waits for three things at once: the next sample's moment, the end
 * of the process, and the terminal (a key, a new size, a signal). Nothing is
 * drawn from anywhere else. Frozen means that no sample is taken; the first
 * one after it covers all of that time.
 *
 * When the process ends, the terminal is given back first and the last
 * numbers are printed as a row below the prompt's line, where they stay.
 */
#define _GNU_SOURCE 1
#include "vvmstat/top.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "common/tool.h"
#include "screen/term.h"
#include "vvmstat/top_draw.h"
#include "vvmstat/view_rows.h"

#define DEFAULT_INTERVAL_S 1.0
#define SHORTEST_S	   0.1
#define LONGEST_S	   60.0

static void remember(struct top *top)
{
	static const struct {
		const char *group, *name;
	} column[SERIES_COUNT] = {
		[SERIES_FAULTS] = {"faults/s", "all"},
		[SERIES_READ] = {"faults/s", "read"},
		[SERIES_P99] = {"wait us", "p99"},
		[SERIES_IN] = {"swap/s", "in"},
		[SERIES_OUT] = {"swap/s", "out"},
		[SERIES_HIT] = {"ram", "hit"},
	};
	unsigned i;

	if (top->samples == TOP_HISTORY)
		for (i = 0; i < SERIES_COUNT; i++)
			memmove(top->history[i], top->history[i] + 1,
				(TOP_HISTORY - 1) * sizeof(double));
	else
		top->samples++;
	for (i = 0; i < SERIES_COUNT; i++) {
		const struct column *c =
			column_by_name(column[i].group, column[i].name);

		top->history[i][top->samples - 1] = c->value(&top->row, c);
	}
}

/* Without memory for it the tables are empty; the rates go on. */
static void read_layout(struct top *top)
{
	layout_read(&top->layout, top->target);
}

static void take_sample(struct top *top)
{
	struct sample old = top->now;

	layout_keep(&top->old_layout, &top->layout);
	target_sample(top->target, &top->now);
	read_layout(top);
	sample_delta(&top->delta, &top->now, &old);
	top->row.delta = &top->delta;
	top->row.seconds = (double)(top->now.at_us - old.at_us) / 1e6;
	remember(top);
}

/* The first screen shows what happened since the space was opened. */
static void first_sample(struct top *top)
{
	target_sample(top->target, &top->now);
	read_layout(top);
	top->delta = top->now;
	top->row.delta = &top->delta;
	top->row.seconds = view_uptime_s(&top->now);
}

static void show(struct top *top)
{
	top_draw(top);
	canvas_flush(&top->canvas, stdout);
}

static void fit(struct top *top)
{
	unsigned rows, columns;

	term_size(&rows, &columns);
	if (canvas_resize(&top->canvas, rows, columns))
		tool_die(TOOL_FAILED, "out of memory");
}

/* ------------------------------------------------------------------ */
/* Keys									*/

static void select_panel(struct top *top, enum top_panel panel)
{
	top->panel = panel;
	top->scroll = 0;
}

static void scroll_by(struct top *top, int lines)
{
	if (lines < 0 && top->scroll < (unsigned)-lines)
		top->scroll = 0;
	else
		top->scroll += (unsigned)lines;
}

static void scroll_key(struct top *top, int key)
{
	int page = (int)top->canvas.rows / 2;

	switch (key) {
	case TERM_UP:
		scroll_by(top, -1);
		break;
	case TERM_DOWN:
		scroll_by(top, 1);
		break;
	case TERM_PAGE_UP:
		scroll_by(top, -page);
		break;
	case TERM_PAGE_DOWN:
		scroll_by(top, page);
		break;
	case TERM_HOME:
		top->scroll = 0;
		break;
	}
}

static void change_interval(struct top *top, double factor)
{
	top->interval_s =
		fmin(fmax(top->interval_s * factor, SHORTEST_S), LONGEST_S);
}

/* False: the user wants to quit. */
static bool take_key(struct top *top, int key)
{
	if (top->help && key != 'q') {
		top->help = false;
		return true;
	}
	switch (key) {
	case 'q':
	case TERM_ESCAPE:
		return false;
	case 'r':
		select_panel(top, PANEL_REGIONS);
		break;
	case 'm':
		select_panel(top, PANEL_MAP);
		break;
	case 'a':
		select_panel(top, PANEL_HEAT);
		break;
	case 'h':
		select_panel(top, PANEL_HISTOGRAM);
		break;
	case 'c':
		select_panel(top, PANEL_COUNTERS);
		break;
	case TERM_TAB:
		select_panel(top, (top->panel + 1) % PANEL_COUNT);
		break;
	case '+':
		change_interval(top, 2);
		break;
	case '-':
		change_interval(top, 0.5);
		break;
	case ' ':
		top->frozen = !top->frozen;
		break;
	case '?':
		top->help = true;
		break;
	default:
		scroll_key(top, key);
	}
	return true;
}

/* Takes what the terminal has to say; false: the end. */
static bool take_events(struct top *top)
{
	int event;

	while ((event = term_event()) != TERM_NONE) {
		if (event == TERM_QUIT)
			return false;
		if (event == TERM_RESIZE)
			fit(top);
		else if (!take_key(top, event))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------ */

/* Shows until the end; TARGET_ENDED or TARGET_WOKEN. */
static enum target_event loop(struct top *top)
{
	uint64_t due = top->now.at_us;
	enum target_event event;

	for (;;) {
		uint64_t interval_us = (uint64_t)(top->interval_s * 1e6);

		show(top);
		event = target_wait(top->target, due + interval_us, term_fd());
		if (event == TARGET_ENDED)
			return event;
		if (event == TARGET_WOKEN && !take_events(top))
			return event;
		if (event == TARGET_DUE) {
			if (!top->frozen)
				take_sample(top);
			due += interval_us;
			if (due + interval_us < tool_now_us())
				due = tool_now_us(); /* we were stopped */
		}
	}
}

static int end(struct top *top, enum target_event event)
{
	int signo = term_end_signal();

	term_close();
	canvas_free(&top->canvas);
	layout_free(&top->layout);
	layout_free(&top->old_layout);
	if (event == TARGET_ENDED) {
		target_sample(top->target, &top->now);
		view_row(top->view, top->target, &top->now, &top->now, 0,
			 ROW_SINCE_START);
		fflush(stdout);
		tool_warn("process %d ended", top->target->pid);
		return TOOL_ENDED;
	}
	if (signo && signo != SIGINT) {
		signal(signo, SIG_DFL);
		raise(signo);
	}
	return TOOL_OK;
}

int top_run(struct view *v, struct target *t, double interval_s)
{
	static struct top top;
	int error;

	top = (struct top){
		.view = v,
		.target = t,
		.interval_s = interval_s > 0 ? interval_s : DEFAULT_INTERVAL_S,
		.canvas = {.colour = v->colour, .utf8 = term_utf8()},
	};
	first_sample(&top);
	error = term_open();
	if (error)
		tool_die(TOOL_USAGE, "-T needs a terminal (TERM not dumb): %s",
			 strerror(-error));
	fit(&top);
	return end(&top, loop(&top));
}
