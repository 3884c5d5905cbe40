/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - which page is accessed next. Pure: no memory, no clock.
 * A struct pattern belongs to one thread.
 */
#ifndef VVM_BENCH_PATTERN_H
#define VVM_BENCH_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, help): the patterns, in the order of enum pattern_kind. */
#define PATTERNS(X)                                                   \
	X(seq, "page after page, each thread from its own start")     \
	X(uniform, "every page equally likely")                       \
	X(zipf, "the k-th hottest page 1/k^theta times as likely")    \
	X(stride, "every --stride'th page; negative: backwards")      \
	X(scanmix, "zipf, and --scan PCT of the accesses are a scan") \
	X(loop, "seq over the first 1.1 x the budget")                \
	X(backward, "seq from the end to the start")                  \
	X(phases, "zipf, whose hot pages change again and again")     \
	X(fill, "the first touch itself is measured: no set-up")

enum pattern_kind {
#define X(name, help) PATTERN_##name,
	PATTERNS(X)
#undef X
		PATTERN_COUNT
};

struct pattern_spec {
	enum pattern_kind kind;
	uint64_t pages; /* >= 1 */
	double theta;	/* >= 0; 0 is uniform */
	int64_t stride; /* pages, not 0, less than the number of pages */
	uint64_t seed;
	uint64_t loop_pages; /* of loop: 1..pages; 0: all */
	unsigned scan_pct;   /* of scanmix: accesses that scan; 0: 50 */
};

/* Stream of random numbers: splitmix64 (Steele, Lea, Flood 2014). */
struct rng {
	uint64_t state;
};

static inline uint64_t rng_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline uint64_t rng_next(struct rng *r)
{
	return rng_mix(r->state += 0x9e3779b97f4a7c15ull);
}

/* 0 <= x < n by multiplication; the bias is below n / 2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return (uint64_t)((unsigned __int128)rng_next(r) * n >> 64);
}

/* 0 <= x < 1 */
static inline double rng_real(struct rng *r)
{
	return (double)(rng_next(r) >> 11) * 0x1p-53;
}

/* Zipf's law on the ranks 1..n. */
struct zipf {
	double theta, first, last, squeeze; /* (i) see pattern.c */
	uint64_t n;
};

void zipf_init(struct zipf *z, uint64_t n, double theta);
/* A rank, 1..n, the smallest the most frequent. */
uint64_t zipf_next(const struct zipf *z, struct rng *r);

/* A one-to-one scrambling of 0..n-1. */
struct scramble {
	uint64_t n, mask, add; /* (i) */
	unsigned shift;	       /* (i) */
};

void scramble_init(struct scramble *s, uint64_t n, uint64_t seed);
uint64_t scramble(const struct scramble *s, uint64_t x);

/* Walk over 0..n-1 in steps; each lap starts one further. */
struct walk {
	uint64_t n, step, at, lap;
	int backward;
};

struct pattern {
	enum pattern_kind kind;
	uint64_t turn;		     /* accesses so far, of phases */
	bool hot;		     /* the last page came from zipf */
	unsigned scan_pct, scan_due; /* of scanmix: a scan is due at 100 */
	uint64_t phase, seed;	     /* of phases: accesses of one */
	struct rng rng;
	struct zipf zipf;
	struct scramble scramble;
	struct walk walk;
};

/*
 * The stream of one of several threads. Streams with the same seed and
 * thread are equal; all threads share the hot pages of zipf.
 */
void pattern_init(struct pattern *p, const struct pattern_spec *spec,
		  unsigned thread, unsigned threads);
/* The next page, 0..pages-1. */
uint64_t pattern_next(struct pattern *p);

#endif
