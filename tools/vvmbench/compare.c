/* SPDX-License-Identifier: MIT */
/*
 * compare.c - `vvmbench compare`: one workload on engine after engine.
 *
 * A *turn* is one engine's share of a round: a worker process that opens the
 * engine, stamps all pages, warms up, measures, and sends its figures through
 * a pipe. Each turn has a process of its own, so that no engine inherits the
 * heap, the threads or the page tables of another, and what the kernel counts
 * for a process is that engine's.
 *
 * Rounds are interleaved, every engine once in each, and each round begins
 * with another engine: what drifts (a disk that is throttled, a neighbour that
 * wakes up) hits all alike, and none is always the one after swap.
 *
 * Accesses are verified as in run, but pages are not swept at the end: reading
 * all of a region once more would take longer than the measuring.
 *
 * An engine that the machine does not permit is left out with the reason, and
 * so is one whose worker fails; only the latter is an error. Ctrl-C ends the
 * turn, whose figures are dropped, and reports the turns before it.
 */
#include "vvmbench/compare.h"

#include "vvmbench/contender.h"
#include "vvmbench/figures.h"
#include "vvmbench/machine/why.h"
#include "vvmbench/table.h"
#include "vvmbench/workload/plan.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct comparison {
	struct plan plan; /* first: the options of run are parsed into it */
	const char *engines;
	uint64_t rounds;
	bool csv;
	int ids[CONTENDER_COUNT]; /* which engines */
	unsigned count;
	struct tally *tallies; /* one for each */
	struct cage cage;
	bool failed; /* a worker has */
};

static const char summary[] =
	"Runs a workload on several engines in turn, each in a process of its\n"
	"own, and prints medians over the rounds with their ratios to swap (to\n"
	"the first engine where swap is not permitted). What the kernel pages\n"
	"runs in a memory cgroup with the budget as its limit; that and the\n"
	"swap file need root, and are undone in the end, however it comes.\n"
	"--seconds and --warm are for each engine and round.\n"
	"\nEngines:\n"
#define X(id, name, usual, engine, faults, advice, needs, pages, help) \
	"  " name ": " help "\n"
	CONTENDERS(X)
#undef X
		PLAN_PATTERN_HELP;

#define FIELD(f) (offsetof(struct comparison, plan) + offsetof(struct plan, f))

static const struct opt opts[] = {
	OPTION_TEXT('e', "engines", offsetof(struct comparison, engines),
		    "LIST", "names, separated by commas (all but zswap)"),
	OPTION_RANGE('r', "rounds", offsetof(struct comparison, rounds), NUMBER,
		     "N", 1, TALLY_ROUNDS, "of each engine (5)"),
	PLAN_OPTIONS(FIELD),
	OPTION_FLAG(0, "csv", offsetof(struct comparison, csv),
		    "print a line of comma-separated values for each engine"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "compare", .args = "", .summary = summary, .opts = opts};

static void read_options(struct comparison *c, int argc, char **argv)
{
	char *bad = NULL;
	int n;

	plan_defaults(&c->plan);
	c->rounds = 5;
	if (opt_parse(&command, c, argc, argv) > 0)
		opt_usage(&command, "takes options only");
	plan_finish(&c->plan, &command);
	if (c->csv && c->plan.json)
		opt_usage(&command, "--json or --csv, not both");
	n = contenders_parse(c->engines, c->ids, &bad);
	if (n < 0)
		opt_usage(&command,
			  "--engines: '%s' is unknown, or there twice",
			  bad ? bad : "");
	c->count = (unsigned)n;
}

/* ------------------------------------------------------------------ */
/* In the worker							*/

/* What a worker is given. */
struct turn {
	struct plan plan;
	int out; /* struct figures go here */
};

/* A cage_body. */
static int take_turn(void *arg, struct cgroup *group)
{
	struct turn *turn = arg;
	struct work_result *r = calloc(1, sizeof(*r));
	struct figures f;
	struct engine engine;
	int status = TOOL_ENDED;

	if (!r)
		tool_die(TOOL_FAILED, "out of memory");
	turn->plan.group = group;
	engine_open(&engine, &turn->plan);
	if (work_run(&engine, r, group) && !bench_interrupted()) {
		figures_of(&f, &turn->plan, r);
		status = write(turn->out, &f, sizeof(f)) == sizeof(f)
				 ? TOOL_OK
				 : TOOL_FAILED;
	}
	engine_close(&engine);
	free(r);
	return status;
}

/* ------------------------------------------------------------------ */
/* In the supervisor							*/

/* Why a worker that was not interrupted has no figures. */
static void explain(struct tally *t, int status)
{
	if (WIFSIGNALED(status))
		why_not(&t->left_out, "its worker was killed by signal %d%s",
			WTERMSIG(status),
			WTERMSIG(status) == SIGKILL ? ": out of memory?" : "");
	else
		why_not(&t->left_out, "its worker failed (exit status %d)",
			WEXITSTATUS(status));
}

/* The pipe holds all figures, so nobody has to read while the worker runs. */
static void run_turn(struct comparison *c, unsigned i, struct turn *turn)
{
	struct tally *t = &c->tallies[i];
	struct figures f;
	int fds[2], status;

	if (pipe2(fds, O_CLOEXEC)) {
		why_not(&t->left_out, "pipe: %s", strerror(errno));
		return;
	}
	turn->out = fds[1];
	if (cage_run(&c->cage, &contenders[c->ids[i]].needs, take_turn, turn,
		     &status, &t->left_out)) {
		c->failed = true;
	} else if (!cage_interrupted(&c->cage)) {
		close(fds[1]);
		fds[1] = -1;
		if (status == 0 && read(fds[0], &f, sizeof(f)) == sizeof(f))
			tally_add(t, &f);
		else
			explain(t, status);
		c->failed |= *t->left_out.text != '\0';
	}
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

static void take_turns(struct comparison *c, unsigned round, unsigned place)
{
	unsigned i = (place + round) % c->count;
	const struct contender *contender = &contenders[c->ids[i]];
	struct turn turn = {.plan = c->plan};
	char label[80];

	if (*c->tallies[i].left_out.text)
		return;
	snprintf(label, sizeof(label), "round %u/%u, %u/%u %s: ", round + 1,
		 (unsigned)c->rounds, place + 1, c->count, contender->name);
	turn.plan.label = label;
	contender_plan(contender, &turn.plan);
	run_turn(c, i, &turn);
}

static void run_rounds(struct comparison *c)
{
	unsigned round, place;

	for (round = 0; round < c->rounds; round++)
		for (place = 0; place < c->count; place++)
			if (!cage_interrupted(&c->cage))
				take_turns(c, round, place);
}

/* ------------------------------------------------------------------ */
/* Before and after							*/

static void probe_vvm(struct why *why)
{
	struct vvm_probe probe;

	if (vvm_probe(&probe) == 0 && !probe.usable)
		why_not(why, "%s",
			*probe.reason ? probe.reason
				      : vvm_strerror(probe.error));
}

/* Says of each engine whether it can be had. */
static void probe(struct comparison *c)
{
	unsigned i, bits = 0;

	for (i = 0; i < c->count; i++)
		bits |= contenders[c->ids[i]].needs.bits;
	cage_open(&c->cage, &c->plan, bits);
	for (i = 0; i < c->count; i++) {
		const struct contender *contender = &contenders[c->ids[i]];
		const char *refusal =
			cage_refuses(&c->cage, contender->needs.bits);

		c->tallies[i].name = contender->name;
		if (refusal)
			why_not(&c->tallies[i].left_out, "%s", refusal);
		else if (contender->engine == ENGINE_vvm)
			probe_vvm(&c->tallies[i].left_out);
	}
}

static void print_text(const struct comparison *c, const struct table *table,
		       const struct tally *base)
{
	char size[8], resident[8];

	printf("%s of %s resident",
	       tool_human(resident, c->plan.resident_bytes),
	       tool_human(size, c->plan.size_bytes));
	plan_print(&c->plan);
	printf("medians of %u round%s", table->rounds,
	       table->rounds == 1 ? "" : "s");
	if (c->plan.pattern != PATTERN_fill)
		printf(" of %g s", c->plan.seconds);
	if (base)
		printf("; below them, the ratio to %s", base->name);
	printf("\n\n");
	table_print(table, base, stdout);
}

static int report(struct comparison *c, bool interrupted)
{
	struct table table = {&c->plan, c->tallies, c->count,
			      (unsigned)c->rounds};
	const struct tally *base = table_base(&table, "swap");

	if (!base && interrupted) {
		tool_warn("interrupted before there was anything to report");
		return TOOL_ENDED;
	}
	if (c->plan.json)
		table_json(&table, base, stdout);
	else if (c->csv)
		table_csv(&table, base, stdout);
	else
		print_text(c, &table, base);
	return base && !c->failed ? TOOL_OK : TOOL_FAILED;
}

int bench_compare(int argc, char **argv)
{
	struct comparison *c = calloc(1, sizeof(*c));
	bool interrupted;
	int status;

	if (!c)
		tool_die(TOOL_FAILED, "out of memory");
	read_options(c, argc, argv);
	c->tallies = calloc(c->count, sizeof(*c->tallies));
	if (!c->tallies)
		tool_die(TOOL_FAILED, "out of memory");
	probe(c);
	run_rounds(c);
	interrupted = cage_interrupted(&c->cage);
	cage_close(&c->cage);
	status = report(c, interrupted);
	free(c->tallies);
	free(c);
	return status;
}
