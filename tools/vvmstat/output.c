/* SPDX-License-Identifier: MIT */
/*
 * output.c - one record, three machine-readable forms.
 *
 * A view fills a struct record and does not know what becomes of it:
 *
 *  json     one object on a line ("JSON lines"): a stream that can be cut
 *	     anywhere between two lines;
 *  csv	     RFC 4180 with a line of names first; a number that there is none
 *	     of is empty, as spreadsheets and data frames expect;
 *  sysstat  the shape of sysstat's `-o JSON`: one document with the host, and
 *	     "statistics", an array with one element for each moment, which
 *	     holds its time and an array named after the view. What reads
 *	     mpstat's or iostat's reads this. The document must be closed, so
 *	     whoever begins a group calls output_end() on every way out.
 *
 * The keys are the counters' names with units in them, and the same in all
 * three. CSV prints its names once: all records of a run must have the same
 * keys, which holds because a record is filled by one function without ifs.
 */
#include "vvmstat/output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "common/json.h"
#include "common/tool.h"

/* ------------------------------------------------------------------ */
/* Records								*/

static struct field *add(struct record *r, const char *key,
			 enum field_kind kind)
{
	struct field *f = &r->field[r->fields];

	if (r->fields == RECORD_FIELDS || strlen(key) >= FIELD_KEY_BYTES)
		abort();
	r->fields++;
	strcpy(f->key, key);
	f->kind = kind;
	return f;
}

void record_uint(struct record *r, const char *key, uint64_t value)
{
	add(r, key, FIELD_UINT)->u = value;
}

void record_int(struct record *r, const char *key, int64_t value)
{
	add(r, key, FIELD_INT)->i = value;
}

void record_real(struct record *r, const char *key, double value)
{
	add(r, key, FIELD_REAL)->real = value;
}

void record_bool(struct record *r, const char *key, bool value)
{
	add(r, key, FIELD_BOOL)->truth = value;
}

void record_text(struct record *r, const char *key, const char *value)
{
	add(r, key, FIELD_TEXT)->text = value;
}

/* ------------------------------------------------------------------ */
/* JSON									*/

static void json_field(struct tool_json *j, const struct field *f)
{
	switch (f->kind) {
	case FIELD_UINT:
		tool_json_uint(j, f->key, f->u);
		break;
	case FIELD_INT:
		tool_json_int(j, f->key, f->i);
		break;
	case FIELD_REAL:
		tool_json_real(j, f->key, f->real);
		break;
	case FIELD_BOOL:
		tool_json_bool(j, f->key, f->truth);
		break;
	case FIELD_TEXT:
		tool_json_text(j, f->key, f->text);
		break;
	}
}

static void json_object(FILE *out, const struct record *r)
{
	struct tool_json j;
	unsigned i;

	tool_json_begin(&j, out);
	for (i = 0; i < r->fields; i++)
		json_field(&j, &r->field[i]);
	tool_json_end(&j); /* and the end of the line */
}

/* ------------------------------------------------------------------ */
/* CSV									*/

/* Quoted only if it has to be; a quote inside is doubled. */
static void csv_text(FILE *out, const char *s)
{
	if (!strpbrk(s, ",\"\r\n")) {
		fputs(s, out);
		return;
	}
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"')
			fputc('"', out);
		fputc(*s, out);
	}
	fputc('"', out);
}

static void csv_value(FILE *out, const struct field *f)
{
	switch (f->kind) {
	case FIELD_UINT:
		fprintf(out, "%llu", (unsigned long long)f->u);
		break;
	case FIELD_INT:
		fprintf(out, "%lld", (long long)f->i);
		break;
	case FIELD_REAL:
		if (isfinite(f->real))
			fprintf(out, "%.10g", f->real);
		break;
	case FIELD_BOOL:
		fprintf(out, "%d", f->truth);
		break;
	case FIELD_TEXT:
		csv_text(out, f->text);
		break;
	}
}

static void csv_line(struct output *o, const struct record *r)
{
	unsigned i;

	for (i = 0; i < r->fields && !o->csv_header_done; i++)
		fprintf(o->out, "%s%s", i ? "," : "", r->field[i].key);
	if (!o->csv_header_done)
		fputc('\n', o->out);
	o->csv_header_done = true;
	for (i = 0; i < r->fields; i++) {
		if (i)
			fputc(',', o->out);
		csv_value(o->out, &r->field[i]);
	}
	fputc('\n', o->out);
}

/* ------------------------------------------------------------------ */
/* sysstat's JSON							*/

static void format_time(char *buf, size_t size, const char *format,
			uint64_t unix_us)
{
	time_t at = (time_t)(unix_us / 1000000);
	struct tm tm = {0};

	localtime_r(&at, &tm);
	strftime(buf, size, format, &tm);
}

static void sysstat_head(FILE *out, uint64_t unix_us)
{
	struct tool_json j = {.out = out, .first = true};
	struct utsname u = {0};
	char date[32];

	uname(&u);
	format_time(date, sizeof(date), "%F", unix_us);
	fputs("{\"sysstat\":{\"hosts\":[{", out);
	tool_json_text(&j, "nodename", u.nodename);
	tool_json_text(&j, "sysname", u.sysname);
	tool_json_text(&j, "release", u.release);
	tool_json_text(&j, "machine", u.machine);
	tool_json_int(&j, "number-of-cpus", sysconf(_SC_NPROCESSORS_ONLN));
	tool_json_text(&j, "date", date);
	fputs(",\"statistics\":[\n", out);
}

static void sysstat_group(struct output *o, const char *name, uint64_t unix_us)
{
	char at[32];

	if (o->groups == 0)
		sysstat_head(o->out, unix_us);
	format_time(at, sizeof(at), "%T", unix_us);
	fprintf(o->out, "%s{\"timestamp\":\"%s\",\"%s\":[\n",
		o->groups ? "," : "", at, name);
}

/* ------------------------------------------------------------------ */
/* Groups								*/

void output_group(struct output *o, const char *name, uint64_t unix_us)
{
	if (o->form == OUTPUT_SYSSTAT)
		sysstat_group(o, name, unix_us);
	o->groups++;
	o->records = 0;
}

void output_record(struct output *o, const struct record *r)
{
	if (o->form == OUTPUT_CSV) {
		csv_line(o, r);
		return;
	}
	if (o->form == OUTPUT_SYSSTAT && o->records)
		fputc(',', o->out);
	json_object(o->out, r);
	o->records++;
}

void output_group_end(struct output *o)
{
	if (o->form == OUTPUT_SYSSTAT)
		fputs("]}\n", o->out);
	if (o->form != OUTPUT_TEXT)
		fflush(o->out);
}

void output_end(struct output *o)
{
	if (o->form != OUTPUT_SYSSTAT)
		return;
	if (o->groups == 0)
		sysstat_head(o->out, tool_unix_us());
	fputs("]}]}}\n", o->out);
	fflush(o->out);
}
