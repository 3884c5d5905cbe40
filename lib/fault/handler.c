/* SPDX-License-Identifier: MIT */
/*
 * fault/handler.c - fault handler threads.
 *
 * Each handler has a ring and one loop in which everything is a completion:
 * fault events, reads from swap, writes of direct reclaim, wake-ups from other
 * threads. So one handler keeps many reads in flight, and nothing in the loop
 * waits for a single one.
 *
 * Faults: fault/demand.c, one struct demands a handler.
 *
 * Reading ahead. What is to be read ahead of a fault (fill/streams.c) is a job
 * for the handler's reader (fill/reader.c), which is called in every round.
 * Installing what was read costs 2 to 3 us a page, more than the disk takes for
 * it, so large jobs are shared with another handler.
 *
 * Sleeping. Handing a fault to a sleeping handler on another CPU costs 28 us,
 * so after work a handler polls for spin_us before it sleeps. An idle space
 * therefore costs nothing, a busy one few wake-ups. How many handlers do this,
 * and which: fault/crew.c. A helper polls for HELPER_SPINS times spin_us.
 *
 * Nothing in the loop calls malloc, logs through stdio or touches guest memory
 * (the application may hold its malloc lock while it waits for us).
 *
 * The end. A process that is killed while another one is in a fault on its memory
 * (process_vm_writev(2), a debugger) lets go of that one when its userfaultfds
 * are closed. A ring that polls one keeps it open, and the ring lives as long as
 * the memory that it is mapped in, which the other one uses. So it polls an epoll
 * descriptor, which keeps nothing open.
 *
 * Rejected (figures: MEASURED.md, "Handlers"): polling for 20 us only while
 * several reads are in flight; one poller for a space while the others sleep;
 * sleeping until two or three completions are there; not polling after a lone
 * read (half the CPU, but 0.70 of the speed beside other work; spin_us = 0 is
 * for those who want that); waking the thread before its page is there; a
 * SCHED_IDLE thread that keeps the CPU of a waiting thread from halting; a
 * handler that sleeps on the CPU of the one thread that faults (the scheduler
 * moves the thread away).
 */
#include "fault/handler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault/demand.h"
#include "util/log.h"
#include "fill/reader.h"
#include "space/life.h"
#include "os/ring.h"
#include "fault/crew.h"

#define WILLNEED_SHARE 2  /* one WILLNEED reads at most 1/2 of the budget */
#define SHARED_PAGES   64 /* the least of a job that a handler gets */
#define READ_SHARE     8  /* buffers of all readers: 1/8 of the budget */
#define HELPER_SPINS   10u
#define ERROR_US       1000
#define BROKEN_US      20000
#define FORK_LOOK_US   20000 /* does the fork still wait for us? */

struct handler {
	struct vvm *vm;
	struct port *port; /* of our number */
	struct vvm_stat_actor *actor;
	struct ring *ring;
	struct crew crew;
	int epoll; /* the leader's, of all userfaultfds; or -1 */
	struct ring_watch uffd_watch;
	struct ring_watch event_watch;
	struct demands demands;
	struct reader reader;
	struct life *life;
	uint64_t looked_us; /* at our faults: do they get on? */
	pthread_t thread;
	bool started;
	uint64_t spin_until_us;
};

/* ---- reading ahead ---- */

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

/* Has read what our faults said, in their order. */
static void read_ahead(struct handler *h)
{
	struct demands *ds = &h->demands;
	unsigned i;

	for (i = 0; i < ds->ahead_count; i++)
		ask_two(h, &ds->ahead[i], h);
	ds->ahead_count = 0;
}

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

/* Each begins at the port of its own number, lest they meet. */
static bool read_events(struct handler *h)
{
	struct vvm *vm = h->vm;
	unsigned i, n = 0, first = h->crew.self;
	unsigned inflight = ring_inflight(h->ring);

	if (space_is_guarded(vm))
		return false;
	for (i = 0; i < vm->handler_count; i++)
		n += demands_read(&h->demands,
				  &vm->port[(first + i) % vm->handler_count]);
	crew_events(&h->crew, n, inflight);
	return n > 0;
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
	if (!atomic_load(&h->vm->stopping) || ring_inflight(h->ring))
		return true;
	return h->demands.pending_count && !space_broken(h->vm);
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
	int64_t timeout_us = sooner(demands_again_us(&h->demands), again_us);

	if (!h->demands.pending_count && os_now_us() < h->spin_until_us)
		return 0;
	if (serves && timeout_us && !crew_is_leader(&h->crew))
		crew_leave(&h->crew);
	if (ring_inflight(h->ring))
		return sooner(timeout_us, LIFE_LOOK_US);
	if (timeout_us < 0)
		life_sleeps(h->life);
	return timeout_us;
}

/*
 * How long to poll before the next sleep. To a helper that is the end of its
 * visit, and another invitation is a wake-up: it is patient.
 */
static uint64_t spin_us(const struct handler *h)
{
	uint64_t most_us = h->vm->conf.spin_us;

	if (!crew_is_leader(&h->crew) && crew_serves(&h->crew))
		return most_us * HELPER_SPINS;
	return most_us;
}

/* Books a round that ended in a wait, or found something to do, or not. */
static void account(struct handler *h, bool worked, bool waited,
		    uint64_t start_ns, uint64_t wait_ns)
{
	uint64_t now_ns = os_now_ns();

	if (waited)
		crew_slept(&h->crew, now_ns - wait_ns);
	else if (!worked)
		crew_looked(&h->crew, now_ns - start_ns);
	if (!worked)
		return;
	h->spin_until_us = now_ns / 1000 + spin_us(h);
	crew_adjust(&h->crew, now_ns);
}

/* Nothing is lost by it, but it must not become a loop that does nothing else. */
static void wait_failed(int error)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;

	log_warn_once(&once,
		      "handler: waiting for completions failed (error %d)",
		      -error);
	os_sleep_us(ERROR_US);
}

/* Says so if the oldest fault does not get on: space/life.c. */
static void look_at_faults(struct handler *h, uint64_t now_us)
{
	const struct fault *f;
	uint64_t start_ns;

	if (now_us - h->looked_us < LIFE_LOOK_US)
		return;
	h->looked_us = now_us;
	f = demands_oldest(&h->demands);
	start_ns = f ? f->stat.at.start_ns : 0;
	if (!life_stalls(h->life, start_ns, now_us) || !f)
		return;
	if (f->last == FAULT_READ && f->io.home->slow)
		life_report(h->life, VVM_STAT_STALL_pager, start_ns / 1000, 0);
	else if (f->last == FAULT_READ)
		life_report(h->life, VVM_STAT_STALL_read, start_ns / 1000,
			    f->io.slot);
	else
		life_report(h->life, VVM_STAT_STALL_frame, start_ns / 1000, 0);
}

/* Events are of no use any more; the guard wakes those who wait. */
static void broken_round(struct handler *h)
{
	os_sleep_us(BROKEN_US);
	ring_run(h->ring, 0);
}

static void one_round(struct handler *h)
{
	uint64_t start_ns = os_now_ns(), wait_ns;
	bool serves = crew_serves(&h->crew), busy;
	int64_t timeout_us;
	int n;

	life_works(h->life, start_ns / 1000);
	busy = serves && read_events(h);
	look_at_faults(h, start_ns / 1000);
	busy |= demands_go_on(&h->demands);
	read_ahead(h);
	timeout_us = reader_work(&h->reader);
	timeout_us = busy ? 0 : timeout(h, serves, timeout_us);
	wait_ns = os_now_ns();
	n = ring_run(h->ring, timeout_us);
	if (n < 0)
		wait_failed(n);
	account(h, busy || n > 0, timeout_us != 0, start_ns, wait_ns);
}

/* Stops for a fork, with nothing in flight. It may not wait for that. */
static void stop_for_fork(struct handler *h)
{
	while (ring_inflight(h->ring)) {
		if (!pause_wanted(&h->vm->pause))
			return;
		ring_run(h->ring, FORK_LOOK_US);
	}
	reader_drain(&h->reader);
	pause_leave(&h->vm->pause);
	pause_enter(&h->vm->pause);
}

static void *run(void *arg)
{
	struct handler *h = arg;

	h->life = life_begin(h->vm, h->crew.self, "handler", h->actor, h->ring);
	pause_enter(&h->vm->pause);
	while (work_left(h)) {
		if (pause_wanted(&h->vm->pause))
			stop_for_fork(h);
		if (space_broken(h->vm))
			broken_round(h);
		else
			one_round(h);
	}
	pause_leave(&h->vm->pause);
	life_end(h->life);
	return NULL;
}

/* ---- construction ---- */

static int watch_faults(struct handler *h)
{
	int rc = os_epoll(&h->epoll);
	unsigned i;

	for (i = 0; i < h->vm->handler_count && rc == 0; i++)
		rc = os_epoll_add(h->epoll, h->vm->port[i].uffd);
	h->uffd_watch =
		(struct ring_watch){.fd = h->epoll, .ready = uffd_ready};
	return rc < 0 ? rc : ring_watch(h->ring, &h->uffd_watch);
}

/* The leader watches all ports, a helper none: fault/crew.c. */
static int watch(struct handler *h)
{
	int rc;

	h->event_watch =
		(struct ring_watch){.fd = h->port->event, .ready = event_ready};
	rc = ring_watch(h->ring, &h->event_watch);
	if (rc == 0)
		ring_wake_by(h->ring, h->port->event);
	if (rc == 0 && crew_is_leader(&h->crew) && !space_is_guarded(h->vm))
		rc = watch_faults(h);
	return rc;
}

static int init(struct handler *h, struct vvm *vm, unsigned number)
{
	int rc;

	h->vm = vm;
	h->epoll = -1;
	h->port = &vm->port[number];
	crew_init(&h->crew, vm, number);
	h->actor = stat_actor(&vm->stats, VVM_STAT_HANDLER);
	if (!h->actor)
		return -ENOMEM;
	rc = ring_open(&h->ring, DEMAND_READS + READER_READS + DEMAND_WRITES,
		       vm->conf.io);
	if (rc < 0)
		return rc;
	rc = reader_init(&h->reader, vm, h->actor, h->ring,
			 atomic_load(&vm->frames.budget) / READ_SHARE /
				 vm->handler_count);
	if (rc == 0)
		rc = watch(h);
	if (rc < 0)
		return rc;
	h->demands.vm = vm;
	h->demands.port = h->port;
	h->demands.actor = h->actor;
	h->demands.ring = h->ring;
	return demands_init(&h->demands);
}

static void fini(struct handler *h)
{
	if (!h->vm)
		return;
	demands_fini(&h->demands);
	if (h->ring && space_broken(h->vm))
		ring_abandon(h->ring); /* of a dead one: something in flight */
	else if (h->ring)
		ring_close(h->ring);
	if (h->epoll >= 0)
		os_close(h->epoll);
	reader_fini(&h->reader);
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
			 ring_engine(vm->handlers[0].ring) == VVM_IO_URING);
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

void handlers_shed(struct vvm *vm)
{
	unsigned i;

	for (i = 0; vm->handlers && i < vm->handler_count; i++) {
		ring_abandon(vm->handlers[i].ring);
		if (vm->handlers[i].epoll >= 0)
			os_close(vm->handlers[i].epoll);
	}
	vm->handlers = NULL;
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
	space_wake_all(vm);
	handlers_abandon(vm);
}
