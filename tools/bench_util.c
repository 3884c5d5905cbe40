/* SPDX-License-Identifier: MIT */
/*
 * bench_util.c - Ctrl-C, progress on a terminal, medians.
 *
 * Someone who interrupts a benchmark after a minute wants the minute's
 * figures. So the first signal sets a flag that every loop looks at, and the
 * default action is put back for a second one: nothing that hangs can keep a
 * user from ending it. The flag must be a global; a signal handler has no
 * context.
 */
#include "bench_util.h"

#include "tool.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { DRAW_US = 100000 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = 1;
}

void bench_catch_interrupts(void)
{
	struct sigaction sa = {.sa_handler = on_signal,
			       .sa_flags = SA_RESTART | SA_RESETHAND};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

bool bench_interrupted(void)
{
	return interrupted;
}

void progress_start(struct progress *p, const char *label)
{
	p->label = label;
	p->start_us = tool_now_us();
	p->drawn_us = 0;
	p->terminal = isatty(STDERR_FILENO);
}

void progress_draw(struct progress *p, uint64_t done, uint64_t total)
{
	uint64_t now;

	if (!p->terminal || !total)
		return;
	now = tool_now_us();
	if (now - p->drawn_us < DRAW_US)
		return;
	p->drawn_us = now;
	fprintf(stderr, "\r%s: %3.0f %%, %.0f s ", p->label,
		100.0 * (double)done / (double)total,
		(double)(now - p->start_us) / 1e6);
}

uint64_t progress_end(struct progress *p)
{
	if (p->drawn_us)
		fputs("\r\033[K", stderr);
	return tool_now_us() - p->start_us;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n)
{
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), compare_doubles);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}
