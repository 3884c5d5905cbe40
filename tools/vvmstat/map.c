/* SPDX-License-Identifier: MIT */
/*
 * map.c - which pages share a cell, and what colour it gets.
 *
 * What is shown are *extents*: regions, cut where nothing was touched for more
 * than GAP_BYTES. A heap may map far more addresses than it will ever use, and
 * a map of those would be one grey field. Every extent begins on a line of its
 * own, and all cells stand for the same number of pages: the smallest round
 * number with which everything fits. When there are more extents than lines,
 * the smallest are left out; they are counted, so that a view can say so.
 *
 * A cell whose pages are of one state has that state. Others are dithered:
 * each cell has a threshold, evenly spread over its neighbours (multiples of
 * the golden ratio), and shows the state that the threshold meets when its
 * pages are lined up by state. So an area with a quarter of its pages
 * resident shows a quarter of its cells so, whatever the scale, and a cell
 * changes only when its pages do. (The state of most pages would paint such
 * an area as if nothing were resident.) A poisoned page shows however few
 * they are, because one is bad enough.
 */
#include "vvmstat/map.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((uint64_t)VVM_STAT_BLOCK_PAGES * VVM_STAT_PAGE_BYTES)
#define GAP_BYTES   (32 * BLOCK_BYTES)

static bool is_wanted(const struct layout_region *r, const char *wanted)
{
	char *end;
	uint64_t address;

	if (!wanted || !*wanted || !strcmp(r->name, wanted))
		return true;
	address = strtoull(wanted, &end, 16);
	return !*end && address >= r->start && address < r->end;
}

/* A part of a region that is worth showing. */
struct extent {
	const struct layout_region *region;
	uint64_t start, end;
};

struct extents {
	struct extent *item;
	size_t count, room;
	bool failed; /* out of memory */
};

static uint64_t extent_pages(const struct extent *e)
{
	return (e->end - e->start) / VVM_STAT_PAGE_BYTES;
}

static void add_extent(struct extents *list, const struct layout_region *r,
		       uint64_t start, uint64_t end)
{
	struct extent *grown;

	if (list->count == list->room) {
		list->room = 2 * list->room + 16;
		grown = realloc(list->item, list->room * sizeof(*grown));
		list->failed = !grown;
		if (!grown) {
			list->room = list->count;
			return;
		}
		list->item = grown;
	}
	list->item[list->count++] = (struct extent){r, start, end};
}

/*
 * Cuts a region at its long untouched stretches. `block` is its first block
 * of the layout, or a later one.
 */
static void cut_region(struct extents *list, const struct layout *l,
		       const struct layout_region *r, size_t block)
{
	uint64_t start = r->start, end = r->start; /* of what is kept */

	for (; block < l->blocks && !list->failed; block++) {
		const struct layout_block *b = &l->block[block];

		if (b->space != r->space || b->base >= r->end)
			break;
		if (b->base > end && b->base - end > GAP_BYTES) {
			if (end > start)
				add_extent(list, r, start, end);
			start = b->base;
		}
		end = b->base + BLOCK_BYTES;
	}
	if (end > r->end || r->end - end <= GAP_BYTES)
		end = r->end;
	if (end > start)
		add_extent(list, r, start, end);
}

static int compare_sizes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* Keeps the largest, at most `lines`, in their order. */
static void keep_largest(struct map *m, struct extents *list, unsigned lines)
{
	uint64_t *sizes, least;
	size_t i, kept = 0;

	if (list->count <= lines)
		return;
	sizes = calloc(list->count, sizeof(*sizes));
	list->failed = !sizes;
	if (!sizes)
		return;
	for (i = 0; i < list->count; i++)
		sizes[i] = extent_pages(&list->item[i]);
	qsort(sizes, list->count, sizeof(*sizes), compare_sizes);
	least = sizes[lines - 1];
	free(sizes);
	for (i = 0; i < list->count && kept < lines; i++)
		if (extent_pages(&list->item[i]) >= least)
			list->item[kept++] = list->item[i];
	m->left_out = (unsigned)(list->count - kept);
	list->count = kept;
}

/* What is shown of the wanted regions; counts their pages. */
static void choose(struct map *m, struct extents *list, const struct layout *l,
		   const char *wanted, unsigned lines)
{
	size_t i;
	unsigned k;

	for (i = 0; i < l->regions && !list->failed; i++) {
		const struct layout_region *r = &l->region[i];

		if (!is_wanted(r, wanted))
			continue;
		cut_region(list, l, r, layout_first_block(l, r));
		for (k = 0; k < LAYOUT_STATES; k++)
			m->pages[k] += r->pages[k];
	}
	if (!list->failed)
		keep_largest(m, list, lines);
	m->extents = (unsigned)list->count;
}

/* 1, 2, 3, 4, 6, 8, 12, 16, ...: steps small enough to use the lines. */
static uint64_t next_scale(uint64_t pages)
{
	if (pages == 1)
		return 2;
	return pages & (pages - 1) ? pages / 3 * 4 : pages / 2 * 3;
}

/* The scale with which all of them fit. */
static void fit(struct map *m, const struct extents *list, unsigned lines)
{
	uint64_t needed;
	size_t i;

	for (m->cell_pages = 1;; m->cell_pages = next_scale(m->cell_pages)) {
		uint64_t line_pages = m->cell_pages * m->columns;

		for (needed = 0, i = 0; i < list->count && needed <= lines; i++)
			needed += (extent_pages(&list->item[i]) + line_pages -
				   1) /
				  line_pages;
		if (needed <= lines)
			break;
	}
	m->lines = (unsigned)needed;
}

/* Where cell number n draws the line between its states, from 0 to 1. */
static double threshold(uint64_t n)
{
	double x = (double)(n & 0xffffff) * 0.6180339887498949;

	return x - floor(x);
}

static enum layout_state cell_state(const uint64_t counts[LAYOUT_STATES],
				    uint64_t pages, uint64_t n)
{
	double line = threshold(n) * (double)pages, below = 0;
	unsigned i;

	if (counts[LAYOUT_POISONED])
		return LAYOUT_POISONED;
	for (i = 0; i + 1 < LAYOUT_STATES; i++) {
		below += (double)counts[i];
		if (below > line)
			break;
	}
	return i;
}

/* Fills the lines of one extent; returns the line behind them. */
static unsigned fill_extent(struct map *m, const struct layout *l,
			    const struct extent *e, unsigned line)
{
	uint64_t cell_bytes = m->cell_pages * VVM_STAT_PAGE_BYTES;
	uint64_t at = e->start, end;
	unsigned i;

	for (; at < e->end; line++) {
		m->line[line] = (struct map_line){
			.region = e->region, .extent = e->start, .from = at};
		for (i = 0; i < m->columns && at < e->end; i++, at = end) {
			uint64_t counts[LAYOUT_STATES] = {0};

			end = e->end - at < cell_bytes ? e->end
						       : at + cell_bytes;
			layout_count(l, e->region, at, end, counts);
			m->state[line * m->columns + i] = (uint8_t)cell_state(
				counts, (end - at) / VVM_STAT_PAGE_BYTES,
				at / cell_bytes);
		}
		m->line[line].cells = i;
	}
	return line;
}

static int fill(struct map *m, const struct layout *l,
		const struct extents *list)
{
	unsigned line = 0;
	size_t i;

	m->line = calloc(m->lines, sizeof(*m->line));
	m->state = calloc(m->lines, m->columns);
	if (!m->line || !m->state) {
		map_free(m);
		return -ENOMEM;
	}
	for (i = 0; i < list->count; i++)
		line = fill_extent(m, l, &list->item[i], line);
	return 0;
}

int map_make(struct map *m, const struct layout *l, const char *wanted,
	     unsigned columns, unsigned lines)
{
	struct extents list = {.count = 0};
	int error;

	*m = (struct map){.columns = columns};
	choose(m, &list, l, wanted, lines);
	error = list.failed ? -ENOMEM : list.count ? 0 : -ENOENT;
	if (!error) {
		fit(m, &list, lines);
		error = fill(m, l, &list);
	}
	free(list.item);
	return error;
}

void map_free(struct map *m)
{
	free(m->line);
	free(m->state);
	m->line = NULL;
	m->state = NULL;
}
