/* SPDX-License-Identifier: MIT */
/*
 * tool.c - what vvmbench, vvmstat and vvmrun share.
 *
 * Messages. A tool speaks on standard error, one line at a time, each begun
 * with the program's name; standard output is for results only. An error
 * that ends the tool carries one of the exit statuses of tool.h.
 *
 * Sizes. They are read as the library reads those of its settings, so that
 * an option takes what a variable takes; below 2^63, because the tools also
 * subtract them. Everything else is refused with the option's name: a
 * benchmark that guesses what was meant measures the wrong thing.
 *
 * The program's name and its status of wrong usage are the mutable globals of
 * the tools: tool_warn() must work from any thread without a context, and they
 * are set once, at start.
 */
#include "common/tool.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/memcg.h"
#include "parse.h"

static const char *tool_name = "vvm";
static int usage_status = TOOL_USAGE;

void tool_init(const char *argv0, int status)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	if (slash && slash[1])
		tool_name = slash + 1;
	else if (argv0 && *argv0)
		tool_name = argv0;
	usage_status = status;
}

const char *tool_program(void)
{
	return tool_name;
}

/* Of the running program's file, less what libtool puts below; "" if unknown */
static void own_directory(char path[PATH_MAX])
{
	static const char libtool[] = "/.libs";
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;
	size_t len;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	*(slash ? slash : path) = '\0';
	len = strlen(path);
	if (len >= strlen(libtool) &&
	    !strcmp(path + len - strlen(libtool), libtool))
		path[len - strlen(libtool)] = '\0';
}

bool tool_find(char *path, size_t size, const char *folder, const char *name)
{
	char here[PATH_MAX];

	own_directory(here);
	if (!*here)
		return false;
	snprintf(path, size, "%s/%s", here, name);
	if (access(path, R_OK) == 0)
		return true;
	snprintf(path, size, "%s/../%s/%s", here, folder, name);
	return access(path, R_OK) == 0;
}

/* One call for a line, so that lines of two threads do not mix. */
static void message(const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(stderr, "%s: %s\n", tool_name, text);
}

void tool_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
}

_Noreturn void tool_die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(status);
}

_Noreturn void tool_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(usage_status);
}

/* ------------------------------------------------------------------ */
/* Numbers from the command line					*/

uint64_t tool_size(const char *option, const char *text)
{
	uint64_t bytes;

	if (parse_size(text, memcg_ram_bytes(), &bytes) || bytes > INT64_MAX)
		tool_usage("%s: '%s' is not a size (try 256M, 1.5G or 4096)",
			   option, text);
	return bytes;
}

uint64_t tool_number(const char *option, const char *text, uint64_t min,
		     uint64_t max)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (strspn(text, "0123456789") != strlen(text) || !*text || *end)
		tool_usage("%s: '%s' is not a number", option, text);
	if (errno || value < min || value > max)
		tool_usage("%s: %s is not from %llu to %llu", option, text,
			   (unsigned long long)min, (unsigned long long)max);
	return value;
}

double tool_real(const char *option, const char *text, double min, double max)
{
	double value;
	char *end;

	value = strtod(text, &end);
	if (end == text || *end || isnan(value))
		tool_usage("%s: '%s' is not a number", option, text);
	if (value < min || value > max)
		tool_usage("%s: %s is not from %g to %g", option, text, min,
			   max);
	return value;
}

char *tool_human(char buf[8], uint64_t bytes)
{
	static const char unit[] = "BKMGTPE";
	double value = (double)bytes;
	unsigned u = 0;

	if (bytes < 1024) {
		snprintf(buf, 8, "%uB", (unsigned)bytes);
		return buf;
	}
	/* 1023.95 would print as 1024.0: go on to the next unit. */
	while (value >= 1023.95 && u + 1 < sizeof(unit) - 1) {
		value /= 1024;
		u++;
	}
	snprintf(buf, 8, "%.1f%c", value, unit[u]);
	return buf;
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t tool_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t tool_unix_us(void)
{
	return clock_us(CLOCK_REALTIME);
}
