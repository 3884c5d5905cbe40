/* SPDX-License-Identifier: MIT */
/*
 * finding.c - what a check of --doctor has found: a line for people, or a
 * record.
 */
#include "vvmstat/finding.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const status_name[] = {"ok", "warn", "fail"};

void doctor_record(struct doctor *d, enum doctor_status status,
		   const char *check, const char *remedy, const char *reason)
{
	struct record r = {.fields = 0};

	record_text(&r, "check", check);
	record_text(&r, "status", status_name[status]);
	record_text(&r, "reason", reason);
	record_text(&r, "remedy", remedy ? remedy : "");
	output_record(d->output, &r);
}

void doctor_report(struct doctor *d, enum doctor_status status,
		   const char *check, const char *remedy, const char *fmt, ...)
{
	char reason[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (status > d->worst)
		d->worst = status;
	if (d->output->form != OUTPUT_TEXT) {
		doctor_record(d, status, check, remedy, reason);
		return;
	}
	printf("%-5s %-13s %s\n", status_name[status], check, reason);
	if (remedy && *remedy)
		printf("%19s -> %s\n", "", remedy);
	fflush(stdout);
}
