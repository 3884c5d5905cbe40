/* SPDX-License-Identifier: MIT */
/*
 * unit/os_inject.c - os/inject.c: that arming counts as promised, that the
 * syntax of VVM_INJECT is read or refused as a whole, and that each function
 * of os/ has its point. (Those of os/uffd.c: unit/os_uffd.c.)
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

/* ---- every function has its point ---- */

#define VIEW_BYTES (2 * PAGE_BYTES)

static int memfd = -1; /* of VIEW_BYTES */
static haddr_t view;   /* all of memfd, readable and writable */
static char path[40];  /* an empty file */

static void setup(void)
{
	int fd;

	ck_assert_int_eq(os_memfd("check_os_inject", &memfd), 0);
	ck_assert_int_eq(os_truncate(memfd, VIEW_BYTES), 0);
	ck_assert_int_eq(os_reserve(VIEW_BYTES, PAGE_BYTES, 0, 0, &view), 0);
	ck_assert_int_eq(
		os_map_fixed(view, VIEW_BYTES, OS_READ | OS_WRITE, memfd, 0),
		0);
	strcpy(path, "/tmp/check_os_inject.XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void teardown(void)
{
	unlink(path);
	os_unmap(view, VIEW_BYTES);
	os_close(memfd);
}

static int try_memfd(void)
{
	int fd, error = os_memfd("inject", &fd);

	return error ? error : os_close(fd);
}

static int try_reserve(void)
{
	haddr_t at;
	int error = os_reserve(PAGE_BYTES, PAGE_BYTES, 0, 0, &at);

	return error ? error : os_unmap(at, PAGE_BYTES);
}

static int try_map_fixed(void)
{
	return os_map_fixed(view, PAGE_BYTES, OS_READ | OS_WRITE, memfd, 0);
}

static int try_map_anon(void)
{
	void *memory;
	int error = os_map_anon(PAGE_BYTES, &memory);

	return error ? error : os_unmap((uintptr_t)memory, PAGE_BYTES);
}

static int try_unmap(void)
{
	return os_unmap(view, PAGE_BYTES);
}

static int try_unmap_keep(void)
{
	return os_unmap_keep(view, PAGE_BYTES);
}

static int try_protect(void)
{
	return os_protect(view + PAGE_BYTES, PAGE_BYTES, OS_READ);
}

static int try_unlock(void)
{
	return os_unlock(view + PAGE_BYTES, PAGE_BYTES);
}

static int try_advise(void)
{
	return os_advise(view + PAGE_BYTES, PAGE_BYTES, OS_ADV_DONTNEED);
}

/* Even the error that the function forgives when the kernel says it. */
static int try_advise_thp(void)
{
	return os_advise(view + PAGE_BYTES, PAGE_BYTES, OS_ADV_NOHUGEPAGE);
}

static int try_punch(void)
{
	return os_punch(memfd, 0, PAGE_BYTES);
}

static int try_truncate(void)
{
	return os_truncate(memfd, VIEW_BYTES);
}

static int try_pagemap_open(void)
{
	int fd, error = os_pagemap_open(&fd);

	return error ? error : os_close(fd);
}

static int try_pagemap(void)
{
	uint64_t bits[1];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int error = os_pagemap_present(fd, view, 1, bits, NULL);

	os_close(fd);
	return error;
}

static int try_open(void)
{
	int fd, error = os_open(path, OS_OPEN_CREATE, &fd);

	return error ? error : os_close(fd);
}

static int try_set_direct(void)
{
	return os_set_direct(memfd, false);
}

static int try_pread(void)
{
	char byte;

	return os_pread(memfd, &byte, 1, 0);
}

static int try_pwrite(void)
{
	return os_pwrite(memfd, "x", 1, 0);
}

static int try_pwrite_own(void)
{
	return os_pwrite_own(memfd, "x", 1, 0, true);
}

static int try_fdatasync(void)
{
	return os_fdatasync(memfd);
}

static int try_fallocate(void)
{
	return os_fallocate(memfd, 0, PAGE_BYTES);
}

static int try_eventfd(void)
{
	int fd, error = os_eventfd(&fd);

	return error ? error : os_close(fd);
}

static void *nothing(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t thread;
	int error = os_thread_start(&thread, "inject", nothing, NULL);

	return error ? error : -pthread_join(thread, NULL);
}

static int try_ring_setup(void)
{
	return os_inject_check(OS_ring_setup);
}

static int try_epoll_add(void)
{
	int epoll, event, error = os_epoll(&epoll);

	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(os_eventfd(&event), 0);
	error = os_epoll_add(epoll, event);
	os_close(event);
	os_close(epoll);
	return error;
}

static int try_poll(void)
{
	uint64_t ready, invalid;

	return os_poll(&memfd, 1, 0, &ready, &invalid);
}

static int try_futex(void)
{
	_Atomic uint32_t word = 0;
	int error = os_futex_wait(&word, 0, 1);

	return error == -ETIMEDOUT ? 0 : error;
}

/* Not sent, since it is blocked; pending, it does no harm. */
static int try_sigqueue(void)
{
	sigset_t bus;

	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &bus, NULL);
	return os_sigbus_thread(os_tid(), view);
}

static int try_lock_file(void)
{
	return os_lock_file(memfd);
}

static int try_fd_info(void)
{
	struct os_file file;

	return os_fd_info(memfd, &file);
}

static int try_hold(void)
{
	struct os_held held;

	return os_hold(memfd, &held);
}

static int try_reopen(void)
{
	int fd, error;
	bool own;

	error = os_reopen(memfd, true, &fd, &own);
	return error ? error : os_close(fd);
}

static int try_pread_some(void)
{
	uint64_t got;
	char page[16];

	return os_pread_some(memfd, page, sizeof(page), 0, &got);
}

static int try_file_info(void)
{
	enum os_file_type type;
	uint64_t bytes;

	return os_file_info(path, &type, &bytes);
}

static int try_free_space(void)
{
	uint64_t bytes;

	return os_free_space(memfd, &bytes);
}

static int try_claimed(void)
{
	bool claimed;

	return os_file_claimed(memfd, &claimed);
}

static int try_open_own(void)
{
	int fd, error = os_open_own(path, &fd);

	return error ? error : os_close(fd);
}

static void ignore(const char *name, void *arg)
{
	(void)name;
	(void)arg;
}

static int try_list_dir(void)
{
	return os_list_dir("/proc/self/fd", ignore, NULL);
}

static int try_unlink(void)
{
	int error = os_unlink(path);

	if (!error)
		ck_assert_int_ge(creat(path, 0600), 0);
	return error;
}

static const struct {
	enum os_point point;
	int (*call)(void);
} tries[] = {
	{OS_memfd, try_memfd},		 {OS_reserve, try_reserve},
	{OS_map, try_map_fixed},	 {OS_map, try_map_anon},
	{OS_unmap, try_unmap},		 {OS_unmap, try_unmap_keep},
	{OS_protect, try_protect},	 {OS_advise, try_advise},
	{OS_advise, try_advise_thp},	 {OS_punch, try_punch},
	{OS_truncate, try_truncate},	 {OS_pagemap, try_pagemap_open},
	{OS_pagemap, try_pagemap},	 {OS_open, try_open},
	{OS_open, try_set_direct},	 {OS_pread, try_pread},
	{OS_pwrite, try_pwrite},	 {OS_fallocate, try_fallocate},
	{OS_eventfd, try_eventfd},	 {OS_thread, try_thread},
	{OS_ring_setup, try_ring_setup}, {OS_unlock, try_unlock},
	{OS_epoll_add, try_epoll_add},	 {OS_poll, try_poll},
	{OS_futex, try_futex},		 {OS_sigqueue, try_sigqueue},
	{OS_lock_file, try_lock_file},	 {OS_fd_info, try_fd_info},
	{OS_file_info, try_file_info},	 {OS_free_space, try_free_space},
	{OS_claimed, try_claimed},	 {OS_open_own, try_open_own},
	{OS_list_dir, try_list_dir},	 {OS_unlink, try_unlink},
	{OS_fd_info, try_hold},		 {OS_open, try_reopen},
	{OS_pread, try_pread_some},	 {OS_pwrite, try_pwrite_own},
	{OS_fdatasync, try_fdatasync},
};

/* Armed, every function returns the error; used up or disarmed, it works. */
START_TEST(test_inject_reaches_every_function)
{
	int (*call)(void) = tries[_i].call;

	os_inject(tries[_i].point, 1, false, EINVAL);
	ck_assert_int_eq(call(), -EINVAL);
	ck_assert_int_eq(call(), 0);
	os_inject(tries[_i].point, 1, true, EIO);
	ck_assert_int_eq(call(), -EIO);
	ck_assert_int_eq(call(), -EIO);
	os_inject(tries[_i].point, 1, true, 0);
	ck_assert_int_eq(call(), 0);
}
END_TEST

/* ---- counting ---- */

static int use(void)
{
	return os_inject_check(OS_pread);
}

START_TEST(test_inject_nth)
{
	ck_assert_int_eq(use(), 0);
	os_inject(OS_pread, 3, false, ENOSPC);
	ck_assert_int_eq(use(), 0);
	ck_assert_int_eq(use(), 0);
	ck_assert_int_eq(use(), -ENOSPC);
	ck_assert_int_eq(use(), 0);
	/* from now, whatever was counted before */
	os_inject(OS_pread, 2, true, ENOMEM);
	ck_assert_int_eq(use(), 0);
	ck_assert_int_eq(use(), -ENOMEM);
	ck_assert_int_eq(use(), -ENOMEM);
	ck_assert_int_eq(os_inject_check(OS_pwrite), 0);
	os_inject_clear();
	ck_assert_int_eq(use(), 0);
}
END_TEST

START_TEST(test_inject_some)
{
	unsigned i;

	use();
	os_inject_some(OS_pread, 2, 3, ENOSPC);
	ck_assert_int_eq(use(), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(use(), -ENOSPC);
	ck_assert_int_eq(use(), 0);
	os_inject_some(OS_pread, 1, 14, 4095);
	for (i = 0; i < 14; i++)
		ck_assert_int_eq(use(), -4095);
	ck_assert_int_eq(use(), 0);
}
END_TEST

START_TEST(test_inject_counts)
{
	use(); /* nothing armed, nothing started: not counted */
	ck_assert_uint_eq(os_inject_uses(OS_pread), 0);
	os_inject(OS_pwrite, 9, false, EIO);
	use(); /* counted while some point is armed */
	ck_assert_uint_eq(os_inject_uses(OS_pread), 1);
	os_inject(OS_pwrite, 9, false, 0);
	use();
	ck_assert_uint_eq(os_inject_uses(OS_pread), 1);
	os_inject_clear();
	ck_assert_uint_eq(os_inject_uses(OS_pread), 0);
	use();
	use();
	ck_assert_uint_eq(os_inject_uses(OS_pread), 2);
	os_inject_clear();
	use();
	ck_assert_uint_eq(os_inject_uses(OS_pread), 1);
}
END_TEST

static void *use_often(void *arg)
{
	int i, failed = 0;

	(void)arg;
	for (i = 0; i < 10000; i++)
		failed += use() != 0;
	return (void *)(uintptr_t)failed;
}

/* Of all threads' uses together exactly one is the n-th. */
START_TEST(test_inject_once_among_threads)
{
	pthread_t threads[4];
	uintptr_t failed = 0;
	void *value;
	unsigned i;

	os_inject_clear();
	os_inject(OS_pread, 20000, false, EIO);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, use_often, NULL);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &value);
		failed += (uintptr_t)value;
	}
	ck_assert_uint_eq(failed, 1);
	ck_assert_uint_eq(os_inject_uses(OS_pread), 40000);
}
END_TEST

/* ---- NAME:N[+]:ERROR ---- */

START_TEST(test_inject_parse)
{
	ck_assert_int_eq(os_inject_parse("", false), 0);
	ck_assert_int_eq(os_inject_parse("pwrite:2:EIO,pread:1+:ENOSPC,"
					 "open:1:4095,memfd:1:28",
					 false),
			 0);
	ck_assert_int_eq(os_inject_check(OS_pwrite), 0);
	ck_assert_int_eq(os_inject_check(OS_pwrite), -EIO);
	ck_assert_int_eq(os_inject_check(OS_pwrite), 0);
	ck_assert_int_eq(use(), -ENOSPC);
	ck_assert_int_eq(use(), -ENOSPC);
	ck_assert_int_eq(os_inject_check(OS_open), -4095);
	ck_assert_int_eq(os_inject_check(OS_memfd), -ENOSPC);
	ck_assert_int_eq(os_inject_check(OS_uffd_open), 0);
}
END_TEST

static const char *const wrong_specs[] = {
	"nonsense",
	"pread",
	"pread:",
	"pread:1",
	"pread:1:",
	"pread:0:EIO",
	"pread:x:EIO",
	"pread:-1:EIO",
	"pread:1++:EIO",
	"pread:1:EWHAT",
	"pread:1:EIOX",
	"pread:1:0",
	"pread:1:4096",
	"pread:1:5x",
	"pread:999999999999999:EIO", /* more than 2^48 */
	"pread:99999999999999999999999:EIO",
	"prea:1:EIO",
	"preads:1:EIO",
	":1:EIO",
	"pread:1:EIO,",
	",pread:1:EIO",
	"pread:1:EIO,,open:1:EIO",
	"pread:1:EIO,open:1",
	" pread:1:EIO",
	"@@pread:1:EIO",
	"@",
	"pread@:1:EIO",
};

/* What has a @ is armed by one call, all else by the other. */
START_TEST(test_inject_parse_early)
{
	const char *spec = "@pread:1:EIO,pwrite:1:ENOSPC";

	ck_assert_int_eq(os_inject_parse(spec, true), 0);
	ck_assert_int_eq(os_inject_check(OS_pwrite), 0);
	ck_assert_int_eq(use(), -EIO);
	ck_assert_int_eq(os_inject_parse(spec, false), 0);
	ck_assert_int_eq(os_inject_check(OS_pwrite), -ENOSPC);
	ck_assert_int_eq(use(), 0);
}
END_TEST

START_TEST(test_inject_parse_refuses)
{
	ck_assert_int_eq(os_inject_parse(wrong_specs[_i], _i & 1), -EINVAL);
	ck_assert_int_eq(use(), 0); /* nothing was armed, nothing counts */
	ck_assert_uint_eq(os_inject_uses(OS_pread), 0);
}
END_TEST

static const char *const error_specs[] = {
	"EIO",	  "ENOSPC", "ENOMEM", "EAGAIN", "EPERM",
	"EINVAL", "EEXIST", "EACCES", "EMFILE", "ENOSYS",
	"EINTR",  "ESRCH",  "ENOENT", "EBUSY",	"EDQUOT",
};

START_TEST(test_inject_parse_knows_error)
{
	static const int numbers[] = {EIO,    ENOSPC, ENOMEM, EAGAIN, EPERM,
				      EINVAL, EEXIST, EACCES, EMFILE, ENOSYS,
				      EINTR,  ESRCH,  ENOENT, EBUSY,  EDQUOT};
	char spec[32];

	snprintf(spec, sizeof(spec), "pread:1:%s", error_specs[_i]);
	ck_assert_int_eq(os_inject_parse(spec, false), 0);
	ck_assert_int_eq(use(), -numbers[_i]);
}
END_TEST

static void add_tests(Suite *suite)
{
	TCase *tc = test_case_with(suite, "inject", NULL, NULL);

	tcase_add_test(tc, test_inject_nth);
	tcase_add_test(tc, test_inject_some);
	tcase_add_test(tc, test_inject_counts);
	tcase_add_test(tc, test_inject_once_among_threads);
	tcase_add_test(tc, test_inject_parse);
	tcase_add_test(tc, test_inject_parse_early);
	tcase_add_loop_test(tc, test_inject_parse_refuses, 0,
			    ARRAY_SIZE(wrong_specs));
	tcase_add_loop_test(tc, test_inject_parse_knows_error, 0,
			    ARRAY_SIZE(error_specs));
	tc = test_case(suite, "inject functions");
	tcase_add_loop_test(tc, test_inject_reaches_every_function, 0,
			    ARRAY_SIZE(tries));
}

const struct test_program test_program = {
	.name = "os_inject",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
