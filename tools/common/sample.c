/* SPDX-License-Identifier: MIT */
/*
 * sample.c - sums, differences and percentiles of vvm_stat.h's counters.
 *
 * A *sample* is what a process's spaces counted up to one moment; a *delta*
 * is what happened between two samples and has the same type. Both may come
 * from a segment that somebody damaged on purpose, hence two rules:
 *
 * (1) Sums wrap like the kernel's counters do, by unsigned arithmetic:
 *     signed overflow is undefined and a sanitizer would stop us.
 * (2) A count that went backwards is shown as 0, not as -3 or 2^64 - 3.
 *
 * Percentiles. The histogram is log-linear: eight buckets for each power of
 * two, so a bucket is at most 1/8 of its lower bound wide. We look for the
 * bucket in which the wanted rank falls and assume that the faults inside it
 * are spread evenly. That is off by 12.5 % at worst and some 2 % in practice,
 * and unlike a bucket's bound it does not jump between two values when a
 * load wanders across it.
 */
#include "common/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { COUNT, GAUGE };

static const struct {
	const char *name;
	enum kind kind;
	const char *help;
} counters[] = {
#define X(name, kind, help) {#name, kind, help},
	VVM_STAT_COUNTERS(X)
#undef X
};

static const struct {
	const char *name, *help;
} values[] = {
#define X(name, help) {#name, help},
	VVM_STAT_VALUES(X)
#undef X
};

static const char *const stages[] = {
#define X(name, help) #name,
	VVM_STAT_STAGES(X)
#undef X
};

static const struct {
	const char *name, *what, *unit;
} stalls[] = {{"", "", ""},
#define X(name, what, unit) {#name, what, unit},
	      VVM_STAT_STALLS(X)
#undef X
};

const char *sample_counter_name(unsigned counter)
{
	return counters[counter].name;
}

const char *sample_counter_help(unsigned counter)
{
	return counters[counter].help;
}

int sample_counter_is_gauge(unsigned counter)
{
	return counters[counter].kind == GAUGE;
}

const char *sample_value_name(unsigned value)
{
	return values[value].name;
}

const char *sample_value_help(unsigned value)
{
	return values[value].help;
}

const char *sample_stage_name(unsigned stage)
{
	return stages[stage];
}

/* a + b and a - b, wrapping (1). */
static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static void add_counts(uint64_t *to, const uint64_t *from, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] += from[i];
}

/* (2) */
static void take_counts(uint64_t *from, const uint64_t *old, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		from[i] = from[i] > old[i] ? from[i] - old[i] : 0;
}

/* 0 is: not known. */
static size_t least_known(size_t a, size_t b)
{
	return !a || (b && b < a) ? b : a;
}

size_t sample_counters(const struct sample *s)
{
	return s->counters ? s->counters : VVM_STAT_COUNTER_COUNT;
}

size_t sample_values(const struct sample *s)
{
	return s->values ? s->values : VALUE_COUNT;
}

void sample_add_stall(struct sample_stall *sum, const struct sample_stall *part)
{
	if (part->kind &&
	    (!sum->kind || part->since_unix_us < sum->since_unix_us))
		*sum = *part;
}

double sample_stalled_s(const struct sample *s)
{
	return s->stall.kind && s->unix_us > s->stall.since_unix_us
		       ? (double)(s->unix_us - s->stall.since_unix_us) / 1e6
		       : 0;
}

const char *sample_stall_name(const struct sample *s)
{
	return s->stall.kind < VVM_STAT_STALL_COUNT ? stalls[s->stall.kind].name
						    : "unknown";
}

const char *sample_stall_text(const struct sample *s,
			      char text[SAMPLE_STALL_BYTES])
{
	uint64_t kind = s->stall.kind;

	if (kind >= VVM_STAT_STALL_COUNT)
		snprintf(text, SAMPLE_STALL_BYTES, "for reason %llu",
			 (unsigned long long)kind); /* of a newer library */
	else if (*stalls[kind].unit)
		snprintf(text, SAMPLE_STALL_BYTES, "%s (%s %llu)",
			 stalls[kind].what, stalls[kind].unit,
			 (unsigned long long)s->stall.arg);
	else
		snprintf(text, SAMPLE_STALL_BYTES, "%s", stalls[kind].what);
	return text;
}

/* By its counter: 0 for the first reason. UINT64_MAX: none, or not known. */
static uint64_t resize_of(const struct sample *s)
{
	uint64_t reason = s->value[VALUE_resize_reason];

	return reason && reason < VVM_STAT_RESIZE_COUNT ? reason - 1
							: UINT64_MAX;
}

const char *sample_resize_name(const struct sample *s)
{
	uint64_t i = resize_of(s);

	return i == UINT64_MAX ? "" : sample_resize_counter((unsigned)i);
}

const char *sample_resize_counter(unsigned reason)
{
	return counters[VVM_STAT_resize_demand + reason].name +
	       strlen("resize_");
}

void sample_add(struct sample *sum, const struct sample *part)
{
	uint64_t reason = part->value[VALUE_resize_reason];
	unsigned i;

	if (!reason) /* that of one of several spaces */
		reason = sum->value[VALUE_resize_reason];
	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		sum->counter[i] = plus(sum->counter[i], part->counter[i]);
	for (i = 0; i < VALUE_COUNT; i++)
		sum->value[i] += part->value[i];
	sum->value[VALUE_resize_reason] = reason;
	add_counts(sum->latency, part->latency, VVM_STAT_BUCKETS);
	for (i = 0; i < VVM_STAT_STAGE_COUNT; i++)
		add_counts(sum->stage[i], part->stage[i],
			   VVM_STAT_STAGE_BUCKETS);
	sum->counters = least_known(sum->counters, part->counters);
	sum->values = least_known(sum->values, part->values);
	sum->spaces += part->spaces;
	sample_add_stall(&sum->stall, &part->stall);
	if (part->opened_unix_us &&
	    (!sum->opened_unix_us ||
	     part->opened_unix_us < sum->opened_unix_us))
		sum->opened_unix_us = part->opened_unix_us;
}

void sample_keep_counts(struct sample *s)
{
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		if (counters[i].kind == GAUGE)
			s->counter[i] = 0;
	memset(s->value, 0, sizeof(s->value));
	memset(&s->stall, 0, sizeof(s->stall));
	s->spaces = 0;
}

void sample_delta(struct sample *delta, const struct sample *now,
		  const struct sample *old)
{
	unsigned i;

	*delta = *now;
	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++) {
		int64_t change = minus(now->counter[i], old->counter[i]);

		if (counters[i].kind == COUNT)
			delta->counter[i] = change > 0 ? change : 0;
	}
	take_counts(delta->latency, old->latency, VVM_STAT_BUCKETS);
	for (i = 0; i < VVM_STAT_STAGE_COUNT; i++)
		take_counts(delta->stage[i], old->stage[i],
			    VVM_STAT_STAGE_BUCKETS);
	delta->kernel_faults = now->kernel_faults > old->kernel_faults
				       ? now->kernel_faults - old->kernel_faults
				       : 0;
}

double sample_latency_us(const struct sample *delta, double pct)
{
	double total = 0, below = 0, rank;
	unsigned i;

	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		total += (double)delta->latency[i];
	if (total <= 0)
		return NAN;
	rank = total * pct / 100;
	for (i = 0; i < VVM_STAT_BUCKETS; i++) {
		double here = (double)delta->latency[i];

		if (here > 0 && below + here >= rank) {
			double from = (double)vvm_stat_bucket_ns(i);
			double to = (double)vvm_stat_bucket_ns(i + 1);

			return (from + (to - from) * (rank - below) / here) /
			       1000;
		}
		below += here;
	}
	/* Rounding of huge sums may miss the last step. */
	return (double)vvm_stat_bucket_ns(VVM_STAT_BUCKETS) / 1000;
}

double sample_latency_sum_us(const struct sample *delta)
{
	double sum = 0;
	unsigned i;

	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		sum += (double)delta->latency[i] *
		       ((double)vvm_stat_bucket_ns(i) +
			(double)vvm_stat_bucket_ns(i + 1)) /
		       2;
	return sum / 1000;
}

double sample_pct(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : NAN;
}
