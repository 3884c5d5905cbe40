/* SPDX-License-Identifier: MIT */
/*
 * mmap.c - the program's mappings, where they are paged.
 *
 * With --mmap a private anonymous mapping of at least MIN bytes becomes a
 * region of the space: allocators that do not use malloc() (Python's arenas,
 * most garbage collectors) are paged that way. Left to the kernel are stacks,
 * mappings that must be at an address of the caller's choice (MAP_FIXED; one
 * that he would merely like, a hint, is taken if it is free and may be, as the
 * kernel does), those that are executable from the start, locked or made of huge
 * pages, and what libc maps for itself.
 *
 * Once a range is paged, the calls on it must not reach the kernel as they
 * are. It would do what they say to its own idea of the range, a shared file
 * mapping: MADV_DONTNEED would not void the content, mlock() would keep the
 * pager from dropping a page, mprotect() would be undone. So each call is cut
 * into the parts that are paged, which libvvm gets, and the others, which the
 * kernel gets (part.c). For the heap's memory that is needed without
 * --mmap, too: programs protect and lock what malloc() gave them.
 *
 * A call does what it says or is refused with an error that the manual has for
 * it; none returns 0 and has no effect. mremap.c and protect.c have the other
 * calls of the family; vvmrun(1) has what is refused.
 *
 * A mapping that is
 * put over a paged range with MAP_FIXED becomes paged zeros if it is private,
 * anonymous and not executable, as allocators do to commit or discard a part
 * of what they have reserved; else it takes the range away from libvvm (ground.c).
 */
#include "preload/gate.h"
#include "preload/part.h"
#include "preload/tid.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No page of libvvm can be that. */
#define NOT_PAGED (MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED)
#define NOT_OURS \
	(NOT_PAGED | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_STACK | MAP_32BIT)

#define CALLER ((uintptr_t)__builtin_return_address(0))

/* Also where a test has given the functions other names. */
#define TEXT(name)    #name
#define SAME_AS(name) __attribute__((alias(TEXT(name))))

unsigned paged_prot(int prot)
{
	return (prot & PROT_READ ? VVM_READ : 0) |
	       (prot & PROT_WRITE ? VVM_READ | VVM_WRITE : 0) |
	       (prot & PROT_EXEC ? VVM_READ | VVM_EXEC : 0);
}

bool in_heap(uint64_t addr)
{
	return vvm_heap_owns(preload.heap, (void *)addr);
}

/* ------------------------------------------------------------------ */
/* munmap								*/

static int plain_unmap(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	return (int)plain_call(SYS_munmap, start, len);
}

void unlock_all(uint64_t start, uint64_t len)
{
	uint64_t at;

	for (at = start; at < start + len; at += PAGE)
		while (vvm_unpin(preload.vm, at, PAGE) == 0)
			continue;
}

int drop_paged(uint64_t start, uint64_t len)
{
	int rc;

	rc = vvm_unmap(preload.vm, start, len);
	if (rc == -EBUSY) {
		preload_tids_forget(start, len);
		unlock_all(start, len);
		rc = vvm_unmap(preload.vm, start, len);
	}
	return rc;
}

static int paged_unmap(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	if (in_heap(start))
		return -EINVAL; /* what malloc() gave is not to be unmapped */
	return drop_paged(start, len);
}

int unmap_parts(uint64_t start, uint64_t len)
{
	static const struct call call = {paged_unmap, plain_unmap, 0, false};

	return part_each(&call, (void *)start, len);
}

int munmap(void *addr, size_t len)
{
	if (!part_paged(addr, len))
		return (int)plain_call(SYS_munmap, addr, len);
	return unmap_parts((uint64_t)addr, len);
}

/* ------------------------------------------------------------------ */
/* mmap									*/

void *plain_map(void *addr, size_t len, int prot, int flags, int fd,
		off_t offset)
{
	return (void *)plain_call(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static bool is_private_zeros(int prot, int flags, off_t offset)
{
	return (flags & MAP_TYPE) == MAP_PRIVATE && flags & MAP_ANONYMOUS &&
	       !(prot & PROT_EXEC) && !offset;
}

static bool wanted(uintptr_t caller, size_t len, int prot, int flags,
		   off_t offset)
{
	return preload.mmap_min && preload.paging && len >= preload.mmap_min &&
	       len <= INT64_MAX && is_private_zeros(prot, flags, offset) &&
	       !(flags & NOT_OURS) &&
	       caller - preload.loader >= preload.loader_bytes;
}

int paged_map(void *addr, uint64_t len, unsigned prot, void **out)
{
	uint64_t at = VVM_ANYWHERE;
	int rc;

	preload_enter();
	if (addr)
		rc = vvm_map_at(preload.vm, addr, len, prot, "mmap");
	else
		rc = vvm_map(preload.vm, &at, len, prot, "mmap");
	preload_leave();
	*out = addr ? addr : (void *)at;
	return rc;
}

/* MAP_POPULATE: as much as can stay. That it fails is nobody's business. */
static void populate(const void *addr, uint64_t len, int flags)
{
	struct vvm_stats stats;
	int saved = errno;

	if (!(flags & MAP_POPULATE) || flags & MAP_NONBLOCK)
		return;
	preload_enter();
	if (vvm_stats(preload.vm, &stats, sizeof(stats)) == 0) {
		uint64_t most = UP(stats.budget_pages * PAGE / 2);

		vvm_touch(preload.vm, (uint64_t)addr, len < most ? len : most,
			  VVM_TOUCH_READ);
	}
	preload_leave();
	errno = saved;
}

/*
 * The page of a hint is meant; the kernel may have given it to others. Where
 * system calls are trapped the library knows where what is paged must lie.
 */
static void *map_new(const void *hint, size_t len, int prot, int flags)
{
	uint64_t page = preload.traps ? 0 : (uint64_t)hint & -PAGE;
	void *p;

	if (!page || paged_map((void *)page, UP(len), paged_prot(prot), &p))
		if (paged_map(NULL, UP(len), paged_prot(prot), &p)) {
			errno = ENOMEM;
			return MAP_FAILED;
		}
	populate(p, UP(len), flags);
	return p;
}

static int paged_renew(uint64_t start, uint64_t len, int prot)
{
	int rc = vvm_advise(preload.vm, start, len, VVM_ADV_DONTNEED);

	if (rc == -EBUSY) {
		preload_tids_forget(start, len);
		unlock_all(start, len);
		rc = vvm_advise(preload.vm, start, len, VVM_ADV_DONTNEED);
	}
	if (rc == 0)
		rc = vvm_advise(preload.vm, start, len, VVM_ADV_NORMAL);
	return rc ? rc : vvm_protect(preload.vm, start, len, paged_prot(prot));
}

static int plain_renew(uint64_t start, uint64_t len, int prot)
{
	void *p = plain_map(
		(void *)start, len, prot,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

/* Would the kernel map that? Asked before something is lost for it. */
static bool permitted(size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p = plain_map(NULL, len, prot,
			    flags & ~(MAP_FIXED | MAP_POPULATE | MAP_LOCKED),
			    fd, offset);

	return p != MAP_FAILED && plain_call(SYS_munmap, p, len) == 0;
}

/* MAP_FIXED over a range of which something is paged. */
static void *map_over(void *addr, size_t len, int prot, int flags, int fd,
		      off_t offset)
{
	struct call renew = {paged_renew, plain_renew, prot, false};

	if (is_private_zeros(prot, flags, offset) && !(flags & NOT_PAGED)) {
		if (part_each(&renew, addr, len))
			return MAP_FAILED;
		populate(addr, UP(len), flags);
		return addr;
	}
	if (!permitted(len, prot, flags, fd, offset) ||
	    vacate((uint64_t)addr, UP(len)))
		return MAP_FAILED;
	return plain_map(addr, len, prot, flags, fd, offset);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (wanted(CALLER, len, prot, flags, offset))
		return map_new(addr, len, prot, flags);
	if (flags & MAP_FIXED && !(flags & MAP_FIXED_NOREPLACE) &&
	    part_paged(addr, len))
		return map_over(addr, len, prot, flags, fd, offset);
	return plain_map(addr, len, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
	SAME_AS(mmap);

/* Moves whole pages of shared mappings of files, which paged ones look like. */
int remap_file_pages(void *addr, size_t len, int prot, size_t page, int flags)
{
	if (part_paged(addr, len))
		return part_fail(EINVAL);
	return (int)plain_call(SYS_remap_file_pages, addr, len, prot, page,
			       flags);
}

/* ------------------------------------------------------------------ */
/* shmat								*/

/* Attached elsewhere, which may be refused, then moved there. */
static void *attach_over(int id, uint64_t at, uint64_t len, int flags)
{
	void *p = (void *)plain_call(SYS_shmat, id, (void *)NULL,
				     flags & ~(SHM_REMAP | SHM_RND));
	void *there = MAP_FAILED;
	int error;

	if (p == MAP_FAILED)
		return p;
	if (vacate(at, len) == 0)
		there = (void *)plain_call(SYS_mremap, p, len, len,
					   MREMAP_MAYMOVE | MREMAP_FIXED, at);
	if (there == MAP_FAILED) {
		error = errno;
		plain_call(SYS_shmdt, p);
		errno = error;
	}
	return there;
}

void *shmat(int id, const void *addr, int flags)
{
	uint64_t at = (uint64_t)addr & (flags & SHM_RND ? -PAGE : UINT64_MAX);
	struct shmid_ds segment;

	if (!(flags & SHM_REMAP) || !preload.paging || at % PAGE ||
	    plain_call(SYS_shmctl, id, IPC_STAT, &segment) ||
	    !part_paged((void *)at, segment.shm_segsz))
		return (void *)plain_call(SYS_shmat, id, addr, flags);
	return attach_over(id, at, UP(segment.shm_segsz), flags);
}
