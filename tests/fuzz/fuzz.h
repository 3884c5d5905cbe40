/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz.h - what drives a fuzz target: libFuzzer (`make fuzz`, with
 * clang), or else the main() of fuzz.c, which makes inputs from a seed, or
 * replays the files that it is given. The latter is a test of its own, and the
 * same everywhere.
 */
#ifndef VVM_FUZZ_H
#define VVM_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What the harness itself relies on. */
#define MUST(x)                                                         \
	((x) ? (void)0                                                  \
	     : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x), \
		abort()))

/* What a target defines: how many inputs, unless FUZZ_RUNS says so. */
extern const long fuzz_runs;

/* Fills data with an input that is likely to mean something; its size. */
size_t fuzz_make(uint8_t *data, size_t most);

/* libFuzzer's name: the target itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For fuzz_make(). */
uint64_t fuzz_random(void);

#endif
