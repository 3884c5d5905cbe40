/* SPDX-License-Identifier: MIT */
/* report.h - what a program that has ended has used. */
#ifndef VVM_RUN_REPORT_H
#define VVM_RUN_REPORT_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/target.h"

struct report {
	char *const *argv;
	uint64_t start_us;
	struct target *process; /* that was paged, in the order of calling */
	unsigned processes;
};

/* Time runs from here. */
void report_begin(struct report *r, char *const *argv);
/* A process has opened its space. */
void report_add(struct report *r, pid_t pid);
/* Everything, in lines like those of time(1). status: of waitpid(2). */
void report_print(struct report *r, FILE *out, int status);

#endif
