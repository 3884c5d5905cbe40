/* SPDX-License-Identifier: MIT */
/*
 * swap/pager.c - code of the program as the backing of a region.
 *
 * A transfer is a *request*: part of its struct io, so nothing is allocated. It
 * goes through
 *
 *	QUEUED	in `queue`, until a thread of the pager's takes it
 *	OUT	the program has it: in a callback, or later
 *	over	its result is posted to the ring that asked, or who waits in
 *		place is woken
 *
 * A callback that is done with its request says so by what it returns; or it
 * returns VVM_PAGER_LATER, and any thread ends the request by vvm_pager_end(),
 * perhaps before the callback has returned. So nobody looks at a request after a
 * callback that has said LATER: it may be another one by then.
 *
 * The program works on the buffers of who asked. A buffer of a read is zeroed
 * before, lest the program is shown what was in it, or a page that it forgets to
 * fill is taken for another one. One of a write is a copy of the pages.
 *
 * Nobody waits for a callback but who must: handlers and the reclaimer get the
 * result by their rings (ring_post()). In place wait the threads that resolve
 * their own faults, calls of the library, and who syncs, discards and unmaps,
 * which hold the mapping lock. `slow` (swap/backing.h) is what others know of it:
 * limits for reads and writes in flight, none of them counted upon.
 *
 * Nothing that a callback may call can wait for the callback: its thread is known
 * to the space (struct pagers), whose calls refuse it, as do faults. A
 * thread of the program's that ends requests is not known.
 *
 * `out` counts requests from their beginning to the last look of whoever ends
 * them. Their owners may be gone by then, the pager is not: close() waits for
 * that, and for the threads. What a close() needs of the program is that each
 * callback returns.
 *
 * Numbered:
 *  (1) No callback runs with a lock of the library held by its thread.
 *  (2) Two requests in flight have no page in common: a page is FILLING or WRITING,
 *	and readahead leaves no gaps in what it asks of a slow backing.
 *  (3) A request is ended once. A second time is the program's mistake, and ends
 *	it, where it is noticed.
 *
 * In a fork child none of this is there: regions with a pager are not inherited.
 *
 * Rejected: a request object for each transfer, and buffers of the pager's own (a
 * copy more, and a limit to choose); callbacks on the thread that faults, as in
 * inline mode they could be (they would run in a signal handler, with whatever
 * locks the program holds).
 */
#include "swap/pager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/lock.h"
#include "util/log.h"

enum job { JOB_READ, JOB_WRITE, JOB_DISCARD, JOB_SYNC };

#define JOB_OUT 0x80 /* io.tries has the job, and this while it is OUT */

struct pager;

struct pager_thread {
	struct pager *pager;
	_Atomic int *tid; /* in struct pagers */
	pthread_t thread;
};

struct pager {
	struct backing backing;
	struct vvm_pager calls; /* (i) */
	uint64_t offset;	/* (i) byte of page 0 */
	struct pagers *space;	/* (i) */
	unsigned forks;		/* (i) os_fork_count() */

	struct lock lock;  /* of (l) */
	struct list queue; /* (l) struct io, by op.link */
	bool stopping;	   /* (l) threads end when there is nothing to do */
	bool dead;	   /* (l) nothing begins any more */
	struct waitq work;
	_Atomic unsigned out; /* (a) */

	unsigned threads; /* (i) that have been started */
	struct pager_thread thread[VVM_PAGER_THREADS];
};

/* Whose callbacks this thread runs. */
static __thread const struct pagers *mine
	__attribute__((tls_model("initial-exec")));
static __thread unsigned mine_forks __attribute__((tls_model("initial-exec")));

static struct pager *to_pager(const struct backing *b)
{
	return container_of(b, struct pager, backing);
}

/* ---- of a space ---- */

void pagers_init(struct pagers *ps)
{
	unsigned i;

	atomic_init(&ps->flight.count, 0);
	atomic_init(&ps->top, 0);
	for (i = 0; i < PAGERS_THREADS_MAX; i++)
		atomic_init(&ps->tid[i], 0);
}

/* A child's only thread runs none, whatever its parent's did. */
bool pagers_call_me(const struct pagers *ps)
{
	return mine == ps && mine_forks == os_fork_count();
}

bool pagers_have(const struct pagers *ps, int tid)
{
	unsigned i, top = atomic_load_explicit(&ps->top, memory_order_relaxed);

	for (i = 0; i < top; i++)
		if (atomic_load_explicit(&ps->tid[i], memory_order_relaxed) ==
		    tid)
			return tid > 0;
	return false;
}

void pagers_refuse(int tid, uint64_t addr)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;

	log_warn_once(&once,
		      "thread %d, in a callback of a pager, touches the memory "
		      "that it pages (%llx): it may wait for itself, so the "
		      "access gets SIGBUS",
		      tid, (unsigned long long)addr);
}

/* A place for a thread's number; NULL: too many threads. */
static _Atomic int *reserve(struct pagers *ps)
{
	unsigned i, top;
	int none;

	for (i = 0; i < PAGERS_THREADS_MAX; i++) {
		none = 0;
		if (!atomic_compare_exchange_strong(&ps->tid[i], &none, -1))
			continue;
		top = atomic_load(&ps->top);
		while (top <= i &&
		       !atomic_compare_exchange_weak(&ps->top, &top, i + 1))
			;
		return &ps->tid[i];
	}
	return NULL;
}

/* ---- the end of a request ---- */

static bool any_bad(const struct io *io)
{
	unsigned i;

	for (i = 0; i < io->pages; i++)
		if (io_page_bad(io, i))
			return true;
	return false;
}

/* What struct backing_ops wants to know. */
static int settle(struct io *io, enum job job, int result)
{
	if (result > 0 || result < -4095) /* no error at all */
		result = -EIO;
	if (job != JOB_READ && job != JOB_WRITE)
		return result;
	if (result < 0)
		memset(io->bad, 0xff, sizeof(io->bad));
	else if (job == JOB_WRITE && any_bad(io))
		result = -EIO;
	return result;
}

/* => io may be gone from here on. */
static void end(struct pager *p, struct io *io, enum job job, int result)
{
	struct ring *ring = io->ring;

	result = settle(io, job, result);
	if (job == JOB_READ)
		flight_end(&p->space->flight);
	if (ring) {
		ring_post(ring, &io->op, result);
	} else {
		io->result = result;
		atomic_store(&io->over, 1);
		os_futex_wake(&io->over, 1);
	}
	atomic_fetch_sub(&p->out, 1);
}

static struct io *to_io(struct vvm_pager_request *rq)
{
	return container_of(rq, struct io, request);
}

void vvm_pager_end(struct vvm_pager_request *rq, int result)
{
	struct io *io = to_io(rq);
	struct pager *p = to_pager(io->backing);
	uint64_t signals = os_signals_block();
	uint8_t job = __atomic_fetch_and(&io->tries, (uint8_t)~JOB_OUT,
					 __ATOMIC_ACQ_REL);

	ASSERT(job & JOB_OUT); /* (3) */
	end(p, io, (enum job)(job & ~JOB_OUT), result);
	os_signals_restore(signals);
}

int vvm_pager_fail(struct vvm_pager_request *rq, uint64_t offset, uint64_t len)
{
	struct io *io = to_io(rq);
	uint64_t i, last;

	if (offset < rq->offset || !len || offset - rq->offset >= rq->len ||
	    len > rq->len - (offset - rq->offset))
		return -EINVAL;
	offset -= rq->offset;
	last = (offset + len - 1) >> PAGE_SHIFT;
	for (i = offset >> PAGE_SHIFT; i <= last; i++)
		bit_set(io->bad, (unsigned)i);
	return 0;
}

/* ---- the threads ---- */

static int call(struct pager *p, struct vvm_pager_request *rq, enum job job)
{
	const struct vvm_pager *c = &p->calls;

	switch (job) {
	case JOB_READ:
		return c->read(c->arg, rq);
	case JOB_WRITE:
		return c->write(c->arg, rq);
	case JOB_DISCARD:
		return c->discard(c->arg, rq);
	default:
		return c->sync(c->arg, rq);
	}
}

static void serve(struct pager *p, struct io *io)
{
	enum job job = (enum job)io->tries;
	int rc;

	if (job == JOB_READ)
		memset(io->buf, 0, pages_to_bytes(io->pages));
	__atomic_store_n(&io->tries, (uint8_t)(job | JOB_OUT),
			 __ATOMIC_RELEASE);
	rc = call(p, &io->request, job);
	if (rc != VVM_PAGER_LATER)
		vvm_pager_end(&io->request, rc);
}

static struct io *take(struct pager *p, bool *stopping)
{
	struct list *node;

	lock_take(&p->lock);
	node = list_pop(&p->queue);
	*stopping = p->stopping;
	lock_drop(&p->lock);
	return node ? container_of(list_entry(node, struct ring_op, link),
				   struct io, op)
		    : NULL;
}

static void *run(void *arg)
{
	struct pager_thread *t = arg;
	struct pager *p = t->pager;
	bool stopping = false;

	os_cancel_off();
	atomic_store(t->tid, os_tid());
	mine = p->space;
	mine_forks = os_fork_count();
	for (;;) {
		uint32_t ticket = waitq_ticket(&p->work);
		struct io *io = take(p, &stopping);

		if (io)
			serve(p, io);
		else if (stopping)
			break;
		else
			waitq_wait(&p->work, ticket, -1);
	}
	atomic_store(t->tid, 0);
	return NULL;
}

/* ---- requests ---- */

static void op_over(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);

	io->done(io, result);
}

/* False: no more begin. */
static bool enqueue(struct pager *p, struct io *io)
{
	bool dead;

	lock_take(&p->lock);
	dead = p->dead;
	if (!dead)
		list_insert(&p->queue, &io->op.link);
	lock_drop(&p->lock);
	if (!dead)
		waitq_wake(&p->work);
	return !dead;
}

/* slot, pages, buf and done of io are set, and bytes are what it is about. */
static void ask(struct pager *p, struct ring *ring, struct io *io, enum job job,
		uint64_t bytes)
{
	io->backing = &p->backing;
	io->ring = ring && ring_is_posted_to(ring) ? ring : NULL;
	io->tries = (uint8_t)job;
	io->op.done = op_over;
	list_init(&io->op.link);
	memset(io->bad, 0, sizeof(io->bad));
	memset(io->memory, 0, sizeof(io->memory));
	atomic_store(&io->over, 0);
	io->request = (struct vvm_pager_request){
		.offset = p->offset + pages_to_bytes(io->slot),
		.len = bytes,
		.to = job == JOB_READ ? io->buf : NULL,
		.from = job == JOB_WRITE ? io->buf : NULL,
	};
	if (job == JOB_READ)
		flight_begin(&p->space->flight);
	atomic_fetch_add(&p->out, 1);
	if (io->ring)
		ring_expect(io->ring, &io->op);
	if (!enqueue(p, io))
		end(p, io, job, -EIO);
}

/* Of a request that was asked without a ring. */
static int wait_for(struct io *io)
{
	while (!atomic_load(&io->over))
		os_futex_wait(&io->over, 0, -1);
	return io->result;
}

static void transfer(struct backing *b, struct ring *ring, struct io *io,
		     enum job job)
{
	ASSERT(io->pages >= 1 && io->pages <= IO_MAX_PAGES);
	ask(to_pager(b), ring, io, job, pages_to_bytes(io->pages));
	if (!ring || !ring_is_posted_to(ring))
		io->done(io, wait_for(io));
}

static void pager_read(struct backing *b, struct ring *ring, struct io *io)
{
	transfer(b, ring, io, JOB_READ);
}

static void pager_write(struct backing *b, struct ring *ring, struct io *io)
{
	transfer(b, ring, io, JOB_WRITE);
}

static bool pager_fetch(struct backing *b, struct io *io)
{
	(void)b;
	(void)io;
	return false;
}

static void pager_discard(struct backing *b, uint64_t slot, uint64_t n)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	struct io io = {.slot = slot};
	int rc;

	ask(to_pager(b), NULL, &io, JOB_DISCARD, pages_to_bytes(n));
	rc = wait_for(&io);
	if (rc < 0)
		log_warn_once(&once, "a pager does not discard (error %d)",
			      -rc);
}

static int pager_sync(struct backing *b, uint32_t seen)
{
	struct pager *p = to_pager(b);
	struct io io = {.slot = 0};
	int rc = 0;

	if (p->calls.sync) {
		ask(p, NULL, &io, JOB_SYNC, 0);
		rc = wait_for(&io);
	}
	if (rc < 0)
		atomic_fetch_add(&b->sync_errors, 1);
	else if (atomic_load(&b->sync_errors) != seen)
		rc = -EIO;
	return rc;
}

/* ---- open and close ---- */

static void stop_threads(struct pager *p)
{
	unsigned i;
	int state = os_cancel_off();

	lock_take(&p->lock);
	p->stopping = true;
	lock_drop(&p->lock);
	waitq_wake(&p->work);
	for (i = 0; i < p->threads; i++)
		pthread_join(p->thread[i].thread, NULL);
	while (atomic_load(&p->out))
		os_yield();
	os_cancel_restore(state);
}

static void pager_close(struct backing *b)
{
	struct pager *p = to_pager(b);

	if (p->forks == os_fork_count()) /* else its threads are not here */
		stop_threads(p);
	free(p);
}

static void pager_abandon(struct backing *b)
{
	struct pager *p = to_pager(b);
	bool stopping;
	struct io *io;

	lock_take(&p->lock);
	p->dead = true;
	lock_drop(&p->lock);
	while ((io = take(p, &stopping)))
		end(p, io, (enum job)io->tries, -EIO);
	while (atomic_load(&p->out))
		os_sleep_us(1000);
}

static const struct backing_ops private_ops = {
	.name = "pager",
	.read = pager_read,
	.fetch = pager_fetch,
	.discard = pager_discard,
	.abandon = pager_abandon,
	.close = pager_close,
};

static const struct backing_ops home_ops = {
	.name = "writing pager",
	.read = pager_read,
	.write = pager_write,
	.fetch = pager_fetch,
	.sync = pager_sync,
	.discard = pager_discard,
	.abandon = pager_abandon,
	.close = pager_close,
};

static int start_one(struct pager *p)
{
	struct pager_thread *t = &p->thread[p->threads];
	int rc;

	t->pager = p;
	t->tid = reserve(p->space);
	if (!t->tid)
		return -EAGAIN;
	rc = os_thread_start_large(&t->thread, "vvm-pager", run, t);
	if (rc < 0)
		atomic_store(t->tid, 0);
	else
		p->threads++;
	return rc;
}

int pager_open(struct backing **out, const struct vvm_pager *calls,
	       uint64_t offset, struct pagers *space)
{
	struct pager *p = calloc(1, sizeof(*p));
	unsigned count = MAX(calls->threads, 1u);
	int rc = 0;

	ASSERT(count <= VVM_PAGER_THREADS);
	if (!p)
		return -ENOMEM;
	p->backing.ops = calls->write ? &home_ops : &private_ops;
	p->backing.held.fd = p->backing.held.second = -1;
	p->backing.slow = true;
	p->backing.discards = calls->discard != NULL;
	p->calls = *calls;
	p->offset = offset;
	p->space = space;
	p->forks = os_fork_count();
	lock_init(&p->lock, LOCK_MISC);
	list_init(&p->queue);
	waitq_init(&p->work);
	while (rc == 0 && p->threads < count)
		rc = start_one(p);
	if (rc < 0) {
		pager_close(&p->backing);
		return rc;
	}
	*out = &p->backing;
	return 0;
}
