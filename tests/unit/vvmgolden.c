/* SPDX-License-Identifier: MIT */
/*
 * unit/vvmgolden.c - what vvmstat prints of two recorded segments, compared
 * with files, to the byte.
 *
 * tests/golden/0.words and 1.words are segments of one process, ten seconds
 * apart, as "offset: words" in hexadecimal; what is not there is zero. They
 * are as old as the day they were recorded: a library that has more counters
 * by now still reads them, and that is part of the test. A segment of another
 * version must be recorded again.
 *
 *	GOLDEN_UPDATE=1			writes what is printed now as expected
 *	GOLDEN_RECORD=FILE=N.words	writes a segment as words
 *
 * (both run from the build directory, with top_srcdir and VVMSTAT set as
 * `make check` sets them).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/statview.h"
#include "support/test.h"

#ifdef HAVE_LIBPNG
#include "support/picture.h"
#endif

#define RECORDED_S 1795371000 /* 2026-11-22 18:10:00 UTC */

static const char *golden(const char *name)
{
	static char path[512];
	const char *top = getenv("top_srcdir");

	snprintf(path, sizeof(path), "%s/tests/golden/%s", top ? top : "..",
		 name);
	return path;
}

/* ---- segments as words ---- */

/* dir/N from golden/N.words; its time is RECORDED_S and ten seconds each. */
static void expand(unsigned n)
{
	struct timespec times[2] = {{.tv_sec = RECORDED_S + 10 * n}};
	char path[256], name[16], line[1 << 12], *p, *end;
	unsigned long long offset;
	FILE *words;
	int fd;

	snprintf(name, sizeof(name), "%u.words", n);
	snprintf(path, sizeof(path), "%s/%u", dir, n);
	words = fopen(golden(name), "r");
	ck_assert_msg(words != NULL, "%s", golden(name));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	while (fgets(line, sizeof(line), words)) {
		offset = strtoull(line, &p, 16);
		if (!strncmp(p, " bytes", 6)) {
			ck_assert_int_eq(ftruncate(fd, (off_t)offset), 0);
			continue;
		}
		ck_assert_int_eq(*p++, ':');
		for (; *p && *p != '\n'; p = end, offset += 8) {
			uint64_t word = strtoull(p, &end, 16);

			ck_assert_int_eq(pwrite(fd, &word, 8, (off_t)offset),
					 8);
		}
	}
	fclose(words);
	times[1] = times[0];
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
}

/* Eight words to a line; lines of zeros, and the rings, are left out. */
static int record(const char *from, const char *to)
{
	struct vvm_stat_segment head;
	FILE *in = fopen(from, "r"), *out_file = fopen(golden(to), "w");
	uint64_t word[8], offset, end;
	unsigned i;

	if (!in || !out_file || fread(&head, sizeof(head), 1, in) != 1)
		return EXIT_FAILURE;
	end = head.blocks.offset + head.blocks.count * head.blocks.item_bytes;
	fprintf(out_file, "%llx bytes\n", (unsigned long long)head.file_bytes);
	for (offset = 0; offset < end; offset += sizeof(word)) {
		if (offset == head.rings.offset)
			offset = head.regions.offset;
		if (offset ==
		    head.regions.offset +
			    head.regions.count * head.regions.item_bytes)
			offset = head.blocks.offset;
		fseeko(in, (off_t)offset, SEEK_SET);
		if (fread(word, sizeof(word), 1, in) != 1)
			return EXIT_FAILURE;
		for (i = 0; i < 8 && !word[i]; i++)
			;
		if (i == 8)
			continue;
		fprintf(out_file, "%llx:", (unsigned long long)offset);
		for (i = 0; i < 8; i++)
			fprintf(out_file, " %llx", (unsigned long long)word[i]);
		fputc('\n', out_file);
	}
	fclose(in);
	return fclose(out_file) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- outputs ---- */

static const struct {
	const char *name, *options;
} outputs[] = {
	{"rows.txt", "-t"},
	{"wide.txt", "-w -S K"},
	{"totals.txt", "-s"},
	{"histograms.txt", "-H"},
	{"regions.txt", "-r"},
	{"heat.txt", "--heat"},
	{"map.txt", "-m"},
	{"rows.json", "--json"},
	{"rows.csv", "--csv"},
	{"rows.sysstat.json", "-o JSON"},
	{"totals.json", "-s --json"},
	{"histograms.csv", "-H --csv"},
	{"regions.json", "-r --json"},
	{"heat.csv", "--heat --csv"},
	{"map.csv", "-m --csv"},
	{"openmetrics.txt", "--openmetrics"},
};

static void setup_golden(void)
{
	view_setup();
	setenv("TZ", "UTC0", 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("S_TIME_FORMAT");
	unsetenv("S_COLORS");
	expand(0);
	expand(1);
}

/* The host's name and kernel are not those of the recording. */
static void hide_host(char *text)
{
	char *from = strstr(text, "{\"nodename\":");
	char *to = from ? strstr(from, ",\"date\"") : NULL;

	if (to)
		memmove(from + 1, to + 1, strlen(to));
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

/* out is what the file says, or becomes it. */
static void compare(const char *name)
{
	char got[256], command[2048];

	snprintf(got, sizeof(got), "%s/got", dir);
	write_text(getenv("GOLDEN_UPDATE") ? golden(name) : got, out);
	if (getenv("GOLDEN_UPDATE"))
		return;
	snprintf(command, sizeof(command),
		 "diff -u %s %s | cut -c1-160 | head -n 20;"
		 " cmp -s %s %s",
		 golden(name), got, golden(name), got);
	ck_assert_msg(system(command) == 0,
		      "%s differs; if it should: GOLDEN_UPDATE=1", name);
}

START_TEST(outputs_are_golden)
{
	ck_assert_int_eq(
		run("%s -f %s/0 -f %s/1", outputs[_i].options, dir, dir), 0);
	ck_assert_str_eq(errors, "");
	hide_host(out);
	compare(outputs[_i].name);
}
END_TEST

/* Its size and the sum of its bytes, with their places. */
#ifdef HAVE_LIBPNG
/* The pixels, that is: how they are compressed is libpng's business. */
START_TEST(picture_is_golden)
{
	char path[256];
	uint64_t sum = 0;
	struct pixels p;
	size_t i;

	snprintf(path, sizeof(path), "%s/map.png", dir);
	ck_assert_int_eq(run("-m --png %s -f %s/1", path, dir), 0);
	p = read_png(path);
	for (i = 0; i < 3u * p.width * p.height; i++)
		sum = sum * 31 + p.rgb[i];
	free(p.rgb);
	snprintf(out, sizeof(out), "%u x %u pixels, %016llx\n", p.width,
		 p.height, (unsigned long long)sum);
	compare("map.png.sum");
}
END_TEST
#endif

START_TEST(copies_are_read_with_care)
{
	ck_assert_int_eq(run("-f %s/none", dir), 2);
	assert_contains(errors, "No such file");
	ck_assert_int_eq(run("-f %s", dir), 2);
	assert_contains(errors, "not a regular file");
	ck_assert_int_eq(run("-f %s", golden("0.words")), 2);
	assert_contains(errors, "not a libvvm segment");
	ck_assert_int_eq(run("-f %s/0 -p 1", dir), 1);
	ck_assert_int_eq(run("-f %s/0 1", dir), 1);
	ck_assert_int_eq(run("-f %s/0 -y", dir), 1);
	ck_assert_int_eq(run("-y -n -f %s/0 -f %s/1", dir, dir), 0);
	ck_assert_uint_eq(lines(out), 3);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "golden");

	tcase_add_loop_test(tc, outputs_are_golden, 0, ARRAY_SIZE(outputs));
#ifdef HAVE_LIBPNG
	tcase_add_test(tc, picture_is_golden);
#endif
	tcase_add_test(tc, copies_are_read_with_care);
}

/* The environment may want a recording instead of the tests. */
static void record_on_demand(void)
{
	const char *wish = getenv("GOLDEN_RECORD");
	char from[512];

	if (wish && sscanf(wish, "%511[^=]", from) == 1 && strchr(wish, '='))
		exit(record(from, strchr(wish, '=') + 1));
}

const struct test_program test_program = {
	.name = "vvmgolden",
	.counts = true,
	.add = add_tests,
	.setup = setup_golden,
	.teardown = view_teardown,
	.begin = record_on_demand,
};
