/* SPDX-License-Identifier: MIT */
/* sorter.h - what is sorted, and where: the theory is in sort.c. */
#ifndef VVM_BENCH_SORTER_H
#define VVM_BENCH_SORTER_H

#include "vvmbench/sort/lines.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <vvm.h>

/* Text that one thread sorts at a time; sorted, the same range is a run. */
struct chunk {
	uint64_t text, text_end; /* offsets in the text */
	uint64_t line, line_end; /* in the index */
};

/* A place for the whole text and its index, in paged memory. */
struct side {
	char *text;
	struct line *lines;
};

struct sorter {
	struct vvm *vm;
	struct side side[2];
	uint64_t text_max_bytes;	 /* what the areas hold */
	uint64_t text_bytes, line_count; /* read so far */
	uint64_t chunk_bytes;	 /* most that sorting a chunk shall touch */
	uint64_t resident_bytes; /* the budget */
	unsigned threads;	 /* that sort chunks */
	unsigned fan_in;	 /* runs that one merge reads, at most */
	struct chunk *chunks;	 /* in ordinary memory: a few hundred */
	size_t chunk_count, chunk_room;
	_Atomic size_t next_chunk;
	_Atomic uint64_t done_bytes;
};

#endif
