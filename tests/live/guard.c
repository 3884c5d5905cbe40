/* SPDX-License-Identifier: MIT */
/*
 * live/guard.c - VVM_FAULTS_GUARD: what is different from inline mode. The
 * kernel tells of no write to a clean page, so each test of the first case loses
 * a write when a clean page is taken for unchanged without a look.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"
#include "support/access.h"
#include "support/child.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET 64
#define PAGES  32
#define OTHERS 256

static char *base, *others;

static uint64_t *word(uint64_t page)
{
	return (uint64_t *)(base + page * LIVE_PAGE + page % 500 * 8);
}

static void open_guarded(enum vvm_fork fork)
{
	struct vvm_options o;

	live_catch();
	live_options(&o, BUDGET);
	o.faults = VVM_FAULTS_GUARD;
	o.fork = fork;
	o.readahead_max_pages = 0;
	live_ok(vvm_open(&vm, &o));
	live_equal(live_stats(vm).guard_faults, 1);
	base = live_map(vm, PAGES, LIVE_RW);
	others = live_map(vm, OTHERS, LIVE_RW);
}

static void setup(void)
{
	open_guarded(VVM_FORK_INHERIT);
}

static void push_out(void)
{
	live_push_out(vm, base, PAGES, others, OTHERS);
}

/* All pages are in their slots, and clean in memory. */
static void make_clean(void)
{
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) = i + 1;
	push_out();
	live_ok(vvm_advise(vm, live_addr(others), OTHERS * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(*(volatile uint64_t *)word(i), i + 1);
	live_equal(live_count_flags(vm, base, PAGES,
				    VVM_PAGE_RESIDENT | VVM_PAGE_SWAPPED),
		   PAGES);
}

static void expect_all(uint64_t more)
{
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(*(volatile uint64_t *)word(i), i + 1 + more);
}

/* ---- writes that nobody tells of ---- */

START_TEST(writes_to_clean_pages_are_kept)
{
	for (uint64_t round = 0; round < 3; round++) {
		make_clean();
		for (uint64_t i = 0; i < PAGES; i++)
			*word(i) += round + 1;
		push_out();
		expect_all(round + 1);
	}
}
END_TEST

/* One byte of a page, wherever it is. */
START_TEST(one_byte_is_a_change)
{
	make_clean();
	for (uint64_t i = 0; i < PAGES; i++)
		base[i * LIVE_PAGE + (i * 997 + 4090) % LIVE_PAGE] ^= 1;
	push_out();
	for (uint64_t i = 0; i < PAGES; i++)
		base[i * LIVE_PAGE + (i * 997 + 4090) % LIVE_PAGE] ^= 1;
	expect_all(0);
}
END_TEST

START_TEST(writes_to_zero_pages_are_kept)
{
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(*(volatile uint64_t *)word(i), 0);
	live_equal(live_count_flags(vm, base, PAGES, VVM_PAGE_DIRTY), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) = i + 1;
	push_out();
	expect_all(0);
}
END_TEST

/* What has not changed is not written again. */
START_TEST(unchanged_pages_are_not_written)
{
	struct vvm_stats before, after;

	make_clean();
	before = live_idle_stats(vm);
	for (uint64_t i = 0; i < OTHERS; i++) /* zeros, for which is no I/O */
		(void)*(volatile char *)(others + i * LIVE_PAGE);
	live_wait(live_count_flags(vm, base, PAGES, VVM_PAGE_RESIDENT) <
			  PAGES / 2,
		  10000);
	after = live_idle_stats(vm);
	live_equal(after.swapout_pages, before.swapout_pages);
	live_check(after.evict_clean_pages > before.evict_clean_pages);
	expect_all(0);
}
END_TEST

/* The frame cannot be read: it counts as changed, and stays. */
START_TEST(frames_that_cannot_be_read)
{
	make_clean();
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) += 7;
	os_inject_some(OS_frame_read, 1, 5, EIO);
	push_out();
	os_inject_clear();
	expect_all(7);
}
END_TEST

/* ---- errors of the two calls ---- */

static const int errors[] = {ENOMEM, EAGAIN, EINTR};

START_TEST(markers_that_are_refused)
{
	for (unsigned nth = 1; nth < 40; nth += 3) {
		make_clean();
		for (uint64_t i = 0; i < PAGES; i++)
			*word(i) += nth;
		os_inject_some(OS_guard_install, nth, 3, errors[_i]);
		push_out();
		os_inject_clear();
		expect_all(nth);
	}
}
END_TEST

START_TEST(markers_that_stay)
{
	for (unsigned nth = 1; nth < 40; nth += 3) {
		make_clean();
		push_out();
		os_inject_some(OS_guard_remove, nth, 3, errors[_i]);
		for (uint64_t i = 0; i < PAGES; i++)
			*word(i) += nth;
		push_out();
		os_inject_clear();
		expect_all(nth);
	}
}
END_TEST

/* ---- forks ---- */

static int reads_written(void *arg)
{
	uint64_t more = (uintptr_t)arg;

	for (uint64_t i = 0; i < PAGES; i++)
		if (*word(i) != i + 1 + more)
			return 1;
	return 0;
}

/* The child has what was written to clean pages, and no later write. */
START_TEST(children_have_writes_to_clean_pages)
{
	pid_t pid;

	make_clean();
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) += 5;
	pid = live_fork(reads_written, (void *)5);
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) += 5;
	live_ended_ok(pid);
	push_out();
	expect_all(10);
}
END_TEST

/* After the fork clean pages are reached again, for reading and writing. */
START_TEST(clean_pages_after_a_fork)
{
	make_clean();
	for (uint64_t round = 1; round < 4; round++) {
		pid_t pid = live_fork(reads_written, (void *)(round - 1));

		expect_all(round - 1);
		for (uint64_t i = 0; i < PAGES; i++)
			*word(i) += 1;
		live_ended_ok(pid);
	}
	push_out();
	expect_all(3);
}
END_TEST

/* Pinned for reading, in a region that is writable later. */
START_TEST(pinned_clean_pages_at_a_fork)
{
	int fds[2];
	pid_t pid;

	make_clean();
	live_ok(vvm_protect(vm, live_addr(base), PAGES * LIVE_PAGE, VVM_READ));
	live_ok(vvm_pin(vm, live_addr(base), 8 * LIVE_PAGE));
	live_ok(vvm_protect(vm, live_addr(base), PAGES * LIVE_PAGE, LIVE_RW));
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) += 3;
	live_check(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
	pid = live_fork(reads_written, (void *)3);
	live_equal(read(fds[0], base + LIVE_PAGE, 1), 1); /* it is pinned */
	live_equal(base[LIVE_PAGE], 'x');
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) += 1;
	live_ended_ok(pid);
	live_ok(vvm_unpin(vm, live_addr(base), 8 * LIVE_PAGE));
	push_out();
	expect_all(4);
}
END_TEST

/* ---- the view ---- */

static unsigned mappings(const char *from, uint64_t bytes)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	unsigned n = 0;
	char line[512];

	live_check(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start < live_addr(from) + bytes && end > live_addr(from))
			n++;
	fclose(f);
	return n;
}

/* A TiB costs nothing, and few mappings however it is touched. */
START_TEST(a_region_of_a_tib)
{
	const uint64_t pages = 1ull << 28, step = pages / 512;
	char *p = live_map(vm, pages, LIVE_RW);
	uint64_t i;

	live_equal(mappings(p, pages * LIVE_PAGE), 1);
	for (i = 0; i < 64; i++)
		*(volatile uint64_t *)(p + i * step * LIVE_PAGE) = i + 1;
	live_check(mappings(p, pages * LIVE_PAGE) <= 2 * 64);
	/* what is not ready yet takes these permissions on */
	live_ok(vvm_protect(vm, live_addr(p), pages * LIVE_PAGE, VVM_READ));
	for (i = 0; i < 70; i++) {
		char *at = p + i * step * LIVE_PAGE;

		live_equal(*(volatile uint64_t *)at, i < 64 ? i + 1 : 0);
		live_equal(live_try_store(at, 1), SIGSEGV);
	}
	live_ok(vvm_unmap(vm, live_addr(p), pages * LIVE_PAGE));
	live_equal(live_try_store(p, 1), SIGSEGV);
}
END_TEST

/* Parts of a chunk that are somebody else's by now are left alone. */
START_TEST(a_hole_that_is_used_otherwise)
{
	const uint64_t pages = 1ull << 28;
	char *p = live_map(vm, pages, LIVE_RW), *hole = p + 8 * LIVE_PAGE, *q;
	char *other = p + 32 * LIVE_PAGE;

	live_ok(vvm_unmap(vm, live_addr(hole), 8 * LIVE_PAGE));
	q = mmap(hole, 8 * LIVE_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	live_check(q == hole);
	memset(q, 42, 8 * LIVE_PAGE);
	/* another hole has a region of its own, in use before this one */
	live_ok(vvm_unmap(vm, live_addr(other), LIVE_PAGE));
	live_ok(vvm_map_at(vm, other, LIVE_PAGE, LIVE_RW, "other"));
	*(volatile uint64_t *)other = 43;
	p[0] = 1;
	live_equal(*(volatile uint64_t *)other, 43);
	*(volatile uint64_t *)other = 44;
	p[16 * LIVE_PAGE] = 2;
	for (uint64_t i = 0; i < 8 * LIVE_PAGE; i++)
		live_equal(q[i], 42);
	live_check(munmap(q, 8 * LIVE_PAGE) == 0);
}
END_TEST

/* There would be no end of a fault that resolves nothing. */
START_TEST(changes_behind_the_librarys_back)
{
	make_clean();
	live_check(mprotect(base, LIVE_PAGE, PROT_NONE) == 0);
	live_equal(live_try_store(base, 1), SIGSEGV);
	live_check(mprotect(base, LIVE_PAGE, PROT_READ) == 0);
	live_equal(live_try_store(base, 1), SIGSEGV);
	live_check(mprotect(base, LIVE_PAGE, PROT_READ | PROT_WRITE) == 0);
	live_equal(live_try_store(base, 1), 0);
	live_check(munmap(base, LIVE_PAGE) == 0);
	live_equal(live_try_store(base, 1), SIGSEGV);
	live_check(mmap(base, LIVE_PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			0) == base);
}
END_TEST

static int try_access(char *at, unsigned how)
{
	uint64_t value;

	switch (how) {
	case 0:
		return live_try_load(at, &value);
	case 1:
		return live_try_store(at, 1);
	default:
		return live_try_call(at);
	}
}

/* Loads, stores and calls, of pages in each state: not a lack of frames. */
START_TEST(pages_that_the_program_has_unmapped)
{
	enum { FRESH, CLEAN, SWAPPED, DIRTY, STATES };
	char *p = (char *)0x123400000000, *page; /* where nobody maps */

	live_ok(vvm_map_at(vm, p, STATES * LIVE_PAGE, LIVE_RW | VVM_EXEC,
			   NULL));
	for (unsigned state = FRESH; state < STATES; state++) {
		page = p + state * LIVE_PAGE;
		if (state == CLEAN)
			live_equal(*(volatile char *)page, 0);
		if (state == SWAPPED || state == DIRTY)
			*(volatile char *)page = (char)0xc3;
		if (state == SWAPPED)
			live_push_out(vm, page, 1, others, OTHERS);
		live_check(munmap(page, LIVE_PAGE) == 0);
		for (unsigned how = 0; how < 3; how++)
			live_equal(try_access(page, how), SIGSEGV);
	}
	live_equal(live_stats(vm).frame_timeouts, 0);
}
END_TEST

#if defined(__x86_64__)
START_TEST(code_that_may_not_be_executed_any_more)
{
	char *p = live_map(vm, 1, LIVE_RW | VVM_EXEC);

	p[0] = (char)0xc3; /* ret */
	live_equal(live_try_call(p), 0);
	live_check(mprotect(p, LIVE_PAGE, PROT_READ | PROT_WRITE) == 0);
	live_equal(live_try_call(p), SIGSEGV);
	live_check(mprotect(p, LIVE_PAGE, PROT_READ | PROT_EXEC) == 0);
	live_equal(live_try_call(p), 0);
	live_push_out(vm, p, 1, others, OTHERS);
	live_equal(live_try_call(p), 0);
}
END_TEST
#endif

/* The kernel puts no marker into locked memory. */
START_TEST(locked_memory)
{
	struct vvm_stats st;

	make_clean();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		return;
	for (uint64_t i = 0; i < PAGES; i++)
		*word(i) += 9;
	push_out();
	live_check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	expect_all(9);
	st = live_stats(vm);
	live_check(st.resident_pages <= BUDGET);
	live_check(munlockall() == 0);
}
END_TEST

#define UNALIGNED ((uint64_t)0x123400000000 + BLOCK_BYTES / 2)

/*
 * Parts of a mapping are made ready when they are first touched, and pages are
 * filled ahead of a stream: one does not go beyond the other. A page that is
 * there before its part is ready would have a marker for ever.
 */
START_TEST(streams_across_parts_of_a_mapping)
{
	uint64_t pages = 4 * BLOCK_PAGES, addr = UNALIGNED;
	struct vvm_options o;
	struct vvm *ahead;
	char *p;

	live_options(&o, 2 * pages);
	o.faults = VVM_FAULTS_GUARD;
	live_ok(vvm_open(&ahead, &o));
	live_ok(vvm_map(ahead, &addr, pages * LIVE_PAGE, LIVE_RW, NULL));
	p = vvm_ptr(ahead, addr);
	for (uint64_t i = 0; i < pages; i++)
		p[i * LIVE_PAGE] = (char)(i + 1);
	live_check((uint64_t)live_stats(ahead).zero_ahead_pages > pages / 2);
	for (uint64_t i = 0; i < pages; i++)
		live_equal(p[i * LIVE_PAGE], (char)(i + 1));
	live_ok(vvm_close(ahead));
}
END_TEST

/* Neither brings pages past the table. */
START_TEST(populating_finds_markers)
{
	live_equal(madvise(base, PAGES * LIVE_PAGE, MADV_POPULATE_WRITE), -1);
	live_equal(errno, EFAULT);
	/* not mlock(), which does nothing in a sanitizer's build */
	live_equal(syscall(SYS_mlock, base, PAGES * LIVE_PAGE), -1);
	live_check(munlock(base, PAGES * LIVE_PAGE) == 0);
	live_equal(live_count_flags(vm, base, PAGES, VVM_PAGE_RESIDENT), 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case_with(s, "clean", setup, live_end);

	tcase_add_test(tc, writes_to_clean_pages_are_kept);
	tcase_add_test(tc, one_byte_is_a_change);
	tcase_add_test(tc, writes_to_zero_pages_are_kept);
	test_counted(tc, unchanged_pages_are_not_written);
	tcase_add_test(tc, frames_that_cannot_be_read);
	tc = test_case_with(s, "errors", setup, live_end);
	tcase_add_loop_test(tc, markers_that_are_refused, 0, LIVE_LEN(errors));
	tcase_add_loop_test(tc, markers_that_stay, 0, LIVE_LEN(errors));
	tc = test_case_with(s, "fork", setup, live_end);
	tcase_add_test(tc, children_have_writes_to_clean_pages);
	tcase_add_test(tc, clean_pages_after_a_fork);
	tcase_add_test(tc, pinned_clean_pages_at_a_fork);
	tc = test_case_with(s, "view", setup, live_end);
	tcase_add_test(tc, a_region_of_a_tib);
	tcase_add_test(tc, a_hole_that_is_used_otherwise);
	tcase_add_test(tc, changes_behind_the_librarys_back);
	tcase_add_test(tc, pages_that_the_program_has_unmapped);
#if defined(__x86_64__)
	tcase_add_test(tc, code_that_may_not_be_executed_any_more);
#endif
	tcase_add_test(tc, locked_memory);
	tcase_add_test(tc, populating_finds_markers);
	test_counted(tc, streams_across_parts_of_a_mapping);
}

static const char *missing(void)
{
	return os_guard_probe() < 0 ? "no guard pages of files (Linux 6.15)"
				    : NULL;
}

const struct test_program test_program = {
	.name = "live_guard",
	.add = add_tests,
	.missing = missing,
};
