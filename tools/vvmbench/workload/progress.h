/* SPDX-License-Identifier: MIT */
/* progress.h - Ctrl-C, and progress on a terminal. */
#ifndef VVM_BENCH_PROGRESS_H
#define VVM_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * From now on the first SIGINT or SIGTERM only makes bench_interrupted()
 * true, so that the sub-command can end early with its report; the second
 * kills as usual.
 */
void bench_catch_interrupts(void);
bool bench_interrupted(void);

/*
 * One line on standard error that is drawn again as the work goes on; silent
 * unless that is a terminal. Used by one thread.
 */
struct progress {
	const char *who, *label;
	uint64_t start_us, drawn_us; /* 0: not drawn */
	bool terminal;
};

/* who: what precedes the label, or NULL */
void progress_start(struct progress *p, const char *who, const char *label);
/* Draws at most ten times a second; total 0: unknown, nothing is drawn. */
void progress_draw(struct progress *p, uint64_t done, uint64_t total);
/* Wipes the line. Returns the microseconds since the start. */
uint64_t progress_end(struct progress *p);

#endif
