/* SPDX-License-Identifier: MIT */
/*
 * policy/polling.c - is it worth a CPU to poll for a read?
 *
 * To poll spares the wake-up of a CPU that has halted, and takes that CPU all
 * the while. What the wake-up costs depends on the machine, on its hypervisor and
 * on the disk: from nothing to a third of a read. So both ways are measured, by
 * one read of TRIAL that goes the other way than the rest. Polling is worth it
 * if a read is an eighth shorter.
 *
 * Times are those of a read that nothing else held up: they follow a shorter
 * one fast and a longer one slowly, by a part of themselves at most.
 */
#include "policy/polling.h"

#define TRIAL 64u
#define FAST  4u
#define SLOW  32u

static uint32_t get(_Atomic uint32_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

bool polling_pays(struct polling *p)
{
	uint32_t polled = get(&p->polled_ns), slept = get(&p->slept_ns);
	unsigned turn =
		atomic_fetch_add_explicit(&p->turn, 1, memory_order_relaxed);
	bool pays = slept - slept / 8 > polled;

	if (!polled || !slept)
		return !polled;
	return turn % TRIAL ? pays : !pays;
}

/* Two at a time may lose one of their samples. */
void polling_took(struct polling *p, bool polled, uint64_t ns)
{
	_Atomic uint32_t *time_ns = polled ? &p->polled_ns : &p->slept_ns;
	uint32_t old = get(time_ns), new = (uint32_t)MIN(ns, UINT32_MAX / 2);

	if (old && new < old)
		new = old - (old - new) / FAST;
	else if (old)
		new = old + MIN(new - old, old) / SLOW;
	atomic_store_explicit(time_ns, MAX(new, 1u), memory_order_relaxed);
}
