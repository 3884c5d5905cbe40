/* SPDX-License-Identifier: MIT */
/* copy.h - what another program is started with, unpaged: see copy.c. */
#ifndef VVM_PRELOAD_COPY_H
#define VVM_PRELOAD_COPY_H

#include <stdbool.h>
#include <stddef.h>

/* What exec takes. */
struct start {
	const char *path;
	char *const *argv, *const *env;
};

/* Can all of it be read that is looked at? Else it is the kernel's to refuse. */
bool start_readable(const struct start *start);
/* How much the copies of what is paged need; 0: nothing is. */
size_t copy_bytes(const struct start *start);
/* => room for so much, aligned for pointers; what is paged is there then. */
void copy_paged(struct start *start, void *room);

#endif
