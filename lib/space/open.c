/* SPDX-License-Identifier: MIT */
/*
 * space/open.c - a space is made and freed, but for its threads.
 *
 * Some of it belongs to one process: the memfd, the userfaultfds, the pagemap and
 * the eventfds. A fork child that inherits the space closes its parent's, but for
 * the memfd, which it reads, and opens its own; locks, frames and clock begin anew
 * (space_reset()); the rest it has as a copy.
 */
#include <errno.h>
#include <stdlib.h>

#include "space/budget.h"
#include "space/faults.h"
#include "space/space.h"
#include "swap/swap.h"
#include "util/log.h"

/* Host user addresses end here on x86-64; the memfd is that long. */
#define MEMFD_BYTES ((uint64_t)1 << 47)

/* Pages on standby are no frames, but RAM: at most this part of the budget. */
#define STANDBY_SHARE 64

/* ---- what belongs to one process ---- */

static int open_uffds(struct vvm *vm)
{
	unsigned want = OS_UFFD_SHMEM | OS_UFFD_WP_SHMEM | OS_UFFD_THREAD_ID |
			OS_UFFD_EXACT | OS_UFFD_POISON;
	enum os_uffd_method method;
	unsigned i;
	int rc;

	if (space_is_guarded(vm))
		return 0;
	rc = os_uffd_probe(&vm->uffd_features, &method);
	if (rc < 0)
		return rc;
	if (!(vm->uffd_features & OS_UFFD_SHMEM) ||
	    !(vm->uffd_features & OS_UFFD_WP_SHMEM))
		return -ENOSYS;
	if (vm->conf.faults == VVM_FAULTS_INLINE)
		want |= OS_UFFD_SIGBUS;
	if (want & OS_UFFD_SIGBUS & ~vm->uffd_features)
		return -ENOSYS;
	for (i = 0; i < vm->handler_count; i++) {
		rc = os_uffd_open(want, &vm->port[i].uffd, &method);
		if (rc < 0)
			return rc;
	}
	if (method == OS_UFFD_USER_ONLY && !(want & OS_UFFD_SIGBUS) &&
	    vm->conf.syscalls == VVM_SYSCALLS_OFF)
		log_warn("userfaultfd is permitted for user mode only: system "
			 "calls on absent pages will fail with EFAULT");
	return 0;
}

static int open_events(struct vvm *vm)
{
	int rc = os_eventfd(&vm->reclaim_event);
	unsigned i;

	for (i = 0; i < vm->handler_count && rc == 0; i++)
		rc = os_eventfd(&vm->port[i].event);
	return rc;
}

static int open_memfd(struct vvm *vm)
{
	int rc = os_memfd("vvm", &vm->memfd);

	if (rc < 0)
		return rc;
	rc = os_truncate(vm->memfd, MEMFD_BYTES);
	if (rc == -EFBIG)
		log_error("the limit on the size of files (RLIMIT_FSIZE, "
			  "ulimit -f) forbids paging: it must be unlimited");
	return rc;
}

static int open_pagemap(struct vvm *vm)
{
	int rc = os_pagemap_open(&vm->pagemap_fd);

	if (rc == 0 || rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
		return rc;
	/* A child of a process that has left its user or root directory does
	 * without: see extent_mapped(). */
	if ((rc == -EACCES || rc == -ENOENT) && space_forked(vm))
		return 0;
	log_error("/proc/self/pagemap cannot be opened (error %d): %s", -rc,
		  rc == -EACCES ? "who changes its user opens spaces before, "
				  "or sets PR_SET_DUMPABLE (prctl)"
				: "is /proc mounted?");
	return rc == -EACCES ? rc : -ENOSYS;
}

int space_open_fds(struct vvm *vm)
{
	int rc = open_memfd(vm);

	if (rc == 0)
		rc = open_pagemap(vm);
	if (rc == 0)
		rc = open_uffds(vm);
	if (rc == 0)
		rc = open_events(vm);
	if (rc == 0)
		rc = lives_open(&vm->lives);
	if (rc == 0 && space_is_automatic(vm))
		room_open(&vm->room);
	return rc;
}

static void close_fd(int *fd)
{
	os_close(*fd);
	*fd = -1;
}

void space_close_fds(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++) {
		close_fd(&vm->port[i].uffd);
		close_fd(&vm->port[i].event);
		atomic_store(&vm->port[i].starving, false);
	}
	lives_close(&vm->lives);
	close_fd(&vm->reclaim_event);
	close_fd(&vm->pagemap_fd);
	room_close(&vm->room);
}

/* ---- all of it ---- */

/*
 * In inline and guard mode up to two: they take no faults, they only read ahead. In
 * thread mode one for two CPUs, of which mostly one works: see fault/crew.c.
 */
static unsigned handler_threads(const struct conf *conf)
{
	if (conf->faults != VVM_FAULTS_THREAD)
		return MAX(1u, MIN(os_cpus() / 2, 2u));
	if (conf->handlers)
		return conf->handlers;
	return MAX(1u, MIN(os_cpus() / 2, 4u));
}

void space_reset(struct vvm *vm)
{
	uint64_t budget = atomic_load(&vm->frames.budget);

	lock_init(&vm->mapping, LOCK_MAPPING);
	rwlock_init(&vm->lock, LOCK_SPACE);
	clock_init(&vm->clock, vm->clock.ops);
	waitq_init(&vm->frame_free);
	waitq_init(&vm->roused);
	pause_init(&vm->pause, vm->pause.overdue);
	grips_init(&vm->grips);
	lives_init(&vm->lives, vm);
	frames_init(&vm->frames, budget, vm->conf.low_pct, vm->conf.high_pct);
	lock_init(&vm->budget.lock, LOCK_MISC);
	vm->budget.resizing = 0; /* that goes on in the parent */
	atomic_init(&vm->reclaim_asleep, false);
	atomic_init(&vm->failing, 0);
	atomic_init(&vm->flight.count, 0);
	pagers_init(&vm->pagers);
}

static struct vvm *space_alloc(const struct conf *conf)
{
	struct vvm *vm = calloc(1, sizeof(*vm));
	unsigned i;

	if (!vm)
		return NULL;
	vm->conf = *conf;
	vm->forks = os_fork_count();
	vm->memfd = vm->pagemap_fd = vm->reclaim_event = -1;
	vm->room = ROOM_SOURCE_NONE;
	vm->handler_count = handler_threads(conf);
	for (i = 0; i < SETTING_HANDLERS_MAX; i++)
		vm->port[i].uffd = vm->port[i].event = -1;
	budget_init(vm, conf);
	space_reset(vm);
	regions_init(&vm->regions);
	/* twice a page, to cut an aligned one out of */
	pool_init(&vm->bounce, 2 * PAGE_BYTES);
	return vm;
}

static int space_make(struct vvm **out, const struct conf *conf)
{
	struct vvm *vm = space_alloc(conf);
	int rc;

	if (!vm)
		return -ENOMEM;
	rc = pt_init(&vm->pt);
	if (rc < 0) {
		free(vm);
		return rc;
	}
	rc = stat_open(&vm->stats, conf->stat_segment);
	vm->pt.stats = vm->regions.stats = rc == 0 ? &vm->stats : NULL;
	if (rc == 0)
		rc = standby_init(
			&vm->standby,
			(unsigned)MIN(frames_free(&vm->frames) / STANDBY_SHARE,
				      (uint64_t)STANDBY_PAGES_MAX));
	if (rc == 0)
		rc = space_open_fds(vm);
	if (rc == 0)
		rc = swap_open(&vm->swap, &vm->conf);
	if (rc == 0)
		rc = space_keep(vm, vm->swap);
	if (rc < 0) {
		space_free(vm);
		return rc;
	}
	vm->clock.ops = policy_at(conf->policy);
	ASSERT(vm->clock.ops); /* conf_check() saw to it */
	vm->api = stat_actor(&vm->stats, VVM_STAT_API);
	space_publish(vm);
	*out = vm;
	return 0;
}

int space_new(struct vvm **out, const struct conf *conf)
{
	struct conf *chosen = malloc(sizeof(*chosen));
	int rc;

	if (!chosen)
		return -ENOMEM;
	*chosen = *conf;
	rc = faults_choose(chosen);
	if (rc == 0)
		rc = space_make(out, chosen);
	free(chosen);
	return rc;
}

void space_free(struct vvm *vm)
{
	struct backing *b;

	if (vm->swap)
		vm->swap->ops->close(vm->swap);
	space_close_fds(vm);
	/* A fork child may still hold the memfd: give the frames back now. */
	if (vm->memfd >= 0)
		os_truncate(vm->memfd, 0);
	os_close(vm->memfd);
	if (vm->stats.segment)
		stat_close(&vm->stats);
	while ((b = vm->orphans)) {
		vm->orphans = b->next;
		backing_drop(b);
	}
	regions_fini(&vm->regions);
	pt_fini(&vm->pt);
	pool_fini(&vm->bounce);
	standby_fini(&vm->standby);
	free(vm);
}
