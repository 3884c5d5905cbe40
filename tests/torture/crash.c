/* SPDX-License-Identifier: MIT */
/*
 * torture/crash.c - kill -9 at random moments. torture/stress runs, publishes
 * statistics, has fork children, and is killed: it alone, so that its children
 * go on as orphans, or all of them. Each time
 *
 *  - nothing has ended by itself before that, and no orphan in any other way
 *    than a child may (see ops_fork.c);
 *  - the directory holds the swap file that has a name, and nothing else;
 *  - the next start on the same swap works, and takes away the statistics of
 *    who was killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/live.h"
#include "support/random.h"
#include "support/wait.h"

#define LIFE_MS	      500 /* at most, until the kill; on an idle machine */
#define END_MS	      60000
#define NOT_INHERITED 3 /* exit status of a child: ops_fork.c */
#define VICTIMS	      256

static struct {
	long seconds;
	uint64_t seed;
	const char *threads, *budget, *fork, *directory, *stress;
} option = {20, 1, "4", "16", "inherit", NULL, "tests/torture/stress"};

static uint64_t random_state;
static unsigned kills, orphans;
/* Of whom no statistics may be left after the next start. */
static pid_t victims[VICTIMS];
static unsigned victim_count;

static void remember(pid_t pid)
{
	victims[victim_count++ % VICTIMS] = pid;
}

/* Starts torture/stress in a process group of its own. */
static pid_t start(const char *swap, const char *seconds)
{
	char seed[24];
	char *argv[] = {(char *)option.stress,
			"--seconds",
			(char *)seconds,
			"--threads",
			(char *)option.threads,
			"--budget",
			(char *)option.budget,
			"--fork",
			(char *)option.fork,
			"--swap",
			(char *)swap,
			"--seed",
			seed,
			"--size",
			"1",
			"--stat",
			NULL};
	pid_t pid;

	snprintf(seed, sizeof(seed), "%llu",
		 (unsigned long long)live_below(&random_state, 1 << 30));
	pid = fork();
	live_check(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, STDOUT_FILENO);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(99);
	}
	setpgid(pid, pid); /* whoever is first */
	return pid;
}

/* The next of our children, orphans included; 0: there is none any more. */
static pid_t reap(int *status)
{
	uint64_t end = live_now_ms() + wait_scaled(END_MS);
	pid_t pid;

	while ((pid = waitpid(-1, status, WNOHANG)) == 0) {
		if (live_now_ms() > end)
			live_fail("what was killed, or its children, do not "
				  "end");
		live_nap_us(2000);
	}
	if (pid < 0)
		live_equal(errno, ECHILD);
	return pid < 0 ? 0 : pid;
}

static bool child_may_end_so(int status, bool all)
{
	if (WIFSIGNALED(status))
		return all && WTERMSIG(status) == SIGKILL;
	return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NOT_INHERITED;
}

static void kill_one(const char *swap)
{
	bool all = live_below(&random_state, 2);
	pid_t victim = start(swap, "100000"), pid;
	int status;

	live_nap_us(1000 *
		    (long)wait_scaled(live_below(&random_state, LIFE_MS)));
	live_equal(kill(all ? -victim : victim, SIGKILL), 0);
	kills++;
	remember(victim);
	while ((pid = reap(&status))) {
		if (pid == victim) {
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
				live_fail("it ended before: status %#x",
					  (unsigned)status);
			continue;
		}
		orphans++;
		remember(pid);
		if (!child_may_end_so(status, all))
			live_fail("an orphan ended with status %#x",
				  (unsigned)status);
	}
}

/* The directory: the file with a name, or nothing. */
static void check_directory(void)
{
	DIR *dir = opendir(option.directory);
	struct dirent *d;

	live_check(dir != NULL);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.' && strcmp(d->d_name, "swap"))
			live_fail("%s is left", d->d_name);
	closedir(dir);
}

static bool is_victims(const char *name)
{
	char prefix[64];

	for (unsigned i = 0; i < victim_count && i < VICTIMS; i++) {
		snprintf(prefix, sizeof(prefix), "vvm-stat.%d.",
			 (int)victims[i]);
		if (!strncmp(name, prefix, strlen(prefix)))
			return true;
	}
	return false;
}

static void check_segments(void)
{
	DIR *dir = opendir("/dev/shm");
	struct dirent *d;

	live_check(dir != NULL);
	while ((d = readdir(dir)))
		if (is_victims(d->d_name))
			live_fail("/dev/shm/%s is left", d->d_name);
	closedir(dir);
}

/* To the end, and all that the last one has left is gone. */
static void start_again(const char *swap)
{
	pid_t child = start(swap, "1"), pid;
	int status;

	while ((pid = reap(&status)))
		if (pid == child && status)
			live_fail("the next start ends with status %#x",
				  (unsigned)status);
	check_segments();
}

static void round_of_kills(void)
{
	char named[4096];
	const char *swap = option.directory;

	snprintf(named, sizeof(named), "%s/swap", option.directory);
	if (live_below(&random_state, 2))
		swap = named;
	for (uint64_t n = 1 + live_below(&random_state, 4); n > 0; n--) {
		kill_one(swap);
		check_directory();
	}
	start_again(swap);
	check_directory();
}

static int usage(FILE *to, int status)
{
	fputs("usage: crash --directory DIR [--seconds S] [--seed N] "
	      "[--threads N]\n"
	      "             [--budget PAGES] [--fork die|inherit] "
	      "[--stress PROGRAM]\n"
	      "The directory is empty, and used for swap.\n",
	      to);
	return status;
}

static const struct option names[] = {
	{"seconds", required_argument, NULL, 's'},
	{"seed", required_argument, NULL, 'r'},
	{"threads", required_argument, NULL, 't'},
	{"budget", required_argument, NULL, 'b'},
	{"fork", required_argument, NULL, 'k'},
	{"directory", required_argument, NULL, 'd'},
	{"stress", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take(int c)
{
	switch (c) {
	case 's':
		option.seconds = strtol(optarg, NULL, 0);
		return option.seconds > 0;
	case 'r':
		option.seed = strtoull(optarg, NULL, 0);
		return true;
	case 't':
		option.threads = optarg;
		return true;
	case 'b':
		option.budget = optarg;
		return true;
	case 'k':
		option.fork = optarg;
		return true;
	case 'd':
		option.directory = optarg;
		return true;
	case 'p':
		option.stress = optarg;
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	const char *missing = live_missing();
	uint64_t end;
	int c;

	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout, 0);
		if (!take(c))
			return usage(stderr, 64);
	}
	if (!option.directory)
		return usage(stderr, 64);
	if (missing) {
		printf("skipped: %s\n", missing);
		return 77;
	}
	random_state = option.seed;
	live_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	end = live_now_ms() + (uint64_t)option.seconds * 1000;
	do
		round_of_kills();
	while (live_now_ms() < end);
	printf("%u kills, %u orphans: nothing is left\n", kills, orphans);
	return 0;
}
