/* SPDX-License-Identifier: MIT */
/*
 * drift.c - does a noisy series of numbers rise or fall?
 *
 * A leak is a slope, and what is sampled from a running program is noise with
 * outliers: a least-squares line follows one bad sample, the difference of last
 * and first hangs on two. The Theil-Sen estimate is the median of the slopes
 * of all pairs of samples; up to 29 % of them may be anything. How certain it is
 * tells Kendall's statistic, the number of pairs that rise less those that
 * fall, whose variance is known if there is no trend: that many slopes from
 * the middle, to both sides, lies the interval that has the true slope with the
 * confidence of Z. Its end nearer to zero is `least`; zero when the
 * interval contains zero.
 *
 * Samples that follow each other resemble each other, so the interval is
 * somewhat too narrow. Z is large for that, and whoever judges also asks for a
 * change of a size that matters.
 */
#include "vvmbench/soak/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vvmbench/workload/median.h"

/* 99.99 % of a normal distribution, both sides. */
#define Z 3.89

/* All slopes, sorted by bench_median(); how many. */
static unsigned slopes_of(double *slopes, const double *times,
			  const double *values, unsigned n)
{
	unsigned i, k, count = 0;

	for (i = 0; i < n; i++)
		for (k = i + 1; k < n; k++)
			if (times[k] > times[i])
				slopes[count++] = (values[k] - values[i]) /
						  (times[k] - times[i]);
	return count;
}

/* The slope of the interval's end that is nearer to 0; 0: it lies within. */
static double nearest_slope(const double *slopes, unsigned count, unsigned n)
{
	double sigma = sqrt((double)n * (n - 1) * (2.0 * n + 5) / 18);
	double off = (count - Z * sigma) / 2;
	unsigned low = off > 0 ? (unsigned)off : 0, high = count - 1 - low;

	if (slopes[low] > 0)
		return slopes[low];
	return slopes[high] < 0 ? slopes[high] : 0;
}

static bool middle_of(double *middle, const double *values, unsigned n)
{
	double *copy = malloc(n * sizeof(*copy));

	if (!copy)
		return false;
	memcpy(copy, values, n * sizeof(*copy));
	*middle = bench_median(copy, n);
	free(copy);
	return true;
}

bool drift_estimate(struct drift *d, const double *times, const double *values,
		    unsigned n)
{
	double span = n ? times[n - 1] - times[0] : 0, *slopes;
	unsigned count;

	if (n < DRIFT_SAMPLES_MIN || n > DRIFT_SAMPLES_MAX || span <= 0 ||
	    !middle_of(&d->middle, values, n))
		return false;
	slopes = malloc((size_t)n * (n - 1) / 2 * sizeof(*slopes));
	if (!slopes)
		return false;
	count = slopes_of(slopes, times, values, n);
	d->change = bench_median(slopes, count) * span;
	d->least = nearest_slope(slopes, count, n) * span;
	free(slopes);
	return true;
}
