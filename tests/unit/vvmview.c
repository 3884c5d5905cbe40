/* SPDX-License-Identifier: MIT */
/*
 * unit/vvmview.c - what vvmstat shows: that the columns are computed
 * exactly, and that the forms for programs are well-formed.
 */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/statview.h"
#include "support/strict.h"
#include "support/test.h"
#include "vvmstat/column.h"
#include "vvmstat/openmetrics.h"
#include "vvmstat/output.h"
#include "vvmstat/view.h"

/* ---- columns ---- */

/* Two seconds in which every counter that a column uses moved. */
static void known_delta(struct sample *d)
{
	memset(d, 0, sizeof(*d));
	d->value[VALUE_budget_pages] = 1000;
	d->value[VALUE_packed_frames] = 100;
	d->value[VALUE_packed_now_pages] = 280;
	d->value[VALUE_swap_used_pages] = 700;
	d->kernel_faults = 460;
#define SET(name, n) d->counter[VVM_STAT_##name] = n
	SET(resident_pages, 750);
	SET(dirty_pages, 30);
	SET(pinned_pages, 4);
	SET(faults, 400);
	SET(faults_swapin, 240);
	SET(faults_zero, 100);
	SET(faults_wp, 50);
	SET(faults_joined, 10);
	SET(prefetch_pages, 64);
	SET(prefetch_hit_pages, 30);
	SET(prefetch_waste_pages, 10);
	SET(swapin_pages, 512);
	SET(swapout_pages, 128);
	SET(packed_pages, 20);
	SET(unpacked_pages, 30);
	SET(evict_clean_pages, 300);
	SET(evict_zero_pages, 20);
	SET(evict_written_pages, 100);
	SET(reclaim_scanned_pages, 2000);
	SET(reclaim_referenced_pages, 500);
	SET(reclaim_direct_steps, 6);
	SET(stalls, 8);
	SET(faults_failed, 1);
	SET(read_errors, 2);
	SET(writeback_failed_pages, 4);
	SET(frame_timeouts, 8);
	SET(swap_full, 16);
#undef SET
	/* Half of [1024, 1152) ns, half of [1048576, 1179648) ns. */
	d->latency[vvm_stat_bucket(1024)] = 200;
	d->latency[vvm_stat_bucket(1048576)] = 200;
}

static const struct {
	const char *group, *name;
	double want;
} cells[] = {
	{"memory", "budg", 1000 * 4096},
	{"memory", "res", 750 * 4096},
	{"memory", "free", 150 * 4096},
	{"memory", "use", 85},
	{"memory", "drty", 30 * 4096},
	{"memory", "pin", 4 * 4096},
	{"memory", "swap", 700 * 4096},
	{"faults/s", "all", 200},
	{"faults/s", "read", 120},
	{"faults/s", "zero", 50},
	{"faults/s", "wp", 25},
	{"faults/s", "join", 5},
	{"faults/s", "soft", 30},
	{"ram", "hit", 20},
	{"ahead", "pg/s", 32},
	{"ahead", "hit", 75},
	{"swap/s", "in", 256 * 4096},
	{"swap/s", "out", 64 * 4096},
	{"swap/s", "avd", 80},
	{"packed", "mem", 100 * 4096},
	{"packed", "has", 280 * 4096},
	{"packed", "in/s", 10 * 4096},
	{"packed", "out/s", 15 * 4096},
	{"evict/s", "cln", 150},
	{"evict/s", "zero", 10},
	{"evict/s", "wrtn", 50},
	{"reclaim", "ref", 25},
	{"reclaim", "ex/fr", 5},
	{"reclaim", "drct", 3},
	{"wait us", "p50", 1.152},
	{"wait us", "p99", 1048.576 + .98 * 131.072},
	{"wait us", "p99.9", 1048.576 + .998 * 131.072},
	/* 200 x 1088 ns + 200 x 1114112 ns in 2 s */
	{"wait us", "que", (200 * 1088e-9 + 200 * 1114112e-9) / 2},
	{"bad", "stl", 4},
	{"bad", "err", 31},
};

START_TEST(columns_are_exact)
{
	struct sample delta;
	struct row r = {.delta = &delta, .seconds = 2};
	unsigned i;

	known_delta(&delta);
	ck_assert_uint_eq(columns_count, ARRAY_SIZE(cells));
	for (i = 0; i < columns_count; i++) {
		const struct column *c = &columns[i];

		ck_assert_str_eq(c->group, cells[i].group);
		ck_assert_str_eq(c->name, cells[i].name);
		ck_assert_double_eq_tol(c->value(&r, c), cells[i].want, 1e-9);
	}
}
END_TEST

/* Nothing happened: rates are 0, shares are nothing, nothing is infinite. */
START_TEST(columns_of_an_idle_interval)
{
	struct sample delta = {.at_us = 0};
	struct row r = {.delta = &delta, .seconds = 0};
	unsigned i;

	for (i = 0; i < columns_count; i++) {
		double value = columns[i].value(&r, &columns[i]);

		ck_assert_msg(isnan(value) || value == 0, "%s: %g",
			      columns[i].name, value);
	}
}
END_TEST

/* The man page explains each column under its group. */
START_TEST(man_page_names_every_column)
{
	static char page[1 << 17];
	const char *top = getenv("top_srcdir");
	char path[512], item[64], *section;
	unsigned i;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tools/vvmstat/vvmstat.1",
		 top ? top : "..");
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	for (i = 0; i < columns_count; i++) {
		snprintf(item, sizeof(item), "\n.Ss %s\n", columns[i].group);
		section = strstr(page, item);
		ck_assert_msg(section != NULL, "no section '%s'", item + 1);
		snprintf(item, sizeof(item), "\n.It %s%s\n", columns[i].name,
			 columns[i].width ? "" : " (w)");
		ck_assert_msg(strstr(section, item) != NULL, "no '%s'",
			      item + 1);
	}
}
END_TEST

/* ---- rows ---- */

static const struct {
	int width;
	double value;
	const char *number, *bytes;
} texts[] = {
	{4, 0, "0", "0"},
	{4, 0.4, "0", "0"},
	{4, 9999, "9999", "9.8K"},
	{4, 10000, "10k", "9.8K"},
	{4, 99949, "100k", "98K"},
	{4, 999499, "999k", "976K"},
	{4, 999500, "1.0M", "976K"},
	{4, 1048576, "1.0M", "1.0M"},
	{4, 9949999, "9.9M", "9.5M"},
	{4, 9950001, "10M", "9.5M"},
	{3, 999, "999", "1K"},
	{3, 1000, "1k", "1K"},
	{3, 1234567, "1M", "1M"},
	{3, 20e6, "20M", "19M"},
	{7, 1234567, "1234567", "1.2M"},
	{4, NAN, "-", "-"},
	{4, 1e30, "1000000000000E", "867361737988E"},
};

/* As many figures as fit, never more than the column has places. */
START_TEST(numbers_fit)
{
	char text[64];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		view_number(text, sizeof(text), texts[i].width, texts[i].value);
		ck_assert_str_eq(text, texts[i].number);
		view_bytes(text, sizeof(text), texts[i].width, texts[i].value);
		ck_assert_str_eq(text, texts[i].bytes);
	}
}
END_TEST

/* Starts vvmstat as a child whose output is in dir/out; its pid. */
static pid_t spawn(const char *args)
{
	char command[1024];
	pid_t pid;

	/* What an earlier run left must not be taken for its output. */
	snprintf(command, sizeof(command), "%s/out", dir);
	fclose(fopen(command, "w"));
	pid = fork();
	if (pid)
		return pid;
	snprintf(command, sizeof(command), "exec %s --dir %s -p %d %s >%s/out",
		 tool(), dir, getppid(), args, dir);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void wait_for_lines(unsigned wanted)
{
	do {
		usleep(5000);
		slurp("out", out, sizeof(out));
	} while (lines(out) < wanted);
}

/* Waits until dir/out has so many lines; then sends the signal. */
static int end_after(pid_t pid, unsigned wanted, int signo)
{
	int status;

	wait_for_lines(wanted);
	kill(pid, signo);
	waitpid(pid, &status, 0);
	slurp("out", out, sizeof(out));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

START_TEST(idle_rows_are_left_out)
{
	pid_t pid;

	ck_assert_int_eq(run("--dir %s -z 0.01 5", dir), 0);
	ck_assert_uint_eq(lines(out), 3); /* the first one stays */
	pid = spawn("-n -z 0.02");
	wait_for_lines(3);
	stat_add(writer, VVM_STAT_faults_wp, 1000);
	ck_assert_int_eq(end_after(pid, 4, SIGTERM), 0);
	ck_assert_uint_eq(lines(out), 4);
}
END_TEST

START_TEST(ctrl_c_prints_an_average)
{
	pid_t pid = spawn("-y -n 0.05");

	ck_assert_int_eq(end_after(pid, 4, SIGINT), 0);
	assert_contains(out, "\n\nAverage of ");
	pid = spawn("-n 0.05");
	ck_assert_int_eq(end_after(pid, 4, SIGTERM), 0);
	ck_assert_ptr_null(strstr(out, "Average"));
	pid = spawn("--json 0.05");
	ck_assert_int_eq(end_after(pid, 2, SIGINT), 0);
	ck_assert_ptr_null(strstr(out, "Average"));
}
END_TEST

START_TEST(colours)
{
	setenv("S_COLORS", "always", 1);
	ck_assert_int_eq(run("--dir %s -l", dir), 0);
	assert_contains(out, "\033[1m");
	stat_add(writer, VVM_STAT_faults_failed, 1);
	ck_assert_int_eq(run("--dir %s", dir), 0);
	assert_contains(out, "\033[1;31m  1\033[0m"); /* errors */
	setenv("NO_COLOR", "1", 1);
	ck_assert_int_eq(run("--dir %s", dir), 0);
	ck_assert_ptr_null(strchr(out, '\033'));
	setenv("NO_COLOR", "", 1);
	setenv("S_COLORS", "never", 1);
	ck_assert_int_eq(run("--dir %s", dir), 0);
	ck_assert_ptr_null(strchr(out, '\033'));
	unsetenv("S_COLORS");
	ck_assert_int_eq(run("--dir %s", dir), 0); /* a file */
	ck_assert_ptr_null(strchr(out, '\033'));
}
END_TEST

START_TEST(time_formats)
{
	int year, length = 0;
	const char *at;

	setenv("TZ", "UTC-2", 1);
	ck_assert_int_eq(run("--dir %s -t", dir), 0);
	at = strrchr(out, ' ') - 10;
	ck_assert_int_eq(
		sscanf(at, "%4d-%*2d-%*2d %*2d:%*2d:%*2d\n%n", &year, &length),
		1);
	ck_assert_int_eq(at[length], '\0');
	setenv("S_TIME_FORMAT", "ISO", 1);
	ck_assert_int_eq(run("--dir %s -t", dir), 0);
	at = strrchr(out, ' ') + 1;
	ck_assert_uint_eq(strlen(at), strlen("2026-11-22T17:00:00+0200\n"));
	assert_contains(at, "+0200\n");
	assert_contains(at, "T");
}
END_TEST

/* ---- forms for programs ---- */

START_TEST(json_is_strict)
{
	char *line, *rest;

	ck_assert_int_eq(run("--dir %s --json 0.01 3", dir), 0);
	for (line = strtok_r(out, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		assert_strict(strict_json, line);
	ck_assert_int_eq(run("--dir %s --json -s", dir), 0);
	assert_strict(strict_json, out);
}
END_TEST

static unsigned count_of(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

START_TEST(sysstat_json)
{
	static const char *const commands[] = {"0.01 3", "-l", "-s"};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		ck_assert_int_eq(run("--dir %s -o JSON %s", dir, commands[i]),
				 0);
		assert_strict(strict_json, out);
		assert_contains(out, "{\"sysstat\":{\"hosts\":[{\"nodename\":");
		assert_contains(out, "\"number-of-cpus\":");
		assert_contains(out, "\"statistics\":[");
		ck_assert_uint_eq(count_of(out, "\"timestamp\":\""),
				  i == 0 ? 3 : 1);
	}
	run("-o JSON --doctor --swap /nonexistent/x");
	assert_strict(strict_json, out);
	unlink(in_dir(getpid(), 0));
	ck_assert_int_eq(run("--dir %s -o JSON -l", dir), 2);
	assert_strict(strict_json, out);
}
END_TEST

/* However it ends, the document is closed. */
START_TEST(sysstat_json_is_closed)
{
	pid_t pid = spawn("-o JSON 0.05");

	ck_assert_int_eq(end_after(pid, 4, SIGINT), 0);
	assert_strict(strict_json, out);
	pid = spawn("-o JSON 0.05");
	ck_assert_int_eq(end_after(pid, 4, SIGTERM), 0);
	assert_strict(strict_json, out);
}
END_TEST

START_TEST(csv_has_the_keys_of_json)
{
	static char json[1 << 16];
	char *names, *values, *rest;
	unsigned fields = 0;

	ck_assert_int_eq(run("--dir %s --json", dir), 0);
	strcpy(json, out);
	ck_assert_int_eq(run("--dir %s --csv 0.01 3", dir), 0);
	ck_assert_uint_eq(lines(out), 4);
	names = strtok_r(out, "\n", &rest);
	values = strtok_r(NULL, "\n", &rest);
	ck_assert_uint_eq(count_of(names, ","), count_of(values, ","));
	for (names = strtok_r(names, ",", &rest); names;
	     names = strtok_r(NULL, ",", &rest), fields++) {
		char quoted[64];

		snprintf(quoted, sizeof(quoted), "\"%s\":", names);
		assert_contains(json, quoted);
	}
	ck_assert_uint_eq(fields, count_of(json, "\":"));
}
END_TEST

START_TEST(csv_quotes)
{
	struct output o = {.form = OUTPUT_CSV};
	struct record r = {.fields = 0};
	char text[256] = "";

	o.out = fmemopen(text, sizeof(text), "w");
	record_text(&r, "a", "plain");
	record_text(&r, "b", "x,y");
	record_text(&r, "c", "say \"hi\"");
	record_real(&r, "d", NAN);
	record_real(&r, "e", 0.25);
	record_bool(&r, "f", true);
	record_int(&r, "g", -1);
	output_group(&o, "x", 0);
	output_record(&o, &r);
	output_record(&o, &r);
	output_group_end(&o);
	fclose(o.out);
#define LINE "plain,\"x,y\",\"say \"\"hi\"\"\",,0.25,1,-1\n"
	ck_assert_str_eq(text, "a,b,c,d,e,f,g\n" LINE LINE);
#undef LINE
}
END_TEST

static char *openmetrics_of(const struct metric_source *source, unsigned n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	openmetrics_print(f, source, n);
	fclose(f);
	return text;
}

START_TEST(openmetrics_is_strict)
{
	static struct metric_source source[2];
	char *text;

	known_delta(&source[0].now);
	source[0].now.counter[VVM_STAT_stall_us] = 1500000;
	source[0].pid = 42;
	strcpy(source[0].command, "a\"b\\c\nd");
	source[1] = source[0];
	source[1].pid = 43;
	source[1].now.counter[VVM_STAT_dirty_pages] = -1;
	text = openmetrics_of(source, 2);
	assert_strict(strict_openmetrics, text);
#define LABELS(pid) "{pid=\"" #pid "\",command=\"a\\\"b\\\\c\\nd\""
	assert_contains(text, "\nvvm_faults_total" LABELS(42) "} 400\n");
	assert_contains(text, "\nvvm_dirty_pages" LABELS(43) "} 0\n");
	assert_contains(text, "\nvvm_stall_seconds_total" LABELS(42) "} 1.5\n");
	assert_contains(text, "_bucket" LABELS(42) ",le=\"1.024e-06\"} 0\n");
	assert_contains(text, "_bucket" LABELS(42) ",le=\"2.048e-06\"} 200\n");
	assert_contains(text, "_bucket" LABELS(42) ",le=\"+Inf\"} 400\n");
	assert_contains(text, "# HELP vvm_faults fault events");
#undef LABELS
	free(text);
	text = openmetrics_of(source, 0);
	ck_assert_str_eq(text + strlen(text) - 6, "# EOF\n");
	free(text);
}
END_TEST

START_TEST(openmetrics_of_the_running)
{
	ck_assert_int_eq(run("--dir %s --openmetrics", dir), 0);
	assert_strict(strict_openmetrics, out);
	assert_contains(out, "vvm_budget_pages{pid=\"");
	ck_assert_int_eq(run("--dir %s --openmetrics -p %d", dir, getpid()), 0);
	assert_strict(strict_openmetrics, out);
	unlink(in_dir(getpid(), 0));
	ck_assert_int_eq(run("--dir %s --openmetrics", dir), 0);
}
END_TEST

/* The checker itself: each of these is refused. */
static const char *const bad_metrics[] = {
	"",
	"# TYPE a gauge\na 1\n",
	"# TYPE a gauge\na 1\n# EOF",
	"# TYPE a gauge\na 1\n# EOF\n\n",
	"# TYPE a gauge\n# EOF\n",
	"# TYPE a counter\na 1\n# EOF\n",
	"# TYPE a counter\na_total -1\n# EOF\n",
	"# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na 1\n# EOF\n",
	"# TYPE a gauge\na 1\na 1\n# EOF\n",
	"# TYPE a gauge\na 1 1795368138\n# EOF\n",
	"# TYPE a gauge\na{x=1} 1\n# EOF\n",
	"# TYPE a gauge\na{x=\"\\q\"} 1\n# EOF\n",
	"# TYPE a gauge\na{x=\"1\"} 1\n# HELP a b\n# EOF\n",
	"# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
	"# TYPE a gauge\nb 1\n# EOF\n",
	"# TYPE a gauge\na one\n# EOF\n",
	"# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\n# EOF\n",
	("# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n"
	 "# EOF\n"), /* clang asks whether a comma is missing */
	"# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\n# EOF\n",
};

START_TEST(openmetrics_checker_refuses)
{
	ck_assert_ptr_nonnull(strict_openmetrics(bad_metrics[_i]));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "columns");

	tcase_add_test(tc, columns_are_exact);
	tcase_add_test(tc, columns_of_an_idle_interval);
	tcase_add_test(tc, man_page_names_every_column);

	tc = test_case(s, "rows");
	tcase_add_test(tc, numbers_fit);
	tcase_add_test(tc, idle_rows_are_left_out);
	tcase_add_test(tc, ctrl_c_prints_an_average);
	tcase_add_test(tc, colours);
	tcase_add_test(tc, time_formats);

	tc = test_case(s, "forms");
	tcase_add_test(tc, json_is_strict);
	tcase_add_test(tc, sysstat_json);
	tcase_add_test(tc, sysstat_json_is_closed);
	tcase_add_test(tc, csv_has_the_keys_of_json);
	tcase_add_test(tc, csv_quotes);
	tcase_add_test(tc, openmetrics_is_strict);
	tcase_add_test(tc, openmetrics_of_the_running);
	tcase_add_loop_test(tc, openmetrics_checker_refuses, 0,
			    ARRAY_SIZE(bad_metrics));
}

const struct test_program test_program = {
	.name = "vvmview",
	.counts = true,
	.add = add_tests,
	.setup = view_setup,
	.teardown = view_teardown,
};
