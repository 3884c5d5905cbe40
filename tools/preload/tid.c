/* SPDX-License-Identifier: MIT */
/*
 * tid.c - clone(3), and the words that the kernel writes for a thread.
 *
 * With CLONE_CHILD_CLEARTID the kernel clears a word and wakes those who wait
 * for it when the thread ends, and with CLONE_CHILD_SETTID it writes one before
 * the thread runs. It takes no faults there: where the page is not present
 * nothing is written, and nobody is woken. So such a page is pinned while
 * the thread lives. That it has ended is looked for when the next is made, and
 * when a pin is in the way of somebody; its word has been cleared by then.
 * (libc's own threads have theirs in memory that is not paged: birth.c.)
 *
 * CLONE_PARENT_SETTID is written during the call; where the kernel brings no
 * pages in it would be left out as silently.
 *
 * A child that does not share the memory has none of it.
 */
#include "preload/tid.h"

#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/part.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct word {
	uint64_t at;
	pid_t tid;   /* of its thread; 0: that is being made */
	bool thread; /* of this process, not a process of its own */
};

/* Signals are held while the lock is: a handler may unmap. In no order. */
static struct {
	pthread_mutex_t lock;
	struct word *word; /* (lock) */
	size_t count, room;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t enter(void)
{
	uint64_t before = gate_signals_block();

	preload_enter();
	pthread_mutex_lock(&kept.lock);
	return before;
}

static void leave(uint64_t before)
{
	pthread_mutex_unlock(&kept.lock);
	preload_leave();
	gate_signals_restore(before);
}

static int pin(uint64_t at, int (*call)(struct vvm *, uint64_t, uint64_t))
{
	uint64_t start = at & -PAGE;

	return call(preload.vm, start, UP(at + sizeof(pid_t)) - start);
}

/* => lock held */
static bool has_ended(const struct word *w)
{
	int saved = errno;
	bool ended;

	ended = w->tid &&
		gate_call(SYS_tgkill, w->thread ? preload.pid : w->tid, w->tid,
			  0) &&
		errno == ESRCH;
	errno = saved;
	return ended;
}

/* => lock held */
static void sweep(void)
{
	size_t i = 0;

	while (i < kept.count) {
		if (has_ended(&kept.word[i])) {
			pin(kept.word[i].at, vvm_unpin);
			kept.word[i] = kept.word[--kept.count];
		} else {
			i++;
		}
	}
}

void preload_tids_sweep(void)
{
	uint64_t before;

	if (!kept.count)
		return;
	before = enter();
	sweep();
	leave(before);
}

void preload_tids_forget(uint64_t start, uint64_t len)
{
	uint64_t before;
	size_t i = 0;

	if (!kept.count)
		return;
	before = enter();
	while (i < kept.count)
		if (kept.word[i].at - start < len)
			kept.word[i] = kept.word[--kept.count];
		else
			i++;
	leave(before);
}

void preload_tids_freeze(void)
{
	pthread_mutex_lock(&kept.lock);
}

void preload_tids_thaw(bool in_child)
{
	if (in_child)
		kept.count = 0;
	pthread_mutex_unlock(&kept.lock);
}

void preload_tids_keep(uint64_t start, uint64_t len)
{
	uint64_t before;
	size_t i;

	if (!kept.count)
		return;
	before = enter();
	for (i = 0; i < kept.count; i++)
		if (kept.word[i].at - start < len)
			pin(kept.word[i].at, vvm_pin);
	leave(before);
}

/* ---- clone ---- */

/* => lock held */
static bool make_room(void)
{
	size_t room = kept.room ? 2 * kept.room : 64;
	struct word *word;

	if (kept.count < kept.room)
		return true;
	word = realloc(kept.word, room * sizeof(*word));
	if (!word)
		return false;
	kept.word = word;
	kept.room = room;
	return true;
}

static bool keep(uint64_t at, bool thread)
{
	uint64_t before = enter();
	bool pinned;

	sweep();
	pinned = make_room() && pin(at, vvm_pin) == 0;
	if (pinned)
		kept.word[kept.count++] =
			(struct word){.at = at, .thread = thread};
	leave(before);
	return pinned;
}

/* Whose word that is; -1: nobody's. */
static void settle(uint64_t at, pid_t tid)
{
	uint64_t before = enter();
	size_t i = 0;

	while (i < kept.count && (kept.word[i].at != at || kept.word[i].tid))
		i++;
	if (i < kept.count && tid > 0) {
		kept.word[i].tid = tid;
	} else if (i < kept.count) {
		pin(at, vvm_unpin);
		kept.word[i] = kept.word[--kept.count];
	}
	leave(before);
}

/* A word of the parent's that is paged, and of the child's; 0: there is none. */
struct words {
	uint64_t parents, childs;
};

static uint64_t paged(int flags, int what, const pid_t *at)
{
	return flags & CLONE_VM && flags & what &&
			       part_paged((void *)((uint64_t)at & -PAGE),
					  (uint64_t)at % PAGE + sizeof(*at))
		       ? (uint64_t)at
		       : 0;
}

static bool pin_words(const struct words *w, bool thread)
{
	bool pinned;

	if (w->childs && !keep(w->childs, thread))
		return false;
	preload_enter();
	pinned = !w->parents || pin(w->parents, vvm_pin) == 0;
	preload_leave();
	if (!pinned && w->childs)
		settle(w->childs, -1);
	return pinned;
}

static void unpin_words(const struct words *w, pid_t tid)
{
	preload_enter();
	if (w->parents)
		pin(w->parents, vvm_unpin);
	preload_leave();
	if (w->childs)
		settle(w->childs, tid);
}

int clone(int (*run)(void *), void *stack, int flags, void *arg, ...)
{
	pid_t *parents, *childs, tid;
	struct words words;
	va_list ap;
	void *tls;
	int error;

	va_start(ap, arg);
	parents = va_arg(ap, pid_t *);
	tls = va_arg(ap, void *);
	childs = va_arg(ap, pid_t *);
	va_end(ap);
	words.parents = paged(flags, CLONE_PARENT_SETTID, parents);
	words.childs =
		paged(flags, CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID, childs);
	if (!pin_words(&words, flags & CLONE_THREAD))
		return part_fail(EAGAIN);
	tid = LIBC(clone)(run, stack, flags, arg, parents, tls, childs);
	error = errno;
	/* after vfork() it is another program by now, or has ended */
	unpin_words(&words, flags & CLONE_VFORK ? -1 : tid);
	errno = error;
	return tid;
}
