/* SPDX-License-Identifier: MIT */
/*
 * fault/fail.c - telling a thread that waits in the kernel that its access
 * fails: a poison marker makes the access SIGBUS. So a page that is not
 * POISONED itself is failed for a moment only, and then freed of the marker.
 */
#include "fault/fault.h"

#include <errno.h>

#include "util/log.h"
#include "space/view.h"

#define UNFAIL_TRIES 20 /* a marker that stays fails every access */

void fault_wake(struct vvm *vm, haddr_t host)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		view_wake(vm, vm->port[i].uffd, host, PAGE_BYTES);
}

/*
 * Poison marker, or a signal where the kernel puts none. UFFDIO_POISON does not
 * replace a write-protect marker, so that goes first; the page is absent, and
 * its next fill protects it again or not as it needs. => block lock held.
 */
static void mark(struct fault *f)
{
	int rc = -EOPNOTSUPP;

	if (f->vm->uffd_features & OS_UFFD_POISON) {
		rc = os_uffd_wp(f->uffd, f->host, PAGE_BYTES, false);
		if (rc == 0)
			rc = os_uffd_poison(f->uffd, f->host, PAGE_BYTES);
	}
	if (rc < 0 && rc != -EEXIST && f->stat.tid)
		os_sigbus_thread(f->stat.tid, f->host);
}

/*
 * There was no block, and no memory for one. Without a block the page is FRESH;
 * the space lock sees to it that nobody makes one and fills the page meanwhile.
 */
static bool fail_without_block(struct fault *f)
{
	struct vvm *vm = f->vm;
	struct region *r;
	bool undo = false;

	rwlock_write(&vm->lock);
	r = regions_at_host(&vm->regions, f->host);
	if (r && !pt_find(&vm->pt, region_to_guest(r, f->host))) {
		undo = true;
		atomic_fetch_add(&vm->failing, 1);
		f->uffd = space_uffd(vm, r, f->host);
		mark(f);
	}
	rwlock_end_write(&vm->lock);
	return undo;
}

/* It is there, but the kernel did not let it be written to. */
static bool waits_to_write(const struct fault *f, enum page_state state)
{
	return f->write && f->stat.tid &&
	       (state == PAGE_CLEAN || state == PAGE_WRITING ||
		state == PAGE_FROZEN);
}

bool fault_fail(struct fault *f)
{
	struct vvm *vm = f->vm;
	struct region *r;
	bool undo = false, found = false;

	if (space_broken(vm)) { /* SIGBUS as it is */
		fault_wake(vm, f->host);
		return false;
	}
	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, f->host);
	if (r)
		found = fault_find(f, r, region_to_guest(r, f->host));
	if (found) {
		enum page_state state = pte_state(f->block->pte[f->index]);

		if (state == PAGE_FRESH || state == PAGE_SWAPPED) {
			undo = true;
			atomic_fetch_add(&vm->failing, 1);
		}
		if (undo || state == PAGE_POISONED)
			mark(f);
		else if (waits_to_write(f, state)) /* no marker there */
			os_sigbus_thread(f->stat.tid, f->host);
		lock_drop(&f->block->lock);
	}
	rwlock_end_read(&vm->lock);
	if (r && !found)
		undo = fail_without_block(f);
	fault_wake(vm, f->host);
	return undo;
}

/* What the thread that waits is at. */
enum refused { BY_SIGNAL, BY_MARKER, NOT_KNOWN };

static enum refused how_to_refuse(const struct fault *f)
{
	struct os_call call;
	int rc = os_thread_call(f->stat.tid, &call);

	if (rc < 0)
		return NOT_KNOWN;
	return call.nr < 0 ? BY_SIGNAL : BY_MARKER;
}

/* => the block lock is held, too. Is there something to undo? */
static bool refuse_absent(struct fault *f, enum refused how)
{
	bool poisoned = f->block->pte[f->index] & PTE_POISON;

	if (how == BY_SIGNAL)
		os_sigbus_thread(f->stat.tid, f->host);
	if (how != BY_MARKER)
		return false;
	if (!poisoned)
		atomic_fetch_add(&f->vm->failing, 1);
	mark(f);
	return !poisoned;
}

/*
 * A marker would be everybody's, so an instruction gets a signal, which ends its
 * wait. A system call does not see that: it needs the marker. Of a thread that does
 * not sleep yet it is not known: it is to come again, or, if it does that all the
 * time, gets the marker. A page that is there needs no wait.
 */
bool fault_refuse(struct fault *f, bool again, bool *undo)
{
	enum refused how = how_to_refuse(f);
	struct vvm *vm = f->vm;
	bool absent = false;
	struct region *r;

	if (how == NOT_KNOWN && again)
		how = BY_MARKER;
	*undo = false;
	rwlock_read(&vm->lock);
	r = regions_at_host(&vm->regions, f->host);
	if (r && fault_find(f, r, region_to_guest(r, f->host))) {
		absent = !(f->block->pte[f->index] & PTE_PRESENT);
		if (absent)
			*undo = refuse_absent(f, how);
		lock_drop(&f->block->lock);
	}
	rwlock_end_read(&vm->lock);
	if (absent)
		fault_wake(vm, f->host);
	return absent;
}

void fault_explain(const struct fault *f)
{
	static atomic_flag table = ATOMIC_FLAG_INIT, kernel = ATOMIC_FLAG_INIT,
			   frames = ATOMIC_FLAG_INIT;

	if (f->last == FAULT_NOMEM)
		log_warn_once(
			&table,
			"no memory for the page table (a limit on address "
			"space, RLIMIT_AS or ulimit -v, counts it): the "
			"access gets SIGBUS");
	else if (f->last == FAULT_RETRY)
		log_warn_once(&kernel,
			      "the kernel had no memory within frame_wait_ms: "
			      "the access gets SIGBUS");
	else
		log_warn_once(
			&frames,
			"no free frame within frame_wait_ms: swap is "
			"full, failing, or all is pinned; the access gets "
			"SIGBUS");
}

void fault_unfail(struct vvm *vm, haddr_t host)
{
	unsigned tries = 0;

	/* Unmapped meanwhile, it may be somebody else's memory by now. */
	rwlock_read(&vm->lock);
	if (regions_at_host(&vm->regions, host))
		while (os_advise(host, PAGE_BYTES, OS_ADV_DONTNEED) < 0 &&
		       ++tries < UNFAIL_TRIES)
			os_yield();
	rwlock_end_read(&vm->lock);
	atomic_fetch_sub(&vm->failing, 1);
}
