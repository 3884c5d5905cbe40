/* SPDX-License-Identifier: MIT */
/* drift.h - does a noisy series of numbers rise or fall? */
#ifndef VVM_BENCH_DRIFT_H
#define VVM_BENCH_DRIFT_H

#include <stdbool.h>

/* Fewer say nothing, of more there are too many pairs. */
enum { DRIFT_SAMPLES_MIN = 12, DRIFT_SAMPLES_MAX = 512 };

struct drift {
	double change; /* from the first to the last sample, as estimated */
	double least;  /* of its size and direction, by all that is certain */
	double middle; /* the median of the samples */
};

/*
 * Of values[i] at times[i], in the order of time. False: there are too few or
 * too many of them, or no memory.
 */
bool drift_estimate(struct drift *d, const double *times, const double *values,
		    unsigned n);

#endif
