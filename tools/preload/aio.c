/* SPDX-License-Identifier: MIT */
/*
 * aio.c - asynchronous reads and writes of POSIX: aio_read(3) and its kind.
 *
 * libc makes them by threads of its own, which must not meet paged memory
 * (notify.c). So where faults or system calls come as signals, requests on files
 * are done at once, by the caller, and have ended when the function returns.
 * What may wait for others, pipes and sockets, is refused: ENOSYS.
 *
 * Elsewhere libc's functions do, but for what a device reads: direct.c.
 */
#include "preload/direct.h"
#include "preload/notify.h"
#include "preload/signal.h"
#include "preload/state.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- libc's ---- */

typedef int requester(struct aiocb *);
typedef int syncer(int, struct aiocb *);
typedef int lister(int, struct aiocb *const[], int, struct sigevent *);

/* ---- at once ---- */

static bool may_wait(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) &&
	       !S_ISBLK(st.st_mode);
}

static ssize_t make(const struct aiocb *cb, int operation)
{
	void *buf = (void *)(uintptr_t)cb->aio_buf;

	switch (operation) {
	case LIO_READ:
		return pread(cb->aio_fildes, buf, cb->aio_nbytes,
			     cb->aio_offset);
	case LIO_WRITE:
		return pwrite(cb->aio_fildes, buf, cb->aio_nbytes,
			      cb->aio_offset);
	case O_DSYNC:
		return fdatasync(cb->aio_fildes);
	default:
		return fsync(cb->aio_fildes);
	}
}

/* An error of the call itself is the request's, as with libc. */
static int at_once(struct aiocb *cb, int operation)
{
	int saved = errno;

	if (may_wait(cb->aio_fildes)) {
		errno = ENOSYS;
		return -1;
	}
	cb->__return_value = make(cb, operation);
	cb->__error_code = cb->__return_value < 0 ? errno : 0;
	errno = saved;
	notify(&cb->aio_sigevent);
	return 0;
}

static int list_at_once(struct aiocb *const list[], int count)
{
	int i, failed = 0;

	for (i = 0; i < count; i++) {
		struct aiocb *cb = list[i];

		if (!cb || cb->aio_lio_opcode == LIO_NOP)
			continue;
		if (at_once(cb, cb->aio_lio_opcode)) {
			cb->__return_value = -1;
			cb->__error_code = errno;
		}
		failed |= cb->__error_code;
	}
	if (!failed)
		return 0;
	errno = EIO;
	return -1;
}

/* ------------------------------------------------------------------ */
/* For the program							*/

int aio_read(struct aiocb *cb)
{
	if (signals_any())
		return at_once(cb, LIO_READ);
	direct_read_first(cb->aio_fildes, (void *)(uintptr_t)cb->aio_buf,
			  cb->aio_nbytes, cb->aio_offset);
	return NEXT(requester, aio_read)(cb);
}

int aio_write(struct aiocb *cb)
{
	return signals_any() ? at_once(cb, LIO_WRITE)
			     : NEXT(requester, aio_write)(cb);
}

int aio_fsync(int operation, struct aiocb *cb)
{
	if (signals_any() && (operation == O_SYNC || operation == O_DSYNC))
		return at_once(cb, operation);
	return NEXT(syncer, aio_fsync)(operation, cb);
}

int aio_read64(struct aiocb64 *cb)
{
	return aio_read((struct aiocb *)cb);
}

int aio_write64(struct aiocb64 *cb)
{
	return aio_write((struct aiocb *)cb);
}

int aio_fsync64(int operation, struct aiocb64 *cb)
{
	return aio_fsync(operation, (struct aiocb *)cb);
}

int lio_listio(int mode, struct aiocb *const list[], int count,
	       struct sigevent *event)
{
	int i, rc;

	if (signals_any() && (mode == LIO_WAIT || mode == LIO_NOWAIT)) {
		rc = list_at_once(list, count);
		if (mode == LIO_NOWAIT && event)
			notify(event);
		return rc;
	}
	for (i = 0; i < count; i++)
		if (list[i] && list[i]->aio_lio_opcode == LIO_READ)
			direct_read_first(list[i]->aio_fildes,
					  (void *)(uintptr_t)list[i]->aio_buf,
					  list[i]->aio_nbytes,
					  list[i]->aio_offset);
	return NEXT(lister, lio_listio)(mode, list, count, event);
}

int lio_listio64(int mode, struct aiocb64 *const list[], int count,
		 struct sigevent *event)
{
	return lio_listio(mode, (struct aiocb *const *)list, count, event);
}
