/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz.h - what drives a fuzz target: libFuzzer (`make fuzz`, with
 * clang), or else the main() of fuzz.c, which makes inputs from a seed, or
 * replays the files that it is given. The latter is a test of its own, and the
 * same everywhere.
 *
 * Most targets take an input as a list of orders, which they read byte by byte
 * with the functions below; what is missing at the end reads as zeros. So any
 * input means something, and a shorter one means less.
 */
#ifndef VVM_FUZZ_H
#define VVM_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

/* What must hold, of the target and of the harness itself. */
#define MUST(x)                                                         \
	((x) ? (void)0                                                  \
	     : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x), \
		abort()))

/* Two numbers that must be the same; both are shown. */
#define MUST_EQ(a, b) \
	fuzz_must_eq((int64_t)(a), (int64_t)(b), #a, #b, __FILE__, __LINE__)
void fuzz_must_eq(int64_t a, int64_t b, const char *a_text, const char *b_text,
		  const char *file, int line);

/* What a target defines: how many inputs, unless FUZZ_RUNS says so. */
extern const long fuzz_runs;

/* Set by a target that cannot work on this machine: the test is skipped. */
extern bool fuzz_refused;

/* Fills data with an input that is likely to mean something; its size. */
size_t fuzz_make(uint8_t *data, size_t most);

/* libFuzzer's name: the target itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For fuzz_make(). */
uint64_t fuzz_random(void);
/* `least` to `most` random bytes; the size. */
size_t fuzz_make_bytes(uint8_t *data, size_t least, size_t most);

/* ---- reading an input ---- */

struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

/* 0 .. n - 1; n <= 256. */
static inline unsigned fuzz_below(struct fuzz_input *in, unsigned n)
{
	return fuzz_byte(in) % n;
}

static inline unsigned fuzz_word(struct fuzz_input *in)
{
	unsigned low = fuzz_byte(in);

	return low | (unsigned)fuzz_byte(in) << 8;
}

#endif
