/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what vvmbench, vvmstat and vvmrun share: messages, sizes, JSON.
 * Only public headers of the library may be used here.
 */
#ifndef VVM_TOOL_H
#define VVM_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses of all tools. */
enum { TOOL_OK = 0, TOOL_USAGE = 1, TOOL_TARGET = 2, TOOL_ENDED = 3,
       TOOL_FAILED = 4 };

/* Remembers the program's name for messages. */
void tool_init(const char *argv0);
/*
 * The path of another of the tools, or of its preload object: where all of
 * them are installed, beside the running one; where they were built, in
 * ../FOLDER. False: neither is there, and path is of no use.
 */
bool tool_find(char *path, size_t size, const char *folder, const char *name);
/* "name: text" on standard error; die exits with the status. */
void tool_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void tool_die(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "256M", "1.5G", "0x1000", "4k"; dies with TOOL_USAGE naming the option. */
uint64_t tool_size(const char *option, const char *text);
/* The same without a word; false: it is no size. */
bool tool_parse_size(const char *text, uint64_t *bytes);
/* A decimal number in [min, max]; dies with TOOL_USAGE. */
uint64_t tool_number(const char *option, const char *text, uint64_t min,
		     uint64_t max);
double tool_real(const char *option, const char *text, double min, double max);
/* "256.0M", "1.5G": at most 8 bytes with the NUL; returns buf. */
char *tool_human(char buf[8], uint64_t bytes);
uint64_t tool_now_us(void);  /* CLOCK_MONOTONIC */
uint64_t tool_unix_us(void); /* CLOCK_REALTIME */

/* A JSON object on one line, written as it is called; keys in that order. */
struct tool_json {
	FILE *out;
	bool first;
};
void tool_json_begin(struct tool_json *j, FILE *out);
void tool_json_uint(struct tool_json *j, const char *key, uint64_t value);
void tool_json_int(struct tool_json *j, const char *key, int64_t value);
void tool_json_real(struct tool_json *j, const char *key, double value);
void tool_json_bool(struct tool_json *j, const char *key, bool value);
void tool_json_text(struct tool_json *j, const char *key, const char *value);
/* Nested object: begin it with a key, end it with tool_json_close(). */
void tool_json_object(struct tool_json *j, const char *key);
void tool_json_close(struct tool_json *j); /* ends a nested object */
void tool_json_end(struct tool_json *j);   /* ends the line */

#endif
