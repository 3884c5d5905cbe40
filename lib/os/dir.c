/* SPDX-License-Identifier: MIT */
/*
 * os/dir.c - files by name, and facts about the machine: the part of the
 * door to the kernel that only opening a space, its statistics and the
 * settings use.
 *
 * (1) Names in a directory that others may write to (/dev/shm) are hostile
 *     until proven ours: nothing here follows a final symbolic link, blocks
 *     on a fifo, or trusts an owner that it has not asked for.
 * (2) Unlike the rest of os/os.h these functions are not async-signal-safe.
 *     Fault handling uses none of them.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/impl.h"
#include "os/memcg.h"

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

/* As getdents64(2) has it. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short bytes;
	unsigned char type;
	char name[];
};

/* Not by opendir(3), which allocates. */
int os_list_dir(const char *path, void (*each)(const char *name, void *arg),
		void *arg)
{
	_Alignas(struct entry) char entries[2048];
	const struct entry *e;
	int fd, error = os_inject_check(OS_list_dir);
	long at, n;

	if (!error)
		error = open_retry(path, O_RDONLY | O_DIRECTORY, &fd);
	if (error)
		return error;
	while ((n = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0)
		for (at = 0; at < n; at += e->bytes) {
			e = (const struct entry *)(const void *)(entries + at);
			each(e->name, arg);
		}
	error = n < 0 ? -errno : 0;
	os_close(fd);
	return error;
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
	int state = os_cancel_off(); /* it reads files */
	uint64_t bytes = memcg_ram_bytes();

	os_cancel_restore(state);
	return bytes;
}

/* The number behind a word, in KiB, or 0. */
static uint64_t kib_after(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	return at ? strtoull(at + strlen(word), NULL, 10) : 0;
}

uint64_t os_commit_bytes(void)
{
	int state = os_cancel_off();
	uint64_t limit, used;
	char text[4096];
	bool strict;

	strict = !os_read_text("/proc/sys/vm/overcommit_memory", text,
			       sizeof(text)) &&
		 text[0] == '2' &&
		 !os_read_text("/proc/meminfo", text, sizeof(text));
	os_cancel_restore(state);
	if (!strict)
		return UINT64_MAX;
	limit = kib_after(text, "CommitLimit:");
	used = kib_after(text, "Committed_AS:");
	return limit > used ? (limit - used) << 10 : 0;
}

uint64_t os_unix_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
