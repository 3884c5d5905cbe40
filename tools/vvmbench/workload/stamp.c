/* SPDX-License-Identifier: MIT */
/*
 * stamp.c - writing and verifying whole pages: see stamp.h.
 *
 * A page is written from front to back with every word, as a program that
 * fills a page does, and each line has a stamp of its own so that a page of
 * which only a part arrived, or which was put together of two, is seen too.
 *
 * Compression. LZ4 makes 12 bytes of a line that has only its stamp: 8 are as
 * they are, and the zeros are a copy of those before them. Each word of noise
 * adds 8, so (4096 / ratio - 64 * 12) / 8 of them make the ratio. They are
 * spread over the lines, and of another page, or seed, they are others.
 */
#include "vvmbench/workload/stamp.h"

#include <string.h>

#define LINE_BYTES 12.0 /* compressed, without noise */

unsigned stamp_noise(double ratio)
{
	double words;

	if (ratio <= 0)
		return 0;
	words = (4096 / ratio - STAMP_LINES * LINE_BYTES) / 8;
	if (words <= 0)
		return 0;
	return words < STAMP_NOISE_MAX ? (unsigned)words : STAMP_NOISE_MAX;
}

/* Line l's share of the noise. */
static unsigned share(unsigned noise, unsigned l)
{
	return noise * (l + 1) / STAMP_LINES - noise * l / STAMP_LINES;
}

void stamp_page(uint64_t *words, uint64_t seed, uint64_t page, unsigned noise)
{
	uint64_t *line = words;
	unsigned l, i, n;

	for (l = 0; l < STAMP_LINES; l++, line += STAMP_LINE_WORDS) {
		line[0] = stamp(seed, page, l);
		line[1] = 0;
		n = share(noise, l);
		for (i = 0; i < n; i++)
			line[2 + i] = rng_mix(line[0] + i + 1);
		memset(line + 2 + n, 0,
		       (STAMP_LINE_WORDS - 2 - n) * sizeof(*line));
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
