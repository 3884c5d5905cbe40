/* SPDX-License-Identifier: MIT */
#include "support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/*
 * What a test of ours has running by itself, on the average: a few threads,
 * and as much again for the helpers of the kernel.
 */
#define OWN_THREADS 4
/* A hang must end, too. */
#define FACTOR_MAX 20

/* Processes that run or want to, now or in the last minute. */
static double busy(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	unsigned running = 0;
	double minute = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lf %*f %*f %u/", &minute, &running) != 2)
		minute = running = 0;
	fclose(f);
	return running > minute ? running : minute;
}

static unsigned measure(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	double factor =
		1 + (OWN_THREADS + busy()) / (double)(cpus > 0 ? cpus : 1);

	return factor < FACTOR_MAX ? (unsigned)factor : FACTOR_MAX;
}

unsigned wait_factor(void)
{
	static unsigned factor;

	if (!factor)
		factor = measure();
	return factor;
}

long live_setting(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtol(text, NULL, 0) : otherwise;
}

uint64_t wait_scaled(uint64_t time)
{
	return time * wait_factor() *
	       (uint64_t)live_setting("CK_TIMEOUT_MULTIPLIER", 1);
}

uint64_t live_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void live_nap_us(long us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&ts, NULL);
}
