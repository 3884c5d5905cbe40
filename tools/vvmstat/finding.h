/* SPDX-License-Identifier: MIT */
/* finding.h - what a check of --doctor has found. */
#ifndef VVM_FINDING_H
#define VVM_FINDING_H

#include <stdbool.h>
#include "vvmstat/output.h"

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	struct output *output;
	const char *swap_path;
	enum doctor_status worst; /* of the checks so far */
};

/*
 * Prints what a check found: a fact or a reason, and what to do about it
 * (NULL: nothing). fmt makes the reason.
 */
void doctor_report(struct doctor *d, enum doctor_status status,
		   const char *check, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The same, but for programs only. => not OUTPUT_TEXT */
void doctor_record(struct doctor *d, enum doctor_status status,
		   const char *check, const char *remedy, const char *reason);

#endif
