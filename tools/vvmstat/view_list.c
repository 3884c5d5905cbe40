/* SPDX-License-Identifier: MIT */
/*
 * view_list.c - lists: all counters of a process (-s), all processes (-l).
 */
#include "vvmstat/view_list.h"

#include <math.h>
#include <pwd.h>
#include <stdio.h>

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
	const char *resize = sample_resize_name(now);
	char text[32], stall[SAMPLE_STALL_BYTES];
	unsigned i;

	for (i = 0; i < sample_counters(now); i++) {
		snprintf(text, sizeof(text), "%lld",
			 (long long)now->counter[i]);
		print_total(text, sample_counter_name(i),
			    sample_counter_help(i));
	}
	for (i = 0; i < sample_values(now); i++) {
		snprintf(text, sizeof(text), "%llu",
			 (unsigned long long)now->value[i]);
		print_total(text, sample_value_name(i), sample_value_help(i));
	}
	if (sample_values(now) > VALUE_resize_reason)
		print_total(*resize ? resize : "-", "resize",
			    "why the budget last changed");
	snprintf(text, sizeof(text), "%.1f", sample_stalled_s(now));
	print_total(text, "stalled_s",
		    now->stall.kind ? sample_stall_text(now, stall)
				    : "faults do not get on since then");
	print_latency(now, 50, "latency_p50_us",
		      "half of all faults took less");
	print_latency(now, 99, "latency_p99_us", "99 % of them took less");
	print_latency(now, 99.9, "latency_p999_us", "99.9 % of them took less");
}

void view_totals(struct view *v, const struct target *t,
		 const struct sample *now)
{
	struct row row = {.delta = now, .seconds = view_uptime_s(now)};
	struct record record;

	if (v->output.form == OUTPUT_TEXT) {
		print_totals(now);
		return;
	}
	view_record_head(&record, t, now);
	view_record_values(&record, now);
	view_record_derived(&record, &row);
	output_group(&v->output, "totals", now->unix_us);
	output_record(&v->output, &record);
	output_group_end(&v->output);
}

/* ------------------------------------------------------------------ */
/* List									*/

static void format_pages(const struct view *v, char *buf, size_t size,
			 double pages)
{
	double bytes = fmax(0, pages) * SAMPLE_PAGE_BYTES;

	if (v->unit_bytes > 0)
		snprintf(buf, size, "%.0f", bytes / v->unit_bytes);
	else
		view_bytes(buf, size, 5, bytes);
}

static void user_name(uid_t uid, char *buf, size_t size)
{
	struct passwd *pw = getpwuid(uid);

	if (pw)
		snprintf(buf, size, "%s", pw->pw_name);
	else
		snprintf(buf, size, "%u", (unsigned)uid);
}

static void output_list(struct view *v, const struct target *t,
			const char *user, const struct sample *now)
{
	struct record record;

	view_record_head(&record, t, now);
	record_text(&record, "user", user);
	record_text(&record, "library_version",
		    t->spaces ? t->space[0].segment.library_version : "");
	record_uint(&record, "budget_pages", now->value[VALUE_budget_pages]);
	record_int(&record, "resident_pages",
		   now->counter[VVM_STAT_resident_pages]);
	record_uint(&record, "swap_used_pages",
		    now->value[VALUE_swap_used_pages]);
	output_group(&v->output, "process", now->unix_us);
	output_record(&v->output, &record);
	output_group_end(&v->output);
}

static void print_list_header(struct view *v)
{
	if (!v->started)
		printf("%s%7s %-15s %-12s %6s %9s %9s %9s %9s%s\n",
		       v->colour ? view_sgr(STYLE_HEAD) : "", "PID", "COMMAND",
		       "USER", "SPACES", "BUDGET", "RESIDENT", "SWAP", "UPTIME",
		       v->colour ? VIEW_SGR_OFF : "");
	v->started = true;
}

void view_list(struct view *v, const struct target *t, const struct sample *now)
{
	char budget[32], resident[32], swap[32], up[32], user[32];

	user_name(t->uid, user, sizeof(user));
	if (v->output.form != OUTPUT_TEXT) {
		output_list(v, t, user, now);
		return;
	}
	print_list_header(v);
	format_pages(v, budget, sizeof(budget),
		     (double)now->value[VALUE_budget_pages]);
	format_pages(v, resident, sizeof(resident),
		     (double)now->counter[VVM_STAT_resident_pages]);
	format_pages(v, swap, sizeof(swap),
		     (double)now->value[VALUE_swap_used_pages]);
	view_uptime(up, sizeof(up), view_uptime_s(now));
	printf("%7d %-15s %-12s %6u %9s %9s %9s %9s\n", t->pid, t->command,
	       user, now->spaces, budget, resident, swap, up);
}
