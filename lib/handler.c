/* SPDX-License-Identifier: MIT */
/*
 * handler.c - fault handler threads.
 *
 * Each handler has a userfaultfd, a ring and one loop in which everything is
 * a completion: fault events, reads from swap, writes of direct reclaim,
 * wake-ups from other threads. So one handler keeps many reads in flight, and
 * nothing in the loop waits for a single one.
 *
 *	   events ----> fault_begin --+-- resolved
 *	                 ^            +-- read --> ring --> fill_install
 *	                 |            +-- no frame: pending
 *	   frames free --+------------------------------'
 *
 * Pending. A fault that finds no free frame is kept in a fixed array and tried
 * again when frames come free (space_give_frames() signals the starving), or
 * after DIRECT reclaim steps of our own. When the array is full we read no
 * more events: they wait in the kernel. A fault that waited longer than
 * frame_wait_ms fails: its thread gets SIGBUS, everybody else goes on. The
 * poison that delivers the SIGBUS is removed UNFAIL_US later.
 *
 * Reads. A demand fault uses a small fill, one page. When the prefetcher
 * sees a stream the fill is moved to a large one and widened.
 *
 * Tried and dropped: a trip wire, that is leaving out the page in the middle
 * of a full window, so that the stream faults there and the next half window
 * is read while it walks through this one. One thread reading 1 GiB at 256
 * MiB in sequence: 77 k pages/s with, 101 k without (medians of 3); the
 * extra event and single read cost more than the overlap brings.
 *
 * Sleeping. Handing a fault to a sleeping thread on another CPU costs 25 us
 * and more each way, so after work a handler polls for spin_us before it
 * sleeps. An idle space therefore costs nothing, a busy one few wake-ups.
 * What polls takes a CPU from the application, hence few handlers. Measured
 * on 4 CPUs, 1 GiB at 256 MiB, by handlers and spin_us (medians, a machine
 * with other load; raw is the disk at queue depth 4):
 *
 *				  raw	4, 0   4, 50  2, 0   2, 100  1, 50
 *	uniform, 4 threads (k/s)  31	18.8   16.2   19.5   22.2    21.2
 *	uniform, 16 threads	  48	38     -      -	     32	     26
 *	zipf, 4 threads (k ops/s)	96     -      94     146     -
 *
 * Tried and dropped: only one handler of a space polls at a time, the others
 * sleep (uniform 4 threads 17-20 k/s): the token moves too often.
 *
 * Nothing in the loop calls malloc, logs through stdio or touches guest
 * memory (the application may hold its malloc lock while it waits for us).
 */
#include "handler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "evict.h"
#include "fault.h"
#include "log.h"
#include "prefetch.h"
#include "ring.h"

#define SMALL_FILLS	 64  /* more demand reads than the disk can overlap */
#define LARGE_FILLS	 8
#define PENDING_MAX	 256 /* then events wait in the kernel */
#define EVENTS_MAX	 32  /* read by one system call */
#define UNFAIL_MAX	 64
#define UNFAIL_US	 20000 /* a woken thread has run by then */
#define WILLNEED_MAX	 16
#define DIRECT_STEPS	 4   /* reclaim steps per round when starving */
#define DIRECT_TARGET	 32  /* frames per step */
#define DIRECT_WRITES	 2   /* write-backs of a handler in flight, ... */
#define DIRECT_ROOM	 16  /* ... of so many pages */
#define PENDING_POLL_US	 500 /* between rounds while faults are pending */

struct demand { /* an event, as long as it lives here */
	struct fault fault;
	uint64_t since_us; /* pending since; 0: not pending */
};

struct handler_fill {
	struct fill fill;
	struct demand demand;
	struct handler *handler;
	struct list link; /* idle */
	struct list *home; /* the idle list it belongs to */
};

struct range {
	gaddr_t addr, end;
};

struct unfail {
	haddr_t host;
	uint64_t due_us;
};

struct handler {
	struct vvm *vm;
	struct port *port;
	struct vvm_stat_actor *actor;
	struct ring *ring;
	struct ring_watch uffd_watch, event_watch;
	struct evictor evictor;
	struct prefetch prefetch; /* streams of reads from swap */
	struct prefetch zeros;	  /* streams of first touches */
	pthread_t thread;
	bool started;

	struct handler_fill fills[SMALL_FILLS + LARGE_FILLS];
	struct list small, large; /* idle fills */
	void *buffers;
	uint64_t buffers_bytes;
	unsigned large_room; /* pages */

	struct demand pending[PENDING_MAX];
	unsigned pending_count;
	struct unfail unfail[UNFAIL_MAX];
	unsigned unfail_count;
	uint64_t spin_until_us;

	struct lock willneed_lock; /* rank LOCK_MISC; of the two below */
	struct range willneed[WILLNEED_MAX];
	unsigned willneed_count;
};

/* ---- fills ---- */

static struct handler_fill *fill_take(struct list *idle)
{
	struct list *node = list_pop(idle);

	return node ? list_entry(node, struct handler_fill, link) : NULL;
}

static void fill_give(struct handler_fill *hf)
{
	list_insert(hf->home, &hf->link);
}

static void fill_start(struct handler_fill *hf)
{
	struct vvm *vm = hf->handler->vm;

	hf->fill.start_ns = os_now_ns();
	vm->swap->ops->read(vm->swap, hf->handler->ring, &hf->fill.io);
}

/* ---- faults ---- */

static void pend(struct handler *h, const struct demand *d)
{
	struct demand *p = &h->pending[h->pending_count++];

	*p = *d;
	if (!p->since_us) {
		p->since_us = os_now_us();
		p->fault.stat.flags = VVM_STAT_EVENT_STALLED;
		stat_add(h->actor, VVM_STAT_stalls, 1);
		stat_add(h->actor, VVM_STAT_waiting_faults, 1);
	}
	atomic_fetch_add(&h->vm->frames.wanted, 1);
	atomic_store(&h->port->starving, true);
	space_kick_reclaim(h->vm);
}

/* The fault is over: it does not wait any more, whatever came of it. */
static void ended(struct handler *h, const struct demand *d, bool good)
{
	const struct stat_fault *f = &d->fault.stat;

	if (good)
		stat_resolved(&h->vm->stats, h->actor, f, os_now_ns());
	else
		stat_event(&h->vm->stats, h->actor, f, os_now_ns());
	if (d->since_us)
		stat_add(h->actor, VVM_STAT_stall_us,
			 (int64_t)(os_now_us() - d->since_us));
}

/* Reads the pages of a plan that the demand fill could not take along. */
static void read_ahead(struct handler *h, gaddr_t addr, gaddr_t end)
{
	struct handler_fill *hf;
	gaddr_t next;

	while (addr < end && (hf = fill_take(&h->large))) {
		bool claimed = fill_claim_ahead(h->vm, h->actor, addr, end,
						 &hf->fill, &next);

		if (claimed)
			fill_start(hf);
		else
			fill_give(hf);
		addr = next;
	}
}

static void read_strided(struct handler *h, gaddr_t addr, int64_t stride,
			 unsigned count)
{
	struct handler_fill *hf;
	gaddr_t next;

	for (; count && (hf = fill_take(&h->small)); count--) {
		addr += (gaddr_t)(stride * (int64_t)PAGE_BYTES);
		if (fill_claim_ahead(h->vm, h->actor, addr, addr + PAGE_BYTES,
				      &hf->fill, &next))
			fill_start(hf);
		else
			fill_give(hf);
	}
}

/* Moves a claimed demand fill to a large buffer, if one is idle. */
static struct handler_fill *enlarge(struct handler *h, struct handler_fill *hf)
{
	struct handler_fill *big = fill_take(&h->large);
	char *buf;

	if (!big)
		return hf;
	buf = big->fill.io.buf;
	big->fill = hf->fill;
	big->fill.io.buf = buf;
	big->fill.room = h->large_room;
	big->demand = hf->demand;
	fill_give(hf);
	return big;
}

/* Starts a claimed demand read, with what the prefetcher wants besides. */
static void start_read(struct handler *h, struct handler_fill *hf)
{
	struct fill *fill = &hf->fill;
	struct prefetch_plan plan = {0};
	gaddr_t addr = fill->io.addr, end;

	if (h->prefetch.max_pages && fill->advice != VVM_ADV_RANDOM)
		plan = prefetch_fault(&h->prefetch, fill->host >> PAGE_SHIFT, 0,
				      UINT64_MAX >> PAGE_SHIFT,
				      fill->advice == VVM_ADV_SEQUENTIAL);
	if (!plan.count) {
		fill_start(hf);
		return;
	}
	if (plan.stride != 1 && plan.stride != -1) {
		fill_start(hf);
		read_strided(h, addr, plan.stride, plan.count);
		return;
	}
	hf = enlarge(h, hf);
	fill = &hf->fill;
	fill_widen(h->vm, h->actor, fill, plan.stride < 0 ? plan.count : 0,
		    plan.stride > 0 ? plan.count : 0);
	end = fill->io.addr + pages_to_bytes(fill->io.pages);
	fill_start(hf);
	if (plan.stride > 0)
		read_ahead(h, end, addr + pages_to_bytes(plan.count + 1));
}

/* After a first touch: the pages that a stream will touch next. */
static void zeros_ahead(struct handler *h, const struct demand *d)
{
	const struct fault *f = &d->fault;
	struct prefetch_plan plan;

	if (!f->fresh || !f->write || !h->zeros.max_pages ||
	    f->advice == VVM_ADV_RANDOM)
		return;
	plan = prefetch_fault(&h->zeros, f->host >> PAGE_SHIFT, 0,
			      UINT64_MAX >> PAGE_SHIFT,
			      f->advice == VVM_ADV_SEQUENTIAL);
	if (plan.count && plan.stride == 1)
		fill_zeros_ahead(h->vm, h->actor, f->host + PAGE_BYTES,
				 plan.count);
}

/* One fault, new or pending. False: it has to wait. */
static bool handle(struct handler *h, struct demand *d)
{
	struct handler_fill *hf = fill_take(&h->small);

	if (!hf)
		return false;
	d->fault.stat.at.begin_ns = os_now_ns();
	switch (fault_begin(h->vm, h->actor, &d->fault, &hf->fill)) {
	case FAULT_READ:
		hf->demand = *d;
		start_read(h, hf);
		return true;
	case FAULT_DONE:
		ended(h, d, true);
		zeros_ahead(h, d);
		break;
	case FAULT_NOFRAME:
	case FAULT_RETRY:
		fill_give(hf);
		return false;
	case FAULT_JOINED:
	case FAULT_GONE:
	case FAULT_FAILED:
		ended(h, d, false);
		break;
	}
	fill_give(hf);
	return true;
}

/* Completion of a read. */
static void filled(struct io *io, int result)
{
	struct handler_fill *hf =
		container_of(io, struct handler_fill, fill.io);
	struct handler *h = hf->handler;
	struct demand *d = &hf->demand;
	enum fault_result verdict = fill_install(&hf->fill, h->actor, result);

	d->fault.stat.at.looked_ns = hf->fill.start_ns;
	d->fault.stat.at.read_ns = hf->fill.done_ns;
	if (verdict == FAULT_FAILED) {
		fault_fail(h->vm, d->fault.host, d->fault.tid);
		d->fault.stat.flags |= VVM_STAT_EVENT_KIND;
		d->fault.stat.flags ^= VVM_STAT_EVENT_KIND ^
				       VVM_STAT_KIND_failed;
	}
	/* Else not done: given up, and woken to ask again. */
	if (hf->fill.has_demand)
		ended(h, d, verdict == FAULT_DONE);
	fill_give(hf);
}

static bool read_events(struct handler *h)
{
	struct os_fault events[EVENTS_MAX];
	uint64_t now_ns;
	bool any = false;
	int i, n;

	while (h->pending_count + EVENTS_MAX <= PENDING_MAX) {
		n = os_uffd_read(h->port->uffd, events, EVENTS_MAX);
		if (n <= 0)
			break;
		any = true;
		now_ns = os_now_ns();
		for (i = 0; i < n; i++) {
			struct demand d = {
				.fault.host = page_floor(events[i].addr),
				.fault.write = events[i].write ||
					       events[i].protect,
				.fault.tid = events[i].tid,
				.fault.stat.tid = events[i].tid,
				.fault.stat.at.start_ns = now_ns,
			};

			if (!handle(h, &d))
				pend(h, &d);
		}
		if (n < EVENTS_MAX)
			break;
	}
	return any;
}

/* ---- faults that wait for a frame ---- */

static void unfail_due(struct handler *h, uint64_t now_us)
{
	unsigned i = 0;

	while (i < h->unfail_count) {
		if (h->unfail[i].due_us > now_us) {
			i++;
			continue;
		}
		fault_unfail(h->vm, h->unfail[i].host);
		h->unfail[i] = h->unfail[--h->unfail_count];
	}
}

/* The fault has waited too long: only this access fails. */
static void give_up(struct handler *h, struct demand *d, uint64_t now_us)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;

	log_warn_once(&once, "no free frame within frame_wait_ms: swap is full, "
			     "failing, or all is pinned; the access gets SIGBUS");
	fault_lost(h->vm, h->actor, &d->fault);
	ended(h, d, false);
	stat_add(h->actor, VVM_STAT_frame_timeouts, 1);
	if (h->unfail_count == UNFAIL_MAX)
		unfail_due(h, UINT64_MAX);
	if (fault_fail(h->vm, d->fault.host, d->fault.tid))
		h->unfail[h->unfail_count++] = (struct unfail){
			.host = d->fault.host, .due_us = now_us + UNFAIL_US};
}

/* Tries the pending faults again; true when any left the array. */
static bool retry_pending(struct handler *h)
{
	uint64_t now_us = os_now_us();
	unsigned i = 0, n = h->pending_count, kept = 0;

	for (i = 0; i < n; i++) {
		struct demand d = h->pending[i];

		if (handle(h, &d))
			continue;
		if (now_us - d.since_us >= h->vm->conf.frame_wait_ms * 1000)
			give_up(h, &d, now_us);
		else
			h->pending[kept++] = d;
	}
	h->pending_count = kept;
	atomic_fetch_sub(&h->vm->frames.wanted, n - kept);
	stat_add(h->actor, VVM_STAT_waiting_faults, -(int64_t)(n - kept));
	if (!kept)
		atomic_store(&h->port->starving, false);
	return kept < n;
}

/* Reclaims with our own hands; true when that may have helped. */
static bool direct_reclaim(struct handler *h)
{
	unsigned i;

	for (i = 0; i < DIRECT_STEPS; i++) {
		stat_add(h->actor, VVM_STAT_reclaim_direct_steps, 1);
		switch (evict_step(&h->evictor, DIRECT_TARGET)) {
		case EVICT_FREED:
			return true;
		case EVICT_NOTHING:
			break;
		default:
			return false;
		}
	}
	return false;
}

/* ---- explicit readahead ---- */

void handlers_willneed(struct vvm *vm, gaddr_t addr, gaddr_t end)
{
	unsigned turn = atomic_fetch_add(&vm->willneed_turn, 1);
	struct handler *h = &vm->handlers[turn % vm->handler_count];

	lock_take(&h->willneed_lock);
	if (h->willneed_count < WILLNEED_MAX)
		h->willneed[h->willneed_count++] =
			(struct range){.addr = addr, .end = end};
	lock_drop(&h->willneed_lock);
	os_eventfd_signal(h->port->event);
}

/* Starts as many reads as there are idle fills; the rest waits its turn. */
static void serve_willneed(struct handler *h)
{
	struct handler_fill *hf;
	struct range job;

	while (!list_empty(&h->large)) {
		lock_take(&h->willneed_lock);
		job = h->willneed_count ? h->willneed[0] : (struct range){0};
		lock_drop(&h->willneed_lock);
		if (job.addr >= job.end)
			return;
		hf = fill_take(&h->large);
		if (fill_claim_ahead(h->vm, h->actor, job.addr, job.end,
				      &hf->fill, &job.addr))
			fill_start(hf);
		else
			fill_give(hf);
		lock_take(&h->willneed_lock);
		h->willneed[0].addr = job.addr;
		if (job.addr >= job.end)
			memmove(h->willneed, h->willneed + 1,
				--h->willneed_count * sizeof(job));
		lock_drop(&h->willneed_lock);
	}
}

/* ---- the loop ---- */

static int64_t next_timeout(struct handler *h)
{
	if (h->pending_count)
		return PENDING_POLL_US;
	if (os_now_us() < h->spin_until_us)
		return 0;
	return h->unfail_count ? UNFAIL_US : -1;
}

static void event_ready(struct ring_watch *watch)
{
	os_eventfd_drain(watch->fd);
}

static void uffd_ready(struct ring_watch *watch)
{
	(void)watch; /* read_events() is next in the loop anyway */
}

static bool work_left(const struct handler *h)
{
	return !atomic_load(&h->vm->stopping) || ring_inflight(h->ring) ||
	       h->pending_count;
}

static void one_round(struct handler *h)
{
	bool busy = read_events(h);
	int n;

	if (h->pending_count && !retry_pending(h) && direct_reclaim(h))
		busy |= retry_pending(h);
	if (h->unfail_count)
		unfail_due(h, os_now_us());
	serve_willneed(h);
	n = ring_run(h->ring, busy ? 0 : next_timeout(h));
	if (n < 0)
		log_error("handler: waiting for completions failed (error %d)",
			  -n);
	if (busy || n > 0)
		h->spin_until_us = os_now_us() + h->vm->conf.spin_us;
}

static void *run(void *arg)
{
	struct handler *h = arg;

	h->actor->tid = (uint64_t)os_tid();
	while (work_left(h))
		one_round(h);
	return NULL;
}

/* ---- construction ---- */

static void init_fill(struct handler *h, unsigned i, char *buf, unsigned room)
{
	struct handler_fill *hf = &h->fills[i];

	hf->handler = h;
	hf->home = i < SMALL_FILLS ? &h->small : &h->large;
	hf->fill.io.done = filled;
	hf->fill.io.buf = buf;
	hf->fill.room = room;
	fill_give(hf);
}

static int init_fills(struct handler *h)
{
	const struct conf *c = &h->vm->conf;
	/* Large buffers of all handlers hold at most 1/8 of the budget. */
	uint64_t share = (c->resident_bytes >> PAGE_SHIFT) / 8 /
			 h->vm->handler_count / LARGE_FILLS;
	unsigned i;
	char *at;
	int rc;

	h->large_room = (unsigned)MIN(c->readahead_max_pages + 1, share);
	h->large_room = MIN(MAX(h->large_room, 1u), (unsigned)IO_MAX_PAGES);
	h->buffers_bytes =
		pages_to_bytes(SMALL_FILLS + LARGE_FILLS * h->large_room);
	rc = os_map_anon(h->buffers_bytes, &h->buffers);
	if (rc < 0)
		return rc;
	at = h->buffers;
	for (i = 0; i < SMALL_FILLS + LARGE_FILLS; i++) {
		unsigned room = i < SMALL_FILLS ? 1 : h->large_room;

		init_fill(h, i, at, room);
		at += pages_to_bytes(room);
	}
	return 0;
}

static int init(struct handler *h, struct vvm *vm, unsigned number)
{
	int rc;

	h->vm = vm;
	h->port = &vm->port[number];
	list_init(&h->small);
	list_init(&h->large);
	lock_init(&h->willneed_lock, LOCK_MISC);
	h->actor = stat_actor(&vm->stats, VVM_STAT_HANDLER);
	if (!h->actor)
		return -ENOMEM;
	rc = init_fills(h);
	if (rc < 0)
		return rc;
	prefetch_init(&h->prefetch, h->large_room > 1
					    ? (unsigned)vm->conf.readahead_max_pages
					    : 0);
	prefetch_init(&h->zeros, h->prefetch.max_pages);
	rc = ring_open(&h->ring, SMALL_FILLS + LARGE_FILLS + DIRECT_WRITES,
		       (enum ring_engine)vm->conf.io);
	if (rc < 0)
		return rc;
	h->uffd_watch = (struct ring_watch){.fd = h->port->uffd,
					    .ready = uffd_ready};
	h->event_watch = (struct ring_watch){.fd = h->port->event,
					     .ready = event_ready};
	rc = ring_watch(h->ring, &h->uffd_watch);
	if (rc == 0)
		rc = ring_watch(h->ring, &h->event_watch);
	if (rc < 0)
		return rc;
	return evict_init(&h->evictor, vm, h->actor, h->ring, DIRECT_WRITES,
			  DIRECT_ROOM);
}

static void fini(struct handler *h)
{
	if (!h->vm)
		return;
	evict_fini(&h->evictor);
	if (h->ring)
		ring_close(h->ring);
	if (h->buffers)
		os_unmap((haddr_t)(uintptr_t)h->buffers, h->buffers_bytes);
}

int handlers_start(struct vvm *vm)
{
	unsigned i;
	int rc = 0;

	vm->handlers = calloc(vm->handler_count, sizeof(*vm->handlers));
	if (!vm->handlers)
		return -ENOMEM;
	for (i = 0; i < vm->handler_count && rc == 0; i++) {
		struct handler *h = &vm->handlers[i];

		rc = init(h, vm, i);
		if (rc == 0)
			rc = os_thread_start(&h->thread, "vvm-handler", run, h);
		h->started = rc == 0;
	}
	if (rc == 0) {
		stat_set(&vm->stats, io_uring,
			 ring_engine(vm->handlers[0].ring) == RING_URING);
		return 0;
	}
	atomic_store(&vm->stopping, true);
	handlers_stop(vm);
	return rc;
}

void handlers_stop(struct vvm *vm)
{
	unsigned i;

	if (!vm->handlers)
		return;
	for (i = 0; i < vm->handler_count; i++) {
		struct handler *h = &vm->handlers[i];

		if (h->started) {
			os_eventfd_signal(h->port->event);
			pthread_join(h->thread, NULL);
		}
		fini(h);
		/*
		 * Never close a userfaultfd with a thread blocked on it: that
		 * thread would read zeros. The regions are gone, so whoever is
		 * woken here finds no mapping.
		 */
		os_uffd_wake(vm->port[i].uffd, PAGE_BYTES,
			     ((haddr_t)1 << 47) - 2 * PAGE_BYTES);
	}
	free(vm->handlers);
	vm->handlers = NULL;
}
