/* SPDX-License-Identifier: MIT */
/* json.h - writes JSON. */
#ifndef VVM_JSON_H
#define VVM_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

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
