/* SPDX-License-Identifier: MIT */
/*
 * fault/fault.c - what happens between "this page is needed" and "here it is".
 *
 * A fault is a short list of steps that share one context, struct step:
 *
 *	look up   region by host address, block by guest address, lock it
 *	decide    by the page's state, one of the functions below
 *	fill	  only SWAPPED pages: the caller reads fill->io, unlocked
 *	install   relock, put the bytes into the memfd, change the state
 *
 * Nobody waits in here: a handler turns each fault_result into something to
 * do later, an API thread waits in fault/inline.c. A decided fault is
 * either resolved under the block lock, by at most one userfaultfd call of
 * 1-3 us, or the page is FILLING and belongs to one struct fill.
 *
 * The kernel call comes before the change of state, so that a failing call
 * leaves the table as it was and the fault can be tried again.
 */
#include "fault/fault.h"

#include <errno.h>

#include "snapshot/snapshot.h"

/* ---- the steps: all => space lock (read) and block lock held ---- */

/*
 * FRESH: zeros, without I/O. A read leaves it CLEAN with no slot, unless it
 * is likely to be written next.
 */
static enum fault_result fill_zero(struct step *s)
{
	uint64_t got = 0;
	bool write;
	int rc = 0;

	if (!space_take_frames(s->vm, s->actor, 1, 0))
		return FAULT_NOFRAME;
	s->looked_ns = os_now_ns();
	write = s->write || fill_intends(s->region);
	if (write)
		rc = os_uffd_zero(s->uffd, s->host, PAGE_BYTES, &got);
	if (!write || rc == -EEXIST)
		fill_put(s->vm, s->uffd, s->host, NULL, 1, !write, &rc);
	if (rc < 0) {
		space_give_frames(s->vm, s->actor, 1);
		return fill_error(rc);
	}
	space_move(s->vm, s->actor, s->block, s->index,
		   write ? PAGE_DIRTY : PAGE_CLEAN, 0);
	fill_admit(s->vm, s->block, s->index, false);
	s->block->filled_us = s->looked_ns / 1000;
	if (!s->write)
		fill_note_intent(s->actor, s->region, write, 1);
	s->woke = true;
	return FAULT_DONE;
}

/* SWAPPED: takes a frame and makes the page ours. */
static enum fault_result claim(struct step *s)
{
	if (!space_take_frames(s->vm, s->actor, 1, 0))
		return FAULT_NOFRAME;
	fill_claim(s->fill, s->vm, s->actor, s->region, s->block, s->addr,
		   s->write);
	return FAULT_READ;
}

/* FILLING: it is not to be parked, since somebody wants it now. */
static enum fault_result join(struct step *s)
{
	pte_t *e = &s->block->pte[s->index];

	s->trigger = *e & PTE_PREFETCHED;
	*e &= ~PTE_PREFETCHED;
	return FAULT_JOINED;
}

/*
 * CLEAN, WRITING or FROZEN, and somebody writes: it is the only copy from now
 * on.
 */
static enum fault_result make_dirty(struct step *s)
{
	pte_t e = s->block->pte[s->index];
	int rc = 0;

	s->looked_ns = os_now_ns();
	if (pte_state(e) == PAGE_FROZEN)
		rc = snapshot_copy(s->vm, s->host);
	if (rc == 0)
		rc = os_uffd_wp(s->uffd, s->host, PAGE_BYTES, false);
	if (rc < 0)
		return fill_error(rc);
	if (pte_state(e) == PAGE_CLEAN &&
	    (pte_age(e) == s->vm->clock.ops->new_age || (e & PTE_PREFETCHED)))
		intent_written(&s->region->intent);
	s->block->pte[s->index] &= ~PTE_PREFETCHED;
	space_move(s->vm, s->actor, s->block, s->index, PAGE_DIRTY, 0);
	s->block->filled_us = s->looked_ns / 1000;
	s->woke = true;
	return FAULT_DONE;
}

enum fault_result fault_decide(struct step *s)
{
	switch (pte_state(s->block->pte[s->index])) {
	case PAGE_FRESH:
		return fill_zero(s);
	case PAGE_SWAPPED:
		return claim(s);
	case PAGE_FILLING:
		return join(s);
	case PAGE_CLEAN:
	case PAGE_WRITING:
	case PAGE_FROZEN:
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

bool fault_look_up(struct step *s, struct region *r, gaddr_t addr)
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

static enum vvm_stat_kind kind_of(const struct step *s, enum page_state was,
				  enum fault_result result)
{
	if (result == FAULT_FAILED)
		return VVM_STAT_KIND_failed;
	if (result == FAULT_JOINED)
		return VVM_STAT_KIND_joined;
	if (was == PAGE_FRESH)
		return VVM_STAT_KIND_zero;
	if (was == PAGE_SWAPPED) /* a parked page was read long ago */
		return s->fill->parked ? VVM_STAT_KIND_joined
				       : VVM_STAT_KIND_swapin;
	if ((was == PAGE_CLEAN || was == PAGE_WRITING || was == PAGE_FROZEN) &&
	    s->write)
		return VVM_STAT_KIND_wp;
	return VVM_STAT_KIND_spurious;
}

static unsigned count(struct vvm *vm, struct vvm_stat_actor *actor,
		      struct region *r, enum vvm_stat_kind kind, bool write)
{
	static const enum vvm_stat_counter counter[] = {
#define X(name, help) [VVM_STAT_KIND_##name] = VVM_STAT_faults_##name,
		VVM_STAT_KINDS(X)
#undef X
	};

	stat_add(actor, VVM_STAT_faults, 1);
	stat_add(actor, counter[kind], 1);
	stat_region_fault(&vm->stats, r ? r->stat : NULL, kind);
	return kind | (write ? VVM_STAT_EVENT_WRITE : 0);
}

unsigned fault_count(struct step *s, enum page_state was,
		     enum fault_result result)
{
	stat_block_fault(s->block->stat, s->looked_ns / 1000);
	return count(s->vm, s->actor, s->region, kind_of(s, was, result),
		     s->write);
}

unsigned fault_count_failed(struct vvm *vm, struct vvm_stat_actor *actor,
			    struct region *r, bool write)
{
	return count(vm, actor, r,
		     r ? VVM_STAT_KIND_failed : VVM_STAT_KIND_spurious, write);
}

void fault_lost(struct vvm *vm, struct vvm_stat_actor *actor, struct fault *f)
{
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, f->host);
	f->stat.page = r ? region_to_guest(r, f->host) : f->host;
	f->stat.flags |= fault_count_failed(vm, actor, r, f->write);
	rwlock_end_read(&vm->lock);
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
			      struct fault *f, struct fill *fill)
{
	struct step s = {
		.vm = vm, .actor = actor, .write = f->write, .fill = fill};
	enum fault_result result = FAULT_RETRY;
	enum page_state was = PAGE_NONE;
	bool counted = false;
	struct region *r;

	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, f->host);
	if (r && fault_look_up(&s, r, region_to_guest(r, f->host))) {
		was = pte_state(s.block->pte[s.index]);
		f->fresh = was == PAGE_FRESH;
		f->advice = r->advice;
		f->addr = s.addr;
		f->stat.page = s.addr;
		result = fault_decide(&s);
		f->trigger = s.trigger;
		counted = result != FAULT_NOFRAME && result != FAULT_RETRY;
		if (counted)
			f->stat.flags |= fault_count(&s, was, result);
		f->stat.at.looked_ns = s.looked_ns;
		lock_drop(&s.block->lock);
	}
	rwlock_end_read(&vm->lock);
	if (!r) {
		f->stat.page = f->host;
		f->stat.flags |= fault_count_failed(vm, actor, NULL, f->write);
		fault_wake(vm, f->host);
		return FAULT_GONE;
	}
	if (counted)
		tell_kernel(&s, result, f->tid);
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
	if (r && fault_look_up(&s, r, region_to_guest(r, host))) {
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
	/* Unmapped meanwhile, it may be somebody else's memory by now. */
	rwlock_read(&vm->lock);
	if (regions_at_host(&vm->regions, host))
		os_advise(host, PAGE_BYTES, OS_ADV_DONTNEED);
	rwlock_end_read(&vm->lock);
	atomic_fetch_sub(&vm->failing, 1);
}

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
