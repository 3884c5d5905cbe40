/* SPDX-License-Identifier: MIT */
/*
 * space/life.c - the library's threads of a space: do they live, and do they
 * get on?
 *
 * Death. A thread may end where nobody meant it to: a seccomp filter that the
 * program puts on all its threads kills the one that makes a forbidden call,
 * and a fault in the kernel kills the one that met it. What the thread had in
 * hand is in no defined state then, and whoever waits for it would wait for
 * ever. So each holds a descriptor of itself that is readable when it has ended
 * (os_thread_fd()), all of these are in one epoll descriptor, and on that
 * sleeps the *guard*, a thread that does nothing else: no I/O, no lock that
 * another one holds for long, and of system calls as few as can be, since what
 * killed the other may kill it. When one is dead the guard *breaks* the space:
 *
 *	1. vm->broken: nobody changes the page table any more, but who unmaps;
 *	2. the memfd is cut to nothing. From then on the kernel answers every
 *	   access with SIGBUS, before it would ask a userfaultfd. So nobody
 *	   begins to wait, and nobody reads zeros;
 *	3. who waits on a userfaultfd is woken, and gets SIGBUS; again every
 *	   MOURN_US, for those who were on their way to wait at 2;
 *	4. the locks that the dead one held are dropped (util/lock.h).
 *
 * The content is lost as a whole: which of it could be trusted is not known.
 * Calls say -EOWNERDEAD, but vvm_close(), which works: threads that are gone
 * can be joined. Rejected: to start another thread on what the dead one had. A
 * filter kills that one, too; requests of a dead thread's ring may be with the
 * disk still, and their buffers must not be used again. Rejected, too: to let
 * the reclaimer and the handlers watch over each other. A filter against
 * io_uring kills all of them, and where pread and pwrite take its place a disk
 * that is gone holds all of them.
 *
 * Before Linux 6.9 there is no such descriptor. Then a dead thread is noticed
 * when it stalls, if it did not die asleep.
 *
 * Stalls. The disk may not answer, swap may be full, a thread may hold a lock
 * for ever. A hang of which nobody knows the reason is not debuggable, so who
 * makes no progress for LIFE_STALL_US is reported, once for each stall: a line
 * in the log, and fields of its actor in the segment for vvmstat. Time in which
 * the process was stopped does not count (util/awake.h).
 *
 *	a handler whose oldest fault waits for a read or a frame: says so itself
 *	who waits for a lock: the same
 *	a handler that does not come round at all: the guard sees it
 *	threads that resolve their own faults (inline mode): the guard looks at
 *	   the swap, and whether any of them gets on
 *
 * For that the guard looks every LIFE_LOOK_US, but only while a handler is at
 * work or a transfer in flight. When nothing was going on at a look it sets
 * guard.asleep, looks once more and sleeps; who begins something afterwards
 * finds that flag. All of this is without order (relaxed): the look in between
 * comes long after whatever was in a store buffer. On the path of a fault it is
 * one store for each round of a handler.
 */
#include "space/life.h"

#include <errno.h>

#include "os/os.h"
#include "util/log.h"

#define MOURN_US 20000

/* ---- stalls ---- */

static void publish(struct vvm_stat_actor *a, enum vvm_stat_stall kind,
		    uint64_t took_us, uint64_t arg)
{
	__atomic_store_n(&a->stall_arg, arg, __ATOMIC_RELAXED);
	__atomic_store_n(&a->stall_since_unix_us, os_unix_us() - took_us,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&a->stall, kind, __ATOMIC_RELAXED);
}

/* As life_stalls(). */
static bool look_at(struct stall *s, struct vvm_stat_actor *actor,
		    uint64_t wait, uint64_t now_us)
{
	if (wait != s->wait) {
		if (s->told)
			publish(actor, VVM_STAT_STALL_none, 0, 0);
		*s = (struct stall){.wait = wait, .awake.seen_us = now_us};
	}
	if (!wait || s->told || awake_look(&s->awake, now_us) < LIFE_STALL_US)
		return false;
	s->told = true;
	return true;
}

bool life_stalls(struct life *l, uint64_t wait, uint64_t now_us)
{
	return look_at(&l->own, l->actor, wait, now_us);
}

/* What a wait for a frame waits for, really. */
static void say_why_no_frame(const struct life *l, uint64_t seconds)
{
	struct backing_stat bs = {0};
	struct vvm *vm = l->vm;

	space_backing_stat(vm, &bs);
	log_warn("%s %d: faults have not got on for %llu s: waiting for a free "
		 "frame (%llu of %llu are pinned; swap: %llu of %llu slots in "
		 "use, %llu transfers in flight)",
		 l->name, atomic_load(&l->tid), (unsigned long long)seconds,
		 (unsigned long long)atomic_load(&vm->frames.pinned),
		 (unsigned long long)atomic_load(&vm->frames.budget),
		 (unsigned long long)bs.slots_used,
		 (unsigned long long)bs.slots_limit,
		 (unsigned long long)bs.inflight);
}

void life_report(const struct life *l, enum vvm_stat_stall kind,
		 uint64_t since_us, uint64_t arg)
{
	static const struct {
		const char *what, *unit;
	} texts[] = {{"", ""},
#define X(name, what, unit) {what, unit},
		     VVM_STAT_STALLS(X)
#undef X
	};
	uint64_t took_us = os_now_us() - since_us, seconds = took_us / 1000000;

	publish(l->actor, kind, took_us, arg);
	stat_add(l->actor, VVM_STAT_watchdog_stalls, 1);
	if (kind == VVM_STAT_STALL_frame)
		say_why_no_frame(l, seconds);
	else if (*texts[kind].unit)
		log_warn("%s %d: faults have not got on for %llu s: %s "
			 "(%s %llu of %s)",
			 l->name, atomic_load(&l->tid),
			 (unsigned long long)seconds, texts[kind].what,
			 texts[kind].unit, (unsigned long long)arg,
			 l->vm->conf.swap_path);
	else
		log_warn("%s %d: faults have not got on for %llu s: %s",
			 l->name, atomic_load(&l->tid),
			 (unsigned long long)seconds, texts[kind].what);
}

/* ---- death ---- */

/* => lives_lock held. */
static void forget(struct life *l)
{
	os_epoll_remove(l->vm->lives.fd, l->fd);
	os_close(l->fd);
	l->fd = -1;
}

/* 1 to 3: what must be done, and can be without knowing who it was. */
static void cut_off(struct vvm *vm)
{
	int rc = 0;

	if (!atomic_exchange(&vm->broken, true))
		rc = os_memfd_end(vm->memfd);
	space_wake_all(vm);
	waitq_wake(&vm->frame_free);
	if (rc < 0)
		log_error("the memory of a space that is lost cannot be cut "
			  "off (error %d)",
			  -rc);
}

static void bury(struct life *dead)
{
	lock_drop_dead(dead->locks);
	publish(dead->actor, VVM_STAT_STALL_died, 0,
		(uint64_t)atomic_load(&dead->tid));
	log_error("the library's thread %d (%s) was killed (by a seccomp "
		  "filter?): the paged memory of its space is lost, touching "
		  "it is SIGBUS",
		  atomic_load(&dead->tid), dead->name);
	atomic_store(&dead->tid, 0);
}

/* Somebody has ended without life_end(). */
static void somebody_died(struct vvm *vm)
{
	struct life *l;

	cut_off(vm);
	lock_take(&vm->lives.lock);
	for (l = vm->lives.life; l < vm->lives.life + LIVES; l++)
		if (l->fd >= 0 && os_thread_gone(atomic_load(&l->tid))) {
			forget(l);
			bury(l);
		}
	lock_drop(&vm->lives.lock);
}

/* ---- the threads ---- */

/* While the thread waits for a lock, or in a wait queue (NULL). */
static void waits(void *arg, const void *lock)
{
	struct life *l = arg;
	uint64_t now_us = os_now_us();

	if (!lock)
		return;
	life_works(l, now_us); /* it says what it waits for, nobody else */
	if (life_stalls(l, (uintptr_t)lock, now_us))
		life_report(l, VVM_STAT_STALL_lock, now_us - LIFE_STALL_US, 0);
}

static void open_fd(struct life *l)
{
	int fd;

	if (os_thread_fd(&fd) < 0)
		return;
	lock_take(&l->vm->lives.lock);
	if (os_epoll_add(l->vm->lives.fd, fd) == 0)
		l->fd = fd;
	else
		os_close(fd);
	lock_drop(&l->vm->lives.lock);
}

struct life *life_begin(struct vvm *vm, unsigned i, const char *name,
			struct vvm_stat_actor *actor, struct ring *ring)
{
	struct life *l = &vm->lives.life[i];

	os_cancel_off();
	actor->tid = (uint64_t)os_tid();
	l->name = name;
	l->actor = actor;
	l->ring = ring;
	l->locks = lock_table();
	lock_on_wait(waits, l);
	atomic_store(&l->tid, os_tid());
	open_fd(l);
	return l;
}

void life_end(struct life *l)
{
	lock_on_wait(NULL, NULL);
	atomic_store(&l->tid, 0);
	lock_take(&l->vm->lives.lock);
	if (l->fd >= 0)
		forget(l);
	lock_drop(&l->vm->lives.lock);
}

void life_look_out(struct vvm *vm)
{
	if (atomic_load_explicit(&vm->lives.guard.asleep,
				 memory_order_relaxed) &&
	    atomic_exchange(&vm->lives.guard.asleep, false))
		os_eventfd_signal(vm->lives.guard.event);
}

void life_works(struct life *l, uint64_t now_us)
{
	bool slept = !atomic_load_explicit(&l->round_us, memory_order_relaxed);

	atomic_store_explicit(&l->round_us, now_us, memory_order_relaxed);
	if (slept)
		life_look_out(l->vm);
}

void life_sleeps(struct life *l)
{
	if (l->own.wait)
		life_stalls(l, 0, 0);
	atomic_store_explicit(&l->round_us, 0, memory_order_relaxed);
}

/* ---- the guard ---- */

static void report_stuck(struct life *l, uint64_t since_us)
{
	enum ring_kind kind;
	uint64_t off;

	if (os_thread_gone(atomic_load(&l->tid))) {
		cut_off(l->vm);
		bury(l);
	} else if (!ring_doing(l->ring, &kind, &off)) {
		life_report(l, VVM_STAT_STALL_stuck, since_us, 0);
	} else {
		life_report(l,
			    kind == RING_READ ? VVM_STAT_STALL_read
					      : VVM_STAT_STALL_write,
			    since_us, off >> PAGE_SHIFT);
	}
}

/* Is it at work? Its tid comes last, and goes first. */
static bool look_at_life(struct life *l, uint64_t now_us)
{
	uint64_t round_us =
		atomic_load_explicit(&l->round_us, memory_order_relaxed);

	if (!atomic_load(&l->tid))
		return false;
	if (look_at(&l->looked, l->actor, round_us, now_us))
		report_stuck(l, round_us);
	return round_us != 0;
}

/*
 * The program's threads in their own faults: what they read does not arrive,
 * or they wait for frames and none of them gets on.
 */
static void look_at_program(struct life *l, const struct backing_stat *bs,
			    uint64_t now_us)
{
	struct stats *st = &l->vm->stats;
	uint64_t wait = bs->inflight ? bs->progress_us : 0;
	bool frames = !wait && stat_sum(st, VVM_STAT_waiting_faults) > 0;
	const struct flight *pagers = &l->vm->pagers.flight;
	bool paged = !wait && !frames && atomic_load(&pagers->count);

	if (!atomic_load(&l->tid))
		return; /* the reclaimer, in whose name it is said */
	if (frames)
		wait = 1 + (uint64_t)stat_sum(st, VVM_STAT_faults);
	else if (paged)
		wait = atomic_load(&pagers->progress_us);
	if (!look_at(&l->looked, l->actor, wait, now_us))
		return;
	if (frames)
		life_report(l, VVM_STAT_STALL_frame, now_us - LIFE_STALL_US, 0);
	else if (paged)
		life_report(l, VVM_STAT_STALL_pager, wait, 0);
	else
		life_report(l, VVM_STAT_STALL_swap, wait, bs->inflight);
}

int64_t lives_look(struct vvm *vm)
{
	struct life *self = &vm->lives.life[LIFE_RECLAIMER];
	struct backing_stat bs = {0};
	uint64_t now_us = os_now_us();
	bool quiet = true;
	unsigned i;

	if (now_us - vm->lives.guard.looked_us < LIFE_LOOK_US)
		return LIFE_LOOK_US;
	vm->lives.guard.looked_us = now_us;
	for (i = 0; i < vm->handler_count; i++)
		quiet &= !look_at_life(&vm->lives.life[i], now_us);
	space_backing_stat(vm, &bs);
	quiet &= !bs.inflight && !stat_sum(&vm->stats, VVM_STAT_waiting_faults);
	quiet &= !atomic_load(&vm->pagers.flight.count);
	if (space_is_inline(vm))
		look_at_program(self, &bs, now_us);
	if (quiet && atomic_exchange(&vm->lives.guard.asleep, true))
		return -1;
	if (!quiet)
		atomic_store(&vm->lives.guard.asleep, false);
	return LIFE_LOOK_US;
}

static void *guard(void *arg)
{
	struct vvm *vm = arg;
	int fds[] = {vm->lives.guard.event, vm->lives.fd};
	uint64_t ready, invalid;
	int64_t wait_us;

	os_cancel_off();
	atomic_store(&vm->lives.guard.runs, true);
	while (!atomic_load(&vm->stopping)) {
		wait_us = space_broken(vm) ? MOURN_US : lives_look(vm);
		ready = 0;
		os_poll(fds, ARRAY_SIZE(fds), wait_us, &ready, &invalid);
		if (ready >> 1 & 1)
			somebody_died(vm);
		else if (space_broken(vm))
			space_wake_all(vm);
		if (ready & 1)
			os_eventfd_drain(vm->lives.guard.event);
	}
	return NULL;
}

int lives_start(struct vvm *vm)
{
	int rc = os_thread_start(&vm->lives.guard.thread, "vvm-guard", guard,
				 vm);

	vm->lives.guard.started = rc == 0;
	return rc;
}

void lives_stop(struct vvm *vm)
{
	if (!vm->lives.guard.started)
		return;
	os_eventfd_signal(vm->lives.guard.event);
	pthread_join(vm->lives.guard.thread, NULL);
	vm->lives.guard.started = false;
}
