/* SPDX-License-Identifier: MIT */
/*
 * exact.c - the algorithms that policies are compared with: CLOCK,
 * LRU and Belady's optimum, one access at a time and one page at a time, with
 * every frame of the budget in use. No pager sees every access, and none keeps
 * no frame free, so these are bounds rather than rivals.
 *
 * The optimum evicts the page whose next access is the farthest (Belady 1966).
 * A pass from the end finds the next access of each; a heap of the resident
 * pages by next access finds the victim. An access leaves the entry that it
 * makes untrue in the heap; such entries lie before the present, so they never
 * come to the top before all that are true are gone, and need no removal.
 */
#include "vvmbench/sim/exact.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

/* ------------------------------------------------------------------ */
/* CLOCK								*/

struct clock_sim {
	uint32_t *frame; /* page, or NOWHERE */
	uint32_t *where; /* of each page: frame + 1, or 0 */
	bool *used;
	uint32_t hand, frames;
};

static uint32_t clock_victim(struct clock_sim *c)
{
	uint32_t frame;

	for (; c->used[c->hand]; c->hand = (c->hand + 1) % c->frames)
		c->used[c->hand] = false;
	frame = c->hand;
	c->hand = (c->hand + 1) % c->frames;
	return frame;
}

static bool clock_access(struct clock_sim *c, uint32_t page)
{
	uint32_t frame;

	if (c->where[page]) {
		c->used[c->where[page] - 1] = true;
		return true;
	}
	frame = clock_victim(c);
	if (c->frame[frame] != NOWHERE)
		c->where[c->frame[frame]] = 0;
	c->frame[frame] = page;
	c->where[page] = frame + 1;
	return false;
}

bool sim_clock(const struct sim_setup *setup, struct sim_score *score)
{
	const struct trace *t = setup->trace;
	struct clock_sim c = {.frames = setup->budget_pages};
	bool ok;
	size_t i;

	memset(score, 0, sizeof(*score));
	c.frame = malloc(c.frames * sizeof(*c.frame));
	c.where = calloc(t->pages, sizeof(*c.where));
	c.used = calloc(c.frames, sizeof(*c.used));
	ok = c.frame && c.where && c.used;
	if (ok)
		memset(c.frame, 0xff, c.frames * sizeof(*c.frame));
	for (i = 0; ok && i < t->accesses; i++) {
		sim_progress(setup, i);
		sim_count(score, setup, i, clock_access(&c, t->page[i]));
	}
	free(c.frame);
	free(c.where);
	free(c.used);
	return ok;
}

/* ------------------------------------------------------------------ */
/* LRU: a circular list by page number, its head at t->pages		*/

struct lru_sim {
	uint32_t *prev, *next;
	bool *there;
	uint32_t head, frames, used;
};

static void lru_unlink(struct lru_sim *l, uint32_t page)
{
	l->next[l->prev[page]] = l->next[page];
	l->prev[l->next[page]] = l->prev[page];
	l->there[page] = false;
}

static void lru_push(struct lru_sim *l, uint32_t page)
{
	l->prev[page] = l->head;
	l->next[page] = l->next[l->head];
	l->prev[l->next[page]] = page;
	l->next[l->head] = page;
	l->there[page] = true;
}

static bool lru_access(struct lru_sim *l, uint32_t page)
{
	bool hit = l->there[page];

	if (hit)
		lru_unlink(l, page);
	else if (l->used < l->frames)
		l->used++;
	else
		lru_unlink(l, l->prev[l->head]);
	lru_push(l, page);
	return hit;
}

bool sim_lru(const struct sim_setup *setup, struct sim_score *score)
{
	const struct trace *t = setup->trace;
	struct lru_sim l = {.head = t->pages, .frames = setup->budget_pages};
	bool ok;
	size_t i;

	memset(score, 0, sizeof(*score));
	l.prev = malloc((t->pages + 1) * sizeof(*l.prev));
	l.next = malloc((t->pages + 1) * sizeof(*l.next));
	l.there = calloc(t->pages, sizeof(*l.there));
	ok = l.prev && l.next && l.there;
	if (ok)
		l.prev[l.head] = l.next[l.head] = l.head;
	for (i = 0; ok && i < t->accesses; i++) {
		sim_progress(setup, i);
		sim_count(score, setup, i, lru_access(&l, t->page[i]));
	}
	free(l.prev);
	free(l.next);
	free(l.there);
	return ok;
}

/* ------------------------------------------------------------------ */
/* OPT									*/

struct opt_entry {
	uint32_t next, page; /* next: of its accesses; NOWHERE: none */
};

struct opt_sim {
	uint32_t *next;	  /* of each access: that of the same page */
	uint32_t *expect; /* of each page: its next access */
	bool *there;
	struct opt_entry *heap; /* the farthest on top */
	size_t entries;
	uint32_t frames, used;
};

static void heap_push(struct opt_sim *o, struct opt_entry e)
{
	size_t i = o->entries++, up;

	for (; i; i = up) {
		up = (i - 1) / 2;
		if (o->heap[up].next >= e.next)
			break;
		o->heap[i] = o->heap[up];
	}
	o->heap[i] = e;
}

static struct opt_entry heap_pop(struct opt_sim *o)
{
	struct opt_entry top = o->heap[0], last = o->heap[--o->entries];
	size_t i = 0, down;

	while ((down = 2 * i + 1) < o->entries) {
		if (down + 1 < o->entries &&
		    o->heap[down + 1].next > o->heap[down].next)
			down++;
		if (o->heap[down].next <= last.next)
			break;
		o->heap[i] = o->heap[down];
		i = down;
	}
	o->heap[i] = last;
	return top;
}

/* Evicts the resident page that is needed last. */
static void opt_evict(struct opt_sim *o)
{
	struct opt_entry e;

	do {
		e = heap_pop(o);
	} while (!o->there[e.page] || o->expect[e.page] != e.next);
	o->there[e.page] = false;
}

static bool opt_access(struct opt_sim *o, uint32_t page, size_t i)
{
	bool hit = o->there[page];

	if (!hit && o->used == o->frames)
		opt_evict(o);
	else if (!hit)
		o->used++;
	o->there[page] = true;
	o->expect[page] = o->next[i];
	heap_push(o, (struct opt_entry){o->next[i], page});
	return hit;
}

/* => expect holds NOWHERE for every page, and does again on return. */
static void find_next(struct opt_sim *o, const struct trace *t)
{
	size_t i;

	for (i = t->accesses; i-- > 0;) {
		o->next[i] = o->expect[t->page[i]];
		o->expect[t->page[i]] = (uint32_t)i;
	}
	memset(o->expect, 0xff, t->pages * sizeof(*o->expect));
}

bool sim_opt(const struct sim_setup *setup, struct sim_score *score)
{
	const struct trace *t = setup->trace;
	struct opt_sim o = {.frames = setup->budget_pages};
	bool ok;
	size_t i;

	memset(score, 0, sizeof(*score));
	o.next = malloc((t->accesses + 1) * sizeof(*o.next));
	o.heap = calloc(t->accesses + 1, sizeof(*o.heap));
	o.expect = malloc((t->pages + 1) * sizeof(*o.expect));
	o.there = calloc(t->pages + 1, sizeof(*o.there));
	ok = o.next && o.heap && o.expect && o.there && t->accesses < NOWHERE;
	if (ok) {
		memset(o.expect, 0xff, t->pages * sizeof(*o.expect));
		find_next(&o, t);
	}
	for (i = 0; ok && i < t->accesses; i++) {
		sim_progress(setup, i);
		sim_count(score, setup, i, opt_access(&o, t->page[i], i));
	}
	free(o.next);
	free(o.heap);
	free(o.expect);
	free(o.there);
	return ok;
}
