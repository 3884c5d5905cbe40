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

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>
#include "common/tool.h"

/* One more than there may be. */
#define OPERANDS_MAX 3

/* Long options without a letter. */
enum {
	OPT_JSON = 256,
	OPT_CSV,
	OPT_OPENMETRICS,
	OPT_HEAT,
	OPT_REGION,
	OPT_PNG,
	OPT_TRACE,
	OPT_DOCTOR,
	OPT_SWAP,
	OPT_DIR,
	OPT_HELP
};

static const char help[] =
	"usage: vvmstat [options] [-p PID] [interval [count]]\n"
	"       vvmstat [options] [interval [count]] -e PROGRAM [ARGS...]\n"
	"       vvmstat -T | -H | -r | -m | --heat [-p PID] [interval [count]]\n"
	"       vvmstat -l | -s | --openmetrics [-p PID]\n"
	"       vvmstat --trace[=FILTER] [-p PID] [seconds [faults]]\n"
	"       vvmstat --doctor [--swap PATH]\n"
	"\n"
	"Shows what libvvm does in a process: one row each interval (seconds),\n"
	"the first since the process opened its space.\n"
	"\n"
	"Which process:\n"
	"  -p PID        this one; default: the only one that there is\n"
	"  -e PROGRAM ARGS...  start this one under vvmrun(1)\n"
	"  -f FILE       a copy of a segment; several: one row for each\n"
	"      --dir DIR    look for segments there instead of " VVM_STAT_DIR
	"\n"
	"What:\n"
	"  -l            list the processes that use libvvm\n"
	"  -s            everything that was counted, one number on a line\n"
	"  -T            full screen, like top; ? shows the keys\n"
	"  -H            where the time of faults goes: histograms by stage\n"
	"  -r            regions: size, resident, dirty, swapped, faults\n"
	"      --heat    the addresses that fault most\n"
	"  -m            a map of all pages, one cell to so many\n"
	"      --region NAME  only that region; also an address in it\n"
	"      --png FILE     the map as a picture\n"
	"      --trace[=FILTER]  single faults, as they happen\n"
	"      --doctor  say whether libvvm can run here, and what to do if not\n"
	"      --swap PATH  the swap path that --doctor examines\n"
	"How:\n"
	"  -w            wide: more columns, more digits\n"
	"  -y            without the first row\n"
	"  -n            the header only once\n"
	"  -t            append the time to each row\n"
	"  -z            leave out rows in which nothing happened\n"
	"  -S UNIT       sizes in k (1000), K (1024), m (10^6) or M (2^20)\n"
	"For programs:\n"
	"      --json    one JSON object for each row, process or check\n"
	"      --csv     the same as comma-separated values\n"
	"  -o JSON       the same as one document in the shape of sysstat's\n"
	"      --openmetrics  all counters as text for Prometheus\n"
	"\n"
	"      --help    this text\n"
	"  -V, --version\n"
	"\n"
	"Exit status: 0 ok, 1 usage, 2 no such process or it does not use\n"
	"libvvm, 3 the process ended, 4 --doctor: libvvm cannot run here.\n"
	"The columns are explained in vvmstat(1).\n";

static const struct option longs[] = {
	{"json", no_argument, NULL, OPT_JSON},
	{"csv", no_argument, NULL, OPT_CSV},
	{"openmetrics", no_argument, NULL, OPT_OPENMETRICS},
	{"heat", no_argument, NULL, OPT_HEAT},
	{"region", required_argument, NULL, OPT_REGION},
	{"png", required_argument, NULL, OPT_PNG},
	{"trace", optional_argument, NULL, OPT_TRACE},
	{"doctor", no_argument, NULL, OPT_DOCTOR},
	{"swap", required_argument, NULL, OPT_SWAP},
	{"dir", required_argument, NULL, OPT_DIR},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

_Noreturn static void usage(void)
{
	fputs("Try 'vvmstat --help'.\n", stderr);
	exit(TOOL_USAGE);
}

/* Options that print something and end. */
_Noreturn static void say_and_exit(int option)
{
	if (option == OPT_HELP)
		fputs(help, stdout);
	else
		printf("vvmstat (libvvm) %s\n", vvm_version());
	exit(TOOL_OK);
}

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
	tool_die(TOOL_USAGE, "-S: '%s' is none of k, K, m, M", text);
}

static void take_action(struct options *o, enum action action)
{
	if (o->action != ACTION_ROWS && o->action != action)
		tool_die(TOOL_USAGE, "one view at a time, please");
	o->action = action;
}

static void take_form(struct options *o, enum output_form form)
{
	if (o->view.output.form != OUTPUT_TEXT && o->view.output.form != form)
		tool_die(TOOL_USAGE, "one of --json, --csv and -o JSON");
	o->view.output.form = form;
}

static void take_filter(struct options *o, const char *text)
{
	const char *bad;

	if (text && !trace_parse(&o->filter, text, &bad))
		tool_die(TOOL_USAGE, "--trace: cannot make sense of '%s'", bad);
}

/* What is shown; false: another option. */
static bool take_view_option(struct options *o, int option)
{
	switch (option) {
	case 'l':
		take_action(o, ACTION_LIST);
		return true;
	case 'T':
		take_action(o, ACTION_TOP);
		return true;
	case 'H':
		take_action(o, ACTION_HISTOGRAMS);
		return true;
	case 'r':
		take_action(o, ACTION_REGIONS);
		return true;
	case 'm':
		take_action(o, ACTION_MAP);
		return true;
	case OPT_HEAT:
		take_action(o, ACTION_HEAT);
		return true;
	case 's':
		take_action(o, ACTION_TOTALS);
		return true;
	case OPT_OPENMETRICS:
		take_action(o, ACTION_OPENMETRICS);
		return true;
	case OPT_TRACE:
		take_action(o, ACTION_TRACE);
		return true;
	case OPT_DOCTOR:
		take_action(o, ACTION_DOCTOR);
		return true;
	default:
		return false;
	}
}

/* How it is shown; false: another option. */
static bool take_form_option(struct options *o, int option, const char *arg)
{
	switch (option) {
	case OPT_JSON:
		take_form(o, OUTPUT_JSON);
		return true;
	case OPT_CSV:
		take_form(o, OUTPUT_CSV);
		return true;
	case 'o':
		if (strcasecmp(arg, "JSON"))
			tool_die(TOOL_USAGE, "-o: '%s' is not JSON", arg);
		take_form(o, OUTPUT_SYSSTAT);
		return true;
	case 'S':
		o->view.unit_bytes = unit_bytes(arg);
		return true;
	default:
		return false;
	}
}

/* A switch, or NULL. */
static bool *switch_of(struct options *o, int option)
{
	switch (option) {
	case 'w':
		return &o->view.wide;
	case 'y':
		return &o->skip_first;
	case 'n':
		return &o->view.once;
	case 't':
		return &o->view.timestamp;
	case 'z':
		return &o->view.skip_idle;
	default:
		return NULL;
	}
}

static void take_option(struct options *o, int option, const char *arg)
{
	bool *on = switch_of(o, option);

	if (option == OPT_TRACE)
		take_filter(o, arg);
	if (on)
		*on = true;
	else if (take_view_option(o, option) ||
		 take_form_option(o, option, arg))
		return;
	else if (option == 'p')
		o->pid = (int)tool_number("-p", arg, 1, 1 << 30);
	else if (option == 'f' && o->files < COPIES_MAX)
		o->file[o->files++] = arg;
	else if (option == OPT_REGION)
		o->view.region = arg;
	else if (option == OPT_PNG)
		o->view.png_path = arg;
	else if (option == OPT_SWAP)
		o->swap_path = arg;
	else if (option == OPT_DIR)
		o->dir = arg;
	else if (option == OPT_HELP || option == 'V')
		say_and_exit(option);
	else
		usage();
}

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
		tool_warn("unexpected argument '%s'",
			  arg[repeats(o->action) ? 2 : 0]);
		usage();
	}
	o->count = n > 0 || o->program || o->action == ACTION_TRACE ? UINT64_MAX
								    : 1;
	if (n > 0)
		o->interval_s = tool_real("interval", arg[0], 0.01, 1e6);
	else if (o->program)
		o->interval_s = 1;
	o->view.repeats = o->interval_s > 0;
	if (n > 1)
		o->count = tool_number("count", arg[1], 1, UINT64_MAX);
}

#define ON(action) (1u << (action))
#define TABLES                                                          \
	(ON(ACTION_HISTOGRAMS) | ON(ACTION_REGIONS) | ON(ACTION_HEAT) | \
	 ON(ACTION_MAP))
#define SERIES (ON(ACTION_ROWS) | TABLES)
#define MACHINE                                                            \
	(SERIES | ON(ACTION_LIST) | ON(ACTION_TOTALS) | ON(ACTION_TRACE) | \
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
		{v->output.form != OUTPUT_TEXT, MACHINE, "--json, --csv or -o"},
		{o->swap_path, ON(ACTION_DOCTOR), "--swap"},
		{o->pid, ANY_VIEW & ~ON(ACTION_LIST), "-p"},
		{o->program, SERIES | ON(ACTION_TOP) | ON(ACTION_TRACE), "-e"},
		{o->files, SERIES | ON(ACTION_TOTALS) | ON(ACTION_OPENMETRICS),
		 "-f"},
		{o->interval_s > 0 && o->count != UINT64_MAX,
		 SERIES | ON(ACTION_TRACE), "a count"},
	};
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (rules[i].given && !(rules[i].views & ON(o->action)))
			tool_die(TOOL_USAGE, "this view does not know %s",
				 rules[i].option);
}

static void check(const struct options *o)
{
	check_views(o);
	if (o->files && (o->pid || o->program || o->interval_s > 0))
		tool_die(TOOL_USAGE, "-f shows the past: no -p, -e, interval");
	if (o->program && o->pid)
		tool_die(TOOL_USAGE, "-e or -p");
	if (o->interval_s == 0 && o->skip_first && o->files < 2)
		tool_die(TOOL_USAGE, "-y needs an interval");
	if (o->view.output.form != OUTPUT_TEXT && o->view.png_path)
		tool_die(TOOL_USAGE, "--png is a form of its own");
}

void cli_parse(struct options *o, int argc, char **argv)
{
	char *operand[OPERANDS_MAX];
	int option, n = 0;

	memset(o, 0, sizeof(*o));
	o->dir = VVM_STAT_DIR;
	view_environment(&o->view);
	/* "-": operands come as option 1, so that -e may end the list. */
	while (!o->program &&
	       (option = getopt_long(argc, argv, "-p:e:f:lsTHrmwyntzo:S:V",
				     longs, NULL)) != -1) {
		if (option == 1 && n < OPERANDS_MAX) {
			operand[n++] = optarg;
		} else if (option == 'e') {
			o->program = argv + optind - 1;
			o->program[0] = optarg;
		} else if (option != 1) {
			take_option(o, option, optarg);
		}
	}
	for (; !o->program && optind < argc && n < OPERANDS_MAX; optind++)
		operand[n++] = argv[optind];
	take_operands(o, n, operand);
	check(o);
}
