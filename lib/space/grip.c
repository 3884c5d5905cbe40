/* SPDX-License-Identifier: MIT */
/*
 * space/grip.c - pages in the kernel's grip.
 *
 * process_vm_writev(2) takes up to 1024 pages of its target, one after the
 * other and faulting where it must; when it has them it copies. A page that is
 * taken is written whatever its mapping says by then. Were it written to swap, and
 * its frame punched, between the two, the bytes would go to a frame that nobody
 * sees again. There is no way to ask the kernel who else refers to a page of a
 * memfd. But it takes a page for writing only if that is DIRTY, hence mapped
 * at that moment, or by an event. So it is enough that
 *
 *	no DIRTY page becomes CLEAN while a thread may hold it so,
 *
 * and that is looked at after the page has been protected, since nobody takes
 * it without an event from then on (evict/writeback.c).
 *
 * Who does such things? A thread that has a fault because of a write sleeps,
 * and while it does the kernel says which system call it is in (os/thread.c).
 * If it is that one the thread is known from then on, and whoever wants to write
 * back looks at it:
 *
 *	it sleeps in such a call	  it holds pages of the call's target
 *					  (range[]), and no other
 *	it sleeps elsewhere, or in a
 *	fault of its own instructions	  nothing
 *	it runs				  what range[] said last, and perhaps
 *					  pages that were used since it was
 *					  last seen asleep (loose_us)
 *	it has had CPU_US since		  what it held then it holds no more
 *	it is gone			  nothing
 *
 * What was not used since then is known by the pass of the clock before this
 * one that found anything mapped: it has unmapped the whole block, and who takes
 * a page maps it.
 *
 * A thread that never sleeps again holds others up at small budgets, for CPU_US at
 * a time, until it is forgotten.
 *
 * Limits, which vvm.h names. A call on more than half of the budget keeps only
 * what the kernel can take at a time around its last fault, and may get no
 * frame. What happens before a thread's first such fault is not noticed. Of
 * threads that we may not look at only what they have faults for is kept, for
 * STRANGER_US. Whatever holds pages for longer (direct I/O, registered buffers)
 * is in no call that tells: that is what vvm_pin() is for. ptrace(2) and writing
 * to /proc/PID/mem take one page and copy at once; of a page that is absent or
 * protected they have no fault, but an error. In inline mode nothing of this is
 * seen.
 *
 * The look costs 3 us. It is for write faults at the start of a page, as those of
 * such a call are. With a large budget a page does not leave before some thousand
 * others have come: there it is for one in SKIP of them.
 *
 * Rejected: to make the kernel tell of references (sealing, migration and
 * collapsing of a memfd's pages fail because of them, but each for a whole file
 * or 2 MiB, or with one NUMA node never); to keep the pages of every fault for a
 * while (a time says nothing on a busy machine, and small budgets have none to
 * spare); to wait for all threads of the process.
 */
#include "space/grip.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "space/paged.h"

#define BATCH_PAGES  1024 /* what process_vm_writev(2) takes at a time */
#define SMALL_BUDGET (4 * BATCH_PAGES)
#define SKIP	     16
/* Copies a batch, faults of a cold cache included: 2 ms here. */
#define CPU_US	    20000
#define STRANGER_US 1000000
/* How long a thread stays known without a fault in such a call. */
#define FORGET_US   5000000
#define TARGETS_MAX 1024 /* the kernel's UIO_MAXIOV */

void grips_init(struct grips *g)
{
	memset(g, 0, sizeof(*g));
	lock_init(&g->lock, LOCK_MISC);
}

/* ---- what a call has in its grip ---- */

static void add_range(struct grip *t, haddr_t start, haddr_t end)
{
	struct grip_range *last = t->ranges ? &t->range[t->ranges - 1] : NULL;

	start = page_floor(start);
	end = page_ceil(end);
	if (last && ((start <= last->end && end >= last->start) ||
		     t->ranges == GRIP_RANGES)) { /* one that holds the rest */
		last->start = MIN(last->start, start);
		last->end = MAX(last->end, end);
	} else {
		t->range[t->ranges++] = (struct grip_range){start, end};
	}
}

/* The target of process_vm_writev(). False: it cannot be read. */
static bool add_target(struct grip *t, const struct os_call *call)
{
	uint64_t i, n, count = MIN(call->arg[4], (uint64_t)TARGETS_MAX);
	struct iovec iov[16];
	haddr_t at = call->arg[3];

	t->ranges = 0;
	for (i = 0; i < count; i += n) {
		uint64_t k, bytes;

		n = MIN(count - i, (uint64_t)ARRAY_SIZE(iov));
		bytes = n * sizeof(iov[0]);
		if (paged_meets(at, at + bytes) ||
		    os_peek(t->tid, at, iov, bytes) < 0)
			return false;
		for (k = 0; k < n; k++)
			if (iov[k].iov_len)
				add_range(t, (uintptr_t)iov[k].iov_base,
					  (uintptr_t)iov[k].iov_base +
						  iov[k].iov_len);
		at += bytes;
	}
	return true;
}

static uint64_t pages_in(const struct grip *t)
{
	uint64_t bytes = 0;
	unsigned i;

	for (i = 0; i < t->ranges; i++)
		bytes += t->range[i].end - t->range[i].start;
	return bytes >> PAGE_SHIFT;
}

/* What one batch can reach from the page of the last fault. */
static void clip_to_batch(struct grip *t)
{
	haddr_t reach = pages_to_bytes(BATCH_PAGES);
	haddr_t low = t->at > reach ? t->at - reach : 0, high = t->at + reach;
	unsigned i, n = 0;

	for (i = 0; i < t->ranges; i++) {
		haddr_t start = MAX(t->range[i].start, low);
		haddr_t end = MIN(t->range[i].end, high);

		if (start < end)
			t->range[n++] = (struct grip_range){start, end};
	}
	t->ranges = n;
}

static void set_ranges(struct grip *t, const struct os_call *call,
		       uint64_t budget)
{
	if (!add_target(t, call)) {
		t->ranges = 0;
		add_range(t, 0, UINT64_MAX & ~PAGE_MASK);
	}
	if (pages_in(t) > budget / 2)
		clip_to_batch(t);
}

/* ---- looking at a thread ---- */

static void forget(struct grips *g, struct grip *t)
{
	t->tid = 0;
	atomic_fetch_sub(&g->count, 1);
}

static uint64_t cpu_us(int tid)
{
	uint64_t us = 0;

	os_thread_cpu_us(tid, &us);
	return us;
}

static void seen(struct grip *t, uint64_t now_us)
{
	t->seen_us = now_us;
	t->cpu_us = cpu_us(t->tid);
}

/* It sleeps. */
static void seen_asleep(struct grip *t, const struct os_call *call,
			uint64_t now_us, uint64_t budget)
{
	t->runs = false;
	t->loose_us = now_us;
	t->ranges = 0;
	if (call->writes_later) {
		set_ranges(t, call, budget);
		t->told_us = now_us; /* however long it waits for a page */
	}
	seen(t, now_us);
}

/* False: what it was in may still go on. */
static bool seen_running(struct grip *t, uint64_t now_us)
{
	uint64_t cpu = cpu_us(t->tid);

	t->runs = true;
	if (cpu ? cpu - t->cpu_us < CPU_US : now_us - t->seen_us < STRANGER_US)
		return false;
	t->ranges = 0;
	t->loose_us = t->seen_us;
	seen(t, now_us);
	return true;
}

/* We may not look at it. */
static void seen_stranger(struct grip *t)
{
	t->runs = false;
	t->ranges = 0;
	add_range(t, t->first, t->at + PAGE_BYTES);
}

static void look_at(struct grips *g, struct grip *t, uint64_t now_us,
		    uint64_t budget)
{
	uint64_t limit_us = FORGET_US;
	struct os_call call;
	int rc = os_thread_call(t->tid, &call);

	if (rc == -ESRCH) {
		forget(g, t);
		return;
	}
	if (rc == 0) {
		seen_asleep(t, &call, now_us, budget);
	} else if (rc == -EAGAIN) {
		if (!seen_running(t, now_us))
			return;
	} else {
		seen_stranger(t);
		limit_us = STRANGER_US;
	}
	if (now_us - t->told_us > limit_us)
		forget(g, t);
}

/* ---- faults ---- */

/* => lock held. NULL: not known. */
static struct grip *find(struct grips *g, int tid)
{
	unsigned i;

	for (i = 0; i < GRIP_THREADS; i++)
		if (g->of[i].tid == tid)
			return &g->of[i];
	return NULL;
}

/* The entry of a thread, a free one, or that of who was told of longest ago. */
static struct grip *find_or_take(struct grips *g, int tid)
{
	struct grip *t = find(g, tid), *oldest = g->of;
	unsigned i;

	if (t)
		return t;
	t = find(g, 0);
	for (i = 1; !t && i < GRIP_THREADS; i++)
		if (g->of[i].told_us < oldest->told_us)
			oldest = &g->of[i];
	if (t)
		atomic_fetch_add(&g->count, 1);
	else
		t = oldest;
	memset(t, 0, sizeof(*t));
	t->tid = tid;
	return t;
}

/* Is this fault of tid one to look at? => lock held. */
static bool due(struct grips *g, int tid, haddr_t addr, uint64_t budget)
{
	unsigned i = (unsigned)tid % GRIP_SKIPPERS;

	if (addr & PAGE_MASK)
		return false;
	if (budget <= SMALL_BUDGET || find(g, tid))
		return true;
	if (g->skipper[i].tid != tid) {
		g->skipper[i].tid = tid;
		g->skipper[i].faults = SKIP - 1; /* the next is */
		return true;
	}
	return ++g->skipper[i].faults % SKIP == 0;
}

/*
 * Awake, or asleep in no such call? *rc: what os_thread_call() returned; 0: it
 * is in *call.
 */
static bool is_harmless(int tid, struct os_call *call, int *rc)
{
	uint64_t own;

	*rc = os_thread_call(tid, call);
	if (*rc == -EAGAIN || *rc == -ESRCH ||
	    (*rc == 0 && !call->writes_later))
		return true;
	/* Without /proc ours cannot be told from others that are ours. */
	return *rc < 0 && os_thread_cpu_us(tid, &own) == 0;
}

/* => lock held. */
static void told(struct grips *g, int tid, haddr_t host, uint64_t budget)
{
	uint64_t now_us = os_now_us();
	struct os_call call;
	struct grip *t;
	bool goes_on;
	int rc;

	if (is_harmless(tid, &call, &rc))
		return;
	t = find_or_take(g, tid);
	goes_on = t->at && host > t->at &&
		  host - t->first < pages_to_bytes(BATCH_PAGES);
	if (!goes_on)
		t->first = host;
	t->at = host;
	t->told_us = now_us;
	if (rc == 0)
		seen_asleep(t, &call, now_us, budget);
}

/*
 * It is looked at twice: an event may be old, and its thread in another call by
 * now. What is noted must not be older than what a view has seen since.
 */
void grips_fault(struct grips *g, int tid, haddr_t addr, uint64_t budget)
{
	struct os_call call;
	bool look;
	int rc;

	lock_take(&g->lock);
	look = due(g, tid, addr, budget);
	lock_drop(&g->lock);
	if (!look || is_harmless(tid, &call, &rc))
		return;
	lock_take(&g->lock);
	told(g, tid, page_floor(addr), budget);
	lock_drop(&g->lock);
}

/* ---- views ---- */

static void add_to_view(struct grip_view *view, const struct grip *t)
{
	memcpy(view->range + view->ranges, t->range,
	       t->ranges * sizeof(t->range[0]));
	view->ranges += t->ranges;
	if (t->runs)
		view->loose_us = MIN(view->loose_us, t->loose_us);
}

bool grips_view(struct grips *g, uint64_t budget, struct grip_view *view)
{
	uint64_t now_us;
	unsigned i;

	view->loose_us = UINT64_MAX;
	view->ranges = 0;
	if (!atomic_load(&g->count))
		return false;
	lock_take(&g->lock);
	now_us = os_now_us(); /* no earlier than what is noted */
	for (i = 0; i < GRIP_THREADS; i++) {
		struct grip *t = &g->of[i];

		if (t->tid)
			look_at(g, t, now_us, budget);
		if (t->tid)
			add_to_view(view, t);
	}
	lock_drop(&g->lock);
	return view->ranges || view->loose_us != UINT64_MAX;
}

bool grip_holds(const struct grip_view *view, haddr_t host, bool used,
		uint64_t passed_us)
{
	unsigned i;

	for (i = 0; i < view->ranges; i++)
		if (host >= view->range[i].start && host < view->range[i].end)
			return true;
	/* UINT64_MAX: nobody runs */
	return view->loose_us != UINT64_MAX &&
	       (used || passed_us >= view->loose_us);
}
