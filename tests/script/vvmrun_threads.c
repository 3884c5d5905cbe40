/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_threads.c - a program for tests/script/vvmrun.sh whose threads
 * and signal handlers are unlike those of vvmrun_signals.c: what libc has blocked
 * meets memory that is not there, stacks for signals are small. It knows nothing
 * of libvvm. Its argument chooses what it does; it exits 0 if that went as without
 * vvmrun, and else says the line that failed.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script/absent.h"

/* ---- attributes ---- */

/* More CPUs than a cpu_set_t has, and fewer. */
static const size_t set_bytes[] = {8, sizeof(cpu_set_t), 160, 256};
enum { SETS = sizeof(set_bytes) / sizeof(set_bytes[0]) };

static int first_cpu(void)
{
	cpu_set_t now;
	int cpu = 0;

	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
	while (!CPU_ISSET(cpu, &now))
		cpu++;
	return cpu;
}

/* Is it as its attributes say? */
static void *born(void *arg)
{
	sigset_t mask;
	cpu_set_t now;

	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
	CHECK(sigismember(&mask, SIGUSR1) == 1);
	CHECK(sigismember(&mask, SIGUSR2) == 0);
	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
	CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(*(int *)arg, &now));
	use_memory();
	return arg;
}

static void make(const pthread_attr_t *attr, int *cpu)
{
	pthread_t thread;
	void *result;

	push_out();
	CHECK(pthread_create(&thread, attr, born, cpu) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == cpu);
}

static void fill_attributes(pthread_attr_t *attr, size_t bytes, int cpu)
{
	cpu_set_t *cpus = piece(bytes);
	sigset_t *mask = piece(sizeof(*mask));

	CPU_ZERO_S(bytes, cpus);
	CPU_SET_S(cpu, bytes, cpus);
	sigemptyset(mask);
	sigaddset(mask, SIGUSR1);
	push_out();
	CHECK(pthread_attr_init(attr) == 0);
	CHECK(pthread_attr_setaffinity_np(attr, bytes, cpus) == 0);
	CHECK(pthread_attr_setsigmask_np(attr, mask) == 0);
}

/* What libc reads, or the kernel for it, while all signals are blocked. */
static void test_attributes(void)
{
	pthread_attr_t here, now, *there = piece(sizeof(*there));
	int *cpu = piece(sizeof(*cpu));
	unsigned i;

	*cpu = first_cpu();
	CHECK(*cpu < 64);
	for (i = 0; i < SETS; i++) {
		fill_attributes(&here, set_bytes[i], *cpu);
		make(&here, cpu);
		CHECK(pthread_attr_destroy(&here) == 0);
		fill_attributes(there, set_bytes[i], *cpu);
		make(there, cpu);
		if (i + 1 < SETS)
			CHECK(pthread_attr_destroy(there) == 0);
	}
	push_out();
	CHECK(pthread_setattr_default_np(there) == 0);
	CHECK(pthread_attr_destroy(there) == 0);
	make(NULL, cpu);
	CHECK(pthread_getattr_default_np(&now) == 0);
	make(&now, cpu);
	CHECK(pthread_attr_destroy(&now) == 0);
}

int main(int argc, char **argv)
{
	alarm(600);
	CHECK(argc > 1);
	begin();
	if (!strcmp(argv[1], "attributes"))
		test_attributes();
	else
		CHECK(!"a test");
	return 0;
}
