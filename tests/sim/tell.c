/* SPDX-License-Identifier: MIT */
/*
 * sim/tell.c - what is said of a finding: the threads, what they wait for, and
 * where they stand. Addresses are told as addr2line(1) wants them.
 */
#include "sim/tell.h"

#include <execinfo.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/sched.h"

#define FRAMES 40
#define LAST   60 /* events that are shown */

static const char *const whys[] = {
	[SIM_RUN] = "can run",
	[SIM_FUTEX] = "futex",
	[SIM_POLL] = "poll",
	[SIM_SLEEP] = "sleeps",
	[SIM_FAULT] = "in a fault",
	[SIM_JOIN] = "joins",
	[SIM_CHILD] = "waits for a child",
	[SIM_GATE] = "gate",
	[SIM_DEAD] = "has ended",
};

static const char *const events[] = {
	[SIM_EV_SWITCH] = "switch", [SIM_EV_WAIT] = "wait",
	[SIM_EV_WAKE] = "go on",    [SIM_EV_FAULT] = "fault",
	[SIM_EV_CALL] = "call",	    [SIM_EV_FAIL] = "fails",
	[SIM_EV_SIGNAL] = "signal", [SIM_EV_DISK] = "disk",
	[SIM_EV_OP] = "op",	    [SIM_EV_RESULT] = "result",
	[SIM_EV_FORK] = "fork",	    [SIM_EV_UFFD] = "uffd",
	[SIM_EV_MAP] = "map",
};

void sim_tell_event(const int16_t *thread, unsigned what, uint64_t a,
		    uint64_t b)
{
	const struct sim_thread *t = &K->thread[*thread];

	dprintf(2, "  %d.%d %-11s %-7s %llx %llx\n", t->proc, *thread, t->name,
		what < sizeof(events) / sizeof(*events) ? events[what] : "?",
		(unsigned long long)a, (unsigned long long)b);
}

static void tell_thread(const struct sim_thread *t)
{
	dprintf(2, "  thread %d.%d %s: %s", t->proc, (int)(t - K->thread),
		t->name, whys[t->why]);
	if (t->why == SIM_FAULT)
		dprintf(2, " at %llx (%s%s, %s)",
			(unsigned long long)t->fault_addr,
			t->fault_write ? "write" : "read",
			t->fault_protect ? ", protected" : "",
			t->fault_read ? "its event was read"
				      : "its event is unread");
	else if (t->why != SIM_RUN)
		dprintf(2, " %llx", (unsigned long long)t->key);
	if (t->deadline_ns)
		dprintf(2, " until %llu us",
			(unsigned long long)t->deadline_ns / 1000);
	dprintf(2, "%s%s\n", t->doing ? " in " : "", t->doing ? t->doing : "");
}

void sim_tell_finding(void)
{
	unsigned i, n = MIN(K->trace_at, (unsigned)LAST);

	dprintf(2, "sim: seed %llu, step %llu, decision %llu, %llu us: %s\n",
		(unsigned long long)K->seed, (unsigned long long)K->points,
		(unsigned long long)K->decisions,
		(unsigned long long)K->now_ns / 1000, K->message);
	dprintf(2, "the last events:\n");
	for (i = K->trace_at - n; i != K->trace_at; i++)
		sim_tell_event(&K->trace[i % SIM_TRACE].thread,
			       K->trace[i % SIM_TRACE].what,
			       K->trace[i % SIM_TRACE].a,
			       K->trace[i % SIM_TRACE].b);
	dprintf(2, "the threads:\n");
	for (i = 0; i < SIM_THREADS; i++)
		if (K->thread[i].used)
			tell_thread(&K->thread[i]);
}

void sim_tell_own_stack(void)
{
	void *frame[FRAMES];
	int n = backtrace(frame, FRAMES);

	dprintf(2, "stack of thread %d (%s):\n",
		sim_self ? (int)(sim_self - K->thread) : -1,
		sim_self ? sim_self->name : "-");
	backtrace_symbols_fd(frame, n, 2);
}

void sim_tell_stack(void)
{
	sim_tell_own_stack();
	K->current = -1;
	for (;;)
		pause();
}
