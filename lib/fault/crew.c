/* SPDX-License-Identifier: MIT */
/*
 * fault/crew.c - which handlers read fault events.
 *
 * Any handler may read any userfaultfd: the kernel hands each event out once.
 * Handler 0, the *leader*, always serves all of them: it polls them, and only
 * when it sleeps it watches them. While one thread can do the work that is all,
 * since every further thread that polls takes a CPU from the application, and
 * every one that sleeps costs a wake-up. When the leader has hardly been idle for
 * a window of events it invites a *helper*, which polls all descriptors as well
 * until it finds too little to do. A helper never watches a descriptor: it
 * polls, or it has left. So no event depends on a helper, and vm->serving, the
 * set of handlers that serve, is a hint: whichever way an invitation and a
 * leave race, the leader is there.
 *
 * Decisions are made every CREW_WINDOW events, hence never in an idle space.
 *
 * How the address space is cut into stripes of the descriptors hardly matters
 * since then (MEASURED.md, "Handlers").
 *
 * Rejected: descriptors handed from handler to handler (each with a set of
 * those that serve it). Two handlers that withdraw from one at the same time,
 * each because it saw the other, leave it to nobody, and a thread hangs; it
 * did.
 */
#include "fault/crew.h"

/*
 * Idle shares of the leader's time below which it invites a helper, and of a
 * helper's time above which it leaves. Requests that come at random queue up
 * long before a crew is busy all the time: hence 75 when most faults find
 * others in flight, and not 40. A lone thread would only have a second handler
 * poll for it: 40. A helper that leaves at 80 comes and goes 30 times a second
 * and does nothing. Figures: MEASURED.md, "Handlers".
 */
#define INVITE_IDLE_PCT 75
#define ALONE_IDLE_PCT	40
#define LEAVE_IDLE_PCT	97
/*
 * What a look that finds nothing takes by itself. A look that takes longer was
 * interrupted by the disk, whose interrupts come to the CPU that submits: that
 * is work as well. One that takes much longer was not running: another thread
 * had the CPU.
 */
#define LOOK_NS	     3000
#define INTERRUPT_NS 50000

static uint32_t bit(unsigned handler)
{
	return (uint32_t)1 << handler;
}

static void new_window(struct crew *s, uint64_t now_ns)
{
	s->events = 0;
	s->crowded = 0;
	s->idle_ns = 0;
	s->start_ns = now_ns;
}

void crew_init(struct crew *s, struct vvm *vm, unsigned self)
{
	s->vm = vm;
	s->self = self;
	new_window(s, os_now_ns());
	if (crew_is_leader(s))
		atomic_store(&vm->serving, bit(self));
}

bool crew_serves(const struct crew *s)
{
	return atomic_load_explicit(&s->vm->serving, memory_order_relaxed) &
	       bit(s->self);
}

void crew_events(struct crew *s, unsigned n, unsigned inflight)
{
	s->events += n;
	if (n + inflight > 1)
		s->crowded += n;
}

void crew_looked(struct crew *s, uint64_t ns)
{
	s->idle_ns += ns < INTERRUPT_NS ? MIN(ns, LOOK_NS) : ns;
}

void crew_slept(struct crew *s, uint64_t ns)
{
	s->idle_ns += ns;
}

/* Lets the first handler that does not serve do so. */
static void invite(struct crew *s)
{
	struct vvm *vm = s->vm;
	uint32_t serving = atomic_load(&vm->serving);
	unsigned helper = 1;

	while (helper < vm->handler_count && serving & bit(helper))
		helper++;
	if (helper == vm->handler_count)
		return;
	atomic_fetch_or(&vm->serving, bit(helper));
	os_eventfd_signal(vm->port[helper].event);
}

void crew_leave(struct crew *s)
{
	DEBUG_ASSERT(!crew_is_leader(s));
	atomic_fetch_and(&s->vm->serving, ~bit(s->self));
}

/* A lone thread has one fault at a time: nobody can help with that. */
static unsigned invite_idle_pct(const struct crew *s)
{
	return s->crowded * 2 > s->events ? INVITE_IDLE_PCT : ALONE_IDLE_PCT;
}

void crew_adjust(struct crew *s, uint64_t now_ns)
{
	uint64_t ns, idle_pct;

	if (s->events < CREW_WINDOW)
		return;
	ns = MAX(now_ns - s->start_ns, 1u);
	idle_pct = MIN(s->idle_ns, ns) * 100 / ns;
	if (crew_is_leader(s)) {
		if (idle_pct < invite_idle_pct(s))
			invite(s);
	} else if (idle_pct > LEAVE_IDLE_PCT) {
		crew_leave(s);
	}
	new_window(s, now_ns);
}
