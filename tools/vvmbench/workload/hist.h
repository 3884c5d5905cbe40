/* SPDX-License-Identifier: MIT */
/* hist.h - latency histogram, log-linear. One thread adds at a time. */
#ifndef VVM_BENCH_HIST_H
#define VVM_BENCH_HIST_H

#include <stdint.h>

/*
 * Each power of two is cut into 32 equal buckets, so a bucket is at most
 * 1/32 = 3.1 % of its value wide; below 32 ns every value has its own. The
 * top is 2^40 ns = 18 minutes; what is longer counts as that.
 */
#define HIST_STEP_BITS 5
#define HIST_TOP_BITS  40
#define HIST_BUCKETS   ((HIST_TOP_BITS - HIST_STEP_BITS + 1) << HIST_STEP_BITS)

struct hist {
	uint64_t count, max_ns;
	uint64_t bucket[HIST_BUCKETS];
};

static inline unsigned hist_bucket(uint64_t ns)
{
	unsigned shift;

	if (ns < 1u << HIST_STEP_BITS)
		return (unsigned)ns;
	if (ns >> HIST_TOP_BITS)
		return HIST_BUCKETS - 1;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_STEP_BITS;
	return (shift << HIST_STEP_BITS) + (unsigned)(ns >> shift);
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	h->bucket[hist_bucket(ns)]++;
	h->count++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

void hist_clear(struct hist *h);
/* Adds the samples of one to another. */
void hist_merge(struct hist *into, const struct hist *from);
/* Smallest value of a bucket, in ns. */
uint64_t hist_floor_ns(unsigned bucket);
/*
 * The value below or at which pct per cent of the samples lie: the middle
 * of its bucket, at most the largest sample. 0 when there is no sample.
 */
uint64_t hist_percentile_ns(const struct hist *h, double pct);

#endif
