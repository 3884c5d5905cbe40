/* SPDX-License-Identifier: MIT */
/*
 * input.c - what `vvmbench sim` replays: a trace file, the output of
 * valgrind's lackey, or a pattern of run's, made on the spot.
 *
 * A pattern begins with the set-up of run, a first touch of all pages in order:
 * it is what the measured accesses find. Threads take turns, an access each.
 */
#include "vvmbench/sim/input.h"

#include "common/tool.h"
#include "vvmbench/workload/plan.h"
#include "vvmbench/workload/trace_lackey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_input(const char *path)
{
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;

	if (!in)
		tool_die(TOOL_FAILED, "%s: %s", path, strerror(errno));
	return in;
}

static void read_file(struct trace *t, const struct sim_plan *plan)
{
	FILE *in = open_input(plan->path);
	const char *wrong =
		plan->lackey ? trace_read_lackey(t, in) : trace_read(t, in);

	if (ferror(in))
		tool_die(TOOL_FAILED, "%s: %s", plan->path, strerror(errno));
	if (wrong)
		tool_die(TOOL_FAILED, "%s: %s", plan->path, wrong);
	if (in != stdin)
		fclose(in);
}

static void add(struct trace *t, uint64_t page, unsigned flags)
{
	if (!trace_add(t, page, flags))
		tool_die(TOOL_FAILED, "out of memory");
}

static struct pattern *new_patterns(const struct sim_plan *plan, uint64_t pages)
{
	struct pattern_spec spec = {.kind = (enum pattern_kind)plan->pattern,
				    .pages = pages,
				    .theta = plan->theta,
				    .stride = 3,
				    .seed = plan->seed,
				    .loop_pages = pages / 4 + pages / 40,
				    .scan_pct = (unsigned)plan->scan_pct};
	struct pattern *p = calloc(plan->threads, sizeof(*p));
	unsigned i;

	if (!p)
		tool_die(TOOL_FAILED, "out of memory");
	for (i = 0; i < plan->threads; i++)
		pattern_init(&p[i], &spec, i, (unsigned)plan->threads);
	return p;
}

static void make_pattern(struct trace *t, const struct sim_plan *plan)
{
	uint64_t pages = plan->size_bytes / 4096, i;
	struct pattern *patterns = new_patterns(plan, pages);
	bool mix = plan->pattern == PATTERN_scanmix;

	for (i = 0; i < pages; i++)
		add(t, i, TRACE_WRITE);
	for (i = 0; i < plan->accesses; i++) {
		struct pattern *p = &patterns[i % plan->threads];
		uint64_t page = pattern_next(p);

		add(t, page, mix && p->hot ? TRACE_APART : 0);
	}
	free(patterns);
	if (!trace_finish(t))
		tool_die(TOOL_FAILED, "out of memory");
}

void sim_input(struct trace *t, const struct sim_plan *plan)
{
	trace_init(t);
	if (plan->path)
		read_file(t, plan);
	else
		make_pattern(t, plan);
	if (!t->accesses)
		tool_die(TOOL_FAILED, "%s: it has no accesses", plan->path);
}

void sim_save(const struct trace *t, const char *path)
{
	struct trace_file *f = trace_create(path);
	struct trace_part *part = malloc(sizeof(*part));
	size_t i;
	int error;

	if (!f)
		tool_die(TOOL_FAILED, "%s: %s", path, strerror(errno));
	if (!part)
		tool_die(TOOL_FAILED, "out of memory");
	trace_part_init(part, f, 0);
	for (i = 0; i < t->accesses; i++)
		trace_record(part, t->page[i], t->flags[i]);
	trace_part_flush(part);
	free(part);
	error = trace_close(f);
	if (error)
		tool_die(TOOL_FAILED, "%s: %s", path, strerror(error));
}
