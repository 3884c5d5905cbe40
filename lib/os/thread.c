/* SPDX-License-Identifier: MIT */
/*
 * os/thread.c - what another thread is doing.
 *
 * /proc/TID/syscall says it of a thread that sleeps, whatever for: the number
 * and the arguments of its system call, or that it is in none, as one that
 * sleeps in a page fault of its own instruction. Of a thread that runs, or is
 * about to, it says no more than that. Threads of our own process may always be
 * looked at, those of others as ptrace(2) may.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/impl.h"
#include "os/os.h"

/* "/proc/TID/syscall", without stdio. */
static void call_path(char *path, unsigned tid)
{
	char digits[12], *d = digits + sizeof(digits);

	*--d = '\0';
	do
		*--d = (char)('0' + tid % 10);
	while (tid /= 10);
	strcpy(stpcpy(stpcpy(path, "/proc/"), d), "/syscall");
}

/* "-1 sp pc", or "nr arg1 ... arg6 sp pc", all but nr in hexadecimal. */
static int parse_call(const char *text, struct os_call *call)
{
	char *end;
	unsigned i;

	call->nr = strtol(text, &end, 10);
	if (end == text)
		return -EAGAIN; /* "running" */
	call->writes_later = call->nr == SYS_process_vm_writev;
	memset(call->arg, 0, sizeof(call->arg));
	for (i = 0; i < ARRAY_SIZE(call->arg) && call->nr >= 0; i++)
		call->arg[i] = strtoul(end, &end, 16);
	return 0;
}

int os_thread_call(int tid, struct os_call *call)
{
	char path[32], text[256];
	int rc;

	call_path(path, (unsigned)tid);
	rc = os_read_text(path, text, sizeof(text));
	if (rc == -ENOENT)
		return -ESRCH;
	return rc < 0 ? rc : parse_call(text, call);
}

/* The kernel's own encoding: clockid_t of a thread, not in any header. */
#define THREAD_CLOCK(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6))

int os_thread_cpu_us(int tid, uint64_t *us)
{
	struct timespec ts;

	/* libc has a system call of its own for that, which filters forbid */
	if (syscall(SYS_clock_gettime, THREAD_CLOCK(tid), &ts) < 0)
		return -errno;
	*us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	return 0;
}

int os_peek(int tid, haddr_t from, void *to, size_t bytes)
{
	struct iovec here = {to, bytes};
	struct iovec there = {(void *)(uintptr_t)from, bytes};
	int error = os_inject_check(OS_peek);
	long n;

	if (error)
		return error;
	/* the seventh is on the stack, of whose upper half an int says nothing */
	n = syscall(SYS_process_vm_readv, tid, &here, 1, &there, 1, 0UL);
	if (n < 0)
		return -errno;
	return (size_t)n == bytes ? 0 : -EFAULT;
}
