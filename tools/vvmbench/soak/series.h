/* SPDX-License-Identifier: MIT */
/*
 * series.h - what `vvmbench soak` watches: numbers of the process, sampled over
 * time, each with how much it may change.
 */
#ifndef VVM_BENCH_SERIES_H
#define VVM_BENCH_SERIES_H

#include <stdint.h>

#include "vvmbench/soak/drift.h"

/*
 * X(name, unit, worse, slack, pct, help). worse: 1 a rise, -1 a fall is bad.
 * What it may change by is the larger one of slack, in its unit, and pct per
 * cent of its median. What is counted has a fixed slack, for what comes and
 * goes; what is timed depends on who else uses the machine, hence its pct.
 */
#define SOAK_SERIES(X)                                                   \
	X(private_bytes, BYTES, 1, 4 << 20, 10,                          \
	  "private memory: libvvm's own, and the load's")                \
	X(page_table_bytes, BYTES, 1, 2 << 20, 10,                       \
	  "the kernel's page tables of the process")                     \
	X(descriptors, COUNT, 1, 8, 0, "open descriptors")               \
	X(mappings, COUNT, 1, 64, 10, "lines of /proc/self/maps")        \
	X(tasks, COUNT, 1, 4, 0, "threads of the process")               \
	X(resident_bytes, BYTES, 1, 1 << 20, 5, "frames in use")         \
	X(swap_bytes, BYTES, 1, 8 << 20, 10, "slots of swap in use")     \
	X(heap_bytes, BYTES, 1, 8 << 20, 10,                             \
	  "address space that the heap has begun to use")                \
	X(heap_overhead, RATIO, 1, .25, 10,                              \
	  "bytes that the heap holds for each one that lives")           \
	X(fault_p50_us, US, 1, 100, 100, "half of the faults took less") \
	X(fault_p99_us, US, 1, 2000, 200, "99 % of them took less")      \
	X(ops_per_s, RATE, -1, 0, 60, "steps of the load")

enum series_id {
#define X(name, unit, worse, slack, pct, help) SERIES_##name,
	SOAK_SERIES(X)
#undef X
		SERIES_COUNT
};

enum series_unit {
	SERIES_BYTES,
	SERIES_NUMBER, /* COUNT */
	SERIES_RATIO,
	SERIES_US,
	SERIES_RATE
};

/* All of them at the same moments, thinned when there are too many. */
struct series {
	unsigned count;	 /* stored */
	unsigned stride; /* samples to each stored one: it is their mean */
	unsigned part;	 /* samples in the sum, below stride */
	double sum_s, sum[SERIES_COUNT];
	double at_s[DRIFT_SAMPLES_MAX];
	double value[SERIES_COUNT][DRIFT_SAMPLES_MAX];
};

/* What came of one. */
struct series_verdict {
	double first, last, least, most; /* of the stored ones; NAN: none */
	double allowed;			 /* size of a change */
	struct drift drift;
	bool known;  /* there were samples enough to tell */
	bool drifts; /* for the worse, by more than is allowed */
};

void series_init(struct series *s);
/* values: of this moment, by enum series_id. NAN: unknown, as it was before. */
void series_add(struct series *s, double at_s,
		const double values[SERIES_COUNT]);
/* Of the samples since from_s; scale: of what is allowed (1). */
void series_judge(const struct series *s, enum series_id id, double from_s,
		  double scale, struct series_verdict *v);

const char *series_name(enum series_id id);
const char *series_help(enum series_id id);
/* "12.3M", "17", "1.21", "345 us"; returns buf. */
char *series_text(char buf[16], enum series_id id, double value);

#endif
