/* SPDX-License-Identifier: MIT */
/*
 * json.c - writes JSON: the one writer of all tools.
 *
 * One object on one line, so that a stream of them is "JSON lines".
 * The writer keeps no stack: the only thing it must know is whether the next
 * key is the first of its object, and after a nested object is closed it
 * never is. Keys are ours and need no escaping, text may be anything; bytes
 * that are not UTF-8 become U+FFFD, since a program's name may hold any
 * byte. A number that is not finite is written as null.
 *
 * json-c, jansson and cJSON build a tree that is then printed, which is more
 * calls for the same output, print reals in ways of their own, and refuse or
 * pass on bytes that are not UTF-8.
 */
#include "common/json.h"

#include <math.h>

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
