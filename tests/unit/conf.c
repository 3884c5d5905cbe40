/* SPDX-License-Identifier: MIT */
/*
 * unit/conf.c - every setting of the table: its default, each way to set
 * it, what it refuses; sizes; bounds. The walks expand CONF_SETTINGS, so a
 * new setting is tested without a line here.
 */
#include "support/test.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "util/conf.h"
#include "util/log.h"
#include "os/os.h"

/* A good text, not the default, and a bad one, for each type. */
#define GOOD_SIZE    "12k"
#define GOOD_UINT    "7"
#define GOOD_PATH    "/some/where"
#define GOOD_BOOL(c) ((c) ? "off" : "on")
#define BAD_SIZE     "12q"
#define BAD_UINT     "-1"
#define BAD_PATH     ""
#define BAD_ENUM     "auto|uring" /* a word may not span the separator */
#define BAD_BOOL     "2"

enum { TYPE_SIZE, TYPE_UINT, TYPE_PATH, TYPE_ENUM, TYPE_BOOL };

struct row {
	int type;
	const char *field, *suffix, *variable, *initial, *values;
	size_t offset, size;
};

static const struct row rows[] = {
#define X(type, name, env, def, unit, desc) \
	{TYPE_##type,                       \
	 #name,                             \
	 #env,                              \
	 "VVM_" #env,                       \
	 def,                               \
	 unit,                              \
	 offsetof(struct conf, name),       \
	 sizeof(((struct conf *)0)->name)},
	CONF_SETTINGS(X)
#undef X
};

static struct conf conf;

static const void *value_of(const struct conf *c, const struct row *r)
{
	return (const char *)c + r->offset;
}

static const char *bad_text(const struct row *r)
{
	static const char *const bad[] = {BAD_SIZE, BAD_UINT, BAD_PATH,
					  BAD_ENUM, BAD_BOOL};

	return bad[r->type];
}

/* The last of an ENUM's words; a copy that the next call overwrites. */
static const char *last_word(const struct row *r)
{
	const char *bar = strrchr(r->values, '|');

	return bar ? bar + 1 : r->values;
}

static const char *good_text(const struct row *r)
{
	switch (r->type) {
	case TYPE_SIZE:
		return GOOD_SIZE;
	case TYPE_UINT:
		return GOOD_UINT;
	case TYPE_PATH:
		return GOOD_PATH;
	case TYPE_ENUM:
		return last_word(r);
	default:
		return GOOD_BOOL(*(const bool *)value_of(&conf, r));
	}
}

/* Is the field what good_text() (given before) says? */
static void assert_value(const struct conf *c, const struct row *r,
			 const char *text)
{
	const void *v = value_of(c, r);
	int words = 0;
	const char *p;

	switch (r->type) {
	case TYPE_SIZE:
		ck_assert_uint_eq(*(const uint64_t *)v, 12288);
		break;
	case TYPE_UINT:
		ck_assert_uint_eq(*(const uint64_t *)v, 7);
		break;
	case TYPE_PATH:
		ck_assert_str_eq(v, GOOD_PATH);
		break;
	case TYPE_ENUM:
		for (p = r->values; *p; p++)
			words += *p == '|';
		ck_assert_int_eq(*(const int *)v, words);
		break;
	default:
		ck_assert_int_eq(*(const bool *)v, !strcmp(text, "on"));
	}
}

static void setup(void)
{
	size_t i;

	log_set_level(LOG_NONE);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		unsetenv(rows[i].variable);
	conf_defaults(&conf);
}

START_TEST(defaults_are_the_tables)
{
	struct conf c;

	memset(&c, 0xff, sizeof(c));
	conf_defaults(&c);
	ck_assert_int_eq(memcmp(&c, &conf, sizeof(c)), 0);
	ck_assert_uint_eq(c.resident_bytes, 256 << 20);
	ck_assert_str_eq(c.swap_path, "/var/tmp");
	ck_assert_uint_eq(c.swap_limit_bytes, 0);
	ck_assert(!c.swap_reserve && c.swap_direct && c.stat_segment);
	ck_assert_int_eq(c.io, CONF_IO_AUTO);
	ck_assert_int_eq(c.faults, CONF_FAULTS_THREAD);
	ck_assert_uint_eq(c.low_pct, 2);
	ck_assert_uint_eq(c.high_pct, 4);
	ck_assert_int_eq(c.log_level, LOG_WARN);
	ck_assert_int_eq(conf_check(&c), 0);
}
END_TEST

/* Every setting's default, given as text, changes nothing. */
START_TEST(default_text_is_the_default)
{
	struct conf c = conf;

	ck_assert_int_eq(conf_set(&c, rows[_i].field, rows[_i].initial), 0);
	ck_assert_int_eq(memcmp(&c, &conf, sizeof(c)), 0);
}
END_TEST

START_TEST(set_by_field_and_by_suffix)
{
	const struct row *r = &rows[_i];
	const char *text = good_text(r);
	struct conf a = conf, b = conf;

	ck_assert_int_eq(conf_set(&a, r->field, text), 0);
	ck_assert_int_eq(conf_set(&b, r->suffix, text), 0);
	assert_value(&a, r, text);
	assert_value(&b, r, text);
	/* and nothing but this field changed */
	memcpy((char *)&a + r->offset, value_of(&conf, r), r->size);
	ck_assert_int_eq(memcmp(&a, &conf, sizeof(a)), 0);
}
END_TEST

START_TEST(set_refuses_bad_text_and_keeps_the_value)
{
	const struct row *r = &rows[_i];
	struct conf c = conf;

	ck_assert_int_eq(conf_set(&c, r->field, bad_text(r)), -EINVAL);
	ck_assert_int_eq(memcmp(&c, &conf, sizeof(c)), 0);
}
END_TEST

START_TEST(environment_sets_each)
{
	const struct row *r = &rows[_i];
	const char *bad = "untouched", *text = good_text(r);
	struct conf c = conf;

	setenv(r->variable, text, 1);
	ck_assert_int_eq(conf_environment(&c, &bad), 0);
	ck_assert_str_eq(bad, "untouched");
	assert_value(&c, r, text);
}
END_TEST

START_TEST(environment_names_the_bad_variable)
{
	const struct row *r = &rows[_i];
	const char *bad = NULL;
	struct conf c = conf;

	/* a good one beside it must not take effect */
	setenv(_i == 0 ? "VVM_SPIN_US" : "VVM_RESIDENT", "1000", 1);
	setenv(r->variable, bad_text(r), 1);
	ck_assert_int_eq(conf_environment(&c, &bad), -EINVAL);
	ck_assert_str_eq(bad, r->variable);
	ck_assert_int_eq(memcmp(&c, &conf, sizeof(c)), 0);
	ck_assert_int_eq(conf_environment(&c, NULL), -EINVAL);
}
END_TEST

START_TEST(environment_reports_range_as_invalid)
{
	const char *bad = NULL;

	setenv("VVM_RESIDENT", "99999999999T", 1);
	ck_assert_int_eq(conf_environment(&conf, &bad), -EINVAL);
	ck_assert_str_eq(bad, "VVM_RESIDENT");
}
END_TEST

START_TEST(set_unknown_name)
{
	ck_assert_int_eq(conf_set(&conf, "residentbytes", "1"), -ENOENT);
	ck_assert_int_eq(conf_set(&conf, "", "1"), -ENOENT);
	ck_assert_int_eq(conf_set(&conf, "VVM_RESIDENT", "1"), -ENOENT);
}
END_TEST

START_TEST(enum_every_word)
{
	ck_assert_int_eq(conf_set(&conf, "io", "auto"), 0);
	ck_assert_int_eq(conf.io, CONF_IO_AUTO);
	ck_assert_int_eq(conf_set(&conf, "io", "uring"), 0);
	ck_assert_int_eq(conf.io, CONF_IO_URING);
	ck_assert_int_eq(conf_set(&conf, "IO", "Sync"), 0);
	ck_assert_int_eq(conf.io, CONF_IO_SYNC);
	ck_assert_int_eq(conf_set(&conf, "faults", "inline"), 0);
	ck_assert_int_eq(conf.faults, CONF_FAULTS_INLINE);
	ck_assert_int_eq(conf_set(&conf, "log_level", "debug"), 0);
	ck_assert_int_eq(conf.log_level, LOG_DEBUG);
	ck_assert_int_eq(conf_set(&conf, "io", "syn"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "io", "synch"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "io", ""), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "io", "|"), -EINVAL);
}
END_TEST

START_TEST(bool_every_word)
{
	static const char *const yes[] = {"1", "yes", "on", "true", "YES"};
	static const char *const no[] = {"0", "no", "off", "false", "Off"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		ck_assert_int_eq(conf_set(&conf, "stat_segment", no[i]), 0);
		ck_assert(!conf.stat_segment);
		ck_assert_int_eq(conf_set(&conf, "stat_segment", yes[i]), 0);
		ck_assert(conf.stat_segment);
	}
	ck_assert_int_eq(conf_set(&conf, "stat_segment", "y"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "stat_segment", ""), -EINVAL);
}
END_TEST

START_TEST(uint_forms)
{
	ck_assert_int_eq(conf_set(&conf, "spin_us", "0x20"), 0);
	ck_assert_uint_eq(conf.spin_us, 32);
	ck_assert_int_eq(conf_set(&conf, "spin_us", "18446744073709551615"), 0);
	ck_assert_uint_eq(conf.spin_us, UINT64_MAX);
	ck_assert_int_eq(conf_set(&conf, "spin_us", "18446744073709551616"),
			 -ERANGE);
	ck_assert_int_eq(conf_set(&conf, "spin_us", "5k"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "spin_us", "1.5"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "spin_us", " 5"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "spin_us", "+5"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "spin_us", ""), -EINVAL);
}
END_TEST

START_TEST(path_too_long)
{
	char path[CONF_PATH_MAX + 1];

	memset(path, 'a', sizeof(path));
	path[CONF_PATH_MAX] = '\0';
	ck_assert_int_eq(conf_set(&conf, "swap_path", path), -ERANGE);
	ck_assert_str_eq(conf.swap_path, "/var/tmp");
	path[CONF_PATH_MAX - 1] = '\0';
	ck_assert_int_eq(conf_set(&conf, "swap_path", path), 0);
	ck_assert_str_eq(conf.swap_path, path);
}
END_TEST

/* ---- sizes ---- */

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
		{"0x1000", 4096},
		{"0X10k", 16384},
		{"0x1B", 27}, /* a digit, not a unit */
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", 16777215ull << 40},
	};
	size_t i;
	uint64_t bytes;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(conf_parse_size(good[i].text, &bytes) == 0, "%s",
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
		ck_assert_msg(conf_parse_size(bad[i], &bytes) == -EINVAL, "%s",
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
	};
	uint64_t bytes = 42;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(big); i++) {
		ck_assert_msg(conf_parse_size(big[i], &bytes) == -ERANGE, "%s",
			      big[i]);
		ck_assert_uint_eq(bytes, 42);
	}
}
END_TEST

START_TEST(size_percent_of_ram)
{
	uint64_t ram = os_ram_bytes(), bytes;

	ck_assert_uint_gt(ram, 16 << 20);
	ck_assert_int_eq(conf_parse_size("100%", &bytes), 0);
	ck_assert_uint_eq(bytes, ram);
	ck_assert_int_eq(conf_parse_size("25%", &bytes), 0);
	ck_assert_uint_eq(bytes, ram / 4);
	ck_assert_int_eq(conf_parse_size("12.5%", &bytes), 0);
	ck_assert_uint_eq(bytes, ram / 8);
	ck_assert_int_eq(conf_parse_size("0%", &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(conf_parse_size("18446744073709551615%", &bytes),
			 -ERANGE);
}
END_TEST

/* ---- conf_check ---- */

/* One field out of bounds; the walk is over this list. */
static const struct {
	const char *field, *good, *bad;
} bounds[] = {
	{"resident_bytes", "4096", "4095"},
	{"resident_bytes", "128T", "129T"},
	{"swap_limit_bytes", "4096", "4095"},
	{"swap_limit_bytes", "1024T", "1025T"},
	{"handlers", "32", "33"},
	{"high_pct", "50", "51"},
	{"high_pct", "2", "1"}, /* below low_pct */
	{"low_pct", "4", "5"},
	{"frame_wait_ms", "86400000", "86400001"},
	{"spin_us", "1000000", "1000001"},
	{"readahead_max_pages", "1024", "1025"},
	{"swap_reserve", "no", "yes"}, /* without a limit */
};

START_TEST(check_bounds)
{
	ck_assert_int_eq(conf_set(&conf, bounds[_i].field, bounds[_i].good), 0);
	ck_assert_int_eq(conf_check(&conf), 0);
	ck_assert_int_eq(conf_set(&conf, bounds[_i].field, bounds[_i].bad), 0);
	ck_assert_int_eq(conf_check(&conf), -EINVAL);
}
END_TEST

START_TEST(check_enum_from_a_program)
{
	const struct row *r = &rows[_i];
	struct conf c = conf;
	int wrong[] = {-1, 99};
	int i;

	if (r->type != TYPE_ENUM)
		return;
	for (i = 0; i < 2; i++) {
		memcpy((char *)&c + r->offset, &wrong[i], sizeof(int));
		ck_assert_int_eq(conf_check(&c), -EINVAL);
	}
}
END_TEST

START_TEST(check_empty_path)
{
	conf.swap_path[0] = '\0';
	ck_assert_int_eq(conf_check(&conf), -EINVAL);
}
END_TEST

START_TEST(check_reserve_with_limit)
{
	conf.swap_reserve = true;
	conf.swap_limit_bytes = 1 << 20;
	ck_assert_int_eq(conf_check(&conf), 0);
}
END_TEST

START_TEST(check_rounds_down_to_pages)
{
	conf.resident_bytes = 8191;
	conf.swap_limit_bytes = 12289;
	ck_assert_int_eq(conf_check(&conf), 0);
	ck_assert_uint_eq(conf.resident_bytes, 4096);
	ck_assert_uint_eq(conf.swap_limit_bytes, 12288);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *walk = test_case(s, "every setting");
	TCase *values = test_case(s, "values");
	TCase *check = test_case(s, "check");
	const int n = ARRAY_SIZE(rows);

	tcase_add_test(walk, defaults_are_the_tables);
	tcase_add_loop_test(walk, default_text_is_the_default, 0, n);
	tcase_add_loop_test(walk, set_by_field_and_by_suffix, 0, n);
	tcase_add_loop_test(walk, set_refuses_bad_text_and_keeps_the_value, 0,
			    n);
	tcase_add_loop_test(walk, environment_sets_each, 0, n);
	tcase_add_loop_test(walk, environment_names_the_bad_variable, 0, n);
	tcase_add_test(walk, environment_reports_range_as_invalid);
	tcase_add_test(walk, set_unknown_name);

	tcase_add_test(values, enum_every_word);
	tcase_add_test(values, bool_every_word);
	tcase_add_test(values, uint_forms);
	tcase_add_test(values, path_too_long);
	tcase_add_test(values, size_accepts);
	tcase_add_test(values, size_refuses);
	tcase_add_test(values, size_overflows);
	tcase_add_test(values, size_percent_of_ram);

	tcase_add_loop_test(check, check_bounds, 0, ARRAY_SIZE(bounds));
	tcase_add_loop_test(check, check_enum_from_a_program, 0, n);
	tcase_add_test(check, check_empty_path);
	tcase_add_test(check, check_reserve_with_limit);
	tcase_add_test(check, check_rounds_down_to_pages);
}

const struct test_program test_program = {
	.name = "conf",
	.add = add_tests,
	.setup = setup,
};
