/* SPDX-License-Identifier: MIT */
/*
 * vvm_heap.h - a malloc whose memory is paged by libvvm.
 *
 * This header is the manual.
 *
 * A *heap* lives in a space of <vvm.h>: what it allocates may be many times
 * the space's budget. Its bookkeeping is kept outside the paged memory, so
 * that malloc and free never wait for a page that is in swap, and pages that
 * have nothing in them are given back, frame and slot.
 *
 *	struct vvm *vm;
 *	struct vvm_heap *heap;
 *	if (vvm_open(&vm, NULL) == 0 && vvm_heap_open(vm, NULL, &heap) == 0) {
 *		char *p = vvm_malloc(heap, 1000);
 *		vvm_free(heap, p);
 *		vvm_heap_close(heap);
 *	}
 *	vvm_close(vm);
 *
 * Errors
 *   The functions that return int return 0 or -errno, each as listed, -EINVAL
 *   for a NULL that is not allowed, and leave everything as it was. Those
 *   that return memory return NULL and set errno: ENOMEM, or EINVAL where
 *   that is said.
 *
 * Threads
 *   All functions may be called from any thread at any time, except that
 *   vvm_heap_close() must be the last call on its heap, and precede
 *   vvm_close() on its space. What one thread has allocated any other may
 *   free. Each thread keeps a cache of some free objects, at most about
 *   1 MiB in all; it is returned when the thread exits. (The first 64 heaps
 *   of a process have such caches; later ones work without.)
 *
 * Signal handlers
 *   None of these functions may be called from one, as with malloc(3). If one
 *   is, and has interrupted another in its thread, that is reported as
 *   VVM_HEAP_REENTERED instead of a deadlock: ptr is what was to be freed, or
 *   NULL. If the report function returns, malloc returns NULL, and those that
 *   return int -EDEADLK. While locks are held all handlers wait but those of
 *   SIGSEGV and other signals that an instruction raises: one may fork.
 *
 * fork()
 *   The bookkeeping is private memory and inherited; the memory itself is as
 *   vvm.h says. See vvm_heap_fork_prepare().
 *
 * The heap's own memory is not in the budget: 16 bytes for each page, about
 * one byte and a bit for each small object, some 30 KiB for each thread.
 */
#ifndef VVM_HEAP_H
#define VVM_HEAP_H

#include <vvm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vvm_heap;

/* What is wrong with a pointer, or with what is around it. */
enum vvm_heap_misuse {
	VVM_HEAP_DOUBLE_FREE = 1, /* the object is free already */
	VVM_HEAP_FOREIGN,	  /* not from this heap, or long gone */
	VVM_HEAP_INTERIOR,	  /* points into an object, not to its start */
	VVM_HEAP_OVERRUN,	  /* bytes behind the object were written */
	VVM_HEAP_USE_AFTER_FREE,  /* a free object was written (HARDENED) */
	VVM_HEAP_REENTERED	  /* called from a signal handler that has
				   * interrupted the heap in this thread */
};

/*
 * HARDENED finds more, at a price in time and memory, and touches objects
 * when they are freed: a guard value behind each small object, guard pages
 * behind large ones (an overrun is SIGSEGV at once, while the kernel has
 * mappings left), free objects are filled with 0xdf, held back for a while
 * and then checked, and placement is random.
 */
enum vvm_heap_flags { VVM_HEAP_HARDENED = 1 };

/*
 * Zeroed but for struct_size, it means the defaults. A struct_size smaller
 * than sizeof is of an older version: fields that it lacks are defaults.
 */
struct vvm_heap_options {
	size_t struct_size;	/* sizeof(struct vvm_heap_options) */
	uint64_t reserve_bytes; /* the most the heap can be; costs address
				 * space only. 0: four times the machine's
				 * RAM, at least 64 GiB */
	unsigned flags;		/* enum vvm_heap_flags */
	const char *name;	/* of its region, for tools; NULL: "heap" */
	/*
	 * Called when a misuse (enum vvm_heap_misuse, text in words) is
	 * detected at ptr, in the thread that called the heap, with no lock
	 * held; it may call the heap. When it returns the faulty call does
	 * nothing, but that an overrun object is freed. NULL: a message on
	 * standard error, then abort().
	 */
	void (*report)(void *arg, int what, const void *ptr, const char *text);
	void *report_arg;
};

/*
 * Makes a heap in the space. options NULL: the defaults. A default reserve
 * is halved until the kernel grants it, and smaller where it accounts strictly
 * (vm.overcommit_memory=2).
 * -EINVAL: struct_size, unknown flags, reserve_bytes not 0 and less than
 * 1 MiB or more than 8 TiB; -ENOMEM: no memory or address space; -ECHILD.
 */
int vvm_heap_open(struct vvm *vm, const struct vvm_heap_options *options,
		  struct vvm_heap **out);
/*
 * Frees everything in the heap, and the heap. NULL is allowed. -EBUSY: a page
 * of it is pinned; -ENOMEM: the kernel would not unmap; -ECHILD.
 */
int vvm_heap_close(struct vvm_heap *heap);

/*
 * As the functions of ISO C. Memory is aligned to 16 bytes. Size 0 gives a
 * pointer of its own. calloc() does not touch memory that was never used.
 * realloc() of a large object moves it only when the addresses behind it are
 * taken; realloc(p, 0) frees p and returns NULL. free() keeps errno.
 */
void *vvm_malloc(struct vvm_heap *heap, size_t bytes);
void *vvm_calloc(struct vvm_heap *heap, size_t count, size_t bytes);
void *vvm_realloc(struct vvm_heap *heap, void *ptr, size_t bytes);
void vvm_free(struct vvm_heap *heap, void *ptr);
/*
 * align: a power of two up to 2^40, else EINVAL; bytes need not be a multiple
 * of it.
 */
void *vvm_aligned_alloc(struct vvm_heap *heap, size_t align, size_t bytes);

/* Bytes that may be used at ptr, at least those asked for; 0 for NULL. */
size_t vvm_usable_size(struct vvm_heap *heap, const void *ptr);
/* 1: ptr is an address of this heap, in an object or not; else 0. */
int vvm_heap_owns(const struct vvm_heap *heap, const void *ptr);

/*
 * Calls fn for each live object with its usable size, in the order of
 * addresses, until fn returns other than 0; returns that, or 0. fn may call
 * the heap. Objects that come and go meanwhile may be seen or not. Touches
 * no paged memory.
 */
int vvm_heap_walk(struct vvm_heap *heap,
		  int (*fn)(void *arg, void *ptr, size_t bytes), void *arg);

/* X(name, help): values of struct vvm_heap_stats. */
#define VVM_HEAP_STATS(X)                                                  \
	X(live_objects, "that the program holds")                          \
	X(live_bytes, "usable bytes of those")                             \
	X(large_objects, "those of more than 32 KiB")                      \
	X(large_bytes, "usable bytes of those")                            \
	X(cached_bytes, "free objects in thread caches and in quarantine") \
	X(span_bytes, "pages that hold small objects")                     \
	X(dirty_bytes, "free pages that are not given back yet")           \
	X(top_bytes, "address space in use, from the heap's start")        \
	X(reserve_bytes, "address space there is")                         \
	X(metadata_bytes, "bookkeeping, outside the budget")               \
	X(caches, "threads that have a cache")                             \
	X(refills, "times a thread cache was filled up")                   \
	X(flushes, "times a thread cache gave objects back")               \
	X(discards, "calls that gave pages back to the space")             \
	X(discarded_bytes, "given back in all")                            \
	X(moves, "large objects that realloc had to move")                 \
	X(misuses, "reported so far")

struct vvm_heap_stats {
#define X(name, help) uint64_t name;
	VVM_HEAP_STATS(X)
#undef X
	uint64_t reserved[15]; /* 0; values of later versions */
};

/* Exact when no other thread uses the heap. */
int vvm_heap_stats(struct vvm_heap *heap, struct vvm_heap_stats *out);

/*
 * Gives back now what can be: the calling thread's cache, free pages. 0, or
 * an error of vvm_advise(): some pages stay then.
 */
int vvm_heap_trim(struct vvm_heap *heap);

/*
 * For pthread_atfork(): prepare takes the heap's locks, parent drops them,
 * child makes them new, and takes back the caches of the threads that the
 * child does not have. Afterwards the child's heap works as the parent's,
 * provided that the space was inherited; without that its bookkeeping works,
 * but the memory must not be touched.
 */
void vvm_heap_fork_prepare(struct vvm_heap *heap);
void vvm_heap_fork_parent(struct vvm_heap *heap);
void vvm_heap_fork_child(struct vvm_heap *heap);

#ifdef __cplusplus
}
#endif

#endif
