/* SPDX-License-Identifier: MIT */
/* sort.h - the parts of `vvmbench sort`: the theory is in sort.c.
 */
#ifndef VVM_BENCH_SORT_H
#define VVM_BENCH_SORT_H

#include "vvmbench/sort/lines.h"
#include "vvmbench/workload/util.h"

#include <stdatomic.h>
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

/*
 * Appends a file ("-": standard input), with the newline that its last line
 * may lack, to the text and index of side 0, and cuts it into chunks. Exits
 * TOOL_FAILED when it cannot be read or has no room.
 */
void sort_load(struct sorter *s, const char *path, struct progress *p,
	       uint64_t expected_bytes);
/* Turns every chunk of side 0 into a run of side 1. */
void sort_make_runs(struct sorter *s, struct progress *p);
/*
 * Merges all runs, from side 1, into the descriptor: in one pass, or in
 * several through both sides when there are more runs than fan_in. Returns
 * the number of passes; exits TOOL_FAILED when out cannot be written.
 */
unsigned sort_merge(struct sorter *s, int out, struct progress *p);

/*
 * [mark, at) has been consumed: once it holds step_bytes of whole pages,
 * gives them back. Returns the new mark. The pages at the ends, which may be
 * shared with a neighbour, are kept.
 */
const char *sort_release(const struct sorter *s, const char *mark,
			 const char *at, uint64_t step_bytes);
/* [start, start + len) is read soon: brings it in, without waiting. */
void sort_will_need(const struct sorter *s, const char *start, uint64_t len);

#endif
