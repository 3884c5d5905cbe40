/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz.h - what drives a fuzz target: libFuzzer (`make fuzz`, with clang), or
 * else the main() here, which makes FUZZ_RUNS inputs (environment) from a
 * seed, or replays the files that it is given. The latter is a test of its
 * own, and the same everywhere.
 */
#ifndef VVM_FUZZ_H
#define VVM_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What the harness itself relies on. */
#define MUST(x)                                                                \
	((x) ? (void)0                                                         \
	     : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef VVM_LIBFUZZER

static uint64_t fuzz_state = 88172645463325252u;

/* xorshift64 */
static uint64_t fuzz_random(void)
{
	fuzz_state ^= fuzz_state << 13;
	fuzz_state ^= fuzz_state >> 7;
	fuzz_state ^= fuzz_state << 17;
	return fuzz_state;
}

/* Fills data with an input that is likely to mean something. */
static size_t fuzz_make(uint8_t *data, size_t most);

static int fuzz_replay(const char *path)
{
	static uint8_t data[1 << 16];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	return LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
	static uint8_t data[1024];
	const char *runs = getenv("FUZZ_RUNS");
	long i, n = runs ? atol(runs) : FUZZ_RUNS;

	for (i = 1; i < argc; i++)
		fuzz_replay(argv[i]);
	for (i = 0; argc == 1 && i < n; i++)
		LLVMFuzzerTestOneInput(data, fuzz_make(data, sizeof(data)));
	return EXIT_SUCCESS;
}

#endif
#endif
