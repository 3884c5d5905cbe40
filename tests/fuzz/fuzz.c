/* SPDX-License-Identifier: MIT */
#include "fuzz/fuzz.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "support/wait.h"

#define INPUT_BYTES 4096

bool fuzz_refused;
static uint64_t state = 88172645463325252u;

/* xorshift64 */
uint64_t fuzz_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

size_t fuzz_make_bytes(uint8_t *data, size_t least, size_t most)
{
	size_t size = least + fuzz_random() % (most - least + 1), i;

	for (i = 0; i < size; i++)
		data[i] = (uint8_t)(fuzz_random() >> 32);
	return size;
}

void fuzz_must_eq(int64_t a, int64_t b, const char *a_text, const char *b_text,
		  const char *file, int line)
{
	if (a == b)
		return;
	fprintf(stderr, "%s:%d: %s is %lld, %s is %lld\n", file, line, a_text,
		(long long)a, b_text, (long long)b);
	abort();
}

#ifdef VVM_LIBFUZZER

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most,
			       unsigned seed);

/* The corpus begins with what fuzz_make() makes, and gets more of it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most,
			       unsigned seed)
{
	static uint8_t made[INPUT_BYTES];
	size_t n;

	if (seed % 16)
		return LLVMFuzzerMutate(data, size, most);
	state ^= (uint64_t)seed << 20 | 1;
	if (!state)
		state = 1;
	n = fuzz_make(made, sizeof(made));
	n = n < most ? n : most;
	memcpy(data, made, n);
	return n;
}

#else

/* The input at hand, for who dies of it. */
static uint8_t input[INPUT_BYTES];
static size_t input_size;
static long input_number;
static int report = STDERR_FILENO; /* targets put 2 elsewhere */

static void say(const char *text)
{
	if (write(report, text, strlen(text)) < 0)
		return;
}

/* In hexadecimal, as an argument for a replay. */
static void on_abort(int sig)
{
	static char text[2 * INPUT_BYTES + 64];
	int at = snprintf(text, 64,
			  "input %ld, to be replayed with x:", input_number);
	size_t i;

	for (i = 0; i < input_size; i++)
		at += snprintf(text + at, 3, "%02x", input[i]);
	say(text);
	say("\n");
	signal(sig, SIG_DFL);
	raise(sig);
}

static int run_input(void)
{
	return LLVMFuzzerTestOneInput(input, input_size);
}

static void read_hex(const char *text)
{
	char pair[3] = "";

	for (input_size = 0; text[0] && text[1] && input_size < INPUT_BYTES;
	     text += 2) {
		memcpy(pair, text, 2);
		input[input_size++] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

/* x:HEX, or a file. */
static int replay(const char *what)
{
	FILE *f;

	if (!strncmp(what, "x:", 2)) {
		read_hex(what + 2);
		return run_input();
	}
	f = fopen(what, "rb");
	if (!f) {
		perror(what);
		return 1;
	}
	input_size = fread(input, 1, sizeof(input), f);
	fclose(f);
	return run_input();
}

/* What hangs ends. */
static void bound_time(const char *wish)
{
	if (!wish)
		alarm((unsigned)wait_scaled(120));
}

/* FUZZ_RUNS inputs, of FUZZ_SEED. */
int main(int argc, char **argv)
{
	const char *wish = getenv("FUZZ_RUNS"), *seed = getenv("FUZZ_SEED");
	long runs = wish ? atol(wish) : fuzz_runs;
	int i, bad = 0;

	report = dup(STDERR_FILENO);
	signal(SIGABRT, on_abort);
	bound_time(wish);
	if (seed)
		state += 2 * strtoull(seed, NULL, 10);
	for (i = 1; i < argc; i++)
		bad |= replay(argv[i]);
	for (; argc == 1 && !fuzz_refused && input_number < runs;
	     input_number++) {
		input_size = fuzz_make(input, sizeof(input));
		run_input();
	}
	if (fuzz_refused)
		return 77;
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
