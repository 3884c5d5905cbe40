/* SPDX-License-Identifier: MIT */
/*
 * evict/reclaim.c - the thread that keeps frames free.
 *
 * It sleeps until fewer than `low` frames are free or somebody waits for one,
 * then steps the clock until `high` are free, counting frames whose
 * write-backs are in flight as free already. What a step says decides what
 * comes next:
 *
 *	FREED	 go on
 *	NOTHING	 go on; the clock counts barren turns, the policy gets stricter;
 *		 after one at the highest pressure all is pinned: back off, from
 *		 BUSY_US up to FULL_US, before each further turn
 *	SKIPPED, or every write-back in use: wait for a completion or BUSY_US
 *	EMPTY	 nothing is resident: wait
 *	swap full: tell the application (vvm_on_low_space()); go on until no
 *		 clean page is left to evict, then back off in the same way,
 *		 since nothing but the application can change that. The same
 *		 where a mapped file cannot be written to, but for telling
 *
 * Compressed pages (swap/tier.c) are frames, too. How many there may be is decided
 * every DIVIDE_US (policy/division.c), from what this thread has seen; and where
 * nothing else can go they do.
 *
 * The watermarks are all the cleaning ahead that there is. A victim's write is
 * under way 4 % of the budget before somebody needs its frame, and writes in
 * flight count as free, so a fault waits for a write only where memory is first
 * filled at a GB/s (MEASURED.md, "Reclaim").
 *
 * Rejected: to clean all cold pages while the disk is idle (it writes pages
 * that are still changing again and again, and spares nobody a wait);
 * watermarks of 1 and 2 % (4 sequential writers get 0.60 of the speed).
 *
 * An automatic budget follows the machine: evict/follow.c.
 *
 * While it works it refreshes the published values, at most every
 * PUBLISH_US, and once more before it sleeps.
 */
#include "evict/reclaim.h"

#include <errno.h>
#include <stdlib.h>

#include "util/awake.h"
#include "evict/evict.h"
#include "evict/follow.h"
#include "space/budget.h"
#include "util/log.h"
#include "os/ring.h"
#include "space/life.h"
#include "policy/division.h"
#include "snapshot/snapshot.h"

#define WRITEBACKS   16 /* in flight: enough to keep the disk busy, ... */
#define ROOM	     64 /* ... of 256 KiB each */
#define BUSY_US	     200
#define FULL_US	     20000
#define PUBLISH_US   100000
#define LOW_SPACE_US 1000000 /* between calls of the user's callback */
#define DRAIN_US     20000   /* to a slow backing, before one of these */
#define STEP_TARGET  128     /* frames per step: keeps block locks short */
#define DIVIDE_US    50000   /* between looks at the division */
/* A fault without I/O: MEASURED.md, "Primitives". */
#define INLINE_FAULT_US 10
#define THREAD_FAULT_US 40

/* As it was at the last look at the division. */
struct divided {
	uint64_t look_us;
	uint64_t old_reads, added, spilled; /* backing_stat */
	uint64_t reads, read_us;	    /* from the disk, by all */
	uint64_t written;		    /* pages, by all */
	uint64_t scanned, cold, cold_used;  /* evictor */
	uint64_t mean_us;		    /* a read took then */
};

struct reclaimer {
	struct vvm *vm;
	struct ring *ring;
	struct ring_watch watch;
	struct ring_watch snapshot_watch; /* if children inherit */
	struct evictor evictor;
	struct follower follower;
	struct division division;
	struct divided divided;
	pthread_t thread;
	bool started;
	int64_t backoff_us;
	uint64_t published_us;
	uint64_t low_space_us; /* of the last call */
};

/* Frames still to be found, those being written not counted. */
static uint64_t shortage(const struct reclaimer *r)
{
	uint64_t need = frames_shortage(&r->vm->frames);

	return need > r->evictor.writer.pages ? need - r->evictor.writer.pages
					      : 0;
}

/*
 * What the callback calls waits for write-backs: not for our own. False: a slow
 * backing does not end one, and nobody is to wait for that.
 */
static bool drain(struct reclaimer *r)
{
	uint64_t until_us = os_now_us() + DRAIN_US;

	while (ring_inflight(r->ring)) {
		if (!r->evictor.writer.slow_pages)
			ring_run(r->ring, -1);
		else if (os_now_us() < until_us)
			ring_run(r->ring, BUSY_US);
		else
			return false;
	}
	return true;
}

static void call_low_space(struct reclaimer *r)
{
	struct vvm *vm = r->vm;
	vvm_low_space_callback callback;
	uint64_t now_us = os_now_us();
	struct vvm_low_space info;
	struct backing_stat bs;
	void *arg;

	if (!hook_get(&vm->low_space, &arg) ||
	    now_us - r->low_space_us < LOW_SPACE_US)
		return;
	r->low_space_us = now_us;
	space_spend_frames(vm);
	if (!drain(r))
		return;
	vm->swap->ops->stat(vm->swap, &bs);
	info.swap_used_bytes = pages_to_bytes(bs.slots_used);
	info.swap_limit_bytes = pages_to_bytes(bs.slots_limit);
	info.dirty_bytes = pages_to_bytes(
		(uint64_t)stat_sum(&vm->stats, VVM_STAT_dirty_pages));
	/* Nothing of ours is in flight, and what the callback calls locks. */
	pause_leave(&vm->pause);
	callback = (vvm_low_space_callback)hook_get(&vm->low_space, &arg);
	if (callback)
		callback(vm, &info, arg);
	pause_enter(&vm->pause);
}

static void publish(struct reclaimer *r, bool now)
{
	uint64_t now_us = os_now_us();

	if (!now && now_us - r->published_us < PUBLISH_US)
		return;
	r->published_us = now_us;
	space_publish(r->vm);
}

/* ---- an automatic budget ---- */

/* How long it may sleep for all that, at most wait_us; < 0: as long as it likes. */
static int64_t until_look(const struct reclaimer *r, int64_t wait_us)
{
	int64_t due_us;

	if (!space_is_automatic(r->vm))
		return wait_us;
	due_us = follow_due_us(&r->follower, os_now_us(), false);
	return due_us < 0 || (wait_us >= 0 && wait_us < due_us) ? wait_us
								: due_us;
}

static void look(struct reclaimer *r, bool busy)
{
	uint64_t now_us;

	if (!space_is_automatic(r->vm))
		return;
	now_us = os_now_us();
	if (follow_due_us(&r->follower, now_us, busy) == 0)
		follow_look(&r->follower, now_us);
}

/* ---- compressed pages ---- */

/* *last becomes now. By how much has it grown? */
static uint64_t since(uint64_t *last, uint64_t now)
{
	uint64_t n = now - *last;

	*last = now;
	return n;
}

static uint64_t counted(const struct reclaimer *r, enum vvm_stat_counter c)
{
	return (uint64_t)stat_sum(&r->vm->stats, c);
}

/* Since the last look. */
static void sample(struct reclaimer *r, struct division_sample *s)
{
	const struct evictor *ev = &r->evictor;
	struct divided *last = &r->divided;
	struct backing_stat bs = {0};
	uint64_t reads, us;

	r->vm->swap->ops->stat(r->vm->swap, &bs);
	stat_add(ev->actor, VVM_STAT_spilled_pages,
		 (int64_t)since(&last->spilled, bs.spilled));
	reads = since(&last->reads, counted(r, VVM_STAT_swapin_reads));
	us = since(&last->read_us, counted(r, VVM_STAT_swapin_us));
	if (reads)
		last->mean_us = us / reads;
	*s = (struct division_sample){
		.budget = atomic_load(&r->vm->frames.budget),
		.pinned = atomic_load(&r->vm->frames.pinned),
		.packed = atomic_load(&r->vm->frames.packed),
		.old_reads = since(&last->old_reads, bs.packed_old_reads),
		.added = since(&last->added, bs.packed_added),
		.written = since(&last->written,
				 counted(r, VVM_STAT_swapout_pages)),
		.scanned = since(&last->scanned, ev->scanned),
		.cold = since(&last->cold, ev->cold),
		.cold_used = since(&last->cold_used, ev->cold_used),
		.read_us = MAX(last->mean_us, 1u),
		.fault_us = r->vm->conf.faults == VVM_FAULTS_THREAD
				    ? THREAD_FAULT_US
				    : INLINE_FAULT_US,
	};
}

/* Has the budget been made smaller? */
static bool is_over(const struct vvm *vm)
{
	return atomic_load(&vm->frames.used) > atomic_load(&vm->frames.budget);
}

/* Will no more of them be taken? */
static bool is_full(const struct reclaimer *r)
{
	const struct frames *f = &r->vm->frames;

	return atomic_load(&f->packed) + r->vm->swap->grain_pages >
	       r->division.pages + atomic_load(&f->saved);
}

/* Looks at the division now and then, and has the swap keep to it. */
static void divide(struct reclaimer *r)
{
	uint64_t now_us = os_now_us();
	struct vvm *vm = r->vm;
	struct division_sample s;

	if (vm->conf.compress == VVM_COMPRESS_OFF)
		return;
	if (now_us - r->divided.look_us >= DIVIDE_US || is_over(vm)) {
		r->divided.look_us = now_us;
		sample(r, &s);
		division_look(&r->division, &s);
		if (!s.added)
			space_spend_frames(vm);
		stat_set(&vm->stats, packed_limit_frames, r->division.pages);
	}
	vm->swap->ops->trim(vm->swap, r->ring, r->division.pages);
	if (is_full(r) || is_over(vm))
		space_spend_frames(vm);
}

/* Frames cannot go: compressed pages must. False: there are none. */
static bool yield(struct reclaimer *r)
{
	uint64_t packed;

	space_spend_frames(r->vm);
	packed = atomic_load(&r->vm->frames.packed);
	if (!packed)
		return false;
	division_yield(&r->division, packed, shortage(r));
	divide(r);
	return true;
}

static int64_t back_off(struct reclaimer *r)
{
	r->backoff_us = MIN(MAX(r->backoff_us * 2, BUSY_US), FULL_US);
	return r->backoff_us;
}

/*
 * Swap is full, or a mapped file rests. Only clean pages can go, and compressed
 * ones, which have slots. Until the hand has gone round at every pressure there
 * may be some of the former; from then on it is up to the application, or the
 * file's disk.
 */
static int64_t writes_refused(struct reclaimer *r)
{
	if (r->evictor.writer.swap_full)
		call_low_space(r);
	if (clock_pressure(&r->vm->clock) <= POLICY_AGE_MAX)
		return 0;
	return yield(r) ? BUSY_US : back_off(r);
}

/* How long to wait for completions after this step; 0: step on. */
static int64_t after_step(struct reclaimer *r, enum evict_result result)
{
	if (result == EVICT_FREED)
		r->backoff_us = 0;
	else if (r->evictor.writer.refused && result == EVICT_NOTHING)
		return writes_refused(r);
	else if (result == EVICT_NOTHING && clock_in_vain(&r->vm->clock))
		return yield(r) ? BUSY_US : back_off(r);
	else if (result == EVICT_EMPTY)
		yield(r);
	if (writer_busy(&r->evictor.writer) || result == EVICT_SKIPPED ||
	    result == EVICT_EMPTY)
		return BUSY_US;
	return 0;
}

static void work(struct reclaimer *r)
{
	uint64_t need;

	while ((need = shortage(r)) && !atomic_load(&r->vm->stopping) &&
	       !pause_wanted(&r->vm->pause) && !space_broken(r->vm)) {
		enum evict_result result;

		look(r, true);
		divide(r);
		result = evict_step(&r->evictor, MIN(need, STEP_TARGET));
		ring_run(r->ring, after_step(r, result));
		publish(r, false);
	}
}

static void event_ready(struct ring_watch *watch)
{
	os_eventfd_drain(watch->fd);
}

static void snapshot_ready(struct ring_watch *watch)
{
	snapshot_reap(
		container_of(watch, struct reclaimer, snapshot_watch)->vm);
}

/*
 * Sleeps until kicked or, with writes in flight, until one completes. Those to a
 * slow backing may never: it is to be kicked meanwhile.
 */
static void rest(struct reclaimer *r)
{
	struct vvm *vm = r->vm;

	if (ring_inflight(r->ring) && !r->evictor.writer.slow_pages) {
		ring_run(r->ring, -1);
		return;
	}
	publish(r, true);
	atomic_store(&vm->reclaim_asleep, true);
	/*
	 * A kick before this store was not sent: look once more. Low without
	 * a shortage means that a waiter has not noticed its frame yet.
	 */
	if (!atomic_load(&vm->stopping) && !pause_wanted(&vm->pause))
		ring_run(r->ring,
			 until_look(r, frames_low(&vm->frames) ? BUSY_US : -1));
	atomic_store(&vm->reclaim_asleep, false);
}

/* Stops for a fork, with nothing in flight. It may not wait for that. */
static void stop_for_fork(struct reclaimer *r)
{
	while (ring_inflight(r->ring)) {
		if (!pause_wanted(&r->vm->pause))
			return;
		ring_run(r->ring, FULL_US);
	}
	pause_leave(&r->vm->pause);
	pause_enter(&r->vm->pause);
}

static void *run(void *arg)
{
	struct reclaimer *r = arg;
	struct life *life = life_begin(r->vm, LIFE_RECLAIMER, "reclaimer",
				       r->evictor.actor, r->ring);

	pause_enter(&r->vm->pause);
	while (!atomic_load(&r->vm->stopping) || ring_inflight(r->ring)) {
		if (pause_wanted(&r->vm->pause))
			stop_for_fork(r);
		if (space_broken(r->vm)) {
			ring_run(r->ring, FULL_US);
			continue;
		}
		look(r, frames_low(&r->vm->frames));
		if (frames_low(&r->vm->frames))
			work(r);
		rest(r);
	}
	pause_leave(&r->vm->pause);
	life_end(life);
	return NULL;
}

int reclaim_start(struct vvm *vm)
{
	struct vvm_stat_actor *actor =
		stat_actor(&vm->stats, VVM_STAT_RECLAIMER);
	struct reclaimer *r = calloc(1, sizeof(*r));
	int rc;

	if (!r || !actor) {
		free(r);
		return -ENOMEM;
	}
	vm->reclaimer = r;
	r->vm = vm;
	r->watch = (struct ring_watch){.fd = vm->reclaim_event,
				       .ready = event_ready};
	rc = ring_open(&r->ring, WRITEBACKS, vm->conf.io);
	if (rc == 0)
		rc = ring_watch(r->ring, &r->watch);
	if (rc == 0)
		ring_wake_by(r->ring, vm->reclaim_event);
	if (rc == 0 && vm->snapshots) {
		r->snapshot_watch = (struct ring_watch){
			.fd = snapshot_watch(vm), .ready = snapshot_ready};
		rc = ring_watch(r->ring, &r->snapshot_watch);
	}
	if (rc == 0)
		rc = evict_init(&r->evictor, vm, actor, r->ring, WRITEBACKS,
				ROOM);
	if (rc == 0 && vm->conf.compress != VVM_COMPRESS_OFF)
		rc = evict_keep(&r->evictor);
	division_init(&r->division);
	follow_init(&r->follower, vm, actor, &r->evictor.writer);
	if (rc == 0)
		rc = os_thread_start(&r->thread, "vvm-reclaim", run, r);
	r->started = rc == 0;
	if (rc < 0)
		reclaim_stop(vm);
	return rc;
}

static void fini(struct reclaimer *r)
{
	evict_fini(&r->evictor);
	if (r->ring && space_broken(r->vm))
		ring_abandon(r->ring); /* perhaps it was this one that died */
	else if (r->ring)
		ring_close(r->ring);
	free(r);
}

void reclaim_abandon(struct vvm *vm)
{
	fini(vm->reclaimer);
	vm->reclaimer = NULL;
}

void reclaim_shed(struct vvm *vm)
{
	if (vm->reclaimer)
		ring_abandon(vm->reclaimer->ring);
	vm->reclaimer = NULL;
}

void reclaim_stop(struct vvm *vm)
{
	struct reclaimer *r = vm->reclaimer;

	if (!r)
		return;
	if (r->started) {
		os_eventfd_signal(vm->reclaim_event);
		pthread_join(r->thread, NULL);
	}
	fini(r);
	vm->reclaimer = NULL;
}

/* Has the budget not been changed again since? */
static bool is_ours(struct vvm *vm, uint64_t pages)
{
	return atomic_load(&vm->frames.budget) == pages;
}

/*
 * Waits with nothing locked: the reclaimer may be in the application's
 * low-space callback, which unmaps to make room.
 */
int reclaim_resize(struct vvm *vm, uint64_t budget_pages, uint64_t timeout_ms)
{
	struct awake awake = {.seen_us = os_now_us()};
	uint64_t old;
	int rc = budget_begin(vm, budget_pages, &old);

	if (rc < 0)
		return rc;
	while (rc == 0 && is_ours(vm, budget_pages) &&
	       atomic_load(&vm->frames.used) > budget_pages) {
		uint32_t ticket = waitq_ticket(&vm->frame_free);

		atomic_fetch_add(&vm->frames.wanted, 1);
		space_kick_reclaim(vm);
		if (atomic_load(&vm->frames.used) > budget_pages)
			waitq_wait(&vm->frame_free, ticket, 10000);
		atomic_fetch_sub(&vm->frames.wanted, 1);
		if (awake_look(&awake, os_now_us()) > timeout_ms * 1000)
			rc = -EBUSY;
	}
	if (rc < 0)
		budget_undo(vm, budget_pages, old);
	else
		budget_end(vm);
	space_publish(vm);
	return rc;
}
