/* SPDX-License-Identifier: MIT */
/*
 * clock.c - which clock, and how fast it ticks: see clock.h.
 *
 * Some virtual machines hide the "invariant" bit although the counter is
 * fine; we then pay the 26 ns rather than guess. The speed is measured
 * against CLOCK_MONOTONIC over 20 ms: the two readings at each end are some
 * 30 ns apart, an error of 3 in a million, far below a histogram bucket.
 */
#include "vvmbench/workload/clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { CALIBRATE_NS = 20000000 };

#if defined(__x86_64__)
static bool counter_is_invariant(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

static void calibrate(struct bench_clock *clock)
{
	uint64_t start_ns = clock_ns(), start = __builtin_ia32_rdtsc(), end_ns,
		 end;

	do {
		end_ns = clock_ns();
		end = __builtin_ia32_rdtsc();
	} while (end_ns - start_ns < CALIBRATE_NS);
	clock->counter = true;
	clock->ns_per_tick = (double)(end_ns - start_ns) / (end - start);
}
#endif

void bench_clock_init(struct bench_clock *c)
{
	c->counter = false;
	c->ns_per_tick = 1;
#if defined(__x86_64__)
	if (counter_is_invariant())
		calibrate(c);
#endif
}
