/* SPDX-License-Identifier: MIT */
/*
 * evict/evict.c - one step of the clock.
 *
 * The hand moves block by block, because what is dear in user space is dear
 * per call: a TLB shootdown of a running process costs 16-20 us, for one page
 * or for 512. One step on one block:
 *
 *	1. ask the pagemap which pages are mapped: those were used since the
 *	   hand last passed (the kernel maps a frame back by itself);
 *	2. drop the mapping of the whole block, one shootdown;
 *	3. let the policy age every resident page and name victims;
 *	4. clean victims: punch their frames, run by run (space/extent.c),
 *	   without I/O; in a guarded space after a look whether they still
 *	   are (space/verify.c);
 *	5. dirty victims: protect, copy out, write in one request
 *	   (evict/writeback.c).
 *
 * Victims are unmapped since 2, so protecting and punching them shoots
 * nothing down, unless a thread has mapped one back in between, which is
 * merely slow.
 *
 * Dirty pages that the kernel may hold for a system call are no victims
 * (space/grip.c).
 *
 * A block is taken extent by extent (space/extent.c); usually it is one.
 *
 * Of pages that are equally cold the first ones of the block go. Rejected: to
 * begin where the last choice in the block stopped (nothing gained in the
 * simulator, sequential accesses 8 and 10 % slower).
 */
#include "evict/evict.h"

#include <string.h>

#include "space/verify.h"

/*
 * Drops the mapping of the extent's pages. The bits that were set before say
 * which pages had been used. True: any. => block lock held.
 */
static bool take_references(struct evictor *ev, const struct extent *p,
			    uint64_t *mapped)
{
	unsigned pages = p->end - p->first, low, high;

	extent_mapped(ev->vm, p, mapped);
	for (low = 0; low < pages && !bit_get(mapped, low); low++)
		;
	for (high = pages; high > low && !bit_get(mapped, high - 1); high--)
		;
	if (low < high)
		os_advise(p->host + pages_to_bytes(low),
			  pages_to_bytes(high - low), OS_ADV_DONTNEED);
	return low < high;
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
	bool victim;

	if (!page.age && !page.prefetched) {
		ev->cold++;
		ev->cold_used += referenced;
	}
	victim = ev->vm->clock.ops->visit(step, &page);
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
	return !young || pte_age(e) != vm->clock.ops->new_age;
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
	uint64_t clean[EXTENT_WORDS];
	uint16_t dirty[BLOCK_PAGES];
	unsigned clean_count, dirty_count;
};

/* May page i be held? view: NULL when nothing is. */
static bool is_gripped(struct evictor *ev, const struct extent *p,
		       const struct pass *pass, unsigned i,
		       const struct grip_view *view)
{
	if (!view || !(p->block->pte[i] & PTE_DIRTY) ||
	    !grip_holds(view, extent_host(p, i),
			bit_get(pass->mapped, i - p->first), pass->before_us))
		return false;
	ev->gripped = true;
	return true;
}

static void choose(struct evictor *ev, const struct extent *p,
		   const struct pass *pass, struct policy_step *step,
		   uint64_t target, struct victims *v)
{
	struct block *b = p->block;
	bool young = in_grace(ev->vm, b);
	unsigned i, scanned = 0, referenced = 0;
	struct grip_view held, *view = NULL;

	if (grips_view(&ev->vm->grips, atomic_load(&ev->vm->frames.budget),
		       &held))
		view = &held;
	for (i = p->first; i < p->end; i++) {
		bool used = bit_get(pass->mapped, i - p->first);

		if (!evictable(ev->vm, b->pte[i], young))
			continue;
		scanned++;
		referenced += used;
		/* Swap full: dirty victims must not stand for clean ones. */
		if (!visit(ev, b, i, used, step) ||
		    is_gripped(ev, p, pass, i, view) ||
		    v->clean_count +
				    (ev->writer.refused ? 0 : v->dirty_count) >=
			    target)
			continue;
		if (b->pte[i] & PTE_DIRTY) {
			v->dirty[v->dirty_count++] = (uint16_t)i;
		} else {
			bit_set(v->clean, i);
			v->clean_count++;
		}
	}
	ev->scanned += scanned;
	stat_add(ev->actor, VVM_STAT_reclaim_scanned_pages, scanned);
	stat_add(ev->actor, VVM_STAT_reclaim_referenced_pages, referenced);
}

/*
 * Guarded spaces: clean victims that have been written to are dirty ones. Those
 * that cannot be looked at stay.
 */
static void verify(struct evictor *ev, const struct extent *p,
		   struct victims *v)
{
	uint64_t before[EXTENT_WORDS];
	struct block *b = p->block;
	uint16_t sorted[BLOCK_PAGES];
	unsigned i, k = 0, n = 0;

	if (!space_is_guarded(ev->vm) || !v->clean_count)
		return;
	memcpy(before, v->clean, sizeof(before));
	verify_clean(ev->vm, ev->actor, p, v->clean, ev->frames);
	for (i = p->first; i < p->end; i++) {
		bool was_dirty = k < v->dirty_count && v->dirty[k] == i;

		k += was_dirty;
		if (was_dirty || (bit_get(before, i) && !bit_get(v->clean, i) &&
				  pte_state(b->pte[i]) == PAGE_FROZEN))
			sorted[n++] = (uint16_t)i;
	}
	memcpy(v->dirty, sorted, n * sizeof(*sorted));
	v->dirty_count = n;
}

/*
 * Copies those of the clean victims that the backing wants. They are protected,
 * or have just been looked at.
 */
static void copy_wanted(struct evictor *ev, const struct extent *p,
			const uint64_t *clean)
{
	struct backing *swap = ev->vm->swap;
	unsigned i;

	for (i = p->first; ev->copies && i < p->end; i++) {
		gaddr_t addr = p->block->base + pages_to_bytes(i);
		uint64_t slot = pte_slot(p->block->pte[i]);
		unsigned n = ev->copied;

		if (n == EVICT_COPIES)
			return;
		if (!bit_get(clean, i) || !slot_is_swap(slot) ||
		    !swap->ops->wants(swap, slot, addr))
			continue;
		if (os_frame_read(ev->vm->memfd, ev->copies + pages_to_bytes(n),
				  PAGE_BYTES, extent_host(p, i)) == 0)
			ev->copy[ev->copied++] =
				(struct evict_copy){slot, addr};
		else
			swap->ops->add(swap, slot, addr, NULL);
	}
}

/* ... and it gets them. => nothing locked. */
static void give_copies(struct evictor *ev)
{
	struct backing *swap = ev->vm->swap;
	unsigned i;

	for (i = 0; i < ev->copied; i++)
		swap->ops->add(swap, ev->copy[i].slot, ev->copy[i].addr,
			       ev->copies + pages_to_bytes(i));
	ev->copied = 0;
}

/* Is there anything to look at? If not, the mappings are left alone. */
static bool any_evictable(struct evictor *ev, const struct extent *p)
{
	bool young = in_grace(ev->vm, p->block);
	unsigned i;

	for (i = p->first; i < p->end; i++)
		if (evictable(ev->vm, p->block->pte[i], young))
			return true;
	return false;
}

/*
 * One write-back generation at a time, and unmap comes before the next. Those to
 * slow backings are in flight for nobody knows how long, and keep only dirty pages
 * of their own extents from going.
 */
static bool is_busy(const struct block *b)
{
	return b->writing > b->slow_writing || (b->awaited && !b->slow_writing);
}

static bool is_held(const struct extent *p)
{
	return p->block->slow_writing && p->home->slow;
}

/* The whole step for one extent. Returns true when it had victims. */
static bool evict_extent(struct evictor *ev, const struct extent *p,
			 struct policy_step *step, uint64_t before_us,
			 uint64_t target, unsigned *freed)
{
	struct pass pass = {.before_us = before_us};
	struct victims v;

	v.clean_count = v.dirty_count = 0;
	memset(v.clean, 0, sizeof(v.clean));
	if (take_references(ev, p, pass.mapped))
		/* who used one since the bits were read did so before this */
		pass.before_us = p->block->passed_us = os_now_us();
	choose(ev, p, &pass, step, target, &v);
	verify(ev, p, &v);
	copy_wanted(ev, p, v.clean);
	*freed += extent_evict(ev->vm, ev->actor, p, v.clean, false);
	if (is_held(p))
		return v.clean_count > 0;
	*freed += writer_start(&ev->writer, p, &pass, v.dirty, v.dirty_count);
	return v.clean_count + v.dirty_count > 0;
}

static enum evict_result evict_block(struct evictor *ev, struct block *b,
				     uint64_t target, unsigned *freed)
{
	uint64_t writing = ev->writer.pages, before_us = b->passed_us;
	gaddr_t addr = b->base;
	bool victims = false, looked = false, progress;
	struct policy_step step;
	struct extent p;

	if (is_busy(b))
		return EVICT_SKIPPED;
	ev->gripped = false;
	clock_begin(&ev->vm->clock, b, &step);
	while (extent_next(ev->vm, b, addr, &p)) {
		uint64_t found = *freed + ev->writer.pages - writing;

		if (found >= target)
			break;
		if (any_evictable(ev, &p)) {
			looked = true;
			victims |= evict_extent(ev, &p, &step, before_us,
						target - found, freed);
		}
		addr = b->base + pages_to_bytes(p.end);
		if (p.end == BLOCK_PAGES)
			break;
	}
	clock_end(&ev->vm->clock, &step);
	/* All too fresh: that is no barren turn, and time will tell. */
	if (!looked && in_grace(ev->vm, b))
		return EVICT_SKIPPED;
	pt_publish_ages(b);
	progress = *freed || ev->writer.pages > writing;
	/* With swap full, rising pressure gets at the clean pages. */
	clock_found(&ev->vm->clock,
		    progress || (victims && !ev->writer.refused));
	if (progress)
		return EVICT_FREED;
	if (ev->gripped)
		return EVICT_SKIPPED;
	/* The kernel had no memory, or no write-back is idle: time will tell. */
	return victims && (writer_busy(&ev->writer) || !ev->writer.refused)
		       ? EVICT_SKIPPED
		       : EVICT_NOTHING;
}

enum evict_result evict_step(struct evictor *ev, uint64_t target)
{
	enum evict_result result = EVICT_EMPTY;
	struct vvm *vm = ev->vm;
	unsigned freed = 0;
	struct block *b;

	if (!rwlock_try_read(&vm->lock))
		return EVICT_SKIPPED;
	b = clock_advance(&vm->clock);
	if (b) {
		result = EVICT_SKIPPED;
		if (lock_try(&b->lock)) {
			if (b->resident)
				result = evict_block(ev, b, target, &freed);
			if (!b->resident) {
				clock_remove(&vm->clock, b);
				verify_forget(vm, b);
			}
			space_give_frames(vm, ev->actor, freed);
			lock_drop(&b->lock);
		}
		stat_add(ev->actor, VVM_STAT_reclaim_steps, 1);
	}
	rwlock_end_read(&vm->lock);
	writer_submit(&ev->writer);
	give_copies(ev);
	return result;
}

int evict_init(struct evictor *ev, struct vvm *vm, struct vvm_stat_actor *actor,
	       struct ring *ring, unsigned count, unsigned room)
{
	int rc = 0;

	ev->vm = vm;
	ev->actor = actor;
	ev->frames = NULL;
	ev->copies = NULL;
	ev->copied = 0;
	ev->scanned = ev->cold = ev->cold_used = 0;
	if (space_is_guarded(vm))
		rc = os_map_anon(pages_to_bytes(VERIFY_PAGES), &ev->frames);
	return rc < 0 ? rc
		      : writer_init(&ev->writer, vm, actor, ring, count, room);
}

int evict_keep(struct evictor *ev)
{
	void *memory;
	int rc = os_map_anon(pages_to_bytes(EVICT_COPIES), &memory);

	if (rc < 0)
		return rc;
	ev->copies = memory;
	ev->writer.keep = true;
	return 0;
}

void evict_fini(struct evictor *ev)
{
	if (ev->copies)
		os_unmap((haddr_t)(uintptr_t)ev->copies,
			 pages_to_bytes(EVICT_COPIES));
	ev->copies = NULL;
	if (ev->frames)
		os_unmap((haddr_t)(uintptr_t)ev->frames,
			 pages_to_bytes(VERIFY_PAGES));
	ev->frames = NULL;
	writer_fini(&ev->writer);
}
