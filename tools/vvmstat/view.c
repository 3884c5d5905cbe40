/* SPDX-License-Identifier: MIT */
/*
 * view.c - what all views share: numbers, colours, times, records.
 *
 * Numbers. Eighty columns leave four places and three figures for one:
 * "8123", "12k", "1.2M". That is what a human reads off a moving screen; who
 * wants all digits takes -w, -S or a machine-readable form.
 *
 * Colours follow sysstat's and the NO_COLOR convention: none if NO_COLOR is
 * set and not empty, or S_COLORS=never, or standard output is no terminal;
 * S_COLORS=always has them in a pipe, too. They only repeat what the numbers
 * say: dim is nothing, yellow and red are column.c's limits.
 */
#define _GNU_SOURCE 1
#include "vvmstat/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ */
/* Numbers								*/

/* "1.2M", or "1M" where that does not fit; "8123" if unit is ' '. */
static void in_unit(char *buf, size_t size, int width, double value, char unit)
{
	char suffix[2] = {unit == ' ' ? '\0' : unit, '\0'};

	/* 9.96 would become "10.0": that is the whole number's turn. */
	if (value < 9.95 && *suffix) {
		snprintf(buf, size, "%.1f%s", value, suffix);
		if ((int)strlen(buf) <= width)
			return;
	}
	snprintf(buf, size, "%.0f%s", value, suffix);
}

/* Divides until the text fits; `unit` names the powers of `base`. */
static void scaled(char *buf, size_t size, int width, double value, double base,
		   const char *unit)
{
	for (;; value /= base, unit++) {
		in_unit(buf, size, width, value, *unit);
		if (!unit[1] || ((int)strlen(buf) <= width &&
				 (*unit == ' ' || value < base - 0.5)))
			return;
	}
}

void view_number(char *buf, size_t size, int width, double value)
{
	if (isnan(value))
		snprintf(buf, size, "-");
	else
		scaled(buf, size, width, value, 1000, " kMGTPE");
}

void view_bytes(char *buf, size_t size, int width, double bytes)
{
	if (isnan(bytes))
		snprintf(buf, size, "-");
	else if (bytes < 0.5)
		snprintf(buf, size, "0");
	else
		scaled(buf, size, width, bytes / 1024, 1024, "KMGTPE");
}

void view_cell(const struct view *v, const struct column *c, int width,
	       double value, char *buf, size_t size)
{
	if (c->format == COLUMN_BYTES && v->unit_bytes > 0)
		snprintf(buf, size, "%.0f", value / v->unit_bytes);
	else if (c->format == COLUMN_BYTES)
		view_bytes(buf, size, width, value);
	else
		view_number(buf, size, width, value);
}

/* ------------------------------------------------------------------ */
/* Colours and the environment						*/

static bool is_set(const char *name, const char *value)
{
	const char *text = getenv(name);

	return text && !strcmp(text, value);
}

void view_environment(struct view *v)
{
	const char *none = getenv("NO_COLOR");

	v->colour = isatty(STDOUT_FILENO) && !is_set("TERM", "dumb");
	if (is_set("S_COLORS", "always"))
		v->colour = true;
	if ((none && *none) || is_set("S_COLORS", "never"))
		v->colour = false;
	v->iso_time = is_set("S_TIME_FORMAT", "ISO");
	v->output.out = stdout;
}

enum style view_style(const struct column *c, double value)
{
	bool below = c->alarm == ALARM_BELOW;

	if (isnan(value))
		return STYLE_DIM;
	if (c->alarm != ALARM_NEVER &&
	    (below ? value <= c->bad : value >= c->bad))
		return STYLE_BAD;
	if (c->alarm != ALARM_NEVER &&
	    (below ? value <= c->warn : value >= c->warn))
		return STYLE_WARN;
	return value < 0.5 ? STYLE_DIM : STYLE_PLAIN;
}

const char *view_sgr(enum style style)
{
	static const char *const sgr[] = {
		[STYLE_PLAIN] = "",	    [STYLE_DIM] = "\033[2m",
		[STYLE_HEAD] = "\033[1m",   [STYLE_WARN] = "\033[33m",
		[STYLE_BAD] = "\033[1;31m",
	};

	return sgr[style];
}

/* ------------------------------------------------------------------ */
/* Times								*/

double view_uptime_s(const struct sample *now)
{
	return now->opened_unix_us && now->unix_us > now->opened_unix_us
		       ? (double)(now->unix_us - now->opened_unix_us) / 1e6
		       : 0;
}

void view_uptime(char *buf, size_t size, double seconds)
{
	unsigned long long s = (unsigned long long)seconds;

	if (s < 3600)
		snprintf(buf, size, "%02llu:%02llu", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60,
			 s % 60);
	else
		snprintf(buf, size, "%llud%02lluh", s / 86400, s / 3600 % 24);
}

bool view_stall(const struct view *v, const struct sample *now)
{
	char text[SAMPLE_STALL_BYTES];

	if (!now->stall.kind)
		return false;
	printf("%sstalled %.0f s: %s%s\n", v->colour ? view_sgr(STYLE_BAD) : "",
	       sample_stalled_s(now), sample_stall_text(now, text),
	       v->colour ? VIEW_SGR_OFF : "");
	return true;
}

/* ------------------------------------------------------------------ */
/* Records								*/

void view_record_head(struct record *r, const struct target *t,
		      const struct sample *now)
{
	r->fields = 0;
	record_uint(r, "unix_us", now->unix_us);
	record_int(r, "pid", t->pid);
	record_text(r, "command", t->command);
	record_uint(r, "spaces", now->spaces);
	record_real(r, "uptime_s", view_uptime_s(now));
}

void view_record_values(struct record *r, const struct sample *now)
{
	unsigned i;

	for (i = 0; i < sample_counters(now); i++)
		record_int(r, sample_counter_name(i), now->counter[i]);
	for (i = 0; i < sample_values(now); i++)
		record_uint(r, sample_value_name(i), now->value[i]);
	record_real(r, "stalled_s", sample_stalled_s(now));
	record_text(r, "stalled_on", sample_stall_name(now));
	record_uint(r, "stalled_arg", now->stall.arg);
}

void view_record_rates(struct record *r, const struct row *row)
{
	char key[FIELD_KEY_BYTES];
	unsigned i;

	for (i = 0; i < sample_counters(row->delta); i++) {
		double count = (double)row->delta->counter[i];

		if (sample_counter_is_gauge(i))
			continue;
		snprintf(key, sizeof(key), "%s_per_s", sample_counter_name(i));
		record_real(r, key,
			    row->seconds > 0 ? count / row->seconds : 0);
	}
}

/* null where nothing happened that could be measured. */
void view_record_derived(struct record *r, const struct row *row)
{
	unsigned i;

	for (i = 0; i < columns_count; i++)
		if (columns[i].key)
			record_real(r, columns[i].key,
				    columns[i].value(row, &columns[i]));
}

void view_end(struct view *v)
{
	output_end(&v->output);
}
