/* SPDX-License-Identifier: MIT */
/*
 * fault/fault.c - what happens between "this page is needed" and "here it is".
 *
 * A fault is one object, struct fault, and one loop, fault_run():
 *
 *	look	region by address, block, entry; both locked
 *	decide	by the page's state, one of the functions below
 *	wait	nothing locked; how is the mode's business
 *
 * "Look again" is the point: nothing is assumed to have stayed as it was while
 * nothing was locked. A decided fault is either resolved under the block lock,
 * by at most one userfaultfd call of 1-3 us, or the page is FILLING and belongs
 * to one read. A handler thread never waits: it returns from the loop, and runs
 * the fault again later (fault/demand.c). Other threads sleep
 * (fault/inline.c).
 *
 * The kernel call comes before the change of state, so that a failing call
 * leaves the table as it was and the fault can be tried again.
 */
#include "fault/fault.h"

#include <errno.h>

#include "fill/fill.h"
#include "fill/streams.h"
#include "snapshot/snapshot.h"
#include "space/view.h"

/* Neighbours that get rid of their markers, too, on each side. */
#define UNGUARD_PAGES 32

enum fault_result fault_error(int error)
{
	if (error == -ENOENT || error == -ESRCH)
		return FAULT_GONE; /* unmapped under us */
	return FAULT_RETRY;
}

/* ---- decide: all => space lock (read) and block lock held ---- */

/* The kernel is told next. Of a fault that has read, that was long ago. */
static uint64_t stamp_looked(struct fault *f)
{
	uint64_t now_ns = os_now_ns();

	if (!f->stat.at.read_ns)
		f->stat.at.looked_ns = now_ns;
	return now_ns;
}

/* The page is in use from now on. */
static enum fault_result usable(struct fault *f, uint64_t now_ns)
{
	f->block->filled_us = now_ns / 1000;
	f->told = true;
	return FAULT_DONE;
}

/*
 * FRESH: zeros, without I/O. A read leaves it CLEAN with no slot, unless it
 * is likely to be written next.
 */
static enum fault_result fill_zero(struct fault *f)
{
	uint64_t now_ns;
	bool dirty, intended;
	int rc;

	if (!space_take_frames(f->vm, f->actor, 1, 0))
		return FAULT_NOFRAME;
	now_ns = stamp_looked(f);
	dirty = intended = f->write || fill_intends(f->vm, f->region, 0);
	rc = fill_put_zeros(f->vm, f->uffd, f->host, &dirty);
	if (rc < 0) {
		space_give_frames(f->vm, f->actor, 1);
		return fault_error(rc);
	}
	space_move(f->vm, f->actor, f->block, f->index,
		   dirty ? PAGE_DIRTY : PAGE_CLEAN, 0);
	fill_admit(f->vm, f->block, f->index, false);
	if (!f->write)
		fill_note_intent(f->actor, f->region, 0, intended, 1);
	return usable(f, now_ns);
}

static bool is_crowded(const struct fault *f)
{
	uint64_t slot = pte_slot(f->block->pte[f->index]);

	return f->mode->crowded &&
	       f->mode->crowded(f, space_backing(f->vm, f->region, slot));
}

/* SWAPPED: takes a frame and makes the page ours. */
static enum fault_result claim(struct fault *f)
{
	if (is_crowded(f))
		return FAULT_CROWDED;
	if (!space_take_frames(f->vm, f->actor, 1, 0))
		return FAULT_NOFRAME;
	fault_claim(f);
	return FAULT_READ;
}

/* FILLING: it is not to be put on standby, since somebody wants it now. */
static enum fault_result join(struct fault *f)
{
	pte_t *e = &f->block->pte[f->index];

	f->trigger = *e & PTE_PREFETCHED;
	*e &= ~PTE_PREFETCHED;
	return FAULT_JOINED;
}

/*
 * CLEAN, WRITING or FROZEN, and somebody writes: it is the only copy from now
 * on. In a guarded space a page of the latter two is not to be had for reading
 * only.
 */
static enum fault_result make_dirty(struct fault *f)
{
	pte_t e = f->block->pte[f->index];
	uint64_t now_ns = stamp_looked(f);
	int rc = 0;

	if (pte_state(e) == PAGE_FROZEN)
		rc = snapshot_copy(f->vm, f->host);
	if (rc == 0)
		rc = view_unprotect(f->vm, f->uffd, f->host, PAGE_BYTES);
	if (rc < 0)
		return fault_error(rc);
	if (pte_state(e) == PAGE_CLEAN &&
	    (pte_age(e) == f->vm->clock.ops->new_age || (e & PTE_PREFETCHED)))
		intent_written(&f->region->intent);
	f->block->pte[f->index] &= ~PTE_PREFETCHED;
	space_move(f->vm, f->actor, f->block, f->index, PAGE_DIRTY, 0);
	return usable(f, now_ns);
}

static bool is_clean(const struct fault *f, unsigned i)
{
	gaddr_t addr = f->block->base + pages_to_bytes(i);

	return pte_state(f->block->pte[i]) == PAGE_CLEAN &&
	       addr >= f->region->start && addr < f->region->end;
}

/*
 * CLEAN, and somebody reads. In a guarded space it has a marker if a fork has
 * looked at it (snapshot/snapshot.c), and so have its neighbours.
 */
static enum fault_result make_readable(struct fault *f)
{
	unsigned from = f->index, to = f->index + 1;
	int rc;

	if (!space_is_guarded(f->vm))
		return FAULT_DONE;
	while (from && f->index - from < UNGUARD_PAGES && is_clean(f, from - 1))
		from--;
	while (to < BLOCK_PAGES && to - f->index < UNGUARD_PAGES &&
	       is_clean(f, to))
		to++;
	rc = view_unprotect(f->vm, f->uffd,
			    f->host - pages_to_bytes(f->index - from),
			    pages_to_bytes(to - from));
	if (rc == -ENOMEM) /* the program has unmapped some of them */
		rc = view_unprotect(f->vm, f->uffd, f->host, PAGE_BYTES);
	return rc < 0 ? fault_error(rc) : FAULT_DONE;
}

static enum fault_result decide(struct fault *f)
{
	bool touched = f->write || space_is_guarded(f->vm);

	switch (f->state) {
	case PAGE_FRESH:
		return fill_zero(f);
	case PAGE_SWAPPED:
		return claim(f);
	case PAGE_FILLING:
		return join(f);
	case PAGE_CLEAN:
		return f->write ? make_dirty(f) : make_readable(f);
	case PAGE_WRITING:
	case PAGE_FROZEN:
		return touched ? make_dirty(f) : FAULT_DONE;
	case PAGE_DIRTY:
		return FAULT_DONE;
	case PAGE_POISONED:
		return FAULT_FAILED;
	default:
		ASSERT(!"a page without a region");
		return FAULT_GONE;
	}
}

/* ---- count ---- */

/* => space lock held. NULL: none. */
static struct region *region_of(const struct fault *f)
{
	if (f->mode->guest)
		return regions_at_guest(&f->vm->regions, f->stat.page);
	return regions_at_host(&f->vm->regions, f->host);
}

static enum vvm_stat_kind kind_of(const struct fault *f,
				  enum fault_result result)
{
	if (result == FAULT_FAILED)
		return VVM_STAT_KIND_failed;
	if (result == FAULT_JOINED)
		return VVM_STAT_KIND_joined;
	if (f->state == PAGE_FRESH)
		return VVM_STAT_KIND_zero;
	if (f->state == PAGE_SWAPPED) /* on standby: it was read long ago */
		return f->standby ? VVM_STAT_KIND_joined : VVM_STAT_KIND_swapin;
	if (f->state == PAGE_CLEAN && f->write)
		return VVM_STAT_KIND_wp;
	if ((f->state == PAGE_WRITING || f->state == PAGE_FROZEN) &&
	    (f->write || space_is_guarded(f->vm)))
		return VVM_STAT_KIND_wp;
	return VVM_STAT_KIND_spurious;
}

/* r: NULL when there is none. => space lock held. */
static void count(struct fault *f, struct region *r, enum vvm_stat_kind kind)
{
	static const enum vvm_stat_counter counter[] = {
#define X(name, help) [VVM_STAT_KIND_##name] = VVM_STAT_faults_##name,
		VVM_STAT_KINDS(X)
#undef X
	};

	stat_add(f->actor, VVM_STAT_faults, 1);
	stat_add(f->actor, counter[kind], 1);
	stat_region_fault(&f->vm->stats, r ? r->stat : NULL, kind);
	f->stat.flags |= kind | (f->write ? VVM_STAT_EVENT_WRITE : 0);
	f->counted = true;
}

/* By the state that it met and what comes of it, once. => both locks held. */
static void count_look(struct fault *f, enum fault_result result)
{
	if (!f->mode->counts || f->counted || result == FAULT_NOFRAME ||
	    result == FAULT_RETRY || result == FAULT_CROWDED)
		return;
	stat_block_fault(f->block->stat, f->stat.at.begin_ns / 1000);
	count(f, f->region, kind_of(f, result));
}

/* Another thread has unmapped the page meanwhile, or taken the permission. */
static bool was_overtaken(const struct fault *f)
{
	return f->error == -VVM_EUNMAPPED || f->last == FAULT_REFUSED;
}

/* Counted by what it met, but its event tells how it ended. */
static void mark_failed(struct fault *f)
{
	if (f->error < 0 && !was_overtaken(f)) {
		f->stat.flags &= ~VVM_STAT_EVENT_KIND;
		f->stat.flags |= VVM_STAT_KIND_failed;
	}
}

void fault_count_lost(struct fault *f)
{
	struct region *r = NULL;

	if (!f->mode->counts)
		return;
	if (f->counted) {
		mark_failed(f);
		return;
	}
	rwlock_read(&f->vm->lock);
	if (f->error != -VVM_EUNMAPPED)
		r = region_of(f);
	if (!f->mode->guest)
		f->stat.page = r ? region_to_guest(r, f->host) : f->host;
	count(f, r,
	      !r || was_overtaken(f) ? VVM_STAT_KIND_spurious
				     : VVM_STAT_KIND_failed);
	rwlock_end_read(&f->vm->lock);
}

/* ---- look ---- */

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

bool fault_find(struct fault *f, struct region *r, gaddr_t addr)
{
	f->region = r;
	f->stat.page = page_floor(addr);
	f->host = region_to_host(r, f->stat.page);
	f->uffd = space_uffd(f->vm, r, f->host);
	f->index = page_index(addr);
	if (view_ready(f->vm, r, f->host) < 0)
		return false;
	f->block = space_lock_block(f->vm, addr);
	return f->block != NULL;
}

/* => space lock held; after DONE in a mode that holds the block lock, too. */
static enum fault_result look_in(struct fault *f, struct region *r)
{
	gaddr_t addr =
		f->mode->guest ? f->stat.page : region_to_guest(r, f->host);
	enum fault_result result;

	f->error = fault_refusal((pte_t)r->prot * PTE_READ, f->need);
	if (f->error)
		return FAULT_REFUSED;
	if (!fault_find(f, r, addr))
		return FAULT_NOMEM;
	f->ticket = waitq_ticket(&f->block->busy_done);
	f->state = pte_state(f->block->pte[f->index]);
	f->advice = r->advice;
	f->trigger = f->told = false;
	if (!f->stat.at.read_ns)
		f->stat.at.looked_ns = 0;
	result = decide(f);
	count_look(f, result);
	if (result != FAULT_DONE || !f->mode->holds)
		lock_drop(&f->block->lock);
	return result;
}

static enum fault_result look(struct fault *f)
{
	enum fault_result result = FAULT_GONE;
	struct vvm *vm = f->vm;
	struct region *r;

	if (space_broken(vm))
		return FAULT_FAILED;
	rwlock_read(&vm->lock);
	r = region_of(f);
	if (r)
		result = look_in(f, r);
	else
		f->error = -VVM_EUNMAPPED;
	if (result != FAULT_DONE || !f->mode->holds)
		rwlock_end_read(&vm->lock);
	return result;
}

enum fault_result fault_run(struct fault *f)
{
	enum fault_result result;

	do {
		result = f->last = look(f);
	} while (f->mode->wait(f, result));
	return result;
}

bool fault_ahead(struct fault *f, struct ahead_job *job)
{
	return f->mode->counts &&
	       streams_read(f->vm, f->actor, f->thread, f->stat.page, f->host,
			    f->advice, job);
}
