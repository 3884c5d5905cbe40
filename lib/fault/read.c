/* SPDX-License-Identifier: MIT */
/*
 * fault/read.c - the read of the one page that a fault waits for.
 *
 *	claim --> read, or take from standby or memory --> install
 *	  ^			   |
 *	  '--- look again ---------'-- abandon, or given up
 *
 * The claimed page is FILLING and f's own (space (6)), and its block stays
 * until it is not. The bytes go to io.buf, which the mode lends.
 */
#include "fault/fault.h"

#include <errno.h>
#include <string.h>

#include "fill/fill.h"
#include "util/log.h"
#include "util/probe.h"
#include "space/view.h"

void fault_claim(struct fault *f)
{
	struct block *b = f->block;
	pte_t e = b->pte[f->index];

	f->standby =
		(e & PTE_PREFETCHED) && standby_has(&f->vm->standby, f->host);
	space_move(f->vm, f->actor, b, f->index, PAGE_FILLING, pte_slot(e));
	f->intended = fill_intends(f->vm, f->region, pte_slot(e));
	if (!f->write)
		fill_note_intent(f->actor, f->region, pte_slot(e), f->intended,
				 1);
	f->io_index = (uint16_t)f->index;
	f->io.addr = b->base;
	f->io.order = &f->io_index;
	f->io.home = space_backing(f->vm, f->region, pte_slot(e));
	f->io.slot = pte_slot(e) & ~SLOT_OF_REGION;
	f->io.pages = 1;
	f->stat.at.looked_ns = os_now_ns();
}

bool fault_from_standby(struct fault *f)
{
	if (!f->standby)
		return false;
	f->standby = standby_take(&f->vm->standby, f->host, f->io.buf);
	if (f->standby)
		memset(f->io.bad, 0, sizeof(f->io.bad));
	return f->standby;
}

bool fault_from_memory(struct fault *f)
{
	return io_fetch(&f->io);
}

/* ---- => block lock held ---- */

/* The page could not be read. */
static void poison(struct fault *f)
{
	static atomic_flag swap = ATOMIC_FLAG_INIT, own = ATOMIC_FLAG_INIT;
	struct block *b = f->block;

	PROBE2(error, f->stat.page, -EIO);
	stat_add(f->actor, VVM_STAT_read_errors, 1);
	stat_add(f->actor, VVM_STAT_poisoned_pages, 1);
	if (slot_is_swap(pte_slot(b->pte[f->index])))
		log_warn_once(&swap,
			      "cannot read page %llx back from swap: its "
			      "content is lost, touching it is SIGBUS",
			      (unsigned long long)f->stat.page);
	else
		log_warn_once(&own,
			      "page %llx cannot be read from its file or "
			      "pager, or is past the end of it: touching it is "
			      "SIGBUS",
			      (unsigned long long)f->stat.page);
	space_move(f->vm, f->actor, b, f->index, PAGE_POISONED,
		   pte_slot(b->pte[f->index]));
	space_give_frames(f->vm, f->actor, 1);
	f->stat.flags &= ~VVM_STAT_EVENT_KIND;
	f->stat.flags |= VVM_STAT_KIND_failed;
}

/* Installs and maps the page, which wakes the thread. */
static enum fault_result install(struct fault *f)
{
	bool dirty = f->write || f->intended;
	int rc = 0;

	if (io_page_bad(&f->io, 0)) {
		poison(f);
		return FAULT_FAILED;
	}
	if (!fill_put(f->vm, f->uffd, f->host, f->io.buf, 1, !dirty, &rc)) {
		fill_give_up(f->vm, f->actor, f->block, f->index);
		return fault_error(rc);
	}
	fill_present(f->vm, f->actor, f->block, f->index, dirty, false,
		     f->io.buf);
	f->block->filled_us = f->stat.at.read_ns / 1000;
	return FAULT_DONE;
}

/* ---- => nothing locked ---- */

static void arrived(struct fault *f, int result)
{
	f->stat.at.read_ns = os_now_ns();
	if (f->standby) {
		stat_add(f->actor, VVM_STAT_prefetch_hit_pages, 1);
		return;
	}
	fill_count_read(f->actor, &f->io, f->stat.at.looked_ns,
			f->stat.at.read_ns, true);
	if (result < 0)
		memset(f->io.bad, 0xff, sizeof(f->io.bad));
}

enum fault_result fault_install(struct fault *f, int result)
{
	struct block *b = f->block;
	enum fault_result verdict;

	arrived(f, result);
	lock_take(&b->lock);
	verdict = space_broken(f->vm) ? FAULT_FAILED : install(f);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	if (verdict != FAULT_DONE &&
	    !(verdict == FAULT_RETRY && f->mode->keeps))
		view_wake(f->vm, f->uffd, f->host, PAGE_BYTES);
	return verdict;
}

void fault_abandon(struct fault *f)
{
	struct block *b = f->block;

	lock_take(&b->lock);
	if (!space_broken(f->vm))
		fill_give_up(f->vm, f->actor, b, f->index);
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	view_wake(f->vm, f->uffd, f->host, PAGE_BYTES);
}
