/* SPDX-License-Identifier: MIT */
/*
 * space/view.c - what threads reach of a space's memory without a fault.
 *
 * The guest view is a mapping of the memfd. There are two ways to make accesses
 * to it faults:
 *
 *	userfaultfd  a page without a frame is an event by itself; a page that is
 *		     *protected* is one when it is written to.
 *	guard	     a page without a frame, and one that is protected, has a
 *		     *marker* in the kernel's page table: every access to it is
 *		     SIGSEGV. Without a marker the kernel maps what is in the
 *		     memfd, and would fill what is not.
 *
 * Markers need no privilege (MADV_GUARD_INSTALL, Linux 6.13, of a memfd 6.15),
 * split no mapping, and are allowed where seccomp filters forbid userfaultfd.
 * They survive MADV_DONTNEED, mprotect(2) and the punching of the frame, and
 * neither mlock(2) nor MADV_POPULATE fills what has one. What is written to
 * the memfd behind a marker is seen when that goes: so an install is atomic. So
 * is taking a page away: when the marker is there nobody has access, and the
 * frame can be read, written and punched.
 *
 * What they lack is the write event. So in a guarded space
 *
 *	a CLEAN page may be written to at any time. It *was* equal to its slot,
 *	or zero. Whether it still is, is found out when that matters: the marker
 *	is installed, and the frame compared (space/verify.c). FROZEN pages and
 *	those being written have a marker, so that reading them is a fault, too.
 *
 * Markers take page tables, 2 MiB for each GiB and 8 ms to write. So that a
 * region costs nothing where it is not touched, a mapping is cut into *chunks*
 * (space/chunks.h), which permit no access until somebody first needs a page
 * of them. Then the chunk gets markers all over, and after that the permissions
 * of its regions: it is *ready*. That chunk by chunk is at most CHUNKS_MAX
 * mappings more, fewer where neighbours are alike. A mapping that is one chunk
 * is ready at once.
 *
 * The kernel installs no marker in locked memory, since it would have to unlock
 * pages. We page what the program has locked in any case: it is unlocked.
 *
 * Rejected: a marker for a whole region at once (see above); mapping each block
 * when it is touched (a sparse region of 1 TiB would be 260,000 mappings of
 * 65,530).
 */
#include "space/view.h"

#include <errno.h>

/* Each is a yield with a block locked; who calls can do without success. */
#define UNPROTECT_TRIES 10

/* ---- pages that the program itself has unmapped ---- */

typedef int view_call(haddr_t host, uint64_t bytes, unsigned prot);

/*
 * The kernel fails calls on ranges with holes, some at the first. There is no
 * access to take or give in a hole, so the rest decides: found by halving.
 */
static int around_holes(view_call *call, haddr_t host, uint64_t bytes,
			unsigned prot)
{
	int rc = call(host, bytes, prot);
	uint64_t half = page_floor(bytes / 2);

	if (rc != -ENOMEM || os_all_mapped(host, bytes))
		return rc;
	if (!half)
		return 0;
	rc = around_holes(call, host, half, prot);
	if (rc < 0)
		return rc;
	return around_holes(call, host + half, bytes - half, prot);
}

static int install_in(haddr_t host, uint64_t bytes, unsigned prot)
{
	(void)prot;
	return os_guard_install(host, bytes);
}

static int unlock_in(haddr_t host, uint64_t bytes, unsigned prot)
{
	(void)prot;
	return os_unlock(host, bytes);
}

/* ---- taking and giving access ---- */

/* => as view_protect(). */
static int install(struct vvm *vm, haddr_t host, uint64_t bytes)
{
	int rc = around_holes(install_in, host, bytes, 0);
	struct region *r;

	if (rc != -EINVAL)
		return rc;
	r = regions_at_host(&vm->regions, host);
	rc = r ? around_holes(unlock_in, r->host, r->end - r->start, 0) : rc;
	return rc < 0 ? rc : around_holes(install_in, host, bytes, 0);
}

int view_protect(struct vvm *vm, int uffd, haddr_t host, uint64_t bytes)
{
	if (space_is_guarded(vm))
		return install(vm, host, bytes);
	return os_uffd_wp(uffd, host, bytes, true);
}

int view_unprotect(struct vvm *vm, int uffd, haddr_t host, uint64_t bytes)
{
	if (space_is_guarded(vm))
		return os_guard_remove(host, bytes);
	return os_uffd_wp(uffd, host, bytes, false);
}

int view_unprotect_firmly(struct vvm *vm, int uffd, haddr_t host,
			  uint64_t bytes)
{
	unsigned tries;
	int rc = -EAGAIN;

	for (tries = 0; rc < 0 && tries < UNPROTECT_TRIES; tries++) {
		rc = view_unprotect(vm, uffd, host, bytes);
		if (rc != -EAGAIN && rc != -ENOMEM)
			break;
		os_yield();
	}
	return rc;
}

/* Who waits in a guarded space sleeps on busy_done. */
void view_wake(struct vvm *vm, int uffd, haddr_t host, uint64_t bytes)
{
	if (!space_is_guarded(vm))
		os_uffd_wake(uffd, host, bytes);
}

/* ---- chunks ---- */

static unsigned host_prot(unsigned prot)
{
	return (prot & VVM_READ ? OS_READ : 0) |
	       (prot & VVM_WRITE ? OS_READ | OS_WRITE : 0) |
	       (prot & VVM_EXEC ? OS_EXEC : 0);
}

/* Part of a region of the chunk that is being made ready. */
static int prepare(struct vvm *vm, const struct region *r, haddr_t from,
		   haddr_t to)
{
	int rc;

	from = MAX(from, r->host);
	to = MIN(to, region_host_end(r));
	rc = install(vm, from, to - from);
	return rc < 0 ? rc
		      : around_holes(os_protect, from, to - from,
				     host_prot(r->prot));
}

/* Other mappings may lie where a part of this one has been unmapped. */
static int prepare_chunk(struct vvm *vm, const struct region *of, unsigned i)
{
	struct chunks *c = of->chunks;
	haddr_t from = chunks_from(c, i), to = chunks_to(c, i);
	gaddr_t end = region_to_guest(of, to);
	const struct region *r =
		regions_next_guest(&vm->regions, region_to_guest(of, from));
	int rc = 0;

	for (; rc == 0 && r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end))
		if (r->chunks == c)
			rc = prepare(vm, r, from, to);
	return rc;
}

int view_ready(struct vvm *vm, const struct region *r, haddr_t host)
{
	struct chunks *c = r->chunks;
	unsigned i;
	int rc = 0;

	if (likely(view_is_ready(r, host)))
		return 0;
	i = chunks_index(c, host);
	lock_take(&c->lock);
	if (!chunks_ready(c, i)) {
		rc = prepare_chunk(vm, r, i);
		if (rc == 0)
			chunks_set_ready(c, i);
	}
	lock_drop(&c->lock);
	return rc < 0 ? -ENOMEM : 0;
}

int view_begin(const struct region *r)
{
	struct chunks *c = r->chunks;
	int rc;

	if (!c || c->count > 1)
		return 0;
	rc = os_guard_install(r->host, r->end - r->start);
	if (rc == 0)
		chunks_set_ready(c, 0);
	return rc;
}

int view_permit(const struct region *r, unsigned prot)
{
	haddr_t at = r->host, end = region_host_end(r), next;
	int rc = 0;

	if (!r->chunks)
		return os_protect(at, end - at, host_prot(prot));
	for (; at < end && rc == 0; at = next) {
		bool ready = view_is_ready(r, at);

		next = at;
		do
			next = MIN(end,
				   chunks_to(r->chunks,
					     chunks_index(r->chunks, next)));
		while (next < end && view_is_ready(r, next) == ready);
		if (ready)
			rc = os_protect(at, next - at, host_prot(prot));
	}
	return rc;
}

/* -EFAULT: it has been taken away meanwhile, which is a fault more. */
bool view_refuses(haddr_t host, pte_t need)
{
	int rc;

	if (need == PTE_EXEC)
		return os_forbids_exec(host) ||
		       !os_all_mapped(host, PAGE_BYTES);
	rc = os_populate(host, need == PTE_WRITE);
	return rc == -EINVAL ||
	       (rc == -ENOMEM && !os_all_mapped(host, PAGE_BYTES));
}
