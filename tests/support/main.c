/* SPDX-License-Identifier: MIT */
/*
 * support/main.c - main() of every libcheck program. The exit status is 0, 1,
 * or 77 when the machine lacks what the whole program needs.
 */
#include <string.h>

#include "support/expect.h"
#include "support/test.h"

#define TEST_SKIP 77

/* Those that VVM_FAULTS may name here. */
static const char *const modes[] = {
	"thread",
#ifdef __x86_64__
	"inline",
	"guard",
#endif
};

/* Makes, runs and frees the suite; true: nothing failed. */
static bool run(const char *name)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	test_program.add(suite);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0;
}

/* In support/live.c, which programs that open no space do not link. */
extern const char *live_mode_missing(const char *mode) __attribute__((weak));

/* *ran: it is a mode that there is here. */
static bool run_mode(const char *mode, bool *ran)
{
	const char *missing =
		live_mode_missing ? live_mode_missing(mode) : NULL;
	char name[64];

	snprintf(name, sizeof(name), "%s (%s)", test_program.name, mode);
	if (missing) {
		printf("%s: left out: %s\n", name, missing);
		return true;
	}
	*ran = true;
	setenv("VVM_FAULTS", mode, 1);
	return run(name);
}

static bool run_modes(bool *ran)
{
	const char *wish = getenv("VVM_FAULTS");
	char *only = wish ? strdup(wish) : NULL;
	bool good = true;
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if ((!only || !strcmp(only, modes[i])) &&
		    !(test_program.unguarded && !strcmp(modes[i], "guard")))
			good &= run_mode(modes[i], ran);
	free(only);
	return good;
}

int main(void)
{
	const struct test_program *p = &test_program;
	const char *missing = p->missing ? p->missing() : NULL;
	bool good, ran = !p->modes;

	if (p->counts && !TEST_STATS)
		missing = "this build has no statistics";
	if (missing) {
		printf("%s: skipped: %s\n", p->name, missing);
		return TEST_SKIP;
	}
	expect_in_check();
	if (p->begin)
		p->begin();
	good = p->modes ? run_modes(&ran) : run(p->name);
	if (p->end)
		p->end();
	if (!ran)
		return TEST_SKIP;
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
