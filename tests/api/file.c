/* SPDX-License-Identifier: MIT */
/*
 * api/file.c - mapped files: what their pages read as, when they are read and
 * written, what a file that changes does, and every documented error.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
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
#define WORDS  (LIVE_PAGE / sizeof(uint64_t))

static int file;

/* Page i of the file. */
static void file_page(uint64_t i, void *page)
{
	live_fill(page, i + 1, 1);
}

static int make_file(const char *name, uint64_t pages, uint64_t tail)
{
	char page[LIVE_PAGE];
	int fd = open(live_path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	live_check(fd >= 0);
	for (uint64_t i = 0; i <= pages; i++) {
		size_t n = i < pages ? LIVE_PAGE : tail;

		file_page(i, page);
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
			      from * LIVE_PAGE, VVM_FILE_PRIVATE);

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

static bool is_file_page(const char *p, uint64_t i)
{
	char page[LIVE_PAGE];

	file_page(i, page);
	if (i == PAGES)
		memset(page + TAIL, 0, LIVE_PAGE - TAIL);
	return memcmp(p, page, LIVE_PAGE) == 0;
}

/* Byte i of page i. */
static char page_byte(uint64_t i)
{
	char page[LIVE_PAGE];

	file_page(i, page);
	return page[i];
}

/* Has everything of the file evicted, by what needs all frames. */
static void push_out(const char *p, uint64_t pages)
{
	uint64_t others = 4 * BUDGET;
	char *other = live_map(vm, others, LIVE_RW);

	live_push_out(vm, p, pages, other, others);
	live_ok(vvm_unmap(vm, live_addr(other), others * LIVE_PAGE));
}

static uint64_t load(const char *p)
{
	uint64_t value = 0;

	live_equal(live_try_load(p, &value), 0);
	return value;
}

/* ---- content ---- */

START_TEST(pages_are_those_of_the_file)
{
	char *p = map_some(0, PAGES + 1, VVM_READ);
	struct vvm_stats st;
	uint64_t seed = 1;

	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
	for (int n = 0; n < 1000; n++) {
		uint64_t i = live_below(&seed, PAGES + 1);

		live_check(is_file_page(p + i * LIVE_PAGE, i));
	}
	st = live_idle_stats(vm);
	live_equal(st.swapped_pages, 0);
	live_equal(st.swap_used_pages, 0);
	live_equal(st.dirty_pages, 0);
	if (TEST_STATS) {
		live_check(st.swapin_pages > PAGES);
		live_equal(st.swapout_pages, 0);
		live_equal(st.packed_pages, 0);
	}
}
END_TEST

START_TEST(any_page_may_be_the_first)
{
	char *p = map_some(17, 40, LIVE_RW), *q = map_some(PAGES, 1, VVM_READ);

	for (uint64_t i = 40; i-- > 0;)
		live_check(is_file_page(p + i * LIVE_PAGE, 17 + i));
	live_check(is_file_page(q, PAGES));
}
END_TEST

START_TEST(a_stream_reads_many_pages_at_once)
{
	char *p = map_some(0, PAGES + 1, VVM_READ);
	struct vvm_stats st;

	live_ok(vvm_resize(vm, 4 * PAGES * LIVE_PAGE));
	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
	st = live_idle_stats(vm);
	live_check(st.swapin_pages > PAGES);
	live_check(st.swapin_reads < PAGES / 2);
}
END_TEST

START_TEST(willneed_reads_what_nobody_has_touched)
{
	char *p = map_some(0, PAGES, VVM_READ);

	live_ok(vvm_advise(vm, live_addr(p), PAGES * LIVE_PAGE,
			   VVM_ADV_WILLNEED));
	live_wait(live_count_flags(vm, p, PAGES, VVM_PAGE_RESIDENT) > 4, 10000);
}
END_TEST

START_TEST(a_changed_page_is_the_space_s_own)
{
	char *p = map_some(0, PAGES + 1, LIVE_RW), page[LIVE_PAGE];

	for (uint64_t i = 0; i <= PAGES; i += 3)
		live_fill(p + i * LIVE_PAGE, i, 2);
	memset(p + LIVE_PAGE, 0, LIVE_PAGE); /* needs no slot, and no file */
	push_out(p, PAGES + 1);
	live_check(live_flags(vm, p) == VVM_PAGE_SWAPPED);
	live_check(live_flags(vm, p + LIVE_PAGE) == 0);
	live_check(live_flags(vm, p + 2 * LIVE_PAGE) == 0);
	live_check(live_is_zero(p + LIVE_PAGE));
	for (uint64_t i = 0; i <= PAGES; i++) {
		const char *q = p + i * LIVE_PAGE;

		if (i % 3 == 0)
			live_equal(live_verify(q, i, 2), -1);
		else if (i != 1)
			live_check(is_file_page(q, i));
		live_equal(pread(file, page, LIVE_PAGE, (off_t)(i * LIVE_PAGE)),
			   i < PAGES ? LIVE_PAGE : TAIL);
		live_check(i == PAGES || is_file_page(page, i));
	}
}
END_TEST

/* A byte of a page: the others come from the file. */
START_TEST(a_write_comes_on_top_of_the_file)
{
	char *p = map_some(0, PAGES, LIVE_RW), page[LIVE_PAGE];

	for (uint64_t i = 0; i < PAGES; i++)
		p[i * LIVE_PAGE + i] = (char)i;
	for (uint64_t i = 0; i < PAGES; i++) {
		file_page(i, page);
		page[i] = (char)i;
		live_check(memcmp(p + i * LIVE_PAGE, page, LIVE_PAGE) == 0);
	}
}
END_TEST

START_TEST(dontneed_gives_the_file_back)
{
	char *p = map_some(0, PAGES, LIVE_RW);

	for (uint64_t i = 0; i < PAGES; i++)
		live_fill(p + i * LIVE_PAGE, i, 3);
	memset(p, 0, LIVE_PAGE);
	live_ok(vvm_advise(vm, live_addr(p), 100 * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	for (uint64_t i = 0; i < 100; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
	for (uint64_t i = 100; i < PAGES; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 3), -1);
}
END_TEST

/* Only what is in the swap is kept compressed: the file has the others. */
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
	for (int round = 0; round < 4; round++)
		for (uint64_t i = 0; i < PAGES; i++)
			live_check(is_file_page(p + i * LIVE_PAGE, i));
	if (TEST_STATS)
		live_equal(live_idle_stats(vm).packed_pages, 0);
	for (int round = 0; round < 4; round++)
		for (uint64_t i = 0; i < PAGES; i++) {
			char *q = p + i * LIVE_PAGE;

			live_equal(q[i], round && i % 2 ? 'x' : page_byte(i));
			if (i % 2)
				q[i] = 'x';
		}
}
END_TEST

/* ---- the end of the file ---- */

static void expect_past_end(char *p)
{
	uint64_t value;

	live_equal(live_try_load(p, &value), SIGBUS);
	live_check(live_signal_addr == p);
	live_expect(vvm_load(vm, live_addr(p), &value, sizeof(value)),
		    -VVM_EPOISON);
}

START_TEST(past_the_end_is_sigbus)
{
	char *p = map_some(PAGES - 3, 600, LIVE_RW);

	live_equal(live_try_store(p + 4 * LIVE_PAGE, 1), SIGBUS);
	for (uint64_t i = 4; i < 600; i += 50)
		expect_past_end(p + i * LIVE_PAGE);
	for (uint64_t i = 0; i < 4; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, PAGES - 3 + i));
	live_expect(
		vvm_touch(vm, live_addr(p), 600 * LIVE_PAGE, VVM_TOUCH_READ),
		-VVM_EPOISON);
	live_ok(vvm_unmap(vm, live_addr(p), 600 * LIVE_PAGE));
	live_equal(live_idle_stats(vm).resident_pages, 0);
}
END_TEST

START_TEST(nothing_of_an_empty_file_is_there)
{
	int fd = make_file("empty", 0, 0);
	char *p;

	live_ok(map_fd(fd, 0, 4, LIVE_RW, &p));
	expect_past_end(p);
	live_ok(map_fd(fd, (uint64_t)1 << 40, 4, LIVE_RW, &p));
	expect_past_end(p + 3 * LIVE_PAGE);
	close(fd);
}
END_TEST

START_TEST(a_file_shrinks_and_grows)
{
	char *p = map_some(0, PAGES, LIVE_RW), page[LIVE_PAGE];

	p[20 * LIVE_PAGE] = 1;
	live_check(is_file_page(p + 10 * LIVE_PAGE, 10));
	push_out(p, PAGES);
	live_equal(ftruncate(file, 10 * (off_t)LIVE_PAGE + 8), 0);
	file_page(10, page);
	live_check(memcmp(p + 10 * LIVE_PAGE, page, 8) == 0);
	live_equal(load(p + 10 * LIVE_PAGE + 8), 0); /* the tail's rest */
	live_check(is_file_page(p + 9 * LIVE_PAGE, 9));
	expect_past_end(p + 11 * LIVE_PAGE);
	live_equal(p[20 * LIVE_PAGE], 1); /* it is ours */
	file_page(11, page);
	live_equal(pwrite(file, page, LIVE_PAGE, 11 * (off_t)LIVE_PAGE),
		   LIVE_PAGE);
	expect_past_end(p + 11 * LIVE_PAGE);
	live_ok(vvm_advise(vm, live_addr(p), 12 * LIVE_PAGE, VVM_ADV_DONTNEED));
	live_check(is_file_page(p + 11 * LIVE_PAGE, 11));
}
END_TEST

/* What others write is seen when a page is read the next time. */
START_TEST(a_file_that_is_written_to)
{
	char *p = map_some(0, PAGES, VVM_READ), page[LIVE_PAGE];

	live_check(is_file_page(p + 5 * LIVE_PAGE, 5));
	live_fill(page, 77, 7);
	live_equal(pwrite(file, page, LIVE_PAGE, 5 * (off_t)LIVE_PAGE),
		   LIVE_PAGE);
	push_out(p, PAGES);
	live_equal(live_verify(p + 5 * LIVE_PAGE, 77, 7), -1);
}
END_TEST

/* ---- the calls ---- */

static int map_with(uint64_t addr, uint64_t len, unsigned prot, int fd,
		    uint64_t offset, unsigned flags)
{
	uint64_t at = addr;
	int rc = vvm_map_file(vm, &at, len, prot, NULL, fd, offset, flags);

	live_equal(at, addr);
	return rc;
}

START_TEST(refuses_bad_arguments)
{
	uint64_t max = INT64_MAX & ~(LIVE_PAGE - 1);
	int only = open(live_path("file"), O_WRONLY | O_CLOEXEC), path,
	    pipes[2];
	struct vvm_stats st;
	int fds;

	live_equal(pipe(pipes), 0);
	path = open(live_path("file"), O_PATH | O_CLOEXEC);
	live_check(only >= 0 && path >= 0);
	fds = live_count_fds();
#define REFUSED(error, ...) live_expect(map_with(__VA_ARGS__), error)
	REFUSED(-EINVAL, VVM_ANYWHERE, 0, VVM_READ, file, 0, 1);
	REFUSED(-EINVAL, 100, LIVE_PAGE, VVM_READ, file, 0, 1);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_GUEST + 1, VVM_READ, file, 0, 1);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, 64, file, 0, 1);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, file, 100, 1);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, file, max, 1);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, file, -LIVE_PAGE,
		1);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, file, 0, 0);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, file, 0, 4);
	REFUSED(-EINVAL, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, file, 0, 3);
	REFUSED(-EBADF, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, -1, 0, 1);
	REFUSED(-EBADF, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, 900, 0, 1);
	REFUSED(-EBADF, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, path, 0, 1);
	REFUSED(-EACCES, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, only, 0, 1);
	REFUSED(-ENODEV, VVM_ANYWHERE, LIVE_PAGE, VVM_READ, pipes[0], 0, 1);
	live_ok(map_with(LIVE_PAGE, 4 * LIVE_PAGE, VVM_READ, file, 0, 1));
	REFUSED(-EEXIST, LIVE_PAGE, LIVE_PAGE, VVM_READ, file, 0, 1);
	live_expect(vvm_map_file(vm, NULL, LIVE_PAGE, VVM_READ, NULL, file, 0,
				 VVM_FILE_PRIVATE),
		    -EINVAL);
	live_expect(vvm_map_file(NULL, &max, LIVE_PAGE, VVM_READ, NULL, file, 0,
				 VVM_FILE_PRIVATE),
		    -EINVAL);
	st = live_stats(vm);
	live_equal(st.regions, 1);
	live_equal(live_count_fds(), fds + 1);
	live_ok(vvm_unmap(vm, LIVE_PAGE, 4 * LIVE_PAGE));
	live_equal(live_count_fds(), fds);
}
END_TEST

START_TEST(the_descriptor_may_be_closed_and_goes_with_the_last_part)
{
	int mine = dup(file), fds = live_count_fds();
	struct vvm_region r;
	char *p;

	live_ok(map_fd(mine, 0, 8, LIVE_RW, &p));
	live_equal(close(mine), 0);
	live_equal(live_count_fds(), fds);
	live_equal(lseek(file, 0, SEEK_CUR), 0);
	live_ok(vvm_unmap(vm, live_addr(p) + 2 * LIVE_PAGE, LIVE_PAGE));
	live_ok(vvm_unmap(vm, live_addr(p), LIVE_PAGE));
	live_check(is_file_page(p + LIVE_PAGE, 1));
	live_check(is_file_page(p + 7 * LIVE_PAGE, 7));
	live_ok(vvm_query(vm, live_addr(p), &r));
	live_equal(r.start, live_addr(p) + LIVE_PAGE);
	live_ok(vvm_unmap(vm, live_addr(p), 8 * LIVE_PAGE));
	live_equal(live_count_fds(), fds - 1);
}
END_TEST

static void *map_cancelled(void *arg)
{
	atomic_bool *through = arg;
	char *p;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	p = map_some(0, PAGES + 1, LIVE_RW);
	for (uint64_t i = 0; i <= PAGES; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
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

	live_equal(pthread_create(&thread, NULL, map_cancelled, &through), 0);
	live_equal(pthread_join(thread, &result), 0);
	live_check(through && result == PTHREAD_CANCELED);
}
END_TEST

START_TEST(flags_of_the_caller_s_descriptor_stay)
{
	int before = fcntl(file, F_GETFL);

	live_check(is_file_page(map_some(3, 1, VVM_READ), 3));
	live_equal(fcntl(file, F_GETFL), before);
}
END_TEST

START_TEST(a_region_has_the_name_of_the_file)
{
	uint64_t addr = VVM_ANYWHERE;
	struct vvm_region r;

	live_ok(vvm_map_file(vm, &addr, 1, VVM_READ, NULL, file, 0,
			     VVM_FILE_PRIVATE));
	live_ok(vvm_query(vm, addr, &r));
	ck_assert_str_eq(r.name, "file");
	live_equal(r.end - r.start, LIVE_PAGE);
	live_equal(r.prot, VVM_READ);
}
END_TEST

START_TEST(parts_are_unmapped_and_protected)
{
	char *p = map_some(8, 64, VVM_READ);
	uint64_t at = live_addr(p);

	live_equal(live_try_store(p, 1), SIGSEGV);
	live_ok(vvm_protect(vm, at + 10 * LIVE_PAGE, 10 * LIVE_PAGE, LIVE_RW));
	live_equal(live_try_store(p + 9 * LIVE_PAGE, 1), SIGSEGV);
	live_equal(live_try_store(p + 10 * LIVE_PAGE, 1), 0);
	live_ok(vvm_unmap(vm, at + 30 * LIVE_PAGE, LIVE_PAGE));
	live_ok(vvm_advise(vm, at + 40 * LIVE_PAGE, 3 * LIVE_PAGE,
			   VVM_ADV_RANDOM));
	live_ok(vvm_protect(vm, at + 5 * LIVE_PAGE, LIVE_PAGE, VVM_NONE));
	push_out(p + 31 * LIVE_PAGE, 33);
	live_ok(vvm_protect(vm, at, 30 * LIVE_PAGE, VVM_READ)); /* they merge */
	for (uint64_t i = 0; i < 64; i++)
		if (i != 10 && i != 30)
			live_check(is_file_page(p + i * LIVE_PAGE, 8 + i));
	live_equal(load(p + 10 * LIVE_PAGE), 1);
	live_equal(live_try_load(p + 30 * LIVE_PAGE, &at), SIGSEGV);
}
END_TEST

START_TEST(checked_accesses_pins_and_touches)
{
	char *p = map_some(0, 32, LIVE_RW), page[LIVE_PAGE], want[LIVE_PAGE];
	uint64_t at = live_addr(p);

	live_ok(vvm_load(vm, at + 3 * LIVE_PAGE, page, LIVE_PAGE));
	live_check(is_file_page(page, 3));
	live_ok(vvm_store(vm, at + 4 * LIVE_PAGE + 5, "abc", 3));
	file_page(4, want);
	memcpy(want + 5, "abc", 3);
	live_check(memcmp(p + 4 * LIVE_PAGE, want, LIVE_PAGE) == 0);
	live_ok(vvm_touch(vm, at + 5 * LIVE_PAGE, LIVE_PAGE, VVM_TOUCH_READ));
	live_check(is_file_page(p + 5 * LIVE_PAGE, 5));
	live_ok(vvm_pin(vm, at + 6 * LIVE_PAGE, LIVE_PAGE));
	push_out(p + 7 * LIVE_PAGE, 25);
	live_check(live_flags(vm, p + 6 * LIVE_PAGE) & VVM_PAGE_PINNED);
	live_check(is_file_page(p + 6 * LIVE_PAGE, 6));
	live_expect(vvm_advise(vm, at, 32 * LIVE_PAGE, VVM_ADV_DONTNEED),
		    -EBUSY);
	live_ok(vvm_unpin(vm, at + 6 * LIVE_PAGE, LIVE_PAGE));
	live_check(memcmp(p + 4 * LIVE_PAGE, want, LIVE_PAGE) == 0);
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
	p = map_some(0, PAGES, VVM_READ);
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
	live_check(cached_pages(file) <= PAGES / 4);
}
END_TEST

START_TEST(a_file_in_memory)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	char page[LIVE_PAGE], *p;

	for (uint64_t i = 0; i < PAGES; i++) {
		file_page(i, page);
		live_equal(write(fd, page, LIVE_PAGE), LIVE_PAGE);
	}
	live_ok(map_fd(fd, 0, PAGES, LIVE_RW, &p));
	close(fd);
	for (uint64_t i = 0; i < PAGES; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
}
END_TEST

/* Who has written all that he read so far may only read from now on. */
START_TEST(what_is_only_read_takes_no_room_in_the_swap)
{
	const uint64_t changed = PAGES / 2;
	char *p = map_some(0, PAGES, LIVE_RW);

	for (unsigned round = 0; round < 8; round++)
		for (uint64_t i = 0; i < changed; i++) {
			volatile char *at = p + i * LIVE_PAGE;

			*at = (char)(*at + 1);
		}
	for (uint64_t i = changed; i < PAGES; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
	for (uint64_t i = changed; i < changed + 2 * BUDGET; i++)
		live_check(is_file_page(p + i * LIVE_PAGE, i));
	live_check(live_stats(vm).swap_used_pages <= (int64_t)changed);
}
END_TEST

/* ---- fork ---- */

static char *shared;

static void open_with_fork(enum vvm_fork fork)
{
	struct vvm_options o;

	live_ok(vvm_close(vm));
	live_options(&o, BUDGET);
	o.fork = fork;
	live_ok(vvm_open(&vm, &o));
	shared = map_some(0, PAGES + 1, LIVE_RW);
}

static int use_in_child(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i <= PAGES; i++) {
		const char *q = shared + i * LIVE_PAGE;

		if (i % 5 == 0)
			child_check(live_verify(q, i, 4) == -1);
		else
			child_check(is_file_page(q, i));
	}
	for (uint64_t i = 1; i < PAGES; i += 5)
		live_fill(shared + i * LIVE_PAGE, i, 5);
	for (uint64_t i = 0; i < PAGES; i++) {
		const char *q = shared + i * LIVE_PAGE;

		if (i % 5 < 2)
			child_check(live_verify(q, i, 4 + i % 5) == -1);
		else
			child_check(is_file_page(q, i));
	}
	child_expect(vvm_advise(vm, live_addr(shared), PAGES * LIVE_PAGE,
				VVM_ADV_DONTNEED),
		     0);
	child_check(is_file_page(shared, 0));
	child_expect(vvm_close(vm), 0);
	return 0;
}

static int has_a_child(void *arg)
{
	child_check(is_file_page(shared + LIVE_PAGE, 1));
	live_child_ok(use_in_child, arg);
	return 0;
}

START_TEST(children_inherit_the_file)
{
	open_with_fork(VVM_FORK_INHERIT);
	for (uint64_t i = 0; i <= PAGES; i += 5)
		live_fill(shared + i * LIVE_PAGE, i, 4);
	live_child_ok(use_in_child, NULL);
	live_child_ok(has_a_child, NULL);
	for (uint64_t i = 0; i <= PAGES; i++) {
		const char *q = shared + i * LIVE_PAGE;

		if (i % 5 == 0)
			live_equal(live_verify(q, i, 4), -1);
		else
			live_check(is_file_page(q, i));
	}
}
END_TEST

/* How many descriptors of the process are of the file. */
static int open_here(int fd)
{
	struct stat want, st;
	int n = 0;

	if (fstat(fd, &want) < 0)
		return -1;
	for (int i = 0; i < 1024; i++)
		n += fstat(i, &st) == 0 && st.st_ino == want.st_ino &&
		     st.st_dev == want.st_dev;
	return n;
}

static int count_in_child(void *arg)
{
	(void)arg;
	return open_here(file);
}

START_TEST(children_that_do_not_inherit_have_no_descriptor)
{
	open_with_fork(VVM_FORK_DIE);
	live_check(is_file_page(shared, 0));
	live_equal(open_here(file), 2);
	live_equal(WEXITSTATUS(live_child(count_in_child, NULL)), 1);
	live_check(is_file_page(shared + LIVE_PAGE, 1));
	live_ok(vvm_unmap(vm, live_addr(shared), (PAGES + 1) * LIVE_PAGE));
	live_equal(open_here(file), 1);
	live_equal(WEXITSTATUS(live_child(count_in_child, NULL)), 1);
}
END_TEST

/* ---- many threads on few frames ---- */

#define STRESS_THREADS 8
#define STRESS_OPS     1500
#define STRESS_BUDGET  24

struct writer {
	pthread_t thread;
	unsigned id;
	uint64_t seed;
	uint64_t version[PAGES]; /* of its own pages; 0: as in the file */
};

/*
 * Page i has an owner when i is odd, who alone writes to it; the others are never
 * written to, and read by all.
 */
static void stress_own(struct writer *w, uint64_t i)
{
	char *q = shared + i * LIVE_PAGE;

	switch (live_below(&w->seed, 4)) {
	case 0:
		live_fill(q, i + 1000, ++w->version[i]);
		break;
	case 1:
		live_ok(vvm_advise(vm, live_addr(q), LIVE_PAGE,
				   VVM_ADV_DONTNEED));
		w->version[i] = 0;
		break;
	default:
		if (w->version[i])
			live_equal(live_verify(q, i + 1000, w->version[i]), -1);
		else
			live_check(is_file_page(q, i));
	}
}

/* An odd page near i, of w. */
static uint64_t own_page(const struct writer *w, uint64_t i)
{
	uint64_t group = i / 2 / STRESS_THREADS;

	group = group < PAGES / 2 / STRESS_THREADS ? group : 0;
	return (group * STRESS_THREADS + w->id) * 2 + 1;
}

static void *stress(void *arg)
{
	struct writer *w = arg;

	for (int n = 0; n < STRESS_OPS; n++) {
		uint64_t i = live_below(&w->seed, PAGES);

		if (i % 2 == 0)
			live_check(is_file_page(shared + i * LIVE_PAGE, i));
		else
			stress_own(w, own_page(w, i));
	}
	return NULL;
}

START_TEST(many_threads_on_few_frames)
{
	static struct writer w[STRESS_THREADS];
	struct live_sampler s;

	shared = map_some(0, PAGES + 1, LIVE_RW);
	live_ok(vvm_resize(vm, STRESS_BUDGET * LIVE_PAGE));
	live_sampler_start(&s, STRESS_BUDGET);
	for (unsigned t = 0; t < STRESS_THREADS; t++) {
		w[t].id = t;
		w[t].seed = t + 1;
		live_equal(pthread_create(&w[t].thread, NULL, stress, &w[t]),
			   0);
	}
	for (unsigned t = 0; t < STRESS_THREADS; t++)
		pthread_join(w[t].thread, NULL);
	live_check(live_sampler_stop(&s) <= STRESS_BUDGET);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "content");

	tcase_add_test(tc, pages_are_those_of_the_file);
	tcase_add_test(tc, any_page_may_be_the_first);
	test_counted(tc, a_stream_reads_many_pages_at_once);
	tcase_add_test(tc, willneed_reads_what_nobody_has_touched);
	tcase_add_test(tc, a_changed_page_is_the_space_s_own);
	tcase_add_test(tc, a_write_comes_on_top_of_the_file);
	tcase_add_test(tc, dontneed_gives_the_file_back);
	tcase_add_test(tc, with_compressed_pages);
	tc = test_case(s, "end");
	tcase_add_test(tc, past_the_end_is_sigbus);
	tcase_add_test(tc, nothing_of_an_empty_file_is_there);
	tcase_add_test(tc, a_file_shrinks_and_grows);
	tcase_add_test(tc, a_file_that_is_written_to);
	tc = test_case(s, "calls");
	tcase_add_test(tc, refuses_bad_arguments);
	tcase_add_test(
		tc, the_descriptor_may_be_closed_and_goes_with_the_last_part);
	tcase_add_test(tc, no_call_is_a_cancellation_point);
	tcase_add_test(tc, flags_of_the_caller_s_descriptor_stay);
	tcase_add_test(tc, a_region_has_the_name_of_the_file);
	tcase_add_test(tc, parts_are_unmapped_and_protected);
	tcase_add_test(tc, checked_accesses_pins_and_touches);
	tc = test_case(s, "cache");
	tcase_add_test(tc, nothing_stays_in_the_page_cache);
	tcase_add_test(tc, a_file_in_memory);
	test_counted(tc, what_is_only_read_takes_no_room_in_the_swap);
	tc = test_case(s, "fork");
	tcase_add_test(tc, children_inherit_the_file);
	tcase_add_test(tc, children_that_do_not_inherit_have_no_descriptor);
	tc = test_case(s, "stress");
	tcase_add_test(tc, many_threads_on_few_frames);
	test_limit(tc, 300);
}

const struct test_program test_program = {
	.name = "api_file",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.missing = live_missing,
	.modes = true,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
