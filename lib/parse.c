/* SPDX-License-Identifier: MIT */
/*
 * parse.c - numbers and sizes as people write them.
 *
 * Numbers are read without strtod() and friends: "1.5G" must mean the same in
 * every locale.
 */
#include "parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* A digit's value in the base, or -1. */
static int digit(char ch, unsigned base)
{
	int v = -1;

	if (ch >= '0' && ch <= '9')
		v = ch - '0';
	else if ((ch | 32) >= 'a' && (ch | 32) <= 'f')
		v = (ch | 32) - 'a' + 10;
	return v < (int)base ? v : -1;
}

static bool is_hex(const char *text)
{
	return text[0] == '0' && (text[1] | 32) == 'x';
}

/*
 * Reads digits at *text and moves *text behind them. "0x" in front makes
 * them hexadecimal.
 */
static int take_digits(const char **text, uint64_t *value)
{
	unsigned base = is_hex(*text) ? 16 : 10;
	const char *p = *text + (base == 16 ? 2 : 0);
	uint64_t v = 0;

	if (digit(*p, base) < 0)
		return -EINVAL;
	for (; digit(*p, base) >= 0; p++)
		if (__builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, digit(*p, base), &v))
			return -ERANGE;
	*text = p;
	*value = v;
	return 0;
}

int parse_number(const char *text, uint64_t *value)
{
	uint64_t v;
	int error = take_digits(&text, &v);

	if (error)
		return error;
	if (*text)
		return -EINVAL;
	*value = v;
	return 0;
}

/* The part behind the point, in billionths; further digits are ignored. */
static int take_fraction(const char **text, uint64_t *billionths)
{
	const char *p = *text;
	uint64_t scale = 1000000000;

	*billionths = 0;
	if (*p != '.')
		return 0;
	if (digit(*++p, 10) < 0)
		return -EINVAL;
	for (; digit(*p, 10) >= 0; p++) {
		scale /= 10;
		*billionths += (uint64_t)digit(*p, 10) * scale;
	}
	*text = p;
	return 0;
}

/* "", "k", "KB", "kiB", "b" ...: the unit in bytes, or 0. */
static uint64_t unit_bytes(const char *text)
{
	static const char units[] = "kmgtp";
	const char *found;

	if (!*text || !strcasecmp(text, "b"))
		return 1;
	found = strchr(units, *text++ | 32);
	if (!found)
		return 0;
	if (*text && strcasecmp(text, "b") && strcasecmp(text, "i") &&
	    strcasecmp(text, "ib"))
		return 0;
	return (uint64_t)1 << 10 * (found - units + 1);
}

/* (whole + billionths / 10^9) * unit / divisor, rounded down. */
static int scale(uint64_t whole, uint64_t billionths, uint64_t unit,
		 unsigned divisor, uint64_t *out)
{
	unsigned __int128 v = (unsigned __int128)whole * unit;

	v += (unsigned __int128)billionths * unit / 1000000000;
	v /= divisor;
	if (v > UINT64_MAX)
		return -ERANGE;
	*out = (uint64_t)v;
	return 0;
}

int parse_size(const char *text, uint64_t ram_bytes, uint64_t *bytes)
{
	uint64_t whole, billionths = 0, unit;
	bool hex = is_hex(text);
	int error = take_digits(&text, &whole);

	if (!error && !hex)
		error = take_fraction(&text, &billionths);
	if (error)
		return error;
	if (!strcmp(text, "%"))
		return scale(whole, billionths, ram_bytes, 100, bytes);
	unit = unit_bytes(text);
	/* Nobody means a fraction of a byte: a unit was forgotten. */
	if (unit == 0 || (unit == 1 && billionths))
		return -EINVAL;
	return scale(whole, billionths, unit, 1, bytes);
}
