/* SPDX-License-Identifier: MIT */
/*
 * output.h - machine-readable output: a record is a list of named values; the
 * same record becomes a JSON line, a CSV line or sysstat's JSON.
 */
#ifndef VVM_OUTPUT_H
#define VVM_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum output_form { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_CSV, OUTPUT_SYSSTAT };

enum field_kind { FIELD_UINT, FIELD_INT, FIELD_REAL, FIELD_BOOL, FIELD_TEXT };

#define FIELD_KEY_BYTES 48
#define RECORD_FIELDS	256

struct field {
	char key[FIELD_KEY_BYTES];
	enum field_kind kind;
	union {
		uint64_t u;
		int64_t i;
		double real;
		bool truth;
		const char *text; /* the caller's */
	};
};

struct record {
	unsigned fields;
	struct field field[RECORD_FIELDS];
};

/* Each adds one value; a record that is full aborts: a programmer's error. */
void record_uint(struct record *r, const char *key, uint64_t value);
void record_int(struct record *r, const char *key, int64_t value);
void record_real(struct record *r, const char *key, double value);
void record_bool(struct record *r, const char *key, bool value);
void record_text(struct record *r, const char *key, const char *value);

struct output {
	enum output_form form;
	FILE *out;
	uint64_t groups;      /* begun so far */
	uint64_t records;     /* in this group */
	bool csv_header_done; /* of this set of columns */
};

/*
 * A group is what belongs to one moment: a row, or all regions. `name` says
 * what the records are, unix_us when they were true. With OUTPUT_TEXT
 * output_record() may not be called and the others do nothing.
 */
void output_group(struct output *o, const char *name, uint64_t unix_us);
void output_record(struct output *o, const struct record *r);
void output_group_end(struct output *o);
/* Ends the document, also one without any group. */
void output_end(struct output *o);

#endif
