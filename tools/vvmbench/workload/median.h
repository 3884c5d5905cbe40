/* SPDX-License-Identifier: MIT */
/* median.h - of a few rounds. */
#ifndef VVM_BENCH_MEDIAN_H
#define VVM_BENCH_MEDIAN_H

/* Sorts the values in place; the median, the mean of the middle two. */
double bench_median(double *values, unsigned n);

#endif
