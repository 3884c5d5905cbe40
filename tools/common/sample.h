/* SPDX-License-Identifier: MIT */
/*
 * sample.h - the numbers of a process at one moment, and arithmetic on them.
 * Pure: no system calls. Hostile numbers give wrong results, never undefined
 * behaviour.
 */
#ifndef VVM_SAMPLE_H
#define VVM_SAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <vvm_stat.h>

#define SAMPLE_PAGE_BYTES 4096 /* the only page size there is */

enum sample_value {
#define X(name, help) VALUE_##name,
	VVM_STAT_VALUES(X)
#undef X
		VALUE_COUNT
};

/* What faults wait for that do not get on. */
struct sample_stall {
	uint64_t kind; /* enum vvm_stat_stall; 0: they do */
	uint64_t since_unix_us, arg;
};

struct sample {
	uint64_t at_us;		 /* CLOCK_MONOTONIC when it was taken */
	uint64_t unix_us;	 /* CLOCK_REALTIME then */
	uint64_t opened_unix_us; /* of the oldest space */
	unsigned spaces;	 /* open ones */
	size_t counters, values; /* that every space has; 0: no space yet */
	int64_t counter[VVM_STAT_COUNTER_COUNT];
	uint64_t value[VALUE_COUNT];
	uint64_t latency[VVM_STAT_BUCKETS];
	uint64_t stage[VVM_STAT_STAGE_COUNT][VVM_STAT_STAGE_BUCKETS];
	uint64_t kernel_faults;	   /* of the process, as the kernel counts */
	struct sample_stall stall; /* the longest of those going on */
};

/* Names and help of the two tables, by index. */
const char *sample_counter_name(unsigned counter);
const char *sample_counter_help(unsigned counter);
int sample_counter_is_gauge(unsigned counter);
const char *sample_value_name(unsigned value);
const char *sample_value_help(unsigned value);
const char *sample_stage_name(unsigned stage);

/* How many of our counters and values the library has, too. */
size_t sample_counters(const struct sample *s);
size_t sample_values(const struct sample *s);

/* Adds one space's numbers to a process's. */
void sample_add(struct sample *sum, const struct sample *part);
/*
 * Keeps of a closed space what stays true of the process: what COUNT
 * counters and the histogram counted. Gauges and values are void.
 */
void sample_keep_counts(struct sample *s);
/*
 * What happened from `old` to `now`: counts are differences (0 if a number
 * went backwards), gauges and values are now's.
 */
void sample_delta(struct sample *delta, const struct sample *now,
		  const struct sample *old);
/*
 * The latency in us that pct per cent of the faults did not exceed,
 * interpolated inside its bucket; NAN when there were none.
 */
double sample_latency_us(const struct sample *delta, double pct);
/* The time that all of them took, together. */
double sample_latency_sum_us(const struct sample *delta);
/* For how long faults have not got on; 0: they do. */
double sample_stalled_s(const struct sample *s);
/* "read"; "" when they do. */
const char *sample_stall_name(const struct sample *s);
/* "reading from swap (slot 7)"; "" when they do. */
#define SAMPLE_STALL_BYTES 80
const char *sample_stall_text(const struct sample *s,
			      char text[SAMPLE_STALL_BYTES]);
/* Why the budget last changed: "demand"; "": it did not, or it is not known. */
const char *sample_resize_name(const struct sample *s);
/* The name of a reason; 0 is the first, VVM_STAT_resize_demand its counter. */
const char *sample_resize_counter(unsigned reason);
#define SAMPLE_RESIZES (VVM_STAT_RESIZE_COUNT - 1)
/* The longer one of two. */
void sample_add_stall(struct sample_stall *sum,
		      const struct sample_stall *part);
/* 100 * part / whole, NAN when whole is not positive. */
double sample_pct(double part, double whole);

#endif
