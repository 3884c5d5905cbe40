/* SPDX-License-Identifier: MIT */
/*
 * wrap.c - what libvvm and our own code get for libc's functions.
 *
 * The linker's --wrap turns each undefined reference to, say, malloc in the
 * object files of libvvm-preload.so into __wrap_malloc, while malloc itself,
 * which we define, is what the program finds. (fd.c and ground.c have some more.)
 * Those below are libc's own (libc.c), or the bare system calls; so
 * libvvm's memory is not paged, its mappings are not taken for the program's,
 * and in a signal handler (inline mode) there is no question whose call it is.
 *
 * All system calls that libvvm makes after its start are here, in fd.c and
 * ground.c, by the gate (gate.c): tests/script/library.sh knows which functions of libc are
 * not.
 */
#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/limits.h"
#include "preload/state.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ */
/* Memory								*/

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t bytes);
void __wrap_free(void *p);
int __wrap_madvise(void *addr, size_t len, int advice);
int __wrap_mprotect(void *addr, size_t len, int prot);
int __wrap_munlock(const void *addr, size_t len);

void *__wrap_malloc(size_t bytes)
{
	return libc_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return libc_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t bytes)
{
	return libc_realloc(p, bytes);
}

void __wrap_free(void *p)
{
	libc_free(p);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	return (int)gate_call(SYS_madvise, addr, len, advice);
}

int __wrap_mprotect(void *addr, size_t len, int prot)
{
	return (int)gate_call(SYS_mprotect, addr, len, prot);
}

int __wrap_munlock(const void *addr, size_t len)
{
	return (int)gate_call(SYS_munlock, addr, len);
}

/* ------------------------------------------------------------------ */
/* Files								*/

ssize_t __wrap_read(int fd, void *buf, size_t bytes);
ssize_t __wrap_write(int fd, const void *buf, size_t bytes);
ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_fstatfs(int fd, struct statfs *fs);
int __wrap_fcntl(int fd, int command, void *arg);
int __wrap_flock(int fd, int how);
int __wrap_ftruncate(int fd, off_t bytes);
int __wrap_unlink(const char *path);
int __wrap_access(const char *path, int mode);
int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

ssize_t __wrap_read(int fd, void *buf, size_t bytes)
{
	return gate_call(SYS_read, fd, buf, bytes);
}

ssize_t __wrap_write(int fd, const void *buf, size_t bytes)
{
	return gate_call(SYS_write, fd, buf, bytes);
}

ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset)
{
	return gate_call(SYS_pread64, fd, buf, bytes, offset);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	return gate_call(SYS_lseek, fd, offset, whence);
}

int __wrap_fstat(int fd, struct stat *st)
{
	return (int)gate_call(SYS_fstat, fd, st);
}

int __wrap_stat(const char *path, struct stat *st)
{
	return (int)gate_call(SYS_newfstatat, AT_FDCWD, path, st, 0);
}

int __wrap_fstatfs(int fd, struct statfs *fs)
{
	return (int)gate_call(SYS_fstatfs, fd, fs);
}

int __wrap_fcntl(int fd, int command, void *arg)
{
	return (int)gate_call(SYS_fcntl, fd, command, arg);
}

int __wrap_flock(int fd, int how)
{
	return (int)gate_call(SYS_flock, fd, how);
}

int __wrap_ftruncate(int fd, off_t bytes)
{
	bool raised = limits_raise(RLIMIT_FSIZE);
	int rc = (int)gate_call(SYS_ftruncate, fd, bytes);

	limits_lower(RLIMIT_FSIZE, raised);
	return rc;
}

int __wrap_unlink(const char *path)
{
	return (int)gate_call(SYS_unlinkat, AT_FDCWD, path, 0);
}

int __wrap_access(const char *path, int mode)
{
	return (int)gate_call(SYS_faccessat, AT_FDCWD, path, mode);
}

int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	return (int)gate_call(SYS_epoll_ctl, epoll, what, fd, event);
}

static struct timespec timespec_of_us(uint64_t us)
{
	return (struct timespec){.tv_sec = (time_t)(us / 1000000),
				 .tv_nsec = (long)(us % 1000000) * 1000};
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct timespec time = timespec_of_us((uint64_t)timeout_ms * 1000);

	return (int)gate_call(SYS_ppoll, fds, count,
			      timeout_ms < 0 ? NULL : &time, NULL, 0);
}

/* ------------------------------------------------------------------ */
/* The process								*/

pid_t __wrap_getpid(void);
uid_t __wrap_geteuid(void);
int __wrap_getrlimit(int what, struct rlimit *limit);
int __wrap_sched_yield(void);
int __wrap_usleep(useconds_t us);

pid_t __wrap_getpid(void)
{
	return (pid_t)gate_call(SYS_getpid);
}

uid_t __wrap_geteuid(void)
{
	return (uid_t)gate_call(SYS_geteuid);
}

/* What the library may do, which may be more than what the program may. */
int __wrap_getrlimit(int what, struct rlimit *limit)
{
	return limits_ours(what, limit);
}

int __wrap_sched_yield(void)
{
	return (int)gate_call(SYS_sched_yield);
}

int __wrap_usleep(useconds_t us)
{
	struct timespec time = timespec_of_us(us);

	return (int)gate_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time,
			      NULL);
}
