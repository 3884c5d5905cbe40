/* SPDX-License-Identifier: MIT */
/*
 * heap.c - `vvmbench heap`: libvvm's malloc against the C library's.
 *
 * Without --pressure all fits: what does the paged heap cost when there is
 * nothing to page? With it the live data are four times the budget, and the
 * C library's malloc runs on the kernel's swap, in a memory cgroup.
 *
 * As in compare, each turn is a process of its own (machine/cage.c), rounds are
 * interleaved, and medians are reported with their ratio to malloc.
 */
#include "vvmbench/heap/heap.h"

#include "common/json.h"
#include "common/option.h"
#include "common/tool.h"
#include "vvmbench/heap/objects.h"
#include "vvmbench/machine/cage.h"
#include "vvmbench/workload/median.h"
#include "vvmbench/workload/plan.h"
#include "vvmbench/workload/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ROUNDS = 101 };

/* Live bytes without --pressure, and how many budgets they are with it. */
#define LIVE_BYTES   ((uint64_t)128 << 20)
#define LIVE_BUDGETS 4
#define BUDGET_BYTES ((uint64_t)64 << 20)
#define UNSET	     UINT64_MAX

struct heap_tally {
	const char *name;
	struct heap_figures round[MAX_ROUNDS];
	unsigned rounds;
	struct why left_out;
};

struct heap_bench {
	struct heap_plan plan; /* first: the options are parsed into it */
	struct heap_tally tally[HEAP_ENGINE_COUNT];
	struct cage cage;
	bool failed;
};

static const char *const names[] = {
#define X(id, name, faults, help) name,
	HEAP_ENGINES(X)
#undef X
};

static const struct {
	const char *name, *column;
} figures[] = {
#define X(name, column, help) {#name, column},
	HEAP_FIGURES(X)
#undef X
};

static const char summary[] =
	"Runs an allocation workload on several allocators in turn, each in a\n"
	"process of its own, and prints medians over the rounds with their\n"
	"ratios to malloc. Sizes and lifetimes are those of real programs, one\n"
	"object in eight is freed by another thread than it was allocated by.\n"
	"With --pressure the live data are four times the budget; malloc is\n"
	"then paged by the kernel, in a memory cgroup, which needs root.\n"
	"\nAllocators:\n"
#define X(id, name, faults, help) "  " name ": " help "\n"
	HEAP_ENGINES(X)
#undef X
	;

#define FIELD(f)  offsetof(struct heap_plan, f)
#define SHARED(f) (offsetof(struct heap_plan, plan) + offsetof(struct plan, f))

static const struct opt opts[] = {
	OPTION_TEXT('e', "engines", FIELD(engines), "LIST",
		    "names, separated by commas (all)"),
	OPTION_RANGE('r', "rounds", FIELD(rounds), NUMBER, "N", 1, MAX_ROUNDS,
		     "of each (5)"),
	OPTION_FLAG('p', "pressure", FIELD(pressure),
		    "live data four times the budget"),
	OPTION_RANGE('l', "live", FIELD(live_bytes), SIZE, "SIZE", 65536,
		     0x1p44, "live data (128M; --pressure: 4 x resident)"),
	OPTION_RANGE('m', "resident", SHARED(resident_bytes), SIZE, "SIZE",
		     65536, 0x1p44, "the budget (3 x live; --pressure: 64M)"),
	OPTION_RANGE('t', "threads", SHARED(threads), NUMBER, "N", 1, 256,
		     "(4)"),
	OPTION_RANGE('d', "seconds", SHARED(seconds), REAL, "S", 0.01, 1e6,
		     "to measure, each round (2)"),
	OPTION_RANGE(0, "warm", SHARED(warm_s), REAL, "S", 0, 1e6,
		     "to run before that (1)"),
	OPTION_RANGE(0, "lookups", FIELD(lookups), NUMBER, "N", 0, 1000,
		     "of objects, for each two that are allocated (1)"),
	OPTION_RANGE(0, "theta", SHARED(theta), REAL, "T", 0, 10,
		     "skew of the lookups (0.99)"),
	OPTION_RANGE(0, "seed", SHARED(seed), NUMBER, "N", 0, 0x1p53,
		     "of all randomness (1)"),
	OPTION_TEXT(0, "swap", SHARED(swap_path), "PATH",
		    "directory to page to ($VVM_SWAP)"),
	OPTION_RANGE(0, "page-cluster", FIELD(page_cluster), NUMBER, "N", 0, 5,
		     "of kernel swap: reads 2^N pages at a time (0)"),
	OPTION_FLAG(0, "hardened", FIELD(hardened),
		    "libvvm's heap finds more errors, at a price"),
	OPTION_FLAG(0, "json", SHARED(json), "print one JSON object"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "heap", .args = "", .summary = summary, .opts = opts};

/* ------------------------------------------------------------------ */
/* Options								*/

static int find(const char *name, size_t len)
{
	int i;

	for (i = 0; i < HEAP_ENGINE_COUNT; i++)
		if (strlen(names[i]) == len && !strncmp(names[i], name, len))
			return i;
	return -1;
}

static bool chosen(const struct heap_plan *p, int id)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (p->ids[i] == id)
			return true;
	return false;
}

static void choose(struct heap_plan *p)
{
	const char *list = p->engines;
	size_t len;
	int id;

	for (id = 0; !list && id < HEAP_ENGINE_COUNT; id++)
		if (id != HEAP_ENGINE_guard)
			p->ids[p->count++] = id;
	while (list) {
		len = strcspn(list, ",");
		id = find(list, len);
		if (id < 0 || chosen(p, id))
			opt_usage(&command,
				  "--engines: '%.*s' is unknown, or there "
				  "twice",
				  (int)len, list);
		p->ids[p->count++] = id;
		list = list[len] ? list + len + 1 : NULL;
	}
}

static void settle(struct heap_plan *p)
{
	struct plan *plan = &p->plan;

	if (plan->resident_bytes == UNSET && p->pressure)
		plan->resident_bytes = p->live_bytes == UNSET
					       ? BUDGET_BYTES
					       : p->live_bytes / LIVE_BUDGETS;
	if (p->live_bytes == UNSET)
		p->live_bytes = p->pressure
					? plan->resident_bytes * LIVE_BUDGETS
					: LIVE_BYTES;
	if (plan->resident_bytes == UNSET)
		plan->resident_bytes = 3 * p->live_bytes;
	if (p->pressure && p->live_bytes < 2 * plan->resident_bytes)
		opt_usage(&command, "--pressure: --live must be at least "
				    "twice --resident");
	/* for the cage: what may have to be swapped */
	plan->size_bytes = 2 * p->live_bytes;
}

static void read_options(struct heap_bench *b, int argc, char **argv)
{
	struct plan *plan = &b->plan.plan;

	plan_defaults(plan);
	plan->seconds = 2;
	plan->warm_s = 1;
	plan->resident_bytes = UNSET;
	b->plan.live_bytes = UNSET;
	b->plan.rounds = 5;
	b->plan.lookups = 1;
	if (opt_parse(&command, &b->plan, argc, argv) > 0)
		opt_usage(&command, "takes options only");
	settle(&b->plan);
	choose(&b->plan);
}

/* ------------------------------------------------------------------ */
/* In the worker							*/

struct heap_turn {
	const struct heap_plan *plan;
	int id, out;
	struct cgroup *group;
};

static void ready(void *arg)
{
	struct heap_turn *turn = arg;

	if (turn->group)
		cage_fence(turn->group, &turn->plan->plan);
}

/* A cage_body. */
static int take_turn(void *arg, struct cgroup *group)
{
	struct heap_turn *turn = arg;
	struct heap_engine engine;
	struct heap_figures f;
	int status = TOOL_ENDED;

	turn->group = group;
	/* paged memory has no huge pages: to page 4 KiB, neither has swap */
	if (group)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	heap_engine_open(&engine, turn->plan, turn->id);
	if (heap_work(turn->plan, &engine, ready, turn, &f))
		status = write(turn->out, &f, sizeof(f)) == sizeof(f)
				 ? TOOL_OK
				 : TOOL_FAILED;
	heap_engine_close(&engine);
	return status;
}

/* ------------------------------------------------------------------ */
/* In the supervisor							*/

static struct cage_needs needs_of(const struct heap_plan *p, int id)
{
	struct cage_needs needs = {0, (int)p->page_cluster};

	if (p->pressure && id == HEAP_ENGINE_malloc)
		needs.bits = CAGE_GROUP | CAGE_SWAP;
	return needs;
}

static void probe(struct heap_bench *b)
{
	const struct heap_plan *p = &b->plan;
	struct vvm_probe probe;
	unsigned i, bits = 0;
	const char *refusal;

	for (i = 0; i < p->count; i++)
		bits |= needs_of(p, p->ids[i]).bits;
	cage_open(&b->cage, &p->plan, bits);
	for (i = 0; i < p->count; i++) {
		struct heap_tally *t = &b->tally[i];

		t->name = names[p->ids[i]];
		refusal = cage_refuses(&b->cage, needs_of(p, p->ids[i]).bits);
		if (refusal)
			why_not(&t->left_out, "%s", refusal);
		else if (p->ids[i] != HEAP_ENGINE_malloc &&
			 vvm_probe(&probe) == 0 && !probe.usable)
			why_not(&t->left_out, "%s", probe.reason);
	}
}

static void collect(struct heap_bench *b, struct heap_tally *t, int status,
		    int in)
{
	struct heap_figures f;

	if (cage_interrupted(&b->cage))
		return;
	if (status == 0 && read(in, &f, sizeof(f)) == sizeof(f)) {
		t->round[t->rounds++] = f;
		return;
	}
	b->failed = true;
	if (WIFSIGNALED(status))
		why_not(&t->left_out, "its worker was killed by signal %d",
			WTERMSIG(status));
	else
		why_not(&t->left_out, "its worker failed (exit status %d)",
			WEXITSTATUS(status));
}

static void run_turn(struct heap_bench *b, unsigned i)
{
	struct heap_tally *t = &b->tally[i];
	struct cage_needs needs = needs_of(&b->plan, b->plan.ids[i]);
	struct heap_turn turn = {&b->plan, b->plan.ids[i], -1, NULL};
	int fds[2], status = 0;

	if (*t->left_out.text || cage_interrupted(&b->cage))
		return;
	if (pipe2(fds, O_CLOEXEC)) {
		why_not(&t->left_out, "pipe: %s", strerror(errno));
		return;
	}
	turn.out = fds[1];
	if (cage_run(&b->cage, &needs, take_turn, &turn, &status, &t->left_out))
		b->failed = true;
	close(fds[1]);
	if (!*t->left_out.text)
		collect(b, t, status, fds[0]);
	close(fds[0]);
}

static void run_rounds(struct heap_bench *b)
{
	unsigned round, place;

	for (round = 0; round < b->plan.rounds; round++)
		for (place = 0; place < b->plan.count; place++)
			run_turn(b, (place + round) % b->plan.count);
}

/* ------------------------------------------------------------------ */
/* Report								*/

static double median(const struct heap_tally *t, unsigned figure)
{
	double values[MAX_ROUNDS];
	unsigned i;

	for (i = 0; i < t->rounds; i++)
		values[i] = t->round[i].value[figure];
	return bench_median(values, t->rounds);
}

/* What the others are compared with. */
static const struct heap_tally *base_of(const struct heap_bench *b)
{
	unsigned i;

	for (i = 0; i < b->plan.count; i++)
		if (b->plan.ids[i] == HEAP_ENGINE_malloc && b->tally[i].rounds)
			return &b->tally[i];
	return NULL;
}

static void print_value(unsigned figure, double value)
{
	char text[8];

	switch (figure) {
	case HEAP_FIGURE_live_bytes:
	case HEAP_FIGURE_memory_bytes:
		printf(" %9s", tool_human(text, (uint64_t)value));
		break;
	case HEAP_FIGURE_cpu_us_per_op:
		printf(" %9.3f", value);
		break;
	default:
		printf(" %9.0f", value);
	}
}

static void print_ratios(const struct heap_tally *t,
			 const struct heap_tally *base)
{
	unsigned f;

	printf("%-12s", "");
	for (f = 0; f < HEAP_FIGURE_COUNT; f++) {
		double of = median(base, f);

		if (of > 0)
			printf(" %8.2fx", median(t, f) / of);
		else
			printf(" %9s", "-");
	}
	printf("\n");
}

static void print_text(const struct heap_bench *b)
{
	const struct heap_tally *base = base_of(b);
	const struct heap_plan *p = &b->plan;
	char live[8], budget[8];
	unsigned i, f;

	printf("%s live, budget %s, %llu thread%s, medians of %llu round%s of "
	       "%g s\n\n%-12s",
	       tool_human(live, p->live_bytes),
	       tool_human(budget, p->plan.resident_bytes),
	       (unsigned long long)p->plan.threads,
	       p->plan.threads == 1 ? "" : "s", (unsigned long long)p->rounds,
	       p->rounds == 1 ? "" : "s", p->plan.seconds, "");
	for (f = 0; f < HEAP_FIGURE_COUNT; f++)
		printf(" %9s", figures[f].column);
	printf("\n");
	for (i = 0; i < p->count; i++) {
		const struct heap_tally *t = &b->tally[i];

		printf("%-12s", t->name);
		for (f = 0; t->rounds && f < HEAP_FIGURE_COUNT; f++)
			print_value(f, median(t, f));
		printf("%s%s\n", t->rounds ? "" : " left out: ",
		       t->rounds ? "" : t->left_out.text);
		if (t->rounds && base && t != base)
			print_ratios(t, base);
	}
}

static void json_engine(struct tool_json *j, const struct heap_tally *t)
{
	unsigned f;

	tool_json_object(j, t->name);
	tool_json_uint(j, "rounds", t->rounds);
	if (!t->rounds)
		tool_json_text(j, "left_out", t->left_out.text);
	for (f = 0; t->rounds && f < HEAP_FIGURE_COUNT; f++)
		tool_json_real(j, figures[f].name, median(t, f));
	tool_json_close(j);
}

static void print_json(const struct heap_bench *b)
{
	const struct heap_plan *p = &b->plan;
	struct tool_json j;
	unsigned i;

	tool_json_begin(&j, stdout);
	tool_json_uint(&j, "live_bytes", p->live_bytes);
	tool_json_uint(&j, "resident_bytes", p->plan.resident_bytes);
	tool_json_uint(&j, "threads", p->plan.threads);
	tool_json_uint(&j, "lookups", p->lookups);
	tool_json_bool(&j, "pressure", p->pressure);
	tool_json_bool(&j, "hardened", p->hardened);
	tool_json_object(&j, "engines");
	for (i = 0; i < p->count; i++)
		json_engine(&j, &b->tally[i]);
	tool_json_close(&j);
	tool_json_end(&j);
}

static bool has_figures(const struct heap_bench *b)
{
	unsigned i;

	for (i = 0; i < b->plan.count; i++)
		if (b->tally[i].rounds)
			return true;
	return false;
}

int bench_heap(int argc, char **argv)
{
	struct heap_bench *b = calloc(1, sizeof(*b));
	int status = TOOL_FAILED;

	if (!b)
		tool_die(TOOL_FAILED, "out of memory");
	read_options(b, argc, argv);
	probe(b);
	run_rounds(b);
	if (!has_figures(b) && cage_interrupted(&b->cage)) {
		tool_warn("interrupted before there was anything to report");
		status = TOOL_ENDED;
	} else {
		if (b->plan.plan.json)
			print_json(b);
		else
			print_text(b);
		if (has_figures(b) && !b->failed)
			status = TOOL_OK;
	}
	cage_close(&b->cage);
	free(b);
	return status;
}
