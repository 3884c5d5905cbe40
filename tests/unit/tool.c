/* SPDX-License-Identifier: MIT */
/*
 * unit/tool.c - tests of tools/common/tool.c: sizes and numbers as people write
 * them, refused ones with the exit status that tool.h says, and JSON.
 */
#include "support/test.h"
#include "common/json.h"
#include "common/tool.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ */
/* Numbers								*/

static const struct {
	const char *text;
	uint64_t bytes;
} good_sizes[] = {
	{"0", 0},	  {"4096", 4096},	  {"4k", 4096},
	{"4K", 4096},	  {"4KiB", 4096},	  {"4kb", 4096},
	{"12B", 12},	  {"256M", 256ull << 20}, {"1.5G", 3ull << 29},
	{"0.5k", 512},	  {"2T", 2ull << 40},	  {"1P", 1ull << 50},
	{"0x1000", 4096}, {"0XfF", 255},	  {"1.3k", 1331},
};

START_TEST(size_understands)
{
	ck_assert_uint_eq(tool_size("--size", good_sizes[_i].text),
			  good_sizes[_i].bytes);
}
END_TEST

static const char *const bad_sizes[] = {
	"",	    "M",    "12X", "-1",  "+1",
	"1.2.3",    "1e3",  ".5M", "0x",  "0x1q",
	"0x-1",	    "1 M",  " 1",  "1MM", "0.3",
	"8388608T", "1kBx", "nan", "inf", "0x10000000000000000",
};

/* Exits with TOOL_USAGE: see how the test is added. */
START_TEST(size_refuses)
{
	tool_size("--size", bad_sizes[_i]);
}
END_TEST

START_TEST(number_understands)
{
	ck_assert_uint_eq(tool_number("-n", "0", 0, 10), 0);
	ck_assert_uint_eq(tool_number("-n", "10", 0, 10), 10);
	ck_assert_uint_eq(tool_number("-n", "007", 0, 10), 7);
	ck_assert_uint_eq(
		tool_number("-n", "18446744073709551615", 0, UINT64_MAX),
		UINT64_MAX);
}
END_TEST

static const char *const bad_numbers[] = {
	"",   "x",  "1x", "-1",	 "+1",
	" 1", "11", "0",  "1.0", "18446744073709551616"};

START_TEST(number_refuses)
{
	tool_number("-n", bad_numbers[_i], 1, 10);
}
END_TEST

START_TEST(real_understands)
{
	ck_assert_double_eq(tool_real("-r", "0.99", 0, 1), 0.99);
	ck_assert_double_eq(tool_real("-r", "1", 0, 1), 1);
}
END_TEST

static const char *const bad_reals[] = {"", "x", "1.5", "-0.1", "0.5x", "nan"};

START_TEST(real_refuses)
{
	tool_real("-r", bad_reals[_i], 0, 1);
}
END_TEST

START_TEST(human_is_short)
{
	char buf[8];
	unsigned bits;

	ck_assert_str_eq(tool_human(buf, 0), "0B");
	ck_assert_str_eq(tool_human(buf, 1023), "1023B");
	ck_assert_str_eq(tool_human(buf, 1024), "1.0K");
	ck_assert_str_eq(tool_human(buf, 256ull << 20), "256.0M");
	ck_assert_str_eq(tool_human(buf, 3ull << 29), "1.5G");
	ck_assert_str_eq(tool_human(buf, (1ull << 30) - 1), "1.0G");
	ck_assert_str_eq(tool_human(buf, UINT64_MAX), "16.0E");
	for (bits = 0; bits < 64; bits++)
		ck_assert_uint_lt(strlen(tool_human(buf, UINT64_MAX >> bits)),
				  sizeof(buf));
}
END_TEST

START_TEST(now_goes_on)
{
	uint64_t before = tool_now_us();

	ck_assert_uint_ge(tool_now_us(), before);
}
END_TEST

START_TEST(die_has_status)
{
	tool_init("/usr/bin/vvmtest", TOOL_USAGE);
	tool_die(TOOL_TARGET, "gone");
}
END_TEST

/* ------------------------------------------------------------------ */
/* JSON									*/

/* Result of a writer, in a buffer. */
static char *written(void (*write)(struct tool_json *j))
{
	static char text[1024];
	FILE *f = fmemopen(text, sizeof(text), "w");
	struct tool_json j;

	ck_assert_ptr_nonnull(f);
	tool_json_begin(&j, f);
	write(&j);
	tool_json_end(&j);
	fclose(f);
	return text;
}

static void write_nothing(struct tool_json *j)
{
	(void)j;
}

static void write_all(struct tool_json *j)
{
	tool_json_uint(j, "u", UINT64_MAX);
	tool_json_int(j, "i", -5);
	tool_json_real(j, "r", 0.25);
	tool_json_real(j, "nan", NAN);
	tool_json_bool(j, "b", true);
	tool_json_text(j, "t", "x");
	tool_json_text(j, "null", NULL);
}

static void write_nested(struct tool_json *j)
{
	tool_json_object(j, "empty");
	tool_json_close(j);
	tool_json_object(j, "a");
	tool_json_uint(j, "x", 1);
	tool_json_object(j, "b");
	tool_json_uint(j, "y", 2);
	tool_json_close(j);
	tool_json_uint(j, "z", 3);
	tool_json_close(j);
	tool_json_uint(j, "last", 4);
}

START_TEST(json_values)
{
	ck_assert_str_eq(written(write_nothing), "{}\n");
	ck_assert_str_eq(written(write_all),
			 "{\"u\":18446744073709551615,\"i\":-5,\"r\":0.25,"
			 "\"nan\":null,\"b\":true,\"t\":\"x\","
			 "\"null\":null}\n");
}
END_TEST

START_TEST(json_nesting)
{
	ck_assert_str_eq(written(write_nested),
			 "{\"empty\":{},\"a\":{\"x\":1,\"b\":{\"y\":2},"
			 "\"z\":3},\"last\":4}\n");
}
END_TEST

static const struct {
	const char *text, *json;
} texts[] = {
	{"", ""},
	{"a\"b\\c", "a\\\"b\\\\c"},
	{"\t\n\x01\x7f", "\\u0009\\u000a\\u0001\\u007f"},
	{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	{"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
	{"x\xff\x80y", "x\\ufffd\\ufffdy"},
	{"\xc3", "\\ufffd"},		/* cut short */
	{"\xe2\x82", "\\ufffd\\ufffd"}, /* cut short */
	{"\xc0\xaf", "\\ufffd\\ufffd"}, /* overlong */
	{"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},
	{"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"}, /* surrogate */
	{"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
};

static const char *text_to_write;

static void write_text(struct tool_json *j)
{
	tool_json_text(j, "t", text_to_write);
}

START_TEST(json_text)
{
	char expected[256];

	snprintf(expected, sizeof(expected), "{\"t\":\"%s\"}\n",
		 texts[_i].json);
	text_to_write = texts[_i].text;
	ck_assert_str_eq(written(write_text), expected);
}
END_TEST

/* ------------------------------------------------------------------ */

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Every one must end the process with TOOL_USAGE. */
static void add_refusals(TCase *tc)
{
	tcase_add_loop_exit_test(tc, size_refuses, TOOL_USAGE, 0,
				 COUNT(bad_sizes));
	tcase_add_loop_exit_test(tc, number_refuses, TOOL_USAGE, 0,
				 COUNT(bad_numbers));
	tcase_add_loop_exit_test(tc, real_refuses, TOOL_USAGE, 0,
				 COUNT(bad_reals));
	tcase_add_exit_test(tc, die_has_status, TOOL_TARGET);
}

static void add_tests(Suite *suite)
{
	TCase *numbers = test_case(suite, "numbers");
	TCase *refusals = test_case(suite, "refusals");
	TCase *json = test_case(suite, "json");

	tcase_add_loop_test(numbers, size_understands, 0, COUNT(good_sizes));
	tcase_add_test(numbers, number_understands);
	tcase_add_test(numbers, real_understands);
	tcase_add_test(numbers, human_is_short);
	tcase_add_test(numbers, now_goes_on);
	add_refusals(refusals);
	tcase_add_test(json, json_values);
	tcase_add_test(json, json_nesting);
	tcase_add_loop_test(json, json_text, 0, COUNT(texts));
}

const struct test_program test_program = {
	.name = "tool",
	.add = add_tests,
};
