/* SPDX-License-Identifier: MIT */
/*
 * fuzz/args.h - command lines from inputs. An input is the arguments, each
 * ended by a newline; a byte below 32 stands for one of the target's words, so
 * that combinations come up.
 *
 * Parsers end the program by exit(), which the linker sends here (--wrap), as
 * it does with what begins the work: args_leave().
 */
#ifndef VVM_FUZZ_ARGS_H
#define VVM_FUZZ_ARGS_H

#include "fuzz/fuzz.h"

#define ARGS_MAX 12

struct args {
	char text[512], *arg[ARGS_MAX + 2]; /* ends with NULL */
	int count;
};

/* What the target has: its name, and 32 words at most. */
extern const char args_program[];
extern const char *const args_words[];
extern const unsigned args_word_count;

void args_make(struct args *a, const uint8_t *data, size_t size);
/* Runs it; false: it was left. */
bool args_run(int (*main)(int argc, char **argv), struct args *a);
/* Is it running? */
bool args_running(void);
/* => in args_run(). */
_Noreturn void args_leave(void);

#endif
