/* SPDX-License-Identifier: MIT */
/*
 * vvmstat.c - shows what libvvm does in a running process, in rows like
 * vmstat's.
 *
 * It reads the statistics segment that every open space publishes and never
 * talks to the process: attaching costs the process nothing and works when
 * it hangs. This file chooses the process and loops over intervals; the
 * command line is in cli.c. How a segment is read without trusting it is in
 * common/segment.c, how a process is followed in common/target.c, what the
 * numbers become in common/sample.c and column.c, and what is printed of them in
 * view_rows.c, view_list.c, view_tables.c, view_trace.c and view_sites.c.
 *
 * Time. Rows are due at fixed moments (start + n * interval), so that they
 * do not drift by the time that printing takes; rates use the time that
 * really passed. When we were stopped for longer than an interval, the rows
 * that were missed are skipped, not printed in a burst.
 *
 * The end of the process cuts an interval short: its row is still printed,
 * from the last numbers, and the exit status says that the target ended.
 *
 * Ctrl-C ends a series of rows with their average, and closes the document of
 * -o JSON; SIGTERM does the latter only. Both arrive through a signalfd, as
 * one more thing to wait for, so nothing runs in a signal handler.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "common/tool.h"
#include "vvmstat/cli.h"
#include "vvmstat/doctor.h"
#include "vvmstat/launch.h"
#include "vvmstat/openmetrics.h"
#include "vvmstat/top.h"
#include "vvmstat/view_list.h"
#include "vvmstat/view_rows.h"
#include "vvmstat/view_sites.h"
#include "vvmstat/view_tables.h"
#include "vvmstat/view_trace.h"

/*
 * Waits for the program of -e. Results that did not reach their reader are a
 * failure.
 */
static int finish(const struct options *o, int status)
{
	if (o->program && status != TOOL_FAILED)
		status = launch_end(o->pid);
	if (fflush(stdout) || ferror(stdout)) {
		tool_warn("writing the output failed: %s", strerror(errno));
		return TOOL_FAILED;
	}
	return status;
}

/* ------------------------------------------------------------------ */
/* Choosing the process							*/

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
	view_end(&o->view);
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

/* Starts the program of -e and waits for its space. */
static void open_launched(struct options *o, struct target *t)
{
	o->pid = launch(o->program, o->action == ACTION_TOP);
	if (launch_attach(t, o->dir, o->pid))
		return;
	launch_end(o->pid);
	tool_die(TOOL_TARGET, "%s had no paged memory", o->program[0]);
}

static void open_copy(struct options *o, unsigned i, struct target *t)
{
	char reason[SEGMENT_REASON_BYTES];

	if (target_open_copy(t, o->file[i], reason))
		tool_die(TOOL_TARGET, "%s: %s", o->file[i], reason);
}

static void open_target(struct options *o, struct target *t)
{
	char reason[SEGMENT_REASON_BYTES];

	if (o->files)
		open_copy(o, o->files - 1, t);
	else if (o->program)
		open_launched(o, t);
	else if (!o->pid)
		open_only(o, t);
	else if (target_open(t, o->dir, o->pid, reason))
		tool_die(TOOL_TARGET, "%s", reason);
}

/* ------------------------------------------------------------------ */
/* Views of one moment							*/

static int totals(struct options *o)
{
	struct target t;
	struct sample now;

	open_target(o, &t);
	target_sample(&t, &now);
	view_totals(&o->view, &t, &now);
	view_end(&o->view);
	target_close(&t);
	return TOOL_OK;
}

/* Takes the numbers of one process into a source. */
static void take_source(struct metric_source *s, struct target *t)
{
	s->pid = t->pid;
	memcpy(s->command, t->command, sizeof(s->command));
	target_sample(t, &s->now);
	target_close(t);
}

/* All processes, or the one of -p. None is not an error: nothing runs. */
static int openmetrics(struct options *o)
{
	struct metric_source *source;
	struct target t;
	int *pids = NULL, n = 1, i = 0;
	unsigned sources = 0;

	if (!o->pid && !o->files)
		n = list_pids(o->dir, &pids);
	source = calloc((size_t)n + 1, sizeof(*source));
	if (!source)
		tool_die(TOOL_FAILED, "out of memory");
	if (o->pid || o->files) {
		open_target(o, &t);
		take_source(&source[sources++], &t);
	} else {
		for (; next_target(&t, o->dir, pids, n, &i); i++)
			take_source(&source[sources++], &t);
	}
	openmetrics_print(stdout, source, sources);
	free(source);
	free(pids);
	return TOOL_OK;
}

/* ------------------------------------------------------------------ */
/* Intervals								*/

/* Readable when the user wants an end. */
static int interrupts_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	return fd;
}

static int interrupts_signal(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info)
		       ? (int)info.ssi_signo
		       : SIGINT;
}

/* Does the view show where pages lie? That takes longer to read. */
static bool needs_layout(const struct options *o)
{
	return o->action == ACTION_REGIONS || o->action == ACTION_HEAT ||
	       o->action == ACTION_MAP;
}

static void take_moment(struct options *o, struct target *t, struct moment *now)
{
	target_sample(t, &now->sample);
	if (needs_layout(o) && layout_read(&now->layout, t))
		tool_die(TOOL_FAILED, "out of memory");
}

static void keep_moment(struct moment *old, struct moment *now)
{
	old->sample = now->sample;
	layout_keep(&old->layout, &now->layout);
}

static void show_row(struct options *o, struct target *t,
		     const struct sample *old, const struct sample *now,
		     enum row_kind kind)
{
	struct sample delta;

	sample_delta(&delta, now, old);
	view_row(&o->view, t, &delta, now,
		 (double)(now->at_us - old->at_us) / 1e6, kind);
}

/* Shows what happened since *old. */
static void show(struct options *o, struct target *t, const struct moment *old,
		 const struct moment *now, enum row_kind kind)
{
	switch (o->action) {
	case ACTION_HISTOGRAMS:
		view_histograms(&o->view, t, old, now);
		break;
	case ACTION_REGIONS:
		view_regions(&o->view, t, old, now);
		break;
	case ACTION_HEAT:
		view_heat(&o->view, t, old, now);
		break;
	case ACTION_MAP:
		view_map(&o->view, t, now);
		break;
	default:
		show_row(o, t, &old->sample, &now->sample, kind);
	}
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

/* Why the rows ended: an exit status. `now` is the last sample. */
static int explain_end(struct options *o, struct target *t,
		       enum target_event event, int wake_fd,
		       const struct sample *first, const struct sample *now)
{
	if (event == TARGET_ENDED) {
		if (!o->program)
			tool_warn("process %d ended", t->pid);
		return TOOL_ENDED;
	}
	if (event == TARGET_WOKEN && interrupts_signal(wake_fd) == SIGINT &&
	    o->action == ACTION_ROWS)
		show_row(o, t, first, now, ROW_AVERAGE);
	return TOOL_OK;
}

/* Shows up to `rows` intervals after the moment *last. */
static int watch(struct options *o, struct target *t, struct moment *last,
		 uint64_t rows, int wake_fd)
{
	uint64_t interval_us = (uint64_t)(o->interval_s * 1e6);
	uint64_t due = last->sample.at_us;
	struct sample first = last->sample;
	struct moment now = {.sample = first};
	enum target_event event = TARGET_DUE;

	for (; rows > 0 && event == TARGET_DUE && !ferror(stdout); rows--) {
		due = next_due(due, interval_us);
		event = target_wait(t, due, wake_fd);
		take_moment(o, t, &now);
		if (event == TARGET_WOKEN)
			break;
		show(o, t, last, &now, ROW_INTERVAL);
		keep_moment(last, &now);
	}
	layout_free(&now.layout);
	return explain_end(o, t, event, wake_fd, &first, &now.sample);
}

/* One row, table or picture at each interval. */
static int series(struct options *o)
{
	static const struct moment start; /* nothing happened yet */
	struct target t;
	struct moment first = {.layout = {.regions = 0}};
	uint64_t left = o->count;
	int status, wake_fd = interrupts_open();

	open_target(o, &t);
	take_moment(o, &t, &first);
	if (!o->skip_first) {
		show(o, &t, &start, &first, ROW_SINCE_START);
		left--;
	}
	status = watch(o, &t, &first, left, wake_fd);
	layout_free(&first.layout);
	view_end(&o->view);
	target_close(&t);
	return status;
}

static int trace(struct options *o)
{
	int status, wake_fd = interrupts_open();
	struct target t;

	open_target(o, &t);
	status = view_trace(&o->view, &t, &o->filter, o->interval_s, o->count,
			    wake_fd);
	view_end(&o->view);
	target_close(&t);
	return status;
}

static int sites(struct options *o)
{
	int status, wake_fd = interrupts_open();
	struct target t;

	open_target(o, &t);
	status = view_sites(&o->view, &t, o->interval_s, o->count,
			    o->program != NULL, wake_fd);
	view_end(&o->view);
	target_close(&t);
	return status;
}

/* The same with copies of the past: each is a moment. */
static int series_of_copies(struct options *o)
{
	struct moment old = {.sample = {.at_us = 0}}, now = old;
	struct target t;
	unsigned i;

	for (i = 0; i < o->files; i++) {
		open_copy(o, i, &t);
		take_moment(o, &t, &now);
		if (i > 0 || !o->skip_first)
			show(o, &t, &old, &now,
			     i ? ROW_INTERVAL : ROW_SINCE_START);
		keep_moment(&old, &now);
		target_close(&t);
	}
	layout_free(&old.layout);
	layout_free(&now.layout);
	view_end(&o->view);
	return TOOL_OK;
}

static int top(struct options *o)
{
	struct target t;
	int status;

	open_target(o, &t);
	status = top_run(&o->view, &t, o->interval_s);
	target_close(&t);
	return status;
}

int main(int argc, char **argv)
{
	struct options o;

	tool_init(argv[0], TOOL_USAGE);
	cli_parse(&o, argc, argv);
	switch (o.action) {
	case ACTION_LIST:
		return finish(&o, list(&o));
	case ACTION_TOTALS:
		return finish(&o, totals(&o));
	case ACTION_OPENMETRICS:
		return finish(&o, openmetrics(&o));
	case ACTION_TRACE:
		return finish(&o, trace(&o));
	case ACTION_DOCTOR:
		return finish(&o,
			      doctor_run(o.swap_path, o.dir, &o.view.output));
	case ACTION_TOP:
		return finish(&o, top(&o));
	case ACTION_SITES:
		return finish(&o, sites(&o));
	default:
		return finish(&o, o.files ? series_of_copies(&o) : series(&o));
	}
}
