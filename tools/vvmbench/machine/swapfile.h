/* SPDX-License-Identifier: MIT */
/* swapfile.h - a swap file of our own. */
#ifndef VVM_BENCH_SWAPFILE_H
#define VVM_BENCH_SWAPFILE_H

#include "vvmbench/machine/journal.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct swapfile {
	int fd; /* -1: not made */
	char path[PATH_MAX];
};

/* What mkswap(8) writes: page is zeroed memory of page_bytes. */
void swapfile_header(void *page, size_t page_bytes, uint64_t pages);
/*
 * Makes and notes a file in a directory, with room for the bytes, every block
 * of it written. Stops with a reason when stop(arg) says so. 0 or -1.
 */
int swapfile_make(struct swapfile *s, struct journal *j, const char *directory,
		  uint64_t bytes, bool (*stop)(const void *arg),
		  const void *arg, struct why *why);
/* Notes, and has the kernel swap to it before any other area. 0 or -1. */
int swapfile_on(const struct swapfile *s, struct journal *j, struct why *why);
/* Lets go of it; it is the journal that removes it. */
void swapfile_close(struct swapfile *s);

#endif
