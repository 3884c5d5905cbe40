/* SPDX-License-Identifier: MIT */
/*
 * plan.c - a workload, and its options, which run and compare share.
 *
 * Defaults come before parsing and from the environment where libvvm has a
 * setting; what depends on several options is settled after it. Values that
 * make no sense together are refused, not bent: a benchmark that guesses
 * measures the wrong thing.
 */
#include "vvmbench/workload/plan.h"

#include "common/json.h"

#include "vvmbench/workload/space.h"
#include "vvmbench/workload/stamp.h"

#include <stdlib.h>

/* --write was not given. */
#define WRITE_UNSET UINT64_MAX

const char *const pattern_words[] = {
#define X(name, help) #name,
	PATTERNS(X)
#undef X
		NULL,
};

/* In the order of enum vvm_advice. */
const char *const advice_words[] = {"normal", "random", "sequential", NULL};

/* In the order of enum vvm_compress. */
const char *const compress_words[] = {"auto", "off", "lz4", NULL};

void plan_defaults(struct plan *plan)
{
	struct vvm_options defaults;

	*plan = (struct plan){.size_bytes = 1ull << 30,
			      .pattern = PATTERN_uniform,
			      .theta = 0.99,
			      .stride = 3,
			      .scan_pct = 50,
			      .write_pct = WRITE_UNSET,
			      .threads = 4,
			      .seconds = 10,
			      .warm_s = 2,
			      .seed = 1};
	bench_space_options(&defaults);
	plan->resident_bytes = defaults.resident_bytes;
	plan->faults = (int)defaults.faults;
	plan->compress = (int)defaults.compress;
}

void plan_finish(struct plan *plan, const struct opt_command *cmd)
{
	plan->size_bytes -= plan->size_bytes % BENCH_PAGE;
	if (plan->write_pct == WRITE_UNSET)
		plan->write_pct = plan->rmw ? 100 : 0;
	if (plan->pattern == PATTERN_stride &&
	    (uint64_t)llabs(plan->stride) >= plan_pages(plan))
		opt_usage(cmd, "--stride: the region has %llu pages only",
			  (unsigned long long)plan_pages(plan));
}

unsigned plan_noise(const struct plan *plan)
{
	return stamp_noise(plan->ratio);
}

const char *plan_directory(const struct plan *plan)
{
	struct vvm_options options;

	if (plan->swap_path)
		return plan->swap_path;
	bench_space_options(&options);
	return options.swap_path;
}

void plan_json(struct tool_json *j, const struct plan *plan)
{
	tool_json_text(j, "pattern", pattern_words[plan->pattern]);
	tool_json_text(j, "advice", advice_words[plan->advice]);
	tool_json_uint(j, "size_bytes", plan->size_bytes);
	tool_json_uint(j, "resident_bytes", plan->resident_bytes);
	tool_json_uint(j, "threads", plan->threads);
	tool_json_uint(j, "write_pct", plan->write_pct);
	tool_json_bool(j, "rmw", plan->rmw);
	tool_json_real(j, "theta", plan->theta);
	tool_json_int(j, "stride_pages", plan->stride);
	tool_json_uint(j, "scan_pct", plan->scan_pct);
	tool_json_uint(j, "seed", plan->seed);
	tool_json_real(j, "compress_ratio", plan->ratio);
	tool_json_text(j, "compress", compress_words[plan->compress]);
}

void plan_print(const struct plan *plan)
{
	printf(", %s", pattern_words[plan->pattern]);
	if (plan->pattern == PATTERN_zipf || plan->pattern == PATTERN_scanmix ||
	    plan->pattern == PATTERN_phases)
		printf(" %.2f", plan->theta);
	if (plan->pattern == PATTERN_scanmix)
		printf(", %llu %% scan", (unsigned long long)plan->scan_pct);
	if (plan->pattern == PATTERN_stride)
		printf(" %lld", (long long)plan->stride);
	if (plan->pattern != PATTERN_fill)
		printf(", %llu %% writes%s",
		       (unsigned long long)plan->write_pct,
		       plan->rmw ? " (read first)" : "");
	if (plan->ratio > 0)
		printf(", compresses to 1/%.1f", plan->ratio);
	printf(", %llu thread%s\n", (unsigned long long)plan->threads,
	       plan->threads == 1 ? "" : "s");
}
