/* SPDX-License-Identifier: MIT */
/*
 * fill/fill.c - putting pages into the memfd.
 *
 * Who reads a page claims it (it becomes FILLING and holds a frame), gets
 * its bytes with nothing locked, and installs it. A FILLING page belongs to
 * that one read alone (space (6)). A page that is filled for reading is
 * write-protected and CLEAN, keeping its slot. One that is filled for writing
 * is writable and DIRTY, its slot given back: no second event. So is one filled
 * for reading in a region where what is read is usually written next
 * (policy/intent.c).
 *
 * A page is installed in one of two ways. Mapped: UFFDIO_COPY, 1.6 us a page in
 * batches. Unmapped: write-protected by markers (0.04 us a page) and written
 * into the memfd. That costs as much as UFFDIO_COPY plus a native minor fault
 * (1.3 us) of whoever uses the page; what it buys is that the first reference
 * is a real one.
 *
 * The kernel call comes before the change of state, so that a failing call
 * leaves the table as it was and the fault can be tried again.
 *
 * EEXIST from UFFDIO_COPY means the memfd holds a page where our table says
 * there is none. By space (1) that cannot be, short of somebody else's bug.
 * Of a page that was read the right content is in our hands, so we write it
 * into that frame and go on, the same way. Of a FRESH page nobody but the
 * program can know it: it may have written to that frame without an event, so
 * what is there stays.
 *
 * Rejected: reading into the frame itself, through a second mapping of the
 * memfd, and UFFDIO_CONTINUE. The fault of the second mapping (3.3 us),
 * CONTINUE (1.1) and the end of that mapping (0.3 in batches of 64, 1.5 and
 * more alone) cost more than UFFDIO_COPY (3.2).
 */
#include "fill/fill.h"

#include <errno.h>

#include "util/probe.h"
#include "space/verify.h"
#include "space/view.h"

static const char zero_page[PAGE_BYTES] __attribute__((aligned(4096)));

/* ---- the memfd ---- */

/*
 * In a guarded space. If the program has unmapped some of the pages, the others
 * have no marker any more, and writes to them are not to be lost; of one alone
 * it is an error.
 */
static int remove_markers(struct vvm *vm, haddr_t host, uint64_t bytes)
{
	int rc = view_unprotect(vm, -1, host, bytes);

	return rc == -ENOMEM && bytes > PAGE_BYTES ? 0 : rc;
}

/*
 * In a guarded space the marker goes when the content is there. No protection
 * stays: a CLEAN page has none (space/view.c).
 */
static int put_behind(struct vvm *vm, haddr_t host, const char *from,
		      uint64_t bytes)
{
	int rc = os_frame_write(vm->memfd, from, bytes, host);

	if (rc == -EFBIG)
		rc = os_frame_write_mapped(vm->memfd, from, bytes, host);
	if (rc == 0)
		rc = remove_markers(vm, host, bytes);
	if (rc < 0)
		os_punch(vm->memfd, host, bytes);
	return rc;
}

/*
 * A poison marker that fault_fail() left there would swallow the write
 * protection: it goes first. After an error no frame is left: half-written
 * ones must not be mapped. Until all are there they are protected in any case,
 * lest a thread writes to the first before the last one fails.
 */
int fill_put_unmapped(struct vvm *vm, int uffd, haddr_t host, const char *from,
		      unsigned n, bool protect)
{
	uint64_t bytes = pages_to_bytes(n);
	int rc = 0;

	if (space_is_guarded(vm))
		return put_behind(vm, host, from, bytes);
	if (atomic_load(&vm->failing))
		rc = os_advise(host, bytes, OS_ADV_DONTNEED);
	if (rc == 0)
		rc = view_protect(vm, uffd, host, bytes);
	if (rc == 0)
		rc = os_frame_write(vm->memfd, from, bytes, host);
	if (rc == 0 && !protect)
		rc = view_unprotect_firmly(vm, uffd, host, bytes);
	if (rc == 0)
		rc = os_uffd_wake(uffd, host, bytes);
	if (rc < 0)
		os_punch(vm->memfd, host, bytes);
	return rc;
}

unsigned fill_put(struct vvm *vm, int uffd, haddr_t host, const char *from,
		  unsigned n, bool protect, int *error)
{
	uint64_t bytes = pages_to_bytes(n), done = 0, got;
	int rc = 0;

	if (space_is_guarded(vm)) {
		*error = put_behind(vm, host, from, bytes);
		return *error < 0 ? 0 : n;
	}
	while (done < bytes && rc == 0) {
		rc = os_uffd_copy(uffd, host + done, from + done, bytes - done,
				  protect ? OS_UFFD_PROTECTED : 0, &got);
		done += got;
		if (rc == -EEXIST) {
			rc = fill_put_unmapped(vm, uffd, host + done,
					       from + done, 1, protect);
			if (rc == 0)
				done += PAGE_BYTES;
		}
	}
	*error = rc;
	return (unsigned)(done >> PAGE_SHIFT);
}

static int put_zeros(int uffd, haddr_t host, bool dirty)
{
	uint64_t got;

	if (dirty)
		return os_uffd_zero(uffd, host, PAGE_BYTES, &got);
	return os_uffd_copy(uffd, host, zero_page, PAGE_BYTES,
			    OS_UFFD_PROTECTED, &got);
}

/* Said twice, it is so: a DIRTY page without a frame would fault for ever. */
int fill_put_zeros(struct vvm *vm, int uffd, haddr_t host, bool *dirty)
{
	int rc;

	if (space_is_guarded(vm))
		return put_behind(vm, host, zero_page, PAGE_BYTES);
	rc = put_zeros(uffd, host, *dirty);
	if (rc == -EEXIST)
		rc = put_zeros(uffd, host, *dirty);
	if (rc != -EEXIST)
		return rc;
	*dirty = true;
	return os_uffd_wp(uffd, host, PAGE_BYTES, false);
}

unsigned fill_put_zero_run(struct vvm *vm, int uffd, haddr_t host, unsigned n)
{
	uint64_t got = 0;
	unsigned i;

	if (!space_is_guarded(vm)) {
		os_uffd_zero(uffd, host, pages_to_bytes(n), &got);
		return (unsigned)(got >> PAGE_SHIFT);
	}
	for (i = 0; i < n; i++)
		if (os_frame_write(vm->memfd, zero_page, PAGE_BYTES,
				   host + pages_to_bytes(i)) < 0)
			break;
	if (i && remove_markers(vm, host, pages_to_bytes(i)) == 0)
		return i;
	if (i)
		os_punch(vm->memfd, host, pages_to_bytes(i));
	return 0;
}

/* ---- the page table ---- */

void fill_admit(struct vvm *vm, struct block *b, unsigned i, bool prefetched)
{
	gaddr_t addr = b->base + pages_to_bytes(i);
	unsigned age = vm->clock.ops->admit(&vm->clock.policy, &b->policy, addr,
					    prefetched);
	pte_t e = pte_with_age(b->pte[i], age);

	b->pte[i] = prefetched ? e | PTE_PREFETCHED : e;
	pt_publish(b, i);
}

void fill_present(struct vvm *vm, struct vvm_stat_actor *actor, struct block *b,
		  unsigned i, bool dirty, bool prefetched, const char *bytes)
{
	b->pte[i] &= ~PTE_PREFETCHED;
	if (dirty || !verify_note(vm, b, i, bytes))
		space_move(vm, actor, b, i, PAGE_DIRTY, 0);
	else
		space_move(vm, actor, b, i, PAGE_CLEAN, pte_slot(b->pte[i]));
	fill_admit(vm, b, i, prefetched);
}

void fill_give_up(struct vvm *vm, struct vvm_stat_actor *actor, struct block *b,
		  unsigned i)
{
	space_move(vm, actor, b, i, PAGE_SWAPPED, pte_slot(b->pte[i]));
	space_give_frames(vm, actor, 1);
}

/* ---- reads ---- */

/* Pages that somebody wants; *unpacked: of these, those that were in memory. */
static unsigned wanted_pages(const struct io *io, unsigned *unpacked)
{
	unsigned i, n = 0;

	*unpacked = 0;
	for (i = 0; i < io->pages; i++) {
		n += !io_page_gap(io, i);
		*unpacked += io_page_memory(io, i);
	}
	return n;
}

void fill_count_read(struct vvm_stat_actor *actor, const struct io *io,
		     uint64_t start_ns, uint64_t end_ns, bool demand)
{
	unsigned unpacked, pages = wanted_pages(io, &unpacked);

	stat_add(actor, VVM_STAT_unpacked_pages, unpacked);
	if (unpacked < pages) {
		stat_add(actor, VVM_STAT_swapin_pages, pages - unpacked);
		stat_add(actor, VVM_STAT_swapin_reads, 1);
		stat_add(actor, VVM_STAT_swapin_us,
			 (int64_t)(end_ns - start_ns) / 1000);
	}
	PROBE4(fill, io->addr, io->pages, demand, end_ns - start_ns);
	(void)demand; /* without probes */
}

/* ---- intent ---- */

bool fill_intends(const struct vvm *vm, struct region *r, uint64_t slot)
{
	if (space_is_guarded(vm))
		return false; /* there is no event to be saved */
	if (slot & SLOT_OF_REGION)
		return false;
	return (r->prot & VVM_WRITE) && intent_ask(&r->intent);
}

void fill_note_intent(struct vvm_stat_actor *actor, struct region *r,
		      uint64_t slot, bool intended, unsigned n)
{
	if (!n || slot & SLOT_OF_REGION)
		return;
	if (intended)
		stat_add(actor, VVM_STAT_intent_pages, n);
	else
		intent_filled(&r->intent, n);
}
