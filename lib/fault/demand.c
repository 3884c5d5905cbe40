/* SPDX-License-Identifier: MIT */
/*
 * fault/demand.c - the faults that one handler has taken on.
 *
 *	   events ----> fault_run --+-- resolved
 *	                 ^          +-- read --> ring --> fault_install
 *	                 |          +-- no frame: pending
 *	   frames free --+----------------------------'
 *
 * Pending. A fault that finds no free frame is tried again when frames come
 * free (space_give_frames() signals the starving), or after DIRECT_STEPS steps
 * of reclaim of our own. When too many are pending we read no more events: they
 * wait in the kernel. A fault that waited longer than frame_wait_ms, not
 * counting time in which the process was stopped (util/awake.h), fails: its
 * thread gets SIGBUS, everybody else goes on. So does one for which there is no
 * memory for the page table, after NOMEM_WAIT_US. The poison that delivers the
 * SIGBUS is removed UNFAIL_US later. A fault that finds no idle buffer is
 * pending as well, but its time does not run: those before it wait for the disk
 * for as long as it takes. Nor does anybody's time run while the disk is
 * stalled: whether there will be frames is not known then. A page that was read
 * but that the kernel has no memory to install is read again, as if it had
 * found no frame.
 *
 * Crowded. A slow backing is code of the program, which may take any time. At most
 * DEMAND_SLOW reads of such are in flight, lest they have all buffers. Who comes
 * then is forgotten, asleep in the kernel: when one of them ends all that wait in
 * that range are woken, and fault again. A thread that runs such code must not
 * wait for a page, since the page may be waiting for it: it is refused.
 *
 * A fault reads one page. What is to be read ahead of it is left in `ahead`,
 * for the handler to take away.
 *
 * Nothing here calls malloc, logs through stdio or touches guest memory (the
 * application may hold its malloc lock while it waits for us).
 */
#include "fault/demand.h"

#include <errno.h>

#include "util/log.h"
#include "util/probe.h"
#include "fill/streams.h"

#define EVENTS_MAX	32     /* read by one system call */
#define UNFAIL_US	20000  /* a woken thread has run by then */
#define DIRECT_STEPS	4      /* reclaim steps per round when starving */
#define DIRECT_TARGET	32     /* frames per step */
#define DIRECT_ROOM	16     /* pages in DEMAND_WRITES write-backs */
#define PENDING_POLL_US 500    /* between rounds while faults are pending */
#define NOMEM_WAIT_US	100000 /* for memory of the page table */
#define REFUSALS	10     /* of an access, until a marker ends it */

/* ---- what a fault borrows ---- */

static struct fault *fault_take(struct demands *ds)
{
	struct list *node = list_pop(&ds->idle);

	ASSERT(node); /* DEMAND_FAULTS */
	return list_entry(node, struct fault, link);
}

static void buffer_give(struct fault *f)
{
	f->demands->buffer[f->demands->buffer_count++] = f->io.buf;
}

static void fault_give(struct fault *f)
{
	f->stat.at.start_ns = 0;		      /* for demands_oldest() */
	list_insert(f->demands->idle.next, &f->link); /* used next */
}

/* The fault is over, and so is this object's use. */
static void release(struct fault *f)
{
	buffer_give(f);
	fault_give(f);
}

/* ---- faults ---- */

/* Until when to wait for a frame, from now on. */
static uint64_t patience(const struct demands *ds, uint64_t awake_us)
{
	return awake_us + ds->vm->conf.frame_wait_ms * 1000;
}

/* A fault begins to wait. */
static void stall(struct demands *ds, struct fault *f)
{
	f->since_us = os_now_us();
	f->patience_us = patience(ds, awake_look(&ds->awake, f->since_us));
	f->stat.flags |= VVM_STAT_EVENT_STALLED | VVM_STAT_EVENT_WAITED;
	PROBE2(stall, f->host, f->stat.tid);
	stat_add(ds->actor, VVM_STAT_stalls, 1);
}

/* A fault has to wait, or to wait on. */
static void pend(struct demands *ds, struct fault *f)
{
	if (!f->since_us)
		stall(ds, f);
	list_insert(&ds->pending, &f->link);
	ds->pending_count++;
	stat_add(ds->actor, VVM_STAT_waiting_faults, 1);
	atomic_fetch_add(&ds->vm->frames.wanted, 1);
	atomic_store(&ds->port->starving, true);
	space_kick_reclaim(ds->vm);
}

/* It does not wait any more, whatever came of it. */
static void ended(struct fault *f, bool good)
{
	struct demands *ds = f->demands;

	if (good)
		stat_resolved(&ds->vm->stats, ds->actor, &f->stat, os_now_ns());
	else
		stat_event(&ds->vm->stats, ds->actor, &f->stat, os_now_ns());
	if (f->since_us)
		stat_add(ds->actor, VVM_STAT_stall_us,
			 (int64_t)(os_now_us() - f->since_us));
}

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

/* Before something fails that is to be undone. */
static void undo_room(struct demands *ds)
{
	if (ds->unfail_count == DEMAND_UNFAILS)
		unfail_due(ds, UINT64_MAX);
}

static void undo_later(struct demands *ds, haddr_t host, uint64_t now_us)
{
	ds->unfail[ds->unfail_count++] =
		(struct unfail){.host = host, .due_us = now_us + UNFAIL_US};
}

/* The fault has waited too long: only this access fails. */
static void fail_access(struct fault *f, uint64_t now_us)
{
	struct demands *ds = f->demands;

	fault_explain(f);
	fault_count_lost(f);
	ended(f, false);
	PROBE2(error, f->stat.page, -ETIMEDOUT);
	stat_add(ds->actor, VVM_STAT_frame_timeouts, 1);
	undo_room(ds);
	if (fault_fail(f))
		undo_later(ds, f->host, now_us);
	fault_give(f);
}

/* What was read could not be installed: it is read again, in time. */
static void try_again(struct fault *f)
{
	struct demands *ds = f->demands;
	uint64_t now_us = os_now_us();

	f->last = FAULT_RETRY;
	buffer_give(f);
	if (f->since_us && awake_look(&ds->awake, now_us) >= f->patience_us)
		fail_access(f, now_us);
	else
		pend(ds, f);
}

/*
 * The page has arrived, or failed, or was given up: the thread asks again.
 * False: f is in use on.
 */
static bool filled(struct fault *f, int result)
{
	enum fault_result verdict = fault_install(f, result);

	if (verdict == FAULT_RETRY) {
		try_again(f);
		return false;
	}
	if (verdict == FAULT_FAILED)
		fault_fail(f);
	ended(f, verdict == FAULT_DONE);
	return true;
}

/* The thread sleeps until a slow read of ours has ended: there is one. */
static void park(struct fault *f)
{
	struct demands *ds = f->demands;

	ds->park_start = MIN(ds->park_start, f->host);
	ds->park_end = MAX(ds->park_end, f->host + PAGE_BYTES);
}

static void unpark(struct demands *ds)
{
	unsigned i;

	for (i = 0; ds->park_end && i < ds->vm->handler_count; i++)
		os_uffd_wake(ds->vm->port[i].uffd, ds->park_start,
			     ds->park_end - ds->park_start);
	ds->park_start = UINT64_MAX;
	ds->park_end = 0;
}

static void read_done(struct io *io, int result)
{
	struct fault *f = container_of(io, struct fault, io);

	if (io->home->slow) {
		f->demands->slow_reads--;
		unpark(f->demands);
	}
	if (filled(f, result))
		release(f);
}

/* Leaves what is to be read ahead of the fault to the handler. */
static void note_ahead(struct fault *f)
{
	struct demands *ds = f->demands;

	if (ds->ahead_count < DEMAND_AHEAD &&
	    fault_ahead(f, &ds->ahead[ds->ahead_count]))
		ds->ahead_count++;
}

/* A claimed page, by a read unless it is on standby or in memory. */
static void start_read(struct fault *f)
{
	bool over;

	if (fault_from_standby(f) || fault_from_memory(f)) {
		over = filled(f, 0);
		note_ahead(f);
		if (over)
			release(f);
		return;
	}
	note_ahead(f);
	f->stat.flags |= VVM_STAT_EVENT_WAITED;
	if (f->io.home->slow)
		f->demands->slow_reads++;
	io_read(&f->io, f->demands->ring);
}

/* A handler does not wait: it goes on with the fault when it can. */
static bool handler_wait(struct fault *f, enum fault_result result)
{
	switch (result) {
	case FAULT_READ:
		start_read(f);
		return false;
	case FAULT_NOFRAME:
	case FAULT_RETRY:
	case FAULT_NOMEM:
		return false; /* it is pending */
	case FAULT_DONE:
		if (!f->told)
			os_uffd_wake(f->uffd, f->host, PAGE_BYTES);
		ended(f, true);
		if (f->state == PAGE_FRESH)
			streams_zeros(f->vm, f->actor, f->thread, f->host,
				      f->advice);
		break;
	case FAULT_JOINED:
		f->stat.flags |= VVM_STAT_EVENT_WAITED; /* it will */
		if (f->trigger)
			note_ahead(f);
		ended(f, false);
		break;
	case FAULT_FAILED:
		fault_fail(f);
		ended(f, false);
		break;
	case FAULT_CROWDED:
		park(f);
		break;
	case FAULT_GONE:
	case FAULT_REFUSED:
		fault_count_lost(f);
		fault_wake(f->vm, f->host);
		ended(f, false);
		break;
	}
	release(f);
	return false;
}

/* ---- slow backings ---- */

static bool crowded(const struct fault *f, const struct backing *home)
{
	return home->slow && f->demands->slow_reads >= DEMAND_SLOW;
}

static const struct fault_mode handler_mode = {
	.counts = true,
	.keeps = true,
	.crowded = crowded,
	.wait = handler_wait,
};

/* ---- the look ---- */

/* Looks at a fault, new or pending. False: it has to wait. */
static bool handle(struct fault *f)
{
	struct demands *ds = f->demands;

	if (!ds->buffer_count)
		return false;
	f->io.buf = ds->buffer[--ds->buffer_count];
	f->stat.at.begin_ns = os_now_ns();
	switch (fault_run(f)) {
	case FAULT_NOFRAME:
	case FAULT_RETRY:
	case FAULT_NOMEM:
		buffer_give(f);
		return false;
	default:
		return true;
	}
}

/* How often, without a pause, has this access come back? */
static unsigned refusals(struct demands *ds, const struct fault *f,
			 uint64_t now_ns)
{
	if (ds->refused_tid != f->stat.tid || ds->refused_host != f->host ||
	    now_ns - ds->refused_ns > UNFAIL_US * 1000ull)
		ds->refusals = 0;
	ds->refused_tid = f->stat.tid;
	ds->refused_host = f->host;
	ds->refused_ns = now_ns;
	return ds->refusals++;
}

/* Of a thread that runs a pager's code. False: it may have the page. */
static bool refuse(struct demands *ds, struct fault *f, uint64_t now_ns)
{
	bool undo;

	undo_room(ds);
	if (!fault_refuse(f, refusals(ds, f, now_ns) > REFUSALS, &undo))
		return false;
	if (undo)
		undo_later(ds, f->host, now_ns / 1000);
	pagers_refuse(f->stat.tid, f->host);
	fault_count_lost(f);
	ended(f, false);
	fault_give(f);
	return true;
}

static void take_on(struct demands *ds, const struct os_fault *event,
		    uint64_t now_ns)
{
	struct fault *f = fault_take(ds);

	f->host = page_floor(event->addr);
	f->write = event->write || event->protect;
	f->thread = (uint64_t)event->tid;
	f->stat = (struct stat_fault){.tid = event->tid, .at.start_ns = now_ns};
	f->counted = false;
	f->since_us = 0;
	PROBE3(fault_start, f->host, f->write, f->stat.tid);
	if (unlikely(pagers_have(&ds->vm->pagers, event->tid)) &&
	    refuse(ds, f, now_ns))
		return;
	if (f->write && event->tid)
		grips_fault(&f->vm->grips, event->tid, event->addr,
			    atomic_load(&f->vm->frames.budget));
	if (!handle(f))
		pend(ds, f);
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

/* Time does not help against a limit; it may against a moment's lack. */
static bool out_of_memory(const struct fault *f, uint64_t now_us)
{
	return f->last == FAULT_NOMEM && now_us - f->since_us >= NOMEM_WAIT_US;
}

/* Tries the pending faults again; true when any went away. */
static bool retry_pending(struct demands *ds)
{
	uint64_t now_us = os_now_us(),
		 awake_us = awake_look(&ds->awake, now_us);
	unsigned i, n = ds->pending_count, kept = 0;

	for (i = 0; i < n; i++) {
		struct list *node = list_pop(&ds->pending);
		struct fault *f = list_entry(node, struct fault, link);

		ASSERT(node);
		if (handle(f))
			continue;
		if (!ds->buffer_count || space_stalled(ds->vm, now_us)) {
			f->patience_us = patience(ds, awake_us);
		} else if (awake_us >= f->patience_us ||
			   out_of_memory(f, now_us)) {
			fail_access(f, now_us);
			continue;
		}
		list_insert(&ds->pending, &f->link); /* the last */
		kept++;
	}
	ds->pending_count -= n - kept;
	atomic_fetch_sub(&ds->vm->frames.wanted, n - kept);
	stat_add(ds->actor, VVM_STAT_waiting_faults, -(int64_t)(n - kept));
	if (!ds->pending_count)
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

const struct fault *demands_oldest(const struct demands *ds)
{
	const struct fault *f, *oldest = NULL;

	for (f = ds->fault; f < ds->fault + DEMAND_FAULTS; f++)
		if (f->stat.at.start_ns &&
		    (!oldest || f->stat.at.start_ns < oldest->stat.at.start_ns))
			oldest = f;
	return oldest;
}

/* ---- construction ---- */

static int init_buffers(struct demands *ds)
{
	unsigned i;
	int rc = os_map_anon(pages_to_bytes(DEMAND_READS), &ds->buffers);

	if (rc < 0)
		return rc;
	for (i = 0; i < DEMAND_READS; i++)
		ds->buffer[i] = (char *)ds->buffers + pages_to_bytes(i);
	ds->buffer_count = DEMAND_READS;
	return 0;
}

static void init_faults(struct demands *ds)
{
	unsigned i;

	ds->park_start = UINT64_MAX;
	list_init(&ds->idle);
	list_init(&ds->pending);
	for (i = 0; i < DEMAND_FAULTS; i++) {
		struct fault *f = &ds->fault[i];

		f->mode = &handler_mode;
		f->vm = ds->vm;
		f->actor = ds->actor;
		f->demands = ds;
		f->io.done = read_done;
		list_insert(&ds->idle, &f->link);
	}
}

int demands_init(struct demands *ds)
{
	int rc;

	init_faults(ds);
	rc = init_buffers(ds);
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
			 pages_to_bytes(DEMAND_READS));
}
