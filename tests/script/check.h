/* SPDX-License-Identifier: MIT */
/*
 * script/check.h - for guests of vvmrun that run in 2 MiB: what ends them, and how
 * much memory they use. A header alone, as pattern.h.
 */
#ifndef VVM_SCRIPT_CHECK_H
#define VVM_SCRIPT_CHECK_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define CHECK(what)                                                        \
	do {                                                               \
		if (!(what)) {                                             \
			fprintf(stderr, "guest: line %d: %s (errno %d)\n", \
				__LINE__, #what, errno);                   \
			_exit(1);                                          \
		}                                                          \
	} while (0)

#define MIB   ((size_t)1 << 20)
#define LARGE (2 * MIB) /* twice the budget */

#endif
