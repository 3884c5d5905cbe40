/* SPDX-License-Identifier: MIT */
/*
 * fault/inline.c - faults resolved by the thread that needs the page.
 *
 * The loop is that of fault/fault.c; here is how a thread waits in it, where a
 * handler would go on to the next event:
 *
 *	READ	 read the slot, install, look again
 *	JOINED	 sleep until the block's busy page is done, look again
 *	NOFRAME	 sleep until a frame is free, at most frame_wait_ms
 *
 * Inline mode. The userfaultfd has the SIGBUS feature: an access to an absent
 * or write-protected page raises SIGBUS instead of an event, and the signal
 * handler (fault/trap.c) comes here. No other thread is woken: 5-7 us for a
 * fault without I/O where a handler thread costs 50-60. The price is that the
 * kernel cannot fault for a system call: it fails with EFAULT, so buffers are
 * to be touched or pinned first. A thread waits for its own read by polling,
 * where few others read (fault/poller.c). It cannot leave its signal handler to
 * see another read completed later. So what is to be read ahead of it is a job
 * for the handler threads, which have nothing else to do then (fill/reader.c).
 *
 * Guard mode is the same without a userfaultfd: the signal is SIGSEGV, since
 * pages that are absent or protected have a marker (space/view.c).
 *
 * Everything in here is async-signal-safe: no malloc, no stdio, only our own
 * locks, which the interrupted code cannot hold, since the library touches
 * guest memory only where it is resident and permitted (map/access.c).
 *
 * Counters are kept in LANES lanes picked by a hash of the thread: threads
 * seldom share one, and nothing is to be cleaned up when a thread ends.
 *
 * A fault that waits is counted for the code that had it, as well (stat/site.c).
 * The signal tells which that is. A call of the library waits for its caller,
 * which only a trapped system call knows (door/trap.c): it says so in a word of
 * the thread, the only state outside of a space.
 */
#include "fault/inline.h"

#include <errno.h>
#include <stdlib.h>

#include "fault/fault.h"
#include "fault/handler.h"
#include "fault/poller.h"
#include "util/probe.h"
#include "fill/streams.h"
#include "space/life.h"
#include "space/view.h"

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

/* Not allocated at its first use, which may be in a signal handler. */
static __thread uint64_t caller __attribute__((tls_model("initial-exec"))) =
	VVM_STAT_SITE_CALLS;

uint64_t inline_caller(uint64_t ip)
{
	uint64_t old = caller;

	caller = ip;
	return old;
}

/* ---- reading in place ---- */

static uint64_t this_thread(void)
{
	return (uint64_t)(uintptr_t)__builtin_thread_pointer();
}

/* Has read what the thread will want next. */
static void read_ahead(struct fault *f)
{
	struct ahead_job job;

	if (fault_ahead(f, &job))
		handlers_read_ahead(f->vm, &job);
}

static void read_done(struct io *io, int result)
{
	container_of(io, struct fault, io)->error = result;
}

/* The fault begins to wait, or waits on. => nothing locked. */
static void note_wait(struct fault *f)
{
	f->stat.flags |= VVM_STAT_EVENT_WAITED;
	if (!f->stat.at.start_ns) /* of a call, which is not timed else */
		f->stat.at.start_ns = os_now_ns();
	stat_waits(&f->vm->stats, &f->stat);
}

/* Reads into io's buffer. The result is in f->error. */
static void read_slot(struct fault *f)
{
	struct vvm *vm = f->vm;
	struct ring *ring = NULL;
	uint64_t start_ns;

	life_look_out(vm);
	if (f->io.home->slow) {
		io_read(&f->io, NULL);
		return;
	}
	if (vm->lanes)
		ring = pollers_enter(&vm->lanes->pollers, &start_ns);
	io_read(&f->io, ring);
	if (ring)
		poller_wait(ring);
	if (vm->lanes)
		pollers_leave(&vm->lanes->pollers, ring, start_ns);
}

static bool in_time(struct fault *f)
{
	struct vvm *vm = f->vm;
	uint64_t now_us = os_now_us();

	awake_look(&f->awake, now_us);
	if (space_stalled(vm, now_us))
		f->awake.us = 0; /* as in fault/demand.c */
	return f->awake.us < vm->conf.frame_wait_ms * 1000;
}

/*
 * The kernel is short of memory; or the program has unmapped the page itself, of
 * which the kernel says no more. 0: look again.
 */
static int wait_kernel(struct fault *f)
{
	if (!os_all_mapped(f->host, PAGE_BYTES))
		return -VVM_EUNMAPPED;
	os_sleep_us(SHORTAGE_US);
	return in_time(f) ? 0 : -ENOMEM;
}

/* Fetches or reads the claimed page and installs it. => nothing locked. */
static int read_now(struct fault *f)
{
	enum fault_result verdict;
	struct vvm *vm = f->vm;
	void *buffer = pool_take_dirty(&vm->bounce);

	if (!buffer) {
		fault_abandon(f);
		return -ENOMEM;
	}
	f->io.buf = (char *)page_ceil((uintptr_t)buffer);
	f->io.done = read_done;
	if (fault_from_standby(f) || fault_from_memory(f)) {
		verdict = fault_install(f, 0);
		read_ahead(f);
	} else {
		note_wait(f);
		read_ahead(f);
		read_slot(f);
		verdict = fault_install(f, f->error);
	}
	pool_give(&vm->bounce, buffer);
	if (f->actor == vm->api)
		stat_add(vm->api, VVM_STAT_api_fills, 1);
	return verdict == FAULT_RETRY ? wait_kernel(f) : 0;
}

/* ---- waiting ---- */

static int wait_frame(struct fault *f)
{
	struct vvm *vm = f->vm;
	uint32_t ticket = waitq_ticket(&vm->frame_free);
	uint64_t since_us = os_now_us();

	if (!f->awake.seen_us) {
		PROBE2(stall, f->host, f->stat.tid);
		stat_add(f->actor, VVM_STAT_stalls, 1);
	}
	if (!(f->stat.flags & VVM_STAT_EVENT_STALLED)) {
		stat_add(f->actor, VVM_STAT_waiting_faults, 1);
		life_look_out(vm);
	}
	f->stat.flags |= VVM_STAT_EVENT_STALLED;
	if (!in_time(f)) {
		PROBE2(error, f->stat.page, -ETIMEDOUT);
		stat_add(f->actor, VVM_STAT_frame_timeouts, 1);
		return -VVM_ENOFRAME;
	}
	atomic_fetch_add(&vm->frames.wanted, 1);
	space_kick_reclaim(vm);
	if (!frames_free(&vm->frames))
		waitq_wait(&vm->frame_free, ticket, FRAME_TRY_US);
	atomic_fetch_sub(&vm->frames.wanted, 1);
	stat_add(f->actor, VVM_STAT_stall_us,
		 (int64_t)(os_now_us() - since_us));
	return 0;
}

/* Waits for what the look said. 0: look again. */
static int wait_result(struct fault *f, enum fault_result result)
{
	switch (result) {
	case FAULT_READ:
		return read_now(f);
	case FAULT_JOINED:
		note_wait(f);
		if (f->trigger)
			read_ahead(f);
		/*
		 * The block lives while its page is FILLING, and a freed one
		 * stays readable in its pool, where nobody touches busy_done:
		 * a stale wait times out.
		 */
		waitq_wait(&f->block->busy_done, f->ticket, FRAME_TRY_US);
		return 0;
	case FAULT_NOFRAME:
		note_wait(f);
		return wait_frame(f);
	case FAULT_FAILED: /* or the space is broken */
		return -VVM_EPOISON;
	case FAULT_NOMEM:
		return os_all_mapped(f->host, PAGE_BYTES) ? -ENOMEM
							  : -VVM_EUNMAPPED;
	case FAULT_RETRY:
	case FAULT_GONE: /* the next look finds no region */
		return wait_kernel(f);
	case FAULT_DONE:
	case FAULT_REFUSED:
	case FAULT_CROWDED: /* of handlers only */
		break;	    /* thread_wait() has seen to them */
	}
	return 0;
}

/* This thread has nothing better to do than to wait. */
static bool thread_wait(struct fault *f, enum fault_result result)
{
	if (f->error < 0 || result == FAULT_DONE)
		return false;
	f->error = wait_result(f, result);
	if (result != FAULT_READ && f->mode->counts)
		f->stat.at.begin_ns = os_now_ns();
	return f->error == 0;
}

/* All of it. It is a waiting fault from its first wait for a frame on. */
static void run(struct fault *f)
{
	fault_run(f);
	if (f->stat.flags & VVM_STAT_EVENT_STALLED)
		stat_add(f->actor, VVM_STAT_waiting_faults, -1);
	if (f->stat.flags & VVM_STAT_EVENT_WAITED)
		stat_waited(&f->vm->stats, &f->stat, os_now_ns());
}

/* ---- API threads ---- */

static const struct fault_mode api_mode = {
	.guest = true,
	.holds = true,
	.wait = thread_wait,
};

int inline_page(struct vvm *vm, gaddr_t addr, pte_t need, bool write,
		struct block **locked, struct region **region)
{
	struct fault f = {.mode = &api_mode,
			  .vm = vm,
			  .actor = vm->api,
			  .stat.page = page_floor(addr),
			  .stat.ip = caller,
			  .need = need,
			  .write = write};

	if (unlikely(pagers_call_me(&vm->pagers)))
		return -VVM_ENOFRAME; /* it may wait for itself */
	run(&f);
	if (f.error < 0)
		return f.error;
	if (f.state == PAGE_FRESH)
		stat_add(vm->api, VVM_STAT_api_fills, 1);
	*locked = f.block;
	*region = f.region;
	return 0;
}

void inline_page_end(struct vvm *vm, struct block *b)
{
	lock_drop(&b->lock);
	rwlock_end_read(&vm->lock);
}

/* ---- inline mode ---- */

static const struct fault_mode inline_mode = {
	.counts = true,
	.guest = true,
	.wait = thread_wait,
};

static struct lane *my_lane(struct vvm *vm)
{
	/* Fibonacci hashing: thread pointers differ in their middle bits. */
	return &vm->lanes->lane[this_thread() * 0x9e3779b97f4a7c15u >>
				(64 - LANE_BITS)];
}

/*
 * The page was usable as it was, and the access is permitted. In a guarded space
 * that is so when another thread was faster; or the program has called
 * mprotect(2) or munmap(2) itself, and there would be no end of it.
 */
static bool refused(const struct fault *f)
{
	return space_is_guarded(f->vm) &&
	       (f->stat.flags & VVM_STAT_EVENT_KIND) ==
		       VVM_STAT_KIND_spurious &&
	       view_refuses(f->host, f->need);
}

static int refusal(pte_t need)
{
	if (need == PTE_EXEC)
		return -VVM_ENOEXEC;
	return need == PTE_WRITE ? -VVM_ENOWRITE : -VVM_ENOREAD;
}

int inline_fault(struct vvm *vm, gaddr_t addr, bool write, pte_t need,
		 uint64_t ip)
{
	struct fault f = {.mode = &inline_mode,
			  .vm = vm,
			  .actor = my_lane(vm)->actor,
			  .stat.page = page_floor(addr),
			  .stat.tid = os_tid(),
			  .stat.ip = ip,
			  .thread = this_thread(),
			  .write = write,
			  .need = need};

	PROBE3(fault_start, addr, write, f.stat.tid);
	f.stat.at.start_ns = f.stat.at.begin_ns = os_now_ns();
	run(&f);
	if (f.error == 0) {
		if (f.state == PAGE_FRESH)
			streams_zeros(vm, f.actor, f.thread, f.host, f.advice);
		stat_resolved(&vm->stats, f.actor, &f.stat, os_now_ns());
		if (unlikely(refused(&f)))
			return refusal(need);
		return 0;
	}
	if (f.error == -ENOMEM || f.error == -VVM_ENOFRAME)
		fault_explain(&f);
	fault_count_lost(&f);
	stat_event(&vm->stats, f.actor, &f.stat, os_now_ns());
	/* To the callback one lack of memory is as good as another. */
	return f.error == -ENOMEM ? -VVM_ENOFRAME : f.error;
}

int inline_init(struct vvm *vm)
{
	struct lanes *lanes;
	unsigned i;

	if (vm->conf.faults == VVM_FAULTS_THREAD)
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

void inline_shed(struct vvm *vm)
{
	if (vm->lanes)
		pollers_abandon(&vm->lanes->pollers);
	vm->lanes = NULL;
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
