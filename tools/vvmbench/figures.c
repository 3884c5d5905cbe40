/* SPDX-License-Identifier: MIT */
/*
 * figures.c - what a run is reported as.
 *
 * Raw counts become rates here and nowhere else, so that run and compare
 * cannot mean different things by one name. What an engine or a pattern does
 * not have is NAN, not 0: the bare disk has no resident pages, the pattern
 * fill no hits. NAN is null in JSON, "-" in a table, and left out of medians.
 */
#include "vvmbench/figures.h"

#include "common/json.h"
#include "common/tool.h"
#include "vvmbench/machine/cgroup.h"

#include <math.h>

const struct figure_info figure_infos[FIGURE_COUNT] = {
#define X(name, unit, column, help) {#name, UNIT_##unit, column},
	FIGURES(X)
#undef X
};

static double per(double amount, double of)
{
	return of > 0 ? amount / of : NAN;
}

static double pct(double part, double of)
{
	return part > 0 ? per(100 * part, of) : per(0, of);
}

static double percentile_us(const struct work_result *r, double p)
{
	return r->hist.count ? (double)hist_percentile_ns(&r->hist, p) / 1e3
			     : NAN;
}

static void rates(double *v, const struct plan *plan,
		  const struct work_result *r)
{
	const struct engine_counts *c = &r->counts;
	double seconds = (double)r->elapsed_us / 1e6;
	bool kernel =
		plan->engine == ENGINE_swap || plan->engine == ENGINE_mmap;

	v[FIGURE_seconds] = seconds;
	v[FIGURE_ops_per_s] = per((double)r->ops, seconds);
	v[FIGURE_faults_per_s] = per((double)c->faults, seconds);
	v[FIGURE_misses_per_s] = per((double)c->misses, seconds);
	v[FIGURE_minor_faults_per_s] =
		kernel ? per((double)c->minor_faults, seconds) : NAN;
	v[FIGURE_hit_rate_pct] =
		plan->pattern == PATTERN_fill
			? NAN
			: pct((double)r->ops - (double)c->misses,
			      (double)r->ops);
	v[FIGURE_hot_hit_rate_pct] =
		pct((double)r->hot_hits, (double)r->hot_probes);
	v[FIGURE_cpu_us_per_fault] = per((double)r->cpu_us, (double)c->faults);
	v[FIGURE_cpu_us_per_op] = per((double)r->cpu_us, (double)r->ops);
}

static void latencies(double *v, const struct work_result *r)
{
	v[FIGURE_latency_p50_us] = percentile_us(r, 50);
	v[FIGURE_latency_p90_us] = percentile_us(r, 90);
	v[FIGURE_latency_p99_us] = percentile_us(r, 99);
	v[FIGURE_latency_p999_us] = percentile_us(r, 99.9);
	v[FIGURE_latency_max_us] = percentile_us(r, 100);
}

static void amounts(double *v, const struct plan *plan,
		    const struct work_result *r)
{
	const struct engine_counts *c = &r->counts;
	double fill_s = (double)r->fill_us / 1e6;

	v[FIGURE_read_bytes] = (double)c->read_bytes;
	v[FIGURE_written_bytes] = (double)c->written_bytes;
	v[FIGURE_resident_peak_bytes] =
		plan->engine == ENGINE_raw ? NAN
					   : (double)c->resident_peak_bytes;
	v[FIGURE_allowance_bytes] =
		plan->group ? (double)plan->group->allowance_bytes : NAN;
	v[FIGURE_set_up_seconds] = fill_s;
	v[FIGURE_set_up_bytes_per_s] = per((double)plan->size_bytes, fill_s);
	v[FIGURE_sweep_seconds] = r->swept ? (double)r->sweep_us / 1e6 : NAN;
}

void figures_of(struct figures *f, const struct plan *plan,
		const struct work_result *r)
{
	rates(f->value, plan, r);
	latencies(f->value, r);
	amounts(f->value, plan, r);
}

/* ------------------------------------------------------------------ */
/* Printing								*/

/* Four digits or so: 7.123k, 123.4k, 12.34M. */
static void count_text(char buf[16], double value)
{
	if (value < 9999.5)
		snprintf(buf, 16, "%.0f", value);
	else if (value < 999950)
		snprintf(buf, 16, "%.1fk", value / 1e3);
	else if (value < 999950e3)
		snprintf(buf, 16, "%.1fM", value / 1e6);
	else
		snprintf(buf, 16, "%.0fG", value / 1e9);
}

static void us_text(char buf[16], double value)
{
	snprintf(buf, 16, "%.*f",
		 value < 9.995	 ? 2
		 : value < 99.95 ? 1
				 : 0,
		 value);
}

char *figure_text(char buf[16], enum figure figure, double value)
{
	if (isnan(value)) {
		snprintf(buf, 16, "-");
		return buf;
	}
	switch (figure_infos[figure].unit) {
	case UNIT_COUNT:
		count_text(buf, value);
		break;
	case UNIT_US:
		us_text(buf, value);
		break;
	case UNIT_BYTES:
		tool_human(buf, (uint64_t)value);
		break;
	default:
		snprintf(buf, 16, "%.2f", value);
	}
	return buf;
}

void figures_json(struct tool_json *j, const struct figures *f)
{
	unsigned i;

	for (i = 0; i < FIGURE_COUNT; i++)
		if (figure_infos[i].unit == UNIT_BYTES && !isnan(f->value[i]))
			tool_json_uint(j, figure_infos[i].name,
				       (uint64_t)f->value[i]);
		else
			tool_json_real(j, figure_infos[i].name, f->value[i]);
}
