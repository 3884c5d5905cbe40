/* SPDX-License-Identifier: MIT */
/*
 * util/pause.c - where the library's threads stop for a fork.
 *
 * `wanted` and `running` are each written by one side and read by the other:
 * an actor adds itself to `running` and then looks at `wanted`; who wants to
 * stop them sets `wanted` and then looks at `running`. All four accesses are
 * sequentially consistent, so at least one of the two sees the other: an
 * actor that goes on is one that pause_wait() waits for.
 *
 * A thread that waits in pause_enter() is idle but alive, which makes it the
 * one to notice that the fork does not come to an end: `overdue`.
 */
#include "util/pause.h"

#include "util/awake.h"
#include "os/os.h"

/* Well below the second after which fork/fork.c lets go (FORK_HOLD_US). */
#define PAUSE_LOOK_US 100000

void pause_init(struct pause *p, void (*overdue)(struct pause *p))
{
	atomic_init(&p->wanted, false);
	atomic_init(&p->running, 0);
	waitq_init(&p->left);
	waitq_init(&p->resumed);
	p->overdue = overdue;
}

/* Sleeps until the stop is over, or may be overdue. */
static void wait_resumed(struct pause *p)
{
	uint32_t ticket = waitq_ticket(&p->resumed);

	if (pause_wanted(p))
		waitq_wait(&p->resumed, ticket, PAUSE_LOOK_US);
	if (p->overdue && pause_wanted(p))
		p->overdue(p);
}

void pause_enter(struct pause *p)
{
	for (;;) {
		while (pause_wanted(p))
			wait_resumed(p);
		atomic_fetch_add(&p->running, 1);
		if (!pause_wanted(p))
			return;
		pause_leave(p);
	}
}

void pause_leave(struct pause *p)
{
	unsigned before = atomic_fetch_sub(&p->running, 1);

	ASSERT(before);
	if (pause_wanted(p))
		waitq_wake(&p->left);
}

void pause_request(struct pause *p)
{
	atomic_store(&p->wanted, true);
}

bool pause_wait(struct pause *p, uint64_t timeout_us)
{
	struct awake awake = {.seen_us = os_now_us()};

	for (;;) {
		uint32_t ticket = waitq_ticket(&p->left);

		if (!atomic_load(&p->running))
			return true;
		if (awake_look(&awake, os_now_us()) > timeout_us)
			return false;
		waitq_wait(&p->left, ticket, PAUSE_LOOK_US);
	}
}

void pause_resume(struct pause *p)
{
	atomic_store(&p->wanted, false);
	waitq_wake(&p->resumed);
}
