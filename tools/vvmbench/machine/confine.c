/* SPDX-License-Identifier: MIT */
/*
 * confine.c - `vvmbench confine`: any command in a cage, paged by the
 * kernel's own swap: what a program under vvmrun is to be compared with.
 *
 * The cage's worker (cage.c) is in the memory cgroup; it forks once
 * more, the child becomes the command, and the worker stays to read the
 * group's peak and the command's times. The command's children are in the
 * group as well, but what is left of them when it ends is killed with the
 * group. Interrupting signals end the command: the supervisor sends the worker
 * SIGTERM, which passes it on.
 *
 * The limit is --resident and what the group is charged with at the time that
 * the command starts (a forked vvmbench). Page cache that the command causes is
 * charged to the group as well, and is the first to be reclaimed.
 *
 * The exit status is the command's, 128 + N if it died of signal N.
 */
#include "vvmbench/machine/confine.h"

#include "common/line.h"
#include "common/option.h"
#include "common/tool.h"
#include "vvmbench/machine/cage.h"
#include "vvmbench/machine/why.h"
#include "vvmbench/workload/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_SIGNAL = 128, STATUS_NOT_RUN = 127 };

struct confine {
	struct plan plan; /* resident, size (of the swap file), swap path */
	uint64_t cluster; /* vm.page-cluster */
	const char *output;
	char **argv;
	FILE *out;
};

#define FIELD(f) offsetof(struct confine, f)

static const struct opt options[] = {
	OPTION_RANGE('m', "resident", FIELD(plan.resident_bytes), SIZE, "SIZE",
		     BENCH_PAGE, 0x1p46, "memory that it may use (256M)"),
	OPTION_RANGE('s', "size", FIELD(plan.size_bytes), SIZE, "SIZE",
		     BENCH_PAGE, 0x1p46, "of the swap file (1G)"),
	OPTION_TEXT(0, "swap", FIELD(plan.swap_path), "DIR",
		    "directory of the swap file ($VVM_SWAP)"),
	OPTION_RANGE(0, "page-cluster", FIELD(cluster), NUMBER, "N", 0, 10,
		     "vm.page-cluster: pages read at a time, log2 (3)"),
	OPTION_TEXT('o', "output", FIELD(output), "FILE",
		    "write the figures to a file (standard error)"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "confine",
	.args = "-- COMMAND [ARGUMENT...]",
	.summary = "Runs a command in a memory cgroup, with a swap file, and "
		   "prints time, faults\nand swapping. For root only.\n",
	.opts = options,
	.operands = OPT_AFTER_DASHES,
};

/* ------------------------------------------------------------------ */
/* In the cage								*/

struct figures {
	uint64_t us, in_pages, out_pages;
};

/* Counts of the whole machine; nobody else swaps, one hopes. */
static void look(struct figures *f)
{
	f->us = tool_now_us();
	f->in_pages = line_value("/proc/vmstat", "pswpin");
	f->out_pages = line_value("/proc/vmstat", "pswpout");
}

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* The keys of the first lines are those of `vvmrun --verbose`. */
static void print(const struct confine *c, const struct cgroup *group,
		  const struct figures *a, const struct figures *b)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	fprintf(c->out, "\tElapsed time (seconds): %.2f\n",
		(double)(b->us - a->us) / 1e6);
	fprintf(c->out, "\tUser time (seconds): %.2f\n",
		seconds_of(&u.ru_utime));
	fprintf(c->out, "\tSystem time (seconds): %.2f\n",
		seconds_of(&u.ru_stime));
	fprintf(c->out, "\tMaximum resident set size (kbytes): %ld\n",
		u.ru_maxrss);
	fprintf(c->out, "\tBudget (kbytes): %llu\n",
		(unsigned long long)c->plan.resident_bytes / 1024);
	fprintf(c->out, "\tPeak of the group (kbytes): %llu\n",
		(unsigned long long)cgroup_peak_bytes(group) / 1024);
	fprintf(c->out, "\tFaults: %ld\n", u.ru_majflt);
	fprintf(c->out, "\tMinor faults: %ld\n", u.ru_minflt);
	fprintf(c->out, "\tSwapped in (kbytes): %llu\n",
		(unsigned long long)(b->in_pages - a->in_pages) * 4);
	fprintf(c->out, "\tSwapped out (kbytes): %llu\n",
		(unsigned long long)(b->out_pages - a->out_pages) * 4);
	fflush(c->out);
}

_Noreturn static void become(const struct confine *c)
{
	static const int to_default[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM};
	unsigned i;

	for (i = 0; i < sizeof(to_default) / sizeof(to_default[0]); i++)
		signal(to_default[i], SIG_DFL);
	execvp(c->argv[0], c->argv);
	tool_warn("%s: %s", c->argv[0], strerror(errno));
	_exit(STATUS_NOT_RUN);
}

/* Waits for the command; the first signal to us ends it. */
static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		if (errno == EINTR && bench_interrupted())
			kill(pid, SIGTERM);
	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* A cage_body. */
static int run_command(void *arg, struct cgroup *group)
{
	struct confine *c = arg;
	struct figures before, after;
	int status, error;
	pid_t pid;

	error = cgroup_fence(group, c->plan.resident_bytes, 0);
	if (error)
		tool_die(TOOL_FAILED, "cannot limit %s: %s", group->path,
			 strerror(-error));
	look(&before);
	pid = fork();
	if (pid < 0)
		tool_die(TOOL_FAILED, "fork: %s", strerror(errno));
	if (pid == 0)
		become(c);
	status = wait_for(pid);
	look(&after);
	print(c, group, &before, &after);
	return status;
}

/* ------------------------------------------------------------------ */

static void read_options(struct confine *c, int argc, char **argv)
{
	*c = (struct confine){
		.plan = {.resident_bytes = 256 << 20, .size_bytes = 1 << 30},
		.cluster = 3};
	opt_parse(&command, c, argc, argv);
	c->argv = argv + 1;
	c->out = c->output ? fopen(c->output, "we") : stderr;
	if (!c->out)
		tool_die(TOOL_FAILED, "%s: %s", c->output, strerror(errno));
}

int bench_confine(int argc, char **argv)
{
	struct cage_needs needs = {.bits = CAGE_GROUP | CAGE_SWAP};
	struct confine c;
	struct cage cage;
	struct why why;
	int error, status = 0;

	read_options(&c, argc, argv);
	needs.page_cluster = (int)c.cluster;
	cage_open(&cage, &c.plan, needs.bits);
	error = cage_run(&cage, &needs, run_command, &c, &status, &why);
	cage_close(&cage);
	if (error)
		tool_die(TOOL_FAILED, "%s", why.text);
	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status)
				   : WEXITSTATUS(status);
}
