/* SPDX-License-Identifier: MIT */
/*
 * os/file.c - files: opening them, and whole transfers.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "format.h"
#include "os/impl.h"

/* ---- whole transfers ---- */

/*
 * The error of a transfer that stopped with `done` bytes moved. At the ragged
 * end of a file O_DIRECT moves the tail and then refuses its unaligned rest
 * with EINVAL: that is an end of file.
 */
static int transfer_error(uint64_t done)
{
	return done && errno == EINVAL ? -EIO : -errno;
}

int os_read_all(int fd, void *buf, uint64_t bytes, uint64_t off)
{
	uint64_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = TEMP_FAILURE_RETRY(syscall(SYS_pread64, fd,
					       (char *)buf + done, bytes - done,
					       (off_t)(off + done)));
		if (n < 0)
			return transfer_error(done);
		if (n == 0)
			return -EIO;
		done += (uint64_t)n;
	}
	return 0;
}

int os_write_all(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	uint64_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = TEMP_FAILURE_RETRY(
			syscall(SYS_pwrite64, fd, (const char *)buf + done,
				bytes - done, (off_t)(off + done)));
		if (n < 0)
			return transfer_error(done);
		if (n == 0)
			return -EIO;
		done += (uint64_t)n;
	}
	return 0;
}

/* ---- files ---- */

/* Names tried before giving up; each collision needs a leftover file. */
#define TMP_TRIES 16

static int open_plain(const char *path, int flags, int *fd)
{
	int r;

	do {
		r = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | flags, 0600);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

/* Creates, exclusively, and unlinks a file in the directory dir. */
static int open_unlinked(const char *dir, int *fd)
{
	char name[PATH_MAX];
	int tries, error = -EEXIST;

	for (tries = 0; tries < TMP_TRIES && error == -EEXIST; tries++) {
		if (format_text(name, sizeof(name), "%s/.vvm-%d-%llx", dir,
				os_pid(), (unsigned long long)os_now_ns()) >=
		    sizeof(name) - 1)
			return -ENAMETOOLONG;
		error = open_plain(name, O_CREAT | O_EXCL | O_NOFOLLOW, fd);
		if (!error)
			unlink(name);
	}
	return error;
}

/*
 * O_TMPFILE is refused with EOPNOTSUPP by file systems that lack it (some
 * FUSE, NFS, overlay before 6.1), EISDIR or EINVAL by kernels before 3.11.
 * O_EXCL: nobody can link it into the file system.
 */
static int open_tmp(const char *dir, int *fd)
{
	int error = open_plain(dir, O_TMPFILE | O_EXCL, fd);

	if (error == -EOPNOTSUPP || error == -EISDIR || error == -EINVAL)
		error = open_unlinked(dir, fd);
	return error;
}

static int direct(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_DIRECT : flags & ~O_DIRECT;
	return os_result(fcntl(fd, F_SETFL, flags));
}

int os_set_direct(int fd, bool on)
{
	int error = os_inject_check(OS_open);

	return error ? error : direct(fd, on);
}

/*
 * O_DIRECT is set afterwards, not at open(2): there its EINVAL would come
 * after the file was made, and look like that of O_TMPFILE.
 */
int os_open(const char *path, unsigned flags, int *fd)
{
	int create = flags & OS_OPEN_CREATE ? O_CREAT | O_NOFOLLOW : 0;
	int excl = (flags & OS_OPEN_EXCL ? O_EXCL : 0) |
		   (flags & OS_OPEN_NOFOLLOW ? O_NOFOLLOW : 0);
	int got = -1, error = os_inject_check(OS_open);

	if (error)
		return error;
	if (flags & OS_OPEN_TMP)
		error = open_tmp(path, &got);
	else
		error = open_plain(path, create | excl, &got);
	if (!error && (flags & OS_OPEN_DIRECT)) {
		error = direct(got, true);
		if (error)
			close(got);
	}
	if (!error)
		*fd = got;
	return error;
}

uint64_t os_descriptors_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur
						     : UINT64_MAX;
}

/* Linux frees the descriptor even if close says EINTR: never retried. */
int os_close(int fd)
{
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int os_lock_file(int fd)
{
	int error = os_inject_check(OS_lock_file);

	if (!error)
		error = os_result(
			TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)));
	return error == -EWOULDBLOCK ? -EBUSY : error;
}

int os_pread(int fd, void *buf, uint64_t bytes, uint64_t off)
{
	int error = os_inject_check(OS_pread);

	return error ? error : os_read_all(fd, buf, bytes, off);
}

int os_pwrite(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	int error = os_inject_check(OS_pwrite);

	return error ? error : os_write_all(fd, buf, bytes, off);
}

int os_fallocate(int fd, uint64_t off, uint64_t bytes)
{
	int error = os_inject_check(OS_fallocate);

	if (error)
		return error;
	return os_result(TEMP_FAILURE_RETRY(
		syscall(SYS_fallocate, fd, 0, (off_t)off, (off_t)bytes)));
}

/* stat(2) knows no size of a block device; its end does. */
static int block_bytes(const char *path, uint64_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end;
	int error;

	if (fd < 0)
		return -errno;
	end = lseek(fd, 0, SEEK_END);
	error = os_result(end);
	close(fd);
	if (!error)
		*bytes = (uint64_t)end;
	return error;
}

static enum os_file_type type_of(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return OS_FILE_REG;
	if (S_ISDIR(st->st_mode))
		return OS_FILE_DIR;
	return S_ISBLK(st->st_mode) ? OS_FILE_BLOCK : OS_FILE_OTHER;
}

int os_fd_info(int fd, struct os_file *file)
{
	int error = os_inject_check(OS_fd_info);
	struct stat st;
	off_t end;

	if (error)
		return error;
	if (fstat(fd, &st) < 0)
		return -errno;
	*file = (struct os_file){.type = type_of(&st),
				 .bytes = (uint64_t)st.st_size,
				 .owner = st.st_uid,
				 .mode = st.st_mode & 07777,
				 .links = (unsigned)st.st_nlink};
	if (file->type != OS_FILE_BLOCK)
		return 0;
	end = lseek(fd, 0, SEEK_END);
	file->bytes = (uint64_t)end;
	return os_result(end);
}

int os_file_info(const char *path, enum os_file_type *type, uint64_t *bytes)
{
	int error = os_inject_check(OS_file_info);
	struct stat st;

	if (error)
		return error;
	if (stat(path, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	*type = type_of(&st);
	return *type == OS_FILE_BLOCK ? block_bytes(path, bytes) : 0;
}

/* ---- files of the program's ---- */

int os_hold(int fd, struct os_held *held)
{
	int error = os_inject_check(OS_fd_info);
	struct stat st;

	if (error)
		return error;
	if (fstat(fd, &st) < 0)
		return -errno;
	*held = (struct os_held){.fd = fd,
				 .second = -1,
				 .device = st.st_dev,
				 .inode = st.st_ino};
	return 0;
}

static void close_if(int fd, const struct os_held *held)
{
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == held->device &&
	    st.st_ino == held->inode)
		close(fd);
}

void os_close_held(const struct os_held *held)
{
	close_if(held->fd, held);
	close_if(held->second, held);
}

int os_may_map(int fd, bool write)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (flags & O_PATH)
		return -EBADF;
	if ((flags & O_ACCMODE) != O_RDWR &&
	    (write || (flags & O_ACCMODE) == O_WRONLY))
		return -EACCES;
	return S_ISREG(st.st_mode) ? 0 : -ENODEV;
}

static bool has_flags(int fd, int any)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || (flags & any);
}

/* pwrite(2) pays no heed to its offset then, on Linux. */
static bool appends(int fd)
{
	return has_flags(fd, O_APPEND);
}

int os_reopen(int fd, bool write, int *out, bool *own)
{
	int got, error = os_inject_check(OS_open);
	char path[40];

	if (!error)
		error = os_may_map(fd, write);
	if (error)
		return error;
	format_text(path, sizeof(path), "/proc/self/fd/%d", fd);
	do /* flags that are no constant make it another function of libc's */
		got = write ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY)
			    : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (got < 0 && errno == EINTR);
	*own = got >= 0;
	if (got < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM) {
		if (write && has_flags(fd, O_APPEND | O_DIRECT))
			return -EACCES;
		got = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	if (got < 0)
		return -errno;
	*out = got;
	return 0;
}

int os_pwrite_own(int fd, const void *buf, uint64_t bytes, uint64_t off,
		  bool shared)
{
	int error = os_inject_check(OS_pwrite);

	if (!error && os_above_limit(off + bytes))
		error = -EFBIG;
	if (!error && shared && appends(fd))
		error = -EACCES;
	return error ? error : os_write_all(fd, buf, bytes, off);
}

int os_fdatasync(int fd)
{
	int error = os_inject_check(OS_fdatasync);

	return error ? error
		     : os_result(
			       TEMP_FAILURE_RETRY(syscall(SYS_fdatasync, fd)));
}

int os_pread_some(int fd, void *buf, uint64_t bytes, uint64_t off,
		  uint64_t *got)
{
	int error = os_inject_check(OS_pread);
	uint64_t done = 0;
	ssize_t n = 1;

	while (!error && n && done < bytes) {
		n = TEMP_FAILURE_RETRY(syscall(SYS_pread64, fd,
					       (char *)buf + done, bytes - done,
					       (off_t)(off + done)));
		if (n > 0)
			done += (uint64_t)n;
		else if (n < 0 && done && errno == EINVAL)
			n = 0; /* as in transfer_error() */
		else if (n < 0)
			error = -errno;
	}
	*got = done;
	return error;
}

void os_no_readahead(int fd)
{
	syscall(SYS_fadvise64, fd, (off_t)0, (off_t)0, POSIX_FADV_RANDOM);
}

void os_uncache(int fd, uint64_t off, uint64_t bytes)
{
	syscall(SYS_fadvise64, fd, (off_t)off, (off_t)bytes,
		POSIX_FADV_DONTNEED);
}

void os_file_name(int fd, char *name, size_t size)
{
	char link[40], path[2048], *slash;
	ssize_t n;

	format_text(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	path[n < 0 || n == sizeof(path) - 1 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	format_text(name, size, "%s", slash ? slash + 1 : "");
}

bool os_in_memory(int fd)
{
	struct statfs fs;

	return TEMP_FAILURE_RETRY(fstatfs(fd, &fs)) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

int os_free_space(int fd, uint64_t *bytes)
{
	int error = os_inject_check(OS_free_space);
	struct statfs fs;

	if (error)
		return error;
	if (TEMP_FAILURE_RETRY(fstatfs(fd, &fs)) < 0)
		return -errno;
	*bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	return 0;
}
