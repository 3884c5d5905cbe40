/* SPDX-License-Identifier: MIT */
/*
 * unit/source.c - reads and writes of a file as the backing of a region: by each
 * way to transfer, around the end of the file, with errors; and what is opened.
 */
#include "swap/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
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

/* ---- writes ---- */

static char out[IO_MAX_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

static void open_shared(void)
{
	backing_drop(source);
	ck_assert_int_eq(
		source_open_shared(&source, file, OFFSET, &flight, true), 0);
	ck_assert(backing_is_home(source) && !source->read_only);
	backing_use(source);
}

/* Pages of bytes 100 + their number in the mapping. */
static void write_pages(unsigned first, unsigned n)
{
	unsigned i;

	calls = 0;
	memset(&io, 0xff, sizeof(io));
	for (i = 0; i < n; i++)
		memset(out + i * PAGE_BYTES, (int)(100 + first + i),
		       PAGE_BYTES);
	io.done = done;
	io.addr = 0;
	io.order = NULL;
	io.home = source;
	io.slot = first;
	io.pages = n;
	io.buf = out;
	io_write(&io, ring);
	while (ring && ring_inflight(ring)) {
		ck_assert_uint_eq(flight.count, 1);
		ck_assert_int_gt(ring_run(ring, PATIENCE_US), 0);
	}
	ck_assert_int_eq(calls, 1);
	ck_assert(!io_page_memory(&io, 0));
}

/* Page i of the mapping is in the file as it was written, or as it was. */
static void expect_in_file(unsigned i, bool written)
{
	unsigned page = i + OFFSET / PAGE_BYTES, k;
	unsigned bytes = page < PAGES ? PAGE_BYTES : TAIL;
	unsigned char got[PAGE_BYTES];

	ck_assert_int_eq(
		pread(file, got, PAGE_BYTES, (off_t)(page * PAGE_BYTES)),
		bytes);
	for (k = 0; k < bytes; k++)
		ck_assert_int_eq(got[k], written ? 100 + i : page + 1);
}

static void expect_size(uint64_t bytes)
{
	struct os_file f;

	ck_assert_int_eq(os_fd_info(file, &f), 0);
	ck_assert_uint_eq(f.bytes, bytes);
}

START_TEST(pages_are_written)
{
	ring = way_open(_i);
	open_shared();
	write_pages(5, 20);
	ck_assert_int_eq(result, 0);
	write_pages(0, 1);
	ck_assert_int_eq(result, 0);
	for (unsigned i = 0; i < 30; i++)
		expect_in_file(i, !i || (i >= 5 && i < 25));
	expect_size(PAGES * PAGE_BYTES + TAIL);
	read_pages(5, 20);
	ck_assert_int_eq(in[0], 105);
}
END_TEST

/* What is past it goes nowhere, and that is no error. */
START_TEST(writes_end_with_the_file)
{
	const unsigned last = PAGES - OFFSET / PAGE_BYTES;

	ring = way_open(_i);
	open_shared();
	write_pages(last - 3, 8);
	ck_assert_int_eq(result, 0);
	for (unsigned i = last - 5; i <= last; i++)
		expect_in_file(i, i >= last - 3);
	expect_size(PAGES * PAGE_BYTES + TAIL);
	write_pages(last + 1, 4);
	ck_assert_int_eq(result, 0);
	write_pages(last, 1);
	ck_assert_int_eq(result, 0);
	expect_size(PAGES * PAGE_BYTES + TAIL);
	ck_assert_int_eq(ftruncate(file, 0), 0);
	write_pages(0, 8);
	ck_assert_int_eq(result, 0);
	expect_size(0);
}
END_TEST

/* The ring's, or the whole, then page by page: the second of them fails. */
START_TEST(one_bad_page_of_a_write_costs_one_page)
{
	unsigned whole = _i ? 2 : 1, i;

	ring = way_open(_i);
	open_shared();
	os_inject_some(OS_pwrite, 1, whole, EIO);
	write_pages(0, 4);
	ck_assert_int_eq(result, 0);
	for (i = 0; i < 4; i++)
		expect_in_file(i, true);
	os_inject_some(OS_pwrite, 1, whole + 2, ENOSPC);
	write_pages(8, 4);
	ck_assert_int_eq(result, -ENOSPC);
	for (i = 0; i < 4; i++) {
		expect_bad(i, i < 2);
		if (_i < 2 || i >= 2) /* io_uring had written them */
			expect_in_file(8 + i, i >= 2);
	}
	os_inject(OS_pwrite, 1, true, EIO);
	write_pages(16, 4);
	ck_assert_int_eq(result, -EIO);
	for (i = 0; i < 4; i++) {
		expect_bad(i, true);
		if (_i < 2)
			expect_in_file(16 + i, false);
	}
	os_inject_clear();
	os_inject(OS_fd_info, 1, true, EIO); /* how long is it? */
	write_pages(16, 2);
	ck_assert_int_eq(result, -EIO);
	expect_bad(0, true);
	expect_bad(1, true);
	os_inject_clear();
	write_pages(16, 4);
	ck_assert_int_eq(result, 0);
	expect_in_file(19, true);
}
END_TEST

START_TEST(writes_without_o_direct)
{
	ring = way_open(_i);
	open_shared();
	os_inject(OS_pwrite, 1, false, EINVAL);
	write_pages(0, 6);
	ck_assert_int_eq(result, 0);
	write_pages(PAGES - 6, 4);
	ck_assert_int_eq(result, 0);
	for (unsigned i = 0; i < 6; i++)
		expect_in_file(i, true);
	expect_in_file(PAGES - 3, true);
	expect_size(PAGES * PAGE_BYTES + TAIL);
}
END_TEST

/*
 * The last page takes a descriptor of its own, from the beginning. Without one it
 * is written, too.
 */
START_TEST(the_last_page_without_a_descriptor)
{
	const unsigned last = PAGES - OFFSET / PAGE_BYTES;
	struct rlimit few;

	ring = way_open(_i);
	open_shared();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &few), 0);
	few.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	write_pages(last - 1, 2);
	ck_assert_int_eq(result, 0);
	expect_in_file(last, true);
	few.rlim_cur = few.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ck_assert_int_eq(ftruncate(file, (off_t)(PAGES * PAGE_BYTES)), 0);
	ck_assert_int_eq(ftruncate(file, (off_t)(PAGES * PAGE_BYTES + TAIL)),
			 0);
	os_inject(OS_open, 2, false, EACCES); /* as after setuid(2) */
	open_shared();
	os_inject_clear();
	write_pages(last - 1, 2);
	ck_assert_int_eq(result, 0);
	expect_in_file(last - 1, true);
	expect_in_file(last, true);
	expect_size(PAGES * PAGE_BYTES + TAIL);
}
END_TEST

/* The kernel tells of it once; all who have written before are told. */
START_TEST(an_error_of_the_disk_is_everybody_s)
{
	uint32_t seen;

	open_shared();
	seen = atomic_load(&source->sync_errors);
	ck_assert_int_eq(source->ops->sync(source, seen), 0);
	os_inject(OS_fdatasync, 1, false, ENOSPC);
	ck_assert_int_eq(source->ops->sync(source, seen), -ENOSPC);
	ck_assert_int_eq(source->ops->sync(source, seen), -EIO);
	seen = atomic_load(&source->sync_errors);
	ck_assert_int_eq(source->ops->sync(source, seen), 0);
}
END_TEST

START_TEST(what_may_be_shared)
{
	int read_only = open(path, O_RDONLY | O_CLOEXEC),
	    wrong = open(path, O_WRONLY | O_CLOEXEC), fds[2];
	struct backing *b;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(source_open_shared(&b, read_only, 0, &flight, true),
			 -EACCES);
	ck_assert_int_eq(source_open_shared(&b, wrong, 0, &flight, false),
			 -EACCES);
	ck_assert_int_eq(source_open_shared(&b, fds[0], 0, &flight, false),
			 -ENODEV);
	ck_assert_int_eq(source_open_shared(&b, -1, 0, &flight, false), -EBADF);
	ck_assert_int_eq(source_open_shared(&b, read_only, 0, &flight, false),
			 0);
	ck_assert(b->read_only && !backing_is_home(b));
	backing_use(b);
	backing_drop(b);
	ck_assert_int_eq(source_open_shared(&b, file, 0, &flight, false), 0);
	ck_assert(!b->read_only && backing_is_home(b));
	backing_use(b);
	backing_drop(b);
	close(read_only);
	close(wrong);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Our descriptor is not for appending, whatever the caller's is. */
START_TEST(a_descriptor_that_appends)
{
	int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC), got;
	bool own;

	ck_assert_int_eq(os_reopen(fd, true, &got, &own), 0);
	ck_assert(own);
	ck_assert_int_eq(os_pwrite_own(got, "x", 1, 0, true), 0);
	ck_assert_int_eq(os_pwrite_own(fd, "x", 1, 0, true), -EACCES);
	expect_size(PAGES * PAGE_BYTES + TAIL);
	os_close(got);
	close(fd);
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
	tc = test_case(suite, "writes");
	tcase_add_loop_test(tc, pages_are_written, 0, n);
	tcase_add_loop_test(tc, writes_end_with_the_file, 0, n);
	tcase_add_loop_test(tc, one_bad_page_of_a_write_costs_one_page, 0, n);
	tcase_add_loop_test(tc, writes_without_o_direct, 0, n);
	tcase_add_loop_test(tc, the_last_page_without_a_descriptor, 0, n);
	tcase_add_test(tc, an_error_of_the_disk_is_everybody_s);
	tcase_add_test(tc, what_may_be_shared);
	tcase_add_test(tc, a_descriptor_that_appends);
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
