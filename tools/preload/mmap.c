/* SPDX-License-Identifier: MIT */
/*
 * mmap.c - the program's mappings, where they are paged.
 *
 * With --mmap a private anonymous mapping of at least MIN bytes becomes a
 * region of the space: allocators that do not use malloc() (Python's arenas,
 * most garbage collectors) are paged that way. Left to the kernel are stacks,
 * mappings at an address of the caller's choice, those that are executable
 * from the start, locked or made of huge pages, and what libc maps for itself.
 *
 * Once a range is paged, the calls on it must not reach the kernel as they
 * are. It would do what they say to its own idea of the range, a shared file
 * mapping: MADV_DONTNEED would not void the content, mlock() would keep the
 * pager from dropping a page, mprotect() would be undone. So each call is cut
 * into the parts that are paged, which libvvm gets, and the others, which the
 * kernel gets (each_part()). For the heap's memory that is needed without
 * --mmap, too: programs protect and lock what malloc() gave them.
 *
 * mremap() can make a paged range smaller in place, but not larger: then it
 * copies the pages that were ever touched, if it may move. A mapping that is
 * put over a paged range with MAP_FIXED becomes paged zeros if it is private,
 * anonymous and not executable, as allocators do to commit or discard a part
 * of what they have reserved; else it takes the range away from libvvm.
 *
 * mlockall() is refused: all of a paged memory cannot be in RAM.
 */
#include "preload/state.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE  ((uint64_t)VVM_PAGE_SIZE)
#define UP(n) (((uint64_t)(n) + PAGE - 1) & -PAGE)
#define BLOCK ((uint64_t)512 * PAGE) /* looked at in one go by mremap() */
#define NOT_OURS                                                       \
	(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN | MAP_STACK | \
	 MAP_HUGETLB | MAP_LOCKED | MAP_32BIT)

#define CALLER ((uintptr_t)__builtin_return_address(0))

static int fail(int error)
{
	errno = error;
	return -1;
}

/* What libvvm returned, as a system call would. */
static int result(int rc)
{
	if (rc == 0)
		return 0;
	return fail(rc <= -VVM_EUNMAPPED ? ENOMEM : -rc);
}

static unsigned vvm_prot(int prot)
{
	return (prot & PROT_READ ? VVM_READ : 0) |
	       (prot & PROT_WRITE ? VVM_READ | VVM_WRITE : 0) |
	       (prot & PROT_EXEC ? VVM_READ | VVM_EXEC : 0);
}

static bool in_heap(uint64_t addr)
{
	return vvm_heap_owns(preload.heap, (void *)addr);
}

/* ------------------------------------------------------------------ */
/* Parts								*/

/* A call on a range: what it means for a paged part, and for another. */
struct call {
	int (*paged)(uint64_t start, uint64_t len, int arg);
	int (*plain)(uint64_t start, uint64_t len, int arg);
	int arg;
};

/* The next paged part of a range, cut to it. False: none is left. */
static bool next_part(uint64_t start, uint64_t end, uint64_t *from,
		      uint64_t *to)
{
	struct vvm_region r;
	int rc;

	if (start >= end)
		return false;
	preload_enter();
	rc = vvm_query(preload.vm, start, &r);
	preload_leave();
	if (rc || r.start >= end)
		return false;
	*from = r.start > start ? r.start : start;
	*to = r.end < end ? r.end : end;
	return true;
}

/* Is there anything paged in the range at all? Quick when there is not. */
static bool touches_paged(const void *addr, size_t len)
{
	uint64_t start = (uint64_t)addr, from, to;

	return preload.paging && !preload_depth && len &&
	       UP(len) <= UINT64_MAX - start &&
	       next_part(start, start + UP(len), &from, &to);
}

/* => touches_paged(). Stops at the first error. */
static int each_part(const struct call *call, void *addr, size_t len)
{
	uint64_t at = (uint64_t)addr, end = at + UP(len), from, to;
	int rc = 0;

	if (at % PAGE)
		return fail(EINVAL);
	while (rc == 0 && next_part(at, end, &from, &to)) {
		if (from > at)
			rc = call->plain(at, from - at, call->arg);
		if (rc == 0) {
			preload_enter();
			rc = result(call->paged(from, to - from, call->arg));
			preload_leave();
		}
		at = to;
	}
	if (rc == 0 && at < end)
		rc = call->plain(at, end - at, call->arg);
	return rc;
}

/* ------------------------------------------------------------------ */
/* munmap								*/

static int plain_unmap(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	return (int)syscall(SYS_munmap, start, len);
}

/* An unmapped page is unlocked, too. */
static void unlock_all(uint64_t start, uint64_t len)
{
	uint64_t at;

	for (at = start; at < start + len; at += PAGE)
		while (vvm_unpin(preload.vm, at, PAGE) == 0)
			continue;
}

static int paged_unmap(uint64_t start, uint64_t len, int arg)
{
	int rc;

	(void)arg;
	if (in_heap(start))
		return -EINVAL; /* what malloc() gave is not to be unmapped */
	rc = vvm_unmap(preload.vm, start, len);
	if (rc == -EBUSY) {
		unlock_all(start, len);
		rc = vvm_unmap(preload.vm, start, len);
	}
	return rc;
}

static const struct call call_unmap = {paged_unmap, plain_unmap, 0};

int munmap(void *addr, size_t len)
{
	if (!touches_paged(addr, len))
		return (int)syscall(SYS_munmap, addr, len);
	return each_part(&call_unmap, addr, len);
}

/* ------------------------------------------------------------------ */
/* mmap									*/

static void *plain_map(void *addr, size_t len, int prot, int flags, int fd,
		       off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static bool wanted(uintptr_t caller, size_t len, int prot, int flags)
{
	return preload.mmap_min && preload.paging && !preload_depth &&
	       len >= preload.mmap_min && len <= INT64_MAX &&
	       (flags & MAP_TYPE) == MAP_PRIVATE && flags & MAP_ANONYMOUS &&
	       !(flags & NOT_OURS) && !(prot & PROT_EXEC) &&
	       caller - preload.loader >= preload.loader_bytes;
}

static void *paged_map(size_t len, unsigned prot)
{
	uint64_t addr = VVM_ANYWHERE;
	int rc;

	preload_enter();
	rc = vvm_map(preload.vm, &addr, UP(len), prot, "mmap");
	preload_leave();
	if (rc == 0)
		return (void *)addr;
	errno = ENOMEM;
	return MAP_FAILED;
}

static int paged_renew(uint64_t start, uint64_t len, int prot)
{
	int rc = vvm_advise(preload.vm, start, len, VVM_ADV_DONTNEED);

	return rc ? rc : vvm_protect(preload.vm, start, len, vvm_prot(prot));
}

static int plain_renew(uint64_t start, uint64_t len, int prot)
{
	void *p = plain_map(
		(void *)start, len, prot,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

/* MAP_FIXED over a range of which something is paged. */
static void *map_over(void *addr, size_t len, int prot, int flags, int fd,
		      off_t offset)
{
	struct call renew = {paged_renew, plain_renew, prot};

	if (flags & MAP_ANONYMOUS && (flags & MAP_TYPE) == MAP_PRIVATE &&
	    !(prot & PROT_EXEC))
		return each_part(&renew, addr, len) ? MAP_FAILED : addr;
	if (each_part(&call_unmap, addr, len))
		return MAP_FAILED;
	return plain_map(addr, len, prot, flags, fd, offset);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (wanted(CALLER, len, prot, flags))
		return paged_map(len, vvm_prot(prot));
	if (flags & MAP_FIXED && touches_paged(addr, len))
		return map_over(addr, len, prot, flags, fd, offset);
	return plain_map(addr, len, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
	__attribute__((alias("mmap")));

/* ------------------------------------------------------------------ */
/* mremap								*/

/* Copies the pages of at most a block that were ever touched. */
static void copy_block(uint64_t to, uint64_t from, uint64_t len)
{
	unsigned char flags[512];
	uint64_t i, n = len / PAGE;

	preload_enter();
	if (vvm_residency(preload.vm, from, len, flags))
		memset(flags, VVM_PAGE_RESIDENT, sizeof(flags));
	preload_leave();
	for (i = 0; i < n; i++)
		if (flags[i])
			memcpy((void *)(to + i * PAGE),
			       (void *)(from + i * PAGE), PAGE);
}

static void *move(uint64_t from, uint64_t len, uint64_t new_len)
{
	void *to = paged_map(new_len, VVM_READ | VVM_WRITE);
	uint64_t at;

	if (to == MAP_FAILED)
		return to;
	for (at = 0; at < len; at += BLOCK)
		copy_block((uint64_t)to + at, from + at,
			   len - at < BLOCK ? len - at : BLOCK);
	each_part(&call_unmap, (void *)from, len);
	return to;
}

static void *remap_paged(void *old, size_t old_len, size_t new_len, int flags)
{
	uint64_t len = UP(old_len), wish = UP(new_len);

	if ((uint64_t)old % PAGE || !len || !wish || wish < new_len ||
	    in_heap((uint64_t)old)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	if (flags & ~MREMAP_MAYMOVE || (wish > len && !flags)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (wish > len)
		return move((uint64_t)old, len, wish);
	if (wish < len &&
	    each_part(&call_unmap, (char *)old + wish, len - wish))
		return MAP_FAILED;
	return old;
}

void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	void *new_addr = NULL;
	va_list ap;

	if (touches_paged(old, old_len ? old_len : 1))
		return remap_paged(old, old_len, new_len, flags);
	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	return (void *)syscall(SYS_mremap, old, old_len, new_len, flags,
			       new_addr);
}

/* ------------------------------------------------------------------ */
/* mprotect, madvise							*/

static int plain_protect(uint64_t start, uint64_t len, int prot)
{
	return (int)syscall(SYS_mprotect, start, len, prot);
}

static int paged_protect(uint64_t start, uint64_t len, int prot)
{
	return vvm_protect(preload.vm, start, len, vvm_prot(prot));
}

int mprotect(void *addr, size_t len, int prot)
{
	struct call call = {paged_protect, plain_protect, prot};

	if (!touches_paged(addr, len))
		return plain_protect((uint64_t)addr, len, prot);
	return each_part(&call, addr, len);
}

static int plain_advise(uint64_t start, uint64_t len, int advice)
{
	return (int)syscall(SYS_madvise, start, len, advice);
}

/* What has no meaning for paged memory (huge pages, core dumps) is heard. */
static int paged_advise(uint64_t start, uint64_t len, int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_FREE:
		return vvm_advise(preload.vm, start, len, VVM_ADV_DONTNEED);
	case MADV_WILLNEED:
		return vvm_advise(preload.vm, start, len, VVM_ADV_WILLNEED);
	case MADV_NORMAL:
		return vvm_advise(preload.vm, start, len, VVM_ADV_NORMAL);
	case MADV_RANDOM:
		return vvm_advise(preload.vm, start, len, VVM_ADV_RANDOM);
	case MADV_SEQUENTIAL:
		return vvm_advise(preload.vm, start, len, VVM_ADV_SEQUENTIAL);
	case MADV_COLD:
	case MADV_PAGEOUT:
		return vvm_advise(preload.vm, start, len, VVM_ADV_COLD);
	case MADV_REMOVE:
		return -EINVAL; /* as for private anonymous memory */
	default:
		return 0;
	}
}

int madvise(void *addr, size_t len, int advice)
{
	struct call call = {paged_advise, plain_advise, advice};

	if (!touches_paged(addr, len))
		return plain_advise((uint64_t)addr, len, advice);
	return each_part(&call, addr, len);
}

/* ------------------------------------------------------------------ */
/* Locking, and asking							*/

static int plain_lock(uint64_t start, uint64_t len, int flags)
{
	return (int)syscall(SYS_mlock2, start, len, flags);
}

static int paged_lock(uint64_t start, uint64_t len, int flags)
{
	(void)flags;
	return vvm_pin(preload.vm, start, len);
}

static int plain_unlock(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	return (int)syscall(SYS_munlock, start, len);
}

static int paged_unlock(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	unlock_all(start, len);
	return 0;
}

/* Any address will do for mlock() and munlock(): whole pages are meant. */
static int lock_call(const struct call *call, const void *addr, size_t len)
{
	uint64_t offset = (uint64_t)addr % PAGE;

	if (!touches_paged((const char *)addr - offset, len + offset))
		return call->plain((uint64_t)addr, len, call->arg);
	return each_part(call, (char *)(uint64_t)addr - offset, len + offset);
}

int mlock2(const void *addr, size_t len, unsigned flags)
{
	struct call call = {paged_lock, plain_lock, (int)flags};

	return lock_call(&call, addr, len);
}

int mlock(const void *addr, size_t len)
{
	return mlock2(addr, len, 0);
}

int munlock(const void *addr, size_t len)
{
	static const struct call call = {paged_unlock, plain_unlock, 0};

	return lock_call(&call, addr, len);
}

int mlockall(int flags)
{
	return preload.vm ? fail(ENOMEM) : (int)syscall(SYS_mlockall, flags);
}

int mincore(void *addr, size_t len, unsigned char *vec)
{
	uint64_t i;
	int rc;

	if (!touches_paged(addr, len) || (uint64_t)addr % PAGE)
		return (int)syscall(SYS_mincore, addr, len, vec);
	preload_enter();
	rc = vvm_residency(preload.vm, (uint64_t)addr, UP(len), vec);
	preload_leave();
	for (i = 0; rc == 0 && i < UP(len) / PAGE; i++)
		vec[i] = vec[i] & VVM_PAGE_RESIDENT;
	return result(rc);
}
