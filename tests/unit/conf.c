/* SPDX-License-Identifier: MIT */
/*
 * unit/conf.c - every setting of the table: its default, each way to set
 * it, what it refuses; bounds. The walks expand SETTINGS, so a new setting
 * is tested without a line here.
 */
#include "support/test.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "policy/policy.h"
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

enum { TYPE_SIZE, TYPE_UINT, TYPE_UINT64, TYPE_PATH, TYPE_ENUM, TYPE_BOOL };
#define TYPE_WORD TYPE_ENUM

struct row {
	int type;
	const char *field, *variable, *initial, *values;
	size_t offset, size;
	uint64_t least, most;
	const char *why;
};

static const struct row rows[] = {
#define X(type, name, env, def, unit, range, desc) \
	{TYPE_##type,                              \
	 #name,                                    \
	 "VVM_" #env,                              \
	 def,                                      \
	 unit,                                     \
	 offsetof(struct conf, name),              \
	 sizeof(((struct conf *)0)->name),         \
	 SETTING_LIMITS range},
	SETTINGS(X)
#undef X
};

static struct conf conf;

static const void *value_of(const struct conf *c, const struct row *r)
{
	return (const char *)c + r->offset;
}

static const char *bad_text(const struct row *r)
{
	static const char *const bad[] = {BAD_SIZE, BAD_UINT, BAD_UINT,
					  BAD_PATH, BAD_ENUM, BAD_BOOL};

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
	case TYPE_UINT64:
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
		ck_assert_uint_eq(*(const unsigned *)v, 7);
		break;
	case TYPE_UINT64:
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
	ck_assert_int_eq(c.io, VVM_IO_AUTO);
	ck_assert_int_eq(c.faults, VVM_FAULTS_AUTO);
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

START_TEST(set_changes_its_field)
{
	const struct row *r = &rows[_i];
	const char *text = good_text(r);
	struct conf a = conf;

	ck_assert_int_eq(conf_set(&a, r->field, text), 0);
	assert_value(&a, r, text);
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
	const char *texts[CONF_ROWS], *bad = "untouched", *text = good_text(r);
	struct conf c;
	int i;

	setenv(r->variable, text, 1);
	memset(&c, 0xff, sizeof(c));
	ck_assert_int_eq(conf_read(&c, texts, &bad), 0);
	ck_assert_str_eq(bad, "untouched");
	assert_value(&c, r, text);
	for (i = 0; i < CONF_ROWS; i++)
		ck_assert_str_eq(texts[i], i == _i ? text : rows[i].initial);
	/* and the rest are defaults */
	memcpy((char *)&c + r->offset, value_of(&conf, r), r->size);
	ck_assert_int_eq(memcmp(&c, &conf, sizeof(c)), 0);
}
END_TEST

START_TEST(environment_names_the_bad_variable)
{
	const struct row *r = &rows[_i];
	const char *texts[CONF_ROWS], *bad = NULL;
	struct conf c;
	int i;

	/* a good one beside it must not take effect */
	setenv(_i == 0 ? "VVM_SPIN_US" : "VVM_RESIDENT", "1000", 1);
	setenv(r->variable, bad_text(r), 1);
	ck_assert_int_eq(conf_read(&c, texts, &bad), -EINVAL);
	ck_assert_str_eq(bad, r->variable);
	ck_assert_int_eq(memcmp(&c, &conf, sizeof(c)), 0);
	for (i = 0; i < CONF_ROWS; i++)
		ck_assert_str_eq(texts[i], rows[i].initial);
}
END_TEST

START_TEST(environment_reports_range_as_invalid)
{
	const char *texts[CONF_ROWS], *bad = NULL;

	setenv("VVM_RESIDENT", "99999999999T", 1);
	ck_assert_int_eq(conf_read(&conf, texts, &bad), -EINVAL);
	ck_assert_str_eq(bad, "VVM_RESIDENT");
}
END_TEST

START_TEST(default_is_the_text_of_the_table)
{
	ck_assert_str_eq(conf_default(rows[_i].field), rows[_i].initial);
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
	ck_assert_int_eq(conf.io, VVM_IO_AUTO);
	ck_assert_int_eq(conf_set(&conf, "io", "uring"), 0);
	ck_assert_int_eq(conf.io, VVM_IO_URING);
	ck_assert_int_eq(conf_set(&conf, "io", "Sync"), 0);
	ck_assert_int_eq(conf.io, VVM_IO_SYNC);
	ck_assert_int_eq(conf_set(&conf, "faults", "inline"), 0);
	ck_assert_int_eq(conf.faults, VVM_FAULTS_INLINE);
	ck_assert_int_eq(conf_set(&conf, "io", "syn"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "io", "synch"), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "io", ""), -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "io", "|"), -EINVAL);
}
END_TEST

START_TEST(words_of_the_log_are_its_levels)
{
	static const char *const words[] = {[LOG_NONE] = "none",
					    [LOG_ERROR] = "error",
					    [LOG_WARN] = "warn",
					    [LOG_INFO] = "info",
					    [LOG_DEBUG] = "debug"};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		ck_assert_int_eq(conf_set(&conf, "log_level", words[i]), 0);
		ck_assert_uint_eq(conf.log_level, i);
	}
	conf.log_level = i;
	ck_assert_int_eq(conf_check(&conf), -EINVAL);
}
END_TEST

START_TEST(words_of_the_policy_are_the_policies)
{
	unsigned i;

	for (i = 0; policy_at(i); i++) {
		ck_assert_int_eq(conf_set(&conf, "policy", policy_at(i)->name),
				 0);
		ck_assert_uint_eq(conf.policy, i);
		ck_assert_int_eq(conf_check(&conf), 0);
	}
	conf.policy = i;
	ck_assert_int_eq(conf_check(&conf), -EINVAL);
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
	ck_assert_int_eq(conf_set(&conf, "spin_us", "4294967295"), 0);
	ck_assert_uint_eq(conf.spin_us, UINT32_MAX);
	ck_assert_int_eq(conf_set(&conf, "spin_us", "4294967296"), -ERANGE);
	ck_assert_uint_eq(conf.spin_us, UINT32_MAX);
	ck_assert_int_eq(conf_set(&conf, "frame_wait_ms", "4294967296"), 0);
	ck_assert_uint_eq(conf.frame_wait_ms, 4294967296);
	ck_assert_int_eq(
		conf_set(&conf, "frame_wait_ms", "18446744073709551616"),
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

START_TEST(size_percent_of_ram)
{
	uint64_t ram = os_ram_bytes();

	ck_assert_uint_gt(ram, 16 << 20);
	ck_assert_int_eq(conf_set(&conf, "resident_bytes", "25%"), 0);
	ck_assert_uint_eq(conf.resident_bytes, ram / 4);
}
END_TEST

/* ---- conf_check ---- */

/* One field out of bounds; the walk is over this list. */
static const struct {
	const char *field, *good, *bad;
} bounds[] = {
	{"resident_bytes", "4096", "4095"},
	{"resident_bytes", "128T", "129T"},
	{"resident_min_bytes", "128T", "129T"},
	{"resident_max_bytes", "128T", "129T"},
	{"swap_limit_bytes", "4096", "4095"},
	{"swap_limit_bytes", "1024T", "1025T"},
	{"handlers", "32", "33"},
	{"high_pct", "50", "51"},
	{"high_pct", "2", "1"}, /* below low_pct */
	{"low_pct", "4", "5"},
	{"frame_wait_ms", "86400000", "86400001"},
	{"spin_us", "1000000", "1000001"},
	{"pollers", "32", "33"},
	{"readahead_max_pages", "1024", "1025"},
	{"swap_reserve", "no", "yes"}, /* without a limit */
};

START_TEST(every_range_is_walked)
{
	unsigned i, n = 0;

	for (i = 0; i < ARRAY_SIZE(bounds); i++)
		n += !strcmp(bounds[i].field, rows[_i].field);
	ck_assert_msg(n || rows[_i].most == UINT64_MAX,
		      "bounds[] lacks the range of %s", rows[_i].field);
}
END_TEST

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
	conf.resident_min_bytes = 1;
	conf.resident_max_bytes = 4097;
	ck_assert_int_eq(conf_check(&conf), 0);
	ck_assert_uint_eq(conf.resident_min_bytes, 4096);
	ck_assert_uint_eq(conf.resident_max_bytes, 8192);
}
END_TEST

/* Where the table says that it may be, and nowhere else. */
START_TEST(a_size_may_be_automatic)
{
	ck_assert_int_eq(conf_set(&conf, "resident_bytes", "Auto"), 0);
	ck_assert_uint_eq(conf.resident_bytes, SETTING_AUTO);
	ck_assert_uint_eq(SETTING_AUTO, VVM_RESIDENT_AUTO);
	ck_assert_int_eq(conf_check(&conf), 0);
	ck_assert_uint_eq(conf.resident_bytes, SETTING_AUTO);
	ck_assert_int_eq(conf_set(&conf, "resident_bytes", "automatic"),
			 -EINVAL);
	ck_assert_int_eq(conf_set(&conf, "swap_limit_bytes", "auto"), -EINVAL);
	conf.swap_limit_bytes = SETTING_AUTO;
	ck_assert_int_eq(conf_check(&conf), -EINVAL);
}
END_TEST

/* Of a fixed budget they say nothing. */
START_TEST(check_bounds_of_an_automatic_budget)
{
	conf.resident_min_bytes = 2 << 20;
	conf.resident_max_bytes = 1 << 20;
	ck_assert_int_eq(conf_check(&conf), 0);
	conf.resident_bytes = SETTING_AUTO;
	ck_assert_int_eq(conf_check(&conf), -EINVAL);
	conf.resident_max_bytes = 2 << 20;
	ck_assert_int_eq(conf_check(&conf), 0);
	conf.resident_max_bytes = 0; /* the library's choice */
	ck_assert_int_eq(conf_check(&conf), 0);
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
	tcase_add_loop_test(walk, set_changes_its_field, 0, n);
	tcase_add_loop_test(walk, set_refuses_bad_text_and_keeps_the_value, 0,
			    n);
	tcase_add_loop_test(walk, default_is_the_text_of_the_table, 0, n);
	tcase_add_loop_test(walk, environment_sets_each, 0, n);
	tcase_add_loop_test(walk, environment_names_the_bad_variable, 0, n);
	tcase_add_test(walk, environment_reports_range_as_invalid);
	tcase_add_test(walk, set_unknown_name);

	tcase_add_test(values, enum_every_word);
	tcase_add_test(values, words_of_the_log_are_its_levels);
	tcase_add_test(values, words_of_the_policy_are_the_policies);
	tcase_add_test(values, bool_every_word);
	tcase_add_test(values, uint_forms);
	tcase_add_test(values, path_too_long);
	tcase_add_test(values, size_percent_of_ram);

	tcase_add_loop_test(check, check_bounds, 0, ARRAY_SIZE(bounds));
	tcase_add_loop_test(check, every_range_is_walked, 0,
			    (int)ARRAY_SIZE(rows));
	tcase_add_loop_test(check, check_enum_from_a_program, 0, n);
	tcase_add_test(check, check_empty_path);
	tcase_add_test(check, check_reserve_with_limit);
	tcase_add_test(check, check_rounds_down_to_pages);
	tcase_add_test(check, a_size_may_be_automatic);
	tcase_add_test(check, check_bounds_of_an_automatic_budget);
}

const struct test_program test_program = {
	.name = "conf",
	.add = add_tests,
	.setup = setup,
};
