/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what vvmbench, vvmstat and vvmrun share: messages and sizes.
 * Of the library only public headers, and what is pure, may be used here.
 */
#ifndef VVM_TOOL_H
#define VVM_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses of all tools. */
enum {
	TOOL_OK = 0,
	TOOL_USAGE = 1,
	TOOL_TARGET = 2,
	TOOL_ENDED = 3,
	TOOL_FAILED = 4
};

/* Remembers, for messages, the program's name and what wrong usage exits with.
 */
void tool_init(const char *argv0, int usage_status);
const char *tool_program(void);
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
/* The same with the status of wrong usage, as those have that follow. */
_Noreturn void tool_usage(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/* "256M", "1.5G", "0x1000", "25%": as parse_size(); dies naming the option. */
uint64_t tool_size(const char *option, const char *text);
/* A decimal number in [min, max]. */
uint64_t tool_number(const char *option, const char *text, uint64_t min,
		     uint64_t max);
double tool_real(const char *option, const char *text, double min, double max);
/* "256.0M", "1.5G": at most 8 bytes with the NUL; returns buf. */
char *tool_human(char buf[8], uint64_t bytes);
uint64_t tool_now_us(void);  /* CLOCK_MONOTONIC */
uint64_t tool_unix_us(void); /* CLOCK_REALTIME */

#endif
