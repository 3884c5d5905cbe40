/* SPDX-License-Identifier: MIT */
/*
 * api/shared.c - shared files: what gets to the file, when, what a file that
 * changes does, vvm_sync(), and what is there after a kill -9. unit/source is
 * about the transfers, api/file about what all mapped files have in common.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/child.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define BUDGET 64
#define PAGES  300 /* of the file, and TAIL bytes more */
#define TAIL   1000
#define BYTES  (PAGES * LIVE_PAGE + TAIL)

static int file;

/* ---- files ---- */

static int make_file(const char *name, uint64_t pages, uint64_t tail)
{
	char page[LIVE_PAGE];
	int fd = open(live_path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	live_check(fd >= 0);
	for (uint64_t i = 0; i <= pages; i++) {
		size_t n = i < pages ? LIVE_PAGE : tail;

		live_fill(page, i, 1);
		live_equal(pwrite(fd, page, n, (off_t)(i * LIVE_PAGE)), n);
	}
	return fd;
}

static void setup(void)
{
	live_begin(BUDGET);
	file = make_file("file", PAGES, TAIL);
}

static void teardown(void)
{
	live_end();
	close(file);
}

static int map_fd(int fd, uint64_t from, uint64_t pages, unsigned prot,
		  char **p)
{
	uint64_t addr = VVM_ANYWHERE;
	int rc = vvm_map_file(vm, &addr, pages * LIVE_PAGE, prot, "file", fd,
			      from * LIVE_PAGE, VVM_FILE_SHARED);

	*p = rc < 0 ? NULL : vvm_ptr(vm, addr);
	return rc;
}

/* Pages [from, from + pages) of the file. */
static char *map_some(uint64_t from, uint64_t pages, unsigned prot)
{
	char *p;

	live_ok(map_fd(file, from, pages, prot, &p));
	return p;
}

/* What another reader has of page i: so many bytes. */
static size_t read_page(int fd, uint64_t i, char *page)
{
	ssize_t n = pread(fd, page, LIVE_PAGE, (off_t)(i * LIVE_PAGE));

	live_check(n >= 0);
	return (size_t)n;
}

static bool holds(int fd, uint64_t i, uint64_t version)
{
	char page[LIVE_PAGE], want[LIVE_PAGE];
	size_t n = read_page(fd, i, page);

	live_fill(want, i, version);
	return n == (fd == file && i == PAGES ? TAIL : LIVE_PAGE) &&
	       memcmp(page, want, n) == 0;
}

static uint64_t file_bytes(int fd)
{
	struct stat st;

	live_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

/* Has everything of the file evicted, by what needs all frames. */
static void push_out(const char *p, uint64_t pages)
{
	uint64_t others = 4 * BUDGET;
	char *other = live_map(vm, others, LIVE_RW);

	live_push_out(vm, p, pages, other, others);
	live_ok(vvm_unmap(vm, live_addr(other), others * LIVE_PAGE));
}

static int sync_pages(const char *p, uint64_t pages, unsigned flags)
{
	return vvm_sync(vm, live_addr(p), pages * LIVE_PAGE, flags);
}

/* ---- what gets to the file ---- */

START_TEST(what_was_changed_is_in_the_file_after_a_sync)
{
	unsigned flags = _i ? VVM_SYNC_ASYNC : VVM_SYNC_SYNC;
	char *p = map_some(0, PAGES + 1, LIVE_RW);

	for (uint64_t i = 0; i <= PAGES; i += 3)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(sync_pages(p, PAGES + 1, flags));
	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(holds(file, i, i % 3 ? 1 : 2));
	live_equal(live_count_flags(vm, p, PAGES + 1, VVM_PAGE_DIRTY), 0);
	live_equal(file_bytes(file), BYTES);
	/* and again, for each write is an event anew */
	for (uint64_t i = 0; i <= PAGES; i += 2)
		live_fill(p + i * LIVE_PAGE, i, 3);
	live_ok(sync_pages(p, PAGES + 1, flags));
	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(holds(file, i, i % 2 == 0 ? 3 : i % 3 ? 1 : 2));
}
END_TEST

START_TEST(it_gets_there_when_it_is_evicted)
{
	char *p = map_some(0, PAGES, LIVE_RW);
	struct vvm_stats st;

	for (uint64_t round = 2; round < 6; round++) {
		for (uint64_t i = 0; i < PAGES; i++)
			live_fill(p + i * LIVE_PAGE, i, round);
		for (uint64_t i = 0; i < PAGES; i++)
			live_equal(live_verify(p + i * LIVE_PAGE, i, round),
				   -1);
		st = live_stats(vm);
		live_equal(st.swapped_pages, 0);
		live_equal(st.swap_used_pages, 0);
	}
	push_out(p, PAGES);
	for (uint64_t i = 0; i < PAGES; i++) {
		live_check(holds(file, i, 5));
		live_check(live_flags(vm, p + i * LIVE_PAGE) == 0);
	}
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 5), -1);
	live_equal(file_bytes(file), BYTES);
}
END_TEST

START_TEST(any_page_may_be_the_first)
{
	char *p = map_some(17, 40, LIVE_RW);

	for (uint64_t i = 0; i < 40; i += 2)
		live_fill(p + i * LIVE_PAGE, 17 + i, 2);
	live_ok(sync_pages(p + 10 * LIVE_PAGE, 10, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < 40; i++)
		live_check(holds(file, 17 + i,
				 i % 2 == 0 && i >= 10 && i < 20 ? 2 : 1));
	push_out(p, 40);
	for (uint64_t i = 0; i < 40; i++)
		live_check(holds(file, 17 + i, i % 2 ? 1 : 2));
	live_check(holds(file, 16, 1) && holds(file, 57, 1));
}
END_TEST

static bool is_zero_in_file(uint64_t i)
{
	char page[LIVE_PAGE];

	return read_page(file, i, page) == LIVE_PAGE && live_is_zero(page);
}

START_TEST(zeros_are_written_like_other_bytes)
{
	char *p = map_some(0, PAGES, LIVE_RW);

	memset(p, 0, 4 * LIVE_PAGE);
	memset(p + 8 * LIVE_PAGE, 0, 4 * LIVE_PAGE);
	live_ok(sync_pages(p, 4, VVM_SYNC_SYNC));
	push_out(p, PAGES);
	for (uint64_t i = 0; i < 12; i++) {
		bool zero = i < 4 || i >= 8;

		live_check(is_zero_in_file(i) == zero);
		live_check(live_is_zero(p + i * LIVE_PAGE) == zero);
	}
}
END_TEST

START_TEST(a_byte_comes_on_top_of_the_file)
{
	char *p = map_some(0, PAGES, LIVE_RW), page[LIVE_PAGE], want[LIVE_PAGE];

	for (uint64_t i = 0; i < PAGES; i++)
		p[i * LIVE_PAGE + i] = (char)i;
	live_ok(sync_pages(p, PAGES, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < PAGES; i++) {
		live_fill(want, i, 1);
		want[i] = (char)i;
		live_equal(read_page(file, i, page), LIVE_PAGE);
		live_check(memcmp(page, want, LIVE_PAGE) == 0);
	}
}
END_TEST

START_TEST(unmapping_writes)
{
	char *p = map_some(0, PAGES + 1, LIVE_RW);

	for (uint64_t i = 0; i <= PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(vvm_unmap(vm, live_addr(p) + 290 * LIVE_PAGE, 5 * LIVE_PAGE));
	for (uint64_t i = 290; i < 295; i++)
		live_check(holds(file, i, 2));
	for (uint64_t i = 280; i <= PAGES; i += i == 289 ? 6 : 1)
		live_fill(p + i * LIVE_PAGE, i, 3);
	live_ok(vvm_unmap(vm, live_addr(p), (PAGES + 1) * LIVE_PAGE));
	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(holds(file, i,
				 i < 280 || (i >= 290 && i < 295) ? 2 : 3));
	live_equal(file_bytes(file), BYTES);
	live_equal(live_idle_stats(vm).resident_pages, 0);
}
END_TEST

START_TEST(closing_writes)
{
	char *p = map_some(0, PAGES + 1, LIVE_RW);

	for (uint64_t i = 0; i <= PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(vvm_close(vm));
	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(holds(file, i, 2));
	live_equal(file_bytes(file), BYTES);
	live_begin(BUDGET); /* for teardown() */
}
END_TEST

/* Nobody has asked for it: what was only read stays as others have made it. */
START_TEST(what_was_not_changed_is_not_written)
{
	char *p = map_some(0, PAGES, LIVE_RW), page[LIVE_PAGE];

	live_ok(vvm_resize(vm, 2 * PAGES * LIVE_PAGE));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	for (uint64_t i = 0; i < PAGES; i++) {
		live_fill(page, i, 9);
		live_equal(
			pwrite(file, page, LIVE_PAGE, (off_t)(i * LIVE_PAGE)),
			LIVE_PAGE);
	}
	live_fill(p, 0, 2);
	live_ok(sync_pages(p, 100, VVM_SYNC_SYNC));
	live_ok(vvm_advise(vm, live_addr(p), 50 * LIVE_PAGE, VVM_ADV_DONTNEED));
	live_ok(vvm_unmap(vm, live_addr(p) + 20 * LIVE_PAGE, 50 * LIVE_PAGE));
	live_ok(vvm_resize(vm, BUDGET * LIVE_PAGE));
	push_out(p + 70 * LIVE_PAGE, PAGES - 70);
	live_ok(vvm_unmap(vm, live_addr(p), PAGES * LIVE_PAGE));
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(holds(file, i, i ? 9 : 2));
}
END_TEST

START_TEST(dontneed_loses_nothing)
{
	char *p = map_some(0, PAGES, LIVE_RW), page[LIVE_PAGE];

	live_ok(vvm_resize(vm, 2 * PAGES * LIVE_PAGE));
	for (uint64_t i = 0; i < PAGES; i += 2)
		live_fill(p + i * LIVE_PAGE, i, 2);
	for (uint64_t i = 1; i < PAGES; i += 2)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_fill(page, 1, 7);
	live_equal(pwrite(file, page, LIVE_PAGE, (off_t)LIVE_PAGE), LIVE_PAGE);
	live_ok(vvm_advise(vm, live_addr(p), PAGES * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	live_equal(live_count_flags(vm, p, PAGES, VVM_PAGE_RESIDENT), 0);
	for (uint64_t i = 0; i < PAGES; i += 2)
		live_check(holds(file, i, 2));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i,
				       i == 1  ? 7
				       : i % 2 ? 1
					       : 2),
			   -1);
}
END_TEST

START_TEST(checked_accesses_touches_and_parts)
{
	char *p = map_some(0, 64, VVM_READ), page[LIVE_PAGE];
	uint64_t at = live_addr(p), one = 1;

	live_equal(live_try_store(p, 1), SIGSEGV);
	live_ok(vvm_protect(vm, at, 32 * LIVE_PAGE, LIVE_RW));
	live_fill(page, 3, 2);
	live_ok(vvm_store(vm, at + 3 * LIVE_PAGE, page, LIVE_PAGE));
	live_ok(vvm_touch(vm, at + 5 * LIVE_PAGE, LIVE_PAGE, VVM_TOUCH_WRITE));
	live_fill(p + 6 * LIVE_PAGE, 6, 2);
	live_ok(vvm_protect(vm, at, 64 * LIVE_PAGE, VVM_READ));
	live_expect(vvm_store(vm, at, &one, 8), -VVM_ENOWRITE);
	live_ok(sync_pages(p, 64, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < 64; i++)
		live_check(holds(file, i, i == 3 || i == 6 ? 2 : 1));
	live_ok(vvm_load(vm, at + 3 * LIVE_PAGE, page, LIVE_PAGE));
	live_equal(live_verify(page, 3, 2), -1);
}
END_TEST

/* The page stays writable for the device, and dirty. */
START_TEST(pinned_pages_are_written_and_stay_dirty)
{
	char *p = map_some(0, 32, LIVE_RW);
	uint64_t at = live_addr(p);

	for (uint64_t i = 0; i < 8; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(vvm_pin(vm, at + 3 * LIVE_PAGE, 2 * LIVE_PAGE));
	live_ok(sync_pages(p, 32, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < 8; i++) {
		live_check(holds(file, i, 2));
		live_check(!(live_flags(vm, p + i * LIVE_PAGE) &
			     VVM_PAGE_DIRTY) == (i != 3 && i != 4));
	}
	live_fill(p + 3 * LIVE_PAGE, 3, 3);
	live_expect(sync_pages(p, 32, VVM_SYNC_SYNC | VVM_SYNC_INVALIDATE),
		    -EBUSY);
	live_check(holds(file, 3, 2));
	live_ok(sync_pages(p, 32, VVM_SYNC_SYNC));
	live_check(holds(file, 3, 3));
	live_ok(vvm_unpin(vm, at + 3 * LIVE_PAGE, 2 * LIVE_PAGE));
	live_fill(p + 4 * LIVE_PAGE, 4, 4);
	push_out(p, 32);
	live_check(holds(file, 4, 4));
}
END_TEST

/* Pinned for reading only, and written to later: no event tells of it. */
START_TEST(a_page_that_was_pinned_before_it_was_writable)
{
	char *p = map_some(0, 8, VVM_READ);
	uint64_t at = live_addr(p);

	live_ok(vvm_pin(vm, at, 2 * LIVE_PAGE));
	live_ok(vvm_protect(vm, at, 8 * LIVE_PAGE, LIVE_RW));
	live_fill(p, 0, 2);
	live_ok(sync_pages(p, 8, VVM_SYNC_SYNC));
	live_check(holds(file, 0, 2) && holds(file, 1, 1));
	live_fill(p, 0, 3);
	live_ok(sync_pages(p, 8, VVM_SYNC_SYNC));
	live_check(holds(file, 0, 3));
}
END_TEST

/* They have the file: nothing of them is kept in memory, and no slot is. */
START_TEST(with_compressed_pages)
{
	struct vvm_options o;
	char *p;
	int rc;

	live_ok(vvm_close(vm));
	live_options(&o, 4 * BUDGET);
	o.compress = VVM_COMPRESS_LZ4;
	rc = vvm_open(&vm, &o);
	if (rc == -ENOTSUP) {
		live_begin(BUDGET); /* for teardown() */
		return;
	}
	live_ok(rc);
	p = map_some(0, PAGES, LIVE_RW);
	for (uint64_t round = 2; round < 6; round++)
		for (uint64_t i = 0; i < PAGES; i++)
			memset(p + i * LIVE_PAGE, (int)round, LIVE_PAGE);
	live_ok(sync_pages(p, PAGES, VVM_SYNC_SYNC));
	if (TEST_STATS)
		live_equal(live_idle_stats(vm).packed_pages, 0);
	live_equal(live_stats(vm).swap_used_pages, 0);
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(p[i * LIVE_PAGE + i], 5);
}
END_TEST

/* ---- the end of the file ---- */

START_TEST(behind_the_end_nothing_is_written)
{
	char *p = map_some(PAGES - 3, 4, LIVE_RW), page[LIVE_PAGE];
	char *last = p + 3 * LIVE_PAGE;

	live_fill(last, PAGES, 2);
	live_ok(sync_pages(p, 4, VVM_SYNC_SYNC));
	live_check(holds(file, PAGES, 2));
	live_equal(file_bytes(file), BYTES);
	live_fill(last, PAGES, 3);
	live_fill(last - LIVE_PAGE, PAGES - 1, 3);
	push_out(p, 4);
	live_check(holds(file, PAGES, 3) && holds(file, PAGES - 1, 3));
	live_equal(file_bytes(file), BYTES);
	live_fill(page, PAGES, 3);
	memset(page + TAIL, 0, LIVE_PAGE - TAIL);
	live_check(memcmp(last, page, LIVE_PAGE) == 0);
	live_fill(last, PAGES, 4);
	live_ok(vvm_unmap(vm, live_addr(p), 4 * LIVE_PAGE));
	live_check(holds(file, PAGES, 4));
	live_equal(file_bytes(file), BYTES);
}
END_TEST

static void expect_past_end(char *p)
{
	uint64_t value;

	live_equal(live_try_load(p, &value), SIGBUS);
	live_expect(vvm_load(vm, live_addr(p), &value, sizeof(value)),
		    -VVM_EPOISON);
}

/* Its changes are dropped, as mmap's are; nothing makes the file longer. */
START_TEST(a_file_shrinks_under_changed_pages)
{
	char *p = map_some(0, 20, LIVE_RW), page[LIVE_PAGE];

	for (uint64_t i = 0; i < 20; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_equal(ftruncate(file, 10 * (off_t)LIVE_PAGE + 8), 0);
	switch (_i) {
	case 0:
		live_ok(sync_pages(p, 20, VVM_SYNC_SYNC | VVM_SYNC_INVALIDATE));
		break;
	case 1:
		push_out(p, 20);
		break;
	default:
		live_ok(vvm_advise(vm, live_addr(p), 20 * LIVE_PAGE,
				   VVM_ADV_DONTNEED));
	}
	live_equal(file_bytes(file), 10 * LIVE_PAGE + 8);
	for (uint64_t i = 0; i < 10; i++) {
		live_check(holds(file, i, 2));
		live_equal(live_verify(p + i * LIVE_PAGE, i, 2), -1);
	}
	live_fill(page, 10, 2);
	memset(page + 8, 0, LIVE_PAGE - 8);
	live_check(memcmp(p + 10 * LIVE_PAGE, page, LIVE_PAGE) == 0);
	for (uint64_t i = 11; i < 20; i++)
		expect_past_end(p + i * LIVE_PAGE);
	live_equal(ftruncate(file, 20 * (off_t)LIVE_PAGE), 0);
	expect_past_end(p + 11 * LIVE_PAGE); /* as a private file's */
	live_ok(sync_pages(p, 20, VVM_SYNC_INVALIDATE));
	for (uint64_t i = 11; i < 20; i++)
		live_check(live_is_zero(p + i * LIVE_PAGE));
	live_fill(p + 15 * LIVE_PAGE, 15, 4);
	live_ok(sync_pages(p, 20, VVM_SYNC_SYNC));
	live_check(holds(file, 15, 4));
	live_equal(file_bytes(file), 20 * LIVE_PAGE);
}
END_TEST

START_TEST(unmapping_a_file_that_has_shrunk)
{
	char *p = map_some(0, 20, LIVE_RW);

	for (uint64_t i = 0; i < 20; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_equal(ftruncate(file, 10 * (off_t)LIVE_PAGE), 0);
	live_ok(vvm_unmap(vm, live_addr(p), 20 * LIVE_PAGE));
	live_equal(file_bytes(file), 10 * LIVE_PAGE);
	live_check(holds(file, 9, 2));
}
END_TEST

START_TEST(a_file_that_has_grown_takes_what_is_behind_its_old_end)
{
	char *p = map_some(PAGES, 1, LIVE_RW);

	live_fill(p, PAGES, 2);
	live_equal(ftruncate(file, (PAGES + 2) * (off_t)LIVE_PAGE), 0);
	live_fill(p, PAGES, 3);
	live_ok(sync_pages(p, 1, VVM_SYNC_SYNC));
	live_equal(file_bytes(file), (PAGES + 2) * LIVE_PAGE);
	{
		char page[LIVE_PAGE];

		live_equal(read_page(file, PAGES, page), LIVE_PAGE);
		live_equal(live_verify(page, PAGES, 3), -1);
	}
}
END_TEST

/* ---- what others write ---- */

START_TEST(invalidate_reads_the_file_again)
{
	char *p = map_some(0, 8, LIVE_RW), page[LIVE_PAGE];

	for (uint64_t i = 0; i < 8; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_fill(p + 5 * LIVE_PAGE, 5, 2);
	for (uint64_t i = 0; i < 8; i++) {
		live_fill(page, i, 9);
		live_equal(
			pwrite(file, page, LIVE_PAGE, (off_t)(i * LIVE_PAGE)),
			LIVE_PAGE);
	}
	live_ok(sync_pages(p, 4, VVM_SYNC_INVALIDATE));
	for (uint64_t i = 0; i < 4; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 9), -1);
	live_equal(live_verify(p + 4 * LIVE_PAGE, 4, 1), -1);
	live_ok(sync_pages(p, 8, VVM_SYNC_INVALIDATE)); /* not what is dirty */
	live_equal(live_verify(p + 5 * LIVE_PAGE, 5, 2), -1);
	live_equal(live_verify(p + 6 * LIVE_PAGE, 6, 9), -1);
	live_ok(sync_pages(p, 8, VVM_SYNC_ASYNC | VVM_SYNC_INVALIDATE));
	live_check(holds(file, 5, 2) && holds(file, 4, 9));
	live_equal(live_count_flags(vm, p, 8, VVM_PAGE_RESIDENT), 0);
}
END_TEST

/*
 * A page of what is read ahead of a stream waits for it without a frame; others
 * may be on their way.
 */
START_TEST(invalidate_forgets_what_was_read_ahead)
{
	char page[LIVE_PAGE], *p;

	live_ok(vvm_close(vm));
	vm = live_open(16 * PAGES); /* of which a part is for such pages */
	p = map_some(0, PAGES, LIVE_RW);
	for (uint64_t round = 2; round < 40; round++) {
		for (uint64_t i = 0; i < 5 * round; i++)
			live_equal(live_verify(p + i * LIVE_PAGE, i, round - 1),
				   -1);
		for (uint64_t i = 0; i < PAGES; i++) {
			live_fill(page, i, round);
			live_equal(pwrite(file, page, LIVE_PAGE,
					  (off_t)(i * LIVE_PAGE)),
				   LIVE_PAGE);
		}
		live_ok(sync_pages(p, PAGES, VVM_SYNC_INVALIDATE));
		for (uint64_t i = PAGES; i-- > 0;)
			live_equal(live_verify(p + i * LIVE_PAGE, i, round),
				   -1);
		live_ok(sync_pages(p, PAGES, VVM_SYNC_INVALIDATE));
	}
}
END_TEST

/* ---- the calls ---- */

START_TEST(permissions_of_the_descriptor)
{
	int only = open(live_path("file"), O_WRONLY | O_CLOEXEC),
	    read_only = open(live_path("file"), O_RDONLY | O_CLOEXEC),
	    fds = live_count_fds();
	char *p, page[LIVE_PAGE];
	struct vvm_region r;

	live_expect(map_fd(only, 0, 1, VVM_READ, &p), -EACCES);
	live_expect(map_fd(read_only, 0, 1, LIVE_RW, &p), -EACCES);
	live_expect(map_fd(-1, 0, 1, LIVE_RW, &p), -EBADF);
	live_equal(live_count_fds(), fds);
	live_ok(map_fd(read_only, 0, 8, VVM_READ, &p));
	live_equal(live_verify(p, 0, 1), -1);
	live_expect(vvm_protect(vm, live_addr(p), LIVE_PAGE, LIVE_RW), -EACCES);
	live_expect(vvm_protect(vm, live_addr(p), LIVE_PAGE, VVM_WRITE),
		    -EACCES);
	live_ok(vvm_query(vm, live_addr(p), &r));
	live_equal(r.end - r.start, 8 * LIVE_PAGE);
	live_equal(r.prot, VVM_READ);
	live_equal(live_try_store(p, 1), SIGSEGV);
	live_ok(vvm_protect(vm, live_addr(p), LIVE_PAGE, VVM_NONE));
	live_ok(vvm_protect(vm, live_addr(p), LIVE_PAGE, VVM_READ));
	live_fill(page, 3, 9);
	live_equal(live_verify(p + 3 * LIVE_PAGE, 3, 1), -1);
	live_equal(pwrite(file, page, LIVE_PAGE, 3 * LIVE_PAGE), LIVE_PAGE);
	live_ok(sync_pages(p, 8, VVM_SYNC_SYNC));
	live_equal(live_verify(p + 3 * LIVE_PAGE, 3, 1), -1);
	live_ok(sync_pages(p, 8, VVM_SYNC_SYNC | VVM_SYNC_INVALIDATE));
	live_equal(live_verify(p + 3 * LIVE_PAGE, 3, 9), -1);
	live_ok(vvm_unmap(vm, live_addr(p), 8 * LIVE_PAGE));
	live_equal(live_count_fds(), fds);
	live_ok(map_fd(file, 0, 1, VVM_READ, &p));
	live_ok(vvm_protect(vm, live_addr(p), LIVE_PAGE, LIVE_RW));
	live_fill(p, 0, 2);
	live_ok(sync_pages(p, 1, VVM_SYNC_SYNC));
	live_check(holds(file, 0, 2));
}
END_TEST

/* All writes would go to its end if they were made with its flags. */
START_TEST(a_descriptor_that_appends)
{
	int fd = open(live_path("file"), O_RDWR | O_APPEND | O_CLOEXEC);
	char *p;

	live_check(fd >= 0);
	live_ok(map_fd(fd, 0, 8, LIVE_RW, &p));
	close(fd);
	live_fill(p, 0, 2);
	live_ok(sync_pages(p, 8, VVM_SYNC_SYNC));
	live_check(holds(file, 0, 2));
	live_equal(file_bytes(file), BYTES);
}
END_TEST

START_TEST(sync_refuses_bad_arguments)
{
	char *p = map_some(0, 8, LIVE_RW);
	uint64_t at = live_addr(p);
	static const unsigned bad[] = {
		0, VVM_SYNC_ASYNC | VVM_SYNC_SYNC, 7, 8, 9, 0x80000001};

	live_fill(p, 0, 2);
	for (unsigned i = 0; i < LIVE_LEN(bad); i++)
		live_expect(vvm_sync(vm, at, LIVE_PAGE, bad[i]), -EINVAL);
	live_expect(vvm_sync(NULL, at, LIVE_PAGE, VVM_SYNC_SYNC), -EINVAL);
	live_expect(vvm_sync(vm, at + 1, LIVE_PAGE, VVM_SYNC_SYNC), -EINVAL);
	live_expect(vvm_sync(vm, at, 0, VVM_SYNC_SYNC), -EINVAL);
	live_expect(vvm_sync(vm, at, LIVE_GUEST, VVM_SYNC_SYNC), -EINVAL);
	live_check(holds(file, 0, 1));
	live_ok(vvm_sync(vm, at, 1, VVM_SYNC_SYNC));
	live_check(holds(file, 0, 2));
}
END_TEST

START_TEST(holes_are_told_of_and_the_rest_is_synced)
{
	char *p = map_some(0, 64, LIVE_RW);

	for (uint64_t i = 0; i < 64; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(vvm_unmap(vm, live_addr(p) + 10 * LIVE_PAGE, LIVE_PAGE));
	live_ok(vvm_unmap(vm, live_addr(p) + 40 * LIVE_PAGE, 20 * LIVE_PAGE));
	for (uint64_t i = 60; i < 64; i++)
		live_fill(p + i * LIVE_PAGE, i, 3);
	live_fill(p + 11 * LIVE_PAGE, 11, 3);
	live_expect(sync_pages(p, 1000, VVM_SYNC_SYNC), -VVM_EUNMAPPED);
	for (uint64_t i = 0; i < 64; i++)
		live_check(holds(file, i, i >= 60 || i == 11 ? 3 : 2));
	live_ok(vvm_unmap(vm, live_addr(p), 64 * LIVE_PAGE));
	live_expect(sync_pages(p, 64, VVM_SYNC_SYNC), -VVM_EUNMAPPED);
}
END_TEST

START_TEST(other_regions_are_left_alone)
{
	uint64_t addr = VVM_ANYWHERE;
	char *p, *other = live_map(vm, 16, LIVE_RW);

	live_ok(vvm_map_file(vm, &addr, 16 * LIVE_PAGE, LIVE_RW, NULL, file, 0,
			     VVM_FILE_PRIVATE));
	p = vvm_ptr(vm, addr);
	for (uint64_t i = 0; i < 16; i++) {
		live_fill(p + i * LIVE_PAGE, i, 5);
		live_fill(other + i * LIVE_PAGE, i, 6);
	}
	live_ok(sync_pages(p, 16, VVM_SYNC_SYNC | VVM_SYNC_INVALIDATE));
	live_ok(sync_pages(other, 16, VVM_SYNC_SYNC | VVM_SYNC_INVALIDATE));
	for (uint64_t i = 0; i < 16; i++) {
		live_check(holds(file, i, 1));
		live_equal(live_verify(p + i * LIVE_PAGE, i, 5), -1);
		live_equal(live_verify(other + i * LIVE_PAGE, i, 6), -1);
	}
}
END_TEST

START_TEST(several_files_in_one_call)
{
	int fd = make_file("other", 8, 0);
	uint64_t at = LIVE_GUEST / 2;
	char *p, *q;

	live_ok(vvm_map_file(vm, &at, 8 * LIVE_PAGE, LIVE_RW, NULL, file, 0,
			     VVM_FILE_SHARED));
	p = vvm_ptr(vm, at);
	at += 8 * LIVE_PAGE;
	live_ok(vvm_map_file(vm, &at, 8 * LIVE_PAGE, LIVE_RW, NULL, fd, 0,
			     VVM_FILE_SHARED));
	q = vvm_ptr(vm, at);
	for (uint64_t i = 0; i < 8; i++) {
		live_fill(p + i * LIVE_PAGE, i, 2);
		live_fill(q + i * LIVE_PAGE, i, 3);
	}
	live_ok(vvm_sync(vm, at - 8 * LIVE_PAGE, 16 * LIVE_PAGE,
			 VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < 8; i++)
		live_check(holds(file, i, 2) && holds(fd, i, 3));
	close(fd);
}
END_TEST

static void *sync_cancelled(void *arg)
{
	atomic_bool *through = arg;
	char *p;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	p = map_some(0, PAGES + 1, LIVE_RW);
	for (uint64_t i = 0; i <= PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(sync_pages(p, PAGES + 1, VVM_SYNC_SYNC | VVM_SYNC_INVALIDATE));
	live_ok(vvm_unmap(vm, live_addr(p), (PAGES + 1) * LIVE_PAGE));
	*through = true;
	pthread_testcancel();
	return NULL;
}

START_TEST(no_call_is_a_cancellation_point)
{
	atomic_bool through = false;
	pthread_t thread;
	void *result;

	live_equal(pthread_create(&thread, NULL, sync_cancelled, &through), 0);
	live_equal(pthread_join(thread, &result), 0);
	live_check(through && result == PTHREAD_CANCELED);
}
END_TEST

/* ---- errors ---- */

/* From now on the file cannot be written from that byte on; or again. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	live_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	live_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_failing_write_is_told_of_and_costs_nothing)
{
	char *p = map_some(0, 40, LIVE_RW);

	for (uint64_t i = 0; i < 40; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	limit_files(30 * LIVE_PAGE);
	live_expect(sync_pages(p, 40, VVM_SYNC_SYNC), -EFBIG);
	live_expect(sync_pages(p, 40, VVM_SYNC_ASYNC), -EFBIG);
	live_ok(sync_pages(p, 30, VVM_SYNC_SYNC));
	live_ok(vvm_advise(vm, live_addr(p), 40 * LIVE_PAGE, VVM_ADV_DONTNEED));
	for (uint64_t i = 0; i < 40; i++) {
		live_check(holds(file, i, i < 30 ? 2 : 1));
		live_equal(live_verify(p + i * LIVE_PAGE, i, 2), -1);
	}
	if (TEST_STATS)
		live_check(live_stats(vm).writeback_failed_pages >= 20);
	limit_files(RLIM_INFINITY);
	live_ok(sync_pages(p, 40, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < 40; i++)
		live_check(holds(file, i, 2));
}
END_TEST

/* Nobody may write to the first file, which is found out when it is tried. */
START_TEST(after_an_error_the_rest_is_synced)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t at = LIVE_GUEST / 2, first = at;
	char *p, *q;

	live_equal(ftruncate(fd, 1 << 21), 0);
	live_ok(vvm_map_file(vm, &at, 1 << 21, LIVE_RW, NULL, fd, 0,
			     VVM_FILE_SHARED));
	p = vvm_ptr(vm, at);
	at += 1 << 21;
	live_ok(vvm_map_file(vm, &at, 8 * LIVE_PAGE, LIVE_RW, NULL, file, 0,
			     VVM_FILE_SHARED));
	q = vvm_ptr(vm, at);
	live_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	live_fill(p, 0, 2);
	live_fill(q, 0, 2);
	live_expect(
		vvm_sync(vm, first, at + 8 * LIVE_PAGE - first, VVM_SYNC_SYNC),
		-EIO);
	live_check(holds(file, 0, 2));
	live_equal(live_verify(p, 0, 2), -1);
	close(fd);
}
END_TEST

/* Half of the frames cannot go. The others do, without end, and without haste. */
START_TEST(reclaim_lives_with_a_file_that_cannot_be_written)
{
	char *p = map_some(0, PAGES, LIVE_RW);
	struct vvm_stats st;

	limit_files(LIVE_PAGE);
	for (uint64_t i = 100; i < 100 + BUDGET / 2; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	for (unsigned round = 0; round < 5; round++)
		for (uint64_t i = 0; i < PAGES; i++)
			live_equal(live_verify(p + i * LIVE_PAGE, i,
					       i >= 100 && i < 100 + BUDGET / 2
						       ? 2
						       : 1),
				   -1);
	st = live_stats(vm);
	if (TEST_STATS)
		live_check(st.writeback_failed_pages > 0);
	live_equal(st.swap_used_pages, 0);
	limit_files(RLIM_INFINITY);
	push_out(p, PAGES);
	for (uint64_t i = 100; i < 100 + BUDGET / 2; i++)
		live_check(holds(file, i, 2));
}
END_TEST

/* As munmap(2), which is not told either. */
START_TEST(unmapping_what_cannot_be_written_is_counted)
{
	int64_t before = live_stats(vm).writeback_failed_pages;
	char *p = map_some(0, 8, LIVE_RW);

	for (uint64_t i = 0; i < 8; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	limit_files(4 * LIVE_PAGE);
	live_ok(vvm_unmap(vm, live_addr(p), 8 * LIVE_PAGE));
	limit_files(RLIM_INFINITY);
	for (uint64_t i = 0; i < 8; i++)
		live_check(holds(file, i, i < 4 ? 2 : 1));
	if (TEST_STATS)
		live_check(live_stats(vm).writeback_failed_pages >= before + 4);
	live_equal(live_idle_stats(vm).resident_pages, 0);
}
END_TEST

/* ---- the page cache ---- */

static uint64_t cached_pages(int fd)
{
	unsigned char in[PAGES];
	uint64_t n = 0;
	void *p = mmap(NULL, PAGES * LIVE_PAGE, PROT_READ, MAP_SHARED, fd, 0);

	live_check(p != MAP_FAILED);
	live_equal(mincore(p, PAGES * LIVE_PAGE, in), 0);
	for (int i = 0; i < PAGES; i++)
		n += in[i] & 1;
	munmap(p, PAGES * LIVE_PAGE);
	return n;
}

START_TEST(nothing_stays_in_the_page_cache)
{
	char *p;

	live_equal(fsync(file), 0);
	live_equal(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
	if (cached_pages(file) > PAGES / 8)
		return; /* it is in memory, or in use elsewhere */
	p = map_some(0, PAGES, LIVE_RW);
	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(sync_pages(p, PAGES, VVM_SYNC_SYNC));
	live_check(cached_pages(file) <= PAGES / 4);
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(holds(file, i, 2));
}
END_TEST

START_TEST(a_file_in_memory)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	char page[LIVE_PAGE], *p;

	for (uint64_t i = 0; i < PAGES; i++) {
		live_fill(page, i, 1);
		live_equal(write(fd, page, LIVE_PAGE), LIVE_PAGE);
	}
	live_ok(map_fd(fd, 0, PAGES, LIVE_RW, &p));
	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 2);
	live_ok(sync_pages(p, PAGES, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(holds(fd, i, 2));
	close(fd);
}
END_TEST

static char *shared, *own;

static void open_with_fork(enum vvm_fork fork)
{
	struct vvm_options o;

	live_ok(vvm_close(vm));
	live_options(&o, BUDGET);
	o.fork = fork;
	live_ok(vvm_open(&vm, &o));
	own = live_map(vm, 8, LIVE_RW);
	shared = map_some(0, PAGES, LIVE_RW);
	live_fill(own, 7, 7);
	for (uint64_t i = 0; i < 20; i++)
		live_fill(shared + i * LIVE_PAGE, i, 2);
}

/* ---- locks of fcntl(2) ---- */

static int look_at_lock(void *arg)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	child_check(fcntl(*(int *)arg, F_GETLK, &lock) == 0);
	return lock.l_type == F_UNLCK;
}

/* To close any descriptor of a file is to give them up. */
START_TEST(locks_are_kept_while_a_file_is_mapped)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char *p = map_some(0, PAGES + 1, LIVE_RW);
	int fds = live_count_fds();

	live_ok(fcntl(file, F_SETLK, &lock));
	for (unsigned i = 0; i < 3; i++) {
		p[PAGES * LIVE_PAGE + i] = 'x';
		if (i == 2)
			push_out(p, PAGES + 1);
		else
			live_ok(sync_pages(p, PAGES + 1,
					   i ? VVM_SYNC_SYNC : VVM_SYNC_ASYNC));
		live_child_ok(look_at_lock, &file);
	}
	live_equal(live_count_fds(), fds);
}
END_TEST

/* ---- fork ---- */

static int use_in_child(void *arg)
{
	(void)arg;
	child_check(live_verify(own, 7, 7) == -1);
	live_fill(own, 7, 8);
	child_expect(sync_pages(shared, PAGES, VVM_SYNC_SYNC), -VVM_EUNMAPPED);
	child_expect(vvm_unmap(vm, live_addr(shared), PAGES * LIVE_PAGE), 0);
	child_check(live_verify(own, 7, 8) == -1);
	live_child_works(vm, 2 * BUDGET);
	return 0;
}

START_TEST(children_have_no_part_in_it)
{
	enum vvm_fork fork = _i ? VVM_FORK_INHERIT : VVM_FORK_DIE;
	int only = open(live_path("file"), O_RDONLY | O_CLOEXEC);
	char *there;

	open_with_fork(fork);
	there = shared;
	live_child_dies_at(shared);
	live_child_dies_at(shared + 100 * LIVE_PAGE);
	live_ok(map_fd(only, 0, 1, VVM_READ, &shared));
	live_equal(live_verify(shared, 0, 1), -1);
	live_child_dies_at(shared);
	live_ok(vvm_unmap(vm, live_addr(shared), LIVE_PAGE));
	shared = there;
	close(only);
	if (fork == VVM_FORK_INHERIT)
		live_child_ok(use_in_child, NULL);
	for (uint64_t i = 0; i < PAGES; i++) /* nothing of theirs */
		live_check(holds(file, i, 1) || (i < 20 && holds(file, i, 2)));
	for (uint64_t i = 0; i < PAGES; i++)
		live_equal(
			live_verify(shared + i * LIVE_PAGE, i, i < 20 ? 2 : 1),
			-1);
	live_fill(shared, 0, 3);
	live_ok(sync_pages(shared, PAGES, VVM_SYNC_SYNC));
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(holds(file, i, !i ? 3 : i < 20 ? 2 : 1));
}
END_TEST

/* ---- many threads on few frames ---- */

#define STRESS_THREADS 10
#define STRESS_OPS     400
#define STRESS_BUDGET  12
#define STRESS_PAGES   200 /* of the writers; others are the unmapper's */
#define UNMAP_FIRST    220
#define UNMAP_PAGES    24
#define CUT_PAGES      40 /* of a file that is cut short all the time */

struct writer {
	pthread_t thread;
	unsigned id;
	uint64_t seed;
	uint64_t version[STRESS_PAGES]; /* of its own pages */
};

static atomic_bool over;
static int direct; /* the file, past the page cache if that is possible */

/*
 * A direct write that meets a cached page, of somebody who reads just then, is
 * an error of the file. So this reader goes past the cache, too.
 */
static void expect_in_file(uint64_t i, uint64_t version)
{
	char page[LIVE_PAGE] __attribute__((aligned(4096)));

	live_equal(pread(direct, page, LIVE_PAGE, (off_t)(i * LIVE_PAGE)),
		   LIVE_PAGE);
	live_equal(live_verify(page, i, version), -1);
}

/* Only w writes to page i: what it has synced is there, and nothing newer. */
static void stress_own(struct writer *w, uint64_t i)
{
	char *q = shared + i * LIVE_PAGE;

	switch (live_below(&w->seed, 8)) {
	case 0:
	case 1:
	case 2:
		live_fill(q, i, ++w->version[i]);
		break;
	case 3:
		live_ok(sync_pages(q, 1,
				   live_below(&w->seed, 8) ? VVM_SYNC_ASYNC
							   : VVM_SYNC_SYNC));
		expect_in_file(i, w->version[i]);
		break;
	case 4:
		live_ok(vvm_advise(vm, live_addr(q), LIVE_PAGE,
				   VVM_ADV_DONTNEED));
		expect_in_file(i, w->version[i]);
		break;
	default:
		live_equal(live_verify(q, i, w->version[i]), -1);
	}
}

static void *stress(void *arg)
{
	struct writer *w = arg;
	uint64_t mine = STRESS_PAGES / STRESS_THREADS;

	for (uint64_t i = 0; i < STRESS_PAGES; i++)
		w->version[i] = 1;
	for (int n = 0; n < STRESS_OPS; n++)
		stress_own(w,
			   live_below(&w->seed, mine) * STRESS_THREADS + w->id);
	return NULL;
}

static void *sync_all(void *arg)
{
	static const unsigned flags[] = {VVM_SYNC_ASYNC, VVM_SYNC_SYNC,
					 VVM_SYNC_INVALIDATE,
					 VVM_SYNC_ASYNC | VVM_SYNC_INVALIDATE};
	uint64_t seed = 77;

	(void)arg;
	while (!over)
		live_ok(sync_pages(shared, STRESS_PAGES,
				   flags[live_below(&seed, LIVE_LEN(flags))]));
	return NULL;
}

static void *resize(void *arg)
{
	uint64_t seed = 78;
	int rc;

	(void)arg;
	while (!over) {
		rc = vvm_resize(vm, (STRESS_BUDGET - live_below(&seed, 5)) *
					    LIVE_PAGE);
		live_check(rc == 0 || rc == -EBUSY);
		live_nap_us(1000);
	}
	live_ok(vvm_resize(vm, STRESS_BUDGET * LIVE_PAGE));
	return NULL;
}

static void *unmap(void *arg)
{
	(void)arg;
	for (uint64_t version = 2; !over; version++) {
		char *p = map_some(UNMAP_FIRST, UNMAP_PAGES, LIVE_RW);

		for (uint64_t i = 0; i < UNMAP_PAGES; i++)
			live_fill(p + i * LIVE_PAGE, UNMAP_FIRST + i, version);
		live_ok(vvm_unmap(vm, live_addr(p), UNMAP_PAGES * LIVE_PAGE));
		for (uint64_t i = 0; i < UNMAP_PAGES; i++)
			expect_in_file(UNMAP_FIRST + i, version);
	}
	return NULL;
}

static int cut_file;
static char *cut;

static void *cut_short(void *arg)
{
	uint64_t seed = 79;

	(void)arg;
	while (!over) {
		/* no word is cut in two: it would be nobody's */
		uint64_t bytes =
			live_below(&seed, CUT_PAGES * LIVE_PAGE / 8) * 8;

		live_equal(ftruncate(cut_file, (off_t)bytes), 0);
		live_equal(ftruncate(cut_file, CUT_PAGES * (off_t)LIVE_PAGE),
			   0);
		live_ok(sync_pages(cut, CUT_PAGES,
				   VVM_SYNC_ASYNC | VVM_SYNC_INVALIDATE));
	}
	return NULL;
}

static uint64_t cut_stamp(uint64_t page, uint64_t n)
{
	return (page + 1) << 32 | n;
}

/* Where the file has no page just now is SIGBUS. */
static void *write_cut(void *arg)
{
	uint64_t seed = 80;

	(void)arg;
	for (uint64_t n = 0; !over; n++) {
		uint64_t i = live_below(&seed, CUT_PAGES);
		char *at = cut + i * LIVE_PAGE + n % 512 * 8;
		int sig = live_try_store(at, cut_stamp(i, n & 0xffffffff));

		live_check(sig == 0 || sig == SIGBUS);
	}
	return NULL;
}

static void expect_cut(void)
{
	for (uint64_t i = 0; i < CUT_PAGES; i++) {
		uint64_t page[LIVE_PAGE / 8];

		live_equal(read_page(cut_file, i, (char *)page), LIVE_PAGE);
		for (unsigned k = 0; k < LIVE_PAGE / 8; k++)
			if (page[k] && page[k] >> 32 != i + 1)
				live_fail("page %llu has %llx at %u",
					  (unsigned long long)i,
					  (unsigned long long)page[k], k);
	}
}

START_TEST(many_threads_on_few_frames)
{
	static struct writer w[STRESS_THREADS];
	static void *(*const others[])(void *) = {sync_all, resize, unmap,
						  cut_short, write_cut};
	pthread_t other[LIVE_LEN(others)];
	struct live_sampler s;

	direct = open(live_path("file"), O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (direct < 0)
		direct = dup(file);
	cut_file = make_file("cut", 0, 0);
	live_equal(ftruncate(cut_file, CUT_PAGES * (off_t)LIVE_PAGE), 0);
	live_ok(map_fd(cut_file, 0, CUT_PAGES, LIVE_RW, &cut));
	shared = map_some(0, STRESS_PAGES, LIVE_RW);
	over = false;
	live_ok(vvm_resize(vm, STRESS_BUDGET * LIVE_PAGE));
	live_sampler_start(&s, STRESS_BUDGET);
	for (unsigned t = 0; t < STRESS_THREADS; t++) {
		w[t].id = t;
		w[t].seed = t + 1;
		live_equal(pthread_create(&w[t].thread, NULL, stress, &w[t]),
			   0);
	}
	for (unsigned t = 0; t < LIVE_LEN(others); t++)
		live_equal(pthread_create(&other[t], NULL, others[t], NULL), 0);
	for (unsigned t = 0; t < STRESS_THREADS; t++)
		pthread_join(w[t].thread, NULL);
	over = true;
	for (unsigned t = 0; t < LIVE_LEN(others); t++)
		pthread_join(other[t], NULL);
	live_check(live_sampler_stop(&s) <= STRESS_BUDGET);
	live_ok(vvm_unmap(vm, live_addr(cut), CUT_PAGES * LIVE_PAGE));
	live_ok(vvm_unmap(vm, live_addr(shared), STRESS_PAGES * LIVE_PAGE));
	expect_cut();
	for (uint64_t i = 0; i < STRESS_PAGES; i++)
		expect_in_file(i, w[i % STRESS_THREADS].version[i]);
	live_equal(file_bytes(file), BYTES);
	close(cut_file);
	close(direct);
}
END_TEST

/* ---- kill -9 ---- */

#define KILL_THREADS 8
#define KILL_PAGES   96
#define KILL_BUDGET  12
#define KILL_MOMENT  60000 /* us, of the longest life */

/* What the parent knows, by page: versions. */
struct known {
	_Atomic uint64_t begun[KILL_PAGES], promised[KILL_PAGES];
	_Atomic uint64_t syncs;
};

static struct known *known;

static uint64_t kill_word(uint64_t page, uint64_t version, uint64_t k)
{
	return (page + 1) << 48 | version << 16 | k;
}

static void kill_write(uint64_t i, uint64_t version)
{
	volatile uint64_t *w = (uint64_t *)(shared + i * LIVE_PAGE);

	known->begun[i] = version;
	for (uint64_t k = 0; k < LIVE_PAGE / 8; k++)
		w[k] = kill_word(i, version, k);
}

static void *kill_thread(void *arg)
{
	uint64_t id = (uint64_t)(uintptr_t)arg, seed = id + live_now_ms(),
		 version[KILL_PAGES] = {0};

	for (;;) {
		uint64_t i = live_below(&seed, KILL_PAGES / KILL_THREADS) *
				     KILL_THREADS +
			     id;

		kill_write(i, ++version[i]);
		if (live_below(&seed, 6))
			continue;
		live_ok(sync_pages(shared + i * LIVE_PAGE, 1,
				   live_below(&seed, 4) ? VVM_SYNC_ASYNC
							: VVM_SYNC_SYNC));
		known->promised[i] = version[i];
		known->syncs++;
	}
	return NULL;
}

/* Until it is killed. */
static int live_to_be_killed(void *arg)
{
	pthread_t thread;

	(void)arg;
	live_catch();
	vm = live_open(KILL_BUDGET);
	shared = map_some(0, KILL_PAGES, LIVE_RW);
	for (uint64_t t = 0; t < KILL_THREADS; t++)
		live_equal(pthread_create(&thread, NULL, kill_thread,
					  (void *)(uintptr_t)t),
			   0);
	for (;;)
		pause();
	return 0;
}

/* Words that were written to their places, and none older than was promised. */
static void expect_after_kill(uint64_t i)
{
	uint64_t page[LIVE_PAGE / 8], promised = known->promised[i],
				      begun = known->begun[i];

	live_equal(read_page(file, i, (char *)page), LIVE_PAGE);
	for (uint64_t k = 0; k < LIVE_PAGE / 8; k++) {
		uint64_t version = page[k] >> 16 & 0xffffffff;

		live_check(version >= promised && version <= begun);
		live_check(page[k] == (version ? kill_word(i, version, k) : 0));
	}
}

static void kill_once(uint64_t *seed)
{
	long moment_us = (long)live_below(seed, KILL_MOMENT);
	pid_t pid;

	memset(known, 0, sizeof(*known));
	live_equal(ftruncate(file, 0), 0);
	live_equal(ftruncate(file, KILL_PAGES * (off_t)LIVE_PAGE), 0);
	pid = live_fork(live_to_be_killed, NULL);
	live_wait(known->begun[0], 20000);
	live_nap_us(moment_us);
	live_equal(kill(pid, SIGKILL), 0);
	live_check(WIFSIGNALED(live_status(pid)));
	live_equal(file_bytes(file), KILL_PAGES * LIVE_PAGE);
	for (uint64_t i = 0; i < KILL_PAGES; i++)
		expect_after_kill(i);
}

START_TEST(after_a_kill_the_file_has_what_was_promised)
{
	long rounds = live_setting("SHARED_KILLS", 6);
	uint64_t seed = (uint64_t)live_setting("SHARED_SEED", 1), syncs = 0;

	known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	live_check(known != MAP_FAILED);
	file = open(live_path("killed"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	live_check(file >= 0);
	for (long n = 0; n < rounds; n++) {
		kill_once(&seed);
		syncs += known->syncs;
	}
	live_check(syncs > 0);
	close(file);
	munmap(known, sizeof(*known));
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "content");

	tcase_add_loop_test(tc, what_was_changed_is_in_the_file_after_a_sync, 0,
			    2);
	tcase_add_test(tc, it_gets_there_when_it_is_evicted);
	tcase_add_test(tc, any_page_may_be_the_first);
	tcase_add_test(tc, zeros_are_written_like_other_bytes);
	tcase_add_test(tc, a_byte_comes_on_top_of_the_file);
	tcase_add_test(tc, unmapping_writes);
	tcase_add_test(tc, closing_writes);
	tcase_add_test(tc, what_was_not_changed_is_not_written);
	tcase_add_test(tc, dontneed_loses_nothing);
	tcase_add_test(tc, checked_accesses_touches_and_parts);
	tcase_add_test(tc, pinned_pages_are_written_and_stay_dirty);
	tcase_add_test(tc, a_page_that_was_pinned_before_it_was_writable);
	tcase_add_test(tc, with_compressed_pages);
	tc = test_case(s, "end");
	tcase_add_test(tc, behind_the_end_nothing_is_written);
	tcase_add_loop_test(tc, a_file_shrinks_under_changed_pages, 0, 3);
	tcase_add_test(tc, unmapping_a_file_that_has_shrunk);
	tcase_add_test(tc,
		       a_file_that_has_grown_takes_what_is_behind_its_old_end);
	tc = test_case(s, "others");
	tcase_add_test(tc, invalidate_reads_the_file_again);
	tcase_add_test(tc, invalidate_forgets_what_was_read_ahead);
	tc = test_case(s, "calls");
	tcase_add_test(tc, permissions_of_the_descriptor);
	tcase_add_test(tc, a_descriptor_that_appends);
	tcase_add_test(tc, sync_refuses_bad_arguments);
	tcase_add_test(tc, holes_are_told_of_and_the_rest_is_synced);
	tcase_add_test(tc, other_regions_are_left_alone);
	tcase_add_test(tc, several_files_in_one_call);
	tcase_add_test(tc, no_call_is_a_cancellation_point);
	tc = test_case(s, "errors");
	tcase_add_test(tc, a_failing_write_is_told_of_and_costs_nothing);
	tcase_add_test(tc, after_an_error_the_rest_is_synced);
	tcase_add_test(tc, reclaim_lives_with_a_file_that_cannot_be_written);
	tcase_add_test(tc, unmapping_what_cannot_be_written_is_counted);
	tc = test_case(s, "cache");
	tcase_add_test(tc, nothing_stays_in_the_page_cache);
	tcase_add_test(tc, a_file_in_memory);
	tc = test_case(s, "fork");
	tcase_add_test(tc, locks_are_kept_while_a_file_is_mapped);
	if (!LIVE_TSAN) /* "dup thread": a new one has an old one's stack */
		tcase_add_loop_test(tc, children_have_no_part_in_it, 0, 2);
	tc = test_case(s, "stress");
	tcase_add_test(tc, many_threads_on_few_frames);
	test_limit(tc, 300);
	tc = test_case_with(s, "kill", NULL, NULL);
	tcase_add_test(tc, after_a_kill_the_file_has_what_was_promised);
	test_limit(tc, 1200);
}

const struct test_program test_program = {
	.name = "api_shared",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
