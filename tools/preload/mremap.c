/* SPDX-License-Identifier: MIT */
/*
 * mremap.c - mremap() of paged ranges.
 *
 * A range can be made smaller in place. It does not grow in place, and libvvm
 * cannot move pages: what grows or goes elsewhere is mapped anew, the pages
 * that were ever touched are copied, and the old range is unmapped (or voided,
 * MREMAP_DONTUNMAP). The new one has what the old one had: protection, advice,
 * and locks. As with the kernel the range must be of one kind, else EFAULT.
 */
#include "preload/gate.h"
#include "preload/part.h"
#include "preload/tid.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP /* 5.7 */
#define MREMAP_DONTUNMAP 4
#endif

enum { BLOCK_PAGES = 512 }; /* looked at in one go */
#define BLOCK (BLOCK_PAGES * PAGE)

struct remap {
	uint64_t from, len; /* what there is */
	uint64_t wish;	    /* bytes of the new range */
	void *to;	    /* where it is to be, or with DONTUNMAP might be */
	int flags;
	unsigned prot, advice; /* of the old range */
	bool locked;	       /* some of its pages */
};

static void *failed(int error)
{
	errno = error;
	return MAP_FAILED;
}

/* ------------------------------------------------------------------ */
/* Moving								*/

/* What is to go along. False: it is not all paged, or not of one kind. */
static bool look(struct remap *m)
{
	uint64_t at = m->from, end = m->from + m->len;
	struct vvm_region r;

	for (; at < end; at = r.end) {
		if (!part_next(at, end, &r) || r.start != at)
			return false;
		if (at == m->from) {
			m->prot = r.prot;
			m->advice = r.advice;
		}
		if (r.prot != m->prot)
			return false;
	}
	return true;
}

/* Copies the pages of at most a block that were ever touched. */
static void copy_block(uint64_t to, uint64_t from, uint64_t len)
{
	unsigned char flags[BLOCK_PAGES];
	uint64_t i, n = len / PAGE;

	if (!to || !from)
		__builtin_unreachable(); /* nothing paged lies at 0 */
	preload_enter();
	if (vvm_residency(preload.vm, from, len, flags))
		memset(flags, VVM_PAGE_RESIDENT, sizeof(flags));
	preload_leave();
	for (i = 0; i < n; i++)
		if (flags[i])
			memcpy((void *)(to + i * PAGE),
			       (void *)(from + i * PAGE), PAGE);
}

static int set_prot(uint64_t start, uint64_t len, unsigned prot)
{
	int rc;

	preload_enter();
	rc = vvm_protect(preload.vm, start, len, prot);
	preload_leave();
	return rc;
}

static int copy(const struct remap *m, uint64_t to)
{
	uint64_t at, len = m->len < m->wish ? m->len : m->wish;
	int rc = 0;

	if (!(m->prot & VVM_READ))
		rc = set_prot(m->from, m->len, m->prot | VVM_READ);
	for (at = 0; rc == 0 && at < len; at += BLOCK)
		copy_block(to + at, m->from + at,
			   len - at < BLOCK ? len - at : BLOCK);
	return rc;
}

/* Those of at most a block; *last: is the last page locked? */
static int lock_block(struct remap *m, uint64_t to, uint64_t from, uint64_t len,
		      bool *last)
{
	unsigned char flags[BLOCK_PAGES];
	uint64_t i;
	int rc = vvm_residency(preload.vm, from, len, flags);

	for (i = 0; rc == 0 && i < len / PAGE; i++) {
		*last = flags[i] & VVM_PAGE_PINNED;
		m->locked |= *last;
		if (*last)
			rc = vvm_pin(preload.vm, to + i * PAGE, PAGE);
	}
	return rc;
}

/* Page by page; what is new at the end is as the page before it. */
static int carry_locks(struct remap *m, uint64_t to)
{
	uint64_t at, len = m->len < m->wish ? m->len : m->wish;
	bool last = false;
	int rc = 0;

	for (at = 0; rc == 0 && at < len; at += BLOCK)
		rc = lock_block(m, to + at, m->from + at,
				len - at < BLOCK ? len - at : BLOCK, &last);
	if (rc == 0 && last && m->wish > len)
		rc = vvm_pin(preload.vm, to + len, m->wish - len);
	return rc;
}

/* The new range becomes as the old one. */
static int furnish(struct remap *m, uint64_t to)
{
	int rc;

	preload_enter();
	rc = carry_locks(m, to);
	if (rc == 0 && m->advice != VVM_ADV_NORMAL)
		rc = vvm_advise(preload.vm, to, m->wish,
				(enum vvm_advice)m->advice);
	if (rc == 0 && m->prot != (VVM_READ | VVM_WRITE))
		rc = vvm_protect(preload.vm, to, m->wish, m->prot);
	preload_leave();
	return rc;
}

static void leave_old(const struct remap *m)
{
	if (!(m->flags & MREMAP_DONTUNMAP)) {
		unmap_parts(m->from, m->len);
		return;
	}
	preload_enter();
	if (m->locked) {
		unlock_all(m->from, m->len);
		preload_tids_keep(m->from, m->len);
	}
	vvm_advise(preload.vm, m->from, m->len, VVM_ADV_DONTNEED);
	preload_leave();
}

/* False, and errno. */
static bool new_range(const struct remap *m, void **to)
{
	unsigned prot = VVM_READ | VVM_WRITE;

	*to = m->to;
	if (m->flags & MREMAP_FIXED)
		return paged_map_over(m->to, m->wish, prot) == 0;
	if ((m->to && paged_map(m->to, m->wish, prot, to) == 0) ||
	    paged_map(NULL, m->wish, prot, to) == 0)
		return true;
	errno = ENOMEM;
	return false;
}

/* => look() */
static void *move(struct remap *m)
{
	void *to;
	int rc;

	if (!new_range(m, &to))
		return MAP_FAILED;
	rc = copy(m, (uint64_t)to);
	if (rc == 0)
		rc = furnish(m, (uint64_t)to);
	if (rc == 0)
		leave_old(m);
	if (!(m->prot & VVM_READ) && (rc || m->flags & MREMAP_DONTUNMAP))
		set_prot(m->from, m->len, m->prot);
	if (rc == 0)
		return to;
	unmap_parts((uint64_t)to, m->wish);
	return failed(rc == -EAGAIN ? EAGAIN : ENOMEM);
}

/* ------------------------------------------------------------------ */

static bool meets(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* What the kernel calls EINVAL; of private mappings a length of 0, too. */
static bool valid(const struct remap *m, bool shared, size_t old_len,
		  size_t new_len)
{
	bool moves = m->flags & MREMAP_MAYMOVE;

	if (m->from % PAGE || (!m->len && !shared) || !m->wish ||
	    m->wish < new_len ||
	    m->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return false;
	if (m->flags & MREMAP_DONTUNMAP && (!moves || old_len != new_len))
		return false;
	if (!(m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return true;
	return moves && (uint64_t)m->to % PAGE == 0 &&
	       (m->to || !(m->flags & MREMAP_FIXED)) &&
	       m->wish <= UINT64_MAX - (uint64_t)m->to &&
	       !meets(m->from, m->len, (uint64_t)m->to, m->wish);
}

static void *remap_paged(struct remap *m)
{
	if (in_heap(m->from))
		return failed(EINVAL); /* malloc()'s */
	if (!(m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))) {
		if (m->wish < m->len &&
		    unmap_parts(m->from + m->wish, m->len - m->wish))
			return MAP_FAILED;
		if (m->wish <= m->len)
			return (void *)m->from;
	}
	if (!look(m))
		return failed(EFAULT);
	if (!(m->flags & MREMAP_MAYMOVE))
		return failed(ENOMEM);
	return move(m);
}

/*
 * What is not paged goes over what is. Nothing is given up for what the kernel
 * will not move. (A length of 0 is a second mapping of what is shared.)
 */
static void *remap_over(struct remap *m, size_t old_len, size_t new_len)
{
	uint64_t looked_at = m->len ? m->len : PAGE;

	if (gate_call(SYS_msync, m->from, looked_at, MS_ASYNC) &&
	    errno == ENOMEM)
		return failed(EFAULT);
	if (vacate((uint64_t)m->to, m->wish))
		return MAP_FAILED;
	return (void *)plain_call(SYS_mremap, m->from, old_len, new_len,
				  m->flags, m->to);
}

void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	struct remap m = {.from = (uint64_t)old,
			  .len = UP(old_len),
			  .wish = UP(new_len),
			  .flags = flags};
	va_list ap;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(ap, flags);
		m.to = va_arg(ap, void *);
		va_end(ap);
	}
	/* a length that rounds up to 0 is 0: the kernel would map it twice */
	if (part_paged(old, m.len ? m.len : 1)) {
		if (!valid(&m, false, old_len, new_len))
			return failed(EINVAL);
		return remap_paged(&m);
	}
	if (flags & MREMAP_FIXED && part_paged(m.to, new_len) &&
	    valid(&m, true, old_len, new_len))
		return remap_over(&m, old_len, new_len);
	return (void *)plain_call(SYS_mremap, old, old_len, new_len, flags,
				  m.to);
}
