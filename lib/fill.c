/* SPDX-License-Identifier: MIT */
/*
 * fill.c - pages on their way from the backing into the memfd.
 *
 * A fill is one run of a block's pages with consecutive slots, one read. It is
 * claimed (the pages become FILLING and hold frames), perhaps widened, read
 * by its owner with nothing locked, and installed. A FILLING page belongs to
 * its fill alone (space (6)).
 *
 * A page read for reading is installed write-protected and CLEAN, keeping its
 * slot. One read for writing is installed writable and DIRTY, its slot given
 * back: no second event. So is one read for reading in a region where what is
 * read is usually written next (intent.c). Pages that come along with it
 * (readahead) are installed as for reading and marked PREFETCHED until the
 * clock sees them used.
 *
 * Pages that come along are not mapped: they are write-protected (markers,
 * 0.04 us a page) and written into the memfd. The total cost is that of
 * UFFDIO_COPY plus the native minor fault of whoever uses one; what it buys
 * is that the first reference to a prefetched page is a real one, so that
 * hits and waste are exact and unused pages go first, and that the demanded
 * page is installed, and its thread running, before the others are copied.
 *
 * Fresh pages of a stream of first writes are filled with zeros ahead of it,
 * after the demanded one, whose thread runs meanwhile. They are DIRTY, since
 * the write to a protected one would be an event again; those that are never
 * written cost no I/O either: evict.c finds that they are zero.
 *
 * The kernel call comes before the change of state, so that a failing call
 * leaves the table as it was and the fault can be tried again.
 *
 * EEXIST from UFFDIO_COPY means the memfd holds a page where our table says
 * there is none. By space (1) that cannot be, short of somebody else's bug;
 * the right content is in our hands, so we write it into that frame and go
 * on, the same way.
 */
#include "fill.h"

#include <errno.h>
#include <string.h>

#include "log.h"

static const char zero_page[PAGE_BYTES] __attribute__((aligned(4096)));

/* ---- the memfd ---- */

/*
 * Puts n pages into the memfd without mapping them. A poison marker that
 * fault_fail() left there would swallow the write protection: it goes first.
 * After an error no frame is left: half-written ones must not be mapped.
 */
static int install_unmapped(struct vvm *vm, int uffd, haddr_t host,
			    const char *from, unsigned n, bool protect)
{
	uint64_t bytes = pages_to_bytes(n);
	int rc = 0;

	if (atomic_load(&vm->failing))
		rc = os_advise(host, bytes, OS_ADV_DONTNEED);
	if (rc == 0)
		rc = os_uffd_wp(uffd, host, bytes, protect);
	if (rc == 0)
		rc = os_frame_write(vm->memfd, from, bytes, host);
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

	if (!from) {
		ASSERT(n == 1);
		from = zero_page;
	}
	while (done < bytes && rc == 0) {
		rc = os_uffd_copy(uffd, host + done, from + done, bytes - done,
				  protect ? OS_UFFD_PROTECTED : 0, &got);
		done += got;
		if (rc == -EEXIST) {
			rc = install_unmapped(vm, uffd, host + done,
					      from + done, 1, protect);
			if (rc == 0)
				done += PAGE_BYTES;
		}
	}
	*error = rc;
	return (unsigned)(done >> PAGE_SHIFT);
}

enum fault_result fill_error(int error)
{
	if (error == -ENOENT || error == -ESRCH)
		return FAULT_GONE; /* unmapped under us */
	return FAULT_RETRY;
}

void fill_admit(struct vvm *vm, struct block *b, unsigned i, bool prefetched)
{
	gaddr_t addr = b->base + pages_to_bytes(i);
	pte_t e = pte_with_age(b->pte[i], vm->policy->admit(addr, prefetched));

	b->pte[i] = prefetched ? e | PTE_PREFETCHED : e;
	pt_publish(b, i);
}

/* ---- claim ---- */

bool fill_intends(struct region *r)
{
	return (r->prot & VVM_WRITE) && intent_ask(&r->intent);
}

void fill_note_intent(struct vvm_stat_actor *actor, struct region *r,
		      bool intended, unsigned n)
{
	if (!n)
		return;
	if (intended)
		stat_add(actor, VVM_STAT_intent_pages, n);
	else
		intent_filled(&r->intent, n);
}

void fill_claim(struct fill *fill, struct vvm *vm, struct vvm_stat_actor *actor,
		struct region *r, struct block *b, gaddr_t addr, bool write)
{
	unsigned i = page_index(addr);
	uint64_t slot = pte_slot(b->pte[i]);

	space_move(vm, actor, b, i, PAGE_FILLING, slot);
	fill->vm = vm;
	fill->block = b;
	fill->first = fill->demand = i;
	fill->has_demand = true;
	fill->intended = fill_intends(r);
	fill->write = write || fill->intended;
	if (!write)
		fill_note_intent(actor, r, fill->intended, 1);
	fill->host = region_to_host(r, addr);
	fill->uffd = space_uffd(vm, r, fill->host);
	fill->advice = r->advice;
	fill->io.addr = addr;
	fill->io.order = NULL;
	fill->io.slot = slot;
	fill->io.pages = 1;
}

/* Is page i the one that continues the fill by `step` slots? */
static bool follows(const struct block *b, unsigned i, uint64_t slot)
{
	return pte_state(b->pte[i]) == PAGE_SWAPPED && pte_slot(b->pte[i]) == slot;
}

/*
 * Index range [*low, *high) of b that shares region and stripe with host, the
 * address of index i: one descriptor and one host run. => space lock held.
 */
static void run_limits(const struct region *r, const struct block *b,
		       unsigned i, unsigned *low, unsigned *high)
{
	gaddr_t start = MAX(b->base, r->start);
	gaddr_t end = MIN(b->base + BLOCK_BYTES, r->end);
	haddr_t host = region_to_host(r, b->base + pages_to_bytes(i));
	haddr_t stripe = host >> r->stripe_shift << r->stripe_shift;
	haddr_t stripe_end = stripe + ((haddr_t)1 << r->stripe_shift);

	if (region_to_host(r, start) < stripe)
		start = region_to_guest(r, stripe);
	if (region_to_host(r, end - 1) >= stripe_end)
		end = region_to_guest(r, stripe_end);
	*low = (unsigned)((start - b->base) >> PAGE_SHIFT);
	*high = (unsigned)((end - b->base) >> PAGE_SHIFT);
}

/* Frames for readahead, as many of n as can be spared. */
static unsigned spare_frames(struct vvm *vm, struct vvm_stat_actor *actor,
			     unsigned n)
{
	/* Reclaim works below `low`; half of that is left to demand faults. */
	uint64_t reserve = atomic_load(&vm->frames.low) / 2 + 1;

	while (n && !space_take_frames(vm, actor, n, reserve))
		n /= 2;
	return n;
}

/* Claims pages [from, from + n) of its block as part of the fill. */
static void claim_pages(struct vvm *vm, struct vvm_stat_actor *actor,
			struct region *r, struct fill *fill, unsigned from,
			unsigned n)
{
	struct block *b = fill->block;
	unsigned i;

	for (i = from; i < from + n; i++)
		space_move(vm, actor, b, i, PAGE_FILLING, pte_slot(b->pte[i]));
	stat_add(actor, VVM_STAT_prefetch_pages, n);
	fill_note_intent(actor, r, fill->intended, n);
}

static unsigned widen_behind(struct vvm *vm, struct vvm_stat_actor *actor,
			     struct region *r, struct fill *fill,
			     unsigned high, unsigned most)
{
	struct block *b = fill->block;
	unsigned end = fill->first + fill->io.pages, n = 0;

	while (n < most && end + n < high &&
	       follows(b, end + n, fill->io.slot + fill->io.pages + n))
		n++;
	n = spare_frames(vm, actor, n);
	claim_pages(vm, actor, r, fill, end, n);
	fill->io.pages += n;
	return n;
}

static unsigned widen_before(struct vvm *vm, struct vvm_stat_actor *actor,
			     struct region *r, struct fill *fill, unsigned low,
			     unsigned most)
{
	struct block *b = fill->block;
	unsigned n = 0;

	while (n < most && n < fill->first - low && n < fill->io.slot &&
	       follows(b, fill->first - n - 1, fill->io.slot - n - 1))
		n++;
	n = spare_frames(vm, actor, n);
	claim_pages(vm, actor, r, fill, fill->first - n, n);
	fill->first -= n;
	fill->host -= pages_to_bytes(n);
	fill->io.addr -= pages_to_bytes(n);
	fill->io.slot -= n;
	fill->io.pages += n;
	return n;
}

unsigned fill_widen(struct vvm *vm, struct vvm_stat_actor *actor,
		    struct fill *fill, unsigned before, unsigned after)
{
	unsigned low, high, room = MIN(fill->room, (unsigned)IO_MAX_PAGES);
	unsigned added = 0;
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, fill->host);
	if (r) {
		lock_take(&fill->block->lock);
		run_limits(r, fill->block, fill->first, &low, &high);
		after = MIN(after, room - fill->io.pages);
		added = widen_behind(vm, actor, r, fill, high, after);
		before = MIN(before, room - fill->io.pages);
		added += widen_before(vm, actor, r, fill, low, before);
		lock_drop(&fill->block->lock);
	}
	rwlock_end_read(&vm->lock);
	return added;
}

/* The part of fill_claim_ahead() inside one block. => block lock held. */
static bool claim_in_block(struct vvm *vm, struct vvm_stat_actor *actor,
			   struct region *r, struct block *b, unsigned i,
			   unsigned end, struct fill *fill)
{
	unsigned low, high, n;

	while (i < end && pte_state(b->pte[i]) != PAGE_SWAPPED)
		i++;
	if (i == end)
		return false;
	run_limits(r, b, i, &low, &high);
	high = MIN(high, end);
	for (n = 1; n < fill->room && n < IO_MAX_PAGES && i + n < high; n++)
		if (!follows(b, i + n, pte_slot(b->pte[i]) + n))
			break;
	n = spare_frames(vm, actor, n);
	if (!n)
		return false;
	fill->vm = vm;
	fill->block = b;
	fill->first = i;
	fill->has_demand = false;
	fill->write = false;
	fill->intended = fill_intends(r);
	fill->io.addr = b->base + pages_to_bytes(i);
	fill->io.order = NULL;
	fill->io.slot = pte_slot(b->pte[i]);
	fill->io.pages = n;
	fill->host = region_to_host(r, fill->io.addr);
	fill->uffd = space_uffd(vm, r, fill->host);
	claim_pages(vm, actor, r, fill, i, n);
	return true;
}

bool fill_claim_ahead(struct vvm *vm, struct vvm_stat_actor *actor,
		      gaddr_t addr, gaddr_t end, struct fill *fill,
		      gaddr_t *next)
{
	bool claimed = false;
	struct region *r;
	struct block *b;

	*next = end;
	rwlock_read(&vm->lock);
	b = pt_next(&vm->pt, addr, end);
	if (b) {
		gaddr_t from = MAX(addr, b->base);
		gaddr_t to = MIN(end, b->base + BLOCK_BYTES);

		r = regions_next_guest(&vm->regions, from);
		if (r && r->start < to) {
			from = MAX(from, r->start);
			to = MIN(to, r->end);
			lock_take(&b->lock);
			claimed = claim_in_block(
				vm, actor, r, b, page_index(from),
				page_index(to - 1) + 1, fill);
			lock_drop(&b->lock);
		}
		*next = claimed ? fill->io.addr +
					  pages_to_bytes(fill->io.pages)
				: to;
	}
	rwlock_end_read(&vm->lock);
	return claimed;
}

/* How many pages of b from i on are FRESH, up to `high`. */
static unsigned fresh_run(const struct block *b, unsigned i, unsigned high)
{
	unsigned n = 0;

	while (i + n < high && pte_state(b->pte[i + n]) == PAGE_FRESH)
		n++;
	return n;
}

/* Fills n FRESH pages of b with zeros; returns how many. => block lock held. */
static unsigned put_zeros(struct vvm *vm, struct vvm_stat_actor *actor,
			  struct block *b, unsigned i, int uffd, haddr_t host,
			  unsigned n)
{
	unsigned k, done;
	uint64_t got = 0;

	os_uffd_zero(uffd, host, pages_to_bytes(n), &got);
	done = (unsigned)(got >> PAGE_SHIFT);
	for (k = i; k < i + done; k++) {
		space_move(vm, actor, b, k, PAGE_DIRTY, 0);
		fill_admit(vm, b, k, false);
	}
	space_give_frames(vm, actor, n - done);
	stat_add(actor, VVM_STAT_zero_ahead_pages, done);
	return done;
}

unsigned fill_zeros_ahead(struct vvm *vm, struct vvm_stat_actor *actor,
			  haddr_t host, unsigned count)
{
	unsigned i, n = 0, low, high;
	struct region *r;
	struct block *b;
	gaddr_t addr;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r && (r->prot & VVM_WRITE)) {
		addr = region_to_guest(r, host);
		i = page_index(addr);
		b = space_lock_block(vm, addr);
		if (b) {
			run_limits(r, b, i, &low, &high);
			n = fresh_run(b, i, MIN(high, i + count));
			n = spare_frames(vm, actor, n);
			if (n)
				n = put_zeros(vm, actor, b, i,
					      space_uffd(vm, r, host), host, n);
			lock_drop(&b->lock);
		}
	}
	rwlock_end_read(&vm->lock);
	return n;
}

/* ---- install ---- */

static bool is_demand(const struct fill *fill, unsigned i)
{
	return fill->has_demand && fill->first + i == fill->demand;
}

/* Gives up page i of the fill: it is as it was before the claim. */
static void unclaim(struct fill *fill, struct vvm_stat_actor *actor, unsigned i)
{
	struct block *b = fill->block;
	unsigned index = fill->first + i;

	space_move(fill->vm, actor, b, index, PAGE_SWAPPED,
		   pte_slot(b->pte[index]));
	space_give_frames(fill->vm, actor, 1);
}

/*
 * Page i could not be read. A demanded page is poisoned; one that was only
 * read ahead goes back, for a demand fault to try again.
 */
static void spoil(struct fill *fill, struct vvm_stat_actor *actor, unsigned i)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	struct block *b = fill->block;
	unsigned index = fill->first + i;

	if (!is_demand(fill, i)) {
		unclaim(fill, actor, i);
		return;
	}
	stat_add(actor, VVM_STAT_read_errors, 1);
	stat_add(actor, VVM_STAT_poisoned_pages, 1);
	log_warn_once(&once, "cannot read page %llx back from swap: its "
			     "content is lost, touching it is SIGBUS",
		      (unsigned long long)(b->base + pages_to_bytes(index)));
	space_move(fill->vm, actor, b, index, PAGE_POISONED,
		   pte_slot(b->pte[index]));
	space_give_frames(fill->vm, actor, 1);
}

/* Page i of the fill is in the memfd now. */
static void settle(struct fill *fill, struct vvm_stat_actor *actor, unsigned i,
		   bool write)
{
	struct block *b = fill->block;
	unsigned index = fill->first + i;

	if (write)
		space_move(fill->vm, actor, b, index, PAGE_DIRTY, 0);
	else
		space_move(fill->vm, actor, b, index, PAGE_CLEAN,
			   pte_slot(b->pte[index]));
	fill_admit(fill->vm, b, index, !is_demand(fill, i));
}

/* Installs and maps the demanded page, which wakes the thread. */
static enum fault_result install_demand(struct fill *fill,
					struct vvm_stat_actor *actor)
{
	unsigned i = fill->demand - fill->first;
	int rc = 0;

	if (io_page_bad(&fill->io, i)) {
		spoil(fill, actor, i);
		return FAULT_FAILED;
	}
	if (!fill_put(fill->vm, fill->uffd, fill->host + pages_to_bytes(i),
			 fill->io.buf + pages_to_bytes(i), 1, !fill->write,
			 &rc)) {
		unclaim(fill, actor, i);
		return fill_error(rc);
	}
	settle(fill, actor, i, fill->write);
	fill->block->filled_us = fill->done_ns / 1000;
	return FAULT_DONE;
}

/* Installs pages [i, i + n), all good, none demanded. */
static void install_ahead(struct fill *fill, struct vvm_stat_actor *actor,
			  unsigned i, unsigned n)
{
	haddr_t host = fill->host + pages_to_bytes(i);
	unsigned end = i + n;
	int rc = install_unmapped(fill->vm, fill->uffd, host,
				  fill->io.buf + pages_to_bytes(i), n,
				  !fill->intended);

	for (; i < end; i++) {
		if (rc < 0)
			unclaim(fill, actor, i);
		else
			settle(fill, actor, i, fill->intended);
	}
}

/* Installs or gives up whatever was read ahead. */
static void install_others(struct fill *fill, struct vvm_stat_actor *actor)
{
	unsigned i = 0, n;

	while (i < fill->io.pages) {
		for (n = 0; i + n < fill->io.pages; n++)
			if (io_page_bad(&fill->io, i + n) ||
			    is_demand(fill, i + n))
				break;
		if (n)
			install_ahead(fill, actor, i, n);
		i += n;
		if (i < fill->io.pages && !is_demand(fill, i))
			spoil(fill, actor, i);
		i++;
	}
}

enum fault_result fill_install(struct fill *fill, struct vvm_stat_actor *actor,
			       int result)
{
	enum fault_result verdict = FAULT_DONE;
	struct block *b = fill->block;

	stat_add(actor, VVM_STAT_swapin_pages, fill->io.pages);
	stat_add(actor, VVM_STAT_swapin_reads, 1);
	fill->done_ns = os_now_ns();
	stat_add(actor, VVM_STAT_swapin_us,
		 (int64_t)(fill->done_ns - fill->start_ns) / 1000);
	if (result < 0)
		memset(fill->io.bad, 0xff, sizeof(fill->io.bad));
	lock_take(&b->lock);
	if (fill->has_demand)
		verdict = install_demand(fill, actor);
	install_others(fill, actor);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	/*
	 * The block may go away from here on. Pages that were given up have
	 * to be asked for again by whoever had joined this fill.
	 */
	if (verdict != FAULT_DONE || fill->io.pages > 1 || !fill->has_demand)
		os_uffd_wake(fill->uffd, fill->host,
			     pages_to_bytes(fill->io.pages));
	return verdict;
}
