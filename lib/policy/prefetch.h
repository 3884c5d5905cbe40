/* SPDX-License-Identifier: MIT */
/*
 * policy/prefetch.h - detects sequential streams in a sequence of faults and
 * says how far to read ahead, and where. Pure: the caller locks; no clock, no
 * system call. Fed with the demand faults of a thread or a few.
 *
 * Several streams at once (PREFETCH_STREAMS, least recently advanced one is
 * recycled), forward, backward and with a constant stride in pages. A window
 * starts at PREFETCH_MIN pages once a stream is recognised (three faults in
 * step; at once with sequential = true) and doubles up to max_pages each time
 * the stream has walked through what it was given; it halves when a page was
 * lost before its use, and falls back when pages turn out to go unused.
 *
 * To keep a window ahead of the stream the caller leaves one page of each
 * window, the trigger, such that it is a fault, though one without a read:
 * that fault says how far the stream is while it has a window left to walk.
 */
#ifndef VVM_PREFETCH_H
#define VVM_PREFETCH_H

#include "base.h"

#define PREFETCH_STREAMS 16
#define PREFETCH_MIN	 4
/*
 * Strides up to this, in pages, are dense: one read over the gaps costs less
 * than a read for each page. The window of sparse ones has its own limit.
 */
#define PREFETCH_DENSE	       4
#define PREFETCH_SPARSE_WINDOW 64

struct prefetch_stream {
	uint64_t last;	  /* page number of the last demand fault */
	uint64_t trigger; /* page that tells of progress; == next: none */
	uint64_t next;	  /* page that follows what was prefetched */
	int64_t stride;	  /* pages; 0: not known yet */
	uint32_t window;  /* pages of the next window; 0: not a stream yet */
	uint32_t run;	  /* faults in step so far */
	uint64_t used;	  /* turn of the last use, for recycling */
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
	uint64_t first;	  /* page number; also the trigger */
	int64_t stride;	  /* pages; 1 or -1: adjacent */
	uint32_t count;	  /* 0: nothing */
	uint32_t walked;  /* pages that the stream used since its last fault */
	uint32_t dropped; /* pages ahead of a stream that was given up */
};

void prefetch_init(struct prefetch *p, uint32_t max_pages);
/* The largest window from now on. */
void prefetch_limit(struct prefetch *p, uint32_t max_pages);
/*
 * A demand fault on page number `page`. [low, high) are the page numbers that
 * may be prefetched (the region's). sequential: the user advised it. The plan
 * need not adjoin the page: it goes on where the last one ended.
 */
struct prefetch_plan prefetch_fault(struct prefetch *p, uint64_t page,
				    uint64_t low, uint64_t high,
				    bool sequential);
/*
 * So many prefetched pages were found used, or evicted unused. Optional:
 * prefetch_fault() counts what the faults themselves tell, and it is the only
 * caller but for tests.
 */
void prefetch_feedback(struct prefetch *p, uint32_t used, uint32_t wasted);

#endif
