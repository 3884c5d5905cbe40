/* SPDX-License-Identifier: MIT */
/*
 * swap/file.c - opening what swap_path names, and whether it may be used.
 *
 * The file will hold what is in the program's memory, and loses what is in it
 * now. So a file that exists is used only when nobody else can look into it and
 * when it is what its name says: the verdict is on the open descriptor, and
 * nothing has been written or truncated before it. A file is not repaired:
 * somebody may have opened it already while its mode let them.
 *
 * No name at all means memory: a fork child that can reach no directory any
 * more.
 *
 * A symbolic link to a directory or to a block device is followed, since
 * devices are mostly named by such (/dev/disk/by-label, /dev/mapper).
 */
#include "swap/impl.h"

#include <errno.h>

#define OTHERS_MODE  07 /* of a device, which a group may administer */
#define PRIVATE_MODE 077
#define CREATE_TRIES 8 /* somebody else creates and removes it meanwhile */

static int refuse(struct swap_file *f, const char *why, int error)
{
	f->why = why;
	return error;
}

static int check_file(struct swap_file *f, const struct os_file *it)
{
	if (it->owner != os_user())
		return refuse(f, "belongs to another user", -EACCES);
	if (it->mode & PRIVATE_MODE)
		return refuse(f,
			      "can be read or written by other users "
			      "(its mode is not 0600)",
			      -EACCES);
	if (it->links > 1)
		return refuse(f, "has other names (hard links)", -EACCES);
	return 0;
}

static int check_device(struct swap_file *f, const struct os_file *it)
{
	if (it->owner != 0 && it->owner != os_user())
		return refuse(f, "is a device of another user", -EACCES);
	if (it->mode & OTHERS_MODE)
		return refuse(f, "is a device that everybody may use", -EACCES);
	return 0;
}

/* May what was opened be swapped to? */
static int check(struct swap_file *f, const struct os_file *it)
{
	switch (it->type) {
	case OS_FILE_REG:
		return check_file(f, it);
	case OS_FILE_BLOCK:
		return check_device(f, it);
	default:
		return -ENOTSUP;
	}
}

/* How to open what is probably there. */
static const unsigned flags[] = {
	[OS_FILE_REG] = OS_OPEN_NOFOLLOW,
	[OS_FILE_DIR] = OS_OPEN_TMP,
	[OS_FILE_BLOCK] = OS_OPEN_EXCL,
};

/* -ENOENT: there is nothing. */
static int open_existing(const char *path, enum os_file_type *type, int *fd)
{
	uint64_t bytes;
	int err = os_file_info(path, type, &bytes);

	if (err == -ENOENT) /* or a dangling link */
		*type = OS_FILE_REG;
	else if (err)
		return err;
	if (*type == OS_FILE_OTHER)
		return -ENOTSUP;
	return os_open(path, flags[*type], fd);
}

/* *new: it was created just now, hence is ours and 0600. */
static int open_any(const char *path, struct swap_file *f, bool *new)
{
	int err = -ENOENT;
	unsigned tries;

	for (tries = 0; tries < CREATE_TRIES; tries++) {
		err = open_existing(path, &f->type, &f->fd);
		*new = f->type == OS_FILE_DIR || err == -ENOENT;
		if (err != -ENOENT)
			break;
		err = os_open(path, OS_OPEN_CREATE | OS_OPEN_EXCL, &f->fd);
		if (err != -EEXIST)
			break;
	}
	if (err == -ELOOP)
		refuse(f, "is a symbolic link", err);
	return err;
}

int swap_open_file(const char *path, struct swap_file *f)
{
	struct os_file it;
	bool new = !*path;
	int err;

	f->type = OS_FILE_DIR;
	f->why = NULL;
	err = new ? os_memfd("vvm-swap", &f->fd) : open_any(path, f, &new);
	if (err)
		return err;
	err = os_fd_info(f->fd, &it);
	if (!err && !new)
		err = check(f, &it);
	if (err) {
		os_close(f->fd);
		return err;
	}
	if (!new)
		f->type = it.type;
	f->bytes = it.bytes;
	return 0;
}
