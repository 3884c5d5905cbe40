/* SPDX-License-Identifier: MIT */
/*
 * clock.h - time stamps cheap enough to take around every access.
 *
 * A resident access costs some 50 ns, clock_gettime() 23 ns and reading the
 * time stamp counter 10 ns (measured), so two stamps around each access want
 * the counter. It is used where the processor says that it runs at one speed
 * for ever ("invariant"); elsewhere a tick is a nanosecond of CLOCK_MONOTONIC.
 */
#ifndef VVM_BENCH_CLOCK_H
#define VVM_BENCH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct bench_clock {
	bool counter;	    /* (i) ticks are of the time stamp counter */
	double ns_per_tick; /* (i) */
};

/* Chooses and measures: takes 20 ms. */
void bench_clock_init(struct bench_clock *c);

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_ticks(const struct bench_clock *c)
{
#if defined(__x86_64__)
	if (c->counter)
		return __builtin_ia32_rdtsc();
#endif
	(void)c;
	return clock_ns();
}

/* Nanoseconds from one stamp to a later one; 0 if the counter went back. */
static inline uint64_t clock_since(const struct bench_clock *c, uint64_t start,
				   uint64_t end)
{
	if (end <= start)
		return 0;
	return (uint64_t)((double)(end - start) * c->ns_per_tick);
}

#endif
