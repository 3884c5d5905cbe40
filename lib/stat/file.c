/* SPDX-License-Identifier: MIT */
/*
 * stat/file.c - the file of a statistics segment: making it, and removing
 * those that nobody needs any more.
 *
 * A process that is killed leaves its file behind, and so does one that
 * executes another program. So the owner holds a lock on the file for as long
 * as it lives, which the kernel drops in both cases (an open file description
 * lock: a POSIX one would end when anybody in the process closes any
 * descriptor of the file). Whoever opens a space first removes the files of
 * its own user that nobody holds. That needs no pid, which may have been
 * used again, or belong to another container.
 *
 * A file without a lock may also be one that is just being made. The lock is
 * taken before the header is written, so a complete header without a lock is
 * stale; without one the pid in the name decides, and the same goes for files
 * of other versions.
 *
 * Rejected: the process' start time instead of a lock (a program that was
 * executed has its predecessor's; and /proc shows only the own container).
 */
#include "stat/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "format.h"
#include "util/log.h"
#include "os/os.h"
#include "vvm_stat.h"

#define NAME_TRIES     4096 /* spaces of one process, with strangers' files */
#define PROC_STAT_MAX  1024 /* a /proc/PID/stat is about 350 bytes */
#define PATH_MAX_BYTES 256

int stat_process_start(int pid, uint64_t *start)
{
	char path[64], text[PROC_STAT_MAX];
	char *p;
	int error, field;

	format_text(path, sizeof(path), "/proc/%d/stat", pid);
	error = os_read_text(path, text, sizeof(text));
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	/* The command may hold anything, ")" too: fields go on at the last. */
	p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return -EPROTO;
	if (p[2] == 'Z' || p[2] == 'X')
		return -ESRCH;
	for (field = 2; field < 22 && p; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EPROTO;
	*start = strtoull(p + 1, NULL, 10);
	return 0;
}

/* The pid in "vvm-stat.<pid>.<n>", or 0 if the name has another shape. */
static int name_pid(const char *name)
{
	char *end;
	long pid;

	if (strncmp(name, VVM_STAT_PREFIX, strlen(VVM_STAT_PREFIX)))
		return 0;
	name += strlen(VVM_STAT_PREFIX);
	if (*name < '1' || *name > '9')
		return 0;
	pid = strtol(name, &end, 10);
	return *end == '.' && pid > 0 && pid <= INT32_MAX ? (int)pid : 0;
}

/* Reads a field of the segment in the file; false: it is not there (yet). */
#define read_field(fd, field, out)         \
	(os_pread(fd, out, sizeof(*(out)), \
		  offsetof(struct vvm_stat_segment, field)) == 0)

static bool is_stale(int fd, int pid)
{
	uint64_t start, magic;
	uint32_t version;
	bool claimed;

	if (os_file_claimed(fd, &claimed) || claimed)
		return false;
	if (read_field(fd, magic, &magic) && magic == VVM_STAT_MAGIC &&
	    read_field(fd, version, &version) && version == VVM_STAT_VERSION)
		return true;
	return stat_process_start(pid, &start) == -ESRCH;
}

/* Removes one stale file; for os_list_dir(). */
static void remove_if_stale(const char *name, void *unused)
{
	int fd, pid = name_pid(name);
	char path[PATH_MAX_BYTES];
	size_t length;

	(void)unused;
	if (pid == 0)
		return;
	length = format_text(path, sizeof(path), "%s/%s", VVM_STAT_DIR, name);
	if (length >= sizeof(path) - 1 || os_open_own(path, &fd))
		return;
	if (is_stale(fd, pid))
		os_unlink(path);
	os_close(fd);
}

void stat_file_clean(void)
{
	os_list_dir(VVM_STAT_DIR, remove_if_stale, NULL);
}

int stat_file_create(char *path, size_t size, int *fd)
{
	int error = -EEXIST;
	unsigned n;

	*fd = -1;
	for (n = 0; n < NAME_TRIES && error == -EEXIST; n++) {
		format_text(path, size, "%s/%s%d.%u", VVM_STAT_DIR,
			    VVM_STAT_PREFIX, os_pid(), n);
		error = os_create(path, fd);
	}
	if (!error) {
		error = os_claim_file(*fd);
		if (error)
			stat_file_remove(path, fd);
	}
	if (error)
		path[0] = '\0';
	return error;
}

void stat_file_remove(char *path, int *fd)
{
	if (path[0])
		os_unlink(path);
	path[0] = '\0';
	if (*fd >= 0)
		os_close(*fd);
	*fd = -1;
}
