/* SPDX-License-Identifier: MIT */
/*
 * fork.c - children that are made by fork() and do not exec.
 *
 * The program's own fork handlers run outside of ours (atfork.c). Around fork()
 * the heap's locks are held, so that the child gets a heap that nobody is just
 * changing. The handlers are registered after libvvm's own: those of "prepare"
 * run in the reverse order, heap before space.
 *
 * The child inherits the space (VVM_FORK=inherit, which vvmrun sets): it sees
 * its memory as of the fork, and goes on with a budget and a swap file of its
 * own. With VVM_FORK=die it does not. Then what it allocates is libc's; blocks
 * of the heap it may free, which touches none; if it touches one it dies, and
 * a SIGSEGV handler of ours says why. The program's own, if it has one, stays.
 */
#include "preload/fork.h"

#include "preload/atfork.h"
#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/mutex.h"
#include "preload/signal.h"
#include "preload/state.h"
#include "preload/thread.h"
#include "preload/tid.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static uint64_t signals; /* before; the locks' */

static void before(void)
{
	uint64_t own;

	atfork_prepare();
	own = gate_signals_block();
	preload_enter();
	preload_mutexes_freeze();
	signals = own;
	preload_tids_freeze();
	atfork_freeze();
	vvm_heap_fork_prepare(preload.heap);
}

static void after_in_parent(void)
{
	uint64_t own;

	vvm_heap_fork_parent(preload.heap);
	atfork_thaw();
	preload_tids_thaw(false);
	own = signals;
	preload_mutexes_thaw(false);
	preload_leave();
	gate_signals_restore(own);
	atfork_parent();
}

static void on_segv(int sig, siginfo_t *si, void *context)
{
	(void)context;
	if (vvm_heap_owns(preload.heap, si->si_addr))
		preload_say("process %d, a child made by fork(), touched "
			    "memory that is paged in its parent; only a child "
			    "that calls exec() at once can do without",
			    (int)getpid());
	/* Returning does the access again, which is then deadly. */
	signal(sig, SIG_DFL);
}

/* Nothing of the heap may be touched any more. */
static void lose(void)
{
	struct sigaction action = {.sa_sigaction = on_segv,
				   .sa_flags = SA_SIGINFO | SA_RESETHAND};
	struct sigaction old;

	preload.paging = false;
	signals_action(SIGSEGV, NULL, &old);
	if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
		signals_action(SIGSEGV, &action, NULL);
}

static void after_in_child(void)
{
	vvm_heap_fork_child(preload.heap);
	preload.pid = getpid();
	preload.child = true;
	atfork_renew();
	if (!preload.inherits)
		lose();
	preload_tids_thaw(true);
	preload_mutexes_thaw(preload.inherits);
	preload_threads_forked();
	preload_leave();
	gate_signals_restore(signals);
	atfork_child();
}

#if __GLIBC_PREREQ(2, 34)
/* It may be called in signal handlers as far as fork() may. */
pid_t _Fork(void)
{
	return preload.vm ? atfork_without() : LIBC(_Fork)();
}
#endif

int preload_fork_init(void)
{
	int error = pthread_atfork(before, after_in_parent, after_in_child);

	if (!error)
		atfork_take_over();
	return -error;
}
