/* SPDX-License-Identifier: MIT */
/*
 * format.h - printf into a buffer: no malloc, no locks, async-signal-safe.
 *
 * A format knows %s %d %u %x %ld %lu %lx %llu %llx %zu %p %c %%, nothing else.
 * What does not fit is cut; the result is always terminated.
 */
#ifndef VVM_FORMAT_H
#define VVM_FORMAT_H

#include <stdarg.h>
#include <stddef.h>
#include "base.h"

struct format_buffer {
	char *buf;
	size_t size; /* of buf, the terminator included; may be 0 */
	size_t used;
};

/* Formats behind what is there. */
void format_add(struct format_buffer *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void format_add_list(struct format_buffer *o, const char *fmt, va_list *ap);
/* Formats into buf; returns the length. */
size_t format_text(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
