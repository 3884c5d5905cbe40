/* SPDX-License-Identifier: MIT */
/*
 * util/log.h - messages to the user's stderr.
 *
 * One line, one write(2), no stdio, no malloc, no locks: callable from fault
 * handling and from signal handlers. Each line starts with "libvvm[pid]: ".
 * One that comes again and again is printed ten times in ten seconds.
 */
#ifndef VVM_LOG_H
#define VVM_LOG_H

#include <stdatomic.h>
#include "base.h"

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Sets the highest level printed (default LOG_WARN). Process-wide. */
void log_set_level(enum log_level level);
/* fmt: see format.h. */
void log_print(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_print(LOG_INFO, __VA_ARGS__)
/* Prints the first time only; `once` is an atomic_flag of the caller. */
#define log_warn_once(once, ...)                     \
	do {                                         \
		if (!atomic_flag_test_and_set(once)) \
			log_warn(__VA_ARGS__);       \
	} while (0)

#endif
