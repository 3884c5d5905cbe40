/* SPDX-License-Identifier: MIT */
/*
 * fuzz/region.c - the index of the regions (space/region.c) against an array
 * with one cell a page.
 *
 * An input is a list of orders: insert a region, where another may be; split;
 * change the permissions or the advice of a range, as the mapping calls do;
 * take a range out; merge. Compared after each: what lies at each guest and
 * each host page, where regions begin, what is free and what is covered.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include "space/region.h"

#define PAGES	   48 /* of the guest */
#define HOST_PAGES 160
#define GUEST	   (GUEST_END - PAGES * PAGE_BYTES) /* up to the very end */
#define HOST	   ((haddr_t)0x7f0000000000)

struct cell {
	bool mapped, begins; /* begins: a region */
	unsigned host;	     /* page */
	unsigned prot, advice, id;
};

static struct cell model[PAGES];
static struct regions rs;

static gaddr_t guest_of(unsigned page)
{
	return GUEST + pages_to_bytes(page);
}

/* ---- orders ---- */

static bool host_used(unsigned host)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		if (model[i].mapped && model[i].host == host)
			return true;
	return false;
}

static bool model_free(unsigned first, unsigned n, unsigned host)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (model[first + i].mapped || host_used(host + i))
			return false;
	return true;
}

static struct region *new_region(unsigned first, unsigned n, unsigned host,
				 unsigned kind)
{
	struct region *r = calloc(1, sizeof(*r));

	MUST(r);
	r->start = guest_of(first);
	r->end = guest_of(first + n);
	r->host = HOST + pages_to_bytes(host);
	r->prot = kind & 1;
	r->advice = kind >> 1 & 1;
	r->mapping_id = kind >> 2 & 1;
	r->stripe_shift = 21;
	return r;
}

static void insert(unsigned first, unsigned n, unsigned host, unsigned kind)
{
	struct region *r = new_region(first, n, host, kind);
	bool is_free = model_free(first, n, host);
	int err = regions_insert(&rs, r);
	unsigned i;

	MUST_EQ(err, is_free ? 0 : -EEXIST);
	if (err)
		regions_free(&rs, r);
	for (i = 0; !err && i < n; i++)
		model[first + i] = (struct cell){.mapped = true,
						 .begins = i == 0,
						 .host = host + i,
						 .prot = r->prot,
						 .advice = r->advice,
						 .id = (unsigned)r->mapping_id};
}

static void split(unsigned page)
{
	MUST_EQ(regions_split(&rs, guest_of(page)), 0);
	if (page < PAGES && model[page].mapped)
		model[page].begins = true;
}

static bool same_kind(const struct cell *a, const struct cell *b)
{
	return a->mapped && b->mapped && a->host + 1 == b->host &&
	       a->prot == b->prot && a->advice == b->advice && a->id == b->id;
}

/* Borders from the first page of the range to the one behind it vanish. */
static void merge(unsigned first, unsigned n)
{
	unsigned i;

	regions_merge(&rs, guest_of(first), guest_of(first + n));
	for (i = first ? first : 1; i <= first + n && i < PAGES; i++)
		if (same_kind(&model[i - 1], &model[i]))
			model[i].begins = false;
}

static void change(unsigned first, unsigned n, unsigned kind)
{
	struct region *r;
	unsigned i;

	split(first);
	split(first + n);
	for (r = regions_next_guest(&rs, guest_of(first));
	     r && r->start < guest_of(first + n);
	     r = regions_next_guest(&rs, r->end)) {
		r->prot = kind & 1;
		r->advice = kind >> 1 & 1;
	}
	for (i = first; i < first + n; i++) {
		model[i].prot = kind & 1;
		model[i].advice = kind >> 1 & 1;
	}
	merge(first, n);
}

static void take_out(unsigned first, unsigned n)
{
	gaddr_t at = guest_of(first);
	struct region *r, *next;
	unsigned i;

	split(first);
	split(first + n);
	for (r = regions_remove(&rs, at, guest_of(first + n)); r; r = next) {
		next = r->next;
		MUST(r->start >= at && r->end <= guest_of(first + n));
		for (i = 0; guest_of(first + i) < r->end; i++)
			if (guest_of(first + i) >= at)
				MUST(model[first + i].mapped ==
				     (guest_of(first + i) >= r->start));
		at = r->end;
		regions_free(&rs, r);
	}
	for (i = first; i < first + n; i++) {
		MUST(!model[i].mapped || guest_of(i) < at);
		model[i] = (struct cell){0};
	}
}

/* ---- comparing ---- */

static void check_lookups(unsigned i, const struct region *r)
{
	gaddr_t addr = guest_of(i) + i * 85 % PAGE_BYTES;
	const struct cell *c = &model[i];

	MUST(regions_at_guest(&rs, addr) == r);
	if (!c->mapped)
		return;
	MUST(r->start <= addr && addr < r->end);
	MUST(region_to_host(r, guest_of(i)) == HOST + pages_to_bytes(c->host));
	MUST(regions_at_host(&rs, region_to_host(r, addr)) == r);
	MUST(region_to_guest(r, region_to_host(r, addr)) == addr);
	MUST(r->prot == c->prot && r->advice == c->advice &&
	     r->mapping_id == c->id);
	MUST(c->begins == (r->start == guest_of(i)));
}

static void check_ranges(unsigned first, unsigned n)
{
	bool none = true, all = true;
	unsigned i;

	for (i = first; i < first + n; i++) {
		none &= !model[i].mapped;
		all &= model[i].mapped;
	}
	MUST(regions_free_range(&rs, guest_of(first), guest_of(first + n)) ==
	     none);
	MUST(regions_cover(&rs, guest_of(first), guest_of(first + n)) == all);
}

static void check(void)
{
	struct region *next = NULL, *r = NULL;
	unsigned i, count = 0;

	regions_check(&rs);
	for (i = PAGES; i-- > 0;) {
		if (model[i].mapped)
			next = r = regions_at_guest(&rs, guest_of(i));
		MUST(!model[i].mapped || r);
		MUST(regions_next_guest(&rs, guest_of(i)) == next);
		check_lookups(i, model[i].mapped ? r : NULL);
		count += model[i].begins;
	}
	MUST_EQ(rs.count, count);
	for (i = 0; i < HOST_PAGES; i++)
		MUST(!regions_at_host(&rs, HOST + pages_to_bytes(i)) ==
		     !host_used(i));
	MUST(!regions_at_guest(&rs, GUEST - 1));
}

static void obey(struct fuzz_input *in)
{
	unsigned what = fuzz_below(in, 8), first = fuzz_below(in, PAGES);
	unsigned n = 1 + fuzz_below(in, PAGES - first), a = fuzz_byte(in);

	if (what < 3) /* often where its neighbour's memory goes on */
		insert(first, 1 + n % 8 % (PAGES - first),
		       a < 200 ? 32 * (a & 2) + first
			       : a % (HOST_PAGES - PAGES),
		       a >> 2 & 7);
	else if (what == 3)
		split(first);
	else if (what < 6)
		change(first, n, a);
	else if (what == 6)
		take_out(first, MIN(n, 1 + a % 16));
	else
		merge(first, n);
	check_ranges(first, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	memset(model, 0, sizeof(model));
	regions_init(&rs);
	while (in.size) {
		obey(&in);
		check();
	}
	take_out(0, PAGES);
	check();
	regions_fini(&rs);
	return 0;
}

const long fuzz_runs = 2000;

size_t fuzz_make(uint8_t *data, size_t most)
{
	return fuzz_make_bytes(data, 4, most < 160 ? most : 160);
}
