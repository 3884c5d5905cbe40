/* SPDX-License-Identifier: MIT */
/*
 * run.c - `vvmbench run`: one workload on one engine.
 *
 * Reads the plan, has engine/work.c carry it out, and reports. The report is
 * of the measured seconds alone: neither the set-up (which is the first
 * touch of all pages, and reported as such) nor the warm-up nor the sweep is
 * in any rate. Counters of the library itself, in JSON, are since the space
 * was opened: whoever wants to know about the set-up finds it there.
 *
 * What the kernel pages runs in a cage (machine/cage.c): swap because it cannot
 * be had otherwise, mmap so that it keeps to the budget; where that is not
 * permitted, mmap runs without a limit, and says so.
 *
 * The status is TOOL_OK only if every access was right, no increment is
 * missing and, when asked, the budget held.
 */
#include "vvmbench/run.h"

#include "common/json.h"

#include "vvmbench/figures.h"
#include "vvmbench/machine/cage.h"
#include "vvmbench/machine/why.h"
#include "vvmbench/watch.h"
#include "vvmbench/workload/plan.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"

#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>

static const char summary[] =
	"Accesses pages of a region that is larger than the memory it may\n"
	"occupy. Every page is stamped and every access verified; writes are\n"
	"increments, counted at the end. Ctrl-C ends early, with the report.\n"
	"\nEngines:\n"
#define X(name, help) "  " #name ": " help "\n"
	ENGINES(X)
#undef X
		PLAN_PATTERN_HELP;

#define FIELD(f) offsetof(struct plan, f)

static const struct opt opts[] = {
	OPTION_WORD(0, "engine", FIELD(engine), "NAME", engine_words,
		    "what pages"),
	OPTION_WORD(0, "faults", FIELD(faults), "HOW", bench_fault_words,
		    "who resolves faults"),
	PLAN_OPTIONS(FIELD),
	OPTION_FLAG(0, "budget-check", FIELD(budget_check),
		    "sample the blocks of the memfd; fail above the budget"),
	OPTION_FLAG(0, "no-sweep", FIELD(no_sweep),
		    "do not verify all pages once more at the end"),
	OPTION_TEXT(0, "trace", FIELD(trace_path), "FILE",
		    "record every access, for vvmbench sim"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "run", .args = "", .summary = summary, .opts = opts};

/* ------------------------------------------------------------------ */
/* The plan								*/

static struct plan read_plan(int argc, char **argv)
{
	struct plan plan;

	plan_defaults(&plan);
	if (opt_parse(&command, &plan, argc, argv) > 0)
		opt_usage(&command, "takes options only");
	plan_finish(&plan, &command);
	if (plan.budget_check && plan.engine != ENGINE_vvm)
		opt_usage(&command, "--budget-check is for the engine vvm");
	if (plan.trace_path &&
	    (plan.engine == ENGINE_raw || plan.pattern == PATTERN_fill))
		opt_usage(&command,
			  "--trace is not for the engine raw and the pattern "
			  "fill");
	return plan;
}

/* ------------------------------------------------------------------ */
/* The report								*/

static void json_result(struct tool_json *j, const struct work_result *r)
{
	tool_json_uint(j, "ops", r->ops);
	tool_json_uint(j, "misses", r->counts.misses);
	tool_json_uint(j, "cpu_us", r->cpu_us);
	tool_json_uint(j, "increments", r->increments);
	tool_json_uint(j, "lost_increments", r->lost_increments);
	tool_json_bool(j, "swept", r->swept);
}

static void report_json(struct engine *e, const struct work_result *r,
			uint64_t watched_bytes)
{
	struct figures f;
	struct tool_json j;

	figures_of(&f, e->plan, r);
	tool_json_begin(&j, stdout);
	tool_json_text(&j, "engine", engine_words[e->plan->engine]);
	tool_json_text(&j, "fault_mode", bench_fault_words[e->plan->faults]);
	plan_json(&j, e->plan);
	figures_json(&j, &f);
	json_result(&j, r);
	if (e->plan->budget_check)
		tool_json_uint(&j, "memfd_peak_bytes", watched_bytes);
	if (e->ops->json)
		e->ops->json(e, &j);
	tool_json_end(&j);
}

static void print_heading(const struct plan *plan)
{
	char size[8], resident[8];

	tool_human(size, plan->size_bytes);
	tool_human(resident, plan->resident_bytes);
	printf("%s", engine_words[plan->engine]);
	if (plan->engine == ENGINE_vvm)
		printf(", %s", bench_fault_words[plan->faults]);
	if (plan->engine == ENGINE_vvm || plan->group)
		printf(": %s of %s resident",
		       plan->resident_bytes == VVM_RESIDENT_AUTO ? "auto"
								 : resident,
		       size);
	else
		printf(": %s", size);
	plan_print(plan);
}

/* What a figure is, in a buffer of its own: for one printf() each. */
#define TEXT(f, name) \
	figure_text((char[16]){0}, FIGURE_##name, (f)->value[FIGURE_##name])

static void print_rates(const struct figures *f)
{
	printf("set-up     %s s, %s/s\n", TEXT(f, set_up_seconds),
	       TEXT(f, set_up_bytes_per_s));
	printf("accesses   %.0f /s for %.1f s, %s %% hits",
	       f->value[FIGURE_ops_per_s], f->value[FIGURE_seconds],
	       TEXT(f, hit_rate_pct));
	if (!isnan(f->value[FIGURE_hot_hit_rate_pct]))
		printf(", %s %% of the zipf part", TEXT(f, hot_hit_rate_pct));
	printf("\nfaults     %.0f /s, %s us CPU each",
	       f->value[FIGURE_faults_per_s], TEXT(f, cpu_us_per_fault));
	if (!isnan(f->value[FIGURE_minor_faults_per_s]))
		printf("; %.0f minor ones /s",
		       f->value[FIGURE_minor_faults_per_s]);
	putchar('\n');
}

static void print_amounts(const struct figures *f)
{
	printf("latency    p50 %s  p90 %s  p99 %s  p99.9 %s  max %s us\n",
	       TEXT(f, latency_p50_us), TEXT(f, latency_p90_us),
	       TEXT(f, latency_p99_us), TEXT(f, latency_p999_us),
	       TEXT(f, latency_max_us));
	printf("disk       %s read, %s written\n", TEXT(f, read_bytes),
	       TEXT(f, written_bytes));
	if (f->value[FIGURE_resident_peak_bytes] > 0)
		printf("resident   %s at most\n", TEXT(f, resident_peak_bytes));
	if (!isnan(f->value[FIGURE_allowance_bytes]))
		printf("cgroup     limited to the budget and %s for all else\n",
		       TEXT(f, allowance_bytes));
}

static void print_verdict(const struct figures *f, const struct work_result *r)
{
	printf("verified   every access");
	if (r->swept)
		printf(", all pages at the end (%s s)", TEXT(f, sweep_seconds));
	printf("; %llu increments, %llu lost\n",
	       (unsigned long long)r->increments,
	       (unsigned long long)r->lost_increments);
}

static void report_text(struct engine *e, const struct work_result *r,
			uint64_t watched_bytes)
{
	struct figures f;
	char peak[8];

	figures_of(&f, e->plan, r);
	print_heading(e->plan);
	print_rates(&f);
	print_amounts(&f);
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

static int run(struct engine *e, struct work_result *r, struct cgroup *group)
{
	uint64_t watched_bytes = 0;
	struct watch watch;
	bool done;

	if (e->plan->budget_check)
		watch_start(&watch);
	done = work_run(e, r, group);
	if (e->plan->budget_check)
		watched_bytes = watch_stop(&watch);
	if (!done) {
		tool_warn("interrupted before there was anything to report");
		return TOOL_ENDED;
	}
	(e->plan->json ? report_json : report_text)(e, r, watched_bytes);
	return verdict(e->plan, r, watched_bytes);
}

/* A cage_body. */
static int run_plan(void *arg, struct cgroup *group)
{
	struct plan *plan = arg;
	struct work_result *r = calloc(1, sizeof(*r));
	struct engine engine;
	int status;

	if (!r)
		tool_die(TOOL_FAILED, "out of memory");
	plan->group = group;
	engine_open(&engine, plan);
	status = run(&engine, r, group);
	engine_close(&engine);
	free(r);
	return status;
}

static int exit_status(int status, bool interrupted)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (interrupted)
		return TOOL_ENDED;
	tool_warn("the worker was killed by signal %d%s", WTERMSIG(status),
		  WTERMSIG(status) == SIGKILL ? ": out of memory?" : "");
	return TOOL_FAILED;
}

/* An engine of the kernel's: swap needs the cage, mmap would like it. */
static int run_caged(struct plan *plan)
{
	bool swap = plan->engine == ENGINE_swap;
	struct cage_needs needs = {.bits = CAGE_GROUP | (swap ? CAGE_SWAP : 0)};
	struct why why = {""};
	struct cage cage;
	bool interrupted;
	int status = 0, error;

	cage_open(&cage, plan, needs.bits);
	if (!swap && cage_refuses(&cage, needs.bits)) {
		tool_warn("not limited to the budget: %s",
			  cage_refuses(&cage, needs.bits));
		needs.bits = 0;
	}
	error = cage_run(&cage, &needs, run_plan, plan, &status, &why);
	interrupted = cage_interrupted(&cage);
	cage_close(&cage);
	if (error)
		tool_die(interrupted ? TOOL_ENDED : TOOL_FAILED, "%s: %s",
			 engine_words[plan->engine], why.text);
	return exit_status(status, interrupted);
}

int bench_run(int argc, char **argv)
{
	struct plan plan = read_plan(argc, argv);

	if (plan.engine == ENGINE_swap || plan.engine == ENGINE_mmap)
		return run_caged(&plan);
	bench_catch_interrupts();
	return run_plan(&plan, NULL);
}
