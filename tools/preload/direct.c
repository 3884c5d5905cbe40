/* SPDX-License-Identifier: MIT */
/*
 * direct.c - reads that a device makes itself (O_DIRECT) into paged memory.
 *
 * The kernel pins the pages, and the device writes to them later. Meanwhile
 * the pager may evict such a page, whose content it takes to be complete; what
 * the device writes then is lost with the frame.
 *
 * So such a read goes to a buffer beside the paged memory, and is copied. The
 * buffer is aligned as the program's, so that the kernel permits and refuses
 * the same. What is read asynchronously (libaio, aio_read(3): aio.c) is read in this
 * way first, and then as the program wants it: wherever the device's bytes
 * end up, they are those that are there already.
 *
 * Which descriptors are concerned is asked with each read that could be one:
 * they come from anywhere, and may change.
 *
 * Writes need nothing: a pinned page keeps what it had when the write began.
 * Not seen are the reads of stdio, which libc makes itself, and io_uring's.
 */
#include "preload/direct.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/part.h"
#include "preload/vector.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Devices want whole sectors, of at least so much. */
#define SECTOR ((size_t)512)
/* Read at a time. */
#define CHUNK ((size_t)1 << 20)

ssize_t __read_chk(int fd, void *buf, size_t bytes, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t bytes, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t bytes, off_t offset,
		      size_t room);
_Noreturn void __chk_fail(void);

/* libc's, which are cancellation points. */
static ssize_t plain_read(int fd, void *buf, size_t bytes)
{
	return LIBC(read)(fd, buf, bytes);
}

static ssize_t plain_pread(int fd, void *buf, size_t bytes, off_t offset)
{
	return LIBC(pread64)(fd, buf, bytes, offset);
}

/* ---- which reads ---- */

static bool is_direct(int fd)
{
	long flags = gate_call(SYS_fcntl, fd, F_GETFL);

	return flags >= 0 && flags & O_DIRECT;
}

/* buf is a number: nothing is read there. */
static bool concerns(int fd, uintptr_t buf, size_t bytes)
{
	int saved = errno;
	bool yes;

	if (bytes % SECTOR || !bytes || !preload.paging)
		return false;
	yes = is_paged((void *)buf, bytes) && is_direct(fd);
	errno = saved;
	return yes;
}

static bool concerns_any(struct looked *known, int fd, const struct iovec *vec,
			 int count)
{
	int i;

	if (!preload.paging || count <= 0 || count > IOV_MAX ||
	    !readable_as(known, vec, (size_t)count * sizeof(*vec)))
		return false;
	for (i = 0; i < count; i++)
		if (concerns(fd, (uintptr_t)vec[i].iov_base, vec[i].iov_len))
			return true;
	return false;
}

/* ---- reading beside it ---- */

/* Where to read; offset -1: where the file is. flags of preadv2(). */
struct place {
	int fd;
	off_t offset;
	int flags;
};

static ssize_t read_some(const struct place *from, void *buf, size_t bytes,
			 size_t done)
{
	struct iovec vec = {buf, bytes};
	off_t at = from->offset + (off_t)done;

	if (from->flags) {
		if (from->offset == -1)
			at = -1;
		return plain_call(SYS_preadv2, from->fd, &vec, 1L, at, 0L,
				  (long)from->flags);
	}
	if (from->offset == -1)
		return plain_read(from->fd, buf, bytes);
	return plain_pread(from->fd, buf, bytes, at);
}

static ssize_t through(char *buffer, const struct place *from, char *to,
		       size_t bytes)
{
	size_t done = 0, n;
	ssize_t got;

	while (done < bytes) {
		n = bytes - done < CHUNK ? bytes - done : CHUNK;
		got = read_some(from, buffer, n, done);
		if (got < 0)
			return done ? (ssize_t)done : -1;
		memcpy(to + done, buffer, (size_t)got);
		done += (size_t)got;
		if ((size_t)got < n)
			break;
	}
	return (ssize_t)done;
}

static void drop(void *buffer)
{
	int saved = errno;

	libc_free(*(void **)buffer);
	errno = saved;
}

static ssize_t beside(const struct place *from, void *to, size_t bytes)
{
	/* cancellation runs it, too */
	__attribute__((cleanup(drop))) char *buffer = NULL;
	size_t n = bytes < CHUNK ? bytes : CHUNK;

	buffer = libc_memalign(PAGE, n + PAGE);
	if (!buffer)
		return part_fail(EAGAIN);
	return through(buffer + (uintptr_t)to % PAGE, from, to, bytes);
}

/* One after the other, until one comes short. */
static ssize_t beside_all(const struct place *from, const struct iovec *vec,
			  int count)
{
	struct place at = *from;
	ssize_t got, done = 0;
	int i;

	for (i = 0; i < count; i++) {
		if (!vec[i].iov_len)
			continue;
		got = beside(&at, vec[i].iov_base, vec[i].iov_len);
		if (got < 0)
			return done ? done : -1;
		done += got;
		if (at.offset != -1)
			at.offset += got;
		if ((size_t)got < vec[i].iov_len)
			break;
	}
	return done;
}

/* ------------------------------------------------------------------ */
/* For the program							*/

ssize_t read(int fd, void *buf, size_t bytes)
{
	if (concerns(fd, (uintptr_t)buf, bytes))
		return beside(&(struct place){fd, -1, 0}, buf, bytes);
	return plain_read(fd, buf, bytes);
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t offset)
{
	if (offset >= 0 && concerns(fd, (uintptr_t)buf, bytes))
		return beside(&(struct place){fd, offset, 0}, buf, bytes);
	return plain_pread(fd, buf, bytes, offset);
}

ssize_t pread64(int fd, void *buf, size_t bytes, off_t offset)
	__attribute__((alias("pread")));

ssize_t __read_chk(int fd, void *buf, size_t bytes, size_t room)
{
	if (bytes > room)
		__chk_fail();
	return read(fd, buf, bytes);
}

ssize_t __pread_chk(int fd, void *buf, size_t bytes, off_t offset, size_t room)
{
	if (bytes > room)
		__chk_fail();
	return pread(fd, buf, bytes, offset);
}

ssize_t __pread64_chk(int fd, void *buf, size_t bytes, off_t offset,
		      size_t room) __attribute__((alias("__pread_chk")));

ssize_t readv(int fd, const struct iovec *vec, int count)
{
	struct looked known = {0};

	if (concerns_any(&known, fd, vec, count))
		return beside_all(&(struct place){fd, -1, 0}, vec, count);
	if (vector_is_paged_as(&known, vec, count))
		return BY_LIBRARY(SYS_readv, fd, vec, count);
	return LIBC(readv)(fd, vec, count);
}

ssize_t preadv(int fd, const struct iovec *vec, int count, off_t offset)
{
	struct looked known = {0};

	if (offset >= 0 && concerns_any(&known, fd, vec, count))
		return beside_all(&(struct place){fd, offset, 0}, vec, count);
	if (vector_is_paged_as(&known, vec, count))
		return BY_LIBRARY(SYS_preadv, fd, vec, count, offset);
	return LIBC(preadv)(fd, vec, count, offset);
}

ssize_t preadv64(int fd, const struct iovec *vec, int count, off_t offset)
	__attribute__((alias("preadv")));

ssize_t preadv2(int fd, const struct iovec *vec, int count, off_t offset,
		int flags)
{
	struct looked known = {0};

	if (offset >= -1 && concerns_any(&known, fd, vec, count))
		return beside_all(&(struct place){fd, offset, flags}, vec,
				  count);
	if (vector_is_paged_as(&known, vec, count))
		return BY_LIBRARY(SYS_preadv2, fd, vec, count, offset, 0,
				  flags);
	return LIBC(preadv2)(fd, vec, count, offset, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *vec, int count, off_t offset,
		   int flags) __attribute__((alias("preadv2")));

/* ---- asynchronous ones: once more, beforehand ---- */

void direct_read_first(int fd, void *buf, size_t bytes, off_t offset)
{
	int saved = errno;

	if (offset >= 0 && concerns(fd, (uintptr_t)buf, bytes))
		beside(&(struct place){fd, offset, 0}, buf, bytes);
	errno = saved;
}

static void read_all_first(int fd, const struct iovec *vec, int count,
			   off_t offset)
{
	struct looked known = {0};
	int saved = errno;

	if (offset >= 0 && concerns_any(&known, fd, vec, count))
		beside_all(&(struct place){fd, offset, 0}, vec, count);
	errno = saved;
}

void direct_submit(long count, struct iocb **list)
{
	struct looked in_list = {0}, known = {0};
	const struct iocb *cb;
	long i;

	for (i = 0;
	     i < count && readable_as(&in_list, &list[i], sizeof(void *));
	     i++) {
		cb = list[i];
		if (!readable_as(&known, cb, sizeof(*cb)))
			break;
		if (cb->aio_lio_opcode == IOCB_CMD_PREAD)
			direct_read_first((int)cb->aio_fildes,
					  (void *)(uintptr_t)cb->aio_buf,
					  cb->aio_nbytes, cb->aio_offset);
		else if (cb->aio_lio_opcode == IOCB_CMD_PREADV)
			read_all_first(
				(int)cb->aio_fildes,
				(const struct iovec *)(uintptr_t)cb->aio_buf,
				(int)cb->aio_nbytes, cb->aio_offset);
	}
}

/* libaio's: the error is the result. */
int io_submit(aio_context_t context, long count, struct iocb **list);

int io_submit(aio_context_t context, long count, struct iocb **list)
{
	int saved = errno;
	long rc;

	direct_submit(count, list);
	rc = plain_call(SYS_io_submit, context, count, list);
	if (rc < 0)
		rc = -errno;
	errno = saved;
	return (int)rc;
}
