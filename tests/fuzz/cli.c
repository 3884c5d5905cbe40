/* SPDX-License-Identifier: MIT */
/*
 * fuzz/cli.c - vvmstat's command line: any arguments are either understood
 * or refused.
 */
#define _GNU_SOURCE 1
#include "fuzz/args.h"

#include "vvmstat/cli.h"

const char args_program[] = "vvmstat";

const char *const args_words[] = {
	"-p",	   "-l",       "-s",	 "-w",	  "-r",	      "-H",
	"-m",	   "-T",       "-S",	 "-o",	  "--json",   "--csv",
	"--trace", "--trace=", "--heat", "--png", "--doctor", "--region",
	"1",	   "0.1",      "JSON",	 "k",	  "swapin,",  "addr=",
	"us=",	   "4711",     "--",	 "-e",	  "-f",	      "--dir",
};
const unsigned args_word_count = ARRAY_SIZE(args_words);

static int parse(int argc, char **argv)
{
	static struct options options;

	cli_parse(&options, argc, argv);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct args a;

	args_make(&a, data, size);
	args_run(parse, &a);
	return 0;
}

const long fuzz_runs = 20000;
