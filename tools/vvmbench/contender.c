/* SPDX-License-Identifier: MIT */
/*
 * contender.c - the engines of `vvmbench compare`, as a table.
 *
 * A contender is an engine of run with what makes it this one: who resolves
 * the faults, which advice, which page-cluster, what it needs of the machine.
 * Everything else of the plan is the same for all, or it would be no
 * comparison.
 */
#include "vvmbench/contender.h"

#include "vvmbench/engine/engine.h"

#include <stdlib.h>
#include <string.h>
#include <vvm.h>

const struct contender contenders[CONTENDER_COUNT] = {
#define X(id, name, usual, engine, faults, advice, needs, pages, help) \
	{name, usual, ENGINE_##engine, faults, advice, {needs, pages}},
	CONTENDERS(X)
#undef X
};

static int find(const char *name, size_t len)
{
	int i;

	for (i = 0; i < CONTENDER_COUNT; i++)
		if (strlen(contenders[i].name) == len &&
		    !strncmp(contenders[i].name, name, len))
			return i;
	return -1;
}

static bool has(const int *ids, int n, int id)
{
	while (n--)
		if (ids[n] == id)
			return true;
	return false;
}

static int usual(int ids[CONTENDER_COUNT])
{
	int i, n = 0;

	for (i = 0; i < CONTENDER_COUNT; i++)
		if (contenders[i].usual)
			ids[n++] = i;
	return n;
}

int contenders_parse(const char *list, int ids[CONTENDER_COUNT], char **bad)
{
	int n = 0;

	if (!list)
		return usual(ids);
	for (;; list++) {
		size_t len = strcspn(list, ",");
		int id = find(list, len);

		if (id < 0 || has(ids, n, id)) {
			*bad = strndup(list, len);
			return -1;
		}
		ids[n++] = id;
		list += len;
		if (!*list)
			return n;
	}
}

void contender_plan(const struct contender *c, struct plan *plan)
{
	plan->engine = c->engine;
	plan->no_sweep = true; /* every access has been verified */
	plan->faults = c->faults;
	if (c->advice >= 0)
		plan->advice = c->advice;
}
