/* SPDX-License-Identifier: MIT */
/*
 * fault/demand.c - the faults that one handler has taken on.
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
 * frame_wait_ms, not counting time in which the process was stopped (util/awake.h),
 * fails: its thread gets SIGBUS, everybody else goes on. The poison that
 * delivers the SIGBUS is removed UNFAIL_US later. A fault that finds no idle
 * fill is pending as well, but not impatient: those before it wait for the
 * disk for as long as it takes. Nor is any while the disk is stalled: whether
 * there will be frames is not known then.
 *
 * A demand fault uses a small fill, one page. What is to be read ahead of it is
 * for the handler to say (read_ahead).
 *
 * Nothing here calls malloc, logs through stdio or touches guest memory (the
 * application may hold its malloc lock while it waits for us).
 */
#include "fault/demand.h"

#include <errno.h>

#include "util/log.h"
#include "util/probe.h"
#include "fill/streams.h"

#define EVENTS_MAX	32    /* read by one system call */
#define UNFAIL_US	20000 /* a woken thread has run by then */
#define DIRECT_STEPS	4     /* reclaim steps per round when starving */
#define DIRECT_TARGET	32    /* frames per step */
#define DIRECT_ROOM	16    /* pages in DEMAND_WRITES write-backs */
#define PENDING_POLL_US 500   /* between rounds while faults are pending */

/* ---- fills ---- */

static struct demand_fill *fill_take(struct demands *ds)
{
	struct list *node = list_pop(&ds->idle);

	return node ? list_entry(node, struct demand_fill, link) : NULL;
}

static void fill_give(struct demand_fill *df)
{
	list_insert(&df->demands->idle, &df->link);
}

static void fill_start(struct demand_fill *df)
{
	struct vvm *vm = df->demands->vm;

	vm->swap->ops->read(vm->swap, df->demands->ring, &df->fill.io);
}

/* ---- faults ---- */

/* Until when to wait for a frame, from now on. */
static uint64_t patience(const struct demands *ds, uint64_t awake_us)
{
	return awake_us + ds->vm->conf.frame_wait_ms * 1000;
}

static void pend(struct demands *ds, const struct demand *d)
{
	struct demand *p = &ds->pending[ds->pending_count++];

	*p = *d;
	if (!p->since_us) {
		p->since_us = os_now_us();
		p->patience_us =
			patience(ds, awake_look(&ds->awake, p->since_us));
		p->fault.stat.flags = VVM_STAT_EVENT_STALLED;
		PROBE2(stall, p->fault.host, p->fault.tid);
		stat_add(ds->actor, VVM_STAT_stalls, 1);
		stat_add(ds->actor, VVM_STAT_waiting_faults, 1);
	}
	atomic_fetch_add(&ds->vm->frames.wanted, 1);
	atomic_store(&ds->port->starving, true);
	space_kick_reclaim(ds->vm);
}

/* The fault is over: it does not wait any more, whatever came of it. */
static void ended(struct demands *ds, const struct demand *d, bool good)
{
	const struct stat_fault *f = &d->fault.stat;

	if (good)
		stat_resolved(&ds->vm->stats, ds->actor, f, os_now_ns());
	else
		stat_event(&ds->vm->stats, ds->actor, f, os_now_ns());
	if (d->since_us)
		stat_add(ds->actor, VVM_STAT_stall_us,
			 (int64_t)(os_now_us() - d->since_us));
}

/* The demanded page has arrived. */
static void filled(struct io *io, int result)
{
	struct demand_fill *df = container_of(io, struct demand_fill, fill.io);
	struct demands *ds = df->demands;
	struct demand *d = &df->demand;
	enum fault_result verdict = fill_install(&df->fill, ds->actor, result);

	d->fault.stat.at.looked_ns = df->fill.start_ns;
	d->fault.stat.at.read_ns = df->fill.done_ns;
	if (verdict == FAULT_FAILED) {
		fault_fail(ds->vm, d->fault.host, d->fault.tid);
		d->fault.stat.flags |= VVM_STAT_EVENT_KIND;
		d->fault.stat.flags ^=
			VVM_STAT_EVENT_KIND ^ VVM_STAT_KIND_failed;
	}
	/* Else not done: given up, and woken to ask again. */
	ended(ds, d, verdict == FAULT_DONE);
	fill_give(df);
}

/* A claimed demand page, by a read unless it is parked. */
static void start_read(struct demands *ds, struct demand_fill *df)
{
	struct fault fault = df->demand.fault;

	df->fill.start_ns = os_now_ns();
	if (fill_unpark(&df->fill))
		filled(&df->fill.io, 0);
	else
		fill_start(df);
	ds->read_ahead(ds, &fault);
}

/* One fault, new or pending. False: it has to wait. */
static bool handle(struct demands *ds, struct demand *d)
{
	struct demand_fill *df = fill_take(ds);

	if (!df)
		return false;
	d->fault.stat.at.begin_ns = os_now_ns();
	switch (fault_begin(ds->vm, ds->actor, &d->fault, &df->fill)) {
	case FAULT_READ:
		df->demand = *d;
		start_read(ds, df);
		return true;
	case FAULT_DONE:
		ended(ds, d, true);
		if (d->fault.fresh)
			streams_zeros(ds->vm, ds->actor, (uint64_t)d->fault.tid,
				      d->fault.host, d->fault.advice);
		break;
	case FAULT_NOFRAME:
	case FAULT_RETRY:
		fill_give(df);
		return false;
	case FAULT_JOINED:
		if (d->fault.trigger)
			ds->read_ahead(ds, &d->fault);
		ended(ds, d, false);
		break;
	case FAULT_GONE:
	case FAULT_FAILED:
		ended(ds, d, false);
		break;
	}
	fill_give(df);
	return true;
}

static void take_on(struct demands *ds, const struct os_fault *event,
		    uint64_t now_ns)
{
	struct demand d = {
		.fault.host = page_floor(event->addr),
		.fault.write = event->write || event->protect,
		.fault.tid = event->tid,
		.fault.stat.tid = event->tid,
		.fault.stat.at.start_ns = now_ns,
	};

	PROBE3(fault_start, d.fault.host, d.fault.write, d.fault.tid);
	if (!handle(ds, &d))
		pend(ds, &d);
}

unsigned demands_read(struct demands *ds, const struct port *port)
{
	struct os_fault events[EVENTS_MAX];
	unsigned count = 0;
	uint64_t now_ns;
	int i, n;

	while (ds->pending_count + EVENTS_MAX <= DEMAND_PENDING) {
		n = os_uffd_read(port->uffd, events, EVENTS_MAX);
		if (n <= 0)
			break;
		count += (unsigned)n;
		now_ns = os_now_ns();
		for (i = 0; i < n; i++)
			take_on(ds, &events[i], now_ns);
		if (n < EVENTS_MAX)
			break;
	}
	return count;
}

/* ---- faults that wait for a frame ---- */

static void unfail_due(struct demands *ds, uint64_t now_us)
{
	unsigned i = 0;

	while (i < ds->unfail_count) {
		if (ds->unfail[i].due_us > now_us) {
			i++;
			continue;
		}
		fault_unfail(ds->vm, ds->unfail[i].host);
		ds->unfail[i] = ds->unfail[--ds->unfail_count];
	}
}

/* The fault has waited too long: only this access fails. */
static void give_up(struct demands *ds, struct demand *d, uint64_t now_us)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;

	log_warn_once(&once,
		      "no free frame within frame_wait_ms: swap is full, "
		      "failing, or all is pinned; the access gets SIGBUS");
	fault_lost(ds->vm, ds->actor, &d->fault);
	ended(ds, d, false);
	PROBE2(error, d->fault.stat.page, -ETIMEDOUT);
	stat_add(ds->actor, VVM_STAT_frame_timeouts, 1);
	if (ds->unfail_count == DEMAND_UNFAILS)
		unfail_due(ds, UINT64_MAX);
	if (fault_fail(ds->vm, d->fault.host, d->fault.tid))
		ds->unfail[ds->unfail_count++] = (struct unfail){
			.host = d->fault.host, .due_us = now_us + UNFAIL_US};
}

/* Tries the pending faults again; true when any left the array. */
static bool retry_pending(struct demands *ds)
{
	uint64_t now_us = os_now_us(),
		 awake_us = awake_look(&ds->awake, now_us);
	unsigned i = 0, n = ds->pending_count, kept = 0;

	for (i = 0; i < n; i++) {
		struct demand d = ds->pending[i];

		if (handle(ds, &d))
			continue;
		if (list_empty(&ds->idle) ||
		    backing_stalled(ds->vm->swap, now_us)) {
			d.patience_us = patience(ds, awake_us);
		} else if (awake_us >= d.patience_us) {
			give_up(ds, &d, now_us);
			continue;
		}
		ds->pending[kept++] = d;
	}
	ds->pending_count = kept;
	atomic_fetch_sub(&ds->vm->frames.wanted, n - kept);
	stat_add(ds->actor, VVM_STAT_waiting_faults, -(int64_t)(n - kept));
	if (!kept)
		atomic_store(&ds->port->starving, false);
	return kept < n;
}

/* Reclaims with our own hands; true when that may have helped. */
static bool direct_reclaim(struct demands *ds)
{
	unsigned i;

	for (i = 0; i < DIRECT_STEPS; i++) {
		stat_add(ds->actor, VVM_STAT_reclaim_direct_steps, 1);
		switch (evict_step(&ds->evictor, DIRECT_TARGET)) {
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

bool demands_go_on(struct demands *ds)
{
	bool any = false;

	if (ds->pending_count) {
		any = retry_pending(ds);
		if (!any && direct_reclaim(ds))
			any = retry_pending(ds);
	}
	if (ds->unfail_count)
		unfail_due(ds, os_now_us());
	return any;
}

int64_t demands_again_us(const struct demands *ds)
{
	if (ds->pending_count)
		return PENDING_POLL_US;
	return ds->unfail_count ? UNFAIL_US : -1;
}

/* ---- construction ---- */

static int init_fills(struct demands *ds)
{
	unsigned i;
	int rc = os_map_anon(pages_to_bytes(DEMAND_FILLS), &ds->buffers);

	if (rc < 0)
		return rc;
	for (i = 0; i < DEMAND_FILLS; i++) {
		struct demand_fill *df = &ds->fills[i];

		df->demands = ds;
		df->fill.io.done = filled;
		df->fill.io.buf = (char *)ds->buffers + pages_to_bytes(i);
		df->fill.index = &df->index;
		df->fill.room = 1;
		fill_give(df);
	}
	return 0;
}

int demands_init(struct demands *ds)
{
	int rc;

	list_init(&ds->idle);
	rc = init_fills(ds);
	if (rc < 0)
		return rc;
	return evict_init(&ds->evictor, ds->vm, ds->actor, ds->ring,
			  DEMAND_WRITES, DIRECT_ROOM);
}

void demands_fini(struct demands *ds)
{
	evict_fini(&ds->evictor);
	if (ds->buffers)
		os_unmap((haddr_t)(uintptr_t)ds->buffers,
			 pages_to_bytes(DEMAND_FILLS));
}
