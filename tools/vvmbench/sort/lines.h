/* SPDX-License-Identifier: MIT */
/* lines.h - index entries of lines. Pure: no paging, no threads. */
#ifndef VVM_BENCH_LINES_H
#define VVM_BENCH_LINES_H

#include <stddef.h>
#include <stdint.h>

/* A line, as the index has it. */
struct line {
	uint64_t prefix; /* its first 8 bytes, the first the most significant */
	uint32_t start;	 /* offset in its chunk's text; void in a run */
	uint32_t len;	 /* bytes, without the newline */
};

/* The index entry of a text. */
struct line line_make(const char *text, uint32_t start, uint32_t len);
/* <0, 0, >0: as memcmp() of the lines; a and b are their texts. */
int line_compare(const char *a, const struct line *x, const char *b,
		 const struct line *y);
/*
 * Sorts n lines of one text by merging from a to b and back; returns the one
 * of the two arrays that holds the result.
 */
struct line *lines_sort(const char *text, struct line *a, struct line *b,
			size_t n);

#endif
