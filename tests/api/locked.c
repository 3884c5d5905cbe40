/* SPDX-License-Identifier: MIT */
/*
 * api/locked.c - programs that lock their memory, mlockall(2) and mlock(2),
 * before they open a space, before they map, and afterwards: nothing that they
 * write is lost, the budget holds, and tables that are mapped for their largest
 * size do not take all that memory at once. But for one that needs the right to
 * lock, and says so.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/expect.h"
#include "support/frames.h"
#include "support/process.h"
#include "support/random.h"
#include "support/sanitizer.h"
#include "support/test.h"
#include "support/live.h"

#define BUDGET 64 /* pages */
#define PAGES  1024

/* As much as a space has addresses; who has a limit may lock less. */
static bool permitted(void)
{
	size_t bytes = (size_t)16 << 30;
	void *p = mmap(NULL, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool can = p != MAP_FAILED && mlockall(MCL_CURRENT) == 0;

	munlockall();
	munmap(p, bytes);
	return can;
}

/*
 * Written by pointers, read by the library and by pointers. Locked memory is
 * where an access without an event would go unseen.
 */
static void write_and_read(char *p)
{
	uint64_t i, value;

	for (i = 0; i < PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	for (i = 0; i < PAGES; i++) {
		live_ok(vvm_load(vm, live_addr(p) + i * LIVE_PAGE, &value, 8));
		live_equal(value, live_stamp(i * 512, 1));
	}
	for (i = 0; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_check(live_count_flags(vm, p, PAGES, VVM_PAGE_RESIDENT) <= BUDGET);
	live_check(live_within(live_memfd(), BUDGET));
}

/* No page is there before somebody asks for it. */
static char *map_nothing(unsigned prot)
{
	char *p = live_map(vm, PAGES, prot);

	live_equal(live_frames(live_memfd()), 0);
	return p;
}

START_TEST(future_before_open)
{
	live_equal(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
	vm = live_open(BUDGET);
	write_and_read(map_nothing(LIVE_RW));
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(future_before_map)
{
	vm = live_open(BUDGET);
	live_equal(mlockall(MCL_FUTURE), 0);
	write_and_read(map_nothing(LIVE_RW));
	live_ok(vvm_close(vm));
}
END_TEST

/* Other permissions come later. */
START_TEST(future_then_protect)
{
	char *p;

	vm = live_open(BUDGET);
	live_equal(mlockall(MCL_FUTURE), 0);
	p = map_nothing(0);
	live_ok(vvm_protect(vm, live_addr(p), PAGES * LIVE_PAGE, VVM_READ));
	live_ok(vvm_protect(vm, live_addr(p), PAGES * LIVE_PAGE, LIVE_RW));
	live_equal(live_frames(live_memfd()), 0);
	write_and_read(p);
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(current_after_map)
{
	char *p;

	vm = live_open(BUDGET);
	p = live_map(vm, PAGES, LIVE_RW);
	live_fill(p, 0, 7);
	live_equal(mlockall(MCL_CURRENT), 0);
	live_equal(live_verify(p, 0, 7), -1);
	write_and_read(p);
	live_ok(vvm_advise(vm, live_addr(p), PAGES * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	live_check(live_is_zero(p));
	live_ok(vvm_close(vm));
}
END_TEST

START_TEST(current_in_the_middle)
{
	char *p;

	vm = live_open(BUDGET);
	p = live_map(vm, PAGES, LIVE_RW);
	write_and_read(p);
	live_equal(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	write_and_read(live_map(vm, PAGES, LIVE_RW));
	live_ok(vvm_close(vm));
}
END_TEST

/*
 * mlock(2) of a range: no promise for paged memory, but no harm either. In
 * inline mode system calls cannot bring pages in, and this is one.
 */
START_TEST(a_locked_range)
{
	char *p;
	int rc;

	vm = live_open(BUDGET);
	p = live_map(vm, PAGES, LIVE_RW);
	live_fill(p, 0, 7);
	rc = mlock(p, PAGES * LIVE_PAGE);
	live_check(rc == 0 || live_inline());
	live_equal(live_verify(p, 0, 7), -1);
	write_and_read(p);
	live_ok(vvm_close(vm));
}
END_TEST

/* Tables for a swap of up to 1 TiB are 1 GiB and more, statistics 2 GiB. */
START_TEST(tables_are_not_filled)
{
	struct vvm_options o;
	uint64_t before = live_rss_bytes();

	live_equal(mlockall(MCL_FUTURE), 0);
	live_options(&o, BUDGET);
	o.swap_limit_bytes = 1ull << 40;
	o.stat_segment = 1;
	live_ok(vvm_open(&vm, &o));
	live_check(live_rss_bytes() - before < 256ull << 20);
	write_and_read(live_map(vm, PAGES, LIVE_RW));
	live_ok(vvm_close(vm));
}
END_TEST

static void limit_locks(rlim_t bytes)
{
	const struct rlimit limit = {bytes, bytes};

	live_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (geteuid() == 0) {
		live_check(setresuid(65534, 65534, 65534) == 0);
		live_check(prctl(PR_SET_DUMPABLE, 1L) == 0); /* pagemap */
	}
}

/* "Input/output error": there is no place for tables that would be locked. */
START_TEST(the_limit_is_an_error)
{
	struct vvm_options o;

	limit_locks(0);
	live_options(&o, BUDGET);
	if (mlockall(MCL_FUTURE) == 0) /* else nothing is locked anyway */
		live_expect(vvm_open(&vm, &o), -ENOMEM);
}
END_TEST

/* A region is not locked, however much it has. */
START_TEST(the_limit_does_not_count_regions)
{
	char *p, *q;

	limit_locks(2 << 20);
	vm = live_open(BUDGET);
	live_equal(mlockall(MCL_FUTURE), 0);
	p = map_nothing(LIVE_RW);
	write_and_read(p);
	q = p + (1 << 30);
	live_ok(vvm_map_at(vm, q, PAGES * LIVE_PAGE, LIVE_RW, NULL));
	write_and_read(q);
	live_expect(vvm_map_at(vm, q - LIVE_PAGE, 8 * LIVE_PAGE, LIVE_RW, NULL),
		    -EEXIST);
	live_ok(vvm_unmap(vm, live_addr(q), PAGES * LIVE_PAGE));
	live_ok(vvm_close(vm));
}
END_TEST

/* What a child needs is more than may be locked: it has nothing, then. */
START_TEST(a_fork_beyond_the_limit)
{
	const uint64_t pages = UINT64_C(1) << 21;
	struct vvm_options o;
	int status;
	pid_t pid;
	char *p;

	limit_locks(2 << 20);
	live_options(&o, BUDGET);
	o.fork = VVM_FORK_INHERIT;
	live_ok(vvm_open(&vm, &o));
	p = live_map(vm, pages, LIVE_RW);
	live_equal(mlockall(MCL_FUTURE), 0);
	write_and_read(p + (pages - PAGES) * LIVE_PAGE);
	pid = fork();
	if (pid == 0)
		_exit(0);
	live_check(pid < 0 || waitpid(pid, &status, 0) == pid);
	write_and_read(p + (pages - PAGES) * LIVE_PAGE);
	live_ok(vvm_close(vm));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "locked");

	if (!LIVE_SANITIZED) { /* their mlockall() does nothing */
		tcase_add_test(tc, the_limit_is_an_error);
		tcase_add_test(tc, the_limit_does_not_count_regions);
		tcase_add_test(tc, a_fork_beyond_the_limit);
	}
	if (!permitted()) {
		puts("api_locked: the rest needs the right to lock memory");
		return;
	}
	tcase_add_test(tc, future_before_open);
	tcase_add_test(tc, future_before_map);
	tcase_add_test(tc, future_then_protect);
	tcase_add_test(tc, current_after_map);
	tcase_add_test(tc, current_in_the_middle);
	tcase_add_test(tc, a_locked_range);
	if (!LIVE_SANITIZED)
		tcase_add_test(tc, tables_are_not_filled);
}

const struct test_program test_program = {
	.name = "api_locked",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
