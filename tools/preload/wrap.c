/* SPDX-License-Identifier: MIT */
/*
 * wrap.c - what libvvm and our own code get for the functions that we
 * give the program.
 *
 * The linker's --wrap turns each undefined reference to, say, malloc in the
 * object files of libvvm-preload.so into __wrap_malloc, while malloc itself,
 * which we define, is what the program finds. (fd.c has some more.)
 * Those below are libc's own (libc.c), or the bare system calls; so
 * libvvm's memory is not paged, its mappings are not taken for the program's,
 * and in a signal handler (inline mode) there is no question whose call it is.
 */
#include "preload/libc.h"
#include "preload/state.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t bytes);
void __wrap_free(void *p);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset);
int __wrap_munmap(void *addr, size_t len);
int __wrap_madvise(void *addr, size_t len, int advice);
int __wrap_mprotect(void *addr, size_t len, int prot);

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

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *addr, size_t len)
{
	return (int)syscall(SYS_munmap, addr, len);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	return (int)syscall(SYS_madvise, addr, len, advice);
}

int __wrap_mprotect(void *addr, size_t len, int prot)
{
	return (int)syscall(SYS_mprotect, addr, len, prot);
}
