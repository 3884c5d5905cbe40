/* SPDX-License-Identifier: MIT */
/*
 * column.c - what the numbers of a row are computed from.
 *
 * Each column names its group (the first header line), itself (the second),
 * its widths, how it is printed, the function that computes it from a delta,
 * and from which value on it deserves a colour. The headers, the rows, the
 * full-screen view and the man page follow this table; JSON and CSV carry
 * every counter by its own name and take from here only what is derived.
 *
 * Per second or not. Rates are per second of the interval that really
 * passed, not of the one asked for. Levels (resident, dirty, budget) are
 * those at the end of the interval. Errors are counted in the interval, not
 * per second: one error in ten seconds must not be shown as 0.
 *
 * Estimates. A pager in user space sees misses; a hit costs nothing and
 * leaves no trace, but for one: the kernel maps a frame back at the first
 * access after the clock hand dropped its mapping, and counts a fault of the
 * process. It counts those that an event resolved, too (as major or minor
 * ones, by the lock that it held: both are summed), but not those that ended
 * in SIGBUS, so in inline mode there is nothing to take off:
 *
 *	soft = page faults of the process - fault events (thread mode)
 *	hit  = soft / (soft + pages read by a fault)
 *
 * hit is the share of the first touches since the hand last came by that
 * found their page in RAM. It is lower than the hit rate of all accesses,
 * which nobody can count, and moves with it. A program that also grows
 * ordinary memory takes faults for that; they inflate both.
 *
 * Queue depth needs no counter: by Little's law the mean number of faults
 * that are waiting is their rate times the time that they take, which is the
 * sum of the histogram divided by the interval.
 */
#include "vvmstat/column.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static double count(const struct row *r, unsigned c)
{
	return (double)r->delta->counter[c];
}

#define COUNT_OF(name) count(r, VVM_STAT_##name)

static double per_second(const struct row *r, double n)
{
	return r->seconds > 0 ? n / r->seconds : 0;
}

static double rate(const struct row *r, const struct column *c)
{
	return per_second(r, count(r, c->index));
}

static double byte_rate(const struct row *r, const struct column *c)
{
	return rate(r, c) * SAMPLE_PAGE_BYTES;
}

/* A gauge of pages, in bytes. A momentary sum may be below zero. */
static double page_bytes(const struct row *r, const struct column *c)
{
	return fmax(0, count(r, c->index)) * SAMPLE_PAGE_BYTES;
}

static double value_bytes(const struct row *r, const struct column *c)
{
	return (double)r->delta->value[c->index] * SAMPLE_PAGE_BYTES;
}

static double free_bytes(const struct row *r, const struct column *c)
{
	double budget = (double)r->delta->value[VALUE_budget_pages] -
			(double)r->delta->value[VALUE_packed_frames];

	(void)c;
	return fmax(0, budget - fmax(0, COUNT_OF(resident_pages))) *
	       SAMPLE_PAGE_BYTES;
}

static double used_pct(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(fmax(0, COUNT_OF(resident_pages)) +
				  (double)r->delta->value[VALUE_packed_frames],
			  (double)r->delta->value[VALUE_budget_pages]);
}

/* Of those whose fate is known. */
static double prefetch_hit_pct(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(COUNT_OF(prefetch_hit_pages),
			  COUNT_OF(prefetch_hit_pages) +
				  COUNT_OF(prefetch_waste_pages));
}

/* Of the pages evicted, those that cost no write. */
static double avoided_pct(const struct row *r, const struct column *c)
{
	double all =
		COUNT_OF(evict_clean_pages) + COUNT_OF(evict_written_pages);

	(void)c;
	return sample_pct(
		fmin(all, COUNT_OF(evict_clean_pages) + COUNT_OF(packed_pages)),
		all);
}

static double referenced_pct(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(COUNT_OF(reclaim_referenced_pages),
			  COUNT_OF(reclaim_scanned_pages));
}

/* Pages looked at for each page that went. */
static double scanned_per_evicted(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(COUNT_OF(reclaim_scanned_pages),
			  100 * (COUNT_OF(evict_clean_pages) +
				 COUNT_OF(evict_written_pages)));
}

static double soft_faults(const struct row *r)
{
	double events =
		r->delta->value[VALUE_inline_faults] ? 0 : COUNT_OF(faults);

	return fmax(0, (double)r->delta->kernel_faults - events);
}

static double soft_rate(const struct row *r, const struct column *c)
{
	(void)c;
	return per_second(r, soft_faults(r));
}

static double hit_pct(const struct row *r, const struct column *c)
{
	double soft = soft_faults(r);

	(void)c;
	if (!r->delta->kernel_faults)
		return NAN; /* of a copy they are not known */
	return sample_pct(soft, soft + COUNT_OF(faults_swapin));
}

static double latency_us(const struct row *r, const struct column *c)
{
	return sample_latency_us(r->delta, c->argument);
}

static double queue_depth(const struct row *r, const struct column *c)
{
	(void)c;
	return per_second(r, sample_latency_sum_us(r->delta) / 1e6);
}

static double errors(const struct row *r, const struct column *c)
{
	(void)c;
	return COUNT_OF(faults_failed) + COUNT_OF(read_errors) +
	       COUNT_OF(writeback_failed_pages) + COUNT_OF(frame_timeouts) +
	       COUNT_OF(swap_full);
}

#define C(name)	    .index = VVM_STAT_##name
#define V(name)	    .index = VALUE_##name
#define KEY(name)   .key = #name
#define ABOVE(w, b) .alarm = ALARM_ABOVE, .warn = (w), .bad = (b)
#define BELOW(w, b) .alarm = ALARM_BELOW, .warn = (w), .bad = (b)
#define N	    COLUMN_NUMBER
#define B	    COLUMN_BYTES
#define PCT	    COLUMN_PERCENT

/* clang-format off */
const struct column columns[] = {
	{"memory", "budg", 0, 6, B, value_bytes, V(budget_pages)},
	{"memory", "res", 4, 6, B, page_bytes, C(resident_pages)},
	{"memory", "free", 4, 6, B, free_bytes, KEY(free_bytes)},
	{"memory", "use", 0, 3, PCT, used_pct, KEY(used_pct)},
	{"memory", "drty", 4, 6, B, page_bytes, C(dirty_pages)},
	{"memory", "pin", 0, 6, B, page_bytes, C(pinned_pages)},
	{"memory", "swap", 0, 6, B, value_bytes, V(swap_used_pages)},
	{"faults/s", "all", 0, 7, N, rate, C(faults)},
	{"faults/s", "read", 4, 7, N, rate, C(faults_swapin)},
	{"faults/s", "zero", 4, 7, N, rate, C(faults_zero)},
	{"faults/s", "wp", 4, 7, N, rate, C(faults_wp)},
	{"faults/s", "join", 0, 7, N, rate, C(faults_joined)},
	{"faults/s", "soft", 0, 7, N, soft_rate, KEY(soft_faults_per_s)},
	{"ram", "hit", 3, 3, PCT, hit_pct, KEY(hit_pct), BELOW(80, 20)},
	{"ahead", "pg/s", 4, 7, N, rate, C(prefetch_pages)},
	{"ahead", "hit", 3, 3, PCT, prefetch_hit_pct, KEY(prefetch_hit_pct),
	 BELOW(70, 30)},
	{"swap/s", "in", 4, 6, B, byte_rate, C(swapin_pages)},
	{"swap/s", "out", 4, 6, B, byte_rate, C(swapout_pages)},
	{"swap/s", "avd", 3, 3, PCT, avoided_pct, KEY(write_avoided_pct)},
	{"packed", "mem", 0, 6, B, value_bytes, V(packed_frames)},
	{"packed", "has", 0, 6, B, value_bytes, V(packed_now_pages)},
	{"packed", "in/s", 0, 6, B, byte_rate, C(packed_pages)},
	{"packed", "out/s", 0, 6, B, byte_rate, C(unpacked_pages)},
	{"evict/s", "cln", 0, 7, N, rate, C(evict_clean_pages)},
	{"evict/s", "zero", 0, 7, N, rate, C(evict_zero_pages)},
	{"evict/s", "wrtn", 0, 7, N, rate, C(evict_written_pages)},
	{"reclaim", "ref", 0, 3, PCT, referenced_pct, KEY(referenced_pct)},
	{"reclaim", "ex/fr", 0, 5, N, scanned_per_evicted,
	 KEY(scanned_per_evicted), ABOVE(20, 100)},
	{"reclaim", "drct", 0, 5, N, rate, C(reclaim_direct_steps),
	 ABOVE(1, 1000)},
	{"wait us", "p50", 4, 6, N, latency_us, .argument = 50,
	 KEY(latency_p50_us), ABOVE(2000, 20000)},
	{"wait us", "p99", 4, 6, N, latency_us, .argument = 99,
	 KEY(latency_p99_us), ABOVE(10000, 100000)},
	{"wait us", "p99.9", 0, 6, N, latency_us, .argument = 99.9,
	 KEY(latency_p999_us), ABOVE(10000, 100000)},
	{"wait us", "que", 3, 5, N, queue_depth, KEY(queue_depth)},
	{"bad", "stl", 3, 5, N, rate, C(stalls), ABOVE(0.5, 100)},
	{"bad", "err", 3, 5, N, errors, KEY(errors), ABOVE(0.5, 0.5)},
};
/* clang-format on */

const unsigned columns_count = sizeof(columns) / sizeof(*columns);

const struct column *column_by_name(const char *group, const char *name)
{
	unsigned i;

	for (i = 0; i < columns_count; i++)
		if (!strcmp(columns[i].group, group) &&
		    !strcmp(columns[i].name, name))
			return &columns[i];
	assert(!"no such column");
	return NULL;
}
