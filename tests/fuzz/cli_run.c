/* SPDX-License-Identifier: MIT */
/*
 * fuzz/cli_run.c - vvmrun's command line: any arguments are either understood
 * or refused. What is understood has a program, which is one of the arguments,
 * a budget that libvvm takes, and wishes that reach the preload object as they
 * were meant.
 */
#define _GNU_SOURCE 1
#include "fuzz/args.h"

#include <string.h>
#include "vvm.h"
#include "vvmrun/cli.h"

const char args_program[] = "vvmrun";

const char *const args_words[] = {
	"-m",	      "--resident=", "--resident", "-s",
	"--swap",     "/var/tmp",    "--faults",   "--faults=",
	"inline",     "thread",	     "--mmap",	   "--mmap=",
	"64k",	      "0",	     "--follow",   "--stat",
	"--stat=",    "0.1",	     "1e9",	   "-v",
	"--verbose",  "-o",	     "--output=",  "--",
	"-",	      "/bin/true",   "--help",	   "--version",
	"--syscalls", "--syscalls=", "auto",	   "trap",
	"25%",	      "16M",	     "4095",	   "999999999999999999999",
};
const unsigned args_word_count = ARRAY_SIZE(args_words);

static struct run run;

static int parse(int argc, char **argv)
{
	memset(&run, 0, sizeof(run));
	cli_parse(&run, argc, argv);
	return 0;
}

static bool is_among(char *const *rest, const struct args *a)
{
	int i;

	for (i = 1; i < a->count; i++)
		if (a->arg[i] == rest[0])
			return true;
	return false;
}

/* As the preload object reads what we write. */
static void check_wishes(const struct wishes *w)
{
	char text[WISHES_BYTES];
	struct wishes back;

	wishes_format(w, text);
	MUST(wishes_parse(&back, text));
	MUST(back.follow == w->follow && back.say == w->say &&
	     back.mmap_min == w->mmap_min);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vvm_options options;
	struct args a;

	unsetenv("VVM_RESIDENT");
	unsetenv("VVM_SWAP");
	unsetenv("VVM_FAULTS");
	unsetenv("VVM_SYSCALLS");
	args_make(&a, data, size);
	if (!args_run(parse, &a))
		return 0;
	MUST(run.argv && run.argv[0] && is_among(run.argv, &a));
	MUST(run.stat_s == 0 || (run.stat_s >= 0.01 && run.stat_s <= 1e6));
	MUST(!run.output || run.verbose);
	MUST_EQ(vvm_options_init(&options), 0);
	check_wishes(&run.wishes);
	return 0;
}

const long fuzz_runs = 20000;
