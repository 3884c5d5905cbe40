/* SPDX-License-Identifier: MIT */
/*
 * script/pattern.h - what the guests of vvmrun fill memory with. A header alone:
 * a guest is linked with nothing but the C library.
 */
#ifndef VVM_SCRIPT_PATTERN_H
#define VVM_SCRIPT_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* bytes: a multiple of 8. No two seeds have a word in common in one place. */
static inline void fill(char *p, size_t bytes, unsigned seed)
{
	size_t i;

	for (i = 0; i < bytes / 8; i++)
		((uint64_t *)p)[i] = (i + seed) * 0x9e3779b97f4a7c15u;
}

static inline int same(const char *p, size_t bytes, unsigned seed)
{
	size_t i;

	for (i = 0; i < bytes / 8; i++)
		if (((uint64_t *)p)[i] != (i + seed) * 0x9e3779b97f4a7c15u)
			return 0;
	return 1;
}

#endif
