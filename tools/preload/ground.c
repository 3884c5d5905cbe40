/* SPDX-License-Identifier: MIT */
/*
 * ground.c - ranges that change hands: something else is put over what is paged,
 * or paged memory over something else.
 *
 * For the kernel that is one step. Here it is two: libvvm unmaps, then it or
 * the kernel maps. Other threads map at the same time, and what is free is theirs:
 * the second step would destroy it, or find no room. So the range is never
 * free. It is the thread's *ground*: what libvvm unmaps of it stays reserved,
 * without access, and what it maps there takes the place of a reservation.
 *
 * If the second step fails the range stays reserved. The program believes it
 * its own, until it unmaps it, and nobody else comes to lie there.
 *
 * Between the steps an access is SIGSEGV. A thread that uses what another one
 * is just replacing does not know what it will find, but for that it would
 * find something.
 *
 * Rejected: a lock around all mappings (the loader and libc map by themselves).
 */
#include "preload/gate.h"
#include "preload/part.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset);
int __wrap_munmap(void *addr, size_t len);

static __thread struct ground {
	uint64_t start, end;
} ground __attribute__((tls_model("initial-exec")));

/* ---- what libvvm maps and unmaps ---- */

static bool on_ground(const void *addr, size_t len)
{
	uint64_t at = (uint64_t)addr;

	return at >= ground.start && at < ground.end && len <= ground.end - at;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
		  off_t offset)
{
	if (flags & MAP_FIXED_NOREPLACE && on_ground(addr, len))
		flags ^= MAP_FIXED_NOREPLACE | MAP_FIXED;
	return (void *)gate_call(SYS_mmap, addr, len, prot, flags, fd, offset);
}

/* What libvvm unmaps it has made inaccessible before (lib/map). */
int __wrap_munmap(void *addr, size_t len)
{
	if (on_ground(addr, len))
		return 0;
	return (int)gate_call(SYS_munmap, addr, len);
}

/* ---- the two steps ---- */

static bool meets_heap(uint64_t start, uint64_t len)
{
	struct vvm_region part;
	uint64_t at = start;

	for (; part_next(at, start + len, &part); at = part.end)
		if (in_heap(part.start))
			return true;
	return false;
}

/*
 * May something be put there? What is put there later may be refused for its
 * place, and then nothing must be lost: the kernel says EEXIST, or why not.
 */
static bool is_place(uint64_t start, uint64_t len)
{
	void *p = plain_map((void *)start, len, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				    MAP_FIXED_NOREPLACE,
			    -1, 0);

	if (p == MAP_FAILED)
		return errno == EEXIST;
	plain_call(SYS_munmap, p, len); /* another thread has unmapped all */
	return true;
}

int vacate(uint64_t start, uint64_t len)
{
	struct ground before = ground;
	struct vvm_region part;
	uint64_t at = start;
	int rc = 0;

	if (!is_place(start, len))
		return -1;
	if (meets_heap(start, len))
		return part_fail(EINVAL);
	preload_enter();
	ground = (struct ground){start, start + len};
	for (; rc == 0 && part_next(at, start + len, &part); at = part.end)
		rc = drop_paged(part.start, part.end - part.start);
	ground = before;
	preload_leave();
	return part_result(rc);
}

static bool reserve(uint64_t start, uint64_t len)
{
	return plain_map((void *)start, len, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				 MAP_FIXED,
			 -1, 0) != MAP_FAILED;
}

int paged_map_over(void *addr, uint64_t len, unsigned prot)
{
	struct ground before = ground;
	uint64_t start = (uint64_t)addr;
	int rc;

	if (vacate(start, len) || !reserve(start, len))
		return -1;
	ground = (struct ground){start, start + len};
	rc = paged_map(addr, len, prot, &addr);
	ground = before;
	if (rc == 0)
		return 0;
	reserve(start, len); /* over what it has begun with */
	return part_fail(ENOMEM);
}
