/* SPDX-License-Identifier: MIT */
/*
 * fill/ahead.c - readahead: which pages one read can bring, and claiming them.
 *
 * What is wanted is a job: pages a constant stride apart, in the order in which
 * a stream will come by. What one read can bring is a *run* of them: pages of
 * one block, region and stripe whose slots follow one another in the stream's
 * order, upwards or downwards. Between two of them there may be up to GAP_PAGES
 * slots that nobody wants; they are read and dropped. At 1.1 GB/s three pages
 * cost 10 us; a request of their own costs 14 us, and more, even with 64 in
 * flight. So a stream with a small stride is a few large reads. So is one with
 * a large stride, over pages that it wrote itself and that therefore lie side
 * by side in the swap file.
 *
 * Readahead takes frames only while some are free: it leaves half of `low` to
 * faults, it evicts nothing by itself, and when there is no frame the caller
 * waits or gives up.
 *
 * Fresh pages ahead of a stream over such pages are filled with zeros, after
 * the demanded one, whose thread runs meanwhile. They are DIRTY, since the
 * write to a protected one would be an event again. Those that are never
 * written cost no I/O: evict/writeback.c finds that they are zero. Streams of
 * reads count, too: what a program has set to zero is FRESH once it is evicted.
 */
#include "fill/ahead.h"

#include "fill/fill.h"
#include "policy/prefetch.h"
#include "space/view.h"

/* A stride of PREFETCH_DENSE pages leaves such gaps. */
#define GAP_PAGES (PREFETCH_DENSE - 1)

/* What one read can bring: slots [low, high]. */
struct run {
	uint64_t low, high;
	unsigned pages; /* wanted ones */
	unsigned steps; /* of the job, from its next page to the run's last */
	int way;	/* 1: slots go up, -1: down, 0: one page so far */
	bool gaps;	/* are pages read that nobody wants? */
};

/*
 * The host addresses around `host` with one descriptor and, in a guarded space,
 * in one chunk: the next one may not be ready, and whoever makes it so takes its
 * pages for absent.
 */
static void stripe_around(const struct region *r, haddr_t host, haddr_t *from,
			  haddr_t *to)
{
	const struct chunks *c = r->chunks;

	*from = host >> r->stripe_shift << r->stripe_shift;
	*to = *from + ((haddr_t)1 << r->stripe_shift);
	if (!c)
		return;
	*from = MAX(*from, chunks_from(c, chunks_index(c, host)));
	*to = MIN(*to, chunks_to(c, chunks_index(c, host)));
}

/*
 * Index range [*low, *high) of b that shares region and stripe with host, the
 * address of index i. => space lock held.
 */
static void run_limits(const struct region *r, const struct block *b,
		       unsigned i, unsigned *low, unsigned *high)
{
	gaddr_t start = MAX(b->base, r->start);
	gaddr_t end = MIN(b->base + BLOCK_BYTES, r->end);
	haddr_t host = region_to_host(r, b->base + pages_to_bytes(i)), from, to;

	stripe_around(r, host, &from, &to);
	if (region_to_host(r, start) < from)
		start = region_to_guest(r, from);
	if (region_to_host(r, end - 1) >= to)
		end = region_to_guest(r, to);
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

/* Index in its block of the job's k-th page from the next, 0; -1: outside. */
static int job_index(const struct ahead_job *job, unsigned k, unsigned low,
		     unsigned high)
{
	int64_t i = (int64_t)page_index(job->addr) + job->stride * (int64_t)k;

	if (k >= job->count || i < (int64_t)low || i >= (int64_t)high)
		return -1;
	return (int)i;
}

/* Takes the job n pages on. */
static void job_skip(struct ahead_job *job, uint64_t n)
{
	job->addr += (gaddr_t)job->stride * n << PAGE_SHIFT;
	job->count -= n;
}

struct ahead_job ahead_split(struct ahead_job *job, uint64_t n)
{
	struct ahead_job part = *job;

	part.count = MIN(n, job->count);
	part.most = MIN(job->most, part.count);
	job_skip(job, part.count);
	job->most -= part.most;
	job->trigger = false;
	return part;
}

/* Adds a page with this slot to the run, if room allows and it follows. */
static bool run_add(struct run *run, uint64_t slot, unsigned room)
{
	unsigned far = (run->gaps ? GAP_PAGES : 0) + 1;

	if (!run->pages) {
		run->low = run->high = slot;
	} else if (slot > run->high && run->way >= 0) {
		if (slot - run->high > far || slot - run->low >= room)
			return false;
		run->high = slot;
		run->way = 1;
	} else if (slot < run->low && run->way <= 0) {
		if (run->low - slot > far || run->high - slot >= room)
			return false;
		run->low = slot;
		run->way = -1;
	} else {
		return false;
	}
	run->pages++;
	return true;
}

/* The run of at most `most` pages that begins at the job's next page. */
static struct run measure(const struct ahead_job *job, const struct region *r,
			  const struct block *b, unsigned low, unsigned high,
			  unsigned room, unsigned most)
{
	struct run run = {.gaps = !r->backing || !r->backing->slow};
	unsigned k;
	int i;

	for (k = 0; run.pages < most; k++) {
		i = job_index(job, k, low, high);
		if (i < 0)
			break;
		if (pte_state(b->pte[i]) != PAGE_SWAPPED)
			continue;
		if (!run_add(&run, pte_slot(b->pte[i]), room))
			break;
		run.steps = k + 1;
	}
	return run;
}

/* Claims the pages of the run, for which frames were taken. */
static void claim_run(struct vvm *vm, struct vvm_stat_actor *actor,
		      struct ahead_job *job, const struct run *run,
		      struct readahead *ra)
{
	struct block *b = ra->block;
	unsigned k;

	ra->io.pages = (uint32_t)(run->high - run->low + 1);
	for (k = 0; k < ra->io.pages; k++)
		ra->index[k] = IO_GAP;
	for (k = 0; k < run->steps; k++) {
		int i = job_index(job, k, 0, BLOCK_PAGES);
		uint64_t slot = pte_slot(b->pte[i]);

		if (pte_state(b->pte[i]) != PAGE_SWAPPED)
			continue;
		space_move(vm, actor, b, (unsigned)i, PAGE_FILLING, slot);
		ra->index[slot - run->low] = (uint16_t)i;
		if (job->trigger)
			b->pte[i] |= PTE_PREFETCHED;
		job->trigger = false;
	}
	stat_add(actor, VVM_STAT_prefetch_pages, run->pages);
}

static void set_up(struct readahead *ra, struct vvm *vm, struct region *r,
		   struct block *b, const struct ahead_job *job, uint64_t slot)
{
	haddr_t host = region_to_host(r, job->addr);

	ra->vm = vm;
	ra->block = b;
	ra->host = host - pages_to_bytes(page_index(job->addr));
	ra->uffd = space_uffd(vm, r, host);
	ra->intended = fill_intends(vm, r, slot);
	ra->map = job->map;
	ra->io.addr = b->base;
	ra->io.order = ra->index;
	ra->io.slot = slot & ~SLOT_OF_REGION;
	ra->io.home = space_backing(vm, r, slot);
}

/* => space lock and block lock held; job->addr is in r and b. */
static enum ahead_result claim_in_block(struct vvm *vm,
					struct vvm_stat_actor *actor,
					struct region *r, struct block *b,
					struct ahead_job *job,
					struct readahead *ra)
{
	unsigned room = MIN(ra->room, (unsigned)IO_MAX_PAGES);
	unsigned low, high, n, skip = 0;
	struct run run;
	int i;

	run_limits(r, b, page_index(job->addr), &low, &high);
	while ((i = job_index(job, skip, low, high)) >= 0 &&
	       pte_state(b->pte[i]) != PAGE_SWAPPED)
		skip++;
	job_skip(job, skip);
	if (i < 0)
		return AHEAD_NOTHING;
	run = measure(job, r, b, low, high, room,
		      (unsigned)MIN(job->most, (uint64_t)room));
	n = spare_frames(vm, actor, run.pages);
	if (!n)
		return AHEAD_DRY;
	if (n < run.pages)
		run = measure(job, r, b, low, high, room, n);
	set_up(ra, vm, r, b, job, run.low);
	claim_run(vm, actor, job, &run, ra);
	fill_note_intent(actor, r, run.low, ra->intended, run.pages);
	job_skip(job, run.steps);
	job->most -= run.pages;
	if (!job->most)
		job->count = 0;
	return AHEAD_CLAIMED;
}

/*
 * Takes the job over addresses where there is nothing to read: to `to` or the
 * first page beyond, in either direction.
 */
static void job_skip_to(struct ahead_job *job, gaddr_t to)
{
	uint64_t step = pages_to_bytes(
		(uint64_t)(job->stride < 0 ? -job->stride : job->stride));
	uint64_t far = job->stride < 0 ? job->addr - to : to - job->addr;

	job_skip(job, MIN(job->count, MAX((far + step - 1) / step, 1u)));
}

/* The next block that there is, or page of [addr, end) that needs none. */
static gaddr_t next_readable(struct vvm *vm, gaddr_t addr, gaddr_t end)
{
	struct block *b = pt_next(&vm->pt, addr, GUEST_END);
	gaddr_t next = b ? b->base : GUEST_END;
	struct region *r = regions_next_guest(&vm->regions, addr);

	end = MIN(end, next);
	while (r && r->start < end && !r->backing)
		r = regions_next_guest(&vm->regions, r->end);
	return r && r->start < end ? MAX(r->start, addr) : next;
}

/* Behind the last page of a forward job. */
static gaddr_t job_end(const struct ahead_job *job)
{
	uint64_t stride = (uint64_t)job->stride;
	uint64_t room = bytes_to_pages(GUEST_END - job->addr) / stride;

	return job->count < room
		       ? job->addr + pages_to_bytes(job->count * stride)
		       : GUEST_END;
}

/* Where the job may go on when there is no block or no region at its page. */
static gaddr_t beyond_hole(struct vvm *vm, const struct ahead_job *job)
{
	gaddr_t base = block_floor(job->addr), next = base + BLOCK_BYTES;
	struct region *r;

	if (job->stride < 0)
		return base ? base - PAGE_BYTES : 0;
	if (!pt_find(&vm->pt, job->addr))
		return next_readable(vm, job->addr, job_end(job));
	r = regions_next_guest(&vm->regions, job->addr);
	return r ? MIN(MAX(r->start, job->addr), next) : next;
}

/*
 * The block of the job's next page. Where nobody has been there is nothing to
 * read, but in a region with a backing. NULL: none, or out of memory.
 */
static struct block *job_block(struct vvm *vm, const struct region *r,
			       const struct ahead_job *job)
{
	return r->backing ? pt_get(&vm->pt, job->addr, NULL)
			  : pt_find(&vm->pt, job->addr);
}

static bool job_ready(struct vvm *vm, const struct region *r,
		      const struct ahead_job *job)
{
	haddr_t host = region_to_host(r, job->addr);

	return r->backing ? view_ready(vm, r, host) == 0
			  : view_is_ready(r, host);
}

enum ahead_result ahead_claim(struct vvm *vm, struct vvm_stat_actor *actor,
			      struct ahead_job *job, struct readahead *ra)
{
	enum ahead_result result = AHEAD_NOTHING;
	struct region *r;
	struct block *b;

	if (job->addr >= GUEST_END) /* a backward stream at address 0, too */
		job->count = 0;
	if (!job->count)
		return AHEAD_NOTHING;
	rwlock_read(&vm->lock);
	r = regions_at_guest(&vm->regions, job->addr);
	b = r ? job_block(vm, r, job) : NULL;
	if (r && (b ? !job_ready(vm, r, job) : r->backing != NULL)) {
		/* no memory; or in a fork child, which has not come here */
		job->count = 0;
	} else if (b) {
		if (r->backing)
			b = space_lock_block(vm, job->addr);
		else
			lock_take(&b->lock);
		result = claim_in_block(vm, actor, r, b, job, ra);
		lock_drop(&b->lock);
	} else {
		job_skip_to(job, beyond_hole(vm, job));
	}
	rwlock_end_read(&vm->lock);
	return result;
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
	unsigned k, done = fill_put_zero_run(vm, uffd, host, n);

	for (k = i; k < i + done; k++) {
		space_move(vm, actor, b, k, PAGE_DIRTY, 0);
		fill_admit(vm, b, k, false);
	}
	space_give_frames(vm, actor, n - done);
	stat_add(actor, VVM_STAT_zero_ahead_pages, done);
	return done;
}

/* The part of ahead_zeros() that lies in the first block. */
static unsigned zeros_in_block(struct vvm *vm, struct vvm_stat_actor *actor,
			       haddr_t host, unsigned count)
{
	unsigned i, n = 0, low, high;
	struct region *r;
	struct block *b;
	gaddr_t addr;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, host);
	if (r && (r->prot & VVM_WRITE) && view_is_ready(r, host)) {
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

unsigned ahead_zeros(struct vvm *vm, struct vvm_stat_actor *actor, haddr_t host,
		     unsigned count)
{
	unsigned n, done = 0;

	do {
		n = zeros_in_block(vm, actor, host + pages_to_bytes(done),
				   count - done);
		done += n;
	} while (n && done < count);
	return done;
}
