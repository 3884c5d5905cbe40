/* SPDX-License-Identifier: MIT */
/*
 * regions.c - tables of what lies where: regions, as in /proc/PID/maps,
 * and the addresses that fault most.
 *
 * Rates are those since the older layout that is passed along; a region or
 * block that it does not have is new, and all its faults happened since.
 */
#include "vvmstat/regions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>
#include "vvmstat/view.h"

#define BLOCK_BYTES ((uint64_t)VVM_STAT_BLOCK_PAGES * VVM_STAT_PAGE_BYTES)

static uint64_t since(uint64_t now, uint64_t old)
{
	return now > old ? now - old : 0;
}

void region_rates(struct region_rate *rate, const struct layout_region *r,
		  const struct layout *old, double seconds)
{
	static const struct layout_region none;
	const struct layout_region *o = layout_old_region(old, r);
	double per_s = seconds > 0 ? 1 / seconds : 0;

	if (!o)
		o = &none;
	rate->faults = (double)since(r->faults, o->faults) * per_s;
	rate->swapin =
		(double)since(r->faults_swapin, o->faults_swapin) * per_s;
	rate->zero = (double)since(r->faults_zero, o->faults_zero) * per_s;
	rate->wp = (double)since(r->faults_wp, o->faults_wp) * per_s;
}

const char *region_advice(const struct layout_region *r)
{
	switch (r->advice) {
	case VVM_ADV_RANDOM:
		return "rand";
	case VVM_ADV_SEQUENTIAL:
		return "seq";
	default:
		return "norm";
	}
}

void region_prot(const struct layout_region *r, char text[4])
{
	text[0] = r->prot & VVM_READ ? 'r' : '-';
	text[1] = r->prot & VVM_WRITE ? 'w' : '-';
	text[2] = r->prot & VVM_EXEC ? 'x' : '-';
	text[3] = '\0';
}

static unsigned put_pages(const struct area *a, unsigned row, unsigned at,
			  uint64_t pages)
{
	char text[32];

	view_bytes(text, sizeof(text), 4, (double)pages * VVM_STAT_PAGE_BYTES);
	return canvas_text(a->canvas, row, at, pages ? PAINT_PLAIN : PAINT_DIM,
			   " %4s", text);
}

static unsigned put_rate(const struct area *a, unsigned row, unsigned at,
			 double rate)
{
	char text[32];

	view_number(text, sizeof(text), 4, rate);
	return canvas_text(a->canvas, row, at,
			   rate >= 0.5 ? PAINT_PLAIN : PAINT_DIM, " %4s", text);
}

static void draw_region(const struct area *a, unsigned row,
			const struct layout_region *r,
			const struct region_rate *rate)
{
	unsigned at;
	char prot[4];

	region_prot(r, prot);
	at = canvas_text(a->canvas, row, 0, PAINT_PLAIN,
			 "%012" PRIx64 "-%012" PRIx64 " %s %-4s", r->start,
			 r->end, prot, region_advice(r));
	at = put_pages(a, row, at, layout_pages(r));
	at = put_pages(a, row, at, layout_resident(r->pages));
	at = put_pages(a, row, at, r->pages[LAYOUT_DIRTY]);
	at = put_pages(a, row, at, r->pages[LAYOUT_SWAPPED]);
	at = put_rate(a, row, at, rate->faults);
	at = put_rate(a, row, at, rate->swapin);
	canvas_text(a->canvas, row, at + 1, PAINT_PLAIN, "%s", r->name);
}

void draw_regions(const struct area *a, const struct layout *now,
		  const struct layout *old, double seconds, size_t skip)
{
	struct region_rate rate;
	unsigned row = a->first;
	size_t i;

	canvas_text(a->canvas, row, 0, PAINT_HEAD,
		    "%-25s %-3s %-4s %4s %4s %4s %4s %4s %4s %s", "address",
		    "prt", "adv", "size", "res", "drty", "swap", "flts", "read",
		    "name");
	for (i = skip; i < now->regions && ++row < a->first + a->rows; i++) {
		region_rates(&rate, &now->region[i], old, seconds);
		draw_region(a, row, &now->region[i], &rate);
	}
}

/* ------------------------------------------------------------------ */
/* Heat									*/

static int compare_heat(const void *a, const void *b)
{
	const struct heat *x = a, *y = b;

	if (x->faults != y->faults)
		return x->faults < y->faults ? 1 : -1;
	return (x->block->base > y->block->base) -
	       (x->block->base < y->block->base);
}

struct heat *heat_rank(const struct layout *now, const struct layout *old,
		       size_t *n, uint64_t *total)
{
	struct heat *heat = calloc(now->blocks + 1, sizeof(*heat));
	size_t i;

	*n = 0;
	*total = 0;
	if (!heat)
		return NULL;
	for (i = 0; i < now->blocks; i++) {
		const struct layout_block *b = &now->block[i];
		const struct layout_block *o = layout_old_block(old, b);
		uint64_t faults = since(b->faults, o ? o->faults : 0);

		if (!faults)
			continue;
		heat[*n].block = b;
		heat[(*n)++].faults = faults;
		*total += faults;
	}
	if (*n)
		qsort(heat, *n, sizeof(*heat), compare_heat);
	return heat;
}

const struct layout_region *heat_region(const struct layout *l,
					const struct layout_block *b)
{
	const struct layout_region *r = layout_find(l, b->space, b->base);

	return r ? r : layout_find(l, b->space, b->base + BLOCK_BYTES - 1);
}

static void draw_hot_block(const struct area *a, unsigned row,
			   const struct layout *now, const struct heat *h,
			   double most, double total, double seconds)
{
	const struct layout_region *r = heat_region(now, h->block);
	unsigned wide = a->canvas->columns - 55, at;
	double faults = (double)h->faults;

	at = canvas_text(a->canvas, row, 0, PAINT_PLAIN, "%012" PRIx64,
			 h->block->base);
	at = put_rate(a, row, at, seconds > 0 ? faults / seconds : 0);
	at = canvas_text(a->canvas, row, at, PAINT_PLAIN, " %5.1f %-28.28s ",
			 100 * faults / total, r ? r->name : "");
	canvas_bar(a->canvas, row, at, wide > 200 ? 20 : wide, faults / most,
		   PAINT_BAR);
}

void draw_heat(const struct area *a, const struct layout *now,
	       const struct layout *old, double seconds, size_t skip)
{
	unsigned row = a->first;
	uint64_t total;
	size_t n, i;
	struct heat *heat = heat_rank(now, old, &n, &total);

	canvas_text(a->canvas, row, 0, PAINT_HEAD, "%-12s %4s %5s %s",
		    "2 MiB at", "flts", "%", "region");
	if (n == 0)
		canvas_text(a->canvas, row + 1, 0, PAINT_DIM,
			    "no faults in this interval");
	for (i = skip; heat && i < n && ++row < a->first + a->rows; i++)
		draw_hot_block(a, row, now, &heat[i], (double)heat[0].faults,
			       (double)total, seconds);
	free(heat);
}
