/* SPDX-License-Identifier: MIT */
/*
 * cli.c - vvmstat's command line.
 *
 * Options and operands may come in any order, as with vmstat, but -e takes
 * the rest of the line: what follows are its program's arguments. Combinations
 * that make no sense are errors, not a guess: at most one view, at most one
 * form of output, and an interval only where something is repeated.
 */
#define _GNU_SOURCE 1
#include "vvmstat/cli.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>
#include "common/option.h"
#include "common/tool.h"
#include "screen/picture.h"

static double unit_bytes(const char *text)
{
	static const struct {
		char letter;
		double bytes;
	} units[] = {{'k', 1e3}, {'K', 1024}, {'m', 1e6}, {'M', 1048576}};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (text[0] == units[i].letter && !text[1])
			return units[i].bytes;
	tool_usage("-S: '%s' is none of k, K, m, M", text);
}

static void take_action(struct options *o, enum action action)
{
	if (o->action != ACTION_ROWS && o->action != action)
		tool_usage("one view at a time, please");
	o->action = action;
}

static void take_form(struct options *o, enum output_form form)
{
	if (o->view.output.form != OUTPUT_TEXT && o->view.output.form != form)
		tool_usage("one of --json, --csv and -o JSON");
	o->view.output.form = form;
}

static void take_filter(struct options *o, const char *text)
{
	const char *bad;

	if (text && !trace_parse(&o->filter, text, &bad))
		tool_usage("--trace: cannot make sense of '%s'", bad);
}

/* ------------------------------------------------------------------ */
/* The table								*/

static void take_view(void *options, const struct opt *o, const char *option,
		      const char *text)
{
	(void)option;
	(void)text;
	take_action(options, (enum action)o->value);
}

static void take_trace(void *options, const struct opt *o, const char *option,
		       const char *text)
{
	take_view(options, o, option, text);
	take_filter(options, text);
}

static void take_output(void *options, const struct opt *o, const char *option,
			const char *text)
{
	if (text && strcasecmp(text, "JSON"))
		tool_usage("%s: '%s' is not JSON", option, text);
	take_form(options, (enum output_form)o->value);
}

static void take_unit(void *options, const struct opt *o, const char *option,
		      const char *text)
{
	struct options *to = options;

	(void)o;
	(void)option;
	to->view.unit_bytes = unit_bytes(text);
}

static void take_copy(void *options, const struct opt *o, const char *option,
		      const char *text)
{
	struct options *to = options;

	(void)o;
	if (to->files == COPIES_MAX)
		tool_usage("%s: at most %d copies", option, COPIES_MAX);
	to->file[to->files++] = text;
}

_Noreturn static void take_version(void *options, const struct opt *o,
				   const char *option, const char *text)
{
	(void)options;
	(void)o;
	(void)option;
	(void)text;
	printf("vvmstat (libvvm) %s\n", vvm_version());
	exit(TOOL_OK);
}

#define FIELD(f) offsetof(struct options, f)
#define VIEW(letter, name, action, help) \
	OPTION_TAKE(letter, name, take_view, ACTION_##action, NULL, help)

static const struct opt table[] = {
	OPTION_HEADING("Which process:"),
	OPTION_RANGE('p', NULL, FIELD(pid), NUMBER, "PID", 1, 1 << 30,
		     "this one; default: the only one that there is"),
	{.letter = 'e',
	 .kind = OPT_REST,
	 .offset = FIELD(program),
	 .arg = "PROGRAM ARGS...",
	 .help = "start this one under vvmrun(1)"},
	OPTION_TAKE('f', NULL, take_copy, 0, "FILE",
		    "a copy of a segment; several: one row for each"),
	OPTION_TEXT(0, "dir", FIELD(dir), "DIR",
		    "look for segments there instead of " VVM_STAT_DIR),
	OPTION_HEADING("What:"),
	VIEW('l', NULL, LIST, "list the processes that use libvvm"),
	VIEW('s', NULL, TOTALS,
	     "everything that was counted, one number on a line"),
	VIEW('T', NULL, TOP, "full screen, like top; ? shows the keys"),
	VIEW('H', NULL, HISTOGRAMS,
	     "where the time of faults goes: histograms by stage"),
	VIEW('r', NULL, REGIONS,
	     "regions: size, resident, dirty, swapped, faults"),
	VIEW(0, "heat", HEAT, "the addresses that fault most"),
	VIEW(0, "sites", SITES, "the program's code that waits for pages"),
	OPTION_FLAG(0, "folded", FIELD(view.folded),
		    "as the input of flame graphs, in us"),
	VIEW('m', NULL, MAP, "a map of all pages, one cell to so many"),
	OPTION_TEXT(0, "region", FIELD(view.region), "NAME",
		    "only that region; also an address in it"),
	OPTION_TEXT(0, "png", FIELD(view.png_path), "FILE",
		    "the map as a picture"),
	{.name = "trace",
	 .kind = OPT_TAKE,
	 .take = take_trace,
	 .value = ACTION_TRACE,
	 .arg = "FILTER",
	 .optional = true,
	 .help = "single faults, as they happen"},
	VIEW(0, "doctor", DOCTOR,
	     "say whether libvvm can run here, and what to\ndo if not"),
	OPTION_TEXT(0, "swap", FIELD(swap_path), "PATH",
		    "the swap path that --doctor examines"),
	OPTION_HEADING("How:"),
	OPTION_FLAG('w', NULL, FIELD(view.wide),
		    "wide: more columns, more digits"),
	OPTION_FLAG('y', NULL, FIELD(skip_first), "without the first row"),
	OPTION_FLAG('n', NULL, FIELD(view.once), "the header only once"),
	OPTION_FLAG('t', NULL, FIELD(view.timestamp),
		    "append the time to each row"),
	OPTION_FLAG('z', NULL, FIELD(view.skip_idle),
		    "leave out rows in which nothing happened"),
	OPTION_TAKE('S', NULL, take_unit, 0, "UNIT",
		    "sizes in k (1000), K (1024), m (10^6) or M (2^20)"),
	OPTION_HEADING("For programs:"),
	OPTION_TAKE(0, "json", take_output, OUTPUT_JSON, NULL,
		    "one JSON object for each row, process or check"),
	OPTION_TAKE(0, "csv", take_output, OUTPUT_CSV, NULL,
		    "the same as comma-separated values"),
	OPTION_TAKE('o', NULL, take_output, OUTPUT_SYSSTAT, "JSON",
		    "the same as one document in the shape of\nsysstat's"),
	VIEW(0, "openmetrics", OPENMETRICS,
	     "all counters as text for Prometheus"),
	OPTION_HEADING(""),
	OPTION_TAKE('V', "version", take_version, 0, NULL, "which one it is"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.args = "[-p PID] [interval [count]]\n"
		"       vvmstat [options] [interval [count]] -e PROGRAM "
		"[ARGS...]\n"
		"       vvmstat -T | -H | -r | -m | --heat | --sites "
		"[-p PID] [interval\n"
		"               [count]]\n"
		"       vvmstat -l | -s | --openmetrics [-p PID]\n"
		"       vvmstat --trace[=FILTER] [-p PID] [seconds [faults]]\n"
		"       vvmstat --doctor [--swap PATH]",
	.summary = "Shows what libvvm does in a process: one row each interval "
		   "(seconds),\n"
		   "the first since the process opened its space.\n",
	.opts = table,
	.end = "Exit status: 0 ok, 1 usage, 2 no such process or it does not "
	       "use\n"
	       "libvvm, 3 the process ended, 4 --doctor: libvvm cannot run "
	       "here.\n"
	       "The columns are explained in vvmstat(1).\n",
};

/* ------------------------------------------------------------------ */
/* What goes together							*/

/* Does the view repeat? */
static bool repeats(enum action action)
{
	return action != ACTION_LIST && action != ACTION_TOTALS &&
	       action != ACTION_OPENMETRICS && action != ACTION_DOCTOR;
}

/* interval and count. */
static void take_operands(struct options *o, int n, char **arg)
{
	if (n > 2 || (n > 0 && !repeats(o->action))) {
		opt_usage(&command, "unexpected argument '%s'",
			  arg[repeats(o->action) ? 2 : 0]);
	}
	o->count = n > 0 || o->program || o->action == ACTION_TRACE ? UINT64_MAX
								    : 1;
	if (n > 0)
		o->interval_s = tool_real("interval", arg[0], 0.01, 1e6);
	else if (o->program && o->action != ACTION_SITES)
		o->interval_s = 1;
	o->view.repeats = o->interval_s > 0;
	if (n > 1)
		o->count = tool_number("count", arg[1], 1, UINT64_MAX);
}

#define ON(action) (1u << (action))
#define TABLES                                                          \
	(ON(ACTION_HISTOGRAMS) | ON(ACTION_REGIONS) | ON(ACTION_HEAT) | \
	 ON(ACTION_MAP))
#define SERIES	 (ON(ACTION_ROWS) | TABLES)
#define REPEATED (SERIES | ON(ACTION_SITES))
#define MACHINE                                                              \
	(REPEATED | ON(ACTION_LIST) | ON(ACTION_TOTALS) | ON(ACTION_TRACE) | \
	 ON(ACTION_DOCTOR))
#define ANY_VIEW (~ON(ACTION_DOCTOR))

/* An option that a view does not know is refused, not ignored. */
static void check_views(const struct options *o)
{
	const struct view *v = &o->view;
	const struct {
		bool given;
		unsigned views; /* that know it */
		const char *option;
	} rules[] = {
		{v->wide, ON(ACTION_ROWS), "-w"},
		{v->once, ON(ACTION_ROWS), "-n"},
		{v->skip_idle, ON(ACTION_ROWS), "-z"},
		{v->timestamp, SERIES, "-t"},
		{o->skip_first, SERIES, "-y"},
		{v->unit_bytes > 0, ON(ACTION_ROWS) | ON(ACTION_LIST), "-S"},
		{v->region, ON(ACTION_MAP), "--region"},
		{v->png_path, ON(ACTION_MAP), "--png"},
		{v->folded, ON(ACTION_SITES), "--folded"},
		{v->output.form != OUTPUT_TEXT, MACHINE, "--json, --csv or -o"},
		{o->swap_path, ON(ACTION_DOCTOR), "--swap"},
		{o->pid, ANY_VIEW & ~ON(ACTION_LIST), "-p"},
		{o->program, REPEATED | ON(ACTION_TOP) | ON(ACTION_TRACE),
		 "-e"},
		{o->files, SERIES | ON(ACTION_TOTALS) | ON(ACTION_OPENMETRICS),
		 "-f"},
		{o->interval_s > 0 && o->count != UINT64_MAX,
		 REPEATED | ON(ACTION_TRACE), "a count"},
	};
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (rules[i].given && !(rules[i].views & ON(o->action)))
			tool_usage("this view does not know %s",
				   rules[i].option);
}

static void check(const struct options *o)
{
	check_views(o);
	if (o->files && (o->pid || o->program || o->interval_s > 0))
		tool_usage("-f shows the past: no -p, -e, interval");
	if (o->program && o->pid)
		tool_usage("-e or -p");
	if (o->interval_s == 0 && o->skip_first && o->files < 2)
		tool_usage("-y needs an interval");
	if (o->view.output.form != OUTPUT_TEXT && o->view.png_path)
		tool_usage("--png is a form of its own");
	if (o->view.output.form != OUTPUT_TEXT && o->view.folded)
		tool_usage("--folded is a form of its own");
	if (o->view.png_path && !picture_can_save())
		tool_usage("--png: this build has no libpng");
}

void cli_parse(struct options *o, int argc, char **argv)
{
	int n;

	memset(o, 0, sizeof(*o));
	o->dir = VVM_STAT_DIR;
	view_environment(&o->view);
	n = opt_parse(&command, o, argc, argv);
	take_operands(o, n, argv + 1);
	check(o);
}
