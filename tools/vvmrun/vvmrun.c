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
#include "vvmrun/program.h"
#include "vvmrun/wait.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vvm.h>

#include "common/option.h"
#include "common/tool.h"

/* libc's malloc maps blocks from this size on; so do many other allocators. */
#define MMAP_MIN_BYTES ((uint64_t)128 << 10)

/* ------------------------------------------------------------------ */
/* The command line							*/

enum setting { SET_RESIDENT, SET_SWAP, SET_FAULTS };

/* Sets the variable of a setting, and has libvvm look at it. */
static void take_setting(void *run, const struct opt *o, const char *option,
			 const char *value)
{
	static const char *const variables[] = {
		[SET_RESIDENT] = "VVM_RESIDENT",
		[SET_SWAP] = "VVM_SWAP",
		[SET_FAULTS] = "VVM_FAULTS",
	};
	struct vvm_options ignored;

	(void)run;
	if (setenv(variables[o->value], value, 1))
		tool_die(RUN_FAILED, "%s", strerror(errno));
	if (vvm_options_init(&ignored))
		tool_usage("%s: '%s' will not do; see vvmrun(1)", option,
			   value);
}

static void take_mmap(void *run, const struct opt *o, const char *option,
		      const char *value)
{
	struct run *r = run;

	(void)o;
	r->wishes.mmap_min = value ? tool_size(option, value) : MMAP_MIN_BYTES;
	if (!r->wishes.mmap_min)
		r->wishes.mmap_min = 1; /* 0 means all, not none */
}

static void take_stat(void *run, const struct opt *o, const char *option,
		      const char *value)
{
	struct run *r = run;

	(void)o;
	r->stat_s = value ? tool_real(option, value, 0.01, 1e6) : 1;
}

_Noreturn static void take_version(void *run, const struct opt *o,
				   const char *option, const char *value)
{
	(void)run;
	(void)o;
	(void)option;
	(void)value;
	printf("vvmrun %s\n", vvm_version());
	exit(TOOL_OK);
}

#define FIELD(f) offsetof(struct run, f)

static const struct opt options[] = {
	OPTION_TAKE('m', "resident", take_setting, SET_RESIDENT, "SIZE",
		    "the budget ($VVM_RESIDENT, 256M)"),
	OPTION_TAKE('s', "swap", take_setting, SET_SWAP, "PATH",
		    "directory, file or block device to page to\n"
		    "($VVM_SWAP, /var/tmp)"),
	OPTION_TAKE(0, "faults", take_setting, SET_FAULTS, "HOW",
		    "who resolves faults: thread (the default), or\n"
		    "inline: faster, for blocks of 128K or more only"),
	{.name = "mmap",
	 .kind = OPT_TAKE,
	 .take = take_mmap,
	 .arg = "MIN",
	 .optional = true,
	 .help = "page anonymous mappings, too, from MIN bytes on\n(128K)"},
	OPTION_FLAG(0, "follow", FIELD(wishes.follow),
		    "the program's children are paged as well, each\n"
		    "with a budget of its own"),
	{.name = "stat",
	 .kind = OPT_TAKE,
	 .take = take_stat,
	 .arg = "SECONDS",
	 .optional = true,
	 .help = "rows of vvmstat(1) on standard error (every 1)"},
	OPTION_FLAG('v', "verbose", FIELD(verbose),
		    "at the end, on standard error: time, faults,\n"
		    "swapping, memory"),
	OPTION_TEXT('o', "output", FIELD(output), "FILE",
		    "the same into a file"),
	OPTION_TAKE(0, "version", take_version, 0, NULL, "which one it is"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.args = "[--] PROGRAM [ARGUMENT...]",
	.summary = "Runs a program with its heap in paged memory: at most SIZE "
		   "of it is in\nRAM, the rest in a swap file that only this "
		   "process uses.\n",
	.opts = options,
	.end = "All settings of libvvm can be given in the environment: see "
	       "vvmrun(1).\n"
	       "Exit status: the program's; 125 vvmrun failed, 126 the program "
	       "cannot be\nrun paged, 127 it was not found.\n",
	.operands = OPT_LAST,
};

static void parse(struct run *r, int argc, char **argv)
{
	if (opt_parse(&command, r, argc, argv) == 0)
		tool_usage("no program given: try 'vvmrun --help'");
	r->argv = argv + 1;
	if (r->output)
		r->verbose = true;
}

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
	parse(&run, argc, argv);
	check_machine();
	run_find_program(&run);
	set_preload();
	if (setenv("VVM_FORK", "inherit", 0))
		tool_die(RUN_FAILED, "out of memory");
	if (run.verbose || run.stat_s > 0)
		return run_and_wait(&run);
	run_exec(&run);
}
