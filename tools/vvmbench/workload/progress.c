/* SPDX-License-Identifier: MIT */
/*
 * progress.c - Ctrl-C, and progress on a terminal.
 *
 * Someone who interrupts a benchmark after a minute wants the minute's
 * figures. So the first signal sets a flag that every loop looks at, and the
 * default action is put back for a second one: nothing that hangs can keep a
 * user from ending it. The flag must be a global; a signal handler has no
 * context.
 */
#include "vvmbench/workload/progress.h"

#include "common/tool.h"

#include <signal.h>
#include <stdio.h>
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

void progress_start(struct progress *p, const char *who, const char *label)
{
	p->who = who ? who : "";
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
	fprintf(stderr, "\r\033[K%s%s: %3.0f %%, %.0f s ", p->who, p->label,
		100.0 * (double)done / (double)total,
		(double)(now - p->start_us) / 1e6);
}

uint64_t progress_end(struct progress *p)
{
	if (p->drawn_us)
		fputs("\r\033[K", stderr);
	return tool_now_us() - p->start_us;
}
