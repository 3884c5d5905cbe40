/* SPDX-License-Identifier: MIT */
/*
 * table.c - medians of several engines, side by side.
 *
 * A shared machine is slow for a while and then fast again; a mean of five
 * rounds keeps that, a median does not. Medians are taken for each figure by
 * itself. Ratios are of medians, not medians of ratios, so that a reader can
 * check them on the printed numbers. A ratio is the engine's figure divided by
 * the base's: more is better for rates and hits, less for times and bytes.
 *
 * Pure: from tallies to text.
 */
#include "vvmbench/table.h"

#include "common/json.h"
#include "common/tool.h"
#include "vvmbench/workload/median.h"
#include "vvmbench/workload/plan.h"

#include <math.h>
#include <string.h>

enum { NAME_WIDTH = 13, COLUMN_WIDTH = 8 };

void tally_add(struct tally *t, const struct figures *f)
{
	unsigned i;

	for (i = 0; i < FIGURE_COUNT; i++)
		t->value[i][t->rounds] = f->value[i];
	t->rounds++;
}

static double median_of(const double *values, unsigned n)
{
	double finite[TALLY_ROUNDS];
	unsigned i, count = 0;

	for (i = 0; i < n; i++)
		if (!isnan(values[i]))
			finite[count++] = values[i];
	return count ? bench_median(finite, count) : NAN;
}

void tally_medians(const struct tally *t, struct figures *f)
{
	unsigned i;

	for (i = 0; i < FIGURE_COUNT; i++)
		f->value[i] = median_of(t->value[i], t->rounds);
}

const struct tally *table_base(const struct table *table, const char *name)
{
	const struct tally *first = NULL;
	unsigned i;

	for (i = 0; i < table->count; i++) {
		const struct tally *t = &table->tallies[i];

		if (t->rounds && !strcmp(t->name, name))
			return t;
		if (t->rounds && !first)
			first = t;
	}
	return first;
}

void table_ratios(const struct figures *of, const struct figures *base,
		  struct figures *ratios)
{
	unsigned i;

	for (i = 0; i < FIGURE_COUNT; i++)
		ratios->value[i] = base->value[i] > 0
					   ? of->value[i] / base->value[i]
					   : NAN;
}

static void ratios_of(const struct tally *t, const struct tally *base,
		      struct figures *ratios)
{
	struct figures of, to;

	tally_medians(t, &of);
	tally_medians(base, &to);
	table_ratios(&of, &to, ratios);
}

/* ------------------------------------------------------------------ */
/* Text									*/

/* Columns that no engine has a value for are left out. */
static bool has_column(const struct table *t, unsigned figure)
{
	struct figures f;
	unsigned i;

	if (!*figure_infos[figure].column)
		return false;
	for (i = 0; i < t->count; i++) {
		tally_medians(&t->tallies[i], &f);
		if (!isnan(f.value[figure]))
			return true;
	}
	return false;
}

static void print_heading(const struct table *t, FILE *out)
{
	unsigned i;

	fprintf(out, "%-*s", NAME_WIDTH, "");
	for (i = 0; i < FIGURE_COUNT; i++)
		if (has_column(t, i))
			fprintf(out, "%*s", COLUMN_WIDTH,
				figure_infos[i].column);
	fputc('\n', out);
}

static void print_medians(const struct table *t, const struct tally *tally,
			  FILE *out)
{
	struct figures f;
	char text[16];
	unsigned i;

	tally_medians(tally, &f);
	fprintf(out, "%-*s", NAME_WIDTH, tally->name);
	for (i = 0; i < FIGURE_COUNT; i++)
		if (has_column(t, i))
			fprintf(out, "%*s", COLUMN_WIDTH,
				figure_text(text, (enum figure)i, f.value[i]));
	fputc('\n', out);
}

/* Two decimals; three digits are enough for the large ones. */
static void ratio_text(char text[16], double ratio)
{
	if (isnan(ratio))
		snprintf(text, 16, "-");
	else
		snprintf(text, 16, "%.*fx", ratio < 99.95 ? 2 : 0, ratio);
}

static void print_ratios(const struct table *t, const struct tally *tally,
			 const struct tally *base, FILE *out)
{
	struct figures ratios;
	char text[16];
	unsigned i;

	ratios_of(tally, base, &ratios);
	fprintf(out, "%-*s", NAME_WIDTH, "");
	for (i = 0; i < FIGURE_COUNT; i++) {
		if (!has_column(t, i))
			continue;
		ratio_text(text, ratios.value[i]);
		fprintf(out, "%*s", COLUMN_WIDTH, text);
	}
	fputc('\n', out);
}

/* What does not fit a column. */
static void print_notes(const struct table *t, const struct tally *tally,
			FILE *out)
{
	struct figures f;
	char text[16];

	tally_medians(tally, &f);
	if (tally->rounds && tally->rounds < t->rounds)
		fprintf(out, "%s: %u of %u rounds\n", tally->name,
			tally->rounds, t->rounds);
	if (!isnan(f.value[FIGURE_allowance_bytes]))
		fprintf(out,
			"%s: in a cgroup limited to the budget and %s for all "
			"else of the process\n",
			tally->name,
			figure_text(text, FIGURE_allowance_bytes,
				    f.value[FIGURE_allowance_bytes]));
	if (*tally->left_out.text)
		fprintf(out, "%s: %s: %s\n", tally->name,
			tally->rounds ? "no more rounds" : "left out",
			tally->left_out.text);
}

void table_print(const struct table *t, const struct tally *base, FILE *out)
{
	unsigned i;

	if (base)
		print_heading(t, out);
	for (i = 0; i < t->count; i++) {
		if (!t->tallies[i].rounds)
			continue;
		print_medians(t, &t->tallies[i], out);
		if (&t->tallies[i] != base)
			print_ratios(t, &t->tallies[i], base, out);
	}
	for (i = 0; i < t->count; i++)
		print_notes(t, &t->tallies[i], out);
}

/* ------------------------------------------------------------------ */
/* JSON									*/

static void json_engine(struct tool_json *j, const struct tally *t,
			const struct tally *base)
{
	struct figures f;
	unsigned i;

	tool_json_object(j, t->name);
	tool_json_uint(j, "rounds", t->rounds);
	tally_medians(t, &f);
	figures_json(j, &f);
	tool_json_object(j, "ratios");
	ratios_of(t, base, &f);
	for (i = 0; i < FIGURE_COUNT; i++)
		tool_json_real(j, figure_infos[i].name, f.value[i]);
	tool_json_close(j);
	tool_json_close(j);
}

void table_json(const struct table *t, const struct tally *base, FILE *out)
{
	struct tool_json j;
	unsigned i;

	tool_json_begin(&j, out);
	plan_json(&j, t->plan);
	tool_json_uint(&j, "rounds", t->rounds);
	tool_json_real(&j, "seconds", t->plan->seconds);
	tool_json_text(&j, "base", base ? base->name : NULL);
	tool_json_object(&j, "engines");
	for (i = 0; i < t->count; i++)
		if (base && t->tallies[i].rounds)
			json_engine(&j, &t->tallies[i], base);
	tool_json_close(&j);
	tool_json_object(&j, "left_out");
	for (i = 0; i < t->count; i++)
		if (*t->tallies[i].left_out.text)
			tool_json_text(&j, t->tallies[i].name,
				       t->tallies[i].left_out.text);
	tool_json_close(&j);
	tool_json_end(&j);
}

/* ------------------------------------------------------------------ */
/* CSV: RFC 4180, but for the line ends					*/

static void csv_value(double value, FILE *out)
{
	if (isnan(value))
		fputc(',', out);
	else
		fprintf(out, ",%.12g", value);
}

static void csv_text(const char *text, FILE *out)
{
	fputs(",\"", out);
	for (; *text; text++)
		fputs(*text == '"' ? "\"\"" : (char[2]){*text}, out);
	fputc('"', out);
}

static void csv_heading(FILE *out)
{
	unsigned i;

	fputs("engine,rounds", out);
	for (i = 0; i < FIGURE_COUNT; i++)
		fprintf(out, ",%s", figure_infos[i].name);
	for (i = 0; i < FIGURE_COUNT; i++)
		fprintf(out, ",ratio_%s", figure_infos[i].name);
	fputs(",left_out\n", out);
}

static void csv_engine(const struct tally *t, const struct tally *base,
		       FILE *out)
{
	struct figures f, ratios;
	unsigned i;

	for (i = 0; i < FIGURE_COUNT; i++)
		f.value[i] = ratios.value[i] = NAN;
	if (t->rounds) {
		tally_medians(t, &f);
		ratios_of(t, base, &ratios);
	}
	fprintf(out, "%s,%u", t->name, t->rounds);
	for (i = 0; i < FIGURE_COUNT; i++)
		csv_value(f.value[i], out);
	for (i = 0; i < FIGURE_COUNT; i++)
		csv_value(ratios.value[i], out);
	csv_text(t->left_out.text, out);
	fputc('\n', out);
}

void table_csv(const struct table *t, const struct tally *base, FILE *out)
{
	unsigned i;

	csv_heading(out);
	for (i = 0; i < t->count; i++)
		csv_engine(&t->tallies[i], base, out);
}
