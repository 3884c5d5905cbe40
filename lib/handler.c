/* SPDX-License-Identifier: MIT */
/*
 * handler.c - fault handler threads.
 *
 * Each handler has a ring and one loop in which everything is a completion:
 * fault events, reads from swap, writes of direct reclaim, wake-ups from other
 * threads. So one handler keeps many reads in flight, and nothing in the loop
 * waits for a single one.
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
 * frame_wait_ms, not counting time in which the process was stopped (awake.h),
 * fails: its thread gets SIGBUS, everybody else goes on. The poison that
 * delivers the SIGBUS is removed UNFAIL_US later.
 *
 * Reads. A demand fault uses a small fill, one page. What is to be read ahead
 * of it (streams.c) is a job for the handler's reader (reader.c), which is
 * called in every round. Installing what was read costs 2 to 3 us a page, more
 * than the disk takes for it, so large jobs are shared with another handler.
 *
 * Sleeping. Handing a fault to a sleeping handler on another CPU costs 28 us,
 * so after work a handler polls for spin_us before it sleeps. An idle space
 * therefore costs nothing, a busy one few wake-ups. With several reads in
 * flight it polls for READING_SPIN_US only. That catches the next fault of the
 * thread that it has just woken (11-14 us until that runs); afterwards comes
 * the disk, and the longer the sleep, the more is read and submitted at once
 * (a virtio disk takes 16 us of CPU to be told). How many handlers do this,
 * and which: server.c. Measured on 4 CPUs, 1 GiB at 256 MiB (medians of
 * interleaved runs, on a machine with other load), against what was before, two
 * handlers that each polled a descriptor of its own for 100 us:
 *
 *				    before	       now	 20 at any depth
 *			   k faults/s  CPU us	k faults/s  CPU us
 *	uniform, 1 thread	  6.6	 180	      7.4	144    6.7  102
 *	uniform, 4 threads	 16.2	 102	     22.0	 44   17.9   49
 *	uniform, 16 threads	 25.7	  61	     28.8	 35   23.3   44
 *	uniform write, 1	  7.3	 177	      8.9	119    7.0  104
 *	zipf, 4 threads		 17.8	  97	     19.5	 50   17.5   56
 *
 * Tried and dropped: only one handler of a space polls at a time, the others
 * sleep on their own descriptors (17-20 k/s): the token moves too often.
 * A handler that sleeps on the CPU of the one thread that faults, where that is
 * to be seen: 9 us a fault instead of 18 while the thread stays there, but on
 * a machine with idle CPUs the scheduler moves it away from the handler, and
 * then it is 50-65.
 *
 * Nothing in the loop calls malloc, logs through stdio or touches guest
 * memory (the application may hold its malloc lock while it waits for us).
 */
#include "handler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "awake.h"
#include "evict.h"
#include "fault.h"
#include "log.h"
#include "probe.h"
#include "reader.h"
#include "ring.h"
#include "server.h"
#include "streams.h"

#define SMALL_FILLS	 64  /* more demand reads than the disk can overlap */
#define PENDING_MAX	 256 /* then events wait in the kernel */
#define EVENTS_MAX	 32  /* read by one system call */
#define UNFAIL_MAX	 64
#define UNFAIL_US	 20000 /* a woken thread has run by then */
#define WILLNEED_SHARE	 2 /* one WILLNEED reads at most 1/2 of the budget */
#define SHARED_PAGES	 64 /* the least of a job that a handler gets */
#define READ_SHARE	 8 /* buffers of all readers: 1/8 of the budget */
#define DIRECT_STEPS	 4   /* reclaim steps per round when starving */
#define DIRECT_TARGET	 32  /* frames per step */
#define DIRECT_WRITES	 2   /* write-backs of a handler in flight, ... */
#define DIRECT_ROOM	 16  /* ... of so many pages */
#define PENDING_POLL_US	 500 /* between rounds while faults are pending */
#define READING_SPIN_US	 20u

struct demand { /* an event, as long as it lives here */
	struct fault fault;
	uint64_t since_us; /* pending since; 0: not pending */
	uint64_t patience_us; /* handler.awake when it is over */
};

struct handler_fill {
	struct fill fill;
	struct demand demand;
	struct handler *handler;
	struct list link; /* idle */
	uint16_t index;
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
	struct server server;
	struct ring_watch uffd_watch[SPACE_HANDLERS_MAX]; /* the host's */
	struct ring_watch event_watch;
	struct evictor evictor;
	struct reader reader;
	pthread_t thread;
	bool started;

	struct handler_fill fills[SMALL_FILLS];
	struct list idle; /* fills */
	void *buffers;

	struct demand pending[PENDING_MAX];
	unsigned pending_count;
	struct awake awake; /* looked at in each round with pending faults */
	struct unfail unfail[UNFAIL_MAX];
	unsigned unfail_count;
	uint64_t spin_until_us;
};

/* ---- fills ---- */

static struct handler_fill *fill_take(struct handler *h)
{
	struct list *node = list_pop(&h->idle);

	return node ? list_entry(node, struct handler_fill, link) : NULL;
}

static void fill_give(struct handler_fill *hf)
{
	list_insert(&hf->handler->idle, &hf->link);
}

static void fill_start(struct handler_fill *hf)
{
	struct vvm *vm = hf->handler->vm;

	vm->swap->ops->read(vm->swap, hf->handler->ring, &hf->fill.io);
}

/* ---- faults ---- */

static void pend(struct handler *h, const struct demand *d)
{
	struct demand *p = &h->pending[h->pending_count++];

	*p = *d;
	if (!p->since_us) {
		p->since_us = os_now_us();
		p->patience_us = awake_look(&h->awake, p->since_us) +
				 h->vm->conf.frame_wait_ms * 1000;
		p->fault.stat.flags = VVM_STAT_EVENT_STALLED;
		PROBE2(stall, p->fault.host, p->fault.tid);
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

/* The demanded page has arrived. */
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
	ended(h, d, verdict == FAULT_DONE);
	fill_give(hf);
}

/* self: the handler that calls, NULL: another thread. */
static void ask(struct handler *h, const struct ahead_job *job, bool stream,
		const struct handler *self)
{
	if (reader_ask(&h->reader, job, stream) && h != self)
		os_eventfd_signal(h->port->event);
}

/* Queues a stream's job with this handler and, in part, with the next. */
static void ask_two(struct handler *h, struct ahead_job *job,
		    const struct handler *self)
{
	struct vvm *vm = h->vm;
	unsigned next = (unsigned)(h - vm->handlers + 1) % vm->handler_count;
	struct ahead_job part = *job;

	if (&vm->handlers[next] != h && job->count >= 2 * SHARED_PAGES)
		part = ahead_split(job, job->count / 2);
	else
		job->count = 0;
	ask(h, &part, true, self);
	if (job->count)
		ask(&vm->handlers[next], job, true, self);
}

/* Has read what the thread of a fault will want next. */
static void read_ahead(struct handler *h, const struct fault *f)
{
	struct ahead_job job;

	if (streams_read(h->vm, h->actor, (uint64_t)f->tid, f->addr, f->host,
			 f->advice, &job))
		ask_two(h, &job, h);
}

/* A claimed demand page, by a read unless it is parked. */
static void start_read(struct handler *h, struct handler_fill *hf)
{
	struct fault fault = hf->demand.fault;

	hf->fill.start_ns = os_now_ns();
	if (fill_unpark(&hf->fill))
		filled(&hf->fill.io, 0);
	else
		fill_start(hf);
	read_ahead(h, &fault);
}

/* One fault, new or pending. False: it has to wait. */
static bool handle(struct handler *h, struct demand *d)
{
	struct handler_fill *hf = fill_take(h);

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
		if (d->fault.fresh && d->fault.write)
			streams_zeros(h->vm, h->actor, (uint64_t)d->fault.tid,
				      d->fault.host, d->fault.advice);
		break;
	case FAULT_NOFRAME:
	case FAULT_RETRY:
		fill_give(hf);
		return false;
	case FAULT_JOINED:
		if (d->fault.trigger)
			read_ahead(h, &d->fault);
		ended(h, d, false);
		break;
	case FAULT_GONE:
	case FAULT_FAILED:
		ended(h, d, false);
		break;
	}
	fill_give(hf);
	return true;
}

static bool read_port(struct handler *h, const struct port *port)
{
	struct os_fault events[EVENTS_MAX];
	uint64_t now_ns;
	bool any = false;
	int i, n;

	while (h->pending_count + EVENTS_MAX <= PENDING_MAX) {
		n = os_uffd_read(port->uffd, events, EVENTS_MAX);
		if (n <= 0)
			break;
		any = true;
		server_events(&h->server, (unsigned)n);
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

			PROBE3(fault_start, d.fault.host, d.fault.write,
			       d.fault.tid);
			if (!handle(h, &d))
				pend(h, &d);
		}
		if (n < EVENTS_MAX)
			break;
	}
	return any;
}

/* Each begins at the port of its own number, lest they meet. */
static bool read_events(struct handler *h)
{
	struct vvm *vm = h->vm;
	unsigned i, first = h->server.self;
	bool any = false;

	for (i = 0; i < vm->handler_count; i++)
		any |= read_port(h, &vm->port[(first + i) % vm->handler_count]);
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
	PROBE2(error, d->fault.stat.page, -ETIMEDOUT);
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
	uint64_t now_us = os_now_us(), awake_us = awake_look(&h->awake, now_us);
	unsigned i = 0, n = h->pending_count, kept = 0;

	for (i = 0; i < n; i++) {
		struct demand d = h->pending[i];

		if (handle(h, &d))
			continue;
		if (awake_us >= d.patience_us)
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
	uint64_t budget = atomic_load(&vm->frames.budget);
	struct ahead_job job = {
		.addr = addr,
		.stride = 1,
		.count = bytes_to_pages(end - addr),
		.most = MAX(budget / WILLNEED_SHARE, 1u),
	};

	ask(&vm->handlers[turn % vm->handler_count], &job, false, NULL);
}

void handlers_read_ahead(struct vvm *vm, struct ahead_job *job)
{
	ask_two(&vm->handlers[0], job, NULL);
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

/* The sooner of two timeouts; below 0: none. */
static int64_t sooner(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return MAX(a, b);
	return MIN(a, b);
}

/* How long to wait for the next thing to do. */
static int64_t timeout(struct handler *h, bool serves, int64_t again_us)
{
	int64_t timeout_us = sooner(next_timeout(h), again_us);

	if (serves && timeout_us && !server_is_host(&h->server))
		server_leave(&h->server);
	return timeout_us;
}

/* How long to poll before the next sleep. */
static uint64_t spin_us(const struct handler *h)
{
	uint64_t most_us = h->vm->conf.spin_us;

	return ring_inflight(h->ring) > 1 ? MIN(most_us, READING_SPIN_US)
					  : most_us;
}

/* Books a round that ended in a wait, or found something to do, or not. */
static void account(struct handler *h, bool worked, bool waited,
		    uint64_t start_ns, uint64_t wait_ns)
{
	uint64_t now_ns = os_now_ns();

	if (waited)
		server_slept(&h->server, now_ns - wait_ns);
	else if (!worked)
		server_looked(&h->server, now_ns - start_ns);
	if (!worked)
		return;
	h->spin_until_us = now_ns / 1000 + spin_us(h);
	server_adjust(&h->server, now_ns);
}

static void one_round(struct handler *h)
{
	uint64_t start_ns = os_now_ns(), wait_ns;
	bool serves = server_serves(&h->server);
	bool busy = serves && read_events(h);
	int64_t timeout_us;
	int n;

	if (h->pending_count && !retry_pending(h) && direct_reclaim(h))
		busy |= retry_pending(h);
	if (h->unfail_count)
		unfail_due(h, os_now_us());
	timeout_us = reader_work(&h->reader);
	timeout_us = busy ? 0 : timeout(h, serves, timeout_us);
	wait_ns = os_now_ns();
	n = ring_run(h->ring, timeout_us);
	if (n < 0)
		log_error("handler: waiting for completions failed (error %d)",
			  -n);
	account(h, busy || n > 0, timeout_us != 0, start_ns, wait_ns);
}

/* Stops for a fork, with nothing in flight. */
static void stop_for_fork(struct handler *h)
{
	while (ring_inflight(h->ring))
		ring_run(h->ring, -1);
	reader_settle(&h->reader);
	halt_leave(&h->vm->halt);
	halt_enter(&h->vm->halt);
}

static void *run(void *arg)
{
	struct handler *h = arg;

	h->actor->tid = (uint64_t)os_tid();
	halt_enter(&h->vm->halt);
	while (work_left(h)) {
		if (halt_wanted(&h->vm->halt))
			stop_for_fork(h);
		one_round(h);
	}
	halt_leave(&h->vm->halt);
	return NULL;
}

/* ---- construction ---- */

static int init_fills(struct handler *h)
{
	unsigned i;
	int rc = os_map_anon(pages_to_bytes(SMALL_FILLS), &h->buffers);

	if (rc < 0)
		return rc;
	for (i = 0; i < SMALL_FILLS; i++) {
		struct handler_fill *hf = &h->fills[i];

		hf->handler = h;
		hf->fill.io.done = filled;
		hf->fill.io.buf = (char *)h->buffers + pages_to_bytes(i);
		hf->fill.index = &hf->index;
		hf->fill.room = 1;
		fill_give(hf);
	}
	return 0;
}

/* The host watches all ports, a guest none: server.c. */
static int watch(struct handler *h)
{
	unsigned i, n = server_is_host(&h->server) ? h->vm->handler_count : 0;
	int rc;

	h->event_watch =
		(struct ring_watch){.fd = h->port->event, .ready = event_ready};
	rc = ring_watch(h->ring, &h->event_watch);
	for (i = 0; i < n && rc == 0; i++) {
		h->uffd_watch[i] = (struct ring_watch){
			.fd = h->vm->port[i].uffd, .ready = uffd_ready};
		rc = ring_watch(h->ring, &h->uffd_watch[i]);
	}
	return rc;
}

static int init(struct handler *h, struct vvm *vm, unsigned number)
{
	int rc;

	h->vm = vm;
	h->port = &vm->port[number];
	server_init(&h->server, vm, number);
	list_init(&h->idle);
	h->actor = stat_actor(&vm->stats, VVM_STAT_HANDLER);
	if (!h->actor)
		return -ENOMEM;
	rc = init_fills(h);
	if (rc < 0)
		return rc;
	rc = ring_open(&h->ring, SMALL_FILLS + READER_READS + DIRECT_WRITES,
		       (enum ring_engine)vm->conf.io);
	if (rc == 0)
		rc = reader_init(&h->reader, vm, h->actor, h->ring,
				 atomic_load(&vm->frames.budget) / READ_SHARE /
					 vm->handler_count);
	if (rc < 0)
		return rc;
	rc = watch(h);
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
	reader_fini(&h->reader);
	if (h->buffers)
		os_unmap((haddr_t)(uintptr_t)h->buffers,
			 pages_to_bytes(SMALL_FILLS));
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

void handlers_abandon(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		fini(&vm->handlers[i]);
	free(vm->handlers);
	vm->handlers = NULL;
}

/*
 * Never close a userfaultfd with a thread blocked on it: that thread would
 * read zeros. The regions are gone, so whoever is woken here finds no mapping.
 */
static void wake_all(struct vvm *vm)
{
	unsigned i;

	for (i = 0; i < vm->handler_count; i++)
		os_uffd_wake(vm->port[i].uffd, PAGE_BYTES,
			     ((haddr_t)1 << 47) - 2 * PAGE_BYTES);
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
	}
	wake_all(vm);
	handlers_abandon(vm);
}
