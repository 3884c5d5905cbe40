/* SPDX-License-Identifier: MIT */
/*
 * live/soak.c - vvmbench soak for some seconds: all that it verifies is right,
 * and it notices what leaks meanwhile.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common/tool.h"
#include "support/expect.h"
#include "support/live.h"
#include "support/test.h"
#include "support/wait.h"
#include "vvmbench/soak.h"

/* The verdict on speed is for an idle machine: with that tolerance, none. */
#define ANY "--tolerance=1000"

static char *const clean[][14] = {
	{"soak", "-d1", "--warm=0.5", "-s8M", "-m512K", "-t4", ANY, "--json"},
	{"soak", "-d1", "--warm=0.5", "-s8M", "-m2M", "-t2", ANY, "--fork"},
};

static char *const refused[][14] = {
	{"soak", "-d0"},
	{"soak", "-d5y"},
	{"soak", "-d2", "--warm=3"},
	{"soak", "extra"},
};

static void run_soak(char *const *line)
{
	char *argv[14];
	int argc, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	live_check(null >= 0);
	dup2(null, STDOUT_FILENO);
	close(null);
	for (argc = 0; line[argc]; argc++)
		argv[argc] = line[argc];
	argv[argc] = NULL;
	tool_init("vvmbench", TOOL_USAGE);
	exit(bench_soak(argc, argv));
}

START_TEST(all_is_right)
{
	run_soak(clean[_i]);
}
END_TEST

START_TEST(wrong_usage)
{
	run_soak(refused[_i]);
}
END_TEST

/* A hundred descriptors a second, of which 8 would be allowed in all. */
static void *leak(void *unused)
{
	(void)unused;
	while (dup(STDERR_FILENO) >= 0)
		usleep(10000);
	return NULL;
}

START_TEST(a_leak_is_noticed)
{
	static char *const line[] = {"soak", "-d3",  "--warm=0.5", "-i0.1",
				     "-s4M", "-m1M", "-t1",	   NULL};
	pthread_t thread;

	live_equal(pthread_create(&thread, NULL, leak, NULL), 0);
	run_soak(line);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "soak");

	test_limit(tc, TEST_SECONDS);
	tcase_add_loop_exit_test(tc, all_is_right, TOOL_OK, 0, LIVE_LEN(clean));
	tcase_add_loop_exit_test(tc, wrong_usage, TOOL_USAGE, 0,
				 LIVE_LEN(refused));
	tcase_add_exit_test(tc, a_leak_is_noticed, TOOL_FAILED);
}

const struct test_program test_program = {
	.name = "live_soak",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
