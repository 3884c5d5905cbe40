/* SPDX-License-Identifier: MIT */
/*
 * support/expect.h - checks that cost next to nothing and may be made in any
 * thread, unlike ck_assert(). In a libcheck program a failure ends the test,
 * else the process.
 */
#ifndef VVM_EXPECT_H
#define VVM_EXPECT_H

#include <stdio.h>
#include <unistd.h>
#include <vvm.h>

/* main() of a libcheck program says so before the first test. */
void expect_in_check(void);
/* A forked child of one: a failure ends it with this status. */
void expect_in_child(int status);
/* What every failure begins with from now on; it is not copied. NULL: nothing. */
void expect_context(const char *text);

void live_fail(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

#define live_check(cond)                                                   \
	do {                                                               \
		if (!(cond))                                               \
			live_fail("%s:%d: %s", __FILE__, __LINE__, #cond); \
	} while (0)

#define live_equal(a, b)                                               \
	do {                                                           \
		long long a_ = (long long)(a), b_ = (long long)(b);    \
		if (a_ != b_)                                          \
			live_fail("%s:%d: %s is %lld, not %s = %lld",  \
				  __FILE__, __LINE__, #a, a_, #b, b_); \
	} while (0)

/* A vvm_* call must return this. */
#define live_expect(call, want)                                             \
	do {                                                                \
		int got_ = (call), want_ = (want);                          \
		if (got_ != want_)                                          \
			live_fail("%s:%d: %s returns %d (%s), not %d (%s)", \
				  __FILE__, __LINE__, #call, got_,          \
				  vvm_strerror(got_), want_,                \
				  vvm_strerror(want_));                     \
	} while (0)
#define live_ok(call) live_expect(call, 0)

/* In a child made by live_child(): no libcheck there, just die. */
#define child_check(cond)                                                      \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, \
				__LINE__, #cond);                              \
			_exit(99);                                             \
		}                                                              \
	} while (0)
#define child_expect(call, want)                                        \
	do {                                                            \
		int got_ = (call);                                      \
		if (got_ != (want)) {                                   \
			fprintf(stderr,                                 \
				"%s:%d: in the child: %s is %d (%s)\n", \
				__FILE__, __LINE__, #call, got_,        \
				vvm_strerror(got_));                    \
			_exit(99);                                      \
		}                                                       \
	} while (0)
#endif
