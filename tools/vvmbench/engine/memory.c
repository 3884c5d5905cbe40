/* SPDX-License-Identifier: MIT */
/*
 * memory.c - accesses to memory, each of them verified.
 *
 * How does a reader know, while others write, that what it reads is not
 * stale? Beside the paged memory, in ordinary memory, there is a *version*
 * for each page, 32 bits. A write increments the page's counter, then the
 * version, both atomically. So at any moment
 *
 *   (1) version <= counter, and
 *   (2) both only grow,
 *
 * and a version read *before* the counter is a lower bound of it. A pager
 * that brings back an old copy of a page breaks (1) and the next access to
 * the page, by any thread, sees it. When all writers have ended, counter ==
 * version for every page: the sweep verifies that, so no increment can be
 * lost unnoticed, and that their sum is the number of writes done. Counters
 * are compared modulo 2^32, as a signed difference.
 *
 * A read loads counter and stamp. A write is one atomic add, so that the
 * first thing that the page sees is a store; it checks the value that it
 * found, and the stamp. With --rmw a write reads first: a read fault and
 * then, on a clean page, a write-protection fault. All of it touches one
 * cache line of the page and four bytes of ordinary memory, the latter being
 * small enough (1 MiB for a GiB) to stay in the cache.
 *
 * Was the page of an access there? Totals come from the pager's own counters,
 * but scanmix asks it of its zipf part alone, and no pager counts that. So we
 * sample: before every PROBE_EVERYth access of that half mincore(2) says
 * whether the page is resident (the same question to the kernel for the
 * memfd of libvvm, a mapped file and the swap cache, and it costs no fault).
 * Latency would not do: a fault may cost less than being preempted does.
 */
#include "vvmbench/engine/memory.h"

#include "vvmbench/workload/stamp.h"

#include <sys/mman.h>

enum { REPORT_PAGES = 64, PROBE_EVERY = 16 };

/* A page, as an access sees it. */
struct spot {
	uint64_t page;
	_Atomic uint64_t *line; /* the home line */
	_Atomic uint32_t *version;
	uint64_t seed;
};

static uint64_t *page_words(const struct worker *w, uint64_t page)
{
	return (uint64_t *)(w->work->engine->base + page * BENCH_PAGE);
}

static inline struct spot spot_of(const struct worker *w, uint64_t page)
{
	uint64_t *words = page_words(w, page);

	return (struct spot){
		.page = page,
		.line = (_Atomic uint64_t *)words +
			stamp_home(page) * STAMP_LINE_WORDS,
		.version = &w->work->versions[page],
		.seed = w->work->plan->seed,
	};
}

/* The slow half of a failed check: which of the two was it? */
_Noreturn static void wrong_counter(const struct spot *s, uint64_t got,
				    uint32_t version)
{
	uint64_t expected = stamp_counter(s->seed, s->page, version);

	if ((expected ^ got) & ~STAMP_COUNT_MASK)
		work_mismatch(s->page, s->line + 1, "counter's tag", expected,
			      got);
	work_mismatch(s->page, s->line + 1,
		      "stale counter: a write was lost (at least)", expected,
		      got);
}

static inline void check_counter(const struct spot *s, uint64_t got,
				 uint32_t version)
{
	uint64_t tag = got & ~STAMP_COUNT_MASK;

	if (tag != stamp_counter(s->seed, s->page, 0) ||
	    (int32_t)((uint32_t)got - version) < 0)
		wrong_counter(s, got, version);
}

static inline void check_stamp(const struct spot *s)
{
	uint64_t got = atomic_load_explicit(s->line, memory_order_relaxed);
	uint64_t expected = stamp(s->seed, s->page, stamp_home(s->page));

	if (got != expected)
		work_mismatch(s->page, s->line, "stamp", expected, got);
}

static inline void read_page(const struct spot *s)
{
	uint32_t version =
		atomic_load_explicit(s->version, memory_order_acquire);
	uint64_t got = atomic_load_explicit(s->line + 1, memory_order_acquire);

	check_counter(s, got, version);
	check_stamp(s);
}

static inline void write_page(const struct spot *s)
{
	uint32_t version =
		atomic_load_explicit(s->version, memory_order_acquire);
	uint64_t got =
		atomic_fetch_add_explicit(s->line + 1, 1, memory_order_acq_rel);

	check_counter(s, got, version);
	check_stamp(s);
	atomic_fetch_add_explicit(s->version, 1, memory_order_release);
}

static void trace_page(struct worker *w, uint64_t page, bool writes)
{
	bool apart = w->pattern.kind == PATTERN_scanmix && w->pattern.hot;

	trace_record(w->trace, page,
		     (writes ? TRACE_WRITE : 0) | (apart ? TRACE_APART : 0));
}

static inline void access_page(struct worker *w, const struct spot *s)
{
	bool writes = worker_writes(w);

	if (w->trace)
		trace_page(w, s->page, writes);
	if (!writes || w->work->plan->rmw)
		read_page(s);
	if (writes) {
		write_page(s);
		w->increments++;
	}
}

static void probe_page(struct worker *w, uint64_t page)
{
	unsigned char resident;

	if (w->hot_turn++ % PROBE_EVERY ||
	    mincore(page_words(w, page), BENCH_PAGE, &resident))
		return;
	w->hot_probes++;
	w->hot_hits += resident & 1;
}

void memory_drive(struct worker *w)
{
	const struct bench_clock *clock = &w->work->clock;
	bool probes = w->pattern.kind == PATTERN_scanmix;

	while (worker_go(w)) {
		struct spot s = spot_of(w, pattern_next(&w->pattern));
		uint64_t start;

		if (probes && w->pattern.hot)
			probe_page(w, s.page);
		start = clock_ticks(clock);
		access_page(w, &s);
		worker_record(w, start, clock_ticks(clock));
	}
}

void memory_fill(struct worker *w, uint64_t first, uint64_t end)
{
	const struct bench_clock *clock = &w->work->clock;
	uint64_t seed = w->work->plan->seed, page;
	unsigned noise = plan_noise(w->work->plan);

	for (page = first; page < end; page++) {
		uint64_t start = clock_ticks(clock);

		stamp_page(page_words(w, page), seed, page, noise);
		worker_record(w, start, clock_ticks(clock));
		if (page % REPORT_PAGES == 0) {
			work_progress(w, REPORT_PAGES);
			if (work_stopping())
				break;
		}
	}
}

static void sweep_page(struct worker *w, uint64_t page)
{
	struct spot s = spot_of(w, page);
	uint32_t version = atomic_load(s.version);
	uint64_t got = atomic_load(s.line + 1);
	unsigned line;

	if ((uint32_t)got != version)
		wrong_counter(&s, got, version);
	check_counter(&s, got, version);
	line = stamp_verify(page_words(w, page), s.seed, page);
	if (line < STAMP_LINES)
		work_mismatch(page,
			      page_words(w, page) + line * STAMP_LINE_WORDS,
			      "stamp", stamp(s.seed, page, line),
			      page_words(w, page)[line * STAMP_LINE_WORDS]);
	atomic_fetch_add_explicit(&w->work->swept_increments,
				  got & STAMP_COUNT_MASK, memory_order_relaxed);
}

void memory_sweep(struct worker *w, uint64_t first, uint64_t end)
{
	uint64_t page;

	for (page = first; page < end && !work_stopping(); page++) {
		sweep_page(w, page);
		if (page % REPORT_PAGES == 0)
			work_progress(w, REPORT_PAGES);
	}
}

unsigned memory_workers(const struct engine *e)
{
	return (unsigned)e->plan->threads;
}
