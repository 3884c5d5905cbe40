/* SPDX-License-Identifier: MIT */
/*
 * os/dir.c - files by name, and facts about the machine: the part of the
 * door to the kernel that only opening a space, its statistics and the
 * settings use.
 *
 * (1) Names in a directory that others may write to (/dev/shm) are hostile
 *     until proven ours: nothing here follows a final symbolic link, blocks
 *     on a fifo, or trusts an owner that it has not asked for.
 * (2) Unlike the rest of os/os.h these functions may allocate (opendir does)
 *     and are not async-signal-safe. Fault handling uses none of them.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/impl.h"

/* Close-on-exec, mode 0600 when it creates, EINTR retried. */
static int open_retry(const char *path, int flags, int *fd)
{
	*fd = TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC, 0600));
	return *fd < 0 ? -errno : 0;
}

int os_create(const char *path, int *fd)
{
	int error = os_inject_check(OS_create);

	if (error)
		return error;
	return open_retry(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, fd);
}

int os_open_own(const char *path, int *fd)
{
	struct stat st;
	int error = os_inject_check(OS_open_own);

	if (!error)
		error = open_retry(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
				   fd);
	if (error)
		return error;
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid())
		return 0;
	os_close(*fd);
	return -EPERM;
}

/* An open file description lock (3.15): close() elsewhere does not end it. */
int os_claim_file(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int error = os_inject_check(OS_claim);

	if (error)
		return error;
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int os_file_claimed(int fd, bool *claimed)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int error = os_inject_check(OS_claimed);

	if (error)
		return error;
	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	*claimed = lock.l_type != F_UNLCK;
	return 0;
}

int os_unlink(const char *path)
{
	int error = os_inject_check(OS_unlink);

	return error ? error : os_result(unlink(path));
}

int os_list_dir(const char *path, void (*each)(const char *name, void *arg),
		void *arg)
{
	int error = os_inject_check(OS_list_dir);
	struct dirent *entry;
	DIR *dir;

	if (error)
		return error;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		each(entry->d_name, arg);
	closedir(dir);
	return 0;
}

int os_read_text(const char *path, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n = 1;
	int fd, error = os_inject_check(OS_read_text);

	if (!error)
		error = open_retry(path, O_RDONLY, &fd);
	if (error)
		return error;
	while (n > 0 && used < size - 1) {
		n = TEMP_FAILURE_RETRY(read(fd, buf + used, size - 1 - used));
		if (n > 0)
			used += (size_t)n;
	}
	error = n < 0 ? -errno : 0;
	os_close(fd);
	buf[used] = '\0';
	return error;
}

uint64_t os_ram_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * os_page_size();
}

uint64_t os_unix_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
