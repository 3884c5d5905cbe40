/* SPDX-License-Identifier: MIT */
/*
 * state.h - what all of libvvm-preload.so knows, which vvmrun puts into a
 * program: see preload.c for the theory.
 */
#ifndef VVM_PRELOAD_STATE_H
#define VVM_PRELOAD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <vvm.h>
#include <vvm_heap.h>

/* The pages of a program; one for the process. */
struct preload {
	struct vvm *vm;	       /* (i) NULL: nothing is paged (yet) */
	struct vvm_heap *heap; /* (i) with vm */
	bool paging;	       /* (o) new blocks are paged */
	bool inherits;	       /* (i) a fork child has the space, too */
	bool child;	       /* (i) this is one */
	bool confined;	       /* (o) by a filter of its own: seccomp.c */
	pid_t pid;	       /* (i) of this process, but in a vfork child */
	bool follow;	       /* (i) children get the settings, too */
	bool traps;	       /* (i) the library makes calls on paged memory */
	size_t paged_min;      /* (i) smaller blocks are libc's */
	size_t mmap_min;       /* (i) 0: the program's mmaps are left alone */
	uintptr_t loader;      /* (i) where ld.so is, and how long */
	uintptr_t loader_bytes;
	uintptr_t libc; /* (i) the same of libc */
	uintptr_t libc_bytes;
};
extern struct preload preload;

/*
 * How deep this thread is in our own code. There malloc() means libc's: what
 * libvvm and whatever it calls allocate is never paged. Nobody else asks: it may
 * be the program's, in a signal handler that has interrupted us.
 */
extern __thread unsigned preload_depth
	__attribute__((tls_model("initial-exec")));

/*
 * Where signals are claimed (signal.h): this thread is one that the program has
 * made, or the first one, and not libc's own.
 */
extern __thread bool preload_born __attribute__((tls_model("initial-exec")));

static inline void preload_enter(void)
{
	preload_depth++;
}

static inline void preload_leave(void)
{
	preload_depth--;
}

/*
 * May there be memory? What the kernel refuses by its address alone (EFAULT) must
 * not be looked at here first.
 */
static inline bool may_be_memory(const void *p)
{
	const uintptr_t lowest = 0x10000, end = (uintptr_t)1 << 56;

	return (uintptr_t)p - lowest < end - lowest;
}

/* A line on standard error, written at once, no stdio. */
void preload_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
