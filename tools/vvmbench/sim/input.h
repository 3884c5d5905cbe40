/* SPDX-License-Identifier: MIT */
/* input.h - the options of `vvmbench sim`, and its input. */
#ifndef VVM_BENCH_SIM_INPUT_H
#define VVM_BENCH_SIM_INPUT_H

#include "vvmbench/workload/trace.h"

struct sim_plan {
	const char *path; /* a trace, "-": standard input; NULL: a pattern */
	const char *resident; /* list of budgets, or NULL */
	const char *save;     /* where the trace shall go, or NULL */
	int pattern;	      /* enum pattern_kind */
	double theta, warm_pct;
	uint64_t size_bytes, accesses, threads, seed, scan_pct, ahead_pages;
	bool lackey, json, csv;
};

/* Reads or makes the trace; exits TOOL_FAILED with a message. */
void sim_input(struct trace *t, const struct sim_plan *plan);
/* Writes it as a trace file; likewise. */
void sim_save(const struct trace *t, const char *path);

#endif
