/* SPDX-License-Identifier: MIT */
/*
 * support/statview.h - runs the built vvmstat (environment VVMSTAT, default
 * ./vvmstat) on segments that a test makes with lib/stat.
 *
 * Other programs may have segments in /dev/shm at the same time, so each
 * test has a directory of its own there (--dir), into which the segment of
 * its process is hard-linked: the same file, alone.
 */
#ifndef VVM_STATVIEW_H
#define VVM_STATVIEW_H

#include <stdio.h>

#include "stat/stat.h"

extern struct stats st;
extern struct vvm_stat_actor *writer;
extern char dir[];			   /* that of the test */
extern char out[1 << 18], errors[1 << 16]; /* what vvmstat printed */

/* dir/vvm-stat.<pid>.<n> in a static buffer. */
const char *in_dir(int pid, unsigned n);

/*
 * Removes what the test made. Also at exit: a test that fails never comes to
 * its teardown.
 */
void view_teardown(void);

void view_setup(void);
void stat_latency(struct vvm_stat_actor *a, uint64_t ns);
void slurp(const char *name, char *buf, size_t size);
const char *tool(void);
/*
 * Runs vvmstat with the arguments (printf-like); fills out and errors and
 * returns the exit status, or 128 + the signal.
 */
int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

unsigned lines(const char *text);
/* The number of a key in the first object of the text; -1: not there. */
double number(const char *json, const char *key);

/* Starts vvmstat in the background; its standard output. */
FILE *start(const char *args, int pid);

const char *next_line(FILE *f);

#define assert_contains(text, part) \
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text)

#endif
