/* SPDX-License-Identifier: MIT */
/*
 * sampler.h - looks at the threads of a process that wait for pages: sampler.c.
 */
#ifndef VVM_SAMPLER_H
#define VVM_SAMPLER_H

#include <stdbool.h>

#include "vvmstat/sites.h"

struct sampler_task;

struct sampler {
	int pid;
	struct sampler_task *task;
	unsigned tasks;
	uint64_t last_us;   /* of the last look; 0: none yet */
	uint64_t next_us;   /* when to look again */
	uint64_t listed_us; /* when the threads were last listed */
	uint64_t random;
	bool denied; /* we may not look at them */
	bool many;   /* there are more than are looked at */
};

void sampler_init(struct sampler *s, int pid);
void sampler_fini(struct sampler *s);
/*
 * Looks at each thread once: to the code where it waits for a page goes the time
 * since the last look.
 */
void sampler_look(struct sampler *s, struct site_map *to);

/* The code address in the text of /proc/PID/task/TID/syscall; 0: it runs. */
uint64_t sampler_parse(const char *text);

#endif
