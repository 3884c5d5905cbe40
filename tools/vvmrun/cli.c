/* SPDX-License-Identifier: MIT */
/*
 * cli.c - vvmrun's options. Those that are settings of libvvm go into the
 * environment, where libvvm finds them, and are checked at once.
 */
#include "vvmrun/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <vvm.h>

#include "common/option.h"
#include "common/tool.h"

/* libc's malloc maps blocks from this size on; so do many other allocators. */
#define MMAP_MIN_BYTES ((uint64_t)128 << 10)

enum setting {
	SET_RESIDENT,
	SET_SWAP,
	SET_FAULTS,
	SET_SYSCALLS,
	SET_COMPRESS,
};

/* Sets the variable of a setting, and has libvvm look at it. */
static void take_setting(void *run, const struct opt *o, const char *option,
			 const char *value)
{
	static const char *const variables[] = {
		[SET_RESIDENT] = "VVM_RESIDENT",
		[SET_SWAP] = "VVM_SWAP",
		[SET_FAULTS] = "VVM_FAULTS",
		[SET_SYSCALLS] = "VVM_SYSCALLS",
		[SET_COMPRESS] = "VVM_COMPRESS",
	};
	struct vvm_options ignored;

	(void)run;
	if (setenv(variables[o->value], value, 1))
		tool_die(RUN_FAILED, "%s", strerror(errno));
	if (vvm_options_init(&ignored))
		tool_usage("%s: '%s' will not do; see vvmrun(1)", option,
			   value);
}

/* Without the variable the preload object decides. */
static void take_syscalls(void *run, const struct opt *o, const char *option,
			  const char *value)
{
	if (strcmp(value, "auto") != 0)
		take_setting(run, o, option, value);
	else if (unsetenv("VVM_SYSCALLS"))
		tool_die(RUN_FAILED, "%s", strerror(errno));
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
		    "the budget ($VVM_RESIDENT, 256M); auto: it follows\n"
		    "the machine"),
	OPTION_TAKE('s', "swap", take_setting, SET_SWAP, "PATH",
		    "directory, file or block device to page to\n"
		    "($VVM_SWAP, /var/tmp)"),
	OPTION_TAKE(0, "faults", take_setting, SET_FAULTS, "HOW",
		    "who resolves faults: thread (the default), or\n"
		    "inline: faster, for blocks of 128K or more only"),
	OPTION_TAKE(0, "compress", take_setting, SET_COMPRESS, "HOW",
		    "pages that do not fit are kept in a part of the\n"
		    "budget, compressed, as far as that pays: lz4, auto\n"
		    "(if it can), or off"),
	OPTION_TAKE(0, "syscalls", take_syscalls, SET_SYSCALLS, "HOW",
		    "system calls that the kernel would refuse on paged\n"
		    "memory: trap, off, or auto (trap where need be)"),
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

void cli_parse(struct run *r, int argc, char **argv)
{
	if (opt_parse(&command, r, argc, argv) == 0)
		tool_usage("no program given: try 'vvmrun --help'");
	r->argv = argv + 1;
	r->wishes.say = r->verbose || r->stat_s > 0;
	if (r->output)
		r->verbose = true;
}
