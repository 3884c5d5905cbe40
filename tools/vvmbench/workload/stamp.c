/* SPDX-License-Identifier: MIT */
/*
 * stamp.c - writing and verifying whole pages: see stamp.h.
 *
 * A page is written from front to back with every word, as a program that
 * fills a page does, and each line has a stamp of its own so that a page of
 * which only a part arrived, or which was put together of two, is seen too.
 */
#include "vvmbench/workload/stamp.h"

#include <string.h>

void stamp_page(uint64_t *words, uint64_t seed, uint64_t page)
{
	uint64_t *line = words;
	unsigned l;

	for (l = 0; l < STAMP_LINES; l++, line += STAMP_LINE_WORDS) {
		line[0] = stamp(seed, page, l);
		memset(line + 1, 0, (STAMP_LINE_WORDS - 1) * sizeof(*line));
	}
	words[stamp_home(page) * STAMP_LINE_WORDS + 1] =
		stamp_counter(seed, page, 0);
}

unsigned stamp_verify(const uint64_t *words, uint64_t seed, uint64_t page)
{
	unsigned l;

	for (l = 0; l < STAMP_LINES; l++)
		if (words[l * STAMP_LINE_WORDS] != stamp(seed, page, l))
			break;
	return l;
}
