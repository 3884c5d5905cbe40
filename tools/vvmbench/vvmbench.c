/* SPDX-License-Identifier: MIT */
/*
 * vvmbench - workloads on paged memory.
 *
 * This file only finds the sub-command. `run`, `compare`, `hit`, `faults` and
 * `soak` are beside it, each in a file of its name; `sort`, `sim` and `heap` have
 * folders of their own, and `confine` is in machine/. Below them, each part
 * alone and testable: workload/ says which page is next, what it holds and
 * how long that took; machine/ puts around a process what the kernel's own
 * paging needs, and undoes it; engine/ is what a workload runs on, with its
 * threads and phases.
 */
#include "common/tool.h"
#include "settings.h"
#include "vvmbench/compare.h"
#include "vvmbench/faults.h"
#include "vvmbench/heap/heap.h"
#include "vvmbench/hit.h"
#include "vvmbench/machine/confine.h"
#include "vvmbench/run.h"
#include "vvmbench/sim/sim.h"
#include "vvmbench/soak.h"
#include "vvmbench/sort/sort.h"

#include <string.h>
#include <vvm.h>

struct command {
	const char *name, *summary;
	int (*main)(int argc, char **argv);
};

static const struct command commands[] = {
	{"run", "one workload, every access verified", bench_run},
	{"compare", "one workload on several engines in turn", bench_compare},
	{"hit", "cost of an access that finds its page", bench_hit},
	{"faults", "faults that need no I/O: rate and latency", bench_faults},
	{"sort", "sort text in memory several times the budget", bench_sort},
	{"confine", "any command, paged by the kernel's swap", bench_confine},
	{"heap", "malloc on paged memory against the C library's", bench_heap},
	{"soak", "mixed load for hours: does anything grow?", bench_soak},
	{"sim", "replay a trace of accesses under every policy", bench_sim},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_settings(FILE *out)
{
	fputs("\nSettings of libvvm come from the environment, see vvm(7):\n\n",
	      out);
#define X(type, field, variable, initial, values, range, what) \
	fprintf(out, "  %-23s %s\n", "VVM_" #variable "=" initial, what);
	SETTINGS(X)
#undef X
}

static void usage(FILE *out)
{
	unsigned i;

	fputs("usage: vvmbench COMMAND [options]\n\n", out);
	for (i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name,
			commands[i].summary);
	print_settings(out);
	fputs("\n'vvmbench COMMAND --help' explains one; "
	      "'vvmbench --version' says which.\n"
	      "Exit status: 0 all well, 1 wrong usage, 3 interrupted before "
	      "there was a\nresult, 4 failed (wrong content, no space, drift).\n",
	      out);
}

static const struct command *find(const char *name)
{
	unsigned i;

	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct command *command;

	tool_init(argv[0], TOOL_USAGE);
	if (argc < 2) {
		usage(stderr);
		return TOOL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		usage(stdout);
		return TOOL_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("vvmbench %s\n", vvm_version());
		return TOOL_OK;
	}
	command = find(argv[1]);
	if (!command)
		tool_die(TOOL_USAGE, "no command '%s': try 'vvmbench --help'",
			 argv[1]);
	return command->main(argc - 1, argv + 1);
}
