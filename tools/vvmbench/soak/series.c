/* SPDX-License-Identifier: MIT */
/*
 * series.c - keeps the samples of `vvmbench soak` and judges them.
 *
 * A run may take hours, and drift.c looks at all pairs of samples. So at most
 * DRIFT_SAMPLES_MAX are kept: when there is no room the number of samples that
 * make a stored one, their mean, is doubled, and each two of those that are
 * stored become one.
 */
#include "vvmbench/soak/series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/tool.h"

#define UNIT_BYTES SERIES_BYTES
#define UNIT_COUNT SERIES_NUMBER
#define UNIT_RATIO SERIES_RATIO
#define UNIT_US	   SERIES_US
#define UNIT_RATE  SERIES_RATE

static const struct {
	const char *name, *help;
	enum series_unit unit;
	int worse;
	double slack, pct;
} table[] = {
#define X(name, unit, worse, slack, pct, help) \
	{#name, help, UNIT_##unit, worse, slack, pct},
	SOAK_SERIES(X)
#undef X
};

const char *series_name(enum series_id id)
{
	return table[id].name;
}

const char *series_help(enum series_id id)
{
	return table[id].help;
}

char *series_text(char buf[16], enum series_id id, double value)
{
	bool minus = value < 0;
	char size[8];

	if (isnan(value))
		snprintf(buf, 16, "-");
	else if (table[id].unit == SERIES_BYTES)
		snprintf(buf, 16, "%s%s", minus ? "-" : "",
			 tool_human(size, (uint64_t)fabs(value)));
	else if (table[id].unit == SERIES_RATIO)
		snprintf(buf, 16, "%.2f", value);
	else
		snprintf(buf, 16, "%.0f", value);
	return buf;
}

void series_init(struct series *s)
{
	memset(s, 0, sizeof(*s));
	s->stride = 1;
}

/* Each two become one. */
static void thin(struct series *s)
{
	unsigned i, k;

	s->count /= 2;
	s->stride *= 2;
	for (i = 0; i < s->count; i++) {
		s->at_s[i] = (s->at_s[2 * i] + s->at_s[2 * i + 1]) / 2;
		for (k = 0; k < SERIES_COUNT; k++)
			s->value[k][i] =
				(s->value[k][2 * i] + s->value[k][2 * i + 1]) /
				2;
	}
}

/* What the last stored sample was; 0 before the first. */
static double before(const struct series *s, unsigned k)
{
	return s->count ? s->value[k][s->count - 1] : 0;
}

void series_add(struct series *s, double at_s,
		const double values[SERIES_COUNT])
{
	unsigned k;

	s->sum_s += at_s;
	for (k = 0; k < SERIES_COUNT; k++)
		s->sum[k] += isnan(values[k]) ? before(s, k) : values[k];
	if (++s->part < s->stride)
		return;
	if (s->count == DRIFT_SAMPLES_MAX)
		thin(s);
	/* After thin() this one is half of what the others are: so be it. */
	s->at_s[s->count] = s->sum_s / s->part;
	for (k = 0; k < SERIES_COUNT; k++) {
		s->value[k][s->count] = s->sum[k] / s->part;
		s->sum[k] = 0;
	}
	s->count++;
	s->part = 0;
	s->sum_s = 0;
}

static void range_of(struct series_verdict *v, const double *values, unsigned n)
{
	unsigned i;

	v->first = n ? values[0] : NAN;
	v->last = n ? values[n - 1] : NAN;
	v->least = v->most = v->first;
	for (i = 1; i < n; i++) {
		v->least = fmin(v->least, values[i]);
		v->most = fmax(v->most, values[i]);
	}
}

void series_judge(const struct series *s, enum series_id id, double from_s,
		  double scale, struct series_verdict *v)
{
	unsigned first = 0;

	memset(v, 0, sizeof(*v));
	while (first < s->count && s->at_s[first] < from_s)
		first++;
	range_of(v, s->value[id] + first, s->count - first);
	v->known = drift_estimate(&v->drift, s->at_s + first,
				  s->value[id] + first, s->count - first);
	if (!v->known)
		return;
	v->allowed = scale * fmax(table[id].slack,
				  table[id].pct / 100 * fabs(v->drift.middle));
	v->drifts = table[id].worse * v->drift.least > v->allowed;
}
