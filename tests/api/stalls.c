/* SPDX-License-Identifier: MIT */
/*
 * api/stalls.c - an access that waits for a frame which does not come is
 * reported: one line in the log, a count, and vvmstat says so as long as it
 * lasts. Takes the five seconds that nobody has to explain himself.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "support/live.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET	16
#define PAGES	128
#define SLOTS	8
#define WAIT_MS 60000

static char *base;
static FILE *log_file;

static void setup(void)
{
	struct vvm_options o;

	log_file = tmpfile();
	live_check(log_file != NULL);
	live_options(&o, BUDGET);
	o.swap_limit_bytes = SLOTS * LIVE_PAGE;
	o.frame_wait_ms = 86400000;
	o.stat_segment = 1;
	live_ok(vvm_open(&vm, &o));
	base = live_map(vm, PAGES, LIVE_RW);
}

static void *write_all(void *arg)
{
	char *to = arg;

	for (uint64_t i = 0; i < PAGES / 2; i++)
		*(volatile uint64_t *)(to + i * LIVE_PAGE) = i + 1;
	return NULL;
}

/* What vvmstat prints of this process. */
static const char *vvmstat(const char *options)
{
	static char text[1 << 15];
	const char *tool = getenv("VVMSTAT");
	char command[512];
	FILE *f;
	size_t n;

	snprintf(command, sizeof command, "%s -p %d %s",
		 tool ? tool : "tools/vvmstat/vvmstat", (int)getpid(), options);
	f = popen(command, "r");
	live_check(f != NULL);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	live_equal(pclose(f), 0);
	return text;
}

/* Lines of the log that have this. */
static unsigned logged(const char *text)
{
	char line[1024];
	unsigned n = 0;

	rewind(log_file);
	while (fgets(line, sizeof line, log_file))
		n += strstr(line, text) != NULL;
	return n;
}

START_TEST(a_full_swap)
{
	int to_stderr = dup(STDERR_FILENO);
	pthread_t thread;

	dup2(fileno(log_file), STDERR_FILENO);
	live_equal(pthread_create(&thread, NULL, write_all, base), 0);
	/* before, a slow disk may have been told of, until it went on */
	live_wait(strstr(vvmstat("--json"), "\"stalled_on\":\"frame\""),
		  WAIT_MS);
	live_check(live_stats(vm).watchdog_stalls > 0);
	live_check(strstr(vvmstat(""), ": waiting for a free frame\n"));
	live_check(strstr(vvmstat("-s"), "stalled_s"));
	live_check(strstr(vvmstat("-H"), "stalled "));
	/* what it wrote is dropped, and there is room again, until it is done */
	while (pthread_tryjoin_np(thread, NULL))
		live_ok(vvm_advise(vm, live_addr(base), PAGES / 2 * LIVE_PAGE,
				   VVM_ADV_DONTNEED));
	live_wait(strstr(vvmstat("--json"), "\"stalled_on\":\"\""), WAIT_MS);
	dup2(to_stderr, STDERR_FILENO);
	live_equal(logged("waiting for a free frame"), 1);
	live_equal(logged("faults have not got on for "),
		   live_stats(vm).watchdog_stalls);
	live_ok(vvm_close(vm));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "stalls");

	tcase_add_test(tc, a_full_swap);
}

const struct test_program test_program = {
	.name = "api_stalls",
	.counts = true, /* and publishes */
	.add = add_tests,
	.setup = setup,
	.missing = live_missing,
	.modes = true,
};
