/* SPDX-License-Identifier: MIT */
/*
 * unit/policy_sim.c - how good are the replacement policies' choices?
 *
 * Runs every policy's ops, the same objects that reclaim uses, over patterns of
 * vvmbench in its simulator (tools/vvmbench/sim). Seeded; no timing: the figures are
 * the same on every machine. What is asserted are the reasons for which a
 * policy is there, with margins for those who tune it.
 */
#include "vvmbench/sim/exact.h"
#include "vvmbench/sim/reclaim.h"
#include "vvmbench/workload/pattern.h"
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

enum { PAGES = 65536, BUDGET = PAGES / 4, ACCESSES = 1000000, AHEAD = 32 };

struct result {
	struct sim_score opt, lru, exact, heat, clock;
};

static bool failed;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAILED: %s\n", what);
	failed = true;
}

static void add(struct trace *t, uint64_t page, unsigned flags)
{
	if (!trace_add(t, page, flags))
		abort();
}

/* The pages are touched in order first, as vvmbench does. */
static void make(struct trace *t, enum pattern_kind kind, unsigned scan_pct)
{
	struct pattern_spec spec = {.kind = kind,
				    .pages = PAGES,
				    .theta = 0.99,
				    .stride = 3,
				    .seed = 1,
				    .loop_pages = BUDGET + BUDGET / 10,
				    .scan_pct = scan_pct};
	struct pattern p;
	unsigned i;

	trace_init(t);
	pattern_init(&p, &spec, 0, 1);
	for (i = 0; i < PAGES; i++)
		add(t, i, TRACE_WRITE);
	for (i = 0; i < ACCESSES; i++) {
		uint64_t page = pattern_next(&p);

		add(t, page, p.hot ? TRACE_APART : 0);
	}
	if (!trace_finish(t))
		abort();
}

static double pct(uint64_t part, uint64_t of)
{
	return 100.0 * (double)part / (double)(of ? of : 1);
}

static double hits(const struct sim_score *s)
{
	return pct(s->hits, s->accesses);
}

static double hot(const struct sim_score *s)
{
	return pct(s->apart_hits, s->apart_accesses);
}

static void print(const char *name, const struct sim_score *s)
{
	printf("  %-6s %6.2f %% hits, %6.2f %% of zipf", name, hits(s), hot(s));
	if (s->faults)
		printf(", %.1f pages passed per fault, %.1f mapped again",
		       (double)s->visits / (double)s->faults,
		       (double)s->minor / (double)s->faults);
	putchar('\n');
}

/* Promises of the mechanism, whatever the policy. */
static void check_reclaim(const struct sim_score *s)
{
	check(!s->failed, "a victim is found");
	check(s->pressure <= 1, "without more than a turn of pressure");
	check(s->visits < 16 * (s->faults + s->prefetched),
	      "and without many passes");
}

static struct result run(const char *name, enum pattern_kind kind,
			 unsigned scan_pct, uint32_t ahead)
{
	struct sim_setup setup = {.budget_pages = BUDGET, .ahead_pages = ahead};
	struct result r;
	struct trace t;

	make(&t, kind, scan_pct);
	setup.trace = &t;
	setup.warm = t.accesses / 4;
	if (!sim_opt(&setup, &r.opt) || !sim_lru(&setup, &r.lru) ||
	    !sim_clock(&setup, &r.exact) ||
	    !sim_policy(&policy_heat, &setup, &r.heat) ||
	    !sim_policy(&policy_clock, &setup, &r.clock))
		abort();
	trace_fini(&t);
	printf("%s\n", name);
	print("OPT", &r.opt);
	print("LRU", &r.lru);
	print("CLOCK", &r.exact);
	print("heat", &r.heat);
	print("clock", &r.clock);
	check_reclaim(&r.heat);
	check_reclaim(&r.clock);
	check(hits(&r.opt) >= hits(&r.lru) && hits(&r.opt) >= hits(&r.exact),
	      "OPT is the best");
	return r;
}

static void zipf(void)
{
	struct result r = run("zipf", PATTERN_zipf, 0, 0);

	check(hits(&r.clock) > hits(&r.exact) - 0.5, "clock is like CLOCK");
	check(hits(&r.heat) > hits(&r.clock) + 1.5, "heat knows zipf");
	check(hits(&r.heat) > hits(&r.lru) + 2, "heat is better than LRU");
}

static void scanmix(void)
{
	struct result r = run("scanmix", PATTERN_scanmix, 0, 0);

	check(hot(&r.heat) > hot(&r.clock) + 7, "heat resists scans");
	check(hot(&r.heat) > hot(&r.lru) + 6, "better than LRU");
	r = run("scanmix, read ahead", PATTERN_scanmix, 0, AHEAD);
	check(hot(&r.heat) > hot(&r.clock) + 7, "heat resists read-ahead");
	check(hits(&r.heat) > 85, "and the scan finds its pages");
	r = run("scanmix, 80 % scan", PATTERN_scanmix, 80, 0);
	check(hot(&r.heat) > 1.1 * hot(&r.lru), "heat resists a fast scan");
}

static void loop(void)
{
	struct result r = run("loop over 1.1 x the budget", PATTERN_loop, 0, 0);

	check(hits(&r.lru) == 0, "LRU keeps what is not needed");
	check(hits(&r.heat) > 40, "heat keeps a part of the loop");
}

/* The hand must not look for something colder where all is equally cold. */
static void seq(void)
{
	struct result r = run("seq, read ahead", PATTERN_seq, 0, AHEAD);

	check(hits(&r.heat) > hits(&r.clock) - 0.2, "readahead is not wasted");
	check(r.heat.prefetched < r.clock.prefetched * 1.02, "nor done twice");
}

static void phases(void)
{
	struct result r = run("phases", PATTERN_phases, 0, 0);

	check(hits(&r.heat) > hits(&r.clock) - 1.5, "heat forgets in time");
}

static void uniform(void)
{
	struct result r = run("uniform", PATTERN_uniform, 0, 0);

	/* 3 % of the frames are free: 0.75 points */
	check(hits(&r.heat) > hits(&r.exact) - 1.5, "nothing to know");
	check(hits(&r.clock) > hits(&r.exact) - 1.5, "nothing to know");
}

/* Budgets of a few pages, and of all pages. */
static void extremes(void)
{
	static const uint32_t budgets[] = {1,  2,   3,	   8,
					   17, 100, PAGES, 2 * PAGES};
	const struct policy_ops *ops;
	struct sim_score score;
	struct trace t;
	unsigned b, i;

	make(&t, PATTERN_zipf, 0);
	t.accesses = PAGES + 20000;
	for (b = 0; b < sizeof(budgets) / sizeof(*budgets); b++) {
		struct sim_setup setup = {.trace = &t,
					  .budget_pages = budgets[b],
					  .ahead_pages = 8};

		for (i = 0; (ops = policy_at(i)); i++) {
			check(sim_policy(ops, &setup, &score) && !score.failed,
			      "every budget works");
			check(score.accesses == t.accesses, "to the end");
			check(score.faults >= PAGES / 9, "and faults");
		}
	}
	trace_fini(&t);
}

int main(void)
{
	zipf();
	scanmix();
	loop();
	seq();
	phases();
	uniform();
	extremes();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
