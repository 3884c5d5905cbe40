/* SPDX-License-Identifier: MIT */
/*
 * prefetch.h - detects sequential streams in a sequence of faults and says
 * how far to read ahead. Pure: no lock, no clock; one struct prefetch per
 * fault handler (owner thread only), fed with the demand faults that the
 * handler serves.
 *
 * Several streams at once (PREFETCH_STREAMS, least recently advanced one is
 * recycled), forward, backward and with a constant stride in pages. A window
 * starts at PREFETCH_MIN pages once a stream is recognised (three faults in
 * step; at once with sequential = true), doubles each time a fault lands on
 * the page just past the pages that were prefetched, up to max_pages, and
 * falls back when the pages turn out to go unused.
 */
#ifndef VVM_PREFETCH_H
#define VVM_PREFETCH_H

#include "base.h"

#define PREFETCH_STREAMS 16
#define PREFETCH_MIN	 4

struct prefetch_stream {
	uint64_t last;	 /* page number of the last demand fault */
	uint64_t next;	 /* page that follows what was prefetched */
	int64_t stride;	 /* pages; 0: not known yet */
	uint32_t window; /* pages of the next window; 0: not a stream yet */
	uint32_t run;	 /* faults in step so far */
	uint64_t used;	 /* turn of the last use, for recycling */
};

struct prefetch {
	struct prefetch_stream stream[PREFETCH_STREAMS];
	uint64_t turn;
	uint32_t max_pages;
	uint32_t useful_pct;   /* running estimate, 0..100 */
	uint32_t used, wasted; /* pages behind the estimate, decaying */
	uint32_t refused;      /* windows in a row not read: bad estimate */
};

/* What to read besides the faulting page: count pages, stride apart. */
struct prefetch_plan {
	uint64_t first; /* page number */
	int64_t stride; /* pages; 1 or -1: adjacent */
	uint32_t count; /* 0: nothing */
};

void prefetch_init(struct prefetch *p, uint32_t max_pages);
/*
 * A demand fault on page number `page`. [low, high) are the page numbers that
 * may be prefetched (the region's). sequential: the user advised it.
 */
struct prefetch_plan prefetch_fault(struct prefetch *p, uint64_t page,
				    uint64_t low, uint64_t high,
				    bool sequential);
/*
 * So many prefetched pages were found used, or evicted unused. Optional: what
 * the faults themselves tell is counted by prefetch_fault().
 */
void prefetch_feedback(struct prefetch *p, uint32_t used, uint32_t wasted);

#endif
