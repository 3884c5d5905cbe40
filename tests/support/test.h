/* SPDX-License-Identifier: MIT */
/*
 * support/test.h - the frame of every libcheck program: one suite, exit status 0, 1,
 * or 77 when the machine lacks what the whole program needs.
 */
#ifndef VVM_TEST_H
#define VVM_TEST_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define TEST_SKIP 77

/* Runs and frees the suite; for main() to return. */
static inline int test_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A test case of its own with a time limit in seconds. */
static inline TCase *test_case(Suite *suite, const char *name, int seconds)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, seconds);
	suite_add_tcase(suite, tc);
	return tc;
}

#endif
