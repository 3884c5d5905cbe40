/* SPDX-License-Identifier: MIT */
/*
 * preload_fd.c - libvvm's file descriptors among those of the program.
 *
 * Programs use numbers that they have not been given: shells redirect
 * descriptors 3 to 9, servers close all that they may have inherited. Closing
 * a userfaultfd would turn absent pages into zeros, so
 *   (1) the numbers of ours are high, from 928 (or, where fewer descriptors
 *	 are permitted, in the last quarter): while the space is opened, all
 *	 lower ones are taken;
 *   (2) close(), close_range() and closefrom() pass over them and dup2() and
 *	 dup3() do not replace them.
 * Both hold for the process that opened the space. A child that shares none
 * of its descriptors may close what it likes.
 *
 * Rejected: moving them afterwards (io_uring and the engine remember numbers).
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* FD_SETSIZE, above which some programs never look, and room for ours. */
enum { FDS = 1024, FDS_OWN = 96 };

static bool taken[FDS]; /* (i) open when we began; afterwards: ours */
static int first_own;	/* (i) */

/* What libc's wrappers do; ours have their names. */
static int close_any(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static void find_taken(void)
{
	int fd;

	for (fd = 0; fd < FDS; fd++)
		taken[fd] = fcntl(fd, F_GETFD) >= 0;
}

static int choose_first(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur >= FDS)
		return FDS - FDS_OWN;
	return (int)limit.rlim_cur / 4 * 3;
}

void preload_fds_begin(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	find_taken();
	if (fd >= 0)
		taken[fd] = false;
	first_own = choose_first();
	while (fd >= 0 && fd < first_own)
		fd = fcntl(0 <= fd ? fd : 0, F_DUPFD_CLOEXEC, 0);
	if (fd >= first_own)
		close_any(fd);
}

void preload_fds_end(void)
{
	int fd;

	for (fd = 0; fd < first_own; fd++)
		if (!taken[fd])
			close_any(fd);
	for (fd = 0; fd < FDS; fd++)
		taken[fd] = fd >= first_own && !taken[fd] &&
			    fcntl(fd, F_GETFD) >= 0;
}

static bool guarded(unsigned fd)
{
	return fd < FDS && taken[fd] && preload.vm && getpid() == preload.pid;
}

/* ------------------------------------------------------------------ */
/* For the program							*/

static int refused(int error)
{
	errno = error;
	return -1;
}

int close(int fd)
{
	return guarded((unsigned)fd) ? refused(EBADF) : close_any(fd);
}

int dup2(int old, int new)
{
	if (guarded((unsigned)new))
		return refused(EBUSY);
	return (int)syscall(SYS_dup2, old, new);
}

int dup3(int old, int new, int flags)
{
	if (guarded((unsigned)new))
		return refused(EBUSY);
	return (int)syscall(SYS_dup3, old, new, flags);
}

static int close_some(unsigned first, unsigned last, int flags)
{
	return first > last ? 0
			    : (int)syscall(SYS_close_range, first, last, flags);
}

int close_range(unsigned first, unsigned last, int flags)
{
	unsigned fd;

	/* With a flag nothing is closed that others use. */
	for (fd = first; !flags && fd < FDS && fd <= last; fd++) {
		if (!guarded(fd))
			continue;
		if (fd > first && close_some(first, fd - 1, flags))
			return -1;
		first = fd + 1;
	}
	return close_some(first, last, flags);
}

void closefrom(int low)
{
	close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0);
}
