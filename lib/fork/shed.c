/* SPDX-License-Identifier: MIT */
/*
 * fork/shed.c - what becomes of spaces that a fork child does not inherit.
 *
 * The child has copies of the library's private memory, and of all descriptors,
 * but not the guest view. Two things must not be left so, since the child may
 * live longer than its parent (a daemon):
 *   - its descriptors keep the parent's frames in memory, its swap on disk, a
 *     named swap file locked, and its statistics listed: they are closed;
 *   - the holes where the memory was would be filled by the child's next
 *     mapping, and old pointers read that: they are reserved (space/kept.c).
 * Both are done in the fork handler, before any code of the program runs. A
 * child that executes a program pays a few system calls for it.
 *
 * The parent's threads go on while it forks, and memory is copied page by page.
 * So only what never changes while the space is open is read here: the numbers
 * of descriptors, and pointers to what has them. The copies of tables are left
 * as they are; the child cannot call the library on the space (-ECHILD).
 *
 * State outside `struct vvm`: the spaces, since fork handlers have no argument.
 * A closing space waits for forks in progress, so that none of them finds half
 * of it. That wait is bounded: vvm_close() may be called by a handler.
 *
 * Children of vfork(), posix_spawn(), clone() and _Fork() run no handlers. The
 * first two share their parent's memory until they execute a program. The
 * others keep holes and descriptors.
 */
#include "fork/shed.h"

#include <errno.h>
#include <stdlib.h>

#include "evict/reclaim.h"
#include "fault/handler.h"
#include "fault/inline.h"
#include "snapshot/snapshot.h"
#include "util/awake.h"
#include "util/log.h"

#define TABLE_SPACES 63
#define FORK_WAIT_US 2000000
#define FORK_LOOK_US 1000

/* Never freed, nor moved: the child finds it whole. */
struct table {
	_Atomic(struct vvm *) space[TABLE_SPACES];
	_Atomic(struct table *) next;
};

static struct table spaces;
static struct lock table_lock = {.rank = LOCK_FORK}; /* to change it */
static _Atomic unsigned forks;			     /* in progress */

/* ---- one space ---- */

void shed_space(struct vvm *vm)
{
	handlers_shed(vm);
	reclaim_shed(vm);
	inline_shed(vm);
	snapshots_shed(vm);
	space_close_fds(vm);
	if (vm->memfd >= 0)
		os_close(vm->memfd);
	vm->memfd = -1;
	if (vm->swap)
		vm->swap->ops->shed(vm->swap);
	stat_abandon(&vm->stats);
	vm->api = NULL;
	if (kept_reserve(&vm->regions.kept) < 0)
		log_warn("process %d cannot keep all addresses of its parent's "
			 "paged memory: do not use pointers to it",
			 os_pid());
}

/* ---- the handlers ---- */

static void prepare(void)
{
	atomic_fetch_add(&forks, 1);
}

static void parent(void)
{
	atomic_fetch_sub(&forks, 1);
}

static void child(void)
{
	int state = os_cancel_off();
	struct table *t;
	unsigned i;

	atomic_store(&forks, 0);
	lock_init(&table_lock, LOCK_FORK);
	for (t = &spaces; t; t = atomic_load(&t->next))
		for (i = 0; i < TABLE_SPACES; i++) {
			struct vvm *vm = atomic_exchange(&t->space[i], NULL);

			if (vm)
				shed_space(vm);
		}
	os_cancel_restore(state);
}

/* After that of fork/fork.c, whose handler in the child is to run first. */
__attribute__((constructor(102))) static void install(void)
{
	if (os_fork_watch() == 0)
		os_fork_handlers(prepare, parent, child);
}

/* ---- the table ---- */

/* An entry that has this value; of free ones there is always another. */
static _Atomic(struct vvm *) *find(struct vvm *vm)
{
	struct table *t, *last = NULL;
	unsigned i;

	for (t = &spaces; t; t = atomic_load(&t->next)) {
		last = t;
		for (i = 0; i < TABLE_SPACES; i++)
			if (atomic_load(&t->space[i]) == vm)
				return &t->space[i];
	}
	t = vm ? NULL : calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	atomic_store(&last->next, t);
	return &t->space[0];
}

static bool replace(struct vvm *old, struct vvm *new)
{
	_Atomic(struct vvm *) *entry;

	lock_take(&table_lock);
	entry = find(old);
	if (entry)
		atomic_store(entry, new);
	lock_drop(&table_lock);
	return entry != NULL;
}

int shed_register(struct vvm *vm)
{
	return replace(NULL, vm) ? 0 : -ENOMEM;
}

void shed_unregister(struct vvm *vm)
{
	struct awake awake = {.seen_us = os_now_us()};

	if (!replace(vm, NULL))
		return;
	while (atomic_load(&forks) &&
	       awake_look(&awake, os_now_us()) < FORK_WAIT_US)
		os_sleep_us(FORK_LOOK_US);
}
