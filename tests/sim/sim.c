/* SPDX-License-Identifier: MIT */
/*
 * sim/sim.c - the deterministic simulator: main(), and its runs.
 *
 * What is simulated: the whole library as it is, space, page table, fault,
 * reclaim, slots, snapshot, fork, map, heap and the public functions, compiled
 * once more with a point at each access to memory (sim/tsan.c); on a kernel of
 * which memory, userfaultfd, descriptors, disk, clock and scheduler are our own
 * (sim/memory.c, uffd.c, files.c, disk.c, calls.c, sched.c), in the place of
 * the functions of lib/os by the linker's --wrap. What that kernel does, fails,
 * shortens, delays and reorders is drawn from the seed; and so is a program
 * (sim/work*.c), each of whose accesses is compared with a model (sim/model.c).
 * The idea is that of FoundationDB's simulation tests.
 *
 * What is not: memory orders (sim/tsan.c), io_uring itself, other processes'
 * doings, the preload object, anything that takes real time.
 *
 * A seed runs in a process of its own, at addresses that are always the same:
 * so a finding comes again by its number alone.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/setup.h"
#include "sim/sched.h"

#define SKIP 77
/* Of real time, for one seed, on a machine that does other things as well. */
#define SEED_SECONDS 600

static struct {
	uint64_t first, seeds, twice;
	bool chosen, keep_going, trace;
} option = {.first = 1, .seeds = 120, .twice = 5};

/* Of all seeds so far. */
static struct {
	uint64_t points, decisions, switches, faults, signals, failures, forks,
		ops, found;
} total;

/* ---- one seed ---- */

static void one_cpu(void)
{
	cpu_set_t set, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	cpu = sched_getcpu();
	if (cpu < 0 || !CPU_ISSET(cpu, &set))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static _Noreturn void run_here(void)
{
	setpgid(0, 0);
	one_cpu();
	alarm(SEED_SECONDS); /* of whatever hangs in the simulator itself */
	sim_run_seed();
	_exit(0);
}

/* True: no finding. */
static bool run_seed(uint64_t seed)
{
	pid_t pid;
	int status;

	memset(K, 0, sizeof(*K));
	K->seed = seed;
	K->random = seed;
	K->verbose = option.trace;
	pid = fork();
	if (pid < 0) {
		perror("sim: fork");
		exit(2);
	}
	if (pid == 0)
		run_here();
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	kill(-pid, SIGKILL); /* what it has forked, if it failed */
	if (!K->failed &&
	    (K->died || (WIFEXITED(status) && WEXITSTATUS(status) == 0)))
		return true;
	if (!K->failed)
		printf("sim: seed %llu: the process ends with status %x\n",
		       (unsigned long long)seed, status);
	return false;
}

static void count(void)
{
	total.points += K->points;
	total.decisions += K->decisions;
	total.switches += K->switches;
	total.faults += K->faults;
	total.signals += K->signals;
	total.failures += K->failures;
	total.forks += K->forks;
	total.ops += K->ops;
}

/* Twice the same seed: the same run, or the simulator is not deterministic. */
static bool run_twice(uint64_t seed)
{
	uint64_t hash, points;
	bool good = run_seed(seed);

	hash = K->hash;
	points = K->points;
	good &= run_seed(seed);
	if (hash == K->hash && points == K->points)
		return good;
	printf("sim: seed %llu runs differently the second time: %llu steps, "
	       "then %llu\n",
	       (unsigned long long)seed, (unsigned long long)points,
	       (unsigned long long)K->points);
	return false;
}

/* ---- all of them ---- */

static void say_progress(const char *end)
{
	printf("sim: %llu steps, %llu decisions, %llu switches, %llu calls, "
	       "%llu faults, %llu signals, %llu failures, %llu forks%s\n",
	       (unsigned long long)total.points,
	       (unsigned long long)total.decisions,
	       (unsigned long long)total.switches,
	       (unsigned long long)total.ops, (unsigned long long)total.faults,
	       (unsigned long long)total.signals,
	       (unsigned long long)total.failures,
	       (unsigned long long)total.forks, end);
	fflush(stdout);
}

static void say_now_and_then(uint64_t seed, uint64_t last)
{
	static time_t said;

	if (!said)
		said = time(NULL);
	if (time(NULL) - said < 10)
		return;
	said = time(NULL);
	printf("sim: seed %llu of %llu; ", (unsigned long long)seed,
	       (unsigned long long)last);
	say_progress("");
}

/* False: it has found something. */
static bool run_one(uint64_t seed, bool twice)
{
	bool good = twice ? run_twice(seed) : run_seed(seed);

	count();
	if (good)
		return true;
	total.found++;
	sim_tell_params();
	printf("sim: to replay: tests/sim/sim --seed %llu (addresses: addr2line "
	       "-fie tests/sim/sim)\n",
	       (unsigned long long)seed);
	return false;
}

static bool run_all(void)
{
	uint64_t seed, last = option.first + option.seeds - 1;
	bool go_on = true;

	for (seed = option.first; seed <= last && go_on; seed++) {
		go_on = run_one(seed, seed - option.first < option.twice) ||
			option.keep_going;
		say_now_and_then(seed, last);
	}
	say_progress(total.found ? "" : ": nothing found");
	if (total.found)
		printf("sim: %llu seeds with findings\n",
		       (unsigned long long)total.found);
	return total.found == 0;
}

/* ---- main ---- */

static void usage(void)
{
	printf("usage: sim [-s SEED] [-n SEEDS] [-2 SEEDS] [-k] [-t]\n"
	       "Without options: the first %llu seeds.\n"
	       "  -s, --seed SEED    this one, or the first of more\n"
	       "  -n, --seeds SEEDS  so many (with --seed: 1)\n"
	       "  -2, --twice SEEDS  so many of them twice, which must be the "
	       "same (%llu)\n"
	       "  -k, --keep-going   go on after a finding\n"
	       "  -t, --trace        tell what happens\n"
	       "  -h, --help\n"
	       "Exit status: 0 nothing found, 1 something, 77 cannot run here\n",
	       (unsigned long long)option.seeds,
	       (unsigned long long)option.twice);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text < '0' || *text > '9' || *end) {
		fprintf(stderr, "sim: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'n'},
		{"twice", required_argument, NULL, '2'},
		{"keep-going", no_argument, NULL, 'k'},
		{"trace", no_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{0}};
	uint64_t seeds = 0;
	int c;

	while ((c = getopt_long(argc, argv, "s:n:2:kth", options, NULL)) >= 0) {
		switch (c) {
		case 's':
			option.first = number(optarg);
			option.chosen = true;
			break;
		case 'n':
			seeds = number(optarg);
			break;
		case '2':
			option.twice = number(optarg);
			break;
		case 'k':
			option.keep_going = true;
			break;
		case 't':
			option.trace = true;
			break;
		case 'h':
			usage();
			exit(0);
		default:
			usage();
			exit(2);
		}
	}
	if (option.chosen || seeds)
		option.seeds = MAX(seeds, 1u);
	if (option.chosen && !seeds)
		option.twice = 0;
}

/* Addresses that are always the same. */
static void fix_addresses(char **argv)
{
	int now = personality(0xffffffff);

	if (now >= 0 && !(now & ADDR_NO_RANDOMIZE) &&
	    personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0) {
		setenv("VVM_LOG",
		       getenv("SIM_LOG") ? getenv("SIM_LOG") : "none", 1);
		execv("/proc/self/exe", argv);
	}
}

/* What the kernel gives each program: the heap's seed among others. */
static void fix_random(void)
{
	char *random = (char *)getauxval(AT_RANDOM);

	if (random)
		memset(random, 0, 16);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
#ifndef __x86_64__
	printf("sim: skipped: a fault does not say here whether it was a "
	       "write\n");
	return SKIP;
#endif
	fix_addresses(argv);
	fix_random();
	mallopt(M_ARENA_MAX, 1);
	K = mmap(NULL, sizeof(*K), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (K == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	return run_all() ? 0 : 1;
}
