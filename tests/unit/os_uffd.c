/* SPDX-License-Identifier: MIT */
/*
 * unit/os_uffd.c - os/uffd.c on a real mapping of a memfd: every operation,
 * with and without a thread that waits in a fault, and the ways to get a
 * descriptor, refused one by one (support/refuse.h). Needs userfaultfd: skips with
 * 77 where no method gives one that can handle a memfd.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/refuse.h"
#include "support/test.h"
#include "support/wait.h"

#define PAGES	   16
#define VIEW_BYTES (PAGES * PAGE_BYTES)
#define WAIT_MS	   ((int)wait_scaled(4000))

static unsigned kernel_features;
static enum os_uffd_method first_method;

static int uffd = -1, memfd = -1;
static haddr_t view; /* PAGES pages of memfd, registered with uffd */
static char ones[4 * PAGE_BYTES] __attribute__((aligned(4096)));

static void map_view(unsigned want)
{
	enum os_uffd_method method;

	memset(ones, 1, sizeof(ones));
	ck_assert_int_eq(os_memfd("check_os_uffd", &memfd), 0);
	ck_assert_int_eq(os_truncate(memfd, VIEW_BYTES), 0);
	ck_assert_int_eq(os_reserve(VIEW_BYTES, BLOCK_BYTES, 0, 0, &view), 0);
	ck_assert_int_eq(
		os_map_fixed(view, VIEW_BYTES, OS_READ | OS_WRITE, memfd, 0),
		0);
	ck_assert_int_eq(os_uffd_open(want, &uffd, &method), 0);
	ck_assert_int_eq(os_uffd_register(uffd, view, VIEW_BYTES), 0);
}

static void setup(void)
{
	map_view(OS_UFFD_SHMEM | OS_UFFD_WP_SHMEM | OS_UFFD_THREAD_ID |
		 OS_UFFD_EXACT);
}

static void teardown(void)
{
	os_close(uffd);
	os_unmap(view, VIEW_BYTES);
	os_close(memfd);
}

static haddr_t at(unsigned page)
{
	return view + page * PAGE_BYTES;
}

static int fill(unsigned page, unsigned mode)
{
	uint64_t done;

	return os_uffd_copy(uffd, at(page), ones, PAGE_BYTES, mode, &done);
}

/* The byte as the process sees it. Only for pages that are there. */
static int byte(unsigned page)
{
	return *(volatile char *)(uintptr_t)at(page);
}

/* ---- a thread that touches one byte ---- */

struct toucher {
	pthread_t thread;
	haddr_t addr;
	bool write;
	_Atomic int tid;
	_Atomic int value; /* what it read, or -1 */
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	volatile char *p = (volatile char *)(uintptr_t)t->addr;

	atomic_store(&t->tid, os_tid());
	if (t->write)
		*p = 7;
	atomic_store(&t->value, *p);
	return NULL;
}

static void touch_start(struct toucher *t, haddr_t addr, bool write)
{
	t->addr = addr;
	t->write = write;
	atomic_store(&t->tid, 0);
	atomic_store(&t->value, -1);
	ck_assert_int_eq(os_thread_start(&t->thread, "toucher", touch, t), 0);
}

/* Ends it; what it saw. */
static int touch_end(struct toucher *t)
{
	pthread_join(t->thread, NULL);
	return atomic_load(&t->value);
}

/* The next event, which must come in time. */
static struct os_fault next_fault(void)
{
	struct pollfd p = {.fd = uffd, .events = POLLIN};
	struct os_fault fault;

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ck_assert_int_eq(os_uffd_read(uffd, &fault, 1), 1);
	return fault;
}

static void check_fault(const struct toucher *t, bool protect)
{
	struct os_fault fault = next_fault();
	haddr_t expected = t->addr;

	if (!(kernel_features & OS_UFFD_EXACT))
		expected = page_floor(expected);
	ck_assert_uint_eq(fault.addr, expected);
	ck_assert_int_eq(fault.write, t->write);
	ck_assert_int_eq(fault.protect, protect);
	if (kernel_features & OS_UFFD_THREAD_ID)
		ck_assert_int_eq(fault.tid, atomic_load(&t->tid));
	else
		ck_assert_int_eq(fault.tid, 0);
}

/* ---- getting one ---- */

START_TEST(test_open_flags)
{
	ck_assert(fcntl(uffd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(uffd, F_GETFL) & O_NONBLOCK);
}
END_TEST

/* Features the kernel lacks, even ones that nobody knows, are left out. */
START_TEST(test_open_leaves_out_unknown_features)
{
	enum os_uffd_method method;
	int fd;

	ck_assert_int_eq(os_uffd_open(~0u, &fd, &method), 0);
	ck_assert_int_eq(method, first_method);
	os_close(fd);
}
END_TEST

/* Each way refused leads to the next, with any of the errors. */
static const int refusals[] = {EPERM, EACCES, ENOENT, ENOSYS};

START_TEST(test_falls_through_to_device)
{
	enum os_uffd_method method;
	int fd, error;

	ck_assert(refuse(SYS_userfaultfd, 0, UFFD_USER_MODE_ONLY, 0,
			 (unsigned)refusals[_i]));
	error = os_uffd_open(OS_UFFD_SHMEM, &fd, &method);
	if (access("/dev/userfaultfd", R_OK | W_OK) == 0) {
		ck_assert_int_eq(error, 0);
		ck_assert_int_eq(method, OS_UFFD_DEV);
		ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
		os_close(fd);
	}
}
END_TEST

/* ioctl number of USERFAULTFD_IOC_NEW */
#define IOC_NEW 0xaa00

static void refuse_device(unsigned error)
{
	ck_assert(refuse(SYS_ioctl, 1, UINT32_MAX, IOC_NEW, error));
}

START_TEST(test_falls_through_to_user_only)
{
	enum os_uffd_method method;
	unsigned features;
	int fd, error;

	ck_assert(refuse(SYS_userfaultfd, 0, UFFD_USER_MODE_ONLY, 0, EPERM));
	refuse_device((unsigned)refusals[_i]);
	error = os_uffd_open(OS_UFFD_SHMEM, &fd, &method);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(method, OS_UFFD_USER_ONLY);
	os_close(fd);
	ck_assert_int_eq(os_uffd_probe(&features, &method), 0);
	ck_assert_int_eq(method, OS_UFFD_USER_ONLY);
	ck_assert_uint_eq(features, kernel_features);
}
END_TEST

static void check_none(int expected)
{
	enum os_uffd_method method;
	unsigned features;
	int fd;

	ck_assert_int_eq(os_uffd_open(0, &fd, &method), expected);
	ck_assert_int_eq(os_uffd_probe(&features, &method), expected);
}

START_TEST(test_not_permitted)
{
	ck_assert(refuse(SYS_userfaultfd, 0, 0, 0, EPERM));
	refuse_device(EACCES);
	check_none(-EPERM);
}
END_TEST

/* Permitted to nobody without USER_MODE_ONLY, which is before 5.11. */
START_TEST(test_not_permitted_on_older_kernel)
{
	ck_assert(refuse(SYS_userfaultfd, 0, UFFD_USER_MODE_ONLY, 0, EPERM));
	ck_assert(refuse(SYS_userfaultfd, 0, UFFD_USER_MODE_ONLY,
			 UFFD_USER_MODE_ONLY, EINVAL));
	refuse_device(ENOTTY);
	check_none(-EPERM);
}
END_TEST

START_TEST(test_kernel_has_none)
{
	ck_assert(refuse(SYS_userfaultfd, 0, 0, 0, ENOSYS));
	refuse_device(ENOENT);
	check_none(-ENOSYS);
}
END_TEST

/* No refusal but a failure: reported as it is, nothing else is tried. */
START_TEST(test_out_of_descriptors)
{
	ck_assert(refuse(SYS_userfaultfd, 0, UFFD_USER_MODE_ONLY, 0, EMFILE));
	check_none(-EMFILE);
}
END_TEST

/* What unprivileged users get; needs root to become one. */
START_TEST(test_unprivileged_user)
{
	enum os_uffd_method method;
	int fd;

	if (geteuid() != 0 || setresuid(65534, 65534, 65534) != 0)
		return;
	if (os_uffd_open(OS_UFFD_SHMEM, &fd, &method) != 0)
		return; /* a kernel before 5.11 */
	ck_assert_int_eq(os_close(fd), 0);
	if (access("/dev/userfaultfd", R_OK | W_OK) != 0)
		ck_assert_int_ne(method, OS_UFFD_DEV);
}
END_TEST

/* ---- registering ---- */

START_TEST(test_register_errors)
{
	ck_assert_int_eq(os_uffd_register(uffd, view + 1, PAGE_BYTES), -EINVAL);
	ck_assert_int_eq(os_uffd_register(-1, view, PAGE_BYTES), -EBADF);
}
END_TEST

/* ---- filling ---- */

START_TEST(test_copy)
{
	uint64_t done, bytes = sizeof(ones), allocated;

	ck_assert_int_eq(os_uffd_copy(uffd, at(4), ones, bytes, 0, &done), 0);
	ck_assert_uint_eq(done, bytes);
	ck_assert_mem_eq((void *)(uintptr_t)at(4), ones, bytes);
	ck_assert_int_eq(os_allocated(memfd, &allocated), 0);
	ck_assert_uint_eq(allocated, bytes);
	done = 1;
	ck_assert_int_eq(os_uffd_copy(uffd, at(0), ones, 0, 0, &done), 0);
	ck_assert_uint_eq(done, 0);
}
END_TEST

/* *done says which page is in the way, at the front and further on. */
START_TEST(test_copy_over_present_page)
{
	uint64_t done;

	ck_assert_int_eq(fill(2, 0), 0);
	ck_assert_int_eq(os_uffd_copy(uffd, at(2), ones, PAGE_BYTES, 0, &done),
			 -EEXIST);
	ck_assert_uint_eq(done, 0);
	ck_assert_int_eq(
		os_uffd_copy(uffd, at(0), ones, 4 * PAGE_BYTES, 0, &done),
		-EEXIST);
	ck_assert_uint_eq(done, 2 * PAGE_BYTES);
	ck_assert_int_eq(byte(1), 1);
}
END_TEST

/* A frame that is in the file, but not mapped, is present as well. */
START_TEST(test_copy_over_unmapped_frame)
{
	ck_assert_int_eq(fill(2, 0), 0);
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_DONTNEED), 0);
	ck_assert_int_eq(fill(2, 0), -EEXIST);
	ck_assert_int_eq(os_punch(memfd, 2 * PAGE_BYTES, PAGE_BYTES), 0);
	ck_assert_int_eq(fill(2, 0), 0);
}
END_TEST

START_TEST(test_copy_errors)
{
	uint64_t done = 1;

	ck_assert_int_eq(
		os_uffd_copy(uffd, at(0) + 1, ones, PAGE_BYTES, 0, &done),
		-EINVAL);
	ck_assert_uint_eq(done, 0);
	ck_assert_int_eq(os_uffd_copy(uffd, at(0), NULL, PAGE_BYTES, 0, &done),
			 -EFAULT);
	ck_assert_int_eq(os_uffd_copy(-1, at(0), ones, PAGE_BYTES, 0, &done),
			 -EBADF);
	ck_assert_int_eq(os_unmap_keep(view, VIEW_BYTES), 0);
	ck_assert_int_eq(fill(0, 0), -ENOENT);
	ck_assert_int_eq(os_uffd_zero(uffd, at(0), PAGE_BYTES, &done), -ENOENT);
	ck_assert_int_eq(os_uffd_wp(uffd, at(0), PAGE_BYTES, true), -ENOENT);
}
END_TEST

/* "Mappings are changing" for ever ends in the error, not in a hang. */
START_TEST(test_again_is_bounded)
{
	uint64_t done;

	ck_assert(refuse(SYS_ioctl, 1, UINT32_MAX, (uint32_t)UFFDIO_COPY,
			 EAGAIN));
	ck_assert(refuse(SYS_ioctl, 1, UINT32_MAX, (uint32_t)UFFDIO_ZEROPAGE,
			 EAGAIN));
	ck_assert(refuse(SYS_ioctl, 1, UINT32_MAX,
			 (uint32_t)UFFDIO_WRITEPROTECT, EAGAIN));
	ck_assert_int_eq(fill(0, 0), -EAGAIN);
	ck_assert_int_eq(os_uffd_zero(uffd, at(0), PAGE_BYTES, &done), -EAGAIN);
	ck_assert_int_eq(os_uffd_wp(uffd, at(0), PAGE_BYTES, true), -EAGAIN);
}
END_TEST

START_TEST(test_zero)
{
	uint64_t done;

	ck_assert_int_eq(os_uffd_zero(uffd, at(3), 2 * PAGE_BYTES, &done), 0);
	ck_assert_uint_eq(done, 2 * PAGE_BYTES);
	ck_assert_int_eq(byte(3), 0);
	ck_assert_int_eq(byte(4), 0);
	ck_assert_int_eq(os_uffd_zero(uffd, at(2), 2 * PAGE_BYTES, &done),
			 -EEXIST);
	ck_assert_uint_eq(done, PAGE_BYTES);
}
END_TEST

/* ---- faults ---- */

START_TEST(test_read_fault)
{
	struct toucher t;

	touch_start(&t, at(3) + 123, false);
	check_fault(&t, false);
	ck_assert_int_eq(atomic_load(&t.value), -1);
	ck_assert_int_eq(fill(3, 0), 0);
	ck_assert_int_eq(touch_end(&t), 1);
}
END_TEST

START_TEST(test_write_fault)
{
	uint64_t done;
	struct toucher t;

	touch_start(&t, at(0), true);
	check_fault(&t, false);
	ck_assert_int_eq(os_uffd_zero(uffd, at(0), PAGE_BYTES, &done), 0);
	ck_assert_int_eq(touch_end(&t), 7);
}
END_TEST

/* A page filled protected can be read; its first write is an event. */
START_TEST(test_protected_page)
{
	struct os_fault fault;
	struct toucher t;

	ck_assert_int_eq(fill(1, OS_UFFD_PROTECTED), 0);
	ck_assert_int_eq(byte(1), 1);
	ck_assert_int_eq(os_uffd_read(uffd, &fault, 1), 0);
	touch_start(&t, at(1) + 8, true);
	check_fault(&t, true);
	ck_assert_int_eq(byte(1), 1); /* not written yet */
	ck_assert_int_eq(os_uffd_wp(uffd, at(1), PAGE_BYTES, false), 0);
	ck_assert_int_eq(touch_end(&t), 7);
}
END_TEST

/* The protection outlives the mapping: space (2) is built on it. */
START_TEST(test_protection_survives_dontneed)
{
	struct toucher t;

	ck_assert_int_eq(fill(1, 0), 0);
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_DONTNEED), 0);
	ck_assert_int_eq(os_uffd_wp(uffd, at(1), PAGE_BYTES, true), 0);
	ck_assert_int_eq(byte(1), 1);
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_DONTNEED), 0);
	touch_start(&t, at(1), true);
	check_fault(&t, true);
	ck_assert_int_eq(os_uffd_wp(uffd, at(1), PAGE_BYTES, false), 0);
	ck_assert_int_eq(touch_end(&t), 7);
}
END_TEST

START_TEST(test_wp_errors)
{
	ck_assert_int_eq(os_uffd_wp(uffd, at(0) + 1, PAGE_BYTES, true),
			 -EINVAL);
	ck_assert_int_eq(os_uffd_wp(-1, at(0), PAGE_BYTES, true), -EBADF);
}
END_TEST

/* Filled without waking, the thread sleeps on until the wake. */
START_TEST(test_wake)
{
	struct toucher t;

	touch_start(&t, at(2), false);
	check_fault(&t, false);
	ck_assert_int_eq(fill(2, OS_UFFD_NOWAKE), 0);
	ck_assert_int_eq(atomic_load(&t.value), -1);
	ck_assert_int_eq(os_uffd_wake(uffd, at(2), PAGE_BYTES), 0);
	ck_assert_int_eq(touch_end(&t), 1);
	ck_assert_int_eq(os_uffd_wake(uffd, at(2), PAGE_BYTES), 0);
	ck_assert_int_eq(os_uffd_wake(uffd, at(2) + 1, PAGE_BYTES), -EINVAL);
}
END_TEST

START_TEST(test_read_respects_max)
{
	struct os_fault faults[100];
	struct toucher threads[3];
	unsigned i, got = 0;

	for (i = 0; i < 3; i++)
		touch_start(&threads[i], at(i), false);
	ck_assert_int_eq(os_uffd_read(uffd, faults, 0), 0);
	faults[0] = next_fault();
	ck_assert_int_eq(fill(page_index(faults[0].addr), 0), 0);
	for (got = 1; got < 3; got++) {
		faults[got] = next_fault();
		ck_assert_int_eq(fill(page_index(faults[got].addr), 0), 0);
	}
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(touch_end(&threads[i]), 1);
	ck_assert_int_eq(os_uffd_read(uffd, faults, 100), 0);
	ck_assert_int_eq(os_uffd_read(-1, faults, 1), -EBADF);
}
END_TEST

/* More room than events, and than one system call is asked for. */
START_TEST(test_read_many)
{
	struct os_fault faults[100];
	struct toucher threads[3];
	int i, got, seen = 0;
	struct pollfd p = {.fd = uffd, .events = POLLIN};

	for (i = 0; i < 3; i++)
		touch_start(&threads[i], at((unsigned)i), false);
	while (seen < 3) {
		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		got = os_uffd_read(uffd, faults, 100);
		ck_assert_int_gt(got, 0);
		for (i = 0; i < got; i++)
			ck_assert_int_eq(fill(page_index(faults[i].addr), 0),
					 0);
		seen += got;
	}
	ck_assert_int_eq(seen, 3);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(touch_end(&threads[i]), 1);
}
END_TEST

/* ---- SIGBUS: poison, and the feature ---- */

static sigjmp_buf after_bus;
static _Atomic uintptr_t bus_addr;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	atomic_store(&bus_addr, (uintptr_t)info->si_addr);
	siglongjmp(after_bus, 1);
}

/* True if reading there raises SIGBUS that names the address. */
static bool raises_bus(haddr_t addr)
{
	struct sigaction action = {.sa_sigaction = on_bus,
				   .sa_flags = SA_SIGINFO};

	atomic_store(&bus_addr, 0);
	sigaction(SIGBUS, &action, NULL);
	if (sigsetjmp(after_bus, 1) == 0)
		(void)*(volatile char *)(uintptr_t)addr;
	signal(SIGBUS, SIG_DFL);
	return page_floor(atomic_load(&bus_addr)) == page_floor(addr);
}

START_TEST(test_poison)
{
	int error = os_uffd_poison(uffd, at(5), 2 * PAGE_BYTES);

	if (!(kernel_features & OS_UFFD_POISON)) {
		ck_assert_int_eq(error, -EOPNOTSUPP);
		return;
	}
	ck_assert_int_eq(error, 0);
	ck_assert(raises_bus(at(5)));
	ck_assert(raises_bus(at(6) + 100));
	ck_assert_int_eq(fill(7, 0), 0);
	ck_assert_int_eq(os_uffd_poison(uffd, at(7), PAGE_BYTES), -EEXIST);
	ck_assert_int_eq(os_uffd_poison(uffd, at(8) + 1, PAGE_BYTES), -EINVAL);
	/* dropping the mapping takes the poison away again */
	ck_assert_int_eq(os_advise(at(5), PAGE_BYTES, OS_ADV_DONTNEED), 0);
	ck_assert_int_eq(fill(5, 0), 0);
	ck_assert_int_eq(byte(5), 1);
}
END_TEST

START_TEST(test_sigbus_feature)
{
	struct os_fault fault;

	if (!(kernel_features & OS_UFFD_SIGBUS))
		return;
	map_view(OS_UFFD_SIGBUS);
	ck_assert(raises_bus(at(3) + 7));
	ck_assert_int_eq(os_uffd_read(uffd, &fault, 1), 0);
	ck_assert_int_eq(fill(3, 0), 0);
	ck_assert_int_eq(byte(3), 1);
	teardown();
}
END_TEST

/* ---- injection ---- */

static int try_probe(void)
{
	enum os_uffd_method method;
	unsigned features;

	return os_uffd_probe(&features, &method);
}

static int try_open(void)
{
	enum os_uffd_method method;
	int fd, error = os_uffd_open(0, &fd, &method);

	return error ? error : os_close(fd);
}

static int try_register(void)
{
	return os_uffd_register(uffd, view, VIEW_BYTES);
}

static int try_copy(void)
{
	return fill(0, 0);
}

static int try_zero(void)
{
	uint64_t done = 1;
	int error = os_uffd_zero(uffd, at(1), PAGE_BYTES, &done);

	ck_assert(!error || done == 0);
	return error;
}

static int try_wp(void)
{
	return os_uffd_wp(uffd, at(2), PAGE_BYTES, true);
}

static int try_wake(void)
{
	return os_uffd_wake(uffd, at(3), PAGE_BYTES);
}

/* 0 on a kernel without it, too: this is about the injected error. */
static int try_poison(void)
{
	int error = os_uffd_poison(uffd, at(4), PAGE_BYTES);

	return error == -EOPNOTSUPP ? 0 : error;
}

static int try_read(void)
{
	struct os_fault fault;

	return os_uffd_read(uffd, &fault, 1);
}

static const struct {
	enum os_point point;
	int (*call)(void);
} tries[] = {
	{OS_uffd_open, try_probe},	  {OS_uffd_open, try_open},
	{OS_uffd_register, try_register}, {OS_uffd_copy, try_copy},
	{OS_uffd_zero, try_zero},	  {OS_uffd_wp, try_wp},
	{OS_uffd_wake, try_wake},	  {OS_uffd_poison, try_poison},
	{OS_uffd_read, try_read},
};

START_TEST(test_inject_reaches_every_function)
{
	int (*call)(void) = tries[_i].call;

	os_inject(tries[_i].point, 1, true, EIO);
	ck_assert_int_eq(call(), -EIO);
	ck_assert_int_eq(call(), -EIO);
	os_inject(tries[_i].point, 1, false, ENOMEM);
	ck_assert_int_eq(call(), -ENOMEM);
	ck_assert_int_eq(call(), 0);
}
END_TEST

static void add_open_tests(Suite *suite)
{
	TCase *tc = test_case_with(suite, "open", NULL, NULL);
	int n = ARRAY_SIZE(refusals);

	tcase_add_test(tc, test_open_leaves_out_unknown_features);
	tcase_add_loop_test(tc, test_falls_through_to_device, 0, n);
	tcase_add_loop_test(tc, test_falls_through_to_user_only, 0, n);
	tcase_add_test(tc, test_not_permitted);
	tcase_add_test(tc, test_not_permitted_on_older_kernel);
	tcase_add_test(tc, test_kernel_has_none);
	tcase_add_test(tc, test_out_of_descriptors);
	tcase_add_test(tc, test_unprivileged_user);
	tcase_add_test(tc, test_sigbus_feature);
}

static void add_range_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "range");

	tcase_add_test(tc, test_open_flags);
	tcase_add_test(tc, test_register_errors);
	tcase_add_test(tc, test_copy);
	tcase_add_test(tc, test_copy_over_present_page);
	tcase_add_test(tc, test_copy_over_unmapped_frame);
	tcase_add_test(tc, test_copy_errors);
	tcase_add_test(tc, test_again_is_bounded);
	tcase_add_test(tc, test_zero);
	tcase_add_test(tc, test_poison);
	tcase_add_loop_test(tc, test_inject_reaches_every_function, 0,
			    ARRAY_SIZE(tries));
}

static void add_fault_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "fault");

	tcase_add_test(tc, test_read_fault);
	tcase_add_test(tc, test_write_fault);
	tcase_add_test(tc, test_protected_page);
	tcase_add_test(tc, test_protection_survives_dontneed);
	tcase_add_test(tc, test_wp_errors);
	tcase_add_test(tc, test_wake);
	tcase_add_test(tc, test_read_respects_max);
	tcase_add_test(tc, test_read_many);
}

static void add_tests(Suite *suite)
{
	add_open_tests(suite);
	add_range_tests(suite);
	add_fault_tests(suite);
}

static const char *missing(void)
{
	int error = os_uffd_probe(&kernel_features, &first_method);

	if (error)
		return strerror(-error);
	return kernel_features & OS_UFFD_WP_SHMEM
		       ? NULL
		       : "no write protection of shared memory (Linux 5.19)";
}

const struct test_program test_program = {
	.name = "os_uffd",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = missing,
};
