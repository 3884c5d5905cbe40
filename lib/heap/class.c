/* SPDX-License-Identifier: MIT */
/*
 * heap/class.c - the size classes of small objects, and what their spans
 * look like.
 *
 * Sizes go up in steps of 16 bytes to 256, then in eight steps for each
 * doubling to 32 KiB: at most 12.5 % of an object is padding, 6 % on average.
 * Four steps for a doubling would halve the number of half-filled spans and
 * double that; under paging, padding costs frames for ever.
 *
 * A span is the fewest pages that waste no more than 1/16 at their end, and
 * hold four objects where that is not more than 16 pages. Most classes up to
 * 512 bytes get one page: then an empty span is a free page.
 */
#include "heap/heap.h"

#include <string.h>

#define FINE_CLASSES 16 /* of 16 bytes each */
#define STEPS	     8	/* for each doubling above */

static uint32_t class_bytes(unsigned class)
{
	unsigned top, step;

	if (class < FINE_CLASSES)
		return (class + 1) * 16;
	top = 8 + (class - FINE_CLASSES) / STEPS;
	step = (class - FINE_CLASSES) % STEPS;
	return (STEPS + step + 1) << (top - 3);
}

static bool span_fits(uint32_t bytes, unsigned pages)
{
	uint32_t all = (uint32_t)pages_to_bytes(pages);
	uint32_t count = all / bytes;

	return count >= 4 && (all - count * bytes) * 16 <= all;
}

/* The least waste among spans of at most HEAP_SPAN_PAGES. */
static unsigned span_least_waste(uint32_t bytes)
{
	unsigned pages, best = HEAP_SPAN_PAGES;

	for (pages = HEAP_SPAN_PAGES; pages * PAGE_BYTES >= bytes; pages--)
		if (pages_to_bytes(pages) % bytes * best <
		    pages_to_bytes(best) % bytes * pages)
			best = pages;
	return best;
}

static unsigned span_pages(uint32_t bytes)
{
	unsigned pages;

	for (pages = 1; pages <= HEAP_SPAN_PAGES; pages++)
		if (span_fits(bytes, pages))
			return pages;
	return span_least_waste(bytes);
}

/* 16 KiB of a class, 64 objects, but at least two. */
static unsigned cached_objects(uint32_t bytes)
{
	return MAX(2u, MIN(64u, 16384u / bytes));
}

void heap_classes_init(struct heap_classes *c)
{
	unsigned i;

	c->cached = 0;
	for (i = 0; i < HEAP_CLASSES; i++) {
		struct heap_class_info *info = &c->info[i];

		info->bytes = class_bytes(i);
		info->magic =
			(uint32_t)((((uint64_t)1 << 32) + info->bytes - 1) /
				   info->bytes);
		info->pages = (uint16_t)span_pages(info->bytes);
		info->count =
			(uint16_t)(pages_to_bytes(info->pages) / info->bytes);
		ASSERT(info->count && info->count <= HEAP_SPAN_COUNT);
		info->units =
			(uint16_t)((sizeof(struct span) + info->count + 15) /
				   16);
		info->cached = (uint16_t)cached_objects(info->bytes);
		info->first = c->cached;
		c->cached += info->cached;
	}
}
