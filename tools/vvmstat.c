/* SPDX-License-Identifier: MIT */
/*
 * vvmstat.c - shows what libvvm does in a running process, in rows like
 * vmstat's.
 *
 * It reads the statistics segment that every open space publishes and never
 * talks to the process: attaching costs the process nothing and works when
 * it hangs. This file is the command line and the loop over intervals; how a
 * segment is read without trusting it is in segment.c, how a process is
 * followed in target.c, what the numbers become in sample.c and view.c.
 *
 * Time. Rows are due at fixed moments (start + n * interval), so that they
 * do not drift by the time that printing takes; rates use the time that
 * really passed. When we were stopped for longer than an interval, the rows
 * that were missed are skipped, not printed in a burst.
 *
 * The end of the process cuts an interval short: its row is still printed,
 * from the last numbers, and the exit status says that the target ended.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>
#include "doctor.h"
#include "target.h"
#include "tool.h"
#include "view.h"

/* Long options without a letter. */
enum { OPT_JSON = 256, OPT_DOCTOR, OPT_SWAP, OPT_DIR, OPT_HELP };

enum action { ROWS, LIST, TOTALS, DOCTOR };

struct options {
	enum action action;
	struct view view;
	bool skip_first;
	const char *dir;
	const char *swap_path;
	int pid;	   /* 0: not given */
	double interval_s; /* 0: one row only */
	uint64_t count;	   /* rows */
};

static const char help[] =
	"usage: vvmstat [options] [-p PID] [interval [count]]\n"
	"       vvmstat -l | -s [-p PID] | --doctor [--swap PATH]\n"
	"\n"
	"Shows what libvvm does in a process: one row each interval (seconds),\n"
	"the first since the process opened its space.\n"
	"\n"
	"  -p PID        the process; default: the only one that there is\n"
	"  -l            list the processes that use libvvm\n"
	"  -s            everything that was counted, one number on a line\n"
	"  -w            wide: more columns, more digits\n"
	"  -y            without the first row\n"
	"  -n            the header only once\n"
	"  -t            append the time to each row\n"
	"  -S UNIT       sizes in k (1000), K (1024), m (10^6) or M (2^20)\n"
	"      --json    one JSON object for each row, process or check\n"
	"      --doctor  say whether libvvm can run here, and what to do if not\n"
	"      --swap PATH  the swap path that --doctor examines\n"
	"      --dir DIR    look for segments there instead of " VVM_STAT_DIR
	"\n"
	"      --help    this text\n"
	"  -V, --version\n"
	"\n"
	"Exit status: 0 ok, 1 usage, 2 no such process or it does not use\n"
	"libvvm, 3 the process ended, 4 --doctor: libvvm cannot run here.\n"
	"The columns are explained in vvmstat(1).\n";

/* ------------------------------------------------------------------ */
/* Command line								*/

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

static void usage(void)
{
	fputs("Try 'vvmstat --help'.\n", stderr);
	exit(TOOL_USAGE);
}

/* Options that print something and end. */
static void say_and_exit(int option)
{
	if (option == OPT_HELP)
		fputs(help, stdout);
	else
		printf("vvmstat (libvvm) %s\n", vvm_version());
	exit(TOOL_OK);
}

static void take_option(struct options *o, int option, const char *arg)
{
	switch (option) {
	case 'p':
		o->pid = (int)tool_number("-p", arg, 1, 1 << 30);
		break;
	case 'l':
		o->action = LIST;
		break;
	case 's':
		o->action = TOTALS;
		break;
	case 'w':
		o->view.wide = true;
		break;
	case 'y':
		o->skip_first = true;
		break;
	case 'n':
		o->view.once = true;
		break;
	case 't':
		o->view.timestamp = true;
		break;
	case 'S':
		o->view.unit_bytes = unit_bytes(arg);
		break;
	case OPT_JSON:
		o->view.json = true;
		break;
	case OPT_DOCTOR:
		o->action = DOCTOR;
		break;
	case OPT_SWAP:
		o->swap_path = arg;
		break;
	case OPT_DIR:
		o->dir = arg;
		break;
	case OPT_HELP:
	case 'V':
		say_and_exit(option);
		break;
	default:
		usage();
	}
}

/* interval and count, behind the options. */
static void take_operands(struct options *o, int n, char **arg)
{
	if (n > 2 || (n > 0 && o->action != ROWS)) {
		tool_warn("unexpected argument '%s'",
			  arg[o->action == ROWS ? 2 : 0]);
		usage();
	}
	o->count = n > 0 ? UINT64_MAX : 1;
	if (n > 0)
		o->interval_s = tool_real("interval", arg[0], 0.01, 1e6);
	if (n > 1)
		o->count = tool_number("count", arg[1], 1, UINT64_MAX);
	if (n == 0 && o->skip_first)
		tool_die(TOOL_USAGE, "-y needs an interval");
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"doctor", no_argument, NULL, OPT_DOCTOR},
		{"swap", required_argument, NULL, OPT_SWAP},
		{"dir", required_argument, NULL, OPT_DIR},
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "p:lswyntS:V", longs, NULL)) !=
	       -1)
		take_option(o, option, optarg);
	take_operands(o, argc - optind, argv + optind);
}

/* ------------------------------------------------------------------ */
/* Actions								*/

/* Results that did not reach their reader are a failure. */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		tool_warn("writing the output failed: %s", strerror(errno));
		return TOOL_FAILED;
	}
	return status;
}

/* The pids with segments; dies when the directory cannot be read. */
static int list_pids(const char *dir, int **pids)
{
	int n = target_list(dir, pids);

	if (n < 0)
		tool_die(TOOL_TARGET, "%s: %s", dir, strerror(-n));
	return n;
}

/*
 * Opens the next process at or behind pids[*i] that can be read. What is in
 * the way is said if it is ours: a damaged segment, another version. Files
 * of dead processes and of other users are passed over.
 */
static bool next_target(struct target *t, const char *dir, const int *pids,
			int n, int *i)
{
	char reason[SEGMENT_REASON_BYTES];

	for (; *i < n; (*i)++) {
		int error = target_open(t, dir, pids[*i], reason);

		if (error == 0)
			return true;
		if (error == -EPROTO)
			tool_warn("%s", reason);
	}
	return false;
}

static int list(struct options *o)
{
	struct target t;
	struct sample now;
	int *pids, n = list_pids(o->dir, &pids), i, shown = 0;

	for (i = 0; next_target(&t, o->dir, pids, n, &i); i++, shown++) {
		target_sample(&t, &now);
		view_list(&o->view, &t, &now);
		target_close(&t);
	}
	free(pids);
	if (shown)
		return TOOL_OK;
	tool_warn("no process uses libvvm");
	return TOOL_TARGET;
}

/* Opens the only process there is. Several: lists them and ends. */
static void open_only(struct options *o, struct target *t)
{
	struct target other;
	int *pids, n = list_pids(o->dir, &pids), i = 0;

	if (!next_target(t, o->dir, pids, n, &i))
		tool_die(TOOL_TARGET, "no process uses libvvm");
	i++;
	if (next_target(&other, o->dir, pids, n, &i)) {
		list(o);
		fflush(stdout);
		tool_die(TOOL_USAGE, "several processes: choose with -p PID");
	}
	free(pids);
}

static void open_target(struct options *o, struct target *t)
{
	char reason[SEGMENT_REASON_BYTES];

	if (!o->pid)
		open_only(o, t);
	else if (target_open(t, o->dir, o->pid, reason))
		tool_die(TOOL_TARGET, "%s", reason);
}

static int totals(struct options *o)
{
	struct target t;
	struct sample now;

	open_target(o, &t);
	target_sample(&t, &now);
	view_totals(&o->view, &t, &now);
	target_close(&t);
	return TOOL_OK;
}

/* One interval's row. */
static void interval_row(struct options *o, struct target *t,
			 const struct sample *old, const struct sample *now)
{
	struct sample delta;

	sample_delta(&delta, now, old);
	view_row(&o->view, t, &delta, now,
		 (double)(now->at_us - old->at_us) / 1e6, false);
	fflush(stdout);
}

/* The next moment that a row is due; missed ones are skipped. */
static uint64_t next_due(uint64_t due, uint64_t interval_us)
{
	uint64_t now = tool_now_us();

	due += interval_us;
	if (due < now)
		due += (now - due) / interval_us * interval_us;
	return due;
}

/* Prints up to `rows` rows after the sample *last. */
static int watch(struct options *o, struct target *t, struct sample *last,
		 uint64_t rows)
{
	uint64_t interval_us = (uint64_t)(o->interval_s * 1e6);
	uint64_t due = last->at_us;
	struct sample now;
	bool ended = false;

	for (; rows > 0 && !ended && !ferror(stdout); rows--) {
		due = next_due(due, interval_us);
		ended = target_wait(t, due);
		target_sample(t, &now);
		interval_row(o, t, last, &now);
		*last = now;
	}
	if (!ended)
		return TOOL_OK;
	tool_warn("process %d ended", t->pid);
	return TOOL_ENDED;
}

static int rows(struct options *o)
{
	struct target t;
	struct sample last;
	uint64_t left = o->count;
	int status;

	open_target(o, &t);
	target_sample(&t, &last);
	if (!o->skip_first) {
		view_row(&o->view, &t, &last, &last, 0, true);
		fflush(stdout);
		left--;
	}
	status = watch(o, &t, &last, left);
	target_close(&t);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = {.dir = VVM_STAT_DIR};

	tool_init(argv[0]);
	parse(&o, argc, argv);
	switch (o.action) {
	case LIST:
		return finish(list(&o));
	case TOTALS:
		return finish(totals(&o));
	case DOCTOR:
		return finish(doctor_run(o.swap_path, o.view.json));
	default:
		return finish(rows(&o));
	}
}
