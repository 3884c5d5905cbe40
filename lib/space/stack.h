/* SPDX-License-Identifier: MIT */
/*
 * space/stack.h - what must not run on a stack that is paged: space/stack.c.
 */
#ifndef VVM_STACK_H
#define VVM_STACK_H

#include "space/paged.h"

#define STACK_ARGS 5

/* Is the caller's own stack paged memory? */
static inline bool stack_is_paged(void)
{
	return unlikely(
		paged_at((haddr_t)(uintptr_t)__builtin_frame_address(0)));
}

/*
 * Calls fn with these words, on a stack of ours, with signals held back there as
 * by os_signals_block(). fn takes up to STACK_ARGS integers or pointers, and
 * returns one or nothing; who calls narrows the result to its type. Where there
 * is no memory for a stack it runs on the caller's.
 */
uintptr_t stack_call(void (*fn)(void), const uintptr_t *arg, unsigned args);

#define STACK_WORD_1(a)			 (uintptr_t)(a)
#define STACK_WORD_2(a, ...)		 (uintptr_t)(a), STACK_WORD_1(__VA_ARGS__)
#define STACK_WORD_3(a, ...)		 (uintptr_t)(a), STACK_WORD_2(__VA_ARGS__)
#define STACK_WORD_4(a, ...)		 (uintptr_t)(a), STACK_WORD_3(__VA_ARGS__)
#define STACK_WORD_5(a, ...)		 (uintptr_t)(a), STACK_WORD_4(__VA_ARGS__)
#define STACK_NTH(a, b, c, d, e, n, ...) n
#define STACK_WORDS(...)                                                 \
	STACK_NTH(__VA_ARGS__, STACK_WORD_5, STACK_WORD_4, STACK_WORD_3, \
		  STACK_WORD_2, STACK_WORD_1, )                          \
	(__VA_ARGS__)
/* stack_call() of a function with its arguments; the result is a word. */
#define STACK_CALL(fn, ...)                                                 \
	stack_call((void (*)(void))(fn),                                    \
		   (const uintptr_t[STACK_ARGS]){STACK_WORDS(__VA_ARGS__)}, \
		   STACK_ARGS)

#endif
