/* SPDX-License-Identifier: MIT */
/*
 * util.c - Ctrl-C, progress on a terminal, medians, reasons, and the
 * one-line files of /proc and /sys.
 *
 * Someone who interrupts a benchmark after a minute wants the minute's
 * figures. So the first signal sets a flag that every loop looks at, and the
 * default action is put back for a second one: nothing that hangs can keep a
 * user from ending it. The flag must be a global; a signal handler has no
 * context.
 */
#include "vvmbench/workload/util.h"

#include "common/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAW_US = 100000 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = 1;
}

void bench_catch_interrupts(void)
{
	struct sigaction sa = {.sa_handler = on_signal,
			       .sa_flags = SA_RESTART | SA_RESETHAND};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

bool bench_interrupted(void)
{
	return interrupted;
}

void progress_start(struct progress *p, const char *who, const char *label)
{
	p->who = who ? who : "";
	p->label = label;
	p->start_us = tool_now_us();
	p->drawn_us = 0;
	p->terminal = isatty(STDERR_FILENO);
}

void progress_draw(struct progress *p, uint64_t done, uint64_t total)
{
	uint64_t now;

	if (!p->terminal || !total)
		return;
	now = tool_now_us();
	if (now - p->drawn_us < DRAW_US)
		return;
	p->drawn_us = now;
	fprintf(stderr, "\r\033[K%s%s: %3.0f %%, %.0f s ", p->who, p->label,
		100.0 * (double)done / (double)total,
		(double)(now - p->start_us) / 1e6);
}

uint64_t progress_end(struct progress *p)
{
	if (p->drawn_us)
		fputs("\r\033[K", stderr);
	return tool_now_us() - p->start_us;
}

int why_not(struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -1;
}

int line_read(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, line, size - 1);
	error = n < 0 ? -errno : 0;
	line[n < 0 ? 0 : n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	close(fd);
	return error;
}

int line_write(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = write(fd, line, strlen(line)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

uint64_t line_number(const char *path)
{
	char line[32];

	return line_read(path, line, sizeof(line)) ? 0
						   : strtoull(line, NULL, 10);
}

uint64_t line_value(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	size_t n = strlen(name);
	uint64_t value = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) &&
		    (line[n] == ' ' || line[n] == ':'))
			value = strtoull(line + n + 1, NULL, 10);
	fclose(f);
	return value;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n)
{
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), compare_doubles);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}
