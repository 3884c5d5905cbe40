/* SPDX-License-Identifier: MIT */
/*
 * tail.h - calls that are the last thing a function does, as jumps: who is
 * called sees the caller's caller, and returns to him.
 */
#ifndef VVM_PRELOAD_TAIL_H
#define VVM_PRELOAD_TAIL_H

#ifdef __has_attribute
#if __has_attribute(musttail)
#define TAIL_CALL __attribute__((musttail))
#endif
#endif
#ifndef TAIL_CALL
#define TAIL_CALL
#endif
/* Nothing that an instrumented build wants done at the end: no jump then. */
#ifdef __clang__
#define JUMPS __attribute__((no_sanitize("thread")))
#else
#define JUMPS                                                          \
	__attribute__((optimize("O2"), no_profile_instrument_function, \
		       no_sanitize("thread")))
#endif

#endif
