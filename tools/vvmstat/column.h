/* SPDX-License-Identifier: MIT */
/*
 * column.h - THE table of what a row shows. Pure.
 */
#ifndef VVM_COLUMN_H
#define VVM_COLUMN_H

#include <stdbool.h>
#include "common/sample.h"

/* What happened in `seconds`; levels are those at their end. */
struct row {
	const struct sample *delta;
	double seconds;
};

enum column_format {
	COLUMN_NUMBER,
	COLUMN_BYTES,
	COLUMN_PERCENT,
};

/* When a value deserves a colour. */
enum column_alarm {
	ALARM_NEVER,
	ALARM_ABOVE, /* at and above: worse the higher it is */
	ALARM_BELOW,
};

struct column {
	const char *group, *name;
	int width;	/* 0: only shown with -w */
	int wide_width; /* with -w */
	enum column_format format;
	double (*value)(const struct row *r, const struct column *c);
	unsigned index;	 /* counter or value, of the generic functions */
	double argument; /* percentile, of column_latency */
	/*
	 * The name in JSON and CSV of what no counter says alone; NULL: a
	 * counter or a value, which those print by its own name.
	 */
	const char *key;
	enum column_alarm alarm;
	double warn, bad; /* the limits of the alarm */
};

extern const struct column columns[];
extern const unsigned columns_count;

/* The column of that group and name; never NULL. */
const struct column *column_by_name(const char *group, const char *name);

#endif
