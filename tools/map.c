/* SPDX-License-Identifier: MIT */
/*
 * map.c - which pages share a cell, and what colour it gets.
 *
 * Every region begins on a line of its own, and all cells stand for the same
 * number of pages: the smallest power of two with which everything fits. When
 * there are more regions than lines, the smallest are left out; they are
 * counted, so that a view can say so.
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
#include "map.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_wanted(const struct layout_region *r, const char *wanted)
{
	char *end;
	uint64_t address;

	if (!wanted || !*wanted || !strcmp(r->name, wanted))
		return true;
	address = strtoull(wanted, &end, 16);
	return !*end && address >= r->start && address < r->end;
}

/* Lines that a region takes. */
static uint64_t lines_of(const struct layout_region *r, uint64_t cell_pages,
			 unsigned columns)
{
	uint64_t line_pages = cell_pages * columns;

	return (layout_pages(r) + line_pages - 1) / line_pages;
}

static int compare_sizes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/*
 * Chooses up to `lines` regions, the largest; NULL-terminated, by address.
 * NULL: out of memory.
 */
static const struct layout_region **choose(struct map *m,
					   const struct layout *l,
					   const char *wanted, unsigned lines)
{
	const struct layout_region **chosen;
	uint64_t *sizes, least;
	size_t i, n = 0, kept = 0;

	chosen = calloc(l->regions + 1, sizeof(*chosen));
	sizes = calloc(l->regions + 1, sizeof(*sizes));
	for (i = 0; chosen && sizes && i < l->regions; i++)
		if (is_wanted(&l->region[i], wanted)) {
			sizes[n] = layout_pages(&l->region[i]);
			chosen[n++] = &l->region[i];
		}
	if (chosen && sizes && n > lines) {
		qsort(sizes, n, sizeof(*sizes), compare_sizes);
		least = sizes[lines - 1];
		for (i = 0; i < n; i++)
			if (layout_pages(chosen[i]) >= least && kept < lines)
				chosen[kept++] = chosen[i];
		chosen[kept] = NULL;
		m->left_out = (unsigned)(n - kept);
	}
	free(sizes);
	m->regions = (unsigned)(n - m->left_out);
	return chosen;
}

/* The scale with which all of them fit. */
static void fit(struct map *m, const struct layout_region **r, unsigned lines)
{
	uint64_t needed = (uint64_t)lines + 1;
	unsigned i;

	for (m->cell_pages = 1; needed > lines; m->cell_pages *= 2) {
		for (needed = 0, i = 0; r[i] && needed <= lines; i++)
			needed += lines_of(r[i], m->cell_pages, m->columns);
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

static enum page_state cell_state(const uint64_t counts[PAGE_STATES],
				  uint64_t pages, uint64_t n)
{
	double line = threshold(n) * (double)pages, below = 0;
	unsigned i;

	if (counts[PAGE_POISONED])
		return PAGE_POISONED;
	for (i = 0; i + 1 < PAGE_STATES; i++) {
		below += (double)counts[i];
		if (below > line)
			break;
	}
	return i;
}

/* Fills the lines of one region; returns the line behind them. */
static unsigned fill_region(struct map *m, const struct layout *l,
			    const struct layout_region *r, unsigned line)
{
	uint64_t cell_bytes = m->cell_pages * VVM_STAT_PAGE_BYTES;
	uint64_t at = r->start, end;
	unsigned i;

	for (; at < r->end; line++) {
		m->line[line] = (struct map_line){.region = r, .from = at};
		for (i = 0; i < m->columns && at < r->end; i++, at = end) {
			uint64_t counts[PAGE_STATES] = {0};

			end = r->end - at < cell_bytes ? r->end
						       : at + cell_bytes;
			layout_count(l, r, at, end, counts);
			m->state[line * m->columns + i] = (uint8_t)cell_state(
				counts, (end - at) / VVM_STAT_PAGE_BYTES,
				at / cell_bytes);
		}
		m->line[line].cells = i;
	}
	for (i = 0; i < PAGE_STATES; i++)
		m->pages[i] += r->pages[i];
	return line;
}

int map_make(struct map *m, const struct layout *l, const char *wanted,
	     unsigned columns, unsigned lines)
{
	const struct layout_region **r;
	unsigned i, line = 0;

	*m = (struct map){.columns = columns};
	r = choose(m, l, wanted, lines);
	if (!r || !r[0]) {
		free(r);
		return r ? -ENOENT : -ENOMEM;
	}
	fit(m, r, lines);
	m->line = calloc(m->lines, sizeof(*m->line));
	m->state = calloc(m->lines, columns);
	for (i = 0; m->line && m->state && r[i]; i++)
		line = fill_region(m, l, r[i], line);
	free(r);
	if (line)
		return 0;
	map_free(m);
	return -ENOMEM;
}

void map_free(struct map *m)
{
	free(m->line);
	free(m->state);
	m->line = NULL;
	m->state = NULL;
}
