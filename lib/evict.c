/* SPDX-License-Identifier: MIT */
/*
 * evict.c - one step of the clock, and write-back.
 *
 * The hand moves block by block, because what is dear in user space is dear
 * per call: a TLB shootdown of a running process costs 16-20 us, for one page
 * or for 512. One step on one block:
 *
 *	1. ask the pagemap which pages are mapped: those were used since the
 *	   hand last passed (the kernel maps a frame back by itself);
 *	2. drop the mapping of the whole block, one shootdown;
 *	3. let the policy age every resident page and name victims;
 *	4. clean victims: punch their frames, run by run. No I/O;
 *	5. dirty victims: protect, copy out, write in one request.
 *
 * A run for punching or protecting may go over pages that have no frame: there
 * is nothing to punch, and a marker there says what the next fill says anew.
 * With a quarter of a block resident (us per page by victims per run; 128 of
 * 512 pages, every fourth):	1	2	4	8	128
 *	punch			2.35	1.5	1.05	0.78	0.55
 *	protect			0.62	0.32	0.16	0.09	0.02
 *
 * Victims are unmapped since 2, so protecting and punching them shoots
 * nothing down, unless a thread has mapped one back in between, which is
 * merely slow.
 *
 * A block is cut into *pieces*: parts with one host run and one descriptor
 * (a region boundary or a stripe boundary separates two). Usually one.
 *
 * Write-back. The victims of a piece are protected first and copied second,
 * so the copy cannot change unnoticed: a later write is an event, and it moves
 * the page back to DIRTY (space.c). All-zero copies need no slot. The others
 * go to consecutive slots in one write, though they need not be neighbours.
 * When the write completes, those still WRITING are CLEAN, and those that
 * nobody mapped in the meantime are evicted on the spot.
 *
 * Slots are taken before anything is protected, so that a full swap costs
 * nothing and changes nothing.
 *
 * Rejected: writing from the frames themselves through an alias mapping (the
 * punch must then shoot down the alias: 20 us against 1.5 for the copy);
 * protecting without unmapping first (16 us a page).
 */
#include "evict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "log.h"
#include "probe.h"
#include "snapshot.h"

#define BITS_WORDS (BLOCK_PAGES / 64)

/* Part of a block with one host run and one userfaultfd. */
struct piece {
	struct block *block;
	unsigned first, end; /* indices */
	haddr_t host;	     /* of index first */
	int uffd;
};

struct writeback {
	struct io io;
	struct list link; /* idle */
	struct evictor *ev;
	struct piece piece;
	uint16_t index[IO_MAX_PAGES]; /* in the block, by page of io */
};

static bool bit_get(const uint64_t *bits, unsigned i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *bits, unsigned i)
{
	bits[i / 64] |= (uint64_t)1 << (i % 64);
}

static haddr_t piece_host(const struct piece *p, unsigned index)
{
	return p->host + pages_to_bytes(index - p->first);
}

/* ---- clean pages ---- */

static void count_evicted(struct evictor *ev, const struct block *b, unsigned i,
			  bool written)
{
	if (written) {
		stat_add(ev->actor, VVM_STAT_evict_written_pages, 1);
	} else {
		stat_add(ev->actor, VVM_STAT_evict_clean_pages, 1);
		if (!pte_slot(b->pte[i]))
			stat_add(ev->actor, VVM_STAT_evict_zero_pages, 1);
	}
	if (b->pte[i] & PTE_PREFETCHED)
		stat_add(ev->actor, VVM_STAT_prefetch_waste_pages, 1);
}

/*
 * May a call for two pages cover all pages [from, to) between them? Those
 * have no frame, so there is nothing to punch and nothing to protect; only
 * poison markers are in the kernel's tables for such pages, and must stay.
 */
static bool bridge(const struct vvm *vm, const struct block *b, unsigned from,
		   unsigned to)
{
	for (; from < to; from++)
		if ((b->pte[from] & (PTE_PRESENT | PTE_POISON)))
			return false;
	return !atomic_load_explicit(&vm->failing, memory_order_relaxed);
}

/*
 * Evicts the pages of [from, to) whose bit is set; the others have no frame.
 * Returns the frames freed, which the caller gives back. => block lock held.
 */
static unsigned punch_run(struct evictor *ev, const struct piece *p,
			  const uint64_t *victims, unsigned from, unsigned to,
			  bool written)
{
	struct block *b = p->block;
	unsigned i, freed = 0;

	/*
	 * Punch first: between the two a fault waits for our lock; and if
	 * the kernel refuses, the page simply stays.
	 */
	if (os_punch(ev->vm->memfd, piece_host(p, from),
		     pages_to_bytes(to - from)) < 0)
		return 0;
	for (i = from; i < to; i++) {
		uint64_t slot = pte_slot(b->pte[i]);

		if (!bit_get(victims, i))
			continue;
		count_evicted(ev, b, i, written);
		space_move(ev->vm, ev->actor, b, i,
			   slot ? PAGE_SWAPPED : PAGE_FRESH, slot);
		freed++;
	}
	PROBE3(evict, b->base + pages_to_bytes(from), freed, written);
	return freed;
}

/* The first victim of a piece at or after i, or its end. */
static unsigned next_victim(const struct piece *p, const uint64_t *victims,
			    unsigned i)
{
	while (i < p->end && !bit_get(victims, i))
		i++;
	return i;
}

/*
 * Evicts the pages of a piece whose bit is set; all CLEAN. Returns the
 * frames freed. => block lock held.
 */
static unsigned evict_clean(struct evictor *ev, const struct piece *p,
			    const uint64_t *victims, bool written)
{
	unsigned from = next_victim(p, victims, p->first), to, next, freed = 0;

	while (from < p->end) {
		next = from;
		do {
			to = next + 1;
			next = next_victim(p, victims, to);
		} while (next < p->end && bridge(ev->vm, p->block, to, next));
		freed += punch_run(ev, p, victims, from, to, written);
		from = next;
	}
	return freed;
}

/* ---- write-back ---- */

/* Does page `at` of the write-back go on with the run of the one before? */
typedef bool (*joins_fn)(const struct writeback *wb, unsigned at);

static bool adjoins(const struct writeback *wb, unsigned at)
{
	return wb->index[at] == wb->index[at - 1] + 1;
}

static bool bridged(const struct writeback *wb, unsigned at)
{
	return bridge(wb->ev->vm, wb->piece.block, wb->index[at - 1] + 1u,
		      wb->index[at]);
}

/*
 * Calls fn for each maximal run among n pages. Stops at an error, *done is
 * how many of the n were covered.
 */
typedef int (*run_fn)(struct writeback *wb, unsigned at, unsigned n);

static int for_runs(struct writeback *wb, unsigned count, joins_fn joins,
		    run_fn fn, unsigned *done)
{
	unsigned at = 0, n;
	int rc = 0;

	while (at < count) {
		for (n = 1; at + n < count && joins(wb, at + n); n++)
			;
		rc = fn(wb, at, n);
		if (rc < 0)
			break;
		at += n;
	}
	*done = at;
	return rc;
}

static int run_protect(struct writeback *wb, unsigned at, unsigned n)
{
	unsigned pages = wb->index[at + n - 1] + 1u - wb->index[at];

	return os_uffd_wp(wb->piece.uffd,
			  piece_host(&wb->piece, wb->index[at]),
			  pages_to_bytes(pages), true);
}

static int run_unprotect(struct writeback *wb, unsigned at, unsigned n)
{
	return os_uffd_wp(wb->piece.uffd,
			  piece_host(&wb->piece, wb->index[at]),
			  pages_to_bytes(n), false);
}

static int run_copy(struct writeback *wb, unsigned at, unsigned n)
{
	return os_frame_read(wb->ev->vm->memfd,
			     wb->io.buf + pages_to_bytes(at), pages_to_bytes(n),
			     piece_host(&wb->piece, wb->index[at]));
}

/*
 * Lets go of pages [from, to) of the write-back: unprotected and DIRTY as
 * before. Unprotecting must not fail for good: a DIRTY page that stays
 * protected would break space (2). => block lock held.
 */
static void back_out(struct writeback *wb, unsigned from, unsigned to)
{
	unsigned i;
	int rc = 0;

	for (i = from; i < to; i++) {
		unsigned tries;

		for (tries = 0; tries < 1000; tries++) {
			rc = run_unprotect(wb, i, 1);
			if (rc != -EAGAIN && rc != -ENOMEM)
				break;
			os_yield();
		}
	}
	/* -ENOENT: the region is being unmapped; the page is void anyway. */
	(void)rc;
}

/*
 * Drops the all-zero pages from the copies: they become CLEAN without a slot
 * and their bits are set in `zero`. Returns how many remain.
 */
static unsigned sift_zeroes(struct writeback *wb, unsigned n, uint64_t *zero)
{
	struct evictor *ev = wb->ev;
	unsigned i, kept = 0;

	for (i = 0; i < n; i++) {
		char *copy = wb->io.buf + pages_to_bytes(i);

		if (codec_is_zero(copy)) {
			space_move(ev->vm, ev->actor, wb->piece.block,
				   wb->index[i], PAGE_CLEAN, 0);
			bit_set(zero, wb->index[i]);
			continue;
		}
		if (kept != i)
			memcpy(wb->io.buf + pages_to_bytes(kept), copy,
			       PAGE_BYTES);
		wb->index[kept++] = wb->index[i];
	}
	return kept;
}

/* Marks the remaining n pages WRITING and starts the write. */
static void start_write(struct writeback *wb, unsigned n)
{
	struct evictor *ev = wb->ev;
	struct block *b = wb->piece.block;
	unsigned i;

	for (i = 0; i < n; i++)
		space_move(ev->vm, ev->actor, b, wb->index[i], PAGE_WRITING, 0);
	b->writing += n;
	ev->writing_pages += n;
	wb->io.pages = n;
	wb->io.addr = b->base;
	wb->io.order = wb->index;
	list_remove(&wb->link);
	stat_add(ev->actor, VVM_STAT_swapout_pages, n);
	stat_add(ev->actor, VVM_STAT_swapout_writes, 1);
	PROBE3(writeback_start, b->base + pages_to_bytes(wb->index[0]), n,
	       wb->io.slot);
	ev->vm->swap->ops->write(ev->vm->swap, ev->ring, &wb->io);
}

/* Protects and copies n pages; returns how many are good, from the front. */
static unsigned protect_and_copy(struct writeback *wb, unsigned n)
{
	unsigned protected_pages, copied;

	for_runs(wb, n, bridged, run_protect, &protected_pages);
	for_runs(wb, protected_pages, adjoins, run_copy, &copied);
	/* the run that failed may be protected in part */
	back_out(wb, copied, n);
	return copied;
}

/*
 * Makes the FROZEN pages of the write-back DIRTY: what fork children need of
 * them is copied. They are still protected. Returns how many are good, from
 * the front. => block lock held.
 */
static unsigned thaw(struct writeback *wb, unsigned n)
{
	struct evictor *ev = wb->ev;
	struct block *b = wb->piece.block;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (pte_state(b->pte[wb->index[i]]) != PAGE_FROZEN)
			continue;
		if (snapshot_copy(ev->vm,
				  piece_host(&wb->piece, wb->index[i])) < 0)
			break;
		space_move(ev->vm, ev->actor, b, wb->index[i], PAGE_DIRTY, 0);
	}
	return i;
}

/*
 * Starts a write-back of the first of the pages named in wb->index[0..n):
 * DIRTY or FROZEN, not pinned, of wb->piece. As many as there are slots in a
 * row; *served says how many, 0 when swap is full. Returns the frames freed at
 * once (zero pages). => block lock held.
 */
static unsigned write_back(struct writeback *wb, unsigned n, unsigned *served)
{
	struct evictor *ev = wb->ev;
	struct backing *swap = ev->vm->swap;
	uint64_t zero[BITS_WORDS] = {0};
	uint64_t slot, got = 0;
	unsigned kept;

	*served = 0;
	if (swap->ops->take(swap, n, &slot, &got) < 0) {
		stat_add(ev->actor, VVM_STAT_swap_full, 1);
		PROBE2(error, wb->piece.block->base, -ENOSPC);
		ev->swap_full = true;
		return 0;
	}
	ev->swap_full = false;
	*served = (unsigned)got;
	n = protect_and_copy(wb, thaw(wb, (unsigned)got));
	kept = sift_zeroes(wb, n, zero);
	if (kept < got)
		swap->ops->give(swap, slot + kept, got - kept);
	wb->io.slot = slot;
	if (kept)
		start_write(wb, kept);
	return evict_clean(ev, &wb->piece, zero, false);
}

/* What the completed write means for each page. => block lock held. */
static void settle(struct writeback *wb, int result, uint64_t *clean)
{
	struct evictor *ev = wb->ev;
	struct backing *swap = ev->vm->swap;
	struct block *b = wb->piece.block;
	unsigned i;

	for (i = 0; i < wb->io.pages; i++) {
		unsigned index = wb->index[i];
		bool untouched = pte_state(b->pte[index]) == PAGE_WRITING;

		if (untouched && result == 0) {
			space_move(ev->vm, ev->actor, b, index, PAGE_CLEAN,
				   wb->io.slot + i);
			bit_set(clean, index);
			continue;
		}
		swap->ops->give(swap, wb->io.slot + i, 1);
		if (!untouched) {
			stat_add(ev->actor, VVM_STAT_writeback_cancelled_pages,
				 1);
			continue;
		}
		stat_add(ev->actor, VVM_STAT_writeback_failed_pages, 1);
		back_out(wb, i, i + 1);
		space_move(ev->vm, ev->actor, b, index, PAGE_DIRTY, 0);
	}
}

/* Takes pages that were mapped again since out of `clean`. */
static void keep_referenced(struct writeback *wb, uint64_t *clean)
{
	struct piece *p = &wb->piece;
	uint64_t mapped[BITS_WORDS];
	unsigned i;

	if (os_pagemap_present(wb->ev->vm->pagemap_fd, p->host,
			       p->end - p->first, mapped, NULL) < 0)
		return;
	for (i = p->first; i < p->end; i++)
		if (bit_get(mapped, i - p->first))
			clean[i / 64] &= ~((uint64_t)1 << (i % 64));
	for (i = 0; i < wb->io.pages; i++) {
		pte_t *e = &p->block->pte[wb->index[i]];

		if ((*e & PTE_PINNED) || !(*e & PTE_PRESENT))
			clean[wb->index[i] / 64] &=
				~((uint64_t)1 << (wb->index[i] % 64));
	}
}

static void written(struct io *io, int result)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	struct writeback *wb = container_of(io, struct writeback, io);
	struct evictor *ev = wb->ev;
	struct block *b = wb->piece.block;
	uint64_t clean[BITS_WORDS] = {0};
	unsigned freed;

	PROBE3(writeback_end, b->base + pages_to_bytes(wb->index[0]), io->pages,
	       result);
	if (result < 0)
		log_warn_once(&once, "writing to swap failed (error %d): pages "
				     "stay in memory and are tried again",
			      -result);
	lock_take(&b->lock);
	settle(wb, result, clean);
	keep_referenced(wb, clean);
	freed = evict_clean(ev, &wb->piece, clean, true);
	b->writing -= (uint16_t)io->pages;
	/* under the lock: who unmaps next finds the frames counted */
	space_give_frames(ev->vm, ev->actor, freed);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	/* the block may go away from here on */
	ev->writing_pages -= io->pages;
	list_insert(&ev->idle, &wb->link);
}

/* ---- the step ---- */

/*
 * Drops the mapping of the piece's pages. The bits that were set before say
 * which pages had been used. => block lock held.
 */
static void take_references(struct evictor *ev, const struct piece *p,
			    uint64_t *mapped)
{
	unsigned pages = p->end - p->first, low, high;

	if (os_pagemap_present(ev->vm->pagemap_fd, p->host, pages, mapped,
			       NULL) < 0)
		memset(mapped, 0xff, BITS_WORDS * sizeof(*mapped));
	for (low = 0; low < pages && !bit_get(mapped, low); low++)
		;
	for (high = pages; high > low && !bit_get(mapped, high - 1); high--)
		;
	if (low < high)
		os_advise(p->host + pages_to_bytes(low),
			  pages_to_bytes(high - low), OS_ADV_DONTNEED);
}

/* Lets the policy see page i; true: a victim. */
static bool visit(struct evictor *ev, struct block *b, unsigned i,
		  bool referenced, struct policy_step *step)
{
	pte_t e = b->pte[i];
	struct policy_page page = {
		.addr = b->base + pages_to_bytes(i),
		.age = pte_age(e),
		.heat = b->policy.heat[i],
		.referenced = referenced,
		.prefetched = e & PTE_PREFETCHED,
		.dirty = e & PTE_DIRTY,
	};
	bool victim = ev->vm->policy->visit(step, &page);

	b->pte[i] = pte_with_age(e, page.age);
	b->policy.heat[i] = (uint16_t)page.heat;
	if (referenced && page.prefetched) {
		b->pte[i] &= ~PTE_PREFETCHED;
		stat_add(ev->actor, VVM_STAT_prefetch_hit_pages, 1);
	}
	return victim;
}

/* May page e leave at all? young: pages that have just come may not. */
static bool evictable(const struct vvm *vm, pte_t e, bool young)
{
	enum page_state s = pte_state(e);

	if ((s != PAGE_CLEAN && s != PAGE_DIRTY && s != PAGE_FROZEN) ||
	    (e & PTE_PINNED))
		return false;
	return !young || pte_age(e) != vm->policy->new_age;
}

/*
 * Has a fault just filled pages of the block, on a budget so small that the
 * hand may be back before the thread has run? See SPACE_GRACE_US.
 */
static bool in_grace(struct vvm *vm, const struct block *b)
{
	return atomic_load(&vm->frames.budget) < SPACE_GRACE_PAGES &&
	       os_now_us() - b->filled_us < SPACE_GRACE_US;
}

struct victims {
	uint64_t clean[BITS_WORDS];
	uint16_t dirty[BLOCK_PAGES];
	unsigned clean_count, dirty_count;
};

static void choose(struct evictor *ev, const struct piece *p,
		   const uint64_t *mapped, struct policy_step *step,
		   uint64_t target, struct victims *v)
{
	struct block *b = p->block;
	bool young = in_grace(ev->vm, b);
	unsigned i, scanned = 0, referenced = 0;

	for (i = p->first; i < p->end; i++) {
		bool used = bit_get(mapped, i - p->first);

		if (!evictable(ev->vm, b->pte[i], young))
			continue;
		scanned++;
		referenced += used;
		/* Swap full: dirty victims must not stand for clean ones. */
		if (!visit(ev, b, i, used, step) ||
		    v->clean_count + (ev->swap_full ? 0 : v->dirty_count) >=
			    target)
			continue;
		if (b->pte[i] & PTE_DIRTY) {
			v->dirty[v->dirty_count++] = (uint16_t)i;
		} else {
			bit_set(v->clean, i);
			v->clean_count++;
		}
	}
	stat_add(ev->actor, VVM_STAT_reclaim_scanned_pages, scanned);
	stat_add(ev->actor, VVM_STAT_reclaim_referenced_pages, referenced);
}

/* Hands dirty victims to write-backs while there are idle ones. */
static unsigned write_victims(struct evictor *ev, const struct piece *p,
			      const struct victims *v)
{
	unsigned at = 0, n, served, freed = 0;

	while (at < v->dirty_count && !list_empty(&ev->idle)) {
		struct writeback *wb =
			list_entry(ev->idle.next, struct writeback, link);

		n = MIN(v->dirty_count - at, ev->room);
		wb->piece = *p;
		memcpy(wb->index, v->dirty + at, n * sizeof(*wb->index));
		freed += write_back(wb, n, &served);
		if (!served)
			break;
		at += served;
	}
	return freed;
}

/* Is there anything to look at? If not, the mappings are left alone. */
static bool any_evictable(struct evictor *ev, const struct piece *p)
{
	bool young = in_grace(ev->vm, p->block);
	unsigned i;

	for (i = p->first; i < p->end; i++)
		if (evictable(ev->vm, p->block->pte[i], young))
			return true;
	return false;
}

/* The whole step for one piece. Returns true when it had victims. */
static bool evict_piece(struct evictor *ev, const struct piece *p,
			struct policy_step *step, uint64_t target,
			unsigned *freed)
{
	uint64_t mapped[BITS_WORDS];
	struct victims v;

	v.clean_count = v.dirty_count = 0;
	memset(v.clean, 0, sizeof(v.clean));
	take_references(ev, p, mapped);
	choose(ev, p, mapped, step, target, &v);
	*freed += evict_clean(ev, p, v.clean, false);
	*freed += write_victims(ev, p, &v);
	return v.clean_count + v.dirty_count > 0;
}

/* The piece of b that starts at or after addr. False: none. */
static bool next_piece(struct vvm *vm, struct block *b, gaddr_t addr,
		       struct piece *p)
{
	gaddr_t block_end = b->base + BLOCK_BYTES, end;
	struct region *r = regions_next_guest(&vm->regions, addr);
	haddr_t host, stripe_end;

	if (!r || r->start >= block_end)
		return false;
	addr = MAX(addr, r->start);
	end = MIN(block_end, r->end);
	host = region_to_host(r, addr);
	stripe_end = ((host >> r->stripe_shift) + 1) << r->stripe_shift;
	if (stripe_end - host < end - addr)
		end = addr + (stripe_end - host);
	p->block = b;
	p->first = page_index(addr);
	p->end = page_index(end - 1) + 1;
	p->host = host;
	p->uffd = space_uffd(vm, r, host);
	return true;
}

static enum evict_result evict_block(struct evictor *ev, struct block *b,
				     uint64_t target, unsigned *freed)
{
	uint64_t writing = ev->writing_pages;
	gaddr_t addr = b->base;
	bool victims = false, looked = false, progress;
	struct policy_step step;
	struct piece p;

	if (b->writing) /* one write-back generation at a time */
		return EVICT_SKIPPED;
	clock_begin(ev->vm, b, &step);
	while (next_piece(ev->vm, b, addr, &p)) {
		uint64_t found = *freed + ev->writing_pages - writing;

		if (found >= target)
			break;
		if (any_evictable(ev, &p)) {
			looked = true;
			victims |= evict_piece(ev, &p, &step, target - found,
					       freed);
		}
		addr = b->base + pages_to_bytes(p.end);
		if (p.end == BLOCK_PAGES)
			break;
	}
	clock_end(ev->vm, &step);
	/* All too fresh: that is no barren turn, and time will tell. */
	if (!looked && in_grace(ev->vm, b))
		return EVICT_SKIPPED;
	pt_publish_ages(b);
	progress = *freed || ev->writing_pages > writing;
	/* With swap full, rising pressure gets at the clean pages. */
	clock_found(ev->vm, progress || (victims && !ev->swap_full));
	if (progress)
		return EVICT_FREED;
	return victims && list_empty(&ev->idle) ? EVICT_SKIPPED : EVICT_NOTHING;
}

enum evict_result evict_step(struct evictor *ev, uint64_t target)
{
	enum evict_result result = EVICT_EMPTY;
	struct vvm *vm = ev->vm;
	unsigned freed = 0;
	struct block *b;

	if (!rwlock_try_read(&vm->lock))
		return EVICT_SKIPPED;
	b = clock_advance(vm);
	if (b) {
		result = EVICT_SKIPPED;
		if (lock_try(&b->lock)) {
			if (b->resident)
				result = evict_block(ev, b, target, &freed);
			if (!b->resident)
				clock_remove(vm, b);
			space_give_frames(vm, ev->actor, freed);
			lock_drop(&b->lock);
		}
		stat_add(ev->actor, VVM_STAT_reclaim_steps, 1);
	}
	rwlock_end_read(&vm->lock);
	return result;
}

/* ---- construction ---- */

int evict_init(struct evictor *ev, struct vvm *vm, struct vvm_stat_actor *actor,
	       struct ring *ring, unsigned count, unsigned room)
{
	void *buffers;
	unsigned i;
	int rc;

	memset(ev, 0, sizeof(*ev));
	list_init(&ev->idle);
	ev->vm = vm;
	ev->actor = actor;
	ev->ring = ring;
	ev->count = count;
	ev->room = MIN(room, (unsigned)IO_MAX_PAGES);
	ev->writebacks = calloc(count, sizeof(*ev->writebacks));
	if (!ev->writebacks)
		return -ENOMEM;
	rc = os_map_anon(count * pages_to_bytes(ev->room), &buffers);
	if (rc < 0) {
		free(ev->writebacks);
		ev->writebacks = NULL;
		return rc;
	}
	ev->buffers = buffers;
	for (i = 0; i < count; i++) {
		struct writeback *wb = &ev->writebacks[i];

		wb->ev = ev;
		wb->io.done = written;
		wb->io.buf = ev->buffers + i * pages_to_bytes(ev->room);
		list_insert(&ev->idle, &wb->link);
	}
	return 0;
}

void evict_fini(struct evictor *ev)
{
	if (!ev->writebacks)
		return;
	ASSERT(!ev->writing_pages);
	os_unmap((haddr_t)(uintptr_t)ev->buffers,
		 ev->count * pages_to_bytes(ev->room));
	free(ev->writebacks);
	ev->writebacks = NULL;
}
