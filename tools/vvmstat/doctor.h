/* SPDX-License-Identifier: MIT */
/* doctor.h - can libvvm run here, and well? */
#ifndef VVM_DOCTOR_H
#define VVM_DOCTOR_H

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

/*
 * Runs all checks. TOOL_OK: libvvm can run (there may be warnings);
 * TOOL_FAILED: it cannot. swap_path NULL: VVM_SWAP, or the default.
 */
int doctor_run(const char *swap_path, struct output *output);

/* Does the budget fit into the RAM that this process may use? */
void doctor_memory(struct doctor *d);
/* The checks of the swap path; takes more than a second. */
void doctor_swap(struct doctor *d);

#endif
