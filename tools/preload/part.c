/* SPDX-License-Identifier: MIT */
/*
 * part.c - cuts the calls on ranges into the parts that are paged, which libvvm
 * gets, and the others, which the kernel gets. The theory is in mmap.c.
 */
#include "preload/gate.h"
#include "preload/part.h"

#include <errno.h>
#include <stdatomic.h>
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

/* ---- without asking ---- */

/* As far as a thread of ours can be deep in so small a stack as there may be. */
#define STACK_REACH ((uintptr_t)64 << 10)
/* The kernel maps nothing else so near the first thread's. */
#define FIRST_REACH ((uintptr_t)64 << 20)

extern void *__libc_stack_end;

static __thread uintptr_t born_at __attribute__((tls_model("initial-exec")));
static _Atomic bool uneven;

void part_born(void)
{
	born_at = (uintptr_t)__builtin_frame_address(0);
}

void part_uneven(void)
{
	atomic_store(&uneven, true);
}

/* Between where this thread is and where it began. */
static bool on_stack(uint64_t at, uint64_t end)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t top = born_at ? born_at : (uintptr_t)__libc_stack_end;

	return at >= here && end <= top && at < end &&
	       top - here < (born_at ? STACK_REACH : FIRST_REACH);
}

/* Blocks cannot be unmapped by who has them. */
static bool in_even_heap(uint64_t at, uint64_t end)
{
	return vvm_heap_owns(preload.heap, (void *)at) &&
	       vvm_heap_owns(preload.heap, (void *)(end - 1)) &&
	       !atomic_load_explicit(&uneven, memory_order_relaxed);
}

/* ---- all ---- */

bool readable_as(struct looked *known, const void *p, size_t bytes)
{
	uint64_t at = (uint64_t)p, end = at + bytes;
	struct vvm_region part;
	bool yes = may_be_memory(p) && end >= at;

	if (!yes || !bytes || (at >= known->from && end <= known->to) ||
	    on_stack(at, end) || in_even_heap(at, end))
		return yes;
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
	if (yes)
		*known = (struct looked){(uint64_t)p & -PAGE, UP(end)};
	return yes;
}

bool readable(const void *p, size_t bytes)
{
	struct looked known = {0};

	return readable_as(&known, p, bytes);
}

bool paged_writable(const void *p, size_t bytes)
{
	uint64_t at = (uint64_t)p, end = at + bytes;
	struct vvm_region part;

	if (!may_be_memory(p) || end <= at || !is_paged(p, bytes))
		return false;
	for (; at < end; at = part.end)
		if (!part_next(at & -PAGE, UP(at + 1), &part) ||
		    !(part.prot & VVM_WRITE))
			return false;
	return true;
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
