/* SPDX-License-Identifier: MIT */
/*
 * policy/prefetch.c - finds streams in a sequence of faults, and says what to
 * read ahead of them.
 *
 * Only faults are seen, never hits: a stream whose next pages were prefetched
 * is silent until it reaches a page that was not. If that were the first page
 * after the window, the stream would stand still while the next one is read. So
 * each window has a *trigger*, its first page. The caller sees to it that the
 * stream faults there without having to wait for a read (space/standby.c keeps
 * a copy), and the next window is planned then. A stream is kept as the page of
 * its last fault, its stride, the trigger and `next`, the page on which it must
 * fault at the latest:
 *
 *	       last		trigger			       next
 *	... ----+-----+-----+-----+-----+-----+-----+-----+-----+---> stride
 *	      fault   |<-- read --------|<-- being read ------->| expected
 *
 * A second fault on the last page of a stream (it was evicted at once, or this
 * is the write after the read) says nothing. Any other fault is one of four:
 *   hit     page == trigger, or another one from there to next: the stream
 *	     has walked through a window. The window doubles; the next one
 *	     is planned from `next` on and has the trigger.
 *   end     page == next: all was walked through, or nothing was planned. The
 *	     same, and the third fault in step makes a stream of a candidate
 *	     (window > 0).
 *   lost    page lies on the stride between last and trigger: evicted again,
 *	     or never read for want of frames. Plans again from here, with half
 *	     the window; the caller skips pages that are there.
 *   miss    a new candidate in the least recently used entry. Its stride is
 *	     the distance to the nearest last fault, if that is at most
 *	     STRIDE_MAX pages. The old entry stays: the first faults of two
 *	     streams that run close to each other may pair up wrongly; their
 *	     second ones tell them apart.
 *
 * Random faults make candidates only. Of faults spread over 1 GiB, 0.8 % come
 * within 64 pages of one of the 16 entries, and one in 16,000 of those is
 * followed by the third in step before the entry is recycled.
 *
 * Is it any use? useful_pct is the share of pages read ahead that were used, as
 * far as faults tell. A hit counts the pages since the last one as used. A
 * stream whose entry is recycled before it reached `next` broke off somewhere
 * in its windows: half of what it had ahead counts as wasted. At FULL_PCT and above
 * windows may reach max_pages. At POOR_PCT and below nothing is read but one
 * window of PREFETCH_MIN pages in PROBE_PERIOD, so that a change for the better
 * is noticed. In between the largest window shrinks in step. FULL_PCT is below
 * 50 so that a stream which walks through all that it is given keeps its
 * windows even if each of its pages is reported wasted once.
 *
 * Invariants, verified by check_stream() in debug builds:
 *  (1) window > 0 only with stride != 0 and run >= RUN_STREAM.
 *  (2) stride != 0: next = last + k * stride with k >= 1, and trigger =
 *	last + j * stride with 1 <= j <= k.
 *  (3) |stride| <= STRIDE_MAX; window <= max_pages.
 * And of a plan: it never holds the faulting page, and lies in [low, high).
 *
 * Page numbers are below 2^52, so distances fit int64_t and cannot overflow.
 */
#include "policy/prefetch.h"
#include <string.h>

/*
 * Pages. The largest stride that can still pay: at 64 a window of 64 pages
 * spans 16 MiB, and every page of it is a read of its own. That many reads
 * are what the disk can overlap, so such a window does not grow further.
 */
#define STRIDE_MAX 64
/* Faults in step that make a stream. */
#define RUN_STREAM 3
/*
 * Faults for which a recognised stream outlives candidates: a stream with a
 * window of 512 faults only once in 512 pages, while random faults of other
 * streams and threads go through the entries.
 */
#define STREAM_BONUS 1024

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

static int64_t distance(uint64_t from, uint64_t to)
{
	return (int64_t)(to - from);
}

static uint64_t magnitude(int64_t d)
{
	return d < 0 ? -(uint64_t)d : (uint64_t)d;
}

void prefetch_init(struct prefetch *p, uint32_t max_pages)
{
	memset(p, 0, sizeof(*p));
	p->max_pages = max_pages;
	p->used = PRIOR_PAGES;
	p->useful_pct = 100;
}

void prefetch_limit(struct prefetch *p, uint32_t max_pages)
{
	p->max_pages = max_pages;
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

/* The largest window that the estimate allows, and the stride. */
static uint32_t window_limit(const struct prefetch *p, int64_t stride)
{
	uint32_t limit = p->max_pages;

	if (magnitude(stride) > PREFETCH_DENSE)
		limit = MIN(limit, PREFETCH_SPARSE_WINDOW);
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

static void check_stream(const struct prefetch *p,
			 const struct prefetch_stream *s)
{
	if (s->stride == 0) {
		DEBUG_ASSERT(s->window == 0);
		return;
	}
	DEBUG_ASSERT(magnitude(s->stride) <= STRIDE_MAX);
	DEBUG_ASSERT(distance(s->last, s->next) % s->stride == 0);
	DEBUG_ASSERT(distance(s->last, s->trigger) % s->stride == 0);
	DEBUG_ASSERT(distance(s->last, s->trigger) / s->stride >= 1);
	DEBUG_ASSERT(distance(s->trigger, s->next) / s->stride >= 0);
	DEBUG_ASSERT(s->window <= p->max_pages);
	DEBUG_ASSERT(s->window == 0 || s->run >= RUN_STREAM);
	(void)p;
}

/* Steps of s from one of its pages to a later one. */
static uint64_t steps(const struct prefetch_stream *s, uint64_t from,
		      uint64_t to)
{
	return (uint64_t)(distance(from, to) / s->stride);
}

/* Pages of s that were prefetched and not faulted on: between last and next. */
static uint64_t pages_ahead(const struct prefetch_stream *s)
{
	return steps(s, s->last, s->next) - 1;
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
	struct prefetch_stream *s, *oldest = p->stream;
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

/*
 * The stream did not reach the end of its window: say, half was wasted.
 * Returns the pages that it has ahead.
 */
static uint32_t count_broken_off(struct prefetch *p,
				 const struct prefetch_stream *s)
{
	uint64_t ahead = s->window ? pages_ahead(s) : 0;

	if (s->window)
		prefetch_feedback(p, 0, (uint32_t)(ahead + 1) / 2);
	return (uint32_t)ahead;
}

/* Starts a candidate at page. */
static struct prefetch_stream *new_stream(struct prefetch *p, uint64_t page,
					  uint32_t *dropped)
{
	int64_t stride = nearest_stride(p, page);
	struct prefetch_stream *s = oldest_stream(p);

	*dropped = count_broken_off(p, s);
	*s = (struct prefetch_stream){
		.last = page,
		.trigger = page + (uint64_t)stride,
		.next = page + (uint64_t)stride,
		.stride = stride,
		.run = stride ? 2 : 1,
	};
	return s;
}

/* All that was given was walked through up to here: more of it. */
static void grow_window(struct prefetch *p, struct prefetch_stream *s)
{
	s->run = MIN(s->run + 1, (uint32_t)RUN_STREAM);
	if (s->window)
		s->window = MIN(s->window * 2, window_limit(p, s->stride));
	else if (s->run >= RUN_STREAM)
		s->window = MIN(PREFETCH_MIN, p->max_pages);
}

/*
 * The fault was in step: a hit, the end, or a page that was lost. Returns the
 * pages that were walked through.
 */
static uint32_t advance_stream(struct prefetch *p, struct prefetch_stream *s,
			       uint64_t page)
{
	uint64_t step = steps(s, s->last, page), walked = 0;

	if (step >= steps(s, s->last, s->trigger)) {
		walked = step - 1;
		if (walked)
			prefetch_feedback(p, (uint32_t)walked, 0);
		grow_window(p, s);
		if (page == s->next)
			s->next = page + (uint64_t)s->stride;
	} else {
		s->window = MAX(s->window / 2, PREFETCH_MIN);
		s->next = page + (uint64_t)s->stride;
	}
	s->window = MIN(s->window, window_limit(p, s->stride));
	s->last = page;
	s->trigger = s->next;
	return (uint32_t)walked;
}

/*
 * Advised sequential: a stream from its first fault, and a quarter of the
 * largest window from the start. Backward only if it looks so.
 */
static void force_stream(struct prefetch *p, struct prefetch_stream *s)
{
	s->stride = s->stride == -1 ? -1 : 1;
	s->next = s->trigger = s->last + (uint64_t)s->stride;
	s->run = RUN_STREAM;
	s->window = MIN(MAX(p->max_pages / 4, PREFETCH_MIN),
			window_limit(p, s->stride));
}

/* How many steps from page, which is in there, stay in [low, high)? */
static uint64_t steps_within(uint64_t page, int64_t stride, uint64_t low,
			     uint64_t high)
{
	uint64_t room = stride > 0 ? high - 1 - page : page - low;

	ASSERT(stride != 0);
	return room / magnitude(stride);
}

/* The next window of s, from `next` on. Without one it has no trigger. */
static struct prefetch_plan plan_window(struct prefetch *p,
					struct prefetch_stream *s, uint64_t low,
					uint64_t high)
{
	struct prefetch_plan plan = {.first = s->next, .stride = s->stride};
	uint64_t room = steps_within(s->last, s->stride, low, high);

	room -= MIN(room, pages_ahead(s));
	plan.count = (uint32_t)MIN(s->window, room);
	if (plan.count == 0 || !may_read(p))
		return (struct prefetch_plan){.stride = 1};
	s->trigger = s->next;
	s->next += (uint64_t)s->stride * plan.count;
	return plan;
}

struct prefetch_plan prefetch_fault(struct prefetch *p, uint64_t page,
				    uint64_t low, uint64_t high,
				    bool sequential)
{
	struct prefetch_plan plan = {.stride = 1};
	uint32_t walked = 0, dropped = 0;
	struct prefetch_stream *s;

	if (p->max_pages == 0 || page < low || page >= high)
		return plan;
	if (is_repeated(p, page))
		return plan;
	s = find_stream(p, page);
	if (s)
		walked = advance_stream(p, s, page);
	else
		s = new_stream(p, page, &dropped);
	s->used = ++p->turn;
	if (sequential && !s->window)
		force_stream(p, s);
	if (s->window)
		plan = plan_window(p, s, low, high);
	check_stream(p, s);
	plan.walked = walked;
	plan.dropped = dropped;
	return plan;
}
