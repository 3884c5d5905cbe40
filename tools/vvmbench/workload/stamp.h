/* SPDX-License-Identifier: MIT */
/*
 * stamp.h - what a page of a workload holds, so that any mix-up of
 * pages, stale content or lost write is seen.
 *
 * A page is 64 lines of 8 words. Word 0 of line l of page p is the *stamp*,
 * a hash of p, l and the workload's seed: constant, and nowhere else the
 * same. One line, the *home*, chosen by a hash of p so that homes do not all
 * fall on the same cache set, also has the *counter* in word 1: a tag of p in
 * the upper 24 bits, the number of increments in the lower 40. All other
 * words are zero, or in front of those some that are *noise*, so that the page
 * compresses as much as is wanted.
 */
#ifndef VVM_BENCH_STAMP_H
#define VVM_BENCH_STAMP_H

#include "vvmbench/workload/pattern.h"

enum { STAMP_LINES = 64, STAMP_LINE_WORDS = 8, STAMP_COUNT_BITS = 40 };

#define STAMP_COUNT_MASK (((uint64_t)1 << STAMP_COUNT_BITS) - 1)

static inline uint64_t stamp(uint64_t seed, uint64_t page, unsigned line)
{
	return rng_mix(seed + page * STAMP_LINES + line + 1);
}

static inline unsigned stamp_home(uint64_t page)
{
	return (unsigned)(rng_mix(page) % STAMP_LINES);
}

/* The counter of a page that was incremented count times. */
static inline uint64_t stamp_counter(uint64_t seed, uint64_t page,
				     uint64_t count)
{
	return (stamp(seed, page, STAMP_LINES) & ~STAMP_COUNT_MASK) |
	       (count & STAMP_COUNT_MASK);
}

/* Words of a page that may be noise: not those of stamps and counters. */
enum { STAMP_NOISE_MAX = STAMP_LINES * (STAMP_LINE_WORDS - 2) };

/*
 * How many must be, for LZ4 to make about 1 / ratio of a page of it? From 5.3
 * on, and of 0: none.
 */
unsigned stamp_noise(double ratio);
/* Writes a whole page with a counter of 0, and so many words of noise. */
void stamp_page(uint64_t *words, uint64_t seed, uint64_t page, unsigned noise);
/* The first line with a wrong stamp, or STAMP_LINES. */
unsigned stamp_verify(const uint64_t *words, uint64_t seed, uint64_t page);

#endif
