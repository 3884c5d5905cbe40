/* SPDX-License-Identifier: MIT */
/*
 * util/pause.c - where the library's threads stop for a fork.
 *
 * `wanted` and `running` are each written by one side and read by the other:
 * an actor adds itself to `running` and then looks at `wanted`; who wants to
 * stop them sets `wanted` and then looks at `running`. All four accesses are
 * sequentially consistent, so at least one of the two sees the other: an
 * actor that goes on is one that halt_wait() waits for.
 *
 * A thread that waits in halt_enter() is idle but alive, which makes it the
 * one to notice that the fork does not come to an end: `overdue`.
 */
#include "util/pause.h"

#include "util/awake.h"
#include "os/os.h"

/* Well below the second after which fork/fork.c lets go (FORK_HOLD_US). */
#define HALT_LOOK_US 100000

void halt_init(struct halt *p, void (*overdue)(struct halt *p))
{
	atomic_init(&p->wanted, false);
	atomic_init(&p->running, 0);
	waitq_init(&p->left);
	waitq_init(&p->resumed);
	p->overdue = overdue;
}

/* Sleeps until the stop is over, or may be overdue. */
static void wait_resumed(struct halt *p)
{
	uint32_t ticket = waitq_ticket(&p->resumed);

	if (halt_wanted(p))
		waitq_wait(&p->resumed, ticket, HALT_LOOK_US);
	if (p->overdue && halt_wanted(p))
		p->overdue(p);
}

void halt_enter(struct halt *p)
{
	for (;;) {
		while (halt_wanted(p))
			wait_resumed(p);
		atomic_fetch_add(&p->running, 1);
		if (!halt_wanted(p))
			return;
		halt_leave(p);
	}
}

void halt_leave(struct halt *p)
{
	unsigned before = atomic_fetch_sub(&p->running, 1);

	ASSERT(before);
	if (halt_wanted(p))
		waitq_wake(&p->left);
}

void halt_request(struct halt *p)
{
	atomic_store(&p->wanted, true);
}

bool halt_wait(struct halt *p, uint64_t timeout_us)
{
	struct awake awake = {.seen_us = os_now_us()};

	for (;;) {
		uint32_t ticket = waitq_ticket(&p->left);

		if (!atomic_load(&p->running))
			return true;
		if (awake_look(&awake, os_now_us()) > timeout_us)
			return false;
		waitq_wait(&p->left, ticket, HALT_LOOK_US);
	}
}

void halt_resume(struct halt *p)
{
	atomic_store(&p->wanted, false);
	waitq_wake(&p->resumed);
}
