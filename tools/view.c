/* SPDX-License-Identifier: MIT */
/*
 * view.c - rows, totals and lists.
 *
 * The row's columns are one table. Each names its group (the first header
 * line), itself (the second), its widths, how it is printed, and the function
 * that computes it from a delta. The headers, the rows and the man page
 * follow this table; the JSON rows do not, they carry every counter by its
 * own name, so that a program never depends on what fits on a screen.
 *
 * Eighty columns. A number gets four places and three figures: "8123",
 * "12k", "1.2M". That is what a human reads off a moving screen; who wants
 * all digits takes -w (eight places and more columns) or --json.
 *
 * Per second or not. Rates are per second of the interval that really
 * passed, not of the one asked for. Levels (resident, dirty, budget) are
 * those at the end of the interval. Errors are counted in the interval, not
 * per second: one error in ten seconds must not be shown as 0.
 */
#define _GNU_SOURCE 1
#include "view.h"

#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "tool.h"

/* Rows of a window when standard output is none. */
#define DEFAULT_ROWS 24
/* Two header lines, and one for the prompt, as vmstat does. */
#define HEADER_ROWS 3

/* ------------------------------------------------------------------ */
/* Numbers								*/

/* Divides until the text fits; `unit` names the powers of `base`. */
static void scaled(char *buf, size_t size, int width, double value, double base,
		   const char *unit)
{
	while (unit[1]) {
		bool plain = *unit == ' ';
		char suffix[2] = {plain ? '\0' : *unit, '\0'};

		/* 9.96 would become "10.0": that is the next form's turn. */
		snprintf(buf, size,
			 value < 9.95 && !plain ? "%.1f%s" : "%.0f%s", value,
			 suffix);
		if ((int)strlen(buf) <= width && (plain || value < base - 0.5))
			return;
		value /= base;
		unit++;
	}
	snprintf(buf, size, "%.0f%c", value, *unit);
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

/* ------------------------------------------------------------------ */
/* Columns								*/

struct row {
	const struct sample *delta;
	double seconds;
};

enum format { NUMBER, BYTES, PERCENT };

struct column {
	const char *group, *name;
	int width;	/* 0: only shown with -w */
	int wide_width; /* with -w */
	enum format format;
	double (*value)(const struct row *r, const struct column *c);
	enum vvm_stat_counter counter; /* of the generic functions */
	double argument;
};

static double count(const struct row *r, enum vvm_stat_counter c)
{
	return (double)r->delta->counter[c];
}

#define COUNT_OF(name) count(r, VVM_STAT_##name)

static double rate(const struct row *r, const struct column *c)
{
	return r->seconds > 0 ? count(r, c->counter) / r->seconds : 0;
}

static double byte_rate(const struct row *r, const struct column *c)
{
	return rate(r, c) * SAMPLE_PAGE_BYTES;
}

/* A gauge of pages, in bytes. A momentary sum may be below zero. */
static double page_bytes(const struct row *r, const struct column *c)
{
	return fmax(0, count(r, c->counter)) * SAMPLE_PAGE_BYTES;
}

static double value_bytes(const struct row *r, const struct column *c)
{
	return (double)r->delta->value[c->counter] * SAMPLE_PAGE_BYTES;
}

static double used_pct(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(fmax(0, COUNT_OF(resident_pages)),
			  (double)r->delta->value[VALUE_budget_pages]);
}

/* Of those whose fate is known. */
static double prefetch_hit_pct(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(COUNT_OF(prefetch_hit_pages),
			  COUNT_OF(prefetch_hit_pages) +
				  COUNT_OF(prefetch_waste_pages));
}

static double referenced_pct(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(COUNT_OF(reclaim_referenced_pages),
			  COUNT_OF(reclaim_scanned_pages));
}

/* Pages looked at for each page that went. */
static double scanned_per_evicted(const struct row *r, const struct column *c)
{
	(void)c;
	return sample_pct(COUNT_OF(reclaim_scanned_pages),
			  100 * (COUNT_OF(evict_clean_pages) +
				 COUNT_OF(evict_written_pages)));
}

static double latency_us(const struct row *r, const struct column *c)
{
	return sample_latency_us(r->delta, c->argument);
}

static double errors(const struct row *r, const struct column *c)
{
	(void)c;
	return COUNT_OF(faults_failed) + COUNT_OF(read_errors) +
	       COUNT_OF(writeback_failed_pages) + COUNT_OF(frame_timeouts) +
	       COUNT_OF(swap_full);
}

#define C(name) VVM_STAT_##name, 0
#define V(name) (enum vvm_stat_counter) VALUE_##name, 0
#define P(pct)	(enum vvm_stat_counter)0, pct
#define NONE	P(0)

static const struct column columns[] = {
	{"memory", "budg", 0, 6, BYTES, value_bytes, V(budget_pages)},
	{"memory", "res", 4, 6, BYTES, page_bytes, C(resident_pages)},
	{"memory", "use", 3, 3, PERCENT, used_pct, NONE},
	{"memory", "drty", 4, 6, BYTES, page_bytes, C(dirty_pages)},
	{"memory", "pin", 0, 6, BYTES, page_bytes, C(pinned_pages)},
	{"memory", "swap", 0, 6, BYTES, value_bytes, V(swap_used_pages)},
	{"faults/s", "all", 0, 7, NUMBER, rate, C(faults)},
	{"faults/s", "read", 4, 7, NUMBER, rate, C(faults_swapin)},
	{"faults/s", "zero", 4, 7, NUMBER, rate, C(faults_zero)},
	{"faults/s", "wp", 4, 7, NUMBER, rate, C(faults_wp)},
	{"faults/s", "join", 0, 7, NUMBER, rate, C(faults_joined)},
	{"ahead", "pg/s", 4, 7, NUMBER, rate, C(prefetch_pages)},
	{"ahead", "hit", 3, 3, PERCENT, prefetch_hit_pct, NONE},
	{"swap/s", "in", 4, 6, BYTES, byte_rate, C(swapin_pages)},
	{"swap/s", "out", 4, 6, BYTES, byte_rate, C(swapout_pages)},
	{"evict/s", "cln", 4, 7, NUMBER, rate, C(evict_clean_pages)},
	{"evict/s", "zero", 0, 7, NUMBER, rate, C(evict_zero_pages)},
	{"evict/s", "wrtn", 4, 7, NUMBER, rate, C(evict_written_pages)},
	{"clk", "ref", 3, 3, PERCENT, referenced_pct, NONE},
	{"clk", "pg/ev", 0, 5, NUMBER, scanned_per_evicted, NONE},
	{"clk", "drct", 0, 5, NUMBER, rate, C(reclaim_direct_steps)},
	{"wait us", "p50", 4, 6, NUMBER, latency_us, P(50)},
	{"wait us", "p99", 4, 6, NUMBER, latency_us, P(99)},
	{"wait us", "p99.9", 0, 6, NUMBER, latency_us, P(99.9)},
	{"bad", "stl", 3, 5, NUMBER, rate, C(stalls)},
	{"bad", "err", 3, 5, NUMBER, errors, NONE},
};

/* In a fixed unit (-S) a byte column holds all its digits. */
#define UNIT_WIDTH 10

#define for_each_column(v, c)                                               \
	for (c = columns; c < columns + sizeof(columns) / sizeof(*columns); \
	     c++)                                                           \
		if (column_width(v, c) == 0)                                \
			continue;                                           \
		else

static int column_width(const struct view *v, const struct column *c)
{
	int width = v->wide ? c->wide_width : c->width;

	return width && c->format == BYTES && v->unit_bytes > 0 ? UNIT_WIDTH
								: width;
}

/* ------------------------------------------------------------------ */
/* Header								*/

static unsigned window_rows(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ||
	    size.ws_row <= HEADER_ROWS)
		return DEFAULT_ROWS;
	return size.ws_row;
}

/* The group's name in the middle of dashes, over its columns. */
static void print_group(const char *name, int width)
{
	int left = (width - (int)strlen(name)) / 2, i;

	for (i = 0; i < width; i++) {
		if (i == left) {
			fputs(name, stdout);
			i += (int)strlen(name) - 1;
		} else {
			putchar('-');
		}
	}
}

static void print_groups(const struct view *v)
{
	const struct column *c;
	const char *group = NULL;
	int width = 0;

	for_each_column(v, c)
	{
		if (group && strcmp(group, c->group)) {
			print_group(group, width);
			putchar(' ');
			width = 0;
		}
		width += column_width(v, c) + (width > 0);
		group = c->group;
	}
	print_group(group, width);
	fputs(v->timestamp ? " -----timestamp-----\n" : "\n", stdout);
}

static void print_names(const struct view *v)
{
	const struct column *c;
	const char *space = "";
	time_t now = time(NULL);
	char zone[32] = "";

	for_each_column(v, c)
	{
		printf("%s%*s", space, column_width(v, c), c->name);
		space = " ";
	}
	strftime(zone, sizeof(zone), "%Z", localtime(&now));
	if (v->timestamp)
		printf(" %19s", zone);
	putchar('\n');
}

static void print_header(struct view *v)
{
	bool due = !v->started ||
		   (!v->once && v->since_header + HEADER_ROWS >= window_rows());

	if (!due)
		return;
	print_groups(v);
	print_names(v);
	v->since_header = 0;
	v->started = true;
}

/* ------------------------------------------------------------------ */
/* Rows									*/

static void format_cell(const struct view *v, const struct column *c,
			double value, char *buf, size_t size)
{
	if (c->format == BYTES && v->unit_bytes > 0)
		snprintf(buf, size, "%.0f", value / v->unit_bytes);
	else if (c->format == BYTES)
		view_bytes(buf, size, column_width(v, c), value);
	else
		view_number(buf, size, column_width(v, c), value);
}

static void print_row(struct view *v, const struct row *r)
{
	const struct column *c;
	const char *space = "";
	char text[64];
	time_t now = time(NULL);

	print_header(v);
	for_each_column(v, c)
	{
		format_cell(v, c, c->value(r, c), text, sizeof(text));
		printf("%s%*s", space, column_width(v, c), text);
		space = " ";
	}
	strftime(text, sizeof(text), "%F %T", localtime(&now));
	if (v->timestamp)
		printf(" %s", text);
	putchar('\n');
	v->since_header++;
}

static uint64_t unix_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double uptime_s(const struct sample *now)
{
	uint64_t us = unix_us();

	/* The clock may have been set back since. */
	return now->opened_unix_us && us > now->opened_unix_us
		       ? (double)(us - now->opened_unix_us) / 1e6
		       : 0;
}

/* Keys that every JSON object begins with. */
static void json_head(struct tool_json *j, const struct target *t,
		      const struct sample *now)
{
	tool_json_begin(j, stdout);
	tool_json_uint(j, "unix_us", unix_us());
	tool_json_int(j, "pid", t->pid);
	tool_json_text(j, "command", t->command);
	tool_json_uint(j, "spaces", now->spaces);
	tool_json_real(j, "uptime_s", uptime_s(now));
}

static void json_values(struct tool_json *j, const struct sample *now)
{
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		tool_json_int(j, sample_counter_name(i), now->counter[i]);
	for (i = 0; i < VALUE_COUNT; i++)
		tool_json_uint(j, sample_value_name(i), now->value[i]);
}

static void json_rates(struct tool_json *j, const struct row *r)
{
	char key[64];
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++) {
		if (sample_counter_is_gauge(i))
			continue;
		snprintf(key, sizeof(key), "%s_per_s", sample_counter_name(i));
		tool_json_real(j, key,
			       r->seconds > 0 ? count(r, i) / r->seconds : 0);
	}
}

/* null where nothing happened that could be measured. */
static void json_derived(struct tool_json *j, const struct row *r)
{
	tool_json_real(j, "used_pct", used_pct(r, NULL));
	tool_json_real(j, "prefetch_hit_pct", prefetch_hit_pct(r, NULL));
	tool_json_real(j, "referenced_pct", referenced_pct(r, NULL));
	tool_json_real(j, "latency_p50_us", sample_latency_us(r->delta, 50));
	tool_json_real(j, "latency_p99_us", sample_latency_us(r->delta, 99));
	tool_json_real(j, "latency_p999_us", sample_latency_us(r->delta, 99.9));
}

static void json_row(const struct target *t, const struct row *r,
		     const struct sample *now, bool since_start)
{
	struct tool_json j;

	json_head(&j, t, now);
	tool_json_bool(&j, "since_start", since_start);
	tool_json_real(&j, "interval_s", r->seconds);
	json_values(&j, now);
	json_rates(&j, r);
	json_derived(&j, r);
	tool_json_end(&j);
}

void view_row(struct view *v, const struct target *t,
	      const struct sample *delta, const struct sample *now,
	      double seconds, bool since_start)
{
	struct row r = {.delta = delta, .seconds = seconds};

	if (since_start)
		r.seconds = uptime_s(now);
	if (v->json)
		json_row(t, &r, now, since_start);
	else
		print_row(v, &r);
}

/* ------------------------------------------------------------------ */
/* Totals								*/

static void print_total(const char *number, const char *name, const char *help)
{
	printf("%20s %-26s %s\n", number, name, help);
}

static void print_latency(const struct sample *now, double pct,
			  const char *name, const char *help)
{
	double us = sample_latency_us(now, pct);
	char text[32];

	snprintf(text, sizeof(text), isnan(us) ? "-" : "%.1f", us);
	print_total(text, name, help);
}

static void print_totals(const struct sample *now)
{
	char text[32];
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++) {
		snprintf(text, sizeof(text), "%lld",
			 (long long)now->counter[i]);
		print_total(text, sample_counter_name(i),
			    sample_counter_help(i));
	}
	for (i = 0; i < VALUE_COUNT; i++) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)now->value[i]);
		print_total(text, sample_value_name(i), sample_value_help(i));
	}
	print_latency(now, 50, "latency_p50_us",
		      "half of all faults took less");
	print_latency(now, 99, "latency_p99_us", "99 % of them took less");
	print_latency(now, 99.9, "latency_p999_us", "99.9 % of them took less");
}

void view_totals(const struct view *v, const struct target *t,
		 const struct sample *now)
{
	struct row r = {.delta = now, .seconds = uptime_s(now)};
	struct tool_json j;

	if (!v->json) {
		print_totals(now);
		return;
	}
	json_head(&j, t, now);
	json_values(&j, now);
	json_derived(&j, &r);
	tool_json_end(&j);
}

/* ------------------------------------------------------------------ */
/* List									*/

/* "42s", "03:07", "5:03:07", "12d05h" */
static void format_uptime(char *buf, size_t size, double seconds)
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

static void format_pages(const struct view *v, char *buf, size_t size,
			 double pages)
{
	double bytes = fmax(0, pages) * SAMPLE_PAGE_BYTES;

	if (v->unit_bytes > 0)
		snprintf(buf, size, "%.0f", bytes / v->unit_bytes);
	else
		view_bytes(buf, size, 5, bytes);
}

static void json_list(const struct target *t, const char *user,
		      const struct sample *now)
{
	struct tool_json j;

	json_head(&j, t, now);
	tool_json_text(&j, "user", user);
	tool_json_text(&j, "library_version",
		       t->spaces ? t->space[0].segment.library_version : "");
	tool_json_uint(&j, "budget_pages", now->value[VALUE_budget_pages]);
	tool_json_int(&j, "resident_pages",
		      now->counter[VVM_STAT_resident_pages]);
	tool_json_uint(&j, "swap_used_pages",
		       now->value[VALUE_swap_used_pages]);
	tool_json_end(&j);
}

static void print_list_header(struct view *v)
{
	if (!v->started)
		printf("%7s %-15s %-12s %6s %9s %9s %9s %9s\n", "PID",
		       "COMMAND", "USER", "SPACES", "BUDGET", "RESIDENT",
		       "SWAP", "UPTIME");
	v->started = true;
}

void view_list(struct view *v, const struct target *t, const struct sample *now)
{
	struct passwd *pw = getpwuid(t->uid);
	char budget[32], resident[32], swap[32], up[32], user[32];

	snprintf(user, sizeof(user), "%u", (unsigned)t->uid);
	if (pw)
		snprintf(user, sizeof(user), "%s", pw->pw_name);
	if (v->json) {
		json_list(t, user, now);
		return;
	}
	print_list_header(v);
	format_pages(v, budget, sizeof(budget),
		     (double)now->value[VALUE_budget_pages]);
	format_pages(v, resident, sizeof(resident),
		     (double)now->counter[VVM_STAT_resident_pages]);
	format_pages(v, swap, sizeof(swap),
		     (double)now->value[VALUE_swap_used_pages]);
	format_uptime(up, sizeof(up), uptime_s(now));
	printf("%7d %-15s %-12s %6u %9s %9s %9s %9s\n", t->pid, t->command,
	       user, now->spaces, budget, resident, swap, up);
}
