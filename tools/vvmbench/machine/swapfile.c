/* SPDX-License-Identifier: MIT */
/*
 * swapfile.c - a swap file of our own.
 *
 * The kernel wants a file without holes whose first page is a header; what
 * mkswap(8) writes there is little and has not changed since 1998, so we
 * write it ourselves and need no util-linux. Every block is written, not
 * only allocated: on ext4 and xfs a block that never was is "unwritten", and
 * the first write to it would cost a change of the extent tree, which a swap
 * area in use for a while does not have.
 *
 * The file has no name while it is written: whoever kills us then leaves
 * nothing behind. Its name is noted in the journal, and then given.
 *
 * Of several swap areas the kernel uses the one with the highest priority;
 * ours asks for the highest there is, so that the machine's own are neither
 * measured nor disturbed.
 */
#include "vvmbench/machine/swapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

enum { WRITE_BYTES = 1 << 20, HEADER_AT = 1024, SWAP_VERSION = 1 };

static const char signature[] = "SWAPSPACE2", volume[] = "vvmbench";

/* See union swap_header in linux/swap.h. */
struct header {
	uint32_t version, last_page, bad_pages;
	unsigned char uuid[16];
	char volume[16];
};

void swapfile_header(void *page, size_t page_bytes, uint64_t pages)
{
	struct header h = {.version = SWAP_VERSION,
			   .last_page = (uint32_t)(pages - 1)};
	size_t n = sizeof(signature) - 1;

	memcpy(h.volume, volume, sizeof(volume));
	memcpy((char *)page + HEADER_AT, &h, sizeof(h));
	memcpy((char *)page + page_bytes - n, signature, n);
}

/* ------------------------------------------------------------------ */

static int write_zeros(int fd, uint64_t bytes, bool (*stop)(const void *arg),
		       const void *arg)
{
	char *zeros = calloc(1, WRITE_BYTES);
	uint64_t at = 0;
	int error = zeros ? 0 : -ENOMEM;
	ssize_t n;

	while (!error && at < bytes) {
		n = write(fd, zeros, WRITE_BYTES);
		if (n < 0)
			error = -errno;
		else if (stop(arg))
			error = -EINTR;
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(zeros);
	return error;
}

static int write_header(int fd, uint64_t bytes)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *page = calloc(1, page_bytes);
	ssize_t n;

	if (!page)
		return -ENOMEM;
	swapfile_header(page, page_bytes, bytes / page_bytes);
	n = pwrite(fd, page, page_bytes, 0);
	free(page);
	return n == (ssize_t)page_bytes ? 0 : n < 0 ? -errno : -EIO;
}

static int fill(int fd, uint64_t bytes, bool (*stop)(const void *arg),
		const void *arg)
{
	int error = -posix_fallocate(fd, 0, (off_t)bytes);

	if (!error)
		error = write_zeros(fd, bytes, stop, arg);
	if (!error)
		error = write_header(fd, bytes);
	if (!error && fsync(fd))
		error = -errno;
	return error;
}

static int give_name(const struct swapfile *s, struct journal *j)
{
	char link[32];
	int error = journal_note_file(j, s->fd, s->path);

	if (error)
		return error;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", s->fd);
	return linkat(AT_FDCWD, link, AT_FDCWD, s->path, AT_SYMLINK_FOLLOW)
		       ? -errno
		       : 0;
}

int swapfile_make(struct swapfile *s, struct journal *j, const char *directory,
		  uint64_t bytes, bool (*stop)(const void *arg),
		  const void *arg, struct why *why)
{
	char *real = realpath(directory, NULL);
	int error;

	s->fd = real ? open(real, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
	error = s->fd < 0 ? -errno : 0;
	if (!error && snprintf(s->path, sizeof(s->path), "%s/vvmbench-%d.swap",
			       real, (int)getpid()) >= (int)sizeof(s->path))
		error = -ENAMETOOLONG;
	free(real);
	bytes = (bytes + WRITE_BYTES - 1) / WRITE_BYTES * WRITE_BYTES;
	if (!error)
		error = fill(s->fd, bytes, stop, arg);
	if (!error)
		error = give_name(s, j);
	if (!error)
		return 0;
	swapfile_close(s);
	return why_not(why, "no swap file can be made in %.120s: %s", directory,
		       strerror(-error));
}

int swapfile_on(const struct swapfile *s, struct journal *j, struct why *why)
{
	int flags = SWAP_FLAG_PREFER | (SWAP_FLAG_PRIO_MASK & 0x7fff);
	int error = journal_note_swapon(j, s->fd, s->path);

	if (!error && swapon(s->path, flags))
		error = -errno;
	if (!error)
		return 0;
	return why_not(why, "swapon %.120s: %s%s", s->path, strerror(-error),
		       error == -EINVAL ? " (file systems such as overlay, "
					  "tmpfs and btrfs cannot swap)"
					: "");
}

void swapfile_close(struct swapfile *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
