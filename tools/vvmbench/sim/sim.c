/* SPDX-License-Identifier: MIT */
/*
 * sim.c - `vvmbench sim`: which policy would have missed how often?
 *
 * Replays a trace at several budgets under Belady's optimum, exact LRU and
 * exact CLOCK, and under each policy of libvvm in a model of its reclaim
 * (reclaim.c), and prints miss ratios. What these mean for time is
 * not simulated: a miss is a miss, whether it waits for a read or not.
 */
#include "vvmbench/sim/sim.h"

#include "common/json.h"
#include "common/option.h"
#include "common/tool.h"
#include "policy/policy.h"
#include "vvmbench/sim/exact.h"
#include "vvmbench/sim/input.h"
#include "vvmbench/sim/reclaim.h"
#include "vvmbench/workload/plan.h"
#include "vvmbench/workload/progress.h"

#include <stdlib.h>
#include <string.h>

enum { BUDGETS_MAX = 32, EXACT = 3, COLUMNS_MAX = 16 };

struct sim_column {
	const char *name, *key;
	bool (*exact)(const struct sim_setup *, struct sim_score *);
	const struct policy_ops *ops;
};

struct sim_run {
	struct sim_plan plan;
	struct trace trace;
	uint32_t budgets[BUDGETS_MAX];
	unsigned budget_count, column_count;
	struct sim_column columns[COLUMNS_MAX];
	struct sim_score scores[BUDGETS_MAX][COLUMNS_MAX];
	size_t warm; /* accesses */
	struct progress progress;
	uint64_t done;
};

static const char summary[] =
	"Replays a trace of page accesses, written by run --trace, under every\n"
	"replacement policy of libvvm in a model of its reclaim, and under\n"
	"Belady's optimum (OPT), LRU and CLOCK, which see every access and use\n"
	"the whole budget. Prints miss ratios. Without a file a pattern of run's\n"
	"is replayed; '-' is standard input.\n"
	"\n"
	"A trace of any program:\n"
	"  valgrind --tool=lackey --trace-mem=yes --log-fd=9 PROGRAM 9>&1 \\\n"
	"      >/dev/null | vvmbench sim --lackey -\n";

#define FIELD(f) offsetof(struct sim_plan, f)

static const struct opt opts[] = {
	OPTION_TEXT('m', "resident", FIELD(resident), "LIST",
		    "budgets, sizes or parts (1/16,1/8,1/4,1/2)"),
	OPTION_RANGE(0, "warm", FIELD(warm_pct), REAL, "PCT", 0, 99,
		     "of the accesses are not counted (25)"),
	OPTION_RANGE(0, "readahead", FIELD(ahead_pages), NUMBER, "PAGES", 0,
		     1 << 20, "read after a miss in a stream (0)"),
	OPTION_FLAG(0, "lackey", FIELD(lackey),
		    "FILE is text of valgrind --tool=lackey --trace-mem=yes"),
	OPTION_TEXT(0, "save", FIELD(save), "FILE",
		    "write what is replayed to a trace"),
	OPTION_WORD('p', "pattern", FIELD(pattern), "NAME", pattern_words,
		    "without a file: which pages (zipf)"),
	OPTION_RANGE('s', "size", FIELD(size_bytes), SIZE, "SIZE", 4096, 0x1p40,
		     "without a file: the region (1G)"),
	OPTION_RANGE('n', "accesses", FIELD(accesses), NUMBER, "N", 1, 4e9,
		     "without a file: how many (2000000)"),
	OPTION_RANGE(0, "theta", FIELD(theta), REAL, "T", 0, 10,
		     "without a file: skew of zipf (0.99)"),
	OPTION_RANGE(0, "scan", FIELD(scan_pct), NUMBER, "PCT", 1, 99,
		     "without a file: the scan of scanmix (50)"),
	OPTION_RANGE('t', "threads", FIELD(threads), NUMBER, "N", 1, 1024,
		     "without a file: that take turns (4)"),
	OPTION_RANGE(0, "seed", FIELD(seed), NUMBER, "N", 0, 0x1p53,
		     "without a file: of all randomness (1)"),
	OPTION_FLAG(0, "json", FIELD(json), "print one JSON object"),
	OPTION_FLAG(0, "csv", FIELD(csv),
		    "print a line of comma-separated values for each budget"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "sim", .args = "[FILE]", .summary = summary, .opts = opts};

/* ------------------------------------------------------------------ */
/* The plan								*/

static void read_plan(struct sim_plan *plan, int argc, char **argv)
{
	int n;

	*plan = (struct sim_plan){.pattern = PATTERN_zipf,
				  .theta = 0.99,
				  .warm_pct = 25,
				  .size_bytes = 1 << 30,
				  .accesses = 2000000,
				  .threads = 4,
				  .seed = 1,
				  .scan_pct = 50};
	n = opt_parse(&command, plan, argc, argv);
	if (n > 1)
		opt_usage(&command, "one trace at a time");
	plan->path = n ? argv[1] : NULL;
	if (plan->lackey && !plan->path)
		opt_usage(&command, "--lackey: which file?");
	if (plan->json && plan->csv)
		opt_usage(&command, "--json or --csv, not both");
	if (plan->pattern == PATTERN_fill)
		opt_usage(&command, "the pattern fill touches pages once");
}

/* A part of the footprint, "1/4", or a size, in pages. */
static uint64_t budget_pages(const char *text, uint64_t touched)
{
	char *end;
	unsigned long part = strtoul(text, &end, 10), of;

	if (*end == '/' && end != text) {
		of = strtoul(end + 1, &end, 10);
		if (*end || !of || part > of)
			opt_usage(&command, "--resident: '%s' is no part",
				  text);
		return (uint64_t)((unsigned __int128)touched * part / of);
	}
	return tool_size("--resident", text) / 4096;
}

static void add_budget(struct sim_run *r, const char *text)
{
	uint64_t pages = budget_pages(text, r->trace.touched);

	if (r->budget_count == BUDGETS_MAX)
		opt_usage(&command, "--resident: at most %d budgets",
			  BUDGETS_MAX);
	if (pages > UINT32_MAX / 2)
		opt_usage(&command, "--resident: '%s' is too large", text);
	r->budgets[r->budget_count++] = pages ? (uint32_t)pages : 1;
}

static void read_budgets(struct sim_run *r)
{
	const char *list =
		r->plan.resident ? r->plan.resident : "1/16,1/8,1/4,1/2";
	char *copy = strdup(list), *at = copy, *text;

	if (!copy)
		tool_die(TOOL_FAILED, "out of memory");
	while ((text = strsep(&at, ",")))
		add_budget(r, text);
	free(copy);
}

static void name_columns(struct sim_run *r)
{
	static const struct sim_column exact[EXACT] = {
		{"OPT", "opt", sim_opt, NULL},
		{"LRU", "lru", sim_lru, NULL},
		{"CLOCK", "exact_clock", sim_clock, NULL},
	};
	const struct policy_ops *ops;
	unsigned i;

	memcpy(r->columns, exact, sizeof(exact));
	r->column_count = EXACT;
	for (i = 0; (ops = policy_at(i)) && r->column_count < COLUMNS_MAX; i++)
		r->columns[r->column_count++] = (struct sim_column){
			.name = ops->name, .key = ops->name, .ops = ops};
}

/* ------------------------------------------------------------------ */
/* Running								*/

static void progressed(void *arg, size_t accesses)
{
	struct sim_run *r = arg;
	uint64_t total =
		(uint64_t)r->trace.accesses * r->budget_count * r->column_count;

	progress_draw(&r->progress, r->done + accesses, total);
	if (bench_interrupted())
		exit(TOOL_ENDED);
}

static void run_one(struct sim_run *r, unsigned budget, unsigned column)
{
	const struct sim_column *c = &r->columns[column];
	struct sim_score *score = &r->scores[budget][column];
	struct sim_setup setup = {
		.trace = &r->trace,
		.budget_pages = r->budgets[budget],
		.ahead_pages = (uint32_t)r->plan.ahead_pages,
		.warm = r->warm,
		.progress = progressed,
		.arg = r,
	};
	bool ok = c->ops ? sim_policy(c->ops, &setup, score)
			 : c->exact(&setup, score);

	if (!ok)
		tool_die(TOOL_FAILED, "out of memory");
	if (score->failed)
		tool_die(TOOL_FAILED, "%s: no victim at a budget of %u pages",
			 c->name, r->budgets[budget]);
	r->done += r->trace.accesses;
}

static void run_all(struct sim_run *r)
{
	unsigned b, c;

	progress_start(&r->progress, NULL, "simulating");
	for (b = 0; b < r->budget_count; b++)
		for (c = 0; c < r->column_count; c++)
			run_one(r, b, c);
	progress_end(&r->progress);
}

/* ------------------------------------------------------------------ */
/* The report								*/

static double pct(uint64_t part, uint64_t of)
{
	return of ? 100.0 * (double)part / (double)of : 0;
}

static double miss_pct(const struct sim_score *s)
{
	return pct(s->accesses - s->hits, s->accesses);
}

static double apart_miss_pct(const struct sim_score *s)
{
	return pct(s->apart_accesses - s->apart_hits, s->apart_accesses);
}

static bool has_apart(const struct sim_run *r)
{
	return r->scores[0][0].apart_accesses > 0;
}

static void print_rows(const struct sim_run *r,
		       double (*value)(const struct sim_score *))
{
	unsigned b, c;
	char size[8];

	printf("%-10s", "resident");
	for (c = 0; c < r->column_count; c++)
		printf("%9s", r->columns[c].name);
	putchar('\n');
	for (b = 0; b < r->budget_count; b++) {
		printf("%-10s",
		       tool_human(size, (uint64_t)r->budgets[b] * 4096));
		for (c = 0; c < r->column_count; c++)
			printf("%9.2f", value(&r->scores[b][c]));
		putchar('\n');
	}
}

static void report_text(const struct sim_run *r)
{
	char size[8];

	printf("%zu accesses to %s, the last %zu counted; misses in %%\n\n",
	       r->trace.accesses, tool_human(size, r->trace.touched * 4096),
	       r->trace.accesses - r->warm);
	print_rows(r, miss_pct);
	if (!has_apart(r))
		return;
	printf("\nof the zipf part alone\n\n");
	print_rows(r, apart_miss_pct);
}

static void json_column(struct tool_json *j, const struct sim_column *c,
			const struct sim_score *s, bool apart)
{
	tool_json_object(j, c->key);
	tool_json_uint(j, "hits", s->hits);
	tool_json_real(j, "miss_pct", miss_pct(s));
	if (apart)
		tool_json_real(j, "apart_miss_pct", apart_miss_pct(s));
	if (c->ops) {
		tool_json_uint(j, "faults", s->faults);
		tool_json_uint(j, "prefetch_pages", s->prefetched);
		tool_json_uint(j, "scanned_pages", s->visits);
		tool_json_uint(j, "referenced_pages", s->minor);
		tool_json_uint(j, "pressure", s->pressure);
	}
	tool_json_close(j);
}

static void report_json(const struct sim_run *r)
{
	struct tool_json j;
	unsigned b, c;
	char key[16];

	tool_json_begin(&j, stdout);
	tool_json_uint(&j, "accesses", r->trace.accesses);
	tool_json_uint(&j, "counted_accesses", r->trace.accesses - r->warm);
	tool_json_uint(&j, "touched_pages", r->trace.touched);
	tool_json_uint(&j, "readahead_pages", r->plan.ahead_pages);
	tool_json_object(&j, "budget_pages");
	for (b = 0; b < r->budget_count; b++) {
		snprintf(key, sizeof(key), "%u", r->budgets[b]);
		tool_json_object(&j, key);
		for (c = 0; c < r->column_count; c++)
			json_column(&j, &r->columns[c], &r->scores[b][c],
				    has_apart(r));
		tool_json_close(&j);
	}
	tool_json_close(&j);
	tool_json_end(&j);
}

static void report_csv(const struct sim_run *r)
{
	bool apart = has_apart(r);
	unsigned b, c;

	printf("resident_bytes");
	for (c = 0; c < r->column_count; c++)
		printf(",%s_miss_pct", r->columns[c].key);
	for (c = 0; apart && c < r->column_count; c++)
		printf(",%s_apart_miss_pct", r->columns[c].key);
	putchar('\n');
	for (b = 0; b < r->budget_count; b++) {
		printf("%llu", (unsigned long long)r->budgets[b] * 4096);
		for (c = 0; c < r->column_count; c++)
			printf(",%.4f", miss_pct(&r->scores[b][c]));
		for (c = 0; apart && c < r->column_count; c++)
			printf(",%.4f", apart_miss_pct(&r->scores[b][c]));
		putchar('\n');
	}
}

int bench_sim(int argc, char **argv)
{
	struct sim_run *r = calloc(1, sizeof(*r));

	if (!r)
		tool_die(TOOL_FAILED, "out of memory");
	read_plan(&r->plan, argc, argv);
	bench_catch_interrupts();
	sim_input(&r->trace, &r->plan);
	if (r->plan.save)
		sim_save(&r->trace, r->plan.save);
	r->warm = (size_t)((double)r->trace.accesses * r->plan.warm_pct / 100);
	read_budgets(r);
	name_columns(r);
	run_all(r);
	if (r->plan.json)
		report_json(r);
	else if (r->plan.csv)
		report_csv(r);
	else
		report_text(r);
	trace_fini(&r->trace);
	free(r);
	return TOOL_OK;
}
