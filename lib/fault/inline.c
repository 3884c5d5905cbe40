/* SPDX-License-Identifier: MIT */
/*
 * fault/inline.c - faults resolved by the thread that needs the page.
 *
 * The steps are those of fault/fault.c; here a thread goes through them by itself
 * and waits where a handler would go on to the next event:
 *
 *	READ	 read the slot, install, look again
 *	JOINED	 sleep until the block's busy page is done, look again
 *	NOFRAME	 sleep until a frame is free, at most frame_wait_ms
 *
 * "Look again" is the point: nothing is assumed to have stayed as it was
 * while nothing was locked.
 *
 * Inline mode. The userfaultfd has the SIGBUS feature: an access to an absent
 * or write-protected page raises SIGBUS instead of an event, and the signal
 * handler (fault/trap.c) comes here. No other thread is woken: 5-7 us for a fault
 * without I/O where a handler thread costs 50-60. The price is that the
 * kernel cannot fault for a system call: it fails with EFAULT, so buffers are
 * to be touched or pinned first. A thread waits for its own read by polling,
 * where few others read (fault/poller.c). It cannot go on in its signal handler and
 * see a read completed later: what is to be read ahead of it is a job for the
 * handler threads, which have nothing else to do then (fill/reader.c).
 *
 * Everything in here is async-signal-safe: no malloc, no stdio, only our own
 * locks, which the interrupted code cannot hold, since the library touches
 * guest memory only where it is resident and permitted (map/access.c).
 *
 * Counters are kept in LANES lanes picked by a hash of the thread: threads
 * seldom share one, and nothing is to be cleaned up when a thread ends.
 */
#include "fault/inline.h"

#include <errno.h>
#include <stdlib.h>

#include "util/awake.h"
#include "fault/fault.h"
#include "fault/handler.h"
#include "fault/poller.h"
#include "util/probe.h"
#include "fill/streams.h"

#define LANES	     16
#define LANE_BITS    4
#define FRAME_TRY_US 10000 /* a lost wake-up costs no more than this */
#define SHORTAGE_US  100   /* between tries when the kernel lacks memory */

struct lane {
	struct vvm_stat_actor *actor; /* (i) */
};

struct lanes {
	struct lane lane[LANES];
	struct pollers pollers;
};

/* A thread on its way to one page. */
struct visit {
	struct step step;
	struct fill fill;
	struct lane *lane; /* NULL: an API thread, no readahead */
	pte_t need;
	int read_result;
	struct awake awake;  /* since it waits */
	uint32_t ticket;     /* of the block's busy_done */
	enum page_state was; /* at the first look */
	struct stat_fault stat;
	uint16_t index;	 /* fill's */
	unsigned advice; /* of the page's region */
};

/* ---- reading in place ---- */

static void read_done(struct io *io, int result)
{
	struct visit *v = container_of(io, struct visit, fill.io);

	v->read_result = result;
}

static uint64_t this_thread(void)
{
	return (uint64_t)(uintptr_t)__builtin_thread_pointer();
}

/* Has read what the thread will want next. */
static void read_ahead(struct visit *v)
{
	struct step *s = &v->step;
	struct ahead_job job;

	if (v->lane && streams_read(s->vm, s->actor, this_thread(), s->addr,
				    s->host, v->advice, &job))
		handlers_read_ahead(s->vm, &job);
}

/* Reads into fill.io's buffer. */
static void read_slot(struct visit *v)
{
	struct vvm *vm = v->step.vm;
	struct ring *ring = NULL;

	if (vm->lanes)
		ring = pollers_enter(&vm->lanes->pollers);
	vm->swap->ops->read(vm->swap, ring, &v->fill.io);
	if (ring)
		poller_wait(ring);
	if (vm->lanes)
		pollers_leave(&vm->lanes->pollers, ring);
}

/* Fetches or reads the claimed page and installs it. => nothing locked. */
static int read_now(struct visit *v)
{
	struct vvm *vm = v->step.vm;
	void *buffer = pool_take_dirty(&vm->bounce);

	if (!buffer) {
		fill_abandon(&v->fill, v->step.actor);
		return -ENOMEM;
	}
	v->fill.io.buf = (char *)page_ceil((uintptr_t)buffer);
	v->fill.io.done = read_done;
	v->read_result = 0;
	v->fill.start_ns = os_now_ns();
	if (fill_unpark(&v->fill)) {
		fill_install(&v->fill, v->step.actor, 0);
		read_ahead(v);
	} else {
		read_ahead(v);
		read_slot(v);
		fill_install(&v->fill, v->step.actor, v->read_result);
	}
	pool_give(&vm->bounce, buffer);
	v->stat.at.read_ns = v->fill.done_ns;
	if (v->step.actor == vm->api)
		stat_add(vm->api, VVM_STAT_api_fills, 1);
	return 0;
}

/* ---- waiting ---- */

static bool in_time(struct visit *v)
{
	struct vvm *vm = v->step.vm;
	uint64_t now_us = os_now_us();

	awake_look(&v->awake, now_us);
	if (backing_stalled(vm->swap, now_us))
		v->awake.us = 0; /* as in fault/demand.c */
	return v->awake.us < vm->conf.frame_wait_ms * 1000;
}

static int wait_frame(struct visit *v)
{
	struct vvm *vm = v->step.vm;
	uint32_t ticket = waitq_ticket(&vm->frame_free);
	uint64_t since_us = os_now_us();

	if (!v->awake.seen_us) {
		PROBE2(stall, v->step.host, v->stat.tid);
		stat_add(v->step.actor, VVM_STAT_stalls, 1);
	}
	v->stat.flags |= VVM_STAT_EVENT_STALLED;
	if (!in_time(v)) {
		PROBE2(error, v->step.addr, -ETIMEDOUT);
		stat_add(v->step.actor, VVM_STAT_frame_timeouts, 1);
		return -VVM_ENOFRAME;
	}
	atomic_fetch_add(&vm->frames.wanted, 1);
	stat_add(v->step.actor, VVM_STAT_waiting_faults, 1);
	space_kick_reclaim(vm);
	if (!frames_free(&vm->frames))
		waitq_wait(&vm->frame_free, ticket, FRAME_TRY_US);
	stat_add(v->step.actor, VVM_STAT_waiting_faults, -1);
	atomic_fetch_sub(&vm->frames.wanted, 1);
	stat_add(v->step.actor, VVM_STAT_stall_us,
		 (int64_t)(os_now_us() - since_us));
	return 0;
}

/* Waits for what the look said. 0: look again. */
static int wait_result(struct visit *v, enum fault_result result)
{
	switch (result) {
	case FAULT_READ:
		return read_now(v);
	case FAULT_JOINED:
		if (v->step.trigger)
			read_ahead(v);
		/*
		 * The block lives while its page is FILLING, and a freed one
		 * stays readable in its pool, where nobody touches busy_done:
		 * a stale wait times out.
		 */
		waitq_wait(&v->step.block->busy_done, v->ticket, FRAME_TRY_US);
		return 0;
	case FAULT_NOFRAME:
		return wait_frame(v);
	case FAULT_FAILED:
		return -VVM_EPOISON;
	default:
		os_sleep_us(SHORTAGE_US);
		return in_time(v) ? 0 : -ENOMEM;
	}
}

/* ---- looking ---- */

/* => space lock held; on FAULT_DONE the block lock is held as well. */
static enum fault_result decide(struct visit *v)
{
	struct step *s = &v->step;
	enum page_state state = pte_state(s->block->pte[s->index]);
	enum fault_result result;

	v->ticket = waitq_ticket(&s->block->busy_done);
	v->advice = s->region->advice;
	s->trigger = false;
	if (v->was == PAGE_NONE)
		v->was = state;
	result = fault_decide(s);
	if (result != FAULT_DONE)
		lock_drop(&s->block->lock);
	else if (state == PAGE_FRESH && s->actor == s->vm->api)
		stat_add(s->actor, VVM_STAT_api_fills, 1);
	return result;
}

/* One look at the page. Both locks are held on FAULT_DONE only. */
static enum fault_result look(struct visit *v, gaddr_t addr, int *refusal)
{
	enum fault_result result = FAULT_GONE;
	struct vvm *vm = v->step.vm;
	struct region *r;

	*refusal = -VVM_EUNMAPPED;
	rwlock_read(&vm->lock);
	r = regions_at_guest(&vm->regions, addr);
	if (r)
		*refusal = fault_refusal((pte_t)r->prot * PTE_READ, v->need);
	if (*refusal == 0 && fault_look_up(&v->step, r, addr))
		result = decide(v);
	else if (*refusal == 0)
		*refusal = -ENOMEM;
	if (result != FAULT_DONE)
		rwlock_end_read(&vm->lock);
	return result;
}

/* The loop that both kinds of caller share. 0: both locks are held. */
static int make_usable(struct visit *v, gaddr_t addr)
{
	enum fault_result result;
	int rc = 0;

	v->step.fill = &v->fill;
	v->fill.index = &v->index;
	v->fill.room = 1;
	while (rc == 0) {
		result = look(v, addr, &rc);
		if (rc < 0 || result == FAULT_DONE)
			break;
		rc = wait_result(v, result);
		if (result != FAULT_READ && v->lane)
			v->stat.at.begin_ns = os_now_ns();
	}
	return rc;
}

int inline_page(struct vvm *vm, gaddr_t addr, pte_t need, bool write,
		struct block **locked, struct region **region)
{
	struct visit v = {.step.vm = vm,
			  .step.actor = vm->api,
			  .step.write = write,
			  .need = need};
	int rc = make_usable(&v, addr);

	if (rc == 0) {
		*locked = v.step.block;
		*region = v.step.region;
	}
	return rc;
}

void inline_page_end(struct vvm *vm, struct block *b)
{
	lock_drop(&b->lock);
	rwlock_end_read(&vm->lock);
}

/* ---- inline mode ---- */

static struct lane *my_lane(struct vvm *vm)
{
	/* Fibonacci hashing: thread pointers differ in their middle bits. */
	return &vm->lanes->lane[this_thread() * 0x9e3779b97f4a7c15u >>
				(64 - LANE_BITS)];
}

/* Counts a fault that could not be resolved. => nothing locked. */
static void count_failure(struct visit *v, gaddr_t addr, int error)
{
	struct vvm *vm = v->step.vm;
	struct region *r = NULL;

	rwlock_read(&vm->lock);
	if (error != -VVM_EUNMAPPED)
		r = regions_at_guest(&vm->regions, addr);
	v->stat.flags |=
		fault_count_failed(vm, v->lane->actor, r, v->step.write);
	rwlock_end_read(&vm->lock);
}

static void count_times(struct visit *v, bool resolved)
{
	struct vvm *vm = v->step.vm;

	v->stat.at.looked_ns =
		v->stat.at.read_ns ? v->fill.start_ns : v->step.looked_ns;
	if (resolved)
		stat_resolved(&vm->stats, v->lane->actor, &v->stat,
			      os_now_ns());
	else
		stat_event(&vm->stats, v->lane->actor, &v->stat, os_now_ns());
}

int inline_fault(struct vvm *vm, gaddr_t addr, bool write)
{
	struct lane *lane = my_lane(vm);
	struct visit v = {.step.vm = vm,
			  .step.actor = lane->actor,
			  .step.write = write,
			  .lane = lane,
			  .stat.page = addr,
			  .stat.tid = os_tid()};
	int rc;

	PROBE3(fault_start, addr, write, v.stat.tid);
	v.stat.at.start_ns = v.stat.at.begin_ns = os_now_ns();
	rc = make_usable(&v, addr);
	if (rc == 0) {
		v.stat.flags |= fault_count(&v.step, v.was, FAULT_DONE);
		inline_page_end(vm, v.step.block);
		if (v.was == PAGE_FRESH)
			streams_zeros(vm, lane->actor, this_thread(),
				      v.step.host, v.advice);
	} else {
		count_failure(&v, addr, rc);
	}
	count_times(&v, rc == 0);
	/* To the callback one lack of memory is as good as another. */
	return rc == -ENOMEM ? -VVM_ENOFRAME : rc;
}

int inline_init(struct vvm *vm)
{
	struct lanes *lanes;
	unsigned i;

	if (vm->conf.faults != VVM_FAULTS_INLINE)
		return 0;
	lanes = calloc(1, sizeof(*lanes));
	if (!lanes)
		return -ENOMEM;
	vm->lanes = lanes;
	for (i = 0; i < LANES; i++) {
		struct lane *lane = &lanes->lane[i];

		lane->actor = stat_actor(&vm->stats, VVM_STAT_HANDLER);
		if (!lane->actor)
			return -ENOMEM;
	}
	pollers_open(&lanes->pollers, vm->conf.pollers, vm->conf.io);
	return 0;
}

void inline_abandon(struct vvm *vm)
{
	if (vm->lanes)
		pollers_abandon(&vm->lanes->pollers);
	inline_fini(vm);
}

void inline_fini(struct vvm *vm)
{
	if (vm->lanes)
		pollers_close(&vm->lanes->pollers);
	free(vm->lanes);
	vm->lanes = NULL;
}
