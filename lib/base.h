/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every module shares: sizes, address types, assertions.
 *
 * Assertions come in three levels:
 *   ASSERT(x)        cheap, always compiled: a broken promise of our own
 *                    code; prints where and aborts.
 *   DEBUG_ASSERT(x)  compiled with --enable-debug (VVM_DEBUG).
 *   <module>_check() walkers that verify the numbered invariants of a whole
 *                    structure; called by tests.
 */
#ifndef VVM_BASE_H
#define VVM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT  12
#define PAGE_BYTES  ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_MASK   (PAGE_BYTES - 1)
#define BLOCK_PAGES 512 /* pages of one page table leaf */
#define BLOCK_SHIFT 21
#define BLOCK_BYTES ((uint64_t)1 << BLOCK_SHIFT)
#define GUEST_BITS  48
#define GUEST_END   ((uint64_t)1 << GUEST_BITS)

/* A guest address, 0 .. GUEST_END - 1 (ranges may end at GUEST_END). */
typedef uint64_t gaddr_t;
/* A host address: where the guest page is mapped in this process. */
typedef uint64_t haddr_t;

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))
#define likely(x)     __builtin_expect(!!(x), 1)
#define unlikely(x)   __builtin_expect(!!(x), 0)
#define CACHE_LINE    64

/* Prints "file:line: assertion failed: text" with write(2) and aborts. */
_Noreturn void assert_failed(const char *text, const char *file, int line);

#define ASSERT(x) (likely(x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))
#ifdef VVM_DEBUG
#define DEBUG_ASSERT(x) ASSERT(x)
#else
#define DEBUG_ASSERT(x) ((void)(0 && (x)))
#endif

static inline uint64_t page_floor(uint64_t addr)
{
	return addr & ~PAGE_MASK;
}

static inline uint64_t page_ceil(uint64_t addr)
{
	return (addr + PAGE_MASK) & ~PAGE_MASK;
}

static inline uint64_t block_floor(uint64_t addr)
{
	return addr & ~(BLOCK_BYTES - 1);
}

/* Index of a guest page in its block, 0..511. */
static inline unsigned page_index(gaddr_t addr)
{
	return (unsigned)(addr >> PAGE_SHIFT) & (BLOCK_PAGES - 1);
}

static inline uint64_t pages_to_bytes(uint64_t pages)
{
	return pages << PAGE_SHIFT;
}

static inline uint64_t bytes_to_pages(uint64_t bytes)
{
	return (bytes + PAGE_MASK) >> PAGE_SHIFT;
}

#endif
