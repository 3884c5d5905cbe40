/* SPDX-License-Identifier: MIT */
/*
 * door/bounce.h - memory of ours that stands for the program's in one system
 * call: door/bounce.c. => signals blocked.
 */
#ifndef VVM_DOOR_BOUNCE_H
#define VVM_DOOR_BOUNCE_H

#include <stdatomic.h>
#include "base.h"

/* A name, some structures, a line of text: most calls. */
#define BOUNCE_SMALL 768
/* What a chunk holds, and a piece of a long transfer. */
#define BOUNCE_BYTES ((size_t)1 << 20)

struct bounce_chunk;

/* Of one call, on the stack of who makes it. */
struct bounce {
	_Atomic uint64_t cookie; /* as long as the call lasts */
	char *at, *end;		 /* free in what was taken last */
	struct bounce_chunk *chunks;
	char small[BOUNCE_SMALL] __attribute__((aligned(CACHE_LINE)));
};

void bounce_begin(struct bounce *b);
void bounce_end(struct bounce *b);
/*
 * Memory until bounce_end(), not zeroed and not paged. Its alignment is that of
 * `like`, as far as a device could want it. NULL: out of memory.
 */
void *bounce_take(struct bounce *b, size_t bytes, haddr_t like);
/* The same; the page behind it cannot be accessed. */
void *bounce_take_at_edge(struct bounce *b, size_t bytes);
/* Memory until bounce_end(), page aligned, that nobody gets before or after. */
void *bounce_take_apart(struct bounce *b, size_t bytes);
/* What is taken next is there, as far as it fits: memory of a call around. */
void bounce_lend(struct bounce *b, void *memory, size_t bytes);

/* Chunks that exist, and those that are not in use; for tests. */
unsigned bounce_chunks(unsigned *spare);

#endif
