/* SPDX-License-Identifier: MIT */
/*
 * unit/os.c - os/memory.c and os/file.c on the real kernel. What only an older
 * kernel or another file system would answer is made by a seccomp filter
 * (support/refuse.h).
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/refuse.h"
#include "support/test.h"

#define PAGES	   600 /* more than a block, no multiple of 64 */
#define VIEW_BYTES (PAGES * PAGE_BYTES)

static int memfd = -1; /* of VIEW_BYTES */
static haddr_t view;   /* all of memfd, readable and writable */
static char dir[32];   /* a scratch directory */
static char path[64];  /* a name in it */

static void setup(void)
{
	ck_assert_int_eq(os_memfd("check_os", &memfd), 0);
	ck_assert_int_eq(os_truncate(memfd, VIEW_BYTES), 0);
	ck_assert_int_eq(os_reserve(VIEW_BYTES, PAGE_BYTES, 0, 0, &view), 0);
	ck_assert_int_eq(
		os_map_fixed(view, VIEW_BYTES, OS_READ | OS_WRITE, memfd, 0),
		0);
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_NOHUGEPAGE), 0);
	strcpy(dir, "/tmp/check_os.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
}

static void teardown(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(os_unmap(view, VIEW_BYTES), 0);
	ck_assert_int_eq(os_close(memfd), 0);
}

static volatile char *page(unsigned i)
{
	return (volatile char *)(uintptr_t)(view + i * PAGE_BYTES);
}

/* What the kernel says to reading one byte there: 0 or -EFAULT. */
static int readable(haddr_t at)
{
	int pipes[2], r;

	ck_assert_int_eq(pipe(pipes), 0);
	r = write(pipes[1], (void *)(uintptr_t)at, 1) < 0 ? -errno : 0;
	close(pipes[0]);
	close(pipes[1]);
	return r;
}

/* ---- memory ---- */

START_TEST(test_memfd)
{
	uint64_t bytes = 1;
	struct stat st;

	ck_assert(fcntl(memfd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(fstat(memfd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, VIEW_BYTES);
	ck_assert_int_eq(os_allocated(memfd, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(os_allocated(-1, &bytes), -EBADF);
	ck_assert_int_eq(os_truncate(-1, 0), -EBADF);
	ck_assert_int_eq(os_truncate(memfd, UINT64_MAX), -EINVAL);
}
END_TEST

/* Before 6.3 the flag that we ask for is unknown. */
START_TEST(test_memfd_on_older_kernel)
{
	int fd;

	ck_assert(refuse(SYS_memfd_create, 1, 8, 8, EINVAL));
	ck_assert_int_eq(os_memfd("old", &fd), 0);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}
END_TEST

static uint64_t address_space_pages(void)
{
	char text[128];

	ck_assert_int_eq(os_read_text("/proc/self/statm", text, sizeof(text)),
			 0);
	return strtoull(text, NULL, 10);
}

START_TEST(test_reserve_is_congruent)
{
	static const uint64_t offsets[] = {0, 1, 7, 256, 511, 512, 100000};
	uint64_t before, bytes = 3 * BLOCK_BYTES + PAGE_BYTES, congruent;
	haddr_t at;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		congruent = offsets[i] * PAGE_BYTES;
		before = address_space_pages();
		ck_assert_int_eq(
			os_reserve(bytes, BLOCK_BYTES, congruent, 0, &at), 0);
		ck_assert_uint_eq(at % BLOCK_BYTES, congruent % BLOCK_BYTES);
		ck_assert_uint_eq(address_space_pages() - before,
				  bytes / PAGE_BYTES); /* trimmed */
		ck_assert_int_eq(readable(at), -EFAULT);
		ck_assert_int_eq(os_unmap(at, bytes), 0);
		ck_assert_uint_eq(address_space_pages(), before);
	}
}
END_TEST

START_TEST(test_reserve_at_hint)
{
	uint64_t bytes = 4 * PAGE_BYTES;
	haddr_t first, again;

	ck_assert_int_eq(os_reserve(bytes, PAGE_BYTES, 0, 0, &first), 0);
	ck_assert_int_eq(os_reserve(bytes, PAGE_BYTES, 0, first, &again),
			 -EEXIST);
	ck_assert_int_eq(os_reserve(PAGE_BYTES, PAGE_BYTES, 0,
				    first + 3 * PAGE_BYTES, &again),
			 -EEXIST);
	ck_assert_int_eq(os_unmap(first, bytes), 0);
	ck_assert_int_eq(os_reserve(bytes, PAGE_BYTES, 0, first, &again), 0);
	ck_assert_uint_eq(again, first);
	ck_assert_int_eq(os_unmap(first, bytes), 0);
}
END_TEST

START_TEST(test_reserve_errors)
{
	haddr_t at, hint = (haddr_t)1 << 44;

	ck_assert_int_eq(os_reserve(0, PAGE_BYTES, 0, 0, &at), -EINVAL);
	ck_assert_int_eq(os_reserve(100, PAGE_BYTES, 0, 0, &at), -EINVAL);
	ck_assert_int_eq(os_reserve(PAGE_BYTES, PAGE_BYTES, 8, 0, &at),
			 -EINVAL);
	/* a hint that is not congruent */
	ck_assert_int_eq(
		os_reserve(PAGE_BYTES, BLOCK_BYTES, PAGE_BYTES, hint, &at),
		-EINVAL);
	ck_assert_int_eq(os_reserve((uint64_t)1 << 60, PAGE_BYTES, 0, 0, &at),
			 -ENOMEM);
	ck_assert_int_eq(os_reserve(-PAGE_BYTES, BLOCK_BYTES, 0, 0, &at),
			 -ENOMEM);
}
END_TEST

START_TEST(test_map_and_unmap_keep)
{
	haddr_t at;

	*page(3) = 'x';
	ck_assert_int_eq(os_unmap_keep(view, VIEW_BYTES), 0);
	ck_assert_int_eq(readable(view), -EFAULT);
	ck_assert_int_eq(os_reserve(PAGE_BYTES, PAGE_BYTES, 0, view, &at),
			 -EEXIST); /* the place is still ours */
	ck_assert_int_eq(
		os_map_fixed(view, PAGE_BYTES, OS_READ, memfd, 3 * PAGE_BYTES),
		0);
	ck_assert_int_eq(*page(0), 'x');
	ck_assert_int_eq(os_map_fixed(view, PAGE_BYTES, OS_READ, -1, 0),
			 -EBADF);
	ck_assert_int_eq(os_unmap_keep(view + 1, PAGE_BYTES), -EINVAL);
	ck_assert_int_eq(os_unmap(view + 1, PAGE_BYTES), -EINVAL);
}
END_TEST

START_TEST(test_map_anon)
{
	void *memory;
	uint64_t bytes = 3 * PAGE_BYTES;
	char *s;

	ck_assert_int_eq(os_map_anon(bytes, &memory), 0);
	s = memory;
	ck_assert(s[0] == 0 && memcmp(s, s + 1, bytes - 1) == 0);
	memset(s, 1, bytes);
	ck_assert_int_eq(os_unmap((uintptr_t)s, bytes), 0);
	ck_assert_int_eq(os_map_anon(0, &memory), -EINVAL);
	ck_assert_int_eq(os_map_anon((uint64_t)1 << 60, &memory), -ENOMEM);
}
END_TEST

START_TEST(test_protect)
{
	*page(0) = 1;
	ck_assert_int_eq(os_protect(view, PAGE_BYTES, 0), 0);
	ck_assert_int_eq(readable(view), -EFAULT);
	ck_assert_int_eq(os_protect(view, PAGE_BYTES, OS_READ), 0);
	ck_assert_int_eq(readable(view), 0);
	ck_assert_int_eq(os_pread(memfd, (void *)(uintptr_t)view, 1, 0),
			 -EFAULT); /* not writable */
	ck_assert_int_eq(os_protect(view, PAGE_BYTES, OS_READ | OS_EXEC), 0);
	ck_assert_int_eq(os_protect(view + 1, PAGE_BYTES, OS_READ), -EINVAL);
}
END_TEST

#ifdef __x86_64__
/* A memfd made with MFD_NOEXEC_SEAL still maps executable. */
START_TEST(test_exec_mapping_runs)
{
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
	int (*run)(void) = (int (*)(void))(uintptr_t)view;

	memcpy((void *)(uintptr_t)view, code, sizeof(code));
	ck_assert_int_eq(
		os_map_fixed(view, PAGE_BYTES, OS_READ | OS_EXEC, memfd, 0), 0);
	ck_assert_int_eq(run(), 42);
}
END_TEST
#endif

START_TEST(test_punch)
{
	uint64_t bytes;

	*page(0) = *page(1) = 'x';
	ck_assert_int_eq(os_allocated(memfd, &bytes), 0);
	ck_assert_uint_eq(bytes, 2 * PAGE_BYTES);
	ck_assert_int_eq(os_punch(memfd, 0, PAGE_BYTES), 0);
	ck_assert_int_eq(os_allocated(memfd, &bytes), 0);
	ck_assert_uint_eq(bytes, PAGE_BYTES);
	ck_assert_int_eq(*page(0), 0);
	ck_assert_int_eq(*page(1), 'x');
	ck_assert_int_eq(os_punch(-1, 0, PAGE_BYTES), -EBADF);
}
END_TEST

/* ---- advice and pagemap ---- */

static bool is_set(const uint64_t *bits, unsigned i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* Pages that the present tests touch: runs, singles, none, the last. */
static bool is_touched(unsigned i)
{
	return i < 5 || (i > 100 && i < 500 && i % 2) || i == PAGES - 1;
}

static void touch_pattern(void)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		if (is_touched(i))
			*page(i) = 1;
}

static void check_present(enum os_pagemap_method expected)
{
	uint64_t bits[(PAGES + 63) / 64 + 1];
	enum os_pagemap_method method;
	unsigned i;
	int fd;

	ck_assert_int_eq(os_pagemap_open(&fd), 0);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	memset(bits, 0xff, sizeof(bits));
	touch_pattern();
	ck_assert_int_eq(os_pagemap_present(fd, view, PAGES, bits, &method), 0);
	ck_assert_int_eq(method, expected);
	for (i = 0; i < PAGES; i++)
		ck_assert_int_eq(is_set(bits, i), is_touched(i));
	ck_assert_uint_eq(bits[(PAGES + 63) / 64], UINT64_MAX);
	/* a part, from the middle */
	ck_assert_int_eq(
		os_pagemap_present(fd, view + 101 * PAGE_BYTES, 2, bits, NULL),
		0);
	ck_assert_uint_eq(bits[0], 1);
	/* the frames stay when the mapping goes, and come back by themselves */
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_DONTNEED), 0);
	ck_assert_int_eq(os_pagemap_present(fd, view, PAGES, bits, NULL), 0);
	for (i = 0; i < PAGES; i++)
		ck_assert(!is_set(bits, i));
	*page(1) += 1;
	ck_assert_int_eq(*page(1), 2);
	ck_assert_int_eq(os_pagemap_present(fd, view, 64, bits, NULL), 0);
	ck_assert(is_set(bits, 1));
	close(fd);
}

START_TEST(test_pagemap_scan)
{
	uint64_t bits[1];
	enum os_pagemap_method method;
	int fd;

	ck_assert_int_eq(os_pagemap_open(&fd), 0);
	ck_assert_int_eq(os_pagemap_present(fd, view, 1, bits, &method), 0);
	close(fd);
	check_present(method); /* SCAN, unless the kernel is before 6.7 */
}
END_TEST

START_TEST(test_pagemap_read_on_older_kernel)
{
	/* 'f' << 8 | 16 are the low bits of PAGEMAP_SCAN */
	ck_assert(refuse(SYS_ioctl, 1, 0xffff, 'f' << 8 | 16, ENOTTY));
	check_present(OS_PAGEMAP_READ);
}
END_TEST

START_TEST(test_pagemap_errors)
{
	uint64_t bits[1] = {1};
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(os_pagemap_present(-1, view, 1, bits, NULL), -EBADF);
	ck_assert_uint_eq(bits[0], 0);
	/* no pagemap at all: the end of a file */
	ck_assert_int_eq(os_pagemap_present(fd, view, 1, bits, NULL), -EIO);
	close(fd);
}
END_TEST

static int wait_child(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_advise)
{
	pid_t pid;

	*page(0) = 1;
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_DONTFORK), 0);
	pid = fork();
	if (pid == 0)
		_exit(readable(view) == -EFAULT ? 0 : 1);
	ck_assert_int_eq(wait_child(pid), 0);
	ck_assert_int_eq(readable(view), 0);
	ck_assert_int_eq(os_advise(view + 1, 1, OS_ADV_DONTNEED), -EINVAL);
}
END_TEST

/* Without transparent huge pages in the kernel the advice is unknown. */
START_TEST(test_advise_without_thp)
{
	ck_assert(refuse(SYS_madvise, 2, UINT32_MAX, 15, EINVAL));
	ck_assert_int_eq(os_advise(view, VIEW_BYTES, OS_ADV_NOHUGEPAGE), 0);
}
END_TEST

/* The kernel does not interrupt it when it is wanted: so it is made up. */
static int refusals, refusal;
int __real_madvise(void *addr, size_t length, int advice);
int __wrap_madvise(void *addr, size_t length, int advice);

int __wrap_madvise(void *addr, size_t length, int advice)
{
	if (!refusals)
		return __real_madvise(addr, length, advice);
	refusals--;
	errno = refusal;
	return -1;
}

START_TEST(test_guard_goes_on_when_interrupted)
{
	static const int errors[] = {EINTR, EAGAIN};

	if (os_guard_probe() < 0)
		return;
	refusal = errors[_i];
	refusals = 3;
	ck_assert_int_eq(os_guard_install(view, PAGE_BYTES), 0);
	ck_assert_int_eq(refusals, 0);
	ck_assert_int_eq(readable(view), -EFAULT);
	refusals = 3;
	ck_assert_int_eq(os_guard_remove(view, PAGE_BYTES), 0);
	ck_assert_int_eq(refusals, 0);
	ck_assert_int_eq(readable(view), 0);
	refusals = 1 << 20; /* but not for ever */
	ck_assert_int_eq(os_guard_install(view, PAGE_BYTES), -refusal);
	refusals = 0;
	refusal = ENOMEM;
	refusals = 1;
	ck_assert_int_eq(os_guard_install(view, PAGE_BYTES), -ENOMEM);
	ck_assert_int_eq(refusals, 0);
}
END_TEST

/* A memfd is a file: without care it is EFBIG, and SIGXFSZ is deadly. */
START_TEST(test_frames_above_the_limit_of_files)
{
	const struct rlimit limit = {PAGE_BYTES, RLIM_INFINITY};
	static char two[2 * PAGE_BYTES];

	memset(two, 7, sizeof(two));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(os_frame_write(memfd, two, PAGE_BYTES, 0), 0);
	ck_assert_int_eq(
		os_frame_write(memfd, two, sizeof(two), 9 * PAGE_BYTES),
		-EFBIG);
	ck_assert_int_eq(
		os_frame_write_mapped(memfd, two, sizeof(two), 9 * PAGE_BYTES),
		0);
	ck_assert_int_eq(*page(0), 7);
	ck_assert_int_eq(*page(10), 7);
	ck_assert_int_eq(*page(11), 0);
}
END_TEST

/* ---- files ---- */

static int open_new(unsigned flags)
{
	int fd;

	ck_assert_int_eq(os_open(path, flags | OS_OPEN_CREATE, &fd), 0);
	return fd;
}

START_TEST(test_open_create)
{
	struct stat st;
	int fd;

	ck_assert_int_eq(os_open(path, 0, &fd), -ENOENT);
	umask(0);
	fd = open_new(0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(os_close(fd), 0);
	ck_assert_int_eq(os_close(fd), -EBADF);
	ck_assert_int_eq(os_open(path, 0, &fd), 0);
	os_close(fd);
	ck_assert_int_eq(os_open(dir, 0, &fd), -EISDIR);
}
END_TEST

START_TEST(test_create_follows_no_symlink)
{
	char link[80];
	int fd;

	os_close(open_new(0));
	snprintf(link, sizeof(link), "%s.link", path);
	ck_assert_int_eq(symlink(path, link), 0);
	ck_assert_int_eq(os_open(link, OS_OPEN_CREATE, &fd), -ELOOP);
	ck_assert_int_eq(os_open(link, 0, &fd), 0);
	os_close(fd);
	unlink(link);
}
END_TEST

/* An unnamed, writable file of ours; nothing is left in the directory. */
static void check_tmp(void)
{
	struct stat st;
	char own[32];
	int fd;

	ck_assert_int_eq(os_open(dir, OS_OPEN_TMP, &fd), 0);
	ck_assert_int_eq(os_pwrite(fd, "x", 1, 0), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	/* nobody gives it a name */
	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(
		linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW), -1);
	os_close(fd);
	ck_assert_int_eq(rmdir(dir), 0); /* it is empty */
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert_int_eq(os_open("/nonexistent", OS_OPEN_TMP, &fd), -ENOENT);
}

START_TEST(test_open_tmp)
{
	check_tmp();
}
END_TEST

START_TEST(test_open_tmp_without_tmpfile)
{
	static const int errors[] = {EOPNOTSUPP, EISDIR, EINVAL};

	ck_assert(refuse(SYS_openat, 2, O_TMPFILE, O_TMPFILE,
			 (unsigned)errors[_i]));
	check_tmp();
}
END_TEST

START_TEST(test_open_tmp_path_too_long)
{
	char name[PATH_MAX];
	int fd;

	memset(name, '/', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ck_assert(refuse(SYS_openat, 2, O_TMPFILE, O_TMPFILE, EINVAL));
	ck_assert_int_eq(os_open(name, OS_OPEN_TMP, &fd), -ENAMETOOLONG);
}
END_TEST

START_TEST(test_direct)
{
	int fd, error;

	/* /proc has no O_DIRECT anywhere; the caller falls back. */
	ck_assert_int_eq(os_open("/proc/self/comm", OS_OPEN_DIRECT, &fd),
			 -EINVAL);
	error = os_open(path, OS_OPEN_CREATE | OS_OPEN_DIRECT, &fd);
	if (error == -EINVAL) /* this /tmp has none either */
		return;
	ck_assert_int_eq(error, 0);
	ck_assert(fcntl(fd, F_GETFL) & O_DIRECT);
	ck_assert_int_eq(os_set_direct(fd, false), 0);
	ck_assert(!(fcntl(fd, F_GETFL) & O_DIRECT));
	ck_assert_int_eq(os_set_direct(fd, true), 0);
	os_close(fd);
	ck_assert_int_eq(os_set_direct(fd, true), -EBADF);
}
END_TEST

START_TEST(test_transfers)
{
	char out[10000], in[10000];
	int fd = open_new(0);
	unsigned i;

	for (i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7);
	ck_assert_int_eq(os_pwrite(fd, out, sizeof(out), 12345), 0);
	ck_assert_int_eq(os_pread(fd, in, sizeof(in), 12345), 0);
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_int_eq(os_pread(fd, in, sizeof(in), 12346), -EIO);
	ck_assert_int_eq(os_pread(fd, in, 1, 1 << 20), -EIO);
	ck_assert_int_eq(os_pread(fd, in, 0, 1 << 20), 0);
	ck_assert_int_eq(os_pread(-1, in, 1, 0), -EBADF);
	ck_assert_int_eq(os_pwrite(-1, in, 1, 0), -EBADF);
	os_close(fd);
	fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(os_pwrite(fd, out, 1, 0), -ENOSPC);
	os_close(fd);
}
END_TEST

/* The limit makes the first write short; the second says why. */
START_TEST(test_short_write_is_continued)
{
	struct rlimit limit = {.rlim_cur = 6000, .rlim_max = RLIM_INFINITY};
	char out[8192];
	int fd = open_new(0);
	struct stat st;

	memset(out, 'x', sizeof(out));
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(os_pwrite(fd, out, sizeof(out), 0), -EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 6000);
	os_close(fd);
}
END_TEST

/* O_DIRECT over a ragged end: the rest is refused, which is an end too. */
START_TEST(test_direct_read_past_ragged_end)
{
	static char buf[2 * 4096] __attribute__((aligned(4096)));
	int fd = open_new(0);

	ck_assert_int_eq(os_pwrite(fd, buf, 5000, 0), 0);
	if (os_set_direct(fd, true) == 0) {
		ck_assert_int_eq(os_pread(fd, buf, 4096, 0), 0);
		ck_assert_int_eq(os_pread(fd, buf, sizeof(buf), 0), -EIO);
	}
	os_close(fd);
}
END_TEST

START_TEST(test_fallocate)
{
	int pipes[2], fd = open_new(0);
	uint64_t bytes;

	ck_assert_int_eq(os_fallocate(fd, 0, 1 << 20), 0);
	ck_assert_int_eq(os_allocated(fd, &bytes), 0);
	ck_assert_uint_ge(bytes, 1 << 20);
	ck_assert_int_eq(os_fallocate(fd, 0, 0), -EINVAL);
	os_close(fd);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(os_fallocate(pipes[1], 0, 1), -ESPIPE);
}
END_TEST

START_TEST(test_file_info)
{
	enum os_file_type type;
	uint64_t bytes;
	int fd = open_new(0);

	ck_assert_int_eq(os_truncate(fd, 12345), 0);
	ck_assert_int_eq(os_file_info(path, &type, &bytes), 0);
	ck_assert_int_eq(type, OS_FILE_REG);
	ck_assert_uint_eq(bytes, 12345);
	ck_assert_int_eq(os_file_info(dir, &type, &bytes), 0);
	ck_assert_int_eq(type, OS_FILE_DIR);
	ck_assert_int_eq(os_file_info("/dev/null", &type, &bytes), 0);
	ck_assert_int_eq(type, OS_FILE_OTHER);
	ck_assert_int_eq(os_file_info("/nonexistent", &type, &bytes), -ENOENT);
	ck_assert_int_eq(os_free_space(fd, &bytes), 0);
	ck_assert_uint_gt(bytes, 0);
	os_close(fd);
	ck_assert_int_eq(os_free_space(fd, &bytes), -EBADF);
}
END_TEST

START_TEST(test_file_info_of_block_device)
{
	static const char *const names[] = {"/dev/vda", "/dev/sda",
					    "/dev/nvme0n1"};
	enum os_file_type type;
	uint64_t bytes;
	unsigned i;
	int error;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		error = os_file_info(names[i], &type, &bytes);
		if (error) /* not there, or not for us to open */
			continue;
		ck_assert_int_eq(type, OS_FILE_BLOCK);
		ck_assert_uint_gt(bytes, 0);
	}
}
END_TEST

static void add_memory_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "memory");

	tcase_add_test(tc, test_memfd);
	tcase_add_test(tc, test_memfd_on_older_kernel);
	tcase_add_test(tc, test_reserve_is_congruent);
	tcase_add_test(tc, test_reserve_at_hint);
	tcase_add_test(tc, test_reserve_errors);
	tcase_add_test(tc, test_map_and_unmap_keep);
	tcase_add_test(tc, test_map_anon);
	tcase_add_test(tc, test_protect);
#ifdef __x86_64__
	tcase_add_test(tc, test_exec_mapping_runs);
#endif
	tcase_add_test(tc, test_punch);
	tcase_add_test(tc, test_pagemap_scan);
	tcase_add_test(tc, test_pagemap_read_on_older_kernel);
	tcase_add_test(tc, test_pagemap_errors);
	tcase_add_test(tc, test_advise);
	tcase_add_test(tc, test_advise_without_thp);
	tcase_add_loop_test(tc, test_guard_goes_on_when_interrupted, 0, 2);
	tcase_add_test(tc, test_frames_above_the_limit_of_files);
}

static void add_file_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "files");

	tcase_add_test(tc, test_open_create);
	tcase_add_test(tc, test_create_follows_no_symlink);
	tcase_add_test(tc, test_open_tmp);
	tcase_add_loop_test(tc, test_open_tmp_without_tmpfile, 0, 3);
	tcase_add_test(tc, test_open_tmp_path_too_long);
	tcase_add_test(tc, test_direct);
	tcase_add_test(tc, test_transfers);
	tcase_add_test(tc, test_short_write_is_continued);
	tcase_add_test(tc, test_direct_read_past_ragged_end);
	tcase_add_test(tc, test_fallocate);
	tcase_add_test(tc, test_file_info);
	tcase_add_test(tc, test_file_info_of_block_device);
}

static void add_tests(Suite *suite)
{
	add_memory_tests(suite);
	add_file_tests(suite);
}

const struct test_program test_program = {
	.name = "os",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
