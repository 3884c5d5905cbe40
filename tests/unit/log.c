/* SPDX-License-Identifier: MIT */
/*
 * unit/log.c - util/log.c: the formatter against printf, the printed line, the
 * levels, and what a failed assertion does. stderr is a pipe here, read by
 * the test itself: a line fits the pipe, so nothing can block.
 */
#include "format.h"
#include "os/os.h"

/* The clock of what is held back. */
static uint64_t now_us = 1;

static uint64_t test_now_us(void)
{
	return now_us;
}

#define os_now_us test_now_us
#include "util/log.c" /* in place of the library's */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

static int saved_stderr, from_stderr;

static void capture_start(void)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	saved_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	close(ends[1]);
	from_stderr = ends[0];
}

/* Ends the capture; the text, terminated, in a static buffer. */
static const char *capture_end(void)
{
	static char text[4096];
	ssize_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	n = read(from_stderr, text, sizeof(text) - 1);
	close(from_stderr);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Formats with both and compares text and length. */
#define same_as_printf(...)                                              \
	do {                                                             \
		char ours[256], theirs[256];                             \
		size_t n = format_text(ours, sizeof(ours), __VA_ARGS__); \
		snprintf(theirs, sizeof(theirs), __VA_ARGS__);           \
		ck_assert_str_eq(ours, theirs);                          \
		ck_assert_uint_eq(n, strlen(theirs));                    \
	} while (0)

START_TEST(test_format_each_conversion)
{
	int here;

	same_as_printf("plain");
	same_as_printf("%s and %s", "one", "");
	same_as_printf("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	same_as_printf("%u %u %x %x", 0u, UINT_MAX, 0u, UINT_MAX);
	same_as_printf("%ld %ld", LONG_MIN, LONG_MAX);
	same_as_printf("%lu %lx", ULONG_MAX, ULONG_MAX);
	same_as_printf("%llu %llx", ULLONG_MAX, ULLONG_MAX);
	same_as_printf("%zu", SIZE_MAX);
	same_as_printf("%p", (void *)&here);
	same_as_printf("%c%c 100%%", 'a', '\n');
	same_as_printf("%d%s%d", 1, "|", 2);
}
END_TEST

START_TEST(test_format_null_string)
{
	char buf[32];
	const char *volatile nothing = NULL;

	format_text(buf, sizeof(buf), "<%s>", nothing);
	ck_assert_str_eq(buf, "<(null)>");
}
END_TEST

START_TEST(test_format_cuts_and_terminates)
{
	char buf[8];
	size_t n;

	memset(buf, 'x', sizeof(buf));
	n = format_text(buf, 6, "%s", "0123456789");
	ck_assert_str_eq(buf, "01234");
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(buf[6], 'x');
	n = format_text(buf, 1, "%d", 1234);
	ck_assert_str_eq(buf, "");
	ck_assert_uint_eq(n, 0);
	buf[0] = 'y';
	ck_assert_uint_eq(format_text(buf, 0, "%d", 1234), 0);
	ck_assert_int_eq(buf[0], 'y');
}
END_TEST

START_TEST(test_line_has_prefix_and_newline)
{
	char expected[64];

	capture_start();
	log_error("swap %s: %d", "full", 7);
	snprintf(expected, sizeof(expected), "libvvm[%d]: swap full: 7\n",
		 getpid());
	ck_assert_str_eq(capture_end(), expected);
}
END_TEST

START_TEST(test_long_line_is_cut_but_ended)
{
	char word[2000];
	const char *line;

	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	capture_start();
	log_error("%s", word);
	line = capture_end();
	ck_assert_uint_eq(strlen(line), 511);
	ck_assert_int_eq(line[strlen(line) - 1], '\n');
	ck_assert_int_eq(line[strlen(line) - 2], 'w');
}
END_TEST

/* What is printed at a level: one letter for each of error, warn, info. */
static const char *printed_at(enum log_level level)
{
	static char letters[8];
	const char *text, *s;
	size_t n = 0;

	log_set_level(level);
	capture_start();
	log_error("E");
	log_warn("W");
	log_info("I");
	text = capture_end();
	for (s = text; *s; s++)
		if (s[1] == '\n')
			letters[n++] = *s;
	letters[n] = '\0';
	return letters;
}

START_TEST(test_levels)
{
	capture_start();
	log_warn("shown");
	log_info("hidden");
	ck_assert_ptr_nonnull(strstr(capture_end(), "shown\n"));
	ck_assert_str_eq(printed_at(LOG_NONE), "");
	ck_assert_str_eq(printed_at(LOG_ERROR), "E");
	ck_assert_str_eq(printed_at(LOG_WARN), "EW");
	ck_assert_str_eq(printed_at(LOG_INFO), "EWI");
	ck_assert_str_eq(printed_at(LOG_DEBUG), "EWI");
}
END_TEST

START_TEST(test_warn_once)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	const char *text;
	int i;

	capture_start();
	for (i = 0; i < 3; i++)
		log_warn_once(&once, "turn %d", i);
	text = capture_end();
	ck_assert_ptr_nonnull(strstr(text, "turn 0\n"));
	ck_assert_ptr_null(strstr(text, "turn 1\n"));
	ck_assert_ptr_null(strstr(text, "turn 2\n"));
}
END_TEST

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* A loop that goes wrong: what is printed of so many lines. */
static const char *repeat(unsigned times)
{
	unsigned i;

	capture_start();
	for (i = 0; i < times; i++) {
		log_error("again %u", i);
		if (i < 3)
			log_error("other text");
	}
	return capture_end();
}

START_TEST(test_what_comes_again_is_held_back)
{
	const char *text = repeat(100000);

	ck_assert_uint_eq(count(text, "again "), 10);
	ck_assert_uint_eq(count(text, "other text\n"), 3);
	ck_assert_uint_eq(count(text, "again 9 (more like this are not "
				      "printed)\n"),
			  1);
	ck_assert_uint_eq(count(repeat(5), "again"), 0);
	now_us += 10000000;
	text = repeat(2);
	ck_assert_uint_eq(count(text, "again 0 (99995 more like this were not "
				      "printed)\n"),
			  1);
	ck_assert_uint_eq(count(text, "again 1\n"), 1);
	now_us += 10000000;
	ck_assert_uint_eq(count(repeat(2), "printed"), 0);
}
END_TEST

START_TEST(test_errno_is_preserved_when_stderr_is_gone)
{
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	errno = EXDEV;
	log_error("nobody hears this");
	ck_assert_int_eq(errno, EXDEV);
	dup2(saved, STDERR_FILENO);
	close(saved);
}
END_TEST

START_TEST(test_failed_assertion_aborts)
{
	volatile int one = 1;

	log_set_level(LOG_NONE); /* does not silence it */
	ASSERT(one == 1);
	ASSERT(one == 2);
}
END_TEST

static const char *assertion_text;

static void on_abort(int sig)
{
	assertion_text = capture_end();
	if (strstr(assertion_text,
		   "check_log.c:12: assertion failed: a < b\n") &&
	    strncmp(assertion_text, "libvvm[", 7) == 0)
		_exit(sig == SIGABRT ? EXIT_SUCCESS : EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

START_TEST(test_failed_assertion_says_where)
{
	signal(SIGABRT, on_abort);
	capture_start();
	assert_failed("a < b", "check_log.c", 12);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "format");

	tcase_add_test(tc, test_format_each_conversion);
	tcase_add_test(tc, test_format_null_string);
	tcase_add_test(tc, test_format_cuts_and_terminates);
	tc = test_case(suite, "print");
	tcase_add_test(tc, test_line_has_prefix_and_newline);
	tcase_add_test(tc, test_long_line_is_cut_but_ended);
	tcase_add_test(tc, test_levels);
	tcase_add_test(tc, test_warn_once);
	tcase_add_test(tc, test_what_comes_again_is_held_back);
	tcase_add_test(tc, test_errno_is_preserved_when_stderr_is_gone);
	tc = test_case(suite, "assert");
	tcase_add_test_raise_signal(tc, test_failed_assertion_aborts, SIGABRT);
	tcase_add_exit_test(tc, test_failed_assertion_says_where, EXIT_SUCCESS);
}

const struct test_program test_program = {
	.name = "log",
	.add = add_tests,
};
