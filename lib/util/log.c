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
 * No static state but the level, which is a process-wide choice of the user
 * like the environment it comes from, and a single atomic.
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

static _Atomic int log_level = LOG_WARN;

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

void log_print(enum log_level level, const char *fmt, ...)
{
	char buf[LOG_LINE_BYTES];
	/* One byte less than there is: line_write() puts the newline there. */
	struct format_buffer o = {.buf = buf, .size = sizeof(buf) - 1};
	int saved = errno;
	va_list ap;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	format_add(&o, "libvvm[%d]: ", (int)getpid());
	va_start(ap, fmt);
	format_add_list(&o, fmt, &ap);
	va_end(ap);
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
