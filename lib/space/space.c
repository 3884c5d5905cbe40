/* SPDX-License-Identifier: MIT */
/*
 * space/space.c - the state of a space, and the theory of the engine.
 *
 * Terms. A *page* is 4 KiB of guest addresses. A *frame* is a page of the
 * space's memfd. A *slot* is a page of a backing: of the swap, which all
 * regions share, or of the region's own (a file that it maps). A *block* is one
 * page table leaf, 512 pages. An *actor* is whoever moves pages: a handler
 * (fault/handler.c), a reclaimer (evict/reclaim.c), or an API thread
 * (map/access.c, map/mapping.c).
 *
 * Where the bytes are. The frame of a page lies in the memfd at the offset
 * that equals the page's host address. Host addresses are unique in the
 * process and below 2^47, so the memfd needs no allocator of its own: a
 * sparse file of 2^47 bytes is the frame table. The guest view is MAP_SHARED
 * and registered with userfaultfd for MISSING and WP. Consequences:
 *   - no frame in the memfd -> a MISSING event; we fill the page.
 *   - a frame, but no mapping -> the kernel maps it again by itself. That is
 *     our accessed bit: reclaim drops the mapping (MADV_DONTNEED) and later
 *     asks the pagemap whether it is back.
 *   - the write-protect bit of a shmem page survives the dropping of its
 *     mapping (a PTE marker), so a clean page stays guarded.
 *
 * The software page table is the authority. A page's state (space/page.h)
 * changes only under its block's lock, by space_move(). The kernel's view may
 * lag behind for a moment inside that lock, never outside it.
 *
 * Invariants, whenever no block lock is held:
 *   (1) PRESENT pages have a frame in the memfd, FILLING ones may, and no
 *	 others do.
 *   (2) CLEAN and WRITING pages are write-protected, and FROZEN ones that a
 *	 fork child may still read (snapshot/snapshot.c); DIRTY ones are not.
 *	 So a write to one of the former is always an event, and a thread that
 *	 holds the block lock may write to a DIRTY page without one.
 *	 In a guarded space (space/view.c) these pages are protected from
 *	 reading, too, but CLEAN ones not at all; and (3) is true of them only
 *	 after verify_clean(), until they are touched.
 *   (3) The content of a CLEAN page equals its slot, or is all zero without
 *	 one; of a SWAPPED page it is in its slot only. (A file that is a
 *	 region's backing may be written to by others: it was equal.)
 *   (4) A slot of the swap is named by at most one entry, or by one write-back
 *	 in flight; one of a region's own backing by its page only.
 *   (5) frames.used = PRESENT pages + FILLING pages + frames of operations
 *	 about to install or just punched + frames.packed, those that hold
 *	 compressed pages (swap/tier.c) or are saved for them: never less than
 *	 the memfd and they hold, and never more than the budget.
 *   (6) A FILLING page is changed by the fill that claimed it and by nobody
 *	 else; everybody else waits (block.busy_done) or goes away.
 *   (7) A block with resident pages is on the clock.
 *   (8) A MAPPED entry is covered by a region and has its permissions. An
 *	 entry is MAPPED when somebody first looks for its page, so a region
 *	 costs nothing where it is not touched.
 *   (9) A thread that has a page FILLING never waits for the space lock: a fork
 *	 holds that lock for writing while it waits until no page is FILLING
 *	 (fork/fork.c).
 *
 * Why no write is lost. A page is evicted in two ways only. Clean: it is
 * write-protected (2), so the frame equals the slot at the moment of the
 * punch; a writer that comes earlier raised an event, whose handler waits for
 * the block lock and then finds the page SWAPPED: it fills it again. Dirty:
 * it is protected first, then copied, then written. A write in between is an
 * event that moves it back to DIRTY, and the write-back, when it completes,
 * finds it no longer WRITING and throws its slot away. A block has one
 * write-back generation at a time (block.writing), so "still WRITING" cannot
 * mean a later one. The kernel can write without an event to a page that it has
 * taken before it was protected: such pages stay DIRTY (space/grip.c).
 *
 * Lock order: enum lock_rank. The mapping lock serialises the mapping calls
 * and is the only one held while waiting for I/O: no actor ever takes it. The
 * space lock is read-held for a look-up and across one step; written only to
 * change the region index or free blocks. Whoever holds it for reading may
 * use block pointers; whoever has a page FILLING or counted in block.writing
 * may use that block without it, since unmap waits for both.
 *
 * Rejected: one allocator of memfd offsets per space (the address is one
 * already); an alias mapping of the memfd to read victims through (each punch
 * would shoot down the alias, 20 us; pread costs 1.5); a lock for each page
 * (the block's lock is held for microseconds, and 4 KiB of entries share one
 * clock step anyway).
 */
#include "space/space.h"

#include <errno.h>
#include <string.h>

#include "swap/swap.h"
#include "util/log.h"

#define ROUSE_LOOK_US 100000
#define BUSY_LOOK_US  100000 /* is the space broken by now? */

/* ---- pages ---- */

static void count_entry(struct vvm_stat_actor *actor, pte_t e, int n)
{
	enum page_state s = pte_state(e);

	if (s == PAGE_DIRTY || s == PAGE_WRITING || s == PAGE_FROZEN)
		stat_add(actor, VVM_STAT_dirty_pages, n);
	else if (s == PAGE_SWAPPED && slot_is_swap(pte_slot(e)))
		stat_add(actor, VVM_STAT_swapped_pages, n);
	else if (s == PAGE_FILLING)
		stat_add(actor, VVM_STAT_filling_pages, n);
	if (s == PAGE_WRITING)
		stat_add(actor, VVM_STAT_writing_pages, n);
}

void space_move(struct vvm *vm, struct vvm_stat_actor *actor, struct block *b,
		unsigned i, enum page_state to, uint64_t slot)
{
	pte_t old = b->pte[i];
	uint64_t old_slot = pte_slot(old);

	pt_move(b, i, to, slot);
	if (old_slot != slot && slot_is_swap(old_slot))
		vm->swap->ops->give(vm->swap, old_slot, 1);
	count_entry(actor, old, -1);
	count_entry(actor, b->pte[i], 1);
	if ((old ^ b->pte[i]) & b->pte[i] & PTE_PRESENT)
		clock_add(&vm->clock, b);
}

void space_begin_page(struct block *b, unsigned i, const struct region *r)
{
	gaddr_t addr = b->base + pages_to_bytes(i);

	if (r->backing)
		pt_move(b, i, PAGE_SWAPPED, region_slot(r, addr));
}

/* ---- frames ---- */

bool space_take_frames(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t n,
		       uint64_t reserve)
{
	bool taken = frames_take(&vm->frames, n, reserve);

	if (taken)
		stat_add(actor, VVM_STAT_resident_pages, (int64_t)n);
	if (frames_low(&vm->frames))
		space_kick_reclaim(vm);
	return taken;
}

static void wake_starving(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		if (atomic_load_explicit(&vm->port[i].starving,
					 memory_order_seq_cst))
			os_eventfd_signal(vm->port[i].event);
	waitq_wake(&vm->frame_free);
}

void space_wake_waiting(struct vvm *vm)
{
	if (atomic_load(&vm->frames.wanted))
		wake_starving(vm);
}

void space_give_frames(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t n)
{
	if (!n)
		return;
	stat_add(actor, VVM_STAT_resident_pages, -(int64_t)n);
	frames_give(&vm->frames, n);
	space_wake_waiting(vm);
}

static bool take_packed(void *arg, uint64_t pages)
{
	struct vvm *vm = arg;

	return frames_take_packed(&vm->frames, pages);
}

static void give_packed(void *arg, uint64_t pages)
{
	struct vvm *vm = arg;

	frames_give_packed(&vm->frames, pages);
	space_wake_waiting(vm);
}

void space_spend_frames(struct vvm *vm)
{
	if (frames_spend(&vm->frames))
		space_wake_waiting(vm);
}

int space_keep(struct vvm *vm, struct backing *b)
{
	struct store_memory memory = {
		.take = take_packed,
		.give = give_packed,
		.arg = vm,
		.inherited = vm->conf.fork == VVM_FORK_INHERIT,
	};
	int rc;

	if (vm->conf.compress == VVM_COMPRESS_OFF)
		return 0;
	rc = swap_keep(b, &memory);
	if (rc == 0 || vm->conf.compress == VVM_COMPRESS_AUTO)
		return 0; /* it is a matter of speed only */
	if (rc == -ENOTSUP)
		log_error("compress=lz4: this libvvm was built without liblz4");
	else
		log_warn("no address space for compressed pages: all go to "
			 "the swap");
	return rc == -ENOTSUP ? rc : 0;
}

void space_kick_reclaim(struct vvm *vm)
{
	if (atomic_load(&vm->reclaim_asleep) &&
	    atomic_exchange(&vm->reclaim_asleep, false))
		os_eventfd_signal(vm->reclaim_event);
}

/* ---- blocks ---- */

/* Maps the entries of a block that regions cover, with their permissions. */
static void map_entries(struct vvm *vm, struct block *b)
{
	gaddr_t end = b->base + BLOCK_BYTES;
	struct region *r = regions_next_guest(&vm->regions, b->base);
	gaddr_t addr;

	for (; r && r->start < end;
	     r = regions_next_guest(&vm->regions, r->end)) {
		for (addr = MAX(r->start, b->base); addr < MIN(r->end, end);
		     addr += PAGE_BYTES) {
			unsigned i = page_index(addr);

			if (b->pte[i] & PTE_MAPPED)
				continue;
			pt_move(b, i, PAGE_FRESH, 0);
			pt_set_perms(b, i, (pte_t)r->prot * PTE_READ);
			space_begin_page(b, i, r);
		}
	}
}

struct block *space_lock_block(struct vvm *vm, gaddr_t addr)
{
	struct block *b = pt_get(&vm->pt, addr, NULL);

	if (!b)
		return NULL;
	lock_take(&b->lock);
	if (!(b->pte[page_index(addr)] & PTE_MAPPED))
		map_entries(vm, b);
	return b;
}

/*
 * Nobody ends what is in flight in b: a thread is dead, and the others leave
 * pages alone. Frames are not given back, since who had them is not known.
 */
static void condemn(struct vvm *vm, struct block *b)
{
	unsigned i;

	for (i = 0; i < BLOCK_PAGES; i++) {
		uint64_t slot = pte_slot(b->pte[i]);

		if (pte_state(b->pte[i]) == PAGE_FILLING)
			space_move(vm, vm->api, b, i, PAGE_SWAPPED, slot);
		else if (pte_state(b->pte[i]) == PAGE_WRITING)
			space_move(vm, vm->api, b, i, PAGE_DIRTY, 0);
	}
	b->writing = b->slow_writing = 0;
}

void space_wait_busy(struct vvm *vm, struct block *b, unsigned first,
		     unsigned last, bool writes)
{
	unsigned i;

	for (;;) {
		uint32_t ticket = waitq_ticket(&b->busy_done);

		for (i = first; i <= last; i++)
			if (pte_state(b->pte[i]) == PAGE_FILLING)
				break;
		if (i > last && !(writes && b->writing))
			return;
		if (space_broken(vm)) {
			condemn(vm, b);
			return;
		}
		b->awaited += writes;
		lock_drop(&b->lock);
		waitq_wait(&b->busy_done, ticket, BUSY_LOOK_US);
		lock_take(&b->lock);
		b->awaited -= writes;
	}
}

/*
 * Never close a userfaultfd with a thread blocked on it: that thread would
 * read zeros. Who is woken asks again, and finds what has changed.
 */
void space_wake_all(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		if (vm->port[i].uffd >= 0)
			os_uffd_wake(vm->port[i].uffd, PAGE_BYTES,
				     ((haddr_t)1 << 47) - 2 * PAGE_BYTES);
}

/* The starter (fork/child.c) sleeps until this event or a fault. */
void space_rouse(struct vvm *vm)
{
	for (;;) {
		uint32_t ticket = waitq_ticket(&vm->roused);

		if (!atomic_load(&vm->dormant))
			return;
		os_eventfd_signal(vm->reclaim_event);
		waitq_wait(&vm->roused, ticket, ROUSE_LOOK_US);
	}
}

/* ---- publishing and checking ---- */

void space_backing_stat(struct vvm *vm, struct backing_stat *bs)
{
	uint64_t inflight, since_us;

	vm->swap->ops->stat(vm->swap, bs);
	inflight = atomic_load(&vm->flight.count);
	since_us = atomic_load(&vm->flight.progress_us);
	if (inflight)
		bs->progress_us = bs->inflight ? MIN(bs->progress_us, since_us)
					       : since_us;
	bs->inflight += inflight;
}

void space_publish(struct vvm *vm)
{
	struct backing_stat bs;

	memset(&bs, 0, sizeof(bs));
	vm->swap->ops->stat(vm->swap, &bs);
	stat_set(&vm->stats, budget_pages, atomic_load(&vm->frames.budget));
	stat_set(&vm->stats, auto_budget, space_is_automatic(vm));
	stat_set(&vm->stats, peak_pages, atomic_load(&vm->frames.peak));
	stat_set(&vm->stats, swap_used_pages, bs.slots_used);
	stat_set(&vm->stats, swap_area_pages, bs.slots_area);
	stat_set(&vm->stats, swap_limit_pages, bs.slots_limit);
	stat_set(&vm->stats, swap_held_pages, bs.slots_held);
	stat_set(&vm->stats, handlers, vm->handler_count);
	stat_set(&vm->stats, direct_io, bs.direct);
	stat_set(&vm->stats, inline_faults,
		 vm->conf.faults != VVM_FAULTS_THREAD);
	stat_set(&vm->stats, guard_faults, space_is_guarded(vm));
	stat_set(&vm->stats, packed_now_pages, bs.packed);
	stat_set(&vm->stats, packed_frames, bs.packed_memory);
	stat_set(&vm->stats, low_pages, atomic_load(&vm->frames.low));
	stat_set(&vm->stats, high_pages, atomic_load(&vm->frames.high));
}

/* (4) and (8) for an entry. */
static void check_entry(const struct region *r, gaddr_t addr, pte_t e)
{
	uint64_t slot = pte_slot(e);

	if (!(e & PTE_MAPPED))
		return;
	ASSERT(r);
	ASSERT((e & PTE_PERMS) == (pte_t)r->prot * PTE_READ);
	if (slot && !slot_is_swap(slot))
		ASSERT(r->backing && slot == region_slot(r, addr));
}

/* (7), and the entries of one block; returns its frames. => its lock held. */
static uint64_t check_block(struct vvm *vm, struct block *b)
{
	uint64_t frames = b->resident + b->filling;
	unsigned i;

	pt_check_block(b);
	ASSERT(!b->resident || b->on_clock);
	for (i = 0; i < BLOCK_PAGES; i++) {
		gaddr_t addr = b->base + pages_to_bytes(i);

		check_entry(regions_at_guest(&vm->regions, addr), addr,
			    b->pte[i]);
	}
	return frames;
}

void space_check(struct vvm *vm)
{
	struct block *b;
	uint64_t frames = 0, allocated = 0;

	rwlock_read(&vm->lock);
	regions_check(&vm->regions);
	pt_for_each_block (&vm->pt, b, 0, GUEST_END) {
		lock_take(&b->lock);
		frames += check_block(vm, b);
		lock_drop(&b->lock);
	}
	rwlock_end_read(&vm->lock);
	/* (5), exact only while nothing moves. */
	frames += atomic_load(&vm->frames.packed);
	ASSERT(frames <= atomic_load(&vm->frames.used));
	if (os_allocated(vm->memfd, &allocated) == 0)
		ASSERT(bytes_to_pages(allocated) +
			       atomic_load(&vm->frames.packed) <=
		       atomic_load(&vm->frames.used));
}
