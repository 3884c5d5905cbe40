/* SPDX-License-Identifier: MIT */
/*
 * door/copy.c - copying between the program's memory and ours.
 *
 * Memory is looked at in runs. Paged ones, up to the end of their region, are
 * copied by checked accesses (map/access.c), in which this thread brings the
 * pages itself. Others are asked for page by page whether the kernel could
 * access them; a page that somebody unmaps between that and the copy is a
 * signal, as for any code that uses memory while it is unmapped.
 *
 * Locks are taken on a stack of ours (space/stack.c).
 */
#include "door/copy.h"

#include <string.h>

#include "fork/fork.h"
#include "map/access.h"
#include "space/spaces.h"
#include "space/stack.h"

enum how { LOOK_READ, LOOK_WRITE, IN, OUT };

static bool writes(enum how how)
{
	return how == OUT || how == LOOK_WRITE;
}

/* ---- paged memory ---- */

/* What is on our stack may be paged as that is. */
static int copy_run(struct spaces_run *run, gaddr_t at, char *mine,
		    size_t bytes, bool store)
{
	if (paged_meets((uintptr_t)mine, (uintptr_t)mine + bytes))
		return access_copy(run->vm, at, mine, bytes, store);
	return access_copy_own(run->vm, at, mine, bytes, store);
}

/* By pages, to know how far it goes. */
static size_t copy_by_pages(struct spaces_run *run, char *mine, size_t bytes,
			    bool store)
{
	size_t done = 0, n;

	for (; done < bytes; done += n) {
		gaddr_t at = run->addr + done;

		n = MIN(bytes - done, (size_t)(PAGE_BYTES - (at & PAGE_MASK)));
		if (copy_run(run, at, mine + done, n, store) < 0)
			break;
	}
	return done;
}

static size_t handle_run(struct spaces_run *run, char *mine, size_t bytes,
			 enum how how)
{
	unsigned need = writes(how) ? VVM_WRITE : VVM_READ;
	bool store = how == OUT;

	bytes = MIN(bytes, run->bytes);
	if (!(run->prot & need) || space_broken(run->vm))
		return 0;
	if (how == LOOK_READ || how == LOOK_WRITE)
		return bytes;
	if (copy_run(run, run->addr, mine, bytes, store) == 0)
		return bytes;
	return copy_by_pages(run, mine, bytes, store);
}

/* False: it is of no space. *done: of the run that begins there. */
static bool handle_paged(char *mine, haddr_t theirs, size_t bytes, enum how how,
			 size_t *done)
{
	struct spaces_run run;
	uint64_t reopened = fork_reopen_all();
	bool found = spaces_find(theirs, &run);

	if (found) {
		*done = handle_run(&run, mine, bytes, how);
		*done = MIN(*done, bytes);
		spaces_let_go(&run);
	}
	fork_reclose_all(reopened);
	return found;
}

/* ---- other memory ---- */

static size_t handle_plain(char *mine, haddr_t theirs, size_t bytes,
			   enum how how)
{
	size_t n = MIN(bytes, (size_t)(PAGE_BYTES - (theirs & PAGE_MASK)));

	ASSERT(mine || how == LOOK_READ || how == LOOK_WRITE);
	if (!(writes(how) ? os_writable(theirs) : os_readable(theirs)))
		return 0;
	if (how == IN)
		memcpy(mine, (void *)(uintptr_t)theirs, n);
	else if (how == OUT)
		memcpy((void *)(uintptr_t)theirs, mine, n);
	return n;
}

/* ---- all ---- */

static size_t handle(char *mine, haddr_t theirs, size_t bytes, enum how how)
{
	size_t done = 0, n;

	if (stack_is_paged())
		return STACK_CALL(handle, mine, theirs, bytes, how);
	for (; done < bytes; done += n) {
		haddr_t at = theirs + done;
		char *to = mine ? mine + done : NULL;

		if (!paged_at(at) ||
		    !handle_paged(to, at, bytes - done, how, &n))
			n = handle_plain(to, at, bytes - done, how);
		if (!n)
			break;
	}
	return done;
}

size_t copy_in(void *to, haddr_t from, size_t bytes)
{
	return handle(to, from, bytes, IN);
}

size_t copy_out(haddr_t to, const void *from, size_t bytes)
{
	return handle((char *)(uintptr_t)from, to, bytes, OUT);
}

size_t copy_reach(haddr_t at, size_t bytes, bool write)
{
	return handle(NULL, at, bytes, write ? LOOK_WRITE : LOOK_READ);
}

size_t copy_text(char *to, haddr_t from, size_t most)
{
	size_t done = 0, n, got;

	for (; done < most; done += n) {
		haddr_t at = from + done;
		char *end;

		n = MIN(most - done, (size_t)(PAGE_BYTES - (at & PAGE_MASK)));
		got = copy_in(to + done, at, n);
		end = memchr(to + done, 0, got);
		if (end)
			return (size_t)(end - to) + 1;
		if (got < n)
			return 0;
	}
	return 0;
}
