/* SPDX-License-Identifier: MIT */
/*
 * bench_run.c - `vvmbench run`: one workload on one engine.
 *
 * Reads the plan, has bench_work.c carry it out, and reports. The report is
 * of the measured seconds alone: neither the set-up (which is the first
 * touch of all pages, and reported as such) nor the warm-up nor the sweep is
 * in any rate. Counters of the library itself, in JSON, are since the space
 * was opened: whoever wants to know about the set-up finds it there.
 *
 * The status is TOOL_OK only if every access was right, no increment is
 * missing and, when asked, the budget held.
 */
#include "bench.h"
#include "bench_opt.h"
#include "bench_space.h"
#include "bench_util.h"
#include "bench_watch.h"
#include "bench_work.h"

#include <stdlib.h>

/* --write was not given. */
#define WRITE_UNSET UINT64_MAX

static const char *const pattern_words[] = {
#define X(name, help) #name,
	PATTERNS(X)
#undef X
		NULL,
};

/* In the order of enum vvm_advice. */
static const char *const advice_words[] = {"normal", "random", "sequential",
					   NULL};

static const char summary[] =
	"Accesses pages of a region that is larger than the memory it may\n"
	"occupy. Every page is stamped and every access verified; writes are\n"
	"increments, counted at the end. Ctrl-C ends early, with the report.\n"
	"\nEngines:\n"
#define X(name, help) "  " #name ": " help "\n"
	ENGINES(X)
#undef X
		"Patterns:\n"
#define X(name, help) "  " #name ": " help "\n"
	PATTERNS(X)
#undef X
	;

#define FIELD(f) offsetof(struct plan, f)

static const struct opt opts[] = {
	OPTION_WORD(0, "engine", FIELD(engine), "NAME", engine_words,
		    "what pages"),
	OPTION_WORD(0, "faults", FIELD(faults), "HOW", bench_fault_words,
		    "who resolves faults"),
	OPTION_RANGE('s', "size", FIELD(size_bytes), SIZE, "SIZE", BENCH_PAGE,
		     0x1p46, "the region (1G)"),
	OPTION_RANGE('m', "resident", FIELD(resident_bytes), SIZE, "SIZE",
		     BENCH_PAGE, 0x1p46, "the budget ($VVM_RESIDENT, 256M)"),
	OPTION_WORD('p', "pattern", FIELD(pattern), "NAME", pattern_words,
		    "which pages (uniform)"),
	OPTION_RANGE(0, "theta", FIELD(theta), REAL, "T", 0, 10,
		     "skew of zipf (0.99)"),
	OPTION_RANGE(0, "stride", FIELD(stride), SIGNED, "PAGES", 1, 0x1p30,
		     "step of stride, may be negative (3)"),
	OPTION_WORD(0, "advice", FIELD(advice), "WHAT", advice_words,
		    "given to the pager"),
	OPTION_RANGE('w', "write", FIELD(write_pct), NUMBER, "PCT", 0, 100,
		     "of the accesses are writes (0; with --rmw 100)"),
	OPTION_FLAG(0, "rmw", FIELD(rmw),
		    "a write reads the page first, by a separate access"),
	OPTION_RANGE('t', "threads", FIELD(threads), NUMBER, "N", 1, 1024,
		     "that access pages; for raw the queue depth (4)"),
	OPTION_RANGE('d', "seconds", FIELD(seconds), REAL, "S", 0.01, 1e6,
		     "to measure (10)"),
	OPTION_RANGE(0, "warm", FIELD(warm_s), REAL, "S", 0, 1e6,
		     "to run before that (2)"),
	OPTION_RANGE(0, "seed", FIELD(seed), NUMBER, "N", 0, 0x1p53,
		     "of all randomness (1)"),
	OPTION_TEXT(0, "swap", FIELD(swap_path), "PATH",
		    "directory, file or device to page to ($VVM_SWAP)"),
	OPTION_RANGE(0, "handlers", FIELD(handlers), NUMBER, "N", 1, 32,
		     "handler threads of libvvm"),
	OPTION_FLAG(0, "budget-check", FIELD(budget_check),
		    "sample the blocks of the memfd; fail above the budget"),
	OPTION_FLAG(0, "no-sweep", FIELD(no_sweep),
		    "do not verify all pages once more at the end"),
	OPTION_FLAG(0, "json", FIELD(json), "print one JSON object"),
	{.name = NULL},
};

static const struct opt_command command = {"run", "", summary, opts};

/* ------------------------------------------------------------------ */
/* The plan								*/

static void check_plan(struct plan *plan)
{
	plan->size_bytes -= plan->size_bytes % BENCH_PAGE;
	if (plan->write_pct == WRITE_UNSET)
		plan->write_pct = plan->rmw ? 100 : 0;
	if (plan->pattern == PATTERN_stride &&
	    (uint64_t)llabs(plan->stride) >= plan_pages(plan))
		opt_usage(&command, "--stride: the region has %llu pages only",
			  (unsigned long long)plan_pages(plan));
	if (plan->budget_check && plan->engine != ENGINE_vvm)
		opt_usage(&command, "--budget-check is for the engine vvm");
}

static struct plan read_plan(int argc, char **argv)
{
	struct vvm_options defaults;
	struct plan plan = {.size_bytes = 1ull << 30,
			    .pattern = PATTERN_uniform,
			    .theta = 0.99,
			    .stride = 3,
			    .write_pct = WRITE_UNSET,
			    .threads = 4,
			    .seconds = 10,
			    .warm_s = 2,
			    .seed = 1};

	bench_space_options(&defaults);
	plan.resident_bytes = defaults.resident_bytes;
	plan.faults = (int)defaults.faults;
	if (opt_parse(&command, &plan, argc, argv) < argc)
		opt_usage(&command, "takes options only");
	check_plan(&plan);
	return plan;
}

/* ------------------------------------------------------------------ */
/* The report								*/

/* Rates and the like, computed once for both forms of the report. */
struct figures {
	double seconds, ops_per_s, faults_per_s, misses_per_s, hit_rate_pct;
	double cpu_us_per_fault, fill_s, fill_bytes_per_s, sweep_s;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns;
};

static double per(double amount, double of)
{
	return of > 0 ? amount / of : 0;
}

static struct figures figures_of(const struct plan *plan,
				 const struct work_result *r)
{
	const struct engine_counts *c = &r->counts;
	double seconds = (double)r->elapsed_us / 1e6;
	double fill_s = (double)r->fill_us / 1e6;
	double hits = plan->engine == ENGINE_raw
			      ? 0
			      : (double)r->ops - (double)c->misses;

	return (struct figures){
		.seconds = seconds,
		.ops_per_s = per((double)r->ops, seconds),
		.faults_per_s = per((double)c->faults, seconds),
		.misses_per_s = per((double)c->misses, seconds),
		.hit_rate_pct = per(hits > 0 ? 100 * hits : 0, (double)r->ops),
		.cpu_us_per_fault = per((double)r->cpu_us, (double)c->faults),
		.fill_s = fill_s,
		.fill_bytes_per_s = per((double)plan->size_bytes, fill_s),
		.sweep_s = (double)r->sweep_us / 1e6,
		.p50_ns = hist_percentile_ns(&r->hist, 50),
		.p90_ns = hist_percentile_ns(&r->hist, 90),
		.p99_ns = hist_percentile_ns(&r->hist, 99),
		.p999_ns = hist_percentile_ns(&r->hist, 99.9),
	};
}

static void json_plan(struct tool_json *j, const struct plan *plan)
{
	tool_json_text(j, "engine", engine_words[plan->engine]);
	tool_json_text(j, "fault_mode", bench_fault_words[plan->faults]);
	tool_json_text(j, "pattern", pattern_words[plan->pattern]);
	tool_json_text(j, "advice", advice_words[plan->advice]);
	tool_json_uint(j, "size_bytes", plan->size_bytes);
	tool_json_uint(j, "resident_bytes", plan->resident_bytes);
	tool_json_uint(j, "threads", plan->threads);
	tool_json_uint(j, "write_pct", plan->write_pct);
	tool_json_bool(j, "rmw", plan->rmw);
	tool_json_real(j, "theta", plan->theta);
	tool_json_int(j, "stride_pages", plan->stride);
	tool_json_uint(j, "seed", plan->seed);
}

static void json_figures(struct tool_json *j, const struct figures *f)
{
	tool_json_real(j, "seconds", f->seconds);
	tool_json_real(j, "ops_per_s", f->ops_per_s);
	tool_json_real(j, "faults_per_s", f->faults_per_s);
	tool_json_real(j, "misses_per_s", f->misses_per_s);
	tool_json_real(j, "hit_rate_pct", f->hit_rate_pct);
	tool_json_real(j, "latency_p50_us", (double)f->p50_ns / 1e3);
	tool_json_real(j, "latency_p90_us", (double)f->p90_ns / 1e3);
	tool_json_real(j, "latency_p99_us", (double)f->p99_ns / 1e3);
	tool_json_real(j, "latency_p999_us", (double)f->p999_ns / 1e3);
	tool_json_real(j, "cpu_us_per_fault", f->cpu_us_per_fault);
	tool_json_real(j, "set_up_seconds", f->fill_s);
	tool_json_real(j, "set_up_bytes_per_s", f->fill_bytes_per_s);
	tool_json_real(j, "sweep_seconds", f->sweep_s);
}

static void json_result(struct tool_json *j, const struct work_result *r)
{
	tool_json_real(j, "latency_max_us", (double)r->hist.max_ns / 1e3);
	tool_json_uint(j, "ops", r->ops);
	tool_json_uint(j, "misses", r->counts.misses);
	tool_json_uint(j, "read_bytes", r->counts.read_bytes);
	tool_json_uint(j, "written_bytes", r->counts.written_bytes);
	tool_json_uint(j, "resident_peak_bytes", r->counts.resident_peak_bytes);
	tool_json_uint(j, "cpu_us", r->cpu_us);
	tool_json_uint(j, "increments", r->increments);
	tool_json_uint(j, "lost_increments", r->lost_increments);
	tool_json_bool(j, "swept", r->swept);
}

static void report_json(struct engine *e, const struct work_result *r,
			uint64_t watched_bytes)
{
	struct figures f = figures_of(e->plan, r);
	struct tool_json j;

	tool_json_begin(&j, stdout);
	json_plan(&j, e->plan);
	json_figures(&j, &f);
	json_result(&j, r);
	if (e->plan->budget_check)
		tool_json_uint(&j, "memfd_peak_bytes", watched_bytes);
	if (e->ops->json)
		e->ops->json(e, &j);
	tool_json_end(&j);
}

static void print_pager(const struct plan *plan)
{
	char size[8], resident[8];

	tool_human(size, plan->size_bytes);
	tool_human(resident, plan->resident_bytes);
	if (plan->engine == ENGINE_vvm)
		printf("vvm, %s: %s of %s resident",
		       bench_fault_words[plan->faults], resident, size);
	else
		printf("%s: %s", engine_words[plan->engine], size);
}

static void print_heading(const struct plan *plan)
{
	print_pager(plan);
	printf(", %s", pattern_words[plan->pattern]);
	if (plan->pattern == PATTERN_zipf || plan->pattern == PATTERN_scanmix)
		printf(" %.2f", plan->theta);
	if (plan->pattern == PATTERN_stride)
		printf(" %lld", (long long)plan->stride);
	printf(", %llu %% writes%s, %llu thread%s\n",
	       (unsigned long long)plan->write_pct,
	       plan->rmw ? " (read first)" : "",
	       (unsigned long long)plan->threads,
	       plan->threads == 1 ? "" : "s");
}

static void print_result(const struct figures *f, const struct work_result *r)
{
	char in[8], out[8], peak[8], rate[8];

	printf("set-up     %.2f s, %s/s\n", f->fill_s,
	       tool_human(rate, (uint64_t)f->fill_bytes_per_s));
	printf("accesses   %.0f /s for %.1f s, %.2f %% hits\n", f->ops_per_s,
	       f->seconds, f->hit_rate_pct);
	printf("faults     %.0f /s, %.1f us CPU each\n", f->faults_per_s,
	       f->cpu_us_per_fault);
	printf("latency    p50 %.2f  p90 %.2f  p99 %.1f  p99.9 %.1f  "
	       "max %.0f us\n",
	       (double)f->p50_ns / 1e3, (double)f->p90_ns / 1e3,
	       (double)f->p99_ns / 1e3, (double)f->p999_ns / 1e3,
	       (double)r->hist.max_ns / 1e3);
	printf("disk       %s read, %s written\n",
	       tool_human(in, r->counts.read_bytes),
	       tool_human(out, r->counts.written_bytes));
	if (r->counts.resident_peak_bytes)
		printf("resident   %s at most\n",
		       tool_human(peak, r->counts.resident_peak_bytes));
}

static void print_verdict(const struct figures *f, const struct work_result *r)
{
	printf("verified   every access");
	if (r->swept)
		printf(", all pages at the end (%.2f s)", f->sweep_s);
	printf("; %llu increments, %llu lost\n",
	       (unsigned long long)r->increments,
	       (unsigned long long)r->lost_increments);
}

static void report_text(struct engine *e, const struct work_result *r,
			uint64_t watched_bytes)
{
	struct figures f = figures_of(e->plan, r);
	char peak[8];

	print_heading(e->plan);
	print_result(&f, r);
	print_verdict(&f, r);
	if (e->plan->budget_check)
		printf("budget     memfd held %llu pages (%s), of %llu\n",
		       (unsigned long long)watched_bytes / BENCH_PAGE,
		       tool_human(peak, watched_bytes),
		       (unsigned long long)e->plan->resident_bytes /
			       BENCH_PAGE);
}

/* ------------------------------------------------------------------ */
/* Running								*/

static int verdict(const struct plan *plan, const struct work_result *r,
		   uint64_t watched_bytes)
{
	int status = TOOL_OK;

	if (r->lost_increments) {
		tool_warn("%llu increments are lost",
			  (unsigned long long)r->lost_increments);
		status = TOOL_FAILED;
	}
	if (plan->budget_check && watched_bytes > plan->resident_bytes) {
		tool_warn("the budget of %llu bytes was exceeded: the "
			  "memfd had %llu",
			  (unsigned long long)plan->resident_bytes,
			  (unsigned long long)watched_bytes);
		status = TOOL_FAILED;
	}
	return status;
}

/* All phases. False: interrupted before there was anything to report. */
static bool run_phases(struct engine *e, struct work_result *r)
{
	struct work work;

	work_init(&work, e, e->plan);
	if (work_fill(&work, r) && work_measure(&work, r) && !e->plan->no_sweep)
		work_sweep(&work, r);
	work_fini(&work);
	return r->measured;
}

static int run(struct engine *e, struct work_result *r)
{
	uint64_t watched_bytes = 0;
	struct watch watch;
	bool done;

	if (e->plan->budget_check)
		watch_start(&watch);
	done = run_phases(e, r);
	if (e->plan->budget_check)
		watched_bytes = watch_stop(&watch);
	if (!done) {
		tool_warn("interrupted before there was anything to report");
		return TOOL_ENDED;
	}
	(e->plan->json ? report_json : report_text)(e, r, watched_bytes);
	return verdict(e->plan, r, watched_bytes);
}

int bench_run(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);
	struct work_result *r = calloc(1, sizeof(*r));
	struct engine engine;
	int status;

	if (!r)
		tool_die(TOOL_FAILED, "out of memory");
	bench_catch_interrupts();
	engine_open(&engine, &plan);
	status = run(&engine, r);
	engine_close(&engine);
	free(r);
	return status;
}
