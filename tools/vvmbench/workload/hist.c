/* SPDX-License-Identifier: MIT */
/*
 * hist.c - latency histogram, log-linear (as HdrHistogram's).
 *
 * Latencies of paging span five decades (50 ns for a hit, 5 ms for a write
 * that waits), and what matters is in the tail; so every access is counted,
 * none is sampled, and the buckets grow with the value. A bucket's index is
 * the value's exponent and its next five bits, which one shift computes: see
 * hist_bucket(). vvm_stat.h has the library's own histogram, coarser, for it
 * sits in shared memory once for each thread; this one costs 9 KiB a thread.
 */
#include "vvmbench/workload/hist.h"

#include <math.h>
#include <string.h>

void hist_clear(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void hist_merge(struct hist *into, const struct hist *from)
{
	unsigned i;

	for (i = 0; i < HIST_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
	into->count += from->count;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
}

uint64_t hist_floor_ns(unsigned bucket)
{
	unsigned shift = bucket >> HIST_STEP_BITS;
	uint64_t step = bucket & ((1u << HIST_STEP_BITS) - 1);

	if (!shift)
		return step;
	return (step | 1u << HIST_STEP_BITS) << (shift - 1);
}

static uint64_t middle_ns(const struct hist *h, unsigned bucket)
{
	uint64_t low = hist_floor_ns(bucket), high = hist_floor_ns(bucket + 1);
	uint64_t middle = low + (high - low) / 2;

	return middle < h->max_ns ? middle : h->max_ns;
}

uint64_t hist_percentile_ns(const struct hist *h, double pct)
{
	uint64_t want = (uint64_t)ceil((double)h->count * pct / 100), seen = 0;
	unsigned i;

	if (!h->count)
		return 0;
	for (i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want && seen)
			return middle_ns(h, i);
	}
	return h->max_ns;
}
