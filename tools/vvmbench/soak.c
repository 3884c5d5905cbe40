/* SPDX-License-Identifier: MIT */
/*
 * soak.c - `vvmbench soak`: does anything grow in the long run?
 *
 * Threads do everything with paged memory that a program may do (load.c),
 * for minutes or days. Meanwhile what the process holds and how fast it is are
 * sampled (series.c); at the end it is judged whether any of that changed, by
 * more than is allowed for it and beyond doubt (drift.c). What is sampled
 * before --warm counts for nothing: memory is filled then.
 */
#include "vvmbench/soak.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/json.h"
#include "common/line.h"
#include "common/tool.h"
#include "screen/picture.h"
#include "vvmbench/soak/load.h"
#include "vvmbench/soak/plot.h"
#include "vvmbench/watch.h"
#include "vvmbench/workload/plan.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"

/* A tenth of a second at least: sampling costs a millisecond. */
#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 10
#define INTERVALS      200 /* in a run, if they are not too short or long */
#define ROWS	       20
#define WARM_PART      5 /* of the time */
#define WARM_MAX_S     600
#define NAP_US	       50000

struct soak {
	struct plan plan; /* first: the options are parsed into it */
	double interval_s, tolerance;
	bool forks;
	const char *png_path;
	/* while it runs */
	struct vvm *vm;
	struct load *load;
	struct watch watch;
	struct series series;
	struct series_verdict verdict[SERIES_COUNT];
	struct vvm_stats before; /* of the last sample */
	uint64_t start_us, sampled_us, steps, children;
	uint64_t by_kind[LOAD_STEP_COUNT];
	double printed_s;
};

#define FIELD(f)  offsetof(struct soak, f)
#define SHARED(f) (offsetof(struct soak, plan) + offsetof(struct plan, f))

static const char summary[] =
	"Runs a mixed load of several threads for a set time: reads, writes,\n"
	"malloc and free, regions that come and go, pins. All of it is\n"
	"verified. Memory, descriptors, mappings, swap, fragmentation, latency\n"
	"and speed are sampled and plotted; when one of them drifts beyond its\n"
	"bound, or the budget does not hold, the exit status is 4.\n";

/* "90", "90s", "15m", "2h", "1d" */
static void take_time(void *fields, const struct opt *o, const char *option,
		      const char *text)
{
	static const struct {
		char letter;
		double seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	double seconds = 0;
	char *end;
	size_t i;

	(void)o;
	seconds = strtod(text, &end);
	for (i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (*end == units[i].letter && !end[1]) {
			seconds *= units[i].seconds;
			end++;
		}
	if (end == text || *end || !(seconds >= 1 && seconds <= 1e7))
		tool_usage("%s: '%s' is no time, such as 90, 15m, 2h or 1d",
			   option, text);
	((struct soak *)fields)->plan.seconds = seconds;
}

static const struct opt opts[] = {
	OPTION_TAKE('d', "time", take_time, 0, "TIME",
		    "how long: 90 (seconds), 15m, 2h, 1d (1m)"),
	OPTION_RANGE(0, "warm", SHARED(warm_s), REAL, "S", 0, 1e6,
		     "of that, before anything is judged (a fifth)"),
	OPTION_RANGE('i', "interval", FIELD(interval_s), REAL, "S",
		     INTERVAL_MIN_S, 3600, "between samples (1/200 of it)"),
	OPTION_RANGE('s', "size", SHARED(size_bytes), SIZE, "SIZE", 1 << 20,
		     0x1p44, "of the region (256M)"),
	OPTION_RANGE('m', "resident", SHARED(resident_bytes), SIZE, "SIZE",
		     64 << 10, 0x1p44, "the budget (a quarter of the size)"),
	OPTION_RANGE('t', "threads", SHARED(threads), NUMBER, "N", 1, 256,
		     "(4)"),
	OPTION_WORD(0, "faults", SHARED(faults), "HOW", bench_fault_words,
		    "who resolves faults"),
	OPTION_RANGE(0, "handlers", SHARED(handlers), NUMBER, "N", 1, 32,
		     "handler threads of libvvm"),
	OPTION_FLAG(0, "fork", FIELD(forks),
		    "fork at each sample; the children verify what they "
		    "inherit"),
	OPTION_RANGE(0, "tolerance", FIELD(tolerance), REAL, "X", 0.01, 1000,
		     "times the usual change is allowed (1)"),
	OPTION_RANGE(0, "seed", SHARED(seed), NUMBER, "N", 0, 0x1p53,
		     "of all randomness (1)"),
	OPTION_TEXT(0, "swap", SHARED(swap_path), "PATH",
		    "directory, file or device to page to ($VVM_SWAP)"),
	OPTION_TEXT(0, "png", FIELD(png_path), "FILE", "plot into a picture"),
	OPTION_FLAG(0, "json", SHARED(json), "print one JSON object"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "soak", .args = "", .summary = summary, .opts = opts};

/* ------------------------------------------------------------------ */
/* Samples								*/

static double entries_of(const char *path)
{
	DIR *dir = opendir(path);
	double n = 0;

	if (!dir)
		return NAN;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

static double lines_of(const char *path)
{
	FILE *f = fopen(path, "re");
	double n = 0;
	int c;

	if (!f)
		return NAN;
	while ((c = getc_unlocked(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* The latency that pct per cent of the faults since `old` did not exceed. */
static double latency_us(const struct vvm_stats *now,
			 const struct vvm_stats *old, double pct)
{
	uint64_t total = 0, below = 0, n;
	unsigned i;

	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		total += now->latency[i] - old->latency[i];
	for (i = 0; i < VVM_STAT_BUCKETS && total; i++) {
		n = now->latency[i] - old->latency[i];
		below += n;
		if (n && (double)below >= (double)total * pct / 100)
			return (double)vvm_stat_bucket_ns(i) / 1000;
	}
	return NAN;
}

static void take_process(double *value)
{
	static const char status[] = "/proc/self/status";

	value[SERIES_private_bytes] =
		(double)line_value(status, "RssAnon") * 1024;
	value[SERIES_page_table_bytes] =
		(double)line_value(status, "VmPTE") * 1024;
	value[SERIES_descriptors] = entries_of("/proc/self/fd");
	value[SERIES_tasks] = entries_of("/proc/self/task");
	value[SERIES_mappings] = lines_of("/proc/self/maps");
}

static void take_heap(struct soak *k, double *value)
{
	struct vvm_heap_stats heap;

	load_heap_stats(k->load, &heap);
	value[SERIES_heap_bytes] = (double)heap.top_bytes;
	value[SERIES_heap_overhead] =
		heap.live_bytes ? (double)(heap.span_bytes + heap.large_bytes +
					   heap.dirty_bytes) /
					  (double)heap.live_bytes
				: NAN;
}

static void take_space(struct soak *k, double *value)
{
	struct vvm_stats now;

	bench_space_stats(k->vm, &now);
	value[SERIES_resident_bytes] = (double)now.resident_pages * BENCH_PAGE;
	value[SERIES_swap_bytes] = (double)now.swap_used_pages * BENCH_PAGE;
	value[SERIES_fault_p50_us] = latency_us(&now, &k->before, 50);
	value[SERIES_fault_p99_us] = latency_us(&now, &k->before, 99);
	k->before = now;
}

static double seconds_since(uint64_t us)
{
	return (double)(tool_now_us() - us) / 1e6;
}

static void print_row(struct soak *k, double at_s, const double *value)
{
	char text[16];
	unsigned i;

	if (k->plan.json ||
	    (k->printed_s >= 0 && at_s - k->printed_s < k->plan.seconds / ROWS))
		return;
	if (k->printed_s < 0) {
		printf("%8s", "s");
		for (i = 0; i < SERIES_COUNT; i++)
			printf(" %*s", (int)strlen(series_name(i)),
			       series_name(i));
		putchar('\n');
	}
	printf("%8.1f", at_s);
	for (i = 0; i < SERIES_COUNT; i++)
		printf(" %*s", (int)strlen(series_name(i)),
		       series_text(text, i, value[i]));
	putchar('\n');
	fflush(stdout);
	k->printed_s = at_s;
}

static void take_sample(struct soak *k)
{
	uint64_t steps = load_steps(k->load, NULL);
	double value[SERIES_COUNT], seconds = seconds_since(k->sampled_us);
	double at_s = seconds_since(k->start_us);

	value[SERIES_ops_per_s] = (double)(steps - k->steps) / seconds;
	take_process(value);
	take_heap(k, value);
	take_space(k, value);
	k->steps = steps;
	k->sampled_us = tool_now_us();
	series_add(&k->series, at_s, value);
	print_row(k, at_s, value);
}

/* ------------------------------------------------------------------ */
/* The run								*/

static void fork_one(struct soak *k)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		tool_die(TOOL_FAILED, "cannot fork: %s", strerror(errno));
	if (pid == 0)
		_exit(load_looks_right(k->load, k->children) ? TOOL_OK
							     : TOOL_FAILED);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		tool_die(TOOL_FAILED, "fork child %llu ended with status %#x",
			 (unsigned long long)k->children, (unsigned)status);
	k->children++;
}

static void run_load(struct soak *k)
{
	double due_s = k->interval_s;

	k->start_us = k->sampled_us = tool_now_us();
	bench_space_stats(k->vm, &k->before);
	load_start(k->load);
	while (!bench_interrupted() &&
	       seconds_since(k->start_us) < k->plan.seconds) {
		usleep(NAP_US);
		if (seconds_since(k->start_us) < due_s)
			continue;
		if (k->forks)
			fork_one(k);
		take_sample(k);
		due_s += k->interval_s;
	}
	load_steps(k->load, k->by_kind);
}

/* ------------------------------------------------------------------ */
/* The report								*/

static void report_json(const struct soak *k, double seconds, uint64_t peak)
{
	struct tool_json j;
	unsigned i;

	tool_json_begin(&j, stdout);
	tool_json_text(&j, "fault_mode", bench_fault_words[k->plan.faults]);
	tool_json_uint(&j, "size_bytes", k->plan.size_bytes);
	tool_json_uint(&j, "resident_bytes", k->plan.resident_bytes);
	tool_json_uint(&j, "threads", k->plan.threads);
	tool_json_uint(&j, "seed", k->plan.seed);
	tool_json_real(&j, "seconds", seconds);
	tool_json_real(&j, "warm_s", k->plan.warm_s);
	for (i = 0; i < LOAD_STEP_COUNT; i++)
		tool_json_uint(&j, load_step_name(i), k->by_kind[i]);
	tool_json_uint(&j, "children", k->children);
	tool_json_uint(&j, "memfd_peak_bytes", peak);
	tool_json_object(&j, "series");
	for (i = 0; i < SERIES_COUNT; i++) {
		const struct series_verdict *v = &k->verdict[i];

		tool_json_object(&j, series_name(i));
		tool_json_real(&j, "first", v->first);
		tool_json_real(&j, "last", v->last);
		tool_json_real(&j, "least", v->least);
		tool_json_real(&j, "most", v->most);
		tool_json_bool(&j, "judged", v->known);
		tool_json_real(&j, "change", v->known ? v->drift.change : NAN);
		tool_json_real(&j, "certain", v->known ? v->drift.least : NAN);
		tool_json_real(&j, "allowed", v->known ? v->allowed : NAN);
		tool_json_bool(&j, "drifts", v->drifts);
		tool_json_close(&j);
	}
	tool_json_close(&j);
	tool_json_end(&j);
}

static void report_text(const struct soak *k, double seconds, uint64_t peak)
{
	char held[8], budget[8];
	unsigned i;

	putchar('\n');
	plot_text(stdout, &k->series, k->verdict);
	printf("\nverified   ");
	for (i = 0; i < LOAD_STEP_COUNT; i++)
		printf("%s%llu %s", i ? ", " : "",
		       (unsigned long long)k->by_kind[i], load_step_name(i));
	if (k->forks)
		printf(", %llu children", (unsigned long long)k->children);
	printf(" in %.0f s, all pages at the end\n", seconds);
	printf("budget     %s, memfd held %s at most\n",
	       tool_human(budget, k->plan.resident_bytes),
	       tool_human(held, peak));
}

/* Says which series drift; how many do. */
static unsigned warn_of_drift(const struct soak *k, double seconds)
{
	unsigned i, drift = 0, judged = 0;
	char change[16], allowed[16];

	for (i = 0; i < SERIES_COUNT; i++) {
		const struct series_verdict *v = &k->verdict[i];

		judged += v->known;
		if (!v->drifts)
			continue;
		drift++;
		tool_warn("%s drifts: %s by at least %s in %.0f s, %s "
			  "allowed (%s)",
			  series_name(i),
			  v->drift.least > 0 ? "it grew" : "it fell",
			  series_text(change, i, fabs(v->drift.least)),
			  seconds - k->plan.warm_s,
			  series_text(allowed, i, v->allowed), series_help(i));
	}
	if (!judged)
		tool_warn("too few samples to judge anything: a longer --time");
	return drift;
}

static void draw_picture(const struct soak *k)
{
	int error =
		plot_png(k->png_path, &k->series, k->verdict, k->plan.warm_s);

	if (error)
		tool_die(TOOL_FAILED, "%s: %s", k->png_path, strerror(-error));
}

/* => the load has ended well. */
static int report(struct soak *k, double seconds, uint64_t peak)
{
	int status = TOOL_OK;
	unsigned i;

	for (i = 0; i < SERIES_COUNT; i++)
		series_judge(&k->series, (enum series_id)i, k->plan.warm_s,
			     k->tolerance, &k->verdict[i]);
	(k->plan.json ? report_json : report_text)(k, seconds, peak);
	if (k->png_path)
		draw_picture(k);
	fflush(stdout);
	if (warn_of_drift(k, seconds))
		status = TOOL_FAILED;
	if (peak > k->plan.resident_bytes) {
		tool_warn("the budget of %llu bytes was exceeded: the memfd "
			  "had %llu",
			  (unsigned long long)k->plan.resident_bytes,
			  (unsigned long long)peak);
		status = TOOL_FAILED;
	}
	return status;
}

/* ------------------------------------------------------------------ */
/* The plan								*/

#define UNSET (-1.0)

static void read_plan(struct soak *k, int argc, char **argv)
{
	struct plan *plan = &k->plan;

	plan_defaults(plan);
	plan->seconds = 60;
	plan->size_bytes = 256 << 20;
	plan->resident_bytes = 0;
	plan->warm_s = k->interval_s = UNSET;
	k->tolerance = 1;
	k->printed_s = -1;
	if (opt_parse(&command, k, argc, argv) > 0)
		opt_usage(&command, "takes options only");
	plan_finish(plan, &command);
	if (!plan->resident_bytes)
		plan->resident_bytes = plan->size_bytes / 4;
	plan->resident_bytes -= plan->resident_bytes % BENCH_PAGE;
	if (plan->warm_s < 0)
		plan->warm_s = fmin(plan->seconds / WARM_PART, WARM_MAX_S);
	if (plan->warm_s >= plan->seconds)
		opt_usage(&command, "--warm is all of the time");
	if (k->interval_s < 0)
		k->interval_s =
			fmin(fmax(plan->seconds / INTERVALS, INTERVAL_MIN_S),
			     INTERVAL_MAX_S);
	if (plan->threads > plan_pages(plan))
		opt_usage(&command, "--threads: more than pages");
	if (k->png_path && !picture_can_save())
		opt_usage(&command, "--png: built without libpng");
}

static void open_space(struct soak *k)
{
	struct vvm_options options;

	bench_space_options(&options);
	options.resident_bytes = k->plan.resident_bytes;
	options.faults = (enum vvm_faults)k->plan.faults;
	if (k->plan.handlers)
		options.handlers = (unsigned)k->plan.handlers;
	if (k->plan.swap_path)
		options.swap_path = k->plan.swap_path;
	if (k->forks)
		options.fork = VVM_FORK_INHERIT;
	k->vm = bench_space_open(&options);
}

static int run(struct soak *k)
{
	uint64_t peak;
	double seconds;

	open_space(k);
	watch_start(&k->watch);
	k->load = load_open(&k->plan, k->vm);
	if (!bench_interrupted())
		run_load(k);
	seconds = k->start_us ? seconds_since(k->start_us) : 0;
	load_close(k->load);
	peak = watch_stop(&k->watch);
	vvm_close(k->vm);
	if (k->series.count)
		return report(k, seconds, peak);
	tool_warn("interrupted before there was anything to report");
	return TOOL_ENDED;
}

int bench_soak(int argc, char **argv)
{
	struct soak *k = calloc(1, sizeof(*k));
	int status;

	if (!k)
		tool_die(TOOL_FAILED, "out of memory");
	read_plan(k, argc, argv);
	bench_catch_interrupts();
	series_init(&k->series);
	status = run(k);
	free(k);
	return status;
}
