/* SPDX-License-Identifier: MIT */
/*
 * log.c - one line, one write(2).
 *
 * The library speaks from places where stdio is forbidden: a handler thread
 * while the application's threads wait for it inside malloc or inside a
 * locked FILE, and a SIGBUS handler. So a line is formatted into a buffer on
 * the stack by a formatter of our own and leaves in a single write(2), which
 * also keeps lines of several threads whole. A line that does not fit is cut
 * and still ends in a newline. errno is preserved, because callers log
 * between a failed call and the look at its errno.
 *
 * (1) No static state but the level, which is a process-wide choice of the
 *     user like the environment it comes from, and a single atomic.
 * (2) The formatter never writes past `size` and always terminates.
 *
 * Rejected: snprintf. glibc's may call malloc (wide or positional arguments)
 * and is not on the list of async-signal-safe functions.
 */
#define _GNU_SOURCE 1
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os.h"

/* A path of a few hundred bytes and a sentence around it. */
#define LOG_LINE_BYTES 512
/* 2^64 - 1 has 20 decimal digits. */
#define LOG_DIGITS 20

static _Atomic int log_level = LOG_WARN;

struct out {
	char *buf;
	size_t size; /* of buf, the terminator included; may be 0 */
	size_t used;
};

static void out_char(struct out *o, char c)
{
	if (o->used + 1 < o->size)
		o->buf[o->used++] = c;
}

static void out_string(struct out *o, const char *s)
{
	for (s = s ? s : "(null)"; *s; s++)
		out_char(o, *s);
}

static void out_number(struct out *o, uint64_t value, unsigned base)
{
	char digits[LOG_DIGITS];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		out_char(o, digits[--n]);
}

static void out_signed(struct out *o, int64_t value)
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
static const char *out_conversion(struct out *o, const char *fmt, va_list *ap)
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

static void out_format(struct out *o, const char *fmt, va_list *ap)
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

size_t log_format(char *buf, size_t size, const char *fmt, ...)
{
	struct out o = {.buf = buf, .size = size};
	va_list ap;

	va_start(ap, fmt);
	out_format(&o, fmt, &ap);
	va_end(ap);
	return o.used;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

/* Sends the line, newline added; a message nobody can read is dropped. */
static void line_write(struct out *o)
{
	int state = os_cancel_off(); /* write(2) is a cancellation point */

	o->buf[o->used++] = '\n';
	while (write(STDERR_FILENO, o->buf, o->used) < 0 && errno == EINTR)
		;
	os_cancel_restore(state);
}

void log_print(enum log_level level, const char *fmt, ...)
{
	char buf[LOG_LINE_BYTES];
	/* One byte less than there is: line_write() puts the newline there. */
	struct out o = {.buf = buf, .size = sizeof(buf) - 1};
	int saved = errno;
	va_list ap;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	out_string(&o, "libvvm[");
	out_signed(&o, getpid());
	out_string(&o, "]: ");
	va_start(ap, fmt);
	out_format(&o, fmt, &ap);
	va_end(ap);
	line_write(&o);
	errno = saved;
}

/* Not silenced by the level: the process dies of it. */
_Noreturn void assert_failed(const char *text, const char *file, int line)
{
	char buf[LOG_LINE_BYTES];
	struct out o = {.buf = buf, .size = sizeof(buf) - 1};

	o.used = log_format(buf, o.size,
			    "libvvm[%d]: %s:%d: assertion failed: %s",
			    (int)getpid(), file, line, text);
	line_write(&o);
	abort();
}
