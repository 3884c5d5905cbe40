/* SPDX-License-Identifier: MIT */
/*
 * fuzz/cli.c - vvmstat's command line: any arguments are either understood
 * or refused. An input is the arguments, each ended by a newline; a byte
 * below 32 stands for one of the words below, so that combinations come up.
 *
 * The parser ends the program by exit(); the linker sends that here (--wrap).
 */
#define _GNU_SOURCE 1
#include "fuzz/fuzz.h"

#include <getopt.h>
#include <setjmp.h>
#include <string.h>
#include "vvmstat/cli.h"
#include "common/tool.h"

#define ARGUMENTS 12
#define TEXT_MAX  400

static const char *const words[] = {
	"-p",	   "-l",       "-s",	 "-w",	  "-r",	      "-H",
	"-m",	   "-T",       "-S",	 "-o",	  "--json",   "--csv",
	"--trace", "--trace=", "--heat", "--png", "--doctor", "--region",
	"1",	   "0.1",      "JSON",	 "k",	  "swapin,",  "addr=",
	"us=",	   "4711",     "--",	 "-e",	  "-f",	      "--dir",
};

static jmp_buf out;
static bool inside;

_Noreturn void __real_exit(int status);
_Noreturn void __wrap_exit(int status);
_Noreturn void __wrap_exit(int status)
{
	if (inside)
		longjmp(out, 1);
	__real_exit(status);
}

/* Writes the arguments into text and points arg at them. */
static int make_arguments(const uint8_t *data, size_t size, char *text,
			  char **arg)
{
	size_t i, at = 0;
	int n = 0;

	arg[n++] = text;
	at = (size_t)sprintf(text, "vvmstat") + 1;
	arg[n] = text + at;
	for (i = 0; i < size && at < TEXT_MAX - 16 && n < ARGUMENTS; i++) {
		if (data[i] == '\n') {
			text[at++] = '\0';
			arg[++n] = text + at;
		} else if (data[i] < 32) {
			at += (size_t)sprintf(
				text + at, "%s",
				words[data[i] % ARRAY_SIZE(words)]);
		} else {
			text[at++] = (char)data[i];
		}
	}
	text[at++] = '\0';
	n += arg[n][0] != '\0';
	arg[n] = NULL;
	return n;
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	tool_init("vvmstat", TOOL_USAGE);
#ifndef VVM_LIBFUZZER /* which has -close_fd_mask, and words of its own */
	MUST(freopen("/dev/null", "w", stdout));
	MUST(freopen("/dev/null", "w", stderr));
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 64], *arg[ARGUMENTS + 2];
	static struct options options;
	int n;

	set_up();
	n = make_arguments(data, size, text, arg);
	inside = true;
	if (setjmp(out) == 0)
		cli_parse(&options, n, arg);
	inside = false;
	return 0;
}

const long fuzz_runs = 20000;

size_t fuzz_make(uint8_t *data, size_t most)
{
	static const char letters[] = "\n\n\n-=,.x019af";
	size_t size = 1 + fuzz_random() % 24, i;

	MUST(size <= most);
	for (i = 0; i < size; i++)
		data[i] = fuzz_random() % 2
				  ? (uint8_t)(fuzz_random() % 32)
				  : (uint8_t)letters[fuzz_random() %
						     (sizeof(letters) - 1)];
	return size;
}
