/* SPDX-License-Identifier: MIT */
/*
 * sim/files.h - descriptors: event counters, pipes, polls.
 */
#ifndef SIM_FILES_H
#define SIM_FILES_H

#include "sim/kernel.h"

/* The entry of a descriptor of this process. */
struct sim_file *sim_file(int fd);
/* Makes the entry of a new one. */
struct sim_file *sim_file_new(int fd, enum sim_file_kind kind);
/* Is one of those that t polls readable? */
bool sim_any_readable(const struct sim_thread *t);
bool sim_readable(int proc, int fd);
/* Would the call fail? 0, or an -errno that it may return; a point. */
int sim_call(unsigned point);

#endif
