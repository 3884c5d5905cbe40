/* SPDX-License-Identifier: MIT */
/*
 * script/absent.h - memory that is not there, for guests of vvmrun: it is paged,
 * and other memory has pushed it out. A header alone, as pattern.h.
 */
#ifndef VVM_SCRIPT_ABSENT_H
#define VVM_SCRIPT_ABSENT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "script/check.h"

#define PIECE ((size_t)4096)

static char *arena, *filler;
static size_t arena_used;

/* Of the second half of a block that is paged in all modes, on its own pages. */
static inline void *piece(size_t bytes)
{
	char *p = arena + MIB + arena_used;

	arena_used += (bytes + 2 * PIECE - 1) & -PIECE;
	CHECK(arena_used <= MIB);
	return (char *)(((uintptr_t)p + PIECE - 1) & -PIECE);
}

static inline char *text(const char *from)
{
	return strcpy(piece(strlen(from) + 1), from);
}

/* Pushes all else out, with pages that need not be read before. */
static inline void push_out(void)
{
	char *first = (char *)(((uintptr_t)filler + PIECE - 1) & -PIECE);
	size_t i;
	int round;

	for (round = 0; round < 2; round++) {
		CHECK(!madvise(first, LARGE - PIECE, MADV_DONTNEED));
		for (i = 0; i < LARGE; i += 512)
			filler[i]++;
	}
}

static inline void begin(void)
{
	arena = malloc(2 * MIB);
	filler = calloc(1, LARGE);
	CHECK(arena && filler);
	memset(arena, 'a', 2 * MIB);
	push_out();
}

static inline void use_memory(void)
{
	size_t i;

	for (i = 0; i < MIB; i += PIECE)
		CHECK(arena[i] == 'a');
	push_out();
}

#endif
