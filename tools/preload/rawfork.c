/* SPDX-License-Identifier: MIT */
/*
 * rawfork.c - system calls that fork, by syscall(2): clone, clone3, fork.
 *
 * Sandboxes make their children so, for the flags. The child goes on here, in a
 * copy of the memory, and our fork handlers are run around the call (atfork.c).
 *
 * The kernel writes identifiers before the child has the paged memory, and in the
 * parent where faults may not be served for it. So words and arguments that are
 * paged have others on the stack in their place. Where the stack itself is paged
 * the child has none, and the call is as it is.
 *
 * A program with several threads is left alone: in the child libc's locks are as
 * these held them, and no thread of ours could be made.
 */
#include "preload/rawfork.h"

#include "preload/atfork.h"
#include "preload/gate.h"
#include "preload/part.h"
#include "preload/state.h"
#include "preload/thread.h"

#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where clone(2) has the child's word. */
#if defined(__x86_64__)
enum { CHILDS = 3 };
#else
enum { CHILDS = 4 };
#endif
enum { PARENTS = 2 };

/* More than the kernel knows of today. */
#define ARGS_BYTES 256

bool rawfork_is(long number, const unsigned long a[6])
{
	const struct clone_args *args = (const struct clone_args *)a[0];
	bool forks = false;

	if (!preload.vm)
		return false;
	if (number == SYS_fork)
		forks = true;
	if (number == SYS_clone)
		forks = !(a[0] & CLONE_VM) && !a[1];
	if (number == SYS_clone3)
		forks = a[1] >= CLONE_ARGS_SIZE_VER0 && a[1] <= ARGS_BYTES &&
			readable(args, a[1]) && !(args->flags & CLONE_VM) &&
			!args->stack;
	return forks && !is_paged(&forks, sizeof(forks)) &&
	       preload_threads_alone();
}

/* A word that the kernel writes. */
struct word {
	int *program; /* NULL: the kernel gets the program's own */
	int mine;
	bool in_child;
};

static void *stand_in(struct word *w, void *program, bool asked)
{
	w->program = NULL;
	w->mine = 0;
	if (!asked || !is_paged(program, sizeof(int)) ||
	    !paged_writable(program, sizeof(int)))
		return program;
	w->program = program;
	return &w->mine;
}

static void hand_over(const struct word *w, long pid)
{
	if (!w->program || pid < 0)
		return;
	if (w->in_child ? !pid : pid > 0)
		*w->program =
			w->in_child ? (int)gate_call(SYS_gettid) : w->mine;
}

enum { PIDFD, PARENT_TID, CHILD_TID, WORDS };

#define STAND_IN(field, what)                                            \
	(field) = (__typeof__(field))stand_in(&w[what], (void *)(field), \
					      flags & asks[what])

static long call(long number, const unsigned long a[6], struct word w[WORDS])
{
	static const unsigned long asks[WORDS] = {
		CLONE_PIDFD, CLONE_PARENT_SETTID, CLONE_CHILD_SETTID};
	union {
		struct clone_args args;
		char bytes[ARGS_BYTES];
	} u;
	unsigned long use[6], flags = a[0];

	memcpy(use, a, sizeof(use));
	if (number == SYS_clone) {
		if (flags & CLONE_PIDFD)
			STAND_IN(use[PARENTS], PIDFD);
		else
			STAND_IN(use[PARENTS], PARENT_TID);
		STAND_IN(use[CHILDS], CHILD_TID);
	}
	if (number == SYS_clone3) {
		memcpy(u.bytes, (const void *)a[0], a[1]);
		flags = u.args.flags;
		STAND_IN(u.args.pidfd, PIDFD);
		STAND_IN(u.args.parent_tid, PARENT_TID);
		STAND_IN(u.args.child_tid, CHILD_TID);
		use[0] = (unsigned long)&u;
	}
	return atfork_call(number, use);
}

long rawfork(long number, const unsigned long a[6])
{
	struct word w[WORDS] = {[CHILD_TID] = {.in_child = true}};
	long pid = call(number, a, w);
	int error = errno;
	unsigned i;

	for (i = 0; i < WORDS; i++)
		hand_over(&w[i], pid);
	errno = error;
	return pid;
}
