/* SPDX-License-Identifier: MIT */
/*
 * part.c - cuts the calls on ranges into the parts that are paged, which libvvm
 * gets, and the others, which the kernel gets. The theory is in mmap.c.
 */
#include "preload/gate.h"
#include "preload/part.h"

#include <errno.h>
#include <sys/syscall.h>

int part_fail(int error)
{
	errno = error;
	return -1;
}

int part_result(int rc)
{
	if (rc == 0)
		return 0;
	return part_fail(rc <= -VVM_EUNMAPPED ? ENOMEM : -rc);
}

bool part_next(uint64_t start, uint64_t end, struct vvm_region *part)
{
	int rc;

	if (start >= end)
		return false;
	preload_enter();
	rc = vvm_query(preload.vm, start, part);
	preload_leave();
	if (rc || part->start >= end)
		return false;
	if (part->start < start)
		part->start = start;
	if (part->end > end)
		part->end = end;
	return true;
}

bool part_paged(const void *addr, size_t len)
{
	uint64_t start = (uint64_t)addr;
	struct vvm_region part;

	return preload.paging && len && UP(len) <= UINT64_MAX - start &&
	       part_next(start, start + UP(len), &part);
}

bool is_paged(const void *addr, size_t len)
{
	if (!preload.paging)
		return false;
	if (vvm_heap_owns(preload.heap, addr))
		return true;
	return preload.mmap_min && part_paged(addr, len);
}

/* Asks for a change of the mask that there is not; the set is read before. */
static bool word_readable(uint64_t at)
{
	int saved = errno;
	bool yes = gate_call(SYS_rt_sigprocmask, -1, at & -8, NULL, 8) == 0 ||
		   errno != EFAULT;

	errno = saved;
	return yes;
}

bool readable(const void *p, size_t bytes)
{
	uint64_t at = (uint64_t)p, end = at + bytes;
	struct vvm_region part;
	bool yes = may_be_memory(p) && end >= at;

	while (yes && at < end) {
		if (is_paged((void *)at, 1) &&
		    part_next(at & -PAGE, UP(at + 1), &part)) {
			yes = part.prot & VVM_READ;
			at = part.end;
		} else {
			yes = word_readable(at);
			at = (at & -PAGE) + PAGE;
		}
	}
	return yes;
}

static int call_paged(const struct call *call, const struct vvm_region *part)
{
	int rc;

	preload_enter();
	rc = part_result(
		call->paged(part->start, part->end - part->start, call->arg));
	preload_leave();
	return rc;
}

int part_each(const struct call *call, void *addr, size_t len)
{
	uint64_t at = (uint64_t)addr, end = at + UP(len);
	struct vvm_region part = {0};
	bool hole = false, more = true;
	int rc = 0;

	if (at % PAGE)
		return part_fail(EINVAL);
	while (at < end && more) {
		more = part_next(at, end, &part);
		if (!more)
			part.start = part.end = end;
		if (part.start > at)
			rc = call->plain(at, part.start - at, call->arg);
		if (rc && errno == ENOMEM && call->past_holes) {
			hole = true;
			rc = 0;
		}
		if (rc == 0 && more)
			rc = call_paged(call, &part);
		if (rc)
			return rc;
		at = part.end;
	}
	return hole ? part_fail(ENOMEM) : 0;
}
