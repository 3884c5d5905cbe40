/* SPDX-License-Identifier: MIT */
/* program.h - the program that is to be paged: found, and become. */
#ifndef VVM_RUN_PROGRAM_H
#define VVM_RUN_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "preload/wishes.h"

/* As env(1), nohup(1), nice(1): what is not the program's own status. */
enum { RUN_FAILED = 125, RUN_NOT_RUN = 126, RUN_NOT_FOUND = 127 };

/* What is wanted. (i) once the command line is read. */
struct run {
	char **argv;	      /* of the program */
	struct wishes wishes; /* but for the pid */
	bool verbose;
	double stat_s;	     /* 0: no --stat */
	const char *output;  /* file for what --verbose says; NULL: stderr */
	char path[PATH_MAX]; /* of the program */
};

/*
 * Finds the program as execvp(3) would and checks that the dynamic loader will
 * put the preload object into it. Exits with a message when not.
 */
void run_find_program(struct run *r);
/* Becomes the program, whose process is the calling one. */
_Noreturn void run_exec(const struct run *r);

#endif
