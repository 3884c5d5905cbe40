/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - the malloc family, as the program sees it.
 *
 * Each function decides by its caller where a new block comes from (see
 * preload.c: libvvm itself, the dynamic loader, small blocks where system calls
 * must not meet them, and everybody before the constructor get libc's), and by
 * its address whose an existing one is. Results, errors and errno are libc's:
 * malloc(0) is a block, realloc(p, 0) frees, more than PTRDIFF_MAX bytes are
 * ENOMEM, free() keeps errno.
 *
 * realloc() leaves a block where it is from, but for a block of libc's that has
 * become large: that moves into the heap.
 *
 * C++'s new and delete need nothing here: libstdc++ and libc++ call malloc(),
 * aligned_alloc() and free(). Neither does what libc allocates for its
 * callers.
 */
#include "preload/libc.h"
#include "preload/limits.h"
#include "preload/signal.h"
#include "preload/state.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Who called the function that this is used in. */
#define CALLER ((uintptr_t)__builtin_return_address(0))

/*
 * Sizes of what libc allocates for itself and touches when it forks. In glibc
 * 2.36 a stream is 472 to 504 bytes, a second level of thread-specific data
 * 512; there is room for other versions. Strings of this size that strdup()
 * and its kind return are not paged either.
 */
enum { LIBC_MIN_BYTES = 192, LIBC_MAX_BYTES = 1024 };

/* When a block of libc's has grown to this, it moves into the heap. */
#define MOVE_IN_BYTES ((size_t)64 << 10)

static inline bool is_libc_own(uintptr_t caller, size_t bytes)
{
	return caller - preload.libc < preload.libc_bytes &&
	       (bytes - LIBC_MIN_BYTES <= LIBC_MAX_BYTES - LIBC_MIN_BYTES ||
		(!preload_born && signals_any())); /* notify.c */
}

/* May a new block for that caller be paged? */
static inline bool paged(uintptr_t caller, size_t bytes)
{
	return preload.paging && !preload_depth && bytes >= preload.paged_min &&
	       caller - preload.loader >= preload.loader_bytes &&
	       !is_libc_own(caller, bytes);
}

/* Is it a block of the heap? */
static inline bool owned(const void *p)
{
	return preload.heap && vvm_heap_owns(preload.heap, p);
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* What libc would map, and be refused by a limit of the program. */
#define LIMITED_BYTES ((size_t)128 << 10)

static inline bool refused(size_t bytes)
{
	bool over = false;

	if (__builtin_expect(bytes >= LIMITED_BYTES, 0)) {
		preload_enter();
		over = limits_exceeded(bytes);
		preload_leave();
	}
	return over;
}

static void *new_block(size_t bytes)
{
	void *p;

	if (refused(bytes))
		return no_memory();
	preload_enter();
	p = vvm_malloc(preload.heap, bytes);
	preload_leave();
	return p ? p : no_memory();
}

static void *new_aligned(uintptr_t caller, size_t align, size_t bytes)
{
	void *p;

	if (!paged(caller, bytes))
		return libc_memalign(align, bytes);
	if (refused(bytes))
		return no_memory();
	preload_enter();
	p = vvm_aligned_alloc(preload.heap, align, bytes);
	preload_leave();
	return p ? p : no_memory();
}

static size_t usable_bytes(void *p)
{
	size_t bytes;

	preload_enter();
	bytes = vvm_usable_size(preload.heap, p);
	preload_leave();
	return bytes;
}

/* ------------------------------------------------------------------ */

void *malloc(size_t bytes)
{
	return paged(CALLER, bytes) ? new_block(bytes) : libc_malloc(bytes);
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(count, size, &bytes))
		return no_memory();
	if (!paged(CALLER, bytes))
		return libc_calloc(count, size);
	if (refused(bytes))
		return no_memory();
	preload_enter();
	p = vvm_calloc(preload.heap, count, size);
	preload_leave();
	return p ? p : no_memory();
}

void free(void *p)
{
	int saved = errno;

	if (!owned(p)) {
		libc_free(p);
		return;
	}
	preload_enter();
	vvm_free(preload.heap, p);
	preload_leave();
	errno = saved;
}

static void *resize_owned(void *p, size_t bytes)
{
	size_t old;
	void *q;

	preload_enter();
	old = vvm_usable_size(preload.heap, p);
	preload_leave();
	if (bytes > old && refused(bytes - old))
		return no_memory();
	preload_enter();
	q = vvm_realloc(preload.heap, p, bytes);
	preload_leave();
	return q ? q : no_memory();
}

/* Only large blocks are worth it. */
static void *move_in(void *p, size_t bytes)
{
	size_t old = malloc_usable_size(p);
	void *q = new_block(bytes);

	if (q) {
		memcpy(q, p, old < bytes ? old : bytes);
		libc_free(p);
	}
	return q;
}

static void *resize(uintptr_t caller, void *p, size_t bytes)
{
	if (!p)
		return paged(caller, bytes) ? new_block(bytes)
					    : libc_malloc(bytes);
	if (!bytes) {
		free(p);
		return NULL;
	}
	if (owned(p))
		return resize_owned(p, bytes);
	if (bytes >= MOVE_IN_BYTES && paged(caller, bytes))
		return move_in(p, bytes);
	return libc_realloc(p, bytes);
}

void *realloc(void *p, size_t bytes)
{
	return resize(CALLER, p, bytes);
}

void *reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return no_memory();
	return resize(CALLER, p, bytes);
}

/* ------------------------------------------------------------------ */
/* Alignment								*/

static bool power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

/* As libc: what is not a power of two is rounded up to one. */
static size_t round_alignment(size_t align)
{
	size_t up = sizeof(void *);

	while (up < align && up <= SIZE_MAX / 4)
		up *= 2;
	return up;
}

void *memalign(size_t align, size_t bytes)
{
	return new_aligned(CALLER, round_alignment(align), bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
	return new_aligned(CALLER, round_alignment(align), bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
	int saved = errno;
	void *p;

	if (!power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	p = new_aligned(CALLER, align, bytes);
	errno = saved;
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

void *valloc(size_t bytes)
{
	return new_aligned(CALLER, VVM_PAGE_SIZE, bytes);
}

void *pvalloc(size_t bytes)
{
	size_t whole = (bytes + VVM_PAGE_SIZE - 1) & -(size_t)VVM_PAGE_SIZE;

	if (whole < bytes)
		return no_memory();
	return new_aligned(CALLER, VVM_PAGE_SIZE, whole);
}

/* ------------------------------------------------------------------ */
/* Questions								*/

size_t malloc_usable_size(void *p)
{
	if (!p)
		return 0;
	return owned(p) ? usable_bytes(p) : libc_usable_size(p);
}
