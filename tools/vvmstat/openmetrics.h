/* SPDX-License-Identifier: MIT */
/* openmetrics.h - all counters as text for Prometheus. */
#ifndef VVM_OPENMETRICS_H
#define VVM_OPENMETRICS_H

#include <stdio.h>
#include "common/sample.h"

struct metric_source {
	int pid;
	char command[64];
	struct sample now;
};

/* Writes one exposition of all processes. */
void openmetrics_print(FILE *out, const struct metric_source *source,
		       unsigned sources);

#endif
