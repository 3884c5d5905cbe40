/* SPDX-License-Identifier: MIT */
/*
 * fork/child.c - what a fork child makes of the space that it inherited.
 *
 * Two steps, since most children execute a program at once.
 *
 * In the fork handler the space is *taken over*: whatever belongs to the parent
 * (descriptors, rings, statistics) is closed, a memfd and userfaultfds of the
 * child's own are put in the place of the guest view, and one thread, the
 * *starter*, is left to watch over them. The space is *dormant*.
 *
 * The first fault, or the first vvm_* call, rouses the starter. It turns the
 * page table into one without resident pages (every page is in the parent's
 * slots or frames now, see snapshot/inherit.c), opens swap and statistics,
 * starts the actors and ends. The fault that woke it is still there for the
 * handlers to read, so nobody notices more than a delay.
 *
 * What fails in the first step is reported, and the memory stays away: a
 * process that touches it dies. In the second step there is nobody to report
 * to: the process is aborted with a message, rather than hang or read zeros.
 */
#include "fork/fork.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault/handler.h"
#include "snapshot/inherit.h"
#include "fault/inline.h"
#include "util/log.h"
#include "map/mapping.h"
#include "space/life.h"
#include "evict/reclaim.h"
#include "snapshot/snapshot.h"
#include "fill/streams.h"
#include "swap/swap.h"

/* ---- taking over ---- */

/*
 * Frees what belonged to the actors: their threads are not here. They had
 * stopped with nothing in hand.
 */
static void abandon_actors(struct vvm *vm)
{
	size_t i;

	handlers_abandon(vm);
	reclaim_abandon(vm);
	inline_abandon(vm);
	/* an application thread may have been in the pool */
	pool_fini(&vm->bounce);
	pool_init(&vm->bounce, 2 * PAGE_BYTES);
	for (i = 0; i < vm->regions.count; i++)
		vm->regions.by_guest[i]->stat = NULL;
	stat_abandon(&vm->stats);
	vm->api = NULL;
}

/* The parent's slots, frames and preimages. */
static int take_origin(struct vvm *vm)
{
	struct origin origin;
	int rc;

	snapshot_inherit(vm, &origin);
	origin.frames = vm->memfd;
	vm->memfd = -1;
	vm->swap->ops->forked(vm->swap);
	origin.swap = inherit_own(vm->swap);
	rc = inherit_new(&vm->swap, &origin);
	if (rc < 0) { /* the process has the descriptors, and no use for them */
		os_close(origin.frames);
		os_close(origin.preimages);
		os_close(origin.alive);
	}
	return rc;
}

/* The descriptors that wake a dormant space: any fault, or space_rouse(). */
static unsigned rousers(const struct vvm *vm, int *fds)
{
	unsigned i, n = 0;

	for (i = 0; i < vm->handler_count; i++)
		if (!space_is_guarded(vm))
			fds[n++] = vm->port[i].uffd;
	fds[n++] = vm->reclaim_event;
	return n;
}

static void rouse(struct vvm *vm);

static void *starter(void *arg)
{
	int fds[SETTING_HANDLERS_MAX + 1];
	struct vvm *vm = arg;
	uint64_t ready = 0, invalid;
	unsigned count = rousers(vm, fds);

	/* Who cannot tell whether the space is wanted takes it that it is. */
	while (!ready && os_poll(fds, count, -1, &ready, &invalid) == 0)
		;
	rouse(vm);
	return NULL;
}

/* It cannot be: what the parent has is not kept from going away. */
static int let_go(struct vvm *vm, int error)
{
	vm->swap->ops->close(vm->swap);
	vm->swap = NULL;
	return error;
}

int fork_take_over(struct vvm *vm)
{
	struct fork *f = vm->fork;
	int rc;

	abandon_actors(vm);
	space_close_fds(vm);
	space_reset(vm);
	f->started = false;
	rc = take_origin(vm);
	if (rc < 0)
		return rc;
	rc = space_open_fds(vm);
	if (rc == 0)
		rc = mapping_inherit(vm);
	if (rc < 0)
		return let_go(vm, rc);
	atomic_store(&vm->dormant, true);
	rc = os_thread_start(&f->starter, "vvm-starter", starter, vm);
	if (rc < 0) {
		mapping_disinherit(vm, GUEST_END);
		return let_go(vm, rc);
	}
	f->started = true;
	vm->forks = os_fork_count();
	return 0;
}

/* ---- the page table ---- */

/* Page i of b as it is for this process, by what it was for the parent. */
static void convert_page(struct vvm *vm, struct block *b, unsigned i,
			 haddr_t host)
{
	uint64_t slot = pte_slot(b->pte[i]);

	/* its copy is not here: space/standby.c */
	b->pte[i] &= ~PTE_PREFETCHED;
	switch (pte_state(b->pte[i])) {
	case PAGE_CLEAN:
		pt_move(b, i, slot ? PAGE_SWAPPED : PAGE_FRESH, slot);
		break;
	case PAGE_DIRTY: /* pinned: it was copied */
		pt_move(b, i, PAGE_FROZEN, 0);
		/* fall through */
	case PAGE_FROZEN:
		slot = inherit_frame(inherit_own_generation(vm->swap) - 1,
				     host);
		pt_move(b, i, PAGE_SWAPPED, slot);
		break;
	default:
		ASSERT(pte_state(b->pte[i]) != PAGE_FILLING);
		ASSERT(pte_state(b->pte[i]) != PAGE_WRITING);
	}
	if (slot_is_swap(slot))
		inherit_count(vm->swap, slot);
	if (pte_state(b->pte[i]) == PAGE_SWAPPED && slot_is_swap(slot))
		stat_add(vm->api, VVM_STAT_swapped_pages, 1);
	if (pte_state(b->pte[i]) == PAGE_POISONED)
		stat_add(vm->api, VVM_STAT_poisoned_pages, 1);
}

static void convert_block(struct vvm *vm, struct block *b)
{
	gaddr_t at = b->base, end = b->base + BLOCK_BYTES;
	struct region *r;

	lock_init(&b->lock, LOCK_BLOCK);
	waitq_init(&b->busy_done);
	list_init(&b->clock_link);
	b->on_clock = false;
	pt_give_digests(&vm->pt, b);
	b->filled_us = 0;
	b->stat = stat_block_take(&vm->stats, b->base);
	lock_take(&b->lock);
	while (at < end && (r = regions_next_guest(&vm->regions, at)) &&
	       r->start < end) {
		for (at = MAX(at, r->start); at < MIN(r->end, end);
		     at += PAGE_BYTES)
			convert_page(vm, b, page_index(at),
				     region_to_host(r, at));
	}
	pt_publish_block(b);
	lock_drop(&b->lock);
}

/* ... and what this process counts of it. */
static void convert_all(struct vvm *vm)
{
	struct region *r;
	struct block *b;

	rwlock_read(&vm->lock);
	for (r = regions_next_guest(&vm->regions, 0); r;
	     r = regions_next_guest(&vm->regions, r->end)) {
		regions_publish(&vm->regions, r);
		stat_add(vm->api, VVM_STAT_regions, 1);
		stat_add(vm->api, VVM_STAT_mapped_bytes,
			 (int64_t)(r->end - r->start));
	}
	pt_for_each_block (&vm->pt, b, 0, GUEST_END)
		convert_block(vm, b);
	inherit_counted(vm->swap);
	rwlock_end_read(&vm->lock);
}

/* ---- rousing ---- */

static enum os_file_type type_of(const char *path)
{
	enum os_file_type type;
	uint64_t bytes;

	return os_file_info(path, &type, &bytes) < 0 ? OS_FILE_OTHER : type;
}

/*
 * The parent has locked its swap file or device, so this needs a directory.
 * False: there is none.
 */
static bool choose_directory(struct conf *conf)
{
	char *slash = strrchr(conf->swap_path, '/');

	switch (type_of(conf->swap_path)) {
	case OS_FILE_DIR:
		return true;
	case OS_FILE_BLOCK:
		conf_set(conf, "swap_path", conf_default("swap_path"));
		break;
	default: /* it, or the directory itself, may have been removed */
		if (slash)
			slash[slash == conf->swap_path] = '\0';
		else if (conf->swap_path[0])
			conf_set(conf, "swap_path", ".");
	}
	return type_of(conf->swap_path) == OS_FILE_DIR;
}

/*
 * The process, or its parent, has changed its root directory or its user, or
 * the directory is gone: it does not end for that.
 */
static int open_memory(struct vvm *vm, struct backing **own, uint64_t base)
{
	if (vm->conf.swap_path[0])
		log_warn("process %d has no directory for swap: it pages to "
			 "memory",
			 os_pid());
	vm->conf.swap_path[0] = '\0';
	if (!vm->conf.swap_limit_bytes)
		vm->conf.swap_limit_bytes = os_ram_bytes();
	return swap_open_at(own, &vm->conf, base);
}

static int open_own_swap(struct vvm *vm)
{
	uint64_t base = inherit_base(inherit_own_generation(vm->swap));
	struct backing *own;
	int rc = -ENOENT;

	if (choose_directory(&vm->conf))
		rc = swap_open_at(&own, &vm->conf, base);
	if (rc == -ENOENT || rc == -EACCES || rc == -ENOTDIR || rc == -EROFS)
		rc = open_memory(vm, &own, base);
	if (rc < 0)
		return rc;
	inherit_set_own(vm->swap, own);
	return space_keep(vm, own);
}

/*
 * Waits until all of them run: a fork might come while a thread is starting,
 * and the address sanitizer's allocator does not survive that.
 */
static void await_actors(struct vvm *vm)
{
	while (atomic_load(&vm->pause.running) < vm->handler_count + 1 ||
	       !atomic_load(&vm->lives.guard.runs))
		os_yield();
}

static int start_actors(struct vvm *vm)
{
	unsigned places = vm->standby.count;
	int rc;

	streams_fini(vm);
	standby_fini(&vm->standby);
	rc = standby_init(&vm->standby, places);
	if (rc == 0)
		rc = streams_init(vm);
	if (rc == 0)
		rc = inline_init(vm);
	if (rc == 0)
		rc = lives_start(vm);
	if (rc == 0)
		rc = reclaim_start(vm);
	return rc < 0 ? rc : handlers_start(vm);
}

static void rouse(struct vvm *vm)
{
	int rc = stat_open(&vm->stats, vm->conf.stat_segment);

	if (rc == 0) {
		vm->api = stat_actor(&vm->stats, VVM_STAT_API);
		rc = open_own_swap(vm);
	}
	if (rc == 0)
		rc = snapshots_new(vm);
	if (rc == 0) {
		convert_all(vm);
		rc = start_actors(vm);
	}
	if (rc < 0) {
		log_error("the paged memory that process %d has inherited "
			  "cannot be used (error %d): the process ends",
			  os_pid(), -rc);
		abort();
	}
	await_actors(vm);
	space_publish(vm);
	atomic_store(&vm->dormant, false);
	waitq_wake(&vm->roused);
}
