/* SPDX-License-Identifier: MIT */
/*
 * view_tables.c - the views that take more than a line: histograms (-H),
 * regions (-r), the addresses that fault most (--heat), the map (-m).
 *
 * Text is drawn on a canvas as wide as the terminal, or of 132 columns when
 * there is none, and then printed: by the same functions as the full-screen
 * view. At an interval one table follows the other, with the time above it if
 * -t says so. A map that is repeated on a terminal is drawn over the one
 * before: it is the movement that one wants to see.
 */
#define _GNU_SOURCE 1
#include "vvmstat/view_tables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/tool.h"
#include "screen/term.h"
#include "vvmstat/draw_map.h"
#include "vvmstat/histogram.h"
#include "vvmstat/regions.h"

#define PIPE_COLUMNS 132
#define HEAT_ROWS    20 /* in a pipe */
/* Of a map for programs: 64 cells a line, 256 KiB cells for 4 GiB. */
#define MAP_OUTPUT_COLUMNS 64
#define MAP_OUTPUT_LINES   256

static double seconds_of(const struct moment *old, const struct moment *now)
{
	return old->sample.at_us
		       ? (double)(now->sample.at_us - old->sample.at_us) / 1e6
		       : view_uptime_s(&now->sample);
}

/* ------------------------------------------------------------------ */
/* Text									*/

/* A canvas of so many rows (0: the terminal's height less one). */
static void open_canvas(const struct view *v, struct canvas *c, size_t rows)
{
	unsigned height, width;

	term_size(&height, &width);
	if (!isatty(STDOUT_FILENO))
		width = PIPE_COLUMNS;
	if (width < 80)
		width = 80;
	*c = (struct canvas){
		.colour = v->colour, .plain = !v->colour, .utf8 = term_utf8()};
	if (rows == 0)
		rows = height > 3 ? height - 1 : 3;
	if (canvas_resize(c, (unsigned)rows, width))
		tool_die(TOOL_FAILED, "out of memory");
}

static void print_canvas(struct view *v, struct canvas *c, uint64_t unix_us)
{
	time_t at = (time_t)(unix_us / 1000000);
	struct tm tm = {0};
	char text[64];

	if (v->started)
		putchar('\n');
	v->started = true;
	localtime_r(&at, &tm);
	strftime(text, sizeof(text), v->iso_time ? "%FT%T%z" : "%F %T", &tm);
	if (v->timestamp)
		puts(text);
	canvas_print(c, stdout, "\n");
	canvas_free(c);
}

/* ------------------------------------------------------------------ */
/* Histograms								*/

/* One record for each power of two, the empty ones as well. */
static void output_histograms(struct view *v, const struct target *t,
			      const struct sample *delta)
{
	uint64_t total[VVM_STAT_STAGE_BUCKETS] = {0};
	struct record r;
	unsigned i, k;

	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		total[vvm_stat_stage_bucket(vvm_stat_bucket_ns(i))] +=
			delta->latency[i];
	output_group(&v->output, "histogram", delta->unix_us);
	for (i = 0; i < VVM_STAT_STAGE_BUCKETS; i++) {
		view_record_head(&r, t, delta);
		record_uint(&r, "from_ns", i ? (uint64_t)1 << i : 0);
		for (k = 0; k < VVM_STAT_STAGE_COUNT; k++)
			record_uint(&r, sample_stage_name(k),
				    delta->stage[k][i]);
		record_uint(&r, "total", total[i]);
		output_record(&v->output, &r);
	}
	output_group_end(&v->output);
}

void view_histograms(struct view *v, const struct target *t,
		     const struct moment *old, const struct moment *now)
{
	struct sample delta;
	struct canvas c;
	struct area a = {.canvas = &c};

	sample_delta(&delta, &now->sample, &old->sample);
	if (v->output.form != OUTPUT_TEXT) {
		output_histograms(v, t, &delta);
		return;
	}
	a.rows = draw_histogram_rows(&delta);
	open_canvas(v, &c, a.rows);
	draw_histograms(&a, &delta);
	print_canvas(v, &c, delta.unix_us);
	view_stall(v, &delta);
}

/* ------------------------------------------------------------------ */
/* Regions								*/

static void record_address(struct record *r, const char *key, char text[20],
			   uint64_t address)
{
	snprintf(text, 20, "%012llx", (unsigned long long)address);
	record_text(r, key, text);
}

static void output_region(struct view *v, const struct target *t,
			  const struct sample *now,
			  const struct layout_region *region,
			  const struct region_rate *rate)
{
	char start[20], end[20], host[20], prot[4];
	struct record r;
	char key[FIELD_KEY_BYTES];
	unsigned i;

	view_record_head(&r, t, now);
	record_uint(&r, "space", region->space);
	record_text(&r, "name", region->name);
	record_address(&r, "start", start, region->start);
	record_address(&r, "end", end, region->end);
	record_address(&r, "host", host, region->host);
	region_prot(region, prot);
	record_text(&r, "prot", prot);
	record_text(&r, "advice", region_advice(region));
	record_uint(&r, "mapped_pages", layout_pages(region));
	record_uint(&r, "resident_pages", layout_resident(region->pages));
	for (i = LAYOUT_FRESH; i < LAYOUT_STATES; i++) {
		snprintf(key, sizeof(key), "%s_pages", layout_state_name(i));
		record_uint(&r, key, region->pages[i]);
	}
	record_uint(&r, "faults", region->faults);
	record_uint(&r, "faults_zero", region->faults_zero);
	record_uint(&r, "faults_swapin", region->faults_swapin);
	record_uint(&r, "faults_wp", region->faults_wp);
	record_real(&r, "faults_per_s", rate->faults);
	record_real(&r, "faults_zero_per_s", rate->zero);
	record_real(&r, "faults_swapin_per_s", rate->swapin);
	record_real(&r, "faults_wp_per_s", rate->wp);
	output_record(&v->output, &r);
}

static void output_regions(struct view *v, const struct target *t,
			   const struct moment *old, const struct moment *now)
{
	struct region_rate rate;
	size_t i;

	output_group(&v->output, "region", now->sample.unix_us);
	for (i = 0; i < now->layout.regions; i++) {
		region_rates(&rate, &now->layout.region[i], &old->layout,
			     seconds_of(old, now));
		output_region(v, t, &now->sample, &now->layout.region[i],
			      &rate);
	}
	output_group_end(&v->output);
}

void view_regions(struct view *v, const struct target *t,
		  const struct moment *old, const struct moment *now)
{
	struct canvas c;
	struct area a = {.canvas = &c};

	if (v->output.form != OUTPUT_TEXT) {
		output_regions(v, t, old, now);
		return;
	}
	a.rows = (unsigned)now->layout.regions + 1;
	open_canvas(v, &c, a.rows);
	draw_regions(&a, &now->layout, &old->layout, seconds_of(old, now), 0);
	print_canvas(v, &c, now->sample.unix_us);
}

/* ------------------------------------------------------------------ */
/* Heat									*/

static void output_heat(struct view *v, const struct target *t,
			const struct moment *old, const struct moment *now)
{
	double seconds = seconds_of(old, now);
	const struct layout_region *region;
	char start[20];
	uint64_t total;
	struct record r;
	size_t n, i;
	struct heat *heat = heat_rank(&now->layout, &old->layout, &n, &total);

	output_group(&v->output, "block", now->sample.unix_us);
	for (i = 0; i < n; i++) {
		const struct layout_block *b = heat[i].block;
		double faults = (double)heat[i].faults;

		region = heat_region(&now->layout, b);
		view_record_head(&r, t, &now->sample);
		record_uint(&r, "space", b->space);
		record_address(&r, "start", start, b->base);
		record_text(&r, "name", region ? region->name : "");
		record_uint(&r, "faults", heat[i].faults);
		record_real(&r, "faults_per_s",
			    seconds > 0 ? faults / seconds : 0);
		record_real(&r, "share_pct", 100 * faults / (double)total);
		output_record(&v->output, &r);
	}
	output_group_end(&v->output);
	free(heat);
}

void view_heat(struct view *v, const struct target *t, const struct moment *old,
	       const struct moment *now)
{
	struct canvas c;
	struct area a = {.canvas = &c};

	if (v->output.form != OUTPUT_TEXT) {
		output_heat(v, t, old, now);
		return;
	}
	open_canvas(v, &c, isatty(STDOUT_FILENO) ? 0 : HEAT_ROWS + 1);
	a.rows = c.rows;
	draw_heat(&a, &now->layout, &old->layout, seconds_of(old, now), 0);
	print_canvas(v, &c, now->sample.unix_us);
}

/* ------------------------------------------------------------------ */
/* Map									*/

static void save_picture(const struct view *v, const struct target *t,
			 const struct moment *now)
{
	char title[160], at[32];
	struct picture picture;
	struct tm tm = {0};
	time_t seconds = (time_t)(now->sample.unix_us / 1000000);
	int error;

	localtime_r(&seconds, &tm);
	strftime(at, sizeof(at), "%F %T", &tm);
	snprintf(title, sizeof(title), "%d %s %s", t->pid, t->command, at);
	error = map_picture(&picture, &now->layout, v->region, title);
	if (error == 0) {
		error = picture_save(&picture, v->png_path);
		picture_free(&picture);
	} else if (error == -ENOENT) {
		tool_die(TOOL_TARGET, "no such region, or nothing of it was "
				      "touched");
	}
	if (error)
		tool_die(TOOL_FAILED, "%s: %s", v->png_path, strerror(-error));
}

/* A record for each line of 64 cells, its states as letters. */
static void output_map(struct view *v, const struct target *t,
		       const struct moment *now)
{
	char start[20], states[MAP_OUTPUT_COLUMNS + 1];
	struct record r;
	struct map m;
	unsigned i;
	int error = map_make(&m, &now->layout, v->region, MAP_OUTPUT_COLUMNS,
			     MAP_OUTPUT_LINES);

	output_group(&v->output, "line", now->sample.unix_us);
	for (i = 0; !error && i < m.lines; i++) {
		map_letters(&m, i, states);
		view_record_head(&r, t, &now->sample);
		record_uint(&r, "space", m.line[i].region->space);
		record_text(&r, "name", m.line[i].region->name);
		record_address(&r, "start", start, m.line[i].from);
		record_uint(&r, "cell_pages", m.cell_pages);
		record_text(&r, "states", states);
		output_record(&v->output, &r);
	}
	output_group_end(&v->output);
	if (!error)
		map_free(&m);
}

void view_map(struct view *v, const struct target *t, const struct moment *now)
{
	bool over = v->repeats && isatty(STDOUT_FILENO);
	struct canvas c;
	struct area a = {.canvas = &c};

	if (v->png_path) {
		save_picture(v, t, now);
		return;
	}
	if (v->output.form != OUTPUT_TEXT) {
		output_map(v, t, now);
		return;
	}
	open_canvas(v, &c, 0);
	a.rows = c.rows;
	draw_map(&a, &now->layout, v->region);
	if (!over) {
		print_canvas(v, &c, now->sample.unix_us);
		return;
	}
	fputs(v->started ? "\033[H" : "\033[H\033[2J", stdout);
	v->started = true;
	canvas_print(&c, stdout, "\033[K\n");
	fputs("\033[J", stdout);
	canvas_free(&c);
}
