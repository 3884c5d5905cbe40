/* SPDX-License-Identifier: MIT */
/*
 * vvmrun.c - runs a program with its heap in paged memory.
 *
 * vvmrun only prepares: it checks that the program can be paged at all, puts
 * the settings into the environment and calls exec. The program itself is then
 * the process that was started, so that its exit status, its signals and its
 * place in job control are as without vvmrun. Only with --stat and --verbose
 * a process waits for it: wait.c.
 *
 * The work is done by libvvm-preload.so (preload/preload.c), which finds what
 * is wanted in two places: libvvm's settings in VVM_*, and in VVMRUN what is
 * between us and it (preload/wishes.c).
 *
 * Exit status: the program's; or as env(1) and nohup(1) have it, 125 vvmrun
 * itself failed, 126 the program cannot be run (paged), 127 it is not there.
 */
#include "vvmrun/cli.h"
#include "vvmrun/program.h"
#include "vvmrun/wait.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vvm.h>

#include "common/tool.h"

/* ------------------------------------------------------------------ */
/* The environment							*/

/*
 * The preload object: where it was built (there it is newer), else where it was
 * installed, else at the same distance from us (an installation that moved).
 */
static void search_object(char *path, size_t size)
{
	static const char name[] = "libvvm-preload.so";

	if (tool_find(path, size, "preload/.libs", name))
		return;
	snprintf(path, size, VVMRUN_OBJECT_DIR "/%s", name);
	if (access(path, R_OK) == 0)
		return;
	if (!tool_find(path, size, "lib/libvvm", name))
		tool_die(RUN_FAILED, "cannot find %s in " VVMRUN_OBJECT_DIR,
			 name);
}

static void find_object(char *path, size_t size)
{
	search_object(path, size);
	if (strpbrk(path, ": "))
		tool_die(RUN_FAILED, "%s: LD_PRELOAD cannot hold this path",
			 path);
}

/* Before what the user has there: ours is to be the malloc. */
static void set_preload(void)
{
	const char *others = getenv("LD_PRELOAD");
	char path[PATH_MAX + 64], *list;

	find_object(path, sizeof(path));
	if (asprintf(&list, "%s%s%s", path, others && *others ? ":" : "",
		     others ? others : "") < 0 ||
	    setenv("LD_PRELOAD", list, 1))
		tool_die(RUN_FAILED, "out of memory");
	free(list);
}

/* ------------------------------------------------------------------ */

static void check_machine(void)
{
	struct vvm_probe probe;

	if (vvm_probe(&probe) || !probe.usable)
		tool_die(RUN_FAILED, "memory cannot be paged here: %s",
			 probe.reason);
}

int main(int argc, char **argv)
{
	struct run run = {0};

	tool_init(argv[0], RUN_FAILED);
	cli_parse(&run, argc, argv);
	check_machine();
	run_find_program(&run);
	set_preload();
	if (setenv("VVM_FORK", "inherit", 0))
		tool_die(RUN_FAILED, "out of memory");
	if (run.verbose || run.stat_s > 0)
		return run_and_wait(&run);
	run_exec(&run);
}
