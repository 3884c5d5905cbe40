/* SPDX-License-Identifier: MIT */
/*
 * format.c - printf into a buffer, for places where stdio is forbidden: fault
 * handling and signal handlers.
 *
 * (1) It never writes past the end and always terminates.
 *
 * Rejected: snprintf. glibc's may call malloc (wide or positional arguments)
 * and is not on the list of async-signal-safe functions.
 */
#include "format.h"

#include <sys/types.h>

/* 2^64 - 1 has 20 decimal digits. */
#define DIGITS 20

static void out_char(struct format_buffer *o, char c)
{
	if (o->used + 1 < o->size)
		o->buf[o->used++] = c;
}

static void out_string(struct format_buffer *o, const char *s)
{
	for (s = s ? s : "(null)"; *s; s++)
		out_char(o, *s);
}

static void out_number(struct format_buffer *o, uint64_t value, unsigned base)
{
	char digits[DIGITS];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		out_char(o, digits[--n]);
}

static void out_signed(struct format_buffer *o, int64_t value)
{
	if (value < 0)
		out_char(o, '-');
	out_number(o, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

/* An unsigned argument of the given length: 0 int, 1 or 2 long (long), z. */
static uint64_t take_unsigned(va_list *ap, int length)
{
	switch (length) {
	case 0:
		return va_arg(*ap, unsigned);
	case 1:
		return va_arg(*ap, unsigned long);
	case 2:
		return va_arg(*ap, unsigned long long);
	default:
		return va_arg(*ap, size_t);
	}
}

static int64_t take_signed(va_list *ap, int length)
{
	switch (length) {
	case 0:
		return va_arg(*ap, int);
	case 1:
		return va_arg(*ap, long);
	case 2:
		return va_arg(*ap, long long);
	default:
		return va_arg(*ap, ssize_t);
	}
}

/* Steps *fmt over l, ll or z; returns the length as take_unsigned() knows. */
static int parse_length(const char **fmt)
{
	int length = 0;

	if (**fmt == 'z') {
		(*fmt)++;
		return 3;
	}
	for (; **fmt == 'l' && length < 2; (*fmt)++)
		length++;
	return length;
}

/* Prints one conversion; fmt is behind the '%'. Returns where it ends. */
static const char *out_conversion(struct format_buffer *o, const char *fmt,
				  va_list *ap)
{
	int length = parse_length(&fmt);

	switch (*fmt) {
	case 'd':
		out_signed(o, take_signed(ap, length));
		break;
	case 'u':
		out_number(o, take_unsigned(ap, length), 10);
		break;
	case 'x':
		out_number(o, take_unsigned(ap, length), 16);
		break;
	case 'p':
		out_string(o, "0x");
		out_number(o, (uintptr_t)va_arg(*ap, void *), 16);
		break;
	case 's':
		out_string(o, va_arg(*ap, const char *));
		break;
	case 'c':
		out_char(o, (char)va_arg(*ap, int));
		break;
	case '\0': /* a lone % at the end */
		return fmt;
	default: /* %% and, visibly, what we do not know */
		out_char(o, *fmt);
		break;
	}
	return fmt + 1;
}

void format_add_list(struct format_buffer *o, const char *fmt, va_list *ap)
{
	while (*fmt) {
		if (*fmt == '%')
			fmt = out_conversion(o, fmt + 1, ap);
		else
			out_char(o, *fmt++);
	}
	if (o->size)
		o->buf[o->used] = '\0';
}

void format_add(struct format_buffer *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_add_list(o, fmt, &ap);
	va_end(ap);
}

size_t format_text(char *buf, size_t size, const char *fmt, ...)
{
	struct format_buffer o = {.buf = buf, .size = size};
	va_list ap;

	va_start(ap, fmt);
	format_add_list(&o, fmt, &ap);
	va_end(ap);
	return o.used;
}
