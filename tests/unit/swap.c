/* SPDX-License-Identifier: MIT */
/*
 * unit/swap.c - the swap file, each way of transfer: the loop index is
 * 0 system calls (no ring), 1 the ring's twin, 2 io_uring.
 *
 * The files are made in a directory of $TMPDIR or /var/tmp that is removed
 * at the end, which fails, and says so, if an unlinked file was not.
 */
#include "swap/swap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/log.h"
#include "os/os.h"
#include "support/test.h"
#include "support/wait.h"
#include "support/ways.h"

#define MIB ((uint64_t)1 << 20)
/*
 * The longest transfer. Only io_uring needs a bound: the other ways wait
 * inside of a system call, for as long as the disk takes.
 */
#define PATIENCE_US ((int64_t)wait_scaled(20000000))

static char dir[256], path[300];
static struct conf conf;
static struct backing *swap;
static struct ring *ring;
static char out[IO_MAX_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static char in[IO_MAX_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

struct test_io {
	struct io io;
	int calls, result;
};

/* ---- set-up ---- */

static void make_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	log_set_level(LOG_NONE);
	snprintf(dir, sizeof(dir), "%s/vvm-check-swap.XXXXXX",
		 tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/file", dir);
}

/* Before each test: its predecessor may have died half way. */
static void remove_file(void)
{
	unlink(path);
}

static void remove_dir(void)
{
	remove_file();
	if (rmdir(dir))
		perror(dir);
}

static void use_path(const char *where, uint64_t limit)
{
	conf_defaults(&conf);
	snprintf(conf.swap_path, sizeof(conf.swap_path), "%s", where);
	conf.swap_limit_bytes = limit;
}

static void open_swap(const char *where, uint64_t limit)
{
	use_path(where, limit);
	ck_assert_int_eq(swap_open(&swap, &conf), 0);
}

static void close_all(void)
{
	if (ring)
		ring_close(ring);
	swap->ops->close(swap);
}

static struct backing_stat stat_now(void)
{
	struct backing_stat st;

	swap->ops->stat(swap, &st);
	return st;
}

static off_t file_bytes(void)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

/* ---- transfers ---- */

static void io_done(struct io *io, int result)
{
	struct test_io *t = container_of(io, struct test_io, io);

	t->calls++;
	t->result = result;
}

static int transfer(struct test_io *t, bool write)
{
	t->io.done = io_done;
	t->calls = 0;
	if (write)
		swap->ops->write(swap, ring, &t->io);
	else
		swap->ops->read(swap, ring, &t->io);
	while (ring && ring_inflight(ring))
		ck_assert_int_gt(ring_run(ring, PATIENCE_US), 0);
	ck_assert_int_eq(t->calls, 1);
	return t->result;
}

static int write_pages(struct test_io *t, uint64_t slot, unsigned pages,
		       gaddr_t addr)
{
	*t = (struct test_io){
		.io = {.addr = addr, .slot = slot, .pages = pages, .buf = out}};
	return transfer(t, true);
}

static int read_pages(struct test_io *t, uint64_t slot, unsigned pages,
		      gaddr_t addr)
{
	*t = (struct test_io){
		.io = {.addr = addr, .slot = slot, .pages = pages, .buf = in}};
	memset(in, 0xee, pages_to_bytes(pages));
	return transfer(t, false);
}

static void fill_out(unsigned pages)
{
	unsigned i;

	for (i = 0; i < pages; i++)
		memset(out + pages_to_bytes(i), (int)(i * 7 + 1), PAGE_BYTES);
}

static unsigned count_bad(const struct io *io)
{
	unsigned i, n = 0;

	for (i = 0; i < io->pages; i++)
		n += io_page_bad(io, i);
	return n;
}

static uint64_t take(uint64_t want)
{
	uint64_t first, got;

	ck_assert_int_eq(swap->ops->take(swap, want, &first, &got), 0);
	ck_assert_uint_eq(got, want);
	return first;
}

/* Takes n slots and writes pages 1.. of fill_out() to them. */
static uint64_t take_and_write(unsigned n, gaddr_t addr)
{
	struct test_io t;
	uint64_t slot = take(n);

	fill_out(n);
	ck_assert_int_eq(write_pages(&t, slot, n, addr), 0);
	return slot;
}

static void spoil(uint64_t slot)
{
	int fd = open(path, O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
		pwrite(fd, "spoilt", 6, (off_t)pages_to_bytes(slot) + 100), 6);
	fsync(fd); /* past the page cache, where O_DIRECT finds it */
	close(fd);
}

START_TEST(what_is_written_is_read)
{
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take_and_write(IO_MAX_PAGES, 0x7000000);
	ck_assert_uint_ge(slot, 1);
	ck_assert_int_eq(read_pages(&t, slot, IO_MAX_PAGES, 0x7000000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
	/* one page of the middle, by itself */
	ck_assert_int_eq(read_pages(&t, slot + 9, 1, 0x7009000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	ck_assert_int_eq(memcmp(in, out + 9 * PAGE_BYTES, PAGE_BYTES), 0);
	close_all();
}
END_TEST

START_TEST(transfers_are_counted)
{
	struct backing_stat st;
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 64 * MIB);
	ring = way_open(_i);
	slot = take_and_write(4, 0x1000);
	ck_assert_int_eq(read_pages(&t, slot, 3, 0x1000), 0);
	st = stat_now();
	ck_assert_uint_eq(st.writes, 1);
	ck_assert_uint_eq(st.written_bytes, 4 * PAGE_BYTES);
	ck_assert_uint_eq(st.reads, 1);
	ck_assert_uint_eq(st.read_bytes, 3 * PAGE_BYTES);
	ck_assert_uint_eq(st.slots_used, 4);
	ck_assert_uint_eq(st.slots_limit, 64 * MIB / PAGE_BYTES);
	ck_assert_uint_eq(st.read_errors + st.write_errors +
				  st.checksum_errors + st.retries,
			  0);
	close_all();
}
END_TEST

START_TEST(a_page_from_the_wrong_place_is_bad)
{
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take_and_write(4, 0x10000);
	ck_assert_int_eq(read_pages(&t, slot, 4, 0x20000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 4);
	ck_assert_int_eq(read_pages(&t, slot + 1, 2, 0x11000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	close_all();
}
END_TEST

/* Victims of one block share a write without being neighbours. */
START_TEST(pages_need_not_be_neighbours)
{
	static const uint16_t order[] = {3, 100, 7};
	struct test_io t = {.io = {.addr = 0x200000,
				   .order = order,
				   .pages = 3,
				   .buf = out}};
	unsigned i;

	open_swap(dir, 0);
	ring = way_open(_i);
	fill_out(3);
	t.io.slot = take(3);
	ck_assert_int_eq(transfer(&t, true), 0);
	t.io.buf = in;
	ck_assert_int_eq(transfer(&t, false), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	for (i = 0; i < 3; i++) {
		read_pages(&t, t.io.slot + (i > 0), 1,
			   0x200000 + pages_to_bytes(order[i]));
		ck_assert_uint_eq(count_bad(&t.io), 0);
	}
	close_all();
}
END_TEST

START_TEST(a_corrupted_page_is_bad_and_its_neighbours_are_not)
{
	struct backing_stat st;
	struct test_io t;
	uint64_t slot;

	open_swap(path, 0);
	ring = way_open(_i);
	slot = take_and_write(70, 0x10000);
	spoil(slot + 65);
	ck_assert_int_eq(read_pages(&t, slot, 70, 0x10000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 1);
	ck_assert(io_page_bad(&t.io, 65));
	ck_assert_int_eq(memcmp(in, out, 65 * PAGE_BYTES), 0);
	st = stat_now();
	ck_assert_uint_eq(st.retries, 2);
	ck_assert_uint_eq(st.checksum_errors, 4); /* 3 tries, 1 by itself */
	close_all();
}
END_TEST

START_TEST(a_read_that_fails_twice_succeeds)
{
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take_and_write(4, 0x10000);
	os_inject_clear();
	os_inject(OS_pread, 1, false, EIO);
	ck_assert_int_eq(read_pages(&t, slot, 4, 0x10000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	ck_assert_int_eq(memcmp(in, out, 4 * PAGE_BYTES), 0);
	ck_assert_uint_eq(stat_now().read_errors, 1);
	ck_assert_uint_eq(stat_now().retries, 1);
	os_inject_clear();
	close_all();
}
END_TEST

/* However often the same buffer was read into before. */
START_TEST(each_read_has_tries_of_its_own)
{
	uint64_t slot, i;
	struct test_io t;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take_and_write(4, 0x10000);
	ck_assert_int_eq(read_pages(&t, slot, 4, 0x10000), 0);
	for (i = 1; i <= 4; i++) {
		os_inject_clear();
		os_inject(OS_pread, 1, false, EIO);
		ck_assert_int_eq(transfer(&t, false), 0);
		ck_assert_uint_eq(count_bad(&t.io), 0);
		ck_assert_uint_eq(stat_now().retries, i);
	}
	os_inject_clear();
	close_all();
}
END_TEST

START_TEST(a_read_that_always_fails_is_an_error)
{
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take_and_write(4, 0x10000);
	os_inject(OS_pread, 1, true, EIO);
	ck_assert_int_eq(read_pages(&t, slot, 4, 0x10000), -EIO);
	ck_assert_uint_eq(count_bad(&t.io), 4);
	ck_assert_uint_eq(stat_now().read_errors, 3 + 4);
	os_inject_clear();
	ck_assert_int_eq(read_pages(&t, slot, 4, 0x10000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	close_all();
}
END_TEST

/* A file cut short under us: the head is read, the tail is bad. */
START_TEST(one_bad_sector_costs_one_page)
{
	struct test_io t;
	uint64_t slot;

	open_swap(path, 0);
	ring = way_open(_i);
	slot = take_and_write(8, 0x10000);
	ck_assert_int_eq(truncate(path, (off_t)pages_to_bytes(slot + 6)), 0);
	ck_assert_int_eq(read_pages(&t, slot, 8, 0x10000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 2);
	ck_assert(io_page_bad(&t.io, 6) && io_page_bad(&t.io, 7));
	ck_assert_int_eq(memcmp(in, out, 6 * PAGE_BYTES), 0);
	close_all();
}
END_TEST

START_TEST(a_failed_write_is_reported)
{
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take(4);
	os_inject_clear();
	os_inject(OS_pwrite, 1, false, ENOSPC);
	ck_assert_int_eq(write_pages(&t, slot, 4, 0x1000), -ENOSPC);
	ck_assert_uint_eq(stat_now().write_errors, 1);
	ck_assert_int_eq(write_pages(&t, slot, 4, 0x1000), 0);
	os_inject_clear();
	close_all();
}
END_TEST

START_TEST(an_interrupted_write_is_repeated)
{
	struct test_io t;
	uint64_t slot;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take(4);
	os_inject_clear();
	os_inject(OS_pwrite, 1, false, EAGAIN);
	ck_assert_int_eq(write_pages(&t, slot, 4, 0x1000), 0);
	os_inject_clear();
	os_inject(OS_pwrite, 1, true, EAGAIN);
	ck_assert_int_eq(write_pages(&t, slot, 4, 0x1000), -EAGAIN);
	os_inject_clear();
	close_all();
}
END_TEST

/* More transfers than the ring is deep, from one go. */
START_TEST(many_at_once)
{
	enum { N = 100 };
	static struct test_io t[N];
	uint64_t slot;
	int i;

	open_swap(dir, 0);
	ring = way_open(_i);
	slot = take_and_write(N, 0);
	for (i = 0; i < N; i++) {
		t[i] = (struct test_io){
			.io = {.done = io_done,
			       .addr = pages_to_bytes((uint64_t)i),
			       .slot = slot + (uint64_t)i,
			       .pages = 1,
			       .buf = in + pages_to_bytes((uint64_t)i)},
		};
		swap->ops->read(swap, ring, &t[i].io);
	}
	while (ring && ring_inflight(ring))
		ck_assert_int_gt(ring_run(ring, PATIENCE_US), 0);
	for (i = 0; i < N; i++)
		ck_assert(t[i].calls == 1 && t[i].result == 0 &&
			  !io_page_bad(&t[i].io, 0));
	ck_assert_int_eq(memcmp(in, out, pages_to_bytes(N)), 0);
	close_all();
}
END_TEST

/* ---- slots and growth ---- */

START_TEST(full_at_the_limit)
{
	uint64_t first, got;

	open_swap(dir, 100 * PAGE_BYTES);
	ck_assert_uint_eq(stat_now().slots_limit, 100);
	take(60);
	ck_assert_int_eq(swap->ops->take(swap, 60, &first, &got), 0);
	ck_assert_uint_eq(got, 40);
	ck_assert_int_eq(swap->ops->take(swap, 1, &first, &got), -ENOSPC);
	swap->ops->give(swap, 7, 2);
	ck_assert_int_eq(swap->ops->take(swap, 9, &first, &got), 0);
	ck_assert_uint_eq(first, 7);
	ck_assert_uint_eq(got, 2);
	close_all();
}
END_TEST

START_TEST(the_file_grows)
{
	uint64_t i, area;

	open_swap(path, 200 * MIB);
	ck_assert_uint_eq(stat_now().slots_area, 0);
	take(1);
	area = stat_now().slots_area;
	ck_assert_uint_gt(area, 0);
	ck_assert_int_eq(file_bytes(), (off_t)pages_to_bytes(area + 1));
	for (i = 0; i < area; i += 256)
		take(256);
	ck_assert_uint_gt(stat_now().slots_area, area);
	close_all();
	ck_assert_int_eq(file_bytes(), 0); /* nothing is left behind */
}
END_TEST

/* Who closes it first leaves what others still read. */
START_TEST(a_file_that_fork_children_read_keeps_its_content)
{
	struct hold *hold;
	pid_t pid;
	int status;

	ck_assert_int_eq(os_fork_watch(), 0);
	open_swap(path, 0);
	take_and_write(4, 0x1000);
	pid = fork();
	if (pid == 0) { /* it is our file, not the child's */
		close_all();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_gt(file_bytes(), 0);
	ck_assert_int_eq(swap->ops->hold(swap, &hold), 0); /* for a child */
	close_all();
	ck_assert_int_gt(file_bytes(), 0);
}
END_TEST

/* Half of it free, but in single slots: it must not grow for that. */
START_TEST(fragments_do_not_make_it_grow)
{
	uint64_t slot, area, first, got;

	open_swap(dir, 1024 * MIB);
	take(256);
	area = stat_now().slots_area;
	for (slot = 257; slot + 255 <= area; slot += 256)
		take(256);
	ck_assert_uint_eq(stat_now().slots_area, area);
	for (slot = 2; slot <= area; slot += 2)
		swap->ops->give(swap, slot, 1);
	swap->ops->give(swap, 1, 1);
	ck_assert_int_eq(swap->ops->take(swap, 64, &first, &got), 0);
	ck_assert_uint_eq(stat_now().slots_area, area);
	close_all();
}
END_TEST

START_TEST(a_full_disk_gives_smaller_chunks)
{
	uint64_t area;

	open_swap(dir, 1024 * MIB);
	os_inject(OS_fallocate, 1, false, ENOSPC);
	take(16);
	area = stat_now().slots_area;
	ck_assert_uint_gt(area, 0);
	ck_assert_uint_lt(area, 64 * MIB / PAGE_BYTES);
	os_inject_clear();
	close_all();
}
END_TEST

START_TEST(a_full_disk_is_enospc_and_asked_again_later)
{
	uint64_t first, got, uses;

	open_swap(dir, 1024 * MIB);
	os_inject(OS_fallocate, 1, true, ENOSPC);
	ck_assert_int_eq(swap->ops->take(swap, 16, &first, &got), -ENOSPC);
	uses = os_inject_uses(OS_fallocate);
	ck_assert_int_eq(swap->ops->take(swap, 16, &first, &got), -ENOSPC);
	ck_assert_uint_eq(os_inject_uses(OS_fallocate), uses);
	os_inject_clear();
	os_sleep_us(1100000);
	take(16);
	close_all();
}
END_TEST

START_TEST(where_fallocate_is_unknown_the_file_is_truncated_longer)
{
	struct test_io t;
	uint64_t slot;

	open_swap(path, 16 * MIB);
	os_inject(OS_fallocate, 1, true, EOPNOTSUPP);
	slot = take_and_write(16, 0x1000);
	ck_assert_int_eq(read_pages(&t, slot, 16, 0x1000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	ck_assert_int_eq(file_bytes(), (off_t)(16 * MIB + PAGE_BYTES));
	os_inject_clear();
	close_all();
}
END_TEST

static void *take_many(void *arg)
{
	uint64_t first, got, n = 0;

	(void)arg;
	while (n < 20000) {
		if (swap->ops->take(swap, 37, &first, &got))
			abort();
		n += got;
		if (n % 3 == 0) {
			swap->ops->give(swap, first, got);
			n -= got / 2;
		}
	}
	return NULL;
}

START_TEST(threads_take_while_it_grows)
{
	pthread_t threads[4];
	unsigned i;

	open_swap(dir, 1024 * MIB);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, take_many, NULL);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_le(stat_now().slots_used, stat_now().slots_area);
	close_all();
}
END_TEST

/* ---- open and close ---- */

START_TEST(a_second_open_is_busy)
{
	struct backing *second;

	open_swap(path, 0);
	ck_assert_int_eq(swap_open(&second, &conf), -EBUSY);
	swap->ops->close(swap);
	ck_assert_int_eq(swap_open(&swap, &conf), 0);
	swap->ops->close(swap);
}
END_TEST

/* Ends as soon as somebody has tried in vain. */
static void *let_go_in_time(void *arg)
{
	while (os_inject_uses(OS_lock_file) < 2)
		sched_yield();
	close(*(int *)arg);
	return NULL;
}

START_TEST(a_file_of_who_is_ending_is_waited_for)
{
	int fd = open(path, O_CREAT | O_RDWR, 0600);
	pthread_t thread;

	os_inject_clear();
	ck_assert_int_eq(os_lock_file(fd), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go_in_time, &fd), 0);
	use_path(path, 0);
	ck_assert_int_eq(swap_open(&swap, &conf), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	swap->ops->close(swap);
}
END_TEST

START_TEST(a_locked_file_keeps_its_content)
{
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	ck_assert_int_eq(write(fd, "mine", 4), 4);
	ck_assert_int_eq(os_lock_file(fd), 0);
	use_path(path, 0);
	ck_assert_int_eq(swap_open(&swap, &conf), -EBUSY);
	ck_assert_int_eq(file_bytes(), 4);
	close(fd);
}
END_TEST

START_TEST(a_new_file_is_private)
{
	struct stat st;

	umask(0);
	open_swap(path, 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	close_all();
}
END_TEST

START_TEST(unusable_paths_are_refused)
{
	use_path("/dev/null", 0);
	ck_assert_int_eq(swap_open(&swap, &conf), -ENOTSUP);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	use_path(path, 0);
	ck_assert_int_eq(swap_open(&swap, &conf), -ENOTSUP);
	use_path("/nonexistent/dir/file", 0);
	ck_assert_int_eq(swap_open(&swap, &conf), -ENOENT);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("elsewhere", path), 0); /* dangling */
	use_path(path, 0);
	ck_assert_int_eq(swap_open(&swap, &conf), -ELOOP);
}
END_TEST

/* ---- files that others could look into, or that are not what they say ---- */

static void make_file(const char *name, mode_t mode)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "mine", 4), 4);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

/* ... and the file that is there stays as it is. */
static void expect_refused(int error)
{
	use_path(path, 0);
	ck_assert_int_eq(swap_open(&swap, &conf), error);
	ck_assert_int_eq(file_bytes(), 4);
}

START_TEST(a_file_that_others_can_open_is_refused)
{
	static const mode_t modes[] = {0640, 0620, 0604, 0602,
				       0610, 0644, 0666};

	make_file(path, modes[_i % 7]);
	expect_refused(-EACCES);
	ck_assert_int_eq(chmod(path, 0600), 0);
	open_swap(path, 0);
	close_all();
	ck_assert_int_eq(file_bytes(), 0);
}
END_TEST

START_TEST(a_file_of_another_user_is_refused)
{
	if (geteuid())
		return;
	make_file(path, 0600);
	ck_assert_int_eq(chown(path, 12345, (gid_t)-1), 0);
	expect_refused(-EACCES);
}
END_TEST

START_TEST(a_file_with_two_names_is_refused)
{
	char other[320];

	make_file(path, 0600);
	snprintf(other, sizeof(other), "%s.other", path);
	ck_assert_int_eq(link(path, other), 0);
	expect_refused(-EACCES);
	ck_assert_int_eq(unlink(other), 0);
	open_swap(path, 0);
	close_all();
}
END_TEST

START_TEST(a_link_to_a_file_is_refused)
{
	char other[320];

	snprintf(other, sizeof(other), "%s.other", path);
	make_file(other, 0600);
	ck_assert_int_eq(symlink(other, path), 0);
	expect_refused(-ELOOP);
	ck_assert_int_eq(unlink(other), 0);
}
END_TEST

/* Nothing in it can be anybody else's. */
START_TEST(a_link_to_a_directory_is_followed)
{
	ck_assert_int_eq(symlink(dir, path), 0);
	open_swap(path, 0);
	close_all();
}
END_TEST

START_TEST(reserve_takes_all_at_once)
{
	use_path(path, 8 * MIB);
	conf.swap_reserve = true;
	ck_assert_int_eq(swap_open(&swap, &conf), 0);
	ck_assert_uint_eq(stat_now().slots_area, 8 * MIB / PAGE_BYTES);
	ck_assert_int_eq(file_bytes(), (off_t)(8 * MIB + PAGE_BYTES));
	close_all();
	os_inject(OS_fallocate, 1, true, ENOSPC);
	ck_assert_int_eq(swap_open(&swap, &conf), -ENOSPC);
	os_inject(OS_fallocate, 1, true, EOPNOTSUPP);
	ck_assert_int_eq(swap_open(&swap, &conf), -ENOTSUP);
	os_inject_clear();
}
END_TEST

START_TEST(the_limit_is_what_the_disk_has_free)
{
	uint64_t free_bytes, limit;
	int fd;

	open_swap(dir, 0);
	ck_assert_int_eq(os_open(dir, OS_OPEN_TMP, &fd), 0);
	ck_assert_int_eq(os_free_space(fd, &free_bytes), 0);
	limit = pages_to_bytes(stat_now().slots_limit);
	ck_assert_uint_ge(limit, 64 * MIB);
	ck_assert_uint_le(limit, MAX(free_bytes / 100 * 98, 64 * MIB));
	close_all();
	open_swap(dir, 1); /* less than a page is a page */
	ck_assert_uint_eq(stat_now().slots_limit, 1);
	close_all();
}
END_TEST

START_TEST(o_direct_can_be_off_and_may_be_refused)
{
	struct test_io t;
	uint64_t slot;
	int how;

	for (how = 0; how < 3; how++) {
		use_path(dir, 0);
		conf.swap_direct = how > 0;
		os_inject_clear();
		if (how == 1) /* the flag: opening the file is the first */
			os_inject(OS_open, 2, false, EINVAL);
		if (how == 2) /* the first transfer after it */
			os_inject(OS_pwrite, 2, false, EINVAL);
		ck_assert_int_eq(swap_open(&swap, &conf), 0);
		os_inject_clear();
		ck_assert(!stat_now().direct);
		slot = take_and_write(4, 0x1000);
		ck_assert_int_eq(read_pages(&t, slot, 4, 0x1000), 0);
		ck_assert_uint_eq(count_bad(&t.io), 0);
		swap->ops->close(swap);
	}
}
END_TEST

/* Every call of swap_open fails once: an error, or a swap that works. */
START_TEST(every_step_of_open_can_fail)
{
	static const enum os_point points[] = {OS_map,	    OS_open,
					       OS_truncate, OS_pread,
					       OS_pwrite,   OS_fallocate};
	struct backing_stat st;
	unsigned i, nth;
	int err;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		for (nth = 1; nth <= 8; nth++) {
			use_path(path, MIB);
			conf.swap_reserve = true;
			os_inject_clear();
			os_inject(points[i], nth, false, ENOMEM);
			err = swap_open(&swap, &conf);
			os_inject_clear();
			ck_assert(err == 0 || err == -ENOMEM);
			if (err)
				continue;
			st = stat_now();
			ck_assert_uint_eq(st.slots_area, st.slots_limit);
			take_and_write(4, 0x1000);
			swap->ops->close(swap);
		}
	}
	ck_assert_int_lt(open("/dev/null", O_RDONLY), 10); /* no leak */
}
END_TEST

/* Autoclear: it is gone with its last descriptor, however we end. */
static int set_file(int loop)
{
	struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
	int err, fd = open(path, O_CREAT | O_RDWR, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)(4 * MIB)), 0);
	err = ioctl(loop, LOOP_SET_FD, fd);
	close(fd);
	return err ? err : ioctl(loop, LOOP_SET_STATUS64, &info);
}

/* A loop device over our file; -1 without the privilege. */
static int attach_loop(char *name, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR);
	int number, loop;

	if (control < 0)
		return -1;
	number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(name, size, "/dev/loop%d", number);
	loop = number < 0 ? -1 : open(name, O_RDWR);
	if (loop < 0 || set_file(loop) == 0)
		return loop;
	close(loop);
	return -1;
}

static void use_device(const char *name)
{
	uint64_t slot, first, got;
	struct test_io t;

	open_swap(name, 0);
	ck_assert_uint_eq(stat_now().slots_limit, 1023);
	ck_assert_uint_eq(stat_now().slots_area, 1023);
	slot = take_and_write(8, 0x1000);
	ck_assert_int_eq(read_pages(&t, slot, 8, 0x1000), 0);
	ck_assert_uint_eq(count_bad(&t.io), 0);
	while (swap->ops->take(swap, 256, &first, &got) == 0)
		;
	ck_assert_uint_eq(stat_now().slots_used, 1023);
	close_all();
	ck_assert_int_eq(file_bytes(), (off_t)(4 * MIB));
}

START_TEST(a_block_device_is_used_whole)
{
	char name[64];
	int exclusive, loop = attach_loop(name, sizeof(name));

	if (loop < 0) {
		printf("no loop devices here: skipped\n");
		return;
	}
	exclusive = open(name, O_RDWR | O_EXCL); /* as mount(2) has it */
	use_path(name, 0);
	if (exclusive >= 0)
		ck_assert_int_eq(swap_open(&swap, &conf), -EBUSY);
	close(exclusive);
	use_device(name);
	close(loop);
}
END_TEST

START_TEST(nothing_is_left_in_the_directory)
{
	struct dirent *entry;
	unsigned names = 0;
	DIR *d;

	open_swap(dir, 0);
	take_and_write(4, 0x1000);
	close_all();
	d = opendir(dir);
	while ((entry = readdir(d)))
		names += entry->d_name[0] != '.';
	closedir(d);
	ck_assert_uint_eq(names, 0);
}
END_TEST

START_TEST(slot_0_aborts)
{
	struct test_io t;

	open_swap(dir, 0);
	write_pages(&t, 0, 1, 0);
}
END_TEST

START_TEST(past_the_limit_aborts)
{
	struct test_io t;

	open_swap(dir, 10 * PAGE_BYTES);
	write_pages(&t, 10, 2, 0);
}
END_TEST

/* ---- */

static void add_transfers(TCase *tc, int ways)
{
	tcase_add_loop_test(tc, what_is_written_is_read, 0, ways);
	tcase_add_loop_test(tc, transfers_are_counted, 0, ways);
	tcase_add_loop_test(tc, a_page_from_the_wrong_place_is_bad, 0, ways);
	tcase_add_loop_test(tc, pages_need_not_be_neighbours, 0, ways);
	tcase_add_loop_test(tc,
			    a_corrupted_page_is_bad_and_its_neighbours_are_not,
			    0, ways);
	tcase_add_loop_test(tc, a_read_that_fails_twice_succeeds, 0, ways);
	tcase_add_loop_test(tc, each_read_has_tries_of_its_own, 0, ways);
	tcase_add_loop_test(tc, a_read_that_always_fails_is_an_error, 0, ways);
	tcase_add_loop_test(tc, one_bad_sector_costs_one_page, 0, ways);
	tcase_add_loop_test(tc, a_failed_write_is_reported, 0, ways);
	tcase_add_loop_test(tc, an_interrupted_write_is_repeated, 0, ways);
	tcase_add_loop_test(tc, many_at_once, 0, ways);
	tcase_add_test_raise_signal(tc, slot_0_aborts, SIGABRT);
	tcase_add_test_raise_signal(tc, past_the_limit_aborts, SIGABRT);
}

static void add_growth(TCase *tc)
{
	tcase_add_test(tc, full_at_the_limit);
	tcase_add_test(tc, the_file_grows);
	tcase_add_test(tc, a_file_that_fork_children_read_keeps_its_content);
	tcase_add_test(tc, fragments_do_not_make_it_grow);
	tcase_add_test(tc, a_full_disk_gives_smaller_chunks);
	tcase_add_test(tc, a_full_disk_is_enospc_and_asked_again_later);
	tcase_add_test(tc,
		       where_fallocate_is_unknown_the_file_is_truncated_longer);
	tcase_add_test(tc, threads_take_while_it_grows);
}

static void add_open(TCase *tc)
{
	tcase_add_test(tc, a_second_open_is_busy);
	tcase_add_test(tc, a_file_of_who_is_ending_is_waited_for);
	tcase_add_test(tc, a_locked_file_keeps_its_content);
	tcase_add_test(tc, a_new_file_is_private);
	tcase_add_test(tc, unusable_paths_are_refused);
	tcase_add_loop_test(tc, a_file_that_others_can_open_is_refused, 0, 7);
	tcase_add_test(tc, a_file_of_another_user_is_refused);
	tcase_add_test(tc, a_file_with_two_names_is_refused);
	tcase_add_test(tc, a_link_to_a_file_is_refused);
	tcase_add_test(tc, a_link_to_a_directory_is_followed);
	tcase_add_test(tc, reserve_takes_all_at_once);
	tcase_add_test(tc, the_limit_is_what_the_disk_has_free);
	tcase_add_test(tc, o_direct_can_be_off_and_may_be_refused);
	tcase_add_test(tc, every_step_of_open_can_fail);
	tcase_add_test(tc, a_block_device_is_used_whole);
	tcase_add_test(tc, nothing_is_left_in_the_directory);
}

static void add_tests(Suite *suite)
{
	TCase *transfers = test_case(suite, "transfers");
	TCase *growth = test_case(suite, "growth");
	TCase *open = test_case(suite, "open");

	add_transfers(transfers, ways());
	add_growth(growth);
	add_open(open);
}

const struct test_program test_program = {
	.name = "swap",
	.add = add_tests,
	.setup = remove_file,
	.begin = make_dir,
	.end = remove_dir,
};
