/* SPDX-License-Identifier: MIT */
/*
 * unit/parse.c - numbers and sizes as people write them: what is accepted,
 * what is refused, and that a refused text changes nothing.
 */
#include "support/test.h"

#include <errno.h>
#include "parse.h"

/* Not a multiple of 100: what is rounded shows. */
#define RAM ((uint64_t)1 << 34)

START_TEST(size_accepts)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"512b", 512},
		{"4k", 4096},
		{"4K", 4096},
		{"4kb", 4096},
		{"4KiB", 4096},
		{"256M", 256 << 20},
		{"1.5G", 3ull << 29},
		{"0.5k", 512},
		{"1.0009765625k", 1024}, /* 1024.99...: rounded down */
		{"2T", 2ull << 40},
		{"2tib", 2ull << 40},
		{"4Ki", 4096},
		{"1P", 1ull << 50},
		{"0x1000", 4096},
		{"0X10k", 16384},
		{"0x1B", 27}, /* a digit, not a unit */
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", 16777215ull << 40},
	};
	size_t i;
	uint64_t bytes;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(parse_size(good[i].text, RAM, &bytes) == 0, "%s",
			      good[i].text);
		ck_assert_msg(bytes == good[i].bytes, "%s is %llu",
			      good[i].text, (unsigned long long)bytes);
	}
}
END_TEST

START_TEST(size_refuses)
{
	static const char *const bad[] = {
		"",	 "k",	"-1",	 "+1",	 " 1",	"1 ",	"1 k",
		"1kk",	 "1x",	"1.k",	 ".5k",	 "1.5", "1.5b", "1..5k",
		"0x",	 "0xg", "0x1.8", "1e3",	 "1%%", "%",	"1ib",
		"1kibb", "1bk", "1,5G",	 "12%k", "nan", "inf",
	};
	uint64_t bytes = 42;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(parse_size(bad[i], RAM, &bytes) == -EINVAL, "%s",
			      bad[i]);
		ck_assert_uint_eq(bytes, 42);
	}
}
END_TEST

START_TEST(size_overflows)
{
	static const char *const big[] = {
		"18446744073709551616",
		"0x10000000000000000",
		"16777216T",
		"18014398509481984k",
		"99999999999999999999999999G",
		"18446744073709551615T",
		"18446744073709551615%",
		"16384P",
	};
	uint64_t bytes = 42;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(big); i++) {
		ck_assert_msg(parse_size(big[i], RAM, &bytes) == -ERANGE, "%s",
			      big[i]);
		ck_assert_uint_eq(bytes, 42);
	}
}
END_TEST

START_TEST(size_percent)
{
	uint64_t bytes;

	ck_assert_int_eq(parse_size("100%", RAM, &bytes), 0);
	ck_assert_uint_eq(bytes, RAM);
	ck_assert_int_eq(parse_size("12.5%", RAM, &bytes), 0);
	ck_assert_uint_eq(bytes, RAM / 8);
	ck_assert_int_eq(parse_size("1%", RAM, &bytes), 0);
	ck_assert_uint_eq(bytes, RAM / 100); /* rounded down */
	ck_assert_int_eq(parse_size("250%", RAM, &bytes), 0);
	ck_assert_uint_eq(bytes, RAM / 2 * 5);
	ck_assert_int_eq(parse_size("0%", RAM, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
}
END_TEST

START_TEST(number_accepts)
{
	uint64_t value;

	ck_assert_int_eq(parse_number("0", &value), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_int_eq(parse_number("007", &value), 0);
	ck_assert_uint_eq(value, 7);
	ck_assert_int_eq(parse_number("0x20", &value), 0);
	ck_assert_uint_eq(value, 32);
	ck_assert_int_eq(parse_number("18446744073709551615", &value), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
}
END_TEST

START_TEST(number_refuses)
{
	static const char *const bad[] = {"",	"5k", "1.5", " 5", "5 ",
					  "+5", "-5", "0x",  "5%", "x"};
	uint64_t value = 42;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(parse_number(bad[i], &value) == -EINVAL, "%s",
			      bad[i]);
		ck_assert_uint_eq(value, 42);
	}
	ck_assert_int_eq(parse_number("18446744073709551616", &value), -ERANGE);
	ck_assert_uint_eq(value, 42);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "sizes");

	tcase_add_test(tc, size_accepts);
	tcase_add_test(tc, size_refuses);
	tcase_add_test(tc, size_overflows);
	tcase_add_test(tc, size_percent);
	tc = test_case(s, "numbers");
	tcase_add_test(tc, number_accepts);
	tcase_add_test(tc, number_refuses);
}

const struct test_program test_program = {
	.name = "parse",
	.add = add_tests,
};
