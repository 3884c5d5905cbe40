/* SPDX-License-Identifier: MIT */
/*
 * sim_policy.c - how good are the replacement policy's choices?
 *
 * Runs a policy's ops, the same object that reclaim uses, over traces of page
 * accesses, in a model of what reclaim does: blocks of 512 pages in a ring, a
 * hand that drops the mappings of a block at each pass, watermarks, prefetch
 * flags. Beside it exact CLOCK and exact LRU, one access at a time, as small
 * as they can be written. Seeded; no timing.
 *
 *	sim_policy		asserts (see main), prints one line per trace
 *	sim_policy PAGES ACCESSES	another size; prints only
 */
#include "policy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET_DIVISOR 4 /* a quarter of the pages is resident */
#define THETA	       0.99
#define WARM_DIVISOR   3 /* of the accesses do not count */
#define LOW_PCT	       2
#define HIGH_PCT       4
#define WINDOW	       32 /* pages that the scan of `ahead` prefetches */

struct trace {
	const char *name;
	uint32_t *page; /* accesses */
	bool *scan;	/* part of a sequential scan: prefetched */
	uint32_t pages, accesses, budget;
	bool ahead; /* scans read ahead, and only the rest counts */
};

struct score {
	uint64_t hits, accesses;
	uint64_t visits; /* pages that the hand passed */
	uint64_t barren; /* highest pressure that was needed */
	bool failed;	 /* the hand found no victim at full pressure */
};

/* ---- chance ---- */

static uint64_t seed;

static uint64_t random_next(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 2685821657736338717ull;
}

static double random_unit(void)
{
	return (double)(random_next() >> 11) / (double)((uint64_t)1 << 53);
}

static void *zeroed(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		abort();
	return p;
}

/* ---- traces ---- */

static uint32_t *random_order(uint32_t n)
{
	uint32_t *order = zeroed(n, sizeof(*order)), i, j, swap;

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n - 1; i > 0; i--) {
		j = (uint32_t)(random_next() % (i + 1));
		swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	return order;
}

/* cdf[i]: the weight of the ranks 0..i. */
static double *zipf_cdf(uint32_t n)
{
	double *cdf = zeroed(n, sizeof(*cdf)), sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		cdf[i] = sum += pow(i + 1, -THETA);
	return cdf;
}

static uint32_t zipf_rank(const double *cdf, uint32_t n)
{
	double u = random_unit() * cdf[n - 1];
	uint32_t lo = 0, hi = n - 1, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (cdf[mid] >= u)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Zipf over scattered pages; scan_in > 0: one access in so many scans. */
static void make_zipf(struct trace *t, unsigned scan_in)
{
	uint32_t *order = random_order(t->pages), i, scan = 0;
	double *cdf = zipf_cdf(t->pages);

	for (i = 0; i < t->accesses; i++) {
		t->scan[i] = scan_in && random_next() % scan_in == 0;
		if (t->scan[i])
			t->page[i] = scan++ % t->pages;
		else
			t->page[i] = order[zipf_rank(cdf, t->pages)];
	}
	free(order);
	free(cdf);
}

static void make_uniform(struct trace *t)
{
	uint32_t i;

	for (i = 0; i < t->accesses; i++)
		t->page[i] = (uint32_t)(random_next() % t->pages);
}

/* A loop over 1.1 times the budget: the worst for CLOCK and LRU. */
static void make_loop(struct trace *t)
{
	uint32_t i;

	for (i = 0; i < t->accesses; i++)
		t->page[i] = i % (t->budget + t->budget / 10);
}

static struct trace trace_new(const char *name, uint32_t pages,
			      uint32_t accesses)
{
	struct trace t = {.name = name,
			  .pages = pages,
			  .accesses = accesses,
			  .budget = pages / BUDGET_DIVISOR,
			  .ahead = !strcmp(name, "ahead+zipf")};

	seed = 88172645463325252ull;
	t.page = zeroed(accesses, sizeof(*t.page));
	t.scan = zeroed(accesses, sizeof(*t.scan));
	if (!strcmp(name, "zipf"))
		make_zipf(&t, 0);
	else if (!strcmp(name, "scan+zipf") || t.ahead)
		make_zipf(&t, 4);
	else if (!strcmp(name, "uniform"))
		make_uniform(&t);
	else
		make_loop(&t);
	return t;
}

static void trace_free(struct trace *t)
{
	free(t->page);
	free(t->scan);
}

static void count_access(struct score *s, const struct trace *t, uint32_t i,
			 bool hit)
{
	if (i < t->accesses / WARM_DIVISOR || (t->ahead && t->scan[i]))
		return;
	s->accesses++;
	s->hits += hit;
}

static double hit_pct(const struct score *s)
{
	return 100.0 * (double)s->hits / (double)s->accesses;
}

/* ---- exact CLOCK ---- */

static struct score run_clock(const struct trace *t)
{
	struct score score = {0};
	uint32_t *frame = zeroed(t->budget, sizeof(*frame)), hand = 0, i, page;
	uint32_t *where = zeroed(t->pages, sizeof(*where)); /* frame + 1 */
	bool *used = zeroed(t->budget, sizeof(*used));

	memset(frame, 0xff, t->budget * sizeof(*frame));
	for (i = 0; i < t->accesses; i++) {
		page = t->page[i];
		count_access(&score, t, i, where[page] > 0);
		if (where[page]) {
			used[where[page] - 1] = true;
			continue;
		}
		for (; used[hand]; hand = (hand + 1) % t->budget)
			used[hand] = false;
		if (frame[hand] != UINT32_MAX)
			where[frame[hand]] = 0;
		frame[hand] = page;
		hand = (hand + 1) % t->budget;
		where[page] = hand ? hand : t->budget;
	}
	free(frame);
	free(where);
	free(used);
	return score;
}

/* ---- exact LRU: a circular list by page number, head at t->pages ---- */

struct lru {
	uint32_t *prev, *next;
};

static void lru_unlink(struct lru *l, uint32_t page)
{
	l->next[l->prev[page]] = l->next[page];
	l->prev[l->next[page]] = l->prev[page];
}

static void lru_push(struct lru *l, uint32_t head, uint32_t page)
{
	l->prev[page] = head;
	l->next[page] = l->next[head];
	l->prev[l->next[head]] = page;
	l->next[head] = page;
}

static struct score run_lru(const struct trace *t)
{
	struct lru l = {zeroed(t->pages + 1, 4), zeroed(t->pages + 1, 4)};
	bool *there = zeroed(t->pages, sizeof(*there));
	uint32_t i, page, oldest, used = 0, head = t->pages;
	struct score score = {0};

	l.prev[head] = l.next[head] = head;
	for (i = 0; i < t->accesses; i++) {
		page = t->page[i];
		count_access(&score, t, i, there[page]);
		if (there[page]) {
			lru_unlink(&l, page);
		} else if (used < t->budget) {
			used++;
		} else {
			oldest = l.prev[head];
			lru_unlink(&l, oldest);
			there[oldest] = false;
		}
		there[page] = true;
		lru_push(&l, head, page);
	}
	free(l.prev);
	free(l.next);
	free(there);
	return score;
}

/* ---- reclaim with a policy ---- */

struct sim_page {
	bool resident, mapped, prefetched;
	uint8_t age;
};

struct sim {
	const struct policy_ops *ops;
	const struct trace *trace;
	struct sim_page *page;
	uint32_t *count; /* resident pages of each block */
	uint32_t *ring, first, length, blocks; /* queue of blocks */
	uint32_t used;
	struct score score;
};

static void ring_push(struct sim *s, uint32_t block)
{
	s->ring[(s->first + s->length++) % s->blocks] = block;
}

static uint32_t ring_pop(struct sim *s)
{
	uint32_t block = s->ring[s->first];

	s->first = (s->first + 1) % s->blocks;
	s->length--;
	return block;
}

static void sim_bring(struct sim *s, uint32_t page, bool prefetched)
{
	uint32_t block = page / BLOCK_PAGES;
	struct sim_page *p = &s->page[page];

	p->resident = true;
	p->mapped = !prefetched; /* by the install */
	p->prefetched = prefetched;
	p->age = (uint8_t)s->ops->admit(page, prefetched);
	s->used++;
	if (s->count[block]++ == 0)
		ring_push(s, block);
}

static void sim_ask(struct sim *s, struct sim_page *p, uint32_t page,
		    unsigned pressure)
{
	struct policy_page view = {.addr = (gaddr_t)page << PAGE_SHIFT,
				   .age = p->age,
				   .referenced = p->mapped,
				   .prefetched = p->prefetched};

	s->score.visits++;
	p->mapped = false;
	if (s->ops->visit(&view, pressure)) {
		p->resident = false;
		s->used--;
		s->count[page / BLOCK_PAGES]--;
	}
	p->age = (uint8_t)view.age;
}

/* A use of a prefetched page is what the fault would have been. */
static void sim_note_prefetched(struct sim *s, struct sim_page *p,
				uint32_t page)
{
	p->prefetched = false;
	p->age = (uint8_t)s->ops->admit(page, false);
}

/* The hand passes one page; its mapping is dropped. */
static void sim_visit(struct sim *s, uint32_t page, unsigned pressure)
{
	struct sim_page *p = &s->page[page];

	if (p->prefetched && p->mapped)
		sim_note_prefetched(s, p, page);
	sim_ask(s, p, page, pressure);
}

/* One step of the hand; returns the pages that it passed. */
static uint32_t sim_step(struct sim *s, unsigned pressure)
{
	uint32_t block = ring_pop(s), page = block * BLOCK_PAGES, passed = 0;
	uint32_t end = MIN(page + BLOCK_PAGES, s->trace->pages);

	for (; page < end; page++) {
		if (!s->page[page].resident)
			continue;
		passed++;
		sim_visit(s, page, pressure);
	}
	if (s->count[block])
		ring_push(s, block);
	return passed;
}

/*
 * Frees until the high watermark. Pressure rises with each turn of the hand
 * that found nothing at all.
 */
static void sim_reclaim(struct sim *s)
{
	uint32_t budget = s->trace->budget, used, barren = 0;
	unsigned pressure = 0;

	while (budget - s->used < budget * HIGH_PCT / 100) {
		used = s->used;
		sim_step(s, pressure);
		barren = s->used < used ? 0 : barren + 1;
		if (barren < s->length)
			continue;
		barren = 0;
		if (++pressure > PTE_AGE_MAX + 1) {
			s->score.failed = true;
			return;
		}
		s->score.barren = MAX(s->score.barren, pressure);
	}
}

static bool sim_short(const struct sim *s, uint32_t want)
{
	uint32_t budget = s->trace->budget;

	return budget - s->used < MAX(budget * LOW_PCT / 100, want);
}

static void sim_ahead(struct sim *s, uint32_t page)
{
	uint32_t i;

	for (i = page + 1; i <= page + WINDOW && i < s->trace->pages; i++)
		if (!s->page[i].resident)
			sim_bring(s, i, true);
}

static void sim_access(struct sim *s, uint32_t i)
{
	uint32_t page = s->trace->page[i];
	bool hit = s->page[page].resident;

	count_access(&s->score, s->trace, i, hit);
	if (hit) {
		s->page[page].mapped = true;
		return;
	}
	if (sim_short(s, WINDOW + 1))
		sim_reclaim(s);
	sim_bring(s, page, false);
	if (s->trace->ahead && s->trace->scan[i])
		sim_ahead(s, page);
}

static struct score run_policy(const struct policy_ops *ops,
			       const struct trace *t)
{
	struct sim s = {.ops = ops, .trace = t};
	uint32_t i;

	s.blocks = t->pages / BLOCK_PAGES + 1;
	s.page = zeroed(t->pages, sizeof(*s.page));
	s.count = zeroed(s.blocks, sizeof(*s.count));
	s.ring = zeroed(s.blocks, sizeof(*s.ring));
	for (i = 0; i < t->accesses && !s.score.failed; i++)
		sim_access(&s, i);
	free(s.page);
	free(s.count);
	free(s.ring);
	return s.score;
}

/* ---- the program ---- */

/* slack: points of hit rate that the policy may be worse than CLOCK. */
static const struct {
	const char *name;
	double slack;
} runs[] = {
	{"zipf", 0.5}, {"uniform", 1.5}, /* 3 % of the frames are free: 0.75
					    points */
	{"loop", 0.5}, {"scan+zipf", 0.5}, {"ahead+zipf", 0.5},
};

static int run(size_t r, uint32_t pages, uint32_t accesses)
{
	struct trace t = trace_new(runs[r].name, pages, accesses);
	struct score clock = run_clock(&t), lru = run_lru(&t);
	struct score policy = run_policy(&policy_clock, &t);
	double lost = hit_pct(&clock) - hit_pct(&policy);
	uint64_t misses = policy.accesses - policy.hits;
	bool bad = policy.failed || lost > runs[r].slack;

	printf("%-10s CLOCK %6.2f %% LRU %6.2f %% policy %6.2f %% (%.1f page "
	       "visits per counted miss, pressure %llu)%s\n",
	       t.name, hit_pct(&clock), hit_pct(&lru), hit_pct(&policy),
	       (double)policy.visits / (double)MAX(misses, 1),
	       (unsigned long long)policy.barren, bad ? " FAILED" : "");
	trace_free(&t);
	return bad;
}

int main(int argc, char **argv)
{
	uint32_t pages = 65536, accesses = 1500000;
	int failed = 0;
	size_t r;

	if (argc == 3) {
		pages = (uint32_t)strtoul(argv[1], NULL, 0);
		accesses = (uint32_t)strtoul(argv[2], NULL, 0);
	}
	for (r = 0; r < ARRAY_SIZE(runs); r++)
		failed |= run(r, pages, accesses);
	return argc == 3 || !failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
