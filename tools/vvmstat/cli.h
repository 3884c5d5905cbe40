/* SPDX-License-Identifier: MIT */
/*
 * cli.h - vvmstat's command line.
 */
#ifndef VVM_CLI_H
#define VVM_CLI_H

#include "vvmstat/trace.h"
#include "vvmstat/view.h"

/* Of -f. */
#define COPIES_MAX 64

enum action {
	ACTION_ROWS,
	ACTION_LIST,
	ACTION_TOTALS,
	ACTION_OPENMETRICS,
	ACTION_TRACE,
	ACTION_TOP,
	ACTION_HISTOGRAMS,
	ACTION_REGIONS,
	ACTION_HEAT,
	ACTION_MAP,
	ACTION_SITES,
	ACTION_DOCTOR,
};

struct options {
	enum action action;
	struct view view;
	struct trace_filter filter;
	bool skip_first;
	const char *dir;
	const char *swap_path;
	uint64_t pid;		      /* 0: not given */
	const char *file[COPIES_MAX]; /* of -f */
	unsigned files;
	char **program;	   /* of -e, with its arguments; or NULL */
	double interval_s; /* 0: one row only */
	uint64_t count;	   /* rows */
};

/*
 * Fills *o from the arguments. Does not return after --help and --version,
 * nor for what is wrong: exits with TOOL_USAGE.
 */
void cli_parse(struct options *o, int argc, char **argv);

#endif
