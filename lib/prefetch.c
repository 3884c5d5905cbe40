/* SPDX-License-Identifier: MIT */
/*
 * prefetch.c - finds streams in a sequence of faults, says what to read ahead.
 *
 * Only faults are seen, never hits: a stream whose next pages were prefetched
 * is silent until it reaches the first page that was not. So a stream is kept
 * as the page of its last fault, its stride, and `next`, the page that it must
 * fault on if it goes on:
 *
 *	       last                                  next
 *	... ----+-----+-----+-----+-----+-----+-----+-----+---> stride
 *	      fault   |<-------- window ---------->| expected fault
 *
 * A fault on the last page of a stream again (it was evicted at once, or this
 * is the write after the read) says nothing. Any other is one of three:
 *   hit     page == next of a stream: it has walked through its window. The
 *	     window doubles. The third fault in step makes a stream of a
 *	     candidate (window > 0).
 *   inside  page lies on the stride between last and next: prefetched, but
 *	     still on its way or evicted again. Plans again from here, and the
 *	     window does not grow; the caller skips pages that are there.
 *   miss    a new candidate in the least recently used entry, whose stride is
 *	     the distance to the nearest last fault if that is at most
 *	     STRIDE_MAX pages. The old entry stays, so that two streams that
 *	     run close to each other, whose first faults pair up wrongly, are
 *	     told apart by their second ones.
 *
 * Random faults make candidates only. Of faults spread over 1 GiB, 0.8 % come
 * within 64 pages of one of the 16 entries, and of those one in 16,000 is
 * followed by the third in step before the entry is recycled.
 *
 * Is it any use? useful_pct is the share of pages read ahead that were used,
 * as far as faults tell at once: a hit after a window counts its pages as
 * used; a stream whose entry is recycled before it reached `next` broke off
 * somewhere in its window, and half of that counts as wasted. Who knows
 * better, and later (evict does), may add prefetch_feedback(). At FULL_PCT
 * and above windows may reach max_pages. At POOR_PCT and below nothing is
 * read but one window of PREFETCH_MIN pages in PROBE_PERIOD, so that a change
 * for the better is noticed. In between the largest window shrinks in step.
 * FULL_PCT is below 50 so that a stream which walks through all it is given
 * keeps its windows even if reports call each of its pages wasted once.
 *
 * Invariants, verified by check_stream() in debug builds:
 *  (1) window > 0 only with stride != 0 and run >= RUN_STREAM.
 *  (2) stride != 0: next = last + k * stride with k >= 1.
 *  (3) |stride| <= STRIDE_MAX; window <= max_pages.
 * and of a plan: it never holds the faulting page, and lies in [low, high).
 *
 * Page numbers are below 2^52, so that distances fit int64_t and need no care
 * for overflow.
 */
#include "prefetch.h"
#include <string.h>

/*
 * Pages. The largest stride that can still pay: at 64 a window of 64 pages
 * spans 16 MiB, and every page of it is a read of its own.
 */
#define STRIDE_MAX 64
/* Faults in step that make a stream. */
#define RUN_STREAM 3
/*
 * Faults for which a recognised stream outlives candidates: a stream with a
 * window of 64 faults only once in 64 pages, while random faults of other
 * threads go through the entries.
 */
#define STREAM_BONUS 256

/* See "Is it any use?" above. */
#define FULL_PCT     45
#define POOR_PCT     30
#define PROBE_PERIOD 16
/*
 * The estimate looks back over this many pages, and begins with PRIOR_PAGES
 * good ones: about 75 wasted pages turn an untried prefetch off.
 */
#define MEMORY_PAGES 256
#define PRIOR_PAGES  32

void prefetch_init(struct prefetch *p, uint32_t max_pages)
{
	memset(p, 0, sizeof(*p));
	p->max_pages = max_pages;
	p->used = PRIOR_PAGES;
	p->useful_pct = 100;
}

/* ---- is it any use? ---- */

void prefetch_feedback(struct prefetch *p, uint32_t used, uint32_t wasted)
{
	/* One report must not count for more than the memory. */
	p->used += MIN(used, MEMORY_PAGES);
	p->wasted += MIN(wasted, MEMORY_PAGES);
	while (p->used + p->wasted > MEMORY_PAGES) {
		p->used /= 2;
		p->wasted /= 2;
	}
	if (p->used + p->wasted)
		p->useful_pct = p->used * 100 / (p->used + p->wasted);
}

/* The largest window that the estimate allows. */
static uint32_t window_limit(const struct prefetch *p)
{
	uint32_t limit = p->max_pages;

	if (p->useful_pct < FULL_PCT)
		limit = limit * p->useful_pct / FULL_PCT;
	if (p->useful_pct <= POOR_PCT)
		limit = PREFETCH_MIN;
	return MIN(MAX(limit, PREFETCH_MIN), p->max_pages);
}

/* May the next window be read? While the estimate is poor, one in 16. */
static bool may_read(struct prefetch *p)
{
	if (p->useful_pct > POOR_PCT || ++p->refused >= PROBE_PERIOD) {
		p->refused = 0;
		return true;
	}
	return false;
}

/* ---- streams ---- */

static int64_t distance(uint64_t from, uint64_t to)
{
	return (int64_t)(to - from);
}

static uint64_t magnitude(int64_t d)
{
	return d < 0 ? -(uint64_t)d : (uint64_t)d;
}

static void check_stream(const struct prefetch *p,
			 const struct prefetch_stream *s)
{
	if (s->stride == 0) {
		DEBUG_ASSERT(s->window == 0);
		return;
	}
	DEBUG_ASSERT(magnitude(s->stride) <= STRIDE_MAX);
	DEBUG_ASSERT(distance(s->last, s->next) % s->stride == 0);
	DEBUG_ASSERT(distance(s->last, s->next) / s->stride >= 1);
	DEBUG_ASSERT(s->window <= p->max_pages);
	DEBUG_ASSERT(s->window == 0 || s->run >= RUN_STREAM);
	(void)p;
}

/* Pages of s that were prefetched and not faulted on: between last and next. */
static uint64_t pages_ahead(const struct prefetch_stream *s)
{
	return (uint64_t)(distance(s->last, s->next) / s->stride) - 1;
}

static bool is_inside(const struct prefetch_stream *s, uint64_t page)
{
	int64_t d = distance(s->last, page);

	return d % s->stride == 0 && d / s->stride > 0 &&
	       (uint64_t)(d / s->stride) <= pages_ahead(s);
}

/* The stream that expects `page` next; failing that, one that holds it. */
static struct prefetch_stream *find_stream(struct prefetch *p, uint64_t page)
{
	struct prefetch_stream *s, *inside = NULL;

	for (s = p->stream; s < p->stream + PREFETCH_STREAMS; s++) {
		if (s->stride == 0)
			continue;
		if (s->next == page)
			return s;
		if (is_inside(s, page))
			inside = s;
	}
	return inside;
}

static bool is_repeated(const struct prefetch *p, uint64_t page)
{
	const struct prefetch_stream *s;

	for (s = p->stream; s < p->stream + PREFETCH_STREAMS; s++)
		if (s->run && s->last == page)
			return true;
	return false;
}

/* Distance from the nearest last fault, 0 when it is not near. */
static int64_t nearest_stride(const struct prefetch *p, uint64_t page)
{
	const struct prefetch_stream *s;
	int64_t d, best = 0;

	for (s = p->stream; s < p->stream + PREFETCH_STREAMS; s++) {
		if (s->run == 0)
			continue;
		d = distance(s->last, page);
		if (magnitude(d) > STRIDE_MAX)
			continue;
		if (best == 0 || magnitude(d) < magnitude(best))
			best = d;
	}
	return best;
}

/* The entry to recycle: unused, or used longest ago. */
static struct prefetch_stream *oldest_stream(struct prefetch *p)
{
	struct prefetch_stream *s, *oldest = NULL;
	uint64_t key, lowest = UINT64_MAX;

	for (s = p->stream; s < p->stream + PREFETCH_STREAMS; s++) {
		key = s->used + (s->window ? STREAM_BONUS : 0);
		if (key < lowest) {
			lowest = key;
			oldest = s;
		}
	}
	return oldest;
}

/* The stream did not reach the end of its window: say, half was wasted. */
static void count_broken_off(struct prefetch *p,
			     const struct prefetch_stream *s)
{
	if (s->window)
		prefetch_feedback(p, 0, (uint32_t)(pages_ahead(s) + 1) / 2);
}

/* Starts a candidate at page. */
static struct prefetch_stream *new_stream(struct prefetch *p, uint64_t page)
{
	int64_t stride = nearest_stride(p, page);
	struct prefetch_stream *s = oldest_stream(p);

	count_broken_off(p, s);
	*s = (struct prefetch_stream){
		.last = page,
		.next = page + (uint64_t)stride,
		.stride = stride,
		.run = stride ? 2 : 1,
	};
	return s;
}

/* The fault was in step: s->next is where it was expected. */
static void advance_stream(struct prefetch *p, struct prefetch_stream *s,
			   uint64_t page)
{
	uint64_t ahead = pages_ahead(s);

	if (page == s->next) {
		s->run = MIN(s->run + 1, (uint32_t)RUN_STREAM);
		if (ahead)
			prefetch_feedback(p, (uint32_t)ahead, 0);
		if (s->window)
			s->window = MIN(s->window * 2, window_limit(p));
		else if (s->run >= RUN_STREAM)
			s->window = MIN(PREFETCH_MIN, p->max_pages);
	}
	s->window = MIN(s->window, window_limit(p));
	s->last = page;
	s->next = page + (uint64_t)s->stride;
}

/*
 * Advised sequential: a stream from its first fault, and a quarter of the
 * largest window from the start. Backward only if it looks so.
 */
static void force_stream(struct prefetch *p, struct prefetch_stream *s)
{
	s->stride = s->stride == -1 ? -1 : 1;
	s->next = s->last + (uint64_t)s->stride;
	s->run = RUN_STREAM;
	s->window = MIN(MAX(p->max_pages / 4, PREFETCH_MIN), window_limit(p));
}

/* How many steps from page stay in [low, high)? */
static uint64_t steps_within(uint64_t page, int64_t stride, uint64_t low,
			     uint64_t high)
{
	uint64_t room = stride > 0 ? high - 1 - page : page - low;

	return room / magnitude(stride);
}

/* The next window of s, from its last fault. */
static struct prefetch_plan plan_window(struct prefetch *p,
					struct prefetch_stream *s, uint64_t low,
					uint64_t high)
{
	struct prefetch_plan plan = {.first = s->next, .stride = s->stride};
	uint64_t steps = steps_within(s->last, s->stride, low, high);

	plan.count = (uint32_t)MIN(s->window, steps);
	if (plan.count == 0 || !may_read(p))
		return (struct prefetch_plan){.stride = 1};
	s->next += (uint64_t)s->stride * plan.count;
	return plan;
}

struct prefetch_plan prefetch_fault(struct prefetch *p, uint64_t page,
				    uint64_t low, uint64_t high,
				    bool sequential)
{
	struct prefetch_plan none = {.stride = 1};
	struct prefetch_stream *s;

	if (p->max_pages == 0 || page < low || page >= high)
		return none;
	if (is_repeated(p, page))
		return none;
	s = find_stream(p, page);
	if (s)
		advance_stream(p, s, page);
	else
		s = new_stream(p, page);
	s->used = ++p->turn;
	if (sequential && !s->window)
		force_stream(p, s);
	check_stream(p, s);
	return s->window ? plan_window(p, s, low, high) : none;
}
