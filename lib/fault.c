/* SPDX-License-Identifier: MIT */
/*
 * fault.c - what happens between "this page is needed" and "here it is".
 *
 * A fault is a short list of steps that share one context, struct step:
 *
 *	look up   region by host address, block by guest address, lock it
 *	decide    by the page's state, one of the functions below
 *	fill	  only SWAPPED pages: the caller reads fill->io, unlocked
 *	install   relock, put the bytes into the memfd, change the state
 *
 * Nobody waits in here but fault_page(), which API threads call; a handler
 * turns each fault_result into something to do later. A decided fault is
 * either resolved under the block lock, by at most one userfaultfd call of
 * 1-3 us, or the page is FILLING and belongs to one struct fill.
 *
 * The kernel call comes before the change of state, so that a failing call
 * leaves the table as it was and the fault can be tried again.
 *
 * Fills. A page read for reading is installed write-protected and CLEAN,
 * keeping its slot. One read for writing is installed writable and DIRTY, its
 * slot given back: no second event. Pages that come along with it (readahead)
 * are CLEAN and marked PREFETCHED until the clock sees them used.
 *
 * Pages that come along are not mapped: they are write-protected (markers,
 * 0.04 us a page) and written into the memfd. The total cost is that of
 * UFFDIO_COPY plus the native minor fault of whoever uses one; what it buys
 * is that the first reference to a prefetched page is a real one, so that
 * hits and waste are exact and unused pages go first, and that the demanded
 * page is installed, and its thread running, before the others are copied.
 *
 * EEXIST from UFFDIO_COPY means the memfd holds a page where our table says
 * there is none. By space (1) that cannot be, short of somebody else's bug;
 * the right content is in our hands, so we write it into that frame and go
 * on, the same way.
 */
#include "fault.h"

#include <errno.h>
#include <string.h>

#include "log.h"

static const char zero_page[PAGE_BYTES] __attribute__((aligned(4096)));

/* One page under its locks: what look_up() found. */
struct step {
	struct vvm *vm;
	struct vvm_stat_actor *actor;
	struct region *region;
	struct block *block;
	unsigned index;
	gaddr_t addr;
	haddr_t host;
	int uffd;
	bool write;
	struct fill *fill;
	bool woke; /* the kernel has been told already */
};

/* ---- install ---- */

/*
 * Puts n pages into the memfd without mapping them. A poison marker that
 * fault_fail() left there would swallow the write protection: it goes first.
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
		rc = os_pwrite(vm->memfd, from, bytes, host);
	if (rc == 0)
		rc = os_uffd_wake(uffd, host, bytes);
	return rc;
}

/* Installs n pages; returns how many, and in *error why not all. */
static unsigned install_run(struct vvm *vm, int uffd, haddr_t host,
			    const char *from, unsigned n, bool protect,
			    int *error)
{
	uint64_t bytes = pages_to_bytes(n), done = 0, got;
	int rc = 0;

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

/* What a failed install means to the one who waits. */
static enum fault_result install_failed(int error)
{
	if (error == -ENOENT || error == -ESRCH)
		return FAULT_GONE; /* unmapped under us */
	return FAULT_RETRY;
}

/* A page has just become resident. => block lock held. */
static void admit(struct vvm *vm, struct block *b, unsigned i, bool prefetched)
{
	gaddr_t addr = b->base + pages_to_bytes(i);
	pte_t e = pte_with_age(b->pte[i], vm->policy->admit(addr, prefetched));

	b->pte[i] = prefetched ? e | PTE_PREFETCHED : e;
}

/* ---- the steps: all => space lock (read) and block lock held ---- */

/* FRESH: zeros, without I/O. A read leaves it CLEAN with no slot. */
static enum fault_result fill_zero(struct step *s)
{
	uint64_t got = 0;
	int rc = 0;

	if (!space_take_frames(s->vm, s->actor, 1, 0))
		return FAULT_NOFRAME;
	if (s->write)
		rc = os_uffd_zero(s->uffd, s->host, PAGE_BYTES, &got);
	if (!s->write || rc == -EEXIST)
		install_run(s->vm, s->uffd, s->host, zero_page, 1, !s->write,
			    &rc);
	if (rc < 0) {
		space_give_frames(s->vm, s->actor, 1);
		return install_failed(rc);
	}
	space_move(s->vm, s->actor, s->block, s->index,
		   s->write ? PAGE_DIRTY : PAGE_CLEAN, 0);
	admit(s->vm, s->block, s->index, false);
	s->block->filled_us = os_now_us();
	s->woke = true;
	return FAULT_DONE;
}

/* SWAPPED: takes a frame and makes the page ours. */
static enum fault_result claim(struct step *s)
{
	struct fill *fill = s->fill;
	uint64_t slot = pte_slot(s->block->pte[s->index]);

	if (!space_take_frames(s->vm, s->actor, 1, 0))
		return FAULT_NOFRAME;
	space_move(s->vm, s->actor, s->block, s->index, PAGE_FILLING, slot);
	fill->vm = s->vm;
	fill->block = s->block;
	fill->first = fill->demand = s->index;
	fill->has_demand = true;
	fill->write = s->write;
	fill->host = s->host;
	fill->uffd = s->uffd;
	fill->advice = s->region->advice;
	fill->io.addr = s->addr;
	fill->io.order = NULL;
	fill->io.slot = slot;
	fill->io.pages = 1;
	return FAULT_READ;
}

/* CLEAN or WRITING, and somebody writes: it is the only copy from now on. */
static enum fault_result make_dirty(struct step *s)
{
	int rc = os_uffd_wp(s->uffd, s->host, PAGE_BYTES, false);

	if (rc < 0)
		return install_failed(rc);
	space_move(s->vm, s->actor, s->block, s->index, PAGE_DIRTY, 0);
	s->block->pte[s->index] &= ~PTE_PREFETCHED;
	s->block->filled_us = os_now_us();
	s->woke = true;
	return FAULT_DONE;
}

static enum fault_result decide(struct step *s)
{
	switch (pte_state(s->block->pte[s->index])) {
	case PAGE_FRESH:
		return fill_zero(s);
	case PAGE_SWAPPED:
		return claim(s);
	case PAGE_FILLING:
		return FAULT_JOINED;
	case PAGE_CLEAN:
	case PAGE_WRITING:
		return s->write ? make_dirty(s) : FAULT_DONE;
	case PAGE_DIRTY:
		return FAULT_DONE;
	case PAGE_POISONED:
		return FAULT_FAILED;
	default:
		ASSERT(!"a page without a region");
		return FAULT_GONE;
	}
}

/* Fills s from its region and takes the block lock. => space lock held. */
static bool look_up(struct step *s, struct region *r, gaddr_t addr)
{
	s->region = r;
	s->addr = page_floor(addr);
	s->host = region_to_host(r, s->addr);
	s->uffd = space_uffd(s->vm, r, s->host);
	s->index = page_index(addr);
	s->block = space_lock_block(s->vm, addr);
	return s->block != NULL;
}

/* ---- for handlers ---- */

static void count_fault(struct vvm_stat_actor *actor, enum page_state was,
			enum fault_result result, bool write)
{
	stat_add(actor, VVM_STAT_faults, 1);
	if (result == FAULT_FAILED)
		stat_add(actor, VVM_STAT_faults_failed, 1);
	else if (result == FAULT_JOINED)
		stat_add(actor, VVM_STAT_faults_joined, 1);
	else if (was == PAGE_FRESH)
		stat_add(actor, VVM_STAT_faults_zero, 1);
	else if (was == PAGE_SWAPPED)
		stat_add(actor, VVM_STAT_faults_swapin, 1);
	else if ((was == PAGE_CLEAN || was == PAGE_WRITING) && write)
		stat_add(actor, VVM_STAT_faults_wp, 1);
	else
		stat_add(actor, VVM_STAT_faults_spurious, 1);
}

void fault_wake(struct vvm *vm, haddr_t host)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		os_uffd_wake(vm->port[i].uffd, host, PAGE_BYTES);
}

/* The unlocked end of fault_begin(): what the kernel has to be told. */
static void tell_kernel(const struct step *s, enum fault_result result, int tid)
{
	if (result == FAULT_FAILED)
		fault_fail(s->vm, s->host, tid);
	else if (result == FAULT_GONE || (result == FAULT_DONE && !s->woke))
		os_uffd_wake(s->uffd, s->host, PAGE_BYTES);
}

enum fault_result fault_begin(struct vvm *vm, struct vvm_stat_actor *actor,
			      const struct fault *f, struct fill *fill)
{
	struct step s = {.vm = vm, .actor = actor, .write = f->write,
			 .fill = fill};
	enum fault_result result = FAULT_RETRY;
	enum page_state was = PAGE_NONE;
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, f->host);
	if (r && look_up(&s, r, region_to_guest(r, f->host))) {
		was = pte_state(s.block->pte[s.index]);
		result = decide(&s);
		lock_drop(&s.block->lock);
	}
	rwlock_end_read(&vm->lock);
	if (!r) {
		stat_add(actor, VVM_STAT_faults, 1);
		stat_add(actor, VVM_STAT_faults_spurious, 1);
		fault_wake(vm, f->host);
		return FAULT_GONE;
	}
	if (result != FAULT_NOFRAME && result != FAULT_RETRY) {
		count_fault(actor, was, result, f->write);
		tell_kernel(&s, result, f->tid);
	}
	return result;
}

/*
 * Poison marker, or a signal where the kernel has none. UFFDIO_POISON does not
 * replace a write-protect marker, so that goes first; the page is absent, and
 * its next fill protects it again or not as it needs. => block lock held.
 */
static void poison(struct step *s, int tid)
{
	int rc = -EOPNOTSUPP;

	if (s->vm->uffd_features & OS_UFFD_POISON) {
		os_uffd_wp(s->uffd, s->host, PAGE_BYTES, false);
		rc = os_uffd_poison(s->uffd, s->host, PAGE_BYTES);
	}
	if (rc < 0 && rc != -EEXIST && tid)
		os_sigbus_thread(tid, s->host);
}

bool fault_fail(struct vvm *vm, haddr_t host, int tid)
{
	struct step s = {.vm = vm};
	struct region *r;
	bool undo = false;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r && look_up(&s, r, region_to_guest(r, host))) {
		enum page_state state = pte_state(s.block->pte[s.index]);

		if (state == PAGE_FRESH || state == PAGE_SWAPPED) {
			undo = true;
			atomic_fetch_add(&vm->failing, 1);
		}
		if (undo || state == PAGE_POISONED)
			poison(&s, tid);
		lock_drop(&s.block->lock);
	}
	rwlock_end_read(&vm->lock);
	fault_wake(vm, host);
	return undo;
}

void fault_unfail(struct vvm *vm, haddr_t host)
{
	os_advise(host, PAGE_BYTES, OS_ADV_DONTNEED);
	atomic_fetch_sub(&vm->failing, 1);
}

/* ---- readahead ---- */

/* Is page i the one that continues the fill by `step` slots? */
static bool follows(const struct block *b, unsigned i, uint64_t slot)
{
	return pte_state(b->pte[i]) == PAGE_SWAPPED && pte_slot(b->pte[i]) == slot;
}

/*
 * Index range [*low, *high) of b that shares region and stripe with host, the
 * address of index i: one descriptor and one host run. => space lock held.
 */
static void run_limits(struct vvm *vm, const struct region *r,
		       const struct block *b, unsigned i, unsigned *low,
		       unsigned *high)
{
	gaddr_t start = MAX(b->base, r->start);
	gaddr_t end = MIN(b->base + BLOCK_BYTES, r->end);
	haddr_t host = region_to_host(r, b->base + pages_to_bytes(i));
	haddr_t stripe = host >> r->stripe_shift << r->stripe_shift;
	haddr_t stripe_end = stripe + ((haddr_t)1 << r->stripe_shift);

	(void)vm;
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

/* Claims pages [from, from + n) of b as part of the fill. */
static void claim_pages(struct vvm *vm, struct vvm_stat_actor *actor,
			struct block *b, unsigned from, unsigned n)
{
	unsigned i;

	for (i = from; i < from + n; i++)
		space_move(vm, actor, b, i, PAGE_FILLING, pte_slot(b->pte[i]));
	stat_add(actor, VVM_STAT_prefetch_pages, n);
}

static unsigned widen_behind(struct vvm *vm, struct vvm_stat_actor *actor,
			     struct fill *fill, unsigned high, unsigned most)
{
	struct block *b = fill->block;
	unsigned end = fill->first + fill->io.pages, n = 0;

	while (n < most && end + n < high &&
	       follows(b, end + n, fill->io.slot + fill->io.pages + n))
		n++;
	n = spare_frames(vm, actor, n);
	claim_pages(vm, actor, b, end, n);
	fill->io.pages += n;
	return n;
}

static unsigned widen_before(struct vvm *vm, struct vvm_stat_actor *actor,
			     struct fill *fill, unsigned low, unsigned most)
{
	struct block *b = fill->block;
	unsigned n = 0;

	while (n < most && n < fill->first - low && n < fill->io.slot &&
	       follows(b, fill->first - n - 1, fill->io.slot - n - 1))
		n++;
	n = spare_frames(vm, actor, n);
	claim_pages(vm, actor, b, fill->first - n, n);
	fill->first -= n;
	fill->host -= pages_to_bytes(n);
	fill->io.addr -= pages_to_bytes(n);
	fill->io.slot -= n;
	fill->io.pages += n;
	return n;
}

unsigned fault_widen(struct vvm *vm, struct vvm_stat_actor *actor,
		     struct fill *fill, unsigned before, unsigned after)
{
	unsigned low, high, room = MIN(fill->room, (unsigned)IO_MAX_PAGES);
	unsigned added = 0;
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, fill->host);
	if (r) {
		lock_take(&fill->block->lock);
		run_limits(vm, r, fill->block, fill->first, &low, &high);
		after = MIN(after, room - fill->io.pages);
		added = widen_behind(vm, actor, fill, high, after);
		before = MIN(before, room - fill->io.pages);
		added += widen_before(vm, actor, fill, low, before);
		lock_drop(&fill->block->lock);
	}
	rwlock_end_read(&vm->lock);
	return added;
}

/* The part of fault_claim_ahead() inside one block. => block lock held. */
static bool claim_in_block(struct vvm *vm, struct vvm_stat_actor *actor,
			   struct region *r, struct block *b, unsigned i,
			   unsigned end, struct fill *fill)
{
	unsigned low, high, n;

	while (i < end && pte_state(b->pte[i]) != PAGE_SWAPPED)
		i++;
	if (i == end)
		return false;
	run_limits(vm, r, b, i, &low, &high);
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
	fill->io.addr = b->base + pages_to_bytes(i);
	fill->io.order = NULL;
	fill->io.slot = pte_slot(b->pte[i]);
	fill->io.pages = n;
	fill->host = region_to_host(r, fill->io.addr);
	fill->uffd = space_uffd(vm, r, fill->host);
	claim_pages(vm, actor, b, i, n);
	return true;
}

bool fault_claim_ahead(struct vvm *vm, struct vvm_stat_actor *actor,
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

/* ---- the end of a fill ---- */

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
	admit(fill->vm, b, index, !is_demand(fill, i));
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
	if (!install_run(fill->vm, fill->uffd, fill->host + pages_to_bytes(i),
			 fill->io.buf + pages_to_bytes(i), 1, !fill->write,
			 &rc)) {
		unclaim(fill, actor, i);
		return install_failed(rc);
	}
	settle(fill, actor, i, fill->write);
	fill->block->filled_us = os_now_us();
	return FAULT_DONE;
}

/* Installs pages [i, i + n), all good, none demanded. */
static void install_ahead(struct fill *fill, struct vvm_stat_actor *actor,
			  unsigned i, unsigned n)
{
	haddr_t host = fill->host + pages_to_bytes(i);
	unsigned end = i + n;
	int rc = install_unmapped(fill->vm, fill->uffd, host,
				  fill->io.buf + pages_to_bytes(i), n, true);

	if (rc < 0) /* perhaps written in part */
		os_punch(fill->vm->memfd, host, pages_to_bytes(n));
	for (; i < end; i++) {
		if (rc < 0)
			unclaim(fill, actor, i);
		else
			settle(fill, actor, i, false);
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

enum fault_result fault_install(struct fill *fill, struct vvm_stat_actor *actor,
				int result)
{
	enum fault_result verdict = FAULT_DONE;
	struct block *b = fill->block;

	stat_add(actor, VVM_STAT_swapin_pages, fill->io.pages);
	stat_add(actor, VVM_STAT_swapin_reads, 1);
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

/* ---- for API threads ---- */

int fault_refusal(pte_t perms, pte_t need)
{
	if ((need & PTE_WRITE) && !(perms & PTE_WRITE))
		return -VVM_ENOWRITE;
	if ((need & PTE_READ) && !(perms & PTE_READ))
		return -VVM_ENOREAD;
	if ((need & PTE_EXEC) && !(perms & PTE_EXEC))
		return -VVM_ENOEXEC;
	return 0;
}

struct sync_read {
	struct fill fill;
	int result;
};

static void sync_read_done(struct io *io, int result)
{
	struct sync_read *s = container_of(io, struct sync_read, fill.io);

	s->result = result;
}

/* Reads the claimed page in this thread and installs it. Nothing locked. */
static int read_now(struct vvm *vm, struct sync_read *s)
{
	if (!s->fill.io.buf) {
		s->fill.has_demand = false; /* undo the claim, do not poison */
		fault_install(&s->fill, vm->api, -ENOMEM);
		fault_wake(vm, s->fill.host);
		return -ENOMEM;
	}
	s->fill.io.done = sync_read_done;
	vm->swap->ops->read(vm->swap, NULL, &s->fill.io);
	/*
	 * Woken threads find out for themselves what became of the page; so
	 * does our caller, by looking again.
	 */
	fault_install(&s->fill, vm->api, s->result);
	stat_add(vm->api, VVM_STAT_api_fills, 1);
	return 0;
}

/* Waits for a free frame, at most until the deadline. False: too late. */
static bool wait_frame(struct vvm *vm, uint64_t deadline_us)
{
	uint32_t ticket = waitq_ticket(&vm->frame_free);
	bool in_time = os_now_us() < deadline_us;

	if (!in_time)
		return false;
	atomic_fetch_add(&vm->frames.wanted, 1);
	space_kick_reclaim(vm);
	if (!frames_free(&vm->frames))
		waitq_wait(&vm->frame_free, ticket, 10000);
	atomic_fetch_sub(&vm->frames.wanted, 1);
	return true;
}

/* One try; the locks are held on FAULT_DONE only. ticket: for FAULT_JOINED. */
static enum fault_result try_page(struct step *s, gaddr_t addr, pte_t need,
				  int *refusal, uint32_t *ticket)
{
	struct vvm *vm = s->vm;
	enum fault_result result = FAULT_GONE;
	struct region *r;
	bool fresh;

	*refusal = -VVM_EUNMAPPED;
	rwlock_read(&vm->lock);
	r = regions_at_guest(&vm->regions, addr);
	if (r)
		*refusal = fault_refusal((pte_t)r->prot * PTE_READ, need);
	if (*refusal == 0) {
		*refusal = -ENOMEM;
		if (look_up(s, r, addr)) {
			*refusal = 0;
			*ticket = waitq_ticket(&s->block->busy_done);
			fresh = pte_state(s->block->pte[s->index]) == PAGE_FRESH;
			result = decide(s);
			if (result == FAULT_DONE) {
				stat_add(vm->api, VVM_STAT_api_fills, fresh);
				return result;
			}
			lock_drop(&s->block->lock);
		}
	}
	rwlock_end_read(&vm->lock);
	return result;
}

/* Waits for what the try said. 0: try again. */
static int wait_result(struct step *s, enum fault_result result,
		       uint32_t ticket, struct sync_read *reading,
		       uint64_t deadline_us)
{
	switch (result) {
	case FAULT_READ:
		return read_now(s->vm, reading);
	case FAULT_JOINED:
		/* The block lives while its page is FILLING, and a freed
		 * one stays readable in its pool: a stale wait times out. */
		waitq_wait(&s->block->busy_done, ticket, 10000);
		return 0;
	case FAULT_NOFRAME:
		return wait_frame(s->vm, deadline_us) ? 0 : -VVM_ENOFRAME;
	case FAULT_RETRY:
		os_sleep_us(100);
		return os_now_us() < deadline_us ? 0 : -ENOMEM;
	case FAULT_FAILED:
		return -VVM_EPOISON;
	default:
		return os_now_us() < deadline_us ? 0 : -VVM_EUNMAPPED;
	}
}

static char *page_aligned(void *p)
{
	return (char *)page_ceil((uintptr_t)p);
}

int fault_page(struct vvm *vm, gaddr_t addr, pte_t need, bool write,
	       struct block **locked, struct region **region)
{
	struct sync_read reading = {.fill.room = 1};
	struct step s = {.vm = vm, .actor = vm->api, .write = write,
			 .fill = &reading.fill};
	uint64_t deadline_us = 0;
	enum fault_result result;
	void *bounce = NULL;
	uint32_t ticket = 0;
	int rc = 0;

	while (rc == 0) {
		result = try_page(&s, addr, need, &rc, &ticket);
		if (result == FAULT_DONE || rc < 0)
			break;
		if (!deadline_us)
			deadline_us = os_now_us() + vm->conf.frame_wait_ms * 1000;
		if (result == FAULT_READ) {
			/* Claimed, so this must succeed or be undone. */
			bounce = bounce ? bounce : pool_take(&vm->bounce);
			reading.fill.io.buf = bounce ? page_aligned(bounce)
						     : NULL;
		}
		rc = wait_result(&s, result, ticket, &reading, deadline_us);
	}
	if (bounce)
		pool_give(&vm->bounce, bounce);
	if (rc == 0) {
		*locked = s.block;
		*region = s.region;
	}
	return rc;
}

void fault_page_end(struct vvm *vm, struct block *b)
{
	lock_drop(&b->lock);
	rwlock_end_read(&vm->lock);
}
