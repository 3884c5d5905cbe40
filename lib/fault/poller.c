/* SPDX-License-Identifier: MIT */
/*
 * fault/poller.c - reads that the thread which wants the page waits for by
 *polling.
 *
 * A thread that sleeps for a read leaves its CPU idle, and an idle CPU halts:
 * to a virtual machine that is an exit, a host thread that goes to sleep, and a
 * wake-up of both. It is a third of a fault. Measured on a virtio disk (4 KiB,
 * O_DIRECT, at random, us until the bytes are there / us of CPU):
 *
 *	threads		 pread	     ring, polled
 *	   1		74 / 33		45 / 47
 *	   2		90 / 22		65 / 65
 *	   4	       150 / 27		92 / 90
 *
 * So for one thread polling costs little more than it would cost to sleep; for
 * several it takes CPUs that others may want. Hence a read is polled for when
 * fewer than conf.pollers are in flight. By default that is 1, the lone thread,
 * which then faults 1.3 to 1.5 times as fast. More pay with CPU: uniform reads
 * of 4 threads are 1.16 times as fast with 2 and 1.23 with 4, for 1.3 and 1.6
 * times the CPU a fault.
 *
 * A poll needs a ring, since no system call polls on disks without a polled
 * queue. There is one for each read that may be polled for, and a thread
 * borrows it for one read: nothing is to be made for a thread, or cleaned up
 * when it ends. That asks for rings that any thread may use
 * (ring_open_shared()). A poll of POLL_US without result ends in sleep.
 *
 * Rejected: to sleep for half of the time that a read usually takes and poll
 * for the rest (the kernel's hybrid polling): a timer wakes the halted CPU no
 * sooner than the disk does, 118 us; sched_yield() while polling: 56.
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

struct ring *pollers_enter(struct pollers *p)
{
	if (atomic_fetch_add(&p->reading, 1) >= p->count)
		return NULL;
	return take(p);
}

void pollers_leave(struct pollers *p, struct ring *ring)
{
	unsigned i = 0;

	if (ring) {
		while (p->ring[i] != ring)
			i++;
		atomic_fetch_or(&p->free, (uint32_t)1 << i);
	}
	atomic_fetch_sub(&p->reading, 1);
}

void poller_wait(struct ring *ring)
{
	uint64_t until_us = os_now_us() + POLL_US;
	int n;

	while (ring_inflight(ring)) {
		n = ring_run(ring, os_now_us() < until_us ? 0 : -1);
		if (n < 0)
			log_error("inline: waiting for a read failed (error "
				  "%d)",
				  -n);
	}
}
