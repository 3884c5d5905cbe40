/* SPDX-License-Identifier: MIT */
/*
 * sim/work_calls.c - the program's calls of <vvm.h>.
 *
 * Results go to the end of a page now and then, where the model has no words:
 * memory that may be paged.
 */
#include "sim/work.h"

#include <errno.h>
#include <string.h>

#include "sim/sched.h"
#include "sim/watch.h"

#define RW (VVM_READ | VVM_WRITE)

/* ---- what to do something with ---- */

struct range {
	struct sim_region *r;
	unsigned first, n;
};

static uint64_t addr_of(const struct range *g)
{
	return g->r->guest + pages_to_bytes(g->first);
}

static uint64_t bytes_of(const struct range *g)
{
	return pages_to_bytes(g->n);
}

static bool choose_range(struct range *g, unsigned most)
{
	g->r = sim_region_any();
	if (!g->r)
		return false;
	g->first = (unsigned)sim_below(g->r->pages);
	g->n = 1 + (unsigned)sim_below(MIN(most, g->r->pages - g->first));
	return true;
}

/* All of it mapped, and permitting `need`. => a call was begun. */
static bool good_range(const struct range *g, unsigned need)
{
	unsigned i;

	for (i = g->first; i < g->first + g->n; i++) {
		const struct sim_mpage *p = &g->r->page[i];

		if (p->unmapped || (p->prot & need) != need)
			return false;
	}
	return true;
}

static bool begin_call(struct range *g, unsigned most, unsigned need)
{
	if (!choose_range(g, most) || !sim_call_begin(g->r))
		return false;
	if (good_range(g, need))
		return true;
	sim_call_end(g->r);
	return false;
}

static bool begin_change(struct range *g, unsigned most)
{
	if (!choose_range(g, most) || !sim_exclusive_begin(g->r, false))
		return false;
	if (good_range(g, 0))
		return true;
	sim_exclusive_end(g->r);
	return false;
}

static bool any_pinned(const struct range *g)
{
	unsigned i;

	for (i = g->first; i < g->first + g->n; i++)
		if (g->r->page[i].pins)
			return true;
	return false;
}

/*
 * Room for results, in a page that may be written: paged memory of the program.
 * NULL: none. => accessed by calls of the library alone.
 */
static char *scratch(struct range *g)
{
	if (!begin_call(g, 1, RW))
		return NULL;
	return g->r->base + pages_to_bytes(g->first) + SIM_SCRATCH;
}

/* ---- checked accesses ---- */

void sim_op_store(void)
{
	unsigned slot = sim_own_slot();
	uint64_t value = sim_stamp();
	struct sim_word *w;
	struct range g;
	int rc;

	if (!begin_call(&g, 1, VVM_WRITE))
		return;
	w = sim_word(g.r, g.first, slot);
	sim_word_may_be(w, value);
	w->storing = true;
	rc = vvm_store(sim_vm,
		       g.r->guest + (uint64_t)(sim_word_at(g.r, g.first, slot) -
					       g.r->base),
		       &value, sizeof(value));
	w->storing = false;
	/* somebody may have written it, by a plain access, or discarded it */
	if (!sim_may_fail("vvm_store", rc, 0) && w->count == 1 &&
	    !sim_word_allows(w, value))
		sim_word_unknown(w);
	sim_call_end(g.r);
}

/* Into memory of its own, or paged: then through that. */
void sim_op_load(void)
{
	unsigned slot = (unsigned)sim_below(SIM_SLOTS), version;
	struct range g, to;
	struct sim_word before;
	uint64_t own = 0, *value = &own;
	char *paged = sim_chance(3) ? scratch(&to) : NULL;
	int rc, sig = 0;

	if (begin_call(&g, 1, VVM_READ)) {
		version = g.r->page[g.first].version;
		before = *sim_word(g.r, g.first, slot);
		if (paged)
			value = (uint64_t *)(void *)paged;
		rc = vvm_load(sim_vm,
			      g.r->guest + (uint64_t)(sim_word_at(g.r, g.first,
								  slot) -
						      g.r->base),
			      value, sizeof(*value));
		/* nobody else has this scratch, but the page may be discarded
		 */
		if (!sim_may_fail("vvm_load", rc, 0) && !paged &&
		    version == g.r->page[g.first].version &&
		    !memcmp(&before, sim_word(g.r, g.first, slot),
			    sizeof(before)))
			sim_word_check(g.r, g.first, slot, own, "vvm_load");
		sim_call_end(g.r);
	}
	(void)sig;
	if (paged)
		sim_call_end(to.r);
}

void sim_op_touch(void)
{
	bool write = sim_chance(2);
	struct range g;

	if (!begin_call(&g, 8, write ? VVM_WRITE : VVM_READ))
		return;
	sim_may_fail("vvm_touch",
		     vvm_touch(sim_vm, addr_of(&g), bytes_of(&g),
			       write ? VVM_TOUCH_WRITE : VVM_TOUCH_READ),
		     0);
	sim_call_end(g.r);
}

/* It may be pinned from now on, or not any more after this. */
static void count_pins(const struct range *g, int n)
{
	unsigned i;

	for (i = g->first; i < g->first + g->n; i++)
		g->r->page[i].pins += (unsigned)n;
}

static void use_pinned(const struct range *g)
{
	unsigned char flags[4];
	unsigned i;
	int rc;

	for (i = 0; i < 4; i++)
		sim_write(g->r, g->first + (unsigned)sim_below(g->n),
			  sim_own_slot());
	rc = vvm_residency(sim_vm, addr_of(g), bytes_of(g), flags);
	if (sim_may_fail("vvm_residency", rc, 0))
		return;
	for (i = 0; i < g->n; i++)
		if (!(flags[i] & VVM_PAGE_RESIDENT) ||
		    !(flags[i] & VVM_PAGE_PINNED))
			sim_fail("a pinned page has flags %x", flags[i]);
}

void sim_op_pin(void)
{
	struct range g;
	int rc;

	if (!begin_call(&g, 3, VVM_READ))
		return;
	count_pins(&g, 1);
	rc = vvm_pin(sim_vm, addr_of(&g), bytes_of(&g));
	if (!sim_may_fail("vvm_pin", rc, -EAGAIN)) {
		use_pinned(&g);
		rc = vvm_unpin(sim_vm, addr_of(&g), bytes_of(&g));
		sim_may_fail("vvm_unpin", rc, 0);
	}
	count_pins(&g, -1);
	sim_call_end(g.r);
}

/* ---- calls that look; results in paged memory ---- */

void sim_op_residency(void)
{
	unsigned char own[512];
	struct range g, to;
	char *paged = scratch(&to);

	if (begin_call(&g, 500, 0)) {
		sim_may_fail(
			"vvm_residency",
			vvm_residency(sim_vm, addr_of(&g), bytes_of(&g),
				      paged ? (unsigned char *)paged : own),
			0);
		sim_call_end(g.r);
	}
	if (paged)
		sim_call_end(to.r);
}

void sim_op_query(void)
{
	struct vvm_region own;
	struct range g, to;
	char *paged = scratch(&to);
	uint64_t addr;

	if (begin_call(&g, 1, 0)) {
		sim_may_fail(
			"vvm_query",
			vvm_query(sim_vm, addr_of(&g),
				  paged ? (struct vvm_region *)(void *)paged
					: &own),
			0);
		sim_may_fail(
			"vvm_addr",
			vvm_addr(sim_vm, g.r->base + pages_to_bytes(g.first),
				 paged ? (uint64_t *)(void *)paged : &addr),
			0);
		if (!paged && addr != addr_of(&g))
			sim_fail("vvm_addr: %llx", (unsigned long long)addr);
		if (!paged && (own.start > addr_of(&g) ||
			       own.end < addr_of(&g) + PAGE_BYTES))
			sim_fail("vvm_query finds another region");
		sim_call_end(g.r);
	}
	if (paged)
		sim_call_end(to.r);
}

void sim_op_stats(void)
{
	struct vvm_stats stats;

	sim_may_fail("vvm_stats", vvm_stats(sim_vm, &stats, sizeof(stats)), 0);
}

/* ---- calls that change something ---- */

void sim_op_advise(void)
{
	static const enum vvm_advice advices[] = {
		VVM_ADV_NORMAL,	  VVM_ADV_RANDOM, VVM_ADV_SEQUENTIAL,
		VVM_ADV_WILLNEED, VVM_ADV_COLD,	  VVM_ADV_WILLNEED,
	};
	struct range g;

	if (!begin_call(&g, 60, 0))
		return;
	sim_may_fail("vvm_advise",
		     vvm_advise(sim_vm, addr_of(&g), bytes_of(&g),
				advices[sim_below(6)]),
		     0);
	sim_call_end(g.r);
}

void sim_discard_some(void)
{
	struct range g;
	int rc;

	if (!begin_change(&g, 12))
		return;
	if (!any_pinned(&g)) {
		sim_discard_begin(g.r, g.first, g.n);
		rc = vvm_advise(sim_vm, addr_of(&g), bytes_of(&g),
				VVM_ADV_DONTNEED);
		sim_discard_end(g.r, g.first, g.n, rc);
		sim_may_fail("VVM_ADV_DONTNEED", rc, 0);
	}
	sim_exclusive_end(g.r);
}

/* In a thread of the library: all that it may do is to make room. */
static void low_space(struct vvm *vm, const struct vvm_low_space *info,
		      void *arg)
{
	struct sim_region *r = sim_regions;
	int rc;

	(void)info;
	(void)arg;
	if (!r->used || !sim_exclusive_begin(r, true))
		return;
	sim_discard_begin(r, 0, r->pages);
	rc = vvm_advise(vm, r->guest, pages_to_bytes(r->pages),
			VVM_ADV_DONTNEED);
	sim_discard_end(r, 0, r->pages, rc);
	sim_may_fail("VVM_ADV_DONTNEED of the cache", rc, 0);
	sim_exclusive_end(r);
}

void sim_low_space_init(void)
{
	if (K->params.low_space)
		sim_may_fail("vvm_on_low_space",
			     vvm_on_low_space(sim_vm, low_space, NULL), 0);
}

void sim_op_protect(void)
{
	static const unsigned prots[] = {RW, RW, VVM_READ, VVM_NONE, RW};
	unsigned prot = prots[sim_below(5)];
	struct range g;
	int rc;

	if (!begin_change(&g, 12))
		return;
	sim_protect_begin(g.r, g.first, g.n, prot);
	rc = vvm_protect(sim_vm, addr_of(&g), bytes_of(&g), prot);
	sim_protect_end(g.r, g.first, g.n, rc);
	sim_may_fail("vvm_protect", rc, 0);
	sim_exclusive_end(g.r);
}

/* Five at most, a quarter of the pages each, more or less; and the cache. */
static unsigned choose_pages(void)
{
	unsigned share = K->params.pages / 4;

	if (K->params.low_space && !sim_regions[0].used)
		return K->params.pages * 2;
	return 1 + share / 2 + (unsigned)sim_below(share + 1);
}

bool sim_map_region(void)
{
	unsigned pages = choose_pages();
	uint64_t addr = VVM_ANYWHERE;
	struct range to;
	char *name = sim_chance(2) ? scratch(&to) : NULL;
	int rc;

	if (sim_chance(4)) /* elsewhere in the 48 bits */
		addr = pages_to_bytes(sim_below((uint64_t)1 << 35));
	rc = vvm_map(sim_vm, &addr, pages_to_bytes(pages), RW, name);
	if (name)
		sim_call_end(to.r);
	if (sim_may_fail("vvm_map", rc, -EEXIST))
		return false;
	if (!sim_region_new(vvm_ptr(sim_vm, addr), addr, pages, RW))
		sim_fail("the simulator has no place for a region");
	return true;
}

static unsigned count_regions(void)
{
	unsigned i, n = 0;

	for (i = 0; i < SIM_REGIONS; i++)
		n += sim_regions[i].used;
	return n;
}

static bool all_unmapped(const struct sim_region *r)
{
	unsigned i;

	for (i = 0; i < r->pages; i++)
		if (!r->page[i].unmapped)
			return false;
	return true;
}

/* All of a region, or a part, which becomes a hole. */
static void unmap(struct range *g)
{
	unsigned i;
	int rc;

	sim_trace(SIM_EV_MAP, addr_of(g), 0);
	g->r->closing = true;
	rc = vvm_unmap(sim_vm, addr_of(g), bytes_of(g));
	for (i = g->first; i < g->first + g->n; i++) {
		g->r->page[i].gone = false;
		g->r->page[i].unmapped = true; /* or not, after an error */
	}
	if (all_unmapped(g->r))
		sim_region_free(g->r);
	g->r->closing = false;
	sim_may_fail("vvm_unmap", rc, 0);
}

/* The first part of it that is mapped: holes may be somebody else's by now. */
static bool skip_holes(struct range *g)
{
	unsigned end = g->first + g->n;

	while (g->first < end && g->r->page[g->first].unmapped)
		g->first++;
	for (g->n = 0; g->first + g->n < end; g->n++)
		if (g->r->page[g->first + g->n].unmapped)
			break;
	return g->n > 0;
}

void sim_op_unmap(void)
{
	struct range g;

	if (count_regions() < 2 || !choose_range(&g, 20) ||
	    !sim_exclusive_begin(g.r, false))
		return;
	if (sim_chance(2)) {
		g.first = 0;
		g.n = g.r->pages;
	}
	if (skip_holes(&g) && !any_pinned(&g))
		unmap(&g);
	sim_exclusive_end(g.r);
}

void sim_op_map(void)
{
	if (count_regions() < SIM_REGIONS - 3)
		sim_map_region();
}

void sim_op_resize(void)
{
	uint64_t least = K->params.heap ? SIM_HEAP_BUDGET : 1;
	uint64_t pages = MAX(K->params.budget / 2, least) +
			 sim_below(K->params.budget + 4);

	int rc;

	sim_watch_resize(pages, 1);
	rc = vvm_resize(sim_vm, pages_to_bytes(pages));
	sim_watch_resize(pages, -1);
	sim_may_fail("vvm_resize", rc, -EBUSY);
}
