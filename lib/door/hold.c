/* SPDX-License-Identifier: MIT */
/*
 * door/hold.c - pages of the program's that the kernel is to find where they are,
 * because it uses them later, or nobody knows how much of them.
 *
 * They are pinned by vvm_pin()'s means. A call that is left for good while it
 * holds some leaves them pinned: only calls that seldom wait do.
 */
#include "door/hold.h"

#include <errno.h>

#include "fork/fork.h"
#include "map/access.h"
#include "space/paged.h"
#include "space/spaces.h"
#include "space/stack.h"

enum act { PIN, UNPIN, TOUCH_READ, TOUCH_WRITE };

static int act_on(struct spaces_run *run, size_t bytes, enum act act)
{
	gaddr_t start = page_floor(run->addr);
	gaddr_t end = page_ceil(run->addr + MIN(bytes, run->bytes));

	switch (act) {
	case PIN:
		return access_pin(run->vm, start, end);
	case UNPIN:
		return access_unpin(run->vm, start, end);
	default:
		return access_touch(run->vm, start, end, act == TOUCH_WRITE);
	}
}

/* -ENOENT: it is of no space. *held: bytes of the region from `at` on. */
static int act_at(haddr_t at, size_t bytes, enum act act, uint64_t *held)
{
	struct spaces_run run;
	uint64_t reopened;
	int rc = -ENOENT;

	if (stack_is_paged())
		return (int)STACK_CALL(act_at, at, bytes, act, held);
	if (!paged_at(at))
		return rc;
	reopened = fork_reopen_all();
	if (spaces_find(at, &run)) {
		*held = MIN((uint64_t)bytes, run.bytes);
		rc = act_on(&run, bytes, act);
		spaces_let_go(&run);
	}
	fork_reclose_all(reopened);
	return rc;
}

int hold_take(struct hold *h, haddr_t at, size_t bytes)
{
	uint64_t held;
	int rc;

	*h = (struct hold){0};
	if (!bytes)
		return 0;
	rc = act_at(at, bytes, PIN, &held);
	if (rc == 0)
		*h = (struct hold){page_floor(at), page_ceil(at + held)};
	/* what may not be accessed the kernel will find out */
	return rc == -EAGAIN || rc == -ENOMEM || rc == -VVM_ENOFRAME ? -ENOMEM
								     : 0;
}

void hold_drop(struct hold *h)
{
	uint64_t held;

	if (h->end)
		act_at(h->start, h->end - h->start, UNPIN, &held);
	*h = (struct hold){0};
}

bool hold_touch(haddr_t at, bool write)
{
	uint64_t held;

	return act_at(at, 1, write ? TOUCH_WRITE : TOUCH_READ, &held) == 0;
}

static uint64_t share_of(haddr_t at)
{
	struct spaces_run run;
	uint64_t pages = 0;

	if (stack_is_paged())
		return STACK_CALL(share_of, at);
	if (spaces_find(at, &run)) {
		pages = atomic_load(&run.vm->frames.budget) / 4;
		spaces_let_go(&run);
	}
	return pages_to_bytes(pages);
}

uint64_t hold_share(haddr_t at)
{
	uint64_t reopened = fork_reopen_all();
	uint64_t share = share_of(at);

	fork_reclose_all(reopened);
	return share;
}
