/* SPDX-License-Identifier: MIT */
/*
 * unit/source.c - reads of a file as the backing of a region: by each way to
 * transfer, around the end of the file, with errors; and what is opened.
 */
#include "swap/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"
#include "support/wait.h"
#include "support/ways.h"
#include "util/log.h"

#define PATIENCE_US ((int64_t)wait_scaled(20000000))
#define PAGES	    40
#define TAIL	    77
#define OFFSET	    (3 * PAGE_BYTES) /* of the mapping */

static char dir[256], path[300];
static int file;
static struct backing *source;
static struct flight flight;
static struct ring *ring;
static char in[IO_MAX_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

static struct io io;
static int calls, result;

static void make_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	log_set_level(LOG_NONE);
	snprintf(dir, sizeof(dir), "%s/vvm-check-source.XXXXXX",
		 tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/file", dir);
}

static void remove_dir(void)
{
	unlink(path);
	if (rmdir(dir))
		perror(dir);
}

/* Page i of the file is of bytes i + 1. */
static void set_up(void)
{
	char page[PAGE_BYTES];
	unsigned i;

	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	for (i = 0; i <= PAGES; i++) {
		size_t n = i < PAGES ? sizeof(page) : TAIL;

		memset(page, (int)i + 1, n);
		ck_assert_int_eq(write(file, page, n), n);
	}
	memset(&flight, 0, sizeof(flight));
	ck_assert_int_eq(source_open(&source, file, OFFSET, &flight), 0);
	backing_use(source);
}

static void tear_down(void)
{
	os_inject_clear();
	if (ring)
		ring_close(ring);
	ring = NULL;
	ck_assert_uint_eq(flight.count, 0);
	backing_drop(source);
	close(file);
}

static void done(struct io *it, int rc)
{
	ck_assert_ptr_eq(it, &io);
	calls++;
	result = rc;
}

static void read_pages(unsigned first, unsigned n)
{
	calls = 0;
	memset(&io, 0xff, sizeof(io));
	memset(in, 0xee, sizeof(in));
	io.done = done;
	io.addr = 0;
	io.order = NULL;
	io.home = source;
	io.slot = first;
	io.pages = n;
	io.buf = in;
	ck_assert(!io_fetch(&io));
	io_read(&io, ring);
	while (ring && ring_inflight(ring)) {
		ck_assert_uint_eq(flight.count, 1);
		ck_assert_int_gt(ring_run(ring, PATIENCE_US), 0);
	}
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(result, 0);
}

/* What is there is right, and whatever is not is bad. */
static void expect_pages(unsigned first, unsigned n)
{
	unsigned i, k;

	for (i = 0; i < n; i++) {
		unsigned page = first + i + OFFSET / PAGE_BYTES;
		unsigned bytes = page < PAGES ? PAGE_BYTES : TAIL;

		ck_assert_msg(io_page_bad(&io, i) == (page > PAGES), "page %u",
			      page);
		ck_assert(!io_page_memory(&io, i));
		for (k = 0; page <= PAGES && k < PAGE_BYTES; k++)
			ck_assert_int_eq((unsigned char)in[i * PAGE_BYTES + k],
					 k < bytes ? page + 1 : 0);
	}
}

static void expect_bad(unsigned i, bool bad)
{
	ck_assert_msg(io_page_bad(&io, i) == bad, "page %u", i);
}

START_TEST(pages_are_read)
{
	ring = way_open(_i);
	read_pages(0, 1);
	expect_pages(0, 1);
	read_pages(5, 20);
	expect_pages(5, 20);
}
END_TEST

START_TEST(around_the_end)
{
	ring = way_open(_i);
	read_pages(PAGES - 3, 1);
	expect_pages(PAGES - 3, 1);
	read_pages(PAGES - 10, 20);
	expect_pages(PAGES - 10, 20);
	read_pages(PAGES - 2, 3);
	expect_pages(PAGES - 2, 3);
	read_pages(1000, 2);
	expect_pages(1000, 2);
}
END_TEST

START_TEST(a_file_that_shrinks_grows_and_ends_in_any_byte)
{
	unsigned bytes, n;

	ring = way_open(_i);
	for (n = 4; n < 7; n++)
		for (bytes = 1; bytes <= PAGE_BYTES; bytes += 819) {
			ck_assert_int_eq(
				ftruncate(file,
					  (n - 1) * (off_t)PAGE_BYTES + bytes),
				0);
			read_pages(0, 8);
			expect_bad(n - 4, false);
			expect_bad(n - 3, true);
			ck_assert_int_eq(in[(n - 4) * PAGE_BYTES],
					 n == 4 ? n : 0); /* a hole since */
			ck_assert_int_eq(in[(n - 3) * PAGE_BYTES - 1], 0);
		}
}
END_TEST

/* Nobody knows how long it is: the read tells. */
START_TEST(without_a_size)
{
	ring = way_open(_i);
	os_inject(OS_fd_info, 1, true, EIO);
	read_pages(PAGES - 10, 20);
	expect_pages(PAGES - 10, 20);
}
END_TEST

START_TEST(a_read_that_fails_once_is_made_again)
{
	ring = way_open(_i);
	os_inject(OS_pread, 1, false, EIO);
	read_pages(2, 9);
	expect_pages(2, 9);
}
END_TEST

/* The ring's, the whole, then page by page: the second of them stays bad. */
START_TEST(one_bad_page_costs_one_page)
{
	unsigned whole = _i ? 2 : 1, i;

	ring = way_open(_i);
	os_inject_some(OS_pread, 1, whole, EIO);
	read_pages(0, 4);
	expect_pages(0, 4);
	os_inject_some(OS_pread, 1, whole + 2, EIO);
	read_pages(0, 4);
	for (i = 0; i < 4; i++)
		expect_bad(i, i < 2);
	os_inject(OS_pread, 1, true, EIO);
	read_pages(0, 4);
	for (i = 0; i < 4; i++)
		expect_bad(i, true);
	os_inject_clear();
	read_pages(0, 4);
	expect_pages(0, 4);
}
END_TEST

/* The file system takes the flag and refuses the transfers, soon or late. */
START_TEST(without_o_direct)
{
	ring = way_open(_i);
	os_inject(OS_pread, 1, false, EINVAL);
	read_pages(0, 6);
	expect_pages(0, 6);
	backing_drop(source);
	os_inject(OS_pread, 1, false, EINVAL);
	ck_assert_int_eq(source_open(&source, file, OFFSET, &flight), 0);
	backing_use(source);
	ck_assert_int_eq(fcntl(source->held.fd, F_GETFL) & O_DIRECT, 0);
	read_pages(0, PAGES);
	expect_pages(0, PAGES);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
	struct backing *b;
	int fds[2], wrong = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(source_open(&b, -1, 0, &flight), -EBADF);
	ck_assert_int_eq(source_open(&b, wrong, 0, &flight), -EACCES);
	ck_assert_int_eq(source_open(&b, fds[0], 0, &flight), -ENODEV);
	os_inject(OS_open, 1, false, EMFILE);
	ck_assert_int_eq(source_open(&b, file, 0, &flight), -EMFILE);
	os_inject(OS_fd_info, 1, false, EIO);
	ck_assert_int_eq(source_open(&b, file, 0, &flight), -EIO);
	close(wrong);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(its_name)
{
	char name[32], few[3];

	source_name(source, name, sizeof(name));
	ck_assert_str_eq(name, "file");
	source_name(source, few, sizeof(few));
	ck_assert_str_eq(few, "fi");
}
END_TEST

/* The last of its users closes it. */
START_TEST(it_is_closed_by_its_last_user)
{
	struct os_held held = source->held;

	ck_assert_int_ge(fcntl(held.fd, F_GETFD), 0);
	ck_assert(fcntl(held.fd, F_GETFD) & FD_CLOEXEC);
	backing_use(source);
	backing_drop(source);
	ck_assert_int_ge(fcntl(held.fd, F_GETFD), 0);
	backing_drop(source);
	ck_assert_int_eq(fcntl(held.fd, F_GETFD), -1);
	backing_drop(NULL);
	backing_use(NULL);
	ck_assert_int_eq(source_open(&source, file, OFFSET, &flight), 0);
	backing_use(source);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "reads");
	int n = ways();

	tcase_add_loop_test(tc, pages_are_read, 0, n);
	tcase_add_loop_test(tc, around_the_end, 0, n);
	tcase_add_loop_test(tc, a_file_that_shrinks_grows_and_ends_in_any_byte,
			    0, n);
	tcase_add_loop_test(tc, without_a_size, 0, n);
	tcase_add_loop_test(tc, a_read_that_fails_once_is_made_again, 0, n);
	tcase_add_loop_test(tc, one_bad_page_costs_one_page, 0, n);
	tcase_add_loop_test(tc, without_o_direct, 0, n);
	tc = test_case(suite, "open");
	tcase_add_test(tc, what_cannot_be_opened);
	tcase_add_test(tc, its_name);
	tcase_add_test(tc, it_is_closed_by_its_last_user);
}

const struct test_program test_program = {
	.name = "source",
	.add = add_tests,
	.setup = set_up,
	.teardown = tear_down,
	.begin = make_dir,
	.end = remove_dir,
};
