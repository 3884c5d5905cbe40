/* SPDX-License-Identifier: MIT */
/* util.h - Ctrl-C, progress on a terminal, medians, reasons. */
#ifndef VVM_BENCH_UTIL_H
#define VVM_BENCH_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

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

/* Why the machine does not permit something; "" while nothing is known. */
struct why {
	char text[256];
};

/* Sets the text. Returns -1, for the caller to pass on. */
int why_not(struct why *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * A file of one short line, as /proc and /sys have them. Reading: the line
 * without its end. 0 or -errno.
 */
int line_read(const char *path, char *line, size_t size);
int line_write(const char *path, const char *line);
/* A number in such a file; 0 when there is none. */
uint64_t line_number(const char *path);
/* The value of a line "name value" or "name: value" of a file, or 0. */
uint64_t line_value(const char *path, const char *name);

/* Sorts the values in place; the median, the mean of the middle two. */
double bench_median(double *values, unsigned n);

#endif
