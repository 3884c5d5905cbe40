/* SPDX-License-Identifier: MIT */
/* line.h - short files of text, as /proc and /sys have them. */
#ifndef VVM_LINE_H
#define VVM_LINE_H

#include <stddef.h>
#include <stdint.h>

/*
 * A file of one short line, as /proc and /sys have them. Reading: the line
 * without its end, "" if it cannot be read. 0 or -errno.
 */
int line_read(const char *path, char *line, size_t size);
int line_write(const char *path, const char *line);
/* A number in such a file; 0 when there is none. */
uint64_t line_number(const char *path);
/* The value of a line "name value" or "name: value" of a file, or 0. */
uint64_t line_value(const char *path, const char *name);

#endif
