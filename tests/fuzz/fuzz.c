/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

/* xorshift64 */
uint64_t fuzz_random(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

#ifndef VVM_LIBFUZZER

static int replay(const char *path)
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
	const char *wish = getenv("FUZZ_RUNS");
	long i, runs = wish ? atol(wish) : fuzz_runs;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	for (i = 0; argc == 1 && i < runs; i++)
		LLVMFuzzerTestOneInput(data, fuzz_make(data, sizeof(data)));
	return EXIT_SUCCESS;
}

#endif
