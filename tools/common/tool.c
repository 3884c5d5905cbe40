/* SPDX-License-Identifier: MIT */
/*
 * tool.c - what vvmbench, vvmstat and vvmrun share.
 *
 * Messages. A tool speaks on standard error, one line at a time, each begun
 * with the program's name; standard output is for results only. An error
 * that ends the tool carries one of the exit statuses of tool.h.
 *
 * Sizes. People write "256M" and "1.5G"; a suffix is a power of 1024, case
 * does not matter, a trailing "B" or "iB" is allowed. A fraction is computed
 * in floating point and must come out as a whole number of bytes less than
 * 2^63; hexadecimal ("0x1000") takes neither fraction nor suffix. Everything
 * else is refused with the option's name: a benchmark that guesses what was
 * meant measures the wrong thing.
 *
 * JSON. One object on one line, so that a stream of them is "JSON lines".
 * The writer keeps no stack: the only thing it must know is whether the next
 * key is the first of its object, and after a nested object is closed it
 * never is. Keys are ours and need no escaping, text may be anything; bytes
 * that are not UTF-8 become U+FFFD, since a program's name may hold any
 * byte. A number that is not finite is written as null.
 *
 * The program's name is the one mutable global of the tools: tool_warn()
 * must work from any thread without a context, and it is set once, at start.
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

static const char *tool_name = "vvm";

void tool_init(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	if (slash && slash[1])
		tool_name = slash + 1;
	else if (argv0 && *argv0)
		tool_name = argv0;
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

/* ------------------------------------------------------------------ */
/* Numbers from the command line					*/

/* Shift of a suffix ("", "k", "MiB", ...), or -1. */
static int suffix_shift(const char *s)
{
	static const char letters[] = "kmgtp";
	const char *at;
	int shift = 0;

	if (*s && (at = strchr(letters, *s | 0x20)) != NULL) {
		shift = 10 * (int)(at - letters + 1);
		s++;
		if (*s == 'i')
			s++;
	}
	if ((*s | 0x20) == 'b')
		s++;
	return *s ? -1 : shift;
}

/* A hexadecimal size: digits only. False when it is not one. */
static bool hex_size(const char *text, uint64_t *bytes)
{
	char *end;

	if (text[0] != '0' || (text[1] | 0x20) != 'x')
		return false;
	errno = 0;
	*bytes = strtoull(text + 2, &end, 16);
	return end != text + 2 && !*end && !errno && text[2] != '-' &&
	       text[2] != '+' && *bytes <= INT64_MAX;
}

/* A decimal size with an optional fraction and suffix. */
static bool decimal_size(const char *text, uint64_t *bytes)
{
	size_t digits = strspn(text, "0123456789.");
	int shift = suffix_shift(text + digits);
	double value;
	char *end;

	if (!digits || shift < 0 || text[0] == '.')
		return false;
	value = ldexp(strtod(text, &end), shift);
	if (end != text + digits || value >= 0x1p63 || value != floor(value))
		return false;
	*bytes = (uint64_t)value;
	return true;
}

bool tool_parse_size(const char *text, uint64_t *bytes)
{
	return hex_size(text, bytes) || decimal_size(text, bytes);
}

uint64_t tool_size(const char *option, const char *text)
{
	uint64_t bytes;

	if (!tool_parse_size(text, &bytes))
		tool_die(TOOL_USAGE,
			 "%s: '%s' is not a size (try 256M, 1.5G or 4096)",
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
		tool_die(TOOL_USAGE, "%s: '%s' is not a number", option, text);
	if (errno || value < min || value > max)
		tool_die(TOOL_USAGE, "%s: %s is not from %llu to %llu", option,
			 text, (unsigned long long)min,
			 (unsigned long long)max);
	return value;
}

double tool_real(const char *option, const char *text, double min, double max)
{
	double value;
	char *end;

	value = strtod(text, &end);
	if (end == text || *end || isnan(value))
		tool_die(TOOL_USAGE, "%s: '%s' is not a number", option, text);
	if (value < min || value > max)
		tool_die(TOOL_USAGE, "%s: %s is not from %g to %g", option,
			 text, min, max);
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

/* ------------------------------------------------------------------ */
/* JSON									*/

/*
 * Length of the UTF-8 sequence at s, 0 when there is none: RFC 3629, so
 * neither overlong forms nor surrogates nor anything above U+10FFFF.
 */
static unsigned utf8_length(const unsigned char *s)
{
	unsigned n, i;
	unsigned char low = 0x80, high = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void put_ascii(FILE *out, unsigned char c)
{
	if (c == '"' || c == '\\')
		fprintf(out, "\\%c", c);
	else if (c < 0x20 || c == 0x7f)
		fprintf(out, "\\u%04x", c);
	else
		fputc(c, out);
}

/* U+FFFD stands for one byte that is not UTF-8: returns 1. */
static unsigned put_replacement(FILE *out)
{
	fputs("\\ufffd", out);
	return 1;
}

static void put_string(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned n;

	fputc('"', out);
	for (; *s; s += n) {
		n = utf8_length(s);
		if (n == 1)
			put_ascii(out, *s);
		else if (n)
			fwrite(s, 1, n, out);
		else
			n = put_replacement(out);
	}
	fputc('"', out);
}

static void put_key(struct tool_json *j, const char *key)
{
	fprintf(j->out, "%s\"%s\":", j->first ? "" : ",", key);
	j->first = false;
}

void tool_json_begin(struct tool_json *j, FILE *out)
{
	j->out = out;
	j->first = true;
	fputc('{', out);
}

void tool_json_uint(struct tool_json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%llu", (unsigned long long)value);
}

void tool_json_int(struct tool_json *j, const char *key, int64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%lld", (long long)value);
}

void tool_json_real(struct tool_json *j, const char *key, double value)
{
	put_key(j, key);
	if (isfinite(value))
		fprintf(j->out, "%.9g", value);
	else
		fputs("null", j->out);
}

void tool_json_bool(struct tool_json *j, const char *key, bool value)
{
	put_key(j, key);
	fputs(value ? "true" : "false", j->out);
}

void tool_json_text(struct tool_json *j, const char *key, const char *value)
{
	put_key(j, key);
	if (value)
		put_string(j->out, value);
	else
		fputs("null", j->out);
}

void tool_json_object(struct tool_json *j, const char *key)
{
	put_key(j, key);
	fputc('{', j->out);
	j->first = true;
}

void tool_json_close(struct tool_json *j)
{
	fputc('}', j->out);
	j->first = false;
}

void tool_json_end(struct tool_json *j)
{
	fputs("}\n", j->out);
	fflush(j->out);
}
