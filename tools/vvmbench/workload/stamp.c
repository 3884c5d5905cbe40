/* SPDX-License-Identifier: MIT */
/*
 * stamp.c - writing and verifying whole pages: see stamp.h.
 *
 * A page is written from front to back with every word, as a program that
 * fills a page does, and each line has a stamp of its own so that a page of
 * which only a part arrived, or which was put together of two, is seen too.
 *
 * Compression. A line that has only its stamp takes 12 bytes under LZ4, a word of
 * noise 8 and what it costs that the zeros around it are of another length than
 * those before. How many words make which size was measured, with LZ4 1.9. They
 * are spread over the lines, and of another page, or seed, they are others.
 */
#include "vvmbench/workload/stamp.h"

#include <string.h>

/* A page with so much noise takes so many bytes. */
static const struct {
	unsigned words, bytes;
} measured[] = {{0, 771},    {4, 967},
		{8, 1038},   {16, 1136},
		{32, 1303},  {64, 1624},
		{128, 2201}, {192, 2656},
		{256, 3163}, {STAMP_NOISE_MAX, 3839}};

unsigned stamp_noise(double ratio)
{
	double bytes = ratio > 0 ? 4096 / ratio : 0;
	unsigned i;

	if (bytes <= measured[0].bytes)
		return 0;
	for (i = 1; i < sizeof(measured) / sizeof(measured[0]); i++) {
		unsigned low = measured[i - 1].bytes, high = measured[i].bytes;

		if (bytes < high)
			return measured[i - 1].words +
			       (unsigned)((bytes - low) / (high - low) *
					  (measured[i].words -
					   measured[i - 1].words));
	}
	return STAMP_NOISE_MAX;
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
