/* SPDX-License-Identifier: MIT */
/*
 * fill/fill.c - pages on their way from the backing into the memfd.
 *
 * A fill is one read: of one page that somebody waits for, its demand, or of
 * pages of one block that somebody is going to want (fill/ahead.c). Its pages are
 * claimed (they become FILLING and hold frames), read by its owner with
 * nothing locked, and installed. A FILLING page belongs to its fill alone
 * (space (6)). The read may cover slots in between that nobody wants: gaps.
 *
 * A page read for reading is installed write-protected and CLEAN, keeping its
 * slot. One read for writing is installed writable and DIRTY, its slot given
 * back: no second event. So is one read for reading in a region where what is
 * read is usually written next (policy/intent.c), and so is readahead there, which
 * else is CLEAN. It is installed in one of two ways.
 *
 * Unmapped: write-protected by markers (0.04 us a page) and written into the
 * memfd. The cost is that of UFFDIO_COPY plus the native minor fault of
 * whoever uses the page; what it buys is that the first reference is a real
 * one, so that hits and waste are exact and unused pages go first. They are
 * marked PREFETCHED until the clock sees them used. Mapped: UFFDIO_COPY, 1.6
 * us a page in batches and no minor fault (1.3 us), for streams that have
 * proved to walk through all that they are given: fill/streams.c decides.
 *
 * The trigger of a stream (policy/prefetch.h) has the flag PREFETCHED while it is
 * FILLING. Whoever wants it meanwhile takes the flag away (fault/fault.c) and waits;
 * else it is not installed but parked (space/standby.c), and SWAPPED again.
 *
 * The kernel call comes before the change of state, so that a failing call
 * leaves the table as it was and the fault can be tried again.
 *
 * Readahead is put into the memfd with nothing locked. 32 pages take 80 us and
 * more, and a thread that comes to the next of them cannot even begin to wait
 * for it while somebody has the lock: a stream got no lock between the batches
 * of two readers, reached its trigger late, and the disk was idle in between.
 * It costs little, since FILLING pages are left alone (space (6)).
 *
 * Rejected: reading into the frame itself, through a second mapping of the
 * memfd, and UFFDIO_CONTINUE. The fault of the second mapping (3.3 us),
 * CONTINUE (1.1) and the end of that mapping (0.3 in batches of 64, 1.5 and
 * more alone) cost more than UFFDIO_COPY (3.2).
 *
 * EEXIST from UFFDIO_COPY means the memfd holds a page where our table says
 * there is none. By space (1) that cannot be, short of somebody else's bug;
 * the right content is in our hands, so we write it into that frame and go
 * on, the same way.
 */
#include "fill/fill.h"

#include <errno.h>
#include <string.h>

#include "util/log.h"
#include "util/probe.h"

static const char zero_page[PAGE_BYTES] __attribute__((aligned(4096)));

/* ---- the memfd ---- */

/*
 * Puts n pages into the memfd without mapping them. A poison marker that
 * fault_fail() left there would swallow the write protection: it goes first.
 * After an error no frame is left: half-written ones must not be mapped. Until
 * all are there they are protected in any case, lest a thread writes to the
 * first before the last one fails.
 */
static int install_unmapped(struct vvm *vm, int uffd, haddr_t host,
			    const char *from, unsigned n, bool protect)
{
	uint64_t bytes = pages_to_bytes(n);
	int rc = 0;

	if (atomic_load(&vm->failing))
		rc = os_advise(host, bytes, OS_ADV_DONTNEED);
	if (rc == 0)
		rc = os_uffd_wp(uffd, host, bytes, true);
	if (rc == 0)
		rc = os_frame_write(vm->memfd, from, bytes, host);
	if (rc == 0 && !protect)
		rc = space_unprotect(uffd, host, bytes);
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
	unsigned age = vm->clock.ops->admit(&vm->clock.policy, &b->policy, addr,
					 prefetched);
	pte_t e = pte_with_age(b->pte[i], age);

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
	haddr_t host = region_to_host(r, addr);

	fill->parked =
		(b->pte[i] & PTE_PREFETCHED) && standby_has(&vm->standby, host);
	space_move(vm, actor, b, i, PAGE_FILLING, slot);
	fill->vm = vm;
	fill->block = b;
	fill->demand = i;
	fill->has_demand = true;
	fill->intended = fill_intends(r);
	fill->write = write || fill->intended;
	if (!write)
		fill_note_intent(actor, r, fill->intended, 1);
	fill->host = host - pages_to_bytes(i);
	fill->uffd = space_uffd(vm, r, host);
	fill->advice = r->advice;
	fill->index[0] = (uint16_t)i;
	fill->io.addr = b->base;
	fill->io.order = fill->index;
	fill->io.slot = slot;
	fill->io.pages = 1;
}

bool fill_unpark(struct fill *fill)
{
	if (!fill->parked)
		return false;
	fill->parked = standby_take(&fill->vm->standby, fill_host(fill, fill->demand),
				 fill->io.buf);
	if (fill->parked)
		memset(fill->io.bad, 0, sizeof(fill->io.bad));
	return fill->parked;
}

/* ---- install: page i is io's i-th. All => block lock held ---- */

static pte_t *entry_of(const struct fill *fill, unsigned i)
{
	return &fill->block->pte[fill->index[i]];
}

/* Gives up page i of the fill: it is as it was before the claim. */
static void unclaim(struct fill *fill, struct vvm_stat_actor *actor, unsigned i)
{
	space_move(fill->vm, actor, fill->block, fill->index[i], PAGE_SWAPPED,
		   pte_slot(*entry_of(fill, i)));
	space_give_frames(fill->vm, actor, 1);
	fill->gave_up = true;
}

/* The demanded page could not be read. */
static void spoil(struct fill *fill, struct vvm_stat_actor *actor)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	struct block *b = fill->block;

	PROBE2(error, b->base + pages_to_bytes(fill->demand), -EIO);
	stat_add(actor, VVM_STAT_read_errors, 1);
	stat_add(actor, VVM_STAT_poisoned_pages, 1);
	log_warn_once(
		&once,
		"cannot read page %llx back from swap: its "
		"content is lost, touching it is SIGBUS",
		(unsigned long long)(b->base + pages_to_bytes(fill->demand)));
	space_move(fill->vm, actor, b, fill->demand, PAGE_POISONED,
		   pte_slot(b->pte[fill->demand]));
	space_give_frames(fill->vm, actor, 1);
}

/* Page i of the fill is in the memfd now. */
static void settle(struct fill *fill, struct vvm_stat_actor *actor, unsigned i,
		   bool write, bool prefetched)
{
	struct block *b = fill->block;
	unsigned index = fill->index[i];

	b->pte[index] &= ~PTE_PREFETCHED;
	if (write)
		space_move(fill->vm, actor, b, index, PAGE_DIRTY, 0);
	else
		space_move(fill->vm, actor, b, index, PAGE_CLEAN,
			   pte_slot(b->pte[index]));
	fill_admit(fill->vm, b, index, prefetched);
}

/* Installs and maps the demanded page, which wakes the thread. */
static enum fault_result install_demand(struct fill *fill,
					struct vvm_stat_actor *actor)
{
	int rc = 0;

	if (io_page_bad(&fill->io, 0)) {
		spoil(fill, actor);
		return FAULT_FAILED;
	}
	if (!fill_put(fill->vm, fill->uffd, fill_host(fill, fill->demand),
		      fill->io.buf, 1, !fill->write, &rc)) {
		unclaim(fill, actor, 0);
		return fill_error(rc);
	}
	settle(fill, actor, 0, fill->write, false);
	fill->block->filled_us = fill->done_ns / 1000;
	return FAULT_DONE;
}

/* Readahead: puts pages [i, i + n) into the memfd. How many are there? */
static unsigned put_run(struct fill *fill, unsigned i, unsigned n)
{
	haddr_t host = fill_host(fill, fill->index[i]);
	const char *from = fill->io.buf + pages_to_bytes(i);
	bool protect = !fill->intended;
	int rc;

	if (fill->map)
		return fill_put(fill->vm, fill->uffd, host, from, n, protect,
				&rc);
	rc = install_unmapped(fill->vm, fill->uffd, host, from, n, protect);
	return rc < 0 ? 0 : n;
}

/*
 * Installs pages [i, i + n), neighbours and all good. The lock is dropped
 * meanwhile. Whoever writes to a page between its arrival and its change of
 * state finds it FILLING: hence another wake-up, where threads wait for one.
 */
static void install_run(struct fill *fill, struct vvm_stat_actor *actor,
			unsigned i, unsigned n)
{
	haddr_t host = fill_host(fill, fill->index[i]);
	unsigned end = i + n, good = i;

	lock_drop(&fill->block->lock);
	good += put_run(fill, i, n);
	lock_take(&fill->block->lock);
	for (; i < good; i++)
		settle(fill, actor, i, fill->intended, !fill->map);
	for (; i < end; i++)
		unclaim(fill, actor, i);
	if (!fill->vm->lanes)
		os_uffd_wake(fill->uffd, host, pages_to_bytes(n));
}

/* Page i is a trigger that nobody wanted until now. */
static void park(struct fill *fill, struct vvm_stat_actor *actor, unsigned i)
{
	bool lost;

	unclaim(fill, actor, i);
	if (standby_put(&fill->vm->standby, fill_host(fill, fill->index[i]),
		     fill->io.buf + pages_to_bytes(i), &lost))
		*entry_of(fill, i) |= PTE_PREFETCHED;
	if (lost)
		stat_add(actor, VVM_STAT_prefetch_waste_pages, 1);
}

static bool is_parkable(const struct fill *fill, unsigned i)
{
	return *entry_of(fill, i) & PTE_PREFETCHED;
}

/* How many pages from i on are neighbours and good? 0: i itself is neither. */
static unsigned good_run(const struct fill *fill, unsigned i, unsigned most)
{
	unsigned n;

	most = MIN(most, fill->io.pages - i);
	for (n = 0; n < most; n++)
		if (io_page_bad(&fill->io, i + n) ||
		    fill->index[i + n] != fill->index[i] + n ||
		    is_parkable(fill, i + n))
			break;
	return n;
}

/* Installs or gives up the next page or pages; returns how many. */
static unsigned install_next(struct fill *fill, struct vvm_stat_actor *actor,
			     unsigned most)
{
	unsigned i = fill->at, n;

	if (fill->index[i] == IO_GAP)
		return 1;
	n = good_run(fill, i, most);
	if (n)
		install_run(fill, actor, i, n);
	else if (io_page_bad(&fill->io, i))
		unclaim(fill, actor, i);
	else
		park(fill, actor, i);
	return MAX(n, 1u);
}

static unsigned wanted_pages(const struct fill *fill)
{
	unsigned i, n = 0;

	for (i = 0; i < fill->io.pages; i++)
		n += fill->index[i] != IO_GAP;
	return n;
}

void fill_arrived(struct fill *fill, struct vvm_stat_actor *actor, int result)
{
	fill->at = 0;
	fill->gave_up = false;
	fill->done_ns = os_now_ns();
	if (fill->has_demand && fill->parked) {
		stat_add(actor, VVM_STAT_prefetch_hit_pages, 1);
		return;
	}
	stat_add(actor, VVM_STAT_swapin_pages, wanted_pages(fill));
	stat_add(actor, VVM_STAT_swapin_reads, 1);
	stat_add(actor, VVM_STAT_swapin_us,
		 (int64_t)(fill->done_ns - fill->start_ns) / 1000);
	PROBE4(fill, fill->io.addr, fill->io.pages, fill->has_demand,
	       fill->done_ns - fill->start_ns);
	if (result < 0)
		memset(fill->io.bad, 0xff, sizeof(fill->io.bad));
}

bool fill_install_some(struct fill *fill, struct vvm_stat_actor *actor,
		       unsigned most)
{
	struct block *b = fill->block;
	bool over;

	lock_take(&b->lock);
	for (most += fill->at; fill->at < MIN(most, fill->io.pages);)
		fill->at += install_next(fill, actor, most - fill->at);
	over = fill->at == fill->io.pages;
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	/*
	 * The block may go away from here on. Pages that were given up have
	 * to be asked for again by whoever had joined this fill.
	 */
	if (over && fill->gave_up)
		os_uffd_wake(fill->uffd, fill->host, BLOCK_BYTES);
	return over;
}

enum fault_result fill_install(struct fill *fill, struct vvm_stat_actor *actor,
			       int result)
{
	enum fault_result verdict = FAULT_DONE;
	struct block *b = fill->block;

	fill_arrived(fill, actor, result);
	if (!fill->has_demand) {
		fill_install_some(fill, actor, fill->io.pages);
		return verdict;
	}
	lock_take(&b->lock);
	verdict = install_demand(fill, actor);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	if (verdict != FAULT_DONE)
		os_uffd_wake(fill->uffd, fill_host(fill, fill->demand),
			     PAGE_BYTES);
	return verdict;
}

void fill_abandon(struct fill *fill, struct vvm_stat_actor *actor)
{
	struct block *b = fill->block;

	lock_take(&b->lock);
	unclaim(fill, actor, 0);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	os_uffd_wake(fill->uffd, fill_host(fill, fill->demand), PAGE_BYTES);
}
