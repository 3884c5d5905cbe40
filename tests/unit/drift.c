/* SPDX-License-Identifier: MIT */
/*
 * unit/drift.c - vvmbench soak's judgement: what grows is found however noisy
 * it is, and noise, steps and single outliers are not growth.
 */
#include "vvmbench/soak/drift.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/tool.h"
#include "screen/picture.h"
#include "support/test.h"
#include "vvmbench/soak/plot.h"
#include "vvmbench/soak/series.h"
#include "vvmbench/workload/pattern.h"

enum { N = 240 };

static struct rng rng;
static double times[N], values[N];

/* Normal, by the sum of twelve. */
static double noise(double sigma)
{
	double sum = -6;
	int i;

	for (i = 0; i < 12; i++)
		sum += rng_real(&rng);
	return sum * sigma;
}

/* A line with noise; a spike of its own now and then. */
static void make(double start, double slope, double sigma, double spike)
{
	int i;

	for (i = 0; i < N; i++) {
		times[i] = i * 0.5;
		values[i] = start + slope * times[i] + noise(sigma);
		if (spike > 0 && rng_below(&rng, 10) == 0)
			values[i] += spike * rng_real(&rng);
	}
}

static void setup(void)
{
	rng.state = 7;
}

/* ---- the estimate ---- */

START_TEST(a_line_is_found)
{
	double slope = _i - 3; /* -3 .. 3 */
	double span = times[N - 1];
	struct drift d;

	make(1000, slope, 5, 0);
	span = times[N - 1];
	ck_assert(drift_estimate(&d, times, values, N));
	ck_assert_double_le(fabs(d.change - slope * span), 4);
	ck_assert_double_le(fabs(d.middle - 1000 - slope * span / 2), 4);
	ck_assert_double_le(fabs(d.least), fabs(slope) * span);
	ck_assert_double_ge(fabs(d.least), fabs(slope) * span - 8);
	ck_assert(slope == 0 || (d.least > 0) == (slope > 0));
}
END_TEST

/* One sample in ten is anything: least squares would follow them. */
START_TEST(outliers_do_not_matter)
{
	struct drift d;

	make(1000, 0, 5, 1e6);
	values[N - 1] = 1e9;
	ck_assert(drift_estimate(&d, times, values, N));
	ck_assert_double_le(fabs(d.change), 10);
	make(1000, 1, 5, 1e6);
	ck_assert(drift_estimate(&d, times, values, N));
	ck_assert_double_ge(d.least, 100);
	ck_assert_double_le(d.change, 140);
}
END_TEST

/* Of 400 series of noise none is a trend beyond doubt of any size. */
START_TEST(noise_is_no_trend)
{
	unsigned wrong = 0;
	struct drift d;
	int i;

	for (i = 0; i < 400; i++) {
		make(100, 0, 30, i % 2 ? 500 : 0);
		ck_assert(drift_estimate(&d, times, values, N));
		wrong += d.least != 0;
	}
	ck_assert_uint_le(wrong, 1);
}
END_TEST

START_TEST(what_is_constant_does_not_move)
{
	struct drift d;

	make(17, 0, 0, 0);
	ck_assert(drift_estimate(&d, times, values, N));
	ck_assert_double_eq(d.change, 0);
	ck_assert_double_eq(d.least, 0);
	ck_assert_double_eq(d.middle, 17);
}
END_TEST

START_TEST(few_samples_say_nothing)
{
	struct drift d;

	make(0, 1, 0, 0);
	ck_assert(!drift_estimate(&d, times, values, DRIFT_SAMPLES_MIN - 1));
	ck_assert(!drift_estimate(&d, times, values, 0));
	ck_assert(!drift_estimate(&d, times, values, DRIFT_SAMPLES_MAX + 1));
	ck_assert(drift_estimate(&d, times, values, DRIFT_SAMPLES_MIN));
	times[DRIFT_SAMPLES_MIN - 1] = times[0]; /* no time has passed */
	ck_assert(!drift_estimate(&d, times, values, DRIFT_SAMPLES_MIN));
}
END_TEST

/* ---- series ---- */

static struct series series;

/* So many samples, a second apart, of a number that grows like that. */
static void sample(unsigned n, double start, double slope, double sigma)
{
	double value[SERIES_COUNT] = {0};
	unsigned i, k;

	for (i = 0; i < n; i++) {
		for (k = 0; k < SERIES_COUNT; k++)
			value[k] = start + slope * i + noise(sigma);
		series_add(&series, i, value);
	}
}

static struct series_verdict judge(enum series_id id, double from_s)
{
	struct series_verdict v;

	series_judge(&series, id, from_s, 1, &v);
	return v;
}

START_TEST(a_leak_drifts)
{
	struct series_verdict v;

	series_init(&series);
	sample(300, 40, 0.1, 1); /* 30 descriptors, 8 are allowed */
	v = judge(SERIES_descriptors, 60);
	ck_assert(v.known && v.drifts);
	ck_assert_double_ge(v.drift.least, 20);
	ck_assert_double_eq(v.allowed, 8);
	series_judge(&series, SERIES_descriptors, 60, 10, &v);
	ck_assert(v.known && !v.drifts); /* ten times as much is allowed */
	ck_assert(!judge(SERIES_ops_per_s, 60).drifts); /* faster is better */
}
END_TEST

START_TEST(slower_and_slower_drifts)
{
	series_init(&series);
	sample(300, 1000, -3, 20);
	ck_assert(judge(SERIES_ops_per_s, 60).drifts);
	ck_assert(!judge(SERIES_descriptors, 60).drifts);
}
END_TEST

/* What happened before the warm-up was over does not count. */
START_TEST(the_start_does_not_count)
{
	series_init(&series);
	sample(60, 0, 10, 0);
	ck_assert(judge(SERIES_descriptors, 0).drifts);
	sample(0, 0, 0, 0);
	for (unsigned i = 60; i < 300; i++) {
		double value[SERIES_COUNT];

		for (unsigned k = 0; k < SERIES_COUNT; k++)
			value[k] = 600;
		series_add(&series, i, value);
	}
	ck_assert(!judge(SERIES_descriptors, 60).drifts);
	ck_assert(!judge(SERIES_descriptors, 299).known); /* too few */
}
END_TEST

/* A run of days is thinned; the trend stays what it is. */
START_TEST(many_samples_are_thinned)
{
	struct series_verdict v;

	series_init(&series);
	sample(100000, 1000, 0.01, 50);
	ck_assert_uint_le(series.count, DRIFT_SAMPLES_MAX);
	ck_assert_uint_gt(series.count, DRIFT_SAMPLES_MAX / 4);
	v = judge(SERIES_descriptors, 0);
	ck_assert(v.drifts);
	ck_assert_double_le(fabs(v.drift.change - 1000), 20);
}
END_TEST

START_TEST(what_is_unknown_stays_as_it_was)
{
	double value[SERIES_COUNT];
	unsigned i, k;

	series_init(&series);
	for (i = 0; i < 100; i++) {
		for (k = 0; k < SERIES_COUNT; k++)
			value[k] = i % 3 ? 5 : NAN;
		series_add(&series, i, value);
	}
	ck_assert_double_eq(judge(SERIES_fault_p99_us, 10).most, 5);
	ck_assert_double_eq(judge(SERIES_fault_p99_us, 10).least, 5);
}
END_TEST

/* ---- plots ---- */

START_TEST(plots_show_all_series)
{
	struct series_verdict v[SERIES_COUNT];
	char text[1 << 14], path[] = "/tmp/vvm-drift-XXXXXX";
	FILE *out = tmpfile();
	unsigned i;
	size_t n;

	series_init(&series);
	sample(200, 100, 1, 3);
	for (i = 0; i < SERIES_COUNT; i++)
		series_judge(&series, (enum series_id)i, 40, 1, &v[i]);
	plot_text(out, &series, v);
	rewind(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = '\0';
	fclose(out);
	for (i = 0; i < SERIES_COUNT; i++)
		ck_assert_msg(strstr(text, series_name((enum series_id)i)) !=
				      NULL,
			      "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "DRIFTS"));
	ck_assert_int_ge(mkstemp(path), 0);
	if (picture_can_save())
		ck_assert_int_eq(plot_png(path, &series, v, 40), 0);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "drift");

	tcase_add_loop_test(tc, a_line_is_found, 0, 7);
	tcase_add_test(tc, outliers_do_not_matter);
	tcase_add_test(tc, noise_is_no_trend);
	tcase_add_test(tc, what_is_constant_does_not_move);
	tcase_add_test(tc, few_samples_say_nothing);
	tc = test_case(suite, "series");
	tcase_add_test(tc, a_leak_drifts);
	tcase_add_test(tc, slower_and_slower_drifts);
	tcase_add_test(tc, the_start_does_not_count);
	tcase_add_test(tc, many_samples_are_thinned);
	tcase_add_test(tc, what_is_unknown_stays_as_it_was);
	tcase_add_test(tc, plots_show_all_series);
}

const struct test_program test_program = {
	.name = "drift",
	.add = add_tests,
	.setup = setup,
};
