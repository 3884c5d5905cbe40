/* SPDX-License-Identifier: MIT */
/*
 * pattern.c - which page is accessed next.
 *
 * Zipf. The k-th of n pages gets a share of 1/k^theta. With a million pages
 * a table of the distribution would be 8 MiB that compete for the cache with
 * what is measured, so we sample without one: rejection-inversion, W.
 * Hoermann and G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6(3), 1996. It is exact (the
 * usual approximation of Gray et al. 1994, as in YCSB, is wrong at theta =
 * 1), costs two logarithms, and rejects less than once in ten. In its terms:
 *   h(x) = x^-theta, H(x) its integral with H(1) = 0;
 *   u is uniform in (H(1.5) - 1, H(n + 0.5)], x = H^-1(u), k = round(x);
 *   k is taken if k - x <= s, or else if u >= H(k + 0.5) - h(k).
 * H is written with expm1 and log1p so that theta = 1, where it becomes the
 * logarithm, is no special case: see ratio_expm1() and ratio_log1p().
 *
 * Scrambling. Rank k is not page k: hot pages next to one another would be
 * read ahead, evicted and written together, which flatters every pager. A
 * hash modulo n would lay several ranks on one page and none on others, so
 * we use a bijection: a mix of multiplications and shifts that is one-to-one
 * on the next power of two, repeated until the result is below n (at most
 * twice on average). It depends on the seed, not on the thread.
 *
 * Walks. seq is a walk in steps of one page, stride in steps of several, loop
 * one over the first pages only, backward one from the end. If each lap of
 * a stride of 3 began at page 0, two thirds of the pages would never be seen;
 * so each lap starts one page further, modulo the step.
 *
 * Phases. The hot pages of zipf move to other places each time when all
 * threads together have accessed PHASE_LAPS times as many pages as there are:
 * long enough for a pager to learn them, and to be wrong afterwards.
 */
#include "vvmbench/workload/pattern.h"

#include <math.h>

enum { PHASE_LAPS = 2, SCAN_PCT = 50 };

/* ------------------------------------------------------------------ */
/* Zipf									*/

/* (exp(x) - 1) / x, continued over 0 by its series. */
static double ratio_expm1(double x)
{
	return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}

/* log(1 + x) / x, likewise. */
static double ratio_log1p(double x)
{
	return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x * (0.5 - x / 3);
}

/* H(x): (x^(1-theta) - 1) / (1 - theta), or log(x). */
static double integral(double theta, double x)
{
	double log_x = log(x);

	return ratio_expm1((1 - theta) * log_x) * log_x;
}

static double integral_inverse(double theta, double y)
{
	double t = y * (1 - theta);

	if (t < -1) /* rounding only: H is bounded below for theta > 1 */
		t = -1;
	return exp(ratio_log1p(t) * y);
}

static double density(double theta, double x)
{
	return exp(-theta * log(x));
}

void zipf_init(struct zipf *z, uint64_t n, double theta)
{
	z->n = n;
	z->theta = theta;
	z->first = integral(theta, 1.5) - 1;
	z->last = integral(theta, (double)n + 0.5);
	z->squeeze = 2 - integral_inverse(theta, integral(theta, 2.5) -
							 density(theta, 2));
}

uint64_t zipf_next(const struct zipf *z, struct rng *r)
{
	for (;;) {
		double u = z->last + rng_real(r) * (z->first - z->last);
		double x = integral_inverse(z->theta, u);
		double k = floor(x + 0.5);

		if (k < 1)
			k = 1;
		if (k > (double)z->n)
			k = (double)z->n;
		if (k - x <= z->squeeze ||
		    u >= integral(z->theta, k + 0.5) - density(z->theta, k))
			return (uint64_t)k;
	}
}

/* ------------------------------------------------------------------ */
/* Scrambling								*/

void scramble_init(struct scramble *s, uint64_t n, uint64_t seed)
{
	unsigned bits = n > 1 ? 64 - (unsigned)__builtin_clzll(n - 1) : 1;

	s->n = n;
	s->mask = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
	s->shift = (bits + 1) / 2;
	s->add = rng_mix(seed ^ 0x5c7a3b1e9d2f4680ull) & s->mask;
}

/* One-to-one on mask: adding, odd factors and x ^ x >> shift all are. */
static uint64_t scramble_once(const struct scramble *s, uint64_t x)
{
	x = (x + s->add) & s->mask;
	x = x * 0x9e3779b97f4a7c15ull & s->mask;
	x ^= x >> s->shift;
	x = x * 0xbf58476d1ce4e5b9ull & s->mask;
	x ^= x >> s->shift;
	return x * 0x94d049bb133111ebull & s->mask;
}

uint64_t scramble(const struct scramble *s, uint64_t x)
{
	do {
		x = scramble_once(s, x);
	} while (x >= s->n);
	return x;
}

/* ------------------------------------------------------------------ */
/* Walks								*/

static void walk_init(struct walk *w, uint64_t n, int64_t stride,
		      uint64_t start)
{
	w->n = n;
	w->backward = stride < 0;
	w->step = stride < 0 ? -(uint64_t)stride : (uint64_t)stride;
	w->at = start;
	w->lap = start % w->step;
}

static uint64_t walk_next(struct walk *w)
{
	uint64_t at = w->at;

	w->at += w->step;
	if (w->at >= w->n) {
		w->lap = (w->lap + 1) % w->step;
		w->at = w->lap;
	}
	return w->backward ? w->n - 1 - at : at;
}

/* ------------------------------------------------------------------ */
/* Patterns								*/

static int64_t step_of(const struct pattern_spec *spec)
{
	if (spec->kind == PATTERN_stride)
		return spec->stride;
	return spec->kind == PATTERN_backward ? -1 : 1;
}

/* Pages that a walk goes over. */
static uint64_t walk_pages(const struct pattern_spec *spec)
{
	bool part = spec->kind == PATTERN_loop && spec->loop_pages &&
		    spec->loop_pages < spec->pages;

	return part ? spec->loop_pages : spec->pages;
}

void pattern_init(struct pattern *p, const struct pattern_spec *spec,
		  unsigned thread, unsigned threads)
{
	uint64_t walked = walk_pages(spec);
	uint64_t start =
		(uint64_t)((unsigned __int128)walked * thread / threads);

	p->kind = spec->kind;
	p->turn = 0;
	p->hot = spec->kind == PATTERN_zipf || spec->kind == PATTERN_phases;
	p->scan_pct = spec->scan_pct ? spec->scan_pct : SCAN_PCT;
	p->scan_due = 0;
	p->phase = PHASE_LAPS * spec->pages / threads + 1;
	p->seed = spec->seed;
	p->rng.state = rng_mix(spec->seed + 1) + rng_mix(thread);
	zipf_init(&p->zipf, spec->pages, spec->theta);
	scramble_init(&p->scramble, spec->pages, spec->seed);
	walk_init(&p->walk, walked, step_of(spec), start);
}

static uint64_t next_hot(struct pattern *p)
{
	return scramble(&p->scramble, zipf_next(&p->zipf, &p->rng) - 1);
}

static uint64_t next_of_phases(struct pattern *p)
{
	uint64_t turn = p->turn++;

	if (turn && turn % p->phase == 0)
		scramble_init(&p->scramble, p->zipf.n,
			      p->seed + turn / p->phase);
	return next_hot(p);
}

static uint64_t next_of_mix(struct pattern *p)
{
	p->scan_due += p->scan_pct;
	p->hot = p->scan_due < 100;
	if (p->hot)
		return next_hot(p);
	p->scan_due -= 100;
	return walk_next(&p->walk);
}

uint64_t pattern_next(struct pattern *p)
{
	switch (p->kind) {
	case PATTERN_uniform:
		return rng_below(&p->rng, p->zipf.n);
	case PATTERN_zipf:
		return next_hot(p);
	case PATTERN_scanmix:
		return next_of_mix(p);
	case PATTERN_phases:
		return next_of_phases(p);
	default:
		return walk_next(&p->walk);
	}
}
