/* SPDX-License-Identifier: MIT */
/*
 * fork/fork.c - holding a space still while the process forks.
 *
 * fork(2) copies private memory as it is at one moment, page tables, slots and
 * regions of ours included. The guest view is shared memory and is not copied
 * at all. So the child can have a space if at that moment
 *   (1) no thread is in the middle of a change to it, and
 *   (2) everything that its page table names stays readable
 *       (snapshot/snapshot.c).
 * fork/child.c is about what the child makes of it.
 *
 * The handlers. glibc calls prepare() before the fork and parent() or child()
 * after it. prepare() stops the actors at a point where they have nothing in
 * flight (util/pause.c), takes the mapping lock and the space lock, for
 * writing, waits until no page is FILLING, and takes the snapshot. Then the
 * *gate* is CLOSED: all locks stay taken until the fork has been tried, so
 * faults and calls of other threads wait, and nothing changes. Plain accesses
 * go on where the page is mapped; the first write to a page that was dirty is a
 * fault as well, since it is FROZEN.
 *
 *	       prepare           fork tried: the child inherits
 *	OPEN ---------> CLOSING -----> CLOSED ------------------> OPEN
 *			   |	         | FORK_HOLD_US are over:  ^
 *			   | no success  | it does not	           |
 *			   +-----------> BROKEN -------------------+
 *
 * Overdue. Between prepare() and the fork other handlers run and take locks of
 * the program; a thread that holds such a lock may be waiting for us, in a
 * fault. That would be a deadlock. So one of the paused actors breaks a gate
 * that is CLOSED too long: everything goes on, and the child, which finds it
 * BROKEN in its copy, inherits nothing and says so. Handlers run in reverse
 * order of registration; ours are registered when the library is loaded, so
 * that few run after them. Of glibc's own locks those of malloc protect no
 * paged memory; that of the streams is taken first (os_streams_lock()).
 *
 * A handler that runs after ours may itself unmap or free memory, in the thread
 * that forks. For its call the gate is opened (fork_reopen()), as if the fork had
 * been tried, and then closed again, with another snapshot: only a call that
 * comes before the fork makes that one needed, and one without a child ends by
 * itself.
 *
 * Is the cut consistent? The child has, of each thread, what it wrote before
 * some moment, to private memory (the kernel's copy-on-write) and to guest
 * memory (FROZEN pages): a write to either after it waits until the fork is
 * over, so nothing that came after the cut of one thread can have reached
 * another one before its own.
 *
 * All waits in prepare() are bounded, not counting time in which the process
 * was stopped (util/awake.h): fork() may be called in a signal handler, by a
 * thread that holds one of our locks. Then nothing is inherited.
 *
 * State outside `struct vvm`: which spaces there are to hold still. Fork
 * handlers belong to the process and have no argument. An entry is one word,
 * so that the child finds the table whole whatever another thread was doing.
 */
#include "fork/fork.h"

#include <errno.h>
#include <stdlib.h>

#include "fork/shed.h"
#include "util/log.h"
#include "snapshot/snapshot.h"
#include "space/spaces.h"
#include "fault/trap.h"

/* How long to wait for a lock, or for I/O in flight: enough for a slow disk. */
#define ACQUIRE_US 2000000
/*
 * Longer than any fork takes: the kernel copies the page tables of 10 GiB of
 * private memory in 100 to 200 ms.
 */
#define FORK_HOLD_US 1000000
#define LOOK_US	     1000

static _Atomic(struct vvm *) spaces[FORK_SPACES];
static struct lock table_lock = {.rank = LOCK_FORK}; /* to change `spaces` */
static _Atomic bool forking;	 /* between prepare() and parent() */
static _Atomic pthread_t forker; /* who set it; 0: nobody yet, or any more */
static unsigned nested;		 /* (forking) forks of its signal handlers */
static uint64_t signals;	 /* (forking) its mask before prepare() */

/* ---- the gate ---- */

static void wake_actors(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		os_eventfd_signal(vm->port[i].event);
	os_eventfd_signal(vm->reclaim_event);
}

/* Lets go of everything that close_gate() took. By any thread. */
static void let_go(struct vvm *vm)
{
	rwlock_adopt(&vm->lock);
	rwlock_end_write(&vm->lock);
	lock_adopt(&vm->mapping);
	lock_drop(&vm->mapping);
	pause_resume(&vm->pause);
}

/* Called by a paused actor now and then. */
static void overdue(struct pause *pause)
{
	struct vvm *vm = container_of(pause, struct vvm, pause);
	struct fork *f = vm->fork;
	int closed = GATE_CLOSED;

	if (atomic_load(&f->gate) != GATE_CLOSED ||
	    awake_look_shared(&f->closed, os_now_us()) < FORK_HOLD_US)
		return;
	f->why = "fork() took too long, perhaps waiting for a thread that "
		 "waits for the memory";
	if (atomic_compare_exchange_strong(&f->gate, &closed, GATE_BROKEN))
		let_go(vm);
}

/* Waits until no page of b is on its way. => space lock held for writing. */
static bool still_block(struct block *b, struct awake *awake)
{
	uint32_t ticket;

	if (!lock_take_timed(&b->lock, ACQUIRE_US))
		return false;
	while (b->filling || b->writing) {
		ticket = waitq_ticket(&b->busy_done);
		lock_drop(&b->lock);
		if (awake_look(awake, os_now_us()) > ACQUIRE_US)
			return false;
		waitq_wait(&b->busy_done, ticket, LOOK_US);
		lock_take(&b->lock);
	}
	lock_drop(&b->lock);
	return true;
}

static bool still_blocks(struct vvm *vm)
{
	struct awake awake = {.seen_us = os_now_us()};
	struct block *b;

	pt_for_each_block (&vm->pt, b, 0, GUEST_END)
		if (!still_block(b, &awake))
			return false;
	return true;
}

/* Takes the two locks, in a moment when no page is on its way. */
static bool still_space(struct vvm *vm)
{
	if (!lock_take_timed(&vm->mapping, ACQUIRE_US))
		return false;
	pause_request(&vm->pause);
	wake_actors(vm);
	if (!pause_wait(&vm->pause, ACQUIRE_US))
		goto no_actors;
	if (!rwlock_write_timed(&vm->lock, ACQUIRE_US))
		goto no_actors;
	if (still_blocks(vm))
		return true;
	rwlock_end_write(&vm->lock);
no_actors:
	pause_resume(&vm->pause);
	lock_drop(&vm->mapping);
	return false;
}

/*
 * The starter has done its work, or will. It must not be ending while we fork:
 * some allocators (the address sanitizer's) do not survive that.
 */
static void join_starter(struct fork *f)
{
	if (f->started)
		pthread_join(f->starter, NULL);
	f->started = false;
}

/* CLOSING to CLOSED or BROKEN. */
static void close_gate(struct vvm *vm)
{
	struct fork *f = vm->fork;
	int rc;

	if (atomic_load(&vm->dormant))
		space_rouse(vm);
	join_starter(f);
	f->why = "its memory could not be held still";
	if (space_broken(vm) || !still_space(vm)) {
		atomic_store(&f->gate, GATE_BROKEN);
		return;
	}
	rc = snapshot_take(vm);
	rwlock_disown(&vm->lock);
	lock_disown(&vm->mapping);
	f->why = rc < 0 ? "no memory or descriptors for a snapshot" : NULL;
	awake_begin(&f->closed, os_now_us());
	if (rc == 0) {
		atomic_store(&f->gate, GATE_CLOSED);
		return;
	}
	atomic_store(&f->gate, GATE_BROKEN);
	let_go(vm);
}

/* The fork has been tried; in the parent. */
static void open_gate(struct vvm *vm)
{
	int gate = GATE_CLOSED;

	snapshot_forked(vm);
	if (atomic_compare_exchange_strong(&vm->fork->gate, &gate, GATE_OPEN))
		let_go(vm);
	else
		atomic_store(&vm->fork->gate, GATE_OPEN);
}

/* ---- the handlers ---- */

static bool any_space(void)
{
	unsigned i;

	for (i = 0; i < FORK_SPACES; i++)
		if (atomic_load(&spaces[i]))
			return true;
	return false;
}

/*
 * Does this thread hold the spaces still? The child's thread is its parent's.
 */
static bool my_turn(void)
{
	return atomic_load(&forking) &&
	       pthread_equal(atomic_load(&forker), pthread_self());
}

/* Two threads may fork at once, but one after the other. */
static bool take_turn(void)
{
	struct awake awake = {.seen_us = os_now_us()};

	if (my_turn()) {
		nested++;
		return false;
	}
	while (atomic_exchange(&forking, true)) {
		if (awake_look(&awake, os_now_us()) > ACQUIRE_US)
			return false;
		os_sleep_us(LOOK_US);
	}
	atomic_store(&forker, pthread_self());
	return true;
}

/* A fork in a signal handler, while the thread was forking, is over. */
static bool end_nested(void)
{
	if (!nested)
		return false;
	nested--;
	return true;
}

static void end_turn(void)
{
	nested = 0;
	atomic_store(&forker, 0);
	atomic_store(&forking, false);
}

bool fork_reopen(struct vvm *vm)
{
	if (!my_turn() || atomic_load(&vm->fork->gate) != GATE_CLOSED)
		return false;
	open_gate(vm);
	return true;
}

void fork_reclose(struct vvm *vm)
{
	int state = os_cancel_off();

	atomic_store(&vm->fork->gate, GATE_CLOSING);
	close_gate(vm);
	os_cancel_restore(state);
}

uint64_t fork_reopen_all(void)
{
	uint64_t reopened = 0;
	unsigned i;

	if (!my_turn())
		return 0;
	for (i = 0; i < FORK_SPACES; i++) {
		struct vvm *vm = atomic_load(&spaces[i]);

		if (vm && fork_reopen(vm))
			reopened |= UINT64_C(1) << i;
	}
	return reopened;
}

void fork_reclose_all(uint64_t reopened)
{
	unsigned i;

	for (i = 0; reopened; i++, reopened >>= 1)
		if (reopened & 1)
			fork_reclose(atomic_load(&spaces[i]));
}

static void prepare_spaces(void)
{
	unsigned i;

	os_streams_lock();
	/* Under the lock only the claim, which fork_unregister() respects. */
	lock_take(&table_lock);
	for (i = 0; i < FORK_SPACES; i++) {
		struct vvm *vm = atomic_load(&spaces[i]);

		if (vm)
			atomic_store(&vm->fork->gate, GATE_CLOSING);
	}
	lock_drop(&table_lock);
	for (i = 0; i < FORK_SPACES; i++) {
		struct vvm *vm = atomic_load(&spaces[i]);

		if (vm && atomic_load(&vm->fork->gate) == GATE_CLOSING)
			close_gate(vm);
	}
}

/*
 * fork(2) is no cancellation point, and so none of these is. Signal handlers of
 * the program wait until it is over: they may touch the memory.
 */
static void prepare(void)
{
	uint64_t before = os_signals_block();
	int state;

	if (!any_space() || !take_turn()) {
		os_signals_restore(before);
		return;
	}
	signals = before;
	state = os_cancel_off();
	prepare_spaces();
	os_cancel_restore(state);
}

static void parent(void)
{
	uint64_t before = signals;
	int state;
	unsigned i;

	if (!my_turn() || end_nested())
		return;
	state = os_cancel_off();
	lock_take(&table_lock);
	for (i = 0; i < FORK_SPACES; i++) {
		struct vvm *vm = atomic_load(&spaces[i]);

		if (vm && atomic_load(&vm->fork->gate) != GATE_OPEN)
			open_gate(vm);
	}
	lock_drop(&table_lock);
	os_streams_unlock();
	end_turn();
	os_cancel_restore(state);
	os_signals_restore(before);
}

static void disinherit(struct vvm *vm)
{
	const char *why = vm->fork->why;

	log_warn("process %d does not inherit the paged memory of its parent, "
		 "and dies if it touches that: %s",
		 os_pid(), why ? why : "another fork was in progress");
	shed_space(vm);
}

static void child_space(struct vvm *vm, bool prepared)
{
	int rc = -EAGAIN;

	if (prepared && atomic_load(&vm->fork->gate) == GATE_CLOSED) {
		vm->fork->why = "it could not be set up";
		rc = fork_take_over(vm);
	}
	if (rc == 0)
		atomic_store(&vm->fork->gate, GATE_OPEN);
	else
		disinherit(vm);
}

static void child(void)
{
	bool mine = my_turn(), prepared = mine && !nested;
	uint64_t before = signals;
	int state = os_cancel_off();
	unsigned i;

	lock_init(&table_lock, LOCK_FORK);
	trap_forked();
	spaces_forked();
	stat_forked();
	for (i = 0; i < FORK_SPACES; i++) {
		struct vvm *vm = atomic_load(&spaces[i]);

		if (!vm)
			continue;
		child_space(vm, prepared);
		if (space_forked(vm))
			atomic_store(&spaces[i], NULL);
	}
	end_turn();
	os_cancel_restore(state);
	if (mine)
		os_signals_restore(before);
}

/*
 * As early as possible, see above; before constructors without a priority,
 * such as vvmrun's, which registers handlers for its heap. os_fork_watch()
 * first: in the child the handlers run in the order of registration.
 */
__attribute__((constructor(101))) static void install(void)
{
	if (os_fork_watch() == 0)
		os_fork_handlers(prepare, parent, child);
}

/* ---- spaces ---- */

int fork_init(struct vvm *vm)
{
	int rc;

	if (vm->conf.fork != VVM_FORK_INHERIT)
		return 0; /* fork/shed.c */
	vm->fork = calloc(1, sizeof(*vm->fork));
	if (!vm->fork)
		return -ENOMEM;
	vm->pause.overdue = overdue;
	rc = snapshots_new(vm);
	return rc;
}

void fork_fini(struct vvm *vm)
{
	if (!vm->fork)
		return;
	snapshots_free(vm);
	free(vm->fork);
	vm->fork = NULL;
}

int fork_register(struct vvm *vm)
{
	int rc = -EAGAIN;
	unsigned i;

	if (!vm->fork)
		return shed_register(vm);
	lock_take(&table_lock);
	for (i = 0; i < FORK_SPACES && rc < 0; i++) {
		if (atomic_load(&spaces[i]))
			continue;
		atomic_store(&spaces[i], vm);
		rc = 0;
	}
	lock_drop(&table_lock);
	return rc;
}

/* True when vm is not in the table any more. */
static bool try_unregister(struct vvm *vm)
{
	int gate;
	unsigned i;

	lock_take(&table_lock);
	gate = atomic_load(&vm->fork->gate);
	for (i = 0;
	     i < FORK_SPACES && gate != GATE_CLOSING && gate != GATE_CLOSED;
	     i++)
		if (atomic_load(&spaces[i]) == vm)
			atomic_store(&spaces[i], NULL);
	lock_drop(&table_lock);
	return gate != GATE_CLOSING && gate != GATE_CLOSED;
}

void fork_unregister(struct vvm *vm)
{
	if (!vm->fork) {
		shed_unregister(vm);
		return;
	}
	while (!try_unregister(vm))
		os_sleep_us(LOOK_US);
	join_starter(vm->fork);
}
