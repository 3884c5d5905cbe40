/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include "support/wait.h"

TCase *test_case_with(Suite *suite, const char *name, SFun setup, SFun teardown)
{
	TCase *tc = tcase_create(name);

	test_limit(tc, TEST_SECONDS);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

TCase *test_case(Suite *suite, const char *name)
{
	return test_case_with(suite, name, test_program.setup,
			      test_program.teardown);
}

/* libcheck itself multiplies it by CK_TIMEOUT_MULTIPLIER. */
void test_limit(TCase *tc, unsigned seconds)
{
	tcase_set_timeout(tc, seconds * wait_factor());
}
