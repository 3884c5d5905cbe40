/* SPDX-License-Identifier: MIT */
/*
 * fuzz/cli_bench.c - the command lines of vvmbench's sub-commands: any
 * arguments are either understood or refused. The first byte of an input says
 * which sub-command. They run until they begin to work: where they catch
 * signals, fork, or open a space, the linker sends them to args_leave(); and
 * there is no file that they can open. What they have allocated when they are
 * left is freed, or hours of inputs would fill the memory.
 */
#define _GNU_SOURCE 1
#include "fuzz/args.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>
#include "vvm.h"
#include "vvmbench/compare.h"
#include "vvmbench/faults.h"
#include "vvmbench/heap/heap.h"
#include "vvmbench/hit.h"
#include "vvmbench/machine/confine.h"
#include "vvmbench/run.h"
#include "vvmbench/sim/sim.h"
#include "vvmbench/sort/sort.h"

const char args_program[] = "vvmbench";

const char *const args_words[] = {
	"-m",	    "--resident=", "--size=",	"--engine=",  "--faults=",
	"inline",   "vvm",	   "raw",	"swap",	      "--pattern=",
	"zipf",	    "fill",	   "-t",	"--threads=", "--seconds=",
	"1M",	    "64M",	   "1T",	"0.5",	      "-e",
	"vvm,swap", "--rounds=",   "--json",	"--csv",      "--trace=",
	"--lackey", "--",	   "/bin/true", "1/4",	      "--help",
	"-o",	    "--write=",
};
const unsigned args_word_count = ARRAY_SIZE(args_words);

void __wrap_bench_catch_interrupts(void);
int __wrap_vvm_open(struct vvm **out, const struct vvm_options *options);
pid_t __wrap_fork(void);
FILE *__real_fopen(const char *path, const char *how);
FILE *__wrap_fopen(const char *path, const char *how);
int __real_open(const char *path, int flags, ...);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void __real_free(void *p);
void __wrap_free(void *p);
int __wrap_open(const char *path, int flags, ...);

void __wrap_bench_catch_interrupts(void)
{
	args_leave();
}

int __wrap_vvm_open(struct vvm **out, const struct vvm_options *options)
{
	(void)out;
	(void)options;
	args_leave();
}

pid_t __wrap_fork(void)
{
	args_leave();
}

/* libFuzzer opens files, too. */
FILE *__wrap_fopen(const char *path, const char *how)
{
	if (!args_running())
		return __real_fopen(path, how);
	errno = EACCES;
	return NULL;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	if (args_running()) {
		errno = EACCES;
		return -1;
	}
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return __real_open(path, flags, mode);
}

/* What the command that runs has allocated. */
static void *allocated[64];
static unsigned allocations;

void *__wrap_calloc(size_t count, size_t bytes)
{
	void *p = __real_calloc(count, bytes);

	if (p && args_running()) {
		MUST(allocations < ARRAY_SIZE(allocated));
		allocated[allocations++] = p;
	}
	return p;
}

void __wrap_free(void *p)
{
	unsigned i;

	for (i = 0; i < allocations && allocated[i] != p; i++)
		;
	if (i < allocations)
		allocated[i] = allocated[--allocations];
	__real_free(p);
}

static void free_all(void)
{
	while (allocations)
		__real_free(allocated[--allocations]);
}

static int (*const commands[])(int argc, char **argv) = {
	bench_run,  bench_compare, bench_hit,  bench_faults,
	bench_sort, bench_confine, bench_heap, bench_sim,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct args a;

	if (!size)
		return 0;
	args_make(&a, data + 1, size - 1);
	if (!args_run(commands[data[0] % ARRAY_SIZE(commands)], &a))
		free_all();
	allocations = 0;
	return 0;
}

const long fuzz_runs = 5000;
