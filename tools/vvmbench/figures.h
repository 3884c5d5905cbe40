/* SPDX-License-Identifier: MIT */
/*
 * figures.h - what a run is reported as: one table for the text, JSON
 * and CSV of run and compare.
 *
 * X(name, unit, column, help): a key of JSON, which ends in its unit; how it
 * is printed; its heading in compare's table, "" to leave it out there.
 */
#ifndef VVM_BENCH_FIGURES_H
#define VVM_BENCH_FIGURES_H

#include "vvmbench/engine/work.h"

#define FIGURES(X)                                                             \
	X(seconds, SECONDS, "", "measured")                                    \
	X(ops_per_s, COUNT, "ops/s", "accesses")                               \
	X(faults_per_s, COUNT, "flt/s", "the pager's events")                  \
	X(misses_per_s, COUNT, "", "accesses that had to wait for a read")     \
	X(minor_faults_per_s, COUNT, "minor/s",                                \
	  "the kernel's, without a read")                                      \
	X(hit_rate_pct, PCT, "hit%", "accesses that were no miss")             \
	X(hot_hit_rate_pct, PCT, "hot%", "scanmix: the same of the zipf part") \
	X(latency_p50_us, US, "p50 us", "of accesses, hits included")          \
	X(latency_p90_us, US, "p90", "the same")                               \
	X(latency_p99_us, US, "p99", "the same")                               \
	X(latency_p999_us, US, "p99.9", "the same")                            \
	X(latency_max_us, US, "max", "the same")                               \
	X(cpu_us_per_fault, US, "CPU/flt", "the whole process, hits included") \
	X(cpu_us_per_op, US, "CPU/op", "the same for an access")               \
	X(read_bytes, BYTES, "read", "from disk")                              \
	X(written_bytes, BYTES, "written", "to disk")                          \
	X(resident_peak_bytes, BYTES, "peak", "of the region's pages")         \
	X(allowance_bytes, BYTES, "", "added to the cgroup's limit")           \
	X(set_up_seconds, SECONDS, "", "the first touch of all pages")         \
	X(set_up_bytes_per_s, BYTES, "", "the same as a rate")                 \
	X(sweep_seconds, SECONDS, "", "verifying all pages at the end")

enum figure {
#define X(name, unit, column, help) FIGURE_##name,
	FIGURES(X)
#undef X
		FIGURE_COUNT
};

enum figure_unit { UNIT_SECONDS, UNIT_COUNT, UNIT_PCT, UNIT_US, UNIT_BYTES };

struct figure_info {
	const char *name;
	enum figure_unit unit;
	const char *column;
};

extern const struct figure_info figure_infos[FIGURE_COUNT];

/* NAN: has no meaning for this engine or pattern. */
struct figures {
	double value[FIGURE_COUNT];
};

void figures_of(struct figures *f, const struct plan *plan,
		const struct work_result *r);
/* At most 7 characters and a NUL; "-" for NAN. Returns buf. */
char *figure_text(char buf[16], enum figure figure, double value);
/* Every figure by its name; NAN is null. */
void figures_json(struct tool_json *j, const struct figures *f);

#endif
