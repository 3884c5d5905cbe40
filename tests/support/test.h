/* SPDX-License-Identifier: MIT */
/*
 * support/test.h - the frame of every libcheck program. A program defines
 * test_program, and nothing else that is not static; main() is in
 * support/main.c. Cases are made by test_case(), so that each has a time
 * limit, and the fixture of its program.
 */
#ifndef VVM_TEST_H
#define VVM_TEST_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct test_program {
	const char *name; /* of its suite */
	void (*add)(Suite *suite);
	/* In the process of each test, before it and after it; or NULL. */
	SFun setup, teardown;
	/* Why this machine cannot run the program, NULL: it can. Or NULL. */
	const char *(*missing)(void);
	/*
	 * All of it once for each way to take faults, or for the one that
	 * VVM_FAULTS names, where a space takes it from. The suite's name has
	 * the way's behind it.
	 */
	bool modes;
	bool unguarded; /* not in guard mode: accesses fail of more there */
	/* Is about statistics: nothing to test in a build without them. */
	bool counts;
	/* Once, in the process that runs the tests, around all; or NULL. */
	void (*begin)(void), (*end)(void);
};

extern const struct test_program test_program;

/* A new case, with the program's fixture, that has TEST_SECONDS for each test.
 */
TCase *test_case(Suite *suite, const char *name);

/* The same with another fixture; NULL: none. */
TCase *test_case_with(Suite *suite, const char *name, SFun setup,
		      SFun teardown);

/* A test that reads counters: in a build with --disable-stats it is left out. */
#ifdef VVM_NO_STATS
#define TEST_STATS 0
#else
#define TEST_STATS 1
#endif
#define test_counted(tc, test)                    \
	do {                                      \
		if (TEST_STATS)                   \
			tcase_add_test(tc, test); \
	} while (0)

/*
 * A limit bounds what hangs, it measures nothing: it is far more than any test
 * takes, and is lengthened as wait_factor() says.
 */
#define TEST_SECONDS 60
void test_limit(TCase *tc, unsigned seconds);

#endif
