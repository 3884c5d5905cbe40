/* SPDX-License-Identifier: MIT */
/*
 * fault/poller.c - a thread that wants a page polls for its own read.
 *
 * A thread that sleeps for a read leaves its CPU idle, and an idle CPU halts:
 * to a virtual machine that is an exit, a host thread that goes to sleep, and a
 * wake-up of both. It is a third of a fault. For one thread polling costs
 * little more CPU than to sleep and is much faster; for several it takes CPUs
 * that others may want (MEASURED.md, "Polling"). Hence a read is polled for
 * when fewer than conf.pollers are in flight, by default 1, the lone thread; and
 * when that is measured to pay (policy/polling.c): a thread faults 1.06 to 1.5
 * times as fast, depending on the machine.
 *
 * A poll needs a ring, since no system call polls on disks without a polled
 * queue. There is one ring for each read that may be polled for, and a thread
 * borrows it for one read: nothing is to be made for a thread, or cleaned up
 * when it ends. So any thread may use these rings (ring_open_shared()). A poll
 * of POLL_US without result ends in sleep.
 *
 * Rejected: to sleep for half of the time that a read usually takes and poll
 * for the rest (the kernel's hybrid polling): a timer wakes the halted CPU no
 * sooner than the disk does; sched_yield() while polling.
 */
#include "fault/poller.h"

#include "util/log.h"
#include "os/os.h"

#define POLL_US 200

void pollers_open(struct pollers *p, unsigned count, enum vvm_io engine)
{
	unsigned i;

	count = MIN(MIN(count, os_cpus() - 1), SETTING_POLLERS_MAX);
	if (engine == VVM_IO_SYNC)
		count = 0;
	for (i = 0; i < count; i++)
		if (ring_open_shared(&p->ring[i], 1) < 0)
			break;
	p->count = i;
	atomic_store(&p->free, (uint32_t)(((uint64_t)1 << i) - 1));
}

void pollers_close(struct pollers *p)
{
	while (p->count)
		ring_close(p->ring[--p->count]);
}

void pollers_abandon(struct pollers *p)
{
	while (p->count)
		ring_abandon(p->ring[--p->count]);
}

/* One of the free rings. */
static struct ring *take(struct pollers *p)
{
	uint32_t free = atomic_load(&p->free);

	while (free)
		if (atomic_compare_exchange_weak(&p->free, &free,
						 free & (free - 1)))
			return p->ring[__builtin_ctz(free)];
	return NULL;
}

struct ring *pollers_enter(struct pollers *p, uint64_t *start_ns)
{
	*start_ns = 0;
	if (atomic_fetch_add(&p->reading, 1) >= p->count)
		return NULL;
	*start_ns = os_now_ns();
	return polling_pays(&p->polling) ? take(p) : NULL;
}

void pollers_leave(struct pollers *p, struct ring *ring, uint64_t start_ns)
{
	unsigned i = 0;

	if (start_ns)
		polling_took(&p->polling, ring, os_now_ns() - start_ns);

	if (ring) {
		while (p->ring[i] != ring)
			i++;
		atomic_fetch_or(&p->free, (uint32_t)1 << i);
	}
	atomic_fetch_sub(&p->reading, 1);
}

void poller_wait(struct ring *ring)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	uint64_t until_us = os_now_us() + POLL_US;
	int n;

	while (ring_inflight(ring)) {
		n = ring_run(ring, os_now_us() < until_us ? 0 : -1);
		if (n < 0)
			log_warn_once(&once,
				      "inline: waiting for a read failed "
				      "(error %d)",
				      -n);
	}
}
