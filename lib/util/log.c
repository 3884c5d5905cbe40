/* SPDX-License-Identifier: MIT */
/*
 * util/log.c - one line, one write(2).
 *
 * The library speaks from places where stdio is forbidden: a handler thread
 * while the application's threads wait for it inside malloc or inside a
 * locked FILE, and a SIGBUS handler. So a line is formatted into a buffer on
 * the stack (format.c) and leaves in a single write(2), which also keeps lines
 * of several threads whole. A line that does not fit is cut
 * and still ends in a newline. errno is preserved, because callers log
 * between a failed call and the look at its errno.
 *
 * A line may come from a loop that goes wrong for hours, so each text (its
 * format) is printed LOG_BURST times in LOG_WINDOW_US; the last one says that
 * there is more, and the first one of a later window how much there was. Here
 * and not where it is called, since nobody can forget it here.
 *
 * No static state but the level, which is a process-wide choice of the user
 * like the environment it comes from, and the counts of texts; all atomics.
 */
#define _GNU_SOURCE 1
#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "os/os.h"

/* A path of a few hundred bytes and a sentence around it. */
#define LOG_LINE_BYTES 512

#define LOG_BURST     10
#define LOG_WINDOW_US 10000000
/* More than there are in the library; further ones share the last place. */
#define LOG_TEXTS 64

struct log_text {
	_Atomic(const char *) fmt;
	_Atomic uint64_t since_us;
	_Atomic unsigned lines; /* wanted in this window, printed or not */
};

static _Atomic int log_level = LOG_WARN;
static struct log_text texts[LOG_TEXTS];

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, level, memory_order_relaxed);
}

/* Sends the line, newline added; a message nobody can read is dropped. */
static void line_write(struct format_buffer *o)
{
	int state = os_cancel_off(); /* write(2) is a cancellation point */

	o->buf[o->used++] = '\n';
	while (write(STDERR_FILENO, o->buf, o->used) < 0 && errno == EINTR)
		;
	os_cancel_restore(state);
}

static struct log_text *text_of(const char *fmt)
{
	struct log_text *t = texts;
	const char *there;

	for (; t < texts + LOG_TEXTS - 1; t++) {
		there = NULL;
		if (atomic_compare_exchange_strong(&t->fmt, &there, fmt) ||
		    there == fmt)
			break;
	}
	return t;
}

/* The line's number in its window, from 0; how many the last one held back. */
static unsigned count_line(const char *fmt, unsigned *held)
{
	struct log_text *t = text_of(fmt);
	uint64_t now_us = os_now_us(), since_us = atomic_load(&t->since_us);
	unsigned lines = 0;

	if (now_us - since_us >= LOG_WINDOW_US &&
	    atomic_compare_exchange_strong(&t->since_us, &since_us, now_us))
		lines = atomic_exchange(&t->lines, 0);
	*held = lines > LOG_BURST ? lines - LOG_BURST : 0;
	return atomic_fetch_add(&t->lines, 1);
}

void log_print(enum log_level level, const char *fmt, ...)
{
	char buf[LOG_LINE_BYTES];
	/* One byte less than there is: line_write() puts the newline there. */
	struct format_buffer o = {.buf = buf, .size = sizeof(buf) - 1};
	int saved = errno;
	unsigned n, held;
	va_list ap;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	n = count_line(fmt, &held);
	if (n >= LOG_BURST)
		return;
	format_add(&o, "libvvm[%d]: ", (int)getpid());
	va_start(ap, fmt);
	format_add_list(&o, fmt, &ap);
	va_end(ap);
	if (held)
		format_add(&o, " (%u more like this were not printed)", held);
	else if (n == LOG_BURST - 1)
		format_add(&o, " (more like this are not printed)");
	line_write(&o);
	errno = saved;
}

/* Not silenced by the level: the process dies of it. */
_Noreturn void assert_failed(const char *text, const char *file, int line)
{
	char buf[LOG_LINE_BYTES];
	struct format_buffer o = {.buf = buf, .size = sizeof(buf) - 1};

	format_add(&o, "libvvm[%d]: %s:%d: assertion failed: %s", (int)getpid(),
		   file, line, text);
	line_write(&o);
	abort();
}
