/* SPDX-License-Identifier: MIT */
/*
 * unit/place.c - where swap goes when the default cannot be used: which place,
 * that conf names it, and that nothing else is touched.
 */
#include "swap/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/log.h"

#include "support/files.h"
#include "support/test.h"

static struct conf conf;
static struct swap_file file;

static void begin(void)
{
	log_set_level(LOG_NONE);
	conf_defaults(&conf);
}

/* Opens, with the default place refused if error is not 0. */
static int open_place(int error)
{
	int rc;

	if (error)
		os_inject(OS_open, 1, false, error);
	rc = swap_open_place(&conf, false, &file);
	os_inject_clear();
	return rc;
}

static void expect_at(const char *path)
{
	struct os_file it;

	ck_assert_str_eq(conf.swap_path, path);
	ck_assert_int_eq(os_fd_info(file.fd, &it), 0);
	ck_assert_uint_eq(it.links, 0);
	ck_assert_int_eq(file.type, OS_FILE_DIR);
	os_close(file.fd);
}

static bool in_memory(const char *path)
{
	bool memory;
	int fd;

	if (os_open(path, OS_OPEN_TMP, &fd))
		return false;
	memory = os_in_memory(fd);
	os_close(fd);
	return memory;
}

static const int missing[] = {ENOTDIR, EACCES, EPERM, EROFS};

START_TEST(the_users_directory_comes_next)
{
	setenv("TMPDIR", live_dir, 1);
	ck_assert_int_eq(open_place(missing[_i]), 0);
	expect_at(live_dir);
}
END_TEST

START_TEST(then_tmp)
{
	static const char *const useless[] = {"", "relative", "/nonexistent",
					      "/dev/null"};

	setenv("TMPDIR", useless[_i], 1);
	ck_assert_int_eq(open_place(EROFS), 0);
	expect_at("/tmp");
	unsetenv("TMPDIR");
	conf_defaults(&conf);
	ck_assert_int_eq(open_place(EROFS), 0);
	expect_at("/tmp");
}
END_TEST

START_TEST(nothing_is_made_by_looking)
{
	const char *none = live_path("none");
	struct stat st;

	setenv("TMPDIR", none, 1);
	ck_assert_int_eq(open_place(EROFS), 0);
	os_close(file.fd);
	ck_assert_int_eq(lstat(none, &st), -1);
}
END_TEST

/* Memory is the last resort. */
START_TEST(a_disk_comes_before_memory)
{
	if (!in_memory("/dev/shm"))
		return;
	setenv("TMPDIR", "/dev/shm", 1);
	ck_assert_int_eq(open_place(EROFS), 0);
	expect_at(in_memory("/tmp") ? "/dev/shm" : "/tmp");
}
END_TEST

/* Any other error is no reason to go elsewhere; nor is one of a named place. */
START_TEST(what_is_named_is_taken_or_refused)
{
	setenv("TMPDIR", live_dir, 1);
	ck_assert_int_eq(open_place(EMFILE), -EMFILE);
	ck_assert_str_eq(conf.swap_path, conf_default("swap_path"));
	strcpy(conf.swap_path, "/nonexistent/place");
	ck_assert_int_eq(open_place(0), -ENOENT);
	ck_assert_str_eq(conf.swap_path, "/nonexistent/place");
	strcpy(conf.swap_path, live_dir);
	ck_assert_int_eq(open_place(EROFS), -EROFS);
}
END_TEST

START_TEST(none_at_all)
{
	setenv("TMPDIR", live_dir, 1);
	os_inject(OS_open, 1, true, EACCES);
	ck_assert_int_eq(swap_open_place(&conf, false, &file), -EACCES);
	os_inject_clear();
	ck_assert_str_eq(conf.swap_path, conf_default("swap_path"));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "place");

	tcase_add_loop_test(tc, the_users_directory_comes_next, 0,
			    ARRAY_SIZE(missing));
	tcase_add_loop_test(tc, then_tmp, 0, 4);
	tcase_add_test(tc, nothing_is_made_by_looking);
	tcase_add_test(tc, a_disk_comes_before_memory);
	tcase_add_test(tc, what_is_named_is_taken_or_refused);
	tcase_add_test(tc, none_at_all);
}

const struct test_program test_program = {
	.name = "place",
	.add = add_tests,
	.setup = begin,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
