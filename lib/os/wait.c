/* SPDX-License-Identifier: MIT */
/*
 * os/wait.c - time, and how threads wait: for it, for each other, and for
 * descriptors.
 *
 * Thin, as all of os/os.h: one system call each. Only waiting for descriptors is
 * more. A signal must not end it, since nobody above would know what to do with
 * that; and ppoll(2) is refused to a program that has set its limit of
 * descriptors below what it has open, so then it is select(2).
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/impl.h"
#include "os/os.h"

/* ---- time ---- */

uint64_t os_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t os_now_us(void)
{
	return os_now_ns() / 1000;
}

static struct timespec timespec_of_us(uint64_t us)
{
	return (struct timespec){
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000) * 1000,
	};
}

void os_sleep_us(uint64_t us)
{
	struct timespec ts = timespec_of_us(us);

	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, &ts) < 0 &&
	       errno == EINTR)
		;
}

void os_yield(void)
{
	sched_yield();
}

/* ---- pipe, epoll ---- */

int os_pipe(int fd[2])
{
	int error = os_inject_check(OS_pipe);

	return error ? error : os_result(pipe2(fd, O_CLOEXEC));
}

int os_epoll(int *fd)
{
	int r, error = os_inject_check(OS_epoll);

	if (error)
		return error;
	r = epoll_create1(EPOLL_CLOEXEC);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

int os_epoll_add(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int error = os_inject_check(OS_epoll_add);

	return error ? error
		     : os_result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

void os_epoll_remove(int epoll, int fd)
{
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- eventfd, futex ---- */

int os_eventfd(int *fd)
{
	int r, error = os_inject_check(OS_eventfd);

	if (error)
		return error;
	r = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

/* EAGAIN means 2^64 - 2 signals wait: one more is no news. */
void os_eventfd_signal(int fd)
{
	uint64_t one = 1;
	ssize_t r =
		TEMP_FAILURE_RETRY(syscall(SYS_write, fd, &one, sizeof(one)));

	DEBUG_ASSERT(r == sizeof(one) || errno == EAGAIN);
	(void)r;
}

/* EAGAIN means that it was drained already. */
void os_eventfd_drain(int fd)
{
	uint64_t count;
	ssize_t r = TEMP_FAILURE_RETRY(
		syscall(SYS_read, fd, &count, sizeof(count)));

	DEBUG_ASSERT(r == sizeof(count) || errno == EAGAIN);
	(void)r;
}

int os_futex_wait(const _Atomic uint32_t *word, uint32_t value,
		  int64_t timeout_us)
{
	struct timespec ts, *limit = NULL;
	int error = os_inject_check(OS_futex);

	if (error)
		return error;
	if (timeout_us >= 0) {
		ts = timespec_of_us((uint64_t)timeout_us);
		limit = &ts;
	}
	return os_result(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
				 limit, NULL, 0));
}

void os_futex_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* ---- waiting for descriptors ---- */

#define POLL_FDS 64

/* ppoll(2), continued for the rest of the time after a signal. */
static int poll_retry(struct pollfd *polls, unsigned count, int64_t timeout_us)
{
	uint64_t end_us = os_now_us() + (uint64_t)timeout_us;
	struct timespec time;
	int r;

	do {
		time.tv_sec = timeout_us / 1000000;
		time.tv_nsec = timeout_us % 1000000 * 1000;
		r = (int)syscall(SYS_ppoll, polls, count,
				 timeout_us < 0 ? NULL : &time, NULL, 0);
		if (r < 0 && errno == EINTR && timeout_us > 0) {
			timeout_us = (int64_t)(end_us - os_now_us());
			timeout_us = MAX(timeout_us, 0);
		}
	} while (r < 0 && errno == EINTR);
	return os_result(r);
}

/* Bits of a descriptor set of our own, 1 KiB of stack. */
#define SELECT_FDS  8192
#define SELECT_WORD (8 * (int)sizeof(unsigned long))

/*
 * poll(2) refuses more descriptors than RLIMIT_NOFILE says, which a program may
 * set to 0 at any time; select(2) has no such limit. Bad descriptors are an
 * error here.
 */
static int select_once(const struct pollfd *polls, unsigned count,
		       int64_t timeout_us, unsigned long *set)
{
	struct timespec time = {.tv_sec = timeout_us / 1000000,
				.tv_nsec = timeout_us % 1000000 * 1000};
	int fd, end = 0;
	unsigned i;

	memset(set, 0, SELECT_FDS / 8);
	for (i = 0; i < count; i++) {
		fd = polls[i].fd;
		if (fd < 0 || fd >= SELECT_FDS)
			return -EINVAL;
		set[fd / SELECT_WORD] |= 1ul << fd % SELECT_WORD;
		end = MAX(end, fd + 1);
	}
	return os_result(syscall(SYS_pselect6, end, set, NULL, NULL,
				 timeout_us < 0 ? NULL : &time, NULL));
}

static int select_instead(struct pollfd *polls, unsigned count,
			  int64_t timeout_us)
{
	unsigned long set[SELECT_FDS / SELECT_WORD];
	unsigned i;
	int error, fd;

	do { /* the wait may begin again: nobody is that exact about it */
		error = select_once(polls, count, timeout_us, set);
	} while (error == -EINTR);
	for (i = 0; !error && i < count; i++) {
		fd = polls[i].fd;
		polls[i].revents = set[fd / SELECT_WORD] >> fd % SELECT_WORD & 1
					   ? POLLIN
					   : 0;
	}
	return error;
}

int os_poll(const int *fds, unsigned count, int64_t timeout_us, uint64_t *ready,
	    uint64_t *invalid)
{
	struct pollfd polls[POLL_FDS];
	unsigned i;
	int error = os_inject_check(OS_poll);

	ASSERT(count <= POLL_FDS);
	*ready = *invalid = 0;
	if (error)
		return error;
	for (i = 0; i < count; i++)
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	error = poll_retry(polls, count, timeout_us);
	if (error == -EINVAL)
		error = select_instead(polls, count, timeout_us);
	if (error)
		return error;
	for (i = 0; i < count; i++) {
		*ready |= (uint64_t)(polls[i].revents != 0) << i;
		*invalid |= (uint64_t) !!(polls[i].revents & POLLNVAL) << i;
	}
	return 0;
}
