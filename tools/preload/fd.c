/* SPDX-License-Identifier: MIT */
/*
 * fd.c - libvvm's file descriptors among those of the program.
 *
 * Programs use numbers that they have not been given: shells redirect
 * descriptors 3 to 9, servers close all that they may have inherited. Closing
 * a userfaultfd would turn absent pages into zeros, so
 *   (1) the numbers of ours are high, from 928 (or, where fewer descriptors
 *	 are permitted, in the last quarter): what libvvm opens is moved there
 *	 before it learns the number, and noted. Its calls come here by --wrap;
 *   (2) close(), close_range() and closefrom() pass over them and dup2() and
 *	 dup3() do not replace them.
 * A fork child has a table of its own: libvvm closes there what it has from its
 * parent and opens anew. The program may have lowered RLIMIT_NOFILE meanwhile:
 * see limits.c; or given up the right to open a userfaultfd: then a descriptor
 * of /dev/userfaultfd from before gives one.
 *
 * Rejected: taking all low numbers while the space is opened (a fork child
 * opens its part when other threads may be opening, too).
 */
#include "preload/fd.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/limits.h"
#include "preload/state.h"

#include <errno.h>
#include <fcntl.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * FD_SETSIZE, above which some programs never look, and room for ours. Where
 * the program has that already, ours are above.
 */
enum { FDS = 1024, FDS_OWN = 96 };
/*
 * More than a space opens: for each of at most 32 handlers and 32 pollers four
 * (a userfaultfd, a ring, an event, the thread's), for an automatic budget 19, and
 * a few more.
 */
enum { OWN = 288 };

static _Atomic int own[OWN];	 /* (a) descriptor + 1, or 0 */
static _Atomic unsigned own_end; /* (a) places behind are free */

static int device = -1; /* (i) /dev/userfaultfd, if it may be used */

/* What libc's wrappers do; ours have their names. */
static int close_any(int fd)
{
	return (int)gate_call(SYS_close, fd);
}

static int first_own(void)
{
	struct rlimit limit;

	if (limits_ours(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur >= FDS)
		return FDS - FDS_OWN;
	return (int)limit.rlim_cur / 4 * 3;
}

static bool guarded(int fd)
{
	unsigned i, end = atomic_load(&own_end);

	for (i = 0; i < end; i++)
		if (atomic_load(&own[i]) == fd + 1)
			return fd >= 0;
	return false;
}

/* False: there are more than we can watch over. */
static bool note(int fd)
{
	unsigned i, end;
	int none;

	if (guarded(fd))
		return true; /* still, from somebody who could not tell */
	for (i = 0; i < OWN; i++) {
		none = 0;
		if (atomic_compare_exchange_strong(&own[i], &none, fd + 1))
			break;
	}
	end = atomic_load(&own_end);
	while (end <= i && i < OWN &&
	       !atomic_compare_exchange_weak(&own_end, &end, i + 1))
		continue;
	return i < OWN;
}

static void forget(int fd)
{
	int mine = fd + 1;
	unsigned i;

	for (i = 0; i < OWN && fd >= 0; i++, mine = fd + 1)
		if (atomic_compare_exchange_strong(&own[i], &mine, 0))
			return;
}

/* The library's new descriptor: moves and notes it. Errors pass through. */
static int adopt(int fd)
{
	int saved = errno, moved;

	if (fd < 0)
		return fd;
	moved = (int)gate_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, first_own());
	if (moved >= 0) {
		close_any(fd);
		fd = moved;
	}
	if (!note(fd)) {
		close_any(fd);
		errno = EMFILE;
		return -1;
	}
	errno = saved;
	return fd;
}

/* The lowest of ours from fd on. False: there is none. */
static bool next_guarded(unsigned fd, unsigned *next)
{
	unsigned i, end = atomic_load(&own_end);
	bool found = false;

	for (i = 0; i < end; i++) {
		unsigned at = (unsigned)atomic_load(&own[i]);

		if (at-- && at >= fd && (!found || at < *next)) {
			*next = at;
			found = true;
		}
	}
	return found;
}

/* ------------------------------------------------------------------ */
/* For the library							*/

int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_epoll_create1(int flags);
int __wrap_pipe2(int fd[2], int flags);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
long __wrap_syscall(long number, long a, long b, long c, long d, long e,
		    long f);
int __wrap_close(int fd);

/* A call that makes a descriptor, which the program may have no more of. */
static int make(long number, long a, long b, long c, long d)
{
	bool raised = limits_raise(RLIMIT_NOFILE);
	int fd = adopt((int)gate_call(number, a, b, c, d));

	limits_lower(RLIMIT_NOFILE, raised);
	return fd;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	return make(SYS_openat, AT_FDCWD, (long)path, flags, mode);
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
	return make(SYS_memfd_create, (long)name, flags, 0, 0);
}

int __wrap_eventfd(unsigned count, int flags)
{
	return make(SYS_eventfd2, count, flags, 0, 0);
}

int __wrap_epoll_create1(int flags)
{
	return make(SYS_epoll_create1, flags, 0, 0, 0);
}

static int adopt_pipe(int fd[2])
{
	fd[0] = adopt(fd[0]);
	fd[1] = adopt(fd[1]);
	if (fd[0] >= 0 && fd[1] >= 0)
		return 0;
	__wrap_close(fd[0]);
	__wrap_close(fd[1]);
	errno = EMFILE;
	return -1;
}

int __wrap_pipe2(int fd[2], int flags)
{
	bool raised = limits_raise(RLIMIT_NOFILE);
	int rc = (int)gate_call(SYS_pipe2, fd, flags);

	if (rc == 0)
		rc = adopt_pipe(fd);
	limits_lower(RLIMIT_NOFILE, raised);
	return rc;
}

/* USERFAULTFD_IOC_NEW of /dev/userfaultfd, which older headers lack. */
#define NEW_USERFAULTFD _IO(0xAA, 0x00)

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (request == NEW_USERFAULTFD)
		return make(SYS_ioctl, fd, (long)request, (long)arg, 0);
	return (int)gate_call(SYS_ioctl, fd, request, arg);
}

static int make_userfaultfd(long flags)
{
	int fd = make(SYS_userfaultfd, flags, 0, 0, 0);

	if (fd < 0 && errno == EPERM && device >= 0)
		fd = make(SYS_ioctl, device, NEW_USERFAULTFD, flags, 0);
	return fd;
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_userfaultfd)
		return make_userfaultfd(a);
	if (number == SYS_pidfd_open)
		return adopt((int)gate(number, a, b, c, d, e, f));
	return gate(number, a, b, c, d, e, f);
}

void fd_keep_device(void)
{
	int saved = errno;

	device = __wrap_open("/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0);
	errno = saved;
}

#ifdef HAVE_LIBURING
int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params);
void __real_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring);

/* lib/os: where system calls are trapped it sets rings up by itself. */
long __real_os_call_unfiltered(long number, const uint64_t arg[6]);
long __wrap_os_call_unfiltered(long number, const uint64_t arg[6]);

long __wrap_os_call_unfiltered(long number, const uint64_t arg[6])
{
	bool raised;
	long rc;

	if (number != SYS_io_uring_setup)
		return __real_os_call_unfiltered(number, arg);
	raised = limits_raise(RLIMIT_NOFILE);
	rc = __real_os_call_unfiltered(number, arg);
	if (rc >= 0) {
		rc = adopt((int)rc);
		if (rc < 0) /* -1, as -EPERM is */
			rc = -EMFILE;
	}
	limits_lower(RLIMIT_NOFILE, raised);
	return rc;
}

/* The ring is mapped already; only io_uring_enter() needs the number. */
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params)
{
	bool raised = limits_raise(RLIMIT_NOFILE);
	int rc = __real_io_uring_queue_init_params(entries, ring, params);

	if (rc == 0) {
		ring->ring_fd = adopt(ring->ring_fd);
		ring->enter_ring_fd = ring->ring_fd;
	}
	limits_lower(RLIMIT_NOFILE, raised);
	if (rc || ring->ring_fd >= 0)
		return rc;
	__real_io_uring_queue_exit(ring);
	return -EMFILE;
}

/* Closes it by a system call of its own. */
void __wrap_io_uring_queue_exit(struct io_uring *ring)
{
	forget(ring->ring_fd);
	__real_io_uring_queue_exit(ring);
}
#endif

int __wrap_close(int fd)
{
	forget(fd);
	return close_any(fd);
}

/* ------------------------------------------------------------------ */
/* For the program							*/

/* A cancellation point, as libc's. */
static int plain_close(int fd)
{
	static int (*real)(int);

	if (!real)
		real = (int (*)(int))libc_function("close");
	return real(fd);
}

static int refused(int error)
{
	errno = error;
	return -1;
}

int close(int fd)
{
	return guarded(fd) ? refused(EBADF) : plain_close(fd);
}

int dup2(int old, int new)
{
	if (guarded(new))
		return refused(EBUSY);
	return (int)plain_call(SYS_dup2, old, new);
}

int dup3(int old, int new, int flags)
{
	if (guarded(new))
		return refused(EBUSY);
	return (int)plain_call(SYS_dup3, old, new, flags);
}

static int close_some(unsigned first, unsigned last, int flags)
{
	return (int)plain_call(SYS_close_range, first, last, flags);
}

int close_range(unsigned first, unsigned last, int flags)
{
	unsigned own_fd = 0;

	/* CLOSE_RANGE_UNSHARE: the thread goes on with a table of its own, in
	 * which it needs ours as well. */
	while (first <= last && next_guarded(first, &own_fd) &&
	       own_fd <= last) {
		if (own_fd > first && close_some(first, own_fd - 1, flags))
			return -1;
		first = own_fd + 1;
		if (first > last)
			return 0;
	}
	return close_some(first, last, flags);
}

void closefrom(int low)
{
	close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0);
}
