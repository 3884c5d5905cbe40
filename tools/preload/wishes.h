/* SPDX-License-Identifier: MIT */
/*
 * wishes.h - what vvmrun wants of the preload object: see wishes.c.
 */
#ifndef VVM_WISHES_H
#define VVM_WISHES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Of the environment. */
#define WISHES_VARIABLE "VVMRUN"
/* From one program to the next, under its filters: see gate.c. */
#define GATE_VARIABLE "VVMRUN_GATE"

enum { WISHES_BYTES = 256, WISHES_REPORT_BYTES = 64 };

struct wishes {
	pid_t pid;	   /* that vvmrun started; 0: somebody else did */
	bool follow;	   /* --follow */
	bool say;	   /* --verbose, --stat: how it is paged, in a line */
	uint64_t mmap_min; /* --mmap; 0: the program's mmaps are left alone */
	/* Abstract socket of the vvmrun that waits, or "". */
	char report[WISHES_REPORT_BYTES];
};

void wishes_format(const struct wishes *w, char text[WISHES_BYTES]);
/* text NULL: no wishes. False: it is damaged, *w holds what came before. */
bool wishes_parse(struct wishes *w, const char *text);

#endif
