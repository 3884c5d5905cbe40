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
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vvm.h>

#include "common/tool.h"

enum {
	OPT_FAULTS = 256,
	OPT_STAT,
	OPT_MMAP,
	OPT_FOLLOW,
	OPT_HELP,
	OPT_VERSION
};

/* libc's malloc maps blocks from this size on; so do many other allocators. */
#define MMAP_MIN_BYTES ((uint64_t)128 << 10)

static const char help[] =
	"usage: vvmrun [options] [--] PROGRAM [ARGUMENT...]\n"
	"\n"
	"Runs a program with its heap in paged memory: at most SIZE of it is in\n"
	"RAM, the rest in a swap file that only this process uses.\n"
	"\n"
	"  -m, --resident SIZE   the budget ($VVM_RESIDENT, 256M)\n"
	"  -s, --swap PATH       directory, file or block device to page to\n"
	"                        ($VVM_SWAP, /var/tmp)\n"
	"      --faults HOW      who resolves faults: thread (the default), or\n"
	"                        inline: faster, for blocks of 128K or more only\n"
	"      --mmap[=MIN]      page anonymous mappings, too, from MIN bytes on\n"
	"                        (128K)\n"
	"      --follow          the program's children are paged as well, each\n"
	"                        with a budget of its own\n"
	"      --stat[=SECONDS]  rows of vvmstat(1) on standard error (every 1)\n"
	"  -v, --verbose         at the end, on standard error: time, faults,\n"
	"                        swapping, memory\n"
	"  -o, --output FILE     the same into a file\n"
	"      --help            this text\n"
	"      --version         which one it is\n"
	"\n"
	"All settings of libvvm can be given in the environment: see vvmrun(1).\n"
	"Exit status: the program's; 125 vvmrun failed, 126 the program cannot be\n"
	"run paged, 127 it was not found.\n";

static const struct option long_options[] = {
	{"resident", required_argument, NULL, 'm'},
	{"swap", required_argument, NULL, 's'},
	{"faults", required_argument, NULL, OPT_FAULTS},
	{"mmap", optional_argument, NULL, OPT_MMAP},
	{"follow", no_argument, NULL, OPT_FOLLOW},
	{"stat", optional_argument, NULL, OPT_STAT},
	{"verbose", no_argument, NULL, 'v'},
	{"output", required_argument, NULL, 'o'},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

/* ------------------------------------------------------------------ */
/* The command line							*/

/* Sets the variable of a setting, and has libvvm look at it. */
static void set(const char *option, const char *variable, const char *value)
{
	struct vvm_options ignored;

	if (setenv(variable, value, 1))
		tool_die(RUN_FAILED, "%s", strerror(errno));
	if (vvm_options_init(&ignored))
		tool_die(RUN_FAILED, "%s: '%s' will not do; see vvmrun(1)",
			 option, value);
}

/* tool_size(), with our exit status. */
static uint64_t size(const char *option, const char *text)
{
	uint64_t bytes;

	if (!tool_parse_size(text, &bytes))
		tool_die(RUN_FAILED, "%s: '%s' is not a size (try 128K)",
			 option, text);
	return bytes;
}

static double seconds(const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0.01 && value <= 1e6))
		tool_die(RUN_FAILED, "%s: '%s' is not from 0.01 to 1e6 seconds",
			 option, text);
	return value;
}

_Noreturn static void say(const char *text)
{
	fputs(text, stdout);
	exit(TOOL_OK);
}

static void set_option(struct run *r, int option, const char *value)
{
	switch (option) {
	case 'm':
		set("--resident", "VVM_RESIDENT", value);
		break;
	case 's':
		set("--swap", "VVM_SWAP", value);
		break;
	case OPT_FAULTS:
		set("--faults", "VVM_FAULTS", value);
		break;
	case OPT_MMAP:
		r->wishes.mmap_min =
			value ? size("--mmap", value) : MMAP_MIN_BYTES;
		r->wishes.mmap_min +=
			!r->wishes.mmap_min; /* 0 means all, not none */
		break;
	case OPT_FOLLOW:
		r->wishes.follow = true;
		break;
	case OPT_STAT:
		r->stat_s = value ? seconds("--stat", value) : 1;
		break;
	case 'o':
		r->output = value;
		/* fall through */
	case 'v':
		r->verbose = true;
		break;
	}
}

static void parse(struct run *r, int argc, char **argv)
{
	int option;

	/* '+': options after the program's name are the program's. */
	while ((option = getopt_long(argc, argv, "+m:s:vo:", long_options,
				     NULL)) != -1) {
		if (option == OPT_HELP)
			say(help);
		if (option == OPT_VERSION) {
			printf("vvmrun %s\n", vvm_version());
			exit(TOOL_OK);
		}
		if (option == '?')
			tool_die(RUN_FAILED, "try 'vvmrun --help'");
		set_option(r, option, optarg);
	}
	r->argv = argv + optind;
	if (!r->argv[0])
		tool_die(RUN_FAILED, "no program given: try 'vvmrun --help'");
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

	tool_init(argv[0]);
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
