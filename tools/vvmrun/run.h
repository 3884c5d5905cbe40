/* SPDX-License-Identifier: MIT */
/* run.h - the parts of vvmrun: see vvmrun.c. */
#ifndef VVM_RUN_H
#define VVM_RUN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* As env(1), nohup(1), nice(1): what is not the program's own status. */
enum { RUN_FAILED = 125, RUN_NOT_RUN = 126, RUN_NOT_FOUND = 127 };

/* For the preload object. */
#define RUN_VARIABLE "VVMRUN"

/* What is wanted. (i) once the command line is read. */
struct run {
	char **argv;	   /* of the program */
	uint64_t mmap_min; /* 0: no --mmap */
	bool follow, verbose;
	double stat_s;	     /* 0: no --stat */
	const char *output;  /* file for what --verbose says; NULL: stderr */
	char report[32];     /* name of our socket, "": none */
	char path[PATH_MAX]; /* of the program */
};

/*
 * Finds the program as execvp(3) would and checks that the dynamic loader will
 * put us into it. Exits with a message when not.
 */
void run_find_program(struct run *r);
/* Puts PRELOAD_VARIABLE into the environment, with our own pid. */
void run_set_wishes(const struct run *r);
/* Becomes the program. */
_Noreturn void run_exec(const struct run *r);
/* Runs it as a child and reports. Returns its exit status, or dies as it. */
int run_and_wait(struct run *r);

#endif
