/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_fds.c - vvmrun_guest.c, of descriptors: closing and taking them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "script/vvmrun_guest.h"

unsigned descriptors(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* One that is not ours: it is open, and close() knows nothing of it. */
static int is_foreign(int fd)
{
	return fcntl(fd, F_GETFD) != -1 && close(fd) && errno == EBADF;
}

/* Of one thread's, the lowest that is free is the next, at any time. */
void test_lowest(void)
{
	char *p = malloc(LARGE);
	int null = open("/dev/null", O_RDWR), first;
	size_t i;

	CHECK(p && null >= 0);
	first = dup(null);
	CHECK(first >= 0 && !close(first));
	for (i = 0; i < 30000; i++) {
		p[i * 4096 % LARGE] = 1; /* the library has work to do */
		CHECK(dup(null) == first);
		CHECK(!close(first));
		CHECK(dup2(null, first) == first);
		CHECK(!close(first));
	}
	close(null);
	free(p);
}

/*
 * Descriptors of the library are not replaced, and do not shield those beside
 * them. There is one at least. (Not in a child, where it is opening some.)
 */
void test_foreign(void)
{
	unsigned foreign = 0;
	int fd, null = open("/dev/null", O_RDWR);

	CHECK(null >= 0);
	for (fd = 3; fd < 4096; fd++) {
		if (!is_foreign(fd))
			continue;
		foreign++;
		errno = 0;
		CHECK(dup2(null, fd) == -1 && errno == EBUSY);
		CHECK(dup3(null, fd, O_CLOEXEC) == -1 && errno == EBUSY);
		CHECK(!close_range((unsigned)fd, (unsigned)fd, 0));
		CHECK(fcntl(fd, F_GETFD) != -1);
		if (!is_foreign(fd + 1)) {
			CHECK(dup2(null, fd + 1) == fd + 1);
			CHECK(!close_range((unsigned)fd, (unsigned)fd + 1, 0));
			CHECK(fcntl(fd + 1, F_GETFD) == -1);
		}
		null = open("/dev/null", O_RDWR); /* it was fd + 1, perhaps */
	}
	CHECK(foreign);
	errno = 0;
	CHECK(close_range(9, 8, 0) == -1 && errno == EINVAL);
	close(null);
}

/* A program may close all descriptors that it did not open. */
void test_closeall(void)
{
	char *p = malloc(4 * MIB);
	unsigned left;
	int fd;

	CHECK(p);
	fill(p, 4 * MIB, 3);
	for (fd = 3; fd < 2000; fd++)
		close(fd);
	close_range(3, ~0u, 0);
	closefrom(3);
	left = descriptors();
	/* libvvm must find its own in the new table, too */
	CHECK(!close_range(3, ~0u, CLOSE_RANGE_UNSHARE));
	CHECK(descriptors() == left);
	fd = open("/dev/null", O_RDWR);
	CHECK(fd == 3 && dup2(fd, 9) == 9);
	for (fd = 900; fd < 1024; fd++)
		CHECK(dup2(3, fd) == fd || errno == EBUSY);
	CHECK(same(p, 4 * MIB, 3));
	free(p);
}

/* A worker of a server that has all descriptors below 1500 in use. */
void test_manyfiles(void)
{
	struct rlimit limit = {4096, 4096};
	char *p = malloc(4 * MIB), *q = malloc(64);
	int fd = 0, how;
	pid_t pid;

	CHECK(p && q && !setrlimit(RLIMIT_NOFILE, &limit));
	fill(p, 4 * MIB, 3);
	while (fd < 1500)
		CHECK((fd = open("/dev/null", O_RDONLY)) >= 0);
	for (how = 0; how < 3; how++) {
		pid = fork();
		if (pid) {
			CHECK(status_of(pid) == 0);
			continue;
		}
		*q = 1; /* the child is set up */
		if (how == 0)
			closefrom(3);
		else if (how == 1)
			CHECK(!close_range(3, ~0u, 0));
		for (fd = 3; how == 2 && fd < 4096; fd++)
			close(fd);
		CHECK(fcntl(1400, F_GETFD) == -1);
		CHECK(same(p, 4 * MIB, 3));
		fill(p, 4 * MIB, 5);
		CHECK(same(p, 4 * MIB, 5));
		_exit(0);
	}
}

/*
 * Closed by a bare system call, which nobody guards: memory that is absent is
 * lost then, or does not come. But how much is said about it?
 */
static void *use(void *p)
{
	while (same(p, 4 * MIB, 3))
		continue;
	return NULL;
}

void test_rawclose(void)
{
	char *p = malloc(4 * MIB);
	pthread_t thread;
	pid_t pid;

	CHECK(p);
	fill(p, 4 * MIB, 3);
	pid = fork();
	if (pid == 0) {
		alarm(2);
		CHECK(!pthread_create(&thread, NULL, use, p));
		CHECK(same(p, 4 * MIB, 3));
		syscall(SYS_close_range, 3, ~0u, 0);
		pthread_join(thread, NULL);
		pause();
	}
	status_of(pid);
}
